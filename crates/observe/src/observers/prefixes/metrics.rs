//! The metric families of prefixes: keys, memory and traffic of the largest.
//!
//! No raw key becomes a label. Prefixes do, at most [`PREFIXES_MAX`] at a time, and only those that begin other keys or have
//! a placeholder: a key without separators would be its own prefix.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{NodeCounts, Prefix};
use super::report::has_placeholder;
use crate::report::Input;
use crate::report::metrics::{Exposition, Kind};

/// Prefixes that have series at a time, those with most memory.
pub const PREFIXES_MAX: usize = 20;

/// Writes them.
pub fn metrics(out: &mut Exposition, input: &Input<'_>) {
    let all = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let mut shown: Vec<(String, NodeCounts)> = all
        .iter()
        .filter(|prefix| is_namespace(prefix) && prefix.subtree.keys > 0)
        .map(|prefix| (input.redactor.prefix(&prefix.shape), prefix.subtree))
        .collect();
    shown.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    shown.truncate(PREFIXES_MAX);
    type Figure = fn(&NodeCounts) -> f64;
    let families: [(&'static str, Kind, &'static str, Figure); 6] = [
        ("limpid_prefix_keys", Kind::Gauge, "Keys that begin with a prefix.", |counts| counts.keys as f64),
        ("limpid_prefix_memory_bytes", Kind::Gauge, "Memory of a prefix's entries.", |counts| {
            counts.bytes as f64
        }),
        (
            "limpid_prefix_hits_total",
            Kind::Counter,
            "Reads of a prefix that found their key, sampled.",
            |counts| counts.hits as f64,
        ),
        ("limpid_prefix_reads_total", Kind::Counter, "Reads of a prefix, sampled.", |counts| {
            counts.reads as f64
        }),
        ("limpid_prefix_writes_total", Kind::Counter, "Writes of a prefix, sampled.", |counts| {
            counts.writes as f64
        }),
        (
            "limpid_prefix_evicted_keys_total",
            Kind::Counter,
            "Keys of a prefix that were evicted.",
            |counts| counts.evicted as f64,
        ),
    ];
    for (name, kind, help, figure) in families {
        let mut family = out.family(name, kind, help);
        for (prefix, counts) in &shown {
            family.sample(&[("prefix", prefix)], figure(counts));
        }
    }
}

/// Whether a prefix of one token stands for many keys, so that its name is none of a key.
fn is_namespace(prefix: &Prefix) -> bool {
    prefix.depth == 1 && (prefix.subtree.keys > prefix.own.keys || has_placeholder(&prefix.shape))
}
