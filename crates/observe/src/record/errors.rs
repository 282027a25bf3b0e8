//! Errors by their code (`ERR`, `WRONGTYPE`, `NOAUTH`): exact counts in a bounded list.
//!
//! A code is the error's first word. Scripts and modules can make up codes, so the list is bounded: past
//! [`CODES_MAX`] the rest is counted under `OTHER`.
//!
//! Thread safety: owned by one recorder.

/// Codes told apart, as Redis limits them.
pub const CODES_MAX: usize = 128;
/// Longest code kept.
pub const CODE_BYTES_MAX: usize = 32;
const OTHER: &str = "OTHER";

/// Errors by code.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Errors {
    codes: Vec<(Box<str>, u64)>,
    total: u64,
}

impl Errors {
    /// Counts an error with the text the client sees, without the leading `-`.
    pub fn record(&mut self, text: &[u8]) {
        let word = text.split(|&byte| byte == b' ' || byte == b'\r').next().unwrap_or_default();
        let word = &word[..word.len().min(CODE_BYTES_MAX)];
        self.add(&String::from_utf8_lossy(word), 1);
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Errors) {
        for (code, count) in &other.codes {
            self.add(code, *count);
        }
    }

    /// Takes away what was counted before; codes that did not come again are gone.
    pub fn subtract(&mut self, before: &Errors) {
        for (code, count) in &mut self.codes {
            let counted = before.codes.iter().find(|(known, _)| known == code).map_or(0, |(_, count)| *count);
            *count = count.saturating_sub(counted);
        }
        self.codes.retain(|(_, count)| *count > 0);
        self.total = self.codes.iter().map(|(_, count)| count).sum();
    }

    /// Codes and counts, most first.
    pub fn top(&self) -> Vec<(&str, u64)> {
        let mut codes: Vec<(&str, u64)> = self.codes.iter().map(|(code, count)| (&**code, *count)).collect();
        codes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        codes
    }

    /// All errors.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.codes.capacity() * size_of::<(Box<str>, u64)>()
            + self.codes.len() * CODE_BYTES_MAX
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, code: &str, count: u64) {
        self.total += count;
        if let Some((_, known)) = self.codes.iter_mut().find(|(known, _)| **known == *code) {
            *known += count;
        } else if self.codes.len() < CODES_MAX - 1 || code == OTHER {
            self.codes.push((code.into(), count));
        } else {
            self.total -= count;
            self.add(OTHER, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_first_word_and_stays_bounded() {
        let mut errors = Errors::default();
        errors.record(b"WRONGTYPE Operation against a key");
        errors.record(b"WRONGTYPE other");
        errors.record(b"ERR x");
        assert_eq!(errors.top(), [("WRONGTYPE", 2), ("ERR", 1)]);
        for n in 0..1_000 {
            errors.record(format!("CODE{n} made up").as_bytes());
        }
        assert_eq!(errors.total(), 1_003);
        assert_eq!(errors.top().iter().map(|(_, count)| count).sum::<u64>(), 1_003);
        assert!(errors.top().len() <= CODES_MAX);
        let mut merged = Errors::default();
        merged.merge(&errors);
        merged.merge(&errors);
        assert_eq!(merged.total(), 2_006);
    }
}
