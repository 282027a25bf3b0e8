//! PROF LATENCY: where the time of each command went.
//!
//! Not the slow log: it shows distributions, not single calls.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{CommandStats, STAGES, Stage};
use crate::record::histogram::Histogram;
use crate::report::value::Node;
use crate::report::{Input, percent, usec};

/// The report: one row per command by total run time, or one command by stage.
pub fn report(input: &Input<'_>, command: Option<u16>) -> Node {
    let what = "latency per command and stage: wait, lock, run, log, flush";
    let mut entries = input.header("latency", what);
    entries.push(("counts".into(), Node::text("calls, rejected and failed are exact")));
    entries.push((
        "error".into(),
        Node::text("percentiles: relative error 3.1 % (run), 6.3 % (wait), 12.5 % (others); max is exact"),
    ));
    let mut commands: Vec<&CommandStats> = input.snapshot.latency.commands().iter().collect();
    if let Some(command) = command {
        commands.retain(|stats| stats.command == command);
        let detail = |stats: &CommandStats| (input.name(stats), detail(stats));
        entries.push(("commands".into(), Node::Map(commands.into_iter().map(detail).collect())));
        return Node::Map(entries);
    }
    commands.sort_by_key(|stats| std::cmp::Reverse(stats.usec()));
    let total_usec = commands.iter().map(|stats| stats.usec()).sum();
    let rows = commands.iter().map(|stats| row(input, stats, total_usec)).collect();
    entries.push(("total_usec".into(), Node::integer(total_usec)));
    entries.push(("commands".into(), Node::List(rows)));
    entries.push(("more".into(), Node::text("PROF LATENCY <command> shows all stages and the histogram")));
    Node::Map(entries)
}

impl Input<'_> {
    fn name(&self, stats: &CommandStats) -> String {
        (self.command_name)(stats.command).to_owned()
    }
}

fn row(input: &Input<'_>, stats: &CommandStats, total_usec: u64) -> Node {
    let run = stats.stage(Stage::Run);
    Node::Map(vec![
        ("command".into(), Node::text(input.name(stats))),
        ("calls".into(), Node::integer(stats.counts.calls)),
        ("failed".into(), Node::integer(stats.counts.failed + stats.counts.rejected)),
        ("run_total_usec".into(), Node::integer(stats.usec())),
        ("share_percent".into(), Node::number(percent(stats.usec(), total_usec))),
        ("run_mean_usec".into(), Node::number(stats.usec_per_call())),
        ("run_p50_usec".into(), percentile(run, 0.5)),
        ("run_p99_usec".into(), percentile(run, 0.99)),
        ("run_max_usec".into(), usec(run.max())),
        ("wait_p99_usec".into(), percentile(stats.stage(Stage::Wait), 0.99)),
        ("lock_p99_usec".into(), percentile(stats.stage(Stage::Lock), 0.99)),
        ("flush_p99_usec".into(), percentile(stats.stage(Stage::Flush), 0.99)),
        ("timing".into(), Node::text(if stats.is_exact() { "exact" } else { "estimate" })),
    ])
}

/// Null where the stage was never timed.
fn percentile(histogram: &Histogram, fraction: f64) -> Node {
    if histogram.count() == 0 { Node::Null } else { usec(histogram.percentile(fraction)) }
}

fn detail(stats: &CommandStats) -> Node {
    let timed = stats.stage(Stage::Run);
    let stages = STAGES.into_iter().filter(|&stage| stats.stage(stage).count() > 0);
    let bounds = timed.cumulative_log2_usec().into_iter().map(|(usec, count)| {
        Node::Map(vec![("up_to_usec".into(), Node::integer(usec)), ("calls".into(), Node::integer(count))])
    });
    Node::Map(vec![
        ("calls".into(), Node::integer(stats.counts.calls)),
        ("rejected".into(), Node::integer(stats.counts.rejected)),
        ("failed".into(), Node::integer(stats.counts.failed)),
        ("run_total_usec".into(), Node::integer(stats.usec())),
        ("timing".into(), Node::text(if stats.is_exact() { "exact" } else { "estimate" })),
        ("runs_of_1_ms_or_more".into(), Node::integer(stats.counts.holds)),
        ("delay_given_to_others_usec".into(), usec(stats.counts.delay_given_ns)),
        ("stages".into(), Node::List(stages.map(|stage| stage_row(stage, stats.stage(stage))).collect())),
        ("run_histogram".into(), Node::List(bounds.collect())),
    ])
}

fn stage_row(stage: Stage, histogram: &Histogram) -> Node {
    Node::Map(vec![
        ("stage".into(), Node::text(stage.name())),
        ("calls".into(), Node::integer(histogram.count())),
        ("mean_usec".into(), Node::number(histogram.mean() / 1_000.0)),
        ("p50_usec".into(), usec(histogram.percentile(0.5))),
        ("p90_usec".into(), usec(histogram.percentile(0.9))),
        ("p99_usec".into(), usec(histogram.percentile(0.99))),
        ("p99_9_usec".into(), usec(histogram.percentile(0.999))),
        ("max_usec".into(), usec(histogram.max())),
        ("error_percent".into(), Node::number(histogram.relative_error() * 100.0)),
    ])
}
