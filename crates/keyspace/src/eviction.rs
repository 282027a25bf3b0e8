//! Eviction: which key goes when memory is full. Sampled, as Redis does it, so its cost does not depend on the number
//! of keys.
//!
//! It does not decide when: dispatch's `admit` compares used memory with `maxmemory` and asks for one key at a time.
//!
//! A step looks at buckets (up to 9 entries each) until it has seen `maxmemory-samples` entries, keeps the best
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
use crate::journal::{Event, Journal};
use crate::pins::Hold;
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
    /// Removes one key, and calls `seal` while its stripe is held. None when the policy finds nothing to remove.
    pub fn evict_one(
        &mut self,
        databases: &Databases,
        policy: Policy,
        samples: usize,
        journal: &mut Journal,
        mut seal: impl FnMut(&mut Journal),
    ) -> Option<()> {
        if policy == Policy::NoEviction {
            return None;
        }
        // A bucket has 9 entries at most and in a sparse table fewer, none of which may be eligible.
        let mut seen = 0;
        for _ in 0..samples {
            seen += self.sample(databases, policy, journal);
            if seen >= samples {
                break;
            }
        }
        // Candidates may have gone or been used since; then the next best is tried, and at last fresh samples.
        for _ in 0..ROUNDS_MAX {
            while let Some(candidate) = self.pool.pop() {
                if remove(databases, &candidate, policy, journal, &mut seal) {
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

    /// Judges the entries of one bucket and returns how many they were.
    fn sample(&mut self, databases: &Databases, policy: Policy, journal: &mut Journal) -> usize {
        let Some((number, locked)) = random_stripe(databases, policy, journal) else { return 0 };
        let mut seen = 0;
        let random = journal.random();
        locked.sample(random, policy.only_expiring(), BUCKET_TRIES, |entry| {
            let score = policy.score(&entry, journal);
            self.offer(number, &entry, score, journal);
            seen += 1;
        });
        seen
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
fn remove(
    databases: &Databases,
    candidate: &Candidate,
    policy: Policy,
    journal: &mut Journal,
    seal: &mut impl FnMut(&mut Journal),
) -> bool {
    let Some(database) = databases.existing(candidate.database) else { return false };
    let key = Key { bytes: &candidate.key, hash: candidate.hash };
    let Some(mut locked) = database.try_lock(stripe_of(key.hash), journal.worker) else { return false };
    let expired_before = journal.expired_keys;
    let evictable = !locked.has_pinned(key.hash, Hold::Exclusive)
        && locked.look(key, journal).is_some_and(|entry| {
            let allowed = !policy.only_expiring() || entry.expiry_ms().is_some();
            allowed && (policy.is_random() || policy.score(&entry, journal) >= candidate.score)
        });
    // Being looked at, one past its deadline went of itself, and its memory with it.
    let gone = if evictable {
        locked.remove(key, Event::Evicted, journal)
    } else {
        journal.expired_keys > expired_before
    };
    seal(journal);
    gone
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
            && let Some(locked) = database.try_lock(stripe, journal.worker)
        {
            return Some((number, locked));
        }
    }
    let start = journal.random() as usize % STRIPES;
    (0..STRIPES).map(|step| (start + step) % STRIPES).find_map(|stripe| {
        let (number, database) = random_database(databases, stripe, policy, journal)?;
        Some((number, database.try_lock(stripe, journal.worker)?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deadline, KeyHasher, Kind, NewValue, Put};

    /// Two databases of keys with the numbers 0.. and what is still there of them.
    struct Cache {
        databases: Databases,
        journal: Journal,
        evictor: Evictor,
    }

    impl Cache {
        fn new(seed: u64) -> Cache {
            let journal = Journal::new(KeyHasher::fold(seed), seed);
            Cache { databases: Databases::new(3), journal, evictor: Evictor::default() }
        }

        fn on<R>(
            &mut self,
            number: usize,
            key: u32,
            operation: impl FnOnce(&mut Locked<'_>, Key<'_>, &mut Journal) -> R,
        ) -> R {
            let bytes = key.to_be_bytes();
            let hash = self.journal.hasher.hash(&bytes);
            let database = self.databases.get(number, self.journal.now_ms);
            let mut locked = database.lock_alone(stripe_of(hash));
            operation(&mut locked, Key { bytes: &bytes, hash }, &mut self.journal)
        }

        fn set(&mut self, number: usize, key: u32, deadline: Deadline) {
            self.on(number, key, |locked, key, journal| {
                let value = NewValue::Bytes(b"value");
                let put = Put { value, kind: Kind::StringRaw, deadline, event: Event::Set };
                locked.store(key, put, journal, |_| 0);
            });
        }

        fn read(&mut self, key: u32) -> bool {
            self.on(0, key, |locked, key, journal| locked.read(key, journal).is_some())
        }

        fn holds(&mut self, number: usize, key: u32) -> bool {
            self.on(number, key, |locked, key, journal| locked.look(key, journal).is_some())
        }

        fn wait_seconds(&mut self, seconds: i64) {
            self.journal.set_now(self.journal.now_ms + seconds * 1000);
        }

        fn evict(&mut self, policy: Policy) -> bool {
            let Cache { databases, journal, evictor } = self;
            evictor.evict_one(databases, policy, 5, journal, |_| {}).is_some()
        }

        fn len(&self) -> usize {
            self.databases.iter().map(|(_, database)| database.len()).sum()
        }
    }

    const VOLATILE: [Policy; 4] =
        [Policy::VolatileLru, Policy::VolatileLfu, Policy::VolatileRandom, Policy::VolatileTtl];
    const ALL_KEYS: [Policy; 3] = [Policy::AllKeysLru, Policy::AllKeysLfu, Policy::AllKeysRandom];
    const KEYS: u32 = if cfg!(miri) { 200 } else { 20_000 };

    #[test]
    fn volatile_policies_find_the_few_keys_with_a_deadline_and_take_no_other() {
        for (seed, policy) in (1..).zip(VOLATILE) {
            let mut cache = Cache::new(seed);
            (0..KEYS).for_each(|key| cache.set(0, key, Deadline::Clear));
            let volatile = [3, 77, 100];
            volatile.iter().for_each(|&key| cache.set(0, key, Deadline::At(1_000_000)));
            cache.set(1, 5, Deadline::At(1_000_000));
            for left in (0..=volatile.len()).rev() {
                assert!(cache.evict(policy), "{policy:?} finds none though {} are left", left + 1);
            }
            assert!(!cache.evict(policy), "{policy:?} evicts a key without a deadline");
            assert_eq!((cache.len(), cache.journal.evicted_keys), (KEYS as usize - 3, 4));
        }
    }

    #[test]
    fn a_key_that_lost_its_deadline_after_it_was_sampled_stays() {
        let mut cache = Cache::new(4);
        (0..12).for_each(|key| cache.set(0, key, Deadline::At(1_000_000)));
        assert!(cache.evict(Policy::VolatileTtl));
        let left: Vec<u32> = (0..12).filter(|&key| cache.holds(0, key)).collect();
        left.iter().for_each(|&key| cache.set(0, key, Deadline::Clear));
        assert!(!cache.evict(Policy::VolatileTtl));
        assert_eq!(cache.len(), 11);
    }

    #[test]
    fn every_policy_evicts_to_the_last_key_in_any_database_and_then_says_so() {
        for (seed, policy) in (1..).zip(VOLATILE.into_iter().chain(ALL_KEYS)) {
            let mut cache = Cache::new(seed);
            assert!(!cache.evict(policy), "nothing to evict yet");
            (0..300).for_each(|key| cache.set(key as usize % 3, key, Deadline::At(1_000_000)));
            for _ in 0..300 {
                assert!(cache.evict(policy), "{policy:?} gives up with {} keys left", cache.len());
            }
            assert_eq!(cache.len(), 0);
            assert!(!cache.evict(policy) && !cache.evict(Policy::NoEviction));
        }
    }

    #[test]
    fn a_key_past_its_deadline_counts_as_memory_freed() {
        let mut cache = Cache::new(4);
        cache.set(0, 1, Deadline::At(500));
        cache.wait_seconds(1);
        assert!(cache.evict(Policy::VolatileLru));
        assert_eq!((cache.journal.expired_keys, cache.journal.evicted_keys), (1, 0));
    }

    /// Evicts until `keep` keys are left and returns how many of those below `KEYS / 2` are among them.
    fn left_of_the_first_half(cache: &mut Cache, policy: Policy, keep: u32) -> usize {
        while cache.len() > keep as usize {
            assert!(cache.evict(policy));
        }
        (0..KEYS / 2).filter(|&key| cache.holds(0, key)).count()
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn lru_takes_the_keys_not_used_for_longest() {
        let mut cache = Cache::new(5);
        (0..KEYS).for_each(|key| cache.set(0, key, Deadline::Clear));
        cache.wait_seconds(10);
        assert!((KEYS / 2..KEYS).all(|key| cache.read(key)));
        let wrong = left_of_the_first_half(&mut cache, Policy::AllKeysLru, KEYS / 2);
        // Choosing at random would leave half of them.
        assert!(wrong < KEYS as usize / 10, "{wrong} unused keys outlived used ones");
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn lru_prefers_to_keep_what_is_used_often_when_all_happens_within_a_second() {
        let mut cache = Cache::new(6);
        (0..KEYS).for_each(|key| cache.set(0, key, Deadline::Clear));
        for _ in 0..20 {
            assert!((KEYS / 2..KEYS).all(|key| cache.read(key)));
        }
        let wrong = left_of_the_first_half(&mut cache, Policy::AllKeysLru, KEYS / 2);
        assert!(wrong < KEYS as usize / 10, "{wrong} keys used once outlived keys used often");
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn lfu_keeps_the_hot_keys_though_others_were_used_last() {
        let mut cache = Cache::new(7);
        (0..KEYS).for_each(|key| cache.set(0, key, Deadline::Clear));
        for _ in 0..30 {
            assert!((KEYS / 2..KEYS).all(|key| cache.read(key)));
        }
        cache.wait_seconds(5);
        assert!((0..KEYS / 2).all(|key| cache.read(key)));
        let wrong = left_of_the_first_half(&mut cache, Policy::AllKeysLfu, KEYS / 2);
        assert!(wrong < KEYS as usize / 10, "{wrong} cold keys outlived hot ones");
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn ttl_takes_the_nearest_deadlines() {
        let mut cache = Cache::new(8);
        (0..KEYS).for_each(|key| cache.set(0, key, Deadline::At(1_000_000 + i64::from(key))));
        let wrong = left_of_the_first_half(&mut cache, Policy::VolatileTtl, KEYS / 2);
        assert!(wrong < KEYS as usize / 10, "{wrong} near deadlines outlived far ones");
    }

    #[test]
    #[cfg_attr(miri, ignore = "too slow")]
    fn a_candidate_that_is_used_before_its_turn_is_spared() {
        let mut cache = Cache::new(9);
        (0..KEYS).for_each(|key| cache.set(0, key, Deadline::Clear));
        cache.wait_seconds(100);
        assert!(cache.evict(Policy::AllKeysLru));
        let pooled: Vec<u32> = cache
            .evictor
            .pool
            .iter()
            .map(|candidate| u32::from_be_bytes(candidate.key.as_slice().try_into().expect("4 bytes")))
            .collect();
        assert!(!pooled.is_empty() && pooled.iter().all(|&key| cache.read(key)));
        for _ in 0..KEYS / 10 {
            assert!(cache.evict(Policy::AllKeysLru));
        }
        assert!(pooled.iter().all(|&key| cache.holds(0, key)));
    }
}
