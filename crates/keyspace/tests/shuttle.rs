//! Gate, latch and right of way under every schedule shuttle finds: nobody is inside while somebody is alone, nobody sleeps
//! for ever, a latch is held by one, and who has the right of way gets it next.
//!
//! Built only with `RUSTFLAGS="--cfg shuttle"`, which replaces the gate's atomics, locks and threads.
#![cfg(shuttle)]

use keyspace::latch::{Held, Latch};
use keyspace::locks::Gate;
use keyspace::waiting::Waiting;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use std::sync::Arc;

const SCHEDULES: usize = 2_000;

/// Each thread enters and leaves, then is alone: it must find nobody half done, and what others did alone.
fn workers(threads: usize, rounds: usize) {
    let (gate, places) = Gate::new((AtomicUsize::new(0), 0usize), threads);
    let gate = Arc::new(gate);
    let workers: Vec<_> = places
        .into_iter()
        .map(|mut place| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || {
                for _ in 0..rounds {
                    {
                        let shared = gate.enter(&mut place);
                        let before = shared.1;
                        shared.0.fetch_add(1, SeqCst);
                        thread::yield_now();
                        assert_eq!(shared.1, before, "changed while somebody was inside");
                        shared.0.fetch_sub(1, SeqCst);
                    }
                    let mut alone = gate.alone();
                    assert_eq!(alone.0.load(SeqCst), 0, "somebody is inside");
                    alone.1 += 1;
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    assert_eq!(gate.alone().1, threads * rounds);
}

#[test]
fn alone_means_alone_for_two_threads() {
    shuttle::check_random(|| workers(2, 2), SCHEDULES);
}

#[test]
fn alone_means_alone_for_three_threads() {
    shuttle::check_pct(|| workers(3, 1), SCHEDULES, 3);
}

/// A thread that only enters is let in again after the one that was alone has left, asleep or not.
#[test]
fn who_waits_at_the_gate_is_woken() {
    let body = || {
        let (gate, mut places) = Gate::new(0usize, 1);
        let gate = Arc::new(gate);
        let mut place = places.pop().expect("one place");
        let inside = Arc::clone(&gate);
        let worker = thread::spawn(move || (0..3).map(|_| *inside.enter(&mut place)).collect::<Vec<_>>());
        for _ in 0..2 {
            *gate.alone() += 1;
        }
        let seen = worker.join().expect("no panic");
        assert!(seen.is_sorted() && seen.iter().all(|&value| value <= 2));
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
        waiting.set_wake(move |worker| assert!(bell.fetch_add(1, SeqCst) < 100 && worker == 1));
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
