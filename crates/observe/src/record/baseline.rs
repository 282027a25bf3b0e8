//! What the exact counters stood at when the profile was reset: PROF RESET begins a new window for the profile and must
//! leave the counters of INFO alone, so reports subtract.
//!
//! Not a reset: nothing recorded is forgotten here. Figures of what is stored have no window and no baseline.
//!
//! Invariant: subtracting never goes below zero; counters that were reset since (CONFIG RESETSTAT) must be given a new
//! baseline, or the first counts after it are missing.
//!
//! Thread safety: plain values.

use super::errors::Errors;
use super::latency::CallCounts;
use super::{Counters, Snapshot};

/// See the module's text. The default is the start: nothing is subtracted.
#[derive(Clone, Default, Debug)]
pub struct Baseline {
    counters: Counters,
    errors: Errors,
    /// By ascending command index.
    calls: Vec<(u16, CallCounts)>,
}

impl Baseline {
    /// All counters as they stand.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut baseline =
            Self { counters: snapshot.counters, errors: snapshot.errors.clone(), ..Self::default() };
        baseline.renew_calls(snapshot);
        baseline
    }

    /// The calls of commands alone as they stand now.
    pub fn renew_calls(&mut self, snapshot: &Snapshot) {
        self.calls = snapshot.latency.commands().iter().map(|stats| (stats.command, stats.counts)).collect();
    }

    /// Leaves in a snapshot what was counted since.
    pub fn subtract_from(&self, snapshot: &mut Snapshot) {
        snapshot.counters.subtract(&self.counters);
        snapshot.errors.subtract(&self.errors);
        snapshot.latency.subtract(&self.calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::prefix_tree::PrefixTree;
    use crate::record::{Recorder, Switches};
    use std::sync::Arc;

    fn snapshot(recorder: &Recorder) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.add(recorder, 1);
        snapshot
    }

    #[test]
    fn what_was_counted_before_is_left_out_and_what_comes_after_is_exact() {
        let mut recorder = Recorder::new(0, 8, Arc::new(PrefixTree::default()), Switches::default());
        let count = |recorder: &mut Recorder, command: u16, times: u64| {
            (0..times).for_each(|_| recorder.latency.called(command));
            recorder.latency.failed(command);
            recorder.counters.hits += times;
            recorder.errors.record(b"ERR no");
        };
        count(&mut recorder, 1, 5);
        count(&mut recorder, 2, 3);
        let baseline = Baseline::of(&snapshot(&recorder));
        count(&mut recorder, 2, 4);
        recorder.errors.record(b"OOM no");
        let mut since = snapshot(&recorder);
        baseline.subtract_from(&mut since);
        assert_eq!(since.counters.hits, 4);
        assert_eq!((since.errors.total(), since.errors.top()), (2, vec![("ERR", 1), ("OOM", 1)]));
        let calls: Vec<(u16, u64, u64)> = since
            .latency
            .commands()
            .iter()
            .map(|stats| (stats.command, stats.counts.calls, stats.counts.failed))
            .collect();
        assert_eq!(calls, [(2, 4, 1)]);
        Baseline::default().subtract_from(&mut since);
        assert_eq!(since.counters.hits, 4);
    }
}
