//! A worker's bell: how other threads tell it that there is something to look at, and for whom.
//!
//! Not what was sent: that lies in each client's mailbox (`mailbox`). The bell's list names those to look at.
//!
//! ```text
//!  sender:  put what it has, append the name, rung = 1, asleep?  -> wake
//!  worker:  rung? -> take the names, look at each ... asleep = 1, rung?  -> sleep
//! ```
//!
//! Invariants: (1) whoever rings has put what is to be seen before; (2) a worker that lies down looks once more whether
//! it was rung for: each side stores its own flag, then reads the other's, all sequentially consistent, so that one of
//! them sees the other and no ring is lost; (3) a hint is no ring: it only ends a sleep.
//!
//! Thread safety: Sync; `look`, `take`, `lie_down` and `get_up` are its worker's. Model-checked under `--cfg shuttle`
//! (`tests/shuttle.rs`).

use keyspace::checked::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::OnceLock;
#[cfg(not(shuttle))]
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};

type Wake = Box<dyn Fn() + Send + Sync>;

/// See the module's text.
pub struct Bell<T> {
    listed: Mutex<Vec<T>>,
    rung: AtomicBool,
    /// Its worker sleeps, or is about to.
    asleep: AtomicBool,
    wake: OnceLock<Wake>,
}

impl<T> Default for Bell<T> {
    fn default() -> Bell<T> {
        Bell {
            listed: Mutex::new(Vec::new()),
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            wake: OnceLock::new(),
        }
    }
}

impl<T> Bell<T> {
    /// How its worker's sleep is ended. Without it the worker is never asleep.
    pub fn set_wake(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// Names somebody whose mailbox is to be looked at, and rings.
    pub fn list(&self, name: T) {
        self.listed.lock().push(name);
        self.ring();
    }

    /// Makes the worker look, at once if it sleeps, else in its next cycle.
    pub fn ring(&self) {
        self.rung.store(true, SeqCst);
        self.hint();
    }

    /// Ends the worker's sleep. May come too early; whoever depends on it looks again by himself.
    pub fn hint(&self) {
        // Of many senders the first wakes it, which is a system call.
        if self.asleep.load(SeqCst)
            && self.asleep.swap(false, SeqCst)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// Whether it was rung since the last look; a look is still to come.
    #[inline]
    pub fn is_rung(&self) -> bool {
        self.rung.load(Relaxed)
    }

    /// Whether it was rung since the last look.
    #[inline]
    pub fn look(&self) -> bool {
        self.rung.load(Relaxed) && self.rung.swap(false, SeqCst)
    }

    /// Those who were named, in order. To be called after a look that found the bell rung.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.listed.lock())
    }

    /// The worker is about to sleep. False: it was rung for, and stays awake.
    pub fn lie_down(&self) -> bool {
        self.asleep.store(true, SeqCst);
        let may_sleep = !self.rung.load(SeqCst);
        if !may_sleep {
            self.get_up();
        }
        may_sleep
    }

    /// The worker is awake again.
    pub fn get_up(&self) {
        self.asleep.store(false, Relaxed);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn only_a_sleeper_is_woken_and_only_once() {
        let (bell, woken) = (Bell::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&woken);
        bell.set_wake(Box::new(move || _ = count.fetch_add(1, Relaxed)));
        bell.list(1);
        assert_eq!(woken.load(Relaxed), 0, "it is awake");
        assert!(!bell.lie_down(), "it has not looked yet");
        assert!(bell.look() && !bell.look());
        assert_eq!(bell.take(), [1]);
        assert!(bell.lie_down());
        bell.list(2);
        bell.list(3);
        bell.hint();
        assert_eq!(woken.load(Relaxed), 1);
        assert!(bell.look());
        assert_eq!(bell.take(), [2, 3]);
    }

    #[test]
    fn a_hint_ends_a_sleep_and_is_nothing_to_look_at() {
        let (bell, woken) = (Bell::<u8>::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&woken);
        bell.set_wake(Box::new(move || _ = count.fetch_add(1, Relaxed)));
        assert!(bell.lie_down());
        bell.hint();
        assert_eq!(woken.load(Relaxed), 1);
        assert!(!bell.look() && bell.lie_down());
    }
}
