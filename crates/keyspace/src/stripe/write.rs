//! Writing a stripe: every change of a key, whoever asks for it, and what follows from one.
//!
//! A change is put between [`Ledger::begin_write`] and [`Ledger::end_write`]: commands, expiry (lazy and active), eviction,
//! renames, copies, edits. What a change must see beforehand belongs into the first, what must follow from it into the
//! second. It does not know who asks: that is the [`Event`].
//!
//! Invariants: (1) an entry comes, goes, or changes its value or deadline only between `begin_write` and `end_write`; (2)
//! `entry_bytes` is the sum of the entries' `memory_bytes`; (3) a write tells each changed key once: a key found past its
//! deadline is told as expired, apart from the write that found it; (4) a value that somebody outside holds a reference
//! of is never changed: an edit copies it first; (5) an entry made from another one is made by `RawEntry::rebuilt`.
//!
//! A flush and a swap are a write of a whole database: they tell watchers and count, but not key by key.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use super::watches::Watches;
use super::{Contents, Deadline, Key, WatchFlag};
use crate::entry::{EntryRef, Kind, NewValue, Outline, Parts, RawEntry};
use crate::expiry::NEVER;
use crate::journal::{Change, Event, Journal, Wanted};
use crate::pins::Pins;
use crate::table::Place;
use std::mem::ManuallyDrop;

/// What a stripe keeps beside its entries, kept true by every write.
pub(super) struct Ledger {
    watches: Watches,
    pub(super) pins: Pins,
    /// The sum of the entries' `memory_bytes`.
    entry_bytes: usize,
    /// The number of the stripe's database.
    database: u32,
    /// Of the last unit that changed a key here, or that there was when the database was made.
    ticket: u64,
    /// The tick the wheel is armed for; 0 while the database knows that something is due.
    pub(super) armed: u32,
}

/// A change that has begun.
#[must_use]
pub(super) struct Write {
    before: Option<Outline>,
    event: Event,
}

impl Ledger {
    pub(super) fn new(database: u32, ticket: u64) -> Ledger {
        let (watches, pins) = (Watches::default(), Pins::default());
        Ledger { watches, pins, entry_bytes: 0, ticket, database, armed: NEVER }
    }

    pub(super) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// For a change of the whole database.
    pub(super) fn set_ticket(&mut self, ticket: u64) {
        self.ticket = ticket;
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watches.is_any()
    }

    pub(super) fn swap_numbers(&mut self, other: &mut Ledger) {
        std::mem::swap(&mut self.watches, &mut other.watches);
        std::mem::swap(&mut self.database, &mut other.database);
    }

    /// To be called before a key changes, with its entry if it has one.
    #[inline(always)]
    pub(super) fn begin_write(&self, old: Option<RawEntry>, event: Event) -> Write {
        Write { before: old.map(RawEntry::outline), event }
    }

    /// To be called when a key has changed, with the entry it has now. Everything that follows from a change is done here.
    #[inline(always)]
    pub(super) fn end_write(
        &mut self,
        write: Write,
        key: Key<'_>,
        new: Option<RawEntry>,
        journal: &mut Journal,
    ) {
        let Write { before, event } = write;
        self.watches.touch(key.hash);
        if new.is_some() {
            journal.writes += 1;
        } else {
            journal.removed(event);
        }
        let after = new.map(RawEntry::outline);
        let same_size = matches!((before, after), (Some(before), Some(after)) if before.has_size_of(&after));
        if !same_size || journal.wanted >= Wanted::All {
            self.tell(key, event, [before, after], journal);
        }
    }

    /// Accounts a change and puts it into the journal. Apart, to keep small what most writes run through: those that leave
    /// the size as it was, told to nobody.
    #[inline(never)]
    fn tell(&mut self, key: Key<'_>, event: Event, outlines: [Option<Outline>; 2], journal: &mut Journal) {
        let [before, after] = outlines.map(|outline| outline.map(|outline| outline.footprint()));
        let bytes = |footprint: Option<crate::Footprint>| {
            footprint.map_or(0, |footprint| footprint.total_bytes as usize)
        };
        self.entry_bytes = self.entry_bytes + bytes(after) - bytes(before);
        let [old, new] = outlines;
        let prefix = new.or(old).map_or(0, |outline| outline.prefix());
        let key_bytes = key.bytes.len() as u32;
        if let Some(unit) = &mut journal.unit {
            self.ticket = unit.change(self.database, key.bytes, event.is_by_itself());
        }
        let change = Change {
            hash: key.hash,
            database: self.database,
            prefix,
            event,
            key_bytes,
            name_at: 0,
            before,
            after,
        };
        journal.tell(change, key.bytes);
    }
}

/// What is stored under a key.
pub struct Put<'a> {
    pub value: NewValue<'a>,
    pub kind: Kind,
    pub deadline: Deadline,
    pub event: Event,
}

/// An entry outside any table, on its way to another key, stripe or database.
pub struct Detached(RawEntry);

impl Detached {
    pub fn read(&self) -> EntryRef<'_> {
        EntryRef::new(self.0)
    }

    fn into_entry(self) -> RawEntry {
        ManuallyDrop::new(self).0
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.free();
    }
}

impl Contents {
    /// Takes an entry out of the table; it is the caller's.
    fn detach_at(&mut self, place: Place, key: Key<'_>, event: Event, journal: &mut Journal) -> RawEntry {
        let write = self.ledger.begin_write(Some(place.entry()), event);
        let entry = self.table.remove(place, key.hash, &journal.hasher);
        self.ledger.end_write(write, key, None, journal);
        entry
    }

    pub(super) fn remove_at(&mut self, place: Place, key: Key<'_>, event: Event, journal: &mut Journal) {
        self.detach_at(place, key, event, journal).free();
    }

    /// Puts an entry into the table under a key that has none.
    pub(super) fn insert(&mut self, key: Key<'_>, entry: RawEntry, event: Event, journal: &mut Journal) {
        debug_assert!(!journal.keeps_dead, "what was taken for absent may be there");
        let write = self.ledger.begin_write(None, event);
        self.table.insert(key.hash, entry, &journal.hasher);
        self.ledger.end_write(write, key, Some(entry), journal);
    }

    /// Creates or replaces the value of `key`. `prefix` is asked for the node of a key that is new.
    #[inline]
    pub fn store(
        &mut self,
        key: Key<'_>,
        put: Put<'_>,
        journal: &mut Journal,
        prefix: impl FnOnce(&[u8]) -> u16,
    ) {
        match self.live(key, journal) {
            Some(place) => self.replace(place, key, put, journal),
            None => {
                let Put { value, kind, deadline, event } = put;
                let expiry_ms = if let Deadline::At(at_ms) = deadline { Some(at_ms) } else { None };
                let (prefix, stamp) = (prefix(key.bytes), journal.second());
                let entry = RawEntry::new(Parts { key: key.bytes, value, kind, expiry_ms, prefix, stamp });
                self.insert(key, entry, event, journal);
            }
        }
    }

    #[inline(always)]
    fn replace(&mut self, place: Place, key: Key<'_>, put: Put<'_>, journal: &mut Journal) {
        let old = place.entry();
        old.touch(journal.second(), journal.dice(), journal.decay_seconds);
        let keeps_field = match put.deadline {
            Deadline::Clear => old.expiry_ms().is_none(),
            Deadline::Keep => true,
            Deadline::At(_) => old.expiry_ms().is_some(),
        };
        if keeps_field
            && let NewValue::Bytes(bytes) = put.value
            && let Some(room) = old.room_for_short(bytes.len())
        {
            let write = self.ledger.begin_write(Some(old), put.event);
            room.fill(bytes, put.kind);
            if let Deadline::At(at_ms) = put.deadline {
                old.set_expiry_in_place(at_ms);
                self.table.lower(place, at_ms);
            }
            self.ledger.end_write(write, key, Some(old), journal);
            return;
        }
        self.replace_any(place, key, put, keeps_field, journal);
    }

    /// As `replace`, whatever the sizes; apart, so that the usual way stays small enough to be inlined.
    #[inline(never)]
    fn replace_any(
        &mut self,
        place: Place,
        key: Key<'_>,
        put: Put<'_>,
        keeps_field: bool,
        journal: &mut Journal,
    ) {
        let old = place.entry();
        let write = self.ledger.begin_write(Some(old), put.event);
        let expiry_ms = match put.deadline {
            Deadline::Clear => None,
            Deadline::Keep => old.expiry_ms(),
            Deadline::At(at_ms) => Some(at_ms),
        };
        if keeps_field
            && let NewValue::Bytes(bytes) = put.value
            && let Some(room) = old.room_for(bytes.len())
        {
            room.fill(bytes, put.kind);
            if let Some(at_ms) = expiry_ms {
                old.set_expiry_in_place(at_ms);
                self.table.lower(place, at_ms);
            }
            self.ledger.end_write(write, key, Some(old), journal);
            return;
        }
        let new = old.rebuilt(key.bytes, put.value, put.kind, expiry_ms);
        self.table.replace(place, new).free();
        self.ledger.end_write(write, key, Some(new), journal);
    }

    /// Removes `key`; false if it does not exist.
    pub fn remove(&mut self, key: Key<'_>, event: Event, journal: &mut Journal) -> bool {
        let Some(place) = self.live(key, journal) else { return false };
        self.remove_at(place, key, event, journal);
        true
    }

    /// Sets or clears the deadline of `key`; false if it does not exist.
    pub fn set_deadline(
        &mut self,
        key: Key<'_>,
        expiry_ms: Option<i64>,
        event: Event,
        journal: &mut Journal,
    ) -> bool {
        let Some(place) = self.live(key, journal) else { return false };
        let old = place.entry();
        if expiry_ms.is_none() && old.expiry_ms().is_none() {
            return true;
        }
        let write = self.ledger.begin_write(Some(old), event);
        let new = match expiry_ms {
            Some(expiry_ms) if old.set_expiry_in_place(expiry_ms) => {
                self.table.lower(place, expiry_ms);
                old
            }
            _ => {
                let new = old.rebuilt(key.bytes, old.shared_value(), EntryRef::new(old).kind(), expiry_ms);
                self.table.replace(place, new).free();
                new
            }
        };
        self.ledger.end_write(write, key, Some(new), journal);
        true
    }

    /// Takes the entry of `from` out, to be attached as `name`. The value is not copied: an entry with another name is
    /// another allocation, but a large value goes along by reference.
    pub fn take(
        &mut self,
        from: Key<'_>,
        name: &[u8],
        event: Event,
        journal: &mut Journal,
    ) -> Option<Detached> {
        let place = self.live(from, journal)?;
        let entry = self.detach_at(place, from, event, journal);
        if name == from.bytes {
            return Some(Detached(entry));
        }
        let renamed = entry.duplicate(name);
        entry.free();
        Some(Detached(renamed))
    }

    /// A copy of the entry of `from` under another name, not in any table yet; it shares a large value.
    pub fn copy(&mut self, from: Key<'_>, name: &[u8], journal: &mut Journal) -> Option<Detached> {
        let entry = self.live(from, journal)?.entry();
        Some(Detached(entry.duplicate(name)))
    }

    /// Puts a detached entry into this stripe, in place of an entry of the same name, whose prefix node it takes over;
    /// `prefix` is asked for the node of a key that is new.
    pub fn attach(
        &mut self,
        hash: u64,
        detached: Detached,
        event: Event,
        journal: &mut Journal,
        prefix: impl FnOnce(&[u8]) -> u16,
    ) {
        let entry = detached.into_entry();
        let key = Key { bytes: entry.key(), hash };
        match self.live(key, journal) {
            Some(place) => {
                let write = self.ledger.begin_write(Some(place.entry()), event);
                entry.set_prefix(EntryRef::new(place.entry()).prefix());
                self.table.replace(place, entry).free();
                self.ledger.end_write(write, key, Some(entry), journal);
            }
            None => {
                entry.set_prefix(prefix(key.bytes));
                self.insert(key, entry, event, journal);
            }
        }
    }

    /// Removes about `budget` entries whose deadline has passed and returns whether there are more. `seal` is called for
    /// each.
    pub(crate) fn expire(
        &mut self,
        budget: usize,
        journal: &mut Journal,
        mut seal: impl FnMut(&mut Journal),
    ) -> bool {
        let Contents { table, ledger, .. } = self;
        let hasher = journal.hasher.clone();
        let more = table.expire(journal.now_ms, budget, &hasher, |entry, hash| {
            let write = ledger.begin_write(Some(entry), Event::Expired);
            ledger.end_write(write, Key { bytes: entry.key(), hash }, None, journal);
            entry.free();
            seal(journal);
        });
        // What was reported is no longer armed. Unlocking arms the wheel for what is left, unless the caller is to come
        // back anyway.
        self.ledger.armed = if more { 0 } else { NEVER };
        more
    }

    /// All keys go at once: tells those who watch one that exists, and counts.
    pub(crate) fn write_emptied(&self, journal: &mut Journal) {
        self.ledger.watches.touch_where(|hash| self.has_live(hash, journal));
        journal.writes += self.len() as u64;
    }

    /// Those who watch a key here are to find what `other` holds: tells them, if either has such a key.
    pub(crate) fn write_exchanged(&self, other: &Contents, journal: &Journal) {
        self.ledger.watches.touch_where(|hash| self.has_live(hash, journal) || other.has_live(hash, journal));
    }

    /// Registers `flag` to be set when `key` changes. Returns whether the key exists now.
    pub fn watch(&mut self, key: Key<'_>, flag: &WatchFlag, journal: &mut Journal) -> bool {
        let exists = self.live(key, journal).is_some();
        self.ledger.watches.add(key.hash, flag);
        exists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Value;
    use crate::{Databases, KeyHasher, Missing, Shape, Text};

    /// One key's stripe, and a journal that wants to hear everything.
    struct Bench {
        databases: Databases,
        journal: Journal,
    }

    impl Bench {
        fn new() -> Bench {
            let mut journal = Journal::new(KeyHasher::fold(3), 3);
            journal.wanted = Wanted::Names;
            Bench { databases: Databases::new(1), journal }
        }

        fn on<R>(&mut self, run: impl FnOnce(&mut Contents, Key<'_>, &mut Journal) -> R) -> R {
            let hash = self.journal.hasher.hash(b"key");
            let database = self.databases.get(0, 0);
            let mut locked = database.lock_alone(crate::hash::stripe_of(hash));
            run(&mut locked, Key { bytes: b"key", hash }, &mut self.journal)
        }

        fn set(&mut self, value: &[u8]) {
            let (value, kind) = (NewValue::Bytes(value), Kind::StringRaw);
            let put = Put { value, kind, deadline: Deadline::Clear, event: Event::Set };
            self.on(|stripe, key, journal| stripe.store(key, put, journal, |_| 0));
        }

        fn edit<S: Shape>(&mut self, missing: Missing, change: impl FnOnce(&mut S)) -> bool {
            self.on(|stripe, key, journal| {
                stripe.edit(key, missing, Event::Append, journal, |_| 0, change).is_some()
            })
        }

        fn blob(&mut self) -> Option<crate::Blob> {
            self.on(|stripe, key, journal| match stripe.look(key, journal)?.value() {
                Value::Shared(blob) => Some(blob.clone()),
                Value::Inline(_) => None,
            })
        }

        /// What the journal was told since the last time.
        fn events(&mut self) -> Vec<Event> {
            let events = self.journal.changes.iter().map(|change| change.event).collect();
            self.journal.forget_changes();
            events
        }
    }

    #[test]
    fn a_reader_keeps_its_bytes_whatever_happens_to_the_key() {
        let old = vec![b'v'; 20_000];
        let writes: [&dyn Fn(&mut Bench); 6] = [
            &|bench| bench.set(&[b'w'; 20_000]),
            &|bench| bench.set(b"short"),
            &|bench| assert!(bench.edit(Missing::Leave, |text: &mut Text| text.write_at(5, b"xyz"))),
            &|bench| assert!(bench.edit(Missing::Leave, |text: &mut Text| text.write_at(20_000, b"xyz"))),
            &|bench| assert!(bench.on(|stripe, key, journal| stripe.remove(key, Event::Del, journal))),
            &|bench| {
                let taken =
                    bench.on(|stripe, key, journal| stripe.take(key, b"other", Event::RenameFrom, journal));
                assert!(taken.is_some());
            },
        ];
        for write in writes {
            let mut bench = Bench::new();
            bench.set(&old);
            let held = bench.blob().expect("a large value");
            write(&mut bench);
            assert_eq!(*held, old);
        }
    }

    #[test]
    fn a_large_value_is_edited_and_renamed_where_it_lies() {
        let mut bench = Bench::new();
        bench.set(&[b'v'; 20_000]);
        let address = |bench: &mut Bench| bench.blob().expect("a large value").as_ptr();
        let before = address(&mut bench);
        assert!(bench.edit(Missing::Leave, |text: &mut Text| text.write_at(5, b"xyz")));
        assert_eq!(address(&mut bench), before);
        let name = bench.on(|stripe, key, journal| {
            let taken = stripe.take(key, b"other", Event::RenameFrom, journal).expect("it exists");
            let name = taken.read().key().to_vec();
            let hash = journal.hasher.hash(&name);
            assert!(matches!(taken.read().value(), Value::Shared(blob) if blob.as_ptr() == before));
            stripe.attach(hash, taken, Event::RenameTo, journal, |_| 0);
            name
        });
        assert_eq!(name, b"other");
        assert_eq!(bench.events(), [Event::Set, Event::Append, Event::RenameFrom, Event::RenameTo]);
    }

    #[test]
    fn a_write_of_the_same_size_is_told_to_who_wants_all() {
        for (wanted, told) in [(Wanted::Nothing, 0), (Wanted::Sizes, 1), (Wanted::All, 2), (Wanted::Names, 2)]
        {
            let mut bench = Bench::new();
            bench.journal.wanted = wanted;
            bench.set(b"one");
            bench.set(b"two");
            assert_eq!((bench.events().len(), bench.journal.writes), (told, 2), "{wanted:?}");
        }
    }

    #[test]
    fn an_edit_that_changes_nothing_is_no_write() {
        let mut bench = Bench::new();
        assert!(!bench.edit(Missing::Leave, |text: &mut Text| text.write_at(0, b"x")));
        assert!(bench.edit(Missing::Create, |_: &mut Text| {}));
        assert_eq!((bench.events(), bench.journal.writes), (vec![], 0));
        assert!(bench.edit(Missing::Create, |text: &mut Text| text.write_at(2, b"x")));
        let value = |bench: &mut Bench| {
            bench.on(|stripe, key, journal| {
                stripe.look(key, journal).map(|entry| entry.value().bytes().to_vec())
            })
        };
        assert_eq!(value(&mut bench).as_deref(), Some(&b"\0\0x"[..]));
        assert!(bench.edit(Missing::Create, |_: &mut Text| {}));
        assert_eq!((bench.events(), bench.journal.writes), (vec![Event::Append], 1));
    }

    /// Bytes of which none is no value, as with a collection's.
    struct Heap(crate::EntryMut);

    impl Shape for Heap {
        const KIND: Kind = Kind::StringRaw;
        const EMPTY_IS_ABSENT: bool = true;

        fn open(entry: crate::EntryMut) -> Heap {
            Heap(entry)
        }

        fn close(self) -> crate::EntryMut {
            self.0
        }
    }

    #[test]
    fn a_key_whose_value_became_empty_goes_if_its_shape_says_so() {
        let mut bench = Bench::new();
        let write = |bytes: &'static [u8]| move |heap: &mut Heap| heap.0.write_at(0, bytes, Kind::StringRaw);
        let len = |bench: &mut Bench| bench.on(|stripe, _, _| (stripe.len(), stripe.entry_bytes()));
        assert!(bench.edit(Missing::Create, write(b"")));
        assert_eq!((len(&mut bench), bench.events()), ((0, 0), vec![]));
        bench.set(b"");
        assert!(bench.edit(Missing::Create, write(b"")));
        assert_eq!((len(&mut bench), bench.events()), ((0, 0), vec![Event::Set, Event::Append]));
        assert!(bench.edit(Missing::Create, write(b"x")));
        assert_eq!((len(&mut bench).0, bench.events()), (1, vec![Event::Append]));
    }
}
