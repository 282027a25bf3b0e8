//! COMMAND DOCS: the documentation in the command table, in the shape that redis-cli and other tools read.
//!
//! Not HELP, which is for people (`crate::usage`).
//!
//! Invariant: fields appear only where there is something to say, as clients expect.
//!
//! Thread safety: reads static tables.

use engine::registry::{Entry, Registry};
use engine::run::ctx::Ctx;
use engine::spec::{Argument, ArgumentType, Outcome};
use wire::{Args, Reply};

pub(super) fn docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let names = args.from(2);
    let registry = ctx.instance.registry;
    let entries: Vec<&Entry> = if names.is_empty() {
        registry.commands().collect()
    } else {
        names.iter().filter_map(|name| registry.find_full(name)).collect()
    };
    ctx.reply.map(entries.len());
    entries.into_iter().for_each(|entry| document(ctx.reply, registry, entry));
    Ok(())
}

fn document(reply: &mut Reply, registry: &Registry, entry: &Entry) {
    let command = entry.command;
    reply.bulk(entry.full_name.as_bytes());
    let start = reply.start_array();
    let mut fields = 4;
    text(reply, "summary", command.summary);
    text(reply, "since", command.since);
    text(reply, "group", command.group.name());
    text(reply, "complexity", command.complexity);
    if !command.args.is_empty() {
        reply.bulk(b"arguments");
        arguments(reply, command.args, &mut 0);
        fields += 1;
    }
    let listed = registry.listed(entry).count();
    if listed > 0 {
        reply.bulk(b"subcommands");
        reply.map(listed);
        registry.listed(entry).for_each(|subcommand| document(reply, registry, subcommand));
        fields += 1;
    }
    reply.finish_map(start, fields);
}

fn text(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// `keys` counts the key arguments so far: the n-th belongs to the n-th key specification.
fn arguments(reply: &mut Reply, list: &[Argument], keys: &mut i64) {
    reply.array(list.len());
    list.iter().for_each(|argument| describe(reply, argument, keys));
}

fn describe(reply: &mut Reply, argument: &Argument, keys: &mut i64) {
    let start = reply.start_array();
    let mut fields = 2;
    text(reply, "name", argument.name);
    text(reply, "type", argument.kind.name());
    if argument.parts.is_empty() {
        text(reply, "display_text", argument.name);
        fields += 1;
    }
    if argument.kind == ArgumentType::Key {
        reply.bulk(b"key_spec_index");
        reply.integer(*keys);
        *keys += 1;
        fields += 1;
    }
    if let Some(token) = argument.token {
        text(reply, "token", token);
        fields += 1;
    }
    let flags = [(argument.optional, "optional"), (argument.multiple, "multiple")];
    let set: Vec<&str> = flags.iter().filter(|(applies, _)| *applies).map(|(_, name)| *name).collect();
    if !set.is_empty() {
        reply.bulk(b"flags");
        reply.set(set.len());
        set.iter().for_each(|flag| reply.simple(flag));
        fields += 1;
    }
    if !argument.parts.is_empty() {
        reply.bulk(b"arguments");
        arguments(reply, argument.parts, keys);
        fields += 1;
    }
    reply.finish_map(start, fields);
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn documentation_has_the_shape_clients_read() {
        let mut bench = Bench::new();
        let docs =
            String::from_utf8(bench.run(b"HELLO 3\r\nCOMMAND DOCS memory|usage nosuch")).expect("text");
        let docs = docs.split_once("*0\r\n").expect("HELLO's reply").1;
        assert_eq!(
            docs,
            "%1\r\n$12\r\nmemory|usage\r\n%5\r\n$7\r\nsummary\r\n$73\r\nReturn the bytes a key and its value take, \
             allocator's rounding included.\r\n$5\r\nsince\r\n$5\r\n4.0.0\r\n$5\r\ngroup\r\n$6\r\nserver\r\n$10\r\n\
             complexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*2\r\n%4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n\
             $12\r\ndisplay_text\r\n$3\r\nkey\r\n$14\r\nkey_spec_index\r\n:0\r\n%5\r\n$4\r\nname\r\n$5\r\ncount\r\n$4\r\ntype\r\n\
             $7\r\ninteger\r\n$12\r\ndisplay_text\r\n$5\r\ncount\r\n$5\r\ntoken\r\n$7\r\nSAMPLES\r\n$5\r\nflags\r\n~1\r\n+optional\r\n"
        );
        let all = bench.run(b"COMMAND DOCS");
        assert!(all.starts_with(format!("%{}\r\n", bench.instance.registry.commands().count()).as_bytes()));
    }
}
