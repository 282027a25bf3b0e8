//! INFO clients, persistence, replication, keyspace and keysizes: the state of the server at this moment.
//!
//! Not what has happened since the start, which is in `traffic.rs`.
//!
//! Thread safety: reads relaxed atomics and, for the mean time to live, a sample of entries under their stripes' locks,
//! skipping stripes that are not free.

use super::Report;
use keyspace::{Database, Journal, STRIPES};
use std::sync::atomic::Ordering::Relaxed;

/// Stripes looked into for the mean time to live, and entries of each: enough for a figure with an error of a few per
/// cent, in some 50 microseconds.
const SAMPLED_STRIPES: usize = 32;
const SAMPLED_PER_STRIPE: usize = 16;

pub(super) fn clients(report: &mut Report<'_>) {
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

/// Nothing is persisted: the changes are those since the start.
pub(super) fn persistence(report: &mut Report<'_>) {
    let changes = report.instance.counters.writes.load(Relaxed);
    let started_seconds = report.instance.to_unix_ms(1) / 1000;
    report.fields(&["loading", "async_loading", "current_cow_peak", "current_cow_size"], 0);
    report.field("current_cow_size_age", 0);
    report.field("current_fork_perc", "0.00");
    report.fields(&["current_save_keys_processed", "current_save_keys_total"], 0);
    report.field("rdb_changes_since_last_save", changes);
    report.field("rdb_bgsave_in_progress", 0);
    report.field("rdb_last_save_time", started_seconds);
    report.field("rdb_last_bgsave_status", "ok");
    report.fields(&["rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"], -1);
    report.fields(&["rdb_saves", "rdb_last_cow_size", "rdb_last_load_keys_expired"], 0);
    report.fields(&["rdb_last_load_keys_loaded", "aof_enabled", "aof_rewrite_in_progress"], 0);
    report.field("aof_rewrite_scheduled", 0);
    report.fields(&["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"], -1);
    report.field("aof_last_bgrewrite_status", "ok");
    report.fields(&["aof_rewrites", "aof_rewrites_consecutive_failures"], 0);
    report.field("aof_last_write_status", "ok");
    report.fields(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"], 0);
}

pub(super) fn replication(report: &mut Report<'_>) {
    report.field("role", "master");
    report.field("connected_slaves", 0);
    report.field("master_failover_state", "no-failover");
    report.field("master_replid", &report.instance.run_id);
    report.field("master_replid2", "0".repeat(40));
    report.field("master_repl_offset", 0);
    report.field("second_repl_offset", -1);
    report.field("repl_backlog_active", 0);
    report.field("repl_backlog_size", report.instance.settings.text("repl-backlog-size"));
    report.fields(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"], 0);
}

pub(super) fn keyspace(report: &mut Report<'_>) {
    let mut journal = Journal::new(report.instance.hasher.clone(), report.random);
    journal.now_ms = report.now_ms;
    for (number, database) in report.databases.iter() {
        let (keys, expires) = (database.len(), database.expiring());
        if keys > 0 {
            let avg_ttl = if expires > 0 { mean_ttl_ms(database, &mut journal) } else { 0 };
            report.field(
                &format!("db{number}"),
                format_args!("keys={keys},expires={expires},avg_ttl={avg_ttl},subexpiry=0"),
            );
        }
    }
}

/// Mean milliseconds left to the keys that have a deadline, from a sample: entries lie in the order of their hashes, so
/// the first ones of random stripes are a fair one.
fn mean_ttl_ms(database: &Database, journal: &mut Journal) -> i64 {
    let first = journal.random() as usize % STRIPES;
    let occupied =
        (0..STRIPES).map(|step| (first + step) % STRIPES).filter(|&stripe| database.stripe_len(stripe) > 0);
    let (mut sum_ms, mut count) = (0_i64, 0_i64);
    for stripe in occupied.take(SAMPLED_STRIPES) {
        let Some(locked) = database.try_lock(stripe, journal.worker) else { continue };
        locked.walk(0, SAMPLED_PER_STRIPE, journal, |entry| {
            if let Some(expiry_ms) = entry.expiry_ms() {
                sum_ms = sum_ms.saturating_add(expiry_ms - journal.now_ms);
                count += 1;
            }
        });
    }
    sum_ms.checked_div(count).unwrap_or(0)
}

/// How many values have a length of at least 2^n and less than 2^(n+1), over all databases.
pub(super) fn keysizes(report: &mut Report<'_>) {
    let classes = report.snapshot.sizes.counts.value_classes;
    let used = classes.iter().enumerate().filter(|(_, count)| **count > 0);
    let bins: Vec<String> = used.map(|(class, count)| format!("{}={count}", bin_of(class))).collect();
    if !bins.is_empty() {
        report.field("distrib_strings_sizes", bins.join(","));
    }
}

/// The smallest length of a class, as Redis names its bins: 0, 1, 2, 4, 8, ..., `1K` from 1024 on.
fn bin_of(class: usize) -> String {
    const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];
    match class.checked_sub(1) {
        None => "0".to_owned(),
        Some(power) => format!("{}{}", 1_u64 << (power % 10), UNITS[(power / 10).min(4)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_named_by_their_smallest_length() {
        let names: Vec<String> = [0, 1, 2, 5, 10, 11, 12, 21, 40].into_iter().map(bin_of).collect();
        assert_eq!(names, ["0", "1", "2", "16", "512", "1K", "2K", "1M", "512G"]);
    }
}
