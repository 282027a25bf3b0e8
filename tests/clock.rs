//! Wall-clock jumps: a time to live counts the time that passes, not what the clock on the wall says.
//!
//! libfaketime shows the server a clock that the test moves by writing a file.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::programs;
use harness::server::{Program, Server};

/// The clock that the server sees, as an offset to the real one.
struct Wall {
    file: PathBuf,
}

impl Wall {
    fn new(directory: &Path) -> Wall {
        let wall = Wall { file: directory.join("clock") };
        wall.shift("+0");
        wall
    }

    /// `+1d`, `-1d`, `+0`: libfaketime's own syntax.
    fn shift(&self, offset: &str) {
        fs::write(&self.file, format!("{offset}\n")).expect("the clock's file");
    }

    /// The server under test, under this clock.
    fn program(&self) -> Program {
        let mut program = Program::limpid();
        // The library alone: the `faketime` program would fix the offset. The monotonic clock stays real: it
        // is what a jump does not touch.
        for (name, value) in [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ] {
            program.environment.push((name.to_owned(), value));
        }
        program
    }
}

/// libfaketime for programs with threads, where Debian's package puts it.
fn library() -> PathBuf {
    programs::require("faketime", "faketime");
    let directories = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let candidates = directories.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")]);
    let mut libraries = candidates.map(|directory| directory.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.is_file()).expect("libfaketimeMT.so.1 beside the faketime program")
}

fn clock_seconds(server: &Server) -> i64 {
    server.client().ask("TIME").value.elements()[0].text().parse().expect("TIME in seconds")
}

mod needs_faketime {
    use super::*;

    #[test]
    fn a_jump_forward_kills_nothing_early() {
        let directory = tempfile::tempdir().expect("a directory");
        let wall = Wall::new(directory.path());
        let server = Server::start(&wall.program(), &[]);
        let mut client = server.client();
        client.ask("SET session 1 EX 1000");
        let before = clock_seconds(&server);
        wall.shift("+1d");
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(
            clock_seconds(&server) > before + 80_000,
            "the server does not see the jump: faketime does nothing"
        );
        assert_eq!(client.text("GET session"), "1");
        let left = client.ask("TTL session").value.integer();
        assert!((900..=1000).contains(&left), "{left} s left of 1000");
    }

    #[test]
    fn a_jump_back_keeps_nothing_alive() {
        let directory = tempfile::tempdir().expect("a directory");
        let wall = Wall::new(directory.path());
        let server = Server::start(&wall.program(), &[]);
        let mut client = server.client();
        client.ask("SET session 1 PX 1500");
        client.ask("SET other 1 PX 1500");
        client.ask("SET long 1 EX 1000");
        let before = clock_seconds(&server);
        wall.shift("-1d");
        // Long after the time to live: whatever is left now lives on for a day.
        std::thread::sleep(Duration::from_millis(4_000));
        assert!(
            clock_seconds(&server) < before - 80_000,
            "the server does not see the jump: faketime does nothing"
        );
        assert_eq!(client.ask("EXISTS session").value.integer(), 0, "noticed when it is looked at");
        assert_eq!(client.ask("DBSIZE").value.integer(), 1, "noticed by itself");
        let left = client.ask("TTL long").value.integer();
        assert!((900..=1000).contains(&left), "{left} s left of 1000");
    }

    #[test]
    fn keys_set_after_a_jump_live_as_long_as_they_were_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let wall = Wall::new(directory.path());
        let server = Server::start(&wall.program(), &[]);
        let mut client = server.client();
        wall.shift("+1d");
        std::thread::sleep(Duration::from_millis(1_500));
        client.ask("SET session 1 EX 1000");
        let left = client.ask("TTL session").value.integer();
        assert!((900..=1000).contains(&left), "{left} s left of 1000");
        // An absolute time is a time on the wall.
        let tomorrow = clock_seconds(&server) + 500;
        client.call(&["SET", "absolute", "1", "EXAT", &tomorrow.to_string()]);
        let left = client.ask("TTL absolute").value.integer();
        assert!((400..=500).contains(&left), "{left} s left of 500");
        client.ask("SET short 1 PX 200");
        std::thread::sleep(Duration::from_millis(1_000));
        assert_eq!(client.ask("EXISTS short").value.integer(), 0);
    }
}
