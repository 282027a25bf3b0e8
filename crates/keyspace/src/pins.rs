//! Pins: which keys of a stripe a command reads or edits in slices, between which nothing is locked.
//!
//! A shared pin keeps writers away, an exclusive one everybody. Nobody holds a lock meanwhile: who meets a pin is parked, and
//! looks again when it is woken, or after a millisecond. A pin lies with its key's stripe and with the request that it is
//! for; the request ends it with one store, and the stripe drops what has ended when it is next asked.
//!
//! Not a reference: whoever reads a value in slices also holds the value itself, so that a pin that is ignored (by whoever is
//! alone behind the gate) costs a copy and breaks nothing.
//!
//! Invariants: (1) all pins of a command are taken at once, under all its latches, or none; (2) whoever waits for a pin
//! holds nothing; (3) equal hashes wait for each other without need, at worst.
//!
//! Thread safety: a stripe's `Pins` are guarded by its lock; a `Pin` is shared by the stripe and the request. Model-checked
//! under `--cfg shuttle` (`tests/shuttle.rs`).

use crate::checked::Mutex;
use crate::waiting::Waiting;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// What a pin, or somebody who meets one, wants of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// To read it, beside other readers.
    Shared,
    /// To change it.
    Exclusive,
}

/// A key that is read or edited in slices.
pub struct Pin {
    hash: u64,
    hold: Hold,
    over: AtomicBool,
    /// Workers to be woken when it is over.
    workers: Mutex<Vec<u8>>,
}

impl Pin {
    /// Registers a worker to be woken when the pin is over; false if it is.
    pub fn wait(&self, worker: u8) -> bool {
        let mut workers = self.workers.lock();
        if !workers.contains(&worker) {
            workers.push(worker);
        }
        drop(workers);
        // Registered first, then looked: either the owner sees the worker or the worker sees the end.
        !self.over.load(SeqCst)
    }

    fn stands_against(&self, hash: u64, hold: Hold) -> bool {
        self.hash == hash
            && (self.hold == Hold::Exclusive || hold == Hold::Exclusive)
            && !self.over.load(SeqCst)
    }
}

/// The pins of one request; dropped, they are over.
pub struct Pinned {
    pins: Vec<Arc<Pin>>,
    waiting: Arc<Waiting>,
}

impl Pinned {
    pub fn new(waiting: Arc<Waiting>) -> Pinned {
        Pinned { pins: Vec::new(), waiting }
    }

    pub fn push(&mut self, pin: Arc<Pin>) {
        self.pins.push(pin);
    }

    /// They are over: the request has their keys' stripes, or wants nothing any more.
    pub fn end(&mut self) {
        for pin in self.pins.drain(..) {
            pin.over.store(true, SeqCst);
            let workers = std::mem::take(&mut *pin.workers.lock());
            workers.into_iter().for_each(|worker| self.waiting.wake(worker));
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.end();
    }
}

/// The pins of a stripe's keys; nearly always none.
#[derive(Default)]
pub struct Pins(Option<Box<List>>);

/// Apart, so that a stripe without pins has only a pointer's room for them.
#[derive(Default)]
struct List(Vec<Arc<Pin>>);

impl Pins {
    /// Whether there may be any.
    #[inline(always)]
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// A pin that keeps a key of this hash from being held so.
    pub fn against(&mut self, hash: u64, hold: Hold) -> Option<Arc<Pin>> {
        self.sweep();
        self.0.as_ref()?.0.iter().find(|pin| pin.stands_against(hash, hold)).cloned()
    }

    /// Any pin that is not over.
    pub(crate) fn first(&mut self) -> Option<Arc<Pin>> {
        self.sweep();
        self.0.as_ref()?.0.first().cloned()
    }

    /// Drops what has ended; whether any are left.
    pub(crate) fn sweep(&mut self) -> bool {
        if let Some(list) = &mut self.0 {
            list.0.retain(|pin| !pin.over.load(SeqCst));
        }
        self.0.take_if(|list| list.0.is_empty());
        self.is_any()
    }

    /// Whether a sliced command keeps a key of this hash from being held so.
    pub(crate) fn has(&self, hash: u64, hold: Hold) -> bool {
        self.0.iter().flat_map(|list| &list.0).any(|pin| pin.stands_against(hash, hold))
    }

    pub fn add(&mut self, hash: u64, hold: Hold) -> Arc<Pin> {
        let pin = Arc::new(Pin { hash, hold, over: AtomicBool::new(false), workers: Mutex::new(Vec::new()) });
        self.0.get_or_insert_default().0.push(Arc::clone(&pin));
        pin
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Mutex as StdMutex;

    #[test]
    fn readers_pin_together_and_writers_alone() {
        let mut pins = Pins::default();
        let mut pinned = Pinned::new(Arc::default());
        assert!(pins.against(1, Hold::Exclusive).is_none());
        pinned.push(pins.add(1, Hold::Shared));
        assert!(pins.against(1, Hold::Shared).is_none() && pins.against(2, Hold::Exclusive).is_none());
        assert!(pins.against(1, Hold::Exclusive).is_some());
        assert!(pins.has(1, Hold::Exclusive) && !pins.has(1, Hold::Shared) && !pins.has(2, Hold::Exclusive));
        pinned.push(pins.add(2, Hold::Exclusive));
        assert!(pins.against(2, Hold::Shared).is_some());
        drop(pinned);
        assert!(pins.against(2, Hold::Shared).is_none() && !pins.is_any());
    }

    #[test]
    fn who_waits_for_a_pin_is_woken_when_it_is_over() {
        let (waiting, woken) = (Arc::new(Waiting::default()), Arc::new(StdMutex::new(Vec::new())));
        let log = Arc::clone(&woken);
        waiting.set_wake(Arc::new(move |worker| log.lock().expect("unpoisoned").push(worker)));
        let (mut pins, mut pinned) = (Pins::default(), Pinned::new(waiting));
        pinned.push(pins.add(1, Hold::Shared));
        let pin = pins.against(1, Hold::Exclusive).expect("it stands");
        assert!(pin.wait(3) && pin.wait(3) && pin.wait(4));
        drop(pinned);
        assert_eq!(*woken.lock().expect("unpoisoned"), [3, 4]);
        assert!(!pin.wait(5), "it is over already");
    }
}
