//! Several values at once: MGET, MSET, MSETNX. Dispatch has locked the stripes of all keys, so each is atomic.
//!
//! Thread safety: functions on one command's context.

use super::{answer, kind_of};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DENYOOM, Effect, FAST, Group, INSERT, KEY, KeySpec, OW,
    Outcome, READONLY, RO, Run, UPDATE, WRITE,
};
use keyspace::{Deadline, Event, NewValue};
use wire::Args;

const PAIRS: Argument =
    Argument::block("data", &[KEY, Argument::new("value", ArgumentType::Text)]).multiple();

pub(super) const COMMANDS: &[Command] = &[MGET, MSET, MSETNX];

const MGET: Command = Command {
    name: "MGET",
    tips: &["request_policy:multi_shard"],
    arity: Arity::AtLeast(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::range(1, -1, 1, RO.and(ACCESS))],
    group: Group::String,
    complexity: "O(N) where N is the number of keys.",
    summary: "Returns the values of several keys, all of one moment.",
    args: &[KEY.multiple()],
    run: Run::Body(mget),
    ..Command::DEFAULT
};

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let keys = args.from(1);
    ctx.reply.array(keys.len());
    for key in keys {
        answer(ctx.reply, ctx.data.read(key));
    }
    Ok(())
}

const MSET: Command = Command {
    name: "MSET",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    arity: Arity::AtLeast(3),
    flags: WRITE.and(DENYOOM),
    effect: Effect::Verbatim,
    keys: &[KeySpec::range(1, -1, 2, OW.and(UPDATE))],
    group: Group::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys.",
    summary: "Sets the values of several keys at one moment.",
    args: &[PAIRS],
    run: Run::Body(mset),
    ..Command::DEFAULT
};

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity("mset"));
    }
    store_pairs(ctx, args);
    ctx.reply.ok();
    Ok(())
}

fn store_pairs(ctx: &mut Ctx<'_>, args: Args<'_>) {
    let mut arguments = args.from(1).iter();
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        ctx.data.store(key, NewValue::Bytes(value), kind_of(value), Deadline::Clear, Event::Set);
    }
}

const MSETNX: Command = Command {
    name: "MSETNX",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(DENYOOM),
    effect: Effect::Verbatim,
    keys: &[KeySpec::range(1, -1, 2, OW.and(INSERT))],
    group: Group::String,
    since: "1.0.1",
    complexity: "O(N) where N is the number of keys.",
    summary: "Sets the values of several keys at one moment, if none of them exists.",
    args: &[PAIRS],
    run: Run::Body(msetnx),
    ..Command::DEFAULT
};

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity("msetnx"));
    }
    let free = args.from(1).iter().step_by(2).all(|key| ctx.data.find(key).is_none());
    if free {
        store_pairs(ctx, args);
    }
    ctx.reply.integer(i64::from(free));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::converse;

    #[test]
    fn several_keys_at_once() {
        converse(&[
            ("MSET a 1 b 2 a 3", "+OK"),
            ("MGET a b c a", "*4|$1|3|$1|2|$-1|$1|3"),
            ("EXPIRE a 100", ":1"),
            ("MSET a 4", "+OK"),
            ("TTL a", ":-1"),
            ("MSETNX c 1 a 5", ":0"),
            ("MGET a c", "*2|$1|4|$-1"),
            ("MSETNX c 1 c 2 d 3", ":1"),
            ("MGET c d", "*2|$1|2|$1|3"),
            ("MGET", "-ERR wrong number of arguments for 'mget' command"),
            ("MSET a", "-ERR wrong number of arguments for 'mset' command"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
            ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command"),
        ]);
    }
}
