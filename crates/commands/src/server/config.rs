//! CONFIG: the subcommands that read, change and write back the settings.
//!
//! Not the settings themselves (`engine::config`): here are the replies, what must act at once on a change, and the one
//! file that is written on a client's demand.
//!
//! Invariant: the configuration file is replaced as a whole or not at all.
//!
//! Thread safety: settings are shared and locked inside; bodies run on one worker.

use super::{CONTAINER, HELP, SERVER};
use engine::config;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ADMIN, Argument, ArgumentType, Arity, Command, LOADING, NOSCRIPT, OUTSIDE, Outcome, REPORTS, Run, STALE,
    Secrecy,
};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use wire::Args;

const PAIR: &[Argument] = &[
    Argument::new("parameter", ArgumentType::Text),
    Argument::new("value", ArgumentType::Text).secret(Secrecy::OfDirective),
];

const SUBCOMMAND: Command = Command {
    arity: Arity::Exactly(2),
    flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE).and(OUTSIDE),
    since: "2.0.0",
    ..SERVER
};

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "CONFIG",
    since: "2.0.0",
    summary: "Read and change settings.",
    subcommands: SUBCOMMANDS,
    ..CONTAINER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "GET",
        arity: Arity::AtLeast(3),
        complexity: "O(N) where N is the number of settings named",
        summary: "Return the settings whose names match the patterns.",
        args: &[Argument::new("parameter", ArgumentType::Text).multiple()],
        run: Run::Body(get),
        ..SUBCOMMAND
    },
    Command { since: "5.0.0", ..HELP },
    Command {
        name: "RESETSTAT",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        flags: SUBCOMMAND.flags.and(REPORTS),
        summary: "Start the counters of INFO again.",
        run: Run::Body(resetstat),
        ..SUBCOMMAND
    },
    Command {
        name: "REWRITE",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        since: "2.8.0",
        summary: "Write the present settings into the configuration file.",
        run: Run::Body(rewrite),
        ..SUBCOMMAND
    },
    Command {
        name: "SET",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        arity: Arity::AtLeast(4),
        flags: SUBCOMMAND.flags.and(REPORTS),
        complexity: "O(N) where N is the number of settings named",
        summary: "Change settings, all of them or none.",
        args: &[Argument::block("data", PAIR).multiple()],
        run: Run::Body(set),
        ..SUBCOMMAND
    },
];

fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.from(2).iter().collect();
    let found = ctx.instance.settings.get_all(&patterns);
    ctx.reply.map(found.len());
    for (name, text) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(text.as_bytes());
    }
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|at| (args.at(at), args.at(at + 1))).collect();
    let is_local = super::debug::is_local(&ctx.session.client.origin);
    let changed = ctx.instance.settings.set(&pairs, is_local)?;
    if changed.iter().any(|directive| directive.name.starts_with("profiling")) {
        crate::profile::switch(ctx);
    }
    ctx.reply.ok();
    Ok(())
}

fn resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    ctx.instance.recorders.restart_statistics();
    ctx.take_recording_orders();
    ctx.instance.profile_windows.counters_restarted(ctx.instance.now_ms());
    let counters = &ctx.instance.counters;
    for counter in [
        &counters.rejected_connections,
        &counters.output_limit_disconnections,
        &counters.query_limit_disconnections,
        &counters.lock_retries,
        &counters.gate_escalations,
        &counters.event_loop_cycles,
        &counters.event_loop_duration_us,
    ] {
        counter.store(0, Relaxed);
    }
    counters.connections_at_reset.store(ctx.instance.clients.connections(), Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let file = ctx.instance.config_file.as_ref().ok_or(CommandError::NO_CONFIG_FILE)?;
    let rewritten = match fs::read_to_string(file) {
        Ok(original) => config::rewrite(&ctx.instance.settings, &original),
        Err(error) => return Err(CommandError::config_rewrite(&error.to_string())),
    };
    replace(Path::new(file), rewritten.as_bytes())
        .map_err(|error| CommandError::config_rewrite(&error.to_string()))?;
    tracing::info!("CONFIG REWRITE executed with success.");
    ctx.reply.ok();
    Ok(())
}

/// Writes a new file beside the old one and puts it in its place, so that a crash leaves one of the two whole.
fn replace(file: &Path, contents: &[u8]) -> std::io::Result<()> {
    let target = fs::canonicalize(file)?;
    let mut name = target.clone().into_os_string();
    name.push(format!("-{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let written = write_synced(&temporary, contents, &target).and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename is durable once the directory is.
    target.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
}

fn write_synced(temporary: &Path, contents: &[u8], like: &Path) -> std::io::Result<()> {
    let mut file = fs::File::create_new(temporary)?;
    // The file may hold the password: it must not be readable by more people than before.
    file.set_permissions(fs::metadata(like)?.permissions())?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn settings_are_read_and_changed() {
        let mut bench = Bench::new();
        for (line, expected) in [
            ("CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"),
            ("CONFIG SET maxmemory 1gb timeout 30", "+OK\r\n"),
            (
                "CONFIG GET timeout maxmemory",
                "*4\r\n$7\r\ntimeout\r\n$2\r\n30\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n",
            ),
            ("CONFIG GET nosuch", "*0\r\n"),
            ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command\r\n"),
            ("CONFIG SET maxmemory", "-ERR wrong number of arguments for 'config|set' command\r\n"),
            ("CONFIG SET maxmemory 0 x", "-ERR syntax error\r\n"),
            (
                "CONFIG SET nosuch 1",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n",
            ),
            ("CONFIG REWRITE", "-ERR The server is running without a config file\r\n"),
        ] {
            assert_eq!(String::from_utf8(bench.run(line.as_bytes())).expect("text"), expected, "{line}");
        }
        bench.run(b"HELLO 3");
        assert_eq!(bench.run(b"CONFIG GET timeout"), b"%1\r\n$7\r\ntimeout\r\n$2\r\n30\r\n");
    }

    #[test]
    fn observers_follow_their_switches_from_the_next_batch_of_every_worker_on() {
        let mut first = Bench::with(engine::config::Settings::new(), 2);
        let mut second = first.sharing();
        let calls = |bench: &mut Bench, request: &str| {
            let sampled = |bench: &Bench| {
                let snapshot = bench.instance.snapshot();
                (
                    snapshot.hotkeys.operations.total(),
                    snapshot
                        .latency
                        .commands()
                        .iter()
                        .map(|stats| stats.stage(observe::record::latency::Stage::Run).count())
                        .sum::<u64>(),
                )
            };
            let before = sampled(bench);
            bench.run(request.as_bytes());
            let after = sampled(bench);
            (after.0 - before.0, after.1 - before.1)
        };
        assert_eq!(calls(&mut second, "GET a"), (1, 1));
        assert_eq!(first.run(b"CONFIG SET profiling-hotkeys no"), b"+OK\r\n");
        assert_eq!((calls(&mut first, "GET a"), calls(&mut second, "GET a")), ((0, 1), (0, 1)));
        first.run(b"CONFIG SET profiling no");
        assert_eq!((calls(&mut first, "GET a"), calls(&mut second, "GET a")), ((0, 0), (0, 0)));
        second.run(b"CONFIG SET profiling yes profiling-hotkeys yes");
        assert_eq!((calls(&mut first, "GET a"), calls(&mut second, "GET a")), ((1, 1), (1, 1)));
    }

    #[test]
    fn resetstat_starts_the_counters_again() {
        let mut bench = Bench::new();
        let (_, peak) = bench.instance.used_memory_bytes();
        bench.instance.counters.memory_peak_bytes.store(peak + 1_000_000, Relaxed);
        bench.run(b"GET a\r\nNOSUCH\r\nCONFIG RESETSTAT");
        assert_eq!(bench.instance.used_memory_bytes().1, peak + 1_000_000, "the peak is the process's");
        let info = String::from_utf8(bench.run(b"INFO stats commandstats errorstats")).expect("text");
        // The reset itself is counted when it is over.
        for expected in [
            "\r\nkeyspace_misses:0\r\n",
            "\r\ntotal_error_replies:0\r\n",
            "\r\ntotal_connections_received:0\r\n",
            "\r\ntotal_commands_processed:1\r\n",
            "\r\ncmdstat_config|resetstat:calls=1,",
        ] {
            assert!(info.contains(expected), "{expected} in {info}");
        }
        assert!(!info.contains("cmdstat_get") && !info.contains("errorstat_"), "{info}");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(format!("limpid-rewrite-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let file = directory.join("limpid.conf");
        fs::write(&file, "port 1\n").expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("permissions");
        replace(&file, b"port 2\n").expect("replace");
        assert_eq!(fs::read_to_string(&file).expect("read"), "port 2\n");
        assert_eq!(fs::metadata(&file).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).expect("list").count(), 1);
        assert!(replace(&directory.join("nosuch"), b"").is_err());
        fs::remove_dir_all(&directory).expect("clean");
    }
}
