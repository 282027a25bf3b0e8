//! The exact count of what was sent for each key: the truth that the server's hot-key counts are compared with.
//!
//! Invariant: a count is exact or absent. Beyond `KEYS_MAX` different keys new ones are not counted, which is said.
//!
//! Thread safety: each player thread counts its own keys; a key belongs to one thread, so merging only unites.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Keys counted in each thread: at most some 200 MiB for a user's trace of any size; the recording has 76,349.
const KEYS_MAX: usize = 1_000_000;

/// Commands sent for each key.
#[derive(Debug, Default)]
pub struct ExactCounts {
    counts: HashMap<Box<[u8]>, u64, FixedState>,
    /// Commands for keys that were not counted.
    uncounted: u64,
    total: u64,
}

/// One of the server's hot keys beside the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub key: Vec<u8>,
    pub reported: u64,
    pub exact: u64,
}

impl ExactCounts {
    /// Counts one command for `key`.
    #[inline]
    pub fn add(&mut self, key: &[u8]) {
        self.total += 1;
        if let Some(count) = self.counts.get_mut(key) {
            *count += 1;
        } else if self.counts.len() < KEYS_MAX {
            self.counts.insert(key.into(), 1);
        } else {
            self.uncounted += 1;
        }
    }

    /// Unites with the counts of another thread.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        self.uncounted += other.uncounted;
        self.total += other.total;
    }

    /// Commands sent, counted or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Different keys counted.
    pub fn keys(&self) -> usize {
        self.counts.len()
    }

    /// Whether every command was counted.
    pub fn is_complete(&self) -> bool {
        self.uncounted == 0
    }

    /// The commands sent for `key`.
    pub fn of(&self, key: &[u8]) -> u64 {
        self.counts.get(key).copied().unwrap_or(0)
    }

    /// The hottest `count` keys, hottest first; ties in the order of their names.
    pub fn hottest(&self, count: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> = self.counts.iter().map(|(key, &count)| (&key[..], count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all.truncate(count);
        all
    }

    /// The server's figures beside the exact ones.
    pub fn compare(&self, reported: &[(Vec<u8>, u64)]) -> Vec<Comparison> {
        reported
            .iter()
            .map(|(key, count)| Comparison { key: key.clone(), reported: *count, exact: self.of(key) })
            .collect()
    }

    /// How many of the true `top` hottest keys are among the first `top` of `reported`. A key that is exactly as hot
    /// as the last of the true ones counts too.
    pub fn found(&self, reported: &[(Vec<u8>, u64)], top: usize) -> usize {
        let Some(least) = self.hottest(top).last().map(|(_, count)| *count) else { return 0 };
        reported.iter().take(top).filter(|(key, _)| self.of(key) >= least).count()
    }
}

impl Comparison {
    /// The error of the reported count relative to the exact one: 0.02 is 2 % too many.
    pub fn relative_error(&self) -> f64 {
        (self.reported as f64 - self.exact as f64) / self.exact.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> ExactCounts {
        let mut counts = ExactCounts::default();
        for &(key, times) in pairs {
            (0..times).for_each(|_| counts.add(key.as_bytes()));
        }
        counts
    }

    #[test]
    fn counts_merge_and_compare() {
        let mut all = counts(&[("a", 10), ("b", 5)]);
        all.merge(counts(&[("c", 7), ("b", 1)]));
        assert_eq!((all.total(), all.keys(), all.is_complete()), (23, 3, true));
        assert_eq!(all.hottest(2), [(&b"a"[..], 10), (&b"c"[..], 7)]);
        let reported = vec![(b"a".to_vec(), 11), (b"b".to_vec(), 6), (b"x".to_vec(), 1)];
        let compared = all.compare(&reported);
        assert!((compared[0].relative_error() - 0.1).abs() < 1e-12);
        assert_eq!(compared[1].relative_error(), 0.0);
        assert_eq!((compared[2].exact, compared[2].relative_error()), (0, 1.0));
        assert_eq!(all.found(&reported, 2), 1);
        assert_eq!(all.found(&reported, 3), 2);
    }

    #[test]
    fn ties_do_not_count_as_missed() {
        let all = counts(&[("a", 3), ("b", 2), ("c", 2)]);
        assert_eq!(all.found(&[(b"a".to_vec(), 3), (b"c".to_vec(), 2)], 2), 2);
        assert_eq!(ExactCounts::default().found(&[], 3), 0);
    }
}
