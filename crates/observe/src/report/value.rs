//! A tree of figures: what a report is before it becomes RESP, JSON or text.
//!
//! `to_text` is for people at a terminal: names aligned, lists of equal maps as tables, and figures in the
//! unit their name ends with (`_bytes`, `_usec`, `_ns`, `_ms`, `_s`, `_percent`). The machine-readable forms
//! keep the plain numbers, and the bytes of names ([`crate::name`]): as they are in RESP; in JSON as a string if
//! they are UTF-8, else the field is null and `<field>_base64` has them.
//!
//! Thread safety: plain values.

use crate::name::{self, Field, Name};
use std::fmt::Write as _;

/// A figure, a text, or a collection of them.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// Named nodes, in order.
    Map(Vec<(String, Node)>),
    /// A sequence.
    List(Vec<Node>),
    /// Text.
    Text(String),
    /// A name that others chose, as a field of a map.
    Name(Name),
    /// Bytes that need not be text, as a field of a map.
    Bytes(Box<[u8]>),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Nothing to say.
    Null,
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A count; beyond `i64` it is cut.
    pub fn integer(count: impl TryInto<i64>) -> Self {
        Self::Integer(count.try_into().unwrap_or(i64::MAX))
    }

    /// A number; what is not finite becomes null.
    pub fn number(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }

    /// A number or null.
    pub fn optional(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::number)
    }

    /// The node of a name in a map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The members of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The text of a text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The name of a name.
    pub fn as_name(&self) -> Option<&Name> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    /// The value of a number or integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The tree as programs get it: each name is replaced by the fields of what is known of it.
    pub fn for_programs(&self) -> Node {
        let field = |field: Field| match field {
            Field::Bytes(bytes) => Self::Bytes(bytes),
            Field::Text(text) => Self::Text(text),
            Field::Length(length) => Self::integer(length),
            Field::Unknown => Self::Null,
        };
        let entry = |(name, node): &(String, Node)| match node {
            Self::Name(known) => known.fields(name).into_iter().map(|(name, of)| (name, field(of))).collect(),
            other => vec![(name.clone(), other.for_programs())],
        };
        match self {
            Self::Map(entries) => Self::Map(entries.iter().flat_map(entry).collect()),
            Self::List(items) => Self::List(items.iter().map(Node::for_programs).collect()),
            Self::Name(known) => Self::Text(known.shown()),
            other => other.clone(),
        }
    }

    /// As JSON, order kept.
    pub fn to_json(&self) -> serde_json::Value {
        self.for_programs().plain_json()
    }

    /// A tree without names as JSON.
    fn plain_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Map(entries) => {
                let mut object = serde_json::Map::new();
                for (name, node) in entries {
                    object.insert(name.clone(), node.plain_json());
                    if let Self::Bytes(bytes) = node
                        && std::str::from_utf8(bytes).is_err()
                    {
                        object.insert(format!("{name}_base64"), Value::String(name::base64(bytes)));
                    }
                }
                Value::Object(object)
            }
            Self::List(items) => Value::Array(items.iter().map(Node::plain_json).collect()),
            Self::Text(text) => Value::String(text.clone()),
            Self::Name(known) => Value::String(known.shown()),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).map_or(Value::Null, Value::from),
            Self::Integer(integer) => Value::from(*integer),
            Self::Number(number) => serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Null => Value::Null,
        }
    }

    /// As text for a terminal, lines ending with `\n`.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write("", 0, &mut text);
        text
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::Map(_) | Self::List(_))
    }

    fn write(&self, name: &str, indent: usize, text: &mut String) {
        match self {
            Self::Map(entries) => write_map(entries, indent, text),
            Self::List(items) if items.is_empty() => push_line(text, indent, "(none)"),
            Self::List(items) if is_table(items) => write_table(items, indent, text),
            Self::List(items) => write_list(items, name, indent, text),
            scalar => push_line(text, indent, &scalar.scalar_text(name)),
        }
    }

    fn scalar_text(&self, name: &str) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Name(known) => known.shown(),
            Self::Bytes(bytes) => name::escaped(bytes),
            Self::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
            Self::Null => "-".to_owned(),
            Self::Integer(integer) => humanised(name, *integer as f64).unwrap_or_else(|| grouped(*integer)),
            Self::Number(number) => humanised(name, *number).unwrap_or_else(|| plain(*number)),
            Self::Map(_) | Self::List(_) => String::new(),
        }
    }
}

fn write_map(entries: &[(String, Node)], indent: usize, text: &mut String) {
    let scalars = entries.iter().filter(|(_, node)| node.is_scalar());
    let width = scalars.map(|(name, _)| label(name).chars().count()).max().unwrap_or(0);
    for (name, node) in entries {
        if node.is_scalar() {
            push_line(text, indent, &format!("{:<width$}  {}", label(name), node.scalar_text(name)));
        } else {
            push_line(text, indent, &name.replace('_', " "));
            node.write(name, indent + 2, text);
        }
    }
}

fn write_list(items: &[Node], name: &str, indent: usize, text: &mut String) {
    for (number, item) in items.iter().enumerate() {
        match item {
            Node::Map(_) | Node::List(_) => {
                push_line(text, indent, &format!("{}.", number + 1));
                item.write(name, indent + 3, text);
            }
            scalar => push_line(text, indent, &format!("{}. {}", number + 1, scalar.scalar_text(name))),
        }
    }
}

/// Maps of scalars with the names of the first.
fn is_table(items: &[Node]) -> bool {
    let Some(Node::Map(first)) = items.first() else { return false };
    items.iter().all(|item| {
        let Node::Map(row) = item else { return false };
        row.len() == first.len()
            && row.iter().zip(first).all(|((name, node), (known, _))| name == known && node.is_scalar())
    })
}

fn write_table(items: &[Node], indent: usize, text: &mut String) {
    let rows: Vec<&Vec<(String, Node)>> =
        items.iter().filter_map(|item| if let Node::Map(row) = item { Some(row) } else { None }).collect();
    let Some(first) = rows.first() else { return };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|(name, node)| node.scalar_text(name)).collect()).collect();
    let heads: Vec<String> = first.iter().map(|(name, _)| label(name)).collect();
    let is_text: Vec<bool> = (0..heads.len())
        .map(|column| {
            rows.iter().any(|row| matches!(row.get(column), Some((_, Node::Text(_) | Node::Name(_)))))
        })
        .collect();
    let width = |column: usize| {
        let cells = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in std::iter::once(&heads).chain(&cells) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let (gap, width) = (if column == 0 { "" } else { "  " }, widths[column]);
            // Writing to a string cannot fail.
            let _ = if is_text[column] {
                write!(line, "{gap}{cell:<width$}")
            } else {
                write!(line, "{gap}{cell:>width$}")
            };
        }
        push_line(text, indent, line.trim_end());
    }
}

fn push_line(text: &mut String, indent: usize, line: &str) {
    text.extend(std::iter::repeat_n(' ', indent));
    text.push_str(line);
    text.push('\n');
}

/// A named figure in one line for a person: the name in words, then the figure in the unit that the name ends with.
pub fn named(name: &str, number: f64) -> String {
    let text = humanised(name, number).unwrap_or_else(|| plain(number));
    format!("{} {text}", label(name)).trim_start().to_owned()
}

/// The name without the unit that its figure is printed with, in words; between digits `_` is the decimal point.
fn label(name: &str) -> String {
    let name = UNITS.iter().find_map(|(suffix, _)| name.strip_suffix(suffix)).unwrap_or(name);
    let mut label = String::with_capacity(name.len());
    let mut rest = name.chars().peekable();
    while let Some(letter) = rest.next() {
        let is_point = label.ends_with(|before: char| before.is_ascii_digit())
            && rest.peek().is_some_and(char::is_ascii_digit);
        label.push(match letter {
            '_' if is_point => '.',
            '_' => ' ',
            other => other,
        });
    }
    label
}

type Humanise = fn(f64) -> String;
const UNITS: [(&str, Humanise); 8] = [
    ("_usec_per_s", |usec| format!("{} per second", duration(usec * 1_000.0))),
    ("_bytes", bytes),
    ("_percent", |number| format!("{} %", plain(number))),
    ("_usec", |usec| duration(usec * 1_000.0)),
    ("_ns", duration),
    ("_ms", |ms| duration(ms * 1_000_000.0)),
    ("_unix_s", date),
    ("_s", |s| duration(s * 1_000_000_000.0)),
];

fn humanised(name: &str, number: f64) -> Option<String> {
    let unit = UNITS.iter().find(|(suffix, _)| name.ends_with(suffix) || name == &suffix[1..]);
    unit.map(|(_, humanise)| humanise(number))
}

/// Bytes with a binary unit: `1.5 MiB`.
pub fn bytes(bytes: f64) -> String {
    let mut number = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number.abs() < 1024.0 {
            return format!("{} {unit}", if unit == "B" { plain(number) } else { significant(number) });
        }
        number /= 1024.0;
    }
    format!("{} TiB", significant(number))
}

/// A span with the unit that suits it: `1.5 ms`.
pub fn duration(ns: f64) -> String {
    let size = ns.abs();
    if size < 1e3 {
        format!("{} ns", significant(ns))
    } else if size < 1e6 {
        format!("{} us", significant(ns / 1e3))
    } else if size < 1e9 {
        format!("{} ms", significant(ns / 1e6))
    } else if size < 120e9 {
        format!("{} s", significant(ns / 1e9))
    } else if size < 2.0 * 3600e9 {
        format!("{} min", significant(ns / 60e9))
    } else {
        format!("{} h", significant(ns / 3600e9))
    }
}

/// Seconds since 1970 as a date in UTC (days to civil: Hinnant, "chrono-compatible low-level date algorithms").
fn date(unix_s: f64) -> String {
    let seconds = unix_s as i64;
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// About three significant digits, those before the point all.
fn significant(number: f64) -> String {
    let size = number.abs();
    if (1_000.0..9e15).contains(&size) {
        grouped(number.round() as i64)
    } else if size >= 100.0 || size == 0.0 {
        format!("{number:.0}")
    } else if size >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 9e15 { grouped(number as i64) } else { significant(number) }
}

/// `1234567` as `1,234,567`.
fn grouped(integer: i64) -> String {
    let digits = integer.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if integer < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Node)]) -> Node {
        Node::Map(entries.iter().map(|(name, node)| ((*name).to_owned(), node.clone())).collect())
    }

    #[test]
    fn text_shows_units_tables_and_alignment() {
        let row =
            |key: &str, bytes: i64| map(&[("key", Node::text(key)), ("total_bytes", Node::Integer(bytes))]);
        let tree = map(&[
            ("p99_usec", Node::Number(1500.0)),
            ("hit_percent", Node::Number(12.5)),
            ("calls", Node::Integer(1_234_567)),
            ("top", Node::List(vec![row("a", 512), row("long", 3 << 20)])),
            ("by_bytes", Node::List(vec![])),
        ]);
        let expected = "p99    1.50 ms\nhit    12.5 %\ncalls  1,234,567\ntop\n  key      total\n  a        512 B\n  long  3.00 MiB\nby bytes\n  (none)\n";
        assert_eq!(tree.to_text(), expected);
    }

    #[test]
    fn labels_keep_decimal_points_and_large_numbers_are_grouped() {
        assert_eq!(named("p99_9_usec", 1_500.0), "p99.9 1.50 ms");
        assert_eq!(named("commands_per_second", 71_891.4), "commands per second 71,891");
        assert_eq!(named("saves_about_usec_per_s", 1_029.0), "saves about 1.03 ms per second");
        assert_eq!(named("window_s", 8.1), "window 8.10 s");
        assert_eq!(named("runs_of_1_ms_or_more", 2.0), "runs of 1 ms or more 2");
    }

    #[test]
    fn json_keeps_order_and_plain_numbers() {
        let tree = map(&[("z_bytes", Node::Integer(2048)), ("a", Node::Null), ("n", Node::number(f64::NAN))]);
        assert_eq!(tree.to_json().to_string(), r#"{"z_bytes":2048,"a":null,"n":null}"#);
    }

    #[test]
    fn names_are_escaped_for_people_and_whole_for_programs() {
        let row = |key: &[u8], calls: i64| {
            map(&[("key", Node::Name(Name::whole(key))), ("calls", Node::Integer(calls))])
        };
        let tree = Node::List(vec![row(b"a\\nb", 1), row(b"a\nb", 22), row(b"", 3), row(b"\xff", 4)]);
        assert_eq!(
            tree.to_text(),
            "key    calls\na\\\\nb      1\na\\nb      22\n\"\"         3\n\\xff       4\n"
        );
        assert_eq!(
            tree.to_json().to_string(),
            r#"[{"key":"a\\nb","calls":1},{"key":"a\nb","calls":22},{"key":"","calls":3},"#.to_owned()
                + r#"{"key":null,"key_base64":"/w==","calls":4}]"#
        );
        let cut = Name::Beginning { bytes: (*b"ab").into(), length: 900, hash: 0xF };
        assert_eq!(
            map(&[("key", Node::Name(cut))]).to_json().to_string(),
            r#"{"key":null,"key_beginning":"ab","key_length_bytes":900,"key_hash":"000000000000000f"}"#
        );
        assert_eq!(row(b"\xff", 4).for_programs().get("key"), Some(&Node::Bytes((*b"\xff").into())));
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(date(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_827_696.0), "2000-02-29 12:34:56 UTC");
        assert_eq!(date(1_798_761_599.0), "2026-12-31 23:59:59 UTC");
    }

    #[test]
    fn counts_beyond_the_range_are_cut() {
        assert_eq!(Node::integer(u64::MAX), Node::Integer(i64::MAX));
    }
}
