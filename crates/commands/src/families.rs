//! All families of commands, and the registry that joins them.
//!
//! Not a registration: each file of a family has a plain table, `COMMANDS`; a family lists those of its files, and this
//! is the list of the families.
//!
//! Thread safety: built once, immutable afterwards.

use engine::registry::Registry;
use engine::spec::Command;
use std::sync::LazyLock;

/// Every command there is: per family the tables of its files. Their order numbers the commands.
pub const FAMILIES: &[&[&[Command]]] = &[
    crate::string::COMMANDS,
    crate::keys::COMMANDS,
    &[crate::transactions::COMMANDS],
    crate::connection::COMMANDS,
    crate::server::COMMANDS,
    &[crate::profile::COMMANDS],
];

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::new(FAMILIES));

/// The registry of all commands, to be handed to the instance at its start.
pub fn registry() -> &'static Registry {
    &REGISTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::{Effect, WRITE};

    #[test]
    fn every_command_that_writes_says_what_replays_it_and_no_other_does() {
        let commands = registry().all().iter().filter(|entry| entry.subcommands.is_empty());
        let wrong: Vec<&str> = commands
            .filter(|entry| entry.command.flags.has(WRITE) != (entry.command.effect != Effect::None))
            .map(|entry| entry.full_name.as_str())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
