//! SLOWLOG: the subcommands that read the log of slow commands.
//!
//! Not the log (`engine::state::slowlog`), nor the decision what is slow, which dispatch takes.
//!
//! Thread safety: each takes the log's lock for a moment.

use super::{CONTAINER, HELP, SERVER};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{ADMIN, Argument, ArgumentType, Arity, Command, LOADING, OUTSIDE, Outcome, Run, STALE};
use wire::Args;

/// Entries SLOWLOG GET shows when it is not told how many.
const COUNT_DEFAULT: usize = 10;

const SUBCOMMAND: Command = Command {
    arity: Arity::Exactly(2),
    flags: ADMIN.and(LOADING).and(STALE).and(OUTSIDE),
    since: "2.2.12",
    ..SERVER
};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "SLOWLOG",
    since: "2.2.12",
    summary: "Look into the log of slow commands.",
    subcommands: SUBCOMMANDS,
    ..CONTAINER
}];

const SUBCOMMANDS: &[Command] = &[
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
    use engine::redaction;
    use wire::OwnedArgs;

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

    fn shown_line(line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let owned = OwnedArgs::from_slices(&words);
        let args = owned.as_args();
        let registry = crate::registry();
        let entry = registry.entry(registry.resolve(args).expect("a command"));
        let shown = (0..args.len()).map(|index| redaction::shown(entry, args, index));
        shown.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (line, wanted) in [
            ("AUTH secret", "AUTH (redacted)"),
            ("auth default secret", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH default secret", "HELLO 3 AUTH (redacted) (redacted)"),
            ("HELLO 3 SETNAME me auth default secret", "HELLO 3 SETNAME me auth (redacted) (redacted)"),
            ("HELLO 3 AUTH default secret SETNAME me", "HELLO 3 AUTH (redacted) (redacted) SETNAME me"),
            ("HELLO AUTH default secret", "HELLO AUTH (redacted) (redacted)"),
            ("CONFIG SET requirepass secret", "CONFIG SET requirepass (redacted)"),
            (
                "config set maxmemory 1 RequirePass s timeout 3",
                "config set maxmemory 1 RequirePass (redacted) timeout 3",
            ),
            ("CONFIG SET primaryauth secret", "CONFIG SET primaryauth (redacted)"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SET AUTH secret", "SET AUTH secret"),
            ("CLIENT SETNAME auth", "CLIENT SETNAME auth"),
        ] {
            assert_eq!(shown_line(line), wanted);
        }
    }

    #[test]
    fn the_slow_log_shows_no_password_neither_of_a_transaction() {
        let mut bench = Bench::new();
        bench.run(b"CONFIG SET slowlog-log-slower-than 0");
        bench.run(b"CONFIG SET requirepass hunter2");
        for request in ["AUTH hunter2", "HELLO 2 AUTH default hunter2", "AUTH default hunter2"] {
            bench.run(request.as_bytes());
            bench.run(format!("MULTI\r\n{request}\r\nEXEC").as_bytes());
        }
        bench.run(b"CONFIG SET requirepass hunter2 maxmemory 0");
        let log = String::from_utf8_lossy(&bench.run(b"SLOWLOG GET 100")).into_owned();
        assert!(log.contains("(redacted)") && !log.contains("hunter2"), "{log}");
        assert_eq!(log.matches("(redacted)").count(), 2 + 2 * (1 + 2 + 2));
    }
}
