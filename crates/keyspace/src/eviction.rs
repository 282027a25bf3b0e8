//! Eviction: which key goes when memory is full. Sampled, as Redis does it, so its cost does not depend on the number
//! of keys.
//!
//! It does not decide when: dispatch's `admit` compares used memory with `maxmemory` and asks for one key at a time.
//!
//! A step looks at one bucket (up to 9 entries that share cache lines) per five of `maxmemory-samples`, keeps the best
//! candidates of past steps in a pool of 16, and removes the best one that is still there. With a pool the result is
//! close to the true order although few keys are looked at (Redis documentation, "Key eviction").
//!
//! Invariants: (1) a step takes at most `STEP_TRIES` stripes' locks, one at a time; (2) a volatile policy never
//! removes a key without a deadline, even if it lost its deadline since it was sampled.
//!
//! Thread safety: one `Evictor` per worker.

use crate::database::{Database, Databases, STRIPES};
use crate::journal::{Journal, Removal};
use crate::stripe::Key;
use crate::{EntryRef, Locked};
use smallvec::SmallVec;
use std::time::Duration;

const POOL_MAX: usize = 16;
/// Random stripes tried for one that has something to evict, before the database is walked for one.
const STEP_TRIES: usize = 8;
/// Buckets tried inside a stripe.
const BUCKET_TRIES: usize = 8;

/// `maxmemory-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    NoEviction,
    AllKeysLru,
    AllKeysLfu,
    AllKeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

impl Policy {
    fn only_expiring(self) -> bool {
        matches!(
            self,
            Policy::VolatileLru | Policy::VolatileLfu | Policy::VolatileRandom | Policy::VolatileTtl
        )
    }

    /// How much an entry deserves to go: the highest goes first.
    fn score(self, entry: &EntryRef<'_>, journal: &mut Journal) -> u64 {
        let idle_seconds = u64::from(journal.second().wrapping_sub(entry.stamp()));
        match self {
            Policy::NoEviction => 0,
            Policy::AllKeysLru | Policy::VolatileLru => idle_seconds,
            Policy::AllKeysLfu | Policy::VolatileLfu => {
                let periods = idle_seconds.checked_div(u64::from(journal.decay_seconds)).unwrap_or(0);
                let frequency = u64::from(entry.frequency()).saturating_sub(periods);
                (15 - frequency) << 16 | idle_seconds
            }
            Policy::AllKeysRandom | Policy::VolatileRandom => journal.random(),
            Policy::VolatileTtl => u64::MAX - entry.expiry_ms().unwrap_or(i64::MAX).max(0) as u64,
        }
    }
}

struct Candidate {
    database: usize,
    hash: u64,
    key: SmallVec<[u8; 40]>,
    score: u64,
}

/// See the module's text.
#[derive(Default)]
pub struct Evictor {
    /// Ascending by score: the best candidate is last.
    pool: Vec<Candidate>,
}

impl Evictor {
    /// Removes one key. None when the policy finds nothing to remove.
    pub fn evict_one(
        &mut self,
        databases: &Databases,
        policy: Policy,
        samples: usize,
        journal: &mut Journal,
    ) -> Option<()> {
        if policy == Policy::NoEviction {
            return None;
        }
        for _ in 0..samples.div_ceil(5).max(1) {
            self.sample(databases, policy, journal);
        }
        // A candidate may have gone since; then the next best is tried, and a last time with fresh samples.
        for _ in 0..2 {
            while let Some(candidate) = self.pool.pop() {
                if remove(databases, &candidate, policy, journal) {
                    return Some(());
                }
            }
            self.sample(databases, policy, journal);
        }
        None
    }

    /// Forgets the candidates, which were judged by another policy.
    pub fn reset(&mut self) {
        self.pool.clear();
    }

    fn sample(&mut self, databases: &Databases, policy: Policy, journal: &mut Journal) {
        let Some((number, database)) = random_database(databases, policy, journal) else { return };
        let Some(locked) = random_stripe(database, policy, journal) else { return };
        let random = journal.random();
        locked.sample(random, policy.only_expiring(), BUCKET_TRIES, |entry| {
            if !policy.only_expiring() || entry.expiry_ms().is_some() {
                let score = policy.score(&entry, journal);
                self.offer(number, &entry, score, journal);
            }
        });
    }

    fn offer(&mut self, database: usize, entry: &EntryRef<'_>, score: u64, journal: &Journal) {
        if self.pool.len() == POOL_MAX && self.pool.first().is_some_and(|worst| worst.score >= score) {
            return;
        }
        let hash = journal.hasher.hash(entry.key());
        self.pool.retain(|known| known.hash != hash || known.database != database);
        if self.pool.len() == POOL_MAX {
            self.pool.remove(0);
        }
        let at = self.pool.partition_point(|known| known.score <= score);
        self.pool.insert(at, Candidate { database, hash, key: SmallVec::from_slice(entry.key()), score });
    }
}

fn remove(databases: &Databases, candidate: &Candidate, policy: Policy, journal: &mut Journal) -> bool {
    let Some(database) = databases.existing(candidate.database) else { return false };
    let key = Key { bytes: &candidate.key, hash: candidate.hash };
    let Some(mut locked) = database.lock(crate::hash::stripe_of(key.hash), None) else { return false };
    let evictable =
        locked.look(key, journal).is_some_and(|entry| !policy.only_expiring() || entry.expiry_ms().is_some());
    evictable && locked.remove(key, Removal::Evicted, journal)
}

/// A database with something to evict, chosen by its number of keys.
fn random_database<'a>(
    databases: &'a Databases,
    policy: Policy,
    journal: &mut Journal,
) -> Option<(usize, &'a Database)> {
    let weigh =
        |database: &Database| if policy.only_expiring() { database.expiring() } else { database.len() };
    let mut used = databases.iter();
    let first = used.next()?;
    if used.next().is_none() {
        return Some(first);
    }
    let weights: SmallVec<[usize; 16]> = databases.iter().map(|(_, database)| weigh(database)).collect();
    let total: usize = weights.iter().sum();
    let mut rank = if total == 0 { return None } else { journal.random() as usize % total };
    for ((number, database), weight) in databases.iter().zip(weights) {
        if rank < weight {
            return Some((number, database));
        }
        rank -= weight;
    }
    None
}

fn random_stripe<'a>(database: &'a Database, policy: Policy, journal: &mut Journal) -> Option<Locked<'a>> {
    let has_some = |stripe: usize| {
        let weight = if policy.only_expiring() { Database::stripe_expiring } else { Database::stripe_len };
        weight(database, stripe) > 0
    };
    for _ in 0..STEP_TRIES {
        let stripe = journal.random() as usize % STRIPES;
        if has_some(stripe)
            && let Some(locked) = database.lock(stripe, Some(Duration::ZERO))
        {
            return Some(locked);
        }
    }
    let start = journal.random() as usize % STRIPES;
    let stripe = (0..STRIPES).map(|step| (start + step) % STRIPES).find(|&stripe| has_some(stripe))?;
    database.lock(stripe, None)
}
