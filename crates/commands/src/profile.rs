//! PROF: what the observers have seen, answered to clients.
//!
//! Not the recording (`recording`) nor the reports themselves (`observe::report`): here is which report is asked for,
//! what it is made from, and the form of the answer.
//!
//! Invariants: (1) every report of PROF is also served by the admin plane, made from the same [`Evidence`]; (2) no key's
//! name leaves but through the redactor; (3) PROF RESET forgets traffic and timings, never what is stored, and leaves
//! the counters of INFO alone.
//!
//! Thread safety: bodies run on one worker, hold no stripe, and read merged copies.

mod evidence;
mod form;
#[cfg(test)]
mod truth;

use engine::error::CommandError;
use engine::registry::Registry;
use engine::run::ctx::Ctx;
use engine::spec::{
    ADMIN, Argument, ArgumentType, Arity, Command, Group, LOADING, NOSCRIPT, Outcome, REPORTS, Run, STALE,
};
pub use evidence::Evidence;
use form::Form;
use observe::record::{Observer, Recorder, Switches};
use observe::report::value::Node;
use observe::report::{Input, clients, cost, hotkeys, latency, prefixes, sizes, verdict};
use wire::Args;
use wire::number::parse_i64;

/// Rows of a list unless COUNT says otherwise: what fits a screen.
pub const COUNT_DEFAULT: usize = 10;
/// Most rows of a list: more keys than any summary holds, and a reply of at most a few hundred kilobytes.
pub const COUNT_MAX: usize = 1000;

const FORMS: &[Argument] =
    &[Argument::token("json", "JSON"), Argument::token("text", "TEXT"), Argument::token("resp", "RESP")];
const FORM: Argument = Argument::one_of("form", FORMS).optional();
const COUNT: Argument = Argument::new("count", ArgumentType::Integer).after("COUNT").optional();
const OBSERVERS: &[Argument] = &[
    Argument::token("clients", "CLIENTS"),
    Argument::token("hotkeys", "HOTKEYS"),
    Argument::token("latency", "LATENCY"),
    Argument::token("prefixes", "PREFIXES"),
    Argument::token("sizes", "SIZES"),
];

const SUBCOMMAND: Command = Command {
    arity: Arity::AtLeast(2),
    flags: LOADING.and(STALE).and(NOSCRIPT).and(REPORTS),
    group: Group::Server,
    categories: &["dangerous"],
    since: "0.1.0",
    complexity: "O(1); what is kept is bounded",
    args: &[FORM],
    ..Command::DEFAULT
};

pub(crate) const COMMANDS: &[Command] = &[Command {
    name: "PROF",
    arity: Arity::AtLeast(2),
    group: Group::Server,
    since: "0.1.0",
    complexity: "Depends on subcommand.",
    summary: "Show what the server has seen: hot keys, latencies, prefixes, sizes, clients, and what hurts most.",
    subcommands: SUBCOMMANDS,
    ..Command::DEFAULT
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "ADVICE",
        summary: "Return the findings alone: culprit, evidence, remedy, and what it would save.",
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Resp, &|input, _| verdict::advice(input))),
        ..SUBCOMMAND
    },
    Command {
        name: "CLIENTS",
        summary: "Return traffic, errors, backlog and reconnects per client.",
        args: &[COUNT, FORM],
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Resp, &clients::report)),
        ..SUBCOMMAND
    },
    Command {
        name: "COST",
        summary: "Return what each observer costs in time and memory, measured on a scratch instance (3 ms).",
        run: Run::Body(cost),
        ..SUBCOMMAND
    },
    Command {
        name: "HELP",
        arity: Arity::Exactly(2),
        flags: LOADING.and(STALE),
        complexity: "O(1)",
        summary: "Show this text.",
        args: &[],
        run: Run::Body(crate::usage::help),
        ..SUBCOMMAND
    },
    Command {
        name: "HOTKEYS",
        summary: "Return the keys with most operations, CPU time, bytes, writes and misses, with error bounds.",
        args: &[COUNT, FORM],
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Resp, &hotkeys::report)),
        ..SUBCOMMAND
    },
    Command {
        name: "LATENCY",
        summary: "Return the latency of every command by stage, or one command in detail.",
        args: &[Argument::new("command", ArgumentType::Text).optional(), FORM],
        run: Run::Body(latency),
        ..SUBCOMMAND
    },
    Command {
        name: "PREFIXES",
        summary: "Return keys, memory, traffic and hit ratio per key prefix.",
        args: &[COUNT, FORM],
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Resp, &prefixes::report)),
        ..SUBCOMMAND
    },
    Command {
        name: "REPORT",
        summary: "Return the verdict, the findings and the evidence of all observers, as text.",
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Text, &|input, _| verdict::report(input))),
        ..SUBCOMMAND
    },
    Command {
        name: "RESET",
        flags: SUBCOMMAND.flags.and(ADMIN),
        categories: &[],
        summary: "Forget traffic and timings, of one observer or of all.",
        args: &[Argument::one_of("observer", OBSERVERS).optional()],
        run: Run::Body(reset),
        ..SUBCOMMAND
    },
    Command {
        name: "SIZES",
        summary: "Return the lengths of stored keys and values, overhead per key, and latency by size.",
        run: Run::Body(|ctx, args| answer(ctx, args, Form::Resp, &|input, _| sizes::report(input))),
        ..SUBCOMMAND
    },
];

/// What stands behind a subcommand, besides its own words: `[COUNT count] [JSON|TEXT|RESP]`.
struct Asked {
    count: usize,
    form: Form,
}

impl Asked {
    fn parse(options: Args<'_>, usual: Form) -> Result<Asked, CommandError> {
        let mut asked = Asked { count: COUNT_DEFAULT, form: usual };
        let mut at = 0;
        while let Some(word) = options.get(at) {
            if let Some(form) = Form::of_word(word) {
                asked.form = form;
            } else if word.eq_ignore_ascii_case(b"COUNT") {
                at += 1;
                let number = options.get(at).ok_or(CommandError::SYNTAX)?;
                let number = parse_i64(number).ok_or(CommandError::NOT_AN_INTEGER)?;
                let count = usize::try_from(number).ok().filter(|count| (1..=COUNT_MAX).contains(count));
                asked.count = count.ok_or_else(|| CommandError::count_out_of_range(COUNT_MAX))?;
            } else {
                return Err(CommandError::SYNTAX);
            }
            at += 1;
        }
        Ok(asked)
    }
}

fn answer(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    usual: Form,
    report: &dyn Fn(&Input<'_>, usize) -> Node,
) -> Outcome {
    let asked = Asked::parse(args.from(2), usual)?;
    let evidence = Evidence::of(ctx.instance, ctx.snapshot());
    form::write(ctx.reply, &report(&evidence.input(), asked.count), asked.form);
    Ok(())
}

fn cost(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let switches = ctx.instance.switches();
    answer(ctx, args, Form::Resp, &|input, _| cost::report(input, switches))
}

/// A command's name may stand in front of the form: `PROF LATENCY GET`, `PROF LATENCY config|get JSON`.
fn latency(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let name = args.get(2).filter(|word| Form::of_word(word).is_none());
    let command = name.map(|name| command_of(ctx.instance.registry, name)).transpose()?;
    let asked = Asked::parse(args.from(2 + usize::from(name.is_some())), Form::Resp)?;
    let evidence = Evidence::of(ctx.instance, ctx.snapshot());
    form::write(ctx.reply, &latency::report(&evidence.input(), command), asked.form);
    Ok(())
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
    let snapshot = ctx.snapshot();
    ctx.each_recorder(|recorder| match observer {
        None => recorder.reset(),
        Some(observer) => forget(recorder, observer),
    });
    let (windows, now_ms) = (&ctx.instance.profile_windows, ctx.instance.now_ms());
    match observer {
        None => windows.restart_all(&snapshot, now_ms),
        Some(observer) => windows.restart(observer, &snapshot, now_ms),
    }
    ctx.reply.ok();
    Ok(())
}

fn forget(recorder: &mut Recorder, observer: Observer) {
    match observer {
        Observer::Latency => recorder.latency.reset_timings(),
        Observer::HotKeys => recorder.hotkeys.reset(),
        Observer::Prefixes => recorder.prefixes.reset(),
        Observer::Sizes => recorder.sizes.reset(),
        Observer::Clients => recorder.connects.reset(),
    }
}

/// CONFIG SET changed a switch of the profile: tells every recorder, and since when it counts.
pub(crate) fn switch(ctx: &mut Ctx<'_>) {
    let instance = ctx.instance;
    let (mut before, after): (Option<Switches>, Switches) = (None, instance.switches());
    ctx.each_recorder(|recorder| {
        before.get_or_insert(recorder.switches);
        recorder.switches = after;
    });
    instance.profile_windows.switched(before.unwrap_or_default(), after, instance.now_ms());
}
