//! What is no counter: a structure behind a lock that its worker only tries, so that a reporter's copy stops no worker.
//!
//! Nearly always nobody else has it, and an event goes straight in. While a reporter copies, the worker notes its events in
//! a list of its own, at most [`LATE_MAX`]; what comes beyond is counted as missed, and the structure says what that does
//! to its bounds. The list is settled by the next event that finds the lock free, that of hot keys also
//! when a batch or the timer's turn begins.
//!
//! Not for what can be counted: a `counter` costs less and is never missed.
//!
//! Invariants: (1) the worker never waits; (2) reporters hold the lock for a copy, or to put an empty structure in;
//! (3) what the list holds when the structure is replaced came before that, and is dropped.
//!
//! Thread safety: [`Kept`] is Sync; a [`Keeper`] is owned by one worker.

use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Events noted while others have the lock: a copy takes 20 us, in which a worker records ten of them. When the reporter
/// loses its processor meanwhile it may be thousands.
pub const LATE_MAX: usize = 512;

/// A structure that can be fed late.
pub trait Summary: Clone + Default {
    /// What it must know of an event that it is told of later.
    type Event;

    /// Takes in an event that came while others had the lock.
    fn take_late(&mut self, event: Self::Event);

    /// So much weight has come that it will never be told of.
    fn take_missed(&mut self, weight: u64);

    /// Bytes held.
    fn held_bytes(&self) -> usize;

    /// Forgets what it was told, and keeps what is no observation (since when its window is).
    fn forget(&mut self);
}

/// The readers' side.
pub struct Kept<T> {
    state: Mutex<T>,
    /// Bytes held when somebody looked last: looking takes too long for those who ask every second.
    held_bytes: AtomicUsize,
    /// How often it was emptied.
    resets: AtomicU64,
}

/// The worker's side.
pub struct Keeper<T: Summary> {
    kept: Arc<Kept<T>>,
    late: Vec<T::Event>,
    missed: u64,
    resets: u64,
}

impl<T: Summary> Kept<T> {
    /// A copy.
    pub fn copy(&self) -> T {
        self.read(T::clone)
    }

    /// Lets a reader look, the lock held.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.state.lock())
    }

    /// Empties it.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.forget();
        self.held_bytes.store(state.held_bytes(), Relaxed);
        self.resets.fetch_add(1, Release);
    }

    /// Bytes held, the worker's list included, as of the last look.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Relaxed) + late_bytes_max::<T>()
    }
}

/// What the list of late events may take.
pub const fn late_bytes_max<T: Summary>() -> usize {
    LATE_MAX * size_of::<T::Event>()
}

impl<T: Summary> Default for Keeper<T> {
    fn default() -> Self {
        let state = T::default();
        let held_bytes = AtomicUsize::new(state.held_bytes());
        let kept = Kept { state: Mutex::new(state), held_bytes, resets: AtomicU64::new(0) };
        Self { kept: Arc::new(kept), late: Vec::new(), missed: 0, resets: 0 }
    }
}

impl<T: Summary> Keeper<T> {
    /// The readers' side.
    pub fn kept(&self) -> Arc<Kept<T>> {
        Arc::clone(&self.kept)
    }

    /// The structure with all that has come, unless others have it.
    #[inline]
    pub fn try_open(&mut self) -> Option<MutexGuard<'_, T>> {
        let mut state = self.kept.state.try_lock()?;
        if !self.late.is_empty() {
            if self.resets == self.kept.resets.load(Acquire) {
                self.late.drain(..).for_each(|event| state.take_late(event));
                if self.missed > 0 {
                    state.take_missed(self.missed);
                }
            }
            self.late.clear();
            self.missed = 0;
        }
        Some(state)
    }

    /// Whether something was noted that the structure does not know yet.
    #[inline]
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Notes an event for later; `weight` is what is missed if there is no room.
    #[cold]
    pub fn note(&mut self, event: T::Event, weight: u64) {
        let resets = self.kept.resets.load(Acquire);
        if resets != self.resets {
            (self.resets, self.missed) = (resets, 0);
            self.late.clear();
        }
        if self.late.len() < LATE_MAX {
            self.late.reserve_exact(LATE_MAX - self.late.len());
            self.late.push(event);
        } else {
            self.missed += weight;
        }
    }

    /// Takes a look at how much the structure holds; to be called now and then.
    pub fn weigh(&mut self) {
        if let Some(state) = self.kept.state.try_lock() {
            self.kept.held_bytes.store(state.held_bytes(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sum {
        direct: u64,
        late: u64,
        missed: u64,
    }

    impl Summary for Sum {
        type Event = u64;

        fn take_late(&mut self, event: u64) {
            self.late += event;
        }

        fn take_missed(&mut self, weight: u64) {
            self.missed += weight;
        }

        fn held_bytes(&self) -> usize {
            size_of::<Self>()
        }

        fn forget(&mut self) {
            *self = Self::default();
        }
    }

    fn record(keeper: &mut Keeper<Sum>, event: u64) {
        if let Some(mut sum) = keeper.try_open() {
            sum.direct += event;
        } else {
            keeper.note(event, event);
        }
    }

    #[test]
    fn nothing_is_lost_while_a_reporter_has_it() {
        let mut keeper = Keeper::<Sum>::default();
        let kept = keeper.kept();
        record(&mut keeper, 3);
        kept.read(|_| (0..LATE_MAX + 5).for_each(|_| record(&mut keeper, 2)));
        assert_eq!(kept.copy().late, 0, "they come with the next event");
        record(&mut keeper, 1);
        let sum = kept.copy();
        assert_eq!((sum.direct, sum.late, sum.missed), (4, 2 * LATE_MAX as u64, 10));
        record(&mut keeper, 1);
        assert_eq!(kept.copy().late, 2 * LATE_MAX as u64, "once");
    }

    #[test]
    fn what_came_before_a_reset_is_dropped_and_what_comes_after_is_not() {
        let mut keeper = Keeper::<Sum>::default();
        let kept = keeper.kept();
        kept.read(|_| record(&mut keeper, 7));
        kept.reset();
        record(&mut keeper, 1);
        assert_eq!((kept.copy().direct, kept.copy().late), (1, 0));
        kept.reset();
        kept.reset();
        kept.read(|_| record(&mut keeper, 5));
        kept.read(|_| record(&mut keeper, 6));
        record(&mut keeper, 0);
        assert_eq!(kept.copy().late, 11);
        kept.read(|_| record(&mut keeper, 5));
        kept.reset();
        kept.read(|_| record(&mut keeper, 6));
        record(&mut keeper, 0);
        assert_eq!(kept.copy().late, 6);
    }
}
