//! The arrows between crates, proven from `cargo metadata`: an import that the architecture forbids fails here.
//!
//! Not a linter of modules: for the files inside a crate see `tidy/circles.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace and the crates of the workspace it may depend on (tests included).
/// Nothing may depend on `limpid` or `xtask`.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("keyspace", &[]),
    ("observe", &[]),
    ("engine", &["wire", "keyspace", "observe"]),
    ("commands", &["engine", "wire", "keyspace", "observe"]),
    ("limpid", &["commands", "engine", "wire", "keyspace", "observe"]),
    ("xtask", &[]),
];

/// Fails with one line per forbidden arrow; also fails when `Cargo.lock` is stale.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata --locked: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let complaints = forbidden(&dependencies(&metadata), ARROWS);
    if complaints.is_empty() {
        println!("   {} crates, every arrow points down", ARROWS.len());
        return Ok(());
    }
    Err(format!("{} forbidden arrows\n{}", complaints.len(), complaints.join("\n")))
}

/// Workspace crate -> the workspace crates it names, whatever the kind of dependency.
fn dependencies(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let local: Vec<&Value> = packages.iter().filter(|package| package["source"].is_null()).collect();
    local
        .iter()
        .map(|package| {
            let named = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
            let named = named.iter().filter(|dependency| !dependency["path"].is_null());
            (text(&package["name"]), named.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn forbidden(found: &BTreeMap<String, Vec<String>>, arrows: &[(&str, &[&str])]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (from, targets) in found {
        let Some((_, allowed)) = arrows.iter().find(|(name, _)| name == from) else {
            complaints.push(format!("{from}: a new crate; draw its arrows in xtask/src/arrows.rs"));
            continue;
        };
        for target in targets.iter().filter(|target| !allowed.contains(&target.as_str())) {
            complaints.push(format!("{from} -> {target}: an arrow that the architecture forbids"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        edges
            .iter()
            .map(|(from, to)| ((*from).to_owned(), to.iter().map(|name| (*name).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn arrows_that_point_down_pass() {
        let found =
            graph(&[("limpid", &["commands", "wire"]), ("commands", &["engine", "observe"]), ("wire", &[])]);
        assert_eq!(forbidden(&found, ARROWS), Vec::<String>::new());
    }

    #[test]
    fn arrows_that_point_up_or_sideways_fail() {
        let found = graph(&[
            ("wire", &["commands"]),
            ("keyspace", &["wire"]),
            ("engine", &["commands"]),
            ("commands", &["limpid"]),
        ]);
        assert_eq!(forbidden(&found, ARROWS).len(), 4);
    }

    #[test]
    fn an_unknown_crate_must_be_drawn_first() {
        let complaints = forbidden(&graph(&[("persist", &[])]), ARROWS);
        assert_eq!(complaints.len(), 1);
        assert!(complaints.first().is_some_and(|line| line.contains("draw its arrows")));
    }

    #[test]
    fn metadata_is_read() {
        let metadata = serde_json::json!({"packages": [
            {"name": "wire", "source": null, "dependencies": [
                {"name": "memchr", "path": null}, {"name": "commands", "path": "/somewhere", "kind": "dev"}]},
            {"name": "memchr", "source": "registry", "dependencies": []},
        ]});
        assert_eq!(dependencies(&metadata), graph(&[("wire", &["commands"])]));
    }
}
