//! What a connection is and may do: who its client is, which dialect it speaks, which database it has selected.
//!
//! Not the socket: `QUIT` only asks for the session to be closed once its replies are sent. The CLIENT subcommands,
//! which look at other connections, are in `client`.
//!
//! Invariant: what other threads may ask about a connection (`Client`) is written together with the session's own copy.
//!
//! Thread safety: bodies run on the worker that owns the session.

use super::{CONNECTION, DEFAULT_USER, REDIS_VERSION, client};
use engine::config::Settings;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ALLOW_BUSY, Argument, ArgumentType, Arity, Command, FAST, Group, LOADING, NO_AUTH, NOSCRIPT, NOT_QUEUED,
    OUTSIDE, Outcome, Run, SELECTS, STALE, Secrecy,
};
use engine::state::session::{REQUIRES_PASSWORD, ReplyMode, Session};
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq;
use wire::{Args, Protocol, Reply};

const USERNAME: Argument = Argument::new("username", ArgumentType::Text).secret(Secrecy::Secret);
const PASSWORD: Argument = Argument::new("password", ArgumentType::Text).secret(Secrecy::Secret);
const CREDENTIALS: &[Argument] = &[USERNAME, PASSWORD];
const HELLO_OPTIONS: &[Argument] = &[
    Argument::new("protover", ArgumentType::Integer),
    Argument::block("auth", CREDENTIALS).after("AUTH").optional(),
    Argument::new("clientname", ArgumentType::Text).after("SETNAME").optional(),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AUTH",
        arity: Arity::AtLeast(2),
        flags: NOSCRIPT.and(LOADING).and(STALE).and(FAST).and(NO_AUTH).and(ALLOW_BUSY).and(OUTSIDE),
        complexity: "O(N) where N is the number of passwords of the user",
        summary: "Authenticate the connection.",
        args: &[USERNAME.optional(), PASSWORD],
        run: Run::Body(auth),
        ..CONNECTION
    },
    Command {
        name: "ECHO",
        arity: Arity::Exactly(2),
        flags: LOADING.and(STALE).and(FAST).and(OUTSIDE),
        summary: "Return the given text.",
        args: &[Argument::new("message", ArgumentType::Text)],
        run: Run::Body(echo),
        ..CONNECTION
    },
    Command {
        name: "HELLO",
        arity: Arity::AtLeast(1),
        flags: NOSCRIPT.and(LOADING).and(STALE).and(FAST).and(NO_AUTH).and(ALLOW_BUSY).and(OUTSIDE),
        since: "6.0.0",
        summary: "Choose the protocol version and introduce the connection.",
        args: &[Argument::block("arguments", HELLO_OPTIONS).optional()],
        run: Run::Body(hello),
        ..CONNECTION
    },
    Command {
        name: "PING",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        arity: Arity::AtLeast(1),
        flags: FAST.and(OUTSIDE),
        summary: "Find out whether the server answers.",
        args: &[Argument::new("message", ArgumentType::Text).optional()],
        run: Run::Body(ping),
        ..CONNECTION
    },
    Command {
        name: "QUIT",
        arity: Arity::AtLeast(1),
        flags: NOSCRIPT
            .and(LOADING)
            .and(STALE)
            .and(FAST)
            .and(NO_AUTH)
            .and(ALLOW_BUSY)
            .and(NOT_QUEUED)
            .and(OUTSIDE),
        summary: "Close the connection after the replies that are due.",
        run: Run::Body(quit),
        ..CONNECTION
    },
    Command {
        name: "READONLY",
        arity: Arity::Exactly(1),
        flags: LOADING.and(STALE).and(FAST).and(OUTSIDE),
        group: Group::Cluster,
        categories: &["connection"],
        since: "3.0.0",
        summary: "Say that this connection reads from a replica too; there is none, so every read is the primary's.",
        run: Run::Body(readonly),
        ..CONNECTION
    },
    Command {
        name: "READWRITE",
        arity: Arity::Exactly(1),
        flags: LOADING.and(STALE).and(FAST).and(OUTSIDE),
        group: Group::Cluster,
        categories: &["connection"],
        since: "3.0.0",
        summary: "Take READONLY back.",
        run: Run::Body(readwrite),
        ..CONNECTION
    },
    Command {
        name: "RESET",
        arity: Arity::Exactly(1),
        flags: NOSCRIPT
            .and(LOADING)
            .and(STALE)
            .and(FAST)
            .and(NO_AUTH)
            .and(ALLOW_BUSY)
            .and(NOT_QUEUED)
            .and(OUTSIDE),
        since: "6.2.0",
        summary: "Put the connection back to how it was when it was opened.",
        run: Run::Body(reset),
        ..CONNECTION
    },
    Command {
        name: "SELECT",
        arity: Arity::Exactly(2),
        flags: LOADING.and(STALE).and(FAST).and(ALLOW_BUSY).and(SELECTS).and(OUTSIDE),
        summary: "Choose the database of this connection.",
        args: &[Argument::new("index", ArgumentType::Integer)],
        run: Run::Body(select),
        ..CONNECTION
    },
];

fn ping(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        1 => ctx.reply.simple("PONG"),
        2 => ctx.reply.bulk(args.at(1)),
        _ => return Err(CommandError::wrong_arity("ping")),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.reply.bulk(args.at(1));
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.session.closing = true;
    ctx.reply.ok();
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let database = crate::options::database(args.at(1), ctx.data.databases.count())?;
    choose_database(ctx.session, database);
    ctx.reply.ok();
    Ok(())
}

fn choose_database(session: &mut Session, database: usize) {
    session.database = database;
    session.client.database.store(database as u16, Relaxed);
}

fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    match args.len() {
        2 if !ctx.instance.settings.read(REQUIRES_PASSWORD) => return Err(CommandError::NO_PASSWORD_SET),
        2 => authenticate(ctx, DEFAULT_USER, args.at(1))?,
        3 => authenticate(ctx, args.at(1), args.at(2))?,
        _ => return Err(CommandError::SYNTAX),
    }
    ctx.reply.ok();
    Ok(())
}

fn authenticate(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Outcome {
    if user != DEFAULT_USER || !is_password(&ctx.instance.settings, password) {
        return Err(CommandError::WRONG_PASS);
    }
    set_authenticated(ctx.session, true);
    Ok(())
}

/// Whether `given` is the password, in a time that tells nothing about how much of it is right. Anything is right when no
/// password is set.
fn is_password(settings: &Settings, given: &[u8]) -> bool {
    let password = settings.text("requirepass");
    password.is_empty() || bool::from(password.as_bytes().ct_eq(given))
}

fn set_authenticated(session: &mut Session, authenticated: bool) {
    session.authenticated = authenticated;
    session.client.authenticated.store(authenticated, Relaxed);
}

fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let protocol = args.get(1).map(protocol_of).transpose()?;
    let (mut credentials, mut name) = (None, None);
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let left = args.len() - at - 1;
        if option.eq_ignore_ascii_case(b"AUTH") && left >= 2 {
            // Only read here: a mistake further on must not leave the connection authenticated.
            credentials = Some((args.at(at + 1), args.at(at + 2)));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && left >= 1 {
            name = Some(client::checked_name(args.at(at + 1))?);
            at += 2;
        } else {
            return Err(CommandError::hello_option(option));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(ctx, user, password)?;
    }
    if !ctx.session.authenticated {
        return Err(CommandError::HELLO_WITHOUT_AUTH);
    }
    if let Some(name) = name {
        ctx.session.client.names.lock().name = name;
    }
    if let Some(protocol) = protocol {
        choose_protocol(ctx.session, ctx.reply, protocol);
    }
    introduce(ctx);
    Ok(())
}

fn protocol_of(version: &[u8]) -> Result<Protocol, CommandError> {
    match wire::number::parse_i64(version) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(CommandError::NO_PROTO),
        None => Err(CommandError::PROTOCOL_VERSION_NOT_AN_INTEGER),
    }
}

fn choose_protocol(session: &mut Session, reply: &mut Reply, protocol: Protocol) {
    reply.set_protocol(protocol);
    session.client.protocol.store(protocol_number(protocol), Relaxed);
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    }
}

/// What the server says about itself after HELLO. Clients read `server` and `version` to know what they may use, hence
/// the name they know.
fn introduce(ctx: &mut Ctx<'_>) {
    let reply = &mut *ctx.reply;
    reply.map(7);
    let text = |reply: &mut Reply, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text(reply, "server", "redis");
    text(reply, "version", REDIS_VERSION);
    reply.bulk(b"proto");
    reply.integer(i64::from(protocol_number(reply.protocol())));
    reply.bulk(b"id");
    reply.integer(ctx.session.client.id as i64);
    text(reply, "mode", "standalone");
    text(reply, "role", "master");
    reply.bulk(b"modules");
    reply.array(0);
}

fn readonly(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.session.client.readonly.store(true, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn readwrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.session.client.readonly.store(false, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    engine::run::transaction::unwatch(ctx.session);
    let session = &mut *ctx.session;
    engine::run::transaction::leave(session);
    session.reply_mode = ReplyMode::On;
    session.client.readonly.store(false, Relaxed);
    choose_database(session, 0);
    set_authenticated(session, !ctx.instance.settings.read(REQUIRES_PASSWORD));
    session.client.names.lock().name.clear();
    choose_protocol(session, ctx.reply, Protocol::Resp2);
    ctx.reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use engine::config::Settings;

    fn bench(settings: &[(&str, &str)]) -> Bench {
        let chosen = Settings::new();
        for (name, value) in settings {
            chosen.set(&[(name.as_bytes(), value.as_bytes())], true).expect("setting");
        }
        Bench::with(chosen, 1)
    }

    /// Runs lines one after the other and compares each reply.
    fn check(bench: &mut Bench, table: &[(&str, &str)]) {
        for (line, expected) in table {
            let reply = String::from_utf8_lossy(&bench.run(line.as_bytes())).into_owned();
            assert_eq!(reply, *expected, "{line}");
        }
    }

    #[test]
    fn the_simple_ones() {
        check(
            &mut bench(&[]),
            &[
                ("PING", "+PONG\r\n"),
                ("ping hello", "$5\r\nhello\r\n"),
                ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
                ("ECHO x", "$1\r\nx\r\n"),
                ("SELECT 15", "+OK\r\n"),
                ("SELECT 16", "-ERR DB index is out of range\r\n"),
                ("SELECT -1", "-ERR DB index is out of range\r\n"),
                ("SELECT x", "-ERR value is not an integer or out of range\r\n"),
                (
                    "AUTH x",
                    "-ERR AUTH <password> called without any password configured for the default user. \
                            Are you sure your configuration is correct?\r\n",
                ),
                ("AUTH default x", "+OK\r\n"),
                ("AUTH bob x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
                ("AUTH a b c", "-ERR syntax error\r\n"),
                ("QUIT", "+OK\r\n"),
            ],
        );
    }

    #[test]
    fn a_password_is_asked_for() {
        let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        let mut bench = bench(&[("requirepass", "secret")]);
        check(
            &mut bench,
            &[
                ("PING", "-NOAUTH Authentication required.\r\n"),
                ("AUTH wrong", wrong),
                ("AUTH default wrong", wrong),
                ("AUTH bob secret", wrong),
                ("AUTH secret", "+OK\r\n"),
                ("PING", "+PONG\r\n"),
                ("RESET", "+RESET\r\n"),
                ("PING", "-NOAUTH Authentication required.\r\n"),
                ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
                ("HELLO 3 AUTH default no", wrong),
                ("HELLO 3 AUTH default secret FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
                ("PING", "-NOAUTH Authentication required.\r\n"),
                ("HELLO 3 AUTH default no FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
                ("HELLO 3 AUTH default secret AUTH default no", wrong),
                ("PING", "-NOAUTH Authentication required.\r\n"),
                ("AUTH default secret", "+OK\r\n"),
            ],
        );
        let refused = bench.run(b"RESET\r\nHELLO 3");
        assert!(
            refused.starts_with(
                b"+RESET\r\n-NOAUTH HELLO must be called with the client already authenticated,"
            )
        );
        assert!(bench.run(b"HELLO 3 AUTH default secret").starts_with(b"%7\r\n"));
        assert_eq!(bench.run(b"PING"), b"+PONG\r\n");
    }

    #[test]
    fn hello_introduces_both_sides() {
        let mut bench = bench(&[]);
        let id = bench.session.client.id;
        let answer = |start: &str, protocol: u8| {
            format!(
                "{start}$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.4.0\r\n$5\r\nproto\r\n:{protocol}\r\n\
                 $2\r\nid\r\n:{id}\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
                 $7\r\nmodules\r\n*0\r\n"
            )
        };
        check(
            &mut bench,
            &[
                ("HELLO", &answer("*14\r\n", 2)),
                ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
                ("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"),
                ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n"),
                ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
                (
                    "HELLO 3 SETNAME 'a b'",
                    "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
                ),
                ("CLIENT GETNAME", "$-1\r\n"),
                ("HELLO 3 setname me auth default any", &answer("%7\r\n", 3)),
                ("CLIENT GETNAME", "$2\r\nme\r\n"),
                ("HELLO", &answer("%7\r\n", 3)),
                ("HELLO 2", &answer("*14\r\n", 2)),
            ],
        );
    }

    #[test]
    fn reset_takes_everything_back() {
        let mut bench = bench(&[]);
        bench.run(b"HELLO 3 SETNAME me\r\nSELECT 3\r\nWATCH a\r\nMULTI\r\nPING");
        check(
            &mut bench,
            &[
                ("RESET", "+RESET\r\n"),
                ("EXEC", "-ERR EXEC without MULTI\r\n"),
                ("CLIENT GETNAME", "$-1\r\n"),
                ("HELLO 9", "-NOPROTO unsupported protocol version\r\n"),
            ],
        );
        assert_eq!((bench.session.database, bench.session.watched.len()), (0, 0));
        assert_eq!(bench.session.client.queued.load(Relaxed), -1);
    }

    #[test]
    fn readonly_is_seen_in_the_client_s_flags() {
        let mut bench = bench(&[]);
        let flags = |bench: &mut Bench| {
            let line = String::from_utf8(bench.run(b"CLIENT INFO")).expect("text");
            line.split(' ')
                .find_map(|field| field.strip_prefix("flags=").map(str::to_owned))
                .expect("a field")
        };
        assert_eq!(bench.run(b"READONLY"), b"+OK\r\n");
        assert_eq!(flags(&mut bench), "Ur");
        assert_eq!(bench.run(b"READWRITE"), b"+OK\r\n");
        assert_eq!(flags(&mut bench), "U");
        bench.run(b"READONLY\r\nRESET");
        assert_eq!(flags(&mut bench), "U");
    }

    #[test]
    fn quit_closes_after_its_reply() {
        let mut bench = bench(&[]);
        assert_eq!(bench.run(b"QUIT now"), b"+OK\r\n");
        assert!(bench.session.closing);
    }
}
