//! COMMAND: the command table, told to clients.
//!
//! Not the table (each family has its own) and not the documentation, which `docs.rs` writes.
//!
//! Invariant: everything said here is derived from the `Command` literals.
//!
//! Thread safety: reads static tables.

use super::{HELP, SERVER, docs};
use engine::error::CommandError;
use engine::glob::Glob;
use engine::registry::{Entry, Registry};
use engine::run::ctx::Ctx;
use engine::spec::{
    Argument, ArgumentType, Arity, BeginSearch, Command, FindKeys, Flags, INNER, KeyFlags, KeySpec, LOADING,
    LegacyRange, NO_MANDATORY_KEYS, OUTSIDE, Outcome, Run, STALE,
};
use wire::{Args, Reply};

const FLAGS: Flags = LOADING.and(STALE).and(OUTSIDE);
const NAMES: &[Argument] = &[Argument::new("command-name", ArgumentType::Text).optional().multiple()];
const FULL_COMMAND: &[Argument] = &[
    Argument::new("command", ArgumentType::Text),
    Argument::new("arg", ArgumentType::Text).optional().multiple(),
];
const FILTERS: &[Argument] = &[
    Argument::new("module-name", ArgumentType::Text).after("MODULE"),
    Argument::new("category", ArgumentType::Text).after("ACLCAT"),
    Argument::new("pattern", ArgumentType::Pattern).after("PATTERN"),
];

pub(super) const COMMANDS: &[Command] = &[COMMAND];

const COMMAND: Command = Command {
    name: "COMMAND",
    tips: &["nondeterministic_output_order"],
    complexity: "O(N) where N is the number of commands",
    summary: "Describe all commands.",
    subcommands: SUBCOMMANDS,
    run: Run::Body(command),
    ..SUBCOMMAND
};

const SUBCOMMAND: Command =
    Command { flags: FLAGS, categories: &["connection"], since: "2.8.13", complexity: "O(1)", ..SERVER };
const LOOKUP: Command = Command {
    arity: Arity::AtLeast(2),
    complexity: "O(N) where N is the number of commands named",
    ..SUBCOMMAND
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "COUNT",
        arity: Arity::Exactly(2),
        summary: "Count the commands.",
        run: Run::Body(count),
        ..SUBCOMMAND
    },
    Command {
        name: "DOCS",
        tips: &["nondeterministic_output_order"],
        since: "7.0.0",
        summary: "Return the documentation of the named commands, or of all.",
        args: NAMES,
        run: Run::Body(docs::docs),
        ..LOOKUP
    },
    Command {
        name: "GETKEYS",
        arity: Arity::AtLeast(3),
        complexity: "O(N) where N is the number of arguments",
        summary: "Return the keys among the arguments of a command.",
        args: FULL_COMMAND,
        run: Run::Body(getkeys),
        ..SUBCOMMAND
    },
    Command {
        name: "GETKEYSANDFLAGS",
        arity: Arity::AtLeast(3),
        since: "7.0.0",
        complexity: "O(N) where N is the number of arguments",
        summary: "Return the keys among the arguments of a command, and what it does to each.",
        args: FULL_COMMAND,
        run: Run::Body(getkeysandflags),
        ..SUBCOMMAND
    },
    Command { since: "5.0.0", categories: &["connection"], ..HELP },
    Command {
        name: "INFO",
        tips: &["nondeterministic_output_order"],
        summary: "Describe the named commands, or all.",
        args: NAMES,
        run: Run::Body(info),
        ..LOOKUP
    },
    Command {
        name: "LIST",
        tips: &["nondeterministic_output_order"],
        arity: Arity::AtLeast(2),
        since: "7.0.0",
        complexity: "O(N) where N is the number of commands",
        summary: "Return the names of all commands, or of some.",
        args: &[Argument::one_of("filterby", FILTERS).after("FILTERBY").optional()],
        run: Run::Body(list),
        ..SUBCOMMAND
    },
];

fn command(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if let Some(subcommand) = args.get(1) {
        return Err(CommandError::unknown_subcommand("COMMAND", subcommand));
    }
    describe_all(ctx.reply, ctx.instance.registry);
    Ok(())
}

fn count(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.instance.registry.commands().count() as i64);
    Ok(())
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.from(2);
    if names.is_empty() {
        describe_all(ctx.reply, ctx.instance.registry);
        return Ok(());
    }
    ctx.reply.array(names.len());
    let registry = ctx.instance.registry;
    for name in names {
        match registry.find_full(name) {
            Some(entry) => describe(ctx.reply, registry, entry),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn describe_all(reply: &mut Reply, registry: &Registry) {
    reply.array(registry.commands().count());
    registry.commands().for_each(|entry| describe(reply, registry, entry));
}

/// Name, arity, flags, first key, last key, step, ACL categories, tips, key specifications, subcommands.
fn describe(reply: &mut Reply, registry: &Registry, entry: &Entry) {
    let command = entry.command;
    let legacy = LegacyRange::of(command.keys);
    reply.array(10);
    reply.bulk(entry.full_name.as_bytes());
    reply.integer(command.arity.signed());
    statuses(reply, command.shown_flags().names());
    reply.integer(legacy.first);
    reply.integer(legacy.last);
    reply.integer(legacy.step);
    let categories = command.acl_categories();
    statuses(reply, categories.iter().map(String::as_str));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(reply, *spec));
    reply.array(registry.listed(entry).count());
    registry.listed(entry).for_each(|subcommand| describe(reply, registry, subcommand));
}

fn statuses<'a>(reply: &mut Reply, names: impl Iterator<Item = &'a str>) {
    let start = reply.start_array();
    let mut count = 0;
    for name in names {
        reply.simple(name);
        count += 1;
    }
    reply.finish_set(start, count);
}

fn describe_keys(reply: &mut Reply, spec: KeySpec) {
    if spec.notes.is_empty() {
        reply.map(3);
    } else {
        reply.map(4);
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    statuses(reply, spec.flags.names());
    reply.bulk(b"begin_search");
    match spec.begin {
        BeginSearch::Index(index) => search(reply, "index", &[("index", i64::from(index))]),
        BeginSearch::Keyword(word, from) => {
            open_search(reply, "keyword", 2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.integer(i64::from(from));
        }
        BeginSearch::Unknown => search(reply, "unknown", &[]),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        FindKeys::Range { last, step, limit } => {
            let [last, step, limit] = [i64::from(last), i64::from(step), i64::from(limit)];
            search(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        FindKeys::KeyNum { at, first, step } => {
            let [at, first, step] = [at, first, step].map(i64::from);
            search(reply, "keynum", &[("keynumidx", at), ("firstkey", first), ("keystep", step)]);
        }
        FindKeys::Unknown => search(reply, "unknown", &[]),
    }
}

fn open_search(reply: &mut Reply, kind: &str, values: usize) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(values);
}

fn search(reply: &mut Reply, kind: &str, values: &[(&str, i64)]) {
    open_search(reply, kind, values.len());
    for (name, value) in values {
        reply.bulk(name.as_bytes());
        reply.integer(*value);
    }
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let start = ctx.reply.start_array();
    let mut names = 0;
    for entry in ctx
        .instance
        .registry
        .all()
        .iter()
        .filter(|entry| !entry.command.flags.has(INNER) && filter.matches(entry))
    {
        ctx.reply.bulk(entry.full_name.as_bytes());
        names += 1;
    }
    ctx.reply.finish_array(start, names);
    Ok(())
}

/// What COMMAND LIST shows.
enum Filter {
    Commands,
    /// There are no modules, so none of their commands.
    Module,
    Category(String),
    Pattern(Glob),
}

impl Filter {
    fn parse(args: Args<'_>) -> Result<Filter, CommandError> {
        let (by, value) = (args.at(3), args.at(4));
        match args.len() {
            2 => Ok(Filter::Commands),
            5 if !args.at(2).eq_ignore_ascii_case(b"FILTERBY") => Err(CommandError::SYNTAX),
            5 if by.eq_ignore_ascii_case(b"MODULE") => Ok(Filter::Module),
            5 if by.eq_ignore_ascii_case(b"ACLCAT") => {
                Ok(Filter::Category(format!("@{}", String::from_utf8_lossy(value))))
            }
            5 if by.eq_ignore_ascii_case(b"PATTERN") => Ok(Filter::Pattern(Glob::ignoring_case(value)?)),
            _ => Err(CommandError::SYNTAX),
        }
    }

    fn matches(&self, entry: &Entry) -> bool {
        match self {
            Filter::Commands => entry.container.is_none(),
            Filter::Module => false,
            Filter::Category(wanted) => {
                entry.command.acl_categories().iter().any(|category| category.eq_ignore_ascii_case(wanted))
            }
            Filter::Pattern(glob) => glob.matches(entry.full_name.as_bytes()),
        }
    }
}

/// The command whose keys are asked for, and its arguments.
fn asked<'a>(registry: &Registry, args: Args<'a>) -> Result<(&'static Command, Args<'a>), CommandError> {
    let request = args.from(2);
    let index = registry.resolve(request).ok_or(CommandError::INVALID_COMMAND_SPECIFIED)?;
    let command = registry.entry(index).command;
    if !command.has_keys() {
        return Err(CommandError::NO_KEY_ARGUMENTS);
    }
    if !command.arity.accepts(request.len()) {
        return Err(CommandError::INVALID_ARGUMENT_COUNT);
    }
    Ok((command, request))
}

/// Answers each key that `write` is called with; a malformed request has none.
fn write_keys(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    mut write: impl FnMut(&mut Reply, &[u8], KeyFlags),
) -> Outcome {
    let (command, request) = asked(ctx.instance.registry, args)?;
    let start = ctx.reply.start_array();
    let mut keys = 0;
    let found = command.each_key(request, |index, flags| {
        write(ctx.reply, request.at(index), flags);
        keys += 1;
    });
    if found.is_err() || keys == 0 {
        ctx.reply.truncate(start);
        if !command.flags.has(NO_MANDATORY_KEYS) {
            return Err(CommandError::INVALID_ARGUMENTS_FOR_COMMAND);
        }
        ctx.reply.array(0);
        return Ok(());
    }
    ctx.reply.finish_array(start, keys);
    Ok(())
}

fn getkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    write_keys(ctx, args, |reply, key, _| reply.bulk(key))
}

fn getkeysandflags(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    write_keys(ctx, args, |reply, key, flags| {
        reply.array(2);
        reply.bulk(key);
        statuses(reply, flags.names());
    })
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
    fn a_command_is_described_as_redis_describes_it() {
        let mset = "*10\r\n$4\r\nmset\r\n:-3\r\n~2\r\n+write\r\n+denyoom\r\n:1\r\n:-1\r\n:2\r\n~3\r\n+@string\r\n\
                    +@write\r\n+@slow\r\n~2\r\n$26\r\nrequest_policy:multi_shard\r\n$29\r\nresponse_policy:all_succeeded\r\n~1\r\n%3\r\n$5\r\nflags\r\n~2\r\n+OW\r\n+update\r\n$12\r\nbegin_search\r\n\
                    %2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n\
                    %2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n\
                    :2\r\n$5\r\nlimit\r\n:0\r\n*0\r\n";
        let client_id = "*10\r\n$9\r\nclient|id\r\n:2\r\n~4\r\n+noscript\r\n+loading\r\n+stale\r\n+allow_busy\r\n:0\r\n:0\r\n:0\r\n\
                         ~2\r\n+@connection\r\n+@slow\r\n~0\r\n~0\r\n*0\r\n";
        let mut bench = Bench::new();
        bench.run(b"HELLO 3");
        check(
            &mut bench,
            &[("COMMAND INFO mset nosuch CLIENT|ID", &format!("*3\r\n{mset}_\r\n{client_id}"))],
        );
    }

    #[test]
    fn keys_are_found_among_arguments() {
        check(
            &mut Bench::new(),
            &[
                ("COMMAND GETKEYS mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
                ("COMMAND GETKEYS memory usage k", "*1\r\n$1\r\nk\r\n"),
                ("COMMAND GETKEYS get", "-ERR Invalid number of arguments specified for command\r\n"),
                ("COMMAND GETKEYS ping", "-ERR The command has no key arguments\r\n"),
                ("COMMAND GETKEYS nosuch", "-ERR Invalid command specified\r\n"),
                ("COMMAND GETKEYS client nosuch", "-ERR Invalid command specified\r\n"),
                ("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command\r\n"),
                ("COMMAND GETKEYSANDFLAGS set a 1 ifeq 2", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n"),
                (
                    "COMMAND GETKEYSANDFLAGS set a 1 EX 10 get",
                    "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n",
                ),
                ("COMMAND INFO nosuch", "*1\r\n$-1\r\n"),
                ("COMMAND GETKEYSANDFLAGS mset a 1", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n"),
            ],
        );
    }

    #[test]
    fn lists_are_filtered() {
        let mut bench = Bench::new();
        let count = bench.instance.registry.commands().count();
        assert!(bench.run(b"COMMAND LIST").starts_with(format!("*{count}\r\n").as_bytes()));
        assert!(bench.run(b"COMMAND").starts_with(format!("*{count}\r\n*10\r\n").as_bytes()));
        check(
            &mut bench,
            &[
                ("COMMAND COUNT", &format!(":{count}\r\n")),
                ("COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command\r\n"),
                ("COMMAND LIST FILTERBY PATTERN READ*", "*2\r\n$8\r\nreadonly\r\n$9\r\nreadwrite\r\n"),
                ("COMMAND LIST FILTERBY PATTERN CLIENT|I[d]", "*1\r\n$9\r\nclient|id\r\n"),
                ("COMMAND LIST FILTERBY MODULE x", "*0\r\n"),
                ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0\r\n"),
                ("COMMAND LIST FILTERBY x y", "-ERR syntax error\r\n"),
                ("COMMAND LIST x", "-ERR syntax error\r\n"),
                ("COMMAND nosuch", "-ERR unknown subcommand 'nosuch'. Try COMMAND HELP.\r\n"),
                (
                    "COMMAND LIST FILTERBY ACLCAT transaction",
                    "*5\r\n$5\r\nmulti\r\n$4\r\nexec\r\n$7\r\ndiscard\r\n$5\r\nwatch\r\n$7\r\nunwatch\r\n",
                ),
            ],
        );
    }

    #[test]
    fn every_command_is_documented() {
        for entry in crate::registry().all() {
            let command = entry.command;
            for text in [command.summary, command.since, command.complexity] {
                assert!(!text.is_empty(), "{}", entry.full_name);
            }
            assert!(command.since.split('.').count() == 3, "{}", entry.full_name);
        }
    }
}
