//! The figures of memory, which MEMORY STATS, MEMORY DOCTOR and INFO memory share, and that section of INFO.
//!
//! `used_memory` is what the process has allocated, counted by the allocator's wrapper, rounding included. The dataset is
//! what the entries take, exactly; the overhead is the rest.
//!
//! Thread safety: reads merged copies, relaxed atomics and /proc.

use crate::server::process::{SYSTEM_MEMORY_BYTES, kilobytes_of};
use engine::run::ctx::Ctx;
use engine::spec::command::Progress;
use engine::spec::section::{Report, Section, Shown, human};
use engine::state::instance::{AllocatorFigures, Instance, MAXMEMORY};
use engine::state::reporter::Length;
use keyspace::Databases;
use observe::record::Snapshot;
use std::sync::atomic::Ordering::Relaxed;

/// Memory by what it is used for, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryFigures {
    pub used: u64,
    pub peak: u64,
    /// Used when the server had started.
    pub startup: u64,
    pub rss: u64,
    /// Buffers of connections.
    pub clients: u64,
    /// All entries with their allocations' rounding.
    pub entries: u64,
    pub keys: u64,
    pub allocator: AllocatorFigures,
}

impl MemoryFigures {
    /// None: what all workers have counted is not added up yet, see [`Ctx::report`].
    pub fn read(ctx: &mut Ctx<'_>, progress: &mut Progress) -> Option<MemoryFigures> {
        let snapshot = ctx.report(progress, Length::Short, Instance::statistics)?;
        Some(MemoryFigures::of(ctx.instance, ctx.data.databases, &snapshot))
    }

    fn of(instance: &Instance, databases: &Databases, snapshot: &Snapshot) -> MemoryFigures {
        let (used, peak) = instance.used_memory_bytes();
        let rss = kilobytes_of("/proc/self/status", "VmRSS");
        let buffers = instance.clients.all().into_iter().map(|client| client.held_bytes());
        // Without an allocator to ask, everything resident is taken for its own, as Redis does with libc's.
        let unknown = AllocatorFigures { allocated: used, active: rss, resident: rss };
        MemoryFigures {
            used,
            peak,
            startup: instance.counters.memory_startup_bytes.load(Relaxed),
            rss,
            clients: buffers.sum(),
            entries: u64::try_from(snapshot.sizes.counts.total_bytes).unwrap_or(0),
            keys: databases.iter().map(|(_, database)| database.len() as u64).sum(),
            allocator: instance.allocator.get().map_or(unknown, |allocator| (allocator.figures)()),
        }
    }

    /// What the data takes.
    pub fn dataset(&self) -> u64 {
        self.entries.min(self.used)
    }

    /// Everything else: tables, connections, profiling, what was there at the start.
    pub fn overhead(&self) -> u64 {
        self.used - self.dataset()
    }
}

/// `of / to`, 0 if there is nothing to compare with.
pub(super) fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 0.0 } else { of as f64 / to as f64 }
}

pub(in crate::server) const MEMORY: Section =
    Section { name: "Memory", shown: Shown::ByDefault, write: memory };

fn memory(report: &mut Report<'_>) {
    let figures = MemoryFigures::of(report.instance, report.databases, &report.snapshot);
    let net = figures.used.saturating_sub(figures.startup);
    report.bytes("used_memory", figures.used);
    report.bytes("used_memory_rss", figures.rss);
    report.bytes("used_memory_peak", figures.peak);
    report.field("used_memory_peak_perc", percent(ratio(figures.used, figures.peak)));
    report.field("used_memory_overhead", figures.overhead());
    report.field("used_memory_startup", figures.startup);
    report.field("used_memory_dataset", figures.dataset());
    report.field("used_memory_dataset_perc", percent(ratio(figures.dataset(), net).min(1.0)));
    allocator(report, &figures);
    report.bytes("total_system_memory", *SYSTEM_MEMORY_BYTES);
    report.field("used_memory_profiling", report.snapshot.memory_bytes.iter().sum::<usize>());
    scripts(report);
    let settings = &report.instance.settings;
    report.bytes("maxmemory", settings.read(MAXMEMORY));
    report.field("maxmemory_policy", settings.text("maxmemory-policy"));
    fragmentation(report, &figures);
    report.field("mem_not_counted_for_evict", report.instance.clients.buffer_bytes());
    report.fields(&["mem_replication_backlog", "mem_total_replication_buffers"], 0);
    report.fields(&["mem_replica_full_sync_buffer", "mem_clients_slaves"], 0);
    report.field("mem_clients_normal", figures.clients);
    report.fields(&["mem_cluster_links", "mem_aof_buffer"], 0);
    let name =
        report.instance.allocator.get().map_or_else(|| "libc".to_owned(), |allocator| (allocator.name)());
    report.field("mem_allocator", name);
    report.fields(&["mem_overhead_db_hashtable_rehashing", "active_defrag_running"], 0);
    let (handed_over, freed) = keyspace::free::counts();
    report.field("lazyfree_pending_objects", handed_over - freed);
    report.field("lazyfree_pending_bytes", keyspace::free::pending_bytes());
    report.field("lazyfreed_objects", freed);
}

fn percent(ratio: f64) -> String {
    format!("{:.2}%", 100.0 * ratio)
}

fn allocator(report: &mut Report<'_>, figures: &MemoryFigures) {
    let AllocatorFigures { allocated, active, resident } = figures.allocator;
    report.field("allocator_allocated", allocated);
    report.field("allocator_active", active);
    report.field("allocator_resident", resident);
    // Pages are given back in one step, so none are between.
    report.field("allocator_muzzy", 0);
}

fn scripts(report: &mut Report<'_>) {
    let none = human(0);
    report.fields(&["used_memory_lua", "used_memory_vm_eval"], 0);
    report.field("used_memory_lua_human", &none);
    report.fields(&["used_memory_scripts_eval", "number_of_cached_scripts", "number_of_functions"], 0);
    report.fields(&["number_of_libraries", "used_memory_vm_functions", "used_memory_vm_total"], 0);
    report.field("used_memory_vm_total_human", &none);
    report.fields(&["used_memory_functions", "used_memory_scripts"], 0);
    report.field("used_memory_scripts_human", &none);
}

fn fragmentation(report: &mut Report<'_>, figures: &MemoryFigures) {
    let allocator = figures.allocator;
    for (name, of, to) in [
        ("allocator_frag", allocator.active, allocator.allocated),
        ("allocator_rss", allocator.resident, allocator.active),
        ("rss_overhead", figures.rss, allocator.resident),
        ("mem_fragmentation", figures.rss, figures.used),
    ] {
        report.field(&format!("{name}_ratio"), format_args!("{:.2}", ratio(of, to)));
        report.field(&format!("{name}_bytes"), of as i64 - to as i64);
    }
}
