//! The house rules, as a test: what the style guide asks for and a compiler does not check.
//!
//! Each rule is a function from one file, or from all of them, to its complaints, with a unit test of its own. Not a
//! parser: the rules read lines, and err on the side of silence.
//!
//! 1. Every tracked or addable file is looked at (`git ls-files`), none outside the repository.
//! 2. A rule never passes a file because it could not be read.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/words.rs"]
mod words;

use std::fs;
use std::path::Path;
use std::process::Command;

/// A file of the repository; `text` is `None` for a binary file.
struct File {
    path: String,
    size_bytes: u64,
    text: Option<String>,
}

type Rule = fn(&File) -> Vec<String>;

const RULES: &[Rule] = &[
    rules::length,
    rules::module_header,
    rules::file_names,
    rules::unfinished,
    rules::unsafe_places,
    rules::trailing_whitespace,
    rules::size,
    words::forbidden,
    words::registries,
];

/// Fails with one line per complaint.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let files = files(root)?;
    let mut complaints: Vec<String> =
        files.iter().flat_map(|file| RULES.iter().flat_map(|rule| rule(file))).collect();
    complaints.extend(rules::lock_is_committed(&tracked(root)?));
    complaints.extend(circles::circles(&files));
    if complaints.is_empty() {
        println!("   {} files, {} rules", files.len(), RULES.len() + 2);
        return Ok(());
    }
    Err(format!("{} complaints\n{}", complaints.len(), complaints.join("\n")))
}

fn files(root: &Path) -> Result<Vec<File>, String> {
    let paths = git_files(root, &["--cached", "--others", "--exclude-standard"])?;
    let mut files = Vec::new();
    for path in paths {
        let full = root.join(&path);
        // A tracked file that was just deleted or is a link has nothing to check.
        let Ok(metadata) = fs::symlink_metadata(&full) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let bytes = fs::read(&full).map_err(|error| format!("{path}: {error}"))?;
        files.push(File { path, size_bytes: metadata.len(), text: String::from_utf8(bytes).ok() });
    }
    Ok(files)
}

fn tracked(root: &Path) -> Result<Vec<String>, String> {
    git_files(root, &["--cached"])
}

fn git_files(root: &Path, arguments: &[&str]) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let names = String::from_utf8_lossy(&output.stdout);
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
