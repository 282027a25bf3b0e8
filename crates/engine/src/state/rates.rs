//! Rates of the last moments: INFO's `instantaneous_*`.
//!
//! Not the totals, which the recorders keep: here each worker notes its own totals at its timer's turns, and the rate is
//! the growth over the last [`WINDOW_MS`].
//!
//! Invariant: a worker writes only its own cell; one that has noted nothing lately counts as idle.
//!
//! Thread safety: a mutex per worker, taken ten times a second by its worker and by INFO.

use crate::state::counters::Counters;
use observe::record::Recorder;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

/// Growth is measured over so long, as Redis does with 16 samples of 100 ms.
const WINDOW_MS: i64 = 1600;
/// Notes kept per worker: the window at the timer's 10 turns a second, with room for more frequent ones.
const NOTES_MAX: usize = 64;

/// Per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    pub commands: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Cycles of the event loops, and microseconds spent in them.
    pub cycles: u64,
    pub cycles_us: u64,
}

/// What is noted, in the order of [`Rates`].
type Totals = [u64; 5];

#[derive(Clone, Copy)]
struct Note {
    at_ms: i64,
    totals: Totals,
}

/// See the module's text.
pub struct RateKeeper {
    workers: Vec<Mutex<VecDeque<Note>>>,
}

impl RateKeeper {
    pub fn new(workers: usize) -> RateKeeper {
        RateKeeper { workers: (0..workers).map(|_| Mutex::default()).collect() }
    }

    /// Notes a worker's totals; to be called at its timer's turns. The cycles, which are counted for all workers
    /// together, are noted by the first one.
    pub fn note(&self, worker: usize, now_ms: i64, recorder: &Recorder, shared: &Counters) {
        let Counters { event_loop_cycles, event_loop_duration_us, .. } = shared;
        let cycles = match worker {
            0 => [event_loop_cycles.load(Relaxed), event_loop_duration_us.load(Relaxed)],
            _ => [0, 0],
        };
        let own = recorder.traffic();
        let totals = [recorder.latency.calls(), own.bytes_in, own.bytes_out, cycles[0], cycles[1]];
        self.note_totals(worker, now_ms, totals);
    }

    fn note_totals(&self, worker: usize, at_ms: i64, totals: Totals) {
        let Some(notes) = self.workers.get(worker) else { return };
        let mut notes = notes.lock();
        // CONFIG RESETSTAT begins the cycles again: what was before has no meaning any more.
        if notes.back().is_some_and(|last| last.totals.iter().zip(&totals).any(|(before, now)| before > now))
        {
            notes.clear();
        }
        // The oldest note of the window stays: the growth is measured from it.
        while notes.len() >= NOTES_MAX || notes.get(1).is_some_and(|second| second.at_ms <= at_ms - WINDOW_MS)
        {
            notes.pop_front();
        }
        notes.push_back(Note { at_ms, totals });
    }

    /// The rates of all workers together.
    pub fn per_second(&self, now_ms: i64) -> Rates {
        let mut sums: Totals = [0; 5];
        for notes in &self.workers {
            let notes = notes.lock();
            let (Some(first), Some(last)) = (notes.front(), notes.back()) else { continue };
            let span_ms = (last.at_ms - first.at_ms) as u64;
            if span_ms == 0 || last.at_ms < now_ms - WINDOW_MS {
                continue;
            }
            for ((sum, before), after) in sums.iter_mut().zip(first.totals).zip(last.totals) {
                *sum += (after - before) * 1000 / span_ms;
            }
        }
        let [commands, bytes_in, bytes_out, cycles, cycles_us] = sums;
        Rates { commands, bytes_in, bytes_out, cycles, cycles_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_the_growth_over_the_window() {
        let keeper = RateKeeper::new(2);
        for turn in 0..100 {
            keeper.note_totals(0, 1000 + turn * 100, [turn as u64 * 10, turn as u64 * 1000, 0, 1, 2]);
            keeper.note_totals(1, 1000 + turn * 100, [turn as u64, 0, 0, 0, 0]);
        }
        assert_eq!(keeper.per_second(11_000), Rates { commands: 110, bytes_in: 10_000, ..Rates::default() });
        assert_eq!(keeper.per_second(20_000), Rates::default());
    }

    #[test]
    fn a_reset_of_the_totals_starts_again() {
        let keeper = RateKeeper::new(1);
        keeper.note_totals(0, 1000, [1_000_000, 0, 0, 0, 0]);
        keeper.note_totals(0, 1100, [5, 0, 0, 0, 0]);
        assert_eq!(keeper.per_second(1100), Rates::default());
        keeper.note_totals(0, 1200, [15, 0, 0, 0, 0]);
        assert_eq!(keeper.per_second(1200).commands, 100);
    }
}
