//! The recorders of one server as those see them who report: merged, begun again, switched.
//!
//! Not the writing sides, which [`Recorders::new`] hands to the workers for good.
//!
//! Invariants: (1) nothing here waits for a worker, and no worker waits for anything here; (2) a figure that only grows is
//! never reset: CONFIG RESETSTAT notes where it stands, and every snapshot has that subtracted. What PROF RESET does on top
//! is its caller's `baseline`.
//!
//! Thread safety: Sync. Its locks are for reporters among each other.

use super::baseline::Baseline;
use super::control::Control;
use super::ledger::Ledger;
use super::maintenance::Maintenance;
use super::prefix::PrefixCells;
use super::prefix_tree::PrefixTree;
use super::{Observer, Recorded, Recorder, Snapshot, Switches};
use crate::observers::OBSERVERS;
use crate::spec::ReportSpec;
use parking_lot::Mutex;
use std::sync::Arc;

/// See the module's text.
pub struct Recorders {
    /// One per worker, then one for background work.
    recorded: Vec<Recorded>,
    tree: Arc<PrefixTree>,
    control: Arc<Control>,
    /// Where the statistics stood at CONFIG RESETSTAT.
    statistics: Mutex<Baseline>,
    ledger: Ledger,
    maintenance: Mutex<Maintenance>,
    /// Changes are made one at a time.
    switching: Mutex<()>,
}

impl Recorders {
    /// Those of a server with `workers` workers and `commands` command indexes, and their writing sides: one per worker, and
    /// a last one for accounting that no worker does.
    pub fn new(workers: usize, commands: usize, switches: Switches) -> (Recorders, Vec<Recorder>) {
        let (tree, control) = (Arc::new(PrefixTree::default()), Arc::new(Control::new(switches)));
        let recorder = |worker| Recorder::new(worker, commands, Arc::clone(&tree), Arc::clone(&control));
        let mut writers: Vec<Recorder> = (0..=workers as u64).map(recorder).collect();
        writers[workers].prefixes.resolves_nothing();
        let recorders = Recorders {
            recorded: writers.iter().map(Recorder::recorded).collect(),
            tree,
            control,
            statistics: Mutex::default(),
            ledger: Ledger::default(),
            maintenance: Mutex::default(),
            switching: Mutex::new(()),
        };
        (recorders, writers)
    }

    /// What was recorded, per worker in their order, then in the background.
    pub fn recorded(&self) -> &[Recorded] {
        &self.recorded
    }

    /// The tree of prefixes that all share.
    pub fn tree(&self) -> &Arc<PrefixTree> {
        &self.tree
    }

    /// All of it, merged. `now_ms` is of the clock that batches begin with.
    pub fn snapshot(&self, now_ms: u64) -> Snapshot {
        self.merge(|snapshot, worker| snapshot.add(worker, now_ms), true)
    }

    /// What a report is made from: of an observer's own report no other observer.
    pub fn snapshot_for(&self, report: &ReportSpec, now_ms: u64) -> Snapshot {
        match report.observer() {
            None => self.snapshot(now_ms),
            Some(observer) => self.merge(
                |snapshot, worker| snapshot.add_only(observer, worker, now_ms),
                observer.spec().is_over_tree,
            ),
        }
    }

    /// What [`Snapshot::add_statistics`] takes.
    pub fn statistics(&self) -> Snapshot {
        let mut snapshot = self.merge(Snapshot::add_statistics, false);
        snapshot.add_tree_memory(&self.tree);
        snapshot
    }

    fn merge(&self, add: impl Fn(&mut Snapshot, &Recorded), with_tree: bool) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.recorded.iter().for_each(|worker| add(&mut snapshot, worker));
        if with_tree {
            snapshot.add_tree(&self.tree);
            snapshot.apply_ledger(&self.ledger);
        }
        snapshot.workers = self.recorded.len() - 1;
        self.statistics.lock().subtract_from(&mut snapshot);
        snapshot
    }

    /// PROF RESET, of one observer or all: what is no counter is forgotten, what is stored is not. The caller subtracts the
    /// counters.
    pub fn reset(&self, observer: Option<Observer>) {
        match observer {
            None => OBSERVERS.iter().for_each(|spec| (spec.reset)(self)),
            Some(observer) => (observer.spec().reset)(self),
        }
        self.control.begin_window();
    }

    /// CONFIG RESETSTAT: the exact counters begin again, with the observers that keep some.
    pub fn restart_statistics(&self) {
        let mut all = Snapshot::default();
        let mut statistics = self.statistics.lock();
        self.recorded.iter().for_each(|worker| all.add_statistics(worker));
        *statistics = Baseline::of_statistics(&all);
        self.control.begin_window();
    }

    /// Which observers are to record; each worker takes it up when its next batch begins. Returns what was before.
    pub fn switch(&self, switches: Switches) -> Switches {
        let _turn = self.switching.lock();
        let before = self.control.orders().switches;
        self.control.switch(switches);
        before
    }

    /// The traffic of all prefixes begins again.
    pub(crate) fn restart_prefix_traffic(&self) {
        self.ledger.restart(self.recorded.iter().map(|worker| &*worker.prefixes));
    }

    /// Frees the ids of prefixes without keys when they get scarce; to be called once a second.
    pub fn maintain(&self) -> usize {
        let prefixes: Vec<&PrefixCells> = self.recorded.iter().map(|worker| &*worker.prefixes).collect();
        self.maintenance.lock().turn(&self.tree, &self.ledger, &prefixes)
    }
}
