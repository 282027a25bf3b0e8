//! Observer 5: how long keys and values are, what an entry costs beyond them, latency by value size.
//!
//! Exact log2 histograms of what is stored, updated by the same events as the prefixes: class `c` holds
//! lengths `2^(c-1) .. 2^c - 1`, class 0 the empty ones. Latency by value-size class is sampled.
//!
//! Invariants:
//! 1. Over all workers every class holds exactly the keys that exist (one worker's count may be negative).
//! 2. Latency classes are coarser: each covers two powers of two, [`LATENCY_CLASSES`] in all.
//!
//! Thread safety: [`Sizes`] is owned by one recorder; its [`SizeCells`] may be read by anybody at any time.

use crate::record::buckets::{Buckets, LazyBuckets, held_bytes};
use crate::record::counter::{Counter, Level};
use crate::record::histogram::{Histogram, Layout};
use std::sync::Arc;

/// Log2 classes: lengths up to 2^40.
pub const CLASSES: usize = 41;
/// Value-size classes of the latency histograms: up to 2^2, 2^4, ... 2^30 bytes and more.
pub const LATENCY_CLASSES: usize = 16;
/// Boundaries of those histograms: 12.5 % relative error up to 1.07 s.
pub const LATENCY_LAYOUT: Layout = Layout { unit_bits: 3, sub_bits: 2, groups: 26 };

/// The log2 class of a length.
#[inline]
pub const fn class_of(length: u64) -> usize {
    let class = 64 - length.leading_zeros() as usize;
    if class < CLASSES { class } else { CLASSES - 1 }
}

/// The largest length of a class.
pub const fn class_max(class: usize) -> u64 {
    (1u64 << class) - 1
}

/// Lengths of what is stored. Counts may be negative on one worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SizeCounts {
    /// Keys by the class of their name's length.
    pub key_classes: [i64; CLASSES],
    /// Keys by the class of their value's length.
    pub value_classes: [i64; CLASSES],
    /// Keys.
    pub keys: i64,
    /// Bytes of names.
    pub key_bytes: i64,
    /// Bytes of values.
    pub value_bytes: i64,
    /// Bytes of entries, as the keyspace accounts them.
    pub total_bytes: i64,
}

impl Default for SizeCounts {
    fn default() -> Self {
        Self {
            key_classes: [0; CLASSES],
            value_classes: [0; CLASSES],
            keys: 0,
            key_bytes: 0,
            value_bytes: 0,
            total_bytes: 0,
        }
    }
}

impl SizeCounts {
    fn add(&mut self, other: &SizeCells) {
        for class in 0..CLASSES {
            self.key_classes[class] += other.key_classes[class].get();
            self.value_classes[class] += other.value_classes[class].get();
        }
        self.keys += other.keys.get();
        self.key_bytes += other.key_bytes.get();
        self.value_bytes += other.value_bytes.get();
        self.total_bytes += other.total_bytes.get();
    }

    /// Bytes per key that are neither name nor value. None without keys.
    pub fn overhead_per_key(&self) -> Option<f64> {
        let overhead = self.total_bytes - self.key_bytes - self.value_bytes;
        (self.keys > 0).then(|| overhead as f64 / self.keys as f64)
    }
}

/// What one worker counts, to be read; see [`SizeCounts`].
pub struct SizeCells {
    key_classes: [Level; CLASSES],
    value_classes: [Level; CLASSES],
    keys: Level,
    key_bytes: Level,
    value_bytes: Level,
    total_bytes: Level,
    latency: [LazyBuckets<LATENCY_BUCKETS>; LATENCY_CLASSES],
    events: Counter,
}

const LATENCY_BUCKETS: usize = LATENCY_LAYOUT.buckets();

impl SizeCells {
    fn new() -> Self {
        Self {
            key_classes: [const { Level::new() }; CLASSES],
            value_classes: [const { Level::new() }; CLASSES],
            keys: Level::new(),
            key_bytes: Level::new(),
            value_bytes: Level::new(),
            total_bytes: Level::new(),
            latency: [const { LazyBuckets::new() }; LATENCY_CLASSES],
            events: Counter::new(),
        }
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// Bytes held now; 16 KiB at most.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.latency.iter().map(held_bytes).sum::<usize>()
    }
}

/// One worker's recorder of observer 5.
pub struct Sizes(Arc<SizeCells>);

impl Default for Sizes {
    fn default() -> Self {
        Self(Arc::new(SizeCells::new()))
    }
}

impl Sizes {
    /// What others read.
    pub fn cells(&self) -> Arc<SizeCells> {
        Arc::clone(&self.0)
    }

    /// A key that now exists.
    #[inline]
    pub fn added(&mut self, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.count(key_bytes, value_bytes, total_bytes, 1);
    }

    /// A key that is gone, with the sizes it had.
    #[inline]
    pub fn removed(&mut self, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.count(key_bytes, value_bytes, total_bytes, -1);
    }

    /// A key that stays and whose value changed its size.
    #[inline]
    pub fn resized(&mut self, value_bytes_before: usize, value_bytes_after: usize, total_bytes_delta: i64) {
        let cells = &*self.0;
        cells.events.add(1);
        cells.value_classes[class_of(value_bytes_before as u64)].add(-1);
        cells.value_classes[class_of(value_bytes_after as u64)].add(1);
        cells.value_bytes.add(value_bytes_after as i64 - value_bytes_before as i64);
        cells.total_bytes.add(total_bytes_delta);
    }

    /// A timed command on a value of `value_bytes`.
    #[inline]
    pub fn timed(&mut self, value_bytes: usize, run_ns: u64, weight: u32) {
        let class = (class_of(value_bytes as u64) / 2).min(LATENCY_CLASSES - 1);
        let latency = self.0.latency[class].get_or_init(Box::default);
        latency.record(LATENCY_LAYOUT, run_ns, u64::from(weight));
    }

    /// A window begins: its maxima are found anew.
    pub(crate) fn begin_window(&mut self) {
        self.0.latency.iter().filter_map(LazyBuckets::get).for_each(|latency| latency.begin_window());
    }

    /// The bound of [`SizeCells::memory_bytes`].
    pub const fn memory_bytes_max() -> usize {
        size_of::<SizeCells>() + LATENCY_CLASSES * size_of::<Buckets<LATENCY_BUCKETS>>()
    }

    #[inline]
    fn count(&mut self, key_bytes: usize, value_bytes: usize, total_bytes: usize, sign: i64) {
        let cells = &*self.0;
        cells.events.add(1);
        cells.key_classes[class_of(key_bytes as u64)].add(sign);
        cells.value_classes[class_of(value_bytes as u64)].add(sign);
        cells.keys.add(sign);
        cells.key_bytes.add(sign * key_bytes as i64);
        cells.value_bytes.add(sign * value_bytes as i64);
        cells.total_bytes.add(sign * total_bytes as i64);
    }
}

/// The sizes over all workers.
#[derive(Clone, Debug)]
pub struct SizesSnapshot {
    /// Exact, of what is stored.
    pub counts: SizeCounts,
    /// Run time by value-size class (values up to `4^class - 1` bytes), nanoseconds, sampled.
    pub latency: Vec<Histogram>,
}

impl Default for SizesSnapshot {
    fn default() -> Self {
        Self { counts: SizeCounts::default(), latency: vec![Histogram::new(LATENCY_LAYOUT); LATENCY_CLASSES] }
    }
}

impl SizesSnapshot {
    /// Adds one worker's.
    pub fn add(&mut self, worker: &SizeCells) {
        self.counts.add(worker);
        for (merged, latency) in self.latency.iter_mut().zip(&worker.latency) {
            if let Some(latency) = latency.get() {
                latency.add_to(merged);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256].map(class_of), [0, 1, 2, 2, 3, 8, 9]);
        assert!((0..CLASSES - 1).all(|class| class_of(class_max(class)) == class));
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
    }

    #[test]
    fn counts_equal_what_is_stored_over_workers() {
        let mut seed = 0x51DE_51DEu64;
        println!("seed {seed:#x}");
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize
        };
        let mut workers = [Sizes::default(), Sizes::default()];
        let mut stored: Vec<(usize, usize, usize)> = Vec::new();
        for _ in 0..20_000 {
            let worker = &mut workers[random() % 2];
            let (key, value) = (random() % 100, random() % 10_000);
            match random() % 3 {
                0 if !stored.is_empty() => {
                    let (key, value, total) = stored.swap_remove(random() % stored.len());
                    worker.removed(key, value, total);
                }
                1 if !stored.is_empty() => {
                    let at = random() % stored.len();
                    let (key, before, total) = stored[at];
                    worker.resized(before, value, (key + value + 16) as i64 - total as i64);
                    stored[at] = (key, value, key + value + 16);
                }
                _ => {
                    worker.added(key, value, key + value + 16);
                    stored.push((key, value, key + value + 16));
                }
            }
        }
        let mut truth = SizeCounts::default();
        for &(key, value, total) in &stored {
            truth.key_classes[class_of(key as u64)] += 1;
            truth.value_classes[class_of(value as u64)] += 1;
            truth.keys += 1;
            truth.key_bytes += key as i64;
            truth.value_bytes += value as i64;
            truth.total_bytes += total as i64;
        }
        let mut merged = SizesSnapshot::default();
        workers.iter().for_each(|worker| merged.add(&worker.cells()));
        assert_eq!(merged.counts, truth);
        assert_eq!(merged.counts.overhead_per_key(), Some(16.0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut sizes = Sizes::default();
        (0..64).for_each(|bits| sizes.timed(1usize << bits, 1 << bits, 16));
        assert!(
            sizes.cells().memory_bytes() <= Sizes::memory_bytes_max()
                && Sizes::memory_bytes_max() <= 16 * 1024
        );
    }
}
