//! What dispatch costs without sockets: nanoseconds per operation for batches of one command over many keys.
//!
//!     cargo run --release -p commands --example dispatch -- get 64 --keys 1000000 --profiling no
//!
//! An operation is one command (`get`, `set`, `mget10`) or one transaction (`multi3`: MULTI, three INCRs, EXEC); so many
//! of them are one batch. Under `valgrind --tool=callgrind --toggle-collect='*measured*'` it counts instructions instead:
//! the measure for the profiling budget and for `cargo xtask instructions`, because it does not depend on what else the
//! machine does. There `--slow-clock 50` keeps the commands from looking fifty times as slow as they are.

use commands::testing::Bench;
use engine::config::Settings;
use engine::run::dispatch::BATCH_MAX;
use engine::{Arrival, End, Parked};
use keyspace::memory::Counting;
use observe::os::clock;
use smallvec::SmallVec;
use std::hint::black_box;
use tikv_jemallocator::Jemalloc;
use wire::{Args, Limits, Reply, RequestParser, Span};

/// What the server allocates with, or its allocations would not cost what they cost there.
#[global_allocator]
static ALLOCATOR: Counting<Jemalloc> = Counting(Jemalloc);

struct Options {
    operation: String,
    pipeline: usize,
    keys: u64,
    rounds: u64,
    profiling: String,
    slow_clock: u64,
}

fn options() -> Options {
    let mut options = Options {
        operation: "get".into(),
        pipeline: 64,
        keys: 1_000_000,
        rounds: 200_000,
        profiling: "yes".into(),
        slow_clock: 1,
    };
    let mut words = std::env::args().skip(1);
    let mut position = 0;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match (word.as_str(), position) {
            ("--keys", _) => options.keys = value().parse().expect("a number"),
            ("--rounds", _) => options.rounds = value().parse().expect("a number"),
            ("--profiling", _) => options.profiling = value(),
            ("--slow-clock", _) => options.slow_clock = value().parse().expect("a number"),
            (_, 0) => (options.operation, position) = (word, 1),
            _ => options.pipeline = word.parse().expect("a number"),
        }
    }
    options
}

fn main() {
    let options = options();
    clock::slow_down(options.slow_clock);
    let settings = Settings::new();
    settings.set(&[(b"profiling", options.profiling.as_bytes())], true).expect("a setting");
    let mut bench = Bench::with(settings, 1);
    for key in 0..options.keys {
        bench.command(&[b"SET", &key_name(key), &[b'v'; 32]]);
        if options.operation == "multi3" {
            bench.command(&[b"SET", &counter_name(key), b"1000000"]);
        }
    }
    let mut keys = Keys { random: 0x9e37_79b9_7f4a_7c15, keys: options.keys };
    let batches: Vec<Vec<u8>> = (0..(options.rounds / options.pipeline as u64).clamp(1, 4096))
        .map(|_| {
            let mut batch = Vec::new();
            (0..options.pipeline).for_each(|_| append_operation(&mut batch, &options.operation, &mut keys));
            batch
        })
        .collect();
    let rounds = (options.rounds as usize / options.pipeline).max(1);
    let mut kept = Kept::default();
    let start = clock::now();
    for round in 0..rounds {
        measured(&mut bench, &mut kept, &batches[round % batches.len()]);
    }
    let ns = clock::now().ns_since(start) as f64 / (rounds * options.pipeline) as f64;
    println!("{} pipeline {}: {ns:.1} ns per operation", options.operation, options.pipeline);
}

fn key_name(number: u64) -> Vec<u8> {
    format!("key:{number:012}").into_bytes()
}

fn counter_name(number: u64) -> Vec<u8> {
    format!("ctr:{number:012}").into_bytes()
}

/// Key numbers drawn uniformly (xorshift64, G. Marsaglia 2003), the same in every run.
struct Keys {
    random: u64,
    keys: u64,
}

impl Keys {
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % self.keys
    }
}

fn append_operation(batch: &mut Vec<u8>, operation: &str, keys: &mut Keys) {
    match operation {
        "get" => append_request(batch, &[b"GET", &key_name(keys.next())]),
        "set" => append_request(batch, &[b"SET", &key_name(keys.next()), &[b'w'; 32]]),
        "mget10" => {
            let names: Vec<Vec<u8>> = (0..10).map(|_| key_name(keys.next())).collect();
            let words: Vec<&[u8]> =
                [&b"MGET"[..]].into_iter().chain(names.iter().map(Vec::as_slice)).collect();
            append_request(batch, &words);
        }
        "multi3" => {
            append_request(batch, &[b"MULTI"]);
            (0..3).for_each(|_| append_request(batch, &[b"INCR", &counter_name(keys.next())]));
            append_request(batch, &[b"EXEC"]);
        }
        other => panic!("no operation is called {other}: get, set, mget10 or multi3"),
    }
}

fn append_request(batch: &mut Vec<u8>, words: &[&[u8]]) {
    batch.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        batch.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        batch.extend_from_slice(word);
        batch.extend_from_slice(b"\r\n");
    }
}

/// What a worker keeps from batch to batch.
#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    ends: Vec<usize>,
    reply: Reply,
}

/// Parses and executes what one read brought, at most [`BATCH_MAX`] requests at a time.
#[inline(never)]
fn measured(bench: &mut Bench, kept: &mut Kept, bytes: &[u8]) {
    let limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };
    let (mut parser, mut position) = (RequestParser::new(), 0);
    let Kept { spans, ends, reply } = kept;
    reply.clear();
    while position < bytes.len() {
        spans.clear();
        ends.clear();
        while position < bytes.len() && ends.len() < BATCH_MAX {
            parser.parse(bytes, &mut position, spans, &limits).expect("well formed");
            ends.push(spans.len());
        }
        let mut start = 0;
        let mut requests: SmallVec<[Args<'_>; BATCH_MAX]> = SmallVec::new();
        for &end in ends.iter() {
            requests.push(Args::new(bytes, &spans[start..end]));
            start = end;
        }
        let mut parked = Parked::default();
        let arrived = Arrival { at: clock::now(), weight: 0 };
        let end = bench.executor.run(&requests, &mut bench.session, reply, arrived, &mut parked);
        assert_eq!(end, End::Done);
    }
    black_box(&reply);
}
