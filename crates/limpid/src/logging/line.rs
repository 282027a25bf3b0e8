//! The shape of a log line: text in Redis's spirit (`pid:M date * message`), or logfmt.
//!
//! JSON is written by `tracing-subscriber` itself. All times are UTC: local time needs the C library's time zone state,
//! and a server's logs are compared with other machines'.
//!
//! Thread safety: immutable once made.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::registry::LookupSpan;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How a line writes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timestamp {
    /// `20 Nov 2026 12:32:37.782`
    Legacy,
    /// `2026-11-20T12:32:37.782Z`
    Iso8601,
    /// Milliseconds since 1970.
    Milliseconds,
}

impl Timestamp {
    pub(super) fn from_name(name: &str) -> Timestamp {
        match name {
            "iso8601" => Timestamp::Iso8601,
            "milliseconds" => Timestamp::Milliseconds,
            _ => Timestamp::Legacy,
        }
    }

    /// The default reads well; a program that parses JSON is better served by ISO 8601.
    pub(super) fn for_machines(self) -> Timestamp {
        if self == Timestamp::Legacy { Timestamp::Iso8601 } else { self }
    }

    fn write(self, since_1970: Duration, out: &mut impl fmt::Write) -> fmt::Result {
        let (seconds, ms) = (since_1970.as_secs(), since_1970.subsec_millis());
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        match self {
            Timestamp::Legacy => {
                let month = MONTHS.get(month as usize - 1).unwrap_or(&"???");
                write!(out, "{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{ms:03}")
            }
            Timestamp::Iso8601 => {
                write!(out, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
            }
            Timestamp::Milliseconds => write!(out, "{}", since_1970.as_millis()),
        }
    }
}

impl FormatTime for Timestamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        self.write(now(), writer)
    }
}

fn now() -> Duration {
    // A clock before 1970 is wrong anyway.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Year, month and day of a day since 1970-01-01 in the proleptic Gregorian calendar: counting from March 1 of year 0
/// puts the leap day last, so that months have a fixed length pattern (Fliegel and Van Flandern's idea).
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    const DAYS_PER_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_MARCH_OF_YEAR_0;
    let (era, day_of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// Which of the two shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Logfmt,
}

/// Formats events as lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineFormat {
    pub(super) shape: Shape,
    pub(super) timestamp: Timestamp,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut message = Message::default();
        event.record(&mut message);
        self.write(now(), *event.metadata().level(), &message, &mut writer)
    }
}

impl LineFormat {
    fn write(self, now: Duration, level: Level, message: &Message, out: &mut impl fmt::Write) -> fmt::Result {
        let pid = std::process::id();
        match self.shape {
            Shape::Text => {
                write!(out, "{pid}:M ")?;
                self.timestamp.write(now, out)?;
                write!(out, " {} {}", mark(level), one_line(&message.text))?;
                message
                    .fields
                    .iter()
                    .try_for_each(|(name, value)| write!(out, " {name}={}", one_line(value)))?;
            }
            Shape::Logfmt => {
                write!(out, "pid={pid} role=primary timestamp=\"")?;
                self.timestamp.write(now, out)?;
                write!(out, "\" level={} message={}", redis_level(level), quoted(&message.text))?;
                message
                    .fields
                    .iter()
                    .try_for_each(|(name, value)| write!(out, " {name}={}", quoted(value)))?;
            }
        }
        out.write_char('\n')
    }
}

/// Redis's marks for debug, verbose, notice and warning.
fn mark(level: Level) -> char {
    match level {
        Level::TRACE => '.',
        Level::DEBUG => '-',
        Level::INFO => '*',
        _ => '#',
    }
}

fn redis_level(level: Level) -> &'static str {
    match level {
        Level::TRACE => "debug",
        Level::DEBUG => "verbose",
        Level::INFO => "notice",
        _ => "warning",
    }
}

/// Text without line breaks and other control characters: what a client sends must not forge a log line.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // A backtrace has line breaks of the server's own; it is indented, so that it cannot pass for a line.
            '\n' => line.push_str("\n    "),
            other if other.is_control() => line.extend(other.escape_default()),
            other => line.push(other),
        }
    }
    line
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            other if other.is_control() => quoted.extend(other.escape_default()),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// An event's message and its other fields.
#[derive(Debug, Default)]
struct Message {
    text: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.text),
            name => self.fields.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // Writing to a String cannot fail.
            "message" => _ = write!(self.text, "{value:?}"),
            name => self.fields.push((name, format!("{value:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 12:32:37.782 UTC.
    const MOMENT: Duration = Duration::from_millis(1_795_177_957_782);

    fn line(shape: Shape, timestamp: Timestamp, level: Level, text: &str) -> String {
        let message = Message { text: text.to_owned(), fields: vec![("port", "6379".to_owned())] };
        let mut out = String::new();
        LineFormat { shape, timestamp }.write(MOMENT, level, &message, &mut out).unwrap();
        out.replacen(&std::process::id().to_string(), "PID", 1)
    }

    #[test]
    fn text_lines_look_like_redis() {
        assert_eq!(
            line(Shape::Text, Timestamp::Legacy, Level::INFO, "Ready"),
            "PID:M 20 Nov 2026 12:32:37.782 * Ready port=6379\n"
        );
        assert_eq!(
            line(Shape::Text, Timestamp::Milliseconds, Level::ERROR, "Bad"),
            "PID:M 1795177957782 # Bad port=6379\n"
        );
    }

    #[test]
    fn logfmt_lines_are_quoted() {
        assert_eq!(
            line(Shape::Logfmt, Timestamp::Iso8601, Level::WARN, "a \"b\"\n"),
            "pid=PID role=primary timestamp=\"2026-11-20T12:32:37.782Z\" level=warning \
             message=\"a \\\"b\\\"\\n\" port=\"6379\"\n"
        );
    }

    #[test]
    fn a_message_cannot_forge_a_line() {
        let text = line(Shape::Text, Timestamp::Legacy, Level::INFO, "a\r\n1:M fake\x1b[0m");
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().nth(1).unwrap().starts_with("    1:M fake\\u{1b}"), "{text}");
    }

    #[test]
    fn dates_around_leap_days() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(19_782), (2024, 2, 29));
        assert_eq!(civil_date(19_783), (2024, 3, 1));
        assert_eq!(civil_date(20_088), (2024, 12, 31));
        assert_eq!(civil_date(47_540), (2100, 2, 28));
        assert_eq!(civil_date(47_541), (2100, 3, 1));
    }
}
