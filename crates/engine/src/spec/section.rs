//! What a section of INFO is: one literal that lives beside what it tells, and the report that it writes into.
//!
//! Not the list of the sections, which INFO keeps, in the order that it prints them.
//!
//! Invariant: every figure is measured or counted; one that cannot be had is left out. Where a feature is absent, its
//! fields have the values that Redis gives when the feature is off, so that nobody who parses them stumbles.
//!
//! Thread safety: one worker writes a report; it reads merged copies and relaxed atomics.

use crate::state::instance::Instance;
use keyspace::Databases;
use observe::record::Snapshot;
use std::fmt::{Display, Write};

/// A section of INFO.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// As its title has it; it is asked for by this name, whatever the case.
    pub name: &'static str,
    pub shown: Shown,
    /// Writes the fields; the title is written already.
    pub write: fn(&mut Report<'_>),
}

/// When a section is shown that nobody asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By plain INFO, and so by `default`, `all` and `everything`.
    ByDefault,
    /// By `all` and `everything`.
    WithAll,
}

/// What sections are written from and into.
pub struct Report<'a> {
    pub text: String,
    pub instance: &'a Instance,
    pub databases: &'a Databases,
    pub snapshot: Snapshot,
    /// Milliseconds of the keyspace's clock.
    pub now_ms: i64,
    pub random: u64,
}

impl Report<'_> {
    /// The title and the fields of a section, after a blank line if it is not the first.
    pub fn section(&mut self, section: &Section) {
        let blank = if self.text.is_empty() { "" } else { "\r\n" };
        let _ = write!(self.text, "{blank}# {}\r\n", section.name);
        (section.write)(self);
    }

    /// One line; writing to a `String` does not fail.
    pub fn field(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Lines of equal value: what is absent.
    pub fn fields(&mut self, names: &[&str], value: impl Display + Copy) {
        names.iter().for_each(|name| self.field(name, value));
    }

    /// A number of bytes, and once more for people.
    pub fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }
}

/// Bytes as people read them: `1.50M`.
pub fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    let value = bytes as f64 / 1024_f64.powi(power as i32);
    format!("{value:.2}{}", UNITS[power as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_as_redis_tells_them() {
        let table = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_423_144, "1.36M"),
            (25_276_510_208, "23.54G"),
            (1 << 50, "1.00P"),
            (u64::MAX, "16384.00P"),
        ];
        for (bytes, text) in table {
            assert_eq!(human(bytes), text);
        }
    }
}
