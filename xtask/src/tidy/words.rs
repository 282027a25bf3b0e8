//! Words that must not stand in the repository: places on somebody's machine, and where packages were fetched from.
//!
//! This file alone may hold them.

use super::File;

/// Beginnings of paths that exist on one machine only. Looked for where a path can begin.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/work/", "/Users/", "/tmp/target-"];

/// The one place the lock file may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The file with the list.
const LIST: &str = "xtask/src/tidy/words.rs";

/// No machine's paths.
pub(super) fn forbidden(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| file.path != LIST && file.path != "LICENSE") else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for path in MACHINE_PATHS.iter().filter(|path| path_begins(line, path)) {
            complaints.push(format!("{}:{}: a path of one machine: {path}", file.path, index + 1));
        }
    }
    complaints
}

/// Whether `path` stands in the line at the beginning of a path, not within one or within a URL.
fn path_begins(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|before| !before.is_alphanumeric() && !"/.-_~}*".contains(before))
    })
}

/// Packages come from crates.io, whatever mirror fetched them here.
pub(super) fn registries(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| file.path.ends_with("Cargo.lock")) else {
        return Vec::new();
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("source = ") && !line.contains(REGISTRY))
        .map(|(index, line)| format!("{}:{}: not from crates.io: {line}", file.path, index + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), size_bytes: text.len() as u64, text: Some(text.to_owned()) }
    }

    #[test]
    fn paths_of_one_machine_fail() {
        assert_eq!(forbidden(&file("a.md", "see /root/x and `/work/main`\n")).len(), 2);
        assert!(forbidden(&file("a.md", "src/work/x https://e.example/home/ ~/root/\n")).is_empty());
    }

    #[test]
    fn only_crates_io_may_be_named() {
        let good = format!("source = \"{REGISTRY}\"\n");
        assert!(registries(&file("Cargo.lock", &good)).is_empty());
        assert_eq!(
            registries(&file("fuzz/Cargo.lock", "source = \"registry+https://mirror.example/\"\n")).len(),
            1
        );
    }
}
