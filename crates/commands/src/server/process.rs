//! INFO server and cpu: the process as the system sees it.
//!
//! Figures come from /proc, read when asked (what cannot change, once); where it cannot be read they are 0.
//!
//! Thread safety: reads files of this process only.

use crate::connection::REDIS_VERSION;
use engine::spec::section::{Report, Section, Shown};
use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The level of Valkey that Limpid answers like.
const VALKEY_VERSION: &str = "9.1.0";
/// Clock ticks per second in /proc: USER_HZ, which Linux has at 100 on every architecture it tells programs about.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bits of the access clock that INFO shows, as Redis has them.
const LRU_CLOCK_MASK: i64 = 0xff_ffff;

pub(super) const SERVER: Section = Section { name: "Server", shown: Shown::ByDefault, write: server };

fn server(report: &mut Report<'_>) {
    let instance = report.instance;
    let settings = &instance.settings;
    let uptime_seconds = report.now_ms / 1000;
    let unix_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    report.field("redis_version", REDIS_VERSION);
    report.field("server_name", "limpid");
    report.field("limpid_version", env!("CARGO_PKG_VERSION"));
    report.field("valkey_version", VALKEY_VERSION);
    report.field("valkey_release_stage", "ga");
    report.field("redis_git_sha1", "00000000");
    report.field("redis_git_dirty", 0);
    report.field("redis_build_id", 0);
    report.fields(&["redis_mode", "server_mode"], "standalone");
    report.field("os", &*OPERATING_SYSTEM);
    report.field("arch_bits", usize::BITS);
    report.field("monotonic_clock", observe::os::clock::source_name());
    report.field("multiplexing_api", "epoll");
    report.field("process_id", std::process::id());
    report.field("process_supervised", settings.text("supervised"));
    report.field("run_id", &instance.run_id);
    report.field("tcp_port", settings.text("port"));
    report.field("server_time_usec", unix_us);
    report.field("uptime_in_seconds", uptime_seconds);
    report.field("uptime_in_days", uptime_seconds / 86_400);
    report.fields(&["hz", "configured_hz"], settings.text("hz").as_str());
    report.field("lru_clock", (instance.to_unix_ms(report.now_ms) / 1000) & LRU_CLOCK_MASK);
    report.field("executable", std::env::current_exe().unwrap_or_default().display());
    report.field("config_file", instance.config_file.as_deref().unwrap_or_default());
    report.field("io_threads_active", u8::from(instance.workers > 1));
    report.field("worker_threads", instance.workers);
    listeners(report);
}

fn listeners(report: &mut Report<'_>) {
    let settings = &report.instance.settings;
    let mut listeners = Vec::new();
    if settings.text("port") != "0" {
        let binds: String = settings.words("bind").iter().map(|address| format!("bind={address},")).collect();
        listeners.push(format!("name=tcp,{binds}port={}", settings.text("port")));
    }
    let path = settings.text("unixsocket");
    if !path.is_empty() {
        listeners.push(format!("name=unix,bind={path}"));
    }
    for (number, listener) in listeners.iter().enumerate() {
        report.field(&format!("listener{number}"), listener);
    }
}

/// What does not change while the process lives is read once.
static OPERATING_SYSTEM: LazyLock<String> = LazyLock::new(|| {
    let kernel = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {} {}", kernel("ostype").trim(), kernel("osrelease").trim(), std::env::consts::ARCH)
});
pub(super) static SYSTEM_MEMORY_BYTES: LazyLock<u64> =
    LazyLock::new(|| kilobytes_of("/proc/meminfo", "MemTotal"));

pub(super) const CPU: Section = Section { name: "CPU", shown: Shown::ByDefault, write: cpu };

fn cpu(report: &mut Report<'_>) {
    let all = CpuSeconds::read("/proc/self/stat");
    let main = CpuSeconds::read(&format!("/proc/self/task/{}/stat", std::process::id()));
    for (name, seconds) in [
        ("used_cpu_sys", all.system),
        ("used_cpu_user", all.user),
        ("used_cpu_sys_children", all.children_system),
        ("used_cpu_user_children", all.children_user),
        ("used_cpu_sys_main_thread", main.system),
        ("used_cpu_user_main_thread", main.user),
    ] {
        report.field(name, format_args!("{seconds:.6}"));
    }
}

/// CPU time since the start, in seconds, with the resolution of /proc: 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CpuSeconds {
    user: f64,
    system: f64,
    children_user: f64,
    children_system: f64,
}

impl CpuSeconds {
    fn read(path: &str) -> CpuSeconds {
        fs::read_to_string(path).map(|line| CpuSeconds::parse(&line)).unwrap_or_default()
    }

    /// Fields 14 to 17 of proc(5) stat. The second field is the name in parentheses, which may hold anything.
    fn parse(line: &str) -> CpuSeconds {
        let after_name = line.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut ticks = after_name.split_whitespace().skip(11).map(|word| word.parse().unwrap_or(0.0));
        let mut seconds = || ticks.next().unwrap_or(0.0) / TICKS_PER_SECOND;
        CpuSeconds {
            user: seconds(),
            system: seconds(),
            children_user: seconds(),
            children_system: seconds(),
        }
    }
}

/// A figure of /proc/self/status or /proc/meminfo that is given in kB, in bytes.
pub(super) fn kilobytes_of(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 150 25 7 1 20 0 3 0 100";
        let expected = CpuSeconds { user: 1.5, system: 0.25, children_user: 0.07, children_system: 0.01 };
        assert_eq!(CpuSeconds::parse(line), expected);
        assert_eq!(CpuSeconds::parse("nonsense"), CpuSeconds::default());
    }

    #[test]
    fn this_process_has_memory_and_so_has_the_system() {
        let resident = kilobytes_of("/proc/self/status", "VmRSS");
        let system = kilobytes_of("/proc/meminfo", "MemTotal");
        assert!(0 < resident && resident < system, "{resident} {system}");
        assert_eq!(kilobytes_of("/proc/self/status", "Nothing"), 0);
    }
}
