//! The table of all commands, and the way from a name to its command.
//!
//! Not the commands themselves: each family file has its own `COMMANDS`. A command's index here is what counters and
//! histograms are kept by.
//!
//! Invariant: names are unique; an index is stable while the process runs. Subcommands follow all commands.
//!
//! Thread safety: built once, immutable afterwards.

use crate::command::{Command, Run};
use std::sync::LazyLock;

/// A registered command or subcommand.
pub struct Entry {
    pub command: &'static Command,
    /// The container, for a subcommand.
    pub container: Option<&'static Command>,
    /// Lower case, as INFO commandstats prints it: `get`, `config|set`.
    pub full_name: String,
    /// Indices of the subcommands.
    pub subcommands: std::ops::Range<u16>,
}

/// Longest name that has a place in the hash table: a name is compared as one u128.
const NAME_BYTES_MAX: usize = 16;
const SLOTS: usize = 1024;

struct Registry {
    entries: Vec<Entry>,
    /// Open addressing over (packed name, index); a packed name of 0 is an empty slot.
    slots: Vec<(u128, u16)>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::build);

const FAMILIES: &[&[Command]] = &[
    crate::string::COMMANDS,
    crate::keys::COMMANDS,
    crate::transaction::COMMANDS,
    crate::connection::COMMANDS,
    crate::server::COMMANDS,
    crate::profile::COMMANDS,
];

impl Registry {
    fn build() -> Registry {
        let mut entries: Vec<Entry> = Vec::new();
        for command in FAMILIES.iter().copied().flatten() {
            let full_name = command.name.to_ascii_lowercase();
            entries.push(Entry { command, container: None, full_name, subcommands: 0..0 });
        }
        for index in 0..entries.len() {
            let container = entries[index].command;
            let first = entries.len() as u16;
            for command in container.subcommands {
                let full_name = format!("{}|{}", container.name, command.name).to_ascii_lowercase();
                entries.push(Entry { command, container: Some(container), full_name, subcommands: 0..0 });
            }
            entries[index].subcommands = first..entries.len() as u16;
        }
        let mut slots = vec![(0, 0); SLOTS];
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.container.is_none()) {
            let packed = pack(entry.command.name.as_bytes()).expect("a command's name fits 16 bytes");
            let mut slot = slot_of(packed);
            while slots[slot].0 != 0 {
                assert!(slots[slot].0 != packed, "two commands are called {}", entry.command.name);
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = (packed, index as u16);
        }
        Registry { entries, slots }
    }
}

/// The name as one number, letters in upper case; None if it is too long or empty.
#[inline(always)]
fn pack(name: &[u8]) -> Option<u128> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut bytes = [0; NAME_BYTES_MAX];
    bytes[..name.len()].copy_from_slice(name);
    Some(u128::from_le_bytes(bytes.map(|byte| byte.to_ascii_uppercase())))
}

#[inline(always)]
fn slot_of(packed: u128) -> usize {
    let folded = (packed as u64 ^ (packed >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded >> 54) as usize % SLOTS
}

/// Index of the command of this name, in any case.
#[inline(always)]
pub fn index_of(name: &[u8]) -> Option<u16> {
    let registry = &*REGISTRY;
    let packed = pack(name)?;
    let mut slot = slot_of(packed);
    loop {
        let (known, index) = registry.slots[slot];
        if known == packed {
            return Some(index);
        }
        if known == 0 {
            return None;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The command or subcommand that a request names: its index, and for a container the subcommand's.
pub fn resolve(args: wire::Args<'_>) -> Option<u16> {
    let index = index_of(args.at(0))?;
    let entry = entry(index);
    if entry.command.subcommands.is_empty() {
        return Some(index);
    }
    let Some(wanted) = args.get(1) else {
        // COMMAND alone is a command, other containers are not.
        return (!matches!(entry.command.run, Run::Container)).then_some(index);
    };
    entry.subcommands.clone().find(|&index| {
        self::entry(index).command.name.as_bytes().eq_ignore_ascii_case(wanted)
    })
}

#[inline(always)]
pub fn entry(index: u16) -> &'static Entry {
    &REGISTRY.entries[usize::from(index)]
}

/// All commands, then all subcommands; positions are indices.
pub fn all() -> &'static [Entry] {
    &REGISTRY.entries
}

/// The commands without subcommands.
pub fn commands() -> impl Iterator<Item = &'static Entry> {
    all().iter().filter(|entry| entry.container.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else() {
        for (index, entry) in all().iter().enumerate().filter(|(_, entry)| entry.container.is_none()) {
            assert_eq!(index_of(entry.command.name.as_bytes()), Some(index as u16));
            assert_eq!(index_of(entry.full_name.as_bytes()), Some(index as u16));
        }
        for name in [&b""[..], b"GE", b"GETT", b"a name that is longer than any"] {
            assert_eq!(index_of(name), None);
        }
    }
}
