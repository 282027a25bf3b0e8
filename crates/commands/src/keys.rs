//! Keys, whatever they hold: the commands that find, delete, move and time them, one family.
//!
//! Not a key's value (see `string`), and not whole databases (see `server`).
//!
//! Thread safety: functions on one command's context.

use engine::spec::Command;

mod existence;
mod expire;
mod object;
mod random;
mod relocate;
mod scan;
mod search;

pub(crate) const COMMANDS: &[&[Command]] = &[
    existence::COMMANDS,
    random::COMMANDS,
    expire::COMMANDS,
    relocate::COMMANDS,
    scan::COMMANDS,
    object::COMMANDS,
];
