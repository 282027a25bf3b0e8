//! A stripe: a lock, the table it guards, and what belongs to its keys (deadlines, watches).
//!
//! It is the only module that gives a table's entries meaning: a key past its deadline does not exist, a write wakes
//! the transactions that watch its key, every change is noted in the [`Journal`]. It does not know commands.
//!
//! Invariants: (1) no operation returns an entry whose deadline has passed; (2) when a stripe is unlocked its
//! database's wheel is armed no later than the table's earliest deadline, or the stripe is among those due; (3) `len` and `expiring` outside the lock
//! equal the table's as of the last unlock.
//!
//! Thread safety: [`Stripe::lock`] and friends; a [`Locked`] stripe is used by one thread. A wheel is locked while
//! holding a stripe, never the other way round.

use crate::database::Wheels;
use crate::entry::{EntryRef, Kind, NewValue, Parts, RawEntry};
use crate::expiry::{NEVER, TICK_MS, tick_of};
use crate::journal::{Footprint, Journal, Removal, footprint};
use crate::latch::{Held, Latch, Patience};
use crate::table::{Place, Table};
use crate::waiting::{ALONE, Mark};
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// A key with its hash.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}

/// What a write does to the key's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Clear,
    Keep,
    /// Milliseconds of the keyspace's clock.
    At(i64),
}

/// Set when a watched key changed. The connection that watches has it; the stripes of the keys only refer to it, so that
/// letting go of it ends all its watches.
pub type WatchFlag = Arc<AtomicBool>;

/// See the module's text.
#[repr(align(128))]
pub struct Stripe {
    contents: Latch<Contents>,
    len: AtomicU32,
    expiring: AtomicU32,
}

/// What the lock guards.
pub struct Contents {
    table: Table,
    /// The tick the wheel is armed for; 0 while the database knows that something is due.
    armed: u32,
    /// Flags of the transactions that watch a key, by the key's hash: equal hashes abort one too many at worst.
    #[expect(clippy::box_collection, reason = "a stripe is two cache lines, and few have watches")]
    watches: Option<Box<HashMap<u64, Vec<Weak<AtomicBool>>>>>,
}

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<Stripe>() == 128);

/// A locked stripe; unlocking arms the wheel and publishes the counts.
pub struct Locked<'a> {
    contents: Held<'a, Contents>,
    /// Dropped after `contents`, by their order here.
    origin: Origin<'a>,
}

/// Where a locked stripe belongs; dropped, it tells who waits for the stripe that it was given back.
struct Origin<'a> {
    stripe: &'a Stripe,
    wheels: &'a Wheels,
    index: u16,
    worker: u8,
}

impl Drop for Origin<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let mark = self.stripe.mark();
        if mark.is_set() {
            self.wheels.waiting().given_back(mark, self.worker);
        }
    }
}

impl Stripe {
    pub(crate) fn new() -> Stripe {
        let contents = Contents { table: Table::new(), armed: NEVER, watches: None };
        Stripe { contents: Latch::new(contents), len: AtomicU32::new(0), expiring: AtomicU32::new(0) }
    }

    /// Keys in the stripe as of its last unlock, those past their deadline included.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys with a deadline as of the last unlock.
    pub fn expiring(&self) -> usize {
        self.expiring.load(Relaxed) as usize
    }

    #[inline(always)]
    pub(crate) fn try_lock<'a>(&'a self, index: usize, wheels: &'a Wheels, worker: u8) -> Option<Locked<'a>> {
        Some(self.locked(self.contents.try_lock(worker)?, index, wheels, worker))
    }

    /// Tries as long as there is patience.
    pub(crate) fn lock<'a>(
        &'a self,
        index: usize,
        wheels: &'a Wheels,
        worker: u8,
        patience: &mut Patience,
    ) -> Option<Locked<'a>> {
        Some(self.locked(self.contents.try_lock_for(worker, patience)?, index, wheels, worker))
    }

    /// With nobody else inside the gate it is free.
    pub(crate) fn lock_alone<'a>(&'a self, index: usize, wheels: &'a Wheels) -> Locked<'a> {
        self.locked(self.contents.lock_alone(), index, wheels, ALONE)
    }

    #[inline(always)]
    fn locked<'a>(
        &'a self,
        contents: Held<'a, Contents>,
        index: usize,
        wheels: &'a Wheels,
        worker: u8,
    ) -> Locked<'a> {
        Locked { contents, origin: Origin { stripe: self, wheels, index: index as u16, worker } }
    }

    /// Who waits for it.
    pub(crate) fn mark(&self) -> &Mark {
        self.contents.mark()
    }

    /// Runs `hint` on the table if nobody holds the lock right now, nor is waited for with it.
    #[inline(always)]
    pub(crate) fn peek(&self, hint: impl FnOnce(&Table)) {
        if let Some(contents) = self.contents.try_peek() {
            hint(&contents.table);
        }
    }

    /// See `Latch::clear_mark`.
    pub(crate) fn clear_mark(&mut self) {
        self.contents.clear_mark();
    }

    /// Exchanges watches and marks with `other`: they belong to the database's number, not to the data that SWAPDB
    /// exchanges.
    pub(crate) fn swap_waiting(&mut self, other: &mut Stripe) {
        std::mem::swap(&mut self.contents.get_mut().watches, &mut other.contents.get_mut().watches);
        self.contents.swap_marks(&mut other.contents);
    }

    pub(crate) fn contents_mut(&mut self) -> &mut Contents {
        self.contents.get_mut()
    }
}

impl Deref for Locked<'_> {
    type Target = Contents;

    #[inline(always)]
    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl DerefMut for Locked<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let Origin { stripe, wheels, index, .. } = self.origin;
        let (len, expiring) = (self.table.len() as u32, self.table.expiring() as u32);
        if stripe.len.load(Relaxed) != len {
            stripe.len.store(len, Relaxed);
        }
        if stripe.expiring.load(Relaxed) != expiring {
            stripe.expiring.store(expiring, Relaxed);
        }
        if self.table.earliest() < self.armed {
            self.armed = self.table.earliest();
            wheels.arm(usize::from(index), self.armed);
        }
    }
}

/// A copy of an entry outside any table, on its way to another key, stripe or database.
pub struct Detached(RawEntry);

impl Detached {
    pub fn read(&self) -> EntryRef<'_> {
        EntryRef::new(self.0)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.free();
    }
}

impl Contents {
    /// What the table takes without its entries.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.memory_bytes()
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// See `Table::loaded_bytes`.
    pub(crate) fn loaded_bytes(&self) -> usize {
        self.table.loaded_bytes()
    }

    /// Whether nobody would miss it: no key, and nobody who watches one.
    pub(crate) fn is_unused(&self) -> bool {
        self.is_empty() && !self.is_watched()
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watches.iter().flat_map(|watches| watches.values()).flatten().any(is_watching)
    }

    /// The entry of a key that exists; one past its deadline is removed here (lazy expiry).
    #[inline(always)]
    fn live(&mut self, key: Key<'_>, journal: &mut Journal) -> Option<Place> {
        let place = self.table.find(key.hash, key.bytes)?;
        if place.entry().expiry_ms().is_some_and(|expiry_ms| expiry_ms <= journal.now_ms) {
            self.remove_at(place, key.hash, Removal::Expired, journal);
            return None;
        }
        Some(place)
    }

    fn remove_at(&mut self, place: Place, hash: u64, why: Removal, journal: &mut Journal) {
        let entry = self.table.remove(place, hash, &journal.hasher);
        journal.removed(&EntryRef::new(entry), why);
        entry.free();
        self.touched(hash);
    }

    /// Tells the transactions that watch this key.
    #[inline(always)]
    fn touched(&self, hash: u64) {
        if let Some(watches) = &self.watches {
            watches.get(&hash).into_iter().flatten().for_each(set);
        }
    }

    /// The entry of `key`, counted as an access.
    #[inline(always)]
    pub fn read(&mut self, key: Key<'_>, journal: &mut Journal) -> Option<EntryRef<'_>> {
        let entry = self.live(key, journal)?.entry();
        entry.touch(journal.second(), journal.dice(), journal.decay_seconds);
        Some(EntryRef::new(entry))
    }

    /// The entry of `key`, its access history left alone.
    pub fn look(&mut self, key: Key<'_>, journal: &mut Journal) -> Option<EntryRef<'_>> {
        self.live(key, journal).map(|place| EntryRef::new(place.entry()))
    }

    /// Creates or replaces the value of `key`. `prefix` is asked for the node of a key that is new.
    #[inline]
    pub fn store(
        &mut self,
        key: Key<'_>,
        value: NewValue<'_>,
        kind: Kind,
        deadline: Deadline,
        journal: &mut Journal,
        prefix: impl FnOnce(&[u8]) -> u16,
    ) {
        journal.writes += 1;
        self.touched(key.hash);
        match self.live(key, journal) {
            Some(place) => self.replace(place, key, value, kind, deadline, journal),
            None => {
                let expiry_ms = if let Deadline::At(at_ms) = deadline { Some(at_ms) } else { None };
                let (prefix, stamp) = (prefix(key.bytes), journal.second());
                let entry = RawEntry::new(Parts { key: key.bytes, value, kind, expiry_ms, prefix, stamp });
                self.table.insert(key.hash, entry, &journal.hasher);
                let entry = EntryRef::new(entry);
                journal.changed(&entry, None, Some(footprint(&entry)));
            }
        }
    }

    #[inline(always)]
    fn replace(
        &mut self,
        place: Place,
        key: Key<'_>,
        value: NewValue<'_>,
        kind: Kind,
        deadline: Deadline,
        journal: &mut Journal,
    ) {
        let old = place.entry();
        old.touch(journal.second(), journal.dice(), journal.decay_seconds);
        let expiry_ms = match deadline {
            Deadline::Clear => None,
            Deadline::Keep => old.expiry_ms(),
            Deadline::At(at_ms) => Some(at_ms),
        };
        let value_bytes_before = EntryRef::new(old).value_bytes();
        if let NewValue::Bytes(bytes) = value
            && expiry_ms.is_some() == old.expiry_ms().is_some()
            && old.overwrite(bytes, kind)
        {
            if let Deadline::At(at_ms) = deadline {
                old.set_expiry_in_place(at_ms);
                self.table.lower(place, at_ms);
            }
            if bytes.len() != value_bytes_before {
                let after = footprint(&EntryRef::new(old));
                let before = Footprint { value_bytes: value_bytes_before as u32, ..after };
                journal.changed(&EntryRef::new(old), Some(before), Some(after));
            }
            return;
        }
        self.exchange(place, key, value, kind, expiry_ms, journal);
    }

    /// Puts a new entry in an old one's place. Apart from `replace`, whose usual way stays small enough to be inlined.
    #[inline(never)]
    fn exchange(
        &mut self,
        place: Place,
        key: Key<'_>,
        value: NewValue<'_>,
        kind: Kind,
        expiry_ms: Option<i64>,
        journal: &mut Journal,
    ) {
        let old = place.entry();
        let before = footprint(&EntryRef::new(old));
        let (prefix, stamp) = (EntryRef::new(old).prefix(), journal.second());
        let new = RawEntry::new(Parts { key: key.bytes, value, kind, expiry_ms, prefix, stamp });
        new.set_frequency(EntryRef::new(old).frequency());
        self.table.replace(place, new).free();
        let new = EntryRef::new(new);
        journal.changed(&new, Some(before), Some(footprint(&new)));
    }

    /// The value's bytes, to be changed without changing their number; None if the key does not exist or a reply
    /// still holds the value. The value is of `kind` afterwards.
    pub fn value_mut(&mut self, key: Key<'_>, kind: Kind, journal: &mut Journal) -> Option<&mut [u8]> {
        let entry = self.live(key, journal)?.entry();
        let value = entry.value_mut(kind)?;
        journal.writes += 1;
        self.touched(key.hash);
        Some(value)
    }

    /// Runs `change` on the Vec of a large value nobody else holds; false if the value is not of that sort.
    pub fn change_blob(
        &mut self,
        key: Key<'_>,
        kind: Kind,
        journal: &mut Journal,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let Some(place) = self.live(key, journal) else { return false };
        let entry = EntryRef::new(place.entry());
        let (before, bytes_before) = (footprint(&entry), entry.memory_bytes());
        let Some(blob) = place.entry().blob_mut(kind) else { return false };
        change(blob);
        self.table.resized(bytes_before, entry.memory_bytes());
        journal.writes += 1;
        journal.changed(&entry, Some(before), Some(footprint(&entry)));
        self.touched(key.hash);
        true
    }

    /// Removes `key`; false if it does not exist.
    pub fn remove(&mut self, key: Key<'_>, why: Removal, journal: &mut Journal) -> bool {
        let Some(place) = self.live(key, journal) else { return false };
        self.remove_at(place, key.hash, why, journal);
        true
    }

    /// Sets or clears the deadline of `key`; false if it does not exist.
    pub fn set_deadline(&mut self, key: Key<'_>, expiry_ms: Option<i64>, journal: &mut Journal) -> bool {
        let Some(place) = self.live(key, journal) else { return false };
        let old = place.entry();
        if expiry_ms.is_none() && old.expiry_ms().is_none() {
            return true;
        }
        journal.writes += 1;
        self.touched(key.hash);
        match expiry_ms {
            Some(expiry_ms) if old.set_expiry_in_place(expiry_ms) => self.table.lower(place, expiry_ms),
            _ => {
                let before = footprint(&EntryRef::new(old));
                let new = old.rebuilt(key.bytes, expiry_ms);
                self.table.replace(place, new).free();
                let new = EntryRef::new(new);
                journal.changed(&new, Some(before), Some(footprint(&new)));
            }
        }
        true
    }

    /// A copy of the entry of `from` under another name, not in any table yet.
    pub fn copy(&mut self, from: Key<'_>, name: &[u8], journal: &mut Journal) -> Option<Detached> {
        let entry = self.live(from, journal)?.entry();
        Some(Detached(entry.rebuilt(name, entry.expiry_ms())))
    }

    /// Puts a detached entry into this stripe, in place of an entry of the same name.
    pub fn attach(&mut self, hash: u64, detached: Detached, prefix: u16, journal: &mut Journal) {
        let entry = ManuallyDrop::new(detached).0;
        entry.set_prefix(prefix);
        match self.table.find(hash, entry.key()) {
            Some(place) => {
                let old = self.table.replace(place, entry);
                journal.changed(&EntryRef::new(old), Some(footprint(&EntryRef::new(old))), None);
                old.free();
            }
            None => self.table.insert(hash, entry, &journal.hasher),
        }
        let entry = EntryRef::new(entry);
        journal.changed(&entry, None, Some(footprint(&entry)));
        journal.writes += 1;
        self.touched(hash);
    }

    /// Visits the live ones of the entries in hash order from `from` on, whole buckets, until `count` were passed.
    /// Returns the position to go on from, and how many were passed.
    pub fn walk(
        &self,
        from: u64,
        count: usize,
        journal: &Journal,
        mut visit: impl FnMut(EntryRef<'_>),
    ) -> (Option<u64>, usize) {
        let mut passed = 0;
        let position = self.table.walk(from, count, &journal.hasher, |entry| {
            passed += 1;
            if entry.expiry_ms().is_none_or(|expiry_ms| expiry_ms > journal.now_ms) {
                visit(EntryRef::new(entry));
            }
        });
        (position, passed)
    }

    /// The entry of this rank in storage order, deadlines ignored.
    pub fn nth(&self, rank: usize) -> Option<EntryRef<'_>> {
        self.table.nth(rank).map(EntryRef::new)
    }

    /// See `Table::sample`.
    pub(crate) fn sample(
        &self,
        random: u64,
        expiring: bool,
        tries: usize,
        mut visit: impl FnMut(EntryRef<'_>),
    ) {
        self.table.sample(random, expiring, tries, |entry| visit(EntryRef::new(entry)));
    }

    /// Clamps the access stamps of entries idle for more than `idle_max_seconds`, from `from` on; the stamps are
    /// 16 bits and would otherwise come round.
    pub(crate) fn age(
        &self,
        from: u64,
        count: usize,
        idle_max_seconds: u16,
        journal: &Journal,
    ) -> Option<u64> {
        let second = journal.second();
        self.table.walk(from, count, &journal.hasher, |entry| {
            if EntryRef::new(entry).idle_seconds(second) > idle_max_seconds {
                entry.set_stamp(second.wrapping_sub(idle_max_seconds));
            }
        })
    }

    /// Removes about `budget` entries whose deadline has passed and returns whether there are more.
    pub(crate) fn expire(&mut self, budget: usize, journal: &mut Journal) -> bool {
        let Contents { table, watches, .. } = self;
        let hasher = journal.hasher.clone();
        let more = table.expire(journal.now_ms, budget, &hasher, |entry| {
            journal.removed(&EntryRef::new(entry), Removal::Expired);
            if let Some(watches) = watches {
                watches.get(&hasher.hash(entry.key())).into_iter().flatten().for_each(set);
            }
            entry.free();
        });
        // What was reported is no longer armed. Unlocking arms the wheel for what is left, unless the caller is to come
        // back anyway.
        self.armed = if more { 0 } else { NEVER };
        more
    }

    /// Registers `flag` to be set when `key` changes. Returns whether the key exists now.
    pub fn watch(&mut self, key: Key<'_>, flag: &WatchFlag, journal: &mut Journal) -> bool {
        let exists = self.live(key, journal).is_some();
        let watches = self.watches.get_or_insert_default();
        if watches.len().is_power_of_two() {
            sweep(watches);
        }
        let flags = watches.entry(key.hash).or_default();
        if flags.len().is_power_of_two() {
            flags.retain(is_watching);
        }
        if !flags.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(flag))) {
            flags.push(Arc::downgrade(flag));
        }
        exists
    }

    /// Sets the flags of all watched keys for which `changes` says so; for whole-database commands.
    pub(crate) fn touch_watched(&self, changes: impl Fn(u64) -> bool) {
        for (hash, flags) in self.watches.iter().flat_map(|watches| watches.iter()) {
            if changes(*hash) {
                flags.iter().for_each(set);
            }
        }
    }

    /// Whether some entry has this hash and is not past its deadline.
    pub(crate) fn has_live(&self, hash: u64, journal: &Journal) -> bool {
        let mut found = false;
        let position = hash << crate::hash::STRIPE_BITS;
        self.table.walk(position, 1, &journal.hasher, |entry| {
            let is_live = entry.expiry_ms().is_none_or(|expiry_ms| expiry_ms > journal.now_ms);
            found |= is_live && journal.hasher.hash(entry.key()) == hash;
        });
        found
    }

    /// The next time the active cycle should look into this stripe, in milliseconds of the keyspace's clock.
    pub fn earliest_ms(&self) -> Option<i64> {
        (self.table.earliest() != NEVER).then(|| i64::from(self.table.earliest()) * TICK_MS)
    }
}

fn set(flag: &Weak<AtomicBool>) {
    if let Some(flag) = flag.upgrade() {
        flag.store(true, Relaxed);
    }
}

fn is_watching(flag: &Weak<AtomicBool>) -> bool {
    flag.strong_count() > 0
}

/// Forgets the watches that have ended; whoever adds one does it whenever their number has doubled.
fn sweep(watches: &mut HashMap<u64, Vec<Weak<AtomicBool>>>) {
    watches.retain(|_, flags| {
        flags.retain(is_watching);
        !flags.is_empty()
    });
}

/// The tick that `now_ms` has reached.
pub(crate) fn tick_now(now_ms: i64) -> u32 {
    tick_of(now_ms) - 1
}
