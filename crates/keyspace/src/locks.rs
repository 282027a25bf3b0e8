//! The keyspace gate: a lock whose shared side costs a worker one flag of its own, and whose exclusive side runs alone.
//!
//! It is a "big-reader" lock, not a reader-writer lock: readers write no common cache line. A worker holds the
//! shared side for a batch of commands; FLUSHALL, SWAPDB, very wide transactions and snapshots take the exclusive
//! side. The data lies inside, so the type system proves that only the exclusive side changes what all share.
//!
//! Order of locks (never against it): gate, then stripes ascending by (database, stripe), then one leaf (a wheel),
//! then a connection's mailbox.
//!
//! Invariants: (1) a place belongs to one thread at a time; (2) `inside[place]` is set only by that thread, and only
//! it clears it; (3) after `closed` is set and every `inside` was seen clear, nobody is inside until `closed` is
//! cleared. (3) needs sequential consistency: each side writes its own flag, then reads the other's (Dekker).
//!
//! Thread safety: `Gate` is Sync; a `Place` is moved, not shared. Model-checked under `--cfg shuttle`
//! (`tests/shuttle.rs`).

use crate::checked::{Condvar, Mutex, MutexGuard};
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Rounds of spinning before a thread that waits for the gate sleeps: the other side usually leaves within
/// microseconds.
#[cfg(not(shuttle))]
const SPINS: u32 = 200;
#[cfg(shuttle)]
const SPINS: u32 = 1;

/// See the module's text.
pub struct Gate<T> {
    closed: AtomicBool,
    inside: Box<[Flag]>,
    /// Held by whoever is, or wants to be, alone; also what sleepers wait on.
    alone: Mutex<()>,
    data: UnsafeCell<T>,
    opened: Condvar,
    /// Guards `opened`: a sleeper checks `closed` under it.
    sleep: Mutex<()>,
}

#[repr(align(128))]
struct Flag(AtomicBool);

// SAFETY: shared passes give `&T` to several threads (T: Sync), the exclusive pass gives `&mut T` to one (T: Send).
unsafe impl<T: Send + Sync> Sync for Gate<T> {}
// SAFETY: the gate owns its data.
unsafe impl<T: Send> Send for Gate<T> {}

/// The right of one thread to enter through a flag of its own.
pub struct Place(usize);

impl<T> Gate<T> {
    /// A gate for `places` threads around `data`, and the places to hand out.
    pub fn new(data: T, places: usize) -> (Gate<T>, Vec<Place>) {
        let inside = (0..places).map(|_| Flag(AtomicBool::new(false))).collect();
        let gate = Gate {
            closed: AtomicBool::new(false),
            inside,
            alone: Mutex::new(()),
            data: UnsafeCell::new(data),
            opened: Condvar::new(),
            sleep: Mutex::new(()),
        };
        (gate, (0..places).map(Place).collect())
    }

    /// Enters the shared side, waiting while somebody is alone. The mutable borrow keeps a place from being
    /// entered twice.
    #[inline]
    pub fn enter<'a>(&'a self, place: &'a mut Place) -> Shared<'a, T> {
        let flag = &self.inside[place.0].0;
        loop {
            flag.store(true, SeqCst);
            if !self.closed.load(SeqCst) {
                return Shared { gate: self, flag };
            }
            flag.store(false, SeqCst);
            self.wait_until_open();
        }
    }

    #[cold]
    fn wait_until_open(&self) {
        for _ in 0..SPINS {
            if !self.closed.load(SeqCst) {
                return;
            }
            spin();
        }
        let mut sleeping = self.sleep.lock();
        while self.closed.load(SeqCst) {
            wait(&self.opened, &mut sleeping);
        }
    }

    /// Waits until nobody else is inside and keeps everybody out. The caller must not hold a shared pass.
    pub fn alone(&self) -> Alone<'_, T> {
        let turn = self.alone.lock();
        self.closed.store(true, SeqCst);
        for flag in &self.inside {
            let mut spins = 0;
            while flag.0.load(SeqCst) {
                spins += 1;
                if spins < SPINS { spin() } else { yield_now() }
            }
        }
        Alone { gate: self, _turn: turn }
    }
}

fn spin() {
    #[cfg(not(shuttle))]
    std::hint::spin_loop();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}

fn yield_now() {
    #[cfg(not(shuttle))]
    std::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}

#[cfg(not(shuttle))]
fn wait(condition: &Condvar, guard: &mut MutexGuard<'_, ()>) {
    condition.wait(guard);
}

#[cfg(shuttle)]
fn wait(condition: &Condvar, guard: &mut MutexGuard<'_, ()>) {
    condition.wait_in_place(guard);
}

/// The shared side, held.
pub struct Shared<'a, T> {
    gate: &'a Gate<T>,
    flag: &'a AtomicBool,
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: while a flag is set nobody is alone (invariant 3), so only shared references exist.
        unsafe { &*self.gate.data.get() }
    }
}

impl<T> Drop for Shared<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.flag.store(false, std::sync::atomic::Ordering::Release);
    }
}

/// The exclusive side, held.
pub struct Alone<'a, T> {
    gate: &'a Gate<T>,
    _turn: MutexGuard<'a, ()>,
}

impl<T> Deref for Alone<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: nobody else is inside (invariant 3).
        unsafe { &*self.gate.data.get() }
    }
}

impl<T> DerefMut for Alone<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: nobody else is inside (invariant 3), and `&mut self` makes this the only reference.
        unsafe { &mut *self.gate.data.get() }
    }
}

impl<T> Drop for Alone<'_, T> {
    fn drop(&mut self) {
        let _sleeping = self.gate.sleep.lock();
        self.gate.closed.store(false, SeqCst);
        self.gate.opened.notify_all();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_exclusive_side_sees_no_half_done_work() {
        const THREADS: usize = 3;
        let (gate, places) = Gate::new((std::sync::atomic::AtomicU64::new(0), 0u64), THREADS);
        let gate = Arc::new(gate);
        let workers: Vec<_> = places
            .into_iter()
            .map(|mut place| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || {
                    for round in 0..5_000 {
                        {
                            let shared = gate.enter(&mut place);
                            shared.0.fetch_add(1, SeqCst);
                            shared.0.fetch_add(1, SeqCst);
                        }
                        if round % 64 == 0 {
                            let mut alone = gate.alone();
                            assert_eq!(alone.0.load(SeqCst) % 2, 0, "a shared pass was interrupted");
                            alone.1 += 1;
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        assert_eq!(gate.alone().0.load(SeqCst), THREADS as u64 * 10_000);
    }
}
