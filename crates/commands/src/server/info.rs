//! INFO: figures about the server, section by section, in the lines that exporters and dashboards parse.
//!
//! Not where anything is counted. Where a feature is absent (replication, persistence, scripts), its fields have the
//! values that Redis gives when the feature is off, so that nobody who parses them stumbles.
//!
//! Invariants: (1) sections appear in one order, whatever the order of the arguments, and each once; (2) every figure is
//! measured or counted; one that cannot be had is left out.
//!
//! Thread safety: one worker; it reads merged copies and relaxed atomics.

pub(super) mod memory;
mod process;
mod state;
mod traffic;

use super::SERVER;
use engine::run::ctx::Ctx;
use engine::spec::{Argument, ArgumentType, Command, LOADING, Outcome, REPORTS, Run, STALE};
use engine::state::instance::Instance;
use keyspace::Databases;
use observe::record::Snapshot;
use std::fmt::{Display, Write};
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "INFO",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    flags: LOADING.and(STALE).and(REPORTS),
    categories: &["dangerous"],
    summary: "Report figures about the server, section by section.",
    args: &[Argument::new("section", ArgumentType::Text).optional().multiple()],
    run: Run::Body(info),
    ..SERVER
}];

/// A section: its name, whether plain INFO shows it, and what writes it.
struct Section {
    name: &'static str,
    is_default: bool,
    write: fn(&mut Report<'_>),
}

const SECTIONS: &[Section] = &[
    Section { name: "Server", is_default: true, write: process::server },
    Section { name: "Clients", is_default: true, write: state::clients },
    Section { name: "Memory", is_default: true, write: memory::memory },
    Section { name: "Persistence", is_default: true, write: state::persistence },
    Section { name: "Threads", is_default: true, write: traffic::threads },
    Section { name: "Stats", is_default: true, write: traffic::stats },
    Section { name: "Replication", is_default: true, write: state::replication },
    Section { name: "CPU", is_default: true, write: process::cpu },
    Section { name: "Modules", is_default: true, write: |_| {} },
    Section { name: "Commandstats", is_default: false, write: traffic::commandstats },
    Section { name: "Errorstats", is_default: true, write: traffic::errorstats },
    Section { name: "Latencystats", is_default: false, write: traffic::latencystats },
    Section { name: "Cluster", is_default: true, write: |report| report.field("cluster_enabled", 0) },
    Section { name: "Keyspace", is_default: true, write: state::keyspace },
    Section { name: "Keysizes", is_default: true, write: state::keysizes },
];

/// What sections are written from and into.
struct Report<'a> {
    text: String,
    instance: &'a Instance,
    databases: &'a Databases,
    snapshot: Snapshot,
    /// Milliseconds of the keyspace's clock.
    now_ms: i64,
    random: u64,
}

impl Report<'_> {
    /// One line; writing to a `String` does not fail.
    fn field(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Lines of equal value: what is absent.
    fn fields(&mut self, names: &[&str], value: impl Display + Copy) {
        names.iter().for_each(|name| self.field(name, value));
    }

    /// A number of bytes, and once more for people.
    fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }
}

/// Bytes as people read them: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    let value = bytes as f64 / 1024_f64.powi(power as i32);
    format!("{value:.2}{}", UNITS[power as usize - 1])
}

fn info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let wanted: Vec<&[u8]> = args.from(1).iter().collect();
    let chosen: Vec<&Section> = SECTIONS.iter().filter(|section| is_chosen(section, &wanted)).collect();
    let text = if chosen.is_empty() { String::new() } else { report(ctx, &chosen) };
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

fn is_chosen(section: &Section, wanted: &[&[u8]]) -> bool {
    let is = |name: &[u8], word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let all = |name: &[u8]| is(name, "all") || is(name, "everything");
    (wanted.is_empty() && section.is_default)
        || wanted
            .iter()
            .any(|name| all(name) || (is(name, "default") && section.is_default) || is(name, section.name))
}

fn report(ctx: &mut Ctx<'_>, chosen: &[&Section]) -> String {
    let snapshot = ctx.statistics();
    let mut report = Report {
        text: String::new(),
        instance: ctx.instance,
        databases: ctx.data.databases,
        snapshot,
        now_ms: ctx.data.now_ms(),
        random: ctx.data.journal.random(),
    };
    for section in chosen {
        if !report.text.is_empty() {
            report.text.push_str("\r\n");
        }
        let _ = write!(report.text, "# {}\r\n", section.name);
        (section.write)(&mut report);
    }
    report.text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    /// The reply's text, checked to be one bulk string of the length it says.
    fn info(bench: &mut Bench, line: &str) -> String {
        let reply = String::from_utf8(bench.run(line.as_bytes())).expect("text");
        let (header, rest) = reply.split_once("\r\n").expect("header");
        let length: usize = header[1..].parse().expect("length");
        assert_eq!(rest.len(), length + 2);
        rest[..length].to_owned()
    }

    fn sections(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.strip_prefix("# ")).collect()
    }

    #[test]
    fn sections_are_chosen_by_name_and_come_in_one_order() {
        let mut bench = Bench::new();
        let plain = info(&mut bench, "INFO");
        let defaults = [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Threads",
            "Stats",
            "Replication",
            "CPU",
            "Modules",
        ];
        assert_eq!(sections(&plain)[..9], defaults);
        assert!(!sections(&plain).contains(&"Commandstats"));
        assert_eq!(sections(&info(&mut bench, "INFO default")), sections(&plain));
        assert_eq!(sections(&info(&mut bench, "INFO everything")).len(), SECTIONS.len());
        assert_eq!(sections(&info(&mut bench, "INFO ALL")).len(), SECTIONS.len());
        assert_eq!(sections(&info(&mut bench, "INFO keyspace CPU keyspace nosuch")), ["CPU", "Keyspace"]);
        assert_eq!(bench.run(b"INFO nosuch"), b"$0\r\n\r\n");
        assert!(bench.run(b"HELLO 3\r\nINFO cpu").windows(14).any(|bytes| bytes == b"\r\ntxt:# CPU\r\nu"));
    }

    #[test]
    fn every_line_is_a_title_a_field_or_blank_and_no_field_is_there_twice() {
        let mut bench = Bench::new();
        bench.run(b"SET a 1\r\nSET b 2 EX 100\r\nNOSUCH");
        let text = info(&mut bench, "INFO everything");
        let mut names = std::collections::HashSet::new();
        for line in text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with("# ")) {
            let (name, _) = line.split_once(':').expect("a field");
            assert!(names.insert(name.to_owned()), "{name} twice");
        }
        // Names that exporters and redis-cli --stat look for.
        for name in [
            "redis_version",
            "uptime_in_seconds",
            "connected_clients",
            "blocked_clients",
            "maxclients",
            "used_memory",
            "used_memory_human",
            "used_memory_rss",
            "used_memory_peak",
            "mem_fragmentation_ratio",
            "allocator_frag_ratio",
            "maxmemory",
            "rdb_last_save_time",
            "aof_enabled",
            "loading",
            "total_commands_processed",
            "total_connections_received",
            "instantaneous_ops_per_sec",
            "keyspace_hits",
            "keyspace_misses",
            "evicted_keys",
            "expired_keys",
            "rejected_connections",
            "total_net_input_bytes",
            "role",
            "master_repl_offset",
            "used_cpu_sys",
            "used_cpu_user",
            "cluster_enabled",
            "db0",
            "errorstat_ERR",
            "cmdstat_set",
            "latency_percentiles_usec_set",
        ] {
            assert!(names.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn figures_are_those_of_what_ran() {
        let mut bench = Bench::new();
        bench
            .run(b"SET a 1\r\nSET b 2 EX 1000\r\nGET a\r\nGET nosuch\r\nSELECT 3\r\nSET c 3\r\nGETEX a PX 0");
        let text = info(&mut bench, "INFO everything");
        for expected in [
            "\r\ndb0:keys=2,expires=1,avg_ttl=",
            "\r\ndb3:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n",
            "\r\nkeyspace_hits:1\r\n",
            "\r\ncmdstat_set:calls=3,usec=",
            ",rejected_calls=0,failed_calls=0\r\n",
            "\r\ntotal_error_replies:1\r\n",
            "\r\nerrorstat_ERR:count=1\r\n",
            "\r\ndistrib_strings_sizes:1=3\r\n",
            "\r\nlatency_percentiles_usec_set:p50=",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let avg_ttl = text.split_once("keys=2,expires=1,avg_ttl=").expect("db0").1;
        let avg_ttl: i64 = avg_ttl.split_once(',').expect("fields").0.parse().expect("milliseconds");
        assert!((900_000..=1_000_000).contains(&avg_ttl), "{avg_ttl}");
    }

    #[test]
    fn a_report_inside_a_transaction_does_not_wait_for_itself() {
        let mut bench = Bench::new();
        bench.run(b"MULTI\r\nSET a 1 EX 100\r\nINFO keyspace\r\nCONFIG SET profiling-sizes no");
        let reply = String::from_utf8(bench.run(b"EXEC")).expect("text");
        assert!(reply.contains("db0:keys=1,expires=1,avg_ttl=") && reply.ends_with("+OK\r\n"), "{reply}");
    }

    #[test]
    fn bytes_are_told_as_redis_tells_them() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_423_144, "1.36M"),
            (25_276_510_208, "23.54G"),
            (1 << 50, "1.00P"),
            (u64::MAX, "16384.00P"),
        ];
        for (bytes, text) in table {
            assert_eq!(human(bytes), text);
        }
    }
}
