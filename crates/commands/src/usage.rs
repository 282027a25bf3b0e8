//! How a command is written, told from its table: the HELP subcommand of every container.
//!
//! Not COMMAND DOCS, which tells the same table to programs.
//!
//! Thread safety: pure functions of static tables.

use engine::run::ctx::Ctx;
use engine::spec::{Argument, ArgumentType, Command, Outcome};
use wire::Args;

/// HELP of the container that the request names: how each subcommand is written, and what it does.
pub(crate) fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let Some(entry) = ctx.instance.registry.find(args.at(0)) else { return Ok(()) };
    let lines = help_lines(entry.command);
    ctx.reply.array(lines.len());
    lines.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}

fn help_lines(container: &Command) -> Vec<String> {
    let mut lines = vec![format!("{} <subcommand> [<arg> ...], with these subcommands:", container.name)];
    for subcommand in container.subcommands {
        lines.push(format!("{}{}", subcommand.name, usage(subcommand.args)));
        lines.push(format!("    {}", subcommand.summary));
    }
    lines
}

/// The arguments as a reference page writes them, a space before each.
pub(crate) fn usage(arguments: &[Argument]) -> String {
    arguments.iter().map(|argument| format!(" {}", written(argument))).collect()
}

fn written(argument: &Argument) -> String {
    let parts = |separator: &str| argument.parts.iter().map(written).collect::<Vec<_>>().join(separator);
    let value = match argument.kind {
        ArgumentType::Token => String::new(),
        ArgumentType::OneOf => format!("({})", parts("|")),
        ArgumentType::Block => parts(" "),
        _ => format!("<{}>", argument.name),
    };
    let space = if value.is_empty() || argument.token.is_none() { "" } else { " " };
    let one = format!("{}{space}{value}", argument.token.unwrap_or_default());
    match (argument.optional, argument.multiple) {
        (false, false) => one,
        (true, false) => format!("[{one}]"),
        (false, true) => format!("{one} [{one} ...]"),
        (true, true) => format!("[{one} ...]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_written_as_reference_pages_write_them() {
        const MODES: &[Argument] = &[Argument::token("on", "ON"), Argument::token("off", "OFF")];
        const PAIR: &[Argument] =
            &[Argument::new("name", ArgumentType::Text), Argument::new("value", ArgumentType::Text)];
        let table = [
            (Argument::new("key", ArgumentType::Key), " <key>"),
            (Argument::new("key", ArgumentType::Key).multiple(), " <key> [<key> ...]"),
            (Argument::new("n", ArgumentType::Integer).after("COUNT").optional(), " [COUNT <n>]"),
            (Argument::one_of("mode", MODES), " (ON|OFF)"),
            (Argument::block("pair", PAIR).optional().multiple(), " [<name> <value> ...]"),
            (Argument::token("force", "FORCE").optional(), " [FORCE]"),
        ];
        for (argument, expected) in table {
            assert_eq!(usage(&[argument]), expected);
        }
    }
}
