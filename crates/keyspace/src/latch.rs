//! A latch: the lock of one stripe. Taking a free one is a single atomic exchange, giving it back a plain store.
//!
//! It is not a general mutex: nobody sleeps on it. That is affordable because a stripe is held for microseconds and a
//! worker gives up after its patience and serves others. A sleeping mutex pays a second atomic exchange at each unlock to
//! look for sleepers: with three lockings per command (two of them hints) that was 5 % of a GET at pipeline 64. Who waits,
//! and who may take it next, says its mark: see `waiting`.
//!
//! Invariant: `held` is true exactly while one `Held` exists, and the contents are reached through it alone.
//!
//! Thread safety: `Latch` is Sync for contents that are Send. Model-checked under `--cfg shuttle` (`tests/shuttle.rs`).

use crate::waiting::Mark;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, Ordering};
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Rounds of looking before the processor is yielded: about a microsecond, longer than most holds.
#[cfg(not(shuttle))]
const SPINS: u32 = 64;
#[cfg(shuttle)]
const SPINS: u32 = 1;

/// See the module's text.
pub struct Latch<T> {
    held: AtomicBool,
    mark: Mark,
    contents: UnsafeCell<T>,
}

// SAFETY: the contents are reached by one thread at a time (the invariant), so they need only be Send.
unsafe impl<T: Send> Sync for Latch<T> {}

/// A taken latch; dropping it gives it back.
pub struct Held<'a, T> {
    latch: &'a Latch<T>,
    /// Shared by several threads it would share `&T` of contents that need not be Sync.
    _not_sync: PhantomData<Cell<T>>,
}

/// How long a command still waits for stripes, all of them together.
pub struct Patience {
    limit: Duration,
    until: Option<Instant>,
}

impl Patience {
    pub fn new(limit: Duration) -> Patience {
        Patience { limit, until: None }
    }

    /// The clock starts with the first latch that is not free.
    fn is_over(&mut self) -> bool {
        if self.limit.is_zero() {
            return true;
        }
        let now = Instant::now();
        now >= *self.until.get_or_insert_with(|| now + self.limit)
    }
}

impl<T> Latch<T> {
    pub fn new(contents: T) -> Latch<T> {
        Latch { held: AtomicBool::new(false), mark: Mark::new(), contents: UnsafeCell::new(contents) }
    }

    /// Takes the latch if it is free and no other worker has the right of way.
    #[inline(always)]
    pub fn try_lock(&self, worker: u8) -> Option<Held<'_, T>> {
        // Looking first keeps the line shared while somebody else holds the latch.
        if self.held.load(Ordering::Relaxed)
            || self.mark.bars(worker)
            || self.held.swap(true, Ordering::Acquire)
        {
            return None;
        }
        Some(Held { latch: self, _not_sync: PhantomData })
    }

    /// Takes the latch for a moment if nobody wants it: for hints.
    #[inline(always)]
    pub fn try_peek(&self) -> Option<Held<'_, T>> {
        if self.held.load(Ordering::Relaxed)
            || self.mark.is_preferred()
            || self.held.swap(true, Ordering::Acquire)
        {
            return None;
        }
        Some(Held { latch: self, _not_sync: PhantomData })
    }

    /// Tries as long as there is patience.
    pub fn try_lock_for(&self, worker: u8, patience: &mut Patience) -> Option<Held<'_, T>> {
        loop {
            for _ in 0..SPINS {
                if let Some(held) = self.try_lock(worker) {
                    return Some(held);
                }
                std::hint::spin_loop();
            }
            if patience.is_over() {
                return None;
            }
            pause();
        }
    }

    /// Takes the latch whoever has the right of way; with nobody else inside the gate it is free.
    pub fn lock_alone(&self) -> Held<'_, T> {
        let was_held = self.held.swap(true, Ordering::Acquire);
        assert!(!was_held, "a latch is held although nobody else is inside the gate");
        Held { latch: self, _not_sync: PhantomData }
    }

    /// Who waits for it.
    #[inline(always)]
    pub fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The contents without the latch: `&mut self` proves that nobody holds it.
    pub fn get_mut(&mut self) -> &mut T {
        self.contents.get_mut()
    }

    /// Forgets who waits for it: it is taken out of everybody's reach.
    pub(crate) fn clear_mark(&mut self) {
        self.mark = Mark::new();
    }

    /// Exchanges the marks of two latches, with nobody else inside the gate: they belong to a database's number, not to
    /// the data that moves.
    pub(crate) fn swap_marks(&mut self, other: &mut Latch<T>) {
        std::mem::swap(&mut self.mark, &mut other.mark);
    }
}

fn pause() {
    #[cfg(not(shuttle))]
    std::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the latch is held by this value alone (the invariant).
        unsafe { &*self.latch.contents.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as `deref`, and `&mut self` makes this the only reference.
        unsafe { &mut *self.latch.contents.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.latch.held.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_thread_at_a_time() {
        const ROUNDS: u64 = 20_000;
        let latch = Arc::new(Latch::new((0u64, 0u64)));
        let add = |latch: Arc<Latch<(u64, u64)>>| {
            for _ in 0..ROUNDS {
                let mut patience = Patience::new(Duration::from_secs(60));
                let mut held = latch.try_lock_for(1, &mut patience).expect("a minute is enough");
                assert_eq!(held.0, held.1, "somebody else is at work");
                held.0 += 1;
                held.1 += 1;
            }
        };
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let latch = Arc::clone(&latch);
                std::thread::spawn(move || add(latch))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(latch.lock_alone().0, 3 * ROUNDS);
    }

    #[test]
    fn patience_ends_while_the_latch_is_held() {
        let latch = Latch::new(());
        let held = latch.try_lock(0).expect("free");
        assert!(latch.try_lock(1).is_none());
        assert!(latch.try_lock_for(1, &mut Patience::new(Duration::from_micros(50))).is_none());
        drop(held);
        assert!(latch.try_lock(1).is_some());
    }

    #[test]
    fn the_right_of_way_keeps_others_out_of_a_free_latch() {
        let (latch, waiting) = (Latch::new(()), crate::waiting::Waiting::default());
        waiting.prefer(latch.mark(), 1);
        assert!(latch.try_lock(0).is_none() && latch.try_peek().is_none());
        assert!(latch.try_lock(1).is_some());
        waiting.release(latch.mark(), 1);
        assert!(latch.try_lock(0).is_some());
    }
}
