//! What one worker records: its writing side, its switches, and what others read of it.
//!
//! A worker owns one [`Recorder`]; nobody else can write. Others have its [`Recorded`] and read it at any time: figures are
//! counters of one writer (`counter`), what is none is behind a lock that the worker only tries (`kept`). So a report stops
//! no worker, and no worker keeps a report waiting. Merging them is `recorders`' matter.
//!
//! How a worker uses it:
//!
//! 1. per batch: `begin_batch(n, now_ms)`;
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
//! 3. What others decide (a switch, the beginning of a window) a recorder takes up when its next batch begins.
//!
//! Thread safety: a `Recorder` is owned by one worker and no `Clone`; `Recorded` is Sync.

pub mod baseline;
pub mod buckets;
mod control;
pub mod counter;
pub mod errors;
pub mod histogram;
pub mod kept;
pub mod recorders;
pub mod sampler;
pub mod snapshot;

// What callers hand over and read is named by its observer: `record::latency::Stage`.
pub use crate::observers::clients::record as clients;
pub use crate::observers::hotkeys::record as hotkeys;
pub use crate::observers::latency::record as latency;
pub use crate::observers::prefixes::{ledger, maintenance, prefix_tree, record as prefix};
pub use crate::observers::sizes::record as sizes;

use crate::observers::OBSERVERS;
pub use crate::spec::Observer;
use clients::{ConnectRecorder, Connects};
use control::{Control, Orders};
use counter::Counter;
use errors::{ErrorCells, ErrorCounts};
use hotkeys::{Access, HotKeyRecorder, HotKeys, KeyAccess};
use kept::Kept;
use latency::{Latency, LatencyCells};
use prefix::{PrefixCells, Prefixes};
use prefix_tree::PrefixTree;
pub use recorders::Recorders;
use sampler::Sampler;
use sizes::{SizeCells, Sizes};
pub use snapshot::Snapshot;
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

    /// As one word: a bit per observer, the lowest one for `profiling`.
    fn to_bits(self) -> u64 {
        const { assert!(Observer::COUNT < 64) };
        let bits = self.observers.iter().rev().fold(0, |bits, &on| bits << 1 | u64::from(on));
        bits << 1 | u64::from(self.profiling)
    }

    fn from_bits(bits: u64) -> Self {
        let observers = std::array::from_fn(|at| bits >> (at + 1) & 1 == 1);
        Self { profiling: bits & 1 == 1, observers }
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

/// The cells of [`Counters`].
#[derive(Default)]
pub(crate) struct CounterCells {
    hits: Counter,
    misses: Counter,
    evicted: Counter,
    expired: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    reads: Counter,
    writes: Counter,
}

impl CounterCells {
    fn traffic(&self) -> Traffic {
        Traffic {
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            reads: self.reads.get(),
            writes: self.writes.get(),
        }
    }

    fn read(&self) -> Counters {
        Counters {
            hits: self.hits.get(),
            misses: self.misses.get(),
            evicted: self.evicted.get(),
            expired: self.expired.get(),
            traffic: self.traffic(),
        }
    }
}

/// What one worker has recorded, for whoever wants to read it.
#[derive(Clone)]
pub struct Recorded {
    pub(crate) counters: Arc<CounterCells>,
    /// Errors by code, exact.
    pub errors: Arc<ErrorCells>,
    /// Observer 1.
    pub latency: LatencyCells,
    /// Observer 2.
    pub hotkeys: Arc<Kept<HotKeys>>,
    /// Observer 4.
    pub prefixes: Arc<PrefixCells>,
    /// Observer 5.
    pub sizes: Arc<SizeCells>,
    /// Observer 20: reconnects.
    pub connects: Arc<Kept<Connects>>,
}

/// Everything one worker records.
pub struct Recorder {
    /// Which observers record; the worker's copy of the configuration.
    pub switches: Switches,
    /// Decides which commands are timed.
    pub sampler: Sampler,
    counters: Arc<CounterCells>,
    /// Errors by code, exact.
    pub errors: ErrorCounts,
    /// Observer 1.
    pub latency: Latency,
    /// Observer 2.
    pub hotkeys: HotKeyRecorder,
    /// Observer 4.
    pub prefixes: Prefixes,
    /// Observer 5.
    pub sizes: Sizes,
    /// Observer 20: reconnects.
    pub connects: ConnectRecorder,
    control: Arc<Control>,
    orders: Orders,
}

impl Recorder {
    /// `worker`: its number, which seeds the sampler. `commands`: how many command indexes there are.
    fn new(worker: u64, commands: usize, tree: Arc<PrefixTree>, control: Arc<Control>) -> Self {
        let orders = control.orders();
        Self {
            switches: orders.switches,
            sampler: Sampler::new(worker.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED),
            counters: Arc::default(),
            errors: ErrorCounts::default(),
            latency: Latency::new(commands),
            hotkeys: HotKeyRecorder::default(),
            prefixes: Prefixes::new(tree),
            sizes: Sizes::default(),
            connects: ConnectRecorder::default(),
            control,
            orders,
        }
    }

    /// A recorder of its own, which belongs to no server: for traffic that comes from elsewhere, and for tests.
    pub fn single(commands: usize, tree: Arc<PrefixTree>) -> Self {
        Self::new(0, commands, tree, Arc::new(Control::new(Switches::default())))
    }

    /// What others read.
    pub fn recorded(&self) -> Recorded {
        Recorded {
            counters: Arc::clone(&self.counters),
            errors: self.errors.cells(),
            latency: self.latency.cells(),
            hotkeys: self.hotkeys.kept(),
            prefixes: self.prefixes.cells(),
            sizes: self.sizes.cells(),
            connects: self.connects.kept(),
        }
    }

    /// A batch of so many commands begins: shallow ones are timed completely. Windows that are over are closed, and what
    /// others have decided is taken up. `now_ms`: any clock in milliseconds, the same for all workers.
    #[inline]
    pub fn begin_batch(&mut self, commands: u32, now_ms: u64) {
        if self.control.has_changed(self.orders.version) {
            self.take_orders();
        }
        self.prefixes.begin_batch();
        self.hotkeys.rotate(now_ms);
        self.sampler.set_batch_depth(commands);
    }

    /// Takes up at once what was decided: for the worker whose own command has decided it.
    #[cold]
    pub fn take_orders(&mut self) {
        let before = std::mem::replace(&mut self.orders, self.control.orders());
        self.switches = self.orders.switches;
        if self.orders.windows != before.windows {
            self.latency.begin_window();
            self.sizes.begin_window();
        }
    }

    /// Counts a read that found its key, or did not.
    #[inline(always)]
    pub fn looked_up(&mut self, found: bool) {
        if found {
            self.counters.hits.add(1);
        } else {
            self.counters.misses.add(1);
        }
    }

    /// Reads that did not find their key, so far.
    #[inline(always)]
    pub fn misses(&self) -> u64 {
        self.counters.misses.get()
    }

    /// Counts keys that have expired.
    pub fn expired(&mut self, keys: u64) {
        self.counters.expired.add(keys);
    }

    /// Counts keys that were evicted.
    pub fn evicted(&mut self, keys: u64) {
        self.counters.evicted.add(keys);
    }

    /// Counts a read that received something.
    #[inline]
    pub fn received(&mut self, bytes: u64) {
        self.counters.bytes_in.add(bytes);
        self.counters.reads.add(1);
    }

    /// Counts a write of replies.
    #[inline]
    pub fn sent(&mut self, bytes: u64) {
        self.counters.bytes_out.add(bytes);
        self.counters.writes.add(1);
    }

    /// What went through the worker's sockets so far.
    pub fn traffic(&self) -> Traffic {
        self.counters.traffic()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_the_same_as_a_word() {
        for observer in Observer::all() {
            let mut switches = Switches::default();
            assert_eq!(Switches::from_bits(switches.to_bits()), switches);
            switches.set(observer, false);
            assert_eq!(Switches::from_bits(switches.to_bits()), switches);
            switches.profiling = false;
            assert_eq!(Switches::from_bits(switches.to_bits()), switches);
        }
    }
}
