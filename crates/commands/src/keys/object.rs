//! OBJECT: how a value is kept and how often and lately it was used.
//!
//! Frequency is answered under every eviction policy (Redis refuses it where it is not what keys are evicted by),
//! because an entry always has it and `redis-cli --hotkeys` asks for it. Idle time is refused under an LFU policy, as
//! in Redis, whose suites and clients tell the policies apart by that.
//!
//! Thread safety: functions on one command's context.

use engine::config::Setting;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{Arity, Command, KEY, KeySpec, LOADING, Outcome, READONLY, RO, Run, STALE};
use engine::state::instance::MAXMEMORY_POLICY;
use keyspace::eviction::Policy;
use wire::Args;

const LFU_LOG_FACTOR: Setting<u32> = Setting::of("lfu-log-factor");

/// A new key's counter in Redis, and its greatest value.
const COUNTER_INITIAL: i64 = 5;
const COUNTER_MAX: i64 = 255;

pub(super) const COMMANDS: &[Command] = &[OBJECT];

const OBJECT: Command = Command {
    name: "OBJECT",
    arity: Arity::AtLeast(2),
    since: "2.2.3",
    complexity: "Depends on the subcommand.",
    summary: "Questions about how a value is kept.",
    subcommands: &[ENCODING, FREQ, HELP, IDLETIME, REFCOUNT],
    ..Command::DEFAULT
};

const ENCODING: Command = Command {
    name: "ENCODING",
    tips: &["nondeterministic_output"],
    arity: Arity::Exactly(3),
    flags: READONLY,
    keys: &[KeySpec::one(2, RO)],
    since: "2.2.3",
    summary: "Returns the name of the encoding a value has.",
    args: &[KEY],
    run: Run::Body(encoding),
    ..Command::DEFAULT
};

fn encoding(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match ctx.data.look(args.at(2)) {
        Some(entry) => ctx.reply.bulk(entry.kind().encoding_name().as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

const FREQ: Command = Command {
    name: "FREQ",
    tips: &["nondeterministic_output"],
    since: "4.0.0",
    summary: "Returns the logarithmic counter of accesses to a key, 0 to 255.",
    run: Run::Body(freq),
    ..ENCODING
};

fn freq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let factor = ctx.instance.settings.read(LFU_LOG_FACTOR);
    let frequency = ctx.data.look(args.at(2)).map(|entry| counter(entry.frequency(), factor));
    integer_or_null(ctx, frequency)
}

/// What Redis's logarithmic counter would be expected to show after as many accesses as our level stands for.
///
/// Level l of the entry's Morris counter is reached after 2^l - 2 accesses on average. In Redis step number i, from 0,
/// is taken with probability 1 / (i * factor + 1), so that m steps take m + factor * m * (m - 1) / 2 accesses on
/// average; the answer is 5 and the m that solves this. A level tells accesses to a factor of about two either way: the
/// steps above 5 are right to some 40 %. It ends at 15, about 30,000 accesses: 86 with the usual factor of 10. Below 5
/// are keys whose accesses have decayed.
fn counter(level: u8, factor: u32) -> i64 {
    if level == 0 {
        return 0;
    }
    let accesses = f64::from((1_u32 << level) - 2);
    let factor = f64::from(factor);
    let steps = if factor == 0.0 {
        accesses
    } else {
        // factor/2 * m^2 + (1 - factor/2) * m - accesses = 0.
        let half = 1.0 - factor / 2.0;
        ((half * half + 2.0 * factor * accesses).sqrt() - half) / factor
    };
    // The other solution of no access at all is above zero.
    let steps = if accesses == 0.0 { 0 } else { steps.round() as i64 };
    (COUNTER_INITIAL + steps).min(COUNTER_MAX)
}

const IDLETIME: Command = Command {
    name: "IDLETIME",
    tips: &["nondeterministic_output"],
    summary: "Returns how many seconds ago a key was accessed, 12 hours at most.",
    run: Run::Body(idletime),
    ..ENCODING
};

fn idletime(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let second = ctx.data.journal.second();
    let idle_seconds = ctx.data.look(args.at(2)).map(|entry| i64::from(entry.idle_seconds(second)));
    let policy = ctx.instance.settings.read(MAXMEMORY_POLICY);
    if idle_seconds.is_some() && matches!(policy, Policy::AllKeysLfu | Policy::VolatileLfu) {
        return Err(CommandError::IDLE_TIME_NOT_TRACKED);
    }
    integer_or_null(ctx, idle_seconds)
}

const REFCOUNT: Command = Command {
    name: "REFCOUNT",
    tips: &["nondeterministic_output"],
    summary: "Returns how many keys share a value: always one.",
    run: Run::Body(refcount),
    ..ENCODING
};

fn refcount(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = ctx.data.look(args.at(2)).map(|_| 1);
    integer_or_null(ctx, count)
}

fn integer_or_null(ctx: &mut Ctx<'_>, answer: Option<i64>) -> Outcome {
    match answer {
        Some(number) => ctx.reply.integer(number),
        None => ctx.reply.null(),
    }
    Ok(())
}

const HELP: Command = Command {
    name: "HELP",
    arity: Arity::Exactly(2),
    flags: LOADING.and(STALE),
    since: "6.2.0",
    summary: "Lists the subcommands.",
    run: Run::Body(help),
    ..Command::DEFAULT
};

const HELP_LINES: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value is kept: int, embstr or raw.",
    "FREQ <key>",
    "    Logarithmic counter of accesses to the key, from 0 to 255.",
    "IDLETIME <key>",
    "    Seconds since the last access to the key.",
    "REFCOUNT <key>",
    "    Number of keys that share the value.",
    "HELP",
    "    This text.",
];

fn help(ctx: &mut Ctx<'_>, _args: Args<'_>) -> Outcome {
    ctx.reply.array(HELP_LINES.len());
    HELP_LINES.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{converse, hear};
    use crate::testing::Bench;

    #[test]
    fn questions_about_a_value() {
        converse(&[
            ("OBJECT ENCODING a", "$-1"),
            ("OBJECT FREQ a", "$-1"),
            ("OBJECT IDLETIME a", "$-1"),
            ("OBJECT REFCOUNT a", "$-1"),
            ("SET a 1", "+OK"),
            ("OBJECT ENCODING a", "$3|int"),
            ("OBJECT REFCOUNT a", ":1"),
            ("OBJECT IDLETIME a", ":0"),
            ("object freq a", ":5"),
            ("OBJECT FOO a", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP."),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ]);
    }

    #[test]
    fn frequency_grows_with_use_and_asking_is_no_use() {
        let mut bench = Bench::new();
        hear(&mut bench, &[("SET a 1", "+OK"), ("OBJECT FREQ a", ":5"), ("OBJECT FREQ a", ":5")]);
        (0..10_000).for_each(|_| drop(bench.run(b"GET a")));
        let reply = bench.run(b"OBJECT FREQ a");
        let frequency: i64 = std::str::from_utf8(&reply[1..reply.len() - 2]).unwrap().parse().unwrap();
        // Valkey 9.1 answers about 50; a level of at least 10 is certain to one in millions.
        assert!((18..=86).contains(&frequency), "{frequency}");
        bench.run(b"CONFIG SET lfu-log-factor 100");
        let slower = bench.run(b"OBJECT FREQ a");
        let slower: i64 = std::str::from_utf8(&slower[1..slower.len() - 2]).unwrap().parse().unwrap();
        assert!(slower > 5 && slower < frequency, "{slower} {frequency}");
    }

    /// The table in redis.conf of what the counter shows after 100 and 1000 accesses, and after many.
    #[test]
    fn the_scale_is_redis_s() {
        // Levels 7 and 10 are reached after 126 and 1022 accesses on average, level 15 after 32,766.
        for (factor, hundred, thousand) in [(0, 104, 255), (1, 18, 49), (10, 10, 18), (100, 8, 11)] {
            for (level, told) in [(7, hundred), (10, thousand)] {
                let shown = super::counter(level, factor);
                assert!((shown - told).abs() <= 3 + told / 4, "{factor}: {shown} for {told}");
            }
        }
        assert_eq!((super::counter(0, 10), super::counter(1, 10)), (0, 5));
        assert_eq!((super::counter(15, 10), super::counter(15, 0)), (86, 255));
        let levels: Vec<i64> = (0..16).map(|level| super::counter(level, 10)).collect();
        assert!(levels.is_sorted(), "{levels:?}");
    }

    /// As in Valkey 9.1; that FREQ is answered under every policy is ours.
    #[test]
    fn idle_time_is_refused_where_keys_are_evicted_by_frequency() {
        let refused = "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
                       between policies at runtime LRU and LFU data will take some time to adjust.";
        let mut bench = Bench::new();
        bench.run(b"SET a 1");
        for (policy, idle) in
            [("allkeys-lfu", refused), ("volatile-lfu", refused), ("allkeys-lru", ":0"), ("noeviction", ":0")]
        {
            hear(
                &mut bench,
                &[
                    (&format!("CONFIG SET maxmemory-policy {policy}"), "+OK"),
                    ("OBJECT IDLETIME a", idle),
                    ("OBJECT IDLETIME nosuch", "$-1"),
                    ("OBJECT FREQ a", ":5"),
                ],
            );
        }
    }

    #[test]
    fn help_is_an_array_of_lines() {
        let reply = Bench::new().run(b"OBJECT HELP");
        assert!(reply.starts_with(b"*11\r\n+OBJECT <subcommand>"));
    }
}
