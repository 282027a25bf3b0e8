//! What the keyspace costs without a server around it: nanoseconds per lookup, insert and removal, bytes per key, and
//! the longest single insert while it grows.
//!
//! `cargo run --release -p keyspace --example table -- [KEYS ...]` (default: 1000000 5000000). One thread, 16-byte keys,
//! 32-byte values, no deadlines, 1024 stripes, random order, the server's allocator. Times are the thread's CPU time.

use keyspace::database::Database;
use keyspace::hash::stripe_of;
use keyspace::memory::{Counting, used_bytes};
use keyspace::{Databases, Deadline, Event, Journal, Key, KeyHasher, Kind, NewValue, Put, Wanted};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting<tikv_jemallocator::Jemalloc> = Counting(tikv_jemallocator::Jemalloc);

const VALUE: [u8; 32] = [b'v'; 32];
const LOOKUPS: u64 = 2_000_000;
/// Keys whose lines are asked for ahead in the batched lookup, as a worker does for a pipeline.
const BATCH: u64 = 32;

/// The key with this number; a bijection scrambles the order (SplitMix64's finalizer, S. Vigna).
fn key_bytes(number: u64) -> [u8; 16] {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut bytes = *b"key:0000........";
    bytes[8..].copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes());
    bytes
}

/// CPU time of this thread: what other processes take is not counted.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds each of `count` operations took since `start`.
fn each(start: Duration, count: u64) -> f64 {
    (now() - start).as_nanos() as f64 / count as f64
}

fn find(database: &Database, journal: &mut Journal, bytes: &[u8]) -> bool {
    let key = Key { bytes, hash: journal.hasher.hash(bytes) };
    let mut locked = database.try_lock(stripe_of(key.hash), 0).expect("one thread");
    locked.look(key, journal).is_some()
}

fn insert(database: &Database, journal: &mut Journal, number: u64) {
    let bytes = key_bytes(number);
    let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
    let mut locked = database.try_lock(stripe_of(key.hash), 0).expect("one thread");
    let (value, kind) = (NewValue::Bytes(&VALUE), Kind::StringEmbedded);
    let put = Put { value, kind, deadline: Deadline::Clear, event: Event::Set };
    locked.store(key, put, journal, |_| 0);
}

/// Inserts all keys; prints the mean and the bytes per key.
fn grow(database: &Database, journal: &mut Journal, keys: u64) {
    let before = used_bytes();
    let start = now();
    (0..keys).for_each(|number| insert(database, journal, number));
    let elapsed = each(start, keys);
    let entries = database_bytes(database, journal) as f64 / keys as f64;
    let overhead = (used_bytes() - before) as f64 / keys as f64 - (16 + VALUE.len()) as f64;
    let table = overhead + (16 + VALUE.len()) as f64 - entries;
    println!("insert    {elapsed:7.1} ns   overhead {overhead:.1} B per key, {table:.1} of it the table's");
}

/// What the entries themselves take.
fn database_bytes(database: &Database, journal: &Journal) -> usize {
    let mut bytes = 0;
    database.scan(0, usize::MAX, keyspace::STRIPES, journal, |entry| bytes += entry.memory_bytes());
    bytes
}

/// The longest single operations, in microseconds. Reading the thread's clock around each would spoil the means.
fn longest(name: &str, keys: u64, mut operation: impl FnMut(u64)) {
    let mut longest = [0; 4];
    let mut last = now();
    for number in 0..keys {
        operation(number);
        let after = now();
        let took = (after - last).as_micros();
        if took > longest[3] {
            longest[3] = took;
            longest.sort_by(|a, b| b.cmp(a));
        }
        last = after;
    }
    println!("{name:9} longest {longest:?} us");
}

fn look_up(database: &Database, journal: &mut Journal, keys: u64) {
    for (name, offset) in [("hit", 0), ("miss", keys)] {
        let start = now();
        let found = (0..LOOKUPS).filter(|round| {
            let number = round.wrapping_mul(0x2545_f491_4f6c_dd1d) % keys + offset;
            find(database, journal, &key_bytes(number))
        });
        let found = found.count() as u64;
        println!("{name:9} {:7.1} ns   ({found} of {LOOKUPS} found)", each(start, LOOKUPS));
    }
    let start = now();
    let mut found = 0;
    for batch in 0..LOOKUPS / BATCH {
        let keys: [[u8; 16]; BATCH as usize] = std::array::from_fn(|index| {
            key_bytes((batch * BATCH + index as u64).wrapping_mul(0x2545_f491_4f6c_dd1d) % keys)
        });
        let hashes = keys.map(|key| journal.hasher.hash(&key));
        hashes.iter().for_each(|&hash| database.prefetch_stripe(hash));
        hashes.iter().for_each(|&hash| database.prefetch_bucket(hash));
        hashes.iter().for_each(|&hash| database.prefetch_entry(hash));
        found += keys.iter().filter(|key| find(database, journal, *key)).count();
    }
    println!("batched   {:7.1} ns   ({found} of {LOOKUPS} found)", each(start, LOOKUPS));
}

fn remove(database: &Database, journal: &mut Journal, number: u64) {
    let bytes = key_bytes(number);
    let key = Key { bytes: &bytes, hash: journal.hasher.hash(&bytes) };
    let mut locked = database.try_lock(stripe_of(key.hash), 0).expect("one thread");
    assert!(locked.remove(key, Event::Del, journal));
}

fn main() {
    let mut sizes: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000_000, 5_000_000];
    }
    for keys in sizes {
        println!("{keys} keys");
        let databases = Databases::new(1);
        let database = databases.get(0, 0);
        let mut journal = Journal::new(KeyHasher::fold(42), 42);
        journal.wanted = Wanted::Nothing;
        grow(database, &mut journal, keys);
        look_up(database, &mut journal, keys);
        let start = now();
        (0..keys).for_each(|number| remove(database, &mut journal, number));
        println!("remove    {:7.1} ns", each(start, keys));
        longest("insert", keys, |number| insert(database, &mut journal, number));
        longest("remove", keys, |number| remove(database, &mut journal, number));
    }
}
