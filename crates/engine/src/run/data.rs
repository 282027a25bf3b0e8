//! A command's view of the data: the stripes that dispatch locked for it, and nothing else.
//!
//! Bodies read and write keys through it and cannot lock. Whole-keyspace questions (scan, random key) lock one stripe at a
//! time, here.
//!
//! A key that the command did not declare is a mistake of ours, and no reason to stop a server: the body finds an empty
//! place that is thrown away, and the runner replaces its reply by an error (`Keys::is_astray`). Builds with assertions
//! find every such key, others those whose stripe is not held.
//!
//! Invariants: (1) `locks` is sorted by (database, stripe) and holds every stripe of the command's keys; (2) reads that
//! count as hits or misses are counted here and nowhere else; (3) nothing that a body does to a key it did not declare
//! reaches the data, the journal or whoever reads it.
//!
//! Thread safety: belongs to one command on one worker.

use crate::run::keys::{Declared, DeclaredKey, Hashed, KeyRange, Keys};
use crate::state::session::Watched;
use keyspace::hash::stripe_of;
use keyspace::{
    Contents, Database, Databases, Deadline, Detached, EntryRef, Event, Hold, Journal, Key, Kind, Locked,
    Missing, NewValue, Pin, Pinned, Put, Shape, WatchFlag,
};
use observe::record::Recorder;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// Position of a stripe in the order of locks.
pub(crate) type LockId = u32;

#[inline(always)]
pub(crate) fn lock_id(database: usize, hash: u64) -> LockId {
    (database * keyspace::STRIPES + stripe_of(hash)) as LockId
}

/// Locked stripes. Nearly every command has one; then no list is made or searched.
pub(crate) enum Locks<'a> {
    None,
    One(LockId, Locked<'a>),
    /// Ascending by id.
    Many(Vec<(LockId, Locked<'a>)>),
}

impl<'a> Locks<'a> {
    #[inline(always)]
    fn get(&mut self, id: LockId) -> Option<&mut Locked<'a>> {
        match self {
            Locks::One(held, locked) if *held == id => Some(locked),
            Locks::Many(held) => {
                let position = held.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                held.get_mut(position).map(|(_, locked)| locked)
            }
            Locks::One(..) | Locks::None => None,
        }
    }
}

impl Locks<'_> {
    /// Whether a key in the locked stripes may be in use by a sliced command.
    #[inline(always)]
    pub(crate) fn may_be_pinned(&self) -> bool {
        match self {
            Locks::None => false,
            Locks::One(_, locked) => locked.may_be_pinned(),
            Locks::Many(held) => held.iter().any(|(_, locked)| locked.may_be_pinned()),
        }
    }

    /// A pin of any key in the locked stripes.
    #[cold]
    pub(crate) fn any_pin(&mut self) -> Option<Arc<Pin>> {
        match self {
            Locks::None => None,
            Locks::One(_, locked) => locked.any_pin(),
            Locks::Many(held) => held.iter_mut().find_map(|(_, locked)| locked.any_pin()),
        }
    }
}

/// Locks the stripes with these ids, which ascend without repetition, behind the gate, where nobody else can hold one.
pub(crate) fn lock_uncontended<'a>(databases: &'a Databases, ids: &[LockId], now_ms: i64) -> Locks<'a> {
    let lock = |&id: &LockId| {
        let (database, stripe) = (id as usize / keyspace::STRIPES, id as usize % keyspace::STRIPES);
        (id, databases.get(database, now_ms).lock_alone(stripe))
    };
    if ids.is_empty() { Locks::None } else { Locks::Many(ids.iter().map(lock).collect()) }
}

/// Appends the ids of the stripes of the keys in `range`, when `database` of `databases` is selected. A database that does
/// not exist has none; the body answers the error.
pub(crate) fn push_ids(
    keys: &Keys,
    range: KeyRange,
    database: usize,
    databases: usize,
    ids: &mut Vec<LockId>,
) {
    let existing = keys.of(range).iter().filter(|key| key.database(database) < databases);
    ids.extend(existing.map(|key| lock_id(key.database(database), key.hash())));
}

/// See the module's text.
pub struct Data<'a> {
    pub databases: &'a Databases,
    /// The selected database.
    pub database: usize,
    /// The database that was asked for last, if there was one, and its number.
    known: (usize, Option<&'a Database>),
    pub journal: &'a mut Journal,
    /// This worker's recorder.
    pub recorder: &'a mut Recorder,
    pub(crate) locks: Locks<'a>,
    /// The keys of the requests in hand that may have several.
    pub(crate) keys: &'a mut Keys,
    /// The key that was asked for last, or the only one.
    latest: Hashed,
}

impl<'a> Data<'a> {
    #[inline(always)]
    pub(crate) fn new(
        databases: &'a Databases,
        (database, known): (usize, Option<&'a Database>),
        journal: &'a mut Journal,
        recorder: &'a mut Recorder,
        keys: &'a mut Keys,
    ) -> Data<'a> {
        Data {
            databases,
            database,
            known: (database, known),
            journal,
            recorder,
            locks: Locks::None,
            keys,
            latest: Hashed::NONE,
        }
    }

    /// The selected database.
    #[inline(always)]
    pub(crate) fn selected(&mut self) -> &'a Database {
        match self.known {
            (number, Some(database)) if number == self.database => database,
            _ => {
                let database = self.databases.get(self.database, self.journal.now_ms);
                self.known = (self.database, Some(database));
                database
            }
        }
    }

    /// Says which keys the command that runs next declares.
    #[inline(always)]
    pub(crate) fn declare(&mut self, keys: Declared<'_>) {
        match keys {
            Declared::One(key) => self.declare_one(key),
            Declared::Listed(range) => self.declare_listed(range),
        }
    }

    #[inline(always)]
    pub(crate) fn declare_one(&mut self, key: Key<'_>) {
        self.latest = Hashed::of(key);
        self.keys.run_none();
    }

    #[inline(always)]
    pub(crate) fn declare_listed(&mut self, range: KeyRange) {
        self.latest = Hashed::NONE;
        self.keys.run(range);
    }

    /// The key with its hash.
    #[inline(always)]
    pub fn key<'k>(&mut self, bytes: &'k [u8]) -> Key<'k> {
        let hash = if self.latest.is(bytes) { self.latest.hash } else { self.hash_of(bytes) };
        Key { bytes, hash }
    }

    #[inline(never)]
    fn hash_of(&mut self, bytes: &[u8]) -> u64 {
        match self.keys.find(bytes) {
            Some(key) => {
                self.latest = key;
                key.hash
            }
            None => self.journal.hasher.hash(bytes),
        }
    }

    /// Milliseconds of the keyspace's clock, the same for all of a batch.
    #[inline(always)]
    pub fn now_ms(&self) -> i64 {
        self.journal.now_ms
    }

    #[inline(always)]
    fn stripe(&mut self, database: usize, hash: u64) -> (&mut Contents, &mut Journal, &mut Recorder) {
        let is_declared = !cfg!(debug_assertions) || self.declares(database, hash);
        match self.locks.get(lock_id(database, hash)) {
            Some(locked) if is_declared => (locked, self.journal, self.recorder),
            _ => {
                let astray = self.keys.astray(self.journal);
                (&mut astray.contents, &mut astray.journal, self.recorder)
            }
        }
    }

    fn declares(&self, database: usize, hash: u64) -> bool {
        let is_latest = self.latest.hash == hash && self.database == database;
        is_latest || self.keys.declares(self.database, database, hash)
    }

    /// What a command does to each of the keys it declares: its stripe's id, its hash, how it is held.
    fn holds(&self, keys: Declared<'_>, writes: bool) -> SmallVec<[(LockId, u64, Hold); 4]> {
        let hold = |is_only_read: bool| if writes && !is_only_read { Hold::Exclusive } else { Hold::Shared };
        match keys {
            Declared::One(key) => smallvec![(lock_id(self.database, key.hash), key.hash, hold(false))],
            Declared::Listed(range) => {
                let place = |key: &DeclaredKey| lock_id(key.database(self.database), key.hash());
                self.keys
                    .of(range)
                    .iter()
                    .map(|key| (place(key), key.hash(), hold(key.is_only_read())))
                    .collect()
            }
        }
    }

    /// A pin that keeps a command from these keys, whose stripes are held.
    #[cold]
    pub(crate) fn pin_against(&mut self, keys: Declared<'_>, writes: bool) -> Option<Arc<Pin>> {
        let holds = self.holds(keys, writes);
        holds.into_iter().find_map(|(id, hash, hold)| self.locks.get(id)?.pin_against(hash, hold))
    }

    /// Pins these keys, whose stripes are held.
    #[cold]
    pub(crate) fn pin(&mut self, keys: Declared<'_>, writes: bool, pins: &mut Pinned) {
        for (id, hash, hold) in self.holds(keys, writes) {
            if let Some(locked) = self.locks.get(id) {
                locked.pin(hash, hold, pins);
            }
        }
    }

    /// Reads a key: counts a hit or a miss and an access.
    #[inline(always)]
    pub fn read(&mut self, bytes: &[u8]) -> Option<EntryRef<'_>> {
        let key = self.key(bytes);
        let (stripe, journal, recorder) = self.stripe(self.database, key.hash);
        let entry = stripe.read(key, journal);
        recorder.looked_up(entry.is_some());
        entry
    }

    /// Looks at a key: counts a hit or a miss, but no access (TTL, TYPE, EXISTS).
    pub fn look(&mut self, bytes: &[u8]) -> Option<EntryRef<'_>> {
        let key = self.key(bytes);
        let (stripe, journal, recorder) = self.stripe(self.database, key.hash);
        let entry = stripe.look(key, journal);
        recorder.looked_up(entry.is_some());
        entry
    }

    /// The entry a write starts from: counted neither as hit or miss, nor as an access.
    #[inline(always)]
    pub fn find(&mut self, bytes: &[u8]) -> Option<EntryRef<'_>> {
        self.find_in(self.database, bytes)
    }

    /// As [`Data::find`], in another database.
    #[inline(always)]
    pub fn find_in(&mut self, database: usize, bytes: &[u8]) -> Option<EntryRef<'_>> {
        let key = self.key(bytes);
        let (stripe, journal, _) = self.stripe(database, key.hash);
        stripe.look(key, journal)
    }

    /// Creates or replaces a value.
    #[inline(always)]
    pub fn store(&mut self, bytes: &[u8], value: NewValue<'_>, kind: Kind, deadline: Deadline, event: Event) {
        let key = self.key(bytes);
        let (stripe, journal, recorder) = self.stripe(self.database, key.hash);
        stripe.store(key, Put { value, kind, deadline, event }, journal, |key| recorder.prefix_of(key));
    }

    /// See `keyspace::Contents::edit`.
    pub fn edit<S: Shape, R>(
        &mut self,
        bytes: &[u8],
        missing: Missing,
        event: Event,
        change: impl FnOnce(&mut S) -> R,
    ) -> Option<R> {
        let key = self.key(bytes);
        let (stripe, journal, recorder) = self.stripe(self.database, key.hash);
        stripe.edit(key, missing, event, journal, |key| recorder.prefix_of(key), change)
    }

    /// Deletes a key; false if it did not exist.
    pub fn delete(&mut self, bytes: &[u8], event: Event) -> bool {
        let key = self.key(bytes);
        let (stripe, journal, _) = self.stripe(self.database, key.hash);
        stripe.remove(key, event, journal)
    }

    /// Sets or clears a deadline (milliseconds of the keyspace's clock); false if the key does not exist.
    pub fn set_deadline(&mut self, bytes: &[u8], expiry_ms: Option<i64>, event: Event) -> bool {
        let key = self.key(bytes);
        let (stripe, journal, _) = self.stripe(self.database, key.hash);
        stripe.set_deadline(key, expiry_ms, event, journal)
    }

    /// Takes out `from`, to be attached under `name`; None if `from` does not exist.
    pub fn take(&mut self, from: &[u8], name: &[u8], event: Event) -> Option<Detached> {
        let key = self.key(from);
        let (stripe, journal, _) = self.stripe(self.database, key.hash);
        stripe.take(key, name, event, journal)
    }

    /// A copy of `from` that is to be attached under `name`; None if `from` does not exist.
    pub fn copy(&mut self, from: &[u8], name: &[u8]) -> Option<Detached> {
        let key = self.key(from);
        let (stripe, journal, _) = self.stripe(self.database, key.hash);
        stripe.copy(key, name, journal)
    }

    /// Puts what was taken or copied under `name` into a database, replacing what is there.
    pub fn attach(&mut self, database: usize, name: &[u8], detached: Detached, event: Event) {
        debug_assert_eq!(detached.read().key(), name);
        let hash = self.key(name).hash;
        let (stripe, journal, recorder) = self.stripe(database, hash);
        stripe.attach(hash, detached, event, journal, |key| recorder.prefix_of(key));
    }

    /// Watches a key for the session that owns `flag`.
    ///
    /// Returns whether it exists.
    pub fn watch(&mut self, watched: &Watched, flag: &WatchFlag) -> bool {
        let key = Key { bytes: &watched.key, hash: watched.hash };
        let (stripe, journal, _) = self.stripe(watched.database, key.hash);
        stripe.watch(key, flag, journal)
    }

    /// Whether a watched key is gone; its stripe is held, for EXEC.
    pub(crate) fn is_gone(&mut self, watched: &Watched) -> bool {
        let key = Key { bytes: &watched.key, hash: watched.hash };
        let held = self.locks.get(lock_id(watched.database, key.hash));
        held.is_none_or(|stripe| stripe.look(key, self.journal).is_none())
    }

    /// The prefix node and value size of a key whose stripe is held, for the observers.
    pub(crate) fn observed(&mut self, key: Key<'_>) -> Option<(u16, usize)> {
        let (stripe, journal, _) = self.stripe(self.database, key.hash);
        stripe.look(key, journal).map(|entry| (entry.prefix(), entry.value_bytes()))
    }

    /// Visits keys in hash order; see `keyspace::Database::scan`. Locks one stripe at a time, so the command must
    /// not hold any.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        stripes_max: usize,
        visit: impl FnMut(EntryRef<'_>),
    ) -> Option<u64> {
        debug_assert!(matches!(self.locks, Locks::None));
        match self.databases.existing(self.database) {
            Some(database) => database.scan(cursor, count, stripes_max, self.journal, visit),
            None => Some(0),
        }
    }

    /// A copy of a live key chosen at random, or none if so many draws met only keys past their deadline.
    pub fn random_key(&mut self, draws_max: usize) -> Option<Vec<u8>> {
        let database = self.databases.existing(self.database)?;
        let now_ms = self.journal.now_ms;
        for _ in 0..draws_max {
            let draw = |entry: EntryRef<'_>| {
                entry.expiry_ms().is_none_or(|expiry_ms| expiry_ms > now_ms).then(|| entry.key().to_vec())
            };
            if let Some(key) = database.random_entry(self.journal, draw)? {
                return Some(key);
            }
        }
        None
    }

    /// Keys of the selected database, as DBSIZE counts.
    pub fn len(&self) -> usize {
        self.databases.existing(self.database).map_or(0, keyspace::Database::len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
