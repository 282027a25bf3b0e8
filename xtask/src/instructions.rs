//! `cargo xtask instructions`: instructions per operation of the hot path, counted by valgrind, against a committed table.
//!
//! Not a benchmark: a count does not depend on what else the machine does, so a growth of two per cent can fail the
//! check, and says nothing of caches, branches or the kernel. What is counted is `crates/commands/examples/dispatch.rs`:
//! parsing, dispatch and replies, without sockets.
//!
//! The table, `docs/instructions.md`, is renewed (`--renew`) in a commit that says why a figure grew.
//!
//! Invariants: (1) every operation of [`OPERATIONS`] stands in the table once; (2) repeated runs of one build differ by
//! less than a tenth of a per cent, because hash seed, keys and allocator are fixed; measured: 0.02 %.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::provision;

const TABLE: &str = "docs/instructions.md";
/// Growth above this fails, in per cent.
const GROWTH_MAX: u64 = 2;
/// Enough keys that lookups go through segments and directories, few enough that setting them costs a second.
const KEYS: &str = "10000";

/// What is counted: operation and how many of it one batch holds. See the example for what each is.
const OPERATIONS: &[(&str, u32)] = &[
    ("get", 1),
    ("get", 16),
    ("get", 64),
    ("set", 1),
    ("set", 16),
    ("set", 64),
    ("multi3", 1),
    ("mget10", 1),
];

const HEADING: &str = "\
# Instructions per operation

Written by `cargo xtask instructions --renew`; `cargo xtask check` compares. A figure that grows by more than 2 % fails the
check until this table is renewed in a commit that says why. Counted by valgrind's callgrind on
`crates/commands/examples/dispatch.rs`: parsing, dispatch and reply of a batch, without sockets and the kernel, built as
users build it. `multi3` is MULTI, three INCRs and EXEC; `mget10` is MGET of ten keys; `pipeline` is how many operations
one batch holds. The last two columns are with all observers on (the default) and with `profiling no`.

| operation | pipeline | profiling | without |
|-----------|---------:|----------:|--------:|
";

/// Instructions of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    operation: String,
    pipeline: u32,
    profiling: u64,
    without: u64,
}

/// Counts, and fails on a figure above the table's.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let path = root.join(TABLE);
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let known = parse(&text)?;
    let counted = count_all(root)?;
    print!("{}", compare(&known, &counted)?);
    Ok(())
}

/// Counts, and writes the table.
pub(crate) fn renew(root: &Path) -> Result<(), String> {
    let counted = count_all(root)?;
    let path = root.join(TABLE);
    if let Some(known) = std::fs::read_to_string(&path).ok().and_then(|text| parse(&text).ok()) {
        print!("{}", describe(&known, &counted));
    }
    std::fs::write(&path, format!("{HEADING}{}", print(&counted)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn count_all(root: &Path) -> Result<Vec<Row>, String> {
    if !provision::found("valgrind") {
        return Err("valgrind is not on PATH; install it with: apt-get install valgrind".to_owned());
    }
    let program = build(root)?;
    let row = |&(operation, pipeline): &(&str, u32)| {
        let profiling = count(&program, operation, pipeline, "yes")?;
        let without = count(&program, operation, pipeline, "no")?;
        Ok(Row { operation: operation.to_owned(), pipeline, profiling, without })
    };
    OPERATIONS.iter().map(row).collect()
}

fn build(root: &Path) -> Result<PathBuf, String> {
    let arguments = ["build", "--quiet", "--release", "--locked", "-p", "commands", "--example", "dispatch"];
    crate::step::command(root, crate::step::cargo().args(arguments))?;
    Ok(provision::target_directory(root).join("release/examples/dispatch"))
}

fn count(program: &Path, operation: &str, pipeline: u32, profiling: &str) -> Result<u64, String> {
    let operations = 6_400 / pipeline * pipeline;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"])
        .arg(program)
        .args([operation, &pipeline.to_string(), "--keys", KEYS, "--rounds", &operations.to_string()])
        .args(["--slow-clock", "50", "--profiling", profiling])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split("Collected :").nth(1));
    match collected.and_then(|number| number.trim().parse::<u64>().ok()) {
        Some(instructions) if output.status.success() => Ok(instructions / u64::from(operations)),
        _ => Err(format!("valgrind counted nothing for {operation} at pipeline {pipeline}:\n{text}")),
    }
}

fn print(rows: &[Row]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let Row { operation, pipeline, profiling, without } = row;
        let _ = writeln!(text, "| {operation:<9} | {pipeline:>8} | {profiling:>9} | {without:>7} |");
        text
    })
}

fn parse(text: &str) -> Result<Vec<Row>, String> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.contains("pipeline"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let broken = || format!("{TABLE}: not a row: {line}");
        let [operation, pipeline, profiling, without] = cells.as_slice() else { return Err(broken()) };
        Ok(Row {
            operation: (*operation).to_owned(),
            pipeline: pipeline.parse().map_err(|_| broken())?,
            profiling: profiling.parse().map_err(|_| broken())?,
            without: without.parse().map_err(|_| broken())?,
        })
    })
    .collect()
}

/// One line for each row counted, beside the table's.
fn describe(known: &[Row], counted: &[Row]) -> String {
    counted.iter().fold(String::new(), |mut text, row| {
        let Row { operation, pipeline, profiling, without } = row;
        let was = known.iter().find(|known| known.operation == *operation && known.pipeline == *pipeline);
        let cell = |now: u64, was: Option<u64>| match was {
            Some(was) => format!("{now:>6} ({:+.1} %)", growth(was, now)),
            None => format!("{now:>6} (new)"),
        };
        let (profiling, without) =
            (cell(*profiling, was.map(|was| was.profiling)), cell(*without, was.map(|was| was.without)));
        let _ = writeln!(text, "   {operation:<7} P={pipeline:<3} {profiling}   without profiling {without}");
        text
    })
}

fn growth(was: u64, now: u64) -> f64 {
    (now as f64 / was.max(1) as f64 - 1.0) * 100.0
}

/// The description, or an error that names every figure that grew too much and every row that is missing.
fn compare(known: &[Row], counted: &[Row]) -> Result<String, String> {
    let mut faults = String::new();
    for row in counted {
        let name = format!("{} at pipeline {}", row.operation, row.pipeline);
        let same = |known: &&Row| known.operation == row.operation && known.pipeline == row.pipeline;
        let Some(was) = known.iter().find(same) else {
            let _ = writeln!(faults, "{name} is not in the table");
            continue;
        };
        for (was, now, how) in
            [(was.profiling, row.profiling, ""), (was.without, row.without, " without profiling")]
        {
            if now * 100 > was * (100 + GROWTH_MAX) {
                let _ = writeln!(faults, "{name}{how}: {was} -> {now} instructions");
            }
        }
    }
    let text = describe(known, counted);
    if faults.is_empty() {
        return Ok(text);
    }
    Err(format!(
        "the hot path has grown; mend it, or renew {TABLE} (cargo xtask instructions --renew) in a commit that says \
         why\n{faults}{text}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(operation: &str, profiling: u64, without: u64) -> Row {
        Row { operation: operation.to_owned(), pipeline: 16, profiling, without }
    }

    #[test]
    fn the_table_is_read_as_it_was_written() {
        let rows = [row("get", 1123, 1056), row("mget10", 14_002, 7_488)];
        assert_eq!(parse(&format!("{HEADING}{}", print(&rows))).unwrap(), rows);
        assert!(parse("| get | many | 1 | 2 |").is_err());
    }

    #[test]
    fn growth_beyond_two_per_cent_fails_in_either_column_and_a_missing_row_too() {
        let known = [row("get", 1000, 500)];
        assert!(compare(&known, &[row("get", 1020, 510)]).is_ok());
        assert!(compare(&known, &[row("get", 800, 400)]).is_ok());
        assert!(compare(&known, &[row("get", 1021, 500)]).unwrap_err().contains("1000 -> 1021"));
        assert!(compare(&known, &[row("get", 1000, 511)]).unwrap_err().contains("without profiling"));
        assert!(compare(&known, &[row("set", 1, 1)]).unwrap_err().contains("not in the table"));
    }
}
