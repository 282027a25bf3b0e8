//! The table of all commands, and the way from a name to its command.
//!
//! Not the commands themselves: whoever starts the server hands them over. A command's index here is what counters and
//! histograms are kept by.
//!
//! Invariant: names are unique; an index is stable while the process runs. Subcommands follow all commands.
//!
//! Thread safety: built once, immutable afterwards.

use crate::spec::command::{Command, Run};
use crate::spec::flags::INNER;

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

/// Longest name of a command; Redis's longest has 20 bytes.
const NAME_BYTES_MAX: usize = 32;
/// Longest name that has a place in the hash table.
const PACKED_BYTES_MAX: usize = 16;
const SLOTS: usize = 1024;

/// A name as two words; see [`pack`].
type Packed = (u64, u64);

/// See the module's text.
pub struct Registry {
    /// Never freed: a registry lasts as long as the process.
    entries: &'static [Entry],
    /// The names of at most 16 letters, nearly all: open addressing, none where no name is.
    slots: Box<[(Packed, Option<&'static Entry>); SLOTS]>,
    /// The others (`GEORADIUSBYMEMBER_RO`, `RESTORE-ASKING`): a couple of dozen, looked through one by one.
    others: Vec<&'static Entry>,
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
        let entries: &'static [Entry] = entries.leak();
        let mut registry = Registry { entries, slots: Box::new([((0, 0), None); SLOTS]), others: Vec::new() };
        entries.iter().filter(|entry| entry.container.is_none()).for_each(|entry| registry.add_name(entry));
        registry
    }

    fn add_name(&mut self, entry: &'static Entry) {
        let name = entry.command.name;
        let bytes = name.as_bytes();
        assert!((1..=NAME_BYTES_MAX).contains(&bytes.len()), "{name}: too long or too short");
        assert!(!bytes.iter().any(u8::is_ascii_lowercase), "{name}: a command's name is in capitals");
        let packed = pack(bytes).filter(|_| bytes.iter().all(u8::is_ascii_uppercase));
        let Some(packed) = packed else {
            assert!(self.find_other(bytes).is_none(), "two commands are called {name}");
            return self.others.push(entry);
        };
        let mut slot = slot_of(packed);
        while self.slots[slot].1.is_some() {
            assert!(self.slots[slot].0 != packed, "two commands are called {name}");
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = (packed, Some(entry));
    }
}

/// The name's first and last eight bytes (overlapping when it is shorter than 16), the bit that tells a small letter
/// from a capital cleared, and its length in the lowest five of those cleared bits. So two names are packed alike only
/// if they are as long as each other and their bytes differ in that bit at most; and since no other byte becomes a
/// capital by clearing it, a name of letters is packed like itself in other case, and like nothing else.
/// None if too long or empty.
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
        8..=PACKED_BYTES_MAX => (word(0)?, word(length - 8)?),
        _ => return None,
    };
    Some((first & CAPITALS, last & CAPITALS | spread(length)))
}

/// The five bits of a length, each in the bit of a byte of its own that `pack` has cleared: the factor holds the length
/// five times, seven bits apart, so no copy touches the next.
#[inline(always)]
fn spread(length: usize) -> u64 {
    const COPIES: u64 = 1 << 5 | 1 << 12 | 1 << 19 | 1 << 26 | 1 << 33;
    (length as u64 * COPIES) & 0x20_2020_2020
}

#[inline(always)]
fn slot_of(packed: Packed) -> usize {
    let folded = (packed.0 ^ packed.1.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (folded >> 54) as usize % SLOTS
}

impl Registry {
    /// The command of this name, in any case.
    #[inline(always)]
    pub fn find(&self, name: &[u8]) -> Option<&'static Entry> {
        let Some(packed) = pack(name) else { return self.find_other(name) };
        let mut slot = slot_of(packed);
        loop {
            let (known, entry) = self.slots[slot];
            if known == packed {
                return entry;
            }
            if entry.is_none() {
                return self.find_other(name);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    #[cold]
    fn find_other(&self, name: &[u8]) -> Option<&'static Entry> {
        self.others.iter().copied().find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
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
        self.entries
    }

    /// The commands without subcommands.
    pub fn commands(&self) -> impl Iterator<Item = &Entry> {
        self.all().iter().filter(|entry| entry.container.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of every length and kind that Redis and Valkey use.
    const NAMES: &[&str] = &[
        "GET",
        "SET",
        "TTL",
        "PING",
        "MSETNX",
        "FLUSHALL",
        "SHUTDOWN",
        "EXPIREAT",
        "RANDOMKEY",
        "INCRBYFLOAT",
        "PEXPIRETIME",
        "ZREVRANGEBYSCORE",
        "ZREMRANGEBYSCORE",
        "ZREMRANGEBYLEX",
        "GEORADIUSBYMEMBER",
        "GEORADIUSBYMEMBER_RO",
        "GEORADIUS_RO",
        "EVAL_RO",
        "EVAL",
        "EVALSHA_RO",
        "SORT_RO",
        "BITFIELD_RO",
        "RESTORE-ASKING",
        "PSYNC2",
    ];

    fn registry() -> Registry {
        let command = |&name: &&'static str| Command { name, ..Command::DEFAULT };
        let commands: &'static [Command] = Vec::leak(NAMES.iter().map(command).collect());
        Registry::new(&[&[commands]])
    }

    fn wanted(name: &[u8]) -> Option<u16> {
        let position = NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        position.map(|position| position as u16)
    }

    #[track_caller]
    fn check(registry: &Registry, name: &[u8]) {
        let found = registry.find(name).map(|entry| entry.index);
        assert_eq!(found, wanted(name), "{}", name.escape_ascii());
    }

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else() {
        let registry = registry();
        for name in NAMES {
            check(&registry, name.as_bytes());
            check(&registry, name.to_ascii_lowercase().as_bytes());
            let lower_first = name[..1].to_ascii_lowercase() + &name[1..];
            check(&registry, lower_first.as_bytes());
        }
        for name in [&b""[..], b"GE", b"GETT", b"a name that is longer than any", &[b'_'; 40]] {
            assert!(registry.find(name).is_none());
        }
    }

    /// `G`T` differs from `G@T`, and `EVAL_RO` from `EVAL\x7fRO`, only in the bit that tells small letters from capitals.
    #[test]
    fn look_alikes_are_told_apart() {
        let registry = registry();
        for name in NAMES {
            for at in 0..name.len() {
                for byte in 0..=u8::MAX {
                    let mut other = name.as_bytes().to_vec();
                    other[at] = byte;
                    check(&registry, &other);
                }
            }
        }
    }

    /// Sixteen bytes can begin and end as a shorter name does.
    #[test]
    fn a_name_is_not_confused_with_longer_or_shorter_ones() {
        let registry = registry();
        for name in NAMES.iter().map(|name| name.as_bytes()).filter(|name| name.len() >= 8) {
            for byte in 0..=u8::MAX {
                let tail = &name[name.len() - 8..name.len() - 1];
                check(&registry, &[&name[..8], tail, &[byte]].concat());
                check(&registry, &[name, &[byte]].concat());
                check(&registry, &[&[byte], name].concat());
                check(&registry, &[&name[..name.len() - 2], &[byte]].concat());
            }
        }
    }

    #[test]
    fn lengths_are_spread_over_bits_that_letters_leave_free() {
        let spreads: Vec<u64> = (1..=PACKED_BYTES_MAX).map(spread).collect();
        for (index, spread) in spreads.iter().enumerate() {
            assert_eq!(spread & 0xdfdf_dfdf_dfdf_dfdf, 0);
            assert!(*spread != 0 && !spreads[..index].contains(spread));
        }
    }

    #[test]
    fn a_subcommand_is_found_by_its_container_only() {
        const COMMANDS: &[Command] = &[Command {
            name: "CONFIG",
            subcommands: &[Command { name: "SET", ..Command::DEFAULT }],
            ..Command::DEFAULT
        }];
        let registry = Registry::new(&[&[COMMANDS]]);
        assert!(registry.find(b"SET").is_none());
        assert_eq!(
            registry.find_full(b"config|Set").map(|entry| entry.full_name.as_str()),
            Some("config|set")
        );
        assert_eq!(registry.find_full(b"config").map(|entry| entry.index), Some(0));
    }
}
