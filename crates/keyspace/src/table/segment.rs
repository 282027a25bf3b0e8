//! A segment: some buckets that share a prefix of the hash, and the earliest deadline of each. Full, it is replaced
//! by a larger one or by two; sparse, by a smaller one or merged.
//!
//! It does not know the directory that names it, and never resizes itself: [`crate::table`] does.
//!
//! Invariants: (1) a bucket's `overflow` is the number of the segment's entries whose way from their home to their
//! slot leaves that bucket behind, unless it reached 255, then it stays; (2) at least one slot is free unless the
//! segment has one bucket, so a search for a free slot ends; (3) `deadlines` is empty exactly while nothing of any entry
//! is due (`RawEntry::due_ms`), else it holds for each bucket a tick no later than the first moment at which something is;
//! (4) `earliest` is no later than any of `deadlines`.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use super::bucket::{Bucket, SLOTS, slots};
use crate::entry::RawEntry;
use crate::expiry::{NEVER, tick_of};
use crate::hash::{KeyHasher, position_of, tag_of};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Classes up to the largest that is split rather than enlarged.
const REGULAR: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63];
/// Doublings beyond: only for hashes that collide so much that splitting does not separate them (see `Table`).
const DOUBLINGS: usize = 17;
const CLASSES: usize = REGULAR.len() + DOUBLINGS;
/// The class that is split when it is full.
pub(super) const LARGEST: usize = REGULAR.len() - 1;
/// Buckets per segment by class. One line more (the header) makes each a size class of the allocator.
const BUCKETS: [usize; CLASSES] = {
    let mut buckets = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        buckets[class] = if class <= LARGEST { REGULAR[class] } else { (64 << (class - LARGEST)) - 1 };
        class += 1;
    }
    buckets
};
/// Entries per segment by class: nine tenths of the slots, and at most 500 in one that is split.
pub(super) const LIMITS: [usize; CLASSES] = {
    let mut limits = [SLOTS; CLASSES];
    let mut class = 1;
    while class < CLASSES {
        let nine_tenths = BUCKETS[class] * SLOTS * 9 / 10;
        limits[class] = if class <= LARGEST && nine_tenths > 500 { 500 } else { nine_tenths };
        class += 1;
    }
    limits
};
/// Bits of the position behind the directory's that choose the home bucket: with at most 28 bits of depth, the first
/// position of any bucket is a multiple of 2^-52, which a scan's cursor can express.
pub(super) const HOME_BITS: u32 = 24;
const OVERFLOW_STUCK: u8 = u8::MAX;
/// Entries whose lines are asked for ahead of the one being hashed: the line fill buffers of a core hold 10 to 16
/// lines, the queue behind them some more.
const PREFETCH_AHEAD: usize = 16;

const _: () = assert!(size_of::<Header>() == 64);
const _: () = assert!(BUCKETS[CLASSES - 1] < 1 << HOME_BITS && CLASSES < 64);

#[repr(C, align(64))]
pub(super) struct Header {
    /// Earliest tick per bucket; empty while nothing in the segment is ever due.
    pub(super) deadlines: Vec<u32>,
    pub(super) len: u32,
    /// Entries that expire.
    pub(super) expiring: u32,
    /// Entries of which something is due at some time.
    pub(super) due: u32,
    /// No later than any of `deadlines`.
    pub(super) earliest: u32,
}

/// A directory word: the segment's address (64-byte aligned), its class in the low 6 bits, its depth in the high 8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment(u64);

impl Segment {
    pub(super) fn memory_bytes(self) -> usize {
        Segment::layout(self.class()).size()
    }

    fn layout(class: usize) -> Layout {
        Layout::from_size_align((BUCKETS[class] + 1) * 64, 64).expect("a segment is at most 1 GiB")
    }

    /// An empty segment. The class must exist: the last one holds 75 million entries of equal hash, and adding the
    /// next one by searching all of them takes longer than anybody waits.
    pub(super) fn new(class: usize, depth: u32) -> Segment {
        let layout = Segment::layout(class);
        // SAFETY: the layout is not empty. Zeroed buckets are empty buckets.
        let Some(pointer) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        let header = Header { deadlines: Vec::new(), len: 0, expiring: 0, due: 0, earliest: NEVER };
        // SAFETY: the first line of the allocation is the header's.
        unsafe { pointer.cast::<Header>().write(header) };
        Segment(pointer.as_ptr().expose_provenance() as u64 | class as u64 | u64::from(depth) << 56)
    }

    #[inline(always)]
    pub(super) fn class(self) -> usize {
        (self.0 & 0x3f) as usize
    }

    /// Bits of the position that all entries share.
    #[inline(always)]
    pub(super) fn depth(self) -> u32 {
        (self.0 >> 56) as u32
    }

    #[inline(always)]
    pub(super) fn buckets(self) -> usize {
        BUCKETS[self.class()]
    }

    pub(super) fn is_full(self) -> bool {
        self.len() >= LIMITS[self.class()]
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.header().len as usize
    }

    #[inline(always)]
    fn pointer(self) -> *mut Header {
        std::ptr::with_exposed_provenance_mut((self.0 & 0x00ff_ffff_ffff_ffc0) as usize)
    }

    #[inline(always)]
    pub(super) fn header<'a>(self) -> &'a mut Header {
        // SAFETY: the segment is alive while the directory names it, and the caller holds the only access to the
        // table; no two references to one header are kept at a time.
        unsafe { &mut *self.pointer() }
    }

    #[inline(always)]
    pub(super) fn bucket<'a>(self, index: usize) -> &'a mut Bucket {
        debug_assert!(index < self.buckets());
        // SAFETY: as `header`; bucket lines follow the header line.
        unsafe { &mut *self.pointer().cast::<Bucket>().add(1 + index) }
    }

    /// The home bucket of a hash: the bits behind the directory's, scaled to the number of buckets.
    #[inline(always)]
    pub(super) fn home(self, hash: u64) -> usize {
        let behind = (position_of(hash) << self.depth()) >> (64 - HOME_BITS);
        ((behind * self.buckets() as u64) >> HOME_BITS) as usize
    }

    /// The first position whose home is `bucket`, given one inside the segment.
    pub(super) fn bucket_start(self, inside: u64, bucket: usize) -> u64 {
        let depth = self.depth();
        let base = if depth == 0 { 0 } else { inside >> (64 - depth) << (64 - depth) };
        let behind = ((bucket as u64) << HOME_BITS).div_ceil(self.buckets() as u64);
        base | behind << (64 - HOME_BITS) >> depth
    }

    /// The first position behind the segment, given one inside; None if it is the last.
    pub(super) fn end(self, inside: u64) -> Option<u64> {
        let depth = self.depth();
        if depth == 0 {
            return None;
        }
        let prefix = (inside >> (64 - depth)) + 1;
        (prefix >> depth == 0).then(|| prefix << (64 - depth))
    }

    #[inline(always)]
    pub(super) fn next(self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets() { 0 } else { bucket + 1 }
    }

    /// Puts an entry into the first free slot from its home on. The caller saw to it that there is one.
    pub(super) fn place(self, hash: u64, entry: RawEntry) {
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
        self.count(at, entry);
    }

    /// Counts what is due of an entry that has come into a bucket.
    pub(super) fn count(self, bucket: usize, entry: RawEntry) {
        self.header().expiring += u32::from(entry.expiry_ms().is_some());
        if let Some(due_ms) = entry.due_ms() {
            self.header().due += 1;
            self.lower(bucket, tick_of(due_ms));
        }
    }

    /// Takes back [`Segment::count`] for an entry that has gone.
    pub(super) fn uncount(self, entry: RawEntry) {
        let header = self.header();
        header.expiring -= u32::from(entry.expiry_ms().is_some());
        if entry.due_ms().is_some() {
            header.due -= 1;
            if header.due == 0 {
                header.deadlines = Vec::new();
                header.earliest = NEVER;
            }
        }
    }

    /// Empties a slot and takes the entry out of the overflow counts on the way from its home.
    pub(super) fn clear(self, at: usize, slot: usize, hash: u64) -> RawEntry {
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
        self.uncount(entry);
        entry
    }

    /// Notes that an entry in this bucket may be due at `tick`.
    pub(super) fn lower(self, bucket: usize, tick: u32) {
        let buckets = self.buckets();
        let header = self.header();
        if header.deadlines.is_empty() {
            header.deadlines = vec![NEVER; buckets];
        }
        header.deadlines[bucket] = header.deadlines[bucket].min(tick);
        header.earliest = header.earliest.min(tick);
    }

    /// Notes the earliest deadlines anew after the due ones were removed.
    pub(super) fn settle_earliest(self) -> u32 {
        let header = self.header();
        header.earliest = header.deadlines.iter().copied().min().unwrap_or(NEVER);
        header.earliest
    }

    /// Gives the memory back; what the slots hold is the caller's.
    pub(super) fn free(self) {
        // SAFETY: the header was initialised by `new`; nobody uses the segment after this.
        unsafe {
            std::ptr::drop_in_place(self.pointer());
            dealloc(self.pointer().cast(), Segment::layout(self.class()));
        }
    }

    pub(super) fn entries(self) -> impl Iterator<Item = RawEntry> {
        (0..self.buckets()).flat_map(move |at| {
            slots(self.bucket(at).occupied()).map(move |slot| self.bucket(at).entry(slot))
        })
    }

    /// Takes every entry out, with its hash, and frees the segment.
    pub(super) fn drain(self, hasher: &KeyHasher) -> Vec<(u64, RawEntry)> {
        let mut moved: Vec<(u64, RawEntry)> = Vec::with_capacity(self.len());
        moved.extend(self.entries().map(|entry| (0, entry)));
        self.free();
        for (_, entry) in moved.iter().take(PREFETCH_AHEAD) {
            entry.prefetch();
        }
        for index in 0..moved.len() {
            if let Some((_, ahead)) = moved.get(index + PREFETCH_AHEAD) {
                ahead.prefetch();
            }
            moved[index].0 = hasher.hash(moved[index].1.key());
        }
        #[cfg(test)]
        super::model::note_moves(moved.len());
        moved
    }

    /// Takes the entries that [`Segment::drain`] took out of another.
    pub(super) fn take(self, moved: &[(u64, RawEntry)]) {
        moved.iter().for_each(|&(hash, entry)| self.place(hash, entry));
    }
}

/// The smallest class that holds this many entries with some room to grow.
pub(super) fn class_for(entries: usize) -> usize {
    if entries <= LIMITS[LARGEST] {
        let wanted = entries + entries / 8 + 1;
        return LIMITS[..LARGEST].iter().position(|&limit| limit >= wanted).unwrap_or(LARGEST);
    }
    LIMITS.iter().position(|&limit| limit > entries).expect("such a segment could not have been filled")
}
