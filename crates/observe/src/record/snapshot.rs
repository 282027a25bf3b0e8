//! The figures of all workers, merged: what reports are made from.
//!
//! Nobody is stopped for it, so it is of no one moment: a worker's figures may be some microseconds apart. What must fit
//! together does: a histogram's count is the sum of its buckets, and no histogram has more values than there were calls.
//!
//! Thread safety: plain values.

use super::clients::ConnectWindow;
use super::errors::Errors;
use super::hotkeys::HotKeysSnapshot;
use super::latency::LatencySnapshot;
use super::ledger::Ledger;
use super::prefix::PrefixSnapshot;
use super::prefix_tree::{PrefixTree, TreeSnapshot};
use super::sizes::SizesSnapshot;
use super::{Counters, Observer, Recorded, Traffic};

/// See the module's text.
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
    /// Calls per observer (clients: in the window).
    pub events: [u64; Observer::COUNT],
    /// Workers merged.
    pub workers: usize,
}

impl Snapshot {
    /// Adds one worker's: some 70 us.
    pub fn add(&mut self, worker: &Recorded, now_ms: u64) {
        self.add_counters(worker);
        Observer::all().for_each(|observer| self.merge(observer, worker, now_ms));
    }

    /// Adds only what INFO, LATENCY HISTOGRAM and MEMORY STATS are asked for every second: the exact counters and the
    /// observers that are statistics; the others stay empty (some 20 us).
    pub fn add_statistics(&mut self, worker: &Recorded) {
        self.add_counters(worker);
        let statistics = Observer::all().filter(|observer| observer.spec().is_statistic);
        statistics.for_each(|observer| self.merge(observer, worker, 0));
    }

    /// Adds only the exact counters and what one observer's report is made from.
    pub fn add_only(&mut self, observer: Observer, worker: &Recorded, now_ms: u64) {
        self.add_counters(worker);
        self.merge(observer, worker, now_ms);
    }

    fn add_counters(&mut self, worker: &Recorded) {
        for observer in Observer::all() {
            self.memory_bytes[observer.index()] += (observer.spec().memory_bytes)(worker);
        }
        let counters = worker.counters.read();
        self.counters.add(&counters);
        self.traffic.push(counters.traffic);
        self.errors.merge(&worker.errors);
        self.workers += 1;
    }

    fn merge(&mut self, observer: Observer, worker: &Recorded, now_ms: u64) {
        self.events[observer.index()] += (observer.spec().merge)(self, worker, now_ms);
    }

    /// Adds the shared tree; after all workers, so that every id they counted is known.
    pub fn add_tree(&mut self, tree: &PrefixTree) {
        self.tree = tree.snapshot();
        self.add_tree_memory(tree);
    }

    /// Corrects the traffic of prefixes. After the tree: an id that is released meanwhile either forwards its traffic or has
    /// left it.
    pub fn apply_ledger(&mut self, ledger: &Ledger) {
        ledger.apply(&mut self.prefixes);
        self.memory_bytes[Observer::PREFIXES.index()] += ledger.memory_bytes();
    }

    /// Adds what the shared tree takes, without its nodes.
    pub fn add_tree_memory(&mut self, tree: &PrefixTree) {
        self.memory_bytes[Observer::PREFIXES.index()] += tree.memory_bytes();
    }
}
