//! Numbers in strings: INCR, DECR and their variants.
//!
//! Whole numbers are 64-bit and never wrap; INCRBYFLOAT adds as an 80-bit long double does (see `wire::extended`).
//! All of them keep the key's deadline.
//!
//! Thread safety: functions on one command's context.

use super::kind_of;
use crate::options::integer;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DENYOOM, Effect, FAST, Flags, Group, KEY, KeySpec,
    Outcome, RW, Run, UPDATE, WRITE,
};
use keyspace::{Deadline, Event, Kind, NewValue};
use wire::{Args, Extended};

const FLAGS: Flags = WRITE.and(DENYOOM).and(FAST);
const KEYS: &[KeySpec] = &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE))];

pub(super) const COMMANDS: &[Command] = &[INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT];

const INCR: Command = Command {
    name: "INCR",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    effect: Effect::Verbatim,
    keys: KEYS,
    group: Group::String,
    summary: "Adds one to the integer a key holds; a missing key counts as 0.",
    args: &[KEY],
    run: Run::Body(incr),
    ..Command::DEFAULT
};

fn incr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), 1)
}

const DECR: Command = Command {
    name: "DECR",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    effect: Effect::Verbatim,
    keys: KEYS,
    group: Group::String,
    summary: "Subtracts one from the integer a key holds; a missing key counts as 0.",
    args: &[KEY],
    run: Run::Body(decr),
    ..Command::DEFAULT
};

fn decr(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), -1)
}

const INCRBY: Command = Command {
    name: "INCRBY",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    effect: Effect::Verbatim,
    keys: KEYS,
    group: Group::String,
    summary: "Adds to the integer a key holds; a missing key counts as 0.",
    args: &[KEY, Argument::new("increment", ArgumentType::Integer)],
    run: Run::Body(incrby),
    ..Command::DEFAULT
};

fn incrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    add(ctx, args.at(1), integer(args.at(2))?)
}

const DECRBY: Command = Command {
    name: "DECRBY",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    effect: Effect::Verbatim,
    keys: KEYS,
    group: Group::String,
    summary: "Subtracts from the integer a key holds; a missing key counts as 0.",
    args: &[KEY, Argument::new("decrement", ArgumentType::Integer)],
    run: Run::Body(decrby),
    ..Command::DEFAULT
};

fn decrby(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let increment = integer(args.at(2))?.checked_neg().ok_or(CommandError::DECREMENT_OVERFLOW)?;
    add(ctx, args.at(1), increment)
}

#[inline(always)]
fn add(ctx: &mut Ctx<'_>, key: &[u8], increment: i64) -> Outcome {
    let old = match ctx.data.find(key) {
        Some(entry) => integer(entry.value().bytes())?,
        None => 0,
    };
    let new = old.checked_add(increment).ok_or(CommandError::OVERFLOW)?;
    let mut digits = itoa::Buffer::new();
    let text = digits.format(new).as_bytes();
    // A text as long as the old one is written over it, in the same entry.
    ctx.data.store(key, NewValue::Bytes(text), Kind::StringInt, Deadline::Keep, Event::IncrBy);
    ctx.reply.integer(new);
    Ok(())
}

const INCRBYFLOAT: Command = Command {
    name: "INCRBYFLOAT",
    arity: Arity::Exactly(3),
    flags: FLAGS,
    effect: Effect::Rewrites,
    keys: KEYS,
    group: Group::String,
    since: "2.6.0",
    summary: "Adds to the decimal number a key holds; a missing key counts as 0.",
    args: &[KEY, Argument::new("increment", ArgumentType::Double)],
    run: Run::Body(incrbyfloat),
    ..Command::DEFAULT
};

fn incrbyfloat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let old = match ctx.data.find(key) {
        Some(entry) => Extended::parse(entry.value().bytes()).ok_or(CommandError::NOT_A_FLOAT)?,
        None => Extended::from_i64(0),
    };
    let increment = Extended::parse(args.at(2)).ok_or(CommandError::NOT_A_FLOAT)?;
    let new = old.checked_add(increment).ok_or(CommandError::NAN_OR_INFINITY)?;
    let mut text = Vec::new();
    new.write(&mut text);
    // Redis never makes the sum an "int", not even a whole one.
    let kind = if kind_of(&text) == Kind::StringRaw { Kind::StringRaw } else { Kind::StringEmbedded };
    ctx.rewrite(|effect| effect.request(&[b"SET", key, &text, b"KEEPTTL"]));
    ctx.data.store(key, NewValue::Bytes(&text), kind, Deadline::Keep, Event::IncrByFloat);
    ctx.reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{NOT_AN_INTEGER, converse, hear};
    use crate::testing::Bench;

    const OVERFLOW: &str = "-ERR increment or decrement would overflow";

    #[test]
    fn whole_numbers() {
        converse(&[
            ("INCR a", ":1"),
            ("INCRBY a 8", ":9"),
            ("INCR a", ":10"),
            ("DECRBY a 20", ":-10"),
            ("DECR a", ":-11"),
            ("DECRBY a -11", ":0"),
            ("OBJECT ENCODING a", "$3|int"),
            ("EXPIRE a 100", ":1"),
            ("INCRBY a 1000000", ":1000000"),
            ("TTL a", ":100"),
            ("APPEND a 1", ":8"),
            ("INCR a", ":10000002"),
            ("OBJECT ENCODING a", "$3|int"),
        ]);
    }

    #[test]
    fn whole_numbers_never_wrap() {
        converse(&[
            ("SET a 9223372036854775807", "+OK"),
            ("INCR a", OVERFLOW),
            ("INCRBY a 9223372036854775807", OVERFLOW),
            ("DECRBY a -9223372036854775808", "-ERR decrement would overflow"),
            ("GET a", "$19|9223372036854775807"),
            ("SET a -9223372036854775808", "+OK"),
            ("DECR a", OVERFLOW),
            ("INCRBY a 9223372036854775808", NOT_AN_INTEGER),
            ("INCRBY a x", NOT_AN_INTEGER),
        ]);
        for value in ["x", "01", "1.0", "+1", "-0", "\" 1\"", "\"1 \"", "\"\""] {
            converse(&[(&format!("SET a {value}"), "+OK"), ("INCR a", NOT_AN_INTEGER)]);
        }
    }

    #[test]
    fn decimal_numbers() {
        let not_a_float = "-ERR value is not a valid float";
        let mut bench = Bench::new();
        hear(
            &mut bench,
            &[
                ("INCRBYFLOAT a 1.5", "$3|1.5"),
                ("OBJECT ENCODING a", "$6|embstr"),
                ("EXPIRE a 100", ":1"),
                ("INCRBYFLOAT a 1.5", "$1|3"),
                ("TTL a", ":100"),
                ("OBJECT ENCODING a", "$6|embstr"),
                ("INCR a", ":4"),
                ("INCRBYFLOAT a 5.0e3", "$4|5004"),
                ("INCRBYFLOAT a -5003.9", "$19|0.10000000000000009"),
                ("SET a 0.1", "+OK"),
                ("INCRBYFLOAT a 0.2", "$3|0.3"),
                ("INCRBYFLOAT a x", not_a_float),
                ("INCRBYFLOAT a nan", not_a_float),
                ("INCRBYFLOAT a inf", "-ERR increment would produce NaN or Infinity"),
                ("SET a x", "+OK"),
                ("INCRBYFLOAT a 1", not_a_float),
                ("SET a 1e4932", "+OK"),
                ("INCRBYFLOAT a 1e4932", "-ERR increment would produce NaN or Infinity"),
                ("INCRBYFLOAT b 1e40", "$40|9999999999999999999783686092270256259072"),
            ],
        );
    }
}
