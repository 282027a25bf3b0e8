//! What a measurement looks like: as text for a person, as JSON for a program.
//!
//! Thread safety: stateless.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::load::{Measurement, Tick};

/// The percentiles that are printed.
const PERCENTILES: [f64; 5] = [50.0, 95.0, 99.0, 99.9, 99.99];
/// Above this share of its threads' time the generator, not the server, limits the rate.
const GENERATOR_BUSY_SHARE: f64 = 0.95;

/// Writes a line to standard output. A reader that has gone (`| head`) is no reason to panic; the rest is not shown.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with a binary unit, as redis.conf counts them.
pub fn bytes_text(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") };
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}

/// Microseconds in the unit that reads best.
pub fn latency_text(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.1} µs"),
        us if us < 1_000.0 => format!("{us:.0} µs"),
        us if us < 10_000.0 => format!("{:.2} ms", us / 1e3),
        us if us < 1_000_000.0 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// The lines that `limpid bench` prints; `threads` is the generator's.
pub fn text(measured: &Measurement, threads: usize) -> String {
    let mut lines = vec![
        format!(
            "throughput    {} op/s  ({} operations in {:.2} s)",
            grouped(measured.rate() as u64),
            grouped(measured.operations),
            measured.seconds
        ),
        format!(
            "latency       {}",
            PERCENTILES
                .iter()
                .map(|&percentile| format!("p{percentile} {}", latency_text(measured.latency_us(percentile))))
                .chain([format!("max {}", latency_text(measured.latency_ns.max() as f64 / 1e3))])
                .collect::<Vec<_>>()
                .join("  ")
        ),
        format!(
            "traffic       {}/s sent, {}/s received",
            bytes_text((measured.bytes_sent as f64 / measured.seconds) as u64),
            bytes_text((measured.bytes_received as f64 / measured.seconds) as u64)
        ),
    ];
    if measured.nulls > 0 {
        lines.push(format!(
            "null replies  {} of {}: for GET, misses (--prefill sets every key first)",
            grouped(measured.nulls),
            grouped(measured.replies_recorded)
        ));
    }
    lines.push(match &measured.first_error {
        None => "errors        none".to_owned(),
        Some(first) => format!("errors        {} replies, the first: {first}", grouped(measured.errors)),
    });
    if let (Some(server), Some(cpu_us)) = (measured.server, measured.server_cpu_us_per_operation()) {
        lines.push(format!(
            "server CPU    {cpu_us:.3} µs for each operation ({:.2} cores busy), RSS {}",
            server.cpu_us as f64 / 1e6 / measured.seconds,
            bytes_text(server.rss_bytes_after)
        ));
    }
    lines.push(generator_text(measured, threads));
    lines.join("\n")
}

fn generator_text(measured: &Measurement, threads: usize) -> String {
    let cores = measured.generator_cpu_us as f64 / 1e6 / measured.seconds;
    let share = cores / threads as f64;
    let note = if share >= GENERATOR_BUSY_SHARE {
        ": it, not the server, was the limit (try --threads)"
    } else {
        ""
    };
    format!("generator     {cores:.2} cores busy of {threads}{note}")
}

/// One measurement as a JSON object: units are in the names.
pub fn to_json(measured: &Measurement) -> Value {
    let mut latency = serde_json::Map::new();
    for percentile in PERCENTILES {
        latency.insert(format!("p{percentile}"), json!(measured.latency_us(percentile)));
    }
    latency.insert("max".to_owned(), json!(measured.latency_ns.max() as f64 / 1e3));
    latency.insert("mean".to_owned(), json!(measured.latency_ns.mean() / 1e3));
    json!({
        "operations": measured.operations,
        "seconds": measured.seconds,
        "operations_per_second": measured.rate(),
        "latency_us": latency,
        "errors": measured.errors,
        "first_error": measured.first_error,
        "null_replies": measured.nulls,
        "bytes_sent": measured.bytes_sent,
        "bytes_received": measured.bytes_received,
        "server_cpu_us_per_operation": measured.server_cpu_us_per_operation(),
        "server_rss_bytes": measured.server.map(|server| server.rss_bytes_after),
        "generator_cpu_us": measured.generator_cpu_us,
    })
}

/// A line on the terminal with the rate of the last second; nothing when standard error is no terminal.
pub struct ProgressLine {
    bar: ProgressBar,
    label: String,
    second_started: Duration,
    second_replies: u64,
}

impl ProgressLine {
    /// `is_quiet` shows nothing at all.
    pub fn new(label: impl Into<String>, is_quiet: bool) -> Self {
        let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a constant template"));
        Self { bar, label: label.into(), second_started: Duration::ZERO, second_replies: 0 }
    }

    /// Takes note of a moment; once a second the line changes.
    pub fn tick(&mut self, tick: Tick) {
        if tick.elapsed < self.second_started {
            (self.second_started, self.second_replies) = (Duration::ZERO, tick.replies);
        }
        let elapsed = tick.elapsed - self.second_started;
        if elapsed >= Duration::from_secs(1) {
            let rate = tick.replies.saturating_sub(self.second_replies) as f64 / elapsed.as_secs_f64();
            let (seconds, phase) = (tick.elapsed.as_secs(), if tick.is_warmup { " (warm-up)" } else { "" });
            self.bar.set_message(format!(
                "{}{phase}  {seconds} s  {} op/s",
                self.label,
                grouped(rate as u64)
            ));
            (self.second_started, self.second_replies) = (tick.elapsed, tick.replies);
        }
        self.bar.tick();
    }

    /// Removes the line.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes_text(1023), "1023 B");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        assert_eq!(bytes_text(3 << 40), "3.0 TiB");
        assert_eq!(latency_text(3.25), "3.2 µs");
        assert_eq!(latency_text(812.0), "812 µs");
        assert_eq!(latency_text(14_250.0), "14.2 ms");
    }
}
