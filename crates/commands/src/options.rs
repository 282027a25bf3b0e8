//! Options that several commands share: the four ways to name a moment, and the numbers behind words.
//!
//! Not a parser of whole commands: each command walks its own options, because order and errors differ.
//!
//! Thread safety: pure functions.

use engine::error::CommandError;
use engine::state::instance::Instance;
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

/// A moment of the keyspace's clock as the Unix time in milliseconds that effects name it by.
pub(crate) fn unix_ms_text(instance: &Instance, moment_ms: i64) -> Vec<u8> {
    instance.to_unix_ms(moment_ms).to_string().into_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn the_four_words() {
        assert_eq!(Moment::of_word(b"ex"), Some(Moment::InSeconds));
        assert_eq!(Moment::of_word(b"Px"), Some(Moment::InMilliseconds));
        assert_eq!(Moment::of_word(b"EXAT"), Some(Moment::AtSeconds));
        assert_eq!(Moment::of_word(b"pxat"), Some(Moment::AtMilliseconds));
        assert_eq!(Moment::of_word(b"EXA"), None);
    }

    #[test]
    fn deadlines_are_limited_by_their_unix_time() {
        let instance = Bench::new().instance;
        let now_ms = 1_000;
        let deadline = |moment: Moment, number| moment.deadline_ms(number, &instance, now_ms);
        let room_ms = i64::MAX - instance.to_unix_ms(now_ms);
        assert_eq!(deadline(Moment::InMilliseconds, 5), Some(1_005));
        assert_eq!(deadline(Moment::InSeconds, -5), Some(-4_000));
        assert_eq!(deadline(Moment::InMilliseconds, room_ms), Some(now_ms + room_ms));
        assert_eq!(deadline(Moment::InMilliseconds, room_ms + 1), None);
        assert_eq!(deadline(Moment::InSeconds, i64::MAX / 1000), None);
        assert_eq!(deadline(Moment::InSeconds, i64::MIN), None);
        let unix_ms = instance.to_unix_ms(now_ms);
        assert_eq!(deadline(Moment::AtMilliseconds, unix_ms + 7), Some(1_007));
        assert_eq!(deadline(Moment::AtSeconds, i64::MAX), None);
        assert!(deadline(Moment::AtMilliseconds, i64::MIN).is_some_and(|moment_ms| moment_ms < 0));
    }

    #[test]
    fn database_numbers() {
        assert_eq!(database(b"15", 16), Ok(15));
        assert_eq!(database(b"16", 16), Err(CommandError::DB_INDEX_OUT_OF_RANGE));
        assert_eq!(database(b"-1", 16), Err(CommandError::DB_INDEX_OUT_OF_RANGE));
        assert_eq!(database(b"2147483648", 16), Err(CommandError::NOT_AN_I32));
        assert_eq!(database(b"1x", 16), Err(CommandError::NOT_AN_INTEGER));
    }
}
