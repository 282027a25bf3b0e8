//! Clients move between workers, and notice nothing.
//!
//! `io-threads-always-active` is switched to and fro under traffic: "yes" spreads the clients over the workers, "no"
//! brings them back to the first one as soon as there is little to do.

mod harness;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::client::Client;
use harness::server::Server;

const WORKERS: &[&str] = &["--io-threads", "3"];
/// Moving takes a window of half a second, more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: usize = 3;
/// More than move in one turn of a worker's timer.
const CROWD: usize = 700;

/// Clients per worker, as INFO tells.
fn placed(client: &mut Client) -> Vec<usize> {
    let clients = |line: &str| {
        let fields = line.strip_prefix("io_thread_")?.split_once("clients=")?.1;
        fields.split_once(',')?.0.parse().ok()
    };
    client.text("INFO threads").lines().filter_map(clients).collect()
}

/// Switches, and waits until the clients are where they belong.
fn switch(client: &mut Client, value: &str, is_settled: impl Fn(&[usize]) -> bool) {
    client.call(&["CONFIG", "SET", "io-threads-always-active", value]);
    let started = Instant::now();
    loop {
        let placed = placed(client);
        if is_settled(&placed) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "io-threads-always-active {value} left them at {placed:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_even(placed: &[usize]) -> bool {
    placed.iter().max().zip(placed.iter().min()).is_some_and(|(most, least)| most - least <= 1)
}

fn is_together(placed: &[usize]) -> bool {
    placed.iter().skip(1).all(|clients| *clients == 0)
}

/// Batches, half requests and transactions that stay open: every reply is the one that is due.
fn work(mut client: Client, name: usize, stop: &AtomicBool) -> usize {
    let mut count = 0_i64;
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut batch = Vec::new();
        for _ in 0..20 {
            batch.extend(format!("INCR counter:{name}\r\nECHO {name}:{rounds}\r\n").into_bytes());
        }
        client.send_raw(&batch).expect("a batch is sent");
        for _ in 0..20 {
            count += 1;
            assert_eq!(client.read().expect("a reply").value.integer(), count);
            assert_eq!(client.read().expect("a reply").value.text(), format!("{name}:{rounds}"));
        }
        client.send_raw(b"*2\r\n$4\r\nECHO\r\n$6\r\nhal").expect("half a request is sent");
        thread::sleep(Duration::from_millis(2));
        client.send_raw(b"ves").expect("the rest is sent");
        client.send_raw(b"\r\n").expect("the end is sent");
        assert_eq!(client.read().expect("a reply").value.text(), "halves");
        client.ask("MULTI");
        client.call(&["INCR", &format!("counter:{name}")]);
        thread::sleep(Duration::from_millis(2));
        count += 1;
        assert_eq!(client.ask("EXEC").value.elements()[0].integer(), count);
        rounds += 1;
    }
    rounds
}

#[test]
fn replies_stay_in_order_while_clients_move() {
    const CLIENTS: usize = 11;
    let server = Server::limpid(WORKERS);
    let stop = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    thread::scope(|scope| {
        for name in 0..CLIENTS {
            let (client, stop, rounds) = (server.client(), &stop, &rounds);
            scope.spawn(move || rounds.fetch_add(work(client, name, stop), Ordering::Relaxed));
        }
        let mut control = server.client();
        for _ in 0..ROUNDS {
            switch(&mut control, "yes", is_even);
            // Gathering waits for a quiet moment; here it is enough that they were moved away under traffic.
            control.call(&["CONFIG", "SET", "io-threads-always-active", "no"]);
            thread::sleep(Duration::from_millis(700));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(rounds.into_inner() >= CLIENTS);
}

#[test]
fn idle_clients_gather_at_one_worker_and_spread_over_all() {
    let server = Server::limpid(WORKERS);
    let mut clients: Vec<Client> = (0..CROWD).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.text("PING"), "PONG");
    }
    let mut control = server.client();
    // One worker is enough for clients that do nothing; while they came it may have had too much to do.
    switch(&mut control, "no", is_together);
    for _ in 0..ROUNDS {
        switch(&mut control, "yes", is_even);
        switch(&mut control, "no", is_together);
    }
    for client in &mut clients {
        assert_eq!(client.text("PING"), "PONG");
    }
}

#[test]
fn a_killed_client_is_closed_wherever_it_is() {
    let server = Server::limpid(WORKERS);
    let mut control = server.client();
    let mine = control.ask("CLIENT ID").value.integer();
    for round in 0..ROUNDS {
        let clients: Vec<Client> = (0..30).map(|_| server.client()).collect();
        let value = if round % 2 == 0 { "yes" } else { "no" };
        control.call(&["CONFIG", "SET", "io-threads-always-active", value]);
        let started = Instant::now();
        // Over more than one window, so that some are killed while they move.
        for mut client in clients {
            let id = client.ask("CLIENT ID").value.integer().to_string();
            thread::sleep(Duration::from_millis(25));
            assert_eq!(control.call(&["CLIENT", "KILL", "ID", &id]).value.integer(), 1);
            assert_eq!(client.read_to_close().expect("it is closed"), b"");
        }
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(control.ask("CLIENT ID").value.integer(), mine);
    assert_eq!(placed(&mut control).iter().sum::<usize>(), 1);
}
