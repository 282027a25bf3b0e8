//! One step of the check: a heading, the output as it comes, the time it took, and what it counted.
//!
//! Thread safety: one thread reads the child's standard error while the caller reads its standard output.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What a step leaves for the final report.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
    /// Tests counted by a test runner; `None` for a step that is one check in itself.
    pub(crate) tests: Option<Counts>,
    /// The runner's own summary lines, repeated at the end.
    pub(crate) summaries: Vec<String>,
}

/// Tests a runner reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Prints the heading, runs `body`, prints the verdict with the time.
pub(crate) fn run(name: &'static str, body: impl FnOnce(&mut Finished)) -> Finished {
    println!("\n== {name}");
    let started = Instant::now();
    let mut finished =
        Finished { name, took: Duration::ZERO, outcome: Outcome::Passed, tests: None, summaries: Vec::new() };
    body(&mut finished);
    finished.took = started.elapsed();
    let seconds = finished.took.as_secs_f64();
    match &finished.outcome {
        Outcome::Passed => println!("-- {name}: passed in {seconds:.1} s"),
        Outcome::Failed(why) => println!("-- {name}: FAILED in {seconds:.1} s: {why}"),
        Outcome::Skipped(why) => println!("-- {name}: SKIPPED: {why}"),
    }
    finished
}

/// Turns a `Result` into the step's outcome.
pub(crate) fn settle(finished: &mut Finished, result: Result<(), String>) {
    if let Err(why) = result {
        eprintln!("{why}");
        finished.outcome = Outcome::Failed(why.lines().next().unwrap_or_default().to_owned());
    }
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command in `root`, passing its output on and failing on a bad exit status.
pub(crate) fn command(root: &Path, command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    println!("   $ {shown}");
    let status = command.current_dir(root).status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Like [`command`], but also returns every line of both streams.
pub(crate) fn command_lines(root: &Path, command: &mut Command) -> (Vec<String>, Result<(), String>) {
    let shown = show(command);
    println!("   $ {shown}");
    let spawned = command.current_dir(root).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return (Vec::new(), Err(format!("{shown}: {error}"))),
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let errors = child.stderr.take().map(|stream| {
        let lines = Arc::clone(&lines);
        std::thread::spawn(move || tee(stream, std::io::stderr(), &lines))
    });
    if let Some(stream) = child.stdout.take() {
        tee(stream, std::io::stdout(), &lines);
    }
    if let Some(reader) = errors {
        let _ = reader.join();
    }
    let result = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    };
    let lines = std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner));
    (lines, result)
}

fn tee(from: impl std::io::Read, mut to: impl Write, lines: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        let _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        line.clear();
    }
}

fn show(command: &Command) -> String {
    let mut shown: Vec<String> = Vec::new();
    for (name, value) in command.get_envs() {
        // The search path says nothing that a reader would have to repeat.
        if let Some(value) = value.filter(|_| name != "PATH") {
            shown.push(format!("{}={:?}", name.to_string_lossy(), value.to_string_lossy()));
        }
    }
    let program = Path::new(command.get_program());
    shown.push(program.file_name().unwrap_or_default().to_string_lossy().into_owned());
    shown.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    shown.join(" ")
}

/// Reads the last summary of nextest (`Summary [ 1.2s] 9 tests run: 8 passed, 1 failed, 2 skipped`) or the
/// sum of libtest's (`test result: ok. 3 passed; 0 failed; 1 ignored; ...`).
pub(crate) fn count_tests(lines: &[String]) -> Option<(Counts, Vec<String>)> {
    let nextest = lines.iter().rev().find(|line| line.trim_start().starts_with("Summary ["));
    if let Some(line) = nextest {
        let counts = line.split_once("run:").map(|(_, rest)| numbers_before(rest))?;
        return Some((counts, vec![line.clone()]));
    }
    let mut total = Counts::default();
    let mut summaries = Vec::new();
    for line in lines.iter().filter(|line| line.starts_with("test result:")) {
        total.add(numbers_before(line));
        summaries.push(line.clone());
    }
    if summaries.is_empty() { None } else { Some((total, summaries)) }
}

fn numbers_before(text: &str) -> Counts {
    let mut counts = Counts::default();
    let words: Vec<&str> =
        text.split([' ', ',', ';', '.', '(', ')']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let [number, word] = pair else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match *word {
            "passed" => counts.passed += number,
            "failed" | "exec" | "timed" => counts.failed += number,
            "skipped" | "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summary_is_counted() {
        let lines = vec![
            "    PASS [   0.1s] a".to_owned(),
            "     Summary [  20.1s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped"
                .to_owned(),
        ];
        let (counts, summaries) = count_tests(&lines).unwrap();
        assert_eq!(counts, Counts { passed: 9, failed: 3, skipped: 4 });
        assert_eq!(summaries.len(), 1);
    }

    #[test]
    fn libtest_results_are_added_up() {
        let line =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        let lines = vec![line.to_owned(), line.replace("0 failed", "2 failed")];
        let (counts, _) = count_tests(&lines).unwrap();
        assert_eq!(counts, Counts { passed: 6, failed: 2, skipped: 2 });
    }

    #[test]
    fn a_build_that_failed_has_no_counts() {
        assert!(count_tests(&["error: could not compile".to_owned()]).is_none());
    }
}
