//! LATENCY: the subcommands that show spikes and the distribution of latencies.
//!
//! Not the recording: spikes are kept by `engine::state::spikes`, distributions by the latency observer.
//!
//! Thread safety: bodies run on one worker and read merged copies.

use super::{CONTAINER, HELP, SERVER};
use engine::Instance;
use engine::config::Setting;
use engine::error::CommandError;
use engine::registry::Entry;
use engine::run::ctx::Ctx;
use engine::spec::command::{Progress, Slice};
use engine::spec::{
    ADMIN, Argument, ArgumentType, Arity, Command, LOADING, NOSCRIPT, OUTSIDE, Outcome, REPORTS, Run, STALE,
};
use engine::state::reporter::Length;
use observe::record::latency::{CommandStats, Stage};
use std::fmt::Write;
use wire::{Args, Reply};

const LATENCY_MONITOR_THRESHOLD_MS: Setting<u64> = Setting::of("latency-monitor-threshold");

const SUBCOMMAND: Command = Command {
    arity: Arity::Exactly(2),
    flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE).and(OUTSIDE),
    since: "2.8.13",
    ..SERVER
};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "LATENCY",
    since: "2.8.13",
    summary: "Tell how long commands took.",
    subcommands: SUBCOMMANDS,
    ..CONTAINER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DOCTOR",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Say in words which events were slow.",
        run: Run::Body(doctor),
        ..SUBCOMMAND
    },
    HELP_OF_LATENCY,
    Command {
        name: "HISTOGRAM",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        arity: Arity::AtLeast(2),
        flags: SUBCOMMAND.flags.and(REPORTS),
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands shown",
        summary: "Return how many calls took at most so many microseconds, for the named commands or all.",
        args: &[Argument::new("command", ArgumentType::Text).optional().multiple()],
        run: Run::Slices(histogram),
        ..SUBCOMMAND
    },
    Command {
        name: "HISTORY",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        arity: Arity::Exactly(3),
        summary: "Return the spikes of one event.",
        args: &[Argument::new("event", ArgumentType::Text)],
        run: Run::Body(history),
        ..SUBCOMMAND
    },
    Command {
        name: "LATEST",
        tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
        summary: "Return the latest spike of every event.",
        run: Run::Body(latest),
        ..SUBCOMMAND
    },
    Command {
        name: "RESET",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        arity: Arity::AtLeast(2),
        summary: "Forget the spikes of the named events, or all.",
        args: &[Argument::new("event", ArgumentType::Text).optional().multiple()],
        run: Run::Body(reset),
        ..SUBCOMMAND
    },
];
const HELP_OF_LATENCY: Command = Command { since: "2.8.13", ..HELP };

/// Event, time and duration of the latest spike, then the worst, the sum and the number of all (as Valkey 9 answers).
fn latest(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let events = ctx.instance.spikes.all();
    let newest = || events.iter().filter_map(|(name, series)| Some((name, series, series.samples.back()?)));
    ctx.reply.array(newest().count());
    for (name, series, &(at_seconds, duration_ms)) in newest() {
        ctx.reply.array(6);
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(at_seconds);
        ctx.reply.integer(duration_ms as i64);
        ctx.reply.integer(series.worst_ms as i64);
        ctx.reply.integer(series.sum_ms as i64);
        ctx.reply.integer(series.spikes as i64);
    }
    Ok(())
}

fn history(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let events = ctx.instance.spikes.all();
    let found = events.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(args.at(2)));
    let samples = || found.iter().flat_map(|(_, series)| &series.samples);
    ctx.reply.array(samples().count());
    for &(at_seconds, duration_ms) in samples() {
        ctx.reply.array(2);
        ctx.reply.integer(at_seconds);
        ctx.reply.integer(duration_ms as i64);
    }
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let events: Vec<&[u8]> = args.from(2).iter().collect();
    ctx.reply.integer(ctx.instance.spikes.reset(&events) as i64);
    Ok(())
}

fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let threshold_ms = ctx.instance.settings.read(LATENCY_MONITOR_THRESHOLD_MS);
    let events = ctx.instance.spikes.all();
    let mut text = String::new();
    if events.is_empty() && threshold_ms == 0 {
        text.push_str(
            "Spikes are not recorded. CONFIG SET latency-monitor-threshold <milliseconds> starts it.\n",
        );
    } else if events.is_empty() {
        let _ = writeln!(text, "Healthy: nothing took {threshold_ms} ms or longer.");
    }
    for (name, series) in &events {
        let mean_ms = series.sum_ms as f64 / series.spikes.max(1) as f64;
        let _ = writeln!(
            text,
            "* {name}: {} spikes, {mean_ms:.0} ms on average, {} ms at worst. SLOWLOG GET and LATENCY HISTOGRAM name \
             the commands.",
            series.spikes, series.worst_ms
        );
    }
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

fn histogram(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let wanted: Vec<&[u8]> = args.from(2).iter().collect();
    let Some(snapshot) = ctx.report(progress, Length::Short, Instance::statistics) else {
        return Ok(Slice::Wait);
    };
    let entry = |stats: &CommandStats| ctx.instance.registry.entry(stats.command);
    let shown = snapshot.latency.commands().iter().filter(|stats| {
        stats.counts.calls > 0 && stats.stage(Stage::Run).count() > 0 && is_wanted(entry(stats), &wanted)
    });
    let start = ctx.reply.start_array();
    let mut pairs = 0;
    for stats in shown {
        write_histogram(ctx.reply, entry(stats), stats);
        pairs += 1;
    }
    ctx.reply.finish_map(start, pairs);
    Ok(Slice::Done)
}

/// Whether a command is among the named ones, itself or through its container.
fn is_wanted(entry: &Entry, wanted: &[&[u8]]) -> bool {
    let container = entry.container.map_or("", |container| container.name);
    wanted.is_empty()
        || wanted.iter().any(|name| {
            name.eq_ignore_ascii_case(entry.full_name.as_bytes())
                || name.eq_ignore_ascii_case(container.as_bytes()) && !name.is_empty()
        })
}

/// `calls` is exact. The buckets are those of the timings that were taken, which for a FAST command in deep pipelines is
/// a sample, scaled to the calls: the last one holds them all, as everybody expects. One that adds nothing is left out.
fn write_histogram(reply: &mut Reply, entry: &Entry, stats: &CommandStats) {
    let run = stats.stage(Stage::Run);
    let to_calls = |timed: u64| {
        (u128::from(timed) * u128::from(stats.counts.calls) / u128::from(run.count().max(1))) as u64
    };
    let mut buckets: Vec<(u64, u64)> = run
        .cumulative_log2_usec()
        .into_iter()
        .map(|(at_most_us, timed)| (at_most_us, to_calls(timed)))
        .collect();
    buckets.dedup_by_key(|&mut (_, calls)| calls);
    buckets.retain(|&(_, calls)| calls > 0);
    reply.bulk(entry.full_name.as_bytes());
    reply.map(2);
    reply.bulk(b"calls");
    reply.integer(stats.counts.calls as i64);
    reply.bulk(b"histogram_usec");
    reply.map(buckets.len());
    for (at_most_us, calls) in buckets {
        reply.integer(at_most_us as i64);
        reply.integer(calls as i64);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn spikes_are_shown_and_forgotten() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(b"LATENCY LATEST\r\nLATENCY HISTORY command"), b"*0\r\n*0\r\n");
        bench.instance.spikes.add("command", 1000, 12);
        bench.instance.spikes.add("command", 1001, 30);
        bench.instance.spikes.add("fast-command", 1001, 5);
        assert_eq!(
            bench.run(b"LATENCY LATEST"),
            b"*2\r\n*6\r\n$7\r\ncommand\r\n:1001\r\n:30\r\n:30\r\n:42\r\n:2\r\n\
              *6\r\n$12\r\nfast-command\r\n:1001\r\n:5\r\n:5\r\n:5\r\n:1\r\n"
        );
        assert_eq!(
            bench.run(b"LATENCY HISTORY command"),
            b"*2\r\n*2\r\n:1000\r\n:12\r\n*2\r\n:1001\r\n:30\r\n"
        );
        let doctor = String::from_utf8(bench.run(b"LATENCY DOCTOR")).expect("text");
        assert!(doctor.contains("* command: 2 spikes, 21 ms on average, 30 ms at worst."), "{doctor}");
        assert_eq!(
            bench.run(b"LATENCY RESET nosuch\r\nLATENCY RESET command\r\nLATENCY RESET"),
            b":0\r\n:1\r\n:1\r\n"
        );
    }

    #[test]
    fn the_last_bucket_holds_all_calls_though_they_were_sampled() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            bench.command(&[b"GET", b"x"]);
            bench.batch(&vec![vec!["GET", "x"]; 64]);
        }
        let reply = String::from_utf8(bench.run(b"LATENCY HISTOGRAM get")).expect("text");
        let figures: Vec<u64> =
            reply.split("\r\n").filter_map(|line| line.strip_prefix(':')?.parse().ok()).collect();
        let (calls, buckets) = figures.split_first().expect("calls");
        assert_eq!((*calls, buckets.last()), (6_500, Some(calls)), "{reply}");
        let counts: Vec<u64> = buckets.iter().skip(1).step_by(2).copied().collect();
        assert!(counts.is_sorted_by(|a, b| a < b), "{counts:?}");
    }

    #[test]
    fn the_doctor_can_say_healthy() {
        let mut bench = Bench::new();
        assert!(String::from_utf8_lossy(&bench.run(b"LATENCY DOCTOR")).contains("are not recorded"));
        bench.run(b"CONFIG SET latency-monitor-threshold 100000");
        assert!(String::from_utf8_lossy(&bench.run(b"LATENCY DOCTOR")).contains("Healthy"));
    }

    #[test]
    fn histograms_are_cumulative_and_chosen_by_name() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            bench.run(b"GET a\r\nCONFIG GET port");
        }
        let one = String::from_utf8(bench.run(b"LATENCY HISTOGRAM get")).expect("text");
        assert!(
            one.starts_with("*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:10\r\n$14\r\nhistogram_usec\r\n*"),
            "{one}"
        );
        assert!(one.ends_with(":10\r\n"), "the last bucket holds all calls: {one}");
        let container = String::from_utf8(bench.run(b"LATENCY HISTOGRAM CONFIG nosuch")).expect("text");
        assert!(container.starts_with("*2\r\n$10\r\nconfig|get\r\n"), "{container}");
        assert_eq!(bench.run(b"LATENCY HISTOGRAM set"), b"*0\r\n");
        bench.run(b"HELLO 3");
        assert!(bench.run(b"LATENCY HISTOGRAM get").starts_with(b"%1\r\n$3\r\nget\r\n%2\r\n"));
    }
}
