//! Edits: a value is changed where it lies, in an entry that moves only when it has to.
//!
//! It does not know types: a [`Shape`] says what the bytes of a value mean to who changes it. Writing what is no more than
//! a whole new value is `write`'s `store`.
//!
//! Invariants: (1) an edit that changed nothing is no write; (2) a value that somebody outside holds a reference of is
//! copied, not changed under them; (3) after an edit the table holds the edited entry, or none if the value is empty and
//! its shape says that this means absent.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use super::{Contents, Key};
use crate::entry::{EntryRef, INLINE_VALUE_BYTES_MAX, Kind, NewValue, Parts, RawEntry};
use crate::journal::{Event, Journal};
use smallvec::SmallVec;
use std::sync::Arc;

/// A large value doubles when it grows, by at most this much ...
const DOUBLING_BYTES_MAX: usize = 1 << 20;
/// ... and above that by an eighth: still O(1) amortised, with 12.5 % of unused room instead of 100 %.
const SPARE_DIVISOR: usize = 8;
/// A longer gap is not filled with zeros byte by byte: it takes pages of them.
const GAP_BYTES_MAX: usize = 64 << 10;
/// Small results are put together on the stack.
const STACK_BYTES: usize = 512;

/// What an edit does about a key that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The value starts empty.
    Create,
    /// There is nothing to edit.
    Leave,
}

/// What a value's bytes mean to who edits it.
pub trait Shape {
    /// The kind of a value that starts empty.
    const KIND: Kind;
    /// Whether an empty value is none: then the key goes.
    const EMPTY_IS_ABSENT: bool;

    fn open(entry: EntryMut) -> Self;

    /// Gives the entry back, with everything written to it.
    fn close(self) -> EntryMut;
}

/// An entry that is being edited. It may be moved to another allocation meanwhile.
pub struct EntryMut {
    raw: RawEntry,
    /// The table's entry, which stays as it is once `raw` is another one.
    in_table: Option<RawEntry>,
    is_changed: bool,
}

impl EntryMut {
    pub fn value_bytes(&self) -> usize {
        EntryRef::new(self.raw).value_bytes()
    }

    /// Writes `part` at `offset`, filling a gap with zeros; the value is of `kind` afterwards. In place where the
    /// allocation has the room; a large value grows with room to spare, so that appending in a loop is O(1) amortised.
    pub fn write_at(&mut self, offset: usize, part: &[u8], kind: Kind) {
        self.is_changed = true;
        if let Some(value) = self.raw.blob_mut(kind) {
            grow(value, offset, part);
            return;
        }
        let value_bytes = self.value_bytes().max(offset + part.len());
        if let Some(room) = self.raw.room_for(value_bytes) {
            let value = room.resize(kind);
            value[offset..offset + part.len()].copy_from_slice(part);
            return;
        }
        let old = EntryRef::new(self.raw).value();
        if value_bytes > INLINE_VALUE_BYTES_MAX {
            let capacity = value_bytes + value_bytes / SPARE_DIVISOR;
            let mut value = if offset > old.bytes().len() + GAP_BYTES_MAX {
                zeros_after(old.bytes(), offset, capacity)
            } else {
                let mut value = Vec::with_capacity(capacity);
                value.extend_from_slice(old.bytes());
                value
            };
            grow(&mut value, offset, part);
            self.move_to(NewValue::Blob(Arc::new(value)), kind);
            return;
        }
        let mut value: SmallVec<[u8; STACK_BYTES]> = SmallVec::with_capacity(value_bytes);
        value.extend_from_slice(old.bytes());
        value.resize(value_bytes, 0);
        value[offset..offset + part.len()].copy_from_slice(part);
        self.move_to(NewValue::Bytes(&value), kind);
    }

    fn move_to(&mut self, value: NewValue<'_>, kind: Kind) {
        let old = self.raw;
        self.raw = old.rebuilt(old.key(), value, kind, old.expiry_ms());
        if self.in_table != Some(old) {
            old.free();
        }
    }
}

/// A string as bytes that are written to.
pub struct Text(EntryMut);

impl Shape for Text {
    const KIND: Kind = Kind::StringRaw;
    const EMPTY_IS_ABSENT: bool = false;

    fn open(entry: EntryMut) -> Text {
        Text(entry)
    }

    fn close(self) -> EntryMut {
        self.0
    }
}

impl Text {
    /// See [`EntryMut::write_at`].
    pub fn write_at(&mut self, offset: usize, part: &[u8]) {
        self.0.write_at(offset, part, Kind::StringRaw);
    }

    /// Goes on with a copy of the value, made before, that nobody else holds and that has the room that is needed.
    pub fn continue_with(&mut self, copy: Vec<u8>) {
        self.0.is_changed = true;
        self.0.move_to(NewValue::Blob(Arc::new(copy)), Kind::StringRaw);
    }
}

impl Contents {
    /// Lets `change` edit the value of `key`; None if there is none and that is to be left so. `prefix` is asked for the
    /// node of a key that is new.
    pub fn edit<S: Shape, R>(
        &mut self,
        key: Key<'_>,
        missing: Missing,
        event: Event,
        journal: &mut Journal,
        prefix: impl FnOnce(&[u8]) -> u16,
        change: impl FnOnce(&mut S) -> R,
    ) -> Option<R> {
        let Some(place) = self.live(key, journal) else {
            if missing == Missing::Leave {
                return None;
            }
            let (prefix, stamp) = (prefix(key.bytes), journal.second());
            let value = NewValue::Bytes(b"");
            let empty = Parts { key: key.bytes, value, kind: S::KIND, expiry_ms: None, prefix, stamp };
            let (entry, result) = run(RawEntry::new(empty), None, change);
            if !entry.is_changed || S::EMPTY_IS_ABSENT && entry.value_bytes() == 0 {
                entry.raw.free();
            } else {
                self.insert(key, entry.raw, event, journal);
            }
            return Some(result);
        };
        let old = place.entry();
        let write = self.ledger.begin_write(Some(old), event);
        old.touch(journal.second(), journal.dice(), journal.decay_seconds);
        let (entry, result) = run(old, Some(old), change);
        if entry.raw != old {
            self.table.replace(place, entry.raw).free();
        }
        if entry.is_changed && S::EMPTY_IS_ABSENT && entry.value_bytes() == 0 {
            let emptied = self.table.remove(place, key.hash, &journal.hasher);
            self.ledger.end_write(write, key, None, journal);
            emptied.free();
        } else if entry.is_changed {
            self.ledger.end_write(write, key, Some(entry.raw), journal);
        }
        Some(result)
    }
}

fn run<S: Shape, R>(
    raw: RawEntry,
    in_table: Option<RawEntry>,
    change: impl FnOnce(&mut S) -> R,
) -> (EntryMut, R) {
    let mut shape = S::open(EntryMut { raw, in_table, is_changed: false });
    let result = change(&mut shape);
    (shape.close(), result)
}

/// `start`, then zeros up to `len`. They come from the allocator, which has them from the kernel: nothing is written, and
/// no page of them takes memory until somebody looks at it.
fn zeros_after(start: &[u8], len: usize, capacity: usize) -> Vec<u8> {
    let mut value = vec![0; capacity];
    value[..start.len()].copy_from_slice(start);
    value.truncate(len);
    value
}

/// Writes `part` at `offset`, growing with room to spare.
fn grow(value: &mut Vec<u8>, offset: usize, part: &[u8]) {
    let end = offset + part.len();
    if end > value.capacity() {
        let spare = end.min(DOUBLING_BYTES_MAX).max(end / SPARE_DIVISOR);
        // Worth a copy of what is there when the gap is longer; else a large allocation often grows where it is.
        if offset > 2 * value.len() + GAP_BYTES_MAX {
            *value = zeros_after(value, offset, end + spare);
        } else {
            value.reserve_exact(end + spare - value.len());
        }
    }
    if value.len() <= offset {
        value.resize(offset, 0);
        value.extend_from_slice(part);
    } else {
        let within = part.len().min(value.len() - offset);
        let (inside, beyond) = part.split_at(within);
        value[offset..offset + within].copy_from_slice(inside);
        value.extend_from_slice(beyond);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_any_length_is_zeros() {
        let lengths = [0, 1, 100, GAP_BYTES_MAX, 300_000];
        for (before, gap) in lengths.iter().flat_map(|&before| lengths.map(|gap| (before, gap))) {
            let mut value = vec![7; before];
            grow(&mut value, before + gap, b"end");
            assert_eq!(value.len(), before + gap + 3);
            let (head, tail) = value.split_at(before);
            assert!(head.iter().all(|&byte| byte == 7), "{before} {gap}");
            assert!(tail[..gap].iter().all(|&byte| byte == 0) && &tail[gap..] == b"end", "{before} {gap}");
            assert!(value.capacity() <= 2 * value.len().max(DOUBLING_BYTES_MAX));
        }
    }

    #[test]
    fn a_growing_value_is_moved_rarely() {
        let (mut value, mut moves, mut bytes) = (Vec::new(), 0, 0_usize);
        while value.len() < 64 << 20 {
            let before = value.capacity();
            let at = value.len();
            grow(&mut value, at, &[1; 1000]);
            if value.capacity() != before {
                moves += 1;
                bytes += at;
                assert!(value.capacity() <= 2 * value.len().max(DOUBLING_BYTES_MAX));
            }
        }
        assert!(moves < 64, "{moves}");
        assert!(bytes < 10 * value.len(), "{bytes} bytes moved for {}", value.len());
        assert!(value.capacity() <= value.len() + value.len() / 7);
    }
}
