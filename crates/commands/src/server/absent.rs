//! INFO persistence, replication, modules and cluster: what there is not.
//!
//! Their fields have the values that Redis gives when the feature is off. A section moves to its feature with it.
//!
//! Thread safety: reads relaxed atomics.

use engine::spec::section::{Report, Section, Shown};
use std::sync::atomic::Ordering::Relaxed;

pub(super) const PERSISTENCE: Section =
    Section { name: "Persistence", shown: Shown::ByDefault, write: persistence };

/// Nothing is persisted: the changes are those since the start.
fn persistence(report: &mut Report<'_>) {
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

pub(super) const REPLICATION: Section =
    Section { name: "Replication", shown: Shown::ByDefault, write: replication };

fn replication(report: &mut Report<'_>) {
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

pub(super) const MODULES: Section = Section { name: "Modules", shown: Shown::ByDefault, write: |_| {} };

pub(super) const CLUSTER: Section =
    Section { name: "Cluster", shown: Shown::ByDefault, write: |report| report.field("cluster_enabled", 0) };
