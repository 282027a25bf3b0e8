//! Figures that one thread counts and any thread may read, at any time and without a lock.
//!
//! Not counters that several threads add to: an addition is a load and a store, on x86 a plain addition in memory, which is
//! what keeps them off the price list of the hot path. A locked addition costs twenty times as much.
//!
//! Invariants: (1) one thread writes. Writing is for this crate alone, and there only for the recorders, which are owned
//! (`record::Recorder` is no `Clone`); whoever else has a counter can read it. (2) A figure is never seen half written;
//! two figures may be seen at different moments, so what must fit together is derived from one of them, or taken in the
//! order opposite to that in which it is counted.
//!
//! Thread safety: see invariant 1; relaxed atomics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A figure that grows.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing counted.
    pub(crate) const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// The figure by now.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Counts. For the one writer.
    #[inline(always)]
    pub(crate) fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// Makes it at least `to`: a maximum. For the one writer.
    #[inline(always)]
    pub(crate) fn raise(&self, to: u64) {
        if to > self.0.load(Relaxed) {
            self.0.store(to, Relaxed);
        }
    }

    /// Begins again. For the one writer: readers subtract what they have seen.
    pub(crate) fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}

/// A figure that goes up and down: how much of something there is. One worker's may be negative, as it may take away what
/// another has added.
#[derive(Default, Debug)]
pub struct Level(AtomicI64);

impl Level {
    /// Nothing there.
    pub(crate) const fn new() -> Level {
        Level(AtomicI64::new(0))
    }

    /// The figure by now.
    #[inline(always)]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    /// Changes it. For the one writer.
    #[inline(always)]
    pub(crate) fn add(&self, by: i64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_only_figures_that_there_were() {
        let (counter, level, done) = (Counter::new(), Level::new(), Counter::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 1..=200_000_u64 {
                    // Both halves change at once: a torn read would be none of the figures.
                    counter.add((1 << 32) + 1);
                    level.add(if turn % 2 == 0 { -1 - (1 << 40) } else { 1 + (1 << 40) });
                }
                done.raise(1);
            });
            let mut last = 0;
            while done.get() == 0 {
                let seen = counter.get();
                assert!(seen >= last && seen >> 32 == seen & 0xFFFF_FFFF, "{seen:#x}");
                assert!([0, 1 + (1 << 40)].contains(&level.get()));
                last = seen;
            }
        });
        assert_eq!((counter.get(), level.get()), (200_000 * ((1 << 32) + 1), 0));
    }
}
