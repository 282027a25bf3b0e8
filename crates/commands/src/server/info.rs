//! INFO: figures about the server, section by section, in the lines that exporters and dashboards parse.
//!
//! Not where anything is counted or written: a section is a literal beside what it tells (`engine::spec::section`); here
//! is the list of all.
//!
//! Invariant: sections appear in the order of the list, whatever the order of the arguments, and each once.
//!
//! Thread safety: one worker; what all have counted is added up on the thread that makes reports.

use super::databases::section as databases;
use super::memory::figures;
use super::{SERVER, absent, process};
use engine::Instance;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::run::recording::sections as recorded;
use engine::spec::command::{Progress, Slice};
use engine::spec::section::{Report, Section, Shown};
use engine::spec::{Argument, ArgumentType, Command, LOADING, REPORTS, Run, STALE};
use engine::state::clients::section as clients;
use engine::state::counters::section as counters;
use engine::state::reporter::Length;
use observe::record::Snapshot;
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "INFO",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    flags: LOADING.and(STALE).and(REPORTS),
    categories: &["dangerous"],
    summary: "Report figures about the server, section by section.",
    args: &[Argument::new("section", ArgumentType::Text).optional().multiple()],
    run: Run::Slices(info),
    ..SERVER
}];

/// Every section, in the order of INFO.
const SECTIONS: &[Section] = &[
    process::SERVER,
    clients::CLIENTS,
    figures::MEMORY,
    absent::PERSISTENCE,
    clients::THREADS,
    counters::STATS,
    absent::REPLICATION,
    process::CPU,
    absent::MODULES,
    recorded::COMMANDSTATS,
    recorded::ERRORSTATS,
    recorded::LATENCYSTATS,
    absent::CLUSTER,
    databases::KEYSPACE,
    databases::KEYSIZES,
];

fn info(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let wanted: Vec<&[u8]> = args.from(1).iter().collect();
    let chosen: Vec<&Section> = SECTIONS.iter().filter(|section| is_chosen(section, &wanted)).collect();
    let mut text = String::new();
    if !chosen.is_empty() {
        let Some(snapshot) = ctx.report(progress, Length::Short, Instance::statistics) else {
            return Ok(Slice::Wait);
        };
        text = report(ctx, &chosen, snapshot);
    }
    ctx.reply.verbatim("txt", &text);
    Ok(Slice::Done)
}

fn is_chosen(section: &Section, wanted: &[&[u8]]) -> bool {
    let is = |name: &[u8], word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let all = |name: &[u8]| is(name, "all") || is(name, "everything");
    let is_default = section.shown == Shown::ByDefault;
    (wanted.is_empty() && is_default)
        || wanted
            .iter()
            .any(|name| all(name) || (is(name, "default") && is_default) || is(name, section.name))
}

fn report(ctx: &mut Ctx<'_>, chosen: &[&Section], snapshot: Snapshot) -> String {
    let mut report = Report {
        text: String::new(),
        instance: ctx.instance,
        databases: ctx.data.databases,
        snapshot,
        now_ms: ctx.data.now_ms(),
        random: ctx.data.journal.random(),
    };
    chosen.iter().for_each(|section| report.section(section));
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
}
