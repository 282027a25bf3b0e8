//! Latency spikes: what LATENCY LATEST, HISTORY and RESET tell of events that took longer than
//! `latency-monitor-threshold`.
//!
//! Not a histogram: per event, one sample per second at most (the worst), the last 160 of them, as in Redis.
//!
//! Thread safety: one mutex, taken only for spikes and by LATENCY.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

const SAMPLES_MAX: usize = 160;

/// The spikes of one event.
#[derive(Clone, Default)]
pub struct Series {
    /// (Unix time in seconds, milliseconds), oldest first.
    pub samples: VecDeque<(i64, u64)>,
    pub worst_ms: u64,
    /// All spikes, those that `samples` does not hold included.
    pub sum_ms: u64,
    pub spikes: u64,
}

/// See the module's text. Event names are a fixed few, so the map is bounded.
#[derive(Default)]
pub struct Spikes(Mutex<BTreeMap<&'static str, Series>>);

impl Spikes {
    pub fn add(&self, event: &'static str, at_seconds: i64, duration_ms: u64) {
        let mut events = self.0.lock();
        let series = events.entry(event).or_default();
        series.worst_ms = series.worst_ms.max(duration_ms);
        series.sum_ms += duration_ms;
        series.spikes += 1;
        match series.samples.back_mut() {
            Some((second, worst)) if *second == at_seconds => *worst = (*worst).max(duration_ms),
            _ => series.samples.push_back((at_seconds, duration_ms)),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.pop_front();
        }
    }

    pub fn all(&self) -> BTreeMap<&'static str, Series> {
        self.0.lock().clone()
    }

    /// Forgets the named events, or all; returns how many there were.
    pub fn reset(&self, events: &[&[u8]]) -> usize {
        let mut known = self.0.lock();
        let before = known.len();
        known.retain(|name, _| {
            !events.is_empty() && !events.iter().any(|event| event.eq_ignore_ascii_case(name.as_bytes()))
        });
        before - known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_a_second_and_the_worst_of_it() {
        let spikes = Spikes::default();
        spikes.add("command", 10, 5);
        spikes.add("command", 10, 9);
        spikes.add("command", 11, 7);
        let series = &spikes.all()["command"];
        assert_eq!(series.samples, [(10, 9), (11, 7)]);
        assert_eq!((series.worst_ms, series.sum_ms, series.spikes), (9, 21, 3));
        assert_eq!((spikes.reset(&[b"other"]), spikes.reset(&[b"COMMAND"])), (0, 1));
    }
}
