//! How names of keys leave the server: as they are, or as stable hashes (`profiling-redact-keys yes`).
//!
//! Invariants:
//! 1. A redacted name is the same through the life of the process, so that reports can be compared, and says
//!    nothing about the name: SipHash keyed with random bytes of this process.
//! 2. Of a redacted prefix its placeholders (`{n}`) and separators stay: they are not part of any name.
//!
//! Thread safety: plain value over a key that is made once.

use crate::record::hotkeys::{HotKey, KeyName};
use crate::record::shape::is_separator;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// Turns names into what a report may show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Redactor {
    /// The setting `profiling-redact-keys`.
    pub redacts: bool,
}

impl Redactor {
    /// A key's name, for any output.
    pub fn key(&self, name: &[u8]) -> String {
        if self.redacts { hashed(name) } else { printable(name) }
    }

    /// The name of a key in a summary: its hash number when the name is not known, `...` when it was cut.
    pub fn hot_key(&self, key: &HotKey) -> String {
        match &key.name {
            Some(name) => self.key_name(name),
            None if self.redacts => hashed(&key.hash.to_le_bytes()),
            None => format!("(unnamed {:016x})", key.hash),
        }
    }

    /// A prefix such as `user:{n}:cart`.
    pub fn prefix(&self, shape: &str) -> String {
        if !self.redacts || shape == "(other)" {
            return shape.to_owned();
        }
        let mut redacted = String::new();
        let mut rest = shape;
        while !rest.is_empty() {
            let end = rest.find(is_separator).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            redacted.push_str(&redacted_token(token));
            let separator = after.chars().next();
            redacted.extend(separator);
            rest = &after[separator.map_or(0, char::len_utf8)..];
        }
        redacted
    }

    fn key_name(&self, name: &KeyName) -> String {
        let shown = self.key(name.bytes());
        if name.is_shortened() { format!("{shown}... ({} bytes)", name.length()) } else { shown }
    }
}

fn redacted_token(token: &str) -> String {
    const PLACEHOLDERS: [&str; 6] = ["{n}", "{uuid}", "{hex}", "{bin}", "{*}", ""];
    if PLACEHOLDERS.contains(&token) {
        return token.to_owned();
    }
    match token.strip_suffix("{n}") {
        Some(name) => format!("{}{{n}}", hashed(name.as_bytes())),
        None => hashed(token.as_bytes()),
    }
}

fn hashed(name: &[u8]) -> String {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    format!("#{:012x}", KEY.get_or_init(RandomState::new).hash_one(name) >> 16)
}

/// The name as text: what is not printable is escaped.
pub fn printable(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacted_names_are_stable_and_hide_everything() {
        let (open, closed) = (Redactor::default(), Redactor { redacts: true });
        assert_eq!(open.key(b"user:1\n"), "user:1\\n");
        assert_eq!(closed.key(b"user:1"), closed.key(b"user:1"));
        assert_ne!(closed.key(b"user:1"), closed.key(b"user:2"));
        assert!(!closed.key(b"user:1").contains("user"));
        let shape = closed.prefix("user:{n}:cart.v{n}");
        assert!(!shape.contains("user") && !shape.contains("cart") && !shape.contains('v'), "{shape}");
        assert_eq!(shape.matches("{n}").count(), 2);
        assert_eq!(closed.prefix("(other)"), "(other)");
    }
}
