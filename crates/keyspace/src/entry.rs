//! One key with its value in one allocation: the bytes of an entry and the only code that reads or writes them.
//!
//! It is not a map and knows no clock: [`crate::table`] finds entries, [`crate::stripe`] gives them meaning.
//!
//! ```text
//!  0        8          16          24
//!  +--------+----------+-----------+-----------+----------------------------+
//!  | header | lengths? | expiry?   | key       | value, or pointer to blob  |
//!  +--------+----------+-----------+-----------+----------------------------+
//!   8 bytes   8 if LONG  8 if EXPIRY             inline bytes | 8, aligned, if BLOB
//!
//!  header, a little-endian u64:
//!   bit  0     LONG      lengths are two u32 (key, value) behind the header
//!   bit  1     EXPIRY    an i64 deadline in milliseconds follows
//!   bits 2-3   reserved  version (memcached CAS), memcached flags
//!   bit  4     BLOB      the value is a reference counted Vec behind an unaligned pointer
//!   bit  5     reserved  snapshot colour
//!   bits 6-10  kind      type and encoding, see `Kind`
//!   bits 11-17 key length   0..=127    (LONG otherwise)
//!   bits 18-27 value length 0..=1023   (LONG otherwise; 0 when BLOB)
//!   bits 28-31 frequency    Morris counter, 0..=15
//!   bits 32-47 stamp        last access, seconds modulo 2^16
//!   bits 48-63 prefix       node of the profiler's prefix tree, 0 = none
//! ```
//!
//! | cost per entry              | bytes                                    |
//! |-----------------------------|------------------------------------------|
//! | short key, value <= 1023 B  | 8                                        |
//! | with an expiry              | 8 more                                   |
//! | key > 127 B or longer value | 8 more                                   |
//! | value > 16 KiB              | pointer 8, blob header 40, Vec capacity  |
//! | rounding                    | to the allocator's size class, see `size_class` |
//!
//! Invariants: (1) an entry is owned by exactly one table slot; (2) whoever holds an [`EntryRef`]
//! borrows the table it came from, so it cannot outlive the stripe's lock; (3) the allocation's size is a function
//! of the header and lengths alone; (4) a `BLOB` entry owns one reference count of its blob, and
//! a blob with other owners is never changed; (5) an entry made from another one is made by [`RawEntry::rebuilt`].
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use crate::journal::Footprint;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// Values longer than this are reference counted, so that a reply can carry them outside the stripe's lock.
pub const INLINE_VALUE_BYTES_MAX: usize = 16 * 1024;
/// A reference counted value.
pub type Blob = Arc<Vec<u8>>;

const LONG: u64 = 1 << 0;
const EXPIRY: u64 = 1 << 1;
const BLOB: u64 = 1 << 4;
const KIND_SHIFT: u32 = 6;
const KEY_SHIFT: u32 = 11;
const VALUE_SHIFT: u32 = 18;
const FREQUENCY_SHIFT: u32 = 28;
const STAMP_SHIFT: u32 = 32;
const PREFIX_SHIFT: u32 = 48;
const KEY_MASK: u64 = 0x7f;
const VALUE_MASK: u64 = 0x3ff;
const FREQUENCY_MAX: u64 = 15;
/// The bits of a header that an entry's size follows from.
const SIZING: u64 = LONG | EXPIRY | BLOB | KEY_MASK << KEY_SHIFT | VALUE_MASK << VALUE_SHIFT;
/// What an entry made from another takes over from its header: access history and prefix node.
const INHERITED: u64 = FREQUENCY_MAX << FREQUENCY_SHIFT | 0xffff << STAMP_SHIFT | 0xffff << PREFIX_SHIFT;
/// Redis starts a new key at 5 of 255; on this scale that is the second step, so a new key is not evicted at once.
const FREQUENCY_INITIAL: u64 = 1;
/// How far a stamp may be ahead of the clock of who looks at it. Workers differ by a batch, a stalled one by more; what
/// is left of 2^16 seconds is far more than the ages that `Database::age` lets a stamp reach.
const STAMP_AHEAD_MAX_SECONDS: u16 = 600;
/// Header, blob pointer and Vec header that an `Arc<Vec<u8>>` allocates beside the bytes.
const BLOB_HEADER_BYTES: usize = 40;

const _: () = assert!(size_of::<RawEntry>() == 8);
const _: () = assert!(PREFIX_SHIFT + 16 == 64);

/// Type and encoding of a value, as OBJECT ENCODING names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A string that is the canonical text of an i64 ("int").
    StringInt = 0,
    /// A string of at most 44 bytes that was never modified in place ("embstr").
    StringEmbedded = 1,
    /// Any other string ("raw").
    StringRaw = 2,
}

impl Kind {
    fn from_bits(bits: u64) -> Kind {
        match bits & 0x1f {
            0 => Kind::StringInt,
            1 => Kind::StringEmbedded,
            _ => Kind::StringRaw,
        }
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Kind::StringInt => "int",
            Kind::StringEmbedded => "embstr",
            Kind::StringRaw => "raw",
        }
    }

    /// The name TYPE answers.
    pub fn type_name(self) -> &'static str {
        "string"
    }
}

/// A value as the entry holds it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    Inline(&'a [u8]),
    Shared(&'a Blob),
}

impl<'a> Value<'a> {
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Value::Inline(bytes) => bytes,
            Value::Shared(blob) => blob.as_slice(),
        }
    }
}

/// Rounds a request up to the size class jemalloc serves it from (jemalloc(3), "Size classes", 16-byte quantum):
/// 8, 16, 32, 48 .. 128, then four classes per doubling.
#[inline]
pub const fn size_class(bytes: usize) -> usize {
    if bytes <= 8 {
        8
    } else if bytes <= 128 {
        (bytes + 15) & !15
    } else {
        let spacing = 1usize << ((bytes - 1).ilog2() - 2);
        (bytes + spacing - 1) & !(spacing - 1)
    }
}

/// An owning pointer to an entry. Copyable because the table moves it between slots; freed only by `free`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEntry(NonNull<u8>);

// SAFETY: an entry is plain bytes plus at most one Arc<Vec<u8>>, both of which may change threads; access is
// serialised by the stripe's lock.
unsafe impl Send for RawEntry {}

/// What a new entry is made of.
pub(crate) struct Parts<'a> {
    pub key: &'a [u8],
    pub value: NewValue<'a>,
    pub kind: Kind,
    pub expiry_ms: Option<i64>,
    pub prefix: u16,
    pub stamp: u16,
}

/// A value on its way in: borrowed bytes are copied, a blob is moved.
#[derive(Clone)]
pub enum NewValue<'a> {
    Bytes(&'a [u8]),
    Blob(Blob),
}

impl NewValue<'_> {
    #[inline]
    fn is_inline(&self) -> bool {
        matches!(self, NewValue::Bytes(bytes) if bytes.len() <= INLINE_VALUE_BYTES_MAX)
    }
}

impl RawEntry {
    pub(crate) fn new(parts: Parts<'_>) -> RawEntry {
        let inline = match parts.value {
            NewValue::Bytes(bytes) if parts.value.is_inline() => bytes,
            NewValue::Bytes(bytes) => return RawEntry::new_blob(&parts, Arc::new(bytes.to_vec())),
            NewValue::Blob(ref blob) => return RawEntry::new_blob(&parts, blob.clone()),
        };
        let entry = RawEntry::allocate(&parts, inline.len(), 0);
        // SAFETY: `allocate` made room for exactly this many value bytes behind the key.
        unsafe { entry.value_pointer().copy_from_nonoverlapping(inline.as_ptr(), inline.len()) };
        entry
    }

    fn new_blob(parts: &Parts<'_>, blob: Blob) -> RawEntry {
        let entry = RawEntry::allocate(parts, 0, BLOB);
        // SAFETY: a BLOB entry has 8 value bytes; the pointer owns one reference count from here on.
        unsafe { entry.blob_pointer().write(blob) };
        entry
    }

    /// Allocates and fills everything but the value.
    fn allocate(parts: &Parts<'_>, value_bytes: usize, extra_flags: u64) -> RawEntry {
        let mut header = extra_flags
            | (parts.kind as u64) << KIND_SHIFT
            | FREQUENCY_INITIAL << FREQUENCY_SHIFT
            | u64::from(parts.stamp) << STAMP_SHIFT
            | u64::from(parts.prefix) << PREFIX_SHIFT;
        if parts.key.len() > KEY_MASK as usize || value_bytes > VALUE_MASK as usize {
            header |= LONG;
        } else {
            header |= (parts.key.len() as u64) << KEY_SHIFT | (value_bytes as u64) << VALUE_SHIFT;
        }
        if parts.expiry_ms.is_some() {
            header |= EXPIRY;
        }
        let layout = layout_of(header, parts.key.len(), value_bytes);
        // SAFETY: the layout is never of size zero (the header alone is 8 bytes).
        let Some(pointer) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        let entry = RawEntry(pointer);
        // SAFETY: the layout holds header, optional fields and key at the offsets that `header` selects.
        unsafe {
            pointer.as_ptr().cast::<u64>().write(header);
            if header & LONG != 0 {
                let lengths = pointer.as_ptr().add(8).cast::<u32>();
                lengths.write(parts.key.len() as u32);
                lengths.add(1).write(value_bytes as u32);
            }
            if let Some(expiry_ms) = parts.expiry_ms {
                entry.expiry_pointer().write(expiry_ms);
            }
            let key = pointer.as_ptr().add(key_offset(header));
            key.copy_from_nonoverlapping(parts.key.as_ptr(), parts.key.len());
        }
        entry
    }

    /// Frees the entry; its blob, if any, loses one reference and is dropped in the background when it is large.
    pub(crate) fn free(self) {
        let header = self.header();
        let layout = layout_of(header, self.key().len(), self.inline_value_bytes());
        if header & BLOB != 0 {
            // SAFETY: the entry owned this reference count, and is gone after this function.
            let blob = unsafe { self.blob_pointer().read() };
            crate::free::blob(blob);
        }
        // SAFETY: allocated with this very layout (invariant 3); the caller owned the entry.
        unsafe { dealloc(self.0.as_ptr(), layout) };
    }

    pub(crate) fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// # Safety
    /// `address` must come from [`RawEntry::address`] of an entry that has not been freed.
    #[inline(always)]
    pub(crate) unsafe fn from_address(address: u64) -> RawEntry {
        let pointer = std::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: an entry's address is never null.
        RawEntry(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// Asks the processor to fetch the line that holds the header and a short key, and the one behind it.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        prefetch(self.0.as_ptr());
        prefetch(self.0.as_ptr().wrapping_add(63));
    }

    #[inline(always)]
    fn header(self) -> u64 {
        // SAFETY: every entry starts with an aligned u64 header.
        unsafe { self.0.as_ptr().cast::<u64>().read() }
    }

    #[inline(always)]
    fn set_header(self, header: u64) {
        // SAFETY: as `header`; the stripe's lock excludes readers.
        unsafe { self.0.as_ptr().cast::<u64>().write(header) }
    }

    #[inline(always)]
    fn expiry_pointer(self) -> *mut i64 {
        let offset = if self.header() & LONG != 0 { 16 } else { 8 };
        // SAFETY: only used when EXPIRY is set, so the field lies inside the allocation.
        unsafe { self.0.as_ptr().add(offset).cast::<i64>() }
    }

    #[inline(always)]
    fn key_length(self, header: u64) -> usize {
        if header & LONG != 0 { self.long_lengths().0 } else { (header >> KEY_SHIFT & KEY_MASK) as usize }
    }

    fn long_lengths(self) -> (usize, usize) {
        // SAFETY: called only when LONG is set: two u32 follow the header.
        unsafe {
            let lengths = self.0.as_ptr().add(8).cast::<u32>();
            (lengths.read() as usize, lengths.add(1).read() as usize)
        }
    }

    #[inline(always)]
    fn inline_value_bytes(self) -> usize {
        let header = self.header();
        if header & LONG != 0 { self.long_lengths().1 } else { (header >> VALUE_SHIFT & VALUE_MASK) as usize }
    }

    #[inline(always)]
    pub(crate) fn key<'a>(self) -> &'a [u8] {
        let header = self.header();
        // SAFETY: the key's bytes were initialised by `allocate`. The caller bounds 'a by its borrow of the table.
        unsafe {
            std::slice::from_raw_parts(self.0.as_ptr().add(key_offset(header)), self.key_length(header))
        }
    }

    #[inline(always)]
    pub(crate) fn key_equals(self, key: &[u8]) -> bool {
        let header = self.header();
        self.key_length(header) == key.len() && bytes_equal(self.key(), key)
    }

    #[inline(always)]
    fn value_pointer(self) -> *mut u8 {
        let header = self.header();
        // SAFETY: the value starts right behind the key, inside the allocation.
        unsafe { self.0.as_ptr().add(key_offset(header) + self.key_length(header)) }
    }

    /// Where a BLOB entry keeps its reference: behind the key, aligned to 8 bytes.
    fn blob_pointer(self) -> *mut Blob {
        let offset = (key_offset(self.header()) + self.key_length(self.header()) + 7) & !7;
        // SAFETY: used only when BLOB is set; `layout_of` reserved the aligned 8 bytes.
        unsafe { self.0.as_ptr().add(offset).cast::<Blob>() }
    }

    #[inline(always)]
    fn inline_value<'a>(self) -> &'a [u8] {
        // SAFETY: the value's bytes were initialised when it was written; 'a as for `key`.
        unsafe { std::slice::from_raw_parts(self.value_pointer(), self.inline_value_bytes()) }
    }

    pub(crate) fn expiry_ms(self) -> Option<i64> {
        // SAFETY: the field exists exactly when EXPIRY is set.
        (self.header() & EXPIRY != 0).then(|| unsafe { self.expiry_pointer().read() })
    }

    /// When something of this entry is due: the moment the active cycle has to look at it. That is when it expires.
    #[inline(always)]
    pub(crate) fn due_ms(self) -> Option<i64> {
        self.expiry_ms()
    }
}

/// Offset of the key for each combination of LONG and EXPIRY.
#[inline(always)]
fn key_offset(header: u64) -> usize {
    8 + 8 * ((header & LONG) + (header >> 1 & 1)) as usize
}

fn layout_of(header: u64, key_bytes: usize, inline_value_bytes: usize) -> Layout {
    let behind_key = key_offset(header) + key_bytes;
    let bytes =
        if header & BLOB != 0 { ((behind_key + 7) & !7) + 8 } else { behind_key + inline_value_bytes };
    Layout::from_size_align(size_class(bytes), 8).expect("an entry is far smaller than isize::MAX")
}

/// Equality of two slices of equal length without a call into libc: keys are short, and the call costs more than
/// the comparison.
#[inline(always)]
fn bytes_equal(a: &[u8], b: &[u8]) -> bool {
    let length = a.len();
    if length != b.len() || !(8..=64).contains(&length) {
        return a == b;
    }
    // SAFETY: called with `at + 8 <= length`, the length of both slices.
    let differ = |at: usize| unsafe {
        a.as_ptr().add(at).cast::<u64>().read_unaligned() != b.as_ptr().add(at).cast::<u64>().read_unaligned()
    };
    let mut at = 0;
    while at + 8 <= length {
        if differ(at) {
            return false;
        }
        at += 8;
    }
    !differ(length - 8)
}

/// Seconds from `stamp` to `second`. A stamp slightly ahead counts as now: another worker, whose batch began later, set
/// it. Without this, the key used last would look like the one idle for longest.
#[inline(always)]
fn idle_seconds(second: u16, stamp: u16) -> u16 {
    let idle_seconds = second.wrapping_sub(stamp);
    if idle_seconds > u16::MAX - STAMP_AHEAD_MAX_SECONDS { 0 } else { idle_seconds }
}

/// A hint to fetch a cache line; never faults, so any address will do.
#[inline(always)]
pub(crate) fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 is architecturally a hint and cannot fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(pointer.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}

/// A readable entry, borrowed from a locked stripe.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    raw: RawEntry,
    borrow: PhantomData<&'a ()>,
}

impl<'a> EntryRef<'a> {
    #[inline(always)]
    pub(crate) fn new(raw: RawEntry) -> EntryRef<'a> {
        EntryRef { raw, borrow: PhantomData }
    }

    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.raw.key()
    }

    #[inline]
    pub fn value(&self) -> Value<'a> {
        if self.raw.header() & BLOB == 0 {
            return Value::Inline(self.raw.inline_value());
        }
        // SAFETY: BLOB is set, so an initialised, aligned `Blob` lies there for as long as the entry lives.
        Value::Shared(unsafe { &*self.raw.blob_pointer() })
    }

    /// The value's length in bytes.
    #[inline]
    pub fn value_bytes(&self) -> usize {
        self.value().bytes().len()
    }

    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::from_bits(self.raw.header() >> KIND_SHIFT)
    }

    /// Deadline in milliseconds of the keyspace's clock.
    #[inline]
    pub fn expiry_ms(&self) -> Option<i64> {
        self.raw.expiry_ms()
    }

    /// Node of the profiler's prefix tree this entry is counted under.
    #[inline]
    pub fn prefix(&self) -> u16 {
        (self.raw.header() >> PREFIX_SHIFT) as u16
    }

    /// Second of the last access, modulo 2^16.
    #[inline]
    pub fn stamp(&self) -> u16 {
        (self.raw.header() >> STAMP_SHIFT) as u16
    }

    /// Seconds since the last access, given the clock's `second` modulo 2^16.
    #[inline]
    pub fn idle_seconds(&self, second: u16) -> u16 {
        idle_seconds(second, self.stamp())
    }

    /// Morris counter of accesses, 0..=15: about 2^n accesses, halved per idle decay period.
    #[inline]
    pub fn frequency(&self) -> u8 {
        (self.raw.header() >> FREQUENCY_SHIFT & FREQUENCY_MAX) as u8
    }

    /// Bytes the allocator spends on this entry, its rounding and its blob included. O(1).
    pub fn memory_bytes(&self) -> usize {
        self.raw.outline().memory_bytes()
    }
}

/// What an entry's kind and size follow from. Cheap to take before a write of which nobody may ask the sizes: of most
/// entries it is the header alone.
#[derive(Clone, Copy)]
pub(crate) struct Outline {
    header: u64,
    /// What the header does not say; zeros unless LONG or BLOB is set.
    beyond: Beyond,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Beyond {
    key_bytes: usize,
    value_bytes: usize,
    /// Of a blob; 0 for an inline value.
    capacity_bytes: usize,
}

impl RawEntry {
    #[inline(always)]
    pub(crate) fn outline(self) -> Outline {
        let header = self.header();
        let is_plain = header & (LONG | BLOB) == 0;
        Outline { header, beyond: if is_plain { Beyond::default() } else { self.beyond_header() } }
    }

    #[inline(never)]
    fn beyond_header(self) -> Beyond {
        let key_bytes = self.key_length(self.header());
        if self.header() & BLOB == 0 {
            return Beyond { key_bytes, value_bytes: self.inline_value_bytes(), capacity_bytes: 0 };
        }
        // SAFETY: BLOB is set, so an initialised, aligned `Blob` lies there.
        let blob = unsafe { &*self.blob_pointer() };
        Beyond { key_bytes, value_bytes: blob.len(), capacity_bytes: blob.capacity() }
    }
}

impl Outline {
    /// Whether an entry of the same key weighs the same, its value as much as its allocations.
    #[inline(always)]
    pub(crate) fn has_size_of(&self, other: &Outline) -> bool {
        (self.header ^ other.header) & SIZING == 0
            && (self.header & (LONG | BLOB) == 0 || self.beyond == other.beyond)
    }

    fn beyond(&self) -> Beyond {
        if self.header & (LONG | BLOB) != 0 {
            return self.beyond;
        }
        let key_bytes = (self.header >> KEY_SHIFT & KEY_MASK) as usize;
        Beyond {
            key_bytes,
            value_bytes: (self.header >> VALUE_SHIFT & VALUE_MASK) as usize,
            capacity_bytes: 0,
        }
    }

    pub(crate) fn prefix(&self) -> u16 {
        (self.header >> PREFIX_SHIFT) as u16
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let Beyond { key_bytes, value_bytes, capacity_bytes } = self.beyond();
        if self.header & BLOB == 0 {
            return layout_of(self.header, key_bytes, value_bytes).size();
        }
        let blob_bytes = size_class(BLOB_HEADER_BYTES) + size_class(capacity_bytes);
        layout_of(self.header, key_bytes, 0).size() + blob_bytes
    }

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint {
            kind: Kind::from_bits(self.header >> KIND_SHIFT),
            elements: 1,
            value_bytes: self.beyond().value_bytes as u64,
            total_bytes: self.memory_bytes() as u64,
        }
    }
}

/// Proof that an entry's allocation has the size of one with an inline value of this length; to be used at once.
pub(crate) struct Room {
    entry: RawEntry,
    value_bytes: usize,
}

impl Room {
    #[inline(always)]
    fn set_length(&self, kind: Kind) {
        let (entry, header, value_bytes) = (self.entry, self.entry.header(), self.value_bytes as u64);
        if header & LONG == 0 {
            let kept = header & !(VALUE_MASK << VALUE_SHIFT | 0x1f << KIND_SHIFT);
            entry.set_header(kept | value_bytes << VALUE_SHIFT | (kind as u64) << KIND_SHIFT);
            return;
        }
        entry.set_kind(kind);
        // SAFETY: LONG is set, so two u32 follow the header; the second is the value's length.
        unsafe { entry.0.as_ptr().add(12).cast::<u32>().write(value_bytes as u32) };
    }

    /// Writes `value`, which has the length there is room for, over the old one.
    #[inline(always)]
    pub(crate) fn fill(self, value: &[u8], kind: Kind) {
        assert_eq!(value.len(), self.value_bytes);
        self.set_length(kind);
        // SAFETY: the allocation is as large as a value of this length needs (invariant 3), and `value` cannot overlap
        // it: the caller holds the only mutable access to the table.
        unsafe { self.entry.value_pointer().copy_from_nonoverlapping(value.as_ptr(), value.len()) };
    }

    /// The value's bytes after its change of length: the old ones, then zeros.
    pub(crate) fn resize<'a>(self, kind: Kind) -> &'a mut [u8] {
        let Room { entry, value_bytes } = self;
        let added_bytes = value_bytes.saturating_sub(entry.inline_value_bytes());
        self.set_length(kind);
        // SAFETY: as in `fill`; the old bytes are initialised and the added ones are here. The caller holds the only
        // access to the table for 'a.
        unsafe {
            entry.value_pointer().add(value_bytes - added_bytes).write_bytes(0, added_bytes);
            std::slice::from_raw_parts_mut(entry.value_pointer(), value_bytes)
        }
    }
}

/// Changes to an entry that stays where it is.
impl RawEntry {
    /// Room for a value of this length in place of a short one, if the allocation is exactly that of a new entry.
    #[inline(always)]
    pub(crate) fn room_for_short(self, value_bytes: usize) -> Option<Room> {
        let is_short = self.header() & (BLOB | LONG) == 0 && value_bytes <= VALUE_MASK as usize;
        (is_short && self.keeps_class(value_bytes)).then_some(Room { entry: self, value_bytes })
    }

    /// As [`RawEntry::room_for_short`], in place of any inline value.
    pub(crate) fn room_for(self, value_bytes: usize) -> Option<Room> {
        if self.header() & (BLOB | LONG) != LONG {
            return self.room_for_short(value_bytes);
        }
        let is_inline = value_bytes <= INLINE_VALUE_BYTES_MAX;
        (is_inline && self.keeps_class(value_bytes)).then_some(Room { entry: self, value_bytes })
    }

    /// Whether the allocation of an inline value is that of one of `value_bytes`, too.
    #[inline(always)]
    fn keeps_class(self, value_bytes: usize) -> bool {
        let header = self.header();
        let old_bytes = self.inline_value_bytes();
        let behind_key = key_offset(header) + self.key_length(header);
        value_bytes == old_bytes || size_class(behind_key + value_bytes) == size_class(behind_key + old_bytes)
    }

    /// The blob's Vec, if this is a blob entry and nobody else holds a reference.
    pub(crate) fn blob_mut<'a>(self, kind: Kind) -> Option<&'a mut Vec<u8>> {
        if self.header() & BLOB == 0 {
            return None;
        }
        // SAFETY: BLOB is set; the caller holds the only access to the table for 'a.
        let vec = Arc::get_mut(unsafe { &mut *self.blob_pointer() })?;
        self.set_kind(kind);
        Some(vec)
    }

    fn set_kind(self, kind: Kind) {
        self.set_header(self.header() & !(0x1f << KIND_SHIFT) | (kind as u64) << KIND_SHIFT);
    }

    /// Overwrites the deadline; false if the entry has no room for one.
    pub(crate) fn set_expiry_in_place(self, expiry_ms: i64) -> bool {
        let has_field = self.header() & EXPIRY != 0;
        if has_field {
            // SAFETY: the field exists exactly when EXPIRY is set.
            unsafe { self.expiry_pointer().write(expiry_ms) };
        }
        has_field
    }

    /// A new entry with what this one remembers, under another key, value or deadline. This one is left as it is.
    pub(crate) fn rebuilt(
        self,
        key: &[u8],
        value: NewValue<'_>,
        kind: Kind,
        expiry_ms: Option<i64>,
    ) -> RawEntry {
        let new = RawEntry::new(Parts { key, value, kind, expiry_ms, prefix: 0, stamp: 0 });
        new.set_header(new.header() & !INHERITED | self.header() & INHERITED);
        new
    }

    /// A copy of this entry under `key`, but for the name; the bytes of a short value are copied, a blob is shared.
    pub(crate) fn duplicate(self, key: &[u8]) -> RawEntry {
        self.rebuilt(key, self.shared_value(), EntryRef::new(self).kind(), self.expiry_ms())
    }

    /// The value for another entry: a short one's bytes, a blob by reference.
    pub(crate) fn shared_value<'a>(self) -> NewValue<'a> {
        match EntryRef::new(self).value() {
            Value::Inline(bytes) => NewValue::Bytes(bytes),
            Value::Shared(blob) => NewValue::Blob(blob.clone()),
        }
    }

    /// Records an access: `second` is the clock's second modulo 2^16; `random` decides whether the Morris counter
    /// steps (R. Morris, "Counting large numbers of events in small registers", 1978: step n happens with
    /// probability 2^-n). Each `decay_seconds` since the last access (0 = never) take one step back.
    #[inline(always)]
    pub(crate) fn touch(self, second: u16, random: u32, decay_seconds: u16) {
        let header = self.header();
        let mut frequency = header >> FREQUENCY_SHIFT & FREQUENCY_MAX;
        let stamp = (header >> STAMP_SHIFT) as u16;
        let idle_seconds = idle_seconds(second, stamp);
        if idle_seconds >= decay_seconds
            && let Some(periods) = idle_seconds.checked_div(decay_seconds)
        {
            frequency = frequency.saturating_sub(u64::from(periods));
        }
        let steps = frequency < FREQUENCY_MAX && random & ((1 << frequency) - 1) == 0;
        if !steps && stamp == second {
            return;
        }
        let kept = header & !(0xffff << STAMP_SHIFT | FREQUENCY_MAX << FREQUENCY_SHIFT);
        let stamped = kept | u64::from(second) << STAMP_SHIFT;
        self.set_header(stamped | (frequency + u64::from(steps)) << FREQUENCY_SHIFT);
    }

    pub(crate) fn set_stamp(self, second: u16) {
        self.set_header(self.header() & !(0xffff << STAMP_SHIFT) | u64::from(second) << STAMP_SHIFT);
    }

    pub(crate) fn set_prefix(self, prefix: u16) {
        self.set_header(self.header() & !(0xffff << PREFIX_SHIFT) | u64::from(prefix) << PREFIX_SHIFT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &[u8], value: &[u8], expiry_ms: Option<i64>) -> RawEntry {
        let kind = Kind::StringRaw;
        RawEntry::new(Parts { key, value: NewValue::Bytes(value), kind, expiry_ms, prefix: 7, stamp: 9 })
    }

    #[test]
    fn what_goes_in_comes_out_for_every_layout() {
        for key_bytes in [0, 1, 7, 127, 128, 70_000] {
            for value_bytes in
                [0, 1, 44, 1023, 1024, INLINE_VALUE_BYTES_MAX, INLINE_VALUE_BYTES_MAX + 1, 100_000]
            {
                for expiry_ms in [None, Some(0), Some(i64::MAX)] {
                    let (key, value) = (vec![b'k'; key_bytes], vec![b'v'; value_bytes]);
                    let raw = entry(&key, &value, expiry_ms);
                    let read = EntryRef::new(raw);
                    assert_eq!(read.key(), key);
                    assert_eq!(read.value().bytes(), value);
                    assert_eq!(read.expiry_ms(), expiry_ms);
                    assert_eq!((read.prefix(), read.stamp(), read.kind()), (7, 9, Kind::StringRaw));
                    assert!(raw.key_equals(&key) && !raw.key_equals(b"other"));
                    assert_eq!(
                        matches!(read.value(), Value::Shared(_)),
                        value_bytes > INLINE_VALUE_BYTES_MAX
                    );
                    let copy = raw.rebuilt(b"renamed", raw.shared_value(), read.kind(), Some(5));
                    raw.free();
                    let read = EntryRef::new(copy);
                    assert_eq!((read.key(), read.value().bytes()), (&b"renamed"[..], &value[..]));
                    assert_eq!((read.expiry_ms(), read.prefix(), read.stamp()), (Some(5), 7, 9));
                    copy.free();
                }
            }
        }
    }

    #[test]
    fn a_short_entry_costs_eight_bytes_beside_its_data_and_the_rounding() {
        let plain = entry(&[b'k'; 16], &[b'v'; 40], None);
        let with_expiry = entry(&[b'k'; 16], &[b'v'; 32], Some(1));
        assert_eq!(EntryRef::new(plain).memory_bytes(), 64);
        assert_eq!(EntryRef::new(with_expiry).memory_bytes(), 64);
        plain.free();
        with_expiry.free();
    }

    #[test]
    fn overwriting_stays_in_place_only_within_the_size_class() {
        let raw = entry(b"key", b"12345", None);
        raw.room_for_short(1).expect("room").fill(b"1", Kind::StringInt);
        assert_eq!(EntryRef::new(raw).value().bytes(), b"1");
        assert_eq!(EntryRef::new(raw).kind(), Kind::StringInt);
        assert!(raw.room_for_short(100).is_none() && raw.room_for(100).is_none());
        raw.room_for(0).expect("room").fill(b"", Kind::StringEmbedded);
        assert_eq!(EntryRef::new(raw).value_bytes(), 0);
        raw.free();
    }

    #[test]
    fn a_blob_that_a_reply_holds_is_not_changed_under_it() {
        let raw = entry(b"key", &vec![b'a'; 20_000], None);
        let Value::Shared(held) = EntryRef::new(raw).value() else { panic!("a blob") };
        let held = held.clone();
        assert!(raw.blob_mut(Kind::StringRaw).is_none());
        drop(held);
        raw.blob_mut(Kind::StringRaw).expect("unique")[0] = b'b';
        assert_eq!(EntryRef::new(raw).value().bytes()[0], b'b');
        raw.free();
    }

    #[test]
    fn a_value_of_several_kibibytes_changes_its_length_in_place_within_the_size_class() {
        let raw = entry(b"key", &[b'a'; 4000], None);
        let value = raw.room_for(4050).expect("room in the class of 4096 bytes").resize(Kind::StringRaw);
        assert!(
            value[..4000].iter().all(|&byte| byte == b'a') && value[4000..].iter().all(|&byte| byte == 0)
        );
        assert!(raw.room_for(4200).is_none());
        assert_eq!(EntryRef::new(raw).value_bytes(), 4050);
        raw.room_for(3900).expect("room").fill(&[b'b'; 3900], Kind::StringRaw);
        assert_eq!(EntryRef::new(raw).value().bytes(), [b'b'; 3900]);
        assert!(raw.room_for(5).is_none());
        raw.free();
        let short = entry(b"key", b"ab", None);
        assert_eq!(short.room_for(4).expect("16 bytes").resize(Kind::StringRaw), b"ab\0\0");
        short.room_for(1).expect("16 bytes").resize(Kind::StringRaw);
        assert_eq!(short.room_for(3).expect("16 bytes").resize(Kind::StringRaw), b"a\0\0");
        short.free();
    }

    #[test]
    fn sizes_above_four_gibibytes_are_not_cut() {
        let value_bytes = 5 << 30;
        let beyond = Beyond { key_bytes: 3, value_bytes, capacity_bytes: 6 << 30 };
        let outline = Outline { header: BLOB | 3 << KEY_SHIFT, beyond };
        let footprint = outline.footprint();
        assert_eq!((footprint.value_bytes, footprint.total_bytes), (5 << 30, (6 << 30) + 32 + 48));
        let longer = Beyond { value_bytes: value_bytes + (1 << 32), ..beyond };
        let longer = Outline { beyond: longer, ..outline };
        assert!(!outline.has_size_of(&longer));
    }

    #[test]
    fn size_classes_are_jemallocs() {
        let classes =
            [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 16384, 20480];
        for pair in classes[..18].windows(2) {
            assert_eq!(size_class(pair[0] + 1), pair[1]);
            assert_eq!(size_class(pair[1]), pair[1]);
        }
        assert_eq!((size_class(16_384), size_class(16_385)), (classes[18], classes[19]));
    }

    #[test]
    fn touching_counts_logarithmically_and_stamps() {
        let raw = entry(b"key", b"", None);
        raw.touch(77, 0, 0);
        assert_eq!((EntryRef::new(raw).frequency(), EntryRef::new(raw).stamp()), (2, 77));
        raw.touch(77, 0b01, 0);
        assert_eq!(EntryRef::new(raw).frequency(), 2, "a step from 2 needs two zero bits");
        for _ in 0..100 {
            raw.touch(78, 0, 0);
        }
        assert_eq!(EntryRef::new(raw).frequency(), 15);
        assert_eq!(EntryRef::new(raw).prefix(), 7, "the counter does not overflow into its neighbours");
        raw.touch(78 + 30, u32::MAX, 10);
        assert_eq!(EntryRef::new(raw).frequency(), 12, "three idle periods of ten seconds");
        assert_eq!(EntryRef::new(raw).idle_seconds(110), 2);
        raw.touch(107, u32::MAX, 10);
        assert_eq!(EntryRef::new(raw).frequency(), 12, "a clock one second behind is no idle time");
        assert_eq!(EntryRef::new(raw).idle_seconds(106), 0);
        raw.free();
    }
}
