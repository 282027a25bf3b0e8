//! PROF COST: what each observer costs, measured here and now on a scratch instance, and what it holds.
//!
//! The measurement takes about 3 ms in all ([`PASSES`] passes of [`CALLS`] calls per observer) and is taken where the
//! report is made, not on a worker. It finds warm caches: under load a call costs more; the budget is kept by benchmarks.
//!
//! Thread safety: functions over a merged snapshot.

use super::value::Node;
use super::{Input, percent};
use crate::os::clock;
use crate::record::clients::ClientCounters;
use crate::record::hotkeys::{Access, HotKeys, KeyAccess};
use crate::record::latency::{Latency, Stage};
use crate::record::prefix::Prefixes;
use crate::record::prefix_tree::PrefixTree;
use crate::record::sampler::Sampler;
use crate::record::sizes::Sizes;
use crate::record::{OBSERVERS, Observer, Recorder, Switches};
use std::hint::black_box;
use std::sync::Arc;

/// Calls per pass of a measurement.
pub const CALLS: u64 = 2_000;
/// Passes per measurement.
const PASSES: usize = 5;
/// Most the shared prefix tree may hold besides the workers'.
const TREE_BYTES_MAX: usize = PrefixTree::memory_bytes_max();

/// The report.
pub fn report(input: &Input<'_>, switches: Switches) -> Node {
    let mut entries =
        input.header("cost", "each observer's own time and memory, measured on a scratch instance");
    let window_ns = input.facts.window_s * 1e9 * input.snapshot.workers.max(1) as f64;
    entries.push(("profiling".into(), Node::Bool(switches.profiling)));
    entries.push(("clock".into(), Node::text(clock::source_name())));
    entries.push(("clock_reading_ns".into(), Node::number(per_call(|_| _ = black_box(clock::now())))));
    let mut sampler = Sampler::new(1);
    sampler.set_batch_depth(u32::MAX);
    entries
        .push(("sampling_decision_ns".into(), Node::number(per_call(|_| _ = black_box(sampler.sample())))));
    let mut total = 0;
    let row = |observer: Observer| {
        let (ns, calls) = (measure(observer), input.snapshot.events[observer as usize]);
        let held = input.snapshot.memory_bytes[observer as usize];
        total += held;
        Node::Map(vec![
            ("observer".into(), Node::text(observer.name())),
            ("on".into(), Node::Bool(switches.is_on(observer))),
            ("call_ns".into(), Node::number(ns)),
            ("calls".into(), Node::integer(calls)),
            ("share_of_workers_percent".into(), Node::number(share(ns * calls as f64, window_ns))),
            ("memory_bytes".into(), Node::integer(held as u64)),
            ("bound_bytes".into(), Node::integer(bound_bytes(observer, input.snapshot.workers) as u64)),
        ])
    };
    let rows: Vec<Node> = OBSERVERS.into_iter().map(row).collect();
    entries.push(("memory_bytes".into(), Node::integer(total as u64)));
    entries.push((
        "memory_of_data_percent".into(),
        Node::number(percent(total as u64, input.facts.used_memory_bytes)),
    ));
    entries.push(("observers".into(), Node::List(rows)));
    Node::Map(entries)
}

/// What an observer may hold over all workers.
pub fn bound_bytes(observer: Observer, workers: usize) -> usize {
    let shared = if observer == Observer::Prefixes { TREE_BYTES_MAX } else { 0 };
    Recorder::memory_bytes_max(observer) * workers.max(1) + shared
}

fn share(ns: f64, window_ns: f64) -> f64 {
    if window_ns <= 0.0 { 0.0 } else { ns * 100.0 / window_ns }
}

/// The quickest of several passes: in the others the machine did something else as well.
fn per_call(mut call: impl FnMut(u64)) -> f64 {
    let mut pass = || {
        let start = clock::now();
        (0..CALLS).for_each(&mut call);
        clock::now().ns_since(start) as f64 / CALLS as f64
    };
    (0..PASSES).map(|_| pass()).fold(f64::MAX, f64::min)
}

/// One typical call of the observer: the key is one of a thousand, in no order.
fn measure(observer: Observer) -> f64 {
    let key = |turn: u64| turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
    match observer {
        Observer::Latency => {
            let mut latency = Latency::new(16);
            per_call(|turn| latency.record((turn & 7) as u16, Stage::Run, key(turn) * 100, 16))
        }
        Observer::HotKeys => {
            let mut hotkeys = HotKeys::default();
            per_call(|turn| {
                hotkeys.record(KeyAccess {
                    db: 0,
                    hash: key(turn).wrapping_mul(0xBF58_476D_1CE4_E5B9),
                    key: b"user:1042:cart",
                    weight: 16,
                    access: Access::Read,
                    cpu_ns: 100,
                    bytes: 60,
                })
            })
        }
        Observer::Prefixes => {
            let mut prefixes = Prefixes::new(Arc::new(PrefixTree::default()));
            per_call(|_| {
                let node = prefixes.resolve(black_box(b"user:1042:cart"));
                prefixes.added(node, 14, 32, 64);
            })
        }
        Observer::Sizes => {
            let mut sizes = Sizes::default();
            per_call(|turn| sizes.added(14, key(turn) as usize, 64))
        }
        Observer::Clients => {
            let mut client = ClientCounters::default();
            per_call(|turn| black_box(&mut client).batch(16, 0, 500, 800, turn))
        }
    }
}
