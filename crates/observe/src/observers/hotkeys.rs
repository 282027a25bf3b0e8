//! Observer 2: the most used keys, with an error bound.
//!
//! Thread safety: constants.

pub mod cost;
pub mod findings;
pub mod key_summary;
pub mod long_names;
pub mod metrics;
pub mod record;
pub mod report;
pub mod space_saving;

use crate::spec::{Headline, Observer, ObserverSpec, Options, ReportSpec};
use record::HotKeys;

/// See `spec`.
pub const SPEC: ObserverSpec = ObserverSpec {
    number: 2,
    place: 1,
    report: ReportSpec {
        name: "hotkeys",
        subcommand: "HOTKEYS",
        summary: "Return the keys with most operations, CPU time, bytes, writes and misses, with error bounds.",
        shows: "keys with most operations, CPU, bytes, writes and misses",
        options: Options::Count,
        is_text: false,
        make: |input, asked| report::report(input, asked.count),
    },
    directive: "profiling-hotkeys",
    switch: "The most used keys, with an error bound: PROF HOTKEYS.",
    doc: &[
        (
            "Method",
            "Space-Saving with 1,024 slots per worker, merged over workers and one-second windows. The 64 heaviest keys of \
             a window keep their slots in the next one, where they are counted exactly.",
        ),
        (
            "Bound",
            "`operations` are certain; a key had at most `undercount max` more, and one that is not listed at most \
             `unlisted max`. Where commands were sampled, `sampling error` (two standard deviations) comes on top, either \
             way.",
        ),
        ("Lower bounds", "CPU, traffic, reads, writes and misses count while a key holds its slot."),
    ],
    bound: "1 MiB per worker, names of hot keys included",
    memory_bytes_max: HotKeys::memory_bytes_max(),
    shared_bytes_max: 0,
    memory_bytes: |worker| worker.hotkeys.held_bytes(),
    is_statistic: false,
    is_over_tree: false,
    merge: |snapshot, worker, now_ms| {
        let hotkeys = worker.hotkeys.copy();
        snapshot.hotkeys.add(&hotkeys, now_ms);
        hotkeys.samples()
    },
    reset: |recorders| recorders.recorded().iter().for_each(|worker| worker.hotkeys.reset()),
    restarts_with_statistics: false,
    rebase: None,
    findings: findings::findings,
    evidence_without: &["by_writes", "by_misses"],
    headline: Some(Headline {
        title: "Hottest keys",
        list: "since_reset",
        columns: &[
            ("key", "key"),
            ("operations", "operations"),
            ("sampling_error", "\u{b1}"),
            ("share_percent", "share"),
            ("traffic_bytes", "bytes"),
        ],
    }),
    metrics: metrics::metrics,
    call_ns: cost::call_ns,
};

impl Observer {
    /// Observer 2.
    pub const HOTKEYS: Observer = Observer::of(&SPEC);
}
