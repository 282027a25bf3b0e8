//! A bucket: nine entries in one cache line, found by a one-byte tag.
//!
//! It knows neither keys nor hashes: a tag and an entry go in, a slot comes out. The layout is drawn in
//! [`crate::table`].
//!
//! Invariant: tag 0 marks a free slot; the address of a free slot means nothing.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use crate::entry::RawEntry;

/// Entries per bucket: nine tags, one counter and nine addresses of six bytes fill the line.
pub(super) const SLOTS: usize = 9;
/// Bits of an address: what user space has on x86-64 and AArch64 with four levels of page tables.
const ADDRESS_BITS: u32 = 48;

const _: () = assert!(size_of::<Bucket>() == 64 && align_of::<Bucket>() == 64);
const _: () = assert!(cfg!(target_endian = "little"), "addresses are cut out of little-endian words");

/// See the module's text.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) tags: [u8; SLOTS],
    /// Entries that passed this bucket because it was full; see the segment's invariants.
    pub(super) overflow: u8,
    addresses: [u8; SLOTS * 6],
}

/// The set bits of a mask of slots, lowest first.
pub(super) fn slots(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let slot = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(slot)
    })
}

impl Bucket {
    /// Bit i is set when slot i has this tag.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u8) -> u32 {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: SSE2 is part of x86_64; the 16 bytes read lie inside the 64-byte bucket.
        unsafe {
            use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8};
            let line = _mm_load_si128(std::ptr::from_ref(self).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(tag as i8))) as u32 & 0x1ff
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        self.tags.iter().enumerate().fold(0, |mask, (slot, &at)| mask | u32::from(at == tag) << slot)
    }

    #[inline(always)]
    pub(super) fn occupied(&self) -> u32 {
        !self.matches(0) & 0x1ff
    }

    /// The entry in an occupied slot.
    #[inline(always)]
    pub(super) fn entry(&self, slot: usize) -> RawEntry {
        debug_assert!(slot < SLOTS && self.tags[slot] != 0);
        // The two bytes before an address are read with it and dropped, so that slot 8 stays inside the line.
        let word = std::ptr::from_ref(self).cast::<u8>().wrapping_add(8 + 6 * slot).cast::<u64>();
        // SAFETY: bytes 8+6*slot .. 16+6*slot lie inside the bucket for slot < 9; an occupied slot holds the
        // address of a live entry (the table owns it).
        unsafe { RawEntry::from_address(word.read_unaligned() >> 16) }
    }

    #[inline(always)]
    pub(super) fn put(&mut self, slot: usize, tag: u8, entry: RawEntry) {
        let address = entry.address();
        debug_assert!(slot < SLOTS && tag != 0 && address >> ADDRESS_BITS == 0);
        // SAFETY: as `entry`; the low 16 bits written back are the neighbours' own. The pointer is derived from
        // `&mut self`.
        unsafe {
            let word = std::ptr::from_mut(self).cast::<u8>().add(8 + 6 * slot).cast::<u64>();
            word.write_unaligned(address << 16 | word.read_unaligned() & 0xffff);
        }
        self.tags[slot] = tag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{EntryRef, Kind, NewValue, Parts};

    #[test]
    fn nine_entries_lie_beside_each_other_and_are_told_apart_by_their_tags() {
        let new = |key: &[u8]| {
            let value = NewValue::Bytes(b"v");
            RawEntry::new(Parts { key, value, kind: Kind::StringRaw, expiry_ms: None, prefix: 0, stamp: 0 })
        };
        let mut bucket = Bucket { tags: [0; SLOTS], overflow: 7, addresses: [0; SLOTS * 6] };
        for slot in [8, 0, 4, 7, 1, 2, 3, 6, 5] {
            bucket.put(slot, slot as u8 % 3 + 1, new(&[slot as u8]));
        }
        assert_eq!((bucket.occupied(), bucket.matches(0), bucket.overflow), (0x1ff, 0, 7));
        assert_eq!(slots(bucket.matches(3)).collect::<Vec<_>>(), [2, 5, 8]);
        for slot in 0..SLOTS {
            assert_eq!(EntryRef::new(bucket.entry(slot)).key(), [slot as u8]);
        }
        bucket.entry(4).free();
        bucket.tags[4] = 0;
        assert_eq!((bucket.occupied(), bucket.matches(0)), (0x1ef, 0x10));
        slots(bucket.occupied()).for_each(|slot| bucket.entry(slot).free());
    }
}
