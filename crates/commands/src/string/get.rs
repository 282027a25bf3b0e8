//! Whole values out: GET, GETDEL, GETEX.
//!
//! Not their parts (see `part`), and not several at once (see `many`).
//!
//! Thread safety: functions on one command's context.

use super::answer;
use crate::options::{Moment, positive_deadline_ms, unix_ms_text};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DELETE, Effect, FAST, Group, KEY, KeySpec, Outcome,
    READONLY, RO, RW, Run, UPDATE, WRITE,
};
use keyspace::Event;
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[GET, GETDEL, GETEX];

const GET: Command = Command {
    name: "GET",
    arity: Arity::Exactly(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::one(1, RO.and(ACCESS))],
    group: Group::String,
    summary: "Returns the value of a key.",
    args: &[KEY],
    run: Run::Body(get),
    ..Command::DEFAULT
};

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    answer(ctx.reply, ctx.data.read(args.at(1)));
    Ok(())
}

const GETDEL: Command = Command {
    name: "GETDEL",
    arity: Arity::Exactly(2),
    flags: WRITE.and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(DELETE))],
    group: Group::String,
    since: "6.2.0",
    summary: "Returns the value of a key and deletes the key.",
    args: &[KEY],
    run: Run::Body(getdel),
    ..Command::DEFAULT
};

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let entry = ctx.data.read(args.at(1));
    let exists = entry.is_some();
    answer(ctx.reply, entry);
    if exists {
        ctx.data.delete(args.at(1), Event::Del);
    }
    Ok(())
}

/// The arguments that name a deadline, shared with SET.
pub(super) const EX: Argument = Argument::new("seconds", ArgumentType::Integer).after("EX");
pub(super) const PX: Argument = Argument::new("milliseconds", ArgumentType::Integer).after("PX");
pub(super) const EXAT: Argument = Argument::new("unix-time-seconds", ArgumentType::UnixTime).after("EXAT");
pub(super) const PXAT: Argument =
    Argument::new("unix-time-milliseconds", ArgumentType::UnixTime).after("PXAT");

const GETEX: Command = Command {
    name: "GETEX",
    arity: Arity::AtLeast(2),
    flags: WRITE.and(FAST),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE)).noted("RW and UPDATE because it changes the TTL")],
    group: Group::String,
    since: "6.2.0",
    summary: "Returns the value of a key and sets or removes its deadline.",
    args: &[
        KEY,
        Argument::one_of("expiration", &[EX, PX, EXAT, PXAT, Argument::token("persist", "PERSIST")])
            .optional(),
    ],
    run: Run::Body(getex),
    ..Command::DEFAULT
};

/// What GETEX does to the deadline.
enum Change<'a> {
    None,
    Persist,
    To(Moment, &'a [u8]),
}

fn getex_change(args: Args<'_>) -> Result<Change<'_>, CommandError> {
    let mut change = Change::None;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        change = match (Moment::of_word(word), args.get(at + 1), change) {
            (Some(moment), Some(number), Change::None) => {
                at += 1;
                Change::To(moment, number)
            }
            // Repeating the same word is allowed; the last number counts.
            (Some(moment), Some(number), Change::To(known, _)) if known == moment => {
                at += 1;
                Change::To(moment, number)
            }
            (None, _, Change::None | Change::Persist) if word.eq_ignore_ascii_case(b"PERSIST") => {
                Change::Persist
            }
            _ => return Err(CommandError::SYNTAX),
        };
        at += 1;
    }
    Ok(change)
}

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let change = getex_change(args)?;
    let now_ms = ctx.data.now_ms();
    let deadline_ms = match change {
        // As Valkey: a wrong number is an error even when there is no such key.
        Change::To(moment, number) => {
            Some(positive_deadline_ms(moment, number, ctx.instance, now_ms, "getex")?)
        }
        Change::None | Change::Persist => None,
    };
    let entry = ctx.data.read(key);
    let expires = entry.as_ref().map(|entry| entry.expiry_ms().is_some());
    answer(ctx.reply, entry);
    match (expires, change) {
        (None, _) | (_, Change::None) | (Some(false), Change::Persist) => {}
        (Some(_), Change::To(..)) if deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) => {
            ctx.rewrite(|effect| effect.request(&[b"UNLINK", key]));
            ctx.data.delete(key, Event::Del);
        }
        (Some(_), _) => {
            let instance = ctx.instance;
            ctx.rewrite(|effect| match deadline_ms {
                Some(at_ms) => effect.request(&[b"PEXPIREAT", key, &unix_ms_text(instance, at_ms)]),
                None => effect.request(&[b"PERSIST", key]),
            });
            let event = if deadline_ms.is_some() { Event::Expire } else { Event::Persist };
            ctx.data.set_deadline(key, deadline_ms, event);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{NOT_AN_INTEGER, SYNTAX, converse, hear};
    use crate::testing::Bench;

    #[test]
    fn get_and_getdel() {
        converse(&[
            ("GET a", "$-1"),
            ("SET a 1", "+OK"),
            ("GET a", "$1|1"),
            ("GETDEL a", "$1|1"),
            ("GETDEL a", "$-1"),
            ("EXISTS a", ":0"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
        ]);
    }

    #[test]
    fn large_values_come_out_whole() {
        let mut bench = Bench::new();
        for bytes in [0, 1, 1023, 1024, 16_384, 16_385, 1 << 20] {
            let value = vec![b'v'; bytes];
            assert_eq!(bench.command(&[b"SET", b"k", &value]), b"+OK\r\n");
            let expected = [format!("${bytes}\r\n").as_bytes(), &value, b"\r\n"].concat();
            assert_eq!(bench.command(&[b"GET", b"k"]), expected);
            assert_eq!(bench.command(&[b"GETDEL", b"k"]), expected);
            assert_eq!(bench.command(&[b"GET", b"k"]), b"$-1\r\n");
        }
    }

    #[test]
    fn getex_sets_and_removes_deadlines() {
        converse(&[
            ("SET a v", "+OK"),
            ("GETEX a", "$1|v"),
            ("TTL a", ":-1"),
            ("GETEX a EX 100", "$1|v"),
            ("TTL a", ":100"),
            ("GETEX a", "$1|v"),
            ("TTL a", ":100"),
            ("GETEX a PX 50000 PX 200000", "$1|v"),
            ("TTL a", ":200"),
            ("GETEX a PERSIST", "$1|v"),
            ("TTL a", ":-1"),
            ("GETEX a PERSIST", "$1|v"),
            ("GETEX a PXAT 4102444800000", "$1|v"),
            ("PEXPIRETIME a", ":4102444800000"),
            ("GETEX a EXAT 4102444801", "$1|v"),
            ("EXPIRETIME a", ":4102444801"),
            ("GETEX a EXAT 1", "$1|v"),
            ("EXISTS a", ":0"),
            ("GETEX a EX 10", "$-1"),
        ]);
    }

    #[test]
    fn getex_refuses() {
        let mut bench = Bench::new();
        for key in ["a", "missing"] {
            let invalid = "-ERR invalid expire time in 'getex' command";
            hear(
                &mut bench,
                &[
                    ("SET a v", "+OK"),
                    (&format!("GETEX {key} EX"), SYNTAX),
                    (&format!("GETEX {key} EX 10 PX 10"), SYNTAX),
                    (&format!("GETEX {key} EX 10 PERSIST"), SYNTAX),
                    (&format!("GETEX {key} PERSIST EX 10"), SYNTAX),
                    (&format!("GETEX {key} KEEPTTL"), SYNTAX),
                    (&format!("GETEX {key} EX x"), NOT_AN_INTEGER),
                    (&format!("GETEX {key} EX 0"), invalid),
                    (&format!("GETEX {key} PXAT -1"), invalid),
                    (&format!("GETEX {key} EX 9223372036854775"), invalid),
                    (&format!("GETEX {key} PX 9223372036854775807"), invalid),
                ],
            );
        }
    }
}
