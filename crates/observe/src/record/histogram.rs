//! Log-linear histograms: how values of many magnitudes are counted in little memory.
//!
//! Each power of two is cut into `2^sub_bits` equal buckets, as HdrHistogram and the H2 histogram do. Values
//! below `2^(unit_bits + sub_bits)` are counted linearly in steps of `2^unit_bits`.
//!
//! ```text
//! unit_bits 3, sub_bits 2:  group 0          group 1           group 2
//!                           0 8 16 24        32 40 48 56       64 80 96 112      ... (lower bounds)
//! ```
//!
//! Invariants:
//! 1. A value lies in its bucket: `lower(i) <= v < upper(i)`, except above the range, where it is counted in
//!    the last bucket (the exact maximum is kept beside).
//! 2. A reported percentile is within [`Layout::relative_error`] of a value of that rank, plus half a unit.
//! 3. Merging loses nothing: it is bucket by bucket.
//!
//! Thread safety: plain values.

/// Where the bucket boundaries are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Values are counted in units of `2^unit_bits`.
    pub unit_bits: u32,
    /// Buckets per power of two, as a power of two.
    pub sub_bits: u32,
    /// Groups of buckets: the linear one and one per power of two above.
    pub groups: u32,
}

impl Layout {
    /// Number of buckets.
    pub const fn buckets(self) -> usize {
        (self.groups << self.sub_bits) as usize
    }

    /// The bucket of `value`.
    #[inline]
    pub const fn index(self, value: u64) -> usize {
        let units = value >> self.unit_bits;
        let index = if units < 1 << self.sub_bits {
            units as usize
        } else {
            let shift = 63 - units.leading_zeros() - self.sub_bits;
            ((shift as usize) << self.sub_bits) + (units >> shift) as usize
        };
        let last = self.buckets() - 1;
        if index < last { index } else { last }
    }

    /// The smallest value of a bucket.
    pub const fn lower(self, index: usize) -> u64 {
        let sub = 1usize << self.sub_bits;
        if index < sub {
            return (index as u64) << self.unit_bits;
        }
        let shift = index / sub - 1;
        ((index % sub + sub) as u64) << (shift as u32 + self.unit_bits)
    }

    /// The smallest value above a bucket.
    pub const fn upper(self, index: usize) -> u64 {
        self.lower(index + 1)
    }

    /// Largest relative distance of a value in range from its bucket's middle.
    pub const fn relative_error(self) -> f64 {
        1.0 / (2u64 << self.sub_bits) as f64
    }
}

/// A merged histogram, as reports read it.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    layout: Layout,
    /// Empty as long as nothing was counted: most commands never wait for a stripe or the log.
    counts: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
    /// As the recorders have it, see `buckets`.
    window_max: u64,
}

impl Histogram {
    /// An empty histogram; with values in it, `8 * layout.buckets()` bytes.
    pub const fn new(layout: Layout) -> Self {
        Self { layout, counts: Vec::new(), count: 0, sum: 0, max: 0, window_max: 0 }
    }

    /// Counts `value` as `weight` occurrences.
    pub fn record(&mut self, value: u64, weight: u64) {
        self.counts.resize(self.layout.buckets(), 0);
        self.counts[self.layout.index(value)] += weight;
        self.count += weight;
        self.sum = self.sum.saturating_add(value.saturating_mul(weight));
        self.max = self.max.max(value);
        self.window_max = self.window_max.max(value);
    }

    /// Adds what another recorder counted. `counts` beyond the layout are counted in the last bucket.
    pub fn add_counts(&mut self, counts: impl Iterator<Item = u64>, sum: u64, max: u64, window_max: u64) {
        self.counts.resize(self.layout.buckets(), 0);
        let last = self.counts.len() - 1;
        for (index, count) in counts.enumerate() {
            self.counts[index.min(last)] += count;
            self.count += count;
        }
        self.sum = self.sum.saturating_add(sum);
        self.max = self.max.max(max);
        self.window_max = self.window_max.max(window_max);
    }

    /// Adds another histogram of the same layout.
    pub fn merge(&mut self, other: &Histogram) {
        debug_assert_eq!(self.layout, other.layout);
        if !other.counts.is_empty() {
            self.add_counts(other.counts.iter().copied(), other.sum, other.max, other.window_max);
        }
    }

    /// Takes away what was counted before. The maximum is then that of the window, if its recorder has begun one; else it
    /// is known as well as a percentile is: in the highest bucket that is left.
    pub fn subtract(&mut self, before: &Histogram) {
        debug_assert_eq!(self.layout, before.layout);
        if before.count == 0 {
            return;
        }
        for (count, before) in self.counts.iter_mut().zip(&before.counts) {
            *count = count.saturating_sub(*before);
        }
        self.count = self.counts.iter().sum();
        self.sum = if self.count == 0 { 0 } else { self.sum.saturating_sub(before.sum) };
        let Some(top) = self.counts.iter().rposition(|&count| count > 0) else {
            self.max = 0;
            return;
        };
        let (lower, upper) = (self.layout.lower(top), self.layout.upper(top));
        let max = if self.window_max >= lower { self.window_max } else { self.max };
        self.max = if top + 1 == self.counts.len() { max } else { max.clamp(lower, upper - 1) };
    }

    /// Values counted, weights included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the values themselves, not of their buckets.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Largest value seen, exact.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Mean of the values, 0 when empty.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// See [`Layout::relative_error`].
    pub fn relative_error(&self) -> f64 {
        self.layout.relative_error()
    }

    /// The value below or at which `fraction` (0 to 1) of the values lie: the middle of its bucket, never above
    /// the maximum. 0 when empty.
    pub fn percentile(&self, fraction: f64) -> u64 {
        if self.count == 0 {
            return 0;
        }
        let rank = ((fraction.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                if index + 1 == self.counts.len() {
                    return self.max;
                }
                let (lower, upper) = (self.layout.lower(index), self.layout.upper(index));
                return (lower + (upper - lower) / 2).min(self.max);
            }
        }
        self.max
    }

    /// The values at least `floor`, counted in whole buckets: those whose middle is not below `floor`.
    pub fn count_from(&self, floor: u64) -> u64 {
        let from =
            (0..self.counts.len()).find(|&i| (self.layout.lower(i) + self.layout.upper(i)) / 2 >= floor);
        from.map_or(0, |from| self.counts[from..].iter().sum())
    }

    /// Cumulative counts by powers of two of a microsecond, for values in nanoseconds: `(usec, values not
    /// above)`. Starts at the first bound with a value and ends at the first that includes all, as LATENCY
    /// HISTOGRAM answers. A bucket that straddles a bound counts where its middle lies.
    pub fn cumulative_log2_usec(&self) -> Vec<(u64, u64)> {
        let mut bounds = Vec::new();
        let (mut index, mut seen) = (0, 0u64);
        for power in 0..40 {
            let usec = 1u64 << power;
            while index < self.counts.len()
                && (self.layout.lower(index) + self.layout.upper(index)) / 2 <= usec * 1_000
            {
                seen += self.counts[index];
                index += 1;
            }
            if seen > 0 {
                bounds.push((usec, seen));
            }
            if seen == self.count {
                break;
            }
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUTS: [Layout; 3] = [
        Layout { unit_bits: 3, sub_bits: 4, groups: 28 },
        Layout { unit_bits: 3, sub_bits: 2, groups: 26 },
        Layout { unit_bits: 0, sub_bits: 3, groups: 30 },
    ];

    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn buckets_tile_the_range() {
        for layout in LAYOUTS {
            for index in 0..layout.buckets() {
                assert!(layout.lower(index) < layout.upper(index));
                assert_eq!(layout.index(layout.lower(index)), index);
                assert_eq!(layout.index(layout.upper(index) - 1), index);
            }
            assert_eq!(layout.index(u64::MAX), layout.buckets() - 1);
        }
    }

    #[test]
    fn percentiles_keep_the_stated_error() {
        let mut seed = 0x1234_5678_9ABC_DEF1;
        println!("seed {seed:#x}");
        for layout in LAYOUTS {
            let mut histogram = Histogram::new(layout);
            let mut values: Vec<u64> = (0..50_000)
                .map(|_| {
                    let bits = random(&mut seed) % 24;
                    random(&mut seed) % (2 << bits)
                })
                .collect();
            values.iter().for_each(|&value| histogram.record(value, 1));
            values.sort_unstable();
            for fraction in [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
                let rank = ((fraction * values.len() as f64).ceil() as usize).max(1) - 1;
                let truth = values[rank] as f64;
                let bound =
                    truth * layout.relative_error() * 1.0001 + (1u64 << layout.unit_bits) as f64 / 2.0;
                let got = histogram.percentile(fraction) as f64;
                assert!((got - truth).abs() <= bound + 1.0, "{layout:?} p{fraction}: {got} for {truth}");
            }
            assert_eq!(histogram.max(), values[values.len() - 1]);
            assert_eq!(histogram.sum(), values.iter().sum::<u64>());
        }
    }

    #[test]
    fn merge_equals_recording_together() {
        let mut seed = 99;
        let (mut a, mut b, mut both) =
            (Histogram::new(LAYOUTS[0]), Histogram::new(LAYOUTS[0]), Histogram::new(LAYOUTS[0]));
        for turn in 0..10_000 {
            let value = random(&mut seed) % 1_000_000;
            if turn % 3 == 0 {
                a.record(value, 2)
            } else {
                b.record(value, 2)
            }
            both.record(value, 2);
        }
        a.merge(&b);
        assert_eq!(a, both);
    }

    #[test]
    fn what_is_left_of_a_histogram_is_what_came_since() {
        let mut histogram = Histogram::new(LAYOUTS[0]);
        [100, 7_000, 90_000].iter().for_each(|&value| histogram.record(value, 2));
        let before = histogram.clone();
        let mut none = histogram.clone();
        none.subtract(&before);
        assert_eq!((none.count(), none.sum(), none.max(), none.percentile(0.5)), (0, 0, 0, 0));
        [300, 8_000].iter().for_each(|&value| histogram.record(value, 1));
        // The recorder has not begun its window yet: the maximum is known as well as its bucket.
        let mut stale = histogram.clone();
        stale.subtract(&before);
        assert_eq!((stale.count(), stale.sum()), (2, 8_300));
        assert!((8_000..8_000 + 8_000 / 16).contains(&stale.max()), "{}", stale.max());
        let mut since = histogram;
        since.window_max = 8_000;
        since.subtract(&before);
        assert_eq!((since.max(), since.percentile(1.0)), (8_000, 8_000));
    }

    #[test]
    fn cumulative_bounds_are_powers_of_two_and_end_at_the_total() {
        let mut histogram = Histogram::new(LAYOUTS[0]);
        for usec in [3, 3, 5, 900] {
            histogram.record(usec * 1_000, 1);
        }
        assert_eq!(histogram.cumulative_log2_usec()[0], (4, 2));
        assert_eq!(histogram.cumulative_log2_usec()[1], (8, 3));
        assert_eq!(histogram.cumulative_log2_usec().last(), Some(&(1024, 4)));
        assert!(Histogram::new(LAYOUTS[0]).cumulative_log2_usec().is_empty());
    }

    #[test]
    fn beyond_the_range_only_the_maximum_is_exact() {
        let mut histogram = Histogram::new(LAYOUTS[1]);
        histogram.record(u64::MAX / 4, 1);
        assert_eq!(histogram.percentile(0.5), u64::MAX / 4);
    }
}
