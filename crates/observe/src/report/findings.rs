//! The rules that turn figures into findings: what hurts, who does it, how to end it, what that would save.
//!
//! Each rule looks at one thing and has its thresholds as named constants. A rule says nothing unless the
//! figures are sure: it takes lower bounds where a count has an error, and asks for a minimum of evidence.
//!
//! Invariants:
//! 1. A finding names its culprit, its evidence, a remedy and what that would save.
//! 2. Uniform traffic yields no finding; nor does a key with 1 % of the traffic.
//!
//! Thread safety: plain values.

use super::clients::{IDLE_MS, display_name, idle_ms};
use super::prefixes::alias_saves_bytes;
use super::value::{Node, bytes, duration};
use super::{Input, percent};
use crate::name::Name;
use crate::record::clients::ClientSnapshot;
use crate::record::hotkeys::{HotKey, Summary};
use crate::record::latency::{CommandStats, Stage};
use crate::record::prefix::Prefix;
use std::collections::BTreeMap;

/// A key is hot from this share of all operations on...
const HOT_KEY_SHARE: f64 = 0.10;
/// ...if that is this many times the share it would have if all keys were equal...
const HOT_KEY_TIMES_UNIFORM: f64 = 4.0;
/// ...or this share at once, when there are few keys.
const HOT_KEY_SHARE_SURE: f64 = 0.50;
/// Operations looked at before a key may be called hot.
const HOT_KEY_SAMPLES_MIN: u64 = 1_000;
/// A prefix is worth a finding from this share of the memory on.
const PREFIX_MEMORY_SHARE: f64 = 0.40;
/// And below this hit ratio.
const PREFIX_HIT_RATIO: f64 = 0.50;
/// Reads (weighted) before a hit ratio is believed.
const READS_MIN: u64 = 1_000;
/// Savings below this are not worth anyone's time.
const SAVING_BYTES_MIN: u64 = 1 << 20;
/// A cache that evicts should hit more often than this.
const CACHE_HIT_RATIO: f64 = 0.80;
/// Evictions before that is said.
const EVICTIONS_MIN: u64 = 1_000;
/// Shorter names are proposed from this share of the memory on.
const NAMING_SHARE: f64 = 0.10;
/// A command holds the workers from this share of their time on...
const HOLD_SHARE: f64 = 0.01;
/// ...or when a single run took this long.
const HOLD_LONG_NS: u64 = 100_000_000;
/// And if this share of its runs was long: on a busy machine any command is sometimes interrupted that long.
const HOLD_OFTEN: f64 = 0.01;
/// Mean commands per batch below which a client does not pipeline.
const UNBATCHED_DEPTH: f64 = 1.5;
/// Such clients of one host are worth a finding from this rate on...
const UNBATCHED_PER_SECOND: f64 = 2_000.0;
/// ...if they send this share of all commands.
const UNBATCHED_SHARE: f64 = 0.25;
/// Server CPU of one receive and send: what a batch saves for each command but the first. Measured with
/// pipelines of 1 and 64 on one core; it is two system calls and their share of polling.
const ROUND_TRIP_USEC: f64 = 5.0;
/// A backlog from here on is of somebody who does not read: the server stops executing for him at 768 KiB.
const BACKLOG_BYTES: u64 = 512 << 10;
/// Connections per second of one address that no pool makes.
const RECONNECTS_PER_SECOND: f64 = 10.0;
/// And at least this many.
const RECONNECTS_MIN: u64 = 100;
/// Server CPU of one connection made and closed, an estimate: accept, registration, HELLO, close.
const RECONNECT_USEC: f64 = 60.0;
/// Errors are a storm from this share of all commands on.
const ERROR_SHARE: f64 = 0.05;
/// And at least this many.
const ERRORS_MIN: u64 = 100;
/// Idle connections in mass: at least this many...
const IDLE_CLIENTS_MIN: usize = 100;
/// ...and this share of all.
const IDLE_SHARE: f64 = 0.80;
/// Memory of an idle connection, an estimate.
const IDLE_CLIENT_BYTES: u64 = 1_024;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Something could be cheaper; nobody suffers.
    Advice,
    /// Others are delayed, refused or endangered by it now.
    Problem,
}

/// One thing that is worth changing.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Stable name of the rule.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// 0 to 1: the share of the resource in question. Orders findings of one level.
    pub weight: f64,
    /// The key, prefix, client or command, as people are shown it.
    pub culprit: String,
    /// The key for programs, where the culprit is one.
    pub key: Option<Name>,
    /// One sentence.
    pub says: String,
    /// The figures.
    pub evidence: Vec<(String, Node)>,
    /// A command or setting.
    pub remedy: String,
    /// Estimated.
    pub saves_bytes: Option<u64>,
    /// Estimated, per second.
    pub saves_usec_per_s: Option<f64>,
}

impl Finding {
    /// As a node.
    pub fn to_node(&self) -> Node {
        let level = if self.level == Level::Problem { "problem" } else { "advice" };
        let culprit = self.key.clone().map_or_else(|| Node::text(self.culprit.clone()), Node::Name);
        let mut entries = vec![
            ("rule".into(), Node::text(self.rule)),
            ("level".into(), Node::text(level)),
            ("finding".into(), Node::text(self.says.clone())),
            ("culprit".into(), culprit),
            ("evidence".into(), Node::Map(self.evidence.clone())),
            ("remedy".into(), Node::text(self.remedy.clone())),
        ];
        if let Some(saved) = self.saves_bytes {
            entries.push(("saves_about_bytes".into(), Node::integer(saved)));
        }
        if let Some(saved) = self.saves_usec_per_s {
            entries.push(("saves_about_usec_per_s".into(), Node::number(saved)));
        }
        Node::Map(entries)
    }
}

/// A share that is a lower bound, in words.
fn at_least(share: f64) -> String {
    // Rounded down: "at least" must stay true.
    let percent = (share * 1_000.0).floor() / 10.0;
    if percent >= 99.0 { "nearly all".to_owned() } else { format!("at least {percent:.1} %") }
}

/// A share that is small, in words.
fn only(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "none".to_owned(),
        percent if percent < 1.0 => "less than 1 %".to_owned(),
        percent => format!("only {percent:.0} %"),
    }
}

/// All findings: problems before advice, each by weight.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    found.extend(hot_key(input));
    found.extend(cold_prefix(input));
    found.extend(low_hit_ratio(input));
    found.extend(long_names(input));
    found.extend(holding_commands(input));
    found.extend(unbatched_clients(input));
    found.extend(slow_readers(input));
    found.extend(reconnects(input));
    found.extend(errors(input));
    found.extend(idle_clients(input));
    found.sort_by(|a, b| b.level.cmp(&a.level).then(b.weight.total_cmp(&a.weight)));
    found
}

fn commands_total(input: &Input<'_>) -> u64 {
    input.snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum()
}

/// A key that is hot since the reset, or at least in the last seconds.
fn hot_key(input: &Input<'_>) -> Option<Finding> {
    let hot = &input.snapshot.hotkeys;
    hot_key_of(input, &hot.operations, input.facts.window_s)
        .or_else(|| hot_key_of(input, &hot.recent, hot.recent_ms as f64 / 1_000.0))
}

fn hot_key_of(input: &Input<'_>, summary: &Summary, window_s: f64) -> Option<Finding> {
    if summary.samples() < HOT_KEY_SAMPLES_MIN {
        return None;
    }
    let key: &HotKey = summary.top(1).into_iter().next()?;
    let sampling_error = summary.sampling_error(key.certain());
    let sure = key.certain().saturating_sub(sampling_error);
    let share = sure as f64 / summary.total().max(1) as f64;
    let uniform = 1.0 / summary.keys().len().max(1) as f64;
    if share < HOT_KEY_SHARE.max((HOT_KEY_TIMES_UNIFORM * uniform).min(HOT_KEY_SHARE_SURE)) {
        return None;
    }
    let key_name = input.redactor.hot_key(key);
    let name = key_name.shown();
    let read_mostly = key.reads + key.misses > key.writes * 4;
    let remedy = if read_mostly {
        format!("keep the value of {name} in the application for a second instead of a GET each time")
    } else {
        format!(
            "spread it over several keys ({name}:0 to {name}:7), write to any of them, read them with MGET"
        )
    };
    Some(Finding {
        rule: "hot-key",
        level: Level::Problem,
        weight: share,
        says: format!("one key takes {} of all operations on keys", at_least(share)),
        culprit: name,
        key: Some(key_name),
        evidence: vec![
            ("operations".into(), Node::integer(key.certain())),
            ("undercount_max".into(), Node::integer(key.error)),
            ("sampling_error".into(), Node::integer(sampling_error)),
            ("all_operations".into(), Node::integer(summary.total())),
            ("reads".into(), Node::integer(key.reads)),
            ("writes".into(), Node::integer(key.writes)),
            ("window_s".into(), Node::number(window_s)),
        ],
        remedy,
        saves_bytes: None,
        saves_usec_per_s: Some(key.cpu_ns as f64 / 1_000.0 / window_s.max(1.0)),
    })
}

fn cold_prefix(input: &Input<'_>) -> Option<Finding> {
    let total_bytes = input.snapshot.prefixes.total().bytes.max(0) as u64;
    if total_bytes < SAVING_BYTES_MIN {
        return None;
    }
    let prefixes = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let is_cold = |prefix: &&Prefix| {
        let counts = &prefix.own;
        prefix.depth > 0
            && counts.reads >= READS_MIN
            && counts.bytes.max(0) as f64 >= PREFIX_MEMORY_SHARE * total_bytes as f64
            && counts.hit_ratio().is_some_and(|ratio| ratio < PREFIX_HIT_RATIO)
    };
    let prefix = prefixes.iter().filter(is_cold).max_by_key(|prefix| prefix.own.bytes)?;
    let (counts, ratio) = (&prefix.own, prefix.own.hit_ratio().unwrap_or(0.0));
    let held = counts.bytes.max(0) as u64;
    let name = input.redactor.prefix(&prefix.shape);
    Some(Finding {
        rule: "cold-prefix",
        key: None,
        level: if counts.evicted > 0 { Level::Problem } else { Level::Advice },
        weight: held as f64 / total_bytes as f64 * (1.0 - ratio),
        says: format!(
            "{name} holds {:.0} % of the memory and answers {} of its reads",
            percent(held, total_bytes),
            only(ratio)
        ),
        evidence: vec![
            ("memory_bytes".into(), Node::integer(held)),
            ("keys".into(), Node::integer(counts.keys)),
            ("reads".into(), Node::integer(counts.reads)),
            ("hit_percent".into(), Node::number(ratio * 100.0)),
            ("evicted".into(), Node::integer(counts.evicted)),
        ],
        remedy: format!("store {name} with a shorter lifetime (SET ... EX), or not at all"),
        culprit: name,
        saves_bytes: Some((held as f64 * (1.0 - ratio)) as u64),
        saves_usec_per_s: None,
    })
}

fn low_hit_ratio(input: &Input<'_>) -> Option<Finding> {
    let counters = &input.snapshot.counters;
    let reads = counters.hits + counters.misses;
    if counters.evicted < EVICTIONS_MIN || reads < READS_MIN || input.facts.memory_bytes_max == 0 {
        return None;
    }
    let ratio = counters.hits as f64 / reads as f64;
    if ratio >= CACHE_HIT_RATIO {
        return None;
    }
    let larger = input.facts.memory_bytes_max / 2 * 3;
    let growth = larger - input.facts.memory_bytes_max;
    Some(Finding {
        rule: "low-hit-ratio",
        key: None,
        level: Level::Problem,
        weight: (1.0 - ratio) * 0.5,
        culprit: format!("maxmemory {}", bytes(input.facts.memory_bytes_max as f64)),
        says: format!("the cache evicts, and of the reads {} find their key", only(ratio)),
        evidence: vec![
            ("hits".into(), Node::integer(counters.hits)),
            ("misses".into(), Node::integer(counters.misses)),
            ("evicted".into(), Node::integer(counters.evicted)),
            ("used_memory_bytes".into(), Node::integer(input.facts.used_memory_bytes)),
            ("policy".into(), Node::text(input.facts.eviction_policy.clone())),
        ],
        remedy: format!(
            "CONFIG SET maxmemory {larger} ({} more) and compare the hit ratio; PROF PREFIXES shows who fills it",
            bytes(growth as f64)
        ),
        saves_bytes: None,
        saves_usec_per_s: None,
    })
}

fn long_names(input: &Input<'_>) -> Option<Finding> {
    let total = input.snapshot.prefixes.total();
    let prefixes = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let saved: u64 = prefixes.iter().map(alias_saves_bytes).sum();
    let memory = total.bytes.max(0) as u64;
    if saved < SAVING_BYTES_MIN || (saved as f64) < NAMING_SHARE * memory as f64 {
        return None;
    }
    let worst = prefixes.iter().max_by_key(|prefix| alias_saves_bytes(prefix))?;
    let name = input.redactor.prefix(&worst.shape);
    Some(Finding {
        rule: "long-names",
        key: None,
        level: Level::Advice,
        weight: saved as f64 / memory as f64,
        says: format!(
            "the fixed parts of key names take {:.0} % of the memory; most of it in {name}",
            percent(saved, memory)
        ),
        evidence: vec![
            ("keys".into(), Node::integer(worst.own.keys)),
            ("names_bytes".into(), Node::integer(total.name_bytes)),
            ("values_bytes".into(), Node::integer(total.value_bytes)),
            ("memory_bytes".into(), Node::integer(memory)),
        ],
        remedy: format!("abbreviate {name} in the application (PROF PREFIXES lists what each would save)"),
        culprit: name,
        saves_bytes: Some(saved),
        saves_usec_per_s: None,
    })
}

/// Commands whose single runs are long enough to delay everyone else on the worker.
fn holding_commands(input: &Input<'_>) -> Vec<Finding> {
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

/// Connections of one host that do not pipeline, seen together: a pool of them is one application.
#[derive(Default)]
struct Unbatched<'a> {
    commands: u64,
    batches: u64,
    rate: f64,
    connections: usize,
    busiest: Option<&'a ClientSnapshot>,
}

fn unbatched_clients(input: &Input<'_>) -> Option<Finding> {
    let all: u64 = input.clients.iter().map(|client| client.counters.commands).sum();
    let mut hosts: BTreeMap<&str, Unbatched<'_>> = BTreeMap::new();
    for client in input.clients.iter().filter(|client| client.counters.depth() < UNBATCHED_DEPTH) {
        let counters = &client.counters;
        let age_ms = input.facts.now_ms.saturating_sub(counters.connected_ms).max(1_000);
        let host = client.address.rsplit_once(':').map_or(client.address.as_str(), |(host, _)| host);
        let group = hosts.entry(host).or_default();
        group.commands += counters.commands;
        group.batches += counters.batches;
        group.rate += counters.commands as f64 * 1_000.0 / age_ms as f64;
        group.connections += 1;
        if group.busiest.is_none_or(|busiest| busiest.counters.commands < counters.commands) {
            group.busiest = Some(client);
        }
    }
    let (_, group) = hosts.into_iter().max_by_key(|(_, group)| group.commands)?;
    let share = group.commands as f64 / all.max(1) as f64;
    if group.rate < UNBATCHED_PER_SECOND || share < UNBATCHED_SHARE {
        return None;
    }
    let Unbatched { commands, batches, rate, connections, busiest } = group;
    let busiest = busiest?;
    let (busiest_id, busiest) = (busiest.id, display_name(busiest));
    Some(Finding {
        rule: "unbatched-clients",
        key: None,
        level: Level::Advice,
        weight: share * 0.5,
        says: format!("{connections} connection(s) of one host send {rate:.0} commands a second, one at a time"),
        evidence: vec![
            ("busiest".into(), Node::text(busiest.clone())),
            ("busiest_client_id".into(), Node::integer(busiest_id)),
            ("connections".into(), Node::integer(connections as u64)),
            ("commands".into(), Node::integer(commands)),
            ("commands_per_batch".into(), Node::number(commands as f64 / batches.max(1) as f64)),
            ("share_percent".into(), Node::number(share * 100.0)),
        ],
        culprit: busiest,
        remedy: "send them in a pipeline of 16, or single GETs as one MGET, where one does not depend on the other"
            .into(),
        saves_bytes: None,
        saves_usec_per_s: Some(rate * ROUND_TRIP_USEC * 15.0 / 16.0),
    })
}

fn slow_readers(input: &Input<'_>) -> Option<Finding> {
    let backlog = |client: &&ClientSnapshot| client.output_bytes;
    let waiting: Vec<&ClientSnapshot> =
        input.clients.iter().filter(|client| client.output_bytes >= BACKLOG_BYTES).collect();
    let client = waiting.iter().copied().max_by_key(|client| backlog(client))?;
    let held: u64 = waiting.iter().map(backlog).sum();
    let of_memory = held as f64 / input.facts.used_memory_bytes.max(held).max(1) as f64;
    Some(Finding {
        rule: "slow-reader",
        key: None,
        level: Level::Problem,
        weight: of_memory.clamp(0.05, 1.0),
        culprit: display_name(client),
        says: format!(
            "{} clients do not read their replies; {} wait for the slowest",
            waiting.len(),
            bytes(client.output_bytes as f64)
        ),
        evidence: vec![
            ("backlog_bytes".into(), Node::integer(client.output_bytes)),
            ("backlog_peak_bytes".into(), Node::integer(client.counters.output_bytes_peak)),
            ("slow_reads".into(), Node::integer(client.counters.slow_reads)),
            ("all_backlogs_bytes".into(), Node::integer(held)),
        ],
        remedy: format!(
            "CLIENT KILL ID {}, and bound it: CONFIG SET client-output-buffer-limit \"normal 32mb 8mb 60\"",
            client.id
        ),
        saves_bytes: Some(held),
        saves_usec_per_s: None,
    })
}

fn reconnects(input: &Input<'_>) -> Option<Finding> {
    let connects = &input.snapshot.connects;
    let worst = connects.top(1).into_iter().next()?;
    let sure = worst.connects - worst.error;
    // A storm must last: what came within less than a full window is taken as spread over one.
    let rate = sure as f64 * 1_000.0 / connects.span_ms.max(10_000) as f64;
    if sure < RECONNECTS_MIN || rate < RECONNECTS_PER_SECOND {
        return None;
    }
    let saved = rate * RECONNECT_USEC;
    Some(Finding {
        rule: "reconnect-storm",
        key: None,
        level: Level::Problem,
        weight: (saved / 1e6).clamp(0.05, 1.0),
        culprit: worst.address.map_or("the unix socket".into(), |ip| ip.to_string()),
        says: format!("{rate:.0} connections a second come from one address"),
        evidence: vec![
            ("connects".into(), Node::integer(worst.connects)),
            ("overcount_max".into(), Node::integer(worst.error)),
            ("window_ms".into(), Node::integer(connects.span_ms)),
        ],
        remedy: "keep connections open there: a pool, or one connection per process".into(),
        saves_bytes: None,
        saves_usec_per_s: Some(saved),
    })
}

fn errors(input: &Input<'_>) -> Option<Finding> {
    let (total, commands) = (input.snapshot.errors.total(), commands_total(input));
    if total < ERRORS_MIN || (total as f64) < ERROR_SHARE * commands.max(1) as f64 {
        return None;
    }
    let (code, count) = input.snapshot.errors.top().into_iter().next()?;
    let unsuccessful = |stats: &&CommandStats| stats.counts.failed + stats.counts.rejected;
    let command = input.snapshot.latency.commands().iter().max_by_key(unsuccessful);
    let client = input.clients.iter().max_by_key(|client| client.counters.errors);
    let client = client.filter(|client| client.counters.errors > 0).map(display_name);
    let mut evidence = vec![
        ("errors".into(), Node::integer(total)),
        ("commands".into(), Node::integer(commands)),
        (code.to_owned(), Node::integer(count)),
    ];
    if let Some(stats) = command.filter(|stats| unsuccessful(stats) > 0) {
        evidence.push(("command".into(), Node::text((input.command_name)(stats.command))));
    }
    Some(Finding {
        rule: "error-storm",
        key: None,
        level: Level::Problem,
        weight: (total as f64 / (total + commands).max(1) as f64).clamp(0.05, 1.0),
        culprit: client.unwrap_or_else(|| code.to_owned()),
        says: format!(
            "{:.1} % of the commands fail, mostly with {code}",
            percent(total, commands.max(total))
        ),
        evidence,
        remedy: "INFO errorstats counts them by code, PROF CLIENTS by client: correct the caller".into(),
        saves_bytes: None,
        saves_usec_per_s: None,
    })
}

fn idle_clients(input: &Input<'_>) -> Option<Finding> {
    let all = input.clients.len();
    let idle: Vec<&ClientSnapshot> =
        input.clients.iter().filter(|client| idle_ms(client, input.facts.now_ms) >= IDLE_MS).collect();
    if all < IDLE_CLIENTS_MIN || (idle.len() as f64) < IDLE_SHARE * all as f64 {
        return None;
    }
    let oldest = idle.iter().copied().max_by_key(|client| idle_ms(client, input.facts.now_ms))?;
    Some(Finding {
        rule: "idle-clients",
        key: None,
        level: Level::Advice,
        weight: 0.05,
        culprit: display_name(oldest),
        says: format!("{} of {all} connections have sent nothing for 5 minutes", idle.len()),
        evidence: vec![
            ("idle".into(), Node::integer(idle.len() as u64)),
            ("longest_idle_ms".into(), Node::integer(idle_ms(oldest, input.facts.now_ms))),
        ],
        remedy: "CONFIG SET timeout 300, or smaller pools in the applications".into(),
        saves_bytes: Some(idle.len() as u64 * IDLE_CLIENT_BYTES),
        saves_usec_per_s: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_well_at_both_ends() {
        let lower = [1.0, 0.9949, 0.9899, 0.1239].map(at_least);
        assert_eq!(lower, ["nearly all", "nearly all", "at least 98.9 %", "at least 12.3 %"]);
        assert_eq!([0.0, 0.004, 0.42].map(only), ["none", "less than 1 %", "only 42 %"]);
    }
}
