//! The metric families of latency: calls, durations and histograms per command.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{CommandStats, STAGES, Stage};
use crate::record::histogram::Histogram;
use crate::report::Input;
use crate::report::metrics::{Exposition, Kind};

/// Bounds of the latency histograms in seconds are powers of four of a microsecond: 1 us to 4.2 s in twelve steps, each
/// half as precise as the powers of two that `redis_commands_latencies_usec` has.
const SECONDS_BOUNDS: usize = 12;
/// Bounds of `redis_commands_latencies_usec`: powers of two up to 1.05 s.
const USEC_BOUNDS: u32 = 21;
/// The exporter takes over what INFO latencystats has, in per cent; these are its default.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// Writes them.
pub fn metrics(out: &mut Exposition, input: &Input<'_>) {
    commands(out, input);
    latencies(out, input);
}

fn commands(out: &mut Exposition, input: &Input<'_>) {
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
        for stats in input.snapshot.latency.commands() {
            family.sample(&[("cmd", (input.command_name)(stats.command))], figure(stats));
        }
    }
    let processed: u64 = input.snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum();
    out.single("redis_commands_processed_total", Kind::Counter, "Calls of all commands.", processed as f64);
}

fn latencies(out: &mut Exposition, input: &Input<'_>) {
    let help = "Run time per command in microseconds; FAST commands in deep pipelines are sampled.";
    let mut family = out.family("redis_commands_latencies_usec", Kind::Histogram, help);
    for stats in input.snapshot.latency.commands() {
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
    for stats in input.snapshot.latency.commands() {
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
    for stats in input.snapshot.latency.commands() {
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
