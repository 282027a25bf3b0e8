//! Admission: whether a request may run at all. Known command, right number of arguments, authenticated, allowed in a
//! transaction, memory to be had.
//!
//! Not the command's own checks of its arguments. Eviction happens here, before any stripe is locked.
//!
//! Thread safety: one `Admission` per worker.

use crate::config::Setting;
use crate::error::CommandError;
use crate::registry::Entry;
use crate::run::ctx::Ctx;
use crate::run::effects::Effects;
use crate::run::prepared::Prepared;
use crate::spec::command::{Command, Run};
use crate::spec::flags::{DENYOOM, NO_AUTH, NO_MULTI};
use crate::state::instance::{Instance, MAXMEMORY, MAXMEMORY_POLICY};
use keyspace::eviction::{Evictor, Policy};
use keyspace::{Databases, Journal};

/// Keys evicted at a time at most; what is still too much then is left to the next commands and the timer.
const EVICTIONS_MAX: usize = 64;

/// Keys compared for each one evicted.
const MAXMEMORY_SAMPLES: Setting<usize> = Setting::of("maxmemory-samples");

/// What a worker keeps to evict well.
pub(crate) struct Admission {
    evictor: Evictor,
    policy: Policy,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission { evictor: Evictor::default(), policy: Policy::NoEviction }
    }
}

/// How memory stands to `maxmemory`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Room {
    /// Within it, or there is no limit.
    Enough,
    /// Above it, and keys were evicted: more of them can be.
    Gaining,
    /// Above it, and no key can be evicted.
    Lacking,
    /// Above it after evictions, and there are databases left without keys, which can be given back.
    Unused,
}

/// Why a request does not run.
pub(crate) enum Refusal {
    /// The client is told.
    Error(CommandError),
    /// Databases without keys are to be given back first, then it is asked again.
    Reclaim,
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Refusal {
        Refusal::Error(error)
    }
}

impl Admission {
    /// Evicts until used memory is within `maxmemory`, a bounded number of keys.
    pub(crate) fn make_room(
        &mut self,
        instance: &Instance,
        databases: &Databases,
        journal: &mut Journal,
        mut effects: Option<&mut Effects>,
    ) -> Room {
        let limit = instance.settings.read(MAXMEMORY);
        if limit == 0 || instance.limited_bytes() <= limit {
            return Room::Enough;
        }
        if !Effects::have_room(effects.as_deref(), journal) {
            // Whoever wants memory has to wait anyway.
            return Room::Enough;
        }
        let policy = instance.settings.read(MAXMEMORY_POLICY);
        if policy != self.policy {
            self.policy = policy;
            self.evictor.reset();
        }
        let samples = instance.settings.read(MAXMEMORY_SAMPLES);
        for _ in 0..EVICTIONS_MAX {
            let seal = |journal: &mut Journal| Effects::seal_of(effects.as_deref_mut(), journal);
            if self.evictor.evict_one(databases, policy, samples, journal, seal).is_none() {
                return if databases.has_unused(journal.worker) { Room::Unused } else { Room::Lacking };
            }
            if instance.limited_bytes() <= limit {
                return Room::Enough;
            }
        }
        if databases.has_unused(journal.worker) { Room::Unused } else { Room::Gaining }
    }
}

/// Decides whether a request may run; the error is what the client is told.
#[inline(always)]
pub(crate) fn admit(
    ctx: &mut Ctx<'_>,
    request: &Prepared<'_>,
    admission: &mut Admission,
) -> Result<&'static Command, Refusal> {
    let Some(entry) = request.entry else { return Err(CommandError::unknown_command(request.args).into()) };
    let command = entry.command;
    let is_plain = entry.subcommands.is_empty()
        && command.arity.accepts(request.args.len())
        && ctx.session.authenticated
        && ctx.session.multi.is_none()
        && !command.flags.has(DENYOOM);
    if is_plain {
        return Ok(command);
    }
    admit_carefully(ctx, request, entry, admission)
}

fn admit_carefully(
    ctx: &mut Ctx<'_>,
    request: &Prepared<'_>,
    entry: &'static Entry,
    admission: &mut Admission,
) -> Result<&'static Command, Refusal> {
    let command = entry.command;
    if !command.arity.accepts(request.args.len()) {
        return Err(CommandError::wrong_arity(&entry.full_name).into());
    }
    if !entry.subcommands.is_empty() {
        let is_container = matches!(command.run, Run::Container);
        match request.args.get(1) {
            // What also runs bare (COMMAND) has no use for a word that is no subcommand.
            Some(word) if is_container || command.arity.accepts(1) => {
                return Err(CommandError::unknown_subcommand(command.name, word).into());
            }
            None if is_container => return Err(CommandError::wrong_arity(&entry.full_name).into()),
            _ => {}
        }
    }
    if !ctx.session.authenticated && !command.flags.has(NO_AUTH) {
        return Err(CommandError::NO_AUTH.into());
    }
    if ctx.session.multi.is_some() && command.flags.has(NO_MULTI) {
        return Err(CommandError::not_in_multi(&entry.full_name).into());
    }
    let grows = command.flags.has(DENYOOM)
        || matches!((&command.run, &ctx.session.multi), (Run::Transaction, Some(multi)) if multi.grows);
    match grows.then(|| {
        admission.make_room(ctx.instance, ctx.data.databases, ctx.data.journal, ctx.effects.as_deref_mut())
    }) {
        Some(Room::Lacking) => Err(CommandError::OUT_OF_MEMORY.into()),
        Some(Room::Unused) => Err(Refusal::Reclaim),
        Some(Room::Enough | Room::Gaining) | None => Ok(command),
    }
}
