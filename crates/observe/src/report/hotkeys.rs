//! PROF HOTKEYS: the keys with most operations, now and since the reset, and by CPU, bytes, writes and misses.
//!
//! It is no list of all keys: what was never among the heaviest is not here, and its bound is stated instead.
//!
//! Thread safety: functions over a merged snapshot.

use super::value::Node;
use super::{Input, percent, usec};
use crate::record::hotkeys::{COSTLY_BYTES, COSTLY_CPU_NS, HotKey, OPERATION_SLOTS, Summary};

/// The report, `count` keys per list.
pub fn report(input: &Input<'_>, count: usize) -> Node {
    let hot = &input.snapshot.hotkeys;
    let mut entries = input.header("hotkeys", "the keys with most operations, CPU and bytes");
    let list = |summary: &Summary, keys: Vec<&HotKey>| {
        Node::List(keys.into_iter().map(|key| row(input, summary, key)).collect())
    };
    let by_operations = &hot.operations;
    entries.push(("operations".into(), Node::integer(by_operations.total())));
    entries.push(("looked_at".into(), Node::integer(by_operations.samples())));
    entries.push(("error".into(), error_bound(by_operations)));
    entries.push(("last_window_ms".into(), Node::integer(hot.window_ms)));
    entries.push(("last_window".into(), list(&hot.window, hot.window.top(count))));
    entries.push(("since_reset".into(), list(by_operations, by_operations.top(count))));
    entries.push(("by_cpu".into(), costly(input, count, &hot.cpu, |key| key.cpu_ns)));
    entries.push(("by_bytes".into(), costly(input, count, &hot.bytes, |key| key.bytes)));
    entries.push(("by_writes".into(), list(by_operations, by_operations.top_by(count, |key| key.writes))));
    entries.push(("by_misses".into(), list(by_operations, by_operations.top_by(count, |key| key.misses))));
    Node::Map(entries)
}

/// Keys by a figure other than operations: those of the summary for costly commands and those that are in the
/// summary by operations, where light commands on them are counted.
fn costly(input: &Input<'_>, count: usize, costly: &Summary, figure: impl Fn(&HotKey) -> u64 + Copy) -> Node {
    let by_operations = &input.snapshot.hotkeys.operations;
    let mut keys = by_operations.top_by(count, figure);
    for key in costly.top_by(count, figure) {
        match keys.iter_mut().find(|known| known.hash == key.hash) {
            Some(known) if figure(key) > figure(known) => *known = key,
            Some(_) => {}
            None => keys.push(key),
        }
    }
    keys.sort_by_key(|key| std::cmp::Reverse(figure(key)));
    keys.truncate(count);
    let row = |key: &HotKey| {
        Node::Map(vec![
            ("key".into(), Node::text(input.redactor.hot_key(key))),
            ("db".into(), Node::integer(key.db)),
            ("cpu_usec".into(), usec(key.cpu_ns)),
            ("traffic_bytes".into(), Node::integer(key.bytes)),
            ("reads".into(), Node::integer(key.reads)),
            ("writes".into(), Node::integer(key.writes)),
            ("misses".into(), Node::integer(key.misses)),
        ])
    };
    Node::List(keys.into_iter().map(row).collect())
}

fn row(input: &Input<'_>, summary: &Summary, key: &HotKey) -> Node {
    Node::Map(vec![
        ("key".into(), Node::text(input.redactor.hot_key(key))),
        ("db".into(), Node::integer(key.db)),
        ("operations".into(), Node::integer(key.certain())),
        ("share_percent".into(), Node::number(percent(key.certain(), summary.total()))),
        ("undercount_max".into(), Node::integer(key.error)),
        ("sampling_error".into(), Node::integer(summary.sampling_error(key.certain()))),
        ("reads".into(), Node::integer(key.reads)),
        ("writes".into(), Node::integer(key.writes)),
        ("misses".into(), Node::integer(key.misses)),
        ("cpu_usec".into(), usec(key.cpu_ns)),
        ("traffic_bytes".into(), Node::integer(key.bytes)),
    ])
}

fn error_bound(summary: &Summary) -> Node {
    let sampled = summary.samples() < summary.total();
    let sampling = if sampled {
        "operations were sampled: sampling_error is two standard deviations, either way"
    } else {
        "every operation was looked at: no sampling error"
    };
    Node::Map(vec![
        ("unlisted_max".into(), Node::integer(summary.unmonitored())),
        (
            "bound".into(),
            Node::text(format!(
                "operations are certain, at most undercount_max more; keys not listed have at most unlisted_max \
                 (Space-Saving, {OPERATION_SLOTS} slots per worker)"
            )),
        ),
        (
            "other_figures".into(),
            Node::text(format!(
                "cpu, traffic, reads, writes, misses are lower bounds; rare keys count from {} us or {} bytes a command",
                COSTLY_CPU_NS / 1_000,
                COSTLY_BYTES
            )),
        ),
        ("sampling".into(), Node::text(sampling)),
    ])
}
