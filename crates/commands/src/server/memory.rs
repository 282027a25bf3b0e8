//! MEMORY: the subcommands that tell what memory is used for.
//!
//! Not the counting: used memory comes from the allocator's wrapper, the rest from the system and from the allocator
//! itself. The same figures go into INFO memory, see `figures.rs`.
//!
//! Invariant: MEMORY USAGE takes the same time for every value: an entry knows its size.
//!
//! Thread safety: bodies run on one worker; figures of others are relaxed atomics.

pub(super) mod figures;

use self::figures::{MemoryFigures, ratio};
use super::{CONTAINER, HELP, SERVER};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::command::{Progress, Slice};
use engine::spec::{
    Argument, ArgumentType, Arity, Command, KEY, KeySpec, LOADING, Outcome, READONLY, REPORTS, RO, Run,
};
use wire::{Args, Reply};

/// Below so little used memory MEMORY DOCTOR says nothing about ratios, as they say nothing themselves.
const DIAGNOSED_BYTES_MIN: u64 = 5 << 20;

const SUBCOMMAND: Command = Command { arity: Arity::Exactly(2), since: "4.0.0", ..SERVER };

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "MEMORY",
    since: "4.0.0",
    summary: "Tell what memory is used for.",
    subcommands: SUBCOMMANDS,
    ..CONTAINER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "DOCTOR",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        flags: REPORTS,
        summary: "Say in words what is wrong with memory.",
        run: Run::Slices(doctor),
        ..SUBCOMMAND
    },
    Command { since: "4.0.0", ..HELP },
    Command {
        name: "MALLOC-STATS",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        flags: LOADING,
        complexity: "Depends on how much memory is allocated",
        summary: "Return the allocator's own report.",
        run: Run::Body(malloc_stats),
        ..SUBCOMMAND
    },
    Command {
        name: "PURGE",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        flags: LOADING,
        complexity: "Depends on how much memory is allocated",
        summary: "Give unused pages back to the system.",
        run: Run::Body(purge),
        ..SUBCOMMAND
    },
    Command {
        name: "STATS",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        flags: REPORTS,
        summary: "Return figures about memory.",
        run: Run::Slices(stats),
        ..SUBCOMMAND
    },
    Command {
        name: "USAGE",
        arity: Arity::AtLeast(3),
        flags: READONLY,
        keys: &[KeySpec::one(2, RO)],
        summary: "Return the bytes a key and its value take, allocator's rounding included.",
        args: &[KEY, Argument::new("count", ArgumentType::Integer).after("SAMPLES").optional()],
        run: Run::Body(usage),
        ..SUBCOMMAND
    },
];

fn usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let mut at = 3;
    while let Some(option) = args.get(at) {
        let value = args.get(at + 1).filter(|_| option.eq_ignore_ascii_case(b"SAMPLES"));
        // Nothing is sampled: the size is known. The number is checked all the same.
        let samples = wire::number::parse_i64(value.ok_or(CommandError::SYNTAX)?);
        if samples.ok_or(CommandError::NOT_AN_INTEGER)? < 0 {
            return Err(CommandError::SYNTAX);
        }
        at += 2;
    }
    let usage_bytes = ctx.data.find(args.at(2)).map(|entry| entry.memory_bytes());
    match usage_bytes {
        Some(bytes) => ctx.reply.integer(bytes as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if let Some(allocator) = ctx.instance.allocator.get() {
        (allocator.purge)();
    }
    ctx.reply.ok();
    Ok(())
}

fn malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let report = match ctx.instance.allocator.get() {
        Some(allocator) => (allocator.report)(),
        None => "Stats not supported for the current allocator".to_owned(),
    };
    ctx.reply.verbatim("txt", &report);
    Ok(())
}

fn stats(ctx: &mut Ctx<'_>, _: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let Some(figures) = MemoryFigures::read(ctx, progress) else { return Ok(Slice::Wait) };
    let with_keys = ctx.data.databases.iter().filter(|(_, database)| !database.is_empty());
    let overheads: Vec<(usize, u64, u64)> = with_keys
        .map(|(number, database)| {
            let (main, expires) = database.overhead_bytes(ctx.data.journal.worker);
            (number, main as u64, expires as u64)
        })
        .collect();
    let reply = &mut *ctx.reply;
    let start = reply.start_array();
    let mut pairs = 0;
    let mut integer = |reply: &mut Reply, name: &str, value: i64| {
        reply.bulk(name.as_bytes());
        reply.integer(value);
        pairs += 1;
    };
    for (name, value) in [
        ("peak.allocated", figures.peak),
        ("total.allocated", figures.used),
        ("startup.allocated", figures.startup),
        ("replication.backlog", 0),
        ("replicas.repl.buffer", 0),
        ("clients.slaves", 0),
        ("clients.normal", figures.clients),
        ("cluster.links", 0),
        ("cluster.slot_import", 0),
        ("cluster.slot_export", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
    ] {
        integer(reply, name, value as i64);
    }
    let tables: u64 = overheads.iter().map(|(_, main, _)| main).sum();
    overheads.iter().for_each(|overhead| write_database(reply, *overhead));
    for (name, value) in [
        ("overhead.db.hashtable.lut", tables),
        // Tables grow a bounded segment at a time.
        ("overhead.db.hashtable.rehashing", 0),
        ("overhead.total", figures.overhead()),
        ("db.dict.rehashing.count", 0),
        ("keys.count", figures.keys),
        ("keys.bytes-per-key", figures.dataset().checked_div(figures.keys).unwrap_or(0)),
        ("dataset.bytes", figures.dataset()),
    ] {
        integer(reply, name, value as i64);
    }
    let allocator = figures.allocator;
    for (name, value) in [
        ("allocator.allocated", allocator.allocated),
        ("allocator.active", allocator.active),
        ("allocator.resident", allocator.resident),
        ("allocator.muzzy", 0),
    ] {
        integer(reply, name, value as i64);
    }
    for (name, (of, to)) in [
        ("allocator-fragmentation.bytes", (allocator.active, allocator.allocated)),
        ("allocator-rss.bytes", (allocator.resident, allocator.active)),
        ("rss-overhead.bytes", (figures.rss, allocator.resident)),
        ("fragmentation.bytes", (figures.rss, figures.used)),
    ] {
        integer(reply, name, of as i64 - to as i64);
    }
    let net = figures.used.saturating_sub(figures.startup);
    for (name, value) in [
        ("dataset.percentage", 100.0 * ratio(figures.dataset(), net)),
        ("peak.percentage", 100.0 * ratio(figures.used, figures.peak)),
        ("allocator-fragmentation.ratio", ratio(allocator.active, allocator.allocated)),
        ("allocator-rss.ratio", ratio(allocator.resident, allocator.active)),
        ("rss-overhead.ratio", ratio(figures.rss, allocator.resident)),
        ("fragmentation", ratio(figures.rss, figures.used)),
    ] {
        reply.bulk(name.as_bytes());
        reply.double(value);
        pairs += 1;
    }
    reply.finish_map(start, pairs + overheads.len());
    Ok(Slice::Done)
}

/// The section of one database that has keys: its tables, and its wheel, which is all that deadlines take outside the
/// entries.
fn write_database(reply: &mut Reply, (number, main, expires): (usize, u64, u64)) {
    reply.bulk(format!("db.{number}").as_bytes());
    reply.map(2);
    reply.bulk(b"overhead.hashtable.main");
    reply.integer(main as i64);
    reply.bulk(b"overhead.hashtable.expires");
    reply.integer(expires as i64);
}

/// Names what is out of the ordinary, with the figures it concludes from, or says that nothing is.
fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let Some(figures) = MemoryFigures::read(ctx, progress) else { return Ok(Slice::Wait) };
    ctx.reply.verbatim("txt", &diagnosis(&figures));
    Ok(Slice::Done)
}

fn diagnosis(figures: &MemoryFigures) -> String {
    /// From this ratio on a finding is worth words.
    const RATIO_MIN: f64 = 1.4;
    const WASTE_BYTES_MIN: u64 = 10 << 20;
    if figures.used < DIAGNOSED_BYTES_MIN {
        return "The server uses so little memory that there is nothing to diagnose.\n".to_owned();
    }
    let mut findings = Vec::new();
    let mut compare = |of: u64, to: u64, name: &str, remedy: &str| {
        if ratio(of, to) >= RATIO_MIN && of.saturating_sub(to) >= WASTE_BYTES_MIN {
            findings
                .push(format!("* {name}: {of} bytes against {to} (ratio {:.2}). {remedy}", ratio(of, to)));
        }
    };
    let allocator = figures.allocator;
    compare(
        figures.peak,
        figures.used,
        "Peak",
        "More memory was in use once; resident memory may stay near that.",
    );
    compare(
        allocator.active,
        allocator.allocated,
        "Fragmentation inside the allocator",
        "Values changed their sizes a lot; a restart packs them again.",
    );
    compare(
        allocator.resident,
        allocator.active,
        "Pages the allocator keeps",
        "MEMORY PURGE gives them back to the system.",
    );
    compare(
        figures.clients,
        figures.dataset(),
        "Connections' buffers",
        "They hold more than the data; look at omem and qbuf of CLIENT LIST.",
    );
    if findings.is_empty() {
        return "Memory is healthy: no finding.\n".to_owned();
    }
    format!("Findings about memory:\n{}\n", findings.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use engine::state::instance::{Allocator, AllocatorFigures};

    #[test]
    fn usage_is_the_entry_with_its_rounding() {
        let mut bench = Bench::new();
        bench.run(b"SET a 1");
        bench.command(&[b"SET", b"big", &[b'x'; 100_000]]);
        for (line, expected) in [
            ("MEMORY USAGE nosuch", "$-1\r\n"),
            ("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range\r\n"),
            ("MEMORY USAGE a SAMPLES -1", "-ERR syntax error\r\n"),
            ("MEMORY USAGE a SAMPLES", "-ERR syntax error\r\n"),
            ("MEMORY USAGE a FOO 1", "-ERR syntax error\r\n"),
        ] {
            assert_eq!(String::from_utf8(bench.run(line.as_bytes())).expect("text"), expected, "{line}");
        }
        let mut usage = |line: &str| -> usize {
            let reply = String::from_utf8(bench.run(line.as_bytes())).expect("text");
            reply.trim_start_matches(':').trim_end().parse().expect("integer")
        };
        assert!((10..=32).contains(&usage("MEMORY USAGE a SAMPLES 0")));
        assert!((100_000..=115_000).contains(&usage("MEMORY USAGE big")));
    }

    #[test]
    fn stats_come_from_the_allocator_and_the_entries() {
        let mut bench = Bench::new();
        let figures = || AllocatorFigures { allocated: 100, active: 150, resident: 300 };
        let allocator =
            Allocator { name: || "test".into(), figures, purge: || {}, report: || "report".into() };
        assert!(bench.instance.allocator.set(allocator).is_ok());
        bench.run(b"MSET a 1 b 2");
        let stats = String::from_utf8(bench.run(b"MEMORY STATS")).expect("text");
        for expected in [
            "$10\r\nkeys.count\r\n:2\r\n",
            "$19\r\nallocator.allocated\r\n:100\r\n",
            "$15\r\nallocator.muzzy\r\n:0\r\n",
            "$29\r\nallocator-fragmentation.bytes\r\n:50\r\n",
            "$29\r\nallocator-fragmentation.ratio\r\n$3\r\n1.5\r\n",
            "$19\r\nallocator-rss.ratio\r\n$1\r\n2\r\n",
        ] {
            assert!(stats.contains(expected), "{expected} in {stats}");
        }
        assert_eq!(bench.run(b"MEMORY PURGE\r\nMEMORY MALLOC-STATS"), b"+OK\r\n$6\r\nreport\r\n");
        bench.run(b"HELLO 3");
        assert!(bench.run(b"MEMORY STATS").starts_with(b"%35\r\n"), "34 and the section of the one database");
    }

    #[test]
    fn each_database_with_keys_has_a_section_that_grows_with_it() {
        let mut bench = Bench::new();
        let figure = |bench: &mut Bench, section: &str, name: &str| -> Option<usize> {
            let stats = String::from_utf8(bench.run(b"MEMORY STATS")).expect("text");
            let section = stats.split_once(&format!("{section}\r\n"))?.1;
            section.split_once(&format!("{name}\r\n:"))?.1.split_once("\r\n")?.0.parse().ok()
        };
        let main = "overhead.hashtable.main";
        assert_eq!(figure(&mut bench, "db.0", main), None);
        bench.run(b"SELECT 3\r\nSET a 1");
        assert_eq!(figure(&mut bench, "db.0", main), None);
        let before = figure(&mut bench, "db.3", main).expect("a section");
        for n in 0..20_000 {
            bench.run(format!("SET {n} v EX 100").as_bytes());
        }
        let per_key = (figure(&mut bench, "db.3", main).expect("a section") - before) as f64 / 20_000.0;
        assert!((7.0..20.0).contains(&per_key), "nine entries to a cache line, and growth: {per_key}");
        assert!(figure(&mut bench, "db.3", "overhead.hashtable.expires").is_some_and(|bytes| bytes > 10_000));
    }

    #[test]
    fn the_doctor_finds_what_is_wrong_and_only_that() {
        let healthy = MemoryFigures { used: 100 << 20, peak: 100 << 20, ..MemoryFigures::default() };
        assert_eq!(diagnosis(&healthy), "Memory is healthy: no finding.\n");
        let after_a_peak = MemoryFigures { peak: 200 << 20, ..healthy };
        assert!(diagnosis(&after_a_peak).contains("* Peak: 209715200 bytes against 104857600 (ratio 2.00)."));
        let empty = MemoryFigures { used: 1 << 20, peak: 200 << 20, ..healthy };
        assert!(diagnosis(&empty).contains("nothing to diagnose"));
    }
}
