//! What a directive is: its name, its kind of value, its default, when it may change, and what Limpid does with it.
//!
//! One [`Directive`] literal in `table/` is the single source: the file loader, CONFIG GET/SET/REWRITE, the warnings
//! at start and the tests of `limpid.conf` all derive from it. This file holds no values: those are in `settings.rs`.
//!
//! Invariants (tested over the whole table):
//! 1. Names and aliases are lower case and unique.
//! 2. Every default is valid for its kind and already in canonical form.
//! 3. An absent directive's default is one of its off values: nothing absent is on by default.
//!
//! Thread safety: constants and pure functions.

use super::table;

/// The values a directive takes. The canonical text of each is what CONFIG GET prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// `yes` or `no`, also written `on` and `off`; printed as `yes` and `no`.
    Switch,
    /// A decimal integer, both ends inclusive.
    Int { min: i64, max: i64 },
    /// Bytes, with a unit (`1k` = 1000, `1kb` = 1024, likewise m, g); printed as plain bytes.
    Size { min: u64, max: u64 },
    /// [`Kind::Size`] or a percentage of `maxmemory` (`5%`).
    SizeOrPercent,
    /// File permissions as an octal number, at most 777.
    Octal,
    /// One of these words, whatever the case.
    Enum(&'static [&'static str]),
    /// Some of these words.
    Flags(&'static [&'static str]),
    /// Any UTF-8 text.
    Text,
    /// Text that is never logged.
    Secret,
    /// A number of words.
    Words { min: usize, max: usize },
    /// Numbers from 0 to 100.
    Percentiles,
    /// Letters that name classes of keyspace events.
    EventClasses,
    /// `class hard soft seconds`, repeated; classes that are not named keep their limits.
    OutputBufferLimit,
    /// `seconds changes`, repeated; a first line replaces the default, later lines add to it, `""` clears.
    Save,
}

/// When a directive may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At start and by CONFIG SET.
    Anytime,
    /// At start only.
    AtStart,
    /// At start; CONFIG SET takes the value it has. Other servers change it while they run, so tools set it.
    AtRestart,
    /// By CONFIG SET only where `enable-protected-configs` allows it.
    Protected,
}

/// What Limpid does with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Limpid acts on it.
    Live,
    /// Harmless tuning of something that Limpid does differently or not at all: any value is stored and has no effect.
    Accepted,
    /// The feature is absent: only the values in `off` are accepted in silence.
    Absent {
        /// The canonical texts that mean "off"; the default is among them.
        off: &'static [&'static str],
        /// What any other value does at start.
        otherwise: Refusal,
    },
}

/// What an absent feature's "on" value does to a starting server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A warning; the directive stays off.
    Warn,
    /// The start fails: ignoring the directive would lose data or protection.
    Stop,
}

/// Takes the canonical text of a directive's kind; gives the text to keep, or the reason why not.
pub type Check = fn(&str) -> Result<String, String>;

/// One directive of the configuration.
#[derive(Debug)]
pub struct Directive {
    /// Lower case, as CONFIG GET prints it.
    pub name: &'static str,
    /// Older or other names of the same setting; CONFIG GET prints them too.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// In canonical form.
    pub default: &'static str,
    /// What a value has to satisfy beyond its kind.
    pub check: Option<Check>,
    pub change: Change,
    /// A pattern of CONFIG GET does not find it; its name does. For what only tests of other servers use.
    pub is_hidden: bool,
    pub support: Support,
    /// Live: what it does. Otherwise: why it has no effect, as a clause that reads well after `name: `.
    pub summary: &'static str,
}

impl Directive {
    const fn of(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        support: Support,
        summary: &'static str,
    ) -> Self {
        let change = Change::Anytime;
        Directive {
            name,
            aliases: &[],
            kind,
            default,
            check: None,
            change,
            is_hidden: false,
            support,
            summary,
        }
    }

    pub(super) const fn live(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        summary: &'static str,
    ) -> Self {
        Directive::of(name, kind, default, Support::Live, summary)
    }

    pub(super) const fn accepted(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        why: &'static str,
    ) -> Self {
        Directive::of(name, kind, default, Support::Accepted, why)
    }

    /// `off` holds the values that are accepted in silence; the first is the default.
    pub(super) const fn absent(
        name: &'static str,
        kind: Kind,
        off: &'static [&'static str],
        otherwise: Refusal,
        why: &'static str,
    ) -> Self {
        Directive::of(name, kind, off[0], Support::Absent { off, otherwise }, why)
    }

    pub(super) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Directive { aliases, ..self }
    }

    pub(super) const fn checked(self, check: Check) -> Self {
        Directive { check: Some(check), ..self }
    }

    pub(super) const fn at_start(self) -> Self {
        Directive { change: Change::AtStart, ..self }
    }

    pub(super) const fn at_restart(self) -> Self {
        Directive { change: Change::AtRestart, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Directive { is_hidden: true, ..self }
    }

    pub(super) const fn protected(self) -> Self {
        Directive { change: Change::Protected, ..self }
    }

    /// Whether the canonical `text` switches on a feature that Limpid does not have.
    pub fn is_absent_feature(&self, text: &str) -> bool {
        match self.support {
            Support::Absent { off, .. } => !off.contains(&text),
            Support::Live | Support::Accepted => false,
        }
    }
}

/// Names that a configuration file may hold and CONFIG GET never prints. They take the rest of the line as it is.
#[derive(Debug)]
pub struct FileOnly {
    pub name: &'static str,
    pub otherwise: Refusal,
    /// Why it is refused or ignored.
    pub why: &'static str,
}

/// Index of a directive in [`directives`]: where its value lives.
pub type DirectiveIndex = usize;

/// Every directive, section by section, in the order CONFIG GET prints them.
pub fn directives() -> impl Iterator<Item = &'static Directive> + Clone {
    table::SECTIONS.iter().flat_map(|section| section.iter())
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
            assert!(!directive.summary.is_empty());
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
