//! A latch: the lock of one stripe. Taking a free one is a single atomic exchange, giving it back a plain store.
//!
//! It is not a general mutex: nobody sleeps on it. That is affordable because a stripe is held for microseconds and a
//! worker gives up after `try_lock_for`'s patience and serves others; only whole-keyspace work uses `lock`, which yields
//! the processor while it waits. A sleeping mutex pays a second atomic exchange at each unlock to look for sleepers:
//! with three lockings per command (two of them hints) that was 5 % of a GET at pipeline 64.
//!
//! Invariant: `held` is true exactly while one `Held` exists, and the contents are reached through it alone.
//!
//! Thread safety: `Latch` is Sync for contents that are Send. Model-checked under `--cfg shuttle` (`tests/shuttle.rs`).

#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, Ordering};
use std::cell::UnsafeCell;
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
    contents: UnsafeCell<T>,
}

// SAFETY: the contents are reached by one thread at a time (the invariant), so they need only be Send.
unsafe impl<T: Send> Sync for Latch<T> {}

/// A taken latch; dropping it gives it back.
pub struct Held<'a, T> {
    latch: &'a Latch<T>,
}

impl<T> Latch<T> {
    pub fn new(contents: T) -> Latch<T> {
        Latch { held: AtomicBool::new(false), contents: UnsafeCell::new(contents) }
    }

    /// Takes the latch if it is free.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<Held<'_, T>> {
        // Looking first keeps the line shared while somebody else holds the latch.
        if self.held.load(Ordering::Relaxed) || self.held.swap(true, Ordering::Acquire) {
            return None;
        }
        Some(Held { latch: self })
    }

    /// Tries for about this long.
    pub fn try_lock_for(&self, patience: Duration) -> Option<Held<'_, T>> {
        let mut until = None;
        loop {
            if let Some(held) = self.try_often() {
                return Some(held);
            }
            if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + patience) {
                return None;
            }
            pause();
        }
    }

    /// Waits as long as it takes.
    pub fn lock(&self) -> Held<'_, T> {
        loop {
            if let Some(held) = self.try_often() {
                return held;
            }
            pause();
        }
    }

    fn try_often(&self) -> Option<Held<'_, T>> {
        for _ in 0..SPINS {
            if let Some(held) = self.try_lock() {
                return Some(held);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The contents without the latch: `&mut self` proves that nobody holds it.
    pub fn get_mut(&mut self) -> &mut T {
        self.contents.get_mut()
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
            for round in 0..ROUNDS {
                let mut held = if round % 3 == 0 {
                    latch.try_lock_for(Duration::from_secs(60)).expect("a minute is enough")
                } else {
                    latch.lock()
                };
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
        assert_eq!(latch.lock().0, 3 * ROUNDS);
    }

    #[test]
    fn patience_ends_while_the_latch_is_held() {
        let latch = Latch::new(());
        let held = latch.try_lock().expect("free");
        assert!(latch.try_lock().is_none());
        assert!(latch.try_lock_for(Duration::from_micros(50)).is_none());
        drop(held);
        assert!(latch.try_lock().is_some());
    }
}
