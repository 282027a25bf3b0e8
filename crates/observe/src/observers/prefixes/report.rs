//! PROF PREFIXES: keys, memory, traffic and hit ratio per key prefix, and what the naming itself costs.
//!
//! Lists by figures show each key under exactly one prefix, so they add up; `namespaces` sums whole subtrees.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{NodeCounts, Prefix};
use crate::name::PLACEHOLDERS;
use crate::report::value::Node;
use crate::report::{Input, percent};

/// Bytes an alias is taken to need for all the fixed parts of a name together.
pub const ALIAS_BYTES: u64 = 3;

/// The report, `count` prefixes per list.
pub fn report(input: &Input<'_>, count: usize) -> Node {
    let total = input.snapshot.prefixes.total();
    let prefixes = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let mut entries = input.header("prefixes", "keys, memory, traffic and hit ratio per key prefix");
    entries.push((
        "error".into(),
        Node::text(
            "keys and bytes are exact and add up to the totals; keys stored while the observer was off, new \
             prefixes while others kept the tree, and prefixes beyond 4096, are in (other) or in the prefix above; traffic is sampled",
        ),
    ));
    entries.push(("total".into(), Node::Map(figures(&total, &total))));
    let list = |depth_max: usize, rank: fn(&NodeCounts) -> u64, subtree: bool| {
        let counts = |prefix: &Prefix| if subtree { prefix.subtree } else { prefix.own };
        let mut chosen: Vec<(&Prefix, NodeCounts)> = prefixes
            .iter()
            .filter(|prefix| prefix.depth <= depth_max && (!subtree || prefix.depth > 0))
            .map(|prefix| (prefix, counts(prefix)))
            .filter(|(_, counts)| rank(counts) > 0)
            .collect();
        chosen.sort_by_key(|(_, counts)| std::cmp::Reverse(rank(counts)));
        chosen.truncate(count);
        Node::List(chosen.into_iter().map(|(prefix, counts)| row(input, prefix, &counts, &total)).collect())
    };
    entries.push(("namespaces".into(), list(1, bytes_of, true)));
    entries.push(("by_bytes".into(), list(usize::MAX, bytes_of, false)));
    entries.push(("by_keys".into(), list(usize::MAX, |counts| counts.keys.max(0) as u64, false)));
    entries.push(("by_traffic".into(), list(usize::MAX, |counts| counts.reads + counts.writes, false)));
    entries.push(("naming".into(), naming(input, &prefixes, count)));
    Node::Map(entries)
}

fn bytes_of(counts: &NodeCounts) -> u64 {
    counts.bytes.max(0) as u64
}

fn row(input: &Input<'_>, prefix: &Prefix, counts: &NodeCounts, total: &NodeCounts) -> Node {
    let mut entries = vec![("prefix".into(), Node::text(input.redactor.prefix(&prefix.shape)))];
    entries.extend(figures(counts, total));
    Node::Map(entries)
}

fn figures(counts: &NodeCounts, total: &NodeCounts) -> Vec<(String, Node)> {
    vec![
        ("keys".into(), Node::integer(counts.keys)),
        ("memory_bytes".into(), Node::integer(counts.bytes)),
        ("share_percent".into(), Node::number(percent(bytes_of(counts), bytes_of(total)))),
        ("names_bytes".into(), Node::integer(counts.name_bytes)),
        ("values_bytes".into(), Node::integer(counts.value_bytes)),
        ("reads".into(), Node::integer(counts.reads)),
        ("hit_percent".into(), Node::optional(counts.hit_ratio().map(|ratio| ratio * 100.0))),
        ("writes".into(), Node::integer(counts.writes)),
        ("traffic_bytes".into(), Node::integer(counts.network_bytes)),
        ("evicted".into(), Node::integer(counts.evicted)),
    ]
}

/// Bytes of a shape that are the same in every key: what an alias could replace.
fn fixed_bytes(shape: &str) -> u64 {
    tokens(shape).filter(|token| !PLACEHOLDERS.contains(token)).count() as u64
}

/// Whether a shape stands for many names: it has a placeholder, and not only a name that looks like one.
pub fn has_placeholder(shape: &str) -> bool {
    tokens(shape).any(|token| PLACEHOLDERS.contains(&token))
}

/// A shape cut into placeholders and single bytes of names, those that are escaped each with its escape.
fn tokens(shape: &str) -> impl Iterator<Item = &str> {
    let mut rest = shape;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let placeholder = PLACEHOLDERS.into_iter().find(|placeholder| rest.starts_with(placeholder));
        let length = match placeholder {
            Some(placeholder) => placeholder.len(),
            None if rest.starts_with("\\x") => "\\x20".len(),
            None if first == '\\' => 2,
            None => first.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        Some(token)
    })
}

/// What shorter fixed parts would save in all keys of a prefix, bytes.
pub fn alias_saves_bytes(prefix: &Prefix) -> u64 {
    if prefix.depth == 0 {
        return 0;
    }
    fixed_bytes(&prefix.shape).saturating_sub(ALIAS_BYTES) * prefix.own.keys.max(0) as u64
}

fn naming(input: &Input<'_>, prefixes: &[Prefix], count: usize) -> Node {
    let mut costly: Vec<(&Prefix, u64)> = prefixes
        .iter()
        .map(|prefix| (prefix, alias_saves_bytes(prefix)))
        .filter(|&(_, saved)| saved > 0)
        .collect();
    costly.sort_by_key(|&(_, saved)| std::cmp::Reverse(saved));
    let saved: u64 = costly.iter().map(|&(_, saved)| saved).sum();
    costly.truncate(count);
    let row = |(prefix, saved): (&Prefix, u64)| {
        Node::Map(vec![
            ("prefix".into(), Node::text(input.redactor.prefix(&prefix.shape))),
            ("keys".into(), Node::integer(prefix.own.keys)),
            ("names_bytes".into(), Node::integer(prefix.own.name_bytes)),
            ("alias_saves_bytes".into(), Node::integer(saved)),
        ])
    };
    Node::Map(vec![
        (
            "what".into(),
            Node::text(format!("the fixed parts of names, replaced by {ALIAS_BYTES} bytes each")),
        ),
        ("alias_saves_bytes".into(), Node::integer(saved)),
        ("prefixes".into(), Node::List(costly.into_iter().map(row).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_not_fixed() {
        assert_eq!(fixed_bytes("user:{n}:cart"), 10);
        assert_eq!(fixed_bytes("{*}"), 0);
        assert_eq!(fixed_bytes("{broken"), 7);
        assert_eq!(fixed_bytes("{user:{n}:cart"), 11);
        assert_eq!(fixed_bytes("\\{n}a\\x20\\\\"), 6);
        assert!(has_placeholder("user:{n}") && has_placeholder("a\\\\{n}"));
        assert!(!has_placeholder("{secret}") && !has_placeholder("a\\{n}") && !has_placeholder("\\"));
    }
}
