//! DEBUG: the few subcommands that tests of clients need. Allowed only where `enable-debug-command` says so.
//!
//! Not a debugger: nothing here crashes the server or loads data.
//!
//! Invariant: every body asks for permission first.
//!
//! Thread safety: SLEEP holds the gate, so the whole server sleeps, which is what it is for.

use super::{HELP, SERVER};
use crate::clients::{Client, Origin};
use crate::command::{
    ADMIN, Argument, ArgumentType, Arity, Command, KEY, KeySpec, LOADING, NOSCRIPT, Outcome, RO, Run, STALE,
};
use crate::ctx::{AloneCtx, Ctx};
use crate::error::CommandError;
use crate::instance::Instance;
use keyspace::{Databases, EntryRef};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wire::Args;

/// Longest DEBUG SLEEP: an hour, so that a slip of the finger does not need a kill.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

const DEBUG: Command = Command { flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE), ..SERVER };

/// The container without its subcommands.
pub(super) const CONTAINER: Command = Command {
    name: "DEBUG",
    arity: Arity::AtLeast(2),
    complexity: "Depends on subcommand.",
    // Reached by what is no subcommand.
    run: Run::Body(unknown),
    ..DEBUG
};

pub(super) const SUBCOMMANDS: &[Command] = &[
    HELP,
    Command {
        name: "ERROR",
        arity: Arity::AtLeast(2),
        summary: "Answer with an error of this text.",
        args: &[Argument::new("message", ArgumentType::Text)],
        run: Run::Body(error),
        ..DEBUG
    },
    Command {
        name: "OBJECT",
        arity: Arity::AtLeast(2),
        keys: &[KeySpec::one(2, RO)],
        summary: "Describe how the value of a key is stored.",
        args: &[KEY],
        run: Run::Body(object),
        ..DEBUG
    },
    Command {
        name: "SET-ACTIVE-EXPIRE",
        arity: Arity::AtLeast(2),
        summary: "Switch the removal of expired keys in the background on (1) or off (0).",
        args: &[Argument::new("enabled", ArgumentType::Integer)],
        run: Run::Body(set_active_expire),
        ..DEBUG
    },
    Command {
        name: "SLEEP",
        arity: Arity::AtLeast(2),
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
    let is_allowed = instance.settings.enable_debug_command().allows(is_local);
    if is_allowed { Ok(()) } else { Err(CommandError::DEBUG_NOT_ALLOWED) }
}

/// Whether a connection comes from this machine.
pub(super) fn is_local(origin: &Origin) -> bool {
    match origin {
        Origin::Tcp { peer, .. } => peer.ip().to_canonical().is_loopback(),
        Origin::Unix { .. } => true,
    }
}

fn sleep(_: &mut Databases, ctx: &mut AloneCtx<'_>, args: Args<'_>) -> Outcome {
    let seconds = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    // What is no number is no time, as strtod has it.
    let seconds = wire::number::parse_f64(seconds).unwrap_or(0.0);
    std::thread::sleep(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(SLEEP_MAX).min(SLEEP_MAX));
    ctx.reply.ok();
    Ok(())
}

fn error(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let message = permitted_argument(ctx.instance, &ctx.session.client, args)?;
    Err(CommandError::with(String::from_utf8_lossy(message).into_owned()))
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
    use crate::config::Loader;
    use crate::testing::Bench;

    fn bench(allowed: &str) -> Bench {
        let mut loader = Loader::new();
        loader.line("test", 1, format!("enable-debug-command {allowed}").as_bytes()).expect("directive");
        Bench::with(loader.finish().expect("settings").0, 1)
    }

    #[test]
    fn nobody_may_unless_the_settings_say_so() {
        let unknown = |word: &str| {
            format!("-ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP.\r\n")
        };
        for (line, word) in [("DEBUG foo", "foo"), ("DEBUG SLEEP", "SLEEP"), ("DEBUG OBJECT a b", "OBJECT")] {
            assert_eq!(bench("yes").run(line.as_bytes()), unknown(word).into_bytes(), "{line}");
        }
        let refused = format!("-{}\r\n", CommandError::DEBUG_NOT_ALLOWED.text()).into_bytes();
        for line in [
            "DEBUG SLEEP 0",
            "DEBUG ERROR x",
            "DEBUG OBJECT a",
            "DEBUG SET-ACTIVE-EXPIRE 0",
            "DEBUG foo",
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
