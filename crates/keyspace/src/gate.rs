//! The keyspace gate: a lock whose shared side costs a worker one flag of its own, and whose exclusive side runs alone.
//!
//! It is a "big-reader" lock, not a reader-writer lock: readers write no common cache line. A worker holds the shared side
//! for a batch of commands; FLUSHALL, SWAPDB and very wide transactions take the exclusive side. The data lies inside, so
//! the type system proves that only the exclusive side changes what all share.
//!
//! Nobody sleeps here. Who is turned away or not yet alone does something else and tries again, when it is woken or after
//! a millisecond. The exclusive side has phases and a queue of workers:
//!
//! ```text
//!  open --the first of the queue looks, and nobody who was turned away has still to begin--> wanted
//!  wanted (no sliced write begins) --none is under way--> closed (nobody enters)
//!  closed --every `inside` seen clear--> alone: one exclusive request runs
//!  alone --others were queued when it closed--> closed, for the next of them     --else--> open
//! ```
//!
//! Two steps on the way, because closing first and then waiting for sliced writes would shut these out of their last step.
//! Whoever was turned away must have *begun* before the gate closes again: let in, it may still lose a stripe, and find the
//! gate closed at its next try, and so on for ever.
//!
//! Order of locks (never against it): gate, then stripes ascending by (database, stripe), then one leaf (a wheel), then a
//! connection's mailbox. The queue's lock is a leaf.
//!
//! Invariants: (1) a place belongs to one thread at a time; (2) `inside[place]` is set only by that thread, and only it
//! clears it; (3) after `closed` is set and every `inside` was seen clear, nobody is inside until the gate is open again.
//! (3) needs sequential consistency: each side writes its own flag, then reads the other's (Dekker). (4) Alone means that
//! no sliced write is under way. (5) Only the first of the queue changes the state, but for a sliced write's count.
//!
//! Thread safety: `Gate` is Sync; a `Place` is moved, not shared. Model-checked under `--cfg shuttle` (`tests/shuttle.rs`),
//! its rules before that by the model beside the protocol.

use crate::checked::{Mutex, MutexGuard};
use crate::wakes::{Wake, Wakes};
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
#[cfg(not(shuttle))]
use std::time::Duration;

const OPEN: u8 = 0;
const WANTED: u8 = 1;
const CLOSED: u8 = 2;
const ALONE: u8 = 3;
/// Between two looks of a thread that is no worker and has nothing else to do.
#[cfg(not(shuttle))]
const VISITOR_LOOKS: Duration = Duration::from_micros(100);

/// See the module's text.
pub struct Gate<T> {
    state: AtomicU8,
    seats: Box<[Seat]>,
    /// Sliced writes under way.
    sliced: AtomicU32,
    queue: Mutex<Queue>,
    wakes: Wakes,
    data: UnsafeCell<T>,
}

/// What a thread says of itself, on lines that it alone writes.
#[repr(align(128))]
struct Seat {
    inside: AtomicBool,
    /// Some of its requests found the gate closed and have not begun since.
    turned_away: AtomicBool,
}

/// Who wants to be alone.
struct Queue {
    /// Places, each once; the first drives the gate.
    places: VecDeque<usize>,
    /// How many of them may still be alone before the gate opens.
    group: usize,
}

// SAFETY: shared passes give `&T` to several threads (T: Sync), the exclusive pass gives `&mut T` to one (T: Send).
unsafe impl<T: Send + Sync> Sync for Gate<T> {}
// SAFETY: the gate owns its data.
unsafe impl<T: Send> Send for Gate<T> {}

/// The right of one thread to enter through a flag of its own. A worker's has the worker's number.
pub struct Place(usize);

impl<T> Gate<T> {
    /// A gate for `places` threads around `data`, and the places to hand out.
    pub fn new(data: T, places: usize) -> (Gate<T>, Vec<Place>) {
        let seat = |_| Seat { inside: AtomicBool::new(false), turned_away: AtomicBool::new(false) };
        let gate = Gate {
            state: AtomicU8::new(OPEN),
            seats: (0..places).map(seat).collect(),
            sliced: AtomicU32::new(0),
            queue: Mutex::new(Queue { places: VecDeque::new(), group: 0 }),
            wakes: Wakes::default(),
            data: UnsafeCell::new(data),
        };
        (gate, (0..places).map(Place).collect())
    }

    /// How a worker that sleeps is woken when the gate has something for it.
    pub fn set_wake(&self, wake: Wake) {
        self.wakes.set(wake);
    }

    /// Enters the shared side; None: the gate is closed. The mutable borrow keeps a place from being entered twice.
    #[inline]
    pub fn try_enter<'a>(&'a self, place: &'a mut Place) -> Option<Shared<'a, T>> {
        self.sit_down(&self.seats[place.0])
    }

    #[inline(always)]
    fn sit_down<'a>(&'a self, seat: &'a Seat) -> Option<Shared<'a, T>> {
        seat.inside.store(true, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) < CLOSED {
            return Some(Shared { gate: self, seat });
        }
        self.leave(seat);
        None
    }

    /// Notes that something this thread wants to do inside, or a sliced write, was turned away, until [`Gate::begun`].
    /// False: the gate has opened meanwhile, and could not see it; the thread is to try again at once.
    pub fn turn_away(&self, place: &Place) -> bool {
        self.seats[place.0].turned_away.store(true, Ordering::SeqCst);
        self.state.load(Ordering::SeqCst) != OPEN
    }

    /// Enters the shared side, for a thread that is no worker and may sleep.
    pub fn visit<'a>(&'a self, place: &'a mut Place) -> Shared<'a, T> {
        let seat = &self.seats[place.0];
        loop {
            if let Some(shared) = self.sit_down(seat) {
                if seat.turned_away.load(Ordering::Relaxed) {
                    self.begun(place);
                }
                return shared;
            }
            if self.turn_away(place) {
                pause();
            }
        }
    }

    #[inline]
    fn leave(&self, seat: &Seat) {
        seat.inside.store(false, Ordering::Release);
        if self.state.load(Ordering::Relaxed) == CLOSED {
            self.hint_driver();
        }
    }

    /// Whatever was turned away at this place has begun, or is not to be done any more.
    pub fn begun(&self, place: &Place) {
        self.seats[place.0].turned_away.store(false, Ordering::SeqCst);
        self.hint_driver();
    }

    /// Puts a thread into the queue of those that want to be alone, if it is not there.
    pub fn ask(&self, place: &Place) {
        let mut queue = self.queue.lock();
        if !queue.places.contains(&place.0) {
            queue.places.push_back(place.0);
        }
    }

    /// Brings the gate as far as it can be brought now, if it is this thread's turn. The thread must not be inside.
    ///
    /// With the pass nobody else is inside; when it is dropped, the thread is out of the queue.
    pub fn drive<'a>(&'a self, place: &'a mut Place) -> Option<Alone<'a, T>> {
        let mut queue = self.queue.lock();
        if queue.places.front() != Some(&place.0) {
            return None;
        }
        loop {
            let next = match self.state.load(Ordering::SeqCst) {
                OPEN if self.is_any(|seat| &seat.turned_away) => return None,
                OPEN => WANTED,
                WANTED if self.sliced.load(Ordering::SeqCst) > 0 => return None,
                WANTED => {
                    queue.group = queue.places.len();
                    CLOSED
                }
                CLOSED if self.is_any(|seat| &seat.inside) => return None,
                _ => ALONE,
            };
            self.state.store(next, Ordering::SeqCst);
            if next == ALONE {
                return Some(Alone { gate: self, _place: place });
            }
        }
    }

    fn is_any(&self, flag: impl Fn(&Seat) -> &AtomicBool) -> bool {
        self.seats.iter().any(|seat| flag(seat).load(Ordering::SeqCst))
    }

    /// Takes a thread out of the queue: it does not want to be alone any more.
    pub fn withdraw(&self, place: &Place) {
        let mut queue = self.queue.lock();
        let Some(at) = queue.places.iter().position(|&queued| queued == place.0) else { return };
        queue.places.remove(at);
        if at < queue.group {
            queue.group -= 1;
        }
        let is_over = match self.state.load(Ordering::SeqCst) {
            WANTED => queue.places.is_empty(),
            CLOSED => queue.group == 0,
            _ => false,
        };
        self.pass_on(queue, is_over);
    }

    /// Tells the next driver that it is its turn; opens the gate before that, if the phase is over.
    fn pass_on(&self, queue: MutexGuard<'_, Queue>, opens: bool) {
        let next = queue.places.front().copied();
        if opens {
            self.state.store(OPEN, Ordering::SeqCst);
        }
        drop(queue);
        if opens {
            let turned_away = |place: &usize| self.seats[*place].turned_away.load(Ordering::SeqCst);
            (0..self.seats.len()).filter(turned_away).for_each(|place| self.wakes.wake(place));
        }
        if let Some(next) = next {
            self.wakes.wake(next);
        }
    }

    #[cold]
    fn hint_driver(&self) {
        let next = self.queue.lock().places.front().copied();
        if let Some(next) = next {
            self.wakes.wake(next);
        }
    }

    /// Counts a sliced write that is about to begin. False: somebody wants to be alone, and it may not.
    pub fn begin_sliced(&self) -> bool {
        // Counted first, then looked, as the driver looks at the count after the state: one of them sees the other.
        self.sliced.fetch_add(1, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) == OPEN {
            return true;
        }
        self.end_sliced();
        false
    }

    /// A sliced write has done its last step, or will not.
    pub fn end_sliced(&self) {
        self.sliced.fetch_sub(1, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) == WANTED {
            self.hint_driver();
        }
    }
}

fn pause() {
    #[cfg(not(shuttle))]
    std::thread::sleep(VISITOR_LOOKS);
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}

/// The shared side, held.
pub struct Shared<'a, T> {
    gate: &'a Gate<T>,
    seat: &'a Seat,
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
        self.gate.leave(self.seat);
    }
}

/// The exclusive side, held.
pub struct Alone<'a, T> {
    gate: &'a Gate<T>,
    _place: &'a mut Place,
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
        let mut queue = self.gate.queue.lock();
        queue.places.pop_front();
        queue.group -= 1;
        let is_over = queue.group == 0;
        if !is_over {
            // Handed on: nobody got in.
            self.gate.state.store(CLOSED, Ordering::SeqCst);
        }
        self.gate.pass_on(queue, is_over);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::{Arc, Mutex as StdMutex};

    #[test]
    fn the_exclusive_side_sees_no_half_done_work() {
        const THREADS: usize = 3;
        let (gate, places) = Gate::new((AtomicU64::new(0), 0u64), THREADS);
        let gate = Arc::new(gate);
        let work = |gate: Arc<Gate<(AtomicU64, u64)>>, mut place: Place| {
            for round in 0..5_000 {
                {
                    let shared = gate.visit(&mut place);
                    shared.0.fetch_add(1, SeqCst);
                    shared.0.fetch_add(1, SeqCst);
                }
                if round % 64 == 0 {
                    gate.ask(&place);
                    loop {
                        let Some(mut alone) = gate.drive(&mut place) else {
                            std::thread::yield_now();
                            continue;
                        };
                        assert_eq!(alone.0.load(SeqCst) % 2, 0, "a shared pass was interrupted");
                        alone.1 += 1;
                        break;
                    }
                }
            }
        };
        let threads: Vec<_> = places
            .into_iter()
            .map(|place| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || work(gate, place))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let data = Arc::into_inner(gate).expect("all threads have ended").data.into_inner();
        assert_eq!((data.0.into_inner(), data.1), (THREADS as u64 * 10_000, THREADS as u64 * 79));
    }

    type Woken = Arc<StdMutex<Vec<usize>>>;

    fn gate(places: usize) -> (Gate<u32>, Vec<Place>, Woken) {
        let (gate, places) = Gate::new(0, places);
        let woken = Woken::default();
        let log = Arc::clone(&woken);
        gate.set_wake(Arc::new(move |worker| log.lock().expect("unpoisoned").push(worker)));
        (gate, places, woken)
    }

    fn woken(woken: &Woken) -> Vec<usize> {
        std::mem::take(&mut *woken.lock().expect("unpoisoned"))
    }

    #[test]
    fn whoever_was_turned_away_begins_before_the_gate_closes_again() {
        let (gate, mut places, log) = gate(2);
        let (first, second) = places.split_at_mut(1);
        gate.ask(&first[0]);
        let alone = gate.drive(&mut first[0]).expect("nobody is inside");
        assert!(gate.try_enter(&mut second[0]).is_none());
        assert!(gate.turn_away(&second[0]));
        drop(alone);
        assert_eq!(woken(&log), [1]);
        gate.ask(&first[0]);
        assert!(gate.drive(&mut first[0]).is_none(), "the other has still to begin");
        drop(gate.try_enter(&mut second[0]).expect("it is open"));
        assert!(gate.drive(&mut first[0]).is_none(), "let in is not begun");
        gate.begun(&second[0]);
        assert_eq!(woken(&log), [0]);
        assert!(gate.drive(&mut first[0]).is_some());
    }

    #[test]
    fn those_queued_when_it_closes_are_alone_one_after_the_other() {
        let (gate, mut places, log) = gate(3);
        for place in &places {
            gate.ask(place);
        }
        let [one, two, three] = &mut places[..] else { unreachable!() };
        gate.withdraw(three);
        let alone = gate.drive(one).expect("nobody is inside");
        gate.ask(three);
        drop(alone);
        assert_eq!(woken(&log), [0, 1]);
        assert!(gate.try_enter(one).is_none(), "the next is about to be alone");
        drop(gate.drive(two).expect("its turn"));
        assert!(gate.try_enter(one).is_some(), "the third came later");
        drop(gate.drive(three).expect("now it is its turn"));
    }

    #[test]
    fn a_driver_that_withdraws_opens_the_gate_or_passes_it_on() {
        let (gate, mut places, log) = gate(3);
        let [one, two, three] = &mut places[..] else { unreachable!() };
        gate.ask(one);
        let inside = gate.try_enter(two).expect("open");
        assert!(gate.drive(one).is_none());
        assert!(gate.try_enter(three).is_none(), "closed");
        assert!(gate.turn_away(three));
        gate.ask(three);
        gate.withdraw(one);
        assert_eq!(gate.state.load(SeqCst), OPEN, "its group had one member");
        assert!(woken(&log).contains(&2));
        drop(inside);
        gate.begun(three);
        assert!(gate.drive(three).is_some());
    }

    #[test]
    fn the_gate_waits_for_sliced_writes_and_lets_none_begin() {
        let (gate, mut places, log) = gate(2);
        let [one, two] = &mut places[..] else { unreachable!() };
        assert!(gate.begin_sliced());
        gate.ask(one);
        assert!(gate.drive(one).is_none());
        assert!(!gate.begin_sliced(), "somebody wants to be alone");
        drop(gate.try_enter(two).expect("only closed keeps others out"));
        woken(&log);
        gate.end_sliced();
        assert_eq!(woken(&log), [0]);
        assert!(gate.drive(one).is_some());
    }
}
