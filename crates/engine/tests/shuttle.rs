//! Mailbox and bell under every schedule shuttle finds: whatever is put into a mailbox is taken out, by the worker that
//! serves the client now or by the one that takes it over, and nobody sleeps over it.
//!
//! Built only with `RUSTFLAGS="--cfg shuttle"`, which replaces the atomics, locks and threads.
#![cfg(shuttle)]

use engine::state::bell::Bell;
use engine::state::mailbox::{Delivery, Mailbox};
use engine::state::push::Push;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use std::sync::Arc;

const SCHEDULES: usize = 2_000;
const WORKERS: usize = 2;

/// What a worker's poll and its waker are: a sleep that ends when somebody has written, before or during it.
#[derive(Default)]
struct Sleep {
    is_ended: Mutex<bool>,
    ended: Condvar,
}

impl Sleep {
    fn end(&self) {
        *self.is_ended.lock().expect("no panic") = true;
        self.ended.notify_all();
    }

    /// A lost wake-up leaves everybody waiting here, which shuttle reports.
    fn sleep(&self) {
        let mut is_ended = self.is_ended.lock().expect("no panic");
        while !*is_ended {
            is_ended = self.ended.wait(is_ended).expect("no panic");
        }
        *is_ended = false;
    }
}

/// One client, and the workers that hand it to and fro.
struct World {
    mailbox: Mailbox,
    bells: Vec<Bell<()>>,
    sleeps: Vec<Arc<Sleep>>,
    /// The client, on its way to a worker.
    entrances: Vec<Mutex<bool>>,
    moves_left: AtomicUsize,
    received: AtomicUsize,
    due: usize,
    stopping: AtomicBool,
}

impl World {
    fn new(due: usize, moves: usize) -> Arc<World> {
        let sleeps: Vec<Arc<Sleep>> = (0..WORKERS).map(|_| Arc::default()).collect();
        let bells: Vec<Bell<()>> = (0..WORKERS).map(|_| Bell::default()).collect();
        for (bell, sleep) in bells.iter().zip(&sleeps) {
            let sleep = Arc::clone(sleep);
            bell.set_wake(Box::new(move || sleep.end()));
        }
        Arc::new(World {
            mailbox: Mailbox::new(0),
            bells,
            sleeps,
            entrances: (0..WORKERS).map(|_| Mutex::new(false)).collect(),
            moves_left: AtomicUsize::new(moves),
            received: AtomicUsize::new(0),
            due,
            stopping: AtomicBool::new(false),
        })
    }

    /// What `Instance::deliver` does.
    fn deliver(&self, delivery: Delivery) {
        if let Some(worker) = self.mailbox.put(delivery) {
            self.bells[worker].list(());
        }
    }

    /// The worker that serves the client looks into its mailbox.
    fn receive(&self) {
        let mail = self.mailbox.take();
        let received = self.received.fetch_add(mail.deliveries.len(), SeqCst) + mail.deliveries.len();
        assert!(received <= self.due && !mail.is_too_much);
        if received == self.due {
            self.stopping.store(true, SeqCst);
            self.bells.iter().for_each(Bell::ring);
        }
    }

    /// The loop of a worker, as far as deliveries go.
    fn work(&self, index: usize) {
        let mut serves = index == 0;
        while !self.stopping.load(SeqCst) {
            if self.bells[index].lie_down() {
                self.sleeps[index].sleep();
            }
            self.bells[index].get_up();
            if self.bells[index].look() {
                if std::mem::take(&mut *self.entrances[index].lock().expect("no panic")) {
                    serves = true;
                    self.receive();
                }
                for () in self.bells[index].take() {
                    if serves {
                        self.receive();
                    }
                }
            }
            if serves && self.moves_left.load(SeqCst) > 0 {
                self.moves_left.fetch_sub(1, SeqCst);
                let to = (index + 1) % WORKERS;
                serves = false;
                self.mailbox.move_to(to);
                *self.entrances[to].lock().expect("no panic") = true;
                self.bells[to].ring();
            }
        }
    }
}

fn push() -> Delivery {
    Delivery::Push(Arc::new(Push::new(1, |reply| reply.ok())))
}

/// Senders put `each` into the client's mailbox while it moves so many times.
fn run(senders: usize, each: usize, moves: usize) {
    let world = World::new(senders * each, moves);
    let mut threads = Vec::new();
    for index in 0..WORKERS {
        let world = Arc::clone(&world);
        threads.push(thread::spawn(move || world.work(index)));
    }
    for _ in 0..senders {
        let world = Arc::clone(&world);
        threads.push(thread::spawn(move || (0..each).for_each(|_| world.deliver(push()))));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(world.received.load(SeqCst), senders * each);
}

#[test]
fn a_sleeping_worker_is_woken_for_what_is_sent() {
    shuttle::check_random(|| run(2, 2, 0), SCHEDULES);
}

#[test]
fn nothing_that_is_sent_to_a_moving_client_is_missed() {
    shuttle::check_random(|| run(2, 2, 2), SCHEDULES);
}

#[test]
fn nothing_is_missed_where_threads_are_held_up_for_long() {
    shuttle::check_pct(|| run(1, 2, 1), SCHEDULES, 4);
}
