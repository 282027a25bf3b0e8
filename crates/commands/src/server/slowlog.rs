//! SLOWLOG: the subcommands that read the log of slow commands.
//!
//! Not the log (`crate::slowlog`), nor the decision what is slow, which dispatch takes.
//!
//! Thread safety: each takes the log's lock for a moment.

use super::{HELP, SERVER};
use crate::command::{ADMIN, Argument, ArgumentType, Arity, Command, LOADING, Outcome, Run, STALE};
use crate::ctx::Ctx;
use crate::error::CommandError;
use wire::Args;

/// Entries SLOWLOG GET shows when it is not told how many.
const COUNT_DEFAULT: usize = 10;

const SUBCOMMAND: Command =
    Command { arity: Arity::Exactly(2), flags: ADMIN.and(LOADING).and(STALE), since: "2.2.12", ..SERVER };

pub(super) const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GET",
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        arity: Arity::AtLeast(2),
        complexity: "O(N) where N is the number of entries returned",
        summary: "Return the newest slow commands (10 if not told how many, all for -1).",
        args: &[Argument::new("count", ArgumentType::Integer).optional()],
        run: Run::Body(get),
        ..SUBCOMMAND
    },
    Command { since: "6.2.0", ..HELP },
    Command {
        name: "LEN",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        summary: "Count the entries of the log.",
        run: Run::Body(len),
        ..SUBCOMMAND
    },
    Command {
        name: "RESET",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        complexity: "O(N) where N is the number of entries in the log",
        summary: "Empty the log.",
        run: Run::Body(reset),
        ..SUBCOMMAND
    },
];

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let count = match args.len() {
        2 => COUNT_DEFAULT,
        3 => match wire::number::parse_i64(args.at(2)) {
            Some(-1) => usize::MAX,
            Some(count) => usize::try_from(count).map_err(|_| CommandError::SLOWLOG_COUNT)?,
            None => return Err(CommandError::SLOWLOG_COUNT),
        },
        _ => return Err(CommandError::unknown_subcommand_or_arity("SLOWLOG", args.at(1))),
    };
    let entries = ctx.instance.slow_log.newest(count);
    let reply = &mut *ctx.reply;
    reply.array(entries.len());
    for entry in &entries {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at_seconds);
        reply.integer(entry.duration_us as i64);
        reply.array(entry.arguments.len());
        entry.arguments.iter().for_each(|argument| reply.bulk(argument));
        reply.bulk(entry.peer.as_bytes());
        reply.bulk(entry.client_name.as_bytes());
    }
    Ok(())
}

fn len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.instance.slow_log.len() as i64);
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.instance.slow_log.reset();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn slow_commands_are_shown_newest_first() {
        let mut bench = Bench::new();
        bench.run(
            b"CLIENT SETNAME me\r\nCONFIG SET slowlog-log-slower-than 0\r\nSLOWLOG RESET\r\nSET a 1\r\nGET a",
        );
        bench.run(b"CONFIG SET slowlog-log-slower-than -1");
        // RESET itself, SET and GET, and CONFIG SET, which was slow until it was not.
        let reply = String::from_utf8(bench.run(b"SLOWLOG GET 2")).expect("text");
        assert!(reply.starts_with("*2\r\n*6\r\n:"), "{reply}");
        assert!(reply.contains("*2\r\n$3\r\nGET\r\n$1\r\na\r\n$6\r\ntest:0\r\n$2\r\nme\r\n"), "{reply}");
        let all = String::from_utf8(bench.run(b"SLOWLOG GET -1")).expect("text");
        assert!(
            all.find("$3\r\nGET").expect("GET") < all.find("$3\r\nSET\r\n$1\r\na").expect("SET"),
            "{all}"
        );
        assert_eq!(bench.run(b"SLOWLOG RESET\r\nSLOWLOG LEN\r\nSLOWLOG GET"), b"+OK\r\n:0\r\n*0\r\n");
    }

    #[test]
    fn mistakes_get_their_text() {
        let count = "-ERR count should be greater than or equal to -1\r\n";
        for (line, expected) in [
            ("SLOWLOG GET -2", count),
            ("SLOWLOG GET x", count),
            (
                "SLOWLOG GET 1 2",
                "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n",
            ),
            ("SLOWLOG LEN x", "-ERR wrong number of arguments for 'slowlog|len' command\r\n"),
        ] {
            assert_eq!(
                String::from_utf8(Bench::new().run(line.as_bytes())).expect("text"),
                expected,
                "{line}"
            );
        }
    }
}
