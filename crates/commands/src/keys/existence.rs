//! Existence, deletion and types: DEL, UNLINK, EXISTS, TOUCH, TYPE.
//!
//! Not a key's value (see `string`), and not whole databases (see `server`).
//!
//! Thread safety: functions on one command's context.

use engine::run::ctx::Ctx;
use engine::spec::{
    Arity, Command, DELETE, Effect, FAST, KEY, KeySpec, Outcome, READONLY, RM, RO, Run, WRITE,
};
use keyspace::Event;
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[DEL, EXISTS, UNLINK, TOUCH, TYPE];

const DEL: Command = Command {
    name: "DEL",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    arity: Arity::AtLeast(2),
    flags: WRITE,
    effect: Effect::Verbatim,
    keys: &[KeySpec::range(1, -1, 1, RM.and(DELETE))],
    complexity: "O(N) where N is the number of keys; a large value is freed in the background.",
    summary: "Deletes keys.",
    args: &[KEY.multiple()],
    run: Run::Body(del),
    ..Command::DEFAULT
};

const UNLINK: Command = Command {
    name: "UNLINK",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    flags: WRITE.and(FAST),
    effect: Effect::Verbatim,
    since: "4.0.0",
    summary: "Deletes keys. Large values are freed in the background, as DEL does here too.",
    ..DEL
};

fn del(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let deleted = args.from(1).iter().filter(|key| ctx.data.delete(key, Event::Del)).count();
    ctx.reply.integer(deleted as i64);
    Ok(())
}

const EXISTS: Command = Command {
    name: "EXISTS",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    arity: Arity::AtLeast(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::range(1, -1, 1, RO)],
    complexity: "O(N) where N is the number of keys.",
    summary: "Counts how many of the keys exist; one named twice counts twice.",
    args: &[KEY.multiple()],
    run: Run::Body(exists),
    ..Command::DEFAULT
};

fn exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let existing = args.from(1).iter().filter(|key| ctx.data.look(key).is_some()).count();
    ctx.reply.integer(existing as i64);
    Ok(())
}

const TOUCH: Command = Command {
    name: "TOUCH",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    since: "3.2.1",
    summary: "Counts how many of the keys exist, and counts as an access to each.",
    run: Run::Body(touch),
    ..EXISTS
};

fn touch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let existing = args.from(1).iter().filter(|key| ctx.data.read(key).is_some()).count();
    ctx.reply.integer(existing as i64);
    Ok(())
}

const TYPE: Command = Command {
    name: "TYPE",
    arity: Arity::Exactly(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::one(1, RO)],
    summary: "Returns the type of the value a key holds.",
    args: &[KEY],
    run: Run::Body(type_of),
    ..Command::DEFAULT
};

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = ctx.data.look(args.at(1)).map_or("none", |entry| entry.kind().type_name());
    ctx.reply.simple(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::converse;

    #[test]
    fn existence() {
        converse(&[
            ("MSET a 1 b 2 c 3", "+OK"),
            ("EXISTS a b a x", ":3"),
            ("TOUCH a b x", ":2"),
            ("TYPE a", "+string"),
            ("TYPE x", "+none"),
            ("DEL a a x", ":1"),
            ("UNLINK a b", ":1"),
            ("EXISTS a b c", ":1"),
            ("RANDOMKEY", "$1|c"),
            ("DEL c", ":1"),
            ("RANDOMKEY", "$-1"),
            ("DEL", "-ERR wrong number of arguments for 'del' command"),
        ]);
    }
}
