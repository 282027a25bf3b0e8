//! What the demo prints after playing: the server's own answers, as tables, beside what the player knows.
//!
//! Everything about the server is asked over a socket by commands that any client can send; the demo has no access of
//! its own. A server without PROF gets a line that says so.
//!
//! Thread safety: runs in the main thread.

use std::fmt::Write as _;
use std::net::SocketAddr;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use super::client::{Client, Reply};
use super::player::Played;
use crate::bench::{bytes_text, grouped, latency_text};
use observe::name::{Name, from_base64};
use observe::report::value::named;

/// Rows of each table: what a person reads before scrolling.
const ROWS_MAX: usize = 10;

/// Everything that was asked of the server.
pub struct Profile {
    pub report: Result<Value, String>,
    pub hotkeys: Result<Value, String>,
    pub prefixes: Result<Value, String>,
    pub latency: Result<Value, String>,
    pub sizes: Result<Value, String>,
    /// INFO everything, or as much as the server gave.
    pub info: String,
}

impl Profile {
    /// Asks for all of it.
    ///
    /// # Errors
    /// When the connection breaks. An error reply is kept in its place.
    pub fn ask(client: &mut Client) -> std::io::Result<Self> {
        let info = match client.ask(&["INFO", "everything"])? {
            Reply::Text(text) => text,
            _ => String::new(),
        };
        let mut ask = |what| -> std::io::Result<Result<Value, String>> {
            Ok(match client.ask(&["PROF", what, "JSON"])? {
                Reply::Text(text) => {
                    serde_json::from_str(&text).map_err(|error| format!("PROF {what}: {error}"))
                }
                Reply::Error(text) => Err(format!("PROF {what}: {text}")),
                _ => Err(format!("PROF {what}: an answer that is no text")),
            })
        };
        Ok(Self {
            report: ask("REPORT")?,
            hotkeys: ask("HOTKEYS")?,
            prefixes: ask("PREFIXES")?,
            latency: ask("LATENCY")?,
            sizes: ask("SIZES")?,
            info,
        })
    }

    /// A field of INFO, 0 when it is missing.
    pub fn info_number(&self, field: &str) -> u64 {
        info_number(&self.info, field)
    }
}

/// The number of a field of INFO, 0 when it is missing or none.
pub fn info_number(info: &str, field: &str) -> u64 {
    info.lines()
        .find_map(|line| line.trim_end().strip_prefix(field)?.strip_prefix(':')?.parse().ok())
        .unwrap_or(0)
}

/// Where more can be asked after the demo, and where the page is, when there is one.
pub type Afterwards = (SocketAddr, Option<SocketAddr>);

/// The whole text. `afterwards` is none when the server ends with the demo.
pub fn text(profile: &Profile, played: &Played, afterwards: Option<Afterwards>) -> String {
    let mut out = String::new();
    section(&mut out, "VERDICT", &profile.report, verdict);
    section(&mut out, "HOTTEST KEYS", &profile.hotkeys, |hotkeys| hot_keys(hotkeys, played));
    section(&mut out, "PREFIXES", &profile.prefixes, prefixes);
    section(&mut out, "LATENCY BY STAGE", &profile.latency, latency);
    section(&mut out, "SIZES", &profile.sizes, sizes);
    let _ = writeln!(out, "HIT RATIO\n{}", hit_ratio(profile, played));
    let more = afterwards.map_or_else(|| HOW_TO_STAY.to_owned(), |(server, page)| see_more(server, page));
    let _ = write!(out, "SEE MORE\n{more}");
    out
}

fn section(
    out: &mut String,
    title: &str,
    answer: &Result<Value, String>,
    render: impl FnOnce(&Value) -> String,
) {
    let body = match answer {
        Ok(value) => render(value),
        Err(text) => format!("  the server does not tell: {text}\n"),
    };
    let _ = writeln!(out, "{title}\n{body}");
}

/// The verdict, then the findings with their evidence and remedy.
fn verdict(report: &Value) -> String {
    let mut out = format!("  {}\n", string(&report["verdict"]));
    for (index, finding) in rows(&report["findings"]).iter().enumerate() {
        let _ = writeln!(
            out,
            "  {}. {}: {}",
            index + 1,
            name_of(finding, "culprit").shown(),
            string(&finding["finding"])
        );
        let evidence = finding["evidence"].as_object().into_iter().flatten();
        let evidence: Vec<String> = evidence.map(|(name, value)| figure(name, value)).collect();
        let _ = writeln!(out, "     evidence: {}", evidence.join(", "));
        let _ = writeln!(out, "     remedy: {}", string(&finding["remedy"]));
        for name in ["saves_about_bytes", "saves_about_usec_per_s"] {
            if !finding[name].is_null() {
                let _ = writeln!(out, "     {}", figure(name, &finding[name]));
            }
        }
    }
    out
}

/// A named figure as a person reads it: the unit is at the end of its name.
fn figure(name: &str, value: &Value) -> String {
    match value.as_f64() {
        Some(number) => named(name, number),
        None => {
            format!("{} {}", name.replace('_', " "), value.as_str().unwrap_or(&value.to_string()))
        }
    }
}

/// The server's hottest keys beside the exact counts of the player.
fn hot_keys(hotkeys: &Value, played: &Played) -> String {
    let rows = rows(&hotkeys["since_reset"]);
    // What is not known whole is compared with nothing that was sent, as a key without a name.
    let reported: Vec<(Vec<u8>, u64)> = rows
        .iter()
        .map(|row| (bytes_of(row, "key").unwrap_or_default(), whole(&row["operations"])))
        .collect();
    let compared = played.exact.compare(&reported);
    let mut table = new_table(&["key", "share", "operations", "at most off by", "exactly sent", "error"], 1);
    let mut within = 0;
    for (row, compared) in rows.iter().zip(&compared) {
        let bound = whole(&row["undercount_max"]) + whole(&row["sampling_error"]);
        within += usize::from(compared.reported.abs_diff(compared.exact) <= bound);
        table.add_row([
            name_of(row, "key").shown(),
            format!("{:.2} %", float(&row["share_percent"])),
            grouped(compared.reported),
            grouped(bound),
            grouped(compared.exact),
            format!("{:+.2} %", compared.relative_error() * 100.0),
        ]);
    }
    let worst = compared.iter().map(|compared| compared.relative_error().abs()).fold(0.0, f64::max);
    let mut out = indented(&table.to_string());
    let _ = writeln!(
        out,
        "  Checked against an exact count of the {} commands sent for {} keys: {} of the true {} hottest keys found,\n  \
         {within} of {} counts within the stated bound, the largest error {:.2} %.",
        grouped(played.exact.total()),
        grouped(played.exact.keys() as u64),
        played.exact.found(&reported, reported.len()),
        reported.len(),
        reported.len(),
        worst * 100.0,
    );
    if !played.exact.is_complete() {
        out.push_str(
            "  The trace has more keys than are counted exactly: counts of late keys are missing.\n",
        );
    }
    out
}

fn prefixes(prefixes: &Value) -> String {
    let heads = ["prefix", "keys", "memory", "of all", "reads", "hits", "writes", "evicted"];
    let mut table = new_table(&heads, 1);
    for row in rows(&prefixes["by_traffic"]) {
        table.add_row([
            string(&row["prefix"]),
            grouped(whole(&row["keys"])),
            bytes_text(whole(&row["memory_bytes"])),
            format!("{:.1} %", float(&row["share_percent"])),
            grouped(whole(&row["reads"])),
            row["hit_percent"].as_f64().map_or("-".to_owned(), |percent| format!("{percent:.1} %")),
            grouped(whole(&row["writes"])),
            grouped(whole(&row["evicted"])),
        ]);
    }
    with_note(&table, prefixes)
}

fn latency(latency: &Value) -> String {
    let heads = [
        "command",
        "calls",
        "wait p99",
        "lock p99",
        "run mean",
        "run p50",
        "run p99",
        "run max",
        "flush p99",
    ];
    let mut table = new_table(&heads, 1);
    let all = latency["commands"].as_array().map_or(&[][..], Vec::as_slice);
    for row in all.iter().filter(|row| !is_question(&string(&row["command"]))).take(ROWS_MAX) {
        let us = |name: &str| row[name].as_f64().map_or("-".to_owned(), latency_text);
        table.add_row([
            string(&row["command"]),
            grouped(whole(&row["calls"])),
            us("wait_p99_usec"),
            us("lock_p99_usec"),
            us("run_mean_usec"),
            us("run_p50_usec"),
            us("run_p99_usec"),
            us("run_max_usec"),
            us("flush_p99_usec"),
        ]);
    }
    with_note(&table, latency)
}

/// Whether the demo itself sends this command, to set the server up and to ask it: not the traffic's.
fn is_question(command: &str) -> bool {
    let name = command.split('|').next().unwrap_or(command);
    ["prof", "info", "config"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn sizes(sizes: &Value) -> String {
    if whole(&sizes["keys"]) == 0 {
        return "  no key is stored\n".to_owned();
    }
    let mut out = format!(
        "  {} keys: names {} on average, values {}, overhead {} B for each key\n",
        grouped(whole(&sizes["keys"])),
        bytes_text(float(&sizes["name_mean_bytes"]) as u64),
        bytes_text(float(&sizes["value_mean_bytes"]) as u64),
        sizes["overhead_per_key_bytes"].as_f64().map_or("?".to_owned(), |bytes| format!("{bytes:.1}")),
    );
    let mut table = new_table(&["values up to", "keys", "share", "cumulative"], 0);
    let all = sizes["value_lengths"].as_array().map_or(&[][..], Vec::as_slice);
    for row in all {
        table.add_row([
            bytes_text(whole(&row["up_to_bytes"])),
            grouped(whole(&row["keys"])),
            format!("{:.1} %", float(&row["share_percent"])),
            format!("{:.1} %", float(&row["cumulative_percent"])),
        ]);
    }
    out.push_str(&indented(&table.to_string()));
    out
}

fn hit_ratio(profile: &Profile, played: &Played) -> String {
    let (hits, misses) = (profile.info_number("keyspace_hits"), profile.info_number("keyspace_misses"));
    let server = hits as f64 * 100.0 / (hits + misses).max(1) as f64;
    format!(
        "  {server:.2} % by the server ({} hits, {} misses), {:.2} % by the player\n  \
         {} keys evicted, {} expired; memory {} of {} allowed\n",
        grouped(hits),
        grouped(misses),
        played.hit_ratio() * 100.0,
        grouped(profile.info_number("evicted_keys")),
        grouped(profile.info_number("expired_keys")),
        bytes_text(profile.info_number("used_memory")),
        bytes_text(profile.info_number("maxmemory")),
    )
}

const HOW_TO_STAY: &str = "\
  The server has ended with the demo. `limpid demo --stay --port 7000` keeps it, and says how to ask it more:
  its page in a browser, or PROF REPORT, HOTKEYS, LATENCY, PREFIXES, SIZES, CLIENTS and COST from redis-cli.
";

/// `-3`: texts of several lines are printed as they are only when they come as RESP3's verbatim strings; redis-cli shows
/// those of RESP2 with every line break escaped.
fn see_more(server: SocketAddr, admin: Option<SocketAddr>) -> String {
    const COMMANDS: [(&str, &str); 8] = [
        ("PROF REPORT", "the verdict with findings and evidence"),
        ("PROF HOTKEYS TEXT", "hot keys by operations, CPU, bytes, writes, misses"),
        ("PROF LATENCY GET TEXT", "one command by stage, with its histogram"),
        ("PROF PREFIXES TEXT", "keys, memory, traffic and hit ratio of each prefix"),
        ("PROF SIZES TEXT", "lengths of keys and values, latency by size"),
        ("PROF CLIENTS TEXT", "traffic and errors of each connection"),
        ("PROF COST TEXT", "what all this seeing costs"),
        ("INFO everything", "what exporters read; `redis-cli --hotkeys --bigkeys --memkeys` work too"),
    ];
    let host = if server.ip().is_loopback() { String::new() } else { format!(" -h {}", server.ip()) };
    let mut out = String::new();
    if let Some(address) = admin {
        let _ =
            writeln!(out, "  http://{address}/ in a browser: the same as a page, with /metrics beside it");
    }
    for (command, what) in COMMANDS {
        let _ = writeln!(out, "  redis-cli -3{host} -p {} {command:<21}  {what}", server.port());
    }
    out.push_str("  (-3 keeps the line breaks of TEXT; JSON instead of TEXT is for programs)\n");
    out
}

/// The bytes of a name in a map of the server's JSON, if they are known.
fn bytes_of(map: &Value, field: &str) -> Option<Vec<u8>> {
    match map[field].as_str() {
        Some(text) => Some(text.as_bytes().to_vec()),
        None => from_base64(map[format!("{field}_base64")].as_str()?),
    }
}

/// A name in a map of the server's JSON, as it is shown to people: see docs/profiling.md.
fn name_of(map: &Value, field: &str) -> Name {
    let hash = map[format!("{field}_hash")].as_str().and_then(|hash| u64::from_str_radix(hash, 16).ok());
    let beginning = bytes_of(map, &format!("{field}_beginning"));
    match (bytes_of(map, field), beginning, hash) {
        (Some(bytes), _, _) => Name::whole(&bytes),
        (None, Some(bytes), Some(hash)) => {
            let length = whole(&map[format!("{field}_length_bytes")]) as usize;
            Name::Beginning { bytes: bytes.into(), length, hash }
        }
        (None, _, hash) => hash.map_or_else(|| Name::Hidden("?".to_owned()), Name::Unnamed),
    }
}

/// The rows of a list that are printed.
fn rows(list: &Value) -> &[Value] {
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    all.get(..ROWS_MAX).unwrap_or(all)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| float(value).max(0.0) as u64)
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// A table whose first `texts` columns are text and the others figures.
fn new_table(heads: &[&str], texts: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heads.iter().copied());
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn with_note(table: &Table, answer: &Value) -> String {
    let mut out = indented(&table.to_string());
    if let Some(note) = answer["error"].as_str() {
        let _ = writeln!(out, "  ({note})");
    }
    out
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, " {}", line.trim_end());
        out
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn info_fields_are_found_whole() {
        let info = "# Stats\r\nused_memory_peak:9\r\nused_memory:1234\r\nevicted_keys:5\r\n";
        assert_eq!(info_number(info, "used_memory"), 1234);
        assert_eq!(info_number(info, "evicted_keys"), 5);
        assert_eq!(info_number(info, "absent"), 0);
    }

    #[test]
    fn reported_counts_stand_beside_the_exact_ones() {
        let mut played = Played::default();
        (0..90).for_each(|_| played.exact.add(b"obj:1:1:0"));
        (0..10).for_each(|_| played.exact.add(b"obj:1:2:0"));
        let hotkeys = json!({"since_reset": [
            {"key": "obj:1:1:0", "operations": 99, "share_percent": 90.0, "undercount_max": 0, "sampling_error": 4},
            {"key": "obj:1:2:0", "operations": 10, "share_percent": 10.0, "undercount_max": 1, "sampling_error": 0},
        ]});
        let text = hot_keys(&hotkeys, &played);
        assert!(text.contains("+10.00 %"), "{text}");
        assert!(text.contains("2 of the true 2 hottest keys found"), "{text}");
        assert!(text.contains("1 of 2 counts within the stated bound, the largest error 10.00 %"), "{text}");
    }

    #[test]
    fn without_keys_there_are_no_figures_of_keys() {
        let none = json!({"keys": 0, "overhead_per_key_bytes": null, "value_lengths": []});
        assert_eq!(sizes(&none), "  no key is stored\n");
    }

    #[test]
    fn names_are_read_whole_and_shown_safely() {
        let mut played = Played::default();
        (0..3).for_each(|_| played.exact.add(b"\xff\n"));
        let hotkeys = json!({"since_reset": [
            {"key": null, "key_base64": "/wo=", "operations": 3, "share_percent": 60.0},
            {"key": "a\u{202e}", "operations": 1},
            {"key": null, "key_beginning": "ab", "key_length_bytes": 300, "key_hash": "000000000000000f"},
            {"key": null, "key_hash": "00000000000000ff"},
        ]});
        let text = hot_keys(&hotkeys, &played);
        for shown in [
            "\\xff\\n ",
            "a\\u{202e} ",
            "ab\u{2026} (300 bytes, hash 000000000000000f)",
            "(unnamed 00000000000000ff)",
        ] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        assert!(text.lines().any(|line| line.contains("\\xff\\n") && line.ends_with("+0.00 %")), "{text}");
    }

    #[test]
    fn the_demo_shows_the_traffic_and_not_its_own_questions() {
        let row = |command: &str| json!({"command": command, "calls": 7, "run_p99_usec": 1.5});
        let commands: Vec<Value> =
            ["prof|report", "PROF|RESET", "get", "info", "config|set", "client|info"].map(row).to_vec();
        let text = latency(&json!({"commands": commands}));
        let shown: Vec<&str> =
            text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(shown, ["get", "client|info"], "{text}");
    }

    #[test]
    fn a_server_without_prof_is_told_apart() {
        let missing = || Err("PROF HOTKEYS: ERR unknown command".to_owned());
        let profile = Profile {
            report: Ok(json!({"verdict": "healthy; 1 thing(s) could be cheaper", "findings": [{
                "culprit": "obj:{n}", "finding": "long names", "remedy": "use shorter ones",
                "evidence": {"keys": 1234, "names_bytes": 2048, "share_percent": 12.34, "held_usec": 1500},
                "saves_about_bytes": 1024, "saves_about_usec_per_s": 1029.0,
            }]})),
            hotkeys: missing(),
            prefixes: missing(),
            latency: missing(),
            sizes: missing(),
            info: "keyspace_hits:3\r\nkeyspace_misses:1\r\n".to_owned(),
        };
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ended = text(&profile, &Played::default(), None);
        assert!(ended.contains("limpid demo --stay") && !ended.contains("http://"), "{ended}");
        assert!(!ended.contains("redis-cli -3"), "{ended}");
        let remote = see_more(SocketAddr::from(([10, 0, 0, 7], 6379)), None);
        assert!(remote.contains("redis-cli -3 -h 10.0.0.7 -p 6379 PROF REPORT"), "{remote}");
        let text = text(&profile, &Played::default(), Some((local(7000), Some(local(8080)))));
        assert!(
            text.contains("VERDICT\n  healthy; 1 thing(s) could be cheaper\n  1. obj:{n}: long names"),
            "{text}"
        );
        assert!(
            text.contains("evidence: keys 1,234, names 2.00 KiB, share 12.3 %, held 1.50 ms\n"),
            "{text}"
        );
        assert!(text.contains("remedy: use shorter ones\n     saves about 1.00 KiB\n"), "{text}");
        assert!(text.contains("the server does not tell: PROF HOTKEYS: ERR unknown command"), "{text}");
        assert!(text.contains("75.00 % by the server"), "{text}");
        assert!(text.contains("     saves about 1.03 ms per second\n"), "{text}");
        assert!(text.contains("redis-cli -3 -p 7000 PROF HOTKEYS TEXT"), "{text}");
        assert!(text.contains("http://127.0.0.1:8080/"), "{text}");
    }
}
