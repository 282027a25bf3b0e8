//! Whole values in: SET with all its options, the older commands it replaced, and DELIFEQ.
//!
//! Thread safety: functions on one command's context.

use super::get::{EX, EXAT, PX, PXAT};
use super::{answer, kind_of};
use crate::options::{Moment, positive_deadline_ms, unix_ms_text};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DELETE, DENYOOM, Effect, FAST, Group, INSERT, KEY,
    KeyFlags, KeySpec, OW, Outcome, QUICK, RM, RW, Run, UPDATE, VARIABLE_FLAGS, WRITE,
};
use keyspace::{Deadline, Event, NewValue};
use wire::Args;

const VALUE: Argument = Argument::new("value", ArgumentType::Text);

pub(super) const COMMANDS: &[Command] = &[SET, SETNX, SETEX, PSETEX, GETSET, DELIFEQ];

const SET: Command = Command {
    name: "SET",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(DENYOOM).and(QUICK),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE).and(VARIABLE_FLAGS))
        .noted("RW and ACCESS due to the optional `GET` argument")],
    group: Group::String,
    summary: "Sets the value of a key, whatever it held; creates the key if there is none.",
    args: &[
        KEY,
        VALUE,
        Argument::one_of(
            "condition",
            &[
                Argument::token("nx", "NX"),
                Argument::token("xx", "XX"),
                Argument::new("comparison-value", ArgumentType::Text).after("IFEQ"),
            ],
        )
        .optional(),
        Argument::token("get", "GET").optional(),
        Argument::one_of("expiration", &[EX, PX, EXAT, PXAT, Argument::token("keepttl", "KEEPTTL")])
            .optional(),
    ],
    key_flags: Some(key_flags),
    run: Run::Body(set),
    ..Command::DEFAULT
};

/// With GET the old value is read.
fn key_flags(args: Args<'_>) -> KeyFlags {
    let reads = args.from(3).iter().any(|option| option.eq_ignore_ascii_case(b"GET"));
    if reads { RW.and(ACCESS).and(UPDATE) } else { OW.and(UPDATE) }
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return set_with_options(ctx, args);
    }
    let value = args.at(2);
    ctx.data.store(args.at(1), NewValue::Bytes(value), kind_of(value), Deadline::Clear, Event::Set);
    ctx.reply.ok();
    Ok(())
}

/// When SET sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    /// NX
    Missing,
    /// XX
    Existing,
    /// IFEQ
    Equal(&'a [u8]),
}

/// What SET does to the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expiry<'a> {
    Clear,
    Keep,
    To(Moment, &'a [u8]),
}

struct SetOptions<'a> {
    condition: Condition<'a>,
    expiry: Expiry<'a>,
    get: bool,
}

/// Reads the words behind the value. A word may be repeated, except IFEQ; words that exclude each other are an error.
fn set_options(args: Args<'_>) -> Result<SetOptions<'_>, CommandError> {
    let mut options = SetOptions { condition: Condition::Always, expiry: Expiry::Clear, get: false };
    let mut at = 3;
    while let Some(word) = args.get(at) {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        let (condition, expiry, next) = (options.condition, options.expiry, args.get(at + 1));
        if is(b"NX") && matches!(condition, Condition::Always | Condition::Missing) {
            options.condition = Condition::Missing;
        } else if is(b"XX") && matches!(condition, Condition::Always | Condition::Existing) {
            options.condition = Condition::Existing;
        } else if is(b"GET") {
            options.get = true;
        } else if is(b"KEEPTTL") && matches!(expiry, Expiry::Clear | Expiry::Keep) {
            options.expiry = Expiry::Keep;
        } else if let (true, Condition::Always, Some(value)) = (is(b"IFEQ"), condition, next) {
            options.condition = Condition::Equal(value);
            at += 1;
        } else if let (Some(moment), Some(number)) = (Moment::of_word(word), next) {
            if expiry != Expiry::Clear && !matches!(expiry, Expiry::To(known, _) if known == moment) {
                return Err(CommandError::SYNTAX);
            }
            options.expiry = Expiry::To(moment, number);
            at += 1;
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    Ok(options)
}

fn set_with_options(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let options = set_options(args)?;
    let (key, value) = (args.at(1), args.at(2));
    let deadline = match options.expiry {
        Expiry::Clear => Deadline::Clear,
        Expiry::Keep => Deadline::Keep,
        Expiry::To(moment, number) => {
            let now_ms = ctx.data.now_ms();
            Deadline::At(positive_deadline_ms(moment, number, ctx.instance, now_ms, "set")?)
        }
    };
    let met = match (options.get, options.condition) {
        (false, Condition::Always) => true,
        (get, condition) => {
            let old = if get { ctx.data.read(key) } else { ctx.data.find(key) };
            let met = match condition {
                Condition::Always => true,
                Condition::Missing => old.is_none(),
                Condition::Existing => old.is_some(),
                Condition::Equal(value) => old.as_ref().is_some_and(|old| old.value().bytes() == value),
            };
            if get {
                answer(ctx.reply, old);
            }
            met
        }
    };
    if met {
        put(ctx, key, value, deadline);
    }
    match (options.get, met) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Ok(())
}

/// Stores a value, or deletes the key when its deadline has passed already.
fn put(ctx: &mut Ctx<'_>, key: &[u8], value: &[u8], deadline: Deadline) {
    match deadline {
        Deadline::At(at_ms) if at_ms <= ctx.data.now_ms() => {
            ctx.data.delete(key, Event::Del);
            ctx.rewrite(|effect| effect.request(&[b"UNLINK", key]));
        }
        Deadline::At(at_ms) => {
            let instance = ctx.instance;
            ctx.rewrite(|effect| {
                effect.request(&[b"SET", key, value, b"PXAT", &unix_ms_text(instance, at_ms)])
            });
            ctx.data.store(key, NewValue::Bytes(value), kind_of(value), deadline, Event::SetExpire);
        }
        Deadline::Clear | Deadline::Keep => {
            let keeps = deadline == Deadline::Keep;
            ctx.rewrite(|effect| {
                // The conditions were met, and GET is answered.
                let words: [&[u8]; 4] = [b"SET", key, value, b"KEEPTTL"];
                effect.request(&words[..if keeps { 4 } else { 3 }])
            });
            ctx.data.store(key, NewValue::Bytes(value), kind_of(value), deadline, Event::Set);
        }
    }
}

const SETNX: Command = Command {
    name: "SETNX",
    arity: Arity::Exactly(3),
    flags: WRITE.and(DENYOOM).and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, OW.and(INSERT))],
    group: Group::String,
    summary: "Sets the value of a key only if there is no such key.",
    args: &[KEY, VALUE],
    run: Run::Body(setnx),
    ..Command::DEFAULT
};

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, value) = (args.at(1), args.at(2));
    let missing = ctx.data.find(key).is_none();
    if missing {
        ctx.data.store(key, NewValue::Bytes(value), kind_of(value), Deadline::Clear, Event::Set);
    }
    ctx.reply.integer(i64::from(missing));
    Ok(())
}

const SETEX: Command = Command {
    name: "SETEX",
    arity: Arity::Exactly(4),
    flags: WRITE.and(DENYOOM).and(QUICK),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, OW.and(UPDATE))],
    group: Group::String,
    since: "2.0.0",
    summary: "Sets a value that expires after so many seconds.",
    args: &[KEY, Argument::new("seconds", ArgumentType::Integer), VALUE],
    run: Run::Body(setex),
    ..Command::DEFAULT
};

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiring(ctx, args, Moment::InSeconds, "setex")
}

const PSETEX: Command = Command {
    name: "PSETEX",
    arity: Arity::Exactly(4),
    flags: WRITE.and(DENYOOM).and(QUICK),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, OW.and(UPDATE))],
    group: Group::String,
    since: "2.6.0",
    summary: "Sets a value that expires after so many milliseconds.",
    args: &[KEY, Argument::new("milliseconds", ArgumentType::Integer), VALUE],
    run: Run::Body(psetex),
    ..Command::DEFAULT
};

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_expiring(ctx, args, Moment::InMilliseconds, "psetex")
}

fn set_expiring(ctx: &mut Ctx<'_>, args: Args<'_>, moment: Moment, command: &str) -> Outcome {
    let now_ms = ctx.data.now_ms();
    let deadline_ms = positive_deadline_ms(moment, args.at(2), ctx.instance, now_ms, command)?;
    put(ctx, args.at(1), args.at(3), Deadline::At(deadline_ms));
    ctx.reply.ok();
    Ok(())
}

const GETSET: Command = Command {
    name: "GETSET",
    arity: Arity::Exactly(3),
    flags: WRITE.and(DENYOOM).and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE))],
    group: Group::String,
    summary: "Sets the value of a key and returns the one it had.",
    args: &[KEY, VALUE],
    run: Run::Body(getset),
    ..Command::DEFAULT
};

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (key, value) = (args.at(1), args.at(2));
    answer(ctx.reply, ctx.data.read(key));
    ctx.data.store(key, NewValue::Bytes(value), kind_of(value), Deadline::Clear, Event::Set);
    Ok(())
}

const DELIFEQ: Command = Command {
    name: "DELIFEQ",
    arity: Arity::Exactly(3),
    flags: WRITE.and(FAST),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, RM.and(DELETE))],
    group: Group::String,
    since: "9.0.0",
    summary: "Deletes a key if it has this value.",
    args: &[KEY, VALUE],
    run: Run::Body(delifeq),
    ..Command::DEFAULT
};

fn delifeq(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let equal = ctx.data.find(args.at(1)).is_some_and(|entry| entry.value().bytes() == args.at(2));
    let deleted = equal && ctx.data.delete(args.at(1), Event::Del);
    ctx.rewrite(|effect| effect.request(&[b"UNLINK", args.at(1)]));
    ctx.reply.integer(i64::from(deleted));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{NOT_AN_INTEGER, SYNTAX, converse};
    use crate::testing::Bench;

    #[test]
    fn conditions() {
        converse(&[
            ("SET a 1 XX", "$-1"),
            ("SET a 1 NX", "+OK"),
            ("SET a 2 nx", "$-1"),
            ("GET a", "$1|1"),
            ("SET a 2 xx", "+OK"),
            ("SET a 3 IFEQ 1", "$-1"),
            ("SET a 3 IFEQ 2", "+OK"),
            ("SET b 3 IFEQ 2", "$-1"),
            ("EXISTS b", ":0"),
            ("SETNX a 9", ":0"),
            ("SETNX b 9", ":1"),
            ("DELIFEQ a 9", ":0"),
            ("DELIFEQ a 3", ":1"),
            ("DELIFEQ a 3", ":0"),
        ]);
    }

    #[test]
    fn get_answers_the_old_value() {
        converse(&[
            ("SET a 1 GET", "$-1"),
            ("SET a 2 GET", "$1|1"),
            ("SET a 3 NX GET", "$1|2"),
            ("GET a", "$1|2"),
            ("SET b 3 NX GET", "$-1"),
            ("GET b", "$1|3"),
            ("SET c 3 XX GET", "$-1"),
            ("EXISTS c", ":0"),
            ("SET a 4 IFEQ 9 GET", "$1|2"),
            ("SET a 4 IFEQ 2 GET", "$1|2"),
            ("GETSET a 5", "$1|4"),
            ("GETSET d 5", "$-1"),
        ]);
    }

    #[test]
    fn deadlines() {
        converse(&[
            ("SET a 1 EX 100", "+OK"),
            ("TTL a", ":100"),
            ("SET a 2 KEEPTTL", "+OK"),
            ("TTL a", ":100"),
            ("SET a 3", "+OK"),
            ("TTL a", ":-1"),
            ("SET a 3 px 200000", "+OK"),
            ("TTL a", ":200"),
            ("GETSET a 3", "$1|3"),
            ("TTL a", ":-1"),
            ("SET a 3 PXAT 4102444800000", "+OK"),
            ("PEXPIRETIME a", ":4102444800000"),
            ("SET a 3 EXAT 4102444801 EXAT 4102444802", "+OK"),
            ("EXPIRETIME a", ":4102444802"),
            ("SET a 3 PXAT 9223372036854775807", "+OK"),
            ("PEXPIRETIME a", ":9223372036854775807"),
            ("SETEX a 100 x", "+OK"),
            ("TTL a", ":100"),
            ("PSETEX a 200000 x", "+OK"),
            ("TTL a", ":200"),
            ("SET a 3 EXAT 1 GET", "$1|x"),
            ("EXISTS a", ":0"),
            ("SET a 3 NX KEEPTTL", "+OK"),
            ("TTL a", ":-1"),
        ]);
    }

    #[test]
    fn a_value_is_gone_once_its_time_is_over() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(b"SET a 1 PX 1"), b"+OK\r\n");
        while bench.run(b"GET a") != b"$-1\r\n" {
            std::thread::yield_now();
        }
        assert_eq!(bench.run(b"SET a 1 NX"), b"+OK\r\n");
        assert_eq!(bench.run(b"TTL a"), b":-1\r\n");
    }

    #[test]
    fn refusals() {
        let invalid = "-ERR invalid expire time in 'set' command";
        converse(&[
            ("SET a", "-ERR wrong number of arguments for 'set' command"),
            ("SET a 1 FOO", SYNTAX),
            ("SET a 1 PERSIST", SYNTAX),
            ("SET a 1 NX XX", SYNTAX),
            ("SET a 1 XX IFEQ 1", SYNTAX),
            ("SET a 1 IFEQ 1 IFEQ 1", SYNTAX),
            ("SET a 1 IFEQ", SYNTAX),
            ("SET a 1 EX", SYNTAX),
            ("SET a 1 EX 10 PX 10", SYNTAX),
            ("SET a 1 EX 10 KEEPTTL", SYNTAX),
            ("SET a 1 KEEPTTL EX 10", SYNTAX),
            ("SET a 1 EX x", NOT_AN_INTEGER),
            ("SET a 1 EX 0", invalid),
            ("SET a 1 PX -1", invalid),
            ("SET a 1 EX 9223372036854775807", invalid),
            ("SET a 1 PX 9223372036854775807", invalid),
            ("SET a 1 EXAT 9223372036854775807", invalid),
            ("SETEX a 0 v", "-ERR invalid expire time in 'setex' command"),
            ("PSETEX a -1 v", "-ERR invalid expire time in 'psetex' command"),
            ("SETEX a x v", NOT_AN_INTEGER),
            ("EXISTS a", ":0"),
        ]);
    }

    #[test]
    fn encodings() {
        for (value, encoding) in [
            ("0", "$3|int"),
            ("-9223372036854775808", "$3|int"),
            ("9223372036854775808", "$6|embstr"),
            ("007", "$6|embstr"),
            ("1.0", "$6|embstr"),
            (&"x".repeat(44), "$6|embstr"),
            (&"x".repeat(45), "$3|raw"),
        ] {
            converse(&[(&format!("SET a {value}"), "+OK"), ("OBJECT ENCODING a", encoding)]);
        }
    }
}
