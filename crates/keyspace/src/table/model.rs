//! The table against a `BTreeMap`, with hashes that are spread, skewed and equal; and its invariants, checked.

use super::*;
use crate::entry::{EntryRef, Kind, NewValue, Parts};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

thread_local! {
    static MOVES: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn note_moves(entries: usize) {
    MOVES.set(MOVES.get() + entries);
}

impl Table {
    /// Asserts every numbered invariant of the table, its segments and buckets.
    pub(crate) fn check(&self, hasher: &KeyHasher) {
        let (mut len, mut expiring, mut deepest, mut index) = (0, 0, 0, 0);
        for segment in self.segments() {
            let width = 1 << (self.depth - segment.depth());
            assert_eq!(index % width, 0, "a segment starts at a multiple of its width");
            assert!(self.directory[index..index + width].iter().all(|&word| word == segment));
            check_segment(segment, hasher, |hash| {
                assert!((index..index + width).contains(&self.index(hash)), "an entry in a foreign segment");
            });
            assert!(self.earliest <= segment.header().earliest);
            len += segment.len();
            expiring += segment.header().expiring as usize;
            deepest += usize::from(segment.depth() == self.depth);
            index += width;
        }
        assert_eq!(index, self.directory.len());
        assert_eq!((len, expiring, deepest), (self.len, self.expiring, self.deepest));
        assert_eq!(self.due, expiring, "what expires is all that is due");
        assert!(self.directory.is_empty() || self.directory.len() == 1 << self.depth);
        assert_eq!(self.len == 0, self.directory.is_empty(), "an empty table owns no memory");
    }
}

fn check_segment(segment: Segment, hasher: &KeyHasher, belongs: impl Fn(u64)) {
    let buckets = segment.buckets();
    let header = segment.header();
    let mut passed = vec![0usize; buckets];
    let (mut len, mut expiring) = (0, 0);
    assert!(header.deadlines.is_empty() || header.deadlines.len() == buckets);
    for at in 0..buckets {
        let bucket = segment.bucket(at);
        for slot in slots(bucket.occupied()) {
            let entry = bucket.entry(slot);
            let hash = hasher.hash(entry.key());
            belongs(hash);
            assert_eq!(bucket.tags[slot], tag_of(hash));
            let mut way = segment.home(hash);
            while way != at {
                passed[way] += 1;
                way = segment.next(way);
            }
            len += 1;
            if let Some(expiry_ms) = entry.expiry_ms() {
                expiring += 1;
                assert!(header.deadlines[at] <= tick_of(expiry_ms), "a bucket's earliest tick is too late");
                assert!(header.earliest <= header.deadlines[at]);
            }
        }
    }
    for (at, passed) in passed.into_iter().enumerate() {
        let overflow = usize::from(segment.bucket(at).overflow);
        assert!(overflow == passed || overflow == 255, "bucket {at} counts {overflow}, {passed} passed it");
    }
    assert_eq!((len, expiring), (header.len, header.expiring));
    assert_eq!((header.due, header.due == 0), (expiring, header.deadlines.is_empty()));
}

/// Every way in which hashes can be spread.
fn hashers() -> [KeyHasher; 5] {
    let skewed = |mask, fixed| KeyHasher::Skewed { mask, fixed };
    [
        KeyHasher::fold(1),
        // One prefix of 10 + 20 bits, as a hash tag or an adversary would produce.
        skewed(u64::MAX >> 30, 0x1234_5678 << 32 & !(u64::MAX >> 30)),
        // Sixteen hashes.
        skewed(0xf << 40, 7),
        // One hash for all.
        skewed(0, u64::MAX),
        // The highest positions only: segments' last buckets, from which entries overflow into the first.
        skewed(0x3f << 6, 0x003f_ffff_ffff_f000),
    ]
}

struct Model {
    table: Table,
    map: BTreeMap<u32, (u8, Option<i64>)>,
    hasher: KeyHasher,
    now_ms: i64,
    moves_max: usize,
}

impl Model {
    fn new(hasher: KeyHasher) -> Model {
        Model { table: Table::new(), map: BTreeMap::new(), hasher, now_ms: 0, moves_max: 0 }
    }

    fn find(&self, key: u32) -> (u64, Option<Place>) {
        let hash = self.hasher.hash(&key.to_be_bytes());
        (hash, self.table.find(hash, &key.to_be_bytes()))
    }

    fn counted<R>(&mut self, operation: impl FnOnce(&mut Table, &KeyHasher) -> R) -> R {
        MOVES.set(0);
        let result = operation(&mut self.table, &self.hasher);
        self.moves_max = self.moves_max.max(MOVES.get());
        result
    }

    fn set(&mut self, key: u32, value: u8, expiry_ms: Option<i64>) {
        let (hash, place) = self.find(key);
        assert_eq!(place.is_some(), self.map.contains_key(&key));
        let bytes = key.to_be_bytes();
        let (value_bytes, kind) = (NewValue::Bytes(&[value]), Kind::StringRaw);
        let entry =
            RawEntry::new(Parts { key: &bytes, value: value_bytes, kind, expiry_ms, prefix: 0, stamp: 0 });
        match place {
            Some(place) => self.table.replace(place, entry).free(),
            None => self.counted(|table, hasher| table.insert(hash, entry, hasher)),
        }
        self.map.insert(key, (value, expiry_ms));
    }

    fn remove(&mut self, key: u32) {
        let (hash, place) = self.find(key);
        assert_eq!(place.is_some(), self.map.remove(&key).is_some());
        if let Some(place) = place {
            self.counted(|table, hasher| table.remove(place, hash, hasher)).free();
        }
    }

    /// Expires in slices of `budget`; the keys that went are those the map says, and the earliest tick is right.
    fn expire(&mut self, by_ms: i64, budget: usize) {
        self.now_ms += by_ms;
        let now_ms = self.now_ms;
        let mut gone = Vec::new();
        while self.table.expire(now_ms, budget, &self.hasher, |entry, _| {
            assert!(entry.expiry_ms().is_some_and(|expiry_ms| expiry_ms <= now_ms));
            gone.push(u32::from_be_bytes(entry.key().try_into().expect("4 bytes")));
            entry.free();
        }) {}
        let due_for_certain =
            |expiry_ms: Option<i64>| expiry_ms.is_some_and(|at_ms| tick_of(at_ms) < tick_of(now_ms));
        for key in gone {
            let (_, expiry_ms) = self.map.remove(&key).expect("expired once, and known");
            assert!(expiry_ms.is_some_and(|expiry_ms| expiry_ms <= now_ms));
        }
        assert!(
            !self.map.values().any(|&(_, expiry_ms)| due_for_certain(expiry_ms)),
            "a due key is still there"
        );
    }

    fn check(&self) {
        self.table.check(&self.hasher);
        assert_eq!(self.table.len(), self.map.len());
        let deadlines = || self.map.values().filter_map(|&(_, expiry_ms)| expiry_ms);
        assert_eq!(self.table.expiring(), deadlines().count());
        assert!(self.table.earliest() <= deadlines().map(tick_of).min().unwrap_or(NEVER));
        let mut walked: Vec<u32> = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.table.walk(at, 7, &self.hasher, |entry| {
                walked.push(u32::from_be_bytes(entry.key().try_into().expect("4 bytes")));
            });
            assert!(from.is_none_or(|next| next > at), "a walk goes on");
            assert!(
                from.is_none_or(|next| next.trailing_zeros() >= 12),
                "a cursor of 52 bits holds any position"
            );
        }
        walked.sort_unstable();
        assert!(walked.iter().eq(self.map.keys()), "a walk visits each entry once");
        for (key, &(value, expiry_ms)) in &self.map {
            let entry = self.find(*key).1.expect("in the map").entry();
            assert_eq!((EntryRef::new(entry).value().bytes(), entry.expiry_ms()), (&[value][..], expiry_ms));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u8, Option<i64>),
    /// Keys from .0 on, .1 of them.
    Fill(u32, u32, Option<i64>),
    Remove(u32),
    Clear(u32, u32),
    Refresh(u32, i64),
    Expire(i64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..1500u32;
    let ahead = prop::option::of(prop_oneof![0..200i64, 0..100_000i64]);
    prop_oneof![
        6 => (key.clone(), any::<u8>(), ahead.clone()).prop_map(|(key, value, ms)| Step::Set(key, value, ms)),
        2 => (key.clone(), 0..700u32, ahead).prop_map(|(key, count, ms)| Step::Fill(key, count, ms)),
        4 => key.clone().prop_map(Step::Remove),
        2 => (key.clone(), 0..900u32).prop_map(|(key, count)| Step::Clear(key, count)),
        2 => (key, 0..100_000i64).prop_map(|(key, ms)| Step::Refresh(key, ms)),
        2 => (0..30_000i64, 1..400usize).prop_map(|(ms, budget)| Step::Expire(ms, budget)),
    ]
}

fn run(model: &mut Model, step: Step) {
    let at = |now_ms: i64, ahead: Option<i64>| ahead.map(|ahead_ms| now_ms + ahead_ms);
    match step {
        Step::Set(key, value, ahead) => model.set(key, value, at(model.now_ms, ahead)),
        Step::Fill(first, count, ahead) => {
            let expiry_ms = at(model.now_ms, ahead);
            (first..first + count)
                .for_each(|key| model.set(key, key as u8, expiry_ms.filter(|_| key % 3 > 0)));
        }
        Step::Remove(key) => model.remove(key),
        Step::Clear(first, count) => (first..first + count).for_each(|key| model.remove(key)),
        Step::Refresh(key, ahead_ms) => {
            let expiry_ms = model.now_ms + ahead_ms;
            if let Some(place) = model.find(key).1
                && place.entry().set_expiry_in_place(expiry_ms)
            {
                model.table.lower(place, expiry_ms);
                model.map.get_mut(&key).expect("found").1 = Some(expiry_ms);
            }
        }
        Step::Expire(by_ms, budget) => model.expire(by_ms, budget),
    }
}

const CASES: u32 = if cfg!(miri) { 1 } else { 128 };
const STEPS: usize = if cfg!(miri) { 4 } else { 40 };

const SPREADS: usize = if cfg!(miri) { 1 } else { 5 };

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn the_table_does_what_a_map_would(steps in prop::collection::vec(step(), 1..STEPS), spread in 0..SPREADS) {
        let mut model = Model::new(hashers()[spread].clone());
        for step in steps {
            run(&mut model, step);
            model.check();
        }
    }
}

#[test]
fn growing_and_shrinking_move_a_bounded_number_of_entries() {
    const KEYS: u32 = if cfg!(miri) { 520 } else { 60_000 };
    let mut model = Model::new(KeyHasher::fold(3));
    for key in 0..KEYS {
        model.set(key, 0, None);
    }
    model.check();
    let grown = std::mem::take(&mut model.moves_max);
    assert!(grown > LIMITS[LARGEST] / 2 && grown <= MOVES_MAX, "{grown} moved by one insert");
    for key in 0..KEYS - 5 {
        model.remove(key);
    }
    model.check();
    assert!(model.moves_max > 0 && model.moves_max <= MOVES_MAX, "{} moved by one removal", model.moves_max);
    assert_eq!(model.table.directory.len(), 1, "a nearly empty table is one segment again");
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn a_segment_that_is_left_almost_empty_beside_a_deep_one_is_merged_in_the_end() {
    let mut model = Model::new(KeyHasher::fold(5));
    const KEYS: u32 = 5000;
    (0..KEYS).for_each(|key| model.set(key, 0, None));
    let mut by_hash: Vec<u32> = (0..KEYS).collect();
    by_hash.sort_by_cached_key(|key| position_of(model.hasher.hash(&key.to_be_bytes())));
    // From the left to the right, but for the last keys of each side.
    by_hash.iter().take(KEYS as usize - 3).for_each(|&key| model.remove(key));
    model.check();
    assert_eq!(model.table.directory.len(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "too slow")]
fn colliding_hashes_cost_time_but_not_memory() {
    const KEYS: u32 = 4000;
    for hasher in hashers() {
        let mut model = Model::new(hasher);
        (0..KEYS).for_each(|key| model.set(key, 1, Some(i64::from(key))));
        model.check();
        assert!(model.table.directory.len() <= KEYS as usize / 8, "{} words", model.table.directory.len());
        model.expire(i64::from(KEYS / 2), 100);
        model.check();
        (0..KEYS).for_each(|key| model.remove(key));
        model.check();
    }
}

#[test]
fn a_single_deadline_among_many_entries_is_found_by_sampling() {
    const KEYS: u32 = if cfg!(miri) { 100 } else { 20_000 };
    let mut model = Model::new(KeyHasher::fold(9));
    (0..KEYS).for_each(|key| model.set(key, 0, Some(1_000_000).filter(|_| key % 2 == 0)));
    // Their buckets still remember the deadlines that went.
    (0..KEYS).filter(|key| key % 2 == 0 && *key != 50).for_each(|key| model.remove(key));
    for round in 0..if cfg!(miri) { 5 } else { 50u64 } {
        let mut found = Vec::new();
        model.table.sample(round.wrapping_mul(0x9e37_79b9_7f4a_7c15), true, 2, |entry| {
            found.push(entry.key().to_vec())
        });
        assert_eq!(found, [50u32.to_be_bytes()]);
    }
}
