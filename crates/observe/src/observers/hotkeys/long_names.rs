//! The whole names of hot keys whose names are longer than a summary keeps.
//!
//! A summary has room for [`super::key_summary::NAME_BYTES_MAX`] bytes of each name, or its bound would be that of the longest
//! name there may be. Names beyond that are rare; this is one bounded room for all of them, so that programs are told
//! whole names as long as they fit.
//!
//! It is no cache of the keyspace: a name comes in when its key is proven hot, and goes when it makes room for others.
//!
//! Invariants: (1) at most [`LONG_NAMES_MAX`] names of together [`LONG_NAMES_BYTES_MAX`] bytes; (2) what does not fit is
//! refused, never another name thrown out for it, until [`LongNames::make_room`] keeps the heaviest ones.
//!
//! Thread safety: owned by one recorder.

use std::cmp::Reverse;
use std::sync::Arc;

/// Bytes of all names together: a hundred names of a kilobyte. With more the recorder's bound would exceed 1 MiB.
pub const LONG_NAMES_BYTES_MAX: usize = 112 * 1024;
/// Names: they are searched one by one, for each long name that becomes hot.
pub const LONG_NAMES_MAX: usize = 256;

#[derive(Clone)]
struct LongName {
    hash: u64,
    /// Shared with the copies of reporters.
    bytes: Arc<[u8]>,
}

/// See the module's text.
#[derive(Clone, Default)]
pub struct LongNames {
    names: Vec<LongName>,
    bytes: usize,
}

impl LongNames {
    /// Keeps a key's whole name, if there is room and it is not known yet. `hash` is that of the key and its database.
    pub fn keep(&mut self, hash: u64, name: &[u8]) {
        let fits = self.names.len() < LONG_NAMES_MAX && name.len() <= LONG_NAMES_BYTES_MAX - self.bytes;
        if fits && self.get(hash).is_none() {
            self.bytes += name.len();
            self.names.push(LongName { hash, bytes: name.into() });
        }
    }

    /// The whole name of a key.
    pub fn get(&self, hash: u64) -> Option<&[u8]> {
        self.names.iter().find(|name| name.hash == hash).map(|name| &name.bytes[..])
    }

    /// When more than half is taken, keeps the heaviest keys' names in that half.
    pub fn make_room(&mut self, weight: impl Fn(u64) -> u64) {
        if self.bytes <= LONG_NAMES_BYTES_MAX / 2 && self.names.len() <= LONG_NAMES_MAX / 2 {
            return;
        }
        self.names.sort_by_cached_key(|name| Reverse(weight(name.hash)));
        self.names.truncate(LONG_NAMES_MAX / 2);
        self.bytes = 0;
        self.names.retain(|name| {
            let fits = name.bytes.len() <= LONG_NAMES_BYTES_MAX / 2 - self.bytes;
            self.bytes += if fits { name.bytes.len() } else { 0 };
            fits
        });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.names.capacity() * size_of::<LongName>()
    }

    /// The bound of [`LongNames::memory_bytes`]: the list may have twice the room it needs.
    pub const fn memory_bytes_max() -> usize {
        LONG_NAMES_BYTES_MAX + 2 * LONG_NAMES_MAX * size_of::<LongName>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_whole_within_the_bounds() {
        let mut names = LongNames::default();
        names.keep(1, &[b'a'; 1000]);
        names.keep(1, &[b'b'; 1000]);
        assert_eq!(names.get(1), Some(&[b'a'; 1000][..]), "the first one stays");
        names.keep(2, &vec![b'c'; LONG_NAMES_BYTES_MAX]);
        assert_eq!(names.get(2), None, "there is no room for it");
        names.keep(3, &vec![b'c'; LONG_NAMES_BYTES_MAX - 1000]);
        assert!(names.get(3).is_some());
        let mut many = LongNames::default();
        (0..1000).for_each(|hash| many.keep(hash, &[b'x'; 129]));
        assert!(many.get(255).is_some() && many.get(256).is_none());
        assert!(many.memory_bytes() <= LongNames::memory_bytes_max());
    }

    #[test]
    fn the_heaviest_stay_when_room_is_made() {
        let mut names = LongNames::default();
        let fit = LONG_NAMES_BYTES_MAX as u64 / 1024;
        (0..fit).for_each(|hash| names.keep(hash, &[b'x'; 1024]));
        names.make_room(|hash| hash);
        let kept: Vec<u64> = (0..fit).filter(|&hash| names.get(hash).is_some()).collect();
        assert_eq!(kept, (fit / 2..fit).collect::<Vec<u64>>());
        names.keep(1_000, &[b'y'; LONG_NAMES_BYTES_MAX / 2]);
        assert!(names.get(1_000).is_some());
        let mut few = LongNames::default();
        few.keep(1, &[b'x'; 200]);
        few.make_room(|_| 0);
        assert!(few.get(1).is_some(), "there was room");
    }
}
