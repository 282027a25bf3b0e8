//! Limits, passwords, starts and stops: what an operator meets, with the texts that Redis uses.

mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

use harness::client::Client;
use harness::reply::Value;
use harness::server::{Program, Server};
use rustix::process::{Resource, Rlimit, Signal};

/// Waits for something that is announced before it is done.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::limpid(&["--maxclients", "10"]);
    let mut clients = Vec::new();
    eventually("ten clients are served", || {
        let mut client = server.client();
        let served = client.try_call(&["PING"]).is_ok_and(|reply| reply.raw == b"+PONG\r\n");
        if served {
            clients.push(client);
        }
        clients.len() == 10
    });
    let refusal = server.client().read_to_close().expect("closed");
    assert_eq!(String::from_utf8_lossy(&refusal), "-ERR max number of clients reached\r\n");
    clients.pop();
    eventually("a place is free again", || {
        server.client().try_call(&["PING"]).is_ok_and(|reply| reply.raw == b"+PONG\r\n")
    });
}

#[test]
fn a_lowered_maxmemory_is_reached_though_nobody_writes() {
    let server = Server::limpid(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = server.client();
    let keys = 200_000;
    for from in (0..keys).step_by(1_000) {
        let requests: String = (from..from + 1_000).map(|n| format!("SET key:{n} {n:032}\r\n")).collect();
        client.send_raw(requests.as_bytes()).expect("sent");
        (0..1_000).for_each(|_| drop(client.read().expect("a reply")));
    }
    let mut used_bytes = || {
        let memory = client.text("INFO memory");
        let line = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a line");
        line.parse::<u64>().expect("a number")
    };
    let limit = used_bytes() / 2;
    assert_eq!(server.client().text(&format!("CONFIG SET maxmemory {limit}")), "OK");
    // INFO itself allocates while it looks.
    eventually("memory is within its limit", || used_bytes() <= limit + (1 << 20));
}

#[test]
fn a_command_that_runs_in_slices_counts_as_one() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    let pairs: Vec<String> = (0..5_000).flat_map(|n| [format!("key:{n}"), "v".to_owned()]).collect();
    let mset: Vec<&str> = std::iter::once("MSET").chain(pairs.iter().map(String::as_str)).collect();
    assert_eq!(client.call(&mset).raw, b"+OK\r\n");
    let commands = |client: &mut Client| {
        let info = client.text("CLIENT INFO");
        let count = info.split(' ').find_map(|field| field.strip_prefix("tot-cmds=")).expect("a field");
        count.trim().parse::<u64>().expect("a number")
    };
    let before = commands(&mut client);
    (0..10).for_each(|_| drop(client.call(&["KEYS", "*"])));
    assert_eq!(commands(&mut client), before + 11);
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    let server = Server::limpid(&["--timeout", "1"]);
    let mut idle = server.client();
    idle.ask("PING");
    let closed = idle.read_to_close().expect("closed");
    assert!(closed.is_empty());
    assert_eq!(server.client().text("PING"), "PONG");
}

#[test]
fn passwords_are_asked_for_with_redis_s_texts() {
    let server = Server::limpid(&["--requirepass", "secret"]);
    let mut client = server.client();
    let noauth = "NOAUTH Authentication required.";
    assert_eq!(client.text("GET a"), noauth);
    assert_eq!(client.text("PING"), noauth);
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(client.text("AUTH wrong"), wrong);
    assert_eq!(client.text("AUTH nobody secret"), wrong);
    assert_eq!(client.text("AUTH secret extra arguments"), "ERR syntax error");
    let hello = client.text("HELLO 3");
    assert!(
        hello.starts_with("NOAUTH HELLO must be called with the client already authenticated"),
        "{hello}"
    );
    assert_eq!(client.text("HELLO 3 AUTH default wrong"), wrong);
    assert!(matches!(client.ask("HELLO 3 AUTH default secret").value, Value::Map(_)));
    assert_eq!(client.text("SET a 1"), "OK");
    let mut other = server.client();
    assert_eq!(other.text("AUTH default secret"), "OK");
    assert_eq!(other.text("GET a"), "1");
    assert_eq!(other.text("RESET"), "RESET");
    assert_eq!(other.text("GET a"), noauth);
    assert_eq!(other.text("AUTH secret"), "OK");
}

#[test]
fn a_password_for_nobody_is_pointed_out() {
    let server = Server::limpid(&[]);
    let text = server.client().text("AUTH secret");
    assert!(text.starts_with("ERR AUTH <password> called without any password configured"), "{text}");
    assert_eq!(server.client().text("AUTH default anything"), "OK");
}

#[test]
fn protected_mode_serves_this_machine_only() {
    let server = Server::limpid(&["--bind", "* -::*"]);
    assert_eq!(server.client().text("PING"), "PONG");
    assert_eq!(server.client().text("CONFIG GET protected-mode"), "");
    let pair = server.client().ask("CONFIG GET protected-mode").value;
    assert_eq!(pair.elements().last().map(Value::text).as_deref(), Some("yes"));
    let Some(address) = outside_address() else {
        println!("SKIPPED the rest: this machine has only a loopback address");
        return;
    };
    let stream = std::net::TcpStream::connect((address, server.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut text = String::new();
    let _ = std::io::Read::read_to_string(&mut &stream, &mut text);
    assert!(text.starts_with("-DENIED ") && text.contains("protected mode"), "{text}");
}

/// An address of this machine that is not loopback. Connecting a UDP socket sends nothing.
fn outside_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn sigterm_ends_the_server_and_removes_its_pid_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let pidfile = directory.path().join("limpid.pid");
    let mut server = Server::limpid(&["--pidfile", &pidfile.display().to_string()]);
    eventually("the pid file is written", || pidfile.is_file());
    let written = std::fs::read_to_string(&pidfile).expect("the pid file");
    assert_eq!(written.trim(), server.pid().to_string());
    let mut client = server.client();
    client.ask("SET a 1");
    let status = server.stop(Signal::TERM);
    assert!(status.success(), "{status}");
    assert!(!pidfile.exists(), "the pid file is left behind");
    assert!(client.read_to_close().is_ok());
}

#[test]
fn sigint_and_shutdown_end_it_too() {
    let mut server = Server::limpid(&[]);
    assert!(server.stop(Signal::INT).success());
    let mut server = Server::limpid(&[]);
    server.client().send(&["SHUTDOWN", "NOSAVE"]).expect("it is sent");
    assert!(server.wait().success());
}

#[test]
fn a_unix_socket_is_served_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let mut server =
        Server::limpid(&["--unixsocket", &path.display().to_string(), "--unixsocketperm", "700"]);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).expect("the socket").permissions());
    assert_eq!(mode & 0o777, 0o700);
    let mut client = Client::unix(&path).expect("a connection");
    assert_eq!(client.text("SET a 1"), "OK");
    assert_eq!(server.client().text("GET a"), "1");
    server.stop(Signal::TERM);
    assert!(!path.exists(), "the socket is left behind");
}

/// Runs the server until it ends by itself, and returns what it said.
fn refusal(arguments: &[&str]) -> String {
    let log = tempfile::NamedTempFile::new().expect("a log file");
    let handle = || log.reopen().expect("a handle on the log");
    let mut child = std::process::Command::new(Program::limpid().path)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(handle())
        .stderr(handle())
        .spawn()
        .expect("it runs");
    let started = Instant::now();
    let status = loop {
        match child.try_wait().expect("our child") {
            Some(status) => break status,
            None if started.elapsed() > Duration::from_secs(5) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{arguments:?} started");
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let text = std::fs::read_to_string(log.path()).expect("the log");
    assert!(!status.success(), "{arguments:?} ended well: {text}");
    text
}

/// Starts with these options must fail, and the message must name `naming`.
fn does_not_start(arguments: &[&str], naming: &str) {
    let port = harness::server::free_port().to_string();
    let text = refusal(&[&["--port", port.as_str()], arguments].concat());
    assert!(text.contains(naming), "{arguments:?}: {text}");
}

#[test]
fn what_would_lose_data_or_protection_stops_the_start() {
    does_not_start(&["--appendonly", "yes"], "appendonly");
    does_not_start(&["--tls-port", "7443"], "tls-port");
    does_not_start(&["--aclfile", "/nowhere/users.acl"], "aclfile");
    does_not_start(&["--rename-command", "FLUSHALL", ""], "rename-command");
    does_not_start(&["--cluster-enabled", "yes"], "cluster-enabled");
    does_not_start(&["--no-such-directive", "1"], "no-such-directive");
    does_not_start(&["--maxmemory", "lots"], "maxmemory");
}

#[test]
fn an_unknown_directive_is_named_with_file_and_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("redis.conf");
    std::fs::write(&file, "# a comment\nmaxclients 100\nno-such-thing 1\n").expect("the file");
    let text = refusal(&[&file.display().to_string()]);
    assert!(text.contains("no-such-thing") && text.contains('3') && text.contains("redis.conf"), "{text}");
}

mod needs_redis_server {
    use super::*;

    /// The configuration that Debian installs, with what belongs to Debian's own user moved elsewhere.
    #[test]
    fn debian_s_own_configuration_starts() {
        let original =
            std::fs::read_to_string("/etc/redis/redis.conf").expect("Debian's /etc/redis/redis.conf");
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path().display().to_string();
        let lines = original.lines().map(|line| match line.split_whitespace().next() {
            Some("dir") => format!("dir {place}"),
            Some("logfile") => "logfile \"\"".to_owned(),
            Some("pidfile") => format!("pidfile {place}/redis.pid"),
            Some("daemonize") => "daemonize no".to_owned(),
            _ => line.to_owned(),
        });
        let file = directory.path().join("redis.conf");
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).expect("the file");
        let server = Server::start_with_file(&Program::limpid(), Path::new(&file));
        assert_eq!(server.client().text("SET a 1"), "OK");
        assert!(server.log().contains("in memory only"), "{}", server.log());
    }
}

mod needs_open_files {
    use super::*;

    const CONNECTIONS: usize = 10_000;

    #[test]
    fn ten_thousand_connections_are_served() {
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        rustix::process::setrlimit(Resource::Nofile, wanted).expect("our own limit is raised");
        let server = Server::limpid(&["--maxclients", "10500", "--tcp-backlog", "4096"]);
        let rss_before = server.rss_bytes();
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.call(&["SET", &format!("connection:{number}"), "1"]);
        }
        // All of them at once.
        for client in &mut clients {
            client.send(&["INCR", "served"]).expect("it is sent");
        }
        let mut sum = 0;
        for client in &mut clients {
            sum += client.read().expect("a reply").value.integer();
        }
        assert_eq!(sum, (CONNECTIONS * (CONNECTIONS + 1) / 2) as i64);
        let per_connection = server.rss_bytes().saturating_sub(rss_before) / CONNECTIONS as u64;
        println!("{per_connection} bytes of resident memory per connection");
        assert!(per_connection < 64 << 10, "{per_connection} bytes per connection");
    }
}
