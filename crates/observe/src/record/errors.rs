//! Errors by their code (`ERR`, `WRONGTYPE`, `NOAUTH`): exact counts in a bounded list.
//!
//! A code is the error's first word. Scripts and modules can make up codes, so the list is bounded: past
//! [`CODES_MAX`] the rest is counted under `OTHER`.
//!
//! Invariant: a recorder's codes only become more, and each stays where it is; so they are read without a lock.
//!
//! Thread safety: [`ErrorCounts`] is owned by one recorder; its [`ErrorCells`] may be read by anybody; [`Errors`] is a plain
//! value.

use super::counter::Counter;
use std::sync::{Arc, OnceLock};

/// Codes told apart, as Redis limits them.
pub const CODES_MAX: usize = 128;
/// Longest code kept.
pub const CODE_BYTES_MAX: usize = 32;
const OTHER: &str = "OTHER";

/// One code. No string: not used yet, and neither is any after it.
#[derive(Default)]
struct Cell {
    code: OnceLock<Box<str>>,
    count: Counter,
}

/// The errors of one worker, to be read.
pub struct ErrorCells(Box<[Cell]>);

/// The errors of one worker, to be counted.
pub struct ErrorCounts(Arc<ErrorCells>);

impl Default for ErrorCounts {
    fn default() -> Self {
        Self(Arc::new(ErrorCells(std::iter::repeat_with(Cell::default).take(CODES_MAX).collect())))
    }
}

impl ErrorCounts {
    /// Counts an error with the text the client sees, without the leading `-`.
    pub fn record(&mut self, text: &[u8]) {
        let word = text.split(|&byte| byte == b' ' || byte == b'\r').next().unwrap_or_default();
        let code = String::from_utf8_lossy(&word[..word.len().min(CODE_BYTES_MAX)]);
        let (last, cells) = self.0.0.split_last().unwrap_or_else(|| unreachable!("there are {CODES_MAX}"));
        for cell in cells {
            if **cell.code.get_or_init(|| Box::from(&*code)) == *code {
                return cell.count.add(1);
            }
        }
        last.code.get_or_init(|| OTHER.into());
        last.count.add(1);
    }

    /// What others read.
    pub fn cells(&self) -> Arc<ErrorCells> {
        Arc::clone(&self.0)
    }
}

impl ErrorCells {
    fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map_while(|cell| cell.code.get().map(|code| (&**code, cell.count.get())))
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        self.0.len() * size_of::<Cell>() + self.counts().map(|(code, _)| code.len()).sum::<usize>()
    }
}

/// Errors by code, merged.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Errors {
    codes: Vec<(Box<str>, u64)>,
    total: u64,
}

impl Errors {
    /// Adds one worker's.
    pub fn merge(&mut self, worker: &ErrorCells) {
        worker.counts().filter(|(_, count)| *count > 0).for_each(|(code, count)| self.add(code, count));
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

    fn merged(counts: &ErrorCounts, times: usize) -> Errors {
        let mut merged = Errors::default();
        (0..times).for_each(|_| merged.merge(&counts.cells()));
        merged
    }

    #[test]
    fn counts_by_first_word_and_stays_bounded() {
        let mut errors = ErrorCounts::default();
        errors.record(b"WRONGTYPE Operation against a key");
        errors.record(b"WRONGTYPE other");
        errors.record(b"ERR x");
        assert_eq!(merged(&errors, 1).top(), [("WRONGTYPE", 2), ("ERR", 1)]);
        for n in 0..1_000 {
            errors.record(format!("CODE{n} made up").as_bytes());
        }
        let all = merged(&errors, 1);
        assert_eq!(all.total(), 1_003);
        assert_eq!(all.top().iter().map(|(_, count)| count).sum::<u64>(), 1_003);
        assert_eq!(all.top()[0], (OTHER, 1_003 - 3 - (CODES_MAX as u64 - 3)));
        assert_eq!(all.top().len(), CODES_MAX);
        assert_eq!(merged(&errors, 2).total(), 2_006);
        let mut since = merged(&errors, 2);
        since.subtract(&all);
        assert_eq!(since, all);
    }
}
