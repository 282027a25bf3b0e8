//! `cargo xtask check`: every check of the repository, one after the other, in one command.
//!
//! 1. A failing step does not hide the ones after it; the exit status does not forget it.
//! 2. What could not run is SKIPPED in plain sight and counted as skipped, never as passed.
//! 3. The last lines are the test runner's own summary and, alone on a line, `N passed, N failed`, where a
//!    step that is not a test runner counts as one.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::provision::{self, Install, Machine};
use crate::step::{self, Counts, Finished, Outcome};
use crate::{arrows, docs, instructions, tidy};

/// Runs everything; an error when anything failed.
pub(crate) fn run(root: &Path, install: Install) -> Result<(), String> {
    let started = Instant::now();
    let mut machine = None;
    let mut steps = vec![
        step::run("tools", |_| machine = Some(tools(root, install))),
        step::run("format", |step| step::settle(step, cargo(root, &["fmt", "--all", "--check"]))),
        step::run("lints", |step| step::settle(step, clippy(root))),
        step::run("house rules", |step| step::settle(step, tidy::check(root))),
        step::run("arrows between crates", |step| step::settle(step, arrows::check(root))),
        step::run("documentation", |step| step::settle(step, docs::check(root))),
        step::run("documentation tests", |step| doc_tests(root, step)),
        step::run("shuttle", |step| shuttle(root, install, step)),
        step::run("instructions", |step| count_instructions(root, step)),
    ];
    let machine = machine.unwrap_or_else(|| provision::prepare(root, Install::Never));
    steps.push(step::run("tests", |step| tests(root, install, &machine, step)));
    report(&steps, &machine, started)
}

fn tools(root: &Path, install: Install) -> Machine {
    let machine = provision::prepare(root, install);
    for missing in &machine.missing {
        println!("   SKIPPED tests {}: {}", missing.module, missing.message);
    }
    machine
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<(), String> {
    step::command(root, step::cargo().args(arguments))
}

fn clippy(root: &Path) -> Result<(), String> {
    cargo(root, &["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn count_instructions(root: &Path, step: &mut Finished) {
    if provision::found("valgrind") {
        step::settle(step, instructions::check(root));
    } else {
        let how = "valgrind is not on PATH; install it with: apt-get install valgrind";
        step.outcome = Outcome::Skipped(how.to_owned());
    }
}

/// nextest does not run the examples in doc comments.
fn doc_tests(root: &Path, step: &mut Finished) {
    let (lines, result) = step::command_lines(
        root,
        step::cargo().args(["test", "--quiet", "--locked", "--workspace", "--doc"]),
    );
    count(step, &lines, result);
    step.summaries.clear();
}

/// The lock tests, with every lock and atomic replaced by shuttle's, which explores schedules.
///
/// A directory of its own, because `--cfg shuttle` rebuilds everything beneath it.
fn shuttle(root: &Path, install: Install, step: &mut Finished) {
    const PACKAGES: [&str; 2] = ["keyspace", "engine"];
    for package in PACKAGES {
        let file = format!("crates/{package}/tests/shuttle.rs");
        if !root.join(&file).is_file() {
            step.outcome = Outcome::Skipped(format!("{file} does not exist"));
            return;
        }
    }
    let mut command = runner(root, install);
    // RUSTFLAGS replaces the flags of .cargo/config.toml, so the frame pointers are named again.
    command
        .env("RUSTFLAGS", "--cfg shuttle -C force-frame-pointers=yes")
        .env("CARGO_TARGET_DIR", provision::target_directory(root).join("shuttle"))
        .args(["--locked", "--test", "shuttle"])
        .args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    let (lines, result) = step::command_lines(root, &mut command);
    count(step, &lines, result);
}

fn tests(root: &Path, install: Install, machine: &Machine, step: &mut Finished) {
    let mut command = runner(root, install);
    command.args(["--locked", "--workspace"]).env("LIMPID_CLIENTS", &machine.clients);
    let skipped = machine.skipped_modules();
    if has_nextest(root) {
        command.arg("--no-fail-fast");
        if !skipped.is_empty() {
            let filter: Vec<String> = skipped.iter().map(|module| format!("test({module}::)")).collect();
            command.args(["-E", &format!("not ({})", filter.join(" | "))]);
        }
    } else {
        command.args(["--no-fail-fast", "--all-targets", "--"]);
        for module in skipped {
            command.args(["--skip", &format!("{module}::")]);
        }
    }
    let (lines, result) = step::command_lines(root, &mut command);
    count(step, &lines, result);
}

/// Takes a runner's counts; a runner that ended badly without counting anything is one failure.
fn count(step: &mut Finished, lines: &[String], result: Result<(), String>) {
    let (mut counts, summaries) = step::count_tests(lines).unwrap_or_default();
    if result.is_err() && counts.failed == 0 {
        counts.failed = 1;
    }
    step.summaries = summaries;
    step.tests = Some(counts);
    step::settle(step, result);
}

/// `cargo nextest run`, installed when absent; `cargo test` when that is not possible.
fn runner(root: &Path, install: Install) -> Command {
    if !has_nextest(root) && install == Install::Allowed {
        let tools = provision::target_directory(root).join("tools");
        println!("   cargo-nextest is absent; installing it into {} (some minutes, once)", tools.display());
        let arguments = ["install", "--quiet", "cargo-nextest", "--locked", "--root"];
        let mut command = step::cargo();
        if let Err(error) = step::command(root, command.args(arguments).arg(&tools)) {
            println!("   {error}");
        }
    }
    let mut command = step::cargo();
    command.env("PATH", path_with_tools(root));
    if has_nextest(root) {
        command.args(["nextest", "run"]);
    } else {
        println!("   running `cargo test`, for want of nextest: cargo install cargo-nextest --locked");
        command.arg("test");
    }
    command
}

fn path_with_tools(root: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = provision::target_directory(root).join("tools/bin");
    let directories: Vec<_> = std::env::split_paths(&path).chain([tools]).collect();
    std::env::join_paths(directories).unwrap_or(path)
}

fn has_nextest(root: &Path) -> bool {
    let path = path_with_tools(root);
    std::env::split_paths(&path).any(|directory| directory.join("cargo-nextest").is_file())
}

fn report(steps: &[Finished], machine: &Machine, started: Instant) -> Result<(), String> {
    println!("\n== result after {:.0} s", started.elapsed().as_secs_f64());
    let mut total = Counts::default();
    for step in steps {
        let verdict = match &step.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "SKIPPED",
        };
        println!("{verdict:>8}  {:6.1} s  {}", step.took.as_secs_f64(), step.name);
        total.add(step.tests.unwrap_or(match &step.outcome {
            Outcome::Passed => Counts { passed: 1, ..Counts::default() },
            Outcome::Failed(_) => Counts { failed: 1, ..Counts::default() },
            Outcome::Skipped(_) => Counts { skipped: 1, ..Counts::default() },
        }));
    }
    for missing in &machine.missing {
        println!(" SKIPPED  {}: {}", missing.module, missing.message);
    }
    for summary in steps.iter().flat_map(|step| &step.summaries) {
        println!("{summary}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { Ok(()) } else { Err(String::new()) }
}
