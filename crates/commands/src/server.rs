//! Commands about the server as a whole: its databases, its state, its end.
//!
//! This file has those that stand alone; the containers (CONFIG, MEMORY, ...) have a file each below `server/`.
//!
//! Invariant: whatever replaces a whole database runs behind the gate, and the old data is freed where nobody waits.
//!
//! Thread safety: bodies run on one worker; what others own is reached through the instance.

mod command;
mod config;
mod debug;
mod docs;
mod info;
mod latency;
mod memory;
mod script;
mod slowlog;

use engine::error::CommandError;
use engine::run::ctx::{AloneCtx, Ctx};
use engine::spec::{
    ADMIN, ALLOW_BUSY, Argument, ArgumentType, Arity, Command, FAST, Group, LOADING, NO_MULTI, NOSCRIPT,
    Outcome, READONLY, REPORTS, Run, STALE, WRITE,
};
use keyspace::Databases;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::Args;

const FLUSH_MODES: &[Argument] = &[Argument::token("async", "ASYNC"), Argument::token("sync", "SYNC")];
const FLUSH_ARGS: &[Argument] = &[Argument::one_of("flush-type", FLUSH_MODES).optional()];
const SAVE_MODES: &[Argument] = &[Argument::token("nosave", "NOSAVE"), Argument::token("save", "SAVE")];

const SERVER: Command =
    Command { group: Group::Server, complexity: "O(1)", since: "1.0.0", ..Command::DEFAULT };
const CONTAINER: Command =
    Command { arity: Arity::AtLeast(2), complexity: "Depends on subcommand.", run: Run::Container, ..SERVER };
/// HELP of a container.
const HELP: Command = Command {
    name: "HELP",
    arity: Arity::Exactly(2),
    flags: LOADING.and(STALE),
    summary: "Show this text.",
    run: Run::Body(crate::usage::help),
    ..SERVER
};

pub(crate) const COMMANDS: &[Command] = &[
    command::COMMAND,
    Command {
        name: "CONFIG",
        since: "2.0.0",
        summary: "Read and change settings.",
        subcommands: config::SUBCOMMANDS,
        ..CONTAINER
    },
    Command {
        name: "DBSIZE",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        arity: Arity::Exactly(1),
        flags: READONLY.and(FAST),
        categories: &["keyspace"],
        summary: "Count the keys of the selected database.",
        run: Run::Body(dbsize),
        ..SERVER
    },
    Command {
        summary: "Reach into the server, for tests.",
        subcommands: debug::SUBCOMMANDS,
        ..debug::CONTAINER
    },
    Command {
        name: "FLUSHALL",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        flags: WRITE,
        categories: &["keyspace", "dangerous"],
        complexity: "O(1); the keys are freed in the background",
        summary: "Delete the keys of every database.",
        args: FLUSH_ARGS,
        run: Run::Alone(flush_all),
        ..SERVER
    },
    Command {
        name: "FLUSHDB",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        flags: WRITE,
        categories: &["keyspace", "dangerous"],
        complexity: "O(1); the keys are freed in the background",
        summary: "Delete the keys of the selected database.",
        args: FLUSH_ARGS,
        run: Run::Alone(flush_database),
        ..SERVER
    },
    script::FUNCTION,
    Command {
        name: "INFO",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        flags: LOADING.and(STALE).and(REPORTS),
        categories: &["dangerous"],
        summary: "Report figures about the server, section by section.",
        args: &[Argument::new("section", ArgumentType::Text).optional().multiple()],
        run: Run::Body(info::info),
        ..SERVER
    },
    Command {
        name: "LATENCY",
        since: "2.8.13",
        summary: "Tell how long commands took.",
        subcommands: latency::SUBCOMMANDS,
        ..CONTAINER
    },
    Command {
        name: "MEMORY",
        since: "4.0.0",
        summary: "Tell what memory is used for.",
        subcommands: memory::SUBCOMMANDS,
        ..CONTAINER
    },
    script::SCRIPT,
    Command {
        name: "SHUTDOWN",
        flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE).and(NO_MULTI).and(ALLOW_BUSY),
        summary: "Stop the server.",
        args: &[
            Argument::one_of("save-selector", SAVE_MODES).optional(),
            Argument::token("now", "NOW").optional(),
            Argument::token("force", "FORCE").optional(),
            Argument::token("abort", "ABORT").optional(),
        ],
        run: Run::Body(shutdown),
        ..SERVER
    },
    Command {
        name: "SLOWLOG",
        since: "2.2.12",
        summary: "Look into the log of slow commands.",
        subcommands: slowlog::SUBCOMMANDS,
        ..CONTAINER
    },
    Command {
        name: "SWAPDB",
        arity: Arity::Exactly(3),
        flags: WRITE.and(FAST),
        categories: &["keyspace", "dangerous"],
        since: "4.0.0",
        complexity: "O(N) where N is the number of watched keys of both databases",
        summary: "Exchange two databases.",
        args: &[
            Argument::new("index1", ArgumentType::Integer),
            Argument::new("index2", ArgumentType::Integer),
        ],
        run: Run::Alone(swapdb),
        ..SERVER
    },
    Command {
        name: "TIME",
        tips: &["nondeterministic_output"],
        arity: Arity::Exactly(1),
        flags: LOADING.and(STALE).and(FAST),
        since: "2.6.0",
        summary: "Tell the server's time.",
        run: Run::Body(time),
        ..SERVER
    },
];

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.data.len() as i64);
    Ok(())
}

/// The wall clock itself, as it is this moment: the one that keys expire by is told in milliseconds only.
fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ctx.reply.array(2);
    ctx.reply.bulk_i64(since.as_secs() as i64);
    ctx.reply.bulk_i64(i64::from(since.subsec_micros()));
    Ok(())
}

/// Both modes empty the database at once and free its memory in the background: SYNC has nothing to wait for.
fn check_flush_mode(args: Args<'_>) -> Outcome {
    let is_mode = |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    match args.len() {
        1 => Ok(()),
        2 if is_mode(args.at(1)) => Ok(()),
        _ => Err(CommandError::SYNTAX),
    }
}

fn flush_all(databases: &mut Databases, ctx: &mut AloneCtx<'_>, args: Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    for number in 0..databases.count() {
        flush(databases, ctx, number);
    }
    ctx.reply.ok();
    Ok(())
}

fn flush_database(databases: &mut Databases, ctx: &mut AloneCtx<'_>, args: Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    flush(databases, ctx, ctx.session.database);
    ctx.reply.ok();
    Ok(())
}

fn flush(databases: &mut Databases, ctx: &mut AloneCtx<'_>, number: usize) {
    if let Some(old) = databases.flush(number, ctx.journal) {
        ctx.discard(old);
    }
}

fn swapdb(databases: &mut Databases, ctx: &mut AloneCtx<'_>, args: Args<'_>) -> Outcome {
    let index = |text: &[u8]| i32::try_from(wire::number::parse_i64(text)?).ok();
    let first = index(args.at(1)).ok_or(CommandError::INVALID_FIRST_DB)?;
    let second = index(args.at(2)).ok_or(CommandError::INVALID_SECOND_DB)?;
    let known = |index: i32| usize::try_from(index).ok().filter(|&number| number < databases.count());
    let (Some(first), Some(second)) = (known(first), known(second)) else {
        return Err(CommandError::DB_INDEX_OUT_OF_RANGE);
    };
    databases.swap(first, second, ctx.journal);
    ctx.reply.ok();
    Ok(())
}

/// Stops the server. There is no reply: the closed connection is the answer, as clients expect.
fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut save, mut nosave, mut now, mut force, mut abort) = (false, false, false, false, false);
    for word in args.from(1) {
        let known: [(&[u8], &mut bool); 5] = [
            (b"SAVE", &mut save),
            (b"NOSAVE", &mut nosave),
            (b"NOW", &mut now),
            (b"FORCE", &mut force),
            (b"ABORT", &mut abort),
        ];
        let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        *found.ok_or(CommandError::SYNTAX)?.1 = true;
    }
    if (save && nosave) || (abort && (save || nosave || now || force)) {
        return Err(CommandError::SYNTAX);
    }
    if abort {
        return Err(CommandError::NO_SHUTDOWN_IN_PROGRESS);
    }
    // Who asks to save must not be told that all went well when nothing can be saved.
    if save && !force {
        return Err(CommandError::SHUTDOWN_CANNOT_SAVE);
    }
    ctx.session.closing = true;
    ctx.instance.stop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn check(bench: &mut Bench, table: &[(&str, &str)]) {
        for (line, expected) in table {
            let reply = String::from_utf8_lossy(&bench.run(line.as_bytes())).into_owned();
            assert_eq!(reply, *expected, "{line}");
        }
    }

    #[test]
    fn databases_are_counted_flushed_and_swapped() {
        check(
            &mut Bench::new(),
            &[
                ("MSET a 1 b 2", "+OK\r\n"),
                ("DBSIZE", ":2\r\n"),
                ("SWAPDB 0 1", "+OK\r\n"),
                ("DBSIZE", ":0\r\n"),
                ("SELECT 1", "+OK\r\n"),
                ("GET b", "$1\r\n2\r\n"),
                ("FLUSHDB SYNC", "+OK\r\n"),
                ("DBSIZE", ":0\r\n"),
                ("SET c 1", "+OK\r\n"),
                ("SELECT 0", "+OK\r\n"),
                ("FLUSHDB", "+OK\r\n"),
                ("SELECT 1", "+OK\r\n"),
                ("DBSIZE", ":1\r\n"),
                ("FLUSHALL foo", "-ERR syntax error\r\n"),
                ("FLUSHALL ASYNC SYNC", "-ERR syntax error\r\n"),
                ("FLUSHALL async", "+OK\r\n"),
                ("DBSIZE", ":0\r\n"),
                ("SWAPDB x 1", "-ERR invalid first DB index\r\n"),
                ("SWAPDB 0 x", "-ERR invalid second DB index\r\n"),
                ("SWAPDB 0 16", "-ERR DB index is out of range\r\n"),
            ],
        );
    }

    #[test]
    fn a_flush_breaks_the_watches_of_keys_that_were_there() {
        let mut first = Bench::with(engine::config::Settings::new(), 2);
        let mut second = first.sharing();
        first.run(b"SET a 1\r\nWATCH a\r\nMULTI\r\nGET a");
        second.run(b"FLUSHALL");
        assert_eq!(first.run(b"EXEC"), b"*-1\r\n");
        first.run(b"WATCH a\r\nMULTI\r\nGET a");
        second.run(b"FLUSHALL");
        assert_eq!(first.run(b"EXEC"), b"*1\r\n$-1\r\n");
    }

    /// As in Redis's own suite: a key past its deadline counts as missing, before the swap and after it.
    #[test]
    fn a_swap_breaks_no_watch_of_a_key_that_has_expired() {
        for other in ["PING", "SET x bar PX 1"] {
            let mut first = Bench::with(engine::config::Settings::new(), 2);
            let mut second = first.sharing();
            first.run(b"SET x foo PX 1\r\nSELECT 1");
            first.run(other.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(5));
            first.run(b"WATCH x");
            second.run(b"SWAPDB 0 1");
            first.run(b"MULTI\r\nPING");
            assert_eq!(first.run(b"EXEC"), b"*1\r\n+PONG\r\n", "after {other}");
        }
        let mut first = Bench::with(engine::config::Settings::new(), 2);
        let mut second = first.sharing();
        first.run(b"SET x foo\r\nSELECT 1\r\nWATCH x\r\nMULTI");
        second.run(b"SWAPDB 0 1");
        assert_eq!(first.run(b"EXEC"), b"*-1\r\n", "the key came with the swap");
    }

    #[test]
    fn time_is_told_in_seconds_and_microseconds() {
        let reply = String::from_utf8(Bench::new().run(b"TIME")).expect("text");
        let parts: Vec<&str> = reply.split("\r\n").collect();
        assert_eq!((parts[0], parts[1]), ("*2", "$10"));
        assert!(parts[2].parse::<i64>().expect("seconds") > 1_700_000_000);
        assert!(parts[4].parse::<i64>().expect("microseconds") < 1_000_000);
    }

    #[test]
    fn shutdown_stops_or_says_why_not() {
        let mut bench = Bench::new();
        check(
            &mut bench,
            &[
                ("SHUTDOWN foo", "-ERR syntax error\r\n"),
                ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n"),
                ("SHUTDOWN ABORT NOW", "-ERR syntax error\r\n"),
                ("SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"),
            ],
        );
        assert!(bench.run(b"SHUTDOWN SAVE").starts_with(b"-ERR Errors trying to SHUTDOWN."));
        assert!(!bench.session.closing);
        assert_eq!(bench.run(b"SHUTDOWN nosave now"), b"");
        assert!(bench.session.closing && bench.instance.stopping.load(std::sync::atomic::Ordering::Relaxed));
    }
}
