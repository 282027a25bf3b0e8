//! What happens at the gate to commands that find it closed, or have to be alone: `engine::run::passage`, with real commands
//! on workers that take their turns one after the other.

use crate::testing::Bench;
use engine::config::Settings;
use std::sync::Arc;
use wire::OwnedArgs;

fn args(line: &str) -> OwnedArgs {
    OwnedArgs::from_slices(&line.split(' ').collect::<Vec<_>>())
}

fn try_once(bench: &mut Bench, line: &str) -> Option<String> {
    let reply = bench.step(args(line).as_args())?;
    Some(String::from_utf8(reply).expect("text"))
}

/// Three workers; the first holds data.
fn workers() -> [Bench; 3] {
    let mut first = Bench::with(Settings::new(), 3);
    let (second, third) = (first.sharing(), first.sharing());
    first.run(b"SET key value");
    [first, second, third]
}

#[test]
fn who_wants_to_be_alone_keeps_others_out_but_for_what_touches_no_database() {
    let [mut first, mut second, mut third] = workers();
    Arc::clone(&first.instance).visit(|_| {
        assert_eq!(try_once(&mut first, "FLUSHALL"), None, "somebody is inside");
        assert_eq!(try_once(&mut second, "GET key"), None, "it is turned away");
        for (line, start) in
            [("PING", "+PONG"), ("CLIENT ID", ":"), ("TIME", "*2"), ("NOSUCH", "-ERR unknown command")]
        {
            assert!(try_once(&mut third, line).is_some_and(|reply| reply.starts_with(start)), "{line}");
        }
    });
    assert_eq!(try_once(&mut second, "GET key"), None, "the gate is closed still");
    assert_eq!(try_once(&mut first, "FLUSHALL").as_deref(), Some("+OK\r\n"));
    assert_eq!(try_once(&mut second, "GET key").as_deref(), Some("$-1\r\n"));
}

#[test]
fn the_turned_away_begin_before_somebody_is_alone_again() {
    let [mut first, mut second, mut third] = workers();
    Arc::clone(&first.instance).visit(|_| {
        assert_eq!(try_once(&mut first, "SWAPDB 0 1"), None);
        assert_eq!(try_once(&mut second, "GET key"), None);
        assert_eq!(try_once(&mut third, "FLUSHALL"), None, "it queues");
    });
    assert_eq!(try_once(&mut first, "SWAPDB 0 1").as_deref(), Some("+OK\r\n"));
    assert_eq!(try_once(&mut third, "FLUSHALL"), None, "it came after the gate had closed");
    assert_eq!(try_once(&mut first, "SWAPDB 0 1"), None, "and so does this one");
    assert_eq!(try_once(&mut second, "GET key").as_deref(), Some("$-1\r\n"));
    assert_eq!(try_once(&mut first, "SWAPDB 0 1"), None, "the third is first");
    assert_eq!(try_once(&mut third, "FLUSHALL").as_deref(), Some("+OK\r\n"));
    assert_eq!(try_once(&mut first, "SWAPDB 0 1").as_deref(), Some("+OK\r\n"));
}

#[test]
fn a_client_that_closes_at_the_gate_holds_nobody_up() {
    let [mut first, mut second, mut third] = workers();
    Arc::clone(&first.instance).visit(|_| {
        assert_eq!(try_once(&mut first, "FLUSHALL"), None);
        assert_eq!(try_once(&mut second, "GET key"), None);
        first.close();
        assert_eq!(try_once(&mut third, "GET key").as_deref(), Some("$5\r\nvalue\r\n"), "the gate is open");
        assert_eq!(try_once(&mut third, "FLUSHALL"), None, "somebody was turned away and has not begun");
        second.close();
        assert_eq!(try_once(&mut third, "FLUSHALL"), None, "somebody is inside");
    });
    assert_eq!(try_once(&mut third, "FLUSHALL").as_deref(), Some("+OK\r\n"));
}

/// EXEC over commands that walk the keyspace is alone, and what it collected is still there when its turn comes.
#[test]
fn a_transaction_that_must_be_alone_waits_with_what_it_collected() {
    let [mut first, mut second, _] = workers();
    first.run(b"MULTI\r\nSET other 1\r\nKEYS *");
    Arc::clone(&first.instance).visit(|_| {
        assert_eq!(try_once(&mut first, "EXEC"), None);
        assert_eq!(try_once(&mut second, "GET other"), None);
    });
    let reply = try_once(&mut first, "EXEC").expect("nobody is inside");
    assert!(reply.starts_with("*2\r\n+OK\r\n*2\r\n"), "{reply}");
    assert_eq!(try_once(&mut second, "GET other").as_deref(), Some("$1\r\n1\r\n"));
}
