//! How names of keys leave the server: as they are, or as stable hashes (`profiling-redact-keys yes`).
//!
//! Not how a name is printed, see [`crate::name`].
//!
//! Invariants:
//! 1. A redacted name is the same through the life of the process, so that reports can be compared, and says
//!    nothing about the name: SipHash keyed with random bytes of this process.
//! 2. Of a redacted prefix its placeholders (`{n}`) and separators stay: they are not part of any name.
//!
//! Thread safety: plain value over a key that is made once.

use crate::name::{Name, PLACEHOLDERS};
use crate::observers::prefixes::shape::is_separator;
use crate::record::hotkeys::HotKey;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// Turns names into what a report may show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Redactor {
    /// The setting `profiling-redact-keys`.
    pub redacts: bool,
}

impl Redactor {
    /// The name of a key in a summary, or what is known of it.
    pub fn hot_key(&self, key: &HotKey) -> Name {
        match &key.name {
            Some(name) if self.redacts && !name.is_shortened() => Name::Hidden(hashed(name.bytes())),
            _ if self.redacts => Name::Hidden(hashed(&key.hash.to_le_bytes())),
            Some(name) if name.is_shortened() => {
                Name::Beginning { bytes: name.bytes().into(), length: name.length(), hash: key.hash }
            }
            Some(name) => Name::Whole { bytes: name.bytes().into(), hash: Some(key.hash) },
            None => Name::Unnamed(key.hash),
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
}

fn redacted_token(token: &str) -> String {
    if token.is_empty() || PLACEHOLDERS.contains(&token) {
        return token.to_owned();
    }
    let backslashes = |name: &str| name.bytes().rev().take_while(|&byte| byte == b'\\').count();
    match token.strip_suffix("{n}").filter(|name| backslashes(name).is_multiple_of(2)) {
        Some(name) => format!("{}{{n}}", hashed(name.as_bytes())),
        None => hashed(token.as_bytes()),
    }
}

fn hashed(name: &[u8]) -> String {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    format!("#{:012x}", KEY.get_or_init(RandomState::new).hash_one(name) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::hotkeys::{Access, HotKeys, HotKeysSnapshot, KeyAccess};

    #[test]
    fn redacted_names_are_stable_and_hide_everything() {
        let (open, closed) = (Redactor::default(), Redactor { redacts: true });
        let key = |name: &[u8]| {
            let mut hotkeys = HotKeys::default();
            let access = Access::Read;
            hotkeys.record(KeyAccess { db: 0, hash: 7, key: name, weight: 1, access, cpu_ns: 0, bytes: 0 });
            let mut seen = HotKeysSnapshot::default();
            seen.add(&hotkeys, 0);
            seen.operations.top(1)[0].clone()
        };
        let (first, second, long) = (key(b"user:1"), key(b"user:2"), key(&[b'u'; 200_000]));
        assert_eq!(open.hot_key(&first), Name::Whole { bytes: (*b"user:1").into(), hash: Some(7) });
        assert!(matches!(open.hot_key(&long), Name::Beginning { length: 200_000, hash: 7, .. }));
        assert_eq!(closed.hot_key(&first), closed.hot_key(&first));
        assert_ne!(closed.hot_key(&first), closed.hot_key(&second));
        for key in [&first, &long] {
            assert!(matches!(closed.hot_key(key), Name::Hidden(text) if !text.contains('u')));
        }
        let shape = closed.prefix("user:{n}:cart.v{n}");
        assert!(!shape.contains("user") && !shape.contains("cart") && !shape.contains('v'), "{shape}");
        assert_eq!(shape.matches("{n}").count(), 2);
        assert_eq!(closed.prefix("(other)"), "(other)");
        let named_like_one = closed.prefix("a\\{n}:\\{*}");
        assert!(!named_like_one.contains('{'), "{named_like_one}");
    }
}
