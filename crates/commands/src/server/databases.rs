//! Whole databases: DBSIZE, FLUSHALL, FLUSHDB, SWAPDB.
//!
//! Not their keys one by one (see `keys`).
//!
//! Invariant: whatever replaces a whole database runs behind the gate, and the old data is freed where nobody waits.
//!
//! Thread safety: bodies run on one worker, those that replace databases with nobody else inside the gate.

pub(super) mod section;

use super::{FLUSH_ARGS, SERVER};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{Argument, ArgumentType, Arity, Command, Effect, FAST, Outcome, READONLY, Run, WRITE};
use keyspace::Databases;
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[
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
        name: "FLUSHALL",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        flags: WRITE,
        effect: Effect::Verbatim,
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
        effect: Effect::Verbatim,
        categories: &["keyspace", "dangerous"],
        complexity: "O(1); the keys are freed in the background",
        summary: "Delete the keys of the selected database.",
        args: FLUSH_ARGS,
        run: Run::Alone(flush_database),
        ..SERVER
    },
    Command {
        name: "SWAPDB",
        arity: Arity::Exactly(3),
        flags: WRITE.and(FAST),
        effect: Effect::Verbatim,
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
];

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.data.len() as i64);
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

fn flush_all(databases: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    for number in 0..databases.count() {
        flush(databases, ctx, number);
    }
    ctx.reply.ok();
    Ok(())
}

fn flush_database(databases: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_flush_mode(args)?;
    flush(databases, ctx, ctx.session.database);
    ctx.reply.ok();
    Ok(())
}

fn flush(databases: &mut Databases, ctx: &mut Ctx<'_>, number: usize) {
    if let Some(old) = databases.flush(number, ctx.data.journal) {
        ctx.discard(old);
    }
}

fn swapdb(databases: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let index = |text: &[u8]| i32::try_from(wire::number::parse_i64(text)?).ok();
    let first = index(args.at(1)).ok_or(CommandError::INVALID_FIRST_DB)?;
    let second = index(args.at(2)).ok_or(CommandError::INVALID_SECOND_DB)?;
    let known = |index: i32| usize::try_from(index).ok().filter(|&number| number < databases.count());
    let (Some(first), Some(second)) = (known(first), known(second)) else {
        return Err(CommandError::DB_INDEX_OUT_OF_RANGE);
    };
    databases.swap(first, second, ctx.data.journal);
    ctx.reply.ok();
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
}
