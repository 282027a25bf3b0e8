//! The text that Prometheus scrapes: the text format 0.0.4 and OpenMetrics 1.0, from the same families.
//!
//! Not where figures come from: [`observed`] writes what the recorders saw, the server adds its own families.
//!
//! ```text
//! # HELP redis_commands_total Calls per command.
//! # TYPE redis_commands_total counter            (OpenMetrics: redis_commands, the samples keep _total)
//! redis_commands_total{cmd="get"} 42
//! ```
//!
//! Invariants:
//! 1. A family's lines stand together, under one HELP and one TYPE, and no family is written twice.
//! 2. Label values are escaped; names come from the source and are valid. A counter's name ends with `_total`.
//! 3. A family without samples leaves no line.
//!
//! Sources: "Exposition formats" of the Prometheus documentation; the OpenMetrics specification 1.0.
//!
//! Thread safety: plain values.

pub mod observed;

use std::fmt::Write as _;

/// Which of the two formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The text format that every scraper reads.
    Prometheus,
    /// OpenMetrics, for those who ask for it.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for.
    pub fn of_accept(accept: &str) -> Self {
        let wants_open =
            accept.split(',').any(|range| range.trim().starts_with("application/openmetrics-text"));
        if wants_open { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` of the text.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family's figures are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
}

/// Labels of a sample, in the order they are written.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text in the making.
pub struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    /// An empty text.
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Begins a family; its lines are those written before the next one begins.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        debug_assert!(kind != Kind::Counter || name.ends_with("_total"), "{name}");
        Family { exposition: self, name, kind, help, is_empty: true }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &'static str, value: f64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<f64>, value: f64) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let bound = bound.map(|bound| self.bound_text(bound));
        let with_bound = bound.as_deref().map(|bound| ("le", bound));
        for (at, (label, value)) in labels.iter().copied().chain(with_bound).enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, value, true);
            self.text.push('"');
        }
        if !labels.is_empty() || with_bound.is_some() {
            self.text.push('}');
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, " {}", number_text(value));
    }

    /// OpenMetrics wants bounds in one canonical form, with a fraction.
    fn bound_text(&self, bound: f64) -> String {
        match self.format {
            Format::OpenMetrics if bound.is_finite() => format!("{bound:?}"),
            _ => number_text(bound),
        }
    }
}

/// One family in the making.
pub struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'static str,
    kind: Kind,
    help: &'static str,
    is_empty: bool,
}

impl Family<'_> {
    /// One figure.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.head();
        self.exposition.line(self.name, "", labels, None, value);
    }

    /// One histogram: cumulative counts at ascending bounds (without the infinite one), sum and count of all values.
    pub fn histogram(&mut self, labels: Labels<'_>, buckets: &[(f64, u64)], sum: f64, count: u64) {
        self.head();
        for &(bound, below) in buckets {
            self.exposition.line(self.name, "_bucket", labels, Some(bound), below as f64);
        }
        self.exposition.line(self.name, "_bucket", labels, Some(f64::INFINITY), count as f64);
        self.exposition.line(self.name, "_sum", labels, None, sum);
        self.exposition.line(self.name, "_count", labels, None, count as f64);
    }

    /// One summary: values by quantile, as the label is written, with sum and count of all values.
    pub fn summary(&mut self, labels: Labels<'_>, quantiles: &[(String, f64)], sum: f64, count: u64) {
        self.head();
        for (quantile, value) in quantiles {
            let labels = [labels, &[("quantile", quantile)]].concat();
            self.exposition.line(self.name, "", &labels, None, *value);
        }
        self.exposition.line(self.name, "_sum", labels, None, sum);
        self.exposition.line(self.name, "_count", labels, None, count as f64);
    }

    fn head(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            return;
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        let name = match self.exposition.format {
            Format::OpenMetrics => self.name.strip_suffix("_total").unwrap_or(self.name),
            Format::Prometheus => self.name,
        };
        let text = &mut self.exposition.text;
        let _ = write!(text, "# HELP {name} ");
        push_escaped(text, self.help, false);
        let _ = writeln!(text, "\n# TYPE {name} {kind}");
    }
}

/// Backslash and line end, and in label values the quote.
fn push_escaped(text: &mut String, value: &str, is_quoted: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if is_quoted => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let mut out = Exposition::new(format);
        let mut family = out.family("x_errors_total", Kind::Counter, "Errors\nby \"code\".");
        family.sample(&[("code", "a\"b\\c\nd"), ("db", "0")], 3.0);
        out.family("x_nothing_total", Kind::Counter, "Never written.");
        out.single("x_ratio", Kind::Gauge, "A ratio.", 0.5);
        let mut family = out.family("x_seconds", Kind::Histogram, "Times.");
        family.histogram(&[("cmd", "get")], &[(0.001, 1), (1.0, 4)], 2.25, 5);
        out.finish()
    }

    #[test]
    fn the_text_format_is_written_as_specified() {
        assert_eq!(
            written(Format::Prometheus),
            "# HELP x_errors_total Errors\\nby \"code\".\n\
             # TYPE x_errors_total counter\n\
             x_errors_total{code=\"a\\\"b\\\\c\\nd\",db=\"0\"} 3\n\
             # HELP x_ratio A ratio.\n\
             # TYPE x_ratio gauge\n\
             x_ratio 0.5\n\
             # HELP x_seconds Times.\n\
             # TYPE x_seconds histogram\n\
             x_seconds_bucket{cmd=\"get\",le=\"0.001\"} 1\n\
             x_seconds_bucket{cmd=\"get\",le=\"1\"} 4\n\
             x_seconds_bucket{cmd=\"get\",le=\"+Inf\"} 5\n\
             x_seconds_sum{cmd=\"get\"} 2.25\n\
             x_seconds_count{cmd=\"get\"} 5\n"
        );
    }

    #[test]
    fn openmetrics_differs_in_counters_bounds_and_its_end() {
        let text = written(Format::OpenMetrics);
        assert!(text.starts_with("# HELP x_errors Errors"));
        assert!(text.contains("\n# TYPE x_errors counter\nx_errors_total{code="));
        assert!(text.contains("x_seconds_bucket{cmd=\"get\",le=\"1.0\"} 4\n"));
        assert!(text.ends_with("x_seconds_count{cmd=\"get\"} 5\n# EOF\n"));
    }

    #[test]
    fn the_accept_header_chooses() {
        let scraper =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::of_accept(scraper), Format::OpenMetrics);
        assert_eq!(Format::of_accept("text/html, */*"), Format::Prometheus);
        assert_eq!(Format::of_accept(""), Format::Prometheus);
    }

    #[test]
    fn numbers_that_are_none_have_their_names() {
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e15, 0.1].map(number_text);
        assert_eq!(numbers, ["NaN", "+Inf", "-Inf", "1000000000000000", "0.1"]);
    }
}
