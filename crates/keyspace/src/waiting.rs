//! Who waits for a stripe: the workers that are registered at its latch, and the one worker that has the right of way.
//!
//! A latch queues workers, not connections, which die and move. A worker that has lost a stripe registers, looks once
//! more, and serves others; who gives the latch back wakes the first one registered. These wake-ups are hints: whoever
//! waits also looks once in a millisecond, so that giving back can stay a plain store (a lost hint costs that
//! millisecond, never progress).
//!
//! A command that has lost for a millisecond asks for the right of way. One worker has it at a time: it marks the
//! stripes of that command, which no other worker may take from then on. So the command is the next to get each of
//! them, and nothing is held meanwhile that others would wait for in vain: a mark is taken off by one store.
//!
//! ```text
//!  mark   0          nobody waits
//!         1          some worker is registered
//!         2 + w      only worker w may take the latch
//! ```
//!
//! Invariants: (1) while a list names a worker for a latch, the latch's mark is not 0; marks and lists change together,
//! under the list's lock; (2) a worker is in the queue for the right of way at most once; (3) locks here are leaves:
//! nothing is locked and nobody is waited for while one is held.
//!
//! Thread safety: Sync. Model-checked under `--cfg shuttle` (`tests/shuttle.rs`); the protocol's other rules are in the
//! text of `commands::contention`.

use crate::checked::Mutex;
use crate::wakes::{Wake, Wakes};
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicU8, Ordering};
use std::collections::VecDeque;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicU8, Ordering};

/// Lists of registered workers; latches share them by address.
const LISTS: usize = 64;
const NOBODY: u8 = 0;
const REGISTERED: u8 = 1;
const PREFERRED: u8 = 2;
/// Workers that marks can name.
pub const WORKERS_MAX: usize = 250;
/// The worker that is alone behind the gate: nobody's right of way is in its way.
pub const ALONE: u8 = u8::MAX;

/// Who waits for one latch; see the drawing above.
pub struct Mark(AtomicU8);

impl Mark {
    pub(crate) fn new() -> Mark {
        Mark(AtomicU8::new(NOBODY))
    }

    /// Whether somebody is to be told when the latch is given back.
    #[inline(always)]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NOBODY
    }

    /// Whether some other worker has the right of way.
    #[inline(always)]
    pub fn bars(&self, worker: u8) -> bool {
        let mark = self.0.load(Ordering::Relaxed);
        mark >= PREFERRED && worker != ALONE && mark != PREFERRED + worker
    }

    /// Whether any worker has the right of way.
    #[inline(always)]
    pub fn is_preferred(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= PREFERRED
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

/// (address of a mark, worker), first come first.
type List = Vec<(usize, u8)>;

/// See the module's text.
pub struct Waiting {
    lists: Box<[Mutex<List>]>,
    /// Workers that want the right of way; the first has it.
    way: Mutex<VecDeque<u8>>,
    /// Clients whose requests have waited long for a pin; none but the first may pin anything.
    held_off: Mutex<VecDeque<u64>>,
    wakes: Wakes,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting {
            lists: (0..LISTS).map(|_| Mutex::new(Vec::new())).collect(),
            way: Mutex::new(VecDeque::new()),
            held_off: Mutex::new(VecDeque::new()),
            wakes: Wakes::default(),
        }
    }
}

impl Waiting {
    /// How a worker that sleeps is woken. Without it everybody finds out by looking.
    pub fn set_wake(&self, wake: Wake) {
        self.wakes.set(wake);
    }

    pub(crate) fn wake(&self, worker: u8) {
        self.wakes.wake(usize::from(worker));
    }

    fn list(&self, mark: &Mark) -> &Mutex<List> {
        // Marks are 128 bytes apart.
        &self.lists[mark.address() / 128 % LISTS]
    }

    /// Notes that `worker` waits for the latch of this mark. The caller looks at the latch once more afterwards.
    pub fn register(&self, mark: &Mark, worker: u8) {
        let mut list = self.list(mark).lock();
        let entry = (mark.address(), worker);
        if !list.contains(&entry) {
            list.push(entry);
        }
        let _ = mark.0.compare_exchange(NOBODY, REGISTERED, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Takes `worker` off the list: it has got the latch, or does not want it any more.
    pub fn forget(&self, mark: &Mark, worker: u8) {
        let mut list = self.list(mark).lock();
        list.retain(|&entry| entry != (mark.address(), worker));
        settle(&list, mark);
    }

    /// To be called after a marked latch was given back by `by`: wakes who is to have it next.
    #[cold]
    pub fn given_back(&self, mark: &Mark, by: u8) {
        let now = mark.0.load(Ordering::Relaxed);
        let next = if now >= PREFERRED {
            Some(now - PREFERRED)
        } else {
            let mut list = self.list(mark).lock();
            let at = list.iter().position(|&(address, _)| address == mark.address());
            let next = at.map(|at| list.remove(at).1);
            settle(&list, mark);
            next
        };
        if let Some(worker) = next.filter(|&worker| worker != by) {
            self.wake(worker);
        }
    }

    /// Puts `worker` into the queue for the right of way.
    pub fn ask_way(&self, worker: u8) {
        let mut way = self.way.lock();
        if !way.contains(&worker) {
            way.push_back(worker);
        }
    }

    /// Whether it is this worker's turn.
    pub fn has_way(&self, worker: u8) -> bool {
        self.way.lock().front() == Some(&worker)
    }

    /// Marks a stripe for the worker that has the right of way.
    pub fn prefer(&self, mark: &Mark, worker: u8) {
        let _list = self.list(mark).lock();
        mark.0.store(PREFERRED + worker, Ordering::SeqCst);
    }

    /// Takes a worker's mark off a stripe again, and wakes who is registered there.
    pub fn release(&self, mark: &Mark, worker: u8) {
        let list = self.list(mark).lock();
        if mark.0.load(Ordering::Relaxed) != PREFERRED + worker {
            return;
        }
        mark.0.store(NOBODY, Ordering::SeqCst);
        settle(&list, mark);
        let next = list.iter().find(|(address, _)| *address == mark.address()).map(|&(_, next)| next);
        drop(list);
        if let Some(next) = next.filter(|&next| next != worker) {
            self.wake(next);
        }
    }

    /// A client's request has waited long for a pin: new pins are held off until it has begun.
    pub fn hold_off(&self, client: u64) {
        let mut held_off = self.held_off.lock();
        if !held_off.contains(&client) {
            held_off.push_back(client);
        }
    }

    /// Whether a client's request may pin keys.
    pub fn may_pin(&self, client: u64) -> bool {
        self.held_off.lock().front().is_none_or(|&first| first == client)
    }

    /// A client's request has begun, or is no more.
    pub fn end_hold_off(&self, client: u64) {
        self.held_off.lock().retain(|&waiting| waiting != client);
    }

    /// Ends a worker's turn, or its place in the queue. It has taken its marks off.
    pub fn leave_way(&self, worker: u8) {
        let mut way = self.way.lock();
        way.retain(|&waiting| waiting != worker);
        let next = way.front().copied();
        drop(way);
        if let Some(next) = next {
            self.wake(next);
        }
    }
}

/// Makes the mark say whether the list still names somebody, unless somebody has the right of way.
fn settle(list: &[(usize, u8)], mark: &Mark) {
    let is_named = list.iter().any(|&(address, _)| address == mark.address());
    let (from, to) = if is_named { (NOBODY, REGISTERED) } else { (REGISTERED, NOBODY) };
    let _ = mark.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed);
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex as StdMutex};

    fn waiting() -> (Waiting, Arc<StdMutex<Vec<usize>>>) {
        let (waiting, woken) = (Waiting::default(), Arc::new(StdMutex::new(Vec::new())));
        let log = Arc::clone(&woken);
        waiting.set_wake(Arc::new(move |worker| log.lock().expect("unpoisoned").push(worker)));
        (waiting, woken)
    }

    #[test]
    fn the_first_registered_is_woken_first_and_the_mark_ends_with_the_last() {
        let ((waiting, woken), mark) = (waiting(), Mark::new());
        for worker in [3, 1, 3] {
            waiting.register(&mark, worker);
        }
        assert!(mark.is_set() && !mark.bars(7));
        waiting.given_back(&mark, 0);
        assert!(mark.is_set());
        waiting.given_back(&mark, 0);
        assert!(!mark.is_set());
        assert_eq!(*woken.lock().expect("unpoisoned"), [3, 1]);
        waiting.register(&mark, 5);
        waiting.forget(&mark, 5);
        assert!(!mark.is_set());
    }

    #[test]
    fn the_right_of_way_bars_others_until_it_is_released() {
        let ((waiting, woken), mark) = (waiting(), Mark::new());
        waiting.ask_way(2);
        waiting.ask_way(4);
        waiting.ask_way(2);
        assert!(waiting.has_way(2) && !waiting.has_way(4));
        waiting.register(&mark, 6);
        waiting.prefer(&mark, 2);
        assert!(mark.bars(6) && !mark.bars(2) && mark.is_preferred());
        // Somebody else's release changes nothing.
        waiting.release(&mark, 4);
        assert!(mark.bars(6));
        waiting.release(&mark, 2);
        assert!(!mark.bars(6) && mark.is_set(), "worker 6 is still registered");
        waiting.leave_way(2);
        assert!(waiting.has_way(4));
        assert_eq!(*woken.lock().expect("unpoisoned"), [6, 4]);
    }
}
