//! Since when the figures of each observer count: the start, its last reset, or the moment it was switched on.
//!
//! Not the figures: the recorders keep those. The exact counters of INFO go on through PROF RESET; what they stood at
//! then is kept here, and reports subtract it.
//!
//! Invariant: moments are on the keyspace's clock, so a jump of the wall clock moves no window.
//!
//! Thread safety: Sync; a lock that only reports, resets and CONFIG SET take, never under another one.

use observe::record::baseline::Baseline;
use observe::record::{Observer, Snapshot, Switches};
use observe::report::Facts;
use parking_lot::Mutex;

/// See the module's text.
#[derive(Default)]
pub struct Windows {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the profile as a whole: its start or PROF RESET.
    began_ms: i64,
    /// Of single observers, when later than that.
    observer_began_ms: [i64; Observer::COUNT],
    baseline: Baseline,
}

impl Windows {
    /// PROF RESET: every window begins now. `snapshot` is what the counters stood at.
    pub fn restart_all(&self, snapshot: &Snapshot, now_ms: i64) {
        *self.state.lock() = State {
            began_ms: now_ms,
            observer_began_ms: Default::default(),
            baseline: Baseline::of(snapshot),
        };
    }

    /// PROF RESET of one observer.
    pub fn restart(&self, observer: Observer, snapshot: &Snapshot, now_ms: i64) {
        let mut state = self.state.lock();
        state.observer_began_ms[observer.index()] = now_ms;
        if let Some(rebase) = observer.spec().rebase {
            rebase(&mut state.baseline, snapshot);
        }
    }

    /// CONFIG RESETSTAT: its counters began again, so there is nothing more to subtract of them. The window of observers
    /// that keep some begins with them.
    pub fn counters_restarted(&self, now_ms: i64) {
        let mut state = self.state.lock();
        state.baseline.statistics_restarted();
        let with_statistics = |observer: &Observer| observer.spec().restarts_with_statistics;
        for observer in Observer::all().filter(with_statistics) {
            state.observer_began_ms[observer.index()] = now_ms;
        }
    }

    /// Switches have changed: what is on now and was off begins now.
    pub fn switched(&self, before: Switches, after: Switches, now_ms: i64) {
        let mut state = self.state.lock();
        for observer in Observer::all() {
            if after.is_on(observer) && !before.is_on(observer) {
                state.observer_began_ms[observer.index()] = now_ms;
            }
        }
    }

    /// Leaves in a snapshot what was counted since the reset, and fills in the windows' part of the facts. `to_unix_ms`
    /// turns a moment of the keyspace's clock into a Unix time in milliseconds.
    pub fn apply(
        &self,
        snapshot: &mut Snapshot,
        facts: &mut Facts,
        now_ms: i64,
        to_unix_ms: impl Fn(i64) -> i64,
    ) {
        let state = self.state.lock();
        state.baseline.subtract_from(snapshot);
        let unix_s = |moment_ms: i64| (to_unix_ms(moment_ms) / 1000).max(0) as u64;
        let began_ms = |observer: Observer| state.observer_began_ms[observer.index()];
        let switched_on = Observer::all().filter(|observer| began_ms(*observer) > state.began_ms);
        facts.now_ms = now_ms as u64;
        facts.since_unix_s = unix_s(state.began_ms);
        facts.window_s = (now_ms - state.began_ms).max(0) as f64 / 1000.0;
        facts.switched_on_unix_s =
            switched_on.map(|observer| (observer.name().to_owned(), unix_s(began_ms(observer)))).collect();
    }
}
