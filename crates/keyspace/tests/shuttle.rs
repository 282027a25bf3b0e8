//! Gate, latch and right of way under every schedule shuttle finds: nobody is inside while somebody is alone, nobody sleeps
//! for ever, a latch is held by one, and who has the right of way gets it next.
//!
//! Built only with `RUSTFLAGS="--cfg shuttle"`, which replaces the gate's atomics, locks and threads.
#![cfg(shuttle)]

use keyspace::gate::{Gate, Place};
use keyspace::latch::{Held, Latch};
use keyspace::pins::{Hold, Pinned, Pins};
use keyspace::waiting::Waiting;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use std::sync::Arc;

const SCHEDULES: usize = 2_000;

/// What a worker has that shares the gate with others.
struct Guest {
    gate: Arc<Gate<(AtomicUsize, usize)>>,
    place: Place,
}

impl Guest {
    /// Enters as a worker does: it is turned away, does something else, and tries again until it has begun.
    fn enter(&mut self) {
        let mut was_turned_away = false;
        loop {
            if let Some(shared) = self.gate.try_enter(&mut self.place) {
                let before = shared.1;
                shared.0.fetch_add(1, SeqCst);
                thread::yield_now();
                assert_eq!(shared.1, before, "changed while somebody was inside");
                shared.0.fetch_sub(1, SeqCst);
                break;
            }
            was_turned_away = true;
            if self.gate.turn_away(&self.place) {
                thread::yield_now();
            }
        }
        if was_turned_away {
            self.gate.begun(&self.place);
        }
    }

    fn be_alone(&mut self, sliced: &AtomicUsize) {
        self.gate.ask(&self.place);
        loop {
            if let Some(mut alone) = self.gate.drive(&mut self.place) {
                assert_eq!(alone.0.load(SeqCst), 0, "somebody is inside");
                assert_eq!(sliced.load(SeqCst), 0, "a sliced write is under way");
                alone.1 += 1;
                return;
            }
            thread::yield_now();
        }
    }

    /// A sliced write: counted, two turns inside, counted no more.
    fn write_in_slices(&mut self, sliced: &AtomicUsize) {
        while !self.gate.begin_sliced() {
            self.gate.turn_away(&self.place);
            thread::yield_now();
        }
        sliced.fetch_add(1, SeqCst);
        for _ in 0..2 {
            let shared =
                self.gate.try_enter(&mut self.place).expect("a closed gate stands before a sliced write");
            shared.0.fetch_add(1, SeqCst);
            shared.0.fetch_sub(1, SeqCst);
            drop(shared);
            thread::yield_now();
        }
        sliced.fetch_sub(1, SeqCst);
        self.gate.end_sliced();
        self.gate.begun(&self.place);
    }
}

/// Guests of one gate, each doing `work` in a thread of its own; afterwards how often somebody was alone.
fn guests(threads: usize, work: impl Fn(usize, &mut Guest, &AtomicUsize) + Send + Sync + 'static) -> usize {
    let (gate, places) = Gate::new((AtomicUsize::new(0), 0usize), threads + 1);
    let (gate, work, sliced) = (Arc::new(gate), Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let mut guests: Vec<Guest> =
        places.into_iter().map(|place| Guest { gate: Arc::clone(&gate), place }).collect();
    let mut last = guests.pop().expect("one more than threads");
    let threads: Vec<_> = guests
        .into_iter()
        .enumerate()
        .map(|(number, mut guest)| {
            let (work, sliced) = (Arc::clone(&work), Arc::clone(&sliced));
            thread::spawn(move || work(number, &mut guest, &sliced))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert!(last.gate.begin_sliced(), "it is open in the end");
    let shared = last.gate.try_enter(&mut last.place).expect("it is open in the end");
    shared.1
}

/// Each enters and leaves, then is alone: it must find nobody half done, and what others did alone.
fn enter_and_be_alone(threads: usize, rounds: usize) {
    let alone = guests(threads, move |_, guest, sliced| {
        for _ in 0..rounds {
            guest.enter();
            guest.be_alone(sliced);
        }
    });
    assert_eq!(alone, threads * rounds);
}

#[test]
fn alone_means_alone_for_two_threads() {
    shuttle::check_random(|| enter_and_be_alone(2, 2), SCHEDULES);
}

#[test]
fn alone_means_alone_for_three_threads() {
    shuttle::check_pct(|| enter_and_be_alone(3, 1), SCHEDULES, 3);
}

/// The gate closes over no sliced write, and shuts none out of its last step.
#[test]
fn the_gate_waits_for_sliced_writes() {
    let body = || {
        let alone = guests(3, |number, guest, sliced| match number {
            0 => guest.write_in_slices(sliced),
            1 => guest.enter(),
            _ => (0..2).for_each(|_| guest.be_alone(sliced)),
        });
        assert_eq!(alone, 2);
    };
    shuttle::check_random(body, SCHEDULES);
}

/// A driver that does not want any more leaves the gate to the next, or open.
#[test]
fn a_driver_may_withdraw_at_any_moment() {
    let body = || {
        guests(3, |number, guest, sliced| match number {
            0 => {
                guest.gate.ask(&guest.place);
                let has_been = guest.gate.drive(&mut guest.place).is_some();
                thread::yield_now();
                if !has_been {
                    guest.gate.withdraw(&guest.place);
                }
            }
            1 => (0..2).for_each(|_| guest.enter()),
            _ => guest.be_alone(sliced),
        });
    };
    shuttle::check_random(body, SCHEDULES);
}

/// Who is turned away is woken when it opens: no timer is needed where memory is sequentially consistent.
#[test]
fn who_is_turned_away_is_woken() {
    let body = || {
        let (gate, mut places) = Gate::new(0usize, 2);
        let (gate, woken) = (Arc::new(gate), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
        let bells = Arc::clone(&woken);
        gate.set_wake(Arc::new(move |worker| {
            bells[worker].fetch_add(1, SeqCst);
        }));
        let sleep_until = |worker: usize, woken: &[AtomicUsize; 2], before: usize| {
            while woken[worker].load(SeqCst) == before {
                // A lost wake-up would hang here, which shuttle reports.
                thread::yield_now();
            }
        };
        let (mut one, mut other) = (places.remove(0), places.remove(0));
        let (inside, bells) = (Arc::clone(&gate), Arc::clone(&woken));
        let worker = thread::spawn(move || {
            let mut was_turned_away = false;
            for _ in 0..2 {
                loop {
                    let before = bells[0].load(SeqCst);
                    if inside.try_enter(&mut one).is_some() {
                        break;
                    }
                    was_turned_away = true;
                    if inside.turn_away(&one) {
                        sleep_until(0, &bells, before);
                    }
                }
                if std::mem::take(&mut was_turned_away) {
                    inside.begun(&one);
                }
            }
        });
        for _ in 0..2 {
            gate.ask(&other);
            loop {
                let before = woken[1].load(SeqCst);
                if let Some(mut alone) = gate.drive(&mut other) {
                    *alone += 1;
                    break;
                }
                sleep_until(1, &woken, before);
            }
        }
        worker.join().expect("no panic");
    };
    shuttle::check_random(body, SCHEDULES);
}

/// Takes a latch as a worker does that has nothing else to do: it tries, and lets others run.
fn take<T>(latch: &Latch<T>, worker: u8) -> Held<'_, T> {
    loop {
        match latch.try_lock(worker) {
            Some(held) => return held,
            None => thread::yield_now(),
        }
    }
}

/// A latch lets one thread in at a time and loses none of their work.
#[test]
fn a_latch_is_held_by_one() {
    shuttle::check_random(
        || {
            let latch = Arc::new(Latch::new((0usize, 0usize)));
            let threads: Vec<_> = (0..3)
                .map(|worker| {
                    let latch = Arc::clone(&latch);
                    thread::spawn(move || {
                        for _ in 0..2 {
                            let mut held = take(&latch, worker);
                            held.0 += 1;
                            thread::yield_now();
                            held.1 += 1;
                            assert_eq!(held.0, held.1, "two at a time");
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(take(&latch, 0).0, 6);
        },
        SCHEDULES,
    );
}

/// Gives a latch back as a stripe does.
fn give_back<T>(held: Held<'_, T>, latch: &Latch<T>, waiting: &Waiting, worker: u8) {
    drop(held);
    if latch.mark().is_set() {
        waiting.given_back(latch.mark(), worker);
    }
}

/// Who registers and looks once more is woken or has it: no timer is needed where memory is sequentially consistent.
#[test]
fn who_is_registered_at_a_latch_is_woken() {
    let body = || {
        let (latch, waiting) = (Arc::new(Latch::new(0usize)), Arc::new(Waiting::default()));
        let woken = Arc::new(AtomicUsize::new(0));
        let bell = Arc::clone(&woken);
        waiting.set_wake(Arc::new(move |worker| assert!(bell.fetch_add(1, SeqCst) < 100 && worker == 1)));
        let holder = {
            let (latch, waiting) = (Arc::clone(&latch), Arc::clone(&waiting));
            thread::spawn(move || {
                for _ in 0..2 {
                    let mut held = take(&latch, 0);
                    *held += 1;
                    give_back(held, &latch, &waiting, 0);
                }
            })
        };
        loop {
            if let Some(mut held) = latch.try_lock(1) {
                *held += 1;
                give_back(held, &latch, &waiting, 1);
                waiting.forget(latch.mark(), 1);
                break;
            }
            let before = woken.load(SeqCst);
            waiting.register(latch.mark(), 1);
            if let Some(mut held) = latch.try_lock(1) {
                *held += 1;
                waiting.forget(latch.mark(), 1);
                give_back(held, &latch, &waiting, 1);
                break;
            }
            while woken.load(SeqCst) == before {
                // A lost wake-up would hang here, which shuttle reports.
                thread::yield_now();
            }
        }
        holder.join().expect("no panic");
        assert!(!latch.mark().is_set(), "nobody is left registered");
        assert_eq!(*take(&latch, 0), 3);
    };
    shuttle::check_random(body, SCHEDULES);
}

/// Once a latch is marked for a worker, others get it at most once more, by a try that had begun before.
#[test]
fn the_right_of_way_ends_barging() {
    let body = || {
        let (latch, waiting) = (Arc::new(Latch::new(0usize)), Arc::new(Waiting::default()));
        let marked = Arc::new(AtomicUsize::new(0));
        let bargers: Vec<_> = (0..2)
            .map(|worker| {
                let (latch, waiting, marked) =
                    (Arc::clone(&latch), Arc::clone(&waiting), Arc::clone(&marked));
                thread::spawn(move || {
                    for _ in 0..3 {
                        let was_marked = marked.load(SeqCst) == 1;
                        if let Some(held) = latch.try_lock(worker) {
                            let is_marked = was_marked && marked.load(SeqCst) == 1;
                            assert!(!is_marked, "a try that began after the mark has taken the latch");
                            give_back(held, &latch, &waiting, worker);
                        }
                        thread::yield_now();
                    }
                })
            })
            .collect();
        waiting.ask_way(2);
        assert!(waiting.has_way(2));
        waiting.prefer(latch.mark(), 2);
        marked.store(1, SeqCst);
        let mut held = take(&latch, 2);
        *held += 1;
        marked.store(2, SeqCst);
        waiting.release(latch.mark(), 2);
        waiting.leave_way(2);
        give_back(held, &latch, &waiting, 2);
        bargers.into_iter().for_each(|barger| barger.join().expect("no panic"));
        assert!(!latch.mark().is_set());
        assert_eq!(*take(&latch, 0), 1);
    };
    shuttle::check_random(body, SCHEDULES);
}

/// A value with its pins, and a count of who works on it in slices.
#[derive(Default)]
struct Pinnable {
    pins: Pins,
    value: usize,
}

/// Works on the value in two slices under a pin, or parks until it is woken: without a timer a lost wake-up would hang here.
fn work_in_slices(
    worker: u8,
    hold: Hold,
    latch: &Latch<Pinnable>,
    waiting: &Arc<Waiting>,
    woken: &[AtomicUsize],
) {
    let bell = &woken[usize::from(worker)];
    loop {
        let before = bell.load(SeqCst);
        let mut held = take(latch, worker);
        let Some(pin) = held.pins.against(1, hold) else {
            let mut pinned = Pinned::new(Arc::clone(waiting));
            pinned.push(held.pins.add(1, hold));
            let seen = held.value;
            drop(held);
            thread::yield_now();
            let mut held = take(latch, worker);
            assert_eq!(held.value, seen, "changed under a sliced command");
            held.value += usize::from(hold == Hold::Exclusive);
            drop(held);
            drop(pinned);
            return;
        };
        drop(held);
        if pin.wait(worker) {
            while bell.load(SeqCst) == before {
                thread::yield_now();
            }
        }
    }
}

#[test]
fn a_pinned_value_stays_as_it_is_and_who_waits_is_woken() {
    let body = || {
        let (latch, waiting) = (Arc::new(Latch::new(Pinnable::default())), Arc::new(Waiting::default()));
        let woken: Arc<[AtomicUsize; 3]> = Arc::default();
        let bells = Arc::clone(&woken);
        waiting.set_wake(Arc::new(move |worker| {
            bells[worker].fetch_add(1, SeqCst);
        }));
        let threads: Vec<_> = [Hold::Shared, Hold::Exclusive, Hold::Exclusive]
            .into_iter()
            .enumerate()
            .map(|(worker, hold)| {
                let (latch, waiting, woken) = (Arc::clone(&latch), Arc::clone(&waiting), Arc::clone(&woken));
                thread::spawn(move || work_in_slices(worker as u8, hold, &latch, &waiting, &*woken))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(take(&latch, 0).value, 2);
    };
    shuttle::check_random(body, SCHEDULES);
}
