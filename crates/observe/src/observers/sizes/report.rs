//! PROF SIZES: how long keys and values are, what an entry costs beyond them, and latency by value size.
//!
//! It describes what is stored now, not what passed through.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{CLASSES, class_max};
use crate::report::value::Node;
use crate::report::{Input, percent, usec};

/// The report.
pub fn report(input: &Input<'_>) -> Node {
    let sizes = &input.snapshot.sizes;
    let counts = &sizes.counts;
    let mut entries =
        input.header("sizes", "lengths of stored keys and values, overhead per key, latency by size");
    let mean = |sum: i64| Node::optional((counts.keys > 0).then(|| sum as f64 / counts.keys as f64));
    let ratio = (counts.value_bytes > 0).then(|| counts.key_bytes as f64 / counts.value_bytes as f64);
    entries.push((
        "error".into(),
        Node::text("counts and sums are exact; latency is sampled, relative error 12.5 %"),
    ));
    entries.push(("keys".into(), Node::integer(counts.keys)));
    entries.push(("names_bytes".into(), Node::integer(counts.key_bytes)));
    entries.push(("values_bytes".into(), Node::integer(counts.value_bytes)));
    entries.push(("memory_bytes".into(), Node::integer(counts.total_bytes)));
    entries.push(("name_mean_bytes".into(), mean(counts.key_bytes)));
    entries.push(("value_mean_bytes".into(), mean(counts.value_bytes)));
    entries.push(("overhead_per_key_bytes".into(), Node::optional(counts.overhead_per_key())));
    entries.push(("name_to_value_ratio".into(), Node::optional(ratio)));
    entries.push(("key_lengths".into(), lengths(&counts.key_classes, counts.keys)));
    entries.push(("value_lengths".into(), lengths(&counts.value_classes, counts.keys)));
    let latencies = sizes.latency.iter().enumerate().filter(|(_, histogram)| histogram.count() > 0);
    let latency = latencies.map(|(class, histogram)| {
        Node::Map(vec![
            ("value_up_to_bytes".into(), Node::integer(class_max(class * 2 + 1))),
            ("commands".into(), Node::integer(histogram.count())),
            ("run_p50_usec".into(), usec(histogram.percentile(0.5))),
            ("run_p99_usec".into(), usec(histogram.percentile(0.99))),
            ("run_max_usec".into(), usec(histogram.max())),
        ])
    });
    entries.push(("latency_by_value_size".into(), Node::List(latency.collect())));
    Node::Map(entries)
}

fn lengths(classes: &[i64; CLASSES], keys: i64) -> Node {
    let mut below = 0;
    let mut rows = Vec::new();
    for (class, &count) in classes.iter().enumerate().filter(|&(_, &count)| count != 0) {
        below += count;
        rows.push(Node::Map(vec![
            ("up_to_bytes".into(), Node::integer(class_max(class))),
            ("keys".into(), Node::integer(count)),
            ("share_percent".into(), Node::number(percent(count.max(0) as u64, keys.max(0) as u64))),
            ("cumulative_percent".into(), Node::number(percent(below.max(0) as u64, keys.max(0) as u64))),
        ]));
    }
    Node::List(rows)
}
