//! CPU time and resident memory of a process, from `/proc/PID/stat` (proc_pid_stat(5)).
//!
//! Times have the kernel's tick as their resolution (usually 10 ms): over a window of 5 s that is 0.2 %.
//!
//! Thread safety: stateless.

use std::io;

use super::error::BenchError;

/// What a process has used so far. `cpu_us` covers all its threads, user and system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    pub cpu_us: u64,
    pub rss_bytes: u64,
}

/// Reads the usage of process `pid`.
///
/// # Errors
/// `BenchError::Process` when there is no such process, or its `stat` has an unknown shape.
pub fn usage_of(pid: u32) -> Result<ProcessUsage, BenchError> {
    let failed = |source| BenchError::Process { pid, source };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let page_bytes = rustix::param::page_size() as u64;
    parse_stat(&stat, ticks_per_second, page_bytes)
        .ok_or_else(|| failed(io::Error::new(io::ErrorKind::InvalidData, "unknown shape of /proc/PID/stat")))
}

/// The sum over several processes: a server may be more than one.
///
/// # Errors
/// As `usage_of`.
pub fn usage_of_all(pids: &[u32]) -> Result<ProcessUsage, BenchError> {
    pids.iter().try_fold(ProcessUsage::default(), |sum, &pid| {
        let usage = usage_of(pid)?;
        Ok(ProcessUsage { cpu_us: sum.cpu_us + usage.cpu_us, rss_bytes: sum.rss_bytes + usage.rss_bytes })
    })
}

/// The second field, the program's name, may hold spaces and parentheses: fields are counted from the last `)`.
fn parse_stat(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<ProcessUsage> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    // Field 3 (state) comes first here; 14 is utime, 15 stime, 24 rss in pages.
    let user_ticks: u64 = fields.nth(14 - 3)?.parse().ok()?;
    let system_ticks: u64 = fields.next()?.parse().ok()?;
    let rss_pages: u64 = fields.nth(24 - 16)?.parse().ok()?;
    Some(ProcessUsage {
        cpu_us: (user_ticks + system_ticks).checked_mul(1_000_000)?.checked_div(ticks_per_second)?,
        rss_bytes: rss_pages.checked_mul(page_bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_spaces_and_parentheses() {
        let fields =
            "S 1 2 3 0 -1 4194560 5 6 7 8 150 50 0 0 20 0 4 0 99 1000000 25 18446744073709551615 1 2";
        for name in ["valkey-server", "a b", "x) y (z", "tmux: server"] {
            let usage = parse_stat(&format!("42 ({name}) {fields}\n"), 100, 4096).expect(name);
            assert_eq!(usage, ProcessUsage { cpu_us: 2_000_000, rss_bytes: 25 * 4096 }, "{name}");
        }
    }

    #[test]
    fn a_cut_line_is_refused() {
        assert_eq!(parse_stat("42 (x) S 1 2 3", 100, 4096), None);
        assert_eq!(parse_stat("", 100, 4096), None);
    }

    #[test]
    fn this_process_is_readable_and_a_missing_one_is_an_error() {
        assert!(usage_of(std::process::id()).unwrap().rss_bytes > 0);
        assert!(usage_of(u32::MAX).is_err());
    }
}
