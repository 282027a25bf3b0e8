//! What a worker brings to the keyspace and takes away from it: the time, the hash function, and a record of what
//! its operations changed.
//!
//! It is not a log of commands: nothing can be replayed from it. Dispatch drains it after each command into the
//! observers, so that the keyspace itself needs to know none of them.
//!
//! Thread safety: one per worker; never shared.

use crate::entry::Kind;
use crate::hash::KeyHasher;
use crate::tickets::{Tickets, Unit};
use std::sync::Arc;

/// Changes the journal keeps room for between commands; what a command of very many keys needed beyond is given back.
const CHANGES_KEPT: usize = 1024;
/// As [`CHANGES_KEPT`], for the names.
const NAME_BYTES_KEPT: usize = 16 * 1024;

/// What an entry is and weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Type and encoding.
    pub kind: Kind,
    /// 1 for a string.
    pub elements: u64,
    pub value_bytes: u64,
    /// Key, value, header and the allocator's rounding.
    pub total_bytes: u64,
}

/// What happened to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub hash: u64,
    pub database: u32,
    /// The prefix node the entry is counted under.
    pub prefix: u16,
    pub event: Event,
    pub key_bytes: u32,
    /// Where the key lies among the journal's names, see [`Journal::name`].
    pub(crate) name_at: usize,
    /// None for a key that is new (what Redis's notifications call "new").
    pub before: Option<Footprint>,
    /// None for a key that is gone.
    pub after: Option<Footprint>,
}

/// Why a key changed, in the words of Redis's keyspace notifications
/// (<https://redis.io/docs/latest/develop/use/keyspace-notifications/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Set,
    /// A value and a deadline at once.
    SetExpire,
    SetRange,
    Append,
    IncrBy,
    IncrByFloat,
    Del,
    Expire,
    Persist,
    RenameFrom,
    RenameTo,
    CopyTo,
    MoveFrom,
    MoveTo,
    Expired,
    Evicted,
}

impl Event {
    /// Whether no command asked for it.
    pub fn is_by_itself(self) -> bool {
        matches!(self, Event::Expired | Event::Evicted)
    }

    /// The notifications it stands for, in their order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Event::Set => &["set"],
            Event::SetExpire => &["set", "expire"],
            Event::SetRange => &["setrange"],
            Event::Append => &["append"],
            Event::IncrBy => &["incrby"],
            Event::IncrByFloat => &["incrbyfloat"],
            Event::Del => &["del"],
            Event::Expire => &["expire"],
            Event::Persist => &["persist"],
            Event::RenameFrom => &["rename_from"],
            Event::RenameTo => &["rename_to"],
            Event::CopyTo => &["copy_to"],
            Event::MoveFrom => &["move_from"],
            Event::MoveTo => &["move_to"],
            Event::Expired => &["expired"],
            Event::Evicted => &["evicted"],
        }
    }
}

/// Which changes a journal keeps; each step includes those before. What nobody asked for costs a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    Nothing,
    /// Keys that come, go or change their size: what the observers add up.
    Sizes,
    /// Also writes that leave the size as it was.
    All,
    /// And the keys' bytes. They are copied, because a change outlives its entry and, for expiry and eviction, the lock.
    Names,
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
    pub wanted: Wanted,
    /// Since the last [`Journal::forget_changes`]; see the invariants of `stripe::write` for how often a key is told.
    pub changes: Vec<Change>,
    names: Vec<u8>,
    /// The unit under way, if somebody replays changes.
    pub unit: Option<Box<Unit>>,
    /// A key found past its deadline is left where it is, and only taken for absent: there is no room to tell that it went.
    /// Only for reads.
    pub keeps_dead: bool,
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
            wanted: Wanted::Sizes,
            changes: Vec::with_capacity(64),
            names: Vec::new(),
            unit: None,
            keeps_dead: false,
            writes: 0,
            expired_keys: 0,
            evicted_keys: 0,
            second: 0,
            random: seed | 1,
            dice: seed,
        }
    }

    /// From now on every change has a ticket.
    pub fn number_changes(&mut self, tickets: Arc<Tickets>) {
        self.unit = Some(Box::new(Unit::new(tickets)));
        self.wanted = self.wanted.max(Wanted::All);
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

    /// Keeps a change of the key `name`, if it is wanted.
    pub(crate) fn tell(&mut self, change: Change, name: &[u8]) {
        if self.wanted == Wanted::Nothing {
            return;
        }
        let name_at = self.names.len();
        if self.wanted == Wanted::Names {
            self.names.extend_from_slice(name);
        }
        self.changes.push(Change { name_at, ..change });
    }

    /// The key of one of `changes`, if names are wanted.
    pub fn name(&self, change: &Change) -> Option<&[u8]> {
        self.names.get(change.name_at..change.name_at + change.key_bytes as usize)
    }

    /// To be called when all `changes` were seen.
    pub fn forget_changes(&mut self) {
        self.changes.clear();
        self.changes.shrink_to(CHANGES_KEPT);
        self.names.clear();
        self.names.shrink_to(NAME_BYTES_KEPT);
    }

    /// Counts a key that is gone.
    #[inline]
    pub(crate) fn removed(&mut self, event: Event) {
        match event {
            Event::Expired => self.expired_keys += 1,
            Event::Evicted => self.evicted_keys += 1,
            _ => self.writes += 1,
        }
    }
}
