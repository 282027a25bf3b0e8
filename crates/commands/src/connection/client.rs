//! CLIENT: the subcommands that name, list and close connections.
//!
//! Not the register they read, which is `clients`. Tracking, pausing and unblocking are absent with their features.
//!
//! Invariant: a connection is closed by its own worker; killing another one marks it and tells that worker.
//!
//! Thread safety: bodies run on the asking client's worker and read others' figures as relaxed atomics.

use super::CONNECTION;
use super::filter::Filter;
use engine::error::CommandError;
use engine::registry::Registry;
use engine::run::ctx::Ctx;
use engine::spec::{
    ADMIN, ALLOW_BUSY, Argument, ArgumentType, Arity, Command, Group, LOADING, NO_MULTI, NOSCRIPT, OUTSIDE,
    Outcome, Run, STALE,
};
use engine::state::clients::{Client, Origin};
use engine::state::session::ReplyMode;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wire::Args;

const TYPES: &[Argument] = &[
    Argument::token("normal", "NORMAL"),
    Argument::token("master", "MASTER"),
    Argument::token("primary", "PRIMARY"),
    Argument::token("slave", "SLAVE"),
    Argument::token("replica", "REPLICA"),
    Argument::token("pubsub", "PUBSUB"),
];
const YES_NO: &[Argument] = &[Argument::token("yes", "YES"), Argument::token("no", "NO")];
const FILTERS: &[Argument] = &[
    Argument::new("client-id", ArgumentType::Integer).after("ID").optional().multiple(),
    Argument::one_of("client-type", TYPES).after("TYPE").optional(),
    Argument::new("username", ArgumentType::Text).after("USER").optional(),
    Argument::new("addr", ArgumentType::Text).after("ADDR").optional(),
    Argument::new("laddr", ArgumentType::Text).after("LADDR").optional(),
    Argument::one_of("skipme", YES_NO).after("SKIPME").optional(),
    Argument::new("maxage", ArgumentType::Integer).after("MAXAGE").optional(),
];
const KILL_FORMS: &[Argument] =
    &[Argument::new("old-format", ArgumentType::Text), Argument::one_of("new-format", FILTERS).multiple()];
const REPLY_MODES: &[Argument] =
    &[Argument::token("on", "ON"), Argument::token("off", "OFF"), Argument::token("skip", "SKIP")];
const ATTRIBUTES: &[Argument] = &[
    Argument::new("libname", ArgumentType::Text).after("LIB-NAME"),
    Argument::new("libver", ArgumentType::Text).after("LIB-VER"),
];

const SUBCOMMAND: Command = Command {
    arity: Arity::Exactly(2),
    flags: NOSCRIPT.and(LOADING).and(STALE).and(OUTSIDE),
    group: Group::Connection,
    ..Command::DEFAULT
};
const ADMINISTRATION: Command = Command {
    arity: Arity::AtLeast(2),
    flags: SUBCOMMAND.flags.and(ADMIN),
    complexity: "O(N) where N is the number of connections",
    since: "2.4.0",
    ..SUBCOMMAND
};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "CLIENT",
    arity: Arity::AtLeast(2),
    since: "2.4.0",
    complexity: "Depends on subcommand.",
    summary: "Ask about connections and steer them.",
    subcommands: SUBCOMMANDS,
    run: Run::Container,
    ..CONNECTION
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "CAPA",
        arity: Arity::AtLeast(3),
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY),
        since: "8.0.0",
        complexity: "O(1)",
        summary: "Tell what the client can do: of that, only `redirect` is known.",
        args: &[Argument::token("redirect", "REDIRECT").multiple()],
        run: Run::Body(capa),
        ..SUBCOMMAND
    },
    Command {
        name: "GETNAME",
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY),
        since: "2.6.9",
        summary: "Return the name of the connection.",
        run: Run::Body(getname),
        ..SUBCOMMAND
    },
    Command {
        name: "HELP",
        flags: LOADING.and(STALE).and(OUTSIDE),
        since: "5.0.0",
        summary: "Show this text.",
        run: Run::Body(crate::usage::help),
        ..SUBCOMMAND
    },
    Command {
        name: "ID",
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY),
        since: "5.0.0",
        summary: "Return the number of the connection, which is never used again.",
        run: Run::Body(id),
        ..SUBCOMMAND
    },
    Command {
        name: "INFO",
        tips: &["nondeterministic_output"],
        since: "6.2.0",
        summary: "Describe this connection.",
        run: Run::Body(info),
        ..SUBCOMMAND
    },
    Command {
        name: "KILL",
        arity: Arity::AtLeast(3),
        summary: "Close connections.",
        args: &[Argument::one_of("filter", KILL_FORMS)],
        run: Run::Body(kill),
        ..ADMINISTRATION
    },
    Command {
        name: "LIST",
        tips: &["nondeterministic_output"],
        summary: "Describe all connections, or those that match.",
        args: FILTERS,
        run: Run::Body(list),
        ..ADMINISTRATION
    },
    Command {
        name: "REPLY",
        arity: Arity::Exactly(3),
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY).and(NO_MULTI),
        since: "3.2.0",
        summary: "Choose whether commands are answered.",
        args: &[Argument::one_of("action", REPLY_MODES)],
        run: Run::Body(reply),
        ..SUBCOMMAND
    },
    Command {
        name: "SETINFO",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        arity: Arity::Exactly(4),
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY),
        since: "7.2.0",
        summary: "Tell which client library is at the other end.",
        args: &[Argument::one_of("attr", ATTRIBUTES)],
        run: Run::Body(setinfo),
        ..SUBCOMMAND
    },
    Command {
        name: "SETNAME",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        arity: Arity::Exactly(3),
        flags: SUBCOMMAND.flags.and(ALLOW_BUSY),
        since: "2.6.9",
        summary: "Give the connection a name.",
        args: &[Argument::new("connection-name", ArgumentType::Text)],
        run: Run::Body(setname),
        ..SUBCOMMAND
    },
];

fn id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.reply.integer(ctx.session.client.id as i64);
    Ok(())
}

fn getname(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let names = ctx.session.client.names.lock();
    match names.name.as_str() {
        "" => ctx.reply.null(),
        name => ctx.reply.bulk(name.as_bytes()),
    }
    Ok(())
}

fn setname(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = checked_name(args.at(2))?;
    ctx.session.client.names.lock().name = name;
    ctx.reply.ok();
    Ok(())
}

/// What is not known is not an error: a newer client may say more.
fn capa(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.from(2).iter().any(|word| word.eq_ignore_ascii_case(b"REDIRECT")) {
        ctx.session.client.redirects.store(true, Relaxed);
    }
    ctx.reply.ok();
    Ok(())
}

/// A connection's name, which must not break the lines of CLIENT LIST.
pub(super) fn checked_name(name: &[u8]) -> Result<String, CommandError> {
    printable(name).ok_or(CommandError::CLIENT_NAME_NOT_PRINTABLE)
}

fn printable(text: &[u8]) -> Option<String> {
    let is_printable = text.iter().all(u8::is_ascii_graphic);
    is_printable.then(|| String::from_utf8_lossy(text).into_owned())
}

fn setinfo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (attribute, value) = (args.at(2), args.at(3));
    let is_name = attribute.eq_ignore_ascii_case(b"LIB-NAME");
    if !is_name && !attribute.eq_ignore_ascii_case(b"LIB-VER") {
        return Err(CommandError::unrecognized_option(attribute));
    }
    let value = printable(value).ok_or_else(|| CommandError::attribute_not_printable(attribute))?;
    let mut names = ctx.session.client.names.lock();
    *if is_name { &mut names.library_name } else { &mut names.library_version } = value;
    ctx.reply.ok();
    Ok(())
}

fn reply(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mode = args.at(2);
    if mode.eq_ignore_ascii_case(b"ON") {
        ctx.session.reply_mode = ReplyMode::On;
        ctx.reply.ok();
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        ctx.session.reply_mode = ReplyMode::Off;
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        if ctx.session.reply_mode != ReplyMode::Off {
            ctx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::SYNTAX);
    }
    Ok(())
}

/// What the asking client is shown to do: this command, which dispatch notes only when it has run.
fn note_command(ctx: &Ctx<'_>, args: Args<'_>) {
    if let Some(index) = ctx.instance.registry.resolve(args) {
        ctx.session.client.last_command.store(index, Relaxed);
    }
    ctx.session.client.argument_bytes.store(args.bytes_len() as u64, Relaxed);
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    note_command(ctx, args);
    let line = describe(&ctx.session.client, ctx.instance.registry, ctx.data.now_ms());
    ctx.session.client.argument_bytes.store(0, Relaxed);
    ctx.reply.verbatim("txt", &line);
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let filter = Filter::parse(args, 2, CommandError::INVALID_CLIENT_ID)?;
    note_command(ctx, args);
    let (asking, now_ms) = (ctx.session.client.id, ctx.data.now_ms());
    let clients = ctx.instance.clients.all();
    let shown = clients.iter().filter(|client| filter.matches(client, asking, now_ms));
    let text: String = shown.map(|client| describe(client, ctx.instance.registry, now_ms)).collect();
    ctx.session.client.argument_bytes.store(0, Relaxed);
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 3 {
        return kill_by_address(ctx, args.at(2));
    }
    let mut filter = Filter::parse(args, 2, CommandError::CLIENT_ID_NOT_POSITIVE)?;
    filter.skips_self.get_or_insert(true);
    let (asking, now_ms) = (ctx.session.client.id, ctx.data.now_ms());
    let clients = ctx.instance.clients.all();
    let mut killed = 0;
    for client in clients.iter().filter(|client| filter.matches(client, asking, now_ms)) {
        close(ctx, client);
        killed += 1;
    }
    ctx.reply.integer(killed);
    Ok(())
}

/// The form of old: one address, and the asking client is not spared.
fn kill_by_address(ctx: &mut Ctx<'_>, address: &[u8]) -> Outcome {
    let clients = ctx.instance.clients.all();
    let found = clients.iter().find(|client| client.origin.peer().as_bytes() == address);
    close(ctx, found.ok_or(CommandError::NO_SUCH_CLIENT)?);
    ctx.reply.ok();
    Ok(())
}

fn close(ctx: &mut Ctx<'_>, client: &Arc<Client>) {
    if client.id == ctx.session.client.id {
        // Its own reply is still sent.
        ctx.session.closing = true;
    } else {
        ctx.instance.kill(client);
    }
}

/// One line of CLIENT LIST, its end included. Figures of features that are absent have the values Redis gives them when
/// they are off.
fn describe(client: &Client, registry: &Registry, now_ms: i64) -> String {
    let names = client.names.lock().clone();
    let transaction_bytes = client.transaction_bytes.load(Relaxed);
    let (query, output) = (client.query_buffer_bytes.load(Relaxed), client.output_bytes.load(Relaxed));
    let seconds_since = |moment_ms: i64| (now_ms - moment_ms).max(0) / 1000;
    let command = match client.last_command.load(Relaxed) {
        u16::MAX => "NULL",
        index => registry.all().get(usize::from(index)).map_or("NULL", |entry| entry.full_name.as_str()),
    };
    let mut line = format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} capa={} db={} sub=0 psub=0 ssub=0",
        client.id,
        client.origin.peer(),
        client.origin.local(),
        client.fd,
        names.name,
        seconds_since(client.connected_ms),
        seconds_since(client.last_active_ms.load(Relaxed)),
        flags(client),
        if client.redirects.load(Relaxed) { "r" } else { "" },
        client.database.load(Relaxed),
    );
    let _ = write!(
        line,
        " multi={} watch={} qbuf={query} qbuf-free=0 argv-mem={} multi-mem={transaction_bytes} rbs={output} rbp={} obl={output} oll=0 \
         omem={output} tot-mem={} events={} cmd={command} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        client.queued.load(Relaxed),
        client.watching.load(Relaxed),
        client.argument_bytes.load(Relaxed),
        client.output_bytes_peak.load(Relaxed),
        client.held_bytes() + size_of::<Client>() as u64,
        if output > 0 { "rw" } else { "r" },
        client.protocol.load(Relaxed),
        names.library_name,
        names.library_version,
    );
    let _ = writeln!(
        line,
        " tot-net-in={} tot-net-out={} tot-cmds={}",
        client.bytes_in.load(Relaxed),
        client.bytes_out.load(Relaxed),
        client.commands.load(Relaxed),
    );
    line
}

fn flags(client: &Client) -> String {
    let states = [
        (client.killed.load(Relaxed), 'A'),
        (matches!(client.origin, Origin::Unix { .. }), 'U'),
        (client.queued.load(Relaxed) >= 0, 'x'),
        (client.readonly.load(Relaxed), 'r'),
    ];
    let set: String = states.into_iter().filter(|(applies, _)| *applies).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn text(bench: &mut Bench, line: &str) -> String {
        String::from_utf8_lossy(&bench.run(line.as_bytes())).into_owned()
    }

    #[test]
    fn what_a_transaction_queues_is_bounded_by_the_query_buffer_limit() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(b"CONFIG SET client-query-buffer-limit 1mb"), b"+OK\r\n");
        bench.run(b"MULTI");
        let queued = (1..).take_while(|_| bench.run(b"PING") == b"+QUEUED\r\n").count();
        assert!((5_000..20_000).contains(&queued), "each takes 50 to 200 bytes: {queued}");
        assert_eq!(bench.session.client.held_bytes(), 0, "given back at once");
        assert_eq!(text(&mut bench, "GET x"), "+QUEUED\r\n", "and forgotten");
        assert!(text(&mut bench, "EXEC").starts_with("-EXECABORT"));
        assert_eq!(text(&mut bench, "PING"), "+PONG\r\n");
    }

    #[test]
    fn what_a_client_watches_is_bounded_by_the_query_buffer_limit() {
        let mut bench = Bench::new();
        bench.run(b"CONFIG SET client-query-buffer-limit 1mb");
        let keys: Vec<String> = (0..4_000).map(|n| format!("key:{n}")).collect();
        let watch: Vec<&[u8]> =
            std::iter::once(&b"WATCH"[..]).chain(keys.iter().map(|key| key.as_bytes())).collect();
        assert_eq!(bench.command(&watch), b"+OK\r\n");
        let held = bench.session.client.held_bytes();
        assert!((4_000 * 64..1 << 20).contains(&held), "{held}");
        assert_eq!(bench.command(&watch), b"+OK\r\n");
        assert_eq!(bench.session.client.held_bytes(), held, "each key is watched once");
        let refused = (1..).find(|n| text(&mut bench, &format!("WATCH other:{n}")) != "+OK\r\n");
        assert!(refused.is_some_and(|more| more < 20_000), "{refused:?}");
        assert!(bench.session.client.held_bytes() > (1 << 20) - 1_000);
        assert_eq!(text(&mut bench, "UNWATCH"), "+OK\r\n");
        assert_eq!(bench.session.client.held_bytes(), 0);
        assert_eq!(text(&mut bench, "WATCH key:1"), "+OK\r\n");
    }

    #[test]
    fn queued_commands_are_seen_in_the_client_s_memory() {
        let mut bench = Bench::new();
        let line = |bench: &mut Bench| String::from_utf8_lossy(&bench.run(b"CLIENT INFO")).into_owned();
        assert!(line(&mut bench).contains(" multi-mem=0 "));
        bench.run(b"MULTI");
        bench.command(&[b"SET", b"x", &[b'v'; 1_000]]);
        let held = bench.session.client.held_bytes();
        assert!((1_004..1_200).contains(&held), "{held}");
        bench.run(b"DISCARD");
        assert!(line(&mut bench).contains(" multi-mem=0 "));
        bench.run(b"MULTI\r\nSET x 1\r\nRESET");
        assert_eq!(bench.session.client.held_bytes(), 0);
    }

    /// Order and names are Valkey 9.1's.
    #[test]
    fn a_line_has_the_fields_of_valkey() {
        let mut bench = Bench::new();
        let names = |line: &str| -> Vec<String> {
            let fields = line.split_once("\r\n").expect("bulk").1.split_whitespace();
            fields.map(|field| field.split('=').next().unwrap_or_default().to_owned()).collect()
        };
        let expected = "id addr laddr fd name age idle flags capa db sub psub ssub multi watch qbuf qbuf-free argv-mem \
                        multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver tot-net-in \
                        tot-net-out tot-cmds";
        let line = text(&mut bench, "CLIENT INFO");
        assert_eq!(names(&line).join(" "), expected);
        assert!(line.contains(" capa= ") && line.contains(" argv-mem=10 "), "{line}");
        assert_eq!(text(&mut bench, "CLIENT CAPA foo"), "+OK\r\n");
        assert!(text(&mut bench, "CLIENT LIST").contains(" capa= "));
        assert_eq!(text(&mut bench, "CLIENT CAPA foo redirect"), "+OK\r\n");
        assert!(text(&mut bench, "RESET").starts_with("+RESET"));
        assert!(text(&mut bench, "CLIENT LIST").contains(" capa=r "), "as in Valkey, RESET leaves it");
        assert!(
            text(&mut bench, "CLIENT CAPA").starts_with("-ERR wrong number of arguments for 'client|capa'")
        );
    }

    #[test]
    fn names_must_be_printable() {
        let mut bench = Bench::new();
        let table = [
            ("CLIENT GETNAME", "$-1\r\n"),
            ("CLIENT SETNAME me", "+OK\r\n"),
            ("CLIENT GETNAME", "$2\r\nme\r\n"),
            (
                "CLIENT SETNAME 'x y'",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETNAME ''", "+OK\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
            ("CLIENT SETINFO lib-name redis-py", "+OK\r\n"),
            ("CLIENT SETINFO LIB-VER 5.0", "+OK\r\n"),
            (
                "CLIENT SETINFO lib-name 'a b'",
                "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
            ),
            ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'\r\n"),
            ("CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"),
            ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"),
        ];
        for (line, expected) in table {
            assert_eq!(text(&mut bench, line), expected, "{line}");
        }
        let info = text(&mut bench, "CLIENT INFO");
        assert!(info.contains(" cmd=client|info "), "{info}");
        assert!(
            info.contains(" user=default redir=-1 resp=2 lib-name=redis-py lib-ver=5.0 tot-net-in="),
            "{info}"
        );
    }

    #[test]
    fn lists_show_who_matches() {
        let mut first = Bench::with(engine::config::Settings::new(), 2);
        let mut second = first.sharing();
        second.run(b"CLIENT SETNAME other\r\nSELECT 4");
        let (id, other) = (first.session.client.id, second.session.client.id);
        let lines = |reply: String| -> Vec<String> {
            let body = reply.split_once("\r\n").expect("bulk").1.trim_end_matches("\r\n").to_owned();
            body.lines().map(str::to_owned).collect()
        };
        let all = lines(text(&mut first, "CLIENT LIST"));
        assert_eq!(all.len(), 2);
        assert!(all[0].starts_with(&format!(
            "id={id} addr=test:0 laddr=test:0 fd=7 name= age=0 idle=0 flags=U capa= db=0 "
        )));
        assert!(
            all[1].starts_with(&format!("id={other} "))
                && all[1].contains(" name=other ")
                && all[1].contains(" db=4 ")
        );
        assert_eq!(lines(text(&mut first, &format!("CLIENT LIST ID {other} 999"))), [all[1].clone()]);
        assert_eq!(text(&mut first, "CLIENT LIST TYPE pubsub"), "$0\r\n\r\n");
        assert_eq!(text(&mut first, "CLIENT LIST foo"), "-ERR syntax error\r\n");
        first.run(b"HELLO 3");
        assert!(text(&mut first, "CLIENT LIST").starts_with('='));
    }

    #[test]
    fn the_killed_are_marked_and_the_asker_is_spared() {
        let mut first = Bench::with(engine::config::Settings::new(), 2);
        let second = first.sharing();
        assert_eq!(text(&mut first, "CLIENT KILL TYPE normal"), ":1\r\n");
        assert!(second.session.client.killed.load(Relaxed) && !first.session.closing);
        assert_eq!(text(&mut first, "CLIENT KILL ID 999"), ":0\r\n");
        assert_eq!(text(&mut first, "CLIENT KILL 1.2.3.4:5"), "-ERR No such client\r\n");
        let id = first.session.client.id;
        assert_eq!(text(&mut first, &format!("CLIENT KILL ID {id} SKIPME no")), ":1\r\n");
        assert!(first.session.closing);
    }

    #[test]
    fn replies_can_be_switched_off_and_skipped() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(b"CLIENT REPLY SKIP\r\nPING 1\r\nPING 2"), b"$1\r\n2\r\n");
        assert_eq!(bench.run(b"CLIENT REPLY OFF\r\nPING 1\r\nCLIENT REPLY SKIP\r\nPING 2\r\nPING 3"), b"");
        assert_eq!(bench.run(b"CLIENT REPLY ON\r\nPING"), b"+OK\r\n+PONG\r\n");
        assert_eq!(bench.run(b"CLIENT REPLY x"), b"-ERR syntax error\r\n");
    }

    #[test]
    fn help_names_every_subcommand() {
        let help = text(&mut Bench::new(), "CLIENT HELP");
        for subcommand in SUBCOMMANDS {
            assert!(help.contains(&format!("\r\n+{}", subcommand.name)), "{}", subcommand.name);
        }
    }
}
