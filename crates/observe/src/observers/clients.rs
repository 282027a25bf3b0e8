//! Observer 20: traffic and errors of every client, and who connects again and again.
//!
//! Thread safety: constants.

pub mod cost;
pub mod findings;
pub mod metrics;
pub mod record;
pub mod report;

use crate::spec::{Observer, ObserverSpec, Options, ReportSpec};
use record::RECORDER_BYTES_MAX;

/// See `spec`.
pub const SPEC: ObserverSpec = ObserverSpec {
    number: 20,
    place: 5,
    report: ReportSpec {
        name: "clients",
        subcommand: "CLIENTS",
        summary: "Return traffic, errors, backlog and reconnects per client.",
        shows: "traffic, errors and backlog per connection",
        options: Options::Count,
        is_text: false,
        make: |input, asked| report::report(input, asked.count),
    },
    directive: "profiling-clients",
    switch: "Traffic and errors of every client: PROF CLIENTS.",
    doc: &[
        ("Exact", "per connection, since it connected. `run` is an estimate where commands were sampled."),
        ("Bound", "reconnecting addresses by Space-Saving with 64 slots, in windows of 10 seconds."),
    ],
    bound: "128 bytes per connection",
    memory_bytes_max: RECORDER_BYTES_MAX,
    shared_bytes_max: 0,
    memory_bytes: |worker| worker.connects.held_bytes() + worker.errors.memory_bytes(),
    is_statistic: false,
    is_over_tree: false,
    merge: |snapshot, worker, now_ms| {
        let connects = worker.connects.copy().recent(now_ms);
        snapshot.connects.merge(&connects);
        connects.total
    },
    reset: |recorders| recorders.recorded().iter().for_each(|worker| worker.connects.reset()),
    restarts_with_statistics: false,
    rebase: None,
    findings: findings::findings,
    evidence_without: &[],
    headline: None,
    metrics: metrics::metrics,
    call_ns: cost::call_ns,
};

impl Observer {
    /// Observer 20.
    pub const CLIENTS: Observer = Observer::of(&SPEC);
}
