//! INFO clients and threads: who is connected now, and what each worker does for them.
//!
//! Thread safety: reads relaxed atomics and a merged copy.

use crate::spec::section::{Report, Section, Shown};
use observe::record::Traffic;
use std::sync::atomic::Ordering::Relaxed;

pub const CLIENTS: Section = Section { name: "Clients", shown: Shown::ByDefault, write: clients };

fn clients(report: &mut Report<'_>) {
    let clients = report.instance.clients.all();
    let watched = || clients.iter().map(|client| u64::from(client.watching.load(Relaxed)));
    let input = clients.iter().map(|client| client.query_buffer_bytes.load(Relaxed)).max();
    let output = clients.iter().map(|client| client.output_bytes.load(Relaxed)).max();
    report.field("connected_clients", clients.len());
    report.field("cluster_connections", 0);
    report.field("maxclients", report.instance.settings.text("maxclients"));
    report.field("client_recent_max_input_buffer", input.unwrap_or(0));
    report.field("client_recent_max_output_buffer", output.unwrap_or(0));
    report.fields(&["blocked_clients", "tracking_clients", "pubsub_clients"], 0);
    report.field("watching_clients", watched().filter(|&keys| keys > 0).count());
    report.field("clients_in_timeout_table", 0);
    report.field("total_watched_keys", watched().sum::<u64>());
    report.fields(&["total_blocking_keys", "total_blocking_keys_on_nokey"], 0);
}

pub const THREADS: Section = Section { name: "Threads", shown: Shown::ByDefault, write: threads };

/// The clients that each worker serves now, and its reads and writes since the start or CONFIG RESETSTAT.
fn threads(report: &mut Report<'_>) {
    let mut clients = vec![0; report.instance.workers];
    for client in report.instance.clients.all() {
        clients[client.mailbox.worker()] += 1;
    }
    let traffic = report.snapshot.traffic.clone();
    for (worker, (clients, traffic)) in clients.into_iter().zip(traffic).enumerate() {
        let Traffic { reads, writes, .. } = traffic;
        let line = format_args!("clients={clients},reads={reads},writes={writes}");
        report.field(&format!("io_thread_{worker}"), line);
    }
}
