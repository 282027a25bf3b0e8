//! What dispatch costs without sockets: nanoseconds per command for batches of GET or SET over many keys.
//!
//!     cargo run --profile dist -p commands --example dispatch -- get 64 --keys 1000000 --profiling no
//!
//! Under `valgrind --tool=callgrind --toggle-collect='*measured*'` it counts instructions instead: the measure for
//! the profiling budget, because it does not depend on what else the machine does. There `--slow-clock 50` keeps the
//! commands from looking fifty times as slow as they are.

use commands::config::Settings;
use commands::dispatch::BATCH_MAX;
use commands::testing::Bench;
use commands::{Arrival, End, Parked};
use observe::os::clock;
use smallvec::SmallVec;
use std::hint::black_box;
use wire::{Args, Limits, Reply, RequestParser, Span};

struct Options {
    command: String,
    pipeline: usize,
    keys: u64,
    rounds: u64,
    profiling: String,
    slow_clock: u64,
}

fn options() -> Options {
    let mut options = Options {
        command: "get".into(),
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
            (_, 0) => (options.command, position) = (word, 1),
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
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next_key = |keys: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % keys
    };
    for key in 0..options.keys {
        bench.command(&[b"SET", format!("key:{key:012}").as_bytes(), &[b'v'; 32]]);
    }
    let batches: Vec<Vec<u8>> = (0..(options.rounds / options.pipeline as u64).clamp(1, 4096))
        .map(|_| {
            let mut bytes = Vec::new();
            for _ in 0..options.pipeline {
                let key = format!("key:{:012}", next_key(options.keys));
                if options.command == "get" {
                    bytes.extend_from_slice(format!("*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n").as_bytes());
                } else {
                    let value = "v".repeat(32);
                    let set = format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$32\r\n{value}\r\n");
                    bytes.extend_from_slice(set.as_bytes());
                }
            }
            bytes
        })
        .collect();
    let rounds = (options.rounds as usize / options.pipeline).max(1);
    let mut kept = Kept::default();
    let start = clock::now();
    for round in 0..rounds {
        measured(&mut bench, &mut kept, &batches[round % batches.len()]);
    }
    let ns = clock::now().ns_since(start) as f64 / (rounds * options.pipeline) as f64;
    println!("{} pipeline {}: {ns:.1} ns per command", options.command, options.pipeline);
}

/// What a worker keeps from batch to batch.
#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    ends: Vec<usize>,
    reply: Reply,
}

#[inline(never)]
fn measured(bench: &mut Bench, kept: &mut Kept, bytes: &[u8]) {
    let limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };
    let (mut parser, mut position) = (RequestParser::new(), 0);
    let Kept { spans, ends, reply } = kept;
    spans.clear();
    ends.clear();
    reply.clear();
    while position < bytes.len() {
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
    black_box(&reply);
}
