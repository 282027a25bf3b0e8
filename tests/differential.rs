//! Differential tests: random command sequences on a real server and on Limpid, replies compared byte for
//! byte, in both protocols, one by one and in batches, over two connections that interleave.
//!
//! The reference is Debian's `redis-server` (7.0), and Valkey 9 where `cargo xtask peers` has unpacked it.
//! `LIMPID_SEED` repeats a run, `LIMPID_SECONDS` makes it longer. A difference is shortened by replay and
//! printed as a transcript.

#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/grammar.rs"]
mod grammar;
mod harness;
#[path = "differential/malformed.rs"]
mod malformed;
#[path = "differential/replay.rs"]
mod replay;

use std::collections::BTreeSet;
use std::time::Instant;

use grammar::Grammar;
use harness::programs;
use harness::reply::Value;
use harness::rng::{self, Rng};
use harness::server::{Program, Server};
use replay::{Pair, Style};

/// Commands of one sequence: long enough for state to build up, short enough to shorten.
const SEQUENCE_LENGTH: usize = 120;

/// Seconds of each random test by default.
const SECONDS: u64 = 6;

/// Differences that did not show again when replayed: a clock, at most a few on a busy machine.
const UNREPEATABLE_MAX: usize = 3;

fn redis() -> Program {
    Program::other(programs::require("redis-server", "redis-server"), &[])
}

fn valkey() -> Program {
    Program::other(programs::require_peers(), &["valkey-server"])
}

fn compare_randomly(reference: &Program, reference_is_7_0: bool, protocol: u8) {
    let grammar = Grammar::new(reference_is_7_0);
    let theirs = Server::start(reference, &[]);
    let ours = Server::limpid(&[]);
    let pair = Pair { theirs: theirs.port, ours: ours.port, reference_is_7_0 };
    let seed = rng::seed();
    let mut rng = Rng::new(seed);
    let (started, duration) = (Instant::now(), rng::duration(SECONDS));
    let (mut sequences, mut unrepeatable) = (0, 0);
    while started.elapsed() < duration {
        let style = Style::draw(&mut rng, protocol);
        let steps = grammar.sequence(&mut rng, SEQUENCE_LENGTH);
        sequences += 1;
        let found = replay::play(&pair, style, &steps).unwrap_or_else(|error| {
            panic!("seed {seed}, sequence {sequences}: {error}\n{}", replay::transcript(style, &steps))
        });
        let Some(found) = found else { continue };
        let (shortest, difference) = replay::shorten(&pair, style, &steps[..=found.at]);
        let Some(difference) = difference else {
            if matches!(replay::play(&pair, style, &steps), Ok(None)) {
                unrepeatable += 1;
                println!("did not show again: {} -> {} / {}", found.request, found.theirs, found.ours);
                assert!(
                    unrepeatable <= UNREPEATABLE_MAX,
                    "seed {seed}: too many differences that come and go"
                );
                continue;
            }
            panic!("seed {seed}\n{}{}", replay::transcript(style, &shortest), report(&found));
        };
        panic!(
            "seed {seed}, sequence {sequences}\n{}{}",
            replay::transcript(style, &shortest),
            report(&difference)
        );
    }
    println!("{sequences} sequences of {SEQUENCE_LENGTH} commands, no difference");
}

fn report(difference: &replay::Difference) -> String {
    let replay::Difference { request, theirs, ours, .. } = difference;
    format!("{request}\n  reference: {theirs}\n  limpid:    {ours}\n")
}

/// One row of `COMMAND INFO`: what clients route and check by.
#[derive(Debug, PartialEq)]
struct Shape {
    name: String,
    arity: i64,
    first_last_step: [i64; 3],
    flags: BTreeSet<String>,
    categories: BTreeSet<String>,
    tips: Vec<String>,
    /// With their notes.
    key_specs: Value,
}

fn shapes(server: &Server, names: &[String]) -> Vec<Shape> {
    let mut client = server.client();
    let request: Vec<&str> =
        ["COMMAND", "INFO"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let reply = client.call(&request);
    let rows = reply.value.elements().iter().filter(|row| **row != Value::Null);
    rows.map(|row| {
        // Of the subcommands each is compared by itself: a container may have more of them in the reference.
        let [name, arity, flags, first, last, step, categories, tips, key_specs, _] = row.elements() else {
            panic!("COMMAND INFO: {row:?}")
        };
        Shape {
            name: name.text(),
            arity: arity.integer(),
            first_last_step: [first.integer(), last.integer(), step.integer()],
            flags: flags.elements().iter().map(flag).collect(),
            categories: categories.elements().iter().map(Value::text).collect(),
            tips: tips.elements().iter().map(Value::text).collect(),
            key_specs: key_specs.clone(),
        }
    })
    .collect()
}

/// Valkey's name for a flag that it has renamed is taken for Redis's.
fn flag(value: &Value) -> String {
    value.text().replace("skip_commandlog", "skip_slowlog")
}

/// Of all commands and subcommands.
fn names(server: &Server) -> Vec<String> {
    let mut names: Vec<String> = server
        .client()
        .ask("COMMAND LIST FILTERBY PATTERN *")
        .value
        .elements()
        .iter()
        .map(Value::text)
        .collect();
    names.sort();
    names
}

/// Everything that COMMAND INFO says of every command that both have.
fn compare_shapes(reference: &Program) {
    let theirs = Server::start(reference, &[]);
    let ours = Server::limpid(&[]);
    let known: BTreeSet<String> = names(&theirs).into_iter().collect();
    let both: Vec<String> = names(&ours).into_iter().filter(|name| known.contains(name)).collect();
    assert!(both.len() > 110, "only {} commands in common", both.len());
    let mut differences = Vec::new();
    for (theirs, ours) in shapes(&theirs, &both).into_iter().zip(shapes(&ours, &both)) {
        if theirs != ours {
            differences.push(format!("reference: {theirs:?}\nlimpid:    {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{} commands differ\n{}", differences.len(), differences.join("\n"));
}

/// Damaged streams get the same bytes from both, up to the close.
fn compare_malformed(reference: &Program) {
    let theirs = Server::start(reference, &[]);
    let ours = Server::limpid(&[]);
    let seed = rng::seed();
    let mut rng = Rng::new(seed);
    let (started, duration) = (Instant::now(), rng::duration(SECONDS));
    let (mut streams, mut refused) = (0, 0);
    while started.elapsed() < duration {
        let stream = malformed::stream(&mut rng);
        let [theirs, ours] = [theirs.port, ours.port].map(|port| {
            malformed::answer(port, &stream).unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        });
        assert_eq!(
            theirs.escape_ascii().to_string(),
            ours.escape_ascii().to_string(),
            "seed {seed}: reference and limpid answer differently to {}",
            stream.escape_ascii()
        );
        streams += 1;
        refused += usize::from(ours.windows(14).any(|bytes| bytes == b"Protocol error"));
    }
    println!("{streams} streams, {refused} refused, no difference");
    assert!(refused > streams / 10 && refused < streams, "{refused} of {streams} were refused");
}

/// Requests that are refused with what they sent, and the whole reply. What is quoted ends at a zero.
const QUOTED: &[(&[&[u8]], &[u8])] = &[
    (
        &[b"\xff\xfe", b"\x80", b"a\xc3"],
        b"-ERR unknown command '\xff\xfe', with args beginning with: '\x80' 'a\xc3' \r\n",
    ),
    (
        &[b"no\0hidden", b"x\0y", b"\r\n", b"z"],
        b"-ERR unknown command 'no', with args beginning with: 'x' '  ' 'z' \r\n",
    ),
    (&[b"CONFIG", b"\xfe\xff"], b"-ERR unknown subcommand '\xfe\xff'. Try CONFIG HELP.\r\n"),
    (
        &[b"CONFIG", b"SET", b"\x80x", b"1"],
        b"-ERR Unknown option or number of arguments for CONFIG SET - '\x80x'\r\n",
    ),
    (&[b"EXPIRE", b"k", b"1", b"\xff"], b"-ERR Unsupported option \xff\r\n"),
    (&[b"HELLO", b"2", b"\xfe\xff"], b"-ERR Syntax error in HELLO option '\xfe\xff'\r\n"),
    (&[b"CLIENT", b"LIST", b"TYPE", b"\xff\0a"], b"-ERR Unknown client type '\xff'\r\n"),
    (&[b"CLIENT", b"KILL", b"USER", b"\xc3\x28"], b"-ERR No such user '\xc3\x28'\r\n"),
    (&[b"DEBUG", b"ERROR", b"ODD \xff\x80"], b"-ODD \xff\x80\r\n"),
];

/// Both servers quote bytes as they came, whether they are UTF-8 or not.
fn compare_quotes(reference: &Program) {
    for program in [reference, &Program::limpid()] {
        let server = Server::start(program, &["--enable-debug-command", "yes"]);
        let mut client = server.client();
        for (request, expected) in QUOTED {
            let reply = client.call(request);
            assert_eq!(reply.raw.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
        // A long name and long arguments are cut at 128 bytes each, whatever bytes they are.
        let reply = client.call(&[[0xe9; 200], [0xe8; 200]]).raw;
        let expected = [
            b"-ERR unknown command '".as_slice(),
            &[0xe9; 128],
            b"', with args beginning with: '",
            &[0xe8; 128],
            b"' \r\n",
        ];
        assert_eq!(reply.escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
    }
}

mod needs_redis_server {
    use super::*;

    #[test]
    fn errors_quote_bytes_as_they_came() {
        compare_quotes(&redis());
    }

    #[test]
    fn random_sequences_in_resp2() {
        compare_randomly(&redis(), true, 2);
    }

    #[test]
    fn random_sequences_in_resp3() {
        compare_randomly(&redis(), true, 3);
    }
}

mod needs_valkey {
    use super::*;

    #[test]
    fn errors_quote_bytes_as_they_came() {
        compare_quotes(&valkey());
    }

    #[test]
    fn random_sequences_in_resp2() {
        compare_randomly(&valkey(), false, 2);
    }

    #[test]
    fn random_sequences_in_resp3() {
        compare_randomly(&valkey(), false, 3);
    }

    #[test]
    fn damaged_streams_are_answered_alike() {
        compare_malformed(&valkey());
    }

    #[test]
    fn commands_have_the_same_shape() {
        compare_shapes(&valkey());
    }
}
