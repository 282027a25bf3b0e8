//! Clients that mean harm, or whose programmer was tired: garbage, halves, giants, and those who never read.
//!
//! Each gets a clear error or a closed connection; the others are served meanwhile, the server lives, and its
//! memory stays within a named bound.

mod harness;

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use harness::client::{Client, encode};
use harness::rng::{self, Rng};
use harness::server::Server;

/// What a server may grow by while one client misbehaves.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// A server, a well-behaved client that stays connected, and the memory before the attack.
struct Scene {
    server: Server,
    bystander: Client,
    rss_before: u64,
}

impl Scene {
    fn new(arguments: &[&str]) -> Scene {
        let server = Server::limpid(arguments);
        let mut bystander = server.client();
        bystander.ask("SET innocent 1");
        let rss_before = server.rss_bytes();
        Scene { server, bystander, rss_before }
    }

    /// The others are unharmed and memory is bounded.
    fn check(&mut self) {
        assert_eq!(self.bystander.text("GET innocent"), "1", "a client that did nothing is harmed");
        assert_eq!(self.server.client().text("PING"), "PONG", "nobody new is served");
        let grown = self.server.rss_bytes().saturating_sub(self.rss_before);
        assert!(grown <= GROWTH_BYTES_MAX, "the server grew by {} MiB", grown >> 20);
    }

    /// Sends bytes and expects this error, then a closed connection.
    fn refused(&mut self, bytes: &[u8], error: &str) {
        let mut client = self.server.client();
        let _ = client.send_raw(bytes);
        let answer = client.read_to_close().unwrap_or_else(|error| {
            panic!("{error}: not closed after {}", bytes[..bytes.len().min(60)].escape_ascii())
        });
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer, format!("-{error}\r\n"), "to {}", bytes[..bytes.len().min(60)].escape_ascii());
    }
}

#[test]
fn protocol_errors_are_named_and_close_the_connection() {
    let mut scene = Scene::new(&[]);
    scene.refused(b"*-x\r\n", "ERR Protocol error: invalid multibulk length");
    scene.refused(b"*3000000000\r\n", "ERR Protocol error: invalid multibulk length");
    scene.refused(b"*1\r\n+PING\r\n", "ERR Protocol error: expected '$', got '+'");
    scene.refused(b"*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length");
    scene.refused(b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length");
    scene.refused(b"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length");
    scene.refused(b"SET \"a\r\n", "ERR Protocol error: unbalanced quotes in request");
    scene.refused(&b"a".repeat(70_000), "ERR Protocol error: too big inline request");
    scene.refused(
        &[&b"*"[..], &b"1".repeat(70_000)].concat(),
        "ERR Protocol error: too big mbulk count string",
    );
    scene.check();
}

#[test]
fn protocol_errors_are_not_told_to_who_wants_no_replies() {
    let scene = Scene::new(&[]);
    let table = [
        ("CLIENT REPLY OFF\r\n*abc\r\n", ""),
        ("CLIENT REPLY SKIP\r\n*abc\r\n", ""),
        ("CLIENT REPLY SKIP\r\nPING\r\n*abc\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ("QUIT\r\n*abc\r\n", "+OK\r\n"),
    ];
    for (requests, replies) in table {
        let mut client = scene.server.client();
        client.send_raw(requests.as_bytes()).expect("sent");
        let answer = client.read_to_close().expect("closed");
        assert_eq!(String::from_utf8_lossy(&answer), replies, "{requests}");
    }
}

#[test]
fn nested_arrays_are_refused() {
    let mut scene = Scene::new(&[]);
    scene.refused(&b"*1\r\n".repeat(100_000), "ERR Protocol error: expected '$', got '*'");
    scene.refused(b"*2\r\n$4\r\nECHO\r\n*1\r\n$1\r\na\r\n", "ERR Protocol error: expected '$', got '*'");
    scene.check();
}

#[test]
fn empty_requests_are_ignored() {
    let scene = Scene::new(&[]);
    let mut client = scene.server.client();
    client.send_raw(b"\r\n\r\n*0\r\n*-1\r\n  \r\nPING\r\n").expect("it is sent");
    assert_eq!(client.read().expect("a reply").raw, b"+PONG\r\n");
}

#[test]
fn garbage_of_any_kind_harms_nobody() {
    let mut scene = Scene::new(&[]);
    let seed = rng::seed();
    let mut rng = Rng::new(seed);
    let started = Instant::now();
    while started.elapsed() < rng::duration(3) {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..1 + rng.below(30) {
            let digits = rng.below(40);
            match rng.below(6) {
                0 => bytes.extend((0..rng.below(200)).map(|_| rng.next() as u8)),
                1 => bytes.extend(encode(&["SET", "garbage", &"x".repeat(rng.below(300))])),
                2 => bytes.extend(format!("*{}\r\n", rng.below(1 << digits)).into_bytes()),
                3 => bytes.extend(format!("${}\r\n", rng.below(1 << digits)).into_bytes()),
                4 => bytes.extend(*rng.pick(&[
                    &b"\r\n"[..],
                    b"\n",
                    b"\r",
                    b"\0",
                    b"*",
                    b"$",
                    b":1\r\n",
                    b"\"'\\x",
                ])),
                _ => bytes.extend(b"GET garbage\r\n"),
            }
        }
        // A flipped bit in what was almost right.
        if !bytes.is_empty() && rng.chance(50) {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        let mut client = scene.server.client();
        client.socket().set_read_timeout(Some(Duration::from_millis(2))).expect("a timeout");
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            let (piece, rest) = left.split_at((1 + rng.below(left.len())).min(left.len()));
            if client.send_raw(piece).is_err() {
                break;
            }
            left = rest;
        }
        let _ = client.read_to_close();
    }
    scene.check();
}

#[test]
fn half_requests_wait_without_costing_memory() {
    let mut scene = Scene::new(&[]);
    let mut waiting = Vec::new();
    for number in 0..500 {
        let mut client = scene.server.client();
        let request = encode(&["SET", "half", "0123456789"]);
        client.send_raw(&request[..1 + number % (request.len() - 1)]).expect("it is sent");
        waiting.push(client);
    }
    scene.check();
    drop(waiting);
    scene.check();
}

#[test]
fn who_closes_right_behind_the_last_byte_is_closed_too() {
    let mut scene = Scene::new(&[]);
    // Bytes and the end of the stream reach the server together: one event for both.
    for _ in 0..50 {
        let mut client = scene.server.client();
        client.send_raw(b"PING\r\n").expect("sent");
        client.socket().shutdown(Shutdown::Write).expect("half-closed");
        assert_eq!(client.read_to_close().expect("closed after the reply"), b"+PONG\r\n");
    }
    for request in ["*1\r\n", "CLIENT REPLY OFF\r\nSET a 1\r\n"].repeat(100) {
        scene.server.client().send_raw(request.as_bytes()).expect("sent");
    }
    let started = Instant::now();
    while !scene.bystander.text("INFO clients").contains("connected_clients:1\r\n") {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", scene.bystander.text("CLIENT LIST"));
        std::thread::sleep(Duration::from_millis(20));
    }
    scene.check();
}

#[test]
fn who_only_stops_sending_gets_the_whole_reply() {
    let mut scene = Scene::new(&[]);
    let value = "x".repeat(20_000_000);
    scene.bystander.call(&["SET", "large", &value]);
    // In one turn, and behind a full batch, in the turn that finds the end of the stream.
    for (pings, pause_ms) in [(0, 0), (0, 100), (64, 0), (64, 100)] {
        let mut client = scene.server.client();
        let requests = "PING\r\n".repeat(pings) + "GET large\r\n";
        client.send_raw(requests.as_bytes()).expect("sent");
        client.socket().shutdown(Shutdown::Write).expect("half-closed");
        // The socket takes some megabytes; the rest waits in the server.
        std::thread::sleep(Duration::from_millis(pause_ms));
        let replies = client.read_to_close().expect("closed behind the replies");
        let expected = pings * "+PONG\r\n".len() + "$20000000\r\n".len() + value.len() + 2;
        assert_eq!(replies.len(), expected, "{pings} PINGs before, {pause_ms} ms");
    }
    scene.bystander.call(&["DEL", "large"]);
    scene.check();
}

#[test]
fn a_request_sent_byte_by_byte_is_served() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.server.client();
    for byte in encode(&["SET", "slow", "1\r\n2"]) {
        client.send_raw(&[byte]).expect("a byte is sent");
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(scene.bystander.text("GET innocent"), "1");
    }
    assert_eq!(client.read().expect("a reply").raw, b"+OK\r\n");
    assert_eq!(client.ask("GET slow").raw, b"$4\r\n1\r\n2\r\n");
    scene.check();
}

#[test]
fn announced_giants_cost_nothing_until_they_come() {
    let mut scene = Scene::new(&[]);
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut client = scene.server.client();
        client.send_raw(b"*3\r\n$3\r\nSET\r\n$5\r\ngiant\r\n$536870912\r\nxxxx").expect("it is sent");
        waiting.push(client);
        let mut client = scene.server.client();
        client.send_raw(b"*1000000\r\n$4\r\nMGET\r\n").expect("it is sent");
        waiting.push(client);
    }
    scene.check();
}

#[test]
fn a_million_arguments_are_served_or_refused() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.server.client();
    let mut request = b"*1000001\r\n$3\r\nDEL\r\n".to_vec();
    request.extend(b"$1\r\na\r\n".repeat(1_000_000));
    if client.send_raw(&request).is_ok() {
        let reply = client.read().map(|reply| reply.raw);
        assert!(reply.as_ref().is_ok_and(|raw| raw == b":0\r\n" || raw.starts_with(b"-ERR")), "{reply:?}");
    }
    assert_eq!(scene.bystander.text("GET innocent"), "1");
    assert!(
        scene.server.rss_bytes() < 512 << 20,
        "{} MiB for a million arguments",
        scene.server.rss_bytes() >> 20
    );
}

#[test]
fn unauthenticated_clients_cannot_send_giants() {
    let mut scene = Scene::new(&["--protected-mode", "no"]);
    scene.bystander.ask("CONFIG SET requirepass secret");
    scene.refused(b"*100\r\n", "ERR Protocol error: unauthenticated multibulk length");
    scene.refused(b"*2\r\n$3\r\nGET\r\n$100000\r\n", "ERR Protocol error: unauthenticated bulk length");
    let mut client = scene.server.client();
    assert_eq!(client.text("GET innocent"), "NOAUTH Authentication required.");
    assert_eq!(scene.bystander.text("GET innocent"), "1");
}

#[test]
fn who_never_reads_is_cut_off() {
    let mut scene = Scene::new(&["--client-output-buffer-limit", "normal", "512kb", "0", "0"]);
    scene.bystander.call(&["SET", "large", &"x".repeat(100_000)]);
    let mut greedy = scene.server.client();
    greedy.socket().set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let requests = encode(&["GET", "large"]).repeat(50);
    let started = Instant::now();
    let broken = loop {
        match greedy.send_raw(&requests) {
            Ok(()) if started.elapsed() < Duration::from_secs(10) => {}
            Ok(()) => break false,
            Err(error) => break error.kind() != ErrorKind::WouldBlock,
        }
        let grown = scene.server.rss_bytes().saturating_sub(scene.rss_before);
        assert!(grown <= GROWTH_BYTES_MAX, "fed from {} MiB of the server's memory", grown >> 20);
    };
    // Either the connection broke under the writes, or it is closed after what was in flight.
    assert!(broken || greedy.read_to_close().is_ok(), "a client that never reads is not cut off");
    scene.check();
}

#[test]
fn a_pipeline_longer_than_any_buffer_is_served_in_full() {
    let mut scene = Scene::new(&[]);
    let client = scene.server.client();
    let mut writer = client.socket().try_clone().expect("a second handle");
    const REQUESTS: usize = 300_000;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let batch = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".repeat(1_000);
            for _ in 0..REQUESTS / 1_000 {
                writer.write_all(&batch).expect("a batch is sent");
            }
        });
        let mut client = client;
        for expected in 1..=REQUESTS as i64 {
            assert_eq!(client.read().expect("a reply").value.integer(), expected);
        }
    });
    scene.check();
}

#[test]
fn the_query_buffer_has_a_limit() {
    let mut scene = Scene::new(&["--client-query-buffer-limit", "1mb"]);
    let mut client = scene.server.client();
    let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$8000000\r\n".to_vec();
    request.extend(b"x".repeat(8_000_000));
    request.extend(b"\r\n");
    let _ = client.send_raw(&request);
    let answer = client.read_to_close();
    assert!(answer.as_ref().is_ok_and(|answer| !answer.starts_with(b"+OK")), "{answer:?}");
    scene.check();
}

#[test]
fn floods_of_connections_that_say_nothing_are_served_past() {
    let mut scene = Scene::new(&[]);
    for _ in 0..20 {
        let crowd: Vec<Client> = (0..100).map(|_| scene.server.client()).collect();
        assert_eq!(scene.bystander.text("GET innocent"), "1");
        drop(crowd);
    }
    scene.check();
    let clients = scene.bystander.text("INFO clients");
    let connected = clients.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    let connected: usize = connected.and_then(|count| count.trim().parse().ok()).expect("connected_clients");
    assert!(connected < 150, "{connected} clients, though all but one are gone");
}

#[test]
fn closing_in_the_middle_of_anything_is_survived() {
    let mut scene = Scene::new(&[]);
    let mut rng = Rng::new(rng::seed());
    for _ in 0..300 {
        let mut client = scene.server.client();
        let request = encode(&["MSET", "k", "v", "k2", "v2"]).repeat(20);
        let _ = client.send_raw(b"MULTI\r\nWATCH a\r\n");
        let _ = client.send_raw(&request[..rng.below(request.len())]);
    }
    scene.check();
}

/// More shared values than one system call takes, and a reply of many parts: all of it arrives although the socket
/// never was full.
#[test]
fn a_full_disk_under_the_log_disturbs_nobody() {
    let mut scene = Scene::new(&["--logfile", "/dev/full", "--loglevel", "debug"]);
    for _ in 0..100 {
        // Each is worth a line in the log.
        let mut attacker = scene.server.client();
        attacker.send_raw(b"*3\r\n$-1\r\n").expect("garbage is sent");
        attacker.read_to_close().expect("the connection is closed");
    }
    scene.check();
    assert!(scene.server.stop(rustix::process::Signal::TERM).success());
}

/// A web page can make a browser on this machine send a request with commands in its body.
#[test]
fn http_is_cut_off_before_its_body() {
    let mut scene = Scene::new(&[]);
    for head in ["POST / HTTP/1.1\r\nContent-Length: 16\r\n\r\n", "GET / HTTP/1.1\r\nhOST: a\r\n\r\n"] {
        let mut browser = scene.server.client();
        browser.send_raw(format!("{head}SET innocent 2\r\n").as_bytes()).expect("a request is sent");
        let answer = browser.read_to_close().expect("the connection is closed");
        assert!(!answer.windows(3).any(|bytes| bytes == b"+OK"), "{}", answer.escape_ascii());
        scene.check();
    }
    assert_eq!(scene.server.log().matches("SECURITY ATTACK").count(), 1, "told once a minute");
}

#[test]
fn long_replies_of_many_parts_arrive_whole() {
    let scene = Scene::new(&[]);
    let mut client = scene.server.client();
    let value = vec![b'v'; 20_000];
    for key in 0..200 {
        client.call(&[b"SET".as_slice(), format!("large:{key}").as_bytes(), &value]);
    }
    let requests: Vec<u8> = (0..200).flat_map(|key| encode(&["GET", &format!("large:{key}")])).collect();
    client.send_raw(&requests).expect("send");
    for _ in 0..200 {
        assert_eq!(client.read().expect("a value").value.bytes(), value);
    }
    for chunk in 0..20 {
        let keys: Vec<String> = (0..1000).flat_map(|n| [format!("k:{chunk}:{n}"), "1".to_owned()]).collect();
        let words: Vec<&str> = std::iter::once("MSET").chain(keys.iter().map(String::as_str)).collect();
        client.call(&words);
    }
    assert_eq!(client.ask("KEYS k:*").value.elements().len(), 20_000);
}
