//! What happens to commands that do not get their stripes: `engine::run::contention`, with real commands on workers that
//! take their turns one after the other.

use crate::testing::Bench;
use engine::config::{Loader, Settings};
use engine::{Arrival, End, Parked};
use observe::os::clock;
use std::time::Duration;
use wire::{Args, OwnedArgs, Reply};

/// A second worker gets a stripe that the first holds on to only after it was given back, and before others.
#[test]
fn who_has_lost_for_a_millisecond_is_the_next_to_get_its_stripes() {
    let mut first = Bench::with(Settings::new(), 3);
    let (mut second, mut third) = (first.sharing(), first.sharing());
    first.run(b"SET {key} 1");
    let hash = first.instance.hasher.hash(b"{key}");
    let stripe = keyspace::hash::stripe_of(hash);
    let set = OwnedArgs::from_slices(&["SET", "{key}", "2"]);
    let get = OwnedArgs::from_slices(&["GET", "{key}"]);
    let instance = std::sync::Arc::clone(&first.instance);
    instance.visit(|databases| {
        let database = databases.existing(0).expect("it was written to");
        let held = database.try_lock(stripe, 0).expect("free");
        assert!(second.step(set.as_args()).is_none(), "it is parked");
        std::thread::sleep(Duration::from_millis(2));
        assert!(second.step(set.as_args()).is_none(), "it asks for the right of way");
        assert!(second.step(set.as_args()).is_none(), "and marks its stripe");
        drop(held);
        assert!(third.step(get.as_args()).is_none(), "nobody else gets it");
        assert_eq!(second.step(set.as_args()).as_deref(), Some(&b"+OK\r\n"[..]));
        assert_eq!(third.step(get.as_args()).as_deref(), Some(&b"$1\r\n2\r\n"[..]));
        assert!(!database.mark(stripe).is_set(), "nothing is left behind");
    });
}

#[test]
fn a_closed_client_leaves_no_mark_behind() {
    let mut first = Bench::with(Settings::new(), 2);
    let mut second = first.sharing();
    first.run(b"SET {key} 1");
    let stripe = keyspace::hash::stripe_of(first.instance.hasher.hash(b"{key}"));
    let set = OwnedArgs::from_slices(&["SET", "{key}", "2"]);
    let instance = std::sync::Arc::clone(&first.instance);
    instance.visit(|databases| {
        let database = databases.existing(0).expect("it was written to");
        let held = database.try_lock(stripe, 0).expect("free");
        for _ in 0..3 {
            assert!(second.step(set.as_args()).is_none());
            std::thread::sleep(Duration::from_millis(2));
        }
        second.close();
        drop(held);
        assert!(database.try_lock(stripe, 0).is_some());
    });
    assert_eq!(first.run(b"SET {key} 3"), b"+OK\r\n");
}

#[test]
fn a_parked_command_that_is_refused_later_leaves_no_mark_behind() {
    let mut first = Bench::with(Settings::new(), 2);
    let mut second = first.sharing();
    first.run(b"SET {key} 1");
    let stripe = keyspace::hash::stripe_of(first.instance.hasher.hash(b"{key}"));
    let set = OwnedArgs::from_slices(&["SET", "{key}", "2"]);
    let instance = std::sync::Arc::clone(&first.instance);
    instance.visit(|databases| {
        let database = databases.existing(0).expect("it was written to");
        let held = database.try_lock(stripe, 0).expect("free");
        for _ in 0..3 {
            assert!(second.step(set.as_args()).is_none());
            std::thread::sleep(Duration::from_millis(2));
        }
        second.session.authenticated = false;
        assert!(second.step(set.as_args()).is_some_and(|reply| reply.starts_with(b"-NOAUTH")));
        drop(held);
        assert!(!database.mark(stripe).is_set());
    });
    assert_eq!(first.run(b"SET {key} 3"), b"+OK\r\n");
}

/// A batch ends early when its commands have taken long, so that the worker's other clients get their turn.
#[test]
fn a_costly_command_ends_its_turn() {
    let mut loader = Loader::new();
    loader.line("test", 1, b"enable-debug-command yes").expect("a directive");
    let mut bench = Bench::with(loader.finish().expect("settings").0, 1);
    let requests = [vec!["PING"], vec!["DEBUG", "SLEEP", "0.002"], vec!["PING"], vec!["PING"]];
    let owned: Vec<OwnedArgs> = requests.iter().map(|words| OwnedArgs::from_slices(words)).collect();
    let args: Vec<Args<'_>> = owned.iter().map(|owned| owned.as_args()).collect();
    let arrived = Arrival { at: clock::now(), weight: 1 };
    let (mut reply, mut parked) = (Reply::new(), Parked::default());
    let end = bench.executor.run(&args, &mut bench.session, &mut reply, arrived, &mut parked);
    assert_eq!((end, reply.to_vec()), (End::Yield { at: 2 }, b"+PONG\r\n+OK\r\n".to_vec()));
    let end = bench.executor.run(&args[2..], &mut bench.session, &mut reply, arrived, &mut parked);
    assert_eq!((end, reply.to_vec()), (End::Done, b"+PONG\r\n+OK\r\n+PONG\r\n+PONG\r\n".to_vec()));
}
