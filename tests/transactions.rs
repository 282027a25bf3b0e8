//! Transactions under parallel workers: atomic, isolated, and refused when a watched key has changed.
//!
//! Money moves between accounts that lie in many stripes; none may appear or vanish, in any snapshot and at
//! the end. Every amount is drawn from a printed seed; how the threads interleave is left to the machine.

mod harness;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use harness::client::Client;
use harness::reply::Value;
use harness::rng::{self, Rng};
use harness::server::Server;

const ACCOUNTS: usize = 64;
const OPENING_BALANCE: i64 = 1_000;
const TOTAL: i64 = ACCOUNTS as i64 * OPENING_BALANCE;
const SECONDS: u64 = 3;

/// More workers than this machine may have cores, so that they are preempted inside a transaction too, and every one
/// with clients.
const WORKERS: &[&str] = &["--io-threads", "4", "--io-threads-always-active", "yes"];

fn account(number: usize) -> String {
    format!("account:{number}")
}

fn open_accounts(client: &mut Client) {
    let mut request = vec!["MSET".to_owned()];
    for number in 0..ACCOUNTS {
        request.extend([account(number), OPENING_BALANCE.to_string()]);
    }
    assert_eq!(client.call(&request).value, Value::Simple(b"OK".to_vec()));
}

fn balance(value: &Value) -> i64 {
    value.text().parse().unwrap_or_else(|_| panic!("not a balance: {value:?}"))
}

/// The sum of all accounts, read inside a transaction in one of three ways.
fn total(client: &mut Client, way: usize) -> i64 {
    let names: Vec<String> = (0..ACCOUNTS).map(account).collect();
    let mget: Vec<&str> = ["MGET"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let values = match way {
        0 => client.call(&mget).value,
        1 => {
            client.ask("MULTI");
            client.call(&mget);
            client.ask("EXEC").value.elements()[0].clone()
        }
        _ => {
            client.ask("MULTI");
            for name in &names {
                client.call(&["GET", name]);
            }
            client.ask("EXEC").value
        }
    };
    assert_eq!(values.elements().len(), ACCOUNTS, "{values:?}");
    values.elements().iter().map(balance).sum()
}

/// Moves money blindly: both sides in one transaction.
fn transfer_blindly(client: &mut Client, rng: &mut Rng) {
    let (from, to, amount) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS), rng.below(50).to_string());
    client.ask("MULTI");
    client.call(&["DECRBY", &account(from), &amount]);
    client.call(&["INCRBY", &account(to), &amount]);
    let done = client.ask("EXEC");
    assert_eq!(done.value.elements().len(), 2, "{done:?}");
}

/// Reads, decides and writes absolute balances, under WATCH; true when the transaction went through.
fn transfer_watched(client: &mut Client, rng: &mut Rng) -> bool {
    let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
    if from == to {
        return true;
    }
    let (from, to, amount) = (account(from), account(to), rng.below(50) as i64);
    client.call(&["WATCH", &from, &to]);
    let have = balance(&client.call(&["GET", &from]).value);
    let had = balance(&client.call(&["GET", &to]).value);
    if have < amount {
        client.ask("UNWATCH");
        return true;
    }
    client.ask("MULTI");
    client.call(&["SET", &from, &(have - amount).to_string()]);
    client.call(&["SET", &to, &(had + amount).to_string()]);
    match client.ask("EXEC").value {
        Value::NullArray => false,
        Value::Array(done) if done.len() == 2 => true,
        other => panic!("EXEC: {other:?}"),
    }
}

#[test]
fn no_money_appears_or_vanishes() {
    let server = Server::limpid(WORKERS);
    open_accounts(&mut server.client());
    let seed = rng::seed();
    let (started, duration) = (Instant::now(), rng::duration(SECONDS));
    let (done, aborted, audits) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for writer in 0..6_u64 {
            let (server, done, aborted) = (&server, &done, &aborted);
            scope.spawn(move || {
                let (mut client, mut rng) = (server.client(), Rng::new(seed ^ writer));
                while started.elapsed() < duration {
                    let went_through = match writer % 2 {
                        0 => transfer_watched(&mut client, &mut rng),
                        _ => {
                            transfer_blindly(&mut client, &mut rng);
                            true
                        }
                    };
                    let counter = if went_through { done } else { aborted };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for way in 0..3 {
            let (server, audits) = (&server, &audits);
            scope.spawn(move || {
                let mut client = server.client();
                while started.elapsed() < duration {
                    assert_eq!(total(&mut client, way), TOTAL, "seed {seed}: a torn read (way {way})");
                    audits.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(total(&mut server.client(), 0), TOTAL);
    let (done, aborted) = (done.into_inner(), aborted.into_inner());
    println!("{done} transfers, {aborted} aborted, {} audits", audits.load(Ordering::Relaxed));
    assert!(done > 100 && audits.into_inner() > 10, "hardly anything ran");
    assert!(aborted > 0, "six writers on {ACCOUNTS} accounts never met: WATCH is not tested");
}

#[test]
fn watched_increments_are_never_lost() {
    const INCREMENTS: i64 = 300;
    const WRITERS: i64 = 4;
    let server = Server::limpid(WORKERS);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let mut client = server.client();
                let mut left = INCREMENTS;
                while left > 0 {
                    client.ask("WATCH counter");
                    let now = client.text("GET counter").parse().unwrap_or(0);
                    client.ask("MULTI");
                    client.call(&["SET", "counter", &(now + 1).to_string()]);
                    if client.ask("EXEC").value != Value::NullArray {
                        left -= 1;
                    }
                }
            });
        }
    });
    assert_eq!(server.client().text("GET counter"), (WRITERS * INCREMENTS).to_string());
}

#[test]
fn plain_commands_are_atomic_across_workers() {
    const INCREMENTS: usize = 2_000;
    const WRITERS: usize = 8;
    let server = Server::limpid(WORKERS);
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..INCREMENTS / 50 {
                    client.send_raw(&b"INCR hits\r\nAPPEND log x\r\n".repeat(50)).expect("a batch is sent");
                    for _ in 0..100 {
                        client.read().expect("a reply");
                    }
                }
            });
        }
    });
    let mut client = server.client();
    assert_eq!(client.text("GET hits"), (WRITERS * INCREMENTS).to_string());
    assert_eq!(client.ask("STRLEN log").value.integer(), (WRITERS * INCREMENTS) as i64);
}

#[test]
fn multi_key_writes_are_seen_whole() {
    let server = Server::limpid(WORKERS);
    let names = ["left", "right", "above", "below"];
    let stop = AtomicBool::new(false);
    let reader = |way: &str| {
        let mut client = server.client();
        let mut seen = 0;
        while !stop.load(Ordering::Relaxed) {
            let values = client.ask(way).value;
            let first = &values.elements()[0];
            assert!(values.elements().iter().all(|value| value == first), "half a write: {values:?}");
            seen += 1;
        }
        assert!(seen > 0);
    };
    thread::scope(|scope| {
        scope.spawn(|| reader("MGET left right above below"));
        scope.spawn(|| reader("MGET below above right left"));
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let mut client = server.client();
                    for round in 0..2_000 {
                        let value = format!("{writer}:{round}");
                        let mut request = vec!["MSET"];
                        request.extend(names.iter().flat_map(|name| [*name, value.as_str()]));
                        client.call(&request);
                        if round % 100 == 0 {
                            client.ask("DEL left right above below");
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A transaction queued on one connection sees nothing in between, whatever FLUSHALL and SWAPDB do meanwhile.
#[test]
fn transactions_stand_beside_whole_database_commands() {
    let server = Server::limpid(WORKERS);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for command in ["FLUSHALL", "SWAPDB 0 1"] {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut client = server.client();
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.text(command), "OK");
                }
            });
        }
        let mut client = server.client();
        for round in 0..1_000 {
            client.ask("MULTI");
            client.call(&["SET", "a", &round.to_string()]);
            client.ask("SET b 1");
            client.ask("INCR a");
            client.ask("MGET a b");
            let done = client.ask("EXEC").value;
            assert_eq!(done.elements()[2], Value::Integer(round + 1), "{done:?}");
            let pair = vec![Value::Bulk((round + 1).to_string().into_bytes()), Value::Bulk(b"1".to_vec())];
            assert_eq!(done.elements()[3], Value::Array(pair));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn errors_inside_transactions_are_redis_s() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    assert_eq!(client.text("EXEC"), "ERR EXEC without MULTI");
    assert_eq!(client.text("DISCARD"), "ERR DISCARD without MULTI");
    client.ask("MULTI");
    assert_eq!(client.text("SET a"), "ERR wrong number of arguments for 'set' command");
    assert_eq!(client.text("EXEC"), "EXECABORT Transaction discarded because of previous errors.");
    client.ask("SET text abc");
    client.ask("MULTI");
    client.ask("SET b 1");
    client.ask("INCR text");
    client.ask("SET c 1");
    let done = client.ask("EXEC").value;
    let error = Value::Error(b"ERR value is not an integer or out of range".to_vec());
    assert_eq!(done.elements()[1], error, "the others are executed all the same");
    assert_eq!(client.text("MGET b c"), "");
    assert_eq!(client.ask("EXISTS b c").value.integer(), 2);
}
