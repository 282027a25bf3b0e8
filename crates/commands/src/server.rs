//! Commands about the server as a whole: its databases, its state, its end.
//!
//! Here is what its files share; each of them has a table of its own.
//!
//! Thread safety: bodies run on one worker; what others own is reached through the instance.

mod absent;
mod command;
mod config;
mod databases;
mod debug;
mod docs;
mod info;
mod latency;
mod memory;
mod process;
mod script;
mod shutdown;
mod slowlog;
mod time;

use engine::spec::{Argument, Arity, Command, Group, LOADING, Run, STALE};

const FLUSH_MODES: &[Argument] = &[Argument::token("async", "ASYNC"), Argument::token("sync", "SYNC")];
const FLUSH_ARGS: &[Argument] = &[Argument::one_of("flush-type", FLUSH_MODES).optional()];
const SERVER: Command =
    Command { group: Group::Server, complexity: "O(1)", since: "1.0.0", ..Command::DEFAULT };
const CONTAINER: Command =
    Command { arity: Arity::AtLeast(2), complexity: "Depends on subcommand.", run: Run::Container, ..SERVER };
/// HELP of a container.
const HELP: Command = Command {
    name: "HELP",
    arity: Arity::Exactly(2),
    flags: LOADING.and(STALE),
    summary: "Show this text.",
    run: Run::Body(crate::usage::help),
    ..SERVER
};

pub(crate) const COMMANDS: &[&[Command]] = &[
    command::COMMANDS,
    config::COMMANDS,
    databases::COMMANDS,
    debug::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    script::COMMANDS,
    shutdown::COMMANDS,
    slowlog::COMMANDS,
    time::COMMANDS,
];
