//! PROF: what the observers have seen, answered to clients.
//!
//! Not the recording (`recording`) nor the reports themselves (`observe::report`): here is which report is asked for,
//! what it is made from, and the form of the answer. The reports there are: `observe::report::reports`.
//!
//! Invariants: (1) every report of PROF is also served by the admin plane, made from the same [`Evidence`]; (2) no key's
//! name leaves but through the redactor; (3) PROF RESET forgets traffic and timings, never what is stored, and leaves
//! the counters of INFO alone.
//!
//! Thread safety: a report is made on the thread that makes reports, while the client's command is parked; whoever it is
//! made for, it reads merged copies.

#[cfg(test)]
mod derived;
mod evidence;
mod form;
#[cfg(test)]
mod held;
mod subcommands;
#[cfg(test)]
mod truth;

use engine::Instance;
use engine::error::CommandError;
use engine::registry::Registry;
use engine::run::ctx::Ctx;
use engine::spec::command::{Progress, Slice};
use engine::spec::{Arity, Command, Group, Outcome};
use engine::state::reporter::Length;
pub use evidence::Evidence;
use form::Form;
use observe::record::Observer;
use observe::report::value::Node;
use observe::report::{Asked, reports};
use observe::spec::{Options, ReportSpec};
use std::sync::Arc;
use wire::Args;
use wire::number::parse_i64;

/// Rows of a list unless COUNT says otherwise: what fits a screen.
pub const COUNT_DEFAULT: usize = 10;
/// Most rows of a list: more keys than any summary holds, and a reply of at most a few hundred kilobytes.
pub const COUNT_MAX: usize = 1000;

pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "PROF",
    arity: Arity::AtLeast(2),
    group: Group::Server,
    since: "0.1.0",
    complexity: "Depends on subcommand.",
    summary: "Show what the server has seen: hot keys, latencies, prefixes, sizes, clients, and what hurts most.",
    subcommands: &subcommands::SUBCOMMANDS,
    ..Command::DEFAULT
}];

/// What stands behind a report's subcommand: `[command] [COUNT count] [JSON|TEXT|RESP]`.
fn parse(registry: &Registry, report: &ReportSpec, args: Args<'_>) -> Result<(Asked, Form), CommandError> {
    let mut asked = Asked { count: COUNT_DEFAULT, command: None };
    let mut form = if report.is_text { Form::Text } else { Form::Resp };
    let mut at = 2;
    if report.options == Options::Command
        && let Some(name) = args.get(at).filter(|word| Form::of_word(word).is_none())
    {
        asked.command = Some(command_of(registry, name)?);
        at += 1;
    }
    while let Some(word) = args.get(at) {
        if let Some(named) = Form::of_word(word) {
            form = named;
        } else if word.eq_ignore_ascii_case(b"COUNT") {
            at += 1;
            let number = args.get(at).ok_or(CommandError::SYNTAX)?;
            let number = parse_i64(number).ok_or(CommandError::NOT_AN_INTEGER)?;
            let count = usize::try_from(number).ok().filter(|count| (1..=COUNT_MAX).contains(count));
            asked.count = count.ok_or_else(|| CommandError::count_out_of_range(COUNT_MAX))?;
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 1;
    }
    Ok((asked, form))
}

/// Every report: which one, the subcommand says. It is made, and encoded, off the worker.
fn answer(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let report = args.get(1).and_then(reports::find).ok_or(CommandError::SYNTAX)?;
    let (asked, form) = parse(ctx.instance.registry, report, args)?;
    let protocol = ctx.reply.protocol();
    let make = move |instance: &Instance| form::encoded(&made(instance, report, &asked), form, protocol);
    let Some(encoded) = ctx.report(progress, Length::Long, make) else { return Ok(Slice::Wait) };
    ctx.reply.raw_shared(Arc::new(encoded));
    Ok(Slice::Done)
}

/// A report as the server is now: for PROF and the admin plane alike.
pub fn made(instance: &Instance, report: &ReportSpec, asked: &Asked) -> Node {
    let evidence = Evidence::of(instance, instance.snapshot_for(report));
    (report.make)(&evidence.input(), asked)
}

/// The index of a command given by its full name: `get`, `config|set`.
pub fn command_of(registry: &Registry, name: &[u8]) -> Result<u16, CommandError> {
    let known = registry.all().iter().find(|entry| entry.full_name.as_bytes().eq_ignore_ascii_case(name));
    known.map(|entry| entry.counted_as).ok_or_else(|| CommandError::no_such_command(name))
}

fn reset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let observer = match args.get(2) {
        None => None,
        Some(word) => {
            let named = std::str::from_utf8(word).ok().and_then(Observer::from_name);
            Some(named.ok_or(CommandError::SYNTAX)?)
        }
    };
    if args.len() > 3 {
        return Err(CommandError::SYNTAX);
    }
    let snapshot = ctx.instance.snapshot();
    ctx.instance.recorders.reset(observer);
    ctx.take_recording_orders();
    let (windows, now_ms) = (&ctx.instance.profile_windows, ctx.instance.now_ms());
    match observer {
        None => windows.restart_all(&snapshot, now_ms),
        Some(observer) => windows.restart(observer, &snapshot, now_ms),
    }
    ctx.reply.ok();
    Ok(())
}

/// CONFIG SET changed a switch of the profile: tells the recorders, and since when they count.
pub(crate) fn switch(ctx: &mut Ctx<'_>) {
    let instance = ctx.instance;
    let after = instance.switches();
    let before = instance.recorders.switch(after);
    ctx.take_recording_orders();
    instance.profile_windows.switched(before, after, instance.now_ms());
}
