//! A request that was looked up and whose keys were hashed: what dispatch, admission and recording speak of.
//!
//! Not admitted yet: the command may be unknown, its arguments too few.
//!
//! Thread safety: a plain value, borrowed from the batch.

use crate::registry::{Entry, Registry};
use crate::run::keys::{Declared, KeyRange, Keys};
use crate::spec::command::Command;
use crate::spec::flags::OUTSIDE;
use keyspace::{Journal, Key};
use wire::Args;

/// [`Prepared::index`] of a request whose command is not known.
pub(crate) const UNKNOWN: u16 = u16::MAX;

/// See the module's text.
pub(crate) struct Prepared<'a> {
    pub args: Args<'a>,
    /// None: no command is called that.
    pub entry: Option<&'static Entry>,
    pub keys: Declared<'a>,
}

impl<'a> Prepared<'a> {
    /// Looks a request up and hashes its keys; `list` takes those of a command that may have several.
    #[inline(always)]
    pub(crate) fn new(
        args: Args<'a>,
        registry: &'static Registry,
        journal: &Journal,
        list: &mut Keys,
    ) -> Prepared<'a> {
        let Some(mut entry) = registry.find(args.at(0)) else {
            return Prepared { args, entry: None, keys: Declared::Listed(KeyRange::EMPTY) };
        };
        if !entry.subcommands.is_empty() {
            entry = registry.subcommand(entry, args).unwrap_or(entry);
        }
        let keys = match args.get(1) {
            Some(bytes) if entry.has_one_key => {
                Declared::One(Key { bytes, hash: journal.hasher.hash(bytes) })
            }
            _ if entry.command.keys.is_empty() => Declared::Listed(KeyRange::EMPTY),
            _ => Declared::Listed(declare(args, entry.command, journal, list)),
        };
        Prepared { args, entry: Some(entry), keys }
    }

    /// Whether it may run although the gate is closed. What is not known is refused anywhere.
    pub(crate) fn is_outside(&self) -> bool {
        self.entry.is_none_or(|entry| entry.command.flags.has(OUTSIDE))
    }

    /// The command that figures are kept for.
    pub(crate) fn index(&self) -> u16 {
        self.entry.map_or(UNKNOWN, |entry| entry.counted_as)
    }
}

/// Adds the keys of a request to the list. A malformed one has those that are where they should be: its body answers the
/// error before it touches any.
#[inline(never)]
fn declare(args: Args<'_>, command: &Command, journal: &Journal, list: &mut Keys) -> KeyRange {
    let start = list.end();
    let _ = command.each_key(args, |at, flags| list.add(args, at, flags, &journal.hasher));
    if let Some(other_databases) = command.other_databases {
        other_databases(args, &mut |database, at| list.add_in(database, args, at, &journal.hasher));
    }
    list.since(start)
}
