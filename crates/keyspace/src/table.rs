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
//! Beside the buckets a segment that holds deadlines keeps the earliest one of each bucket (4 bytes), itself the
//! leaf of a tree of minima: bucket, segment, table.
//!
//! | cost                    | bytes per key                                            |
//! |-------------------------|----------------------------------------------------------|
//! | slot                    | 64 / 9 / load; load is 0.75 to 0.9, so 7.9 to 9.5        |
//! | header, directory       | 0.4                                                      |
//! | deadlines, if any       | 4 / 9 / load, so about 0.55                              |
//!
//! Invariants: (1) tag 0 marks a free slot; (2) `overflow` is exact unless it reached 255, then it stays; (3) a
//! segment's entries are those whose position starts with its `depth` bits; (4) a bucket's, segment's and table's
//! earliest tick is never later than the earliest deadline below it.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use crate::entry::{RawEntry, prefetch};
use crate::expiry::{NEVER, tick_of};
use crate::hash::{KeyHasher, position_of, tag_of};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The most entries any single operation moves: the longest pause a growing or shrinking table can cause is the
/// time to rehash this many keys, 10 to 20 microseconds.
pub(crate) const MOVES_MAX: usize = 512;
const SLOTS: usize = 9;
/// Buckets per segment by class. One line more (the header) makes each a size class of the allocator.
const BUCKETS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63];
const LARGEST: usize = BUCKETS.len() - 1;
/// Entries per segment by class: nine tenths of the slots, at most `MOVES_MAX`.
const LIMITS: [usize; 19] = {
    let mut limits = [9; 19];
    let mut class = 1;
    while class < limits.len() {
        let nine_tenths = BUCKETS[class] * SLOTS * 9 / 10;
        limits[class] = if nine_tenths < 500 { nine_tenths } else { 500 };
        class += 1;
    }
    limits
};
/// Two neighbours merge when together they fill less than this: far below `LIMITS`, so they do not split again soon.
const MERGE_MAX: usize = 200;
const OVERFLOW_STUCK: u8 = u8::MAX;

const _: () = assert!(size_of::<Bucket>() == 64 && size_of::<Header>() == 64);
const _: () = assert!(LIMITS[LARGEST] <= MOVES_MAX);

#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    overflow: u8,
    addresses: [u8; SLOTS * 6],
}

#[repr(C, align(64))]
struct Header {
    /// Earliest tick per bucket; empty while no entry of the segment has a deadline.
    deadlines: Vec<u32>,
    len: u32,
    expiring: u32,
    /// Minimum of `deadlines`.
    earliest: u32,
}

impl Bucket {
    /// Bit i is set when slot i has this tag.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE2 is part of x86_64; the 16 bytes read lie inside the 64-byte bucket.
        unsafe {
            use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8};
            let line = _mm_load_si128(std::ptr::from_ref(self).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(tag as i8))) as u32 & 0x1ff
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.tags.iter().enumerate().fold(0, |mask, (slot, &at)| mask | u32::from(at == tag) << slot)
    }

    #[inline(always)]
    fn occupied(&self) -> u32 {
        !self.matches(0) & 0x1ff
    }

    /// The two bytes before an address are read with it and dropped, so that slot 8 stays inside the line.
    #[inline(always)]
    fn word(&self, slot: usize) -> *const u64 {
        debug_assert!(slot < SLOTS);
        std::ptr::from_ref(self).cast::<u8>().wrapping_add(8 + 6 * slot).cast()
    }

    #[inline(always)]
    fn entry(&self, slot: usize) -> RawEntry {
        // SAFETY: bytes 8+6*slot .. 16+6*slot lie inside the bucket for slot < 9; an occupied slot holds the
        // address of a live entry (the table owns it).
        unsafe { RawEntry::from_address(self.word(slot).read_unaligned() >> 16) }
    }

    #[inline(always)]
    fn put(&mut self, slot: usize, tag: u8, entry: RawEntry) {
        // SAFETY: as `entry`; the low 16 bits written back are the neighbours' own. The pointer is derived from
        // `&mut self`.
        unsafe {
            let word = std::ptr::from_mut(self).cast::<u8>().add(8 + 6 * slot).cast::<u64>();
            word.write_unaligned(entry.address() << 16 | word.read_unaligned() & 0xffff);
        }
        self.tags[slot] = tag;
    }
}

/// A directory word: the segment's address (64-byte aligned), its class in the low 6 bits, its depth in the high 8.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Segment(u64);

impl Segment {
    fn layout(class: usize) -> Layout {
        Layout::from_size_align((BUCKETS[class] + 1) * 64, 64).expect("a segment is at most 4 KiB")
    }

    fn new(class: usize, depth: u8) -> Segment {
        let layout = Segment::layout(class);
        // SAFETY: the layout is not empty. Zeroed buckets are empty buckets.
        let Some(pointer) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        let header = Header { deadlines: Vec::new(), len: 0, expiring: 0, earliest: NEVER };
        // SAFETY: the first line of the allocation is the header's.
        unsafe { pointer.cast::<Header>().write(header) };
        Segment(pointer.as_ptr().expose_provenance() as u64 | class as u64 | u64::from(depth) << 56)
    }

    #[inline(always)]
    fn class(self) -> usize {
        (self.0 & 0x3f) as usize
    }

    #[inline(always)]
    fn depth(self) -> u32 {
        (self.0 >> 56) as u32
    }

    #[inline(always)]
    fn buckets(self) -> usize {
        BUCKETS[self.class()]
    }

    #[inline(always)]
    fn pointer(self) -> *mut Header {
        std::ptr::with_exposed_provenance_mut((self.0 & 0x00ff_ffff_ffff_ffc0) as usize)
    }

    #[inline(always)]
    fn header<'a>(self) -> &'a mut Header {
        // SAFETY: the segment is alive while the directory names it, and the caller holds the only access to the
        // table; no two references to one header are kept at a time.
        unsafe { &mut *self.pointer() }
    }

    #[inline(always)]
    fn bucket<'a>(self, index: usize) -> &'a mut Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: as `header`; bucket lines follow the header line.
        unsafe { &mut *self.pointer().cast::<Bucket>().add(1 + index) }
    }

    /// The home bucket of a hash: the 32 bits behind the directory's, scaled to the number of buckets.
    #[inline(always)]
    fn home(self, hash: u64) -> usize {
        let behind = (position_of(hash) << self.depth()) >> 32;
        ((behind * self.buckets() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn next(self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets() { 0 } else { bucket + 1 }
    }

    /// Puts an entry into the first free slot from its home on. The caller saw to it that there is one.
    fn place(self, hash: u64, entry: RawEntry) -> usize {
        let mut at = self.home(hash);
        loop {
            let bucket = self.bucket(at);
            let free = bucket.matches(0);
            if free != 0 {
                bucket.put(free.trailing_zeros() as usize, tag_of(hash), entry);
                break;
            }
            bucket.overflow = bucket.overflow.saturating_add(1);
            at = self.next(at);
        }
        self.header().len += 1;
        if let Some(expiry_ms) = entry.expiry_ms() {
            self.header().expiring += 1;
            self.lower(at, tick_of(expiry_ms));
        }
        at
    }

    /// Empties a slot and takes the entry out of the overflow counts on the way from its home.
    fn clear(self, at: usize, slot: usize, hash: u64) -> RawEntry {
        let entry = self.bucket(at).entry(slot);
        self.bucket(at).tags[slot] = 0;
        let mut passed = self.home(hash);
        while passed != at {
            let overflow = &mut self.bucket(passed).overflow;
            if *overflow != OVERFLOW_STUCK {
                *overflow -= 1;
            }
            passed = self.next(passed);
        }
        self.header().len -= 1;
        if entry.expiry_ms().is_some() {
            self.uncount_expiring();
        }
        entry
    }

    fn uncount_expiring(self) {
        let header = self.header();
        header.expiring -= 1;
        if header.expiring == 0 {
            header.deadlines = Vec::new();
            header.earliest = NEVER;
        }
    }

    /// Notes that an entry in this bucket may be due at `tick`.
    fn lower(self, bucket: usize, tick: u32) {
        let header = self.header();
        if header.deadlines.is_empty() {
            header.deadlines = vec![NEVER; self.buckets()];
        }
        header.deadlines[bucket] = header.deadlines[bucket].min(tick);
        header.earliest = header.earliest.min(tick);
    }

    fn free(self) {
        // SAFETY: the header was initialised by `new`; nobody uses the segment after this.
        unsafe {
            std::ptr::drop_in_place(self.pointer());
            dealloc(self.pointer().cast(), Segment::layout(self.class()));
        }
    }

    fn entries(self) -> impl Iterator<Item = RawEntry> {
        (0..self.buckets()).flat_map(move |at| {
            let occupied = self.bucket(at).occupied();
            (0..SLOTS).filter(move |slot| occupied >> slot & 1 == 1).map(move |slot| self.bucket(at).entry(slot))
        })
    }
}

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
    expiring: usize,
    earliest: u32,
}

// SAFETY: segments and entries are owned by the table alone; access to it is serialised by the stripe's lock.
unsafe impl Send for Table {}

impl Table {
    pub(crate) const fn new() -> Table {
        Table { directory: Vec::new(), depth: 0, deepest: 0, len: 0, expiring: 0, earliest: NEVER }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Entries that have a deadline.
    pub(crate) fn expiring(&self) -> usize {
        self.expiring
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
        while segment.header().len as usize >= LIMITS[segment.class()] {
            self.make_room(segment, hash, hasher);
            segment = self.directory[self.index(hash)];
        }
        segment.place(hash, entry);
        self.len += 1;
        if let Some(expiry_ms) = entry.expiry_ms() {
            self.expiring += 1;
            self.earliest = self.earliest.min(tick_of(expiry_ms));
        }
    }

    /// Puts `entry` in the place of one with the same key, which is returned.
    pub(crate) fn replace(&mut self, place: Place, entry: RawEntry) -> RawEntry {
        let Place { segment, bucket, slot } = place;
        let old = segment.bucket(bucket).entry(slot);
        let tag = segment.bucket(bucket).tags[slot];
        segment.bucket(bucket).put(slot, tag, entry);
        if let Some(expiry_ms) = entry.expiry_ms() {
            if old.expiry_ms().is_none() {
                segment.header().expiring += 1;
                self.expiring += 1;
            }
            self.lower(place, expiry_ms);
        } else if old.expiry_ms().is_some() {
            segment.uncount_expiring();
            self.expiring -= 1;
        }
        old
    }

    /// Notes that the entry at `place` is due at `expiry_ms`, maybe earlier than before.
    pub(crate) fn lower(&mut self, place: Place, expiry_ms: i64) {
        let tick = tick_of(expiry_ms);
        place.segment.lower(place.bucket, tick);
        self.earliest = self.earliest.min(tick);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, place: Place, hash: u64, hasher: &KeyHasher) -> RawEntry {
        let entry = place.segment.clear(place.bucket, place.slot, hash);
        self.uncount(&entry);
        self.shrink(place.segment, hash, hasher);
        entry
    }

    fn uncount(&mut self, entry: &RawEntry) {
        self.len -= 1;
        if entry.expiry_ms().is_some() {
            self.expiring -= 1;
        }
        if self.expiring == 0 {
            self.earliest = NEVER;
        }
    }

    /// Grows a full segment to the next class, or splits it when it is of the largest.
    #[cold]
    fn make_room(&mut self, segment: Segment, hash: u64, hasher: &KeyHasher) {
        if segment.class() < LARGEST {
            let grown = Segment::new(segment.class() + 1, segment.depth() as u8);
            move_all(segment, hasher, |_| grown);
            self.point(hash, segment.depth(), grown);
            return;
        }
        if segment.depth() == self.depth {
            self.directory = self.directory.iter().flat_map(|&word| [word, word]).collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let depth = segment.depth() + 1;
        let class = class_for(LIMITS[LARGEST] / 2);
        let halves = [Segment::new(class, depth as u8), Segment::new(class, depth as u8)];
        let bit = |hash: u64| (position_of(hash) >> (64 - depth) & 1) as usize;
        // An uneven split may overfill a half; it then grows before the entry that would not fit.
        let mut halves_now = halves;
        for entry in drain(segment) {
            let hash = hasher.hash(entry.key());
            let half = &mut halves_now[bit(hash)];
            if half.header().len as usize >= LIMITS[half.class()] {
                let grown = Segment::new(half.class() + 1, depth as u8);
                move_all(*half, hasher, |_| grown);
                *half = grown;
            }
            half.place(hash, entry);
        }
        let side = 1u64 << (64 - depth) >> crate::hash::STRIPE_BITS;
        for (index, half) in halves_now.into_iter().enumerate() {
            let of_half = if index == 0 { hash & !side } else { hash | side };
            self.point(of_half, depth, half);
        }
        self.deepest += if depth == self.depth { 2 } else { 0 };
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
        let len = segment.header().len as usize;
        if self.len == 0 {
            self.free_all();
        } else if segment.class() > 0 && len < LIMITS[segment.class()] / 4 {
            self.shrink_sparse(segment, hash, len, hasher);
        }
    }

    #[cold]
    fn shrink_sparse(&mut self, segment: Segment, hash: u64, len: usize, hasher: &KeyHasher) {
        let depth = segment.depth();
        if depth > 0 {
            let side = 1u64 << (64 - depth) >> crate::hash::STRIPE_BITS;
            let neighbour = self.directory[self.index(hash ^ side)];
            let together = len + neighbour.header().len as usize;
            if neighbour.depth() == depth && together <= MERGE_MAX {
                let merged = Segment::new(class_for(together), depth as u8 - 1);
                move_all(segment, hasher, |_| merged);
                move_all(neighbour, hasher, |_| merged);
                self.point(hash, depth - 1, merged);
                self.deepest -= if depth == self.depth { 2 } else { 0 };
                self.halve_directory();
                return;
            }
        }
        let class = class_for(len);
        if class < segment.class() {
            let smaller = Segment::new(class, depth as u8);
            move_all(segment, hasher, |_| smaller);
            self.point(hash, depth, smaller);
        }
    }

    fn halve_directory(&mut self) {
        while self.deepest == 0 && self.depth > 0 {
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.depth -= 1;
            let depth = self.depth;
            self.deepest = self.directory.iter().filter(|segment| segment.depth() == depth).count();
        }
    }

    /// The distinct segments in hash order.
    fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        let mut index = 0;
        std::iter::from_fn(move || {
            let segment = *self.directory.get(index)?;
            index += 1 << (self.depth - segment.depth());
            Some(segment)
        })
    }

    /// Gives back all memory of a table without entries; dropping the old one frees its segments.
    fn free_all(&mut self) {
        debug_assert_eq!(self.len, 0);
        *self = Table::new();
    }

    /// Visits entries in hash order from `from` (a left-aligned position) on, whole buckets at a time, until at
    /// least `count` were visited. Returns the position to go on from, None at the end.
    pub(crate) fn walk(
        &self, from: u64, count: usize, hasher: &KeyHasher, mut visit: impl FnMut(RawEntry),
    ) -> Option<u64> {
        let mut seen = 0;
        let mut from = from;
        loop {
            let segment = self.segment(from >> crate::hash::STRIPE_BITS)?;
            let mut home = segment.home(from >> crate::hash::STRIPE_BITS);
            while home < segment.buckets() {
                seen += visit_home(segment, home, from, hasher, &mut visit);
                home += 1;
                if seen >= count && home < segment.buckets() {
                    return Some(bucket_start(segment, from, home));
                }
            }
            from = segment_end(segment, from)?;
            if seen >= count {
                return Some(from);
            }
        }
    }

    /// The entry with this rank in storage order, for choosing one at random; None if `rank >= len`.
    pub(crate) fn nth(&self, mut rank: usize) -> Option<RawEntry> {
        for segment in self.segments() {
            let len = segment.header().len as usize;
            if rank < len {
                return segment.entries().nth(rank);
            }
            rank -= len;
        }
        None
    }

    /// Visits the entries of one bucket chosen by `random`; with `expiring`, only buckets that hold deadlines are
    /// chosen, trying up to `tries` of them.
    pub(crate) fn sample(&self, random: u64, expiring: bool, tries: usize, mut visit: impl FnMut(RawEntry)) {
        let mut random = random;
        for _ in 0..tries {
            let Some(segment) = self.segment(random >> crate::hash::STRIPE_BITS) else { return };
            let bucket = (random as usize >> 3) % segment.buckets();
            let occupied = segment.bucket(bucket).occupied();
            let deadlines = &segment.header().deadlines;
            if occupied != 0 && (!expiring || deadlines.get(bucket).is_some_and(|&tick| tick != NEVER)) {
                (0..SLOTS).filter(|slot| occupied >> slot & 1 == 1).for_each(|slot| {
                    visit(segment.bucket(bucket).entry(slot));
                });
                return;
            }
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        }
    }

    /// Removes entries that are due at `now_ms`, at most about `budget` of them, and hands them to `visit`. Returns
    /// whether more are due.
    pub(crate) fn expire(
        &mut self, now_ms: i64, budget: usize, hasher: &KeyHasher, mut visit: impl FnMut(RawEntry),
    ) -> bool {
        let now_tick = tick_of(now_ms) - 1;
        let mut left = budget;
        while self.earliest <= now_tick {
            let Some(segment) = self.segments().find(|segment| segment.header().earliest <= now_tick) else {
                self.earliest = self.segments().map(|segment| segment.header().earliest).min().unwrap_or(NEVER);
                continue;
            };
            if left == 0 {
                return true;
            }
            let mut last_hash = None;
            for at in 0..segment.buckets() {
                if segment.header().deadlines.get(at).is_some_and(|&tick| tick <= now_tick) {
                    self.expire_bucket(segment, at, now_ms, hasher, |hash, entry| {
                        last_hash = Some(hash);
                        left = left.saturating_sub(1);
                        visit(entry);
                    });
                }
            }
            let header = segment.header();
            header.earliest = header.deadlines.iter().copied().min().unwrap_or(NEVER);
            if let Some(hash) = last_hash {
                self.shrink(segment, hash, hasher);
            }
        }
        false
    }

    fn expire_bucket(
        &mut self, segment: Segment, at: usize, now_ms: i64, hasher: &KeyHasher,
        mut visit: impl FnMut(u64, RawEntry),
    ) {
        let occupied = segment.bucket(at).occupied();
        for slot in (0..SLOTS).filter(|slot| occupied >> slot & 1 == 1) {
            segment.bucket(at).entry(slot).prefetch();
        }
        let mut earliest = NEVER;
        for slot in (0..SLOTS).filter(|slot| occupied >> slot & 1 == 1) {
            let entry = segment.bucket(at).entry(slot);
            match entry.expiry_ms() {
                Some(expiry_ms) if expiry_ms <= now_ms => {
                    let hash = hasher.hash(entry.key());
                    let entry = segment.clear(at, slot, hash);
                    self.uncount(&entry);
                    visit(hash, entry);
                }
                Some(expiry_ms) => earliest = earliest.min(tick_of(expiry_ms)),
                None => {}
            }
        }
        if let Some(deadline) = segment.header().deadlines.get_mut(at) {
            *deadline = earliest;
        }
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

/// The smallest class that holds this many entries with some room to grow.
fn class_for(entries: usize) -> usize {
    let wanted = entries + entries / 8 + 1;
    LIMITS.iter().position(|&limit| limit >= wanted).unwrap_or(LARGEST)
}

/// Takes every entry out of a segment and frees the segment. The entries' lines are fetched ahead.
fn drain(segment: Segment) -> Vec<RawEntry> {
    let entries: Vec<RawEntry> = segment.entries().collect();
    segment.free();
    for entry in &entries {
        entry.prefetch();
    }
    entries
}

fn move_all(from: Segment, hasher: &KeyHasher, to: impl Fn(u64) -> Segment) {
    for entry in drain(from) {
        let hash = hasher.hash(entry.key());
        to(hash).place(hash, entry);
    }
}

/// Visits the entries whose home is `home` and whose position is not before `from`; returns how many.
fn visit_home(
    segment: Segment, home: usize, from: u64, hasher: &KeyHasher, visit: &mut impl FnMut(RawEntry),
) -> usize {
    let mut seen = 0;
    let mut at = home;
    for _ in 0..segment.buckets() {
        let occupied = segment.bucket(at).occupied();
        for slot in (0..SLOTS).filter(|slot| occupied >> slot & 1 == 1) {
            let entry = segment.bucket(at).entry(slot);
            let hash = hasher.hash(entry.key());
            if segment.home(hash) == home && position_of(hash) >= from {
                visit(entry);
                seen += 1;
            }
        }
        if segment.bucket(at).overflow == 0 {
            break;
        }
        at = segment.next(at);
    }
    seen
}

/// The first position whose home is `bucket`, in the segment that holds `inside`.
fn bucket_start(segment: Segment, inside: u64, bucket: usize) -> u64 {
    let depth = segment.depth();
    let base = if depth == 0 { 0 } else { inside >> (64 - depth) << (64 - depth) };
    let behind = ((bucket as u64) << 32).div_ceil(segment.buckets() as u64);
    base | behind << 32 >> depth
}

/// The first position behind the segment that holds `inside`; None if it is the last.
fn segment_end(segment: Segment, inside: u64) -> Option<u64> {
    let depth = segment.depth();
    if depth == 0 {
        return None;
    }
    let prefix = (inside >> (64 - depth)) + 1;
    (prefix >> depth == 0).then(|| prefix << (64 - depth))
}
