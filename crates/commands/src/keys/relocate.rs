//! Entries that get another name or database: RENAME, RENAMENX, COPY, MOVE.
//!
//! The value is copied once, a large one only by reference; the deadline and the access history go along.
//!
//! Invariant: dispatch holds the stripes of source and destination, also in another database (`OtherDatabases`).
//!
//! Thread safety: functions on one command's context.

use crate::command::{
    ACCESS, Argument, ArgumentType, Arity, Command, DELETE, DENYOOM, FAST, INSERT, KEY, KeySpec, OW, Outcome,
    RO, RW, Run, UPDATE, WRITE,
};
use crate::ctx::Ctx;
use crate::error::CommandError;
use crate::options::database;
use wire::Args;
use wire::number::parse_u64;

pub(super) const RENAME: Command = Command {
    name: "RENAME",
    arity: Arity::Exactly(3),
    flags: WRITE,
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
        let detached = ctx.data.copy(old, new).ok_or(CommandError::NO_SUCH_KEY)?;
        ctx.data.delete(old);
        ctx.data.attach(ctx.data.database, detached);
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) const RENAMENX: Command = Command {
    name: "RENAMENX",
    flags: WRITE.and(FAST),
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
    let detached = ctx.data.copy(old, new).ok_or(CommandError::NO_SUCH_KEY)?;
    ctx.data.delete(old);
    ctx.data.attach(ctx.data.database, detached);
    ctx.reply.integer(1);
    Ok(())
}

pub(super) const COPY: Command = Command {
    name: "COPY",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(DENYOOM),
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
fn copy_destination(args: Args<'_>, visit: &mut dyn FnMut(usize, &[u8])) {
    let mut database = None;
    let mut at = 3;
    while let Some(word) = args.get(at) {
        if word.eq_ignore_ascii_case(b"DB") {
            at += 1;
            database = parse_u64(args.at(at)).and_then(|number| usize::try_from(number).ok());
        }
        at += 1;
    }
    if let Some(database) = database {
        visit(database, args.at(2));
    }
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
        ctx.data.attach(target, detached);
    }
    ctx.reply.integer(i64::from(copied));
    Ok(())
}

pub(super) const MOVE: Command = Command {
    name: "MOVE",
    arity: Arity::Exactly(3),
    flags: WRITE.and(FAST),
    keys: &[KeySpec::one(1, RW.and(ACCESS).and(UPDATE))],
    summary: "Moves a key to another database, if no key has its name there.",
    args: &[KEY, Argument::new("db", ArgumentType::Integer)],
    other_databases: Some(move_destination),
    run: Run::Body(move_key),
    ..Command::DEFAULT
};

fn move_destination(args: Args<'_>, visit: &mut dyn FnMut(usize, &[u8])) {
    if let Some(database) = parse_u64(args.at(2)).and_then(|number| usize::try_from(number).ok()) {
        visit(database, args.at(1));
    }
}

fn move_key(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let target = database(args.at(2), ctx.data.databases.count())?;
    if target == ctx.data.database {
        return Err(CommandError::SAME_OBJECT);
    }
    let free = ctx.data.find_in(target, key).is_none();
    let detached = if free { ctx.data.copy(key, key) } else { None };
    let moved = detached.is_some();
    if let Some(detached) = detached {
        ctx.data.delete(key);
        ctx.data.attach(target, detached);
    }
    ctx.reply.integer(i64::from(moved));
    Ok(())
}
