//! The recorders of one worker, their switches, and their merging.
//!
//! A worker owns one [`Recorder`] behind a lock that it takes once per batch of commands; readers take each
//! worker's lock shortly and merge into a [`Snapshot`]. Therefore recorders are plain values without atomics.
//!
//! How a worker uses it:
//!
//! 1. per batch: `set_batch_depth(n)`, `rotate(now_ms)`;
//! 2. per command: `latency.called`, exact counters; `sample()`, and if that is not 0 or the command is not
//!    FAST: timing by the clock and `latency.record` for each stage;
//! 3. per key of a sampled command: [`Recorder::record_key`];
//! 4. per key that appears, disappears or changes its size: `added`, `removed`, `resized`.
//!
//! Invariants:
//! 1. Memory is at most `memory_bytes_max` of its literal per observer and [`WORKER_BYTES_MAX`] in all, whatever the
//!    load; besides there is the one shared prefix tree.
//! 2. An observer that is switched off records no traffic; `profiling no` switches all off. What goes on is the
//!    exact counters that INFO shows (calls, errors, hits, misses) and the sums of what is stored: they could
//!    not be exact again after a pause. Keys that are stored while `prefixes` is off carry node 0.
//!
//! Thread safety: owned by one worker behind its lock; [`Snapshot`] is a plain value.

pub mod baseline;
pub mod errors;
pub mod histogram;
pub mod sampler;

// What callers hand over and read is named by its observer: `record::latency::Stage`.
pub use crate::observers::clients::record as clients;
pub use crate::observers::hotkeys::record as hotkeys;
pub use crate::observers::latency::record as latency;
pub use crate::observers::prefixes::{prefix_tree, record as prefix};
pub use crate::observers::sizes::record as sizes;

use crate::observers::OBSERVERS;
pub use crate::spec::Observer;
use clients::{ConnectWindow, Connects};
use errors::Errors;
use hotkeys::{Access, HotKeys, HotKeysSnapshot, KeyAccess};
use latency::{Latency, LatencySnapshot};
use prefix::{PrefixSnapshot, Prefixes};
use prefix_tree::{PrefixTree, TreeSnapshot};
use sampler::Sampler;
use sizes::{Sizes, SizesSnapshot};
use std::sync::Arc;

/// Which observers record. All on by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switches {
    /// The switch of all.
    pub profiling: bool,
    /// By [`Observer::index`]; ask [`Switches::is_on`], which takes `profiling` into account.
    pub observers: [bool; Observer::COUNT],
}

impl Default for Switches {
    fn default() -> Self {
        Self { profiling: true, observers: [true; Observer::COUNT] }
    }
}

impl Switches {
    /// Whether the observer records.
    #[inline]
    pub const fn is_on(&self, observer: Observer) -> bool {
        self.profiling && self.observers[observer.index()]
    }

    /// Switches one observer.
    pub fn set(&mut self, observer: Observer, on: bool) {
        self.observers[observer.index()] = on;
    }
}

/// Exact counts of a worker that belong to no command.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys evicted.
    pub evicted: u64,
    /// Keys expired.
    pub expired: u64,
    /// What went through its sockets.
    pub traffic: Traffic,
}

/// What went through a worker's sockets.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Reads that received something.
    pub reads: u64,
    /// Writes of replies, each of one or more.
    pub writes: u64,
}

impl Traffic {
    /// Adds another worker's, or what came since.
    pub fn add(&mut self, other: &Traffic) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.reads += other.reads;
        self.writes += other.writes;
    }

    /// Takes away what was counted before.
    pub fn subtract(&mut self, before: &Traffic) {
        self.bytes_in = self.bytes_in.saturating_sub(before.bytes_in);
        self.bytes_out = self.bytes_out.saturating_sub(before.bytes_out);
        self.reads = self.reads.saturating_sub(before.reads);
        self.writes = self.writes.saturating_sub(before.writes);
    }
}

impl Counters {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Counters) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.evicted += other.evicted;
        self.expired += other.expired;
        self.traffic.add(&other.traffic);
    }

    /// Takes away what was counted before.
    pub fn subtract(&mut self, before: &Counters) {
        self.hits = self.hits.saturating_sub(before.hits);
        self.misses = self.misses.saturating_sub(before.misses);
        self.evicted = self.evicted.saturating_sub(before.evicted);
        self.expired = self.expired.saturating_sub(before.expired);
        self.traffic.subtract(&before.traffic);
    }
}

/// Everything one worker records.
pub struct Recorder {
    /// Which observers record; the worker's copy of the configuration.
    pub switches: Switches,
    /// Decides which commands are timed.
    pub sampler: Sampler,
    /// Exact counts.
    pub counters: Counters,
    /// Errors by code, exact.
    pub errors: Errors,
    /// Observer 1.
    pub latency: Latency,
    /// Observer 2.
    pub hotkeys: HotKeys,
    /// Observer 4.
    pub prefixes: Prefixes,
    /// Observer 5.
    pub sizes: Sizes,
    /// Observer 20: reconnects.
    pub connects: Connects,
}

impl Recorder {
    /// `worker`: its number, which seeds the sampler. `commands`: how many command indexes there are.
    pub fn new(worker: u64, commands: usize, tree: Arc<PrefixTree>, switches: Switches) -> Self {
        Self {
            switches,
            sampler: Sampler::new(worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED),
            counters: Counters::default(),
            errors: Errors::default(),
            latency: Latency::new(commands),
            hotkeys: HotKeys::default(),
            prefixes: Prefixes::new(tree),
            sizes: Sizes::default(),
            connects: Connects::default(),
        }
    }

    /// Says how many commands the batch about to run holds: shallow ones are timed completely.
    #[inline]
    pub fn set_batch_depth(&mut self, commands: u32) {
        self.sampler.set_batch_depth(commands);
    }

    /// 0: do not time this command. Else the number of commands it stands for. Call once per command.
    #[inline]
    pub fn sample(&mut self) -> u32 {
        if !self.switches.profiling {
            return 0;
        }
        self.sampler.sample()
    }

    /// Records a sampled access to a key with every observer of keys that is on. `stored`: the prefix node that its entry
    /// carries and the length of its value, if there is an entry.
    #[inline]
    pub fn record_key(&mut self, access: KeyAccess<'_>, stored: Option<(u16, usize)>) {
        if self.switches.is_on(Observer::HOTKEYS) {
            self.hotkeys.record(access);
        }
        let KeyAccess { key, weight, cpu_ns, bytes, .. } = access;
        if self.switches.is_on(Observer::PREFIXES) {
            let node = stored.map_or_else(|| self.prefixes.resolve(key), |(node, _)| node);
            match access.access {
                Access::Write => self.prefixes.written(node, weight, bytes),
                Access::Read | Access::Miss => self.prefixes.read(node, weight, stored.is_some(), bytes),
            }
        }
        if let (true, Some((_, value_bytes))) = (self.switches.is_on(Observer::SIZES), stored) {
            self.sizes.timed(value_bytes, u64::from(cpu_ns), weight);
        }
    }

    /// Closes windows that are over. `now_ms`: any clock in milliseconds, the same for all workers.
    #[inline]
    pub fn rotate(&mut self, now_ms: u64) {
        self.hotkeys.rotate(now_ms);
        self.connects.rotate(now_ms);
    }

    /// The prefix node that the entry of a new key must carry.
    #[inline]
    pub fn prefix_of(&mut self, key: &[u8]) -> u16 {
        if self.switches.is_on(Observer::PREFIXES) { self.prefixes.resolve(key) } else { prefix_tree::ROOT }
    }

    /// A key that now exists, and the node its entry carries.
    #[inline]
    pub fn added(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.prefixes.added(node, key_bytes, value_bytes, total_bytes);
        self.sizes.added(key_bytes, value_bytes, total_bytes);
    }

    /// A key that is gone: deleted, expired, evicted. The node its entry carried and the sizes it had.
    #[inline]
    pub fn removed(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.prefixes.removed(node, key_bytes, value_bytes, total_bytes);
        self.sizes.removed(key_bytes, value_bytes, total_bytes);
    }

    /// A key that stays and whose value changed its size.
    #[inline]
    pub fn resized(&mut self, node: u16, value_before: usize, value_after: usize, total_bytes_delta: i64) {
        self.prefixes.resized(node, value_after as i64 - value_before as i64, total_bytes_delta);
        self.sizes.resized(value_before, value_after, total_bytes_delta);
    }

    /// All keys of all databases are gone at once. To be called on every worker's recorder while none runs a
    /// command; no `removed` may follow for those keys.
    pub fn flushed(&mut self) {
        self.prefixes.flushed();
        self.sizes.flushed();
    }

    /// Bytes all observers hold on this worker; the prefix tree, shared by all, is apart.
    pub fn memory_bytes(&self) -> usize {
        OBSERVERS.iter().map(|spec| (spec.memory_bytes)(self)).sum()
    }

    /// PROF RESET: forgets traffic and timings, not what is stored.
    pub fn reset(&mut self) {
        OBSERVERS.iter().for_each(|spec| (spec.reset)(self));
    }

    /// CONFIG RESETSTAT: forgets the exact counters as well.
    pub fn reset_statistics(&mut self) {
        self.counters = Counters::default();
        self.errors.reset();
        OBSERVERS.iter().filter_map(|spec| spec.reset_statistics).for_each(|reset| reset(self));
    }
}

/// What the profile may add per worker.
pub const WORKER_BYTES_MAX: usize = 4 << 20;
const _: () = {
    let (mut total, mut at) = (0, 0);
    while at < OBSERVERS.len() {
        total += OBSERVERS[at].memory_bytes_max;
        at += 1;
    }
    assert!(total <= WORKER_BYTES_MAX);
};

/// All workers, merged at one moment.
#[derive(Clone, Default, Debug)]
pub struct Snapshot {
    /// Exact counts.
    pub counters: Counters,
    /// The traffic of each worker, in their order.
    pub traffic: Vec<Traffic>,
    /// Errors by code, exact.
    pub errors: Errors,
    /// Observer 1.
    pub latency: LatencySnapshot,
    /// Observer 2.
    pub hotkeys: HotKeysSnapshot,
    /// Observer 4, by node id; resolve with `tree`.
    pub prefixes: PrefixSnapshot,
    /// The prefix tree.
    pub tree: TreeSnapshot,
    /// Observer 5.
    pub sizes: SizesSnapshot,
    /// Observer 20: connections of the last ten to twenty seconds.
    pub connects: ConnectWindow,
    /// Bytes held per observer, over all workers and with the shared tree.
    pub memory_bytes: [usize; Observer::COUNT],
    /// Calls per observer since the reset (clients: in the window).
    pub events: [u64; Observer::COUNT],
    /// Workers merged.
    pub workers: usize,
}

impl Snapshot {
    /// Adds one worker's; hold its lock for this call only (some 70 µs).
    pub fn add(&mut self, worker: &Recorder, now_ms: u64) {
        self.add_counters(worker);
        Observer::all().for_each(|observer| self.merge(observer, worker, now_ms));
    }

    /// Adds only what INFO, LATENCY HISTOGRAM and MEMORY STATS are asked for every second: the exact counters and the
    /// observers that are statistics; the others stay empty (some 20 µs).
    pub fn add_statistics(&mut self, worker: &Recorder) {
        self.add_counters(worker);
        let statistics = Observer::all().filter(|observer| observer.spec().is_statistic);
        statistics.for_each(|observer| self.merge(observer, worker, 0));
    }

    /// Adds only the exact counters and what one observer's report is made from.
    pub fn add_only(&mut self, observer: Observer, worker: &Recorder, now_ms: u64) {
        self.add_counters(worker);
        self.merge(observer, worker, now_ms);
    }

    fn add_counters(&mut self, worker: &Recorder) {
        for observer in Observer::all() {
            self.memory_bytes[observer.index()] += (observer.spec().memory_bytes)(worker);
        }
        self.counters.add(&worker.counters);
        self.traffic.push(worker.counters.traffic);
        self.errors.merge(&worker.errors);
        self.workers += 1;
    }

    fn merge(&mut self, observer: Observer, worker: &Recorder, now_ms: u64) {
        self.events[observer.index()] += (observer.spec().merge)(self, worker, now_ms);
    }

    /// Adds the shared tree; after all workers, so that every id they counted is known.
    pub fn add_tree(&mut self, tree: &PrefixTree) {
        self.tree = tree.snapshot();
        self.add_tree_memory(tree);
    }

    /// Adds what the shared tree takes, without its nodes.
    pub fn add_tree_memory(&mut self, tree: &PrefixTree) {
        self.memory_bytes[Observer::PREFIXES.index()] += tree.memory_bytes();
    }
}
