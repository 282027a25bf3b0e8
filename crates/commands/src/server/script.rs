//! SCRIPT and FUNCTION, as far as they are true where nothing can be loaded: none exists, none is listed, and flushing
//! leaves none. Suites and clients send these before and after their work, scripts or not.
//!
//! Not scripting: EVAL, SCRIPT LOAD and FUNCTION LOAD are unknown.
//!
//! Thread safety: pure functions of their arguments.

use super::{FLUSH_ARGS, HELP};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    Argument, ArgumentType, Arity, Command, Effect, Group, NOSCRIPT, Outcome, Run, STALE, WRITE,
};
use wire::Args;

const SCRIPTING: Command = Command {
    arity: Arity::AtLeast(2),
    group: Group::Scripting,
    since: "2.6.0",
    complexity: "Depends on subcommand.",
    ..Command::DEFAULT
};

pub(super) const COMMANDS: &[Command] = &[FUNCTION, SCRIPT];

const SCRIPT: Command = Command {
    name: "SCRIPT",
    summary: "Ask about scripts, of which there are none.",
    subcommands: &[
        Command {
            name: "EXISTS",
            tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
            arity: Arity::AtLeast(3),
            flags: NOSCRIPT.and(STALE),
            complexity: "O(N) where N is the number of digests",
            summary: "Tell of each digest whether a script has it.",
            args: &[Argument::new("sha1", ArgumentType::Text).multiple()],
            run: Run::Body(script_exists),
            ..SCRIPTING
        },
        Command {
            name: "FLUSH",
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            flags: NOSCRIPT.and(STALE),
            complexity: "O(1)",
            summary: "Forget all scripts.",
            args: FLUSH_ARGS,
            run: Run::Body(script_flush),
            ..SCRIPTING
        },
        Command { group: Group::Scripting, since: "5.0.0", ..HELP },
    ],
    ..SCRIPTING
};

const FUNCTION: Command = Command {
    name: "FUNCTION",
    since: "7.0.0",
    summary: "Ask about libraries of functions, of which there are none.",
    subcommands: &[
        Command {
            name: "FLUSH",
            tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
            flags: WRITE.and(NOSCRIPT),
            effect: Effect::Verbatim,
            since: "7.0.0",
            complexity: "O(1)",
            summary: "Delete all libraries.",
            args: FLUSH_ARGS,
            run: Run::Body(function_flush),
            ..SCRIPTING
        },
        Command { group: Group::Scripting, since: "7.0.0", ..HELP },
        Command {
            name: "LIST",
            tips: &["nondeterministic_output_order"],
            flags: NOSCRIPT,
            since: "7.0.0",
            complexity: "O(1)",
            summary: "List the libraries.",
            args: &[
                Argument::new("library-name-pattern", ArgumentType::Text).after("LIBRARYNAME").optional(),
                Argument::token("withcode", "WITHCODE").optional(),
            ],
            run: Run::Body(function_list),
            ..SCRIPTING
        },
    ],
    ..SCRIPTING
};

fn script_exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let digests = args.len() - 2;
    ctx.reply.array(digests);
    (0..digests).for_each(|_| ctx.reply.integer(0));
    Ok(())
}

/// Whether the words behind the subcommand are nothing or one of the two modes.
fn is_flush_mode(words: Args<'_>) -> bool {
    let is_mode = |word: &[u8]| word.eq_ignore_ascii_case(b"ASYNC") || word.eq_ignore_ascii_case(b"SYNC");
    words.is_empty() || (words.len() == 1 && is_mode(words.at(0)))
}

fn script_flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if !is_flush_mode(args.from(2)) {
        return Err(CommandError::SCRIPT_FLUSH_MODE);
    }
    ctx.reply.ok();
    Ok(())
}

fn function_flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(CommandError::unknown_subcommand_or_arity("FUNCTION", args.at(1)));
    }
    if !is_flush_mode(args.from(2)) {
        return Err(CommandError::FUNCTION_FLUSH_MODE);
    }
    ctx.reply.ok();
    Ok(())
}

fn function_list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut with_code, mut named) = (false, false);
    let mut at = 2;
    while let Some(word) = args.get(at) {
        if !with_code && word.eq_ignore_ascii_case(b"WITHCODE") {
            with_code = true;
        } else if !named && word.eq_ignore_ascii_case(b"LIBRARYNAME") {
            at += 1;
            args.get(at).ok_or(CommandError::LIBRARY_NAME_MISSING)?;
            named = true;
        } else {
            return Err(CommandError::unknown_argument(word));
        }
        at += 1;
    }
    ctx.reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::converse;

    /// Asked of Valkey 9.1, which has none either until one is loaded.
    #[test]
    fn there_are_none() {
        let script_mode = "-ERR SCRIPT FLUSH only support SYNC|ASYNC option";
        let function_mode = "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
        converse(&[
            ("SCRIPT FLUSH", "+OK"),
            ("SCRIPT FLUSH async", "+OK"),
            ("SCRIPT FLUSH SYNC", "+OK"),
            ("SCRIPT FLUSH foo", script_mode),
            ("SCRIPT FLUSH SYNC x", script_mode),
            ("SCRIPT EXISTS a b", "*2|:0|:0"),
            ("SCRIPT EXISTS", "-ERR wrong number of arguments for 'script|exists' command"),
            ("SCRIPT foo", "-ERR unknown subcommand 'foo'. Try SCRIPT HELP."),
            ("SCRIPT", "-ERR wrong number of arguments for 'script' command"),
            ("FUNCTION FLUSH", "+OK"),
            ("FUNCTION FLUSH async", "+OK"),
            ("FUNCTION FLUSH foo", function_mode),
            (
                "FUNCTION FLUSH SYNC x",
                "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
            ),
            ("FUNCTION LIST", "*0"),
            ("FUNCTION LIST withcode LIBRARYNAME x", "*0"),
            ("FUNCTION LIST LIBRARYNAME", "-ERR library name argument was not given"),
            ("FUNCTION LIST foo", "-ERR Unknown argument foo"),
            ("FUNCTION LIST withcode withcode", "-ERR Unknown argument withcode"),
            ("FUNCTION LIST libraryname a libraryname b", "-ERR Unknown argument libraryname"),
        ]);
    }
}
