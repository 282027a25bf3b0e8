//! The page itself: one section per group, one entry per command, with its syntax derived from its arguments.

use super::server::Value;

const HEAD: &str = "\
# Commands

Every command that Limpid serves, as the server itself describes it (`COMMAND DOCS`). Semantics and error texts are
those of Redis and Valkey; *since* is the version of Redis that brought a command, where it is not Limpid's own.

This page is generated: `cargo xtask docs`.
";

/// One command or subcommand.
struct Entry<'a> {
    name: String,
    docs: &'a Value,
}

/// The whole page from the answer to COMMAND DOCS.
pub(super) fn render(docs: &Value) -> Result<String, String> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for pair in docs.elements().chunks_exact(2) {
        let [name, docs] = pair else { continue };
        let subcommands = docs.get("subcommands").elements();
        if subcommands.is_empty() {
            entries.push(Entry { name: name.text().to_uppercase(), docs });
        }
        for pair in subcommands.chunks_exact(2) {
            let [name, docs] = pair else { continue };
            entries.push(Entry { name: name.text().replace('|', " ").to_uppercase(), docs });
        }
    }
    if entries.is_empty() {
        return Err("COMMAND DOCS names no command".to_owned());
    }
    entries.sort_by(|one, other| (group(one), &one.name).cmp(&(group(other), &other.name)));
    let mut page = HEAD.to_owned();
    let mut current = "";
    for entry in &entries {
        if group(entry) != current {
            current = group(entry);
            page.push_str(&format!("\n## {}\n", title(current)));
        }
        page.push_str(&section(entry));
    }
    Ok(page)
}

fn group<'a>(entry: &Entry<'a>) -> &'a str {
    entry.docs.get("group").text()
}

fn title(group: &str) -> String {
    let mut letters = group.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

fn section(entry: &Entry<'_>) -> String {
    let arguments = entry.docs.get("arguments").elements();
    let syntax: Vec<String> =
        std::iter::once(entry.name.clone()).chain(arguments.iter().map(syntax)).collect();
    let mut text = format!("\n### {}\n\n`{}`\n\n", entry.name, syntax.join(" "));
    text.push_str(&format!("{}\n", entry.docs.get("summary").text()));
    let facts: Vec<String> = ["since", "complexity"]
        .iter()
        .filter(|key| !entry.docs.get(key).text().is_empty())
        .map(|key| format!("{}: {}", title(key), entry.docs.get(key).text().trim_end_matches('.')))
        .collect();
    if !facts.is_empty() {
        text.push_str(&format!("{}.\n", facts.join(". ")));
    }
    text
}

/// An argument as redis-cli prints it: `[EX seconds | PX milliseconds]`, `key [key ...]`.
fn syntax(argument: &Value) -> String {
    let nested: Vec<String> = argument.get("arguments").elements().iter().map(syntax).collect();
    let token = argument.get("token").text();
    let shown = argument.get("display_text").text();
    let name = if shown.is_empty() { argument.get("name").text() } else { shown };
    let value = match argument.get("type").text() {
        "pure-token" => String::new(),
        "oneof" => nested.join(" | "),
        "block" => nested.join(" "),
        _ => name.to_owned(),
    };
    let has = |flag: &str| argument.get("flags").elements().iter().any(|found| found.text() == flag);
    let mut text = match (token.is_empty(), value.is_empty()) {
        (false, true) => token.to_owned(),
        (false, false) => format!("{token} {value}"),
        (true, _) => value.clone(),
    };
    if has("multiple") {
        let again = if has("multiple_token") { text.clone() } else { value };
        text = format!("{text} [{again} ...]");
    }
    if has("optional") {
        return format!("[{text}]");
    }
    if argument.get("type").text() == "oneof" && token.is_empty() { format!("<{text}>") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn map(pairs: Vec<(&str, Value)>) -> Value {
        Value::Array(pairs.into_iter().flat_map(|(key, value)| [text(key), value]).collect())
    }

    fn flags(names: &[&str]) -> Value {
        Value::Array(names.iter().map(|name| text(name)).collect())
    }

    fn set() -> Value {
        let key = map(vec![("name", text("key")), ("type", text("key"))]);
        let seconds = map(vec![("name", text("seconds")), ("type", text("integer")), ("token", text("EX"))]);
        let keep =
            map(vec![("name", text("keepttl")), ("type", text("pure-token")), ("token", text("KEEPTTL"))]);
        let expiry = map(vec![
            ("name", text("expiration")),
            ("type", text("oneof")),
            ("flags", flags(&["optional"])),
            ("arguments", Value::Array(vec![seconds, keep])),
        ]);
        map(vec![
            ("summary", text("Sets a value.")),
            ("since", text("1.0.0")),
            ("group", text("string")),
            ("complexity", text("O(1)")),
            ("arguments", Value::Array(vec![key, expiry])),
        ])
    }

    #[test]
    fn an_entry_shows_its_syntax() {
        let page = render(&map(vec![("set", set())])).unwrap();
        assert!(
            page.contains("## String\n\n### SET\n\n`SET key [EX seconds | KEEPTTL]`\n\nSets a value.\n"),
            "{page}"
        );
        assert!(page.contains("Since: 1.0.0. Complexity: O(1).\n"), "{page}");
    }

    #[test]
    fn repeated_arguments_are_shown() {
        let keys = map(vec![("name", text("key")), ("type", text("key")), ("flags", flags(&["multiple"]))]);
        assert_eq!(syntax(&keys), "key [key ...]");
    }

    #[test]
    fn subcommands_stand_alone() {
        let get = map(vec![("summary", text("Reads.")), ("group", text("server"))]);
        let config = map(vec![("group", text("server")), ("subcommands", map(vec![("config|get", get)]))]);
        let page = render(&map(vec![("config", config)])).unwrap();
        assert!(page.contains("### CONFIG GET\n") && !page.contains("### CONFIG\n"), "{page}");
    }

    #[test]
    fn a_server_without_commands_is_an_error() {
        assert!(render(&Value::Array(Vec::new())).is_err());
    }
}
