//! The commands of transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Not how a transaction runs, which dispatch does (`transaction`).
//!
//! Thread safety: works on one session inside one batch.

use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::run::transaction::{CLIENT_QUERY_BUFFER_LIMIT_BYTES, leave, unwatch};
use engine::spec::{
    ALLOW_BUSY, Argument, ArgumentType, Arity, Command, FAST, Flags, Group, KeySpec, LOADING, NO_MULTI,
    NOSCRIPT, NOT_QUEUED, OUTSIDE, Outcome, RO, Run, SKIP_SLOWLOG, STALE,
};
use engine::state::session::Watched;
use std::collections::btree_map::Entry;
use wire::Args;

const CONTROL: Flags = NOSCRIPT.and(LOADING).and(STALE).and(FAST).and(ALLOW_BUSY).and(NOT_QUEUED);

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "MULTI",
        arity: Arity::Exactly(1),
        flags: CONTROL.and(NO_MULTI).and(OUTSIDE),
        group: Group::Transactions,
        since: "1.2.0",
        summary: "Starts a transaction.",
        run: Run::Body(multi),
        ..Command::DEFAULT
    },
    Command {
        name: "EXEC",
        arity: Arity::Exactly(1),
        flags: NOSCRIPT.and(LOADING).and(STALE).and(SKIP_SLOWLOG).and(NOT_QUEUED),
        group: Group::Transactions,
        since: "1.2.0",
        complexity: "Depends on commands in the transaction",
        summary: "Executes all commands in a transaction.",
        run: Run::Transaction,
        ..Command::DEFAULT
    },
    Command {
        name: "DISCARD",
        arity: Arity::Exactly(1),
        flags: CONTROL.and(OUTSIDE),
        group: Group::Transactions,
        since: "2.0.0",
        complexity: "O(N), when N is the number of queued commands",
        summary: "Discards a transaction.",
        run: Run::Body(discard),
        ..Command::DEFAULT
    },
    Command {
        name: "WATCH",
        arity: Arity::AtLeast(2),
        flags: CONTROL.and(NO_MULTI),
        keys: &[KeySpec::range(1, -1, 1, RO)],
        group: Group::Transactions,
        since: "2.2.0",
        complexity: "O(1) for every key.",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        args: &[Argument::new("key", ArgumentType::Key).multiple()],
        run: Run::Body(watch),
        ..Command::DEFAULT
    },
    Command {
        name: "UNWATCH",
        arity: Arity::Exactly(1),
        flags: NOSCRIPT.and(LOADING).and(STALE).and(FAST).and(ALLOW_BUSY).and(OUTSIDE),
        group: Group::Transactions,
        since: "2.2.0",
        summary: "Forgets about watched keys of a transaction.",
        run: Run::Body(unwatch_command),
        ..Command::DEFAULT
    },
];

fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    debug_assert!(ctx.session.multi.is_none(), "admission refuses NO_MULTI commands inside a transaction");
    ctx.session.multi = Some(Box::default());
    ctx.session.show_transaction();
    ctx.reply.ok();
    Ok(())
}

fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if ctx.session.multi.is_none() {
        return Err(CommandError::DISCARD_WITHOUT_MULTI);
    }
    leave(ctx.session);
    unwatch(ctx.session);
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let watched = watch_keys(ctx, args.from(1));
    ctx.session.show_transaction();
    watched?;
    ctx.reply.ok();
    Ok(())
}

/// Watches as many of the keys as the limit allows; an error if those are not all.
fn watch_keys(ctx: &mut Ctx<'_>, keys: Args<'_>) -> Outcome {
    let limit = ctx.instance.settings.read(CLIENT_QUERY_BUFFER_LIMIT_BYTES);
    let flag = ctx.session.watch_flag.get_or_insert_default().clone();
    for key in keys.iter() {
        let hash = ctx.data.key(key).hash;
        let watched = Watched { database: ctx.data.database, hash, key: key.into() };
        if let Entry::Vacant(place) = ctx.session.watched.entry(watched) {
            let bytes = place.key().memory_bytes();
            if ctx.session.watched_bytes + bytes > limit {
                return Err(CommandError::TOO_MUCH_WATCHED);
            }
            ctx.session.watched_bytes += bytes;
            let exists = ctx.data.watch(place.key(), &flag);
            place.insert(exists);
        }
    }
    Ok(())
}

fn unwatch_command(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    unwatch(ctx.session);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::converse;

    /// As Valkey 9.1 does: what may not be in a transaction breaks it, MULTI and WATCH like any other.
    #[test]
    fn multi_and_watch_inside_a_transaction_break_it() {
        let aborted = "-EXECABORT Transaction discarded because of previous errors.";
        for (request, name) in [("MULTI", "multi"), ("WATCH a", "watch"), ("CLIENT REPLY ON", "client|reply")]
        {
            converse(&[
                ("MULTI", "+OK"),
                ("SET a 1", "+QUEUED"),
                (request, &format!("-ERR Command '{name}' not allowed inside a transaction")),
                ("SET a 2", "+QUEUED"),
                ("EXEC", aborted),
                ("EXISTS a", ":0"),
                ("WATCH a", "+OK"),
                ("MULTI", "+OK"),
                ("EXEC", "*0"),
            ]);
        }
    }
}
