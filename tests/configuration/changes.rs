//! What CONFIG SET does beyond its reply: sockets, directory, limits, the kernel's score; and what CONFIG REWRITE keeps.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::reply::Value;
use crate::harness::server::{Program, Server, free_port};

/// More clients than any system has descriptors for.
const TOO_MANY_CLIENTS: &str = "4000000000";

fn get(client: &mut Client, name: &str) -> String {
    client.call(&["CONFIG", "GET", name]).value.elements().last().map(Value::text).unwrap_or_default()
}

fn failed(name: &str, reason: &str) -> String {
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}

/// Moves the server to a port that is free; another process may take one before it is had.
fn move_to_free_port(client: &mut Client) -> u16 {
    for _ in 0..20 {
        let port = free_port();
        if client.text(&format!("CONFIG SET port {port}")) == "OK" {
            return port;
        }
    }
    panic!("no free port in 20 attempts")
}

/// Whether a limpid with this process id is what listens on `port`.
fn serves(port: u16, pid: u32) -> bool {
    let Ok(mut client) = Client::tcp(port) else { return false };
    // Somebody else may have the port by now, and answer something or nothing.
    client.socket().set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let info = client.try_call(&["INFO", "server"]);
    info.is_ok_and(|info| info.value.text().contains(&format!("\r\nprocess_id:{pid}\r\n")))
}

#[test]
fn the_port_changes_and_clients_stay() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    client.ask("SET a 1");
    let port = move_to_free_port(&mut client);
    assert_eq!(get(&mut client, "port"), port.to_string());
    assert!(client.text("INFO server").contains(&format!("\r\ntcp_port:{port}\r\n")));
    assert!(serves(port, server.pid()), "the new port is not served");
    assert!(!serves(server.port, server.pid()), "the old port is still served");
    assert_eq!(Client::tcp(port).expect("a connection").text("GET a"), "1");
    // No TCP at all, and back.
    assert_eq!(client.text("CONFIG SET port 0"), "OK");
    assert!(!serves(port, server.pid()), "port 0 is to close");
    let again = move_to_free_port(&mut client);
    assert!(serves(again, server.pid()));
    assert_eq!(client.text("GET a"), "1");
}

#[test]
fn a_port_that_is_taken_leaves_everything_as_it_was() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    let held = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = held.local_addr().expect("its address").port();
    let reply = client.text(&format!("CONFIG SET timeout 77 port {taken}"));
    assert_eq!(reply, failed("port", "Unable to listen on this port. Check server logs."));
    assert_eq!(
        (get(&mut client, "timeout"), get(&mut client, "port")),
        ("0".into(), server.port.to_string())
    );
    assert!(serves(server.port, server.pid()));
    // The other order: what was acted on already is taken back.
    let mut free = None;
    for _ in 0..20 {
        let port = free_port();
        let reply = client.text(&format!("CONFIG SET port {port} maxclients {TOO_MANY_CLIENTS}"));
        if reply.contains("'maxclients'") {
            free = Some(port);
            break;
        }
    }
    assert!(!serves(free.expect("a free port"), server.pid()));
    assert!(serves(server.port, server.pid()), "the old port is served again");
    drop(held);
}

#[test]
fn the_addresses_change_and_bad_ones_leave_the_old() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    // On one port, and so only after the old ones are let go.
    assert_eq!(client.call(&["CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2 -192.0.2.1"]).value.text(), "OK");
    let second = std::net::TcpStream::connect(("127.0.0.2", server.port));
    assert!(second.is_ok(), "{second:?}");
    assert!(serves(server.port, server.pid()));
    let reply = client.call(&["CONFIG", "SET", "bind", "127.0.0.1 192.0.2.1"]).value.text();
    assert_eq!(reply, failed("bind", "Failed to bind to specified addresses."));
    assert_eq!(get(&mut client, "bind"), "127.0.0.1 127.0.0.2 -192.0.2.1");
    assert!(std::net::TcpStream::connect(("127.0.0.2", server.port)).is_ok());
    assert!(serves(server.port, server.pid()));
    assert_eq!(client.call(&["CONFIG", "SET", "bind", ""]).value.text(), "OK");
    assert!(!serves(server.port, server.pid()), "no address is no socket");
    assert_eq!(client.call(&["CONFIG", "SET", "bind", "127.0.0.1"]).value.text(), "OK");
    assert!(serves(server.port, server.pid()));
}

#[test]
fn clients_come_and_go_while_the_sockets_change() {
    let server = Server::limpid(&["--io-threads", "2"]);
    let (port, pid) = (server.port, server.pid());
    let connecting = std::thread::spawn(move || (0..200).filter(|_| serves(port, pid)).count());
    let mut client = server.client();
    for round in 0..100 {
        let bind = if round % 2 == 0 { "127.0.0.1 127.0.0.2" } else { "127.0.0.1" };
        assert_eq!(client.call(&["CONFIG", "SET", "bind", bind]).value.text(), "OK");
    }
    let served = connecting.join().expect("no panic");
    println!("{served} of 200 connections were served meanwhile");
    assert!(serves(port, pid));
}

#[test]
fn clients_that_do_not_fit_are_refused_not_forgotten() {
    let server = Server::limpid(&["--maxclients", "100"]);
    let mut client = server.client();
    let reply = client.text(&format!("CONFIG SET timeout 77 maxclients {TOO_MANY_CLIENTS}"));
    let reason = "The operating system is not able to handle the specified number of clients, try with ";
    let possible = reply.strip_prefix(&failed("maxclients", reason)).unwrap_or_else(|| panic!("{reply}"));
    assert_eq!((get(&mut client, "maxclients"), get(&mut client, "timeout")), ("100".into(), "0".into()));
    assert_eq!(client.text(&format!("CONFIG SET maxclients {possible}")), "OK");
    assert_eq!(get(&mut client, "maxclients"), possible);
}

#[test]
fn a_rewritten_file_keeps_what_was_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().canonicalize().expect("it exists").display().to_string();
    let file = directory.path().join("limpid.conf");
    let text = format!(
        "maxclients {TOO_MANY_CLIENTS}\ndir {place}/.\nbind 127.0.0.1\nsave \"\"\nenable-protected-configs local\n"
    );
    fs::write(&file, &text).expect("the file");
    let server = Server::start_with_file(&Program::limpid(), &file);
    let mut client = server.client();
    let allowed = get(&mut client, "maxclients");
    assert_ne!(allowed, TOO_MANY_CLIENTS);
    assert_eq!(get(&mut client, "dir"), place);
    assert_eq!(client.text("CONFIG SET timeout 77"), "OK");
    assert_eq!(client.text("CONFIG REWRITE"), "OK");
    let kept = fs::read_to_string(&file).expect("the file");
    assert!(kept.starts_with(&text), "{kept}");
    assert!(kept.contains("\ntimeout 77\n"), "{kept}");
    // What is asked for now is written.
    fs::create_dir(directory.path().join("other")).expect("a directory");
    assert_eq!(client.text(&format!("CONFIG SET maxclients {allowed} dir {place}/other")), "OK");
    assert_eq!(client.text("CONFIG REWRITE"), "OK");
    let kept = fs::read_to_string(&file).expect("the file");
    assert!(kept.starts_with(&format!("maxclients {allowed}\ndir {place}/other\n")), "{kept}");
}

#[test]
fn the_directory_is_entered_or_refused() {
    let server = Server::limpid(&["--enable-protected-configs", "yes"]);
    let mut client = server.client();
    let place = server.directory().canonicalize().expect("it exists");
    fs::create_dir(place.join("below")).expect("a directory");
    let is_in = || fs::read_link(format!("/proc/{}/cwd", server.pid())).expect("it runs");
    assert_eq!(is_in(), place);
    assert_eq!(client.text("CONFIG SET dir below"), "OK");
    assert_eq!(is_in(), place.join("below"));
    assert_eq!(get(&mut client, "dir"), place.join("below").display().to_string());
    assert_eq!(client.text("CONFIG SET dir /nonexistent/place"), failed("dir", "No such file or directory"));
    assert_eq!(client.text("CONFIG SET dir /etc/passwd"), failed("dir", "Not a directory"));
    assert_eq!(client.call(&["CONFIG", "SET", "dir", ""]).value.text(), failed("dir", "dir can't be empty"));
    assert_eq!(get(&mut client, "dir"), place.join("below").display().to_string());
    assert_eq!(is_in(), place.join("below"));
    // Entered first, and left again because of what stands behind it.
    let reply = client.text(&format!("CONFIG SET dir .. maxclients {TOO_MANY_CLIENTS}"));
    assert!(reply.contains("'maxclients'"), "{reply}");
    assert_eq!(is_in(), place.join("below"));
}

#[test]
fn a_unix_socket_is_removed_wherever_the_directory_leads() {
    let mut server = Server::limpid(&["--enable-protected-configs", "yes", "--unixsocket", "socket"]);
    let place = server.directory().to_path_buf();
    let mut client = Client::unix(&place.join("socket")).expect("a connection");
    assert_eq!(client.text("CONFIG SET dir /"), "OK");
    assert!(server.stop(rustix::process::Signal::TERM).success());
    assert!(!place.join("socket").exists(), "the socket is left behind");
}

#[test]
fn the_kernel_s_score_is_set_and_set_back() {
    let server = Server::limpid(&[]);
    let mut client = server.client();
    let score = || -> i32 {
        let text = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).expect("it runs");
        text.trim().parse().expect("a number")
    };
    let start = score();
    // Higher only: lower ones need a privilege that the test may lack.
    let set = |client: &mut Client, name: &str, value: &str| {
        client.call(&["CONFIG", "SET", name, value]).value.text()
    };
    assert_eq!(set(&mut client, "oom-score-adj-values", "10 0 0"), "OK");
    assert_eq!(score(), start);
    assert_eq!(set(&mut client, "oom-score-adj", "relative"), "OK");
    assert_eq!((score(), get(&mut client, "oom-score-adj").as_str()), ((start + 10).min(1000), "yes"));
    assert_eq!(set(&mut client, "oom-score-adj-values", "20 0 0"), "OK");
    assert_eq!(score(), (start + 20).min(1000));
    assert_eq!(set(&mut client, "oom-score-adj-values", "2000 0 0"), "OK");
    assert_eq!(score(), 1000);
    assert_eq!(set(&mut client, "oom-score-adj", "absolute"), "OK");
    assert_eq!(score(), 1000);
}

#[test]
fn the_score_is_set_at_start() {
    let server =
        Server::limpid(&["--oom-score-adj", "absolute", "--oom-score-adj-values", "999", "1000", "1000"]);
    let text = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).expect("it runs");
    assert_eq!(text.trim(), "999");
}

#[test]
fn save_may_be_nothing_in_a_file_of_its_own_and_on_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    for text in ["save \"\"", "save ''\n", "save 3600 1\nsave \"\"\n"] {
        let file = directory.path().join("limpid.conf");
        fs::write(&file, text).expect("the file");
        let server = Server::start_with_file(&Program::limpid(), &file);
        assert_eq!(get(&mut server.client(), "save"), "");
        assert!(!server.log().contains("in memory only"), "{text}: {}", server.log());
    }
    for arguments in [&["--save", ""][..], &["--save"], &["--save", "", "--timeout", "1"]] {
        let server = Server::limpid(arguments);
        assert_eq!(get(&mut server.client(), "save"), "");
        assert!(!server.log().contains("in memory only"), "{arguments:?}: {}", server.log());
    }
}

#[test]
fn two_change_the_settings_at_once_and_no_half_stays() {
    let server = Server::limpid(&["--io-threads", "2"]);
    let (port, started) = (server.port, Instant::now());
    let changing = |timeout: &'static str| {
        std::thread::spawn(move || {
            let mut client = Client::tcp(port).expect("a connection");
            for _ in 0..200 {
                let reply =
                    client.text(&format!("CONFIG SET timeout {timeout} maxclients {TOO_MANY_CLIENTS}"));
                assert!(reply.contains("'maxclients'"), "{reply}");
            }
        })
    };
    let both = [changing("5000"), changing("6000")];
    for one in both {
        one.join().expect("no panic");
    }
    let mut client = server.client();
    assert_eq!((get(&mut client, "timeout"), get(&mut client, "maxclients")), ("0".into(), "10000".into()));
    println!("{:?}", started.elapsed());
}
