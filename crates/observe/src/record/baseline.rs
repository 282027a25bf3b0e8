//! What the counters stood at when they were reset: nothing that a worker counts is taken away from it, so reports subtract.
//!
//! There are two: CONFIG RESETSTAT begins the exact counters of INFO again, and the profile's window with them; PROF RESET
//! begins only that. Each is subtracted from what the former leaves.
//!
//! Not a reset of what is no counter (hot keys, reconnects): that is forgotten where it is. Figures of what is stored have
//! no window and no baseline.
//!
//! Invariant: subtracting never goes below zero.
//!
//! It takes 8 KiB per command that was timed in every stage, two or three typically: a few hundred KiB.
//!
//! Thread safety: plain values.

use super::errors::Errors;
use super::histogram::Histogram;
use super::latency::LatencySnapshot;
use super::{Counters, Observer, Snapshot, Traffic};
use crate::observers::OBSERVERS;

/// See the module's text. The default is the start: nothing is subtracted.
#[derive(Clone, Default, Debug)]
pub struct Baseline {
    counters: Counters,
    /// Of each worker.
    traffic: Vec<Traffic>,
    errors: Errors,
    latency: LatencySnapshot,
    /// Latencies by size.
    sizes: Vec<Histogram>,
    events: [u64; Observer::COUNT],
}

impl Baseline {
    /// All counters as they stand.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut baseline = Self::of_counters(snapshot);
        OBSERVERS.iter().filter_map(|spec| spec.rebase).for_each(|rebase| rebase(&mut baseline, snapshot));
        baseline
    }

    /// The counters that CONFIG RESETSTAT begins again as they stand.
    pub fn of_statistics(snapshot: &Snapshot) -> Self {
        let mut baseline = Self::of_counters(snapshot);
        let kept = OBSERVERS.iter().filter(|spec| spec.restarts_with_statistics);
        kept.filter_map(|spec| spec.rebase).for_each(|rebase| rebase(&mut baseline, snapshot));
        baseline
    }

    fn of_counters(snapshot: &Snapshot) -> Self {
        Self {
            counters: snapshot.counters,
            traffic: snapshot.traffic.clone(),
            errors: snapshot.errors.clone(),
            ..Self::default()
        }
    }

    /// CONFIG RESETSTAT: what it begins again is at nothing now.
    pub fn statistics_restarted(&mut self) {
        (self.counters, self.traffic, self.errors) = Default::default();
        let kept = OBSERVERS.iter().filter(|spec| spec.restarts_with_statistics);
        kept.filter_map(|spec| spec.rebase).for_each(|rebase| rebase(self, &Snapshot::default()));
    }

    /// Notes the calls and timings of commands.
    pub fn renew_latency(&mut self, snapshot: &Snapshot) {
        self.latency = snapshot.latency.clone();
    }

    /// Notes the latencies by size.
    pub fn renew_sizes(&mut self, snapshot: &Snapshot) {
        self.sizes.clone_from(&snapshot.sizes.latency);
    }

    /// Notes how often an observer was called.
    pub fn renew_events(&mut self, observer: Observer, snapshot: &Snapshot) {
        self.events[observer.index()] = snapshot.events[observer.index()];
    }

    /// Leaves in a snapshot what was counted since.
    pub fn subtract_from(&self, snapshot: &mut Snapshot) {
        snapshot.counters.subtract(&self.counters);
        let each = snapshot.traffic.iter_mut().zip(&self.traffic);
        each.for_each(|(now, before)| now.subtract(before));
        snapshot.errors.subtract(&self.errors);
        snapshot.latency.subtract(&self.latency);
        snapshot.sizes.latency.iter_mut().zip(&self.sizes).for_each(|(now, before)| now.subtract(before));
        for (events, before) in snapshot.events.iter_mut().zip(self.events) {
            *events = events.saturating_sub(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Recorder;
    use crate::record::latency::Stage;
    use crate::record::prefix_tree::PrefixTree;
    use std::sync::Arc;

    fn snapshot(recorder: &Recorder) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.add(&recorder.recorded(), 1);
        snapshot
    }

    fn count(recorder: &mut Recorder, command: u16, times: u64) {
        for _ in 0..times {
            recorder.latency.called(command);
            recorder.latency.record(command, Stage::Run, 5_000 * times, 1);
            recorder.looked_up(true);
            recorder.sizes.timed(100, 5_000 * times, 1);
        }
        recorder.latency.failed(command);
        recorder.errors.record(b"ERR no");
    }

    #[test]
    fn what_was_counted_before_is_left_out_and_what_comes_after_is_exact() {
        let mut recorder = Recorder::single(8, Arc::new(PrefixTree::default()));
        count(&mut recorder, 1, 5);
        count(&mut recorder, 2, 3);
        let baseline = Baseline::of(&snapshot(&recorder));
        count(&mut recorder, 2, 4);
        recorder.errors.record(b"OOM no");
        let mut since = snapshot(&recorder);
        baseline.subtract_from(&mut since);
        assert_eq!(since.counters.hits, 4);
        assert_eq!((since.errors.total(), since.errors.top()), (2, vec![("ERR", 1), ("OOM", 1)]));
        let commands = since.latency.commands().iter();
        let counts: Vec<_> = commands
            .map(|stats| {
                let run = stats.stage(Stage::Run);
                (stats.command, stats.counts.calls, stats.counts.failed, run.count(), run.sum(), stats.usec())
            })
            .collect();
        assert_eq!(counts, [(2, 4, 1, 4, 80_000, 80)]);
        assert!(since.latency.commands()[0].is_exact());
        assert_eq!(since.sizes.latency.iter().map(Histogram::count).sum::<u64>(), 4);
        assert_eq!(since.events[Observer::LATENCY.index()], 4);
        Baseline::default().subtract_from(&mut since);
        assert_eq!(since.counters.hits, 4);
    }

    #[test]
    fn the_window_of_the_profile_lies_within_that_of_the_statistics() {
        let mut recorder = Recorder::single(8, Arc::new(PrefixTree::default()));
        let hits = |recorder: &Recorder, baselines: &[&Baseline]| {
            let mut snapshot = snapshot(recorder);
            baselines.iter().for_each(|baseline| baseline.subtract_from(&mut snapshot));
            let calls: u64 = snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum();
            let timed: u64 = snapshot.sizes.latency.iter().map(Histogram::count).sum();
            (snapshot.counters.hits, calls, timed)
        };
        count(&mut recorder, 1, 5);
        let statistics = Baseline::of_statistics(&snapshot(&recorder));
        count(&mut recorder, 1, 2);
        let mut since = snapshot(&recorder);
        statistics.subtract_from(&mut since);
        let mut profile = Baseline::of(&since);
        count(&mut recorder, 1, 1);
        // The statistics do not begin anew with the profile; latencies by size belong to that alone.
        assert_eq!(hits(&recorder, &[&statistics]), (3, 3, 8));
        assert_eq!(hits(&recorder, &[&statistics, &profile]), (1, 1, 1));
        let statistics = Baseline::of_statistics(&snapshot(&recorder));
        profile.statistics_restarted();
        count(&mut recorder, 1, 4);
        assert_eq!(hits(&recorder, &[&statistics]), (4, 4, 12));
        assert_eq!(hits(&recorder, &[&statistics, &profile]), (4, 4, 5));
    }
}
