//! What a worker brings to the keyspace and takes away from it: the time, the hash function, and a record of what
//! its operations changed.
//!
//! It is not a log of commands: nothing can be replayed from it. Dispatch drains it after each command into the
//! observers, so that the keyspace itself needs to know none of them.
//!
//! Thread safety: one per worker; never shared.

use crate::entry::EntryRef;
use crate::hash::KeyHasher;

/// Changes the journal keeps room for between commands; what a command of very many keys needed beyond is given back.
pub const CHANGES_KEPT: usize = 1024;

/// What an entry weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Footprint {
    pub value_bytes: u32,
    /// Key, value, header and the allocator's rounding.
    pub total_bytes: u32,
}

/// One entry that came, went or changed its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The prefix node the entry is counted under.
    pub prefix: u16,
    pub key_bytes: u32,
    pub before: Option<Footprint>,
    pub after: Option<Footprint>,
    /// Why the entry went, if it went by itself or by a command; None when another took its place.
    pub removal: Option<Removal>,
}

/// Why an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Deleted,
    Expired,
    Evicted,
}

/// See the module's text.
pub struct Journal {
    pub hasher: KeyHasher,
    /// Whose it is, as latches know workers.
    pub worker: u8,
    /// Milliseconds of the keyspace's monotonic clock, the same for all of one batch.
    pub now_ms: i64,
    /// Halving period of the access counters in seconds, 0 = never.
    pub decay_seconds: u16,
    /// Whether `changes` are wanted.
    pub record_changes: bool,
    /// Since the last drain; at most one per key that one command touched.
    pub changes: Vec<Change>,
    /// Modifications, as INFO's rdb_changes_since_last_save counts them.
    pub writes: u64,
    pub expired_keys: u64,
    pub evicted_keys: u64,
    second: u16,
    random: u64,
    dice: u64,
}

impl Journal {
    pub fn new(hasher: KeyHasher, seed: u64) -> Journal {
        Journal {
            hasher,
            worker: 0,
            now_ms: 0,
            decay_seconds: 60,
            record_changes: true,
            changes: Vec::with_capacity(64),
            writes: 0,
            expired_keys: 0,
            evicted_keys: 0,
            second: 0,
            random: seed | 1,
            dice: seed,
        }
    }

    /// Sets the clock, for the operations until it is set again.
    pub fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.second = (now_ms / 1000) as u16;
    }

    /// The clock's second modulo 2^16, the unit of an entry's stamp.
    #[inline(always)]
    pub fn second(&self) -> u16 {
        self.second
    }

    /// 32 bits for an access counter: a linear congruential step (Knuth's MMIX constants), cheaper than `random` on
    /// a path where every read passes.
    #[inline(always)]
    pub(crate) fn dice(&mut self) -> u32 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 32) as u32
    }

    /// A pseudo-random number (xorshift64*, S. Vigna 2016): good enough to sample with, not to hide secrets with.
    #[inline(always)]
    pub fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[inline]
    pub(crate) fn changed(&mut self, of: &EntryRef<'_>, before: Option<Footprint>, after: Option<Footprint>) {
        if self.record_changes && before != after {
            let key_bytes = of.key().len() as u32;
            self.changes.push(Change { prefix: of.prefix(), key_bytes, before, after, removal: None });
        }
    }

    pub(crate) fn removed(&mut self, entry: &EntryRef<'_>, why: Removal) {
        self.changed(entry, Some(footprint(entry)), None);
        if let (true, Some(change)) = (self.record_changes, self.changes.last_mut()) {
            change.removal = Some(why);
        }
        match why {
            Removal::Deleted => self.writes += 1,
            Removal::Expired => self.expired_keys += 1,
            Removal::Evicted => self.evicted_keys += 1,
        }
    }
}

pub(crate) fn footprint(entry: &EntryRef<'_>) -> Footprint {
    let total_bytes = u32::try_from(entry.memory_bytes()).unwrap_or(u32::MAX);
    Footprint { value_bytes: entry.value_bytes() as u32, total_bytes }
}
