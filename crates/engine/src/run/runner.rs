//! One command runs: its body is called with its stripes held, or behind the gate, and recorded.
//!
//! Not who runs when, and not the taking of stripes while others are inside: that is `dispatch`. What `dispatch` runs one
//! by one and `transaction` runs in a row passes here alike.
//!
//! Invariants: (1) a body that has ended is recorded once, while its stripes are held; (2) its error is written here.
//!
//! Thread safety: works on one batch of one worker.

use crate::error::CommandError;
use crate::run::ctx::{AloneCtx, Ctx};
use crate::run::data::{Data, lock_id, lock_uncontended, push_ids};
use crate::run::effects::Effects;
use crate::run::keys::{Declared, Keys};
use crate::run::prepared::Prepared;
use crate::run::recording::{self, Clock, Ran, Timing};
use crate::spec::command::{Command, Outcome, Progress, Run, Slice};
use crate::state::instance::Instance;
use crate::state::session::Session;
use keyspace::{Databases, Journal};
use observe::record::Recorder;
use wire::{Mark, Reply};

/// How one request ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// It must run behind the gate.
    Alone,
    /// Its stripes were taken, or a key is pinned.
    Busy,
    /// The gate is closed, or wanted and this is a sliced write that would begin.
    Away,
    /// It was not begun: there is no room for its effect.
    Full,
    /// It has done a slice of its work.
    Again,
    /// It waits for a report.
    Wait,
    /// It was not begun: memory is short, and there are databases without keys to give back first.
    Reclaim,
    /// It was not begun: see [`End::Yield`].
    Yield,
}

/// Runs a body whose stripes are held, writes its error, and records it. A sliced command runs one slice.
#[inline(always)]
pub(crate) fn call(
    ctx: &mut Ctx<'_>,
    request: &Prepared<'_>,
    command: &'static Command,
    clock: &Clock,
    timing: Timing,
    progress: &mut Progress,
) -> Slice {
    let before = ctx.reply.mark();
    let mut outcome = match command.run {
        Run::Body(body) => body(ctx, request.args),
        Run::Slices(body) => match body(ctx, request.args, progress) {
            Ok(slice) if slice != Slice::Done && !ctx.data.keys.is_astray() => return slice,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        },
        Run::Alone(_) | Run::Transaction | Run::Container => unreachable!("handled by the caller"),
    };
    if ctx.data.keys.is_astray() {
        outcome = lead_back(ctx, request, before);
    }
    if let Err(error) = &outcome {
        ctx.reply.error(error.text());
    }
    recording::record(ctx, &Ran { request, command, outcome: &outcome, clock, timing }, before);
    Slice::Done
}

/// A command has reached for a key that it did not declare: whatever it has answered, the answer is an error.
#[cold]
fn lead_back(ctx: &mut Ctx<'_>, request: &Prepared<'_>, before: Mark) -> Outcome {
    ctx.data.keys.lead_back();
    ctx.reply.truncate(before);
    if let Some(entry) = request.entry
        && ctx.instance.astray.lock().insert(entry.index)
    {
        tracing::error!("{} reached for a key that it does not declare", entry.full_name);
    }
    Err(CommandError::UNDECLARED_KEY)
}

/// What commands behind the gate run with.
pub(crate) struct AloneRoom<'a> {
    pub instance: &'a Instance,
    pub recorder: &'a mut Recorder,
    pub journal: &'a mut Journal,
    pub effects: Option<&'a mut Effects>,
    pub clock: &'a Clock,
    /// The keys of the requests that are run.
    pub keys: &'a mut Keys,
}

impl AloneRoom<'_> {
    /// Runs one command: of whole databases, or of keys whose stripes nobody else can hold.
    pub(crate) fn run(
        &mut self,
        databases: &mut Databases,
        request: &Prepared<'_>,
        session: &mut Session,
        reply: &mut Reply,
    ) {
        let Some(command) = request.entry.map(|entry| entry.command) else { return };
        let instance = self.instance;
        let recorder = &mut *self.recorder;
        let timing = self.clock.start(recorder, command.flags);
        if let Run::Alone(body) = command.run {
            let (journal, effects) = (&mut *self.journal, self.effects.as_deref_mut());
            let mut ctx = AloneCtx { instance, session, reply, journal, recorder, effects };
            let outcome = body(databases, &mut ctx, request.args);
            if let Err(error) = &outcome {
                ctx.reply.error(error.text());
            }
            let ran = Ran { request, command, outcome: &outcome, clock: self.clock, timing };
            recording::record_alone(&mut ctx, &ran);
            if let Some(effects) = &mut ctx.effects {
                effects.note(ctx.journal, command, request.args, ctx.session.database);
            }
            return;
        }
        let mut ids = Vec::new();
        match request.keys {
            Declared::One(key) => ids.push(lock_id(session.database, key.hash)),
            Declared::Listed(range) => {
                push_ids(self.keys, range, session.database, databases.count(), &mut ids);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let locks = lock_uncontended(databases, &ids, self.journal.now_ms);
        let (journal, keys) = (&mut *self.journal, &mut *self.keys);
        let database = session.database;
        let mut data = Data::new(databases, (database, None), journal, recorder, keys);
        data.locks = locks;
        data.declare(request.keys);
        let mut ctx = Ctx { instance, session, reply, data, effects: self.effects.as_deref_mut() };
        let mut progress = Progress::in_place();
        while call(&mut ctx, request, command, self.clock, timing, &mut progress) != Slice::Done {}
        if let Some(effects) = &mut ctx.effects {
            effects.note(ctx.data.journal, command, request.args, database);
        }
    }
}
