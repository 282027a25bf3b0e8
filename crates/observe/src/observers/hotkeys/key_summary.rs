//! Summaries of hot keys: plain lists with their bounds, mergeable over workers and over time.
//!
//! Merging follows *Mergeable Summaries* (Agarwal et al., PODS 2012): a Space-Saving summary is kept as upper
//! bounds, their errors, and one bound for all keys that are not listed. It records nothing itself.
//!
//! Invariants:
//! 1. `count - error <= weight seen <= count` for every key listed; a key that is not listed has at most
//!    `unmonitored`.
//! 2. `unmonitored <= total / K` if each part was kept with at least `K` slots.
//! 3. Keys are sorted by hash, so that merging is one pass.
//!
//! Thread safety: plain values.

use super::long_names::LongNames;
use std::cmp::Reverse;
use std::sync::Arc;

/// Bytes of a key's name that each summary keeps.
pub const NAME_BYTES_MAX: usize = 128;
/// What a name takes besides its bytes: it is shared between a worker's summaries and the copies of reporters.
pub const NAME_HEAD_BYTES: usize = size_of::<KeyName>() + 2 * size_of::<usize>();

/// A key's name, cut to [`NAME_BYTES_MAX`] until [`Summary::complete_names`] finds the rest of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyName {
    bytes: Box<[u8]>,
    length: u32,
}

impl KeyName {
    /// Copies as much as is kept.
    pub(super) fn copy(key: &[u8]) -> Self {
        let kept = &key[..key.len().min(NAME_BYTES_MAX)];
        Self { bytes: kept.into(), length: key.len().min(u32::MAX as usize) as u32 }
    }

    /// The name, or its beginning.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of the whole name.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Whether only the beginning was kept.
    pub fn is_shortened(&self) -> bool {
        self.length() > self.bytes.len()
    }
}

/// One key of a summary. All figures are weighted by the sampling interval.
#[derive(Clone, PartialEq, Debug)]
pub struct HotKey {
    /// Hash of the key and its database.
    pub hash: u64,
    /// Database.
    pub db: u8,
    /// None as long as the key was never proven heavy within one window.
    pub name: Option<Arc<KeyName>>,
    /// Upper bound of the weight: operations, nanoseconds or bytes, by summary.
    pub count: u64,
    /// `count - error` is the lower bound.
    pub error: u64,
    /// Reads that found the key.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Reads that did not find it.
    pub misses: u64,
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
    /// Bytes of request and reply.
    pub bytes: u64,
    /// Commands that were looked at, not weighted; at most 65535 of each window.
    pub samples: u64,
}

impl HotKey {
    /// The weight that is certain. For a key that was hot for long it is nearly all of it: what it may miss is from
    /// before its first appearance, and from workers that do not know the key because it never came to them.
    pub fn certain(&self) -> u64 {
        self.count.saturating_sub(self.error)
    }

    fn absorb(&mut self, other: &mut HotKey) {
        self.count += other.count;
        self.error += other.error;
        self.reads += other.reads;
        self.writes += other.writes;
        self.misses += other.misses;
        self.cpu_ns += other.cpu_ns;
        self.bytes += other.bytes;
        self.samples += other.samples;
        if self.name.is_none() {
            self.name = other.name.take();
        }
    }
}

/// The heaviest keys of some stretch of traffic, mergeable.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Summary {
    /// By ascending hash, so that merging is one pass.
    keys: Vec<HotKey>,
    unmonitored: u64,
    total: u64,
    samples: u64,
}

impl Summary {
    /// A summary of monitored keys: see the invariants for what the figures must keep.
    pub(super) fn new(mut keys: Vec<HotKey>, unmonitored: u64, total: u64, samples: u64) -> Self {
        keys.sort_by_cached_key(|key| key.hash);
        Self { keys, unmonitored, total, samples }
    }

    /// Adds another stretch of traffic, of another worker or another time, keeping at most `slots` keys.
    ///
    /// A key that is missing in one of the two may have had that one's `unmonitored` there, so it is added to
    /// count and error. What is cut off raises `unmonitored`; it stays within `total / slots` as long as both
    /// sides kept that many.
    pub fn merge(&mut self, mut other: Summary, slots: usize) {
        let mut merged: Vec<HotKey> = Vec::with_capacity(self.keys.len() + other.keys.len());
        let mut mine = std::mem::take(&mut self.keys).into_iter().peekable();
        let mut theirs = std::mem::take(&mut other.keys).into_iter().peekable();
        loop {
            let order = match (mine.peek(), theirs.peek()) {
                (Some(a), Some(b)) => a.hash.cmp(&b.hash),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let (source, missing) = match order {
                std::cmp::Ordering::Greater => (&mut theirs, self.unmonitored),
                std::cmp::Ordering::Less => (&mut mine, other.unmonitored),
                std::cmp::Ordering::Equal => (&mut mine, 0),
            };
            let Some(mut key) = source.next() else { break };
            if order.is_eq()
                && let Some(mut twin) = theirs.next()
            {
                key.absorb(&mut twin);
            }
            key.count += missing;
            key.error += missing;
            merged.push(key);
        }
        self.keys = merged;
        self.unmonitored += other.unmonitored;
        self.total += other.total;
        self.samples += other.samples;
        self.cut(slots);
    }

    /// So much weight has come of which nobody knows the keys: any of them may have had it.
    pub(super) fn miss(&mut self, weight: u64) {
        if weight > 0 {
            let missed = Summary { unmonitored: weight, total: weight, ..Summary::default() };
            self.merge(missed, usize::MAX);
        }
    }

    /// Keeps the `slots` heaviest keys, in their order. The counts are ranked apart from the keys, which are large.
    pub fn cut(&mut self, slots: usize) {
        if self.keys.len() <= slots {
            return;
        }
        let mut counts: Vec<u64> = self.keys.iter().map(|key| key.count).collect();
        let (heavier, &mut dropped, _) = counts.select_nth_unstable_by_key(slots, |&count| Reverse(count));
        let mut ties = heavier.iter().filter(|&&count| count == dropped).count();
        self.keys.retain(|key| {
            let is_tie = key.count == dropped && ties > 0;
            ties -= usize::from(is_tie);
            is_tie || key.count > dropped
        });
        self.keys.shrink_to_fit();
        self.unmonitored = self.unmonitored.max(dropped);
    }

    /// The `n` keys of the greatest certain weight, heaviest first.
    pub fn top(&self, n: usize) -> Vec<&HotKey> {
        self.top_by(n, HotKey::certain)
    }

    /// The first `n` keys of this summary by another figure (a lower bound each: see the module).
    pub fn top_by(&self, n: usize, figure: impl Fn(&HotKey) -> u64) -> Vec<&HotKey> {
        let mut keys: Vec<&HotKey> = self.keys.iter().filter(|key| figure(key) > 0).collect();
        keys.sort_unstable_by_key(|key| (Reverse(figure(key)), key.hash));
        keys.truncate(n);
        keys
    }

    /// A key by the hash it was recorded with.
    pub fn get(&self, db: u8, hash: u64) -> Option<&HotKey> {
        self.by_hash(with_database(db, hash))
    }

    /// A key by the hash of key and database.
    pub fn by_hash(&self, hash: u64) -> Option<&HotKey> {
        self.keys.binary_search_by_key(&hash, |key| key.hash).ok().and_then(|at| self.keys.get(at))
    }

    /// The keys monitored, by hash.
    pub fn keys(&self) -> &[HotKey] {
        &self.keys
    }

    /// What a key that is not listed may have at most.
    pub fn unmonitored(&self) -> u64 {
        self.unmonitored
    }

    /// The weight of all traffic in this stretch.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Commands that were really looked at.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Two standard deviations of a count that come from sampling, 0 where every command was looked at. Holds
    /// for the summary by operations.
    pub fn sampling_error(&self, count: u64) -> u64 {
        if self.samples == 0 || self.samples >= self.total {
            return 0;
        }
        let interval = self.total as f64 / self.samples as f64;
        (2.0 * ((interval - 1.0) * count as f64).sqrt()).ceil() as u64
    }

    /// Makes names whole that were cut, as far as they are known. For a reader's copy: the bound of a recorder is that of
    /// cut names.
    pub fn complete_names(&mut self, whole: &LongNames) {
        if whole.is_empty() {
            return;
        }
        for key in &mut self.keys {
            let name = key.name.as_mut().filter(|name| name.is_shortened());
            if let Some((name, bytes)) = name.zip(whole.get(key.hash)) {
                Arc::make_mut(name).bytes = bytes.into();
            }
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let names: usize = self.keys.iter().map(|key| name_bytes(&key.name)).sum();
        self.keys.capacity() * size_of::<HotKey>() + names
    }
}

pub(super) fn name_bytes(name: &Option<Arc<KeyName>>) -> usize {
    name.as_ref().map_or(0, |name| NAME_HEAD_BYTES + name.bytes.len())
}

/// Equal keys of two databases are two keys.
#[inline]
pub(super) fn with_database(db: u8, hash: u64) -> u64 {
    hash ^ u64::from(db).wrapping_mul(0xA24B_AED4_963E_E407)
}
