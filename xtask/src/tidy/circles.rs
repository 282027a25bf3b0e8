//! No circle between the files of a crate: who reads one file needs those below it, never the whole crate.
//!
//! An arrow is a path that begins with `crate::` or `super::`, in a `use` or anywhere else, outside of tests. It ends at
//! the file of the longest module that the path names; a name of the crate's root at the file it is re-exported from.
//! Arrows between a module and what lies below it are not counted: a parent lists its children, keeps what they share
//! and speaks for them. Not a compiler.
//!
//! Invariant: every circle is reported once, by its shortest way round.

use super::File;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Circles that stand: each the files of one, with the reason.
const ALLOWED: &[&[&str]] = &[
    // A database is made of stripes, and a stripe tells the database's wheels of its deadlines: to be cut together with
    // the stripe's own parts, its lock, reads and writes.
    &["crates/keyspace/src/database.rs", "crates/keyspace/src/stripe.rs"],
    // An entry hands its large value to the thread that frees, which measures it by the entry's size classes.
    &["crates/keyspace/src/entry.rs", "crates/keyspace/src/free.rs"],
    // An observer is a position in the list of literals, and the list's literals are of the type that says what one is.
    &["crates/observe/src/observers.rs", "crates/observe/src/spec.rs"],
];

/// The modules that each module of a crate names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// One complaint per circle.
pub(super) fn circles(files: &[File]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for file in files {
        let Some((directory, path)) = file.path.split_once("/src/") else { continue };
        let (Some(text), Some(path)) = (file.text.as_deref(), path.strip_suffix(".rs")) else { continue };
        crates.entry(directory).or_default().push((path, text));
    }
    let mut complaints = Vec::new();
    for (directory, sources) in crates {
        for circle in shortest_circles(&arrows(&sources)) {
            let path = |module: &String| match module.as_str() {
                "" => format!("{directory}/src/lib.rs"),
                module => format!("{directory}/src/{}.rs", module.replace("::", "/")),
            };
            let paths: Vec<String> = circle.iter().map(path).collect();
            let is_allowed =
                |known: &&[&str]| paths.iter().all(|path| known.iter().any(|allowed| path == allowed));
            if !ALLOWED.iter().any(is_allowed) {
                complaints.push(format!("a circle of files: {} -> {}", paths.join(" -> "), paths[0]));
            }
        }
    }
    complaints
}

/// `a/b` is the module `a::b`; `lib` and `main` are the root, which has no name.
fn module_of(path: &str) -> String {
    if matches!(path, "lib" | "main") { String::new() } else { path.replace('/', "::") }
}

fn arrows(sources: &[(&str, &str)]) -> Arrows {
    let texts: BTreeMap<String, String> =
        sources.iter().map(|(path, text)| (module_of(path), without_comments_and_tests(text))).collect();
    let is_for_tests = |module: &String| {
        let (parent, name) = module.rsplit_once("::").unwrap_or(("", module));
        sources.iter().any(|(path, text)| {
            module_of(path) == parent && text.contains(&format!("#[cfg(test)]\nmod {name};"))
        })
    };
    let arrows_of = |(module, text): (&String, &String)| {
        let named = paths(text).into_iter().filter_map(|path| target(module, &path, &texts));
        (module.clone(), named.filter(|named| !is_kin(module, named)).collect())
    };
    texts.iter().filter(|(module, _)| !is_for_tests(module)).map(arrows_of).collect()
}

/// Whether one is the other, or lies somewhere below it.
fn is_kin(one: &str, other: &str) -> bool {
    let is_below = |child: &str, parent: &str| {
        child == parent || parent.is_empty() || child.starts_with(&format!("{parent}::"))
    };
    is_below(one, other) || is_below(other, one)
}

fn without_comments_and_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate::` or `super::`, groups in braces taken apart.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = ["crate::", "super::"].iter().filter_map(|start| code[at..].find(start)).min() {
        let start = at + next;
        let is_word = code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let mut rest = &code[start..];
        if is_word || code[..start].ends_with("$") {
            rest = &rest["crate::".len()..];
        } else {
            take_path("", &mut rest, &mut found);
        }
        at = code.len() - rest.len();
    }
    found
}

/// Takes a path, or a tree of a `use`, from the front of `rest`.
fn take_path(before: &str, rest: &mut &str, found: &mut Vec<String>) {
    let mut path = before.to_owned();
    loop {
        *rest = rest.trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            *rest = group;
            while !rest.is_empty() && !rest.starts_with('}') {
                take_path(&path, rest, found);
                // What follows a name (`as other`, a comma) is no part of it.
                let end = rest.find([',', '}']).unwrap_or(rest.len());
                *rest = rest[end..].trim_start_matches(',').trim_start();
            }
            *rest = rest.strip_prefix('}').unwrap_or(rest);
            return;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        path.push_str(&rest[..end]);
        *rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if end > 0 => {
                path.push_str("::");
                *rest = more;
            }
            _ => return found.push(path),
        }
    }
}

/// The module of the longest part of the path that is one.
fn target(from: &str, path: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut base = from.to_owned();
    let mut segments: VecDeque<&str> = path.split("::").collect();
    while let Some(&first) = segments.front() {
        match first {
            "crate" => base.clear(),
            "super" => base = base.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned()),
            _ => break,
        }
        segments.pop_front();
    }
    while let Some(&segment) = segments.front() {
        let longer = if base.is_empty() { segment.to_owned() } else { format!("{base}::{segment}") };
        if !known.contains_key(&longer) {
            break;
        }
        base = longer;
        segments.pop_front();
    }
    let root = known.get(&base)?;
    let source = segments.front().filter(|_| base.is_empty()).and_then(|name| re_exported(name, root));
    // What the root re-exports from itself ends here, or it would be followed for ever.
    let source = source.filter(|source| source != path).and_then(|source| target("", &source, known));
    Some(source.unwrap_or(base))
}

/// The path that the crate's root re-exports a name from.
fn re_exported(name: &str, root: &str) -> Option<String> {
    let mut found = Vec::new();
    for start in ["pub use ", "pub(crate) use "] {
        root.split(start).skip(1).for_each(|mut statement| take_path("", &mut statement, &mut found));
    }
    let path = found.into_iter().find(|path| path.rsplit("::").next() == Some(name))?;
    let path = path.trim_start_matches("crate::").trim_start_matches("self::");
    Some(format!("crate::{path}"))
}

/// The shortest circle through the first file of each knot of files that all lead to each other.
fn shortest_circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let mut circles: Vec<Vec<String>> = Vec::new();
    for start in arrows.keys() {
        let Some(circle) = shortest_circle(start, arrows) else { continue };
        if !circles.iter().any(|known| known.iter().any(|module| circle.contains(module))) {
            circles.push(circle);
        }
    }
    circles
}

fn shortest_circle(start: &String, arrows: &Arrows) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(module) = queue.pop_front() {
        for next in arrows.get(module).into_iter().flatten() {
            if next == start {
                let way = std::iter::successors(Some(module), |module| came_from.get(*module).copied());
                let mut circle: Vec<String> = way.cloned().collect();
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, module);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(sources: &[(&str, &str)]) -> Vec<File> {
        let file = |(path, text): &(&str, &str)| File {
            path: format!("crates/a/src/{path}"),
            size_bytes: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        sources.iter().map(file).collect()
    }

    #[test]
    fn a_circle_is_reported_with_its_files() {
        let files = crate_of(&[
            ("lib.rs", "mod b; mod c; mod d;"),
            ("b.rs", "use crate::c::{self, C};\n"),
            ("c.rs", "fn f() { super::d::g() }\n"),
            ("d.rs", "use crate::{\n    b::{B, B2},\n    e,\n};\n"),
        ]);
        assert_eq!(
            circles(&files),
            ["a circle of files: crates/a/src/b.rs -> crates/a/src/c.rs -> crates/a/src/d.rs -> \
                 crates/a/src/b.rs"]
        );
    }

    #[test]
    fn parents_and_children_may_use_each_other() {
        let files = crate_of(&[
            ("lib.rs", "pub mod b;\npub use b::B;\n"),
            ("b.rs", "mod c;\nuse crate::b::c::C;\nuse crate::Root;\n"),
            ("b/c.rs", "use super::B;\nuse crate::Root;\n"),
        ]);
        assert_eq!(circles(&files), Vec::<String>::new());
    }

    #[test]
    fn a_re_export_is_looked_through() {
        let files = crate_of(&[
            ("lib.rs", "mod b;\nmod c;\npub use b::{A, B};\npub(crate) use c::C;\n"),
            ("b.rs", "use crate::C;\n"),
            ("c.rs", "use crate::B;\nuse crate::Nowhere;\n"),
        ]);
        assert_eq!(
            circles(&files),
            ["a circle of files: crates/a/src/b.rs -> crates/a/src/c.rs -> crates/a/src/b.rs"]
        );
    }

    #[test]
    fn tests_and_comments_draw_no_arrows() {
        let files = crate_of(&[
            ("lib.rs", "mod b;\n#[cfg(test)]\nmod bench;\n"),
            ("b.rs", "// see crate::c\n//! crate::c\n#[cfg(test)]\nmod tests {\n    use crate::c::C;\n}\n"),
            ("c.rs", "use crate::b::B;\n"),
            ("bench.rs", "use crate::b::B;\nuse crate::c::C;\n"),
        ]);
        assert_eq!(circles(&files), Vec::<String>::new());
    }

    #[test]
    fn paths_are_taken_apart() {
        let code = "use crate::{a, b::{C as D, e::*}, f};\nfn g() { super::super::h::i(); mycrate::x(); }\n";
        assert_eq!(
            paths(code),
            ["crate::a", "crate::b::C", "crate::b::e::", "crate::f", "super::super::h::i"]
        );
    }
}
