//! The rules about the shape of files: length, headers, names, unfinished work, `unsafe`, whitespace, size.

use super::File;

/// Lines a file may have before its tests.
const LINES_MAX: usize = 800;

/// Bytes a file outside `data/` may have.
const SIZE_BYTES_MAX: u64 = 1 << 20;

/// Files (or, with a final slash, directories) that may say `unsafe`.
const UNSAFE_ALLOWED: &[&str] = &[
    "crates/keyspace/src/entry.rs",
    "crates/keyspace/src/table/bucket.rs",
    "crates/keyspace/src/table/segment.rs",
    "crates/keyspace/src/latch.rs",
    "crates/keyspace/src/gate.rs",
    "crates/keyspace/src/memory.rs",
    "crates/observe/src/os/",
    "crates/limpid/src/allocator.rs",
];

/// Lines above an `unsafe` within which its `SAFETY:` must stand.
const SAFETY_LINES_ABOVE: usize = 12;

/// Names that say nothing about what is inside.
const NAMES_FORBIDDEN: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "manager"];

fn is_rust(file: &File) -> bool {
    file.path.ends_with(".rs")
}

/// Lines before the unit tests, which stand last in a file.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        matches!(pair, [attribute, module] if attribute.starts_with("#[cfg(test)]") && module.starts_with("mod "))
    });
    tests.unwrap_or(lines.len())
}

/// One noun per file: beyond [`LINES_MAX`] lines it is two.
pub(super) fn length(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| is_rust(file)) else { return Vec::new() };
    let lines = lines_before_tests(text);
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines before its tests, more than {LINES_MAX}", file.path)]
}

/// A module opens with what it is and what it is not.
pub(super) fn module_header(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| is_rust(file)) else { return Vec::new() };
    if text.starts_with("//!") || (file.path.starts_with("fuzz/") && text.starts_with("#!")) {
        return Vec::new();
    }
    vec![format!("{}:1: a module opens with `//!`", file.path)]
}

/// A name from the field, never a drawer for odds and ends; `foo.rs` beside `foo/`, not `foo/mod.rs`.
pub(super) fn file_names(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for part in file.path.split('/') {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        if NAMES_FORBIDDEN.contains(&stem) {
            complaints.push(format!("{}: `{stem}` says nothing about what is inside", file.path));
        }
    }
    if file.path.ends_with("/mod.rs") {
        complaints.push(format!("{}: use `name.rs` beside `name/`", file.path));
    }
    let Some(text) = file.text.as_deref().filter(|_| is_rust(file)) else { return complaints };
    for (number, line) in numbered(text) {
        let declared = code(line).trim().trim_start_matches("pub").trim_start_matches("(crate)").trim_start();
        let name = declared.strip_prefix("mod ").map(|rest| rest.trim_end_matches([';', '{', ' ']));
        if name.is_some_and(|name| NAMES_FORBIDDEN.contains(&name)) {
            complaints.push(format!("{}:{number}: a module needs a name from the field", file.path));
        }
    }
    complaints
}

/// No stub and no leftover of debugging is committed.
pub(super) fn unfinished(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| is_rust(file)) else { return Vec::new() };
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let mut complaints = Vec::new();
    for (number, line) in numbered(text) {
        for name in macros.iter().filter(|name| code(line).contains(name.as_str())) {
            complaints.push(format!("{}:{number}: `{name}...)` is unfinished work", file.path));
        }
    }
    complaints
}

/// `unsafe` lives in the few files of [`UNSAFE_ALLOWED`], and each one says why it is sound.
pub(super) fn unsafe_places(file: &File) -> Vec<String> {
    let Some(text) = file.text.as_deref().filter(|_| is_rust(file)) else { return Vec::new() };
    let allowed = UNSAFE_ALLOWED
        .iter()
        .any(|place| file.path == *place || (place.ends_with('/') && file.path.starts_with(place)));
    let lines: Vec<&str> = text.lines().collect();
    let mut complaints = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if !has_keyword(code(line)) {
            continue;
        }
        let number = index + 1;
        if !allowed {
            complaints.push(format!("{}:{number}: `unsafe` outside the files that may have it", file.path));
            continue;
        }
        let above = lines.get(index.saturating_sub(SAFETY_LINES_ABOVE)..=index).unwrap_or_default();
        if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
            complaints.push(format!("{}:{number}: `unsafe` without `SAFETY:`", file.path));
        }
    }
    complaints
}

fn has_keyword(code: &str) -> bool {
    const FORMS: &[&str] =
        &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "unsafe("];
    // Every second piece between quotes is the inside of a string.
    let outside: String = code.split('"').step_by(2).collect();
    FORMS.iter().any(|form| outside.contains(form)) || outside.trim_end().ends_with(" unsafe")
}

/// Whitespace at the end of a line is noise in every diff.
pub(super) fn trailing_whitespace(file: &File) -> Vec<String> {
    let text = file.text.as_deref().filter(|_| !file.path.starts_with("data/"));
    numbered(text.unwrap_or_default())
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(number, _)| format!("{}:{number}: whitespace at the end of the line", file.path))
        .collect()
}

/// A clone stays small: large files belong in `data/`.
pub(super) fn size(file: &File) -> Vec<String> {
    if file.size_bytes <= SIZE_BYTES_MAX || file.path.starts_with("data/") {
        return Vec::new();
    }
    vec![format!("{}: {} bytes, more than {SIZE_BYTES_MAX} outside data/", file.path, file.size_bytes)]
}

/// Everyone builds what was tested.
pub(super) fn lock_is_committed(tracked: &[String]) -> Vec<String> {
    if tracked.iter().any(|path| path == "Cargo.lock") {
        return Vec::new();
    }
    vec!["Cargo.lock: not committed".to_owned()]
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(index, line)| (index + 1, line))
}

/// The part of a line before a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), size_bytes: text.len() as u64, text: Some(text.to_owned()) }
    }

    #[test]
    fn length_counts_lines_before_the_tests() {
        let body = "let x = 1;\n".repeat(LINES_MAX);
        let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"x\n".repeat(900) + "}\n";
        assert!(length(&file("a.rs", &(body.clone() + &tests))).is_empty());
        assert_eq!(length(&file("a.rs", &(body.clone() + "y\n" + &tests))).len(), 1);
        assert!(length(&file("a.md", &(body + "y\n"))).is_empty());
    }

    #[test]
    fn a_module_without_a_header_fails() {
        assert!(module_header(&file("crates/a/src/lib.rs", "//! A.\n")).is_empty());
        assert_eq!(module_header(&file("crates/a/src/lib.rs", "use x;\n")).len(), 1);
        assert!(module_header(&file("fuzz/t.rs", "#![no_main]\n//! A.\n")).is_empty());
    }

    #[test]
    fn drawers_for_odds_and_ends_fail() {
        assert_eq!(file_names(&file("crates/a/src/utils.rs", "")).len(), 1);
        assert_eq!(file_names(&file("crates/common/src/lib.rs", "")).len(), 1);
        assert_eq!(file_names(&file("crates/a/src/b/mod.rs", "")).len(), 1);
        assert_eq!(file_names(&file("crates/a/src/b.rs", "pub(crate) mod helpers;\n")).len(), 1);
        assert!(file_names(&file("crates/a/src/table.rs", "mod entry;\n// mod misc;\n")).is_empty());
    }

    #[test]
    fn stubs_and_debugging_fail() {
        let text = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!()\n")).concat();
        assert_eq!(unfinished(&file("a.rs", &text)).len(), 3);
        assert!(unfinished(&file("a.rs", "// dbg!(x)\n")).is_empty());
    }

    #[test]
    fn unsafe_needs_a_place_and_a_reason() {
        let block = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(unsafe_places(&file("crates/wire/src/resp.rs", block)).len(), 1);
        assert_eq!(unsafe_places(&file("crates/keyspace/src/entry.rs", block)).len(), 1);
        let reasoned = block.replace("    unsafe", "    // SAFETY: g is fine.\n    unsafe");
        assert!(unsafe_places(&file("crates/keyspace/src/entry.rs", &reasoned)).is_empty());
        assert!(unsafe_places(&file("crates/observe/src/os/proc.rs", &reasoned)).is_empty());
        let quoted = "#![forbid(unsafe_code)]\nlet x = 'unsafe { }';\n".replace('\'', "\"");
        assert!(unsafe_places(&file("a.rs", &quoted)).is_empty());
    }

    #[test]
    fn whitespace_at_the_end_fails() {
        assert_eq!(trailing_whitespace(&file("a.md", "a \nb\t\nc\r\nd\n")).len(), 3);
        assert!(trailing_whitespace(&file("data/a.csv", "a \n")).is_empty());
    }

    #[test]
    fn large_files_belong_in_data() {
        let large = |path: &str| File { path: path.to_owned(), size_bytes: SIZE_BYTES_MAX + 1, text: None };
        assert_eq!(size(&large("a.bin")).len(), 1);
        assert!(size(&large("data/a.bin")).is_empty());
    }

    #[test]
    fn the_lock_must_be_tracked() {
        assert_eq!(lock_is_committed(&["a".to_owned()]).len(), 1);
        assert!(lock_is_committed(&["Cargo.lock".to_owned()]).is_empty());
    }
}
