//! Tickets: the numbers of all changes, in one order, for whoever replays them.
//!
//! A unit is what is replayed as a whole: a command, an EXEC, a key that went by itself. It takes its ticket with its
//! first change, while all its stripes, or the gate, are held; each stripe that it changes remembers the ticket. So of two
//! units that touch the same stripe the later one has the higher number, and whoever reads a stripe learns the number of
//! the last unit that it may have seen.
//!
//! Not the effects themselves: what replays a unit is the engine's to say. Only the keys that go by themselves are named
//! here, because no command names them.
//!
//! Invariants: (1) a ticket that was taken is sealed before the unit's stripes are given back; (2) without somebody who
//! replays, no ticket is taken and nothing here costs anything but a comparison where a key comes, goes or grows.
//!
//! Thread safety: `Tickets` is Sync; a `Unit` belongs to a worker's journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The newest ticket; 0 before the first.
#[derive(Default)]
pub struct Tickets(AtomicU64);

impl Tickets {
    /// The newest ticket taken: no lower than that of any change seen so far, also where it was seen without a latch.
    pub fn newest(&self) -> u64 {
        // With the release of the counts that a stripe publishes when it is given back.
        fence(Ordering::Acquire);
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// A key that went by itself: its time was over, or memory was short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    pub database: u32,
    pub key: Box<[u8]>,
}

/// The unit under way in a journal.
pub struct Unit {
    tickets: Arc<Tickets>,
    /// 0 before its first change.
    ticket: u64,
    is_written: bool,
    gone: Vec<Gone>,
}

impl Unit {
    pub(crate) fn new(tickets: Arc<Tickets>) -> Unit {
        Unit { tickets, ticket: 0, is_written: false, gone: Vec::new() }
    }

    /// To be called for every change of a key; `went`: it went by itself. Returns the unit's ticket.
    pub(crate) fn change(&mut self, database: u32, key: &[u8], went: bool) -> u64 {
        if went {
            self.gone.push(Gone { database, key: key.into() });
        } else {
            self.is_written = true;
        }
        self.ticket()
    }

    /// To be called for a change of a whole database. Returns the unit's ticket.
    pub(crate) fn change_all(&mut self) -> u64 {
        self.is_written = true;
        self.ticket()
    }

    fn ticket(&mut self) -> u64 {
        if self.ticket == 0 {
            self.ticket = self.tickets.take();
        }
        self.ticket
    }

    /// The keys that went by themselves since they were last asked for.
    pub fn gone(&mut self) -> impl Iterator<Item = Gone> {
        self.gone.drain(..)
    }

    /// Whether anything was changed otherwise since this was last asked.
    pub fn take_written(&mut self) -> bool {
        std::mem::take(&mut self.is_written)
    }

    /// Ends the unit: its ticket, if it has changed something. What changes next is another unit.
    pub fn seal(&mut self) -> Option<u64> {
        debug_assert!(self.gone.is_empty() && !self.is_written, "a unit is told in full before it is sealed");
        (self.ticket != 0).then(|| std::mem::take(&mut self.ticket))
    }
}
