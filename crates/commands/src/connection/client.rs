//! CLIENT: the subcommands that name, list and close connections.
//!
//! Not the register they read, which is `clients`. Tracking, pausing and unblocking are absent with their features.
//!
//! Invariant: a connection is closed by its own worker; killing another one marks it and wakes that worker.
//!
//! Thread safety: bodies run on the asking client's worker and read others' figures as relaxed atomics.

use super::filter::Filter;
use crate::clients::{Client, Origin};
use crate::command::{
    ADMIN, Argument, ArgumentType, Arity, Command, Group, LOADING, NOSCRIPT, Outcome, Run, STALE,
};
use crate::ctx::Ctx;
use crate::error::CommandError;
use crate::registry;
use crate::session::ReplyMode;
use std::fmt::Write;
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
    flags: NOSCRIPT.and(LOADING).and(STALE),
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

pub(super) const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GETNAME",
        since: "2.6.9",
        summary: "Return the name of the connection.",
        run: Run::Body(getname),
        ..SUBCOMMAND
    },
    Command {
        name: "HELP",
        flags: LOADING.and(STALE),
        since: "5.0.0",
        summary: "Show this text.",
        run: Run::Body(crate::usage::help),
        ..SUBCOMMAND
    },
    Command {
        name: "ID",
        since: "5.0.0",
        summary: "Return the number of the connection, which is never used again.",
        run: Run::Body(id),
        ..SUBCOMMAND
    },
    Command {
        name: "INFO",
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
        summary: "Describe all connections, or those that match.",
        args: FILTERS,
        run: Run::Body(list),
        ..ADMINISTRATION
    },
    Command {
        name: "REPLY",
        arity: Arity::Exactly(3),
        since: "3.2.0",
        summary: "Choose whether commands are answered.",
        args: &[Argument::one_of("action", REPLY_MODES)],
        run: Run::Body(reply),
        ..SUBCOMMAND
    },
    Command {
        name: "SETINFO",
        arity: Arity::Exactly(4),
        since: "7.2.0",
        summary: "Tell which client library is at the other end.",
        args: &[Argument::one_of("attr", ATTRIBUTES)],
        run: Run::Body(setinfo),
        ..SUBCOMMAND
    },
    Command {
        name: "SETNAME",
        arity: Arity::Exactly(3),
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

fn info(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let line = describe(&ctx.session.client, ctx.data.now_ms());
    ctx.reply.verbatim("txt", &line);
    Ok(())
}

fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let filter = Filter::parse(args, 2)?;
    let (asking, now_ms) = (ctx.session.client.id, ctx.data.now_ms());
    let clients = ctx.instance.clients.all();
    let shown = clients.iter().filter(|client| filter.matches(client, asking, now_ms));
    let text: String = shown.map(|client| describe(client, now_ms)).collect();
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

fn kill(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() == 3 {
        return kill_by_address(ctx, args.at(2));
    }
    let mut filter = Filter::parse(args, 2)?;
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

fn close(ctx: &mut Ctx<'_>, client: &Client) {
    if client.id == ctx.session.client.id {
        // Its own reply is still sent.
        ctx.session.closing = true;
    } else {
        client.killed.store(true, Relaxed);
        ctx.instance.wake(client.worker);
    }
}

/// One line of CLIENT LIST, its end included. Figures of features that are absent have the values Redis gives them when
/// they are off.
fn describe(client: &Client, now_ms: i64) -> String {
    let names = client.names.lock().clone();
    let (query, output) = (client.query_buffer_bytes.load(Relaxed), client.output_bytes.load(Relaxed));
    let seconds_since = |moment_ms: i64| (now_ms - moment_ms).max(0) / 1000;
    let command = match client.last_command.load(Relaxed) {
        u16::MAX => "NULL",
        index => registry::all().get(usize::from(index)).map_or("NULL", |entry| entry.full_name.as_str()),
    };
    let mut line = format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub=0 psub=0 ssub=0",
        client.id,
        client.origin.peer(),
        client.origin.local(),
        client.fd,
        names.name,
        seconds_since(client.connected_ms),
        seconds_since(client.last_active_ms.load(Relaxed)),
        flags(client),
        client.database.load(Relaxed),
    );
    let _ = write!(
        line,
        " multi={} watch={} qbuf={query} qbuf-free=0 argv-mem=0 multi-mem=0 rbs={output} rbp={} obl={output} oll=0 \
         omem={output} tot-mem={} events={} cmd={command} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        client.queued.load(Relaxed),
        client.watching.load(Relaxed),
        client.output_bytes_peak.load(Relaxed),
        query + output + size_of::<Client>() as u64,
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
    ];
    let set: String = states.into_iter().filter(|(applies, _)| *applies).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
}
