//! A stripe: a lock, the table it guards, and what belongs to its keys (deadlines, watches).
//!
//! Here is the lock and what it guards. With the files below it is the only module that gives a table's entries meaning:
//! `read` (a key past its deadline does not exist), `write` (every change of a key, and what follows from one), `edit`
//! (changes of a value where it lies). It does not know commands.
//!
//! Invariants: (1) no operation returns an entry whose deadline has passed; (2) when a stripe is unlocked its
//! database's wheel is armed no later than the table's earliest deadline, or the stripe is among those due; (3) `len` and
//! `expiring` outside the lock equal the table's as of the last unlock.
//!
//! Thread safety: [`Stripe::lock`] and friends; a [`Locked`] stripe is used by one thread. A wheel is locked while
//! holding a stripe, never the other way round.

mod edit;
mod read;
mod watches;
mod write;

pub use edit::{EntryMut, Missing, Shape, Text};
pub use write::{Detached, Put};

use crate::database::Wheels;
use crate::expiry::{NEVER, TICK_MS, tick_of};
use crate::latch::{Held, Latch, Patience};
use crate::pins::{Hold, Pin, Pinned};
use crate::table::Table;
use crate::waiting::{ALONE, Mark};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::Release};

/// A key with its hash.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}

/// What a write does to the key's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    Clear,
    Keep,
    /// Milliseconds of the keyspace's clock.
    At(i64),
}

/// Set when a watched key changed. The connection that watches has it; the stripes of the keys only refer to it, so that
/// letting go of it ends all its watches.
pub type WatchFlag = Arc<AtomicBool>;

/// See the module's text.
#[repr(align(128))]
pub struct Stripe {
    contents: Latch<Contents>,
    len: AtomicU32,
    expiring: AtomicU32,
}

/// What the lock guards.
pub struct Contents {
    table: Table,
    ledger: write::Ledger,
}

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<Stripe>() == 128);

/// A locked stripe; unlocking arms the wheel and publishes the counts.
pub struct Locked<'a> {
    contents: Held<'a, Contents>,
    /// Dropped after `contents`, by their order here.
    origin: Origin<'a>,
}

/// Where a locked stripe belongs; dropped, it tells who waits for the stripe that it was given back.
struct Origin<'a> {
    stripe: &'a Stripe,
    wheels: &'a Wheels,
    index: u16,
    worker: u8,
}

impl Drop for Origin<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let mark = self.stripe.mark();
        if mark.is_set() {
            self.wheels.waiting().given_back(mark, self.worker);
        }
    }
}

impl Stripe {
    /// An empty stripe of the database with this number, at this ticket.
    pub(crate) fn new(database: u32, ticket: u64) -> Stripe {
        let contents = Latch::new(Contents::new(database, ticket));
        Stripe { contents, len: AtomicU32::new(0), expiring: AtomicU32::new(0) }
    }

    /// Keys in the stripe as of its last unlock, those past their deadline included.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys with a deadline as of the last unlock.
    pub fn expiring(&self) -> usize {
        self.expiring.load(Relaxed) as usize
    }

    #[inline(always)]
    pub(crate) fn try_lock<'a>(&'a self, index: usize, wheels: &'a Wheels, worker: u8) -> Option<Locked<'a>> {
        Some(self.locked(self.contents.try_lock(worker)?, index, wheels, worker))
    }

    /// Tries as long as there is patience.
    pub(crate) fn lock<'a>(
        &'a self,
        index: usize,
        wheels: &'a Wheels,
        worker: u8,
        patience: &mut Patience,
    ) -> Option<Locked<'a>> {
        Some(self.locked(self.contents.try_lock_for(worker, patience)?, index, wheels, worker))
    }

    /// With nobody else inside the gate it is free.
    pub(crate) fn lock_alone<'a>(&'a self, index: usize, wheels: &'a Wheels) -> Locked<'a> {
        self.locked(self.contents.lock_alone(), index, wheels, ALONE)
    }

    #[inline(always)]
    fn locked<'a>(
        &'a self,
        contents: Held<'a, Contents>,
        index: usize,
        wheels: &'a Wheels,
        worker: u8,
    ) -> Locked<'a> {
        Locked { contents, origin: Origin { stripe: self, wheels, index: index as u16, worker } }
    }

    /// Who waits for it.
    pub(crate) fn mark(&self) -> &Mark {
        self.contents.mark()
    }

    /// Runs `hint` on the table if nobody holds the lock right now, nor is waited for with it.
    #[inline(always)]
    pub(crate) fn peek(&self, hint: impl FnOnce(&Table)) {
        if let Some(contents) = self.contents.try_peek() {
            hint(&contents.table);
        }
    }

    /// See `Latch::clear_mark`.
    pub(crate) fn clear_mark(&mut self) {
        self.contents.clear_mark();
    }

    /// Exchanges with `other` what belongs to the database's number, not to the data that SWAPDB exchanges: watches, marks.
    pub(crate) fn swap_numbers(&mut self, other: &mut Stripe) {
        self.contents.get_mut().ledger.swap_numbers(&mut other.contents.get_mut().ledger);
        self.contents.swap_marks(&mut other.contents);
    }

    pub(crate) fn contents_mut(&mut self) -> &mut Contents {
        self.contents.get_mut()
    }
}

impl Deref for Locked<'_> {
    type Target = Contents;

    #[inline(always)]
    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl DerefMut for Locked<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let Origin { stripe, wheels, index, .. } = self.origin;
        let (len, expiring) = (self.table.len() as u32, self.table.expiring() as u32);
        if stripe.len.load(Relaxed) != len {
            // Whoever counts without the latch then asks for the newest ticket: see `Tickets::newest`.
            stripe.len.store(len, Release);
        }
        if stripe.expiring.load(Relaxed) != expiring {
            stripe.expiring.store(expiring, Relaxed);
        }
        if self.table.earliest() < self.ledger.armed {
            self.ledger.armed = self.table.earliest();
            wheels.arm(usize::from(index), self.ledger.armed);
        }
    }
}

impl Contents {
    /// No keys, of the database with this number, at this ticket.
    pub fn new(database: u32, ticket: u64) -> Contents {
        Contents { table: Table::new(), ledger: write::Ledger::new(database, ticket) }
    }

    /// What the table takes without its entries.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.memory_bytes()
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the stripe takes with its entries, theirs exactly and the table's own about, in constant time.
    pub(crate) fn loaded_bytes(&self) -> usize {
        self.ledger.entry_bytes() + self.table.about_bytes()
    }

    /// What the entries take, exactly.
    #[cfg(test)]
    pub(crate) fn entry_bytes(&self) -> usize {
        self.ledger.entry_bytes()
    }

    /// The ticket of the last unit that has changed a key here; no lower than that of any change that can be seen here.
    pub fn ticket(&self) -> u64 {
        self.ledger.ticket()
    }

    pub(crate) fn set_ticket(&mut self, ticket: u64) {
        self.ledger.set_ticket(ticket);
    }

    /// Whether nobody would miss it: no key, and nobody who watches one.
    pub(crate) fn is_unused(&self) -> bool {
        self.is_empty() && !self.is_watched()
    }

    /// Whether a key here may be in use by a sliced command: pins that are over count until they are looked at.
    #[inline(always)]
    pub fn may_be_pinned(&self) -> bool {
        self.ledger.pins.is_any()
    }

    /// Whether a key here is in use by a sliced command.
    pub(crate) fn is_pinned(&mut self) -> bool {
        self.ledger.pins.sweep()
    }

    /// Whether a sliced command keeps a key of this hash from being held so.
    pub(crate) fn has_pinned(&self, hash: u64, hold: Hold) -> bool {
        self.ledger.pins.has(hash, hold)
    }

    /// A pin that keeps a key of this hash from being held so.
    pub fn pin_against(&mut self, hash: u64, hold: Hold) -> Option<Arc<Pin>> {
        self.ledger.pins.against(hash, hold)
    }

    /// A pin of any key here.
    pub fn any_pin(&mut self) -> Option<Arc<Pin>> {
        self.ledger.pins.first()
    }

    /// Pins a key of this hash for the request that `pinned` belongs to.
    pub fn pin(&mut self, hash: u64, hold: Hold, pinned: &mut Pinned) {
        pinned.push(self.ledger.pins.add(hash, hold));
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.ledger.is_watched()
    }

    /// The next time the active cycle should look into this stripe, in milliseconds of the keyspace's clock.
    pub fn earliest_ms(&self) -> Option<i64> {
        (self.table.earliest() != NEVER).then(|| i64::from(self.table.earliest()) * TICK_MS)
    }
}

/// The tick that `now_ms` has reached.
pub(crate) fn tick_now(now_ms: i64) -> u32 {
    tick_of(now_ms) - 1
}
