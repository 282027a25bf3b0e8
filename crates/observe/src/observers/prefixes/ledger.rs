//! What reports add to the traffic that workers count per prefix: workers never take back what they have counted.
//!
//! Two things move traffic: PROF RESET begins it again, and an id that is released leaves its traffic to the prefix above.
//! Each is an amount per id, here, in one place: to the sums over the workers reports add what the ledger says.
//!
//! Invariant: what is moved is no longer counted by anybody when it is: of a released id no entry is left.
//!
//! Thread safety: Sync; a lock that only reporters and maintenance take.

use super::counts::{NodeCounts, PrefixCells, PrefixSnapshot, Traffic, sum_of};
use super::prefix_tree::NODES_MAX;
use parking_lot::Mutex;

/// See the module's text.
#[derive(Default)]
pub struct Ledger {
    /// By id; empty until something is moved for the first time.
    amounts: Mutex<Vec<Traffic>>,
}

impl Ledger {
    /// What it may take, bytes.
    pub const BYTES_MAX: usize = NODES_MAX * size_of::<Traffic>();

    /// Corrects the sums over all workers.
    pub fn apply(&self, snapshot: &mut PrefixSnapshot) {
        for (id, amount) in self.amounts.lock().iter().enumerate() {
            if !amount.is_zero() {
                snapshot.correct(id, amount);
            }
        }
    }

    /// PROF RESET: the traffic of all prefixes begins again.
    pub(crate) fn restart<'a>(&self, workers: impl Iterator<Item = &'a PrefixCells>) {
        let mut snapshot = PrefixSnapshot::default();
        workers.for_each(|worker| snapshot.add(worker));
        let mut amounts = self.amounts.lock();
        *amounts = vec![Traffic::default(); NODES_MAX];
        for (amount, counts) in amounts.iter_mut().zip(snapshot.counts()) {
            *amount = counts.traffic().negated();
        }
    }

    /// Leaves the traffic of ids that are about to be released to others.
    pub(super) fn leave(&self, released: &[(u16, u16)], workers: &[&PrefixCells]) {
        let mut amounts = self.amounts.lock();
        amounts.resize(NODES_MAX, Traffic::default());
        for &(id, target) in released {
            let counted: NodeCounts = sum_of(workers, id);
            let (id, target) = (usize::from(id), usize::from(target));
            let left = counted.traffic().plus(&amounts[id]);
            amounts[target] = amounts[target].plus(&left);
            amounts[id] = counted.traffic().negated();
        }
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        self.amounts.lock().capacity() * size_of::<Traffic>()
    }
}
