//! The gate under every schedule shuttle finds: nobody is inside while somebody is alone, nobody sleeps for ever.
//!
//! Built only with `RUSTFLAGS="--cfg shuttle"`, which replaces the gate's atomics, locks and threads.
#![cfg(shuttle)]

use keyspace::latch::Latch;
use keyspace::locks::Gate;
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

/// A latch lets one thread in at a time and loses none of their work.
#[test]
fn a_latch_is_held_by_one() {
    shuttle::check_random(
        || {
            let latch = Arc::new(Latch::new((0usize, 0usize)));
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let latch = Arc::clone(&latch);
                    thread::spawn(move || {
                        for _ in 0..2 {
                            let mut held = latch.lock();
                            held.0 += 1;
                            thread::yield_now();
                            held.1 += 1;
                            assert_eq!(held.0, held.1, "two at a time");
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(latch.lock().0, 6);
        },
        SCHEDULES,
    );
}
