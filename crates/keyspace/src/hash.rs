//! The hash of a key, and which part of it decides what.
//!
//! ```text
//!  63        54 53                                   8 7        0
//!  +-----------+--------------------------------------+---------+
//!  | stripe    | position inside the stripe: segment, |   tag   |
//!  | (10 bits) | then home bucket                     |         |
//!  +-----------+--------------------------------------+---------+
//! ```
//!
//! Stripe, segment and bucket are all monotone in the hash, so "in hash order" is the order a SCAN walks in. The tag
//! overlaps the position's low bits, which only a stripe of more than 2^30 keys would use.
//!
//! Thread safety: a `KeyHasher` is immutable and shared by copy.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Bits of the hash that select the stripe.
pub const STRIPE_BITS: u32 = 10;

/// Keyed with a seed drawn at the start of the process, so that nobody can choose keys that collide.
#[derive(Clone)]
pub enum KeyHasher {
    /// foldhash: 1 ns a key; resists collisions only as long as replies' timing does not leak the seed.
    Fold(foldhash::quality::FixedState),
    /// SipHash-1-3: 6 ns a key; for keys chosen by adversaries.
    Sip(RandomState),
    /// For tests: only the bits of `mask` depend on the key.
    #[cfg(test)]
    Skewed { mask: u64, fixed: u64 },
}

impl KeyHasher {
    pub fn fold(seed: u64) -> KeyHasher {
        KeyHasher::Fold(foldhash::quality::FixedState::with_seed(seed))
    }

    pub fn sip() -> KeyHasher {
        KeyHasher::Sip(RandomState::new())
    }

    #[inline(always)]
    pub fn hash(&self, key: &[u8]) -> u64 {
        match self {
            KeyHasher::Fold(state) => {
                let mut hasher = state.build_hasher();
                hasher.write(key);
                hasher.finish()
            }
            KeyHasher::Sip(state) => {
                let mut hasher = state.build_hasher();
                hasher.write(key);
                hasher.finish()
            }
            #[cfg(test)]
            KeyHasher::Skewed { mask, fixed } => KeyHasher::fold(0).hash(key) & mask | fixed & !mask,
        }
    }
}

/// The stripe a key belongs to. The one place that decides it.
#[inline(always)]
pub fn stripe_of(hash: u64) -> usize {
    (hash >> (64 - STRIPE_BITS)) as usize
}

/// The position inside its stripe, left-aligned: comparable, and 0 is the first.
#[inline(always)]
pub(crate) fn position_of(hash: u64) -> u64 {
    hash << STRIPE_BITS
}

/// A non-zero byte that tells apart the entries of a bucket.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u8 {
    (hash as u8).max(1)
}
