//! The runner: the one way in which a command runs that may. Its body is called with what it holds, its error is written, it
//! is recorded, and its effect is noted.
//!
//! Not who runs when, and not the taking of stripes or of the gate: that is `dispatch`. What `dispatch` runs one by one,
//! `transaction` in a row and `alone` behind the gate passes here alike. Whether a request may run at all (`admission`) is
//! asked before, while nothing is held; for a transaction once, for all it has collected.
//!
//! Invariants: (1) a body that has ended is recorded once, while all it needed is held; (2) its error is written here; (3)
//! what it has changed is noted for whoever follows before it is given back.
//!
//! Thread safety: works on one batch of one worker.

use crate::error::CommandError;
use crate::run::ctx::Ctx;
use crate::run::prepared::Prepared;
use crate::run::recording::{self, Clock, Ran, Timing};
use crate::spec::command::{Command, Outcome, Progress, Run, Slice};
use keyspace::Databases;
use wire::Mark;

/// What a command has to itself while it runs.
pub(crate) enum Held<'r> {
    /// The stripes of its keys, which its context has.
    Stripes,
    /// All databases: nobody else is inside the gate.
    Everything(&'r mut Databases),
}

/// See the module's text.
pub(crate) struct Runner<'r, 'a> {
    pub ctx: &'r mut Ctx<'a>,
    pub held: Held<'r>,
    pub clock: &'r Clock,
}

impl Runner<'_, '_> {
    /// Runs a command; of a sliced one, a slice.
    #[inline(always)]
    pub(crate) fn run(
        self,
        request: &Prepared<'_>,
        command: &'static Command,
        timing: Timing,
        progress: &mut Progress,
    ) -> Slice {
        let Runner { ctx, held, clock } = self;
        let before = ctx.reply.mark();
        let mut outcome = match (command.run, held) {
            (Run::Body(body), _) => body(ctx, request.args),
            (Run::Slices(body), _) => match body(ctx, request.args, progress) {
                Ok(slice) if slice != Slice::Done && !ctx.data.keys.is_astray() => return slice,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            },
            (Run::Alone(body), Held::Everything(databases)) => body(databases, ctx, request.args),
            (Run::Alone(_) | Run::Transaction | Run::Container, _) => unreachable!("handled by the caller"),
        };
        if ctx.data.keys.is_astray() {
            outcome = lead_back(ctx, request, before);
        }
        if let Err(error) = &outcome {
            ctx.reply.error(error.text());
        }
        recording::record(ctx, &Ran { request, command, outcome: &outcome, clock, timing }, before);
        if let Some(effects) = &mut ctx.effects {
            effects.note(ctx.data.journal, command, request.args, ctx.data.database);
        }
        Slice::Done
    }

    /// Runs a command to its end; the slices of a sliced one follow each other at once.
    pub(crate) fn run_through(self, request: &Prepared<'_>, command: &'static Command) {
        let Runner { ctx, mut held, clock } = self;
        let timing = clock.start(ctx.data.recorder, command.flags);
        let mut progress = Progress::in_place();
        loop {
            let held = match &mut held {
                Held::Stripes => Held::Stripes,
                Held::Everything(databases) => Held::Everything(databases),
            };
            let runner = Runner { ctx, held, clock };
            if runner.run(request, command, timing, &mut progress) == Slice::Done {
                return;
            }
        }
    }
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
