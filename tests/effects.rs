//! Effects replay: random commands on a server with several workers, what it hands on replayed on a second one, and the
//! two hold the same. Keys expire meanwhile, are evicted, moved, flushed and swapped, and transactions run.
//!
//! Servers in this process, because nobody follows a server from outside yet. The second one's clock is an hour behind: a
//! follower does not let keys expire by itself, it is told. The reference of `needs_valkey` is in import mode for that.
//! `LIMPID_SEED` repeats a run.

// Its messages are for who compares reply by reply.
#[allow(dead_code)]
#[path = "differential/grammar.rs"]
mod grammar;
mod harness;

use commands::testing::Bench;
use engine::config::{Loader, Settings};
use engine::run::dispatch::Due;
use engine::state::effect_log::EffectReader;
use grammar::{Action, Grammar, Step};
use harness::client::{Client, encode};
use harness::programs;
use harness::reply::{self, Value};
use harness::rng::{self, Rng};
use harness::server::{Program, Server};
use keyspace::memory::Counting;
use std::alloc::System;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Eviction compares with the memory that it counts.
#[global_allocator]
static ALLOCATOR: Counting<System> = Counting(System);

const SEEDS: u64 = 10;
const WORKERS: usize = 3;
/// Commands that are drawn for each worker.
const COMMANDS: usize = 1_500;
/// Said before, so that each kind is handed on at least once.
const PRELUDE: &str = "SET a 1\r\nFLUSHALL\r\nMSET a 1 b 2\r\nMOVE a 1\r\nCOPY b c DB 1\r\nRENAME b d\r\nSWAPDB 0 1\r\n\
    EXPIRE a 10000\r\nPERSIST a\r\nFLUSHDB\r\nMULTI\r\nSET a 1\r\nSELECT 1\r\nEXPIRE d 0\r\nSELECT 0\r\nDEL a\r\nEXEC";
const HOUR_MS: i64 = 3_600_000;
const DATABASES: usize = 16;
/// What is held beyond what there was at the start, then keys are evicted: some databases without keys, and little more.
const MEMORY_BYTES: usize = 1_500 << 10;

fn settings() -> Settings {
    let mut loader = Loader::new();
    loader.line("test", 1, b"enable-debug-command yes").expect("a directive");
    loader.finish().expect("settings").0
}

/// One random step, with what the grammar leaves out because a second server could not be compared with it.
fn play(bench: &mut Bench, rng: &mut Rng, step: &Step) {
    let mut call = |arguments: &[Vec<u8>]| drop(bench.run(&encode(arguments)));
    match &step.action {
        // So that there is something to evict.
        Action::Call(arguments) if is_flush(arguments) && rng.chance(75) => {}
        Action::Call(arguments) => call(arguments),
        Action::ExpireNow(key) => call(&[b"PEXPIRE".to_vec(), key.clone(), b"1".to_vec()]),
        Action::ScanAll(options) => {
            call(&[&[b"SCAN".to_vec(), b"0".to_vec()][..], options].concat());
        }
    }
    match rng.below(60) {
        0 => {
            std::thread::sleep(Duration::from_millis(1));
            // Whoever was turned away at the gate has to come back: others wait for it.
            while bench.executor.tick(true) == Due::Soon {
                std::thread::yield_now();
            }
        }
        1..8 => {
            let key = format!("k:{}", rng.below(200));
            let left = (1 + rng.below(20)).to_string();
            drop(bench.run(&encode(&["PSETEX", &key, &left, &"v".repeat(rng.below(3_000))])));
        }
        8..16 => {
            let key = format!("k:{}", rng.below(200));
            drop(bench.run(&encode(&["SET", &key, &"w".repeat(rng.below(60_000))])));
        }
        _ => {}
    }
}

fn is_flush(arguments: &[Vec<u8>]) -> bool {
    arguments.first().is_some_and(|name| name.to_ascii_uppercase().starts_with(b"FLUSH"))
}

/// Every name the steps may have given.
fn names() -> Vec<Vec<u8>> {
    let numbered = (0..200).map(|number| format!("k:{number}").into_bytes());
    grammar::KEYS.iter().map(|key| key.to_vec()).chain(numbered).collect()
}

/// What a follower is sent, taken from the reader in order; counts the units it consists of.
struct Follower {
    reader: EffectReader,
    /// Not in memory, which is scarce.
    stream: File,
    selected: Option<u32>,
    /// How often each command was handed on.
    told: BTreeMap<String, usize>,
    transactions: usize,
}

impl Follower {
    fn read(&mut self, server: &engine::Instance) {
        let Follower { reader, stream, selected, told, transactions } = self;
        reader.read(|unit| {
            let mut requests = Vec::new();
            unit.write_stream(selected, &mut requests);
            stream.write_all(&requests).expect("a temporary file");
            *transactions += usize::from(unit.commands.len() > 1);
            for (_, request) in unit.commands {
                let name = request.split(|&byte| byte == b'\n').nth(2).unwrap_or_default();
                let name = String::from_utf8_lossy(name).trim_end().to_ascii_uppercase();
                *told.entry(name).or_default() += 1;
            }
        });
        server.effects_are_durable(reader.last());
    }

    fn stream(&mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        self.stream.rewind().and_then(|()| self.stream.read_to_end(&mut stream)).expect("a temporary file");
        stream
    }
}

/// Lets the workers play at the same time and returns one of them, and the stream of everything they changed.
fn play_all(seed: u64) -> (Bench, Follower) {
    let (mut first, reader) = Bench::followed(settings(), WORKERS + 1);
    first.run(PRELUDE.as_bytes());
    let stream = tempfile::tempfile().expect("a temporary file");
    let mut follower = Follower { reader, stream, selected: None, told: BTreeMap::new(), transactions: 0 };
    let players: Vec<(Bench, Rng, Vec<Step>)> = (0..WORKERS as u64)
        .map(|worker| {
            let mut rng = Rng::new(seed.wrapping_mul(WORKERS as u64).wrapping_add(worker));
            // The grammar writes for several connections; what one of them does is a sequence as well.
            let steps = Grammar::new(false).sequence(&mut rng, COMMANDS);
            let steps = steps.into_iter().filter(|step| step.connection == 0).collect();
            (first.sharing(), rng, steps)
        })
        .collect();
    let limit = (keyspace::memory::used_bytes() + MEMORY_BYTES).to_string();
    let change = [(&b"maxmemory"[..], limit.as_bytes()), (b"maxmemory-policy", b"allkeys-lru")];
    first.instance.settings.set(&change, true).expect("settings");
    let playing = AtomicUsize::new(WORKERS);
    std::thread::scope(|scope| {
        for (mut bench, mut rng, steps) in players {
            let playing = &playing;
            scope.spawn(move || {
                steps.iter().for_each(|step| play(&mut bench, &mut rng, step));
                // Whoever panics leaves the scope, which then panics.
                playing.fetch_sub(1, SeqCst);
            });
        }
        while playing.load(SeqCst) > 0 && !std::thread::panicking() {
            follower.read(&first.instance);
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    first.instance.settings.set(&[(&b"maxmemory"[..], &b"0"[..])], true).expect("a setting");
    settle(&mut first);
    follower.read(&first.instance);
    (first, follower)
}

/// No key is left that may expire before it is compared: each is looked at, and loses a deadline that is near.
fn settle(bench: &mut Bench) {
    for database in 0..DATABASES {
        bench.run(format!("SELECT {database}").as_bytes());
        for name in names() {
            let left = integer(&bench.run(&encode(&[b"PTTL", &name[..]])));
            if (0..HOUR_MS / 2).contains(&left) {
                bench.run(&encode(&[b"PERSIST", &name[..]]));
            }
        }
    }
}

fn integer(reply: &[u8]) -> i64 {
    let (value, _) = reply::parse(reply).expect("a reply");
    value.integer()
}

/// No request of a stream may be refused.
fn check_replies(mut replies: &[u8], seed: u64) {
    fn find(value: &Value) -> Option<&Value> {
        match value {
            Value::Error(_) => Some(value),
            Value::Array(elements) => elements.iter().find_map(find),
            _ => None,
        }
    }
    while !replies.is_empty() {
        let (value, length) = reply::parse(replies).expect("a reply");
        assert!(find(&value).is_none(), "seed {seed}: an effect was refused: {:?}", find(&value));
        replies = &replies[length..];
    }
}

/// Digest and deadline of every key.
fn contents(mut ask: impl FnMut(&[&[u8]]) -> Vec<u8>) -> Vec<String> {
    let mut contents = Vec::new();
    for database in 0..DATABASES {
        ask(&[b"SELECT", database.to_string().as_bytes()]);
        for name in names() {
            let digest = ask(&[b"DEBUG", b"DIGEST-VALUE", &name]);
            let deadline = ask(&[b"PEXPIRETIME", &name]);
            let text = String::from_utf8_lossy(&[digest, deadline].concat()).replace("\r\n", " ");
            contents.push(format!("{database} {}: {text}", name.escape_ascii()));
        }
    }
    contents
}

fn compare(seed: u64, leader: Vec<String>, follower: Vec<String>) {
    let differences: Vec<_> =
        leader.iter().zip(&follower).filter(|(leader, follower)| leader != follower).collect();
    assert!(differences.is_empty(), "seed {seed}: {} keys differ: {differences:#?}", differences.len());
}

#[test]
fn what_was_handed_on_makes_a_second_server_the_same() {
    let (base, mut told) = (rng::seed(), BTreeMap::new());
    let (mut transactions, mut keys, mut expired, mut evicted) = (0, 0, 0, 0);
    for seed in (0..SEEDS).map(|number| base.wrapping_add(number)) {
        let (mut leader, mut followed) = play_all(seed);
        let mut follower = Bench::with(settings(), 1);
        follower.instance.shift_wall_clock(-HOUR_MS);
        check_replies(&follower.run(&followed.stream()), seed);
        compare(
            seed,
            contents(|words| leader.run(&encode(words))),
            contents(|words| follower.run(&encode(words))),
        );
        let digests = [&mut leader, &mut follower].map(|bench| bench.run(b"DEBUG DIGEST"));
        assert_eq!(digests[0], digests[1], "seed {seed}");
        followed.told.into_iter().for_each(|(name, times)| *told.entry(name).or_insert(0) += times);
        transactions += followed.transactions;
        keys += leader
            .instance
            .visit(|databases| databases.iter().map(|(_, database)| database.len()).sum::<usize>());
        let counters = leader.instance.snapshot().counters;
        expired += counters.expired;
        evicted += counters.evicted;
    }
    println!("{told:?}");
    println!(
        "{transactions} units of several commands, {expired} keys expired, {evicted} evicted, {keys} at the ends"
    );
    for name in
        ["UNLINK", "PEXPIREAT", "PERSIST", "SET", "MOVE", "COPY", "RENAME", "SWAPDB", "FLUSHDB", "FLUSHALL"]
    {
        assert!(told.contains_key(name), "{name} was never handed on");
    }
    assert!(transactions > 0 && expired > 0 && evicted > 0 && keys > 0);
}

mod needs_valkey {
    use super::*;

    #[test]
    fn what_was_handed_on_makes_a_real_server_the_same() {
        let program = Program::other(programs::require_peers(), &["valkey-server"]);
        let arguments = ["--enable-debug-command", "yes", "--import-mode", "yes"];
        let seed = rng::seed();
        let (mut leader, mut followed) = play_all(seed);
        let server = Server::start(&program, &arguments);
        let mut client = server.client();
        assert_eq!(client.text("CLIENT IMPORT-SOURCE ON"), "OK");
        check_replies(&send(&mut client, &followed.stream()), seed);
        compare(seed, contents(|words| leader.run(&encode(words))), contents(|words| client.call(words).raw));
        assert_eq!(leader.run(b"DEBUG DIGEST"), client.ask("DEBUG DIGEST").raw, "seed {seed}");
    }

    /// Sends requests while it receives the replies, which end with that to a PING of its own.
    fn send(client: &mut Client, stream: &[u8]) -> Vec<u8> {
        let (mut socket, mut replies) = (client.socket().try_clone().expect("a second handle"), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                socket.write_all(stream).expect("sent");
                socket.write_all(&encode(&["PING", "the end"])).expect("sent");
            });
            loop {
                let reply = client.read().expect("a reply");
                if reply.value == Value::Bulk(b"the end".to_vec()) {
                    return;
                }
                replies.extend(reply.raw);
            }
        });
        replies
    }
}
