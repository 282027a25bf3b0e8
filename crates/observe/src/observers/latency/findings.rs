//! The rule about commands that hold a worker.
//!
//! A rule says nothing unless the figures are sure, see `report::findings`.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{CommandStats, Stage};
use crate::report::Input;
use crate::report::findings::{Finding, Level};
use crate::report::value::{Node, duration};

/// A command holds the workers from this share of their time on...
const HOLD_SHARE: f64 = 0.01;
/// ...or when a single run took this long.
const HOLD_LONG_NS: u64 = 100_000_000;
/// And if this share of its runs was long: on a busy machine any command is sometimes interrupted that long.
const HOLD_OFTEN: f64 = 0.01;

/// Commands whose single runs are long enough to delay everyone else on the worker.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    let window_ns = input.facts.window_s.max(1.0) * 1e9 * input.snapshot.workers.max(1) as f64;
    let finding = |stats: &CommandStats| {
        let run = stats.stage(Stage::Run);
        let share = stats.counts.hold_ns as f64 / window_ns;
        let often = stats.counts.holds as f64 >= HOLD_OFTEN * run.count() as f64;
        if stats.counts.holds == 0 || !often || (share < HOLD_SHARE && run.max() < HOLD_LONG_NS) {
            return None;
        }
        let name = (input.command_name)(stats.command).to_ascii_uppercase();
        Some(Finding {
            rule: "holding-command",
            key: None,
            level: Level::Problem,
            weight: share.clamp(0.05, 1.0),
            says: format!(
                "{name} held a worker {} times for more than 1 ms, {} at most; others waited",
                stats.counts.holds,
                duration(run.max() as f64)
            ),
            evidence: vec![
                ("runs_of_1_ms_or_more".into(), Node::integer(stats.counts.holds)),
                ("held_usec".into(), Node::integer(stats.counts.hold_ns / 1_000)),
                ("share_of_workers_percent".into(), Node::number(share * 100.0)),
                ("run_p99_usec".into(), Node::integer(run.percentile(0.99) / 1_000)),
                ("delay_given_to_others_usec".into(), Node::integer(stats.counts.delay_given_ns / 1_000)),
                ("window_s".into(), Node::number(input.facts.window_s)),
            ],
            remedy: remedy_for_slow(&name),
            culprit: name,
            saves_bytes: None,
            saves_usec_per_s: Some(stats.counts.hold_ns as f64 / 1_000.0 / input.facts.window_s.max(1.0)),
        })
    };
    input.snapshot.latency.commands().iter().filter_map(finding).collect()
}

fn remedy_for_slow(command: &str) -> String {
    match command {
        "KEYS" => "use SCAN 0 MATCH pattern COUNT 100: the same keys in small steps".into(),
        "SMEMBERS" => "use SSCAN key 0 COUNT 100, or SISMEMBER if only some members matter".into(),
        "HGETALL" | "HKEYS" | "HVALS" => "use HMGET with the fields that are needed, or HSCAN".into(),
        "LRANGE" | "ZRANGE" => "ask for fewer elements at a time".into(),
        "DEL" => "use UNLINK: the memory is freed on another thread".into(),
        "FLUSHALL" | "FLUSHDB" => format!("use {command} ASYNC"),
        "SORT" | "SUNION" | "SINTER" | "SDIFF" => {
            format!("store the result once ({command}STORE) and read that")
        }
        "EVAL" | "EVALSHA" | "FCALL" => "let the script do less per call".into(),
        _ => "SLOWLOG GET 10 shows the calls with their arguments".into(),
    }
}
