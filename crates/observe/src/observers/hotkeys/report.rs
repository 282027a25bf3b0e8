//! PROF HOTKEYS: the keys with most operations, now and since the reset, and by CPU, bytes, writes and misses.
//!
//! It is no list of all keys: what was never among the heaviest is not here, and its bound is stated instead. But for
//! the list by operations since the reset, which tells its bounds row by row, a key is listed only if its name is known
//! and its figure is more than chance.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{COSTLY_BYTES, COSTLY_CPU_NS, HotKey, OPERATION_SLOTS, Summary};
use crate::report::value::Node;
use crate::report::{Input, percent, usec};

/// Commands on a key that must have been looked at before its CPU time is believed: one run may have been interrupted.
const CPU_SAMPLES_MIN: u64 = 3;

/// The report, `count` keys per list.
pub fn report(input: &Input<'_>, count: usize) -> Node {
    let hot = &input.snapshot.hotkeys;
    let mut entries = input.header("hotkeys", "the keys with most operations, CPU and bytes");
    let list = |summary: &Summary, keys: Vec<&HotKey>| {
        Node::List(keys.into_iter().map(|key| row(input, summary, key)).collect())
    };
    let by = |summary: &Summary, figure: fn(&HotKey) -> u64| list(summary, known(summary, count, figure));
    let by_operations = &hot.operations;
    entries.push(("operations".into(), Node::integer(by_operations.total())));
    entries.push(("looked_at".into(), Node::integer(by_operations.samples())));
    entries.push(("error".into(), error_bound(by_operations)));
    entries.push(("last_window_length_ms".into(), Node::integer(hot.window_ms)));
    entries.push(("last_window".into(), by(&hot.window, HotKey::certain)));
    entries.push(("since_reset".into(), list(by_operations, by_operations.top(count))));
    let cpu_ns = |key: &HotKey| if key.samples < CPU_SAMPLES_MIN { 0 } else { key.cpu_ns };
    entries.push(("by_cpu".into(), costly(input, count, &hot.cpu, cpu_ns)));
    entries.push(("by_bytes".into(), costly(input, count, &hot.bytes, |key| key.bytes)));
    entries.push(("by_writes".into(), by(by_operations, |key| key.writes)));
    entries.push(("by_misses".into(), by(by_operations, |key| key.misses)));
    Node::Map(entries)
}

/// The first `count` keys by a figure of operations, of those whose name is known and whose figure exceeds what sampling
/// alone may have made of it.
fn known(summary: &Summary, count: usize, figure: fn(&HotKey) -> u64) -> Vec<&HotKey> {
    let mut keys = summary.top_by(usize::MAX, figure);
    keys.retain(|key| key.name.is_some() && figure(key) > summary.sampling_error(figure(key)));
    keys.truncate(count);
    keys
}

/// Keys by a figure other than operations: those of the summary for costly commands and those that are in the
/// summary by operations, where light commands on them are counted.
fn costly(input: &Input<'_>, count: usize, costly: &Summary, figure: impl Fn(&HotKey) -> u64 + Copy) -> Node {
    let by_operations = &input.snapshot.hotkeys.operations;
    let mut keys = by_operations.top_by(usize::MAX, figure);
    for key in costly.top_by(usize::MAX, figure) {
        match keys.iter_mut().find(|known| known.hash == key.hash) {
            Some(known) if figure(key) > figure(known) => *known = key,
            Some(_) => {}
            None => keys.push(key),
        }
    }
    keys.retain(|key| key.name.is_some());
    keys.sort_by_key(|key| std::cmp::Reverse(figure(key)));
    keys.truncate(count);
    let row = |key: &HotKey| {
        Node::Map(vec![
            ("key".into(), Node::Name(input.redactor.hot_key(key))),
            ("db".into(), Node::integer(key.db)),
            ("cpu_usec".into(), usec(key.cpu_ns)),
            ("traffic_bytes".into(), Node::integer(key.bytes)),
            ("reads".into(), Node::integer(key.reads)),
            ("writes".into(), Node::integer(key.writes)),
            ("misses".into(), Node::integer(key.misses)),
        ])
    };
    Node::List(keys.into_iter().map(row).collect())
}

fn row(input: &Input<'_>, summary: &Summary, key: &HotKey) -> Node {
    Node::Map(vec![
        ("key".into(), Node::Name(input.redactor.hot_key(key))),
        ("db".into(), Node::integer(key.db)),
        ("operations".into(), Node::integer(key.certain())),
        ("share_percent".into(), Node::number(percent(key.certain(), summary.total()))),
        ("undercount_max".into(), Node::integer(key.error)),
        ("sampling_error".into(), Node::integer(summary.sampling_error(key.certain()))),
        ("reads".into(), Node::integer(key.reads)),
        ("writes".into(), Node::integer(key.writes)),
        ("misses".into(), Node::integer(key.misses)),
        ("cpu_usec".into(), usec(key.cpu_ns)),
        ("traffic_bytes".into(), Node::integer(key.bytes)),
    ])
}

fn error_bound(summary: &Summary) -> Node {
    let sampled = summary.samples() < summary.total();
    let sampling = if sampled {
        "operations were sampled: sampling_error is two standard deviations, either way"
    } else {
        "every operation was looked at: no sampling error"
    };
    Node::Map(vec![
        ("unlisted_max".into(), Node::integer(summary.unmonitored())),
        (
            "bound".into(),
            Node::text(format!(
                "operations are certain, at most undercount_max more; keys not listed have at most unlisted_max \
                 (Space-Saving, {OPERATION_SLOTS} slots per worker)"
            )),
        ),
        (
            "other_figures".into(),
            Node::text(format!(
                "cpu, traffic, reads, writes, misses are lower bounds; rare keys count from {} us or {} bytes a command",
                COSTLY_CPU_NS / 1_000,
                COSTLY_BYTES
            )),
        ),
        ("sampling".into(), Node::text(sampling)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::record::Snapshot;
    use crate::record::hotkeys::{Access, HotKeys, KeyAccess};
    use crate::report::Facts;
    use crate::report::redact::Redactor;

    fn seen(hotkeys: &mut HotKeys, key: &str, access: Access, cpu_ns: u32, weight: u32) {
        let hash = key
            .bytes()
            .fold(7_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        hotkeys.record(KeyAccess { db: 0, hash, key: key.as_bytes(), weight, access, cpu_ns, bytes: 100 });
    }

    fn listed(hotkeys: &HotKeys, list: &str) -> Vec<String> {
        let mut snapshot = Snapshot::default();
        snapshot.hotkeys.add(hotkeys, 1_500);
        let (facts, redactor) = (Facts::default(), Redactor::default());
        let input = Input {
            snapshot: &snapshot,
            clients: &[],
            facts: &facts,
            command_name: &|_| "get",
            redactor: &redactor,
        };
        let report = report(&input, 10);
        let rows = report.get(list).expect(list).items();
        let name = |row: &Node| row.get("key").and_then(Node::as_name).map_or("?".to_owned(), Name::shown);
        rows.iter().map(name).collect()
    }

    #[test]
    fn one_interrupted_run_names_no_key_by_cpu() {
        let mut hotkeys = HotKeys::default();
        (0..100).for_each(|_| seen(&mut hotkeys, "often", Access::Read, 10_000, 1));
        seen(&mut hotkeys, "interrupted", Access::Read, 4_000_000, 1);
        hotkeys.rotate(1_500);
        assert_eq!(listed(&hotkeys, "by_cpu"), ["often"]);
        (0..2).for_each(|_| seen(&mut hotkeys, "interrupted", Access::Read, 4_000_000, 1));
        assert_eq!(listed(&hotkeys, "by_cpu"), ["interrupted", "often"]);
    }

    #[test]
    fn lists_leave_out_chance_and_keys_without_a_name() {
        let mut hotkeys = HotKeys::default();
        (0..500).for_each(|_| seen(&mut hotkeys, "hot", Access::Write, 100, 16));
        // Each is seen too rarely for its name to be copied, and for its count to be more than chance.
        for key in 0..200 {
            seen(&mut hotkeys, &format!("rare:{key}"), Access::Write, 100, 16);
        }
        seen(&mut hotkeys, "hot", Access::Miss, 100, 16);
        hotkeys.rotate(1_500);
        assert_eq!(listed(&hotkeys, "by_writes"), ["hot"]);
        assert_eq!(listed(&hotkeys, "last_window"), ["hot"]);
        assert!(listed(&hotkeys, "by_misses").is_empty(), "one sample of weight 16 may be nothing");
        assert!(listed(&hotkeys, "since_reset").len() > 1);
    }
}
