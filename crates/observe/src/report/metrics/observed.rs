//! The metric families that the recorders fill: each observer's, traffic, and what is found.
//!
//! Not the server's own figures (memory, clients, databases): the server writes those.
//!
//! Names that begin with `redis_` are those of the Redis exporter, so that its dashboards work; our own begin with
//! `limpid_` and have base units.
//!
//! Invariants:
//! 1. No raw key becomes a label.
//! 2. A counter only grows, but for CONFIG RESETSTAT and PROF RESET: durations are the sums that were recorded, not the
//!    mean times the calls, which may shrink a little from scrape to scrape.
//!
//! Thread safety: functions over a merged snapshot.

use super::{Exposition, Kind};
use crate::observers::OBSERVERS;
use crate::record::Snapshot;
use crate::report::Input;
use crate::report::findings::{Level, findings};
use crate::spec::Observer;
use std::collections::BTreeMap;

/// Writes what was counted: `input` has the merged recorders as they are, without a window.
pub fn write_counts(out: &mut Exposition, input: &Input<'_>) {
    OBSERVERS.iter().for_each(|spec| (spec.metrics)(out, input));
    traffic(out, input.snapshot);
    observers(out, input);
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

/// Writes what is found in the window of the profile, as PROF ADVICE does.
pub fn write_verdict(out: &mut Exposition, input: &Input<'_>) {
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

fn observers(out: &mut Exposition, input: &Input<'_>) {
    let mut family = out.family("limpid_observer_on", Kind::Gauge, "1 if an observer records.");
    for observer in Observer::all() {
        let is_on = input.facts.switches.is_on(observer);
        family.sample(&[("observer", observer.name())], f64::from(u8::from(is_on)));
    }
    let mut family = out.family("limpid_observer_memory_bytes", Kind::Gauge, "Memory an observer holds.");
    for observer in Observer::all() {
        let held = input.snapshot.memory_bytes[observer.index()];
        family.sample(&[("observer", observer.name())], held as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observers::prefixes::metrics::PREFIXES_MAX;
    use crate::record::Recorder;
    use crate::record::latency::Stage;
    use crate::record::prefix_tree::PrefixTree;
    use crate::report::Facts;
    use crate::report::metrics::Format;
    use crate::report::redact::Redactor;
    use std::sync::Arc;

    fn text(recorder: &Recorder, tree: &PrefixTree) -> String {
        let mut snapshot = Snapshot::default();
        snapshot.add(&recorder.recorded(), 1_000);
        snapshot.add_tree(tree);
        let input = Input {
            snapshot: &snapshot,
            clients: &[],
            facts: &Facts::default(),
            command_name: &|index| if index == 0 { "get" } else { "config|get" },
            redactor: &Redactor::default(),
        };
        let mut out = Exposition::new(Format::Prometheus);
        write_counts(&mut out, &input);
        write_verdict(&mut out, &input);
        out.finish()
    }

    #[test]
    fn histograms_are_cumulative_and_durations_the_recorded_sums() {
        let tree = Arc::new(PrefixTree::default());
        let mut recorder = Recorder::single(2, Arc::clone(&tree));
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
        let mut recorder = Recorder::single(2, Arc::clone(&tree));
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
