//! Eviction: which key goes when memory is full. Sampled, as Redis does it, so its cost does not depend on the number
//! of keys.
//!
//! It does not decide when: dispatch's `admit` compares used memory with `maxmemory` and asks for one key at a time.
//!
//! A step looks at one bucket (up to 9 entries that share cache lines) per five of `maxmemory-samples`, keeps the best
//! candidates of past steps in a pool of 16, and removes the best one that is still there. With a pool the result is
//! close to the true order although few keys are looked at (Redis documentation, "Key eviction").
//!
//! Invariants: (1) a step holds one stripe's lock at a time; (2) a volatile policy never removes a key without a
//! deadline, even if it lost its deadline since it was sampled; (3) a key used since it was sampled is spared; (4) a
//! step finds something to remove whenever there is something, however rare.
//!
//! Thread safety: one `Evictor` per worker.

use crate::database::{Database, Databases, STRIPES};
use crate::hash::stripe_of;
use crate::journal::{Journal, Removal};
use crate::stripe::Key;
use crate::{EntryRef, Locked};
use smallvec::SmallVec;

const POOL_MAX: usize = 16;
/// Times the pool is used up and filled again before the step gives up.
const ROUNDS_MAX: usize = 4;
/// Random stripes tried for one that has something to evict, before the stripes' counters are walked for one.
const STEP_TRIES: usize = 8;
/// Random buckets tried inside a stripe, before its segments are searched.
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
    fn is_random(self) -> bool {
        matches!(self, Policy::AllKeysRandom | Policy::VolatileRandom)
    }

    fn only_expiring(self) -> bool {
        matches!(
            self,
            Policy::VolatileLru | Policy::VolatileLfu | Policy::VolatileRandom | Policy::VolatileTtl
        )
    }

    /// How much an entry deserves to go: the highest goes first.
    ///
    /// Among those idle for the same number of seconds, LRU takes the one less often used: when memory turns over
    /// within seconds, most are equal, and a choice at random would take hot keys too.
    fn score(self, entry: &EntryRef<'_>, journal: &mut Journal) -> u64 {
        let idle_seconds = u64::from(entry.idle_seconds(journal.second()));
        match self {
            Policy::NoEviction => 0,
            Policy::AllKeysLru | Policy::VolatileLru => {
                idle_seconds << 4 | (15 - u64::from(entry.frequency()))
            }
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
        // Candidates may have gone or been used since; then the next best is tried, and at last fresh samples.
        for _ in 0..ROUNDS_MAX {
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
        let Some((number, locked)) = random_stripe(databases, policy, journal) else { return };
        let random = journal.random();
        locked.sample(random, policy.only_expiring(), BUCKET_TRIES, |entry| {
            let score = policy.score(&entry, journal);
            self.offer(number, &entry, score, journal);
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

/// Removes the candidate unless it has been used, or lost its deadline, since it was sampled. True if a key went.
fn remove(databases: &Databases, candidate: &Candidate, policy: Policy, journal: &mut Journal) -> bool {
    let Some(database) = databases.existing(candidate.database) else { return false };
    let key = Key { bytes: &candidate.key, hash: candidate.hash };
    let Some(mut locked) = database.lock(stripe_of(key.hash), None) else { return false };
    let expired_before = journal.expired_keys;
    let evictable = locked.look(key, journal).is_some_and(|entry| {
        let allowed = !policy.only_expiring() || entry.expiry_ms().is_some();
        allowed && (policy.is_random() || policy.score(&entry, journal) >= candidate.score)
    });
    if evictable {
        return locked.remove(key, Removal::Evicted, journal);
    }
    // Being looked at, one past its deadline went of itself, and its memory with it.
    journal.expired_keys > expired_before
}

/// A locked stripe with something to evict and its database's number. Stripes are alike, so one is chosen evenly, then
/// the database by its keys in that stripe: every key has about the same chance, and two counters are read.
fn random_stripe<'a>(
    databases: &'a Databases,
    policy: Policy,
    journal: &mut Journal,
) -> Option<(usize, Locked<'a>)> {
    for _ in 0..STEP_TRIES {
        let stripe = journal.random() as usize % STRIPES;
        if let Some((number, database)) = random_database(databases, stripe, policy, journal)
            && let Some(locked) = database.try_lock(stripe)
        {
            return Some((number, locked));
        }
    }
    let start = journal.random() as usize % STRIPES;
    (0..STRIPES).map(|step| (start + step) % STRIPES).find_map(|stripe| {
        let (number, database) = random_database(databases, stripe, policy, journal)?;
        Some((number, database.lock(stripe, None)?))
    })
}

/// A database that has something to evict in this stripe, by how much it has.
fn random_database<'a>(
    databases: &'a Databases,
    stripe: usize,
    policy: Policy,
    journal: &mut Journal,
) -> Option<(usize, &'a Database)> {
    let weigh = |database: &Database| {
        if policy.only_expiring() { database.stripe_expiring(stripe) } else { database.stripe_len(stripe) }
    };
    let total: usize = databases.iter().map(|(_, database)| weigh(database)).sum();
    let mut rank = if total == 0 { return None } else { journal.random() as usize % total };
    databases.iter().find(|(_, database)| {
        let weight = weigh(database);
        let chosen = rank < weight;
        rank -= if chosen { 0 } else { weight };
        chosen
    })
}
