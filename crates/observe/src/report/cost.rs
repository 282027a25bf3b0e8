//! PROF COST: what each observer costs, measured here and now on a scratch instance, and what it holds.
//!
//! The measurement takes about 3 ms in all and is made where the report is, not on a worker.
//!
//! Thread safety: functions over a merged snapshot.

use super::value::Node;
use super::{Input, percent};
use crate::measure::per_call_ns;
use crate::os::clock;
use crate::record::sampler::Sampler;
use crate::spec::Observer;
use std::hint::black_box;

/// The report.
pub fn report(input: &Input<'_>) -> Node {
    let mut entries =
        input.header("cost", "each observer's own time and memory, measured on a scratch instance");
    let window_ns = input.facts.window_s * 1e9 * input.snapshot.workers.max(1) as f64;
    entries.push(("profiling".into(), Node::Bool(input.facts.switches.profiling)));
    entries.push(("clock".into(), Node::text(clock::source_name())));
    entries.push(("clock_reading_ns".into(), Node::number(per_call_ns(|_| _ = black_box(clock::now())))));
    let mut sampler = Sampler::new(1);
    sampler.set_batch_depth(u32::MAX);
    entries.push((
        "sampling_decision_ns".into(),
        Node::number(per_call_ns(|_| _ = black_box(sampler.sample()))),
    ));
    let mut total = 0;
    let row = |observer: Observer| {
        let (ns, calls) = ((observer.spec().call_ns)(), input.snapshot.events[observer.index()]);
        let held = input.snapshot.memory_bytes[observer.index()];
        total += held;
        Node::Map(vec![
            ("observer".into(), Node::text(observer.name())),
            ("on".into(), Node::Bool(input.facts.switches.is_on(observer))),
            ("call_ns".into(), Node::number(ns)),
            ("calls".into(), Node::integer(calls)),
            ("share_of_workers_percent".into(), Node::number(share(ns * calls as f64, window_ns))),
            ("memory_bytes".into(), Node::integer(held as u64)),
            ("bound_bytes".into(), Node::integer(bound_bytes(observer, input.snapshot.workers) as u64)),
        ])
    };
    let rows: Vec<Node> = Observer::all().map(row).collect();
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
    observer.spec().memory_bytes_max * workers.max(1) + observer.spec().shared_bytes_max
}

fn share(ns: f64, window_ns: f64) -> f64 {
    if window_ns <= 0.0 { 0.0 } else { ns * 100.0 / window_ns }
}
