//! Observer 5: lengths of keys and values, overhead per key, latency by size. It finds nothing by itself.
//!
//! Thread safety: constants.

pub mod cost;
pub mod metrics;
pub mod record;
pub mod report;

use crate::spec::{Observer, ObserverSpec, Options, ReportSpec};
use record::Sizes;

/// See `spec`.
pub const SPEC: ObserverSpec = ObserverSpec {
    number: 5,
    place: 4,
    report: ReportSpec {
        name: "sizes",
        subcommand: "SIZES",
        summary: "Return the lengths of stored keys and values, overhead per key, and latency by size.",
        shows: "lengths of keys and values, overhead per key",
        options: Options::None,
        is_text: false,
        make: |input, _| report::report(input),
    },
    directive: "profiling-sizes",
    switch: "Lengths of keys and values: PROF SIZES.",
    doc: &[
        ("Exact", "counts and sums, by powers of two (an empty class is not printed)."),
        ("Sampled", "latency by value size, within 12.5 %."),
    ],
    bound: "16 KiB per worker",
    memory_bytes_max: Sizes::memory_bytes_max(),
    shared_bytes_max: 0,
    memory_bytes: |worker| worker.sizes.memory_bytes(),
    is_statistic: true,
    is_over_tree: false,
    merge: |snapshot, worker, _| {
        snapshot.sizes.add(&worker.sizes);
        worker.sizes.events()
    },
    reset: |_| {},
    restarts_with_statistics: false,
    rebase: Some(|baseline, snapshot| {
        baseline.renew_sizes(snapshot);
        baseline.renew_events(Observer::SIZES, snapshot);
    }),
    findings: |_| Vec::new(),
    evidence_without: &[],
    headline: None,
    metrics: metrics::metrics,
    call_ns: cost::call_ns,
};

impl Observer {
    /// Observer 5.
    pub const SIZES: Observer = Observer::of(&SPEC);
}
