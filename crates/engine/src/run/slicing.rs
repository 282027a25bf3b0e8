//! Slicing: what dispatch does for commands whose keys hold more than a slice, and for those that meet their pins.
//!
//! Such a command finds its value larger than a slice under all its latches. Then all its keys are pinned at once, the
//! latches are given back, and the slices follow without any. What only reads has a reference to a value that nobody
//! changes meanwhile; what writes makes its result aside. Both answer in a last step, with their latches.
//!
//! Not the pins themselves: `keyspace::pins`.
//!
//! Invariants: (1) who waits for a pin holds nothing; (2) a request that has waited for a millisecond holds off new pins, one
//! such request at a time; (3) a sliced write is counted at the gate from before its pins until they are over; (4) what has
//! begun waits for no pin.
//!
//! Thread safety: works on one request inside one batch.

use crate::run::contention::Contention;
use crate::run::ctx::Ctx;
use crate::run::parked::Parked;
use crate::run::prepared::Prepared;
use crate::run::step::Step;
use crate::run::unit;
use crate::spec::command::{Command, Progress, Slice, SlicedHold};
use crate::spec::flags::WRITE;
use crate::state::instance::Instance;
use keyspace::{Pin, Pinned};
use std::sync::Arc;

/// Parks a command that cannot begin; `pin` is what stands in its way, if it is not that others come first.
#[cold]
pub(crate) fn wait<'a>(
    ctx: &mut Ctx<'a>,
    contention: &mut Contention,
    parked: &mut Parked,
    pin: Option<&Pin>,
) -> Step {
    contention.unlock(&mut ctx.data.locks);
    let (worker, client) = (ctx.data.journal.worker, ctx.session.client.id);
    parked.has_sliced = true;
    parked.pin_wait.wait(&ctx.instance.waiting, client, worker, pin);
    Step::Busy
}

/// A sliced command wants to be called again; its stripes are held, if it had not begun before.
#[cold]
pub(crate) fn next<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'_>,
    command: &Command,
    slice: Slice,
    contention: &mut Contention,
    parked: &mut Parked,
) -> Step {
    if slice == Slice::Begin {
        return begin(ctx, request, command.flags.has(WRITE), contention, parked);
    }
    if let Some(hold) = &mut parked.progress.hold {
        hold.is_last = slice == Slice::Last;
    }
    give_back(ctx, contention);
    if slice == Slice::Wait { Step::Wait } else { Step::Again }
}

/// Gives the stripes back; a key that was found past its deadline is handed on before.
fn give_back<'a>(ctx: &mut Ctx<'a>, contention: &mut Contention) {
    if ctx.effects.is_some() {
        unit::seal_found(ctx);
    }
    contention.unlock(&mut ctx.data.locks);
}

fn begin<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'_>,
    writes: bool,
    contention: &mut Contention,
    parked: &mut Parked,
) -> Step {
    let (instance, client) = (ctx.instance, ctx.session.client.id);
    if !instance.waiting.may_pin(client) {
        parked.progress = Progress::default();
        give_back(ctx, contention);
        return wait(ctx, contention, parked, None);
    }
    if writes && !instance.gate.begin_sliced() {
        parked.progress = Progress::default();
        give_back(ctx, contention);
        return Step::Away;
    }
    let mut pins = Pinned::new(Arc::clone(&instance.waiting));
    ctx.data.pin(request.keys, writes, &mut pins);
    parked.has_sliced = true;
    parked.progress.hold = Some(Box::new(SlicedHold { pins, is_last: false, is_counted: writes }));
    parked.pin_wait.end(&instance.waiting, client);
    give_back(ctx, contention);
    Step::Again
}

/// A request is done, or will not be: its pins are over, then it counts no more.
#[cold]
pub(crate) fn end(instance: &Instance, client: u64, parked: &mut Parked) {
    // The value it had a reference of is nobody's concern any more, before its pins are over.
    let progress = std::mem::take(&mut parked.progress);
    if let Some(hold) = progress.hold {
        let SlicedHold { pins, is_counted, .. } = *hold;
        drop((progress.kept, progress.found, pins));
        if is_counted {
            instance.gate.end_sliced();
        }
    }
    parked.pin_wait.end(&instance.waiting, client);
    parked.has_sliced = false;
}
