//! DEBUG: the subcommands that tests of clients need, and other projects' suites. Allowed only where `enable-debug-command` says so.
//!
//! Not a debugger: nothing here crashes the server or loads data.
//!
//! Clients see one command, as in Redis: its subcommands are `INNER`.
//!
//! Invariant: every body asks for permission first.
//!
//! Thread safety: SLEEP holds the gate, so the whole server sleeps, which is what it is for; DIGEST and POPULATE hold it
//! so that they show and change one moment.

mod digest;
mod protocol;

use self::digest::Digest;
use super::SERVER;
use engine::config::{Access, Setting};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ADMIN, Argument, ArgumentType, Arity, Command, Effect, INNER, KEY, KeySpec, LOADING, NOSCRIPT, Outcome,
    RO, Run, STALE, WRITE,
};
use engine::state::clients::{Client, Origin};
use engine::state::instance::{Instance, MAXMEMORY};
use keyspace::hash::stripe_of;
use keyspace::{Databases, Deadline, EntryRef, Event, Key, NewValue, Put};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wire::Args;

const ENABLE_DEBUG_COMMAND: Setting<Access> = Setting::of("enable-debug-command");
const PROTO_MAX_BULK_LEN_BYTES: Setting<usize> = Setting::of("proto-max-bulk-len");

/// Longest DEBUG SLEEP: an hour, so that a slip of the finger does not need a kill.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Most keys of DEBUG POPULATE: more than any memory holds, so that it ends.
const POPULATED_KEYS_MAX: usize = 1 << 30;
/// Keys that DEBUG POPULATE makes before the observers are told of them.
const CHANGES_KEPT_MAX: usize = 1024;

pub(super) const COMMANDS: &[Command] =
    &[Command { summary: "Reach into the server, for tests.", subcommands: SUBCOMMANDS, ..CONTAINER }];

const DEBUG: Command = Command { flags: CONTAINER.flags.and(INNER), arity: Arity::AtLeast(2), ..SERVER };

/// The container without its subcommands.
const CONTAINER: Command = Command {
    name: "DEBUG",
    arity: Arity::AtLeast(2),
    flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE),
    complexity: "Depends on subcommand.",
    // Reached by what is no subcommand.
    run: Run::Body(unknown),
    ..SERVER
};

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DIGEST",
        complexity: "O(N) where N is the size of all data, while everybody waits",
        summary: "Return a digest of all data.",
        run: Run::Alone(digest),
        ..DEBUG
    },
    Command {
        name: "DIGEST-VALUE",
        keys: &[KeySpec::range(2, -1, 1, RO)],
        complexity: "O(N) where N is the size of the values",
        summary: "Return a digest of the value of each key.",
        args: &[KEY.multiple()],
        run: Run::Body(digest_value),
        ..DEBUG
    },
    Command {
        name: "ERROR",
        summary: "Answer with an error of this text.",
        args: &[Argument::new("message", ArgumentType::Text)],
        run: Run::Body(error),
        ..DEBUG
    },
    Command { summary: "Show this text.", run: Run::Body(help), name: "HELP", ..DEBUG },
    Command {
        name: "LOG",
        summary: "Write a line to the log.",
        args: &[Argument::new("message", ArgumentType::Text)],
        run: Run::Body(log),
        ..DEBUG
    },
    Command {
        name: "OBJECT",
        keys: &[KeySpec::one(2, RO)],
        summary: "Describe how the value of a key is stored.",
        args: &[KEY],
        run: Run::Body(object),
        ..DEBUG
    },
    Command {
        name: "PAUSE-CRON",
        summary: "Stop (1) what the clock does, expiry and eviction among it, or let it go on (0).",
        args: &[Argument::new("paused", ArgumentType::Integer)],
        run: Run::Body(pause_cron),
        ..DEBUG
    },
    Command {
        name: "POPULATE",
        flags: DEBUG.flags.and(WRITE),
        effect: Effect::Rewrites,
        complexity: "O(N) where N is the number of keys, while everybody waits",
        summary: "Create so many string keys, where none are called so, with a value of so many bytes.",
        args: &[
            Argument::new("count", ArgumentType::Integer),
            Argument::new("prefix", ArgumentType::Text).optional(),
            Argument::new("size", ArgumentType::Integer).optional(),
        ],
        run: Run::Alone(populate),
        ..DEBUG
    },
    Command {
        name: "PROTOCOL",
        summary: "Answer with a reply of this type.",
        args: &[Argument::new("type", ArgumentType::Text)],
        run: Run::Body(protocol),
        ..DEBUG
    },
    Command {
        name: "SET-ACTIVE-EXPIRE",
        summary: "Switch the removal of expired keys in the background on (1) or off (0).",
        args: &[Argument::new("enabled", ArgumentType::Integer)],
        run: Run::Body(set_active_expire),
        ..DEBUG
    },
    Command {
        name: "SLEEP",
        complexity: "O(1), while everybody waits",
        summary: "Make the whole server wait for so many seconds.",
        args: &[Argument::new("seconds", ArgumentType::Double)],
        run: Run::Alone(sleep),
        ..DEBUG
    },
];

fn unknown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_allowed(ctx.instance, &ctx.session.client)?;
    Err(CommandError::unknown_subcommand_or_arity("DEBUG", args.at(1)))
}

/// The one argument of a subcommand; permission comes first, as in Redis.
fn permitted_argument<'a>(
    instance: &Instance,
    client: &Client,
    args: Args<'a>,
) -> Result<&'a [u8], CommandError> {
    check_allowed(instance, client)?;
    match args.len() {
        3 => Ok(args.at(2)),
        _ => Err(CommandError::unknown_subcommand_or_arity("DEBUG", args.at(1))),
    }
}

fn check_allowed(instance: &Instance, client: &Client) -> Outcome {
    let is_local = is_local(&client.origin);
    let is_allowed = instance.settings.read(ENABLE_DEBUG_COMMAND).allows(is_local);
    if is_allowed { Ok(()) } else { Err(CommandError::DEBUG_NOT_ALLOWED) }
}

/// Whether a connection comes from this machine.
pub(super) fn is_local(origin: &Origin) -> bool {
    match origin {
        Origin::Tcp { peer, .. } => peer.ip().to_canonical().is_loopback(),
        Origin::Unix { .. } => true,
    }
}

fn sleep(_: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let seconds = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    // What is no number is no time, as strtod has it.
    let seconds = wire::number::parse_f64(seconds).unwrap_or(0.0);
    std::thread::sleep(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
    ctx.reply.ok();
    Ok(())
}

fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_allowed(ctx.instance, &ctx.session.client)?;
    if args.len() != 2 {
        return Err(CommandError::unknown_subcommand_or_arity("DEBUG", args.at(1)));
    }
    crate::usage::help(ctx, args)
}

fn protocol(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let kind = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    protocol::answer(ctx.reply, kind)
}

fn log(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let message = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    tracing::info!("DEBUG LOG: {}", message.escape_ascii());
    ctx.reply.ok();
    Ok(())
}

fn pause_cron(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let paused = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    // What is no number is 0, as atoi has it.
    let paused = wire::number::parse_i64(paused).unwrap_or(0) != 0;
    ctx.instance.timers_paused.store(paused, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn digest(databases: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_allowed(ctx.instance, &ctx.session.client)?;
    if args.len() != 2 {
        return Err(CommandError::unknown_subcommand_or_arity("DEBUG", args.at(1)));
    }
    let mut digest = Digest::default();
    for (number, database) in databases.iter() {
        let mut has_keys = false;
        database.scan(0, usize::MAX, usize::MAX, ctx.data.journal, |entry| {
            if !std::mem::replace(&mut has_keys, true) {
                digest.begin_database(number);
            }
            digest.add_key(&entry);
        });
    }
    ctx.reply.simple(&digest.hexadecimal());
    Ok(())
}

fn digest_value(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_allowed(ctx.instance, &ctx.session.client)?;
    let keys = args.from(2);
    ctx.reply.array(keys.len());
    for key in keys {
        let digest = ctx.data.find(key).map_or(Digest::default(), |entry| Digest::of_value(&entry));
        ctx.reply.simple(&digest.hexadecimal());
    }
    Ok(())
}

fn populate(databases: &mut Databases, ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    check_allowed(ctx.instance, &ctx.session.client)?;
    if !(3..=5).contains(&args.len()) {
        return Err(CommandError::unknown_subcommand_or_arity("DEBUG", args.at(1)));
    }
    let number = |text: &[u8], most: usize| {
        let number = wire::number::parse_i64(text).and_then(|number| usize::try_from(number).ok());
        number.filter(|&number| number <= most).ok_or(CommandError::NOT_POSITIVE)
    };
    let count = number(args.at(2), POPULATED_KEYS_MAX)?;
    let value_bytes_max = ctx.instance.settings.read(PROTO_MAX_BULK_LEN_BYTES);
    let size = args.get(4).map_or(Ok(0), |size| number(size, value_bytes_max))?;
    let prefix = args.get(3).unwrap_or(b"key");
    let now_ms = ctx.data.journal.now_ms;
    let database = databases.get(ctx.session.database, now_ms);
    let limit = ctx.instance.settings.read(MAXMEMORY);
    for index in 0..count {
        if limit > 0 && keyspace::memory::used_bytes() as u64 > limit {
            return Err(CommandError::OUT_OF_MEMORY);
        }
        if index % CHANGES_KEPT_MAX == 0 {
            engine::run::recording::drain(ctx.data.journal, ctx.data.recorder);
            ctx.hand_on();
        }
        let name = [prefix, format!(":{index}").as_bytes()].concat();
        let key = Key { bytes: &name, hash: ctx.data.journal.hasher.hash(&name) };
        let mut stripe = database.lock_alone(stripe_of(key.hash));
        if stripe.look(key, ctx.data.journal).is_some() {
            continue;
        }
        let mut value = format!("value:{index}").into_bytes();
        value.resize(if size == 0 { value.len() } else { size }, 0);
        ctx.rewrite(|effect| effect.request(&[b"SET", &name, &value]));
        let (kind, recorder) = (crate::string::kind_of(&value), &mut *ctx.data.recorder);
        let value = NewValue::Bytes(&value);
        let put = Put { value, kind, deadline: Deadline::Clear, event: Event::Set };
        stripe.store(key, put, ctx.data.journal, |key| recorder.prefix_of(key));
    }
    ctx.reply.ok();
    Ok(())
}

fn error(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let message = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    Err(CommandError::with(message))
}

fn set_active_expire(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let enabled = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    let on = wire::number::parse_i64(enabled).unwrap_or(0) != 0;
    ctx.instance.active_expiry.store(on, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn object(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    let second = ctx.data.journal.second();
    let entry = ctx.data.find(key).ok_or(CommandError::NO_SUCH_KEY)?;
    let value = entry.value();
    let text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        value.bytes().as_ptr(),
        entry.kind().encoding_name(),
        serialized_bytes(&entry),
        entry.stamp(),
        entry.idle_seconds(second),
    );
    ctx.reply.simple(&text);
    Ok(())
}

/// Bytes the value takes in an RDB file without compression: small integers have encodings of their own, all else a
/// length of 1, 2 or 5 bytes and the bytes themselves (RDB file format, "length encoding" and "string encoding").
fn serialized_bytes(entry: &EntryRef<'_>) -> usize {
    let value = entry.value();
    let bytes = value.bytes();
    let integer = wire::number::parse_i64(bytes);
    match integer {
        Some(small) if i8::try_from(small).is_ok() => 2,
        Some(medium) if i16::try_from(medium).is_ok() => 3,
        Some(large) if i32::try_from(large).is_ok() => 5,
        _ => bytes.len() + [1, 2, 5][usize::from(bytes.len() >= 64) + usize::from(bytes.len() >= 16384)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::hear;
    use crate::testing::Bench;
    use engine::config::Loader;

    fn bench(allowed: &str) -> Bench {
        let mut loader = Loader::new();
        loader.line("test", 1, format!("enable-debug-command {allowed}").as_bytes()).expect("directive");
        Bench::with(loader.finish().expect("settings").0, 1)
    }

    fn unknown(word: &str) -> String {
        format!("-ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP.")
    }

    #[test]
    fn nobody_may_unless_the_settings_say_so() {
        for (line, word) in [("DEBUG foo", "foo"), ("DEBUG SLEEP", "SLEEP"), ("DEBUG OBJECT a b", "OBJECT")] {
            hear(&mut bench("yes"), &[(line, &unknown(word))]);
        }
        let refused = [b"-", CommandError::DEBUG_NOT_ALLOWED.text(), b"\r\n"].concat();
        for line in [
            "DEBUG SLEEP 0",
            "DEBUG ERROR x",
            "DEBUG OBJECT a",
            "DEBUG SET-ACTIVE-EXPIRE 0",
            "DEBUG foo",
            "DEBUG HELP",
            "DEBUG DIGEST",
            "DEBUG DIGEST-VALUE a",
            "DEBUG POPULATE 1",
            "DEBUG PROTOCOL string",
            "DEBUG LOG x",
            "DEBUG PAUSE-CRON 1",
            "DEBUG SLEEP",
        ] {
            assert_eq!(bench("no").run(line.as_bytes()), refused, "{line}");
        }
        for allowed in ["yes", "local"] {
            assert_eq!(bench(allowed).run(b"DEBUG SLEEP 0"), b"+OK\r\n");
        }
    }

    #[test]
    fn addresses_of_this_machine_are_local() {
        let tcp = |peer: &str| Origin::Tcp {
            peer: peer.parse().expect("address"),
            local: "127.0.0.1:6379".parse().expect("address"),
        };
        assert!(
            is_local(&tcp("127.0.0.2:5"))
                && is_local(&tcp("[::1]:5"))
                && is_local(&tcp("[::ffff:127.0.0.1]:5"))
        );
        assert!(!is_local(&tcp("10.0.0.1:5")));
    }

    #[test]
    fn a_sleep_that_is_no_time_is_over_at_once() {
        for seconds in ["0.001", "-1", "nan", "x", "-inf"] {
            assert_eq!(bench("yes").run(format!("DEBUG SLEEP {seconds}").as_bytes()), b"+OK\r\n");
        }
    }

    /// Asked of Valkey 9.1.
    #[test]
    fn digests_are_valkey_s() {
        let mut bench = bench("yes");
        let zeros = "0".repeat(40);
        hear(
            &mut bench,
            &[
                ("DEBUG DIGEST", &format!("+{zeros}")),
                ("DEBUG DIGEST-VALUE", "*0"),
                ("DEBUG DIGEST-VALUE a b", &format!("*2|+{zeros}|+{zeros}")),
                ("SET a 1", "+OK"),
                ("DEBUG DIGEST", "+943d800368fb9c0e951138f1bc0e313ac769d91f"),
                ("DEBUG DIGEST-VALUE a", "*1|+b4fc66738120fba0b5aa500ab5c2bf89cea1c5da"),
                ("SET b 2 PX 100000", "+OK"),
                ("debug digest", "+2a565ed44c86ad1d3853f38b8cbf0a4f8a0a14b5"),
                (
                    "DEBUG DIGEST-VALUE a b",
                    "*2|+b4fc66738120fba0b5aa500ab5c2bf89cea1c5da|+2daece6f5f01a9d30bbb5eba5348d1ec0849e44a",
                ),
                ("DEBUG DIGEST x", &unknown("DIGEST")),
            ],
        );
    }

    /// Asked of Valkey 9.1.
    #[test]
    fn keys_are_made_where_there_are_none() {
        let not_positive = "-ERR value is out of range, must be positive";
        let mut bench = bench("yes");
        hear(
            &mut bench,
            &[
                ("DEBUG POPULATE 3", "+OK"),
                ("MGET key:0 key:2 key:3", "*3|$7|value:0|$7|value:2|$-1"),
                ("DEBUG POPULATE 2 bar 10", "+OK"),
                ("DEBUG POPULATE 2 bar 5", "+OK"),
                ("GET bar:1", "$10|value:1\0\0\0"),
                ("DEBUG POPULATE 2 baz 3", "+OK"),
                ("GET baz:1", "$3|val"),
                ("DEBUG POPULATE 1 a 0", "+OK"),
                ("GET a:0", "$7|value:0"),
                ("DEBUG POPULATE", &unknown("POPULATE")),
                ("DEBUG POPULATE 1 a 1 b", &unknown("POPULATE")),
                ("DEBUG POPULATE x", not_positive),
                ("DEBUG POPULATE -1", not_positive),
                ("DEBUG POPULATE 1 z x", not_positive),
                ("DEBUG POPULATE 1 z -1", not_positive),
                ("DEBUG POPULATE 9223372036854775807", not_positive),
                ("DBSIZE", ":8"),
            ],
        );
    }

    /// Asked of Valkey 9.1.
    #[test]
    fn one_reply_of_each_type() {
        let mut bench = bench("yes");
        hear(
            &mut bench,
            &[
                ("DEBUG PROTOCOL string", "$11|Hello World"),
                ("DEBUG PROTOCOL integer", ":12345"),
                ("DEBUG PROTOCOL double", "$5|3.141"),
                ("DEBUG PROTOCOL null", "$-1"),
                ("DEBUG PROTOCOL array", "*3|:0|:1|:2"),
                ("DEBUG PROTOCOL SET", "*3|:0|:1|:2"),
                ("DEBUG PROTOCOL map", "*6|:0|:0|:1|:1|:2|:0"),
                ("DEBUG PROTOCOL attrib", "$39|Some real reply following the attribute"),
                ("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command"),
                ("DEBUG PROTOCOL verbatim", "$25|This is a verbatim\nstring"),
                ("DEBUG PROTOCOL true", ":1"),
                ("DEBUG PROTOCOL false", ":0"),
                ("DEBUG PROTOCOL bignum", "$37|1234567999999999999999999999999999999"),
                (
                    "DEBUG PROTOCOL foo",
                    "-ERR Wrong protocol type name. Please use one of the following: \
                     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
                ),
                ("DEBUG PROTOCOL", &unknown("PROTOCOL")),
            ],
        );
        bench.run(b"HELLO 3");
        hear(
            &mut bench,
            &[
                ("DEBUG PROTOCOL double", ",3.141"),
                ("DEBUG PROTOCOL null", "_"),
                ("DEBUG PROTOCOL set", "~3|:0|:1|:2"),
                ("DEBUG PROTOCOL map", "%3|:0|#f|:1|#t|:2|#f"),
                (
                    "DEBUG PROTOCOL attrib",
                    "|1|$14|key-popularity|*2|$7|key:123|:90|$39|Some real reply following the attribute",
                ),
                (
                    "DEBUG PROTOCOL push",
                    "$40|Some real reply following the push reply|>2|$16|server-cpu-usage|:42",
                ),
                ("DEBUG PROTOCOL verbatim", "=29|txt:This is a verbatim\nstring"),
                ("DEBUG PROTOCOL true", "#t"),
                ("DEBUG PROTOCOL bignum", "(1234567999999999999999999999999999999"),
            ],
        );
    }

    #[test]
    fn the_clock_can_be_told_to_do_nothing() {
        let mut bench = bench("yes");
        bench.run(b"DEBUG PAUSE-CRON 1\r\nSET a 1 PX 1");
        std::thread::sleep(Duration::from_millis(5));
        // The wheel reports by ticks: many times is late enough for any of them.
        let turn = |bench: &mut Bench| {
            for _ in 0..20 {
                bench.executor.tick(false);
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        turn(&mut bench);
        assert_eq!(bench.run(b"DBSIZE"), b":1\r\n");
        bench.run(b"DEBUG PAUSE-CRON 0");
        while bench.run(b"DBSIZE") != b":0\r\n" {
            turn(&mut bench);
        }
        hear(&mut bench, &[("DEBUG PAUSE-CRON", &unknown("PAUSE-CRON")), ("DEBUG LOG hello", "+OK")]);
    }

    /// Valkey has no subcommands of DEBUG but in its arguments.
    #[test]
    fn clients_see_one_command() {
        let mut bench = bench("yes");
        bench.run(b"CONFIG RESETSTAT\r\nDEBUG SLEEP 0\r\nDEBUG OBJECT nosuch\r\nDEBUG foo");
        let stats = String::from_utf8(bench.run(b"INFO commandstats")).expect("text");
        let line = stats.lines().find(|line| line.starts_with("cmdstat_debug")).expect("a line");
        assert!(line.starts_with("cmdstat_debug:calls=3,"), "{stats}");
        assert!(line.contains("rejected_calls=0,failed_calls=2") && !stats.contains("debug|"), "{stats}");
        assert!(bench.run(b"CLIENT LIST").windows(10).all(|bytes| bytes != b"cmd=debug|"));
        hear(
            &mut bench,
            &[
                ("COMMAND INFO debug|sleep", "*1|$-1"),
                ("COMMAND LIST FILTERBY PATTERN debug*", "*1|$5|debug"),
                ("COMMAND GETKEYS debug object a", "-ERR The command has no key arguments"),
                ("DEBUG HELP x", &unknown("HELP")),
                ("MULTI", "+OK"),
                ("DEBUG SLEEP 0", "+QUEUED"),
                ("DEBUG DIGEST-VALUE a", "+QUEUED"),
                ("EXEC", &format!("*2|+OK|*1|+{}", "0".repeat(40))),
            ],
        );
    }

    #[test]
    fn an_error_is_answered_as_it_was_asked_for() {
        let mut bench = bench("yes");
        assert_eq!(bench.run(b"DEBUG ERROR \"LOADING fake message\""), b"-LOADING fake message\r\n");
        assert_eq!(bench.command(&[b"DEBUG", b"ERROR", b"ERR a\r\nb"]), b"-ERR a  b\r\n");
    }

    #[test]
    fn active_expiry_can_be_switched() {
        let mut bench = bench("yes");
        for (line, on) in [("0", false), ("1", true), ("x", false)] {
            assert_eq!(bench.run(format!("DEBUG SET-ACTIVE-EXPIRE {line}").as_bytes()), b"+OK\r\n");
            assert_eq!(bench.instance.expires_actively(), on);
        }
    }

    #[test]
    fn objects_are_described() {
        let mut bench = bench("yes");
        let long = "x".repeat(100);
        for (value, encoding, length) in [
            ("1", "int", 2),
            ("300", "int", 3),
            ("70000", "int", 5),
            ("hello", "embstr", 6),
            (&long, "raw", 102),
        ] {
            bench.command(&[b"SET", b"a", value.as_bytes()]);
            let reply = String::from_utf8(bench.run(b"DEBUG OBJECT a")).expect("text");
            assert!(reply.starts_with("+Value at:0x"), "{reply}");
            let expected = format!(" refcount:1 encoding:{encoding} serializedlength:{length} lru:");
            assert!(reply.contains(&expected), "{reply}");
        }
        assert_eq!(bench.run(b"DEBUG OBJECT nosuch"), b"-ERR no such key\r\n");
    }
}
