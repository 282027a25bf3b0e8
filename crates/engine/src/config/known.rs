//! The directives that are known, and the way from a name to its directive.
//!
//! Not what a directive is (`directive.rs`), nor the directives (`table/`).
//!
//! Invariants (tested over the whole table):
//! 1. Names and aliases are lower case and unique.
//! 2. Every default is valid for its kind and already in canonical form.
//! 3. An absent directive's default is one of its off values: nothing absent is on by default.
//!
//! Thread safety: pure functions of constants.

use super::directive::{Directive, FileOnly};
use super::table;

/// Index of a directive in [`directives`]: where its value lives.
pub type DirectiveIndex = usize;

/// Every directive, section by section, in the order CONFIG GET prints them.
pub fn directives() -> impl Iterator<Item = &'static Directive> + Clone {
    table::SECTIONS.iter().flat_map(|section| section.directives.iter())
}

/// The directive called `name` (case-insensitive; an alias will do) and its index.
pub fn find(name: &[u8]) -> Option<(DirectiveIndex, &'static Directive)> {
    let is_named = |candidate: &&str| candidate.as_bytes().eq_ignore_ascii_case(name);
    directives().enumerate().find(|(_, d)| is_named(&d.name) || d.aliases.iter().any(is_named))
}

/// The file-only name called `name`.
pub fn find_file_only(name: &[u8]) -> Option<&'static FileOnly> {
    table::FILE_ONLY.iter().find(|f| f.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The known name nearest to a misspelt one, if it is near enough to be what was meant: one edit in three letters.
pub fn suggestion(name: &[u8]) -> Option<&'static str> {
    // A name longer than any directive by half is no misspelling; the bound also bounds the work.
    const NAME_BYTES_MAX: usize = 64;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = name.to_ascii_lowercase();
    let names = directives().flat_map(|d| std::iter::once(d.name).chain(d.aliases.iter().copied()));
    names
        .chain(table::FILE_ONLY.iter().map(|f| f.name))
        .map(|known| (edit_distance(&wanted, known.as_bytes()), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance * 3 <= known.len().max(3))
        .map(|(_, known)| known)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each costing one.
fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before_last[j - 2] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::directive::Support;
    use crate::config::value;
    use std::collections::HashSet;

    #[test]
    fn names_are_lower_case_and_unique() {
        let mut seen = HashSet::new();
        for name in directives().flat_map(|d| std::iter::once(d.name).chain(d.aliases.iter().copied())) {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(seen.insert(name), "{name} twice");
        }
        for file_only in table::FILE_ONLY {
            assert!(seen.insert(file_only.name), "{} twice", file_only.name);
        }
    }

    #[test]
    fn every_default_is_canonical_and_off() {
        for directive in directives() {
            let words = value::words_of(directive.kind, directive.default.as_bytes());
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let canonical = value::canonical(directive, &words, directive.default);
            assert_eq!(canonical.as_deref(), Ok(directive.default), "{}", directive.name);
            assert!(!directive.is_absent_feature(directive.default), "{} is on by default", directive.name);
            // What does something may be explained by the text of the one before it.
            assert!(!directive.summary.is_empty() || directive.support == Support::Live);
        }
    }

    #[test]
    fn misspellings_find_their_name() {
        assert_eq!(suggestion(b"maxmemry"), Some("maxmemory"));
        assert_eq!(suggestion(b"MAXMEMORY_POLICY"), Some("maxmemory-policy"));
        assert_eq!(suggestion(b"prot"), Some("port"));
        assert_eq!(suggestion(b"rename-comand"), Some("rename-command"));
        assert_eq!(suggestion(b"frobnicate"), None);
        assert_eq!(suggestion(&[b'a'; 5000]), None);
    }

    /// The names that CONFIG GET * of Redis 7.0, Redis 8.0 and Valkey 9.1 print, and those that Valkey hides from it.
    #[test]
    fn every_name_that_real_servers_print_is_known() {
        let names = include_str!("names.txt");
        let names: Vec<&str> = names.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        assert!(names.len() > 240);
        let unknown: Vec<&&str> = names.iter().filter(|name| find(name.as_bytes()).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
