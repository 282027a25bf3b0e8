//! INFO stats: what has happened since the start or CONFIG RESETSTAT.
//!
//! The rare figures are the counters'; those per command and per byte come from the workers' recorders, the rates from
//! their notes.
//!
//! Thread safety: reads merged copies and relaxed atomics.

use crate::spec::section::{Report, Section, Shown};
use observe::record::latency::CommandStats;
use std::sync::atomic::Ordering::Relaxed;

pub const STATS: Section = Section { name: "Stats", shown: Shown::ByDefault, write: stats };

fn stats(report: &mut Report<'_>) {
    let instance = report.instance;
    let counters = &instance.counters;
    let exact = report.snapshot.counters;
    let commands: u64 = report.snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum();
    let connections = instance.clients.connections() - counters.connections_at_reset.load(Relaxed);
    let rates = instance.rates.per_second(report.now_ms);
    report.field("total_connections_received", connections);
    report.field("total_commands_processed", commands);
    report.field("instantaneous_ops_per_sec", rates.commands);
    report.field("total_net_input_bytes", exact.traffic.bytes_in);
    report.field("total_net_output_bytes", exact.traffic.bytes_out);
    report.fields(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"], 0);
    report.field("instantaneous_input_kbps", format_args!("{:.2}", rates.bytes_in as f64 / 1024.0));
    report.field("instantaneous_output_kbps", format_args!("{:.2}", rates.bytes_out as f64 / 1024.0));
    report.fields(&["instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"], "0.00");
    report.field("rejected_connections", counters.rejected_connections.load(Relaxed));
    report.fields(&["sync_full", "sync_partial_ok", "sync_partial_err", "expired_subkeys"], 0);
    report.field("expired_keys", exact.expired);
    report.field("expired_stale_perc", "0.00");
    report.fields(&["expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"], 0);
    report.field("evicted_keys", exact.evicted);
    // maxmemory-clients is not supported: nobody is evicted.
    report.field("evicted_clients", 0);
    report.fields(&["evicted_scripts", "total_eviction_exceeded_time", "current_eviction_exceeded_time"], 0);
    report.field("keyspace_hits", exact.hits);
    report.field("keyspace_misses", exact.misses);
    absent(report);
    report.field("total_error_replies", report.snapshot.errors.total());
    report.field("dump_payload_sanitizations", 0);
    report.field("total_reads_processed", exact.traffic.reads);
    report.field("total_writes_processed", exact.traffic.writes);
    // What other workers than the first did.
    let others = || report.snapshot.traffic.iter().take(report.instance.workers).skip(1);
    let (reads, writes) = (others().map(|t| t.reads).sum::<u64>(), others().map(|t| t.writes).sum::<u64>());
    report.field("io_threaded_reads_processed", reads);
    report.field("io_threaded_writes_processed", writes);
    let query_limit = counters.query_limit_disconnections.load(Relaxed);
    let output_limit = counters.output_limit_disconnections.load(Relaxed);
    report.field("client_query_buffer_limit_disconnections", query_limit);
    report.field("client_output_buffer_limit_disconnections", output_limit);
    report.field("eventloop_cycles", counters.event_loop_cycles.load(Relaxed));
    report.field("eventloop_duration_sum", counters.event_loop_duration_us.load(Relaxed));
    let in_commands: u64 = report.snapshot.latency.commands().iter().map(CommandStats::usec).sum();
    report.field("eventloop_duration_cmd_sum", in_commands);
    report.field("instantaneous_eventloop_cycles_per_sec", rates.cycles);
    report.field(
        "instantaneous_eventloop_duration_usec",
        rates.cycles_us.checked_div(rates.cycles).unwrap_or(0),
    );
    report.field("acl_access_denied_auth", errors_with(report, "WRONGPASS"));
    report.fields(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"], 0);
    report.field("lock_retries", counters.lock_retries.load(Relaxed));
    report.field("gate_escalations", counters.gate_escalations.load(Relaxed));
}

/// Features that are not there: published channels, forks, migration, defragmentation, tracking.
fn absent(report: &mut Report<'_>) {
    report.fields(&["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"], 0);
    report.fields(&["latest_fork_usec", "total_forks", "migrate_cached_sockets"], 0);
    report.fields(&["slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses"], 0);
    report.fields(&["active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time"], 0);
    report.fields(&["current_active_defrag_time", "tracking_total_keys", "tracking_total_items"], 0);
    report.fields(&["tracking_total_prefixes", "unexpected_error_replies"], 0);
}

fn errors_with(report: &Report<'_>, code: &str) -> u64 {
    report.snapshot.errors.top().iter().find(|(known, _)| *known == code).map_or(0, |(_, count)| *count)
}
