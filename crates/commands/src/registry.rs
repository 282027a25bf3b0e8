//! The table of all commands, and the way from a name to its command.
//!
//! Not the commands themselves: each family file has its own `COMMANDS`. A command's index here is what counters and
//! histograms are kept by.
//!
//! Invariant: names are unique; an index is stable while the process runs. Subcommands follow all commands.
//!
//! Thread safety: built once, immutable afterwards.

use crate::command::{Command, INNER, Run};
use std::sync::LazyLock;

/// A registered command or subcommand.
pub struct Entry {
    pub command: &'static Command,
    /// Its position in [`all`].
    pub index: u16,
    /// Where its figures are kept: its own position, or its container's for what is `INNER`.
    pub counted_as: u16,
    /// See `Command::has_one_key`.
    pub has_one_key: bool,
    /// The container, for a subcommand.
    pub container: Option<&'static Command>,
    /// Lower case, as INFO commandstats prints it: `get`, `config|set`.
    pub full_name: String,
    /// Indices of the subcommands.
    pub subcommands: std::ops::Range<u16>,
}

/// Longest name that has a place in the hash table.
const NAME_BYTES_MAX: usize = 16;
const SLOTS: usize = 1024;

/// A name as two words; see [`pack`]. All zero is no name.
type Packed = (u64, u64);

struct Registry {
    entries: Vec<Entry>,
    /// Open addressing over (packed name, index).
    slots: Vec<(Packed, u16)>,
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
            let index = entries.len() as u16;
            let has_one_key = command.has_one_key();
            entries.push(Entry {
                command,
                index,
                counted_as: index,
                has_one_key,
                container: None,
                full_name,
                subcommands: 0..0,
            });
        }
        for index in 0..entries.len() {
            let container = entries[index].command;
            let first = entries.len() as u16;
            for command in container.subcommands {
                let full_name = format!("{}|{}", container.name, command.name).to_ascii_lowercase();
                let (own, container) = (entries.len() as u16, Some(container));
                let counted_as = if command.flags.has(INNER) { index as u16 } else { own };
                let has_one_key = command.has_one_key();
                let entry = Entry {
                    command,
                    index: own,
                    counted_as,
                    has_one_key,
                    container,
                    full_name,
                    subcommands: 0..0,
                };
                entries.push(entry);
            }
            entries[index].subcommands = first..entries.len() as u16;
        }
        let mut slots = vec![((0, 0), 0); SLOTS];
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.container.is_none()) {
            let name = entry.command.name.as_bytes();
            assert!(name.iter().all(u8::is_ascii_uppercase), "`pack` knows letters only");
            let packed = pack(name).expect("a command's name fits 16 bytes");
            let mut slot = slot_of(packed);
            while slots[slot].0 != (0, 0) {
                assert!(slots[slot].0 != packed, "two commands are called {}", entry.command.name);
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = (packed, index as u16);
        }
        Registry { entries, slots }
    }
}

/// The name's first and last eight bytes (overlapping when it is shorter than 16), the bit that tells a small letter
/// from a capital cleared; its length in the last byte's place keeps names of other lengths apart. Injective over
/// names of letters up to case, and a name with any other byte equals none of them. None if too long or empty.
#[inline(always)]
fn pack(name: &[u8]) -> Option<Packed> {
    const CAPITALS: u64 = 0xdfdf_dfdf_dfdf_dfdf;
    let length = name.len();
    let word =
        |at: usize| name.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let half =
        |at: usize| name.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let (first, last) = match length {
        0 => return None,
        1..=3 => {
            let [first, middle, last] = [name[0], name[length / 2], name[length - 1]].map(u64::from);
            (first | middle << 8 | last << 16, 0)
        }
        4..=7 => (u64::from(half(0)?) | u64::from(half(length - 4)?) << 32, 0),
        8..=NAME_BYTES_MAX => (word(0)?, word(length - 8)?),
        _ => return None,
    };
    Some((first & CAPITALS, last & CAPITALS ^ (length as u64) << 56))
}

#[inline(always)]
fn slot_of(packed: Packed) -> usize {
    let folded = (packed.0 ^ packed.1.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded >> 54) as usize % SLOTS
}

/// The command of this name, in any case.
#[inline(always)]
pub fn find(name: &[u8]) -> Option<&'static Entry> {
    let registry = &*REGISTRY;
    let packed = pack(name)?;
    let mut slot = slot_of(packed);
    loop {
        let (known, index) = registry.slots[slot];
        if known == packed {
            return registry.entries.get(usize::from(index));
        }
        if known == (0, 0) {
            return None;
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Index of the command of this name, in any case.
pub fn index_of(name: &[u8]) -> Option<u16> {
    find(name).map(|entry| entry.index)
}

/// The command or subcommand that a request names, as it is counted; for a container whose subcommand is not known, none.
pub fn resolve(args: wire::Args<'_>) -> Option<u16> {
    let entry = find(args.at(0))?;
    if entry.subcommands.is_empty() {
        return Some(entry.index);
    }
    let bare = !matches!(entry.command.run, Run::Container);
    entry.subcommand(args).map(|entry| entry.counted_as).or(bare.then_some(entry.index))
}

impl Entry {
    /// The subcommands that clients are told of.
    pub fn listed(&self) -> impl Iterator<Item = &'static Entry> {
        self.subcommands.clone().map(entry).filter(|entry| !entry.command.flags.has(INNER))
    }

    /// The subcommand that a request to this container names.
    pub fn subcommand(&self, args: wire::Args<'_>) -> Option<&'static Entry> {
        let wanted = args.get(1)?;
        let mut subcommands = self.subcommands.clone().map(entry);
        subcommands.find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(wanted))
    }
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
