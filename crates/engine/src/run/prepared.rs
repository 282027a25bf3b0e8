//! A request that was looked up and whose first key was hashed: what dispatch, admission and recording speak of.
//!
//! Not admitted yet: the command may be unknown, its arguments too few.
//!
//! Thread safety: a plain value, borrowed from the batch.

use crate::registry::{Entry, Registry};
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
    /// The only key, when the command has exactly one at the usual place.
    pub key: Option<Key<'a>>,
}

impl<'a> Prepared<'a> {
    /// Looks a request up and hashes its only key.
    #[inline(always)]
    pub(crate) fn new(args: Args<'a>, registry: &'static Registry, journal: &Journal) -> Prepared<'a> {
        let Some(mut entry) = registry.find(args.at(0)) else {
            return Prepared { args, entry: None, key: None };
        };
        if !entry.subcommands.is_empty() {
            entry = registry.subcommand(entry, args).unwrap_or(entry);
        }
        let key = match args.get(1) {
            Some(bytes) if entry.has_one_key => Some(Key { bytes, hash: journal.hasher.hash(bytes) }),
            _ => None,
        };
        Prepared { args, entry: Some(entry), key }
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
