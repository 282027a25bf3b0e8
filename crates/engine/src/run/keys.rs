//! The declared keys of a batch's requests, each hashed once.
//!
//! Whoever needs a key's hash later (locks, hints, bodies, observers) finds it here. A request with one key, by far the
//! most usual, has it beside its arguments (`prepared`) and no place in the list.
//!
//! Not where keys are among the arguments: that is `Command::each_key`.
//!
//! Invariants: (1) a request's keys lie together, in the order of its specifications, those in other databases last;
//! (2) an address is compared with those of arguments of the request that is running, never followed.
//!
//! Thread safety: belongs to one batch, or to one transaction that is collected.

use crate::spec::key_spec::{KeyFlags, RO};
use keyspace::{Contents, Journal, Key, KeyHasher, Wanted};
use std::ops::Range;
use wire::Args;

/// Keys whose room is kept from batch to batch.
const KEPT_MAX: usize = 1024;
/// Stands for the database that is selected when the command runs.
const SELECTED: u16 = u16::MAX;

/// One argument with its hash, known by where its bytes lie.
#[derive(Clone, Copy)]
pub(crate) struct Hashed {
    address: usize,
    len: usize,
    pub hash: u64,
}

impl Hashed {
    /// Is no argument.
    pub(crate) const NONE: Hashed = Hashed { address: 0, len: 0, hash: 0 };

    #[inline(always)]
    pub(crate) fn of(key: Key<'_>) -> Hashed {
        Hashed { address: key.bytes.as_ptr().addr(), len: key.bytes.len(), hash: key.hash }
    }

    /// Whether it is this very argument, not one that is equal.
    #[inline(always)]
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        self.address == bytes.as_ptr().addr() && self.len == bytes.len()
    }
}

/// A key that a request declares.
#[derive(Clone, Copy)]
pub(crate) struct DeclaredKey {
    key: Hashed,
    /// Its position among the arguments.
    pub at: u32,
    database: u16,
    flags: KeyFlags,
}

impl DeclaredKey {
    pub(crate) fn hash(&self) -> u64 {
        self.key.hash
    }

    /// Its database, if that exists, when `selected` is the selected one.
    #[inline(always)]
    pub(crate) fn database(&self, selected: usize) -> usize {
        if self.database == SELECTED { selected } else { usize::from(self.database) }
    }

    /// Whether it lies in the selected database, whichever that is.
    pub(crate) fn is_in_selected(&self) -> bool {
        self.database == SELECTED
    }

    pub(crate) fn is_only_read(&self) -> bool {
        self.flags.has(RO)
    }
}

/// Where a request's keys lie in [`Keys`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRange {
    start: u32,
    end: u32,
}

impl KeyRange {
    pub(crate) const EMPTY: KeyRange = KeyRange { start: 0, end: 0 };

    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn indices(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The keys of one request.
#[derive(Clone, Copy)]
pub(crate) enum Declared<'a> {
    /// Its first argument, of a command that can have no other.
    One(Key<'a>),
    Listed(KeyRange),
}

/// The keys of a request that is kept to be run later, in the list that is kept with it.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// Its hash.
    One(u64),
    Listed(KeyRange),
}

impl Kept {
    pub(crate) fn of(self, args: Args<'_>) -> Declared<'_> {
        match self {
            Kept::One(hash) => Declared::One(Key { bytes: args.at(1), hash }),
            Kept::Listed(range) => Declared::Listed(range),
        }
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Keys {
    list: Vec<DeclaredKey>,
    /// Those of the request that runs.
    running: KeyRange,
    /// The place in `list` of the key that its body will probably ask for next.
    next: u32,
    /// There once the command has reached for a key that it did not declare.
    astray: Option<Box<Astray>>,
}

/// Where a command lands that reaches for a key it did not declare: an empty place, thrown away when the command ends.
pub(crate) struct Astray {
    pub contents: Contents,
    pub journal: Journal,
}

impl Keys {
    /// Whether the command has reached for a key that it did not declare.
    #[inline(always)]
    pub(crate) fn is_astray(&self) -> bool {
        self.astray.is_some()
    }

    /// Where it finds that key, which looks as if it did not exist.
    #[cold]
    #[inline(never)]
    pub(crate) fn astray(&mut self, journal: &Journal) -> &mut Astray {
        self.astray.get_or_insert_with(|| {
            let mut own = Journal::new(journal.hasher.clone(), 1);
            own.wanted = Wanted::Nothing;
            own.set_now(journal.now_ms);
            Box::new(Astray { contents: Contents::new(0, 0), journal: own })
        })
    }

    /// Forgets what it did there.
    #[cold]
    pub(crate) fn lead_back(&mut self) {
        self.astray = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn all(&self) -> &[DeclaredKey] {
        &self.list
    }

    #[inline(always)]
    pub(crate) fn of(&self, range: KeyRange) -> &[DeclaredKey] {
        &self.list[range.indices()]
    }

    pub(crate) fn at(&self, place: usize) -> DeclaredKey {
        self.list[place]
    }

    /// Makes ready for another batch; room that only a rare one needs is given back.
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.running = KeyRange::EMPTY;
        if !self.list.is_empty() {
            self.list.clear();
            self.list.shrink_to(KEPT_MAX);
        }
    }

    /// Says which keys belong to the request that runs next.
    #[inline(always)]
    pub(crate) fn run(&mut self, range: KeyRange) {
        self.running = range;
        self.next = range.start;
    }

    /// The request that runs next has no keys here.
    #[inline(always)]
    pub(crate) fn run_none(&mut self) {
        self.running = KeyRange::EMPTY;
    }

    /// The place of the next request's first key.
    #[inline(always)]
    pub(crate) fn end(&self) -> u32 {
        self.list.len() as u32
    }

    /// The keys that were added since [`Keys::end`] was `start`.
    #[inline(always)]
    pub(crate) fn since(&self, start: u32) -> KeyRange {
        KeyRange { start, end: self.end() }
    }

    /// Hashes a key of the selected database and adds it.
    #[inline(always)]
    pub(crate) fn add(&mut self, args: Args<'_>, at: usize, flags: KeyFlags, hasher: &KeyHasher) {
        let bytes = args.at(at);
        let key = Hashed::of(Key { bytes, hash: hasher.hash(bytes) });
        self.list.push(DeclaredKey { key, at: at as u32, database: SELECTED, flags });
    }

    /// Adds a key of another database. One that there cannot be is left out; the body answers the error.
    pub(crate) fn add_in(&mut self, database: usize, args: Args<'_>, at: usize, hasher: &KeyHasher) {
        let Some(database) = u16::try_from(database).ok().filter(|&database| database != SELECTED) else {
            return;
        };
        self.add(args, at, KeyFlags(0), hasher);
        if let Some(added) = self.list.last_mut() {
            added.database = database;
        }
    }

    /// Copies another list's keys of a request, whose arguments now lie in `args`.
    pub(crate) fn adopt(&mut self, keys: &[DeclaredKey], args: Args<'_>) -> KeyRange {
        let start = self.end();
        self.list.extend(keys.iter().map(|declared| {
            let key = Key { bytes: args.at(declared.at as usize), hash: declared.key.hash };
            DeclaredKey { key: Hashed::of(key), ..*declared }
        }));
        self.since(start)
    }

    /// The key of the running request that this argument is. Bodies take keys in order.
    #[inline(always)]
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<Hashed> {
        let next = self.next;
        match self.list.get(next as usize) {
            Some(declared) if next < self.running.end && declared.key.is(bytes) => {
                self.next = next + 1;
                Some(declared.key)
            }
            _ => self.find_elsewhere(bytes),
        }
    }

    /// As [`Keys::find`]: perhaps a body goes round once more, else arguments ascend in memory.
    #[inline(never)]
    fn find_elsewhere(&mut self, bytes: &[u8]) -> Option<Hashed> {
        let running = self.of(self.running);
        let is_here = |at: usize| running.get(at).is_some_and(|declared| declared.key.is(bytes));
        let address = bytes.as_ptr().addr();
        let at = match is_here(0) {
            true => 0,
            false => running.binary_search_by_key(&address, |declared| declared.key.address).ok()?,
        };
        let found = running.get(at).filter(|_| is_here(at))?.key;
        self.next = self.running.start + at as u32 + 1;
        Some(found)
    }

    /// Whether the running request declares this key.
    pub(crate) fn declares(&self, selected: usize, database: usize, hash: u64) -> bool {
        let running = self.of(self.running);
        let is_it =
            |declared: &DeclaredKey| declared.key.hash == hash && declared.database(selected) == database;
        // Mostly the one that was found last.
        let last = (self.next as usize).checked_sub(self.running.start as usize + 1);
        last.and_then(|last| running.get(last)).is_some_and(is_it) || running.iter().any(is_it)
    }
}
