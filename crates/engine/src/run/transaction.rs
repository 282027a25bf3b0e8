//! How a transaction is collected and runs: what dispatch does between MULTI and EXEC.
//!
//! EXEC locks the stripes of all its commands' keys and of the watched keys at once, checks the watches, and runs: nobody
//! sees a half of it. What cannot be locked that way (commands that walk the keyspace, more than
//! `STRIPES_MAX` stripes) runs behind the gate, with nobody else inside.
//!
//! Not a rollback: as in Redis, a command that fails leaves the others' effects in place.
//!
//! Thread safety: works on one session inside one batch.

use crate::config::Setting;
use crate::error::CommandError;
use crate::run::alone::Alone;
use crate::run::contention::{Contention, Loss, Lost, STRIPES_MAX};
use crate::run::ctx::Ctx;
use crate::run::data::{LockId, lock_id, push_ids};
use crate::run::keys::{Declared, DeclaredKey, Kept, KeyRange};
use crate::run::parked::Parked;
use crate::run::prepared::Prepared;
use crate::run::recording::{self, Clock};
use crate::run::runner::{Held, Runner};
use crate::run::slicing;
use crate::run::step::Step;
use crate::run::unit;
use crate::spec::command::{Command, Run};
use crate::spec::flags::{DENYOOM, READONLY, REPORTS, SELECTS, WRITE};
use crate::state::session::{Multi, Queued, Session};
use keyspace::hash::stripe_of;
use keyspace::{Databases, Journal};
use std::sync::atomic::Ordering::Relaxed;
use wire::Reply;

/// Unfinished requests that the server holds for one client, those between MULTI and EXEC included.
pub const CLIENT_QUERY_BUFFER_LIMIT_BYTES: Setting<usize> = Setting::of("client-query-buffer-limit");

/// Ends every watch of a session: the stripes find out by themselves that nobody has the flag any more.
pub fn unwatch(session: &mut Session) {
    session.watch_flag = None;
    session.watched.clear();
    session.watched_bytes = 0;
    session.show_transaction();
}

/// Ends the collecting of commands.
pub fn leave(session: &mut Session) -> Option<Box<Multi>> {
    let multi = session.multi.take();
    session.show_transaction();
    multi
}

/// Tells the client that its request was not admitted; a transaction it was meant for is lost.
#[cold]
pub(crate) fn refuse(ctx: &mut Ctx<'_>, request: &Prepared<'_>, refusal: &CommandError) {
    let recorder = &mut *ctx.data.recorder;
    if request.entry.is_some() {
        recorder.latency.rejected(request.index());
    }
    let is_exec = request.entry.is_some_and(|entry| matches!(entry.command.run, Run::Transaction));
    if is_exec {
        leave(ctx.session);
        unwatch(ctx.session);
        let reason = refusal.text();
        let reason = reason.strip_prefix(b"ERR ").unwrap_or(reason);
        let abort = [b"EXECABORT Transaction discarded because of: ", reason].concat();
        ctx.data.recorder.errors.record(&abort);
        return ctx.reply.error(abort);
    }
    recorder.errors.record(refusal.text());
    if let Some(multi) = &mut ctx.session.multi {
        multi.broken = true;
    }
    ctx.reply.error(refusal.text());
}

/// Keeps a command for EXEC.
pub(crate) fn queue(ctx: &mut Ctx<'_>, request: &Prepared<'_>, command: &'static Command) {
    let (Some(multi), Some(entry)) = (&mut ctx.session.multi, request.entry) else { return };
    if multi.broken {
        // EXEC will refuse it anyway.
        return ctx.reply.simple("QUEUED");
    }
    let listed = match request.keys {
        Declared::One(_) => &[],
        Declared::Listed(range) => ctx.data.keys.of(range),
    };
    let bytes = size_of::<Queued>() + request.args.owned_bytes() + size_of_val::<[DeclaredKey]>(listed);
    let limit = ctx.instance.settings.read(CLIENT_QUERY_BUFFER_LIMIT_BYTES);
    if ctx.session.watched_bytes + multi.queued_bytes + bytes > limit {
        **multi = Multi { broken: true, ..Multi::default() };
        ctx.session.show_transaction();
        return ctx.reply.error(CommandError::TRANSACTION_TOO_LONG.text());
    }
    multi.queued_bytes += bytes;
    multi.grows |= command.flags.has(DENYOOM);
    let args = request.args.to_owned();
    let keys = match request.keys {
        Declared::One(key) => Kept::One(key.hash),
        Declared::Listed(_) => Kept::Listed(multi.keys.adopt(listed, args.as_args())),
    };
    multi.queue.push(Queued { entry, args, keys });
    ctx.session.show_transaction();
    ctx.reply.simple("QUEUED");
}

/// EXEC inside the gate's shared side.
pub(crate) fn execute<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'_>,
    contention: &mut Contention,
    lock_ids: &mut Vec<LockId>,
    clock: &Clock,
    parked: &mut Parked,
) -> Step {
    let Some(multi) = &ctx.session.multi else {
        return fail(ctx, request, CommandError::EXEC_WITHOUT_MULTI);
    };
    if multi.broken {
        leave(ctx.session);
        unwatch(ctx.session);
        return fail(ctx, request, CommandError::EXEC_ABORTED);
    }
    if !plan(multi, ctx.session, ctx.data.databases, lock_ids) {
        return Step::Alone;
    }
    let (now_ms, client) = (ctx.data.now_ms(), ctx.session.client.id);
    match contention.lock_all(ctx.data.databases, lock_ids, now_ms, client, &mut parked.loss) {
        Ok(locks) => ctx.data.locks = locks,
        Err(Lost::Park) => return Step::Busy,
        Err(Lost::TooWide) => return Step::Alone,
    }
    parked.loss = Loss::default();
    // Whichever of its keys: transactions and pins rarely meet in a stripe.
    if ctx.data.locks.may_be_pinned()
        && let Some(pin) = ctx.data.locks.any_pin()
    {
        return slicing::wait(ctx, contention, parked, Some(&pin));
    }
    if parked.has_sliced {
        slicing::end(ctx.instance, client, parked);
    }
    let Some(mut multi) = leave(ctx.session) else { return Step::Done };
    let broken = take_watches(ctx);
    if broken {
        ctx.reply.null_array();
    } else {
        ctx.reply.array(multi.queue.len());
        std::mem::swap(ctx.data.keys, &mut multi.keys);
        for queued in &multi.queue {
            let (prepared, command) = queued.prepared();
            ctx.data.database = ctx.session.database;
            ctx.data.declare(prepared.keys);
            Runner { ctx, held: Held::Stripes, clock }.run_through(&prepared, command);
        }
        std::mem::swap(ctx.data.keys, &mut multi.keys);
        ctx.data.declare_listed(KeyRange::EMPTY);
    }
    ctx.data.recorder.latency.called(request.index());
    if ctx.effects.is_some() {
        unit::seal(ctx, false);
    }
    contention.unlock(&mut ctx.data.locks);
    Step::Done
}

fn fail(ctx: &mut Ctx<'_>, request: &Prepared<'_>, error: CommandError) -> Step {
    ctx.reply.error(error.text());
    ctx.data.recorder.latency.called(request.index());
    ctx.data.recorder.latency.failed(request.index());
    ctx.data.recorder.errors.record(error.text());
    Step::Done
}

/// Collects the stripes a transaction needs; false if it needs the gate.
fn plan(multi: &Multi, session: &Session, databases: &Databases, ids: &mut Vec<LockId>) -> bool {
    ids.clear();
    let mut database = session.database;
    for queued in &multi.queue {
        let command = queued.entry.command;
        let walks = !command.has_keys() && (command.flags.has(WRITE) || command.flags.has(READONLY));
        let runs_on_stripes = matches!(command.run, Run::Body(_) | Run::Slices(_));
        if walks || command.flags.has(REPORTS) || !runs_on_stripes {
            return false;
        }
        if command.flags.has(SELECTS) {
            // One that will fail leaves the database as it was.
            let chosen = wire::number::parse_i64(queued.args.as_args().at(1))
                .and_then(|chosen| usize::try_from(chosen).ok());
            database = chosen.filter(|&chosen| chosen < databases.count()).unwrap_or(database);
        }
        match queued.keys {
            Kept::One(hash) => ids.push(lock_id(database, hash)),
            Kept::Listed(range) => push_ids(&multi.keys, range, database, databases.count(), ids),
        }
    }
    ids.extend(session.watched.keys().map(|watched| lock_id(watched.database, watched.hash)));
    ids.sort_unstable();
    ids.dedup();
    ids.len() <= STRIPES_MAX
}

/// Ends the session's watches, whose stripes are held; true if a watched key was changed or has expired.
fn take_watches(ctx: &mut Ctx<'_>) -> bool {
    let Some(flag) = ctx.session.watch_flag.take() else { return false };
    let watched = std::mem::take(&mut ctx.session.watched);
    let expired = watched.iter().any(|(key, &existed)| existed && ctx.data.is_gone(key));
    ctx.session.watched_bytes = 0;
    ctx.session.show_transaction();
    expired || flag.load(Relaxed)
}

/// EXEC with nobody else inside the gate.
pub(crate) fn run_alone(
    alone: &mut Alone<'_>,
    request: &Prepared<'_>,
    session: &mut Session,
    reply: &mut Reply,
) {
    let Some(mut multi) = leave(session) else { return };
    std::mem::swap(alone.keys, &mut multi.keys);
    let broken = session.is_watch_broken() || has_expired(session, alone.databases, alone.journal);
    unwatch(session);
    if broken {
        reply.null_array();
    } else {
        reply.array(multi.queue.len());
        for queued in &multi.queue {
            alone.run(&queued.prepared().0, session, reply);
        }
    }
    alone.recorder.latency.called(request.index());
    recording::drain(alone.journal, alone.recorder);
}

fn has_expired(session: &Session, databases: &Databases, journal: &mut Journal) -> bool {
    session.watched.iter().filter(|&(_, &existed)| existed).any(|(watched, _)| {
        let key = keyspace::Key { bytes: &watched.key, hash: watched.hash };
        let database = databases.existing(watched.database);
        let locked = database.map(|database| database.lock_alone(stripe_of(watched.hash)));
        locked.is_none_or(|mut locked| locked.look(key, journal).is_none())
    })
}

impl Queued {
    fn prepared(&self) -> (Prepared<'_>, &'static Command) {
        let (args, entry) = (self.args.as_args(), self.entry);
        (Prepared { args, entry: Some(entry), keys: self.keys.of(args) }, entry.command)
    }
}
