//! A database: 1024 stripes, its expiry wheel, and what can be asked of all of it. `Databases` are the numbered ones.
//!
//! It is not where commands lock: that is dispatch's business; here is only how. Databases that were never written
//! to cost a pointer.
//!
//! Invariants: (1) a key lies in stripe `stripe_of(hash)` of exactly one database; (2) stripes are locked in
//! ascending (database, stripe) order; (3) a scan cursor is a hash: everything below it was visited.
//!
//! Thread safety: `Database` is Sync through its stripes' locks; `Databases` is changed only under the gate's
//! exclusive side.

#[cfg(test)]
mod model;

use crate::EntryRef;
use crate::entry::prefetch;
use crate::expiry::Wheel;
use crate::hash::{STRIPE_BITS, stripe_of};
use crate::journal::Journal;
use crate::latch::Patience;
use crate::stripe::{Locked, Stripe, tick_now};
use crate::tickets::Tickets;
use crate::waiting::{Mark, Waiting};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Stripes per database.
pub const STRIPES: usize = 1 << STRIPE_BITS;
/// Bits of a scan cursor below the stripe's: hash order, cut so that a cursor stays below 2^62 and fits clients that
/// parse it as a signed number.
const CURSOR_BITS: u32 = 52;
/// How long whoever walks a database waits for busy stripes.
const GLANCE: Duration = Duration::from_micros(50);
/// Attempts to choose a random key while others empty the stripe that was chosen.
const RANDOM_TRIES: usize = 8;
/// Expired entries removed under one hold of a stripe's lock: about 50 microseconds.
const EXPIRE_PER_LOCK: usize = 256;
/// A stamp idle for longer is kept at this age, so that 16 bits of seconds (18.2 hours) do not come round.
const IDLE_MAX_SECONDS: u16 = 12 * 3600;

/// The wheel of a database and the stripes it reported that were not emptied yet.
pub struct Wheels(Mutex<Turning>, Arc<Waiting>);

struct Turning {
    wheel: Wheel,
    due: Vec<u16>,
    /// Where the walk that ages stamps has come to: stripe and position.
    aging: (usize, u64),
}

impl Wheels {
    pub(crate) fn arm(&self, stripe: usize, tick: u32) {
        self.0.lock().wheel.arm(stripe, tick);
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.1
    }
}

/// See the module's text.
pub struct Database {
    stripes: Box<[Stripe]>,
    wheels: Wheels,
}

impl Database {
    /// An empty one; `ticket` is that of the last change of what bore its number before.
    fn new(number: usize, now_ms: i64, waiting: Arc<Waiting>, ticket: u64) -> Database {
        let turning =
            Turning { wheel: Wheel::new(STRIPES, tick_now(now_ms)), due: Vec::new(), aging: (0, 0) };
        Database {
            stripes: (0..STRIPES).map(|_| Stripe::new(number as u32, ticket)).collect(),
            wheels: Wheels(Mutex::new(turning), waiting),
        }
    }

    /// Locks a stripe for `worker`, as long as there is patience.
    #[inline(always)]
    pub fn lock(&self, stripe: usize, worker: u8, patience: &mut Patience) -> Option<Locked<'_>> {
        self.stripes[stripe].lock(stripe, &self.wheels, worker, patience)
    }

    /// Locks a stripe for `worker` if it is free.
    #[inline(always)]
    pub fn try_lock(&self, stripe: usize, worker: u8) -> Option<Locked<'_>> {
        self.stripes[stripe].try_lock(stripe, &self.wheels, worker)
    }

    /// Locks a stripe that nobody else can hold: its thread is alone behind the gate, or has the database to itself.
    pub fn lock_alone(&self, stripe: usize) -> Locked<'_> {
        self.stripes[stripe].lock_alone(stripe, &self.wheels)
    }

    /// Who waits for a stripe.
    pub fn mark(&self, stripe: usize) -> &Mark {
        self.stripes[stripe].mark()
    }

    /// Asks for the lines a lookup of `hash` will need; first `prefetch_bucket`, later `prefetch_entry`.
    #[inline(always)]
    pub fn prefetch_stripe(&self, hash: u64) {
        prefetch(&self.stripes[stripe_of(hash)]);
    }

    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.stripes[stripe_of(hash)].peek(|table| table.prefetch_bucket(hash));
    }

    #[inline(always)]
    pub fn prefetch_entry(&self, hash: u64) {
        self.stripes[stripe_of(hash)].peek(|table| table.prefetch_entry(hash));
    }

    /// Keys, those past their deadline but not yet removed included, as DBSIZE counts.
    pub fn len(&self) -> usize {
        self.stripes.iter().map(Stripe::len).sum()
    }

    /// What the database takes without its entries: the stripes with their tables; the wheel of deadlines. Locks one
    /// stripe at a time; those that are busy for long are left out.
    pub fn overhead_bytes(&self, worker: u8) -> (usize, usize) {
        let mut patience = Patience::new(GLANCE);
        let tables = (0..STRIPES).filter(|&stripe| !self.stripes[stripe].is_empty());
        let tables = tables
            .filter_map(|stripe| self.lock(stripe, worker, &mut patience))
            .map(|locked| locked.table_bytes());
        let main = size_of_val(&*self.stripes) + tables.sum::<usize>();
        (main, self.wheels.0.lock().wheel.memory_bytes())
    }

    pub fn is_empty(&self) -> bool {
        self.stripes.iter().all(Stripe::is_empty)
    }

    /// Whether it holds nothing that anybody would miss. A stripe that somebody holds right now is in use.
    fn is_unused(&self, worker: u8) -> bool {
        let is_unused = |stripe| self.try_lock(stripe, worker).is_some_and(|locked| locked.is_unused());
        self.is_empty() && (0..STRIPES).all(is_unused)
    }

    /// Whether it holds nothing that anybody would miss; with nobody else inside the gate.
    fn is_unused_alone(&mut self) -> bool {
        self.stripes.iter_mut().all(|stripe| stripe.contents_mut().is_unused())
    }

    /// About what it takes, its entries included. With nobody else inside the gate.
    pub fn loaded_bytes(&mut self) -> usize {
        let loaded = self.stripes.iter_mut().map(|stripe| stripe.contents_mut().loaded_bytes());
        let loaded = loaded.sum::<usize>();
        loaded + size_of_val(&*self.stripes) + self.wheels.0.get_mut().wheel.memory_bytes()
    }

    /// Keys with a deadline.
    pub fn expiring(&self) -> usize {
        self.stripes.iter().map(Stripe::expiring).sum()
    }

    /// Keys of one stripe, without its lock.
    pub fn stripe_len(&self, stripe: usize) -> usize {
        self.stripes[stripe].len()
    }

    pub(crate) fn stripe_expiring(&self, stripe: usize) -> usize {
        self.stripes[stripe].expiring()
    }

    /// The cursor of [`Database::scan`] at which a stripe begins.
    pub fn cursor_of(stripe: usize) -> u64 {
        (stripe as u64) << CURSOR_BITS
    }

    /// Visits the live ones of the entries in hash order from `cursor` on (0 = the start) until `count` were passed or
    /// `stripes_max` stripes were looked into, or a stripe is busy. Returns the cursor to go on from, 0 at the end; None
    /// if the first stripe is busy and nothing was passed.
    ///
    /// An entry that is there from the first call to the last is visited at least once, whatever grows or shrinks
    /// in between, because the order never changes: it is that of the hashes.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        stripes_max: usize,
        journal: &Journal,
        mut visit: impl FnMut(EntryRef<'_>),
    ) -> Option<u64> {
        let mut patience = Patience::new(GLANCE);
        let mut passed = 0;
        let mut looked_into = 0;
        let mut from = cursor << (64 - STRIPE_BITS - CURSOR_BITS) << STRIPE_BITS;
        let Some(first) = usize::try_from(cursor >> CURSOR_BITS).ok().filter(|&first| first < STRIPES) else {
            return Some(0);
        };
        for stripe in first..STRIPES {
            if self.stripes[stripe].is_empty() {
                from = 0;
                continue;
            }
            let here = (stripe as u64) << CURSOR_BITS | from >> (64 - CURSOR_BITS);
            if passed >= count || looked_into >= stripes_max {
                return Some(here);
            }
            let Some(locked) = self.lock(stripe, journal.worker, &mut patience) else {
                return (here != cursor).then_some(here);
            };
            looked_into += 1;
            let mut position = Some(from);
            while let (Some(at), true) = (position, passed < count) {
                let (next, more) = locked.walk(at, count - passed, journal, &mut visit);
                position = next;
                passed += more;
            }
            from = 0;
            if let Some(at) = position {
                return Some((stripe as u64) << CURSOR_BITS | at >> (64 - CURSOR_BITS));
            }
        }
        Some(0)
    }

    /// A key chosen uniformly at random among all, those past their deadline included, handed to `visit`.
    pub fn random_entry<R>(&self, journal: &mut Journal, visit: impl FnOnce(EntryRef<'_>) -> R) -> Option<R> {
        for _ in 0..RANDOM_TRIES {
            let len = self.len();
            let mut rank = if len == 0 { return None } else { journal.random() as usize % len };
            let chosen = self.stripes.iter().position(|stripe| {
                let before = rank < stripe.len();
                rank -= if before { 0 } else { stripe.len().min(rank) };
                before
            });
            let Some(locked) = chosen.and_then(|stripe| self.try_lock(stripe, journal.worker)) else {
                continue;
            };
            // The stripe may have shrunk since it was counted.
            if let Some(entry) = locked.nth(rank.min(locked.len().saturating_sub(1))) {
                return Some(visit(entry));
            }
        }
        None
    }

    /// One turn of the active cycle: removes keys past their deadline, about `budget` of them at most; `seal` is
    /// called for each, while its stripe is held. Returns whether there are more. Another worker that turns at the same time is left to it.
    pub fn expire(
        &self,
        mut budget: usize,
        journal: &mut Journal,
        mut seal: impl FnMut(&mut Journal),
    ) -> bool {
        let Some(mut turning) = self.wheels.0.try_lock() else { return false };
        let Turning { wheel, due, .. } = &mut *turning;
        wheel.advance(tick_now(journal.now_ms), due);
        drop(turning);
        let mut busy = Vec::new();
        while budget > 0 {
            let Some(stripe) = self.wheels.0.lock().due.pop() else { break };
            let stripe = usize::from(stripe);
            let mut more = true;
            while more && budget > 0 {
                let Some(mut locked) = self.try_lock(stripe, journal.worker) else {
                    // Nobody waits for it: it stays due until the next turn.
                    busy.push(stripe as u16);
                    more = false;
                    break;
                };
                if locked.is_pinned() {
                    // What is due may be in use by a sliced command.
                    busy.push(stripe as u16);
                    more = false;
                    break;
                }
                let before = journal.expired_keys;
                more = locked.expire(EXPIRE_PER_LOCK.min(budget), journal, &mut seal);
                budget = budget.saturating_sub(((journal.expired_keys - before) as usize).max(1));
            }
            if more {
                self.wheels.0.lock().due.push(stripe as u16);
            }
        }
        let due = &mut self.wheels.0.lock().due;
        due.append(&mut busy);
        budget == 0
    }

    /// Looks at the next `count` access stamps and clamps those about to come round; see [`IDLE_MAX_SECONDS`].
    pub fn age(&self, count: usize, journal: &Journal) {
        let Some(mut turning) = self.wheels.0.try_lock() else { return };
        let (stripe, position) = turning.aging;
        // The stripe's lock must not be taken under the wheel's.
        turning.aging = ((stripe + 1) % STRIPES, 0);
        drop(turning);
        let next = self.try_lock(stripe, journal.worker);
        let next = next.and_then(|locked| locked.age(position, count, IDLE_MAX_SECONDS, journal));
        if let Some(position) = next {
            self.wheels.0.lock().aging = (stripe, position);
        }
    }
}

/// The numbered databases.
pub struct Databases {
    numbered: Vec<OnceLock<Box<Database>>>,
    /// The newest ticket when the number's last database went: one that is made anew begins with it.
    floors: Vec<u64>,
    tickets: Arc<Tickets>,
    waiting: Arc<Waiting>,
}

impl Databases {
    pub fn new(count: usize) -> Databases {
        let numbered = (0..count).map(|_| OnceLock::new()).collect();
        Databases { numbered, floors: vec![0; count], tickets: Arc::default(), waiting: Arc::default() }
    }

    /// Who waits for stripes of any database.
    pub fn waiting(&self) -> &Arc<Waiting> {
        &self.waiting
    }

    /// The numbers of all changes.
    pub fn tickets(&self) -> &Arc<Tickets> {
        &self.tickets
    }

    pub fn count(&self) -> usize {
        self.numbered.len()
    }

    /// The database with this number, made on first use.
    #[inline(always)]
    pub fn get(&self, number: usize, now_ms: i64) -> &Database {
        self.numbered[number].get_or_init(|| self.make(number, now_ms))
    }

    fn take(&mut self, number: usize, now_ms: i64) -> Box<Database> {
        self.numbered[number].take().unwrap_or_else(|| self.make(number, now_ms))
    }

    fn make(&self, number: usize, now_ms: i64) -> Box<Database> {
        Box::new(Database::new(number, now_ms, Arc::clone(&self.waiting), self.floors[number]))
    }

    /// The database with this number if it was ever used.
    pub fn existing(&self, number: usize) -> Option<&Database> {
        self.numbered.get(number)?.get().map(|database| &**database)
    }

    /// The databases in use, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Database)> {
        (0..self.count()).filter_map(|number| Some((number, self.existing(number)?)))
    }

    /// Empties a database: the data is taken out at once and returned, to be freed where nobody waits for it. What is
    /// left takes no memory, unless somebody watches a key in it.
    pub fn flush(&mut self, number: usize, journal: &mut Journal) -> Option<Box<Database>> {
        let mut old = self.numbered.get_mut(number)?.take()?;
        let is_watched = old.stripes.iter_mut().any(|stripe| stripe.contents_mut().is_watched());
        let had_keys = !old.is_empty();
        old.stripes.iter_mut().for_each(|stripe| stripe.contents_mut().write_emptied(journal));
        if let (true, Some(unit)) = (had_keys, &mut journal.unit) {
            unit.change_all();
        }
        self.floors[number] = self.tickets.newest();
        if is_watched {
            let mut new = self.make(number, journal.now_ms);
            old.stripes.iter_mut().zip(&mut new.stripes).for_each(|(old, new)| old.swap_numbers(new));
            let _ = self.numbered[number].set(new);
        }
        old.stripes.iter_mut().for_each(Stripe::clear_mark);
        Some(old)
    }

    /// Whether some database could be given back by [`Databases::release_unused`].
    pub fn has_unused(&self, worker: u8) -> bool {
        self.iter().any(|(_, database)| database.is_unused(worker))
    }

    /// Gives back the memory of databases that hold nothing. A database costs about 144 KB from its first write on, and
    /// that can be neither evicted nor expired.
    pub fn release_unused(&mut self) {
        for (place, floor) in self.numbered.iter_mut().zip(&mut self.floors) {
            if place.get_mut().is_some_and(|database| database.is_unused_alone()) {
                place.take();
                *floor = self.tickets.newest();
            }
        }
    }

    /// Exchanges the data of two databases; watches stay with the number.
    pub fn swap(&mut self, first: usize, second: usize, journal: &mut Journal) {
        if first == second {
            return;
        }
        let (mut one, mut other) = (self.take(first, journal.now_ms), self.take(second, journal.now_ms));
        let ticket = journal.unit.as_mut().map(|unit| unit.change_all());
        for (one, other) in one.stripes.iter_mut().zip(&mut other.stripes) {
            let (here, there) = (one.contents_mut(), other.contents_mut());
            here.write_exchanged(there, journal);
            there.write_exchanged(here, journal);
            ticket.iter().for_each(|&ticket| {
                [&mut *here, there].into_iter().for_each(|stripe| stripe.set_ticket(ticket))
            });
            one.swap_numbers(other);
        }
        let _ = self.numbered[first].set(other);
        let _ = self.numbered[second].set(one);
        journal.writes += 1;
    }
}
