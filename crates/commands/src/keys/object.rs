//! OBJECT: how a value is kept and how often and lately it was used.
//!
//! Frequency and idle time are answered under every eviction policy (Redis refuses one of them, depending on the
//! policy), because an entry always has both.
//!
//! Thread safety: functions on one command's context.

use crate::command::{Arity, Command, KEY, KeySpec, LOADING, Outcome, READONLY, RO, Run, STALE};
use crate::ctx::Ctx;
use wire::Args;

/// An entry counts to 15, OBJECT FREQ to 255.
const FREQUENCY_SCALE: i64 = 17;

pub(super) const OBJECT: Command = Command {
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
    let frequency = ctx.data.look(args.at(2)).map(|entry| i64::from(entry.frequency()) * FREQUENCY_SCALE);
    integer_or_null(ctx, frequency)
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
            ("object freq a", ":17"),
            ("OBJECT FOO a", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP."),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ]);
    }

    #[test]
    fn frequency_grows_with_use_and_asking_is_no_use() {
        let mut bench = Bench::new();
        hear(&mut bench, &[("SET a 1", "+OK"), ("OBJECT FREQ a", ":17"), ("OBJECT FREQ a", ":17")]);
        (0..10_000).for_each(|_| drop(bench.run(b"GET a")));
        let reply = bench.run(b"OBJECT FREQ a");
        let frequency: i64 = std::str::from_utf8(&reply[1..reply.len() - 2]).unwrap().parse().unwrap();
        assert!((5 * 17..=255).contains(&frequency), "{frequency}");
    }

    #[test]
    fn help_is_an_array_of_lines() {
        let reply = Bench::new().run(b"OBJECT HELP");
        assert!(reply.starts_with(b"*11\r\n+OBJECT <subcommand>"));
    }
}
