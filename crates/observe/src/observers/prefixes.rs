//! Observer 4: keys, memory and traffic per key prefix.
//!
//! Thread safety: constants.

pub mod cost;
pub mod counts;
pub mod findings;
pub mod ledger;
pub mod maintenance;
pub mod metrics;
pub mod prefix_tree;
pub mod record;
pub mod report;
pub mod shape;

use crate::spec::{Headline, Observer, ObserverSpec, Options, ReportSpec};
use ledger::Ledger;
use prefix_tree::PrefixTree;
use record::Prefixes;

/// See `spec`.
pub const SPEC: ObserverSpec = ObserverSpec {
    number: 4,
    place: 3,
    report: ReportSpec {
        name: "prefixes",
        subcommand: "PREFIXES",
        summary: "Return keys, memory, traffic and hit ratio per key prefix.",
        shows: "keys, memory, traffic and hit ratio per key prefix",
        options: Options::Count,
        is_text: false,
        make: |input, asked| report::report(input, asked.count),
    },
    directive: "profiling-prefixes",
    switch: "Keys, memory and traffic per key prefix: PROF PREFIXES.",
    doc: &[
        (
            "Exact",
            "keys and bytes. Every entry carries the node it was counted under, so they add up to the totals. Keys stored \
             while the observer was off, and the first of a new prefix if others kept the tree of prefixes, are in \
             `(other)`; prefixes beyond 4096 in the prefix above them.",
        ),
        ("Sampled", "reads, hits, writes, traffic."),
    ],
    bound: "4096 nodes, 2 MiB with two workers",
    memory_bytes_max: Prefixes::memory_bytes_max(),
    shared_bytes_max: PrefixTree::memory_bytes_max() + Ledger::BYTES_MAX,
    memory_bytes: |worker| worker.prefixes.memory_bytes(),
    is_statistic: false,
    is_over_tree: true,
    merge: |snapshot, worker, _| {
        snapshot.prefixes.add(&worker.prefixes);
        worker.prefixes.resolved()
    },
    reset: |recorders| recorders.restart_prefix_traffic(),
    restarts_with_statistics: false,
    rebase: Some(|baseline, snapshot| baseline.renew_events(Observer::PREFIXES, snapshot)),
    findings: findings::findings,
    evidence_without: &["by_keys"],
    headline: Some(Headline {
        title: "Largest prefixes",
        list: "namespaces",
        columns: &[
            ("prefix", "prefix"),
            ("keys", "keys"),
            ("memory_bytes", "memory"),
            ("share_percent", "share"),
            ("hit_percent", "hits"),
        ],
    }),
    metrics: metrics::metrics,
    call_ns: cost::call_ns,
};

impl Observer {
    /// Observer 4.
    pub const PREFIXES: Observer = Observer::of(&SPEC);
}
