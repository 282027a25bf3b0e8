//! The metric families that the recorders fill: commands, latencies, errors, traffic, prefixes, findings.
//!
//! Not the server's own figures (memory, clients, databases): the server writes those.
//!
//! Names that begin with `redis_` are those of the Redis exporter, so that its dashboards work; our own begin with
//! `limpid_` and have base units.
//!
//! Invariants:
//! 1. No raw key becomes a label. Prefixes do, at most [`PREFIXES_MAX`] at a time, and only those that begin other keys
//!    or have a placeholder: a key without separators would be its own prefix.
//! 2. A counter only grows, but for CONFIG RESETSTAT and PROF RESET: durations are the sums that were recorded, not the
//!    mean times the calls, which may shrink a little from scrape to scrape.
//!
//! Thread safety: functions over a merged snapshot.

use super::{Exposition, Kind};
use crate::record::histogram::Histogram;
use crate::record::latency::{CommandStats, STAGES, Stage};
use crate::record::prefix::{NodeCounts, Prefix};
use crate::record::{OBSERVERS, Snapshot, Switches};
use crate::report::Input;
use crate::report::findings::{Level, findings};
use crate::report::prefixes::has_placeholder;
use std::collections::BTreeMap;

/// Prefixes that have series at a time, those with most memory.
pub const PREFIXES_MAX: usize = 20;
/// Bounds of the latency histograms in seconds are powers of four of a microsecond: 1 us to 4.2 s in twelve steps, each
/// half as precise as the powers of two that `redis_commands_latencies_usec` has.
const SECONDS_BOUNDS: usize = 12;
/// Bounds of `redis_commands_latencies_usec`: powers of two up to 1.05 s.
const USEC_BOUNDS: u32 = 21;

/// The exporter takes over what INFO latencystats has, in per cent; these are its default.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// Writes all of them. `counters` are the merged recorders as they are; `input` may have a window that begins later.
pub fn write(out: &mut Exposition, counters: &Snapshot, input: &Input<'_>, switches: Switches) {
    commands(out, counters, input);
    latencies(out, counters, input);
    traffic(out, counters);
    stored(out, counters);
    prefixes(out, counters, input);
    verdict(out, input);
    observers(out, counters, switches);
}

fn commands(out: &mut Exposition, counters: &Snapshot, input: &Input<'_>) {
    type Figure = fn(&CommandStats) -> f64;
    let families: [(&'static str, &'static str, Figure); 4] = [
        ("redis_commands_total", "Calls per command.", |stats| stats.counts.calls as f64),
        ("redis_commands_duration_seconds_total", "Time per command, from its timed calls.", |stats| {
            stats.stage(Stage::Run).sum() as f64 / 1e9
        }),
        ("redis_commands_rejected_calls_total", "Calls refused before they ran, per command.", |stats| {
            stats.counts.rejected as f64
        }),
        (
            "redis_commands_failed_calls_total",
            "Calls that ran and answered an error, per command.",
            |stats| stats.counts.failed as f64,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = out.family(name, Kind::Counter, help);
        for stats in counters.latency.commands() {
            family.sample(&[("cmd", (input.command_name)(stats.command))], figure(stats));
        }
    }
    let processed: u64 = counters.latency.commands().iter().map(|stats| stats.counts.calls).sum();
    out.single("redis_commands_processed_total", Kind::Counter, "Calls of all commands.", processed as f64);
    let mut family = out.family("redis_errors_total", Kind::Counter, "Error replies by their code.");
    for (code, count) in counters.errors.top() {
        family.sample(&[("err", code)], count as f64);
    }
}

fn latencies(out: &mut Exposition, counters: &Snapshot, input: &Input<'_>) {
    let help = "Run time per command in microseconds; FAST commands in deep pipelines are sampled.";
    let mut family = out.family("redis_commands_latencies_usec", Kind::Histogram, help);
    for stats in counters.latency.commands() {
        let run = stats.stage(Stage::Run);
        if run.count() > 0 {
            let bounds = (0..USEC_BOUNDS).map(|power| 1_u64 << power);
            let buckets = cumulative(run, bounds, 1.0);
            let labels = [("cmd", (input.command_name)(stats.command))];
            family.histogram(&labels, &buckets, run.sum() as f64 / 1e3, run.count());
        }
    }
    let help = "Run time per command in microseconds: percentiles since the start or the last reset.";
    let mut family = out.family("redis_latency_percentiles_usec", Kind::Summary, help);
    for stats in counters.latency.commands() {
        let run = stats.stage(Stage::Run);
        if run.count() > 0 {
            let quantiles = PERCENTILES
                .map(|percentile| (percentile.to_string(), run.percentile(percentile / 100.0) as f64 / 1e3));
            let labels = [("cmd", (input.command_name)(stats.command))];
            family.summary(&labels, &quantiles, run.sum() as f64 / 1e3, run.count());
        }
    }
    let help = "Time per command and stage: wait, lock, run, log, flush; FAST commands in deep pipelines are sampled.";
    let mut family = out.family("limpid_command_duration_seconds", Kind::Histogram, help);
    for stats in counters.latency.commands() {
        for stage in STAGES {
            let histogram = stats.stage(stage);
            if histogram.count() > 0 {
                let bounds = (0..SECONDS_BOUNDS as u32).map(|step| 1_u64 << (2 * step));
                let buckets = cumulative(histogram, bounds, 1e-6);
                let labels = [("cmd", (input.command_name)(stats.command)), ("stage", stage.name())];
                family.histogram(&labels, &buckets, histogram.sum() as f64 / 1e9, histogram.count());
            }
        }
    }
}

/// Values at or below each bound, which is given in microseconds and told in `unit`s of them.
fn cumulative(histogram: &Histogram, bounds_usec: impl Iterator<Item = u64>, unit: f64) -> Vec<(f64, u64)> {
    let known = histogram.cumulative_log2_usec();
    bounds_usec
        .map(|bound| {
            let below = known.partition_point(|&(usec, _)| usec <= bound);
            let count = below.checked_sub(1).and_then(|at| known.get(at)).map_or(0, |&(_, count)| count);
            (rounded(bound as f64 * unit), count)
        })
        .collect()
}

/// Without the last digits that multiplying by a millionth adds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

fn traffic(out: &mut Exposition, counters: &Snapshot) {
    let counts = counters.counters;
    for (name, help, value) in [
        ("redis_keyspace_hits_total", "Reads that found their key.", counts.hits),
        ("redis_keyspace_misses_total", "Reads that did not find their key.", counts.misses),
        ("redis_expired_keys_total", "Keys removed because their time was over.", counts.expired),
        ("redis_evicted_keys_total", "Keys removed to stay within maxmemory.", counts.evicted),
        ("redis_net_input_bytes_total", "Bytes received from clients.", counts.traffic.bytes_in),
        ("redis_net_output_bytes_total", "Bytes sent to clients.", counts.traffic.bytes_out),
    ] {
        out.single(name, Kind::Counter, help, value as f64);
    }
}

fn stored(out: &mut Exposition, counters: &Snapshot) {
    let sizes = &counters.sizes.counts;
    for (name, help, value) in [
        ("limpid_keys", "Keys of all databases.", sizes.keys),
        ("limpid_entries_bytes", "Memory of all entries, rounding included.", sizes.total_bytes),
        ("limpid_names_bytes", "Lengths of all key names.", sizes.key_bytes),
        ("limpid_values_bytes", "Lengths of all values.", sizes.value_bytes),
    ] {
        out.single(name, Kind::Gauge, help, value as f64);
    }
    let operations = &counters.hotkeys.operations;
    let hottest = operations.top(1).first().map_or(0, |key| key.count.saturating_sub(key.error));
    let share = if operations.total() == 0 { 0.0 } else { hottest as f64 / operations.total() as f64 };
    let help = "Share of all operations that the hottest key has for certain; PROF HOTKEYS names it.";
    out.single("limpid_hottest_key_share_ratio", Kind::Gauge, help, share);
}

fn prefixes(out: &mut Exposition, counters: &Snapshot, input: &Input<'_>) {
    let all = counters.prefixes.prefixes(&counters.tree);
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

fn verdict(out: &mut Exposition, input: &Input<'_>) {
    let found = findings(input);
    let is_problem = |level: Level| level == Level::Problem;
    let healthy = !found.iter().any(|finding| is_problem(finding.level));
    let help = "1 if no rule of PROF REPORT finds a problem.";
    out.single("limpid_healthy", Kind::Gauge, help, f64::from(u8::from(healthy)));
    let mut by_rule: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for finding in &found {
        let level = if is_problem(finding.level) { "problem" } else { "advice" };
        *by_rule.entry((finding.rule, level)).or_default() += 1;
    }
    let mut family = out.family("limpid_findings", Kind::Gauge, "Findings of PROF ADVICE by rule and level.");
    for ((rule, level), count) in by_rule {
        family.sample(&[("rule", rule), ("level", level)], count as f64);
    }
}

fn observers(out: &mut Exposition, counters: &Snapshot, switches: Switches) {
    let mut family = out.family("limpid_observer_on", Kind::Gauge, "1 if an observer records.");
    for observer in OBSERVERS {
        family.sample(&[("observer", observer.name())], f64::from(u8::from(switches.is_on(observer))));
    }
    let mut family = out.family("limpid_observer_memory_bytes", Kind::Gauge, "Memory an observer holds.");
    for observer in OBSERVERS {
        family.sample(&[("observer", observer.name())], counters.memory_bytes[observer as usize] as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::prefix_tree::PrefixTree;
    use crate::record::{Recorder, Switches};
    use crate::report::Facts;
    use crate::report::metrics::Format;
    use crate::report::redact::Redactor;
    use std::sync::Arc;

    fn text(recorder: &Recorder, tree: &PrefixTree) -> String {
        let mut snapshot = Snapshot::default();
        snapshot.add(recorder, 1_000);
        snapshot.add_tree(tree);
        let input = Input {
            snapshot: &snapshot,
            clients: &[],
            facts: &Facts::default(),
            command_name: &|index| if index == 0 { "get" } else { "config|get" },
            redactor: &Redactor::default(),
        };
        let mut out = Exposition::new(Format::Prometheus);
        write(&mut out, &snapshot, &input, Switches::default());
        out.finish()
    }

    #[test]
    fn histograms_are_cumulative_and_durations_the_recorded_sums() {
        let tree = Arc::new(PrefixTree::default());
        let mut recorder = Recorder::new(0, 2, Arc::clone(&tree), Switches::default());
        for ns in [500, 3_000, 3_000, 70_000, 9_000_000_000] {
            recorder.latency.called(0);
            recorder.latency.record(0, Stage::Run, ns, 1);
        }
        let text = text(&recorder, &tree);
        for line in [
            "redis_commands_total{cmd=\"get\"} 5",
            "redis_commands_duration_seconds_total{cmd=\"get\"} 9.0000765",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"1\"} 1",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"4\"} 3",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"1048576\"} 4",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"+Inf\"} 5",
            "redis_commands_latencies_usec_sum{cmd=\"get\"} 9000076.5",
            "# TYPE redis_latency_percentiles_usec summary",
            "redis_latency_percentiles_usec_sum{cmd=\"get\"} 9000076.5",
            "redis_latency_percentiles_usec_count{cmd=\"get\"} 5",
            "limpid_command_duration_seconds_bucket{cmd=\"get\",stage=\"run\",le=\"0.000001\"} 1",
            "limpid_command_duration_seconds_bucket{cmd=\"get\",stage=\"run\",le=\"0.000256\"} 4",
            "limpid_command_duration_seconds_bucket{cmd=\"get\",stage=\"run\",le=\"4.194304\"} 4",
            "limpid_command_duration_seconds_count{cmd=\"get\",stage=\"run\"} 5",
            "limpid_healthy 0",
            "limpid_findings{rule=\"holding-command\",level=\"problem\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        assert!(!text.contains("stage=\"log\""));
    }

    #[test]
    fn labels_are_namespaces_and_never_keys() {
        let tree = Arc::new(PrefixTree::default());
        let mut recorder = Recorder::new(0, 2, Arc::clone(&tree), Switches::default());
        let mut add = |key: &str, value_bytes, total_bytes| {
            let node = recorder.prefix_of(key.as_bytes());
            recorder.added(node, key.len(), value_bytes, total_bytes);
        };
        for key in ["secretname", "{secretname}", "user:1:cart", "user:2:cart", "session:abc", "42"] {
            add(key, 10, 40);
        }
        for many in 0..100 {
            let letters = char::from(b'a' + many % 26).to_string().repeat(3);
            add(&format!("space{letters}x:1"), 1, 9);
        }
        let text = text(&recorder, &tree);
        assert!(!text.contains("secretname") && !text.contains("abc") && !text.contains("cart"), "{text}");
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with("limpid_prefix_keys{")).collect();
        assert_eq!(series.len(), PREFIXES_MAX);
        assert!(
            series
                .iter()
                .any(|line| line.starts_with("limpid_prefix_keys{prefix=\"user") && line.ends_with(" 2"))
        );
    }
}
