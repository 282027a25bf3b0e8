//! A histogram while it is recorded: one thread counts into it, any thread may read it meanwhile.
//!
//! Not what reports work with: they merge the workers' buckets into a [`Histogram`]. The number of values is not kept: it
//! is the sum of the buckets, so that it fits them whenever they are read.
//!
//! ```text
//! sum  max  window_max   u64 x 3
//! counts                 u64 x N    64 bits: a bucket of 32 is full after an hour of a million values a second
//! ```
//!
//! Invariants: (1) nothing counted is ever taken back: who wants the values since a moment subtracts what there were then;
//! (2) `window_max` is the largest value since [`Buckets::begin_window`], `max` since the start.
//!
//! Thread safety: as `counter`: one writer, readers without a lock.

use super::counter::Counter;
use super::histogram::{Histogram, Layout};
use std::sync::OnceLock;

/// See the module's text. `N` is the layout's number of buckets.
pub struct Buckets<const N: usize> {
    sum: Counter,
    max: Counter,
    window_max: Counter,
    counts: [Counter; N],
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self {
            sum: Counter::new(),
            max: Counter::new(),
            window_max: Counter::new(),
            counts: [const { Counter::new() }; N],
        }
    }
}

impl<const N: usize> Buckets<N> {
    /// Counts a value as `weight` occurrences. For the one writer.
    #[inline]
    pub(crate) fn record(&self, layout: Layout, value: u64, weight: u64) {
        self.counts[layout.index(value)].add(weight);
        self.sum.add(value.wrapping_mul(weight));
        // The window's is never above that of all times: one comparison is enough nearly always.
        if value > self.window_max.get() {
            self.window_max.raise(value);
            self.max.raise(value);
        }
    }

    /// The maximum of a window begins again. For the one writer.
    pub(crate) fn begin_window(&self) {
        self.window_max.clear();
    }

    /// Adds what was counted to a histogram of the same layout.
    pub(crate) fn add_to(&self, histogram: &mut Histogram) {
        let (max, window_max) = (self.max.get(), self.window_max.get());
        histogram.add_counts(self.counts.iter().map(Counter::get), self.sum.get(), max, window_max);
    }
}

/// Buckets that are made when the first value comes.
pub(crate) type LazyBuckets<const N: usize> = OnceLock<Box<Buckets<N>>>;

/// Bytes that lazy buckets take by now.
pub(crate) fn held_bytes<const N: usize>(buckets: &LazyBuckets<N>) -> usize {
    buckets.get().map_or(0, |_| size_of::<Buckets<N>>())
}
