//! The part of the profiling page that lists the observers: a table, then each with its method and its bounds.
//!
//! Not the samples of reports on that page, which people write. What stands between [`BEGIN`] and [`END`] is generated.

use super::server::Value;

const BEGIN: &str = "<!-- observers: written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of observers -->\n";

/// The page with its generated part made anew from the answer to PROF OBSERVERS.
pub(super) fn render(page: &str, answer: &Value) -> Result<String, String> {
    let observers = answer.get("observers").elements();
    if observers.is_empty() {
        return Err("PROF OBSERVERS names no observer".to_owned());
    }
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| format!("the page has no {} ... {}", BEGIN.trim(), END.trim()))?;
    let mut text = String::from("\n| Report | Shows | Memory, at most | Switch |\n|---|---|---|---|\n");
    for observer in observers {
        let word = |field: &str| observer.get(field).text();
        let shows = word("summary").trim_end_matches('.');
        let shows = shows.strip_prefix("Return ").unwrap_or(shows);
        text.push_str(&format!(
            "| `{}` | {shows} | {} | `{}` |\n",
            word("command"),
            word("memory"),
            word("switch")
        ));
    }
    for observer in observers {
        text.push_str(&format!("\n`{}`:\n\n", observer.get("command").text()));
        for line in observer.get("doc").elements() {
            text.push_str(&format!("- **{}**: {}\n", line.get("aspect").text(), line.get("says").text()));
        }
    }
    Ok(format!("{before}{BEGIN}{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: Vec<(&str, Value)>) -> Value {
        Value::Array(
            pairs.into_iter().flat_map(|(key, value)| [Value::Text(key.to_owned()), value]).collect(),
        )
    }

    #[test]
    fn only_what_stands_between_the_marks_is_made_anew() {
        let text = |text: &str| Value::Text(text.to_owned());
        let doc = map(vec![("aspect", text("Exact")), ("says", text("all."))]);
        let observer = map(vec![
            ("command", text("PROF X")),
            ("summary", text("Return x.")),
            ("memory", text("1 KiB")),
            ("switch", text("profiling-x")),
            ("doc", Value::Array(vec![doc])),
        ]);
        let answer = map(vec![("observers", Value::Array(vec![observer]))]);
        let page = format!("# Page\n{BEGIN}old\n{END}## More\n");
        let made = render(&page, &answer).unwrap();
        assert!(made.starts_with("# Page\n<!--") && made.ends_with("-->\n## More\n"), "{made}");
        assert!(
            made.contains("| `PROF X` | x | 1 KiB | `profiling-x` |\n") && !made.contains("old"),
            "{made}"
        );
        assert!(made.contains("`PROF X`:\n\n- **Exact**: all.\n"), "{made}");
        assert_eq!(render(&made, &answer), Ok(made));
        assert!(render("# Page\n", &answer).is_err() && render(&page, &Value::Null).is_err());
    }
}
