//! A copy of a large string that is made in slices, for an edit that would otherwise copy all of it at once: because
//! somebody holds the value, or because its allocation has no room for what is added.
//!
//! Not the edit: that is `part`. Small values are copied by whoever edits them.
//!
//! Invariant: nobody changes the string meanwhile; dispatch has pinned its key.
//!
//! Thread safety: belongs to one request.

use engine::spec::Slice;
use keyspace::{Blob, Value};
use std::sync::Arc;

/// Bytes of a slice: one to two tenths of a millisecond, the pages of the copy included.
pub(super) const SLICE_BYTES: usize = 1 << 20;
/// A copy has room for this share of its length to grow, as an edit would give it.
const SPARE_DIVISOR: usize = 8;

/// See the module's text.
pub(super) struct Copying {
    from: Blob,
    to: Vec<u8>,
    done: usize,
    /// Length that the copy is to have: zeros follow what is copied.
    len: usize,
}

impl Copying {
    /// The copy that is to be made before `value` is written to from `offset` to `end`; none if that copies little.
    pub(super) fn needed(value: &Value<'_>, offset: usize, end: usize) -> Option<Copying> {
        let Value::Shared(blob) = value else { return None };
        let has_room = end <= blob.capacity() && Arc::strong_count(blob) == 1;
        if blob.len() <= SLICE_BYTES || has_room {
            return None;
        }
        let len = blob.len().max(offset);
        let room = end.max(len);
        // From the system, which gives zero pages only when they are touched.
        let to = vec![0; room + room / SPARE_DIVISOR];
        Some(Copying { from: Arc::clone(blob), to, done: 0, len })
    }

    pub(super) fn is_done(&self) -> bool {
        self.done == self.from.len()
    }

    /// Copies a slice.
    pub(super) fn step(&mut self) -> Slice {
        let end = self.from.len().min(self.done + SLICE_BYTES);
        self.to[self.done..end].copy_from_slice(&self.from[self.done..end]);
        self.done = end;
        if self.is_done() { Slice::Last } else { Slice::Again }
    }

    /// The copy, if it is of this value.
    pub(super) fn finish(mut self, value: &Value<'_>) -> Option<Vec<u8>> {
        self.to.truncate(self.len);
        matches!(value, Value::Shared(blob) if Arc::ptr_eq(blob, &self.from)).then_some(self.to)
    }
}
