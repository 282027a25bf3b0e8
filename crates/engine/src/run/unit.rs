//! Units: how what runs as a whole begins and ends while somebody follows the data.
//!
//! Not the collecting of effects, see `effects`: here is what a command may begin with, and what its reply waits for.
//!
//! Invariants: (1) a unit is sealed while all that it has changed is held; (2) a reply waits for every change that it may
//! show: whoever had the stripes of keys has seen the last ticket of each, whoever counted or walked without them the
//! newest there is.
//!
//! Thread safety: functions on one batch of one worker.

use crate::run::ctx::Ctx;
use crate::run::data::Locks;
use crate::run::effects::Effects;
use crate::spec::command::{Command, Run};
use crate::spec::flags::{READONLY, REPORTS, WRITE};
use crate::state::session::Session;
use keyspace::Journal;
use wire::{Mark, Reply};

/// Whether a request may begin: it has no effect, or there is room for it. `before` is where its reply will begin. What
/// `has_begun` already, in slices, goes on: others wait for it.
#[cold]
pub(crate) fn begin(ctx: &mut Ctx<'_>, command: &Command, before: Mark, has_begun: bool) -> bool {
    let Some(effects) = &mut ctx.effects else { return true };
    effects.reply_start = Some(before);
    if has_begun {
        ctx.data.journal.keeps_dead = false;
        return true;
    }
    effects.has_room(ctx.data.journal) || !has_effect(ctx.session, command)
}

fn has_effect(session: &Session, command: &Command) -> bool {
    match (&command.run, &session.multi) {
        (Run::Transaction, Some(multi)) => {
            multi.queue.iter().any(|queued| queued.entry.command.flags.has(WRITE))
        }
        _ => command.flags.has(WRITE),
    }
}

/// A command has run that is a unit of its own.
#[cold]
pub(crate) fn end(ctx: &mut Ctx<'_>, command: &Command) {
    seal(ctx, reads_at_large(command));
}

/// A sliced command gives its stripes back before it is done: what it has found past its deadline is a unit of its own.
#[cold]
pub(crate) fn seal_found(ctx: &mut Ctx<'_>) {
    if let Some(effects) = &mut ctx.effects {
        effects.seal(ctx.data.journal);
    }
}

/// Ends a unit whose stripes are still held; `at_large`: it has also read without them.
#[cold]
pub(crate) fn seal(ctx: &mut Ctx<'_>, at_large: bool) {
    let Some(effects) = &mut ctx.effects else { return };
    effects.seal(ctx.data.journal);
    let seen = if at_large { effects.newest() } else { newest_of(&ctx.data.locks) };
    effects.hold(ctx.reply, seen);
}

/// Ends a unit that ran behind the gate.
#[cold]
pub(crate) fn seal_alone(effects: &mut Effects, journal: &mut Journal, reply: &mut Reply, before: Mark) {
    effects.seal(journal);
    effects.reply_start = Some(before);
    effects.hold(reply, effects.newest());
}

/// Whether a command looks at data without the stripes of keys: it counts, walks, draws, or reports.
fn reads_at_large(command: &Command) -> bool {
    command.keys.is_empty()
        && (command.flags.has(READONLY) || command.flags.has(WRITE) || command.flags.has(REPORTS))
}

fn newest_of(locks: &Locks<'_>) -> u64 {
    match locks {
        Locks::None => 0,
        Locks::One(_, locked) => locked.ticket(),
        Locks::Many(held) => held.iter().map(|(_, locked)| locked.ticket()).max().unwrap_or(0),
    }
}
