//! Reports: what the recorders saw, as trees of figures ([`value::Node`]) that become RESP, JSON or text.
//!
//! Every report says what it shows, since when, over which window, and how exact it is: an error bound or the
//! word "exact". It does not record anything and holds no lock: it reads a merged
//! [`Snapshot`].
//!
//! Invariants:
//! 1. A key's name or a prefix leaves this module only through [`redact::Redactor`].
//! 2. Names of figures carry their unit last (`_bytes`, `_usec`, `_percent`): [`value::Node::to_text`] reads it.
//!
//! Thread safety: plain values.

pub mod catalogue;
pub mod cost;
pub mod findings;
pub mod metrics;
pub mod redact;
pub mod reports;
pub mod value;
pub mod verdict;

use crate::record::clients::ClientSnapshot;
use crate::record::{Snapshot, Switches};
use redact::Redactor;
use value::Node;

/// What the server knows besides what the recorders saw.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts {
    /// The clock that was given to `Recorder::rotate` and the clients' counters, now.
    pub now_ms: u64,
    /// When the figures begin: the start or the last PROF RESET, seconds since 1970.
    pub since_unix_s: u64,
    /// How long ago that was, seconds.
    pub window_s: f64,
    /// When an observer was switched on later than that: its name and seconds since 1970.
    pub switched_on_unix_s: Vec<(String, u64)>,
    /// Which observers record.
    pub switches: Switches,
    /// Memory of the data set, bytes.
    pub used_memory_bytes: u64,
    /// `maxmemory`, 0 without limit.
    pub memory_bytes_max: u64,
    /// `maxmemory-policy`.
    pub eviction_policy: String,
}

/// What a report is made from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// All workers, merged.
    pub snapshot: &'a Snapshot,
    /// Every connection.
    pub clients: &'a [ClientSnapshot],
    /// The rest.
    pub facts: &'a Facts,
    /// The name of a command index, upper or lower case as it is to be shown.
    pub command_name: &'a dyn Fn(u16) -> &'static str,
    /// How key names leave.
    pub redactor: &'a Redactor,
}

/// What is asked of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Rows of its lists.
    pub count: usize,
    /// The command that is wanted in detail.
    pub command: Option<u16>,
}

impl Input<'_> {
    /// `since` and `window_s`, which every report begins with.
    pub(crate) fn header(&self, observer: &str, what: &str) -> Vec<(String, Node)> {
        let later = self.facts.switched_on_unix_s.iter().find(|(name, _)| name == observer);
        let since = later.map_or(self.facts.since_unix_s, |&(_, since)| since.max(self.facts.since_unix_s));
        let window_s = self.facts.window_s - (since - self.facts.since_unix_s) as f64;
        vec![
            ("what".into(), Node::text(what)),
            ("since_unix_s".into(), Node::integer(since)),
            ("window_s".into(), Node::number(window_s.max(0.0))),
        ]
    }
}

/// `part` of `whole` in per cent, 0 of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Nanoseconds as microseconds.
pub(crate) fn usec(ns: u64) -> Node {
    Node::number(ns as f64 / 1_000.0)
}
