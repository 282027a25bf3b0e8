//! A stripe's hash table: cache-line buckets in bounded segments under a directory (extendible hashing; R. Fagin et
//! al., 1979), so that no operation ever moves more than [`MOVES_MAX`] entries.
//!
//! It is not a map of its own: it stores entries under hashes the caller computed, and leaves meaning, locks and
//! accounting to [`crate::stripe`].
//!
//! ```text
//!  directory (2^depth words)      segment: one header line + n bucket lines
//!  +------------------------+     +--------+----------+----------+---
//!  | address | class | depth| --> | header | bucket 0 | bucket 1 | ...
//!  +------------------------+     +--------+----------+----------+---
//!
//!  bucket, 64 bytes:
//!  0          9          10                                          64
//!  +----------+----------+--------------------------------------------+
//!  | 9 tags   | overflow | 9 entry addresses of 48 bits               |
//!  +----------+----------+--------------------------------------------+
//! ```
//!
//! A bucket's home is monotone in the hash. An entry whose home is full goes to the next bucket (wrapping inside its
//! segment) and every bucket it passed counts it in `overflow`: a search goes on exactly while that count is not 0.
//! Beside the buckets a segment that holds deadlines keeps the earliest one of each bucket (4 bytes), itself the leaf of a tree of minima: bucket, segment, table.
//!
//! | cost                    | bytes per key                                            |
//! |-------------------------|----------------------------------------------------------|
//! | slot                    | 64 / 9 / load; load is 0.75 to 0.9, so 7.9 to 9.5        |
//! | header, directory       | 0.4                                                      |
//! | deadlines, if any       | 4 / 9 / load, so about 0.55                              |
//!
//! Hashes that collide by construction (somebody learned the seed) do not make it grow without bound: the directory has
//! at most one word per `DIRECTORY_SHARE` entries, and a segment that may not be split any more grows instead.
//!
//! Invariants, beside those of `bucket` and `segment`: (1) a segment's entries are those whose position starts with its
//! `depth` bits, and every directory word of that prefix names it; (2) `len`, `expiring` and `due` are the sums over the segments; (3) a table's earliest tick is never later than any segment's; (4) a table without entries owns no memory;
//! (5) an operation moves at most `MOVES_MAX` entries unless 500 of them share the first `depth + 1` bits of a
//! directory that invariant keeps from growing.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

mod bucket;
#[cfg(test)]
mod model;
mod segment;

use crate::entry::{RawEntry, prefetch};
use crate::expiry::{NEVER, tick_of};
use crate::hash::{KeyHasher, STRIPE_BITS, position_of, tag_of};
use bucket::slots;
use segment::{HOME_BITS, LARGEST, LIMITS, Segment, class_for};

/// The most entries any single operation moves: the longest pause a growing or shrinking table can cause is the
/// time to rehash this many keys, 10 to 20 microseconds.
const MOVES_MAX: usize = 512;
/// Two neighbours merge when together they fill less than this: far below `LIMITS`, so they do not split again soon.
const MERGE_MAX: usize = 200;
/// The directory doubles only while it has at most one word per this many entries. With evenly spread hashes it has
/// one per 125 to 500.
const DIRECTORY_SHARE: usize = 16;
/// What a segment's home buckets and a scan's cursor leave of 52 bits; 2^28 segments hold 10^11 entries.
const DEPTH_MAX: u32 = 52 - HOME_BITS;

const _: () = assert!(LIMITS[LARGEST] <= MOVES_MAX && MERGE_MAX <= MOVES_MAX);

/// Where an entry was found; valid until the table changes.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    segment: Segment,
    bucket: usize,
    slot: usize,
}

impl Place {
    #[inline(always)]
    pub(crate) fn entry(&self) -> RawEntry {
        self.segment.bucket(self.bucket).entry(self.slot)
    }
}

/// See the module's text.
pub(crate) struct Table {
    directory: Vec<Segment>,
    depth: u32,
    /// Segments whose own depth is the directory's; at 0 the directory can be halved.
    deepest: usize,
    len: usize,
    /// Entries that expire.
    expiring: usize,
    /// Entries of which something is due at some time.
    due: usize,
    earliest: u32,
    /// The position at which the last [`Table::expire`] ran out of budget.
    expire_from: u64,
}

impl Table {
    pub(crate) const fn new() -> Table {
        Table {
            directory: Vec::new(),
            depth: 0,
            deepest: 0,
            len: 0,
            expiring: 0,
            due: 0,
            earliest: NEVER,
            expire_from: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What the table takes without its entries.
    pub(crate) fn memory_bytes(&self) -> usize {
        let segments: usize = self.segments().map(Segment::memory_bytes).sum();
        segments + self.directory.capacity() * size_of::<Segment>()
    }

    /// Entries that have a deadline.
    pub(crate) fn expiring(&self) -> usize {
        self.expiring
    }

    /// About what the table takes without its entries, in constant time.
    pub(crate) fn about_bytes(&self) -> usize {
        /// A slot at the middle of the loads, with its share of headers and deadlines.
        const SLOT_BYTES: usize = 10;
        self.len * SLOT_BYTES + self.directory.capacity() * size_of::<Segment>()
    }

    /// No entry is due before this tick.
    pub(crate) fn earliest(&self) -> u32 {
        self.earliest
    }

    #[inline(always)]
    fn index(&self, hash: u64) -> usize {
        // Two shifts, because a shift by 64 (depth 0) is not defined.
        (position_of(hash) >> 1 >> (63 - self.depth)) as usize
    }

    #[inline(always)]
    fn segment(&self, hash: u64) -> Option<Segment> {
        self.directory.get(self.index(hash)).copied()
    }

    /// First of two hints: fetches the home bucket's line.
    #[inline(always)]
    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            prefetch(segment.bucket(segment.home(hash)));
        }
    }

    /// Second hint, some time after the first: fetches the entry the key probably is.
    #[inline(always)]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        if let Some(segment) = self.segment(hash) {
            let bucket = segment.bucket(segment.home(hash));
            let candidates = bucket.matches(tag_of(hash));
            if candidates != 0 {
                bucket.entry(candidates.trailing_zeros() as usize).prefetch();
            }
        }
    }

    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<Place> {
        let segment = self.segment(hash)?;
        let mut at = segment.home(hash);
        for _ in 0..segment.buckets() {
            let bucket = segment.bucket(at);
            let mut candidates = bucket.matches(tag_of(hash));
            while candidates != 0 {
                let slot = candidates.trailing_zeros() as usize;
                if bucket.entry(slot).key_equals(key) {
                    return Some(Place { segment, bucket: at, slot });
                }
                candidates &= candidates - 1;
            }
            if bucket.overflow == 0 {
                return None;
            }
            at = segment.next(at);
        }
        None
    }

    /// Adds an entry whose key is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, entry: RawEntry, hasher: &KeyHasher) {
        if self.directory.is_empty() {
            self.directory.push(Segment::new(0, 0));
            (self.depth, self.deepest) = (0, 1);
        }
        let mut segment = self.directory[self.index(hash)];
        while segment.is_full() {
            self.make_room(segment, hash, hasher);
            segment = self.directory[self.index(hash)];
        }
        segment.place(hash, entry);
        self.len += 1;
        self.count(entry);
    }

    /// Puts `entry` in the place of one with the same key, which is returned.
    pub(crate) fn replace(&mut self, place: Place, entry: RawEntry) -> RawEntry {
        let Place { segment, bucket, slot } = place;
        let old = segment.bucket(bucket).entry(slot);
        let tag = segment.bucket(bucket).tags[slot];
        segment.bucket(bucket).put(slot, tag, entry);
        // In this order, lest a segment give its deadlines back in between.
        segment.count(bucket, entry);
        segment.uncount(old);
        self.count(entry);
        self.uncount(old);
        old
    }

    /// Notes that something of the entry at `place` is due at `due_ms`, maybe earlier than before.
    pub(crate) fn lower(&mut self, place: Place, due_ms: i64) {
        let tick = tick_of(due_ms);
        place.segment.lower(place.bucket, tick);
        self.earliest = self.earliest.min(tick);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, place: Place, hash: u64, hasher: &KeyHasher) -> RawEntry {
        let entry = place.segment.clear(place.bucket, place.slot, hash);
        self.len -= 1;
        self.uncount(entry);
        self.shrink(place.segment, hash, hasher);
        entry
    }

    fn count(&mut self, entry: RawEntry) {
        self.expiring += usize::from(entry.expiry_ms().is_some());
        if let Some(due_ms) = entry.due_ms() {
            self.due += 1;
            self.earliest = self.earliest.min(tick_of(due_ms));
        }
    }

    fn uncount(&mut self, entry: RawEntry) {
        self.expiring -= usize::from(entry.expiry_ms().is_some());
        self.due -= usize::from(entry.due_ms().is_some());
        if self.due == 0 {
            self.earliest = NEVER;
        }
    }

    /// Grows a full segment to the next class, or splits it.
    #[cold]
    fn make_room(&mut self, segment: Segment, hash: u64, hasher: &KeyHasher) {
        if segment.class() < LARGEST || !self.may_split(segment) {
            self.resize(segment, hash, segment.class() + 1, hasher);
            return;
        }
        if segment.depth() == self.depth {
            self.directory = self.directory.iter().flat_map(|&word| [word, word]).collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let depth = segment.depth() + 1;
        let (zeros, ones): (Vec<_>, Vec<_>) = segment
            .drain(hasher)
            .into_iter()
            .partition(|(hash, _)| position_of(*hash) >> (64 - depth) & 1 == 0);
        let side = side_at(depth);
        for (moved, of_half) in [(zeros, hash & !side), (ones, hash | side)] {
            let half = Segment::new(class_for(moved.len()), depth);
            half.take(&moved);
            self.point(of_half, depth, half);
        }
        self.deepest += if depth == self.depth { 2 } else { 0 };
    }

    fn may_split(&self, segment: Segment) -> bool {
        let may_double = self.depth < DEPTH_MAX && self.directory.len() * DIRECTORY_SHARE <= self.len;
        segment.depth() < self.depth || may_double
    }

    /// Moves a segment's entries to one of another class.
    fn resize(&mut self, segment: Segment, hash: u64, class: usize, hasher: &KeyHasher) {
        let depth = segment.depth();
        let resized = Segment::new(class, depth);
        resized.take(&segment.drain(hasher));
        self.point(hash, depth, resized);
    }

    /// Makes every directory word of the `depth`-bit prefix of `hash` name `segment`.
    fn point(&mut self, hash: u64, depth: u32, segment: Segment) {
        let width = 1 << (self.depth - depth);
        let first = self.index(hash) & !(width - 1);
        self.directory[first..first + width].fill(segment);
    }

    /// Gives memory back after removals: merges with the neighbour, or moves to a smaller class.
    #[inline]
    fn shrink(&mut self, segment: Segment, hash: u64, hasher: &KeyHasher) {
        if self.len == 0 {
            self.free_all();
        } else if segment.len() < LIMITS[segment.class()] / 4
            && segment.class() + segment.depth() as usize > 0
        {
            self.shrink_sparse(segment, hash, hasher);
        }
    }

    #[cold]
    fn shrink_sparse(&mut self, sparse: Segment, hash: u64, hasher: &KeyHasher) {
        let mut segment = sparse;
        let mut moved = 0;
        while let Some((neighbour, together)) = self.mergeable(segment, hash)
            && moved + together <= MOVES_MAX
        {
            let depth = segment.depth();
            let merged = Segment::new(class_for(together), depth - 1);
            merged.take(&segment.drain(hasher));
            merged.take(&neighbour.drain(hasher));
            self.point(hash, depth - 1, merged);
            self.deepest -= if depth == self.depth { 2 } else { 0 };
            self.halve_directory();
            (segment, moved) = (merged, moved + together);
        }
        if class_for(segment.len()) < segment.class() {
            self.resize(segment, hash, class_for(segment.len()), hasher);
        }
    }

    /// The other half of what `segment` was split from, if it is small enough to be one again, and their size.
    fn mergeable(&self, segment: Segment, hash: u64) -> Option<(Segment, usize)> {
        if segment.depth() == 0 {
            return None;
        }
        let neighbour = self.directory[self.index(hash ^ side_at(segment.depth()))];
        let together = segment.len() + neighbour.len();
        (neighbour.depth() == segment.depth() && together <= MERGE_MAX).then_some((neighbour, together))
    }

    fn halve_directory(&mut self) {
        while self.deepest == 0 && self.depth > 0 {
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.depth -= 1;
            let depth = self.depth;
            self.deepest = self.directory.iter().filter(|segment| segment.depth() == depth).count();
        }
    }

    /// The distinct segments in hash order, from the one that this directory word names on.
    fn segments_from(&self, index: usize) -> impl Iterator<Item = Segment> + '_ {
        let mut index = index;
        std::iter::from_fn(move || {
            let segment = *self.directory.get(index)?;
            let width = 1 << (self.depth - segment.depth());
            index = (index & !(width - 1)) + width;
            Some(segment)
        })
    }

    fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments_from(0)
    }

    /// Gives back all memory of a table without entries; dropping the old one frees its segments.
    fn free_all(&mut self) {
        debug_assert_eq!(self.len, 0);
        *self = Table::new();
    }

    /// Visits entries in hash order from `from` (a left-aligned position) on, whole buckets at a time, until at
    /// least `count` were visited. Returns the position to go on from, None at the end.
    pub(crate) fn walk(
        &self,
        from: u64,
        count: usize,
        hasher: &KeyHasher,
        mut visit: impl FnMut(RawEntry),
    ) -> Option<u64> {
        let mut seen = 0;
        let mut from = from;
        loop {
            let segment = self.segment(from >> STRIPE_BITS)?;
            let mut home = segment.home(from >> STRIPE_BITS);
            while home < segment.buckets() {
                seen += visit_home(segment, home, from, hasher, &mut visit);
                home += 1;
                if seen >= count && home < segment.buckets() {
                    return Some(segment.bucket_start(from, home));
                }
            }
            from = segment.end(from)?;
            if seen >= count {
                return Some(from);
            }
        }
    }

    /// The entry with this rank in storage order, for choosing one at random; None if `rank >= len`.
    pub(crate) fn nth(&self, mut rank: usize) -> Option<RawEntry> {
        for segment in self.segments() {
            let len = segment.len();
            if rank < len {
                return segment.entries().nth(rank);
            }
            rank -= len;
        }
        None
    }

    /// Visits the entries of one bucket near `random`; with `expiring`, only those that have a deadline. Visits
    /// something whenever the table holds such an entry: after `tries` buckets chosen at random it searches for one,
    /// by the segments' counts.
    pub(crate) fn sample(&self, random: u64, expiring: bool, tries: usize, mut visit: impl FnMut(RawEntry)) {
        let mut random = random;
        for _ in 0..tries {
            let Some(segment) = self.segment(random >> STRIPE_BITS) else { return };
            if sample_bucket(segment, (random as usize >> 3) % segment.buckets(), expiring, &mut visit) {
                return;
            }
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        }
        let holds_some = |segment: &Segment| {
            let header = segment.header();
            if expiring { header.expiring > 0 } else { header.len > 0 }
        };
        let found = self.segments_from(self.index(random)).chain(self.segments()).find(holds_some);
        if let Some(segment) = found {
            let buckets = segment.buckets();
            let first = (random as usize >> 3) % buckets;
            let _ = (0..buckets)
                .any(|step| sample_bucket(segment, (first + step) % buckets, expiring, &mut visit));
        }
    }

    /// Removes entries that are due at `now_ms`, at most about `budget` of them (a segment is finished once begun),
    /// and hands them to `visit` with their hashes. Returns whether more are due.
    pub(crate) fn expire(
        &mut self,
        now_ms: i64,
        budget: usize,
        hasher: &KeyHasher,
        mut visit: impl FnMut(RawEntry, u64),
    ) -> bool {
        if self.earliest >= tick_of(now_ms) {
            return false;
        }
        let mut left = budget;
        // An interrupted pass goes on where it stopped, lest the segments before are looked at again each time. Only
        // a pass from the start knows the earliest deadline that is left.
        let resumed = std::mem::take(&mut self.expire_from);
        let passes = if resumed == 0 { [None, Some(0)] } else { [Some(resumed), Some(0)] };
        for from in passes.into_iter().flatten() {
            match self.expire_pass(from, now_ms, &mut left, hasher, &mut visit) {
                Ok(earliest) if from == 0 => self.earliest = earliest,
                Ok(_) => {}
                Err(interrupted_at) => {
                    self.expire_from = interrupted_at;
                    return true;
                }
            }
        }
        false
    }

    /// Expires the segments from position `from` on. Returns the earliest tick among them, or the position at which
    /// nothing was `left` of the budget.
    fn expire_pass(
        &mut self,
        from: u64,
        now_ms: i64,
        left: &mut usize,
        hasher: &KeyHasher,
        visit: &mut impl FnMut(RawEntry, u64),
    ) -> Result<u32, u64> {
        let mut earliest = NEVER;
        let mut position = Some(from);
        while let Some(at) = position
            && let Some(segment) = self.segment(at >> STRIPE_BITS)
        {
            // By position and not by directory word: what is left of a segment may merge with a neighbour, to the left
            // (already done) or to the right (looked at next, from its middle on).
            position = segment.end(at);
            if segment.header().earliest >= tick_of(now_ms) {
                earliest = earliest.min(segment.header().earliest);
                continue;
            }
            if *left == 0 {
                return Err(at);
            }
            let last = self.expire_segment(segment, now_ms, hasher, |entry, hash| {
                *left = left.saturating_sub(1);
                visit(entry, hash);
            });
            earliest = earliest.min(segment.settle_earliest());
            if let Some(hash) = last {
                self.shrink(segment, hash, hasher);
            }
        }
        Ok(earliest)
    }

    /// Removes what is due in one segment. Returns the hash of an entry removed.
    fn expire_segment(
        &mut self,
        segment: Segment,
        now_ms: i64,
        hasher: &KeyHasher,
        mut visit: impl FnMut(RawEntry, u64),
    ) -> Option<u64> {
        let mut last = None;
        for at in 0..segment.buckets() {
            if segment.header().deadlines.get(at).is_none_or(|&tick| tick >= tick_of(now_ms)) {
                continue;
            }
            let occupied = segment.bucket(at).occupied();
            slots(occupied).for_each(|slot| segment.bucket(at).entry(slot).prefetch());
            let mut earliest = NEVER;
            for slot in slots(occupied) {
                let entry = segment.bucket(at).entry(slot);
                match entry.due_ms() {
                    Some(due_ms) if due_ms <= now_ms => {
                        let hash = hasher.hash(entry.key());
                        segment.clear(at, slot, hash);
                        self.len -= 1;
                        self.uncount(entry);
                        last = Some(hash);
                        visit(entry, hash);
                    }
                    Some(due_ms) => earliest = earliest.min(tick_of(due_ms)),
                    None => {}
                }
            }
            if let Some(deadline) = segment.header().deadlines.get_mut(at) {
                *deadline = earliest;
            }
        }
        last
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for segment in self.segments() {
            segment.entries().for_each(RawEntry::free);
            segment.free();
        }
    }
}

/// The bit of a hash that says on which side of a split at this depth it lies.
fn side_at(depth: u32) -> u64 {
    1 << (64 - depth) >> STRIPE_BITS
}

/// Visits the entries of one bucket, or those with a deadline; false if there are none.
fn sample_bucket(segment: Segment, bucket: usize, expiring: bool, visit: &mut impl FnMut(RawEntry)) -> bool {
    if expiring && segment.header().deadlines.get(bucket).is_none_or(|&tick| tick == NEVER) {
        return false;
    }
    let bucket = segment.bucket(bucket);
    let mut visited = false;
    for slot in slots(bucket.occupied()) {
        let entry = bucket.entry(slot);
        if !expiring || entry.expiry_ms().is_some() {
            visit(entry);
            visited = true;
        }
    }
    visited
}

/// Visits the entries whose home is `home` and whose position is not before `from`; returns how many.
fn visit_home(
    segment: Segment,
    home: usize,
    from: u64,
    hasher: &KeyHasher,
    visit: &mut impl FnMut(RawEntry),
) -> usize {
    let mut seen = 0;
    let mut at = home;
    for _ in 0..segment.buckets() {
        let bucket = segment.bucket(at);
        for slot in slots(bucket.occupied()) {
            let entry = bucket.entry(slot);
            let hash = hasher.hash(entry.key());
            if segment.home(hash) == home && position_of(hash) >= from {
                visit(entry);
                seen += 1;
            }
        }
        if bucket.overflow == 0 {
            break;
        }
        at = segment.next(at);
    }
    seen
}
