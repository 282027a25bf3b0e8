//! Ids of prefixes that have no keys any more are freed when ids get scarce, in turns, and nobody waits for it.
//!
//! ```text
//! turn n      ids are scarce: leaves of the tree without keys are retired, and the epoch rises
//!             every worker forgets, when its next batch begins, which ids it has handed out, and says so
//! turn n + 1  all have said so: what is retired and still has no keys leaves its traffic to the prefix above and is freed
//! ```
//!
//! Why it is safe: a worker that has begun a batch since the retirement has counted all keys that it gave a retired id, and
//! gives it to none from then on. Once all have, such keys only dwindle, and adding them up to zero, worker by worker,
//! cannot miss one.
//!
//! Thread safety: one thread at a time takes a turn, see `record::recorders`.

use super::counts::{PrefixCells, sum_of};
use super::ledger::Ledger;
use super::prefix_tree::{NODES_MAX, PrefixTree};

/// What is left to do from the last turn.
#[derive(Default)]
pub struct Maintenance {
    retired: Option<Retired>,
}

struct Retired {
    ids: Vec<u16>,
    epoch: u64,
}

impl Maintenance {
    /// Takes a turn; returns how many ids were freed. Once a second costs nothing.
    pub fn turn(&mut self, tree: &PrefixTree, ledger: &Ledger, workers: &[&PrefixCells]) -> usize {
        match self.retired.take() {
            None => {
                if tree.is_nearly_full() {
                    self.retire(tree, workers);
                }
                0
            }
            Some(retired) if workers.iter().any(|worker| worker.epoch_seen() < retired.epoch) => {
                self.retired = Some(retired);
                0
            }
            Some(retired) => release(tree, ledger, workers, &retired.ids),
        }
    }

    fn retire(&mut self, tree: &PrefixTree, workers: &[&PrefixCells]) {
        let mut keys = vec![0_i64; NODES_MAX];
        workers.iter().for_each(|worker| worker.add_keys(&mut keys));
        let ids = tree.retire(|id| keys[usize::from(id)] == 0);
        if !ids.is_empty() {
            self.retired = Some(Retired { ids, epoch: tree.epoch() });
        }
    }
}

fn release(tree: &PrefixTree, ledger: &Ledger, workers: &[&PrefixCells], retired: &[u16]) -> usize {
    let is_unused = |id: &u16| sum_of(workers, *id).keys == 0;
    let released: Vec<u16> = retired.iter().copied().filter(is_unused).collect();
    let moves: Vec<(u16, u16)> = released.iter().map(|&id| (id, tree.target(id))).collect();
    ledger.leave(&moves, workers);
    tree.release(&released);
    released.len()
}
