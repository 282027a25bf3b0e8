//! Options that several commands share: the four ways to name a moment, and the numbers behind words.
//!
//! Not a parser of whole commands: each command walks its own options, because order and errors differ.
//!
//! Thread safety: pure functions.

use crate::error::CommandError;
use crate::instance::Instance;
use wire::number::parse_i64;

/// What an expiry's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// EX: seconds from now.
    InSeconds,
    /// PX: milliseconds from now.
    InMilliseconds,
    /// EXAT: Unix time in seconds.
    AtSeconds,
    /// PXAT: Unix time in milliseconds.
    AtMilliseconds,
}

impl Moment {
    /// The moment an option's word announces.
    pub(crate) fn of_word(word: &[u8]) -> Option<Moment> {
        const WORDS: [(&[u8], Moment); 4] = [
            (b"EX", Moment::InSeconds),
            (b"PX", Moment::InMilliseconds),
            (b"EXAT", Moment::AtSeconds),
            (b"PXAT", Moment::AtMilliseconds),
        ];
        WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, moment)| *moment)
    }

    /// Milliseconds of the keyspace's clock, at or before now for a moment that has passed. None if the Unix time in
    /// milliseconds does not fit 64 bits: the same limit as Redis has, which counts in Unix time.
    pub(crate) fn deadline_ms(self, number: i64, instance: &Instance, now_ms: i64) -> Option<i64> {
        let milliseconds = match self {
            Moment::InSeconds | Moment::AtSeconds => number.checked_mul(1000)?,
            Moment::InMilliseconds | Moment::AtMilliseconds => number,
        };
        match self {
            Moment::InSeconds | Moment::InMilliseconds => {
                instance.to_unix_ms(now_ms).checked_add(milliseconds)?;
                now_ms.checked_add(milliseconds)
            }
            Moment::AtSeconds | Moment::AtMilliseconds => Some(instance.from_unix_ms(milliseconds)),
        }
    }
}

/// The deadline that a value is given together with (SET, GETEX, SETEX): its number must be positive.
pub(crate) fn positive_deadline_ms(
    moment: Moment,
    text: &[u8],
    instance: &Instance,
    now_ms: i64,
    command: &str,
) -> Result<i64, CommandError> {
    let number = integer(text)?;
    let deadline_ms = if number > 0 { moment.deadline_ms(number, instance, now_ms) } else { None };
    deadline_ms.ok_or_else(|| CommandError::invalid_expire(command))
}

/// An integer as every command reads it.
#[inline]
pub(crate) fn integer(text: &[u8]) -> Result<i64, CommandError> {
    parse_i64(text).ok_or(CommandError::NOT_AN_INTEGER)
}

/// The number of a database other than the selected one (MOVE, COPY), checked as Redis does.
pub(crate) fn database(text: &[u8], count: usize) -> Result<usize, CommandError> {
    let number = integer(text)?;
    if i32::try_from(number).is_err() {
        return Err(CommandError::NOT_AN_I32);
    }
    usize::try_from(number).ok().filter(|&number| number < count).ok_or(CommandError::DB_INDEX_OUT_OF_RANGE)
}
