//! Databases against a map with time: what exists, what is watched, what the journal said, and what a scan returns.

use super::*;
use crate::entry::{Blob, Value};
use crate::{
    Deadline, Event, Footprint, Key, KeyHasher, Kind, Missing, NewValue, Put, Text, Wanted, WatchFlag,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

const KEYS: u16 = 60;
const DATABASES: usize = 2;
const CASES: u32 = if cfg!(miri) { 1 } else { 256 };

fn key_bytes(key: u16) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn put(value: &[u8], deadline: Deadline) -> Put<'_> {
    Put { value: NewValue::Bytes(value), kind: Kind::StringRaw, deadline, event: Event::Set }
}

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    value: Vec<u8>,
    expiry_ms: Option<i64>,
    prefix: u16,
}

impl Expected {
    fn is_live(&self, now_ms: i64) -> bool {
        self.expiry_ms.is_none_or(|expiry_ms| expiry_ms > now_ms)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Store {
        key: u16,
        bytes: usize,
        deadline: Deadline,
    },
    /// Offset and length of what is written.
    WriteAt(u16, usize, usize),
    Append(u16, usize),
    /// Another reference to the value is held, as a reply does.
    Hold(u16),
    Remove(u16),
    SetDeadline(u16, Option<i64>),
    /// From, to, and the database of the copy.
    Copy(u16, u16, usize),
    Rename(u16, u16, usize),
    Read(u16),
    Watch(u16),
    Unwatch,
    Advance(i64),
    Expire(usize),
    Flush,
    Swap,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    let bytes = prop_oneof![8 => 0..60usize, 2 => 900..1100usize, 1 => 16_000..20_000usize];
    let ahead = || prop_oneof![-10..500i64, 0..20_000i64];
    let deadline = prop_oneof![Just(Deadline::Clear), Just(Deadline::Keep), ahead().prop_map(Deadline::At)];
    prop_oneof![
        12 => (key(), bytes, deadline).prop_map(|(key, bytes, deadline)| Step::Store { key, bytes, deadline }),
        3 => (key(), 0..3000usize, 1..200usize).prop_map(|(key, offset, bytes)| Step::WriteAt(key, offset, bytes)),
        2 => key().prop_map(Step::Hold),
        2 => (key(), 1..5000usize).prop_map(|(key, bytes)| Step::Append(key, bytes)),
        4 => key().prop_map(Step::Remove),
        4 => (key(), prop::option::of(ahead())).prop_map(|(key, ms)| Step::SetDeadline(key, ms)),
        3 => (key(), key(), 0..DATABASES).prop_map(|(from, to, database)| Step::Copy(from, to, database)),
        3 => (key(), key(), 0..DATABASES).prop_map(|(from, to, database)| Step::Rename(from, to, database)),
        3 => key().prop_map(Step::Read),
        3 => key().prop_map(Step::Watch),
        1 => Just(Step::Unwatch),
        4 => (0..2000i64).prop_map(Step::Advance),
        3 => (1..50usize).prop_map(Step::Expire),
        1 => Just(Step::Flush),
        1 => Just(Step::Swap),
    ]
}

struct Model {
    databases: Databases,
    journal: Journal,
    maps: [BTreeMap<u16, Expected>; DATABASES],
    /// Footprints by prefix as the journal's changes add up.
    sums: BTreeMap<u16, [i64; 4]>,
    /// What the journal's changes say each database holds: keys with what they are.
    told: [BTreeMap<Vec<u8>, Footprint>; DATABASES],
    /// Large values somebody outside holds, and what they must stay.
    held: Vec<(Blob, Vec<u8>)>,
    flags: BTreeMap<u16, WatchFlag>,
    /// Watched keys whose flag must be set.
    changed: HashSet<u16>,
    fill: u8,
}

impl Model {
    fn new() -> Model {
        let mut journal = Journal::new(KeyHasher::fold(11), 12);
        journal.set_now(1_000_000);
        journal.wanted = Wanted::Names;
        Model {
            databases: Databases::new(DATABASES),
            journal,
            maps: Default::default(),
            sums: BTreeMap::new(),
            told: Default::default(),
            held: Vec::new(),
            flags: BTreeMap::new(),
            changed: HashSet::new(),
            fill: 0,
        }
    }

    /// Runs `operation` on the stripe of a key of a database, as dispatch would.
    fn on<R>(
        &mut self,
        number: usize,
        key: u16,
        operation: impl FnOnce(&mut Locked<'_>, Key<'_>, &mut Journal) -> R,
    ) -> R {
        let bytes = key_bytes(key);
        let hash = self.journal.hasher.hash(&bytes);
        let database = self.databases.get(number, self.journal.now_ms);
        let mut locked = database.lock_alone(stripe_of(hash));
        operation(&mut locked, Key { bytes: &bytes, hash }, &mut self.journal)
    }

    fn note_change(&mut self, key: u16) {
        if self.flags.contains_key(&key) {
            self.changed.insert(key);
        }
    }

    /// A key past its deadline goes as soon as it is asked for, and its watchers hear of it.
    fn drop_if_dead(&mut self, number: usize, key: u16) {
        let now_ms = self.journal.now_ms;
        if self.maps[number].get(&key).is_some_and(|expected| !expected.is_live(now_ms)) {
            self.maps[number].remove(&key);
            if number == 0 {
                self.note_change(key);
            }
        }
    }

    fn run(&mut self, step: Step) {
        let now_ms = self.journal.now_ms;
        self.fill = self.fill.wrapping_add(1);
        match step {
            Step::Store { key, bytes, deadline } => self.store(key, vec![self.fill; bytes], deadline),
            Step::WriteAt(key, offset, bytes) => self.write_at(key, Some(offset), bytes),
            Step::Append(key, bytes) => self.write_at(key, None, bytes),
            Step::Hold(key) => self.hold(key),
            Step::Remove(key) => {
                self.drop_if_dead(0, key);
                let removed = self.on(0, key, |locked, key, journal| locked.remove(key, Event::Del, journal));
                assert_eq!(removed, self.maps[0].remove(&key).is_some());
                if removed {
                    self.note_change(key);
                }
            }
            Step::SetDeadline(key, ahead_ms) => {
                self.drop_if_dead(0, key);
                let expiry_ms = ahead_ms.map(|ahead_ms| now_ms + ahead_ms);
                let exists = self.on(0, key, |locked, key, journal| {
                    locked.set_deadline(key, expiry_ms, Event::Expire, journal)
                });
                assert_eq!(exists, self.maps[0].contains_key(&key));
                if let Some(expected) = self.maps[0].get_mut(&key) {
                    let changes = expected.expiry_ms.is_some() || expiry_ms.is_some();
                    expected.expiry_ms = expiry_ms;
                    if changes {
                        self.note_change(key);
                    }
                }
            }
            Step::Copy(from, to, number) => self.relocate(from, to, number, false),
            Step::Rename(from, to, number) => self.relocate(from, to, number, true),
            Step::Read(key) => {
                self.drop_if_dead(0, key);
                let found = self.on(0, key, |locked, key, journal| {
                    locked.read(key, journal).map(|entry| (entry.value().bytes().to_vec(), entry.expiry_ms()))
                });
                let expected =
                    self.maps[0].get(&key).map(|expected| (expected.value.clone(), expected.expiry_ms));
                assert_eq!(found, expected);
            }
            Step::Watch(key) => {
                self.drop_if_dead(0, key);
                let flag = self.flags.entry(key).or_default().clone();
                let exists = self.on(0, key, |locked, key, journal| locked.watch(key, &flag, journal));
                assert_eq!(exists, self.maps[0].contains_key(&key));
            }
            Step::Unwatch => {
                self.flags.clear();
                self.changed.clear();
            }
            Step::Advance(by_ms) => self.journal.set_now(self.journal.now_ms + by_ms),
            Step::Expire(budget) => self.expire(budget),
            Step::Flush => self.flush(),
            Step::Swap => self.swap(),
        }
    }

    fn store(&mut self, key: u16, value: Vec<u8>, deadline: Deadline) {
        let now_ms = self.journal.now_ms;
        let deadline =
            if let Deadline::At(ahead_ms) = deadline { Deadline::At(now_ms + ahead_ms) } else { deadline };
        self.drop_if_dead(0, key);
        let new_prefix = key % 7 + 1;
        self.on(0, key, |locked, key, journal| {
            locked.store(key, put(&value, deadline), journal, |_| new_prefix);
        });
        let before = self.maps[0].get(&key);
        let prefix = before.map_or(new_prefix, |expected| expected.prefix);
        let expiry_ms = match deadline {
            Deadline::Clear => None,
            Deadline::Keep => before.and_then(|expected| expected.expiry_ms),
            Deadline::At(at_ms) => Some(at_ms),
        };
        self.maps[0].insert(key, Expected { value, expiry_ms, prefix });
        self.note_change(key);
    }

    /// Writes some bytes at an offset, without one at the end. A missing key is made by the former.
    fn write_at(&mut self, key: u16, offset: Option<usize>, bytes: usize) {
        self.drop_if_dead(0, key);
        let part = vec![self.fill; bytes];
        let new_prefix = key % 7 + 1;
        let held = self.maps[0].get(&key).map_or(0, |expected| expected.value.len());
        let at = offset.unwrap_or(held);
        let missing = if offset.is_some() { Missing::Create } else { Missing::Leave };
        let written = self.on(0, key, |locked, key, journal| {
            let write = |text: &mut Text| text.write_at(at, &part);
            locked.edit(key, missing, Event::SetRange, journal, |_| new_prefix, write)
        });
        assert_eq!(written.is_some(), offset.is_some() || self.maps[0].contains_key(&key));
        if written.is_none() {
            return;
        }
        let new = Expected { value: Vec::new(), expiry_ms: None, prefix: new_prefix };
        let value = &mut self.maps[0].entry(key).or_insert(new).value;
        value.resize(value.len().max(at + bytes), 0);
        value[at..at + bytes].copy_from_slice(&part);
        self.note_change(key);
    }

    /// Keeps what a reader of the key was given; a large value by reference.
    fn hold(&mut self, key: u16) {
        self.drop_if_dead(0, key);
        let held = self.on(0, key, |locked, key, journal| match locked.read(key, journal)?.value() {
            Value::Shared(blob) => Some((blob.clone(), blob.to_vec())),
            Value::Inline(_) => None,
        });
        self.held.extend(held);
        if self.held.len() > 4 {
            self.held.remove(0);
        }
    }

    fn relocate(&mut self, from: u16, to: u16, number: usize, moves: bool) {
        if number == 0 && from == to {
            return;
        }
        self.drop_if_dead(0, from);
        let name = key_bytes(to);
        let detached = self.on(0, from, |locked, from, journal| match moves {
            true => locked.take(from, &name, Event::RenameFrom, journal),
            false => locked.copy(from, &name, journal),
        });
        assert_eq!(detached.is_some(), self.maps[0].contains_key(&from));
        let Some(detached) = detached else { return };
        let expected = self.maps[0][&from].clone();
        if moves {
            self.maps[0].remove(&from);
            self.note_change(from);
        }
        self.drop_if_dead(number, to);
        let event = if moves { Event::RenameTo } else { Event::CopyTo };
        self.on(number, to, |locked, key, journal| locked.attach(key.hash, detached, event, journal, |_| 9));
        let prefix = self.maps[number].get(&to).map_or(9, |expected| expected.prefix);
        self.maps[number].insert(to, Expected { prefix, ..expected });
        if number == 0 {
            self.note_change(to);
        }
    }

    /// One turn of the active cycle for each database: what it took was due.
    fn expire(&mut self, budget: usize) {
        for number in 0..DATABASES {
            if let Some(database) = self.databases.existing(number) {
                database.expire(budget, &mut self.journal, |_| {});
            }
            self.forget_expired(number);
        }
    }

    /// Takes out of the map what the database no longer holds; it must have been due.
    fn forget_expired(&mut self, number: usize) {
        let now_ms = self.journal.now_ms;
        let held = self.entries(number);
        let gone: Vec<u16> =
            self.maps[number].keys().copied().filter(|key| !held.contains_key(key)).collect();
        for key in gone {
            assert!(!self.maps[number][&key].is_live(now_ms), "expired before its deadline");
            self.maps[number].remove(&key);
            if number == 0 {
                self.note_change(key);
            }
        }
    }

    /// Keys that are not past their deadline. Only these are changed by a whole-database command: that a watched key
    /// has expired is found by EXEC itself.
    fn live(&self, number: usize) -> Vec<u16> {
        let is_live = |(_, expected): &(&u16, &Expected)| expected.is_live(self.journal.now_ms);
        self.maps[number].iter().filter(is_live).map(|(&key, _)| key).collect()
    }

    fn flush(&mut self) {
        let live = self.live(0);
        if let Some(old) = self.databases.flush(0, &mut self.journal) {
            assert_eq!(old.len(), self.maps[0].len());
        }
        live.into_iter().for_each(|key| self.note_change(key));
        self.maps[0].clear();
        // Dispatch starts the observers anew; here the model does.
        self.drain();
        self.told[0].clear();
        self.sums.clear();
        let other = self.footprints(1);
        self.sums = other;
    }

    fn swap(&mut self) {
        let either: Vec<u16> = self.live(0).into_iter().chain(self.live(1)).collect();
        self.databases.swap(0, 1, &mut self.journal);
        either.into_iter().for_each(|key| self.note_change(key));
        self.maps.swap(0, 1);
        self.drain();
        self.told.swap(0, 1);
    }

    /// Every entry of a database, dead ones too: key and memory.
    fn entries(&self, number: usize) -> BTreeMap<u16, (u16, [i64; 4])> {
        let mut held = BTreeMap::new();
        let Some(database) = self.databases.existing(number) else { return held };
        let mut timeless = Journal::new(self.journal.hasher.clone(), 1);
        timeless.now_ms = i64::MIN;
        let end = database.scan(0, usize::MAX, STRIPES, &timeless, |entry| {
            let text = std::str::from_utf8(&entry.key()[4..]).expect("digits");
            let key = text.parse().expect("digits");
            let (key_bytes, value_bytes) = (entry.key().len() as i64, entry.value_bytes() as i64);
            let weight = [1, key_bytes, value_bytes, entry.memory_bytes() as i64];
            assert!(held.insert(key, (entry.prefix(), weight)).is_none(), "a key twice");
        });
        assert_eq!(end, Some(0));
        held
    }

    fn footprints(&self, number: usize) -> BTreeMap<u16, [i64; 4]> {
        let mut sums: BTreeMap<u16, [i64; 4]> = BTreeMap::new();
        for (prefix, weight) in self.entries(number).into_values() {
            add(sums.entry(prefix).or_default(), weight, 1);
        }
        sums
    }

    /// Adds up what the journal says: by prefix, and key by key. A change begins where the last one of its key ended, and
    /// a step tells a key at most once beside that it expired.
    fn drain(&mut self) {
        let mut seen = HashSet::new();
        for change in &self.journal.changes {
            let name = self.journal.name(change).expect("names are wanted").to_vec();
            assert_eq!(change.hash, self.journal.hasher.hash(&name));
            assert!(change.before.is_some() || change.after.is_some());
            let told = &mut self.told[change.database as usize];
            let known = match change.after {
                Some(after) => told.insert(name.clone(), after),
                None => told.remove(&name),
            };
            assert_eq!(known, change.before, "a change of {name:?} was not told");
            let is_expiry = change.event == Event::Expired;
            assert!(seen.insert((change.database, name, is_expiry)), "told twice: {change:?}");
            let sum = self.sums.entry(change.prefix).or_default();
            for (footprint, sign) in [(change.before, -1), (change.after, 1)] {
                let Some(Footprint { value_bytes, total_bytes, .. }) = footprint else { continue };
                add(sum, [1, change.key_bytes.into(), value_bytes as i64, total_bytes as i64], sign);
            }
        }
        self.journal.forget_changes();
        self.sums.retain(|_, sum| *sum != [0; 4]);
    }

    /// What the changes add up to is what is there, key by key; and the stripes' own sums say the same.
    fn check_told(&self, number: usize) {
        let entries = self.entries(number);
        let told: BTreeMap<u16, i64> = self.told[number]
            .iter()
            .map(|(name, footprint)| {
                assert_eq!((footprint.kind, footprint.elements), (Kind::StringRaw, 1));
                let text = std::str::from_utf8(&name[4..]).expect("digits");
                (text.parse().expect("digits"), footprint.total_bytes as i64)
            })
            .collect();
        let bytes = entries.iter().map(|(&key, (_, weight))| (key, weight[3]));
        assert!(told.into_iter().eq(bytes), "database {number}: the changes do not add up to what is there");
        let Some(database) = self.databases.existing(number) else { return };
        let stripes = (0..STRIPES).map(|stripe| database.lock_alone(stripe));
        let sum: usize = stripes.map(|locked| locked.entry_bytes()).sum();
        assert_eq!(sum as i64, entries.values().map(|(_, weight)| weight[3]).sum::<i64>());
    }

    fn check(&mut self) {
        self.drain();
        let now_ms = self.journal.now_ms;
        let mut totals: BTreeMap<u16, [i64; 4]> = BTreeMap::new();
        for number in 0..DATABASES {
            self.check_told(number);
            let held = self.entries(number);
            assert!(held.keys().eq(self.maps[number].keys()), "database {number} holds other keys");
            for (key, (prefix, weight)) in held {
                let expected = &self.maps[number][&key];
                assert_eq!((prefix, weight[2]), (expected.prefix, expected.value.len() as i64));
                add(totals.entry(prefix).or_default(), weight, 1);
            }
            let Some(database) = self.databases.existing(number) else { continue };
            assert_eq!(database.len(), self.maps[number].len());
            let with_deadline = self.maps[number].values().filter(|expected| expected.expiry_ms.is_some());
            assert_eq!(database.expiring(), with_deadline.count());
            let mut live = 0;
            database.scan(0, usize::MAX, STRIPES, &self.journal, |_| live += 1);
            assert_eq!(live, self.maps[number].values().filter(|expected| expected.is_live(now_ms)).count());
        }
        assert_eq!(totals, self.sums, "the journal's changes do not add up to what is there");
        assert!(self.held.iter().all(|(held, bytes)| **held == *bytes), "a held value changed");
        for (key, flag) in &self.flags {
            assert_eq!(flag.load(Relaxed), self.changed.contains(key), "the watch of key {key}");
        }
    }
}

fn add(sum: &mut [i64; 4], weight: [i64; 4], sign: i64) {
    sum.iter_mut().zip(weight).for_each(|(sum, weight)| *sum += sign * weight);
}

#[test]
fn a_watched_key_past_its_deadline_is_not_changed_by_flush_or_swap() {
    for last in [Step::Flush, Step::Swap] {
        let mut model = Model::new();
        let store = Step::Store { key: 17, bytes: 0, deadline: Deadline::At(1) };
        for step in [store, Step::Watch(17), Step::Advance(1), last] {
            model.run(step);
            model.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn two_databases_do_what_two_maps_with_a_clock_would(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step);
            model.check();
        }
        // In the end everything with a deadline goes without being asked for, in slices, a tick after it is due.
        let last_ms = model.maps.iter().flat_map(|map| map.values()).filter_map(|expected| expected.expiry_ms).max();
        model.journal.set_now(model.journal.now_ms.max(last_ms.unwrap_or(0)) + crate::expiry::TICK_MS);
        for number in 0..DATABASES {
            let Some(database) = model.databases.existing(number) else { continue };
            let mut turns = 0;
            while database.expire(7, &mut model.journal, |_| {}) {
                turns += 1;
                assert!(turns < 1000, "the active cycle never ends");
            }
            assert_eq!(database.expiring(), 0, "a due key was forgotten");
            model.forget_expired(number);
        }
        model.check();
    }
}

/// While keys come and go between the calls, those that stay are returned; while nothing changes, each once.
fn scan_returns_what_stays(seed: u64, count: usize, keys: u64) {
    let mut journal = Journal::new(KeyHasher::fold(seed), seed);
    let databases = Databases::new(1);
    let database = databases.get(0, 0);
    let set = |journal: &mut Journal, key: u64| {
        let bytes = key.to_be_bytes();
        let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
        let mut locked = database.lock_alone(stripe_of(key.hash));
        locked.store(key, put(b"v", Deadline::Clear), journal, |_| 0);
    };
    let remove = |journal: &mut Journal, key: u64| {
        let bytes = key.to_be_bytes();
        let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
        database.lock_alone(stripe_of(key.hash)).remove(key, Event::Del, journal);
    };
    (0..keys).for_each(|key| set(&mut journal, key));
    for changing in [false, true] {
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        let (mut cursor, mut calls, mut passing) = (0, 0, keys);
        loop {
            let next = database.scan(cursor, count, STRIPES, &journal, |entry| {
                *seen.entry(u64::from_be_bytes(entry.key().try_into().expect("8 bytes"))).or_default() += 1;
            });
            cursor = next.expect("nobody holds a stripe");
            calls += 1;
            assert!(cursor < 1 << 62 && calls < 50 * keys + 2000, "seed {seed}: a scan that does not end");
            if cursor == 0 {
                break;
            }
            if changing {
                // The table grows eightfold, then shrinks to an eighth, again and again, under the cursor.
                for _ in 0..2 * count.min(200) {
                    let growing = (passing / (8 * keys)).is_multiple_of(2);
                    if growing {
                        set(&mut journal, keys + passing % (8 * keys))
                    } else {
                        remove(&mut journal, keys + passing % (8 * keys));
                    }
                    passing += 1;
                }
            }
        }
        for key in 0..keys {
            assert!(
                seen.contains_key(&key),
                "seed {seed}: key {key} was there all the time and not returned"
            );
        }
        if !changing {
            assert!(
                seen.values().all(|&times| times == 1),
                "seed {seed}: a key twice though nothing changed"
            );
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_scan_returns_every_key_that_stays() {
    for (seed, count, keys) in [(1, 1, 300), (2, 10, 3000), (3, 1000, 20_000), (4, 3, 1), (5, 100_000, 5000)]
    {
        scan_returns_what_stays(seed, count, keys);
    }
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_scan_inside_one_growing_stripe_returns_every_key_that_stays() {
    // All keys in stripe 5 and in a quarter of its positions.
    let hasher = KeyHasher::Skewed { mask: u64::MAX >> 12, fixed: 5 << 54 };
    let mut journal = Journal::new(hasher, 1);
    let databases = Databases::new(1);
    let database = databases.get(0, 0);
    let with = |journal: &mut Journal, key: u32, present: bool| {
        let bytes = key.to_be_bytes();
        let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
        let mut locked = database.lock_alone(5);
        if present {
            locked.store(key, put(b"v", Deadline::Clear), journal, |_| 0);
        } else {
            locked.remove(key, Event::Del, journal);
        }
    };
    (0..2000).for_each(|key| with(&mut journal, key, true));
    let mut seen = HashSet::new();
    let (mut cursor, mut round) = (0, 0u32);
    loop {
        let next = database.scan(cursor, 5, STRIPES, &journal, |entry| {
            seen.insert(u32::from_be_bytes(entry.key().try_into().expect("4 bytes")));
        });
        cursor = next.expect("nobody holds a stripe");
        if cursor == 0 {
            break;
        }
        for step in 0..60 {
            with(&mut journal, 2000 + (round * 60 + step) % 12_000, round / 200 % 2 == 0);
        }
        round += 1;
        assert!(round < 20_000, "a scan that does not end");
    }
    assert!((0..2000).all(|key| seen.contains(&key)));
}

#[test]
fn a_cursor_nobody_gave_out_ends_or_goes_on_but_does_no_harm() {
    let mut journal = Journal::new(KeyHasher::fold(1), 1);
    let databases = Databases::new(1);
    let database = databases.get(0, 0);
    for key in 0..100u8 {
        let hash = journal.hasher.hash(&[key]);
        let mut locked = database.lock_alone(stripe_of(hash));
        locked.store(Key { bytes: &[key], hash }, put(b"", Deadline::Clear), &mut journal, |_| 0);
    }
    for cursor in [1, u64::MAX, 1 << 62, (1 << 62) - 1, 1023 << CURSOR_BITS, (1 << CURSOR_BITS) - 1] {
        assert!(database.scan(cursor, 10, STRIPES, &journal, |_| {}).is_some_and(|next| next < 1 << 62));
    }
}

#[test]
fn a_storm_of_deadlines_is_worked_off_in_slices_and_reported_once() {
    const KEYS: u32 = if cfg!(miri) { 100 } else { 40_000 };
    let mut journal = Journal::new(KeyHasher::fold(2), 2);
    journal.wanted = Wanted::Nothing;
    let databases = Databases::new(1);
    let database = databases.get(0, 0);
    for key in 0..KEYS {
        let bytes = key.to_be_bytes();
        let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
        let mut locked = database.lock_alone(stripe_of(key.hash));
        locked.store(key, put(b"v", Deadline::At(5000)), &mut journal, |_| 0);
    }
    journal.set_now(4990);
    assert!(!database.expire(1000, &mut journal, |_| {}));
    assert_eq!(journal.expired_keys, 0);
    journal.set_now(5000 + crate::expiry::TICK_MS);
    let mut turns = 0;
    while database.expire(1000, &mut journal, |_| {}) {
        turns += 1;
        assert!(database.wheels.0.lock().due.len() <= STRIPES, "a stripe is due more than once");
        // A slice ends with the segment it began.
        assert!(journal.expired_keys <= turns * 1600, "{} after {turns} turns", journal.expired_keys);
        journal.set_now(journal.now_ms + crate::expiry::TICK_MS);
    }
    assert_eq!((journal.expired_keys, database.len()), (u64::from(KEYS), 0));
}

#[test]
fn stamps_are_kept_from_coming_round() {
    let mut journal = Journal::new(KeyHasher::fold(2), 2);
    let databases = Databases::new(1);
    let database = databases.get(0, 0);
    let bytes = b"key";
    let key = Key { bytes, hash: journal.hasher.hash(bytes) };
    let stripe = stripe_of(key.hash);
    let mut locked = database.lock_alone(stripe);
    locked.store(key, put(b"v", Deadline::Clear), &mut journal, |_| 0);
    drop(locked);
    let mut idle_before = 0;
    for _ in 0..30 {
        journal.set_now(journal.now_ms + 3_600_000);
        (0..STRIPES).for_each(|_| database.age(1, &journal));
        let mut locked = database.lock_alone(stripe);
        let idle_seconds = locked.look(key, &mut journal).expect("it exists").idle_seconds(journal.second());
        assert!(idle_seconds >= idle_before && idle_seconds <= IDLE_MAX_SECONDS);
        idle_before = idle_seconds;
    }
    assert_eq!(idle_before, IDLE_MAX_SECONDS);
    // A worker whose clock is behind does not take the key for one that was idle for a day.
    let mut locked = database.lock_alone(stripe);
    locked.read(key, &mut journal);
    drop(locked);
    journal.set_now(journal.now_ms - 2000);
    (0..STRIPES).for_each(|_| database.age(1, &journal));
    journal.set_now(journal.now_ms + 2000);
    let mut locked = database.lock_alone(stripe);
    assert_eq!(locked.look(key, &mut journal).expect("it exists").idle_seconds(journal.second()), 0);
}
