//! What recording costs, in nanoseconds per call: `cargo run --release -p observe --example cost`.
//!
//! A micro-loop: the recorders are hot in the caches and nothing else competes for them, so a server's cost is
//! higher. It says which change made a recorder slower, not what the server pays.

use observe::os::clock;
use observe::record::hotkeys::{Access, HotKeyRecorder, HotKeys, KeyAccess};
use observe::record::latency::{Latency, Stage};
use observe::record::prefix::Prefixes;
use observe::record::prefix_tree::PrefixTree;
use observe::record::sampler::Sampler;
use observe::record::sizes::Sizes;
use observe::record::{Recorder, Snapshot};
use std::hint::black_box;
use std::sync::Arc;

const CALLS: u64 = 2_000_000;

fn measure(name: &str, mut call: impl FnMut(u64)) {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = clock::now();
        for turn in 0..CALLS {
            call(turn);
        }
        best = best.min(clock::now().ns_since(start) as f64 / CALLS as f64);
    }
    println!("{name:<44} {best:>7.2} ns");
}

fn random(turn: u64) -> u64 {
    let z = (turn ^ (turn >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

/// A rank with a density like 1/rank: the logarithm is uniform.
fn skewed(turn: u64, keys: u64) -> u64 {
    let uniform = (random(turn) >> 11) as f64 / (1u64 << 53) as f64;
    ((keys as f64).powf(uniform)) as u64
}

fn main() {
    clock::calibrate();
    println!("clock: {}", clock::source_name());
    measure("clock::now", |_| {
        black_box(clock::now());
    });
    let mut sampler = Sampler::new(1);
    sampler.set_batch_depth(64);
    measure("sampler.sample, deep batch", |_| {
        black_box(sampler.sample());
    });
    let mut latency = Latency::new(256);
    measure("latency.called", |turn| latency.called((turn & 7) as u16));
    measure("latency.record, one stage", |turn| {
        latency.record((turn & 7) as u16, Stage::Run, random(turn) & 0xFFFF, 16)
    });
    measure_hotkeys();
    measure_prefixes();
    measure_snapshot();
    let mut sizes = Sizes::default();
    measure("sizes.added", |turn| sizes.added(16, (turn & 1023) as usize, 1100));
    measure("sizes.timed", |turn| sizes.timed((turn & 1023) as usize, turn & 0xFFFF, 16));
}

fn measure_hotkeys() {
    let key = b"user:1042:cart";
    let access =
        |hash| KeyAccess { db: 0, hash, key, weight: 16, access: Access::Read, cpu_ns: 90, bytes: 60 };
    let mut hotkeys = HotKeys::default();
    measure("hotkeys.record, one key", |_| hotkeys.record(access(17)));
    let mut recorder = HotKeyRecorder::default();
    measure("  with its lock", |_| recorder.record(access(17)));
    let mut hotkeys = HotKeys::default();
    let hashes: Vec<u64> =
        (0..1 << 16).map(|turn| skewed(turn, 1_000_000).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    measure("hotkeys.record, skewed, 1M keys", |turn| {
        hotkeys.record(access(hashes[turn as usize & 0xFFFF]));
        if turn & 0xFFFF == 0 {
            hotkeys.rotate(turn);
        }
    });
    let mut hotkeys = HotKeys::default();
    measure("hotkeys.record, uniform, 1M keys", |turn| {
        hotkeys.record(access((random(turn) % 1_000_000).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        if turn & 0xFFFF == 0 {
            hotkeys.rotate(turn);
        }
    });
    let mut now_ms = 0;
    let start = clock::now();
    for _ in 0..200 {
        for turn in 0..2_000 {
            hotkeys.record(access(random(turn ^ now_ms)));
        }
        now_ms += 1_000;
        hotkeys.rotate(now_ms);
    }
    println!(
        "{:<44} {:>7.2} us",
        "hotkeys.rotate and 2000 uniform records",
        clock::now().ns_since(start) as f64 / 2e5
    );
}

/// How long a reader takes for one worker: 30 commands used, all hot-key slots taken, 600 prefixes.
fn measure_snapshot() {
    let tree = Arc::new(PrefixTree::default());
    let mut recorder = Recorder::single(250, tree);
    for turn in 0..200_000 {
        let name = format!("area{}x:kind{}x:{turn}", turn % 10, turn % 60);
        let hash = skewed(turn, 1_000_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let node = recorder.prefix_of(name.as_bytes());
        recorder.added(node, name.len(), 32, 64);
        recorder.latency.called((turn % 30) as u16);
        recorder.latency.record((turn % 30) as u16, Stage::Run, random(turn) & 0xFFFFF, 1);
        let key = name.as_bytes();
        recorder.hotkeys.record(KeyAccess {
            db: 0,
            hash,
            key,
            weight: 1,
            access: Access::Read,
            cpu_ns: 9_000,
            bytes: 60,
        });
        recorder.begin_batch(64, turn / 20);
    }
    let recorded = recorder.recorded();
    let time = |name: &str, add: &dyn Fn(&mut Snapshot)| {
        let mut best = u64::MAX;
        for _ in 0..50 {
            let mut snapshot = Snapshot::default();
            let start = clock::now();
            add(&mut snapshot);
            best = best.min(clock::now().ns_since(start));
            black_box(&snapshot);
        }
        println!("{name:<44} {:>7.1} us", best as f64 / 1e3);
    };
    time("Snapshot::add, one worker", &|snapshot| snapshot.add(&recorded, 10_000));
    time("Snapshot::add_statistics, one worker", &|snapshot| snapshot.add_statistics(&recorded));
    time("  hot keys: the copy, which is the time they are locked", &|_| {
        black_box(recorded.hotkeys.copy());
    });
    let copy = recorded.hotkeys.copy();
    time("  hot keys: merged", &|snapshot| snapshot.hotkeys.add(&copy, 10_000));
    time("  prefixes", &|snapshot| snapshot.prefixes.add(&recorded.prefixes));
}

fn measure_prefixes() {
    let tree = Arc::new(PrefixTree::default());
    let mut prefixes = Prefixes::new(tree);
    let keys: Vec<Vec<u8>> =
        (0..1024).map(|turn| format!("user:{}:cart", random(turn) % 1_000_000).into_bytes()).collect();
    measure("prefixes.resolve, user:{n}:cart", |turn| {
        black_box(prefixes.resolve(&keys[turn as usize & 1023]));
    });
    let keys: Vec<Vec<u8>> =
        (0..1024).map(|turn| format!("key:{:012}", random(turn) % 1_000_000).into_bytes()).collect();
    measure("prefixes.resolve, key:000000123456", |turn| {
        black_box(prefixes.resolve(&keys[turn as usize & 1023]));
    });
    let letters = |turn: u64| -> String {
        (0..12).map(|at| (b'g' + (random(turn) >> (at * 4) & 15) as u8) as char).collect()
    };
    let keys: Vec<Vec<u8>> =
        (0..1024).map(|turn| format!("session:{}", letters(turn)).into_bytes()).collect();
    measure("prefixes.resolve, names that collapsed", |turn| {
        black_box(prefixes.resolve(&keys[turn as usize & 1023]));
    });
    measure("prefixes.added", |turn| prefixes.added((turn & 7) as u16, 16, 32, 64));
    measure("prefixes.read", |turn| prefixes.read((turn & 7) as u16, 16, turn & 3 != 0, 60));
}
