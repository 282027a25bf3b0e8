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
