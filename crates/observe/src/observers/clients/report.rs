//! PROF CLIENTS: who sends what, who reads slowly, who is idle, who connects again and again.
//!
//! It shows connections that are open; of closed ones only the reconnects per address remain.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::ClientSnapshot;
use crate::name::{Name, escaped};
use crate::report::value::Node;
use crate::report::{Input, usec};

/// A connection without a command for this long is idle.
pub const IDLE_MS: u64 = 300_000;

/// The report, `count` clients per list.
pub fn report(input: &Input<'_>, count: usize) -> Node {
    let mut entries = input.header("clients", "traffic, errors, backlog and reconnects per client");
    let idle = input.clients.iter().filter(|client| idle_ms(client, input.facts.now_ms) >= IDLE_MS).count();
    entries.push((
        "error".into(),
        Node::text("per connection exact, since it connected; addresses within the bound"),
    ));
    entries.push(("clients".into(), Node::integer(input.clients.len() as u64)));
    entries.push(("idle_over_5_min".into(), Node::integer(idle as u64)));
    let list = |rank: fn(&ClientSnapshot) -> u64| {
        let mut clients: Vec<&ClientSnapshot> =
            input.clients.iter().filter(|client| rank(client) > 0).collect();
        clients.sort_by_key(|client| (std::cmp::Reverse(rank(client)), client.id));
        clients.truncate(count);
        Node::List(clients.into_iter().map(|client| row(input, client)).collect())
    };
    entries.push(("by_commands".into(), list(|client| client.counters.commands)));
    entries.push(("by_bytes".into(), list(|client| client.counters.bytes_in + client.counters.bytes_out)));
    entries.push(("by_errors".into(), list(|client| client.counters.errors)));
    entries.push((
        "slow_readers".into(),
        list(|client| client.output_bytes.max(client.counters.output_bytes_peak)),
    ));
    let connects = &input.snapshot.connects;
    entries.push(("connects_window_ms".into(), Node::integer(connects.span_ms)));
    entries.push(("connects".into(), Node::integer(connects.total)));
    let address = |known: &crate::record::clients::AddressConnects| {
        Node::Map(vec![
            ("address".into(), Node::text(known.address.map_or("unix socket".into(), |ip| ip.to_string()))),
            ("connects".into(), Node::integer(known.connects)),
            ("overcount_max".into(), Node::integer(known.error)),
        ])
    };
    entries.push((
        "connects_by_address".into(),
        Node::List(connects.top(count).into_iter().map(address).collect()),
    ));
    let errors = input.snapshot.errors.top().into_iter().take(count);
    let error = |(code, count): (&str, u64)| {
        Node::Map(vec![("code".into(), Node::text(code)), ("count".into(), Node::integer(count))])
    };
    entries.push(("errors_by_code".into(), Node::List(errors.map(error).collect())));
    Node::Map(entries)
}

/// How long a client has been silent.
pub fn idle_ms(client: &ClientSnapshot, now_ms: u64) -> u64 {
    now_ms.saturating_sub(client.counters.active_ms)
}

/// How findings name a client to people: address, id, and its own name if it gave one.
pub fn display_name(client: &ClientSnapshot) -> String {
    let address = escaped(client.address.as_bytes());
    if client.name.is_empty() {
        return format!("{address} (id {})", client.id);
    }
    format!("{address} (id {}, {})", client.id, escaped(client.name.as_bytes()))
}

fn row(input: &Input<'_>, client: &ClientSnapshot) -> Node {
    let counters = &client.counters;
    Node::Map(vec![
        ("id".into(), Node::integer(client.id)),
        ("address".into(), Node::Name(Name::whole(client.address.as_bytes()))),
        ("name".into(), Node::Name(Name::whole(client.name.as_bytes()))),
        ("commands".into(), Node::integer(counters.commands)),
        ("errors".into(), Node::integer(counters.errors)),
        ("commands_per_batch".into(), Node::number(counters.depth())),
        ("in_bytes".into(), Node::integer(counters.bytes_in)),
        ("out_bytes".into(), Node::integer(counters.bytes_out)),
        ("run_usec".into(), usec(counters.run_ns)),
        ("backlog_bytes".into(), Node::integer(client.output_bytes)),
        ("backlog_peak_bytes".into(), Node::integer(counters.output_bytes_peak)),
        ("slow_reads".into(), Node::integer(counters.slow_reads)),
        ("age_ms".into(), Node::integer(input.facts.now_ms.saturating_sub(counters.connected_ms))),
        ("idle_ms".into(), Node::integer(idle_ms(client, input.facts.now_ms))),
    ])
}
