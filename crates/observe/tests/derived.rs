//! What lists observers derives from their literals: nothing but an observer's folder, the list, those who hold its
//! state and those who hand it observations names one.

use observe::observers::OBSERVERS;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that may name an observer, with the reason.
const MAY: &[(&str, &str)] = &[
    ("observe/src/observers", "the folders, and the list"),
    ("observe/src/record.rs", "holds their state; hands on what it is handed"),
    ("observe/src/record/snapshot.rs", "holds their figures, merged"),
    ("observe/src/report/redact.rs", "hides the names within a prefix, so it must know its parts"),
    ("/recording.rs", "hands over what commands do"),
    ("/dispatch.rs", "hands over what a batch does"),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nobody_else_names_an_observer_by_hand() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the directory of all crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).expect("crates") {
        sources(&entry.expect("a crate").path().join("src"), &mut files);
    }
    assert!(files.len() > 100);
    let mut may = vec![0; MAY.len()];
    for file in files {
        let path = file.to_string_lossy();
        if let Some(at) = MAY.iter().position(|(allowed, _)| path.contains(allowed)) {
            may[at] += 1;
            continue;
        }
        let text = fs::read_to_string(&file).expect("text");
        let (code, _) = text.split_once("\n#[cfg(test)]\nmod ").unwrap_or((&text, ""));
        let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for spec in OBSERVERS {
            let name = spec.report.name;
            let ways = [
                spec.directive.to_owned(),
                format!("Observer::{}", spec.report.subcommand),
                format!("observers::{name}"),
                format!("{name}::report"),
                format!("{name}::findings"),
                format!("{name}::metrics"),
            ];
            for line in &code {
                assert!(!ways.iter().any(|way| line.contains(way)), "{path} names {name}: {line}");
            }
        }
    }
    assert!(may.iter().all(|files| *files > 0), "an exception that is none any more: {may:?}");
}
