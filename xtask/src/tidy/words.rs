//! Words that must not stand in the repository: places on somebody's machine, where packages were fetched
//! from, and talk about who made it instead of what it is.
//!
//! This file alone may hold them.

use super::File;

/// Beginnings of paths that exist on one machine only. Looked for where a path can begin.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/work/", "/Users/", "/tmp/target-"];

/// Talk that belongs outside the repository.
const TALK: &[&str] = &["CEO", "AI assistant", "AI agent", "language model", "as an AI"];

/// The one place the lock file may name.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The file with the list.
const LIST: &str = "xtask/src/tidy/words.rs";

/// No machine's paths and no talk.
pub(super) fn forbidden(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| file.path != LIST && file.path != "LICENSE") else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for path in MACHINE_PATHS.iter().filter(|path| path_begins(line, path)) {
            complaints.push(format!("{}:{}: a path of one machine: {path}", file.path, index + 1));
        }
        for word in TALK.iter().filter(|word| has_word(line, word)) {
            complaints.push(format!("{}:{}: `{word}` does not belong here", file.path, index + 1));
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

fn has_word(line: &str, word: &str) -> bool {
    let inside = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !inside(before) && !inside(after)
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
    fn talk_fails() {
        assert_eq!(forbidden(&file("a.md", "for the CEO\n")).len(), 1);
        assert!(forbidden(&file("a.md", "CEOS\n")).is_empty());
        assert!(forbidden(&file(LIST, "for the CEO\n")).is_empty());
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
