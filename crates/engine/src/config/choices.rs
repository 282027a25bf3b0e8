//! The values of directives that are one of some words, as types: each with its words, which the directive's literal
//! names.
//!
//! Invariant: a type's words and its values are in the same order, which is the order that an error lists them in.
//!
//! Thread safety: constants.

use super::typed::{Shape, Value};
use keyspace::eviction::Policy;
use observe::spec::Observer;

/// The value at the position that the slot holds.
fn chosen<T: Copy>(values: &[T], word: impl Fn(usize) -> u64) -> T {
    values[word(0) as usize]
}

/// The words of `maxmemory-policy`.
pub(super) const POLICIES: &[&str] = &[
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
];

impl Value for Policy {
    const SHAPE: Shape = Shape::Words(POLICIES);
    fn of(word: impl Fn(usize) -> u64) -> Policy {
        const VALUES: [Policy; POLICIES.len()] = [
            Policy::VolatileLru,
            Policy::VolatileLfu,
            Policy::VolatileRandom,
            Policy::VolatileTtl,
            Policy::AllKeysLru,
            Policy::AllKeysLfu,
            Policy::AllKeysRandom,
            Policy::NoEviction,
        ];
        chosen(&VALUES, word)
    }
}

/// Who may use something dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    NoOne,
    Everyone,
    /// Clients on this machine: loopback addresses and unix sockets.
    Local,
}

impl Access {
    pub(super) const WORDS: &[&str] = &["no", "yes", "local"];

    /// Whether a client may, given whether it is on this machine.
    pub fn allows(self, is_local: bool) -> bool {
        match self {
            Access::NoOne => false,
            Access::Everyone => true,
            Access::Local => is_local,
        }
    }
}

impl Value for Access {
    const SHAPE: Shape = Shape::Words(Access::WORDS);
    fn of(word: impl Fn(usize) -> u64) -> Access {
        const VALUES: [Access; Access::WORDS.len()] = [Access::NoOne, Access::Everyone, Access::Local];
        chosen(&VALUES, word)
    }
}

/// Which hash the keyspace uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    Foldhash,
    Siphash,
}

impl HashFunction {
    pub(super) const WORDS: &[&str] = &["foldhash", "siphash"];
}

impl Value for HashFunction {
    const SHAPE: Shape = Shape::Words(HashFunction::WORDS);
    fn of(word: impl Fn(usize) -> u64) -> HashFunction {
        const VALUES: [HashFunction; HashFunction::WORDS.len()] =
            [HashFunction::Foldhash, HashFunction::Siphash];
        chosen(&VALUES, word)
    }
}

/// The observers that are switched on; empty when `profiling` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observers(u64);

const _: () = assert!(Observer::COUNT <= Observers::MASTER as usize, "one bit is `profiling` itself");

impl Observers {
    /// The bit of `profiling` itself, in the word of the others so that one load answers for all.
    pub(super) const MASTER: u8 = 63;

    /// Whether nothing at all is to be recorded.
    pub fn is_off(self) -> bool {
        self.0 == 0
    }
    /// Each observer's switch is the bit of its number.
    pub fn is_on(self, observer: Observer) -> bool {
        self.0 & 1 << observer.index() != 0
    }
}

impl Value for Observers {
    const SHAPE: Shape = Shape::Switches;
    fn of(word: impl Fn(usize) -> u64) -> Observers {
        let (bits, master) = (word(0), 1 << Observers::MASTER);
        Observers(if bits & master != 0 { bits & !master } else { 0 })
    }
}
