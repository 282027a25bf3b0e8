//! The server's own metric families: uptime, clients, memory, databases. What the recorders saw is in
//! `observe::report::metrics::observed`.
//!
//! Names that begin with `redis_` are the Redis exporter's.
//!
//! Thread safety: reads atomics, /proc, and each database's counters through the gate's shared side.

use engine::Instance;
use engine::config::Setting;
use engine::state::instance::MAXMEMORY;
use keyspace::Databases;
use keyspace::gate::Shared;
use observe::report::metrics::{Exposition, Kind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const MAXCLIENTS: Setting<u32> = Setting::of("maxclients");

/// How often the gate is tried, with this pause in between: FLUSHALL and its kin are over by then.
const GATE_TRIES: u32 = 20;
const GATE_PAUSE: Duration = Duration::from_millis(1);

/// One database that has keys.
pub struct DatabaseFigures {
    pub number: usize,
    pub keys: usize,
    pub expiring: usize,
}

/// Figures of the process and its data, at one moment.
pub struct ServerFigures {
    pub uptime_s: f64,
    pub clients: usize,
    pub memory_used_bytes: u64,
    pub memory_peak_bytes: u64,
    pub memory_resident_bytes: u64,
    /// None: somebody was alone behind the gate for longer than a report waits.
    pub databases: Option<Vec<DatabaseFigures>>,
}

impl ServerFigures {
    pub fn of(instance: &Instance) -> ServerFigures {
        let (memory_used_bytes, memory_peak_bytes) = instance.used_memory_bytes();
        ServerFigures {
            uptime_s: instance.now_ms() as f64 / 1000.0,
            clients: instance.clients.len(),
            memory_used_bytes,
            memory_peak_bytes,
            memory_resident_bytes: resident_bytes(),
            databases: databases_of(instance),
        }
    }
}

/// A report waits no longer for whoever is alone behind the gate: others are made after it.
fn databases_of(instance: &Instance) -> Option<Vec<DatabaseFigures>> {
    let look = |databases: &Shared<'_, Databases>| {
        let figures = databases.iter().map(|(number, database)| DatabaseFigures {
            number,
            keys: database.len(),
            expiring: database.expiring(),
        });
        figures.filter(|database| database.keys > 0 || database.number == 0).collect()
    };
    (0..GATE_TRIES).find_map(|attempt| {
        if attempt > 0 {
            std::thread::sleep(GATE_PAUSE);
        }
        instance.try_visit(look)
    })
}

/// Resident memory as the kernel counts it, 0 where it cannot be told.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Processor time in user and system mode, then that of ended children, in seconds, with the resolution of /proc: fields 14
/// to 17 of proc_pid_stat(5), counted from behind the name, which may hold anything.
fn cpu_modes_s(stat: &str) -> [f64; 4] {
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = after_name.split_whitespace().skip(11).map(|field| field.parse().unwrap_or(0.0));
    [0; 4].map(|_| ticks.next().unwrap_or(0.0) / ticks_per_second)
}

/// Processor time of all threads, seconds.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Writes all families of this module.
pub fn write(out: &mut Exposition, instance: &Instance, server: &ServerFigures) {
    process(out, instance, server);
    processor(out);
    slow_commands(out, instance);
    clients(out, instance, server);
    memory(out, instance, server);
    let mut family = out.family("redis_db_keys", Kind::Gauge, "Keys per database.");
    for database in server.databases.iter().flatten() {
        family.sample(&[("db", &format!("db{}", database.number))], database.keys as f64);
    }
    let help = "Keys with a time to live per database.";
    let mut family = out.family("redis_db_keys_expiring", Kind::Gauge, help);
    for database in server.databases.iter().flatten() {
        family.sample(&[("db", &format!("db{}", database.number))], database.expiring as f64);
    }
}

fn process(out: &mut Exposition, instance: &Instance, server: &ServerFigures) {
    let (policy, port) = (instance.settings.text("maxmemory-policy"), instance.settings.text("port"));
    out.single("redis_up", Kind::Gauge, "1: the server answered.", 1.0);
    let labels = [
        ("redis_version", commands::connection::REDIS_VERSION),
        ("redis_mode", "standalone"),
        ("role", "master"),
        ("maxmemory_policy", &policy),
        ("tcp_port", &port),
        ("run_id", &instance.run_id),
        ("process_id", &std::process::id().to_string()),
        ("os", std::env::consts::OS),
        ("server_name", "limpid"),
    ];
    out.family("redis_instance_info", Kind::Gauge, "What the server is.").sample(&labels, 1.0);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    out.family("limpid_build_info", Kind::Gauge, "The version of Limpid.").sample(&version, 1.0);
    let started_s = instance.to_unix_ms(1) as f64 / 1000.0;
    for (name, help, value) in [
        ("redis_uptime_in_seconds", "Time since the start.", server.uptime_s.floor()),
        ("redis_start_time_seconds", "When the server was started, Unix time.", started_s.floor()),
        ("limpid_worker_threads", "Threads that execute commands.", instance.workers as f64),
        ("redis_process_id", "The process.", f64::from(std::process::id())),
        ("redis_connected_slaves", "Replicas: there is no replication yet.", 0.0),
    ] {
        out.single(name, Kind::Gauge, help, value);
    }
    out.single("process_cpu_seconds_total", Kind::Counter, "Processor time of all threads.", cpu_s());
    let counters = &instance.counters;
    for (name, help, value) in [
        ("limpid_writes_total", "Modifications of keys.", &counters.writes),
        (
            "limpid_lock_retries_total",
            "Commands that were parked because a stripe was taken.",
            &counters.lock_retries,
        ),
        (
            "limpid_gate_escalations_total",
            "Commands that ran alone, behind the gate.",
            &counters.gate_escalations,
        ),
    ] {
        out.single(name, Kind::Counter, help, value.load(Relaxed) as f64);
    }
}

fn processor(out: &mut Exposition) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system, children_user, children_system] = cpu_modes_s(&stat);
    for (name, help, value) in [
        ("redis_cpu_sys_seconds_total", "Processor time in the kernel.", system),
        ("redis_cpu_user_seconds_total", "Processor time outside the kernel.", user),
        (
            "redis_cpu_sys_children_seconds_total",
            "Processor time of ended children in the kernel.",
            children_system,
        ),
        (
            "redis_cpu_user_children_seconds_total",
            "Processor time of ended children outside the kernel.",
            children_user,
        ),
    ] {
        out.single(name, Kind::Counter, help, value);
    }
}

/// The slow log, and the spikes of LATENCY.
fn slow_commands(out: &mut Exposition, instance: &Instance) {
    let newest = instance.slow_log.newest(1).pop();
    let (id, seconds) = newest.map_or((0, 0.0), |entry| (entry.id, entry.duration_us as f64 / 1e6));
    for (name, help, value) in [
        ("redis_slowlog_length", "Entries of the slow log.", instance.slow_log.len() as f64),
        ("redis_slowlog_last_id", "Number of the newest entry of the slow log, 0 without one.", id as f64),
        (
            "redis_last_slow_execution_duration_seconds",
            "Run time of the newest entry of the slow log, 0 without one.",
            seconds,
        ),
    ] {
        out.single(name, Kind::Gauge, help, value);
    }
    let last: Vec<(&str, i64, u64)> = instance
        .spikes
        .all()
        .into_iter()
        .filter_map(|(event, series)| series.samples.back().map(|&(at_s, ms)| (event, at_s, ms)))
        .collect();
    let help = "When an event last took longer than latency-monitor-threshold, Unix time.";
    let mut family = out.family("redis_latency_spike_last", Kind::Gauge, help);
    last.iter().for_each(|&(event, at_s, _)| family.sample(&[("event_name", event)], at_s as f64));
    let help = "How long it took then.";
    let mut family = out.family("redis_latency_spike_duration_seconds", Kind::Gauge, help);
    last.iter().for_each(|&(event, _, ms)| family.sample(&[("event_name", event)], ms as f64 / 1e3));
}

fn clients(out: &mut Exposition, instance: &Instance, server: &ServerFigures) {
    let counters = &instance.counters;
    for (name, help, value) in [
        ("redis_connected_clients", "Clients.", server.clients as f64),
        ("redis_blocked_clients", "Clients in a blocking command: there is none yet.", 0.0),
        ("redis_config_maxclients", "The setting maxclients.", f64::from(instance.settings.read(MAXCLIENTS))),
    ] {
        out.single(name, Kind::Gauge, help, value);
    }
    let connections = instance.clients.connections() - counters.connections_at_reset.load(Relaxed);
    for (name, help, value) in [
        ("redis_connections_received_total", "Connections accepted.", connections),
        (
            "redis_rejected_connections_total",
            "Connections refused because of maxclients.",
            counters.rejected_connections.load(Relaxed),
        ),
        (
            "limpid_output_limit_disconnections_total",
            "Clients cut off because they did not read their replies.",
            counters.output_limit_disconnections.load(Relaxed),
        ),
        (
            "limpid_query_limit_disconnections_total",
            "Clients cut off because a request was too large.",
            counters.query_limit_disconnections.load(Relaxed),
        ),
    ] {
        out.single(name, Kind::Counter, help, value as f64);
    }
}

fn memory(out: &mut Exposition, instance: &Instance, server: &ServerFigures) {
    let used = server.memory_used_bytes as f64;
    let resident = server.memory_resident_bytes as f64;
    let limit = instance.settings.read(MAXMEMORY) as f64;
    let startup = instance.counters.memory_startup_bytes.load(Relaxed) as f64;
    let allocator = instance.allocator.get().map(|allocator| (allocator.figures)()).unwrap_or_default();
    let rates = instance.rates.per_second(instance.now_ms());
    let ratio = if used > 0.0 { resident / used } else { 0.0 };
    let help = "Resident memory divided by used memory.";
    for (name, help, value) in [
        ("redis_memory_used_bytes", "Memory allocated.", used),
        ("redis_memory_used_peak_bytes", "The most that was allocated.", server.memory_peak_bytes as f64),
        ("redis_memory_used_rss_bytes", "Resident memory.", resident),
        ("redis_memory_used_startup_bytes", "Memory allocated when the server had started.", startup),
        ("redis_memory_max_bytes", "maxmemory; 0 is no limit.", limit),
        ("redis_config_maxmemory", "The setting maxmemory.", limit),
        ("redis_allocator_allocated_bytes", "Memory the allocator handed out.", allocator.allocated as f64),
        ("redis_allocator_active_bytes", "Memory in the allocator's used pages.", allocator.active as f64),
        ("redis_allocator_resident_bytes", "Resident memory of the allocator.", allocator.resident as f64),
        ("redis_instantaneous_ops_per_sec", "Commands a second, now.", rates.commands as f64),
        (
            "redis_instantaneous_input_kbps",
            "Kilobytes received a second, now.",
            rates.bytes_in as f64 / 1024.0,
        ),
        ("redis_instantaneous_output_kbps", "Kilobytes sent a second, now.", rates.bytes_out as f64 / 1024.0),
        ("redis_mem_fragmentation_ratio", help, ratio),
        ("redis_memory_fragmentation_ratio", help, ratio),
    ] {
        out.single(name, Kind::Gauge, help, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!(
            "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 {} {} {ticks} 0 20 0",
            3 * ticks,
            2 * ticks
        );
        assert_eq!(cpu_modes_s(&stat), [3.0, 2.0, 1.0, 0.0]);
        assert_eq!(cpu_modes_s("nonsense"), [0.0; 4]);
    }
}
