//! Entries that get another name or database: RENAME, RENAMENX, COPY, MOVE.
//!
//! A renamed entry is moved, a copied one shares a large value; the deadline and the access history go along.
//!
//! Invariant: dispatch holds the stripes of source and destination, also in another database (`OtherDatabases`).
//!
//! Thread safety: functions on one command's context.

use crate::options::database;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DELETE, DENYOOM, Effect, FAST, INSERT, KEY, KeySpec, OW,
    Outcome, RO, RW, Run, UPDATE, WRITE,
};
use keyspace::Event;
use wire::Args;
use wire::number::parse_i64;

pub(super) const COMMANDS: &[Command] = &[RENAME, RENAMENX, COPY, MOVE];

const RENAME: Command = Command {
    name: "RENAME",
    arity: Arity::Exactly(3),
    flags: WRITE,
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(DELETE)), KeySpec::one(2, OW.and(UPDATE))],
    summary: "Gives a key another name, in place of a key that has it.",
    args: &[KEY, Argument::new("newkey", ArgumentType::Key)],
    run: Run::Body(rename),
    ..Command::DEFAULT
};

fn rename(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (old, new) = (args.at(1), args.at(2));
    if old == new {
        ctx.data.find(old).ok_or(CommandError::NO_SUCH_KEY)?;
    } else {
        let taken = ctx.data.take(old, new, Event::RenameFrom).ok_or(CommandError::NO_SUCH_KEY)?;
        ctx.data.attach(ctx.data.database, new, taken, Event::RenameTo);
    }
    ctx.reply.ok();
    Ok(())
}

const RENAMENX: Command = Command {
    name: "RENAMENX",
    flags: WRITE.and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(DELETE)), KeySpec::one(2, OW.and(INSERT))],
    summary: "Gives a key another name if no key has it.",
    run: Run::Body(renamenx),
    ..RENAME
};

fn renamenx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (old, new) = (args.at(1), args.at(2));
    ctx.data.find(old).ok_or(CommandError::NO_SUCH_KEY)?;
    // A key's own name is taken, too.
    if ctx.data.find(new).is_some() {
        ctx.reply.integer(0);
        return Ok(());
    }
    let taken = ctx.data.take(old, new, Event::RenameFrom).ok_or(CommandError::NO_SUCH_KEY)?;
    ctx.data.attach(ctx.data.database, new, taken, Event::RenameTo);
    ctx.reply.integer(1);
    Ok(())
}

const COPY: Command = Command {
    name: "COPY",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(DENYOOM),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RO.and(ACCESS)), KeySpec::one(2, OW.and(UPDATE))],
    since: "6.2.0",
    complexity: "O(1) for a string: a large value is shared until one of the two changes.",
    summary: "Copies a key to another name or database.",
    args: &[
        Argument::new("source", ArgumentType::Key),
        Argument::new("destination", ArgumentType::Key),
        Argument::new("destination-db", ArgumentType::Integer).after("DB").optional(),
        Argument::token("replace", "REPLACE").optional(),
    ],
    other_databases: Some(copy_destination),
    run: Run::Body(copy),
    ..Command::DEFAULT
};

/// Names the destination of COPY ... DB n: the last DB counts, and what is no number is left to the command's own check.
fn copy_destination(args: Args<'_>, visit: &mut dyn FnMut(usize, usize)) {
    let mut database = None;
    let mut at = 3;
    while let Some(word) = args.get(at) {
        if word.eq_ignore_ascii_case(b"DB") {
            at += 1;
            database = parse_database(args.at(at));
        }
        at += 1;
    }
    if let Some(database) = database {
        visit(database, 2);
    }
}

/// A number that could be a database's; whether there is one is for the command to say.
fn parse_database(text: &[u8]) -> Option<usize> {
    parse_i64(text)
        .and_then(|number| i32::try_from(number).ok())
        .and_then(|number| usize::try_from(number).ok())
}

fn copy(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (source, destination) = (args.at(1), args.at(2));
    let mut target = ctx.data.database;
    let mut replace = false;
    let mut at = 3;
    while let Some(word) = args.get(at) {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if let (true, Some(number)) = (word.eq_ignore_ascii_case(b"DB"), args.get(at + 1)) {
            target = database(number, ctx.data.databases.count())?;
            at += 1;
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    if target == ctx.data.database && source == destination {
        return Err(CommandError::SAME_OBJECT);
    }
    let free = replace || ctx.data.find_in(target, destination).is_none();
    let detached = if free { ctx.data.copy(source, destination) } else { None };
    let copied = detached.is_some();
    if let Some(detached) = detached {
        ctx.data.attach(target, destination, detached, Event::CopyTo);
    }
    ctx.reply.integer(i64::from(copied));
    Ok(())
}

const MOVE: Command = Command {
    name: "MOVE",
    arity: Arity::Exactly(3),
    flags: WRITE.and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE))],
    summary: "Moves a key to another database, if no key has its name there.",
    args: &[KEY, Argument::new("db", ArgumentType::Integer)],
    other_databases: Some(move_destination),
    run: Run::Body(move_key),
    ..Command::DEFAULT
};

fn move_destination(args: Args<'_>, visit: &mut dyn FnMut(usize, usize)) {
    if let Some(database) = parse_database(args.at(2)) {
        visit(database, 1);
    }
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let target = database(args.at(2), ctx.data.databases.count())?;
    if target == ctx.data.database {
        return Err(CommandError::SAME_OBJECT);
    }
    let free = ctx.data.find_in(target, key).is_none();
    let taken = if free { ctx.data.take(key, key, Event::MoveFrom) } else { None };
    let moved = taken.is_some();
    if let Some(taken) = taken {
        ctx.data.attach(target, key, taken, Event::MoveTo);
    }
    ctx.reply.integer(i64::from(moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{NOT_AN_INTEGER, SYNTAX, converse};
    use crate::testing::Bench;

    const NO_SUCH_KEY: &str = "-ERR no such key";
    const SAME: &str = "-ERR source and destination objects are the same";
    const NO_SUCH_DATABASE: &str = "-ERR DB index is out of range";
    const NOT_AN_I32: &str = "-ERR value is out of range, value must between -2147483648 and 2147483647";

    #[test]
    fn rename_takes_value_and_deadline_along() {
        converse(&[
            ("RENAME a b", NO_SUCH_KEY),
            ("RENAME a a", NO_SUCH_KEY),
            ("RENAMENX a b", NO_SUCH_KEY),
            ("SET a 1 EX 100", "+OK"),
            ("SET b 2", "+OK"),
            ("RENAME a a", "+OK"),
            ("RENAMENX a a", ":0"),
            ("RENAMENX a b", ":0"),
            ("RENAME a b", "+OK"),
            ("MGET a b", "*2|$-1|$1|1"),
            ("TTL b", ":100"),
            ("RENAMENX b c", ":1"),
            ("TTL c", ":100"),
            ("EXISTS b", ":0"),
        ]);
    }

    #[test]
    fn copy_within_and_between_databases() {
        converse(&[
            ("COPY a b", ":0"),
            ("COPY a a", SAME),
            ("SET a 1 EX 100", "+OK"),
            ("COPY a b", ":1"),
            ("TTL b", ":100"),
            ("SET a 2", "+OK"),
            ("COPY a b", ":0"),
            ("COPY a b REPLACE", ":1"),
            ("GET b", "$1|2"),
            ("TTL b", ":-1"),
            ("COPY a a DB 0", SAME),
            ("COPY a a DB 1", ":1"),
            ("COPY a a DB 1", ":0"),
            ("COPY a c REPLACE DB 2 DB 1", ":1"),
            ("EXISTS c", ":0"),
            ("SELECT 1", "+OK"),
            ("MGET a b c", "*3|$1|2|$-1|$1|2"),
            ("COPY a a DB 0 REPLACE", ":1"),
        ]);
    }

    #[test]
    fn copies_of_a_large_value_are_independent() {
        let mut bench = Bench::new();
        bench.command(&[b"SET", b"a", &vec![b'v'; 20_000]]);
        assert_eq!(bench.run(b"COPY a b"), b":1\r\n");
        assert_eq!(bench.run(b"SETRANGE a 0 x"), b":20000\r\n");
        assert_eq!(bench.run(b"APPEND b y"), b":20001\r\n");
        assert_eq!(bench.run(b"GETRANGE a 0 1"), b"$2\r\nxv\r\n");
        assert_eq!(bench.run(b"GETRANGE b 0 1"), b"$2\r\nvv\r\n");
        assert_eq!(bench.run(b"STRLEN a"), b":20000\r\n");
    }

    #[test]
    fn move_to_another_database() {
        converse(&[
            ("MOVE a 1", ":0"),
            ("SET a 1 EX 100", "+OK"),
            ("MOVE a 1", ":1"),
            ("EXISTS a", ":0"),
            ("SET a 2", "+OK"),
            ("MOVE a 1", ":0"),
            ("GET a", "$1|2"),
            ("SELECT 1", "+OK"),
            ("GET a", "$1|1"),
            ("TTL a", ":100"),
        ]);
    }

    #[test]
    fn refusals() {
        converse(&[
            ("SET a 1", "+OK"),
            ("MOVE a 0", SAME),
            ("MOVE a x", NOT_AN_INTEGER),
            ("MOVE a -1", NO_SUCH_DATABASE),
            ("MOVE a 16", NO_SUCH_DATABASE),
            ("MOVE missing 16", NO_SUCH_DATABASE),
            ("MOVE a 99999999999", NOT_AN_I32),
            ("COPY a b FOO", SYNTAX),
            ("COPY a b DB", SYNTAX),
            ("COPY a b DB x", NOT_AN_INTEGER),
            ("COPY a b DB -1", NO_SUCH_DATABASE),
            ("COPY a b DB 16", NO_SUCH_DATABASE),
            ("COPY a b DB 99999999999", NOT_AN_I32),
            ("COPY a b DB 18446744073709551615", NOT_AN_INTEGER),
            ("MGET a b", "*2|$1|1|$-1"),
        ]);
    }
}
