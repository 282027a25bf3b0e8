//! Space-Saving: the heaviest items of a stream in a fixed number of slots (Metwally, Agrawal, El Abbadi,
//! ICDT 2005), here with weights and one counter array that is searched for its minimum only when needed.
//!
//! An item that has no slot takes the one with the smallest count and inherits it as its error. The slots that
//! share the minimum are listed in one scan; a scan is needed again only when the minimum has risen, so the
//! cost per update is constant on average (for weights of one size at most one scan per `capacity` updates).
//!
//! ```text
//! table   u32 x 4*capacity    tag:16 | slot+1:16, the tag holds the home position; linear probing, backward-shift deletion
//!         (a quarter full, half if as many are kept: at half, hits and replacements take 1.4 times as long)
//! counts  u64 x slots         apart from the slots: the minimum scan reads 8 KiB for 1,024
//! slots   hash, error, detail
//! ```
//!
//! The owner may keep slots for items that it expects to be heavy ([`SpaceSaving::keep`]). They come first, beside the
//! others, and are never given away.
//!
//! Invariants:
//! 1. `count - error <= true weight <= count` for every item that holds a slot.
//! 2. The true weight of an item without a slot is at most [`SpaceSaving::unmonitored`] <= total / capacity, kept
//!    slots not counted.
//! 3. The counts add up to the total, which no traffic brings to 2^64.
//!
//! Thread safety: owned by one recorder.

/// One monitored item.
#[derive(Clone, Debug, Default)]
pub struct Slot<T> {
    /// The item's 64-bit hash: the item itself is not kept.
    pub hash: u64,
    /// How much of the count may belong to the slot's former owners.
    pub error: u64,
    /// What the owner keeps per item; reset when the slot changes hands.
    pub detail: T,
}

/// A summary of a stream of weighted hashes.
#[derive(Clone)]
pub struct SpaceSaving<T> {
    capacity: usize,
    /// The first slots, which never change hands.
    kept: usize,
    table: Box<[u32]>,
    counts: Vec<u64>,
    slots: Vec<Slot<T>>,
    /// Slots that had the minimum at the last scan; stale ones have a larger count by now.
    least: Vec<u16>,
    least_count: u64,
    total: u64,
}

impl<T: Default> SpaceSaving<T> {
    /// `capacity` slots for anybody, 1 to 16,384, and room for `kept_max` items, at most as many, beside them.
    pub fn new(capacity: usize, kept_max: usize) -> Self {
        let capacity = capacity.clamp(1, 1 << 14);
        let slots = capacity + kept_max.min(capacity);
        let table = vec![0; table_length(capacity)].into_boxed_slice();
        Self {
            capacity,
            kept: 0,
            table,
            counts: Vec::with_capacity(slots),
            slots: Vec::with_capacity(slots),
            least: Vec::with_capacity(slots),
            least_count: 0,
            total: 0,
        }
    }

    /// Adds `weight` to the item and returns its slot and its new count.
    #[inline]
    pub fn add(&mut self, hash: u64, weight: u64) -> (&mut Slot<T>, u64) {
        self.total += weight;
        let at = match self.find(hash) {
            Some(at) => {
                self.counts[at] += weight;
                at
            }
            None => self.admit(hash, weight),
        };
        (&mut self.slots[at], self.counts[at])
    }

    /// The item's count and slot, if it is monitored.
    pub fn get(&self, hash: u64) -> Option<(&Slot<T>, u64)> {
        self.find(hash).map(|at| (&self.slots[at], self.counts[at]))
    }

    /// What an item without a slot may have at most.
    pub fn unmonitored(&self) -> u64 {
        if self.has_room() { 0 } else { self.counts[self.kept..].iter().copied().min().unwrap_or(0) }
    }

    /// The weight added since the last freeze.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The monitored items with their counts, in no order.
    pub fn items(&self) -> impl Iterator<Item = (&Slot<T>, u64)> {
        self.slots.iter().zip(self.counts.iter().copied())
    }

    /// Gives an item that is not monitored a slot that it cannot lose: its count is exact from here on. To be called
    /// before the first addition, at most `kept_max` times.
    pub fn keep(&mut self, hash: u64) -> &mut Slot<T> {
        debug_assert!(self.kept == self.slots.len() && self.find(hash).is_none() && self.total == 0);
        self.kept += 1;
        let at = self.take_slot(hash, 0);
        &mut self.slots[at]
    }

    /// Takes the items out and starts again with none kept; the memory stays.
    pub fn drain(&mut self) -> impl Iterator<Item = (Slot<T>, u64)> + '_ {
        self.table.fill(0);
        self.kept = 0;
        self.least.clear();
        self.least_count = 0;
        self.total = 0;
        self.slots.drain(..).zip(self.counts.drain(..))
    }

    /// Bytes held, details' own allocations not included.
    pub fn memory_bytes(&self) -> usize {
        self.table.len() * 4
            + self.counts.capacity() * 8
            + self.least.capacity() * 2
            + self.slots.capacity() * size_of::<Slot<T>>()
    }

    /// The bound of [`SpaceSaving::memory_bytes`] for a summary made with these figures.
    pub const fn memory_bytes_max(capacity: usize, kept_max: usize) -> usize {
        table_length(capacity) * 4 + (capacity + kept_max) * (8 + 2 + size_of::<Slot<T>>())
    }

    /// 16 bits of the hash, the lower of which are also the home position: deletion then moves entries without
    /// looking at their slots. The hash chooses stripes and buckets elsewhere, so it is mixed once more.
    #[inline]
    fn tag(hash: u64) -> u32 {
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32 & 0xFFFF_0000
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> 16) as usize & (self.table.len() - 1)
    }

    #[inline]
    fn find(&self, hash: u64) -> Option<usize> {
        let tag = Self::tag(hash);
        let mut position = self.home(tag);
        loop {
            let entry = self.table[position];
            if entry == 0 {
                return None;
            }
            if entry & 0xFFFF_0000 == tag {
                let at = (entry & 0xFFFF) as usize - 1;
                if self.slots[at].hash == hash {
                    return Some(at);
                }
            }
            position = (position + 1) & (self.table.len() - 1);
        }
    }

    fn admit(&mut self, hash: u64, weight: u64) -> usize {
        if self.has_room() {
            return self.take_slot(hash, weight);
        }
        let at = self.least_slot();
        self.leave(at);
        self.slots[at] = Slot { hash, error: self.counts[at], detail: T::default() };
        self.counts[at] += weight;
        self.enter(hash, at);
        at
    }

    fn has_room(&self) -> bool {
        self.slots.len() < self.capacity + self.kept
    }

    fn take_slot(&mut self, hash: u64, weight: u64) -> usize {
        self.slots.push(Slot { hash, error: 0, detail: T::default() });
        self.counts.push(weight);
        let at = self.slots.len() - 1;
        self.enter(hash, at);
        at
    }

    /// A slot with the smallest count that is not kept.
    fn least_slot(&mut self) -> usize {
        while let Some(at) = self.least.pop() {
            if self.counts[usize::from(at)] == self.least_count {
                return usize::from(at);
            }
        }
        let counts = &self.counts[self.kept..];
        let least = counts.iter().copied().min().unwrap_or(0);
        self.least_count = least;
        for (at, &count) in counts.iter().enumerate() {
            if count == least {
                self.least.push((self.kept + at) as u16);
            }
        }
        usize::from(self.least.pop().unwrap_or(0))
    }

    fn enter(&mut self, hash: u64, at: usize) {
        let tag = Self::tag(hash);
        let mut position = self.home(tag);
        while self.table[position] != 0 {
            position = (position + 1) & (self.table.len() - 1);
        }
        self.table[position] = tag | (at as u32 + 1);
    }

    /// Removes a slot from the table, moving later entries of its run back over the hole.
    fn leave(&mut self, at: usize) {
        let mask = self.table.len() - 1;
        let mut hole = self.home(Self::tag(self.slots[at].hash));
        while (self.table[hole] & 0xFFFF) as usize != at + 1 {
            hole = (hole + 1) & mask;
        }
        let mut next = (hole + 1) & mask;
        while self.table[next] != 0 {
            let home = self.home(self.table[next]);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.table[hole] = 0;
    }
}

const fn table_length(capacity: usize) -> usize {
    (capacity * 4).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn bounds_hold_for_random_streams_of_random_weights() {
        for seed in [0xA5A5_0001u64, 0xA5A5_0002, 0xA5A5_0003] {
            println!("seed {seed:#x}");
            let mut state = seed;
            let mut summary: SpaceSaving<()> = SpaceSaving::new(64, 8);
            let item = |number: u64| number.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let kept = [1, 3, 700, 1_500, 5_000].map(item);
            for hash in kept {
                summary.keep(hash);
            }
            let mut truth: HashMap<u64, u64> = HashMap::new();
            for _ in 0..100_000 {
                let skew = random(&mut state) % 12;
                let hash = item(random(&mut state) % (1 << skew));
                let weight = [1, 4, 16][(random(&mut state) % 3) as usize];
                summary.add(hash, weight);
                *truth.entry(hash).or_default() += weight;
            }
            let total: u64 = truth.values().sum();
            assert_eq!(summary.total(), total);
            assert_eq!(summary.items().map(|(_, count)| count).sum::<u64>(), total);
            assert!(summary.unmonitored() <= total / 64);
            assert!(summary.memory_bytes() <= SpaceSaving::<()>::memory_bytes_max(64, 8));
            for hash in kept {
                let (slot, count) = summary.get(hash).expect("a kept slot is not given away");
                assert_eq!((slot.error, count), (0, truth.get(&hash).copied().unwrap_or(0)));
            }
            for (hash, &real) in &truth {
                match summary.get(*hash) {
                    Some((slot, count)) => {
                        assert!(count >= real && count - slot.error <= real)
                    }
                    None => assert!(real <= summary.unmonitored()),
                }
            }
        }
    }

    #[test]
    fn the_table_finds_exactly_its_slots_under_churn() {
        let mut summary: SpaceSaving<()> = SpaceSaving::new(512, 0);
        for item in 0..50_000u64 {
            // The table is a quarter full: there are runs, and deletions must shift.
            summary.add(((item % 700) << 40) | (item / 700), 1);
            if item % 1_000 == 0 {
                for (slot, count) in summary.items() {
                    assert_eq!(summary.get(slot.hash).map(|(_, count)| count), Some(count));
                }
            }
        }
        assert_eq!(summary.table.iter().filter(|&&entry| entry != 0).count(), 512);
    }

    #[test]
    fn draining_starts_again() {
        let mut summary: SpaceSaving<u8> = SpaceSaving::new(4, 0);
        summary.add(7, 3).0.detail = 9;
        let items: Vec<_> = summary.drain().map(|(slot, count)| (slot.hash, slot.detail, count)).collect();
        assert_eq!(items, [(7, 9, 3)]);
        assert!(summary.get(7).is_none() && summary.total() == 0);
    }
}
