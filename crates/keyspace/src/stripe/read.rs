//! Reading a stripe: the entry of a key, walks over all, samples.
//!
//! Not writing: the one thing that changes here, a key found past its deadline that goes (lazy expiry), goes through
//! `write`; access stamps are history, not a change of the key.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use super::{Contents, Key};
use crate::entry::EntryRef;
use crate::journal::{Event, Journal};
use crate::pins::Hold;
use crate::table::Place;

impl Contents {
    /// The entry of a key that exists; one past its deadline is removed here (lazy expiry), unless the journal keeps it.
    #[inline(always)]
    pub(super) fn live(&mut self, key: Key<'_>, journal: &mut Journal) -> Option<Place> {
        let place = self.table.find(key.hash, key.bytes)?;
        if place.entry().expiry_ms().is_some_and(|expiry_ms| expiry_ms <= journal.now_ms) {
            self.meet_dead(place, key, journal);
            return None;
        }
        Some(place)
    }

    /// A key past its deadline was found: it goes, unless it has to stay for a while. Apart, to keep small what every
    /// command runs through.
    #[cold]
    #[inline(never)]
    fn meet_dead(&mut self, place: Place, key: Key<'_>, journal: &mut Journal) {
        // While a sliced command has it to itself it is absent, and goes later; who only reads has a reference to the value.
        if !journal.keeps_dead && !self.has_pinned(key.hash, Hold::Shared) {
            self.remove_at(place, key, Event::Expired, journal);
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
}
