//! The rules about clients: who could have batched, who does not read, who reconnects, who fails, who is idle.
//!
//! A rule says nothing unless the figures are sure, see `report::findings`.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::ClientSnapshot;
use super::report::{IDLE_MS, display_name, idle_ms};
use crate::record::latency::CommandStats;
use crate::report::findings::{Finding, Level};
use crate::report::value::{Node, bytes};
use crate::report::{Input, percent};
use std::collections::BTreeMap;

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

/// What hurts.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    let found = [
        unbatched_clients(input),
        slow_readers(input),
        reconnects(input),
        errors(input),
        idle_clients(input),
    ];
    found.into_iter().flatten().collect()
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

fn commands_total(input: &Input<'_>) -> u64 {
    input.snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum()
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
