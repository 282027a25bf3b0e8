//! What one connection does to others, wherever they are served: CLIENT KILL in all its forms, and the last replies when
//! the server stops.

mod harness;

use std::thread;
use std::time::{Duration, Instant};

use harness::client::{Client, encode};
use harness::server::Server;

/// Clients are spread evenly: every other one is on the other worker.
const WORKERS: &[&str] = &["--io-threads", "2", "--io-threads-always-active", "yes"];
/// What takes longer than this will not come.
const PATIENCE: Duration = Duration::from_secs(20);
/// More than the kernel keeps for a client that does not read.
const LARGE_BYTES: usize = 24 << 20;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The fields of the caller's line of CLIENT INFO.
fn field(client: &mut Client, name: &str) -> String {
    let line = client.text("CLIENT INFO");
    let value = line.split_whitespace().find_map(|field| field.strip_prefix(&format!("{name}=")));
    value.expect("a field").to_owned()
}

#[test]
fn every_form_of_client_kill_reaches_both_workers() {
    let server = Server::limpid(WORKERS);
    let mut killer = server.client();
    assert_eq!(killer.text("CLIENT SETNAME killer"), "OK");
    // The harness has looked whether the server answers.
    until("it is alone", || killer.text("CLIENT LIST").lines().count() == 1);
    let own = field(&mut killer, "id");
    for form in ["", "ADDR", "ID", "IDS", "LADDR", "TYPE", "USER", "SKIPME"] {
        let mut victims: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let ids: Vec<String> = victims.iter_mut().map(|victim| field(victim, "id")).collect();
        let addresses: Vec<String> = victims.iter_mut().map(|victim| field(victim, "addr")).collect();
        // One of them is in the middle of a request, one in a transaction.
        victims[1].send_raw(b"*2\r\n$4\r\nECHO\r\n$5\r\nhal").expect("sent");
        assert_eq!(victims[2].text("MULTI"), "OK");
        let local = field(&mut killer, "laddr");
        let each = |option: &str, values: &[String]| -> Vec<String> {
            values.iter().map(|value| format!("CLIENT KILL {option}{value}")).collect()
        };
        let (commands, reply) = match form {
            "" => (each("", &addresses), "+OK\r\n"),
            "ADDR" => (each("ADDR ", &addresses), ":1\r\n"),
            "ID" => (each("ID ", &ids), ":1\r\n"),
            "IDS" => (vec![format!("CLIENT KILL ID {}", ids.join(" "))], ":4\r\n"),
            "LADDR" => (vec![format!("CLIENT KILL LADDR {local}")], ":4\r\n"),
            "TYPE" => (vec!["CLIENT KILL TYPE normal SKIPME yes".to_owned()], ":4\r\n"),
            "USER" => (vec!["CLIENT KILL USER default".to_owned()], ":4\r\n"),
            _ => (vec![format!("CLIENT KILL ID {} {own} SKIPME yes", ids.join(" "))], ":4\r\n"),
        };
        for command in commands {
            assert_eq!(killer.ask(&command).raw, reply.as_bytes(), "{command}");
        }
        for victim in &mut victims {
            assert_eq!(victim.read_to_close().expect("it is closed"), b"", "{form}");
        }
        assert_eq!(killer.text("CLIENT LIST").lines().count(), 1, "{form}");
    }
    // The killer itself is answered before it is closed.
    assert_eq!(killer.ask(&format!("CLIENT KILL ID {own} SKIPME no")).raw, b":1\r\n");
    assert_eq!(killer.read_to_close().expect("it is closed"), b"");
}

/// Bytes of replies that each client has not read.
fn unread(control: &mut Client) -> Vec<usize> {
    let bytes = |line: &str| line.split(" omem=").nth(1)?.split(' ').next()?.parse().ok();
    control.text("CLIENT LIST").lines().filter_map(bytes).collect()
}

#[test]
fn the_last_replies_arrive_when_the_server_stops() {
    let mut server = Server::limpid(WORKERS);
    let mut control = server.client();
    assert_eq!(control.call(&["SET", "large", &"v".repeat(LARGE_BYTES)]).raw, b"+OK\r\n");
    let mut readers: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for reader in &mut readers {
        // Requests that are not executed any more must not cost it the reply to the first one.
        reader.send_raw(&[encode(&["GET", "large"]), b"PING\r\n".repeat(50_000)].concat()).expect("sent");
    }
    until("all have begun to be answered", || {
        unread(&mut control).iter().filter(|&&bytes| bytes > 0).count() == 3
    });
    control.send_raw(b"ECHO last\r\nSHUTDOWN NOSAVE\r\n").expect("sent");
    assert_eq!(control.read_to_close().expect("the server is stopping"), b"$4\r\nlast\r\n");
    // Only now the others begin to read.
    thread::scope(|scope| {
        for reader in &mut readers {
            scope.spawn(move || {
                let reply = reader.read().expect("the whole reply").value;
                assert!(reply.bytes().len() == LARGE_BYTES && reply.bytes().iter().all(|&byte| byte == b'v'));
            });
        }
    });
    assert!(server.wait().success());
}

#[test]
fn a_client_that_does_not_read_delays_the_end_for_a_moment_only() {
    let mut server = Server::limpid(WORKERS);
    let mut control = server.client();
    assert_eq!(control.call(&["SET", "large", &"v".repeat(LARGE_BYTES)]).raw, b"+OK\r\n");
    let mut silent = server.client();
    silent.send(&["GET", "large"]).expect("sent");
    until("it is being answered", || unread(&mut control).iter().any(|&bytes| bytes > 0));
    control.send(&["SHUTDOWN", "NOSAVE"]).expect("sent");
    assert!(server.wait().success());
}
