//! The clients that people already have, run against the server: redis-py, ioredis, redis-cli with its
//! reporting modes, redis-benchmark.
//!
//! The scripts in `clients/` assert for themselves and exit with a failure; what they print is shown then.

mod harness;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::client::encode;
use harness::programs;
use harness::server::Server;

/// A client program that has not ended by then hangs.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a client to its end with this input; a failure shows what it said.
fn run(command: &mut Command, input: &[u8]) -> String {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let pid = rustix::process::Pid::from_child(&child);
    let (done, ended) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(CLIENT_TIMEOUT).is_err() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("it ends");
    let _ = done.send(());
    let _ = (writer.join(), watchdog.join());
    assert!(output.status.success(), "{name}: {}\n{}", output.status, shown(&output));
    shown(&output)
}

/// Data of the kind the reporting modes look for: sizes, prefixes, times to live.
fn populate(server: &Server) {
    let mut client = server.client();
    let mut batch = Vec::new();
    for number in 0..1_000 {
        let size = 10 + number % 90;
        batch.extend(encode(&["SET", &format!("session:{number}"), &"x".repeat(size), "EX", "1000"]));
    }
    batch.extend(encode(&["SET", "giant", &"x".repeat(50_000)]));
    client.send_raw(&batch).expect("it is sent");
    for _ in 0..1_001 {
        assert_eq!(client.read().expect("a reply").raw, b"+OK\r\n");
    }
}

mod needs_redis_py {
    use super::*;

    fn script(protocol: &str) {
        let server = Server::limpid(&[]);
        let script = programs::repository().join("tests/clients/redis_py.py");
        let mut command = Command::new(programs::require_redis_py());
        let printed = run(command.arg(script).arg(server.port.to_string()).arg(protocol), b"");
        assert!(printed.contains("all checks passed"), "{printed}");
    }

    #[test]
    fn redis_py_works_in_resp2() {
        script("2");
    }

    #[test]
    fn redis_py_works_in_resp3() {
        script("3");
    }
}

mod needs_ioredis {
    use super::*;

    #[test]
    fn ioredis_works() {
        let server = Server::limpid(&[]);
        let directory = programs::require_ioredis();
        let script = programs::repository().join("tests/clients/ioredis.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(server.port.to_string()).env("IOREDIS_DIRECTORY", directory);
        let printed = run(&mut command, b"");
        assert!(printed.contains("all checks passed"), "{printed}");
    }
}

mod needs_redis_tools {
    use super::*;

    fn cli(server: &Server) -> Command {
        let mut command = Command::new(programs::require("redis-cli", "redis-tools"));
        command.arg("-p").arg(server.port.to_string());
        command
    }

    /// A mode that goes on for ever, until it has printed something.
    fn until_printed(command: &mut Command, wanted: &str) {
        let log = tempfile::NamedTempFile::new().expect("a log file");
        let output = log.reopen().expect("a second handle");
        let mut child =
            command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().expect("it starts");
        let started = Instant::now();
        let mut printed = String::new();
        while !printed.contains(wanted) && started.elapsed() < CLIENT_TIMEOUT {
            std::thread::sleep(Duration::from_millis(50));
            printed = String::from_utf8_lossy(&std::fs::read(log.path()).unwrap_or_default()).into_owned();
        }
        let _ = child.kill();
        let _ = child.wait();
        assert!(printed.contains(wanted), "no `{wanted}` in: {printed}");
    }

    #[test]
    fn plain_commands_and_scan() {
        let server = Server::limpid(&[]);
        populate(&server);
        assert_eq!(run(cli(&server).args(["SET", "a", "1"]), b"").trim(), "OK");
        assert_eq!(run(cli(&server).args(["-3", "GET", "a"]), b"").trim(), "1");
        let keys = run(cli(&server).args(["--scan", "--pattern", "session:*"]), b"");
        let mut keys: Vec<&str> = keys.lines().collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 1_000);
        let transaction = run(&mut cli(&server), b"MULTI\nINCR n\nINCR n\nEXEC\n");
        assert!(transaction.contains("QUEUED") && transaction.contains('2'), "{transaction}");
        let help = run(cli(&server).args(["COMMAND", "DOCS", "GET"]), b"");
        assert!(help.contains("summary"), "{help}");
    }

    #[test]
    fn big_keys_and_memory_keys() {
        let server = Server::limpid(&[]);
        populate(&server);
        let printed = run(cli(&server).arg("--bigkeys"), b"");
        assert!(printed.contains("giant") && printed.contains("has 50000 bytes"), "{printed}");
        assert!(printed.contains("Sampled 1001 keys"), "{printed}");
        let printed = run(cli(&server).arg("--memkeys"), b"");
        assert!(printed.contains("giant") && printed.contains("Sampled 1001 keys"), "{printed}");
    }

    #[test]
    fn hot_keys_under_an_lfu_policy() {
        let server = Server::limpid(&["--maxmemory-policy", "allkeys-lfu"]);
        populate(&server);
        let mut client = server.client();
        for _ in 0..5_000 {
            client.ask("GET giant");
        }
        let printed = run(cli(&server).arg("--hotkeys"), b"");
        assert!(printed.contains("giant"), "{printed}");
    }

    #[test]
    fn hot_keys_under_any_policy() {
        let server = Server::limpid(&[]);
        populate(&server);
        let printed = run(cli(&server).arg("--hotkeys"), b"");
        assert!(printed.contains("Sampled 1001 keys"), "{printed}");
    }

    #[test]
    fn latency_and_stat() {
        let server = Server::limpid(&[]);
        populate(&server);
        let printed = run(cli(&server).args(["--latency", "--raw", "-i", "1"]), b"");
        assert_eq!(printed.split_whitespace().count(), 4, "min max avg samples: {printed}");
        until_printed(cli(&server).args(["--stat", "-i", "0.1"]), "requests");
    }

    #[test]
    fn mass_insertion_by_pipe() {
        let server = Server::limpid(&[]);
        let mut input = Vec::new();
        for number in 0..20_000 {
            input.extend(encode(&["SET", &format!("piped:{number}"), "\r\n*1\r\n"]));
        }
        let printed = run(cli(&server).arg("--pipe"), &input);
        assert!(printed.contains("errors: 0, replies: 20000"), "{printed}");
        assert_eq!(server.client().ask("DBSIZE").value.integer(), 20_000);
    }

    #[test]
    fn redis_benchmark() {
        let server = Server::limpid(&[]);
        let benchmark = programs::require("redis-benchmark", "redis-tools");
        for extra in [&["-P", "1"][..], &["-P", "16"]] {
            let mut command = Command::new(&benchmark);
            command.arg("-p").arg(server.port.to_string());
            command.args(["-t", "set,get,incr,mset", "-n", "10000", "-q", "-r", "1000"]).args(extra);
            let printed = run(&mut command, b"");
            for name in ["SET", "GET", "INCR", "MSET (10 keys)"] {
                assert!(printed.contains(&format!("{name}: ")), "{name} in {printed}");
            }
            assert_eq!(printed.matches("requests per second").count(), 4, "{printed}");
        }
    }
}
