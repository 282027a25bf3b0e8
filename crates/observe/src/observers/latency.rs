//! Observer 1: latency per command and stage.
//!
//! Thread safety: constants.

pub mod cost;
pub mod findings;
pub mod metrics;
pub mod record;
pub mod report;

use crate::spec::{Observer, ObserverSpec, Options, ReportSpec};
use record::Latency;

/// See `spec`.
pub const SPEC: ObserverSpec = ObserverSpec {
    number: 1,
    place: 2,
    report: ReportSpec {
        name: "latency",
        subcommand: "LATENCY",
        summary: "Return the latency of every command by stage, or one command in detail.",
        shows: "time per command and stage: wait, lock, run, flush",
        options: Options::Command,
        is_text: false,
        make: |input, asked| report::report(input, asked.command),
    },
    directive: "profiling-latency",
    switch: "Latency of every command, split into wait, lock, run and flush: PROF LATENCY.",
    doc: &[
        (
            "Exact",
            "calls, rejected, failed, the maxima of what was timed; `timing` says whether the total is.",
        ),
        (
            "Bound",
            "percentiles within 3.1 % (run), 6.3 % (wait), 12.5 % (others): log-linear histograms. Waiting is taken on \
             one turn of seventeen and on every read after a turn of 2 ms or more; sending on one turn of seventeen.",
        ),
    ],
    bound: "6 KiB for each command that was used, 2.1 MiB in all, per worker",
    memory_bytes_max: Latency::memory_bytes_max(),
    shared_bytes_max: 0,
    memory_bytes: |worker| worker.latency.memory_bytes(),
    is_statistic: true,
    is_over_tree: false,
    merge: |snapshot, worker, _| {
        snapshot.latency.add(&worker.latency);
        worker.latency.timings()
    },
    reset: |_| {},
    restarts_with_statistics: true,
    rebase: Some(|baseline, snapshot| {
        baseline.renew_latency(snapshot);
        baseline.renew_events(Observer::LATENCY, snapshot);
    }),
    findings: findings::findings,
    evidence_without: &[],
    headline: None,
    metrics: metrics::metrics,
    call_ns: cost::call_ns,
};

impl Observer {
    /// Observer 1.
    pub const LATENCY: Observer = Observer::of(&SPEC);
}
