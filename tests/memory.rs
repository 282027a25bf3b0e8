//! Memory with a limit: what counts against it, what is given back, and clients that do not read.

mod harness;

use std::io::Write;
use std::time::{Duration, Instant};

use harness::client::{Client, encode};
use harness::server::Server;

const MIB: u64 = 1 << 20;

/// A figure of INFO.
fn figure(client: &mut Client, section: &str, name: &str) -> u64 {
    let info = client.text(&format!("INFO {section}"));
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {name} in {info}"))
}

/// Sets keys in one pipeline and returns how many were refused.
fn fill(client: &mut Client, keys: std::ops::Range<usize>, value: &str) -> usize {
    let mut refused = 0;
    for from in keys.clone().step_by(100) {
        let batch = from..(from + 100).min(keys.end);
        let requests: Vec<u8> =
            batch.clone().flat_map(|key| encode(&["SET", &format!("key:{key}"), value])).collect();
        client.send_raw(&requests).expect("sent");
        refused += batch.filter(|_| client.read().expect("a reply").raw != b"+OK\r\n").count();
    }
    refused
}

/// Sends until the server takes no more for a while.
fn send_until_blocked(client: &mut Client, request: &[u8]) -> u64 {
    let socket = client.socket();
    socket.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let batch = request.repeat(64 * 1024 / request.len());
    let mut sent = 0;
    let mut socket = socket;
    while let Ok(written @ 1..) = socket.write(&batch) {
        sent += written as u64;
        if !sent.is_multiple_of(request.len() as u64) {
            break;
        }
    }
    sent
}

#[test]
fn what_a_flush_has_taken_out_does_not_count_against_the_limit() {
    let server = Server::limpid(&["--maxmemory", "40mb"]);
    let mut client = server.client();
    for round in 0..5 {
        assert!(fill(&mut client, 0..60_000, &"v".repeat(1_000)) > 0, "it fills");
        let flush = ["FLUSHALL", "FLUSHALL SYNC", "FLUSHDB", "FLUSHALL ASYNC", "FLUSHDB SYNC"][round];
        assert_eq!(client.text(flush), "OK");
        assert_eq!(fill(&mut client, 0..1_000, &"v".repeat(1_000)), 0, "after {flush}");
    }
}

#[test]
fn databases_that_hold_nothing_take_nothing() {
    let server =
        Server::limpid(&["--databases", "2000", "--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut client = server.client();
    for database in 0..2_000 {
        assert_eq!(client.text(&format!("SELECT {database}")), "OK");
        assert_eq!(client.text("SET key value"), "OK", "database {database}");
    }
    assert!(figure(&mut client, "memory", "used_memory") < 21 * MIB);
    assert_eq!(client.text("FLUSHALL"), "OK");
    assert_eq!(client.text("SET key value"), "OK");
    let used = figure(&mut client, "memory", "used_memory");
    let startup = figure(&mut client, "memory", "used_memory_startup");
    assert!(used < startup + 2 * MIB, "{used} after a flush, {startup} at the start");
}

#[test]
fn a_watched_key_outlives_its_empty_database() {
    let server = Server::limpid(&["--databases", "100"]);
    let (mut watcher, mut writer) = (server.client(), server.client());
    for client in [&mut watcher, &mut writer] {
        assert_eq!(client.text("SELECT 7"), "OK");
    }
    assert_eq!(watcher.text("WATCH key"), "OK");
    // Long enough that unused databases were given back.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(writer.text("SET key value"), "OK");
    assert_eq!(watcher.text("MULTI"), "OK");
    assert_eq!(watcher.text("GET key"), "QUEUED");
    assert_eq!(watcher.ask("EXEC").raw, b"*-1\r\n");
}

#[test]
fn clients_that_read_nothing_are_bounded_and_evict_nothing() {
    const CLIENTS: u64 = 20;
    const LIMIT: u64 = 100 * MIB;
    let server = Server::limpid(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut bystander = server.client();
    assert_eq!(fill(&mut bystander, 0..10_000, &"v".repeat(8_000)), 0);
    let mut silent: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    for client in &mut silent {
        send_until_blocked(client, &encode(&["GET", "key:17"]));
        assert_eq!(bystander.text("PING"), "PONG");
    }
    assert_eq!(fill(&mut bystander, 0..1_000, &"w".repeat(8_000)), 0, "others write as before");
    let used = figure(&mut bystander, "memory", "used_memory");
    assert!(used < LIMIT + CLIENTS * MIB + LIMIT / 100, "{used}");
    assert_eq!(figure(&mut bystander, "stats", "evicted_keys"), 0);
    assert_eq!(bystander.ask("DBSIZE").raw, b":10000\r\n");
    // Who reads at last gets everything in order.
    let reply = silent[3].read().expect("its replies");
    assert_eq!(reply.value.text(), "v".repeat(8_000));
}

#[test]
fn a_pipeline_that_fits_no_buffer_completes_before_its_sender_reads() {
    const REQUESTS: usize = 20_000;
    let server = Server::limpid(&[]);
    let mut client = server.client();
    let key = "k".repeat(1_000);
    assert_eq!(client.call(&["SET", &key, &"v".repeat(300)]).raw, b"+OK\r\n");
    client.send_raw(&encode(&["GET", &key]).repeat(REQUESTS)).expect("all of it is taken");
    client.send(&["ECHO", "end"]).expect("sent");
    for _ in 0..REQUESTS {
        assert_eq!(client.read().expect("a reply").raw.len(), 300 + 8);
    }
    assert_eq!(client.read().expect("the last reply").raw, b"$3\r\nend\r\n");
}

#[test]
fn a_half_request_behind_paused_ones_is_completed_later() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    assert_eq!(client.call(&["SET", "key", &"v".repeat(10_000)]).raw, b"+OK\r\n");
    let mut bytes = encode(&["GET", "key"]).repeat(2_000);
    bytes.extend_from_slice(&encode(&["ECHO", &"e".repeat(100_000)]));
    let (most, rest) = bytes.split_at(bytes.len() - 50_000);
    client.send_raw(most).expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    client.send_raw(rest).expect("sent");
    (0..2_000).for_each(|_| assert_eq!(client.read().expect("a reply").raw.len(), 10_000 + 10));
    assert_eq!(client.read().expect("the last reply").value.text(), "e".repeat(100_000));
}

#[test]
fn before_authentication_neither_requests_nor_replies_pile_up() {
    let server = Server::limpid(&["--requirepass", "secret"]);
    let mut bystander = server.client();
    assert_eq!(bystander.text("AUTH secret"), "OK");
    let before = figure(&mut bystander, "memory", "used_memory");
    let mut strangers: Vec<Client> = (0..10).map(|_| server.client()).collect();
    let started = Instant::now();
    for stranger in &mut strangers {
        send_until_blocked(stranger, b"PING\r\n");
    }
    let used = figure(&mut bystander, "memory", "used_memory");
    assert!(used < before + 10 * (MIB / 8), "{before} -> {used} after {:?}", started.elapsed());
    let mut whole = server.client();
    // An argument that is too long for a stranger is refused by its length alone.
    whole.send_raw(b"*2\r\n$4\r\nAUTH\r\n$5000000\r\n").expect("sent");
    let refusal = whole.read_to_close().expect("closed");
    assert_eq!(refusal, b"-ERR Protocol error: unauthenticated bulk length\r\n");
}

#[test]
fn a_killed_client_is_gone_with_the_reply() {
    let server = Server::limpid(&["--io-threads", "2", "--io-threads-always-active", "yes"]);
    let mut killer = server.client();
    for _ in 0..100 {
        let mut victims: Vec<Client> = (0..4).map(|_| server.client()).collect();
        let ids: Vec<String> =
            victims.iter_mut().map(|victim| victim.ask("CLIENT ID").value.integer().to_string()).collect();
        for id in ids {
            assert_eq!(killer.ask(&format!("CLIENT KILL ID {id}")).raw, b":1\r\n");
            let list = killer.text("CLIENT LIST");
            assert!(!list.contains(&format!("id={id} ")), "{id} in {list}");
        }
        for victim in &mut victims {
            assert!(victim.try_call(&["PING"]).is_err());
        }
    }
}
