//! The table of all commands, and the way from a name to its command.
//!
//! Not the commands themselves: whoever starts the server hands them over. A command's index here is what counters and
//! histograms are kept by.
//!
//! Invariant: names are unique; an index is stable while the process runs. Subcommands follow all commands.
//!
//! Thread safety: built once, immutable afterwards.

use crate::spec::command::{Command, INNER, Run};

/// A registered command or subcommand.
pub struct Entry {
    pub command: &'static Command,
    /// Its position in [`Registry::all`].
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

/// See the module's text.
pub struct Registry {
    entries: Vec<Entry>,
    /// Open addressing over (packed name, index).
    slots: Vec<(Packed, u16)>,
}

impl Registry {
    /// The commands of all `families`, numbered in their order. A family is a list of tables.
    pub fn new(families: &[&[&'static [Command]]]) -> Registry {
        let mut entries: Vec<Entry> = Vec::new();
        for command in families.iter().copied().flatten().copied().flatten() {
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

impl Registry {
    /// The command of this name, in any case.
    #[inline(always)]
    pub fn find(&self, name: &[u8]) -> Option<&Entry> {
        let packed = pack(name)?;
        let mut slot = slot_of(packed);
        loop {
            let (known, index) = self.slots[slot];
            if known == packed {
                return self.entries.get(usize::from(index));
            }
            if known == (0, 0) {
                return None;
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The command or listed subcommand of this full name, in any case: `get`, `client|id`.
    pub fn find_full(&self, name: &[u8]) -> Option<&Entry> {
        let mut parts = name.splitn(2, |&byte| byte == b'|');
        let entry = self.find(parts.next()?)?;
        match parts.next() {
            None => Some(entry),
            Some(subcommand) => {
                let named = |entry: &&Entry| entry.command.name.as_bytes().eq_ignore_ascii_case(subcommand);
                self.listed(entry).find(named)
            }
        }
    }

    /// The command or subcommand that a request names, as it is counted; for a container whose subcommand is not known, none.
    pub fn resolve(&self, args: wire::Args<'_>) -> Option<u16> {
        let entry = self.find(args.at(0))?;
        if entry.subcommands.is_empty() {
            return Some(entry.index);
        }
        let bare = !matches!(entry.command.run, Run::Container);
        self.subcommand(entry, args).map(|entry| entry.counted_as).or(bare.then_some(entry.index))
    }

    /// The subcommands of a command that clients are told of.
    pub fn listed(&self, container: &Entry) -> impl Iterator<Item = &Entry> {
        self.subcommands(container).filter(|entry| !entry.command.flags.has(INNER))
    }

    /// The subcommand that a request to this container names.
    pub fn subcommand(&self, container: &Entry, args: wire::Args<'_>) -> Option<&Entry> {
        let wanted = args.get(1)?;
        self.subcommands(container).find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(wanted))
    }

    fn subcommands(&self, container: &Entry) -> impl Iterator<Item = &Entry> {
        container.subcommands.clone().map(|index| self.entry(index))
    }

    /// The command or subcommand with this index.
    #[inline(always)]
    pub fn entry(&self, index: u16) -> &Entry {
        &self.entries[usize::from(index)]
    }

    /// All commands, then all subcommands; positions are indices.
    pub fn all(&self) -> &[Entry] {
        &self.entries
    }

    /// The commands without subcommands.
    pub fn commands(&self) -> impl Iterator<Item = &Entry> {
        self.all().iter().filter(|entry| entry.container.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else() {
        const COMMANDS: &[Command] = &[
            Command { name: "GET", ..Command::DEFAULT },
            Command {
                name: "INCRBYFLOAT",
                subcommands: &[Command { name: "SUB", ..Command::DEFAULT }],
                ..Command::DEFAULT
            },
            Command { name: "MSET", ..Command::DEFAULT },
        ];
        let registry = Registry::new(&[&[COMMANDS]]);
        let index_of = |name: &[u8]| registry.find(name).map(|entry| entry.index);
        for (index, entry) in registry.commands().enumerate() {
            assert_eq!(index_of(entry.command.name.as_bytes()), Some(index as u16));
            assert_eq!(index_of(entry.full_name.as_bytes()), Some(index as u16));
        }
        for name in [&b""[..], b"GE", b"GETT", b"SUB", b"a name that is longer than any"] {
            assert_eq!(index_of(name), None);
        }
    }
}
