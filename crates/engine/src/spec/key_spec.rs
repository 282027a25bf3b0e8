//! Where a command's keys are among its arguments, and what it does to them.
//!
//! A key specification says where to begin and which arguments from there on are keys, as Redis's do
//! (<https://redis.io/docs/latest/develop/reference/key-specs/>). Here is the one reader of them: dispatch locks what it
//! finds, COMMAND GETKEYS answers it. It knows no command; see `Command::each_key` for what is beyond specifications.
//!
//! Invariant: whatever a request claims, only indices of its arguments are named, and nothing is allocated.
//!
//! Thread safety: constants and pure functions.

use wire::Args;
use wire::number::parse_i64;

/// What a command does to the keys of a [`KeySpec`] (COMMAND INFO, key specifications).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFlags(pub u16);

impl std::ops::BitOr for KeyFlags {
    type Output = KeyFlags;

    fn bitor(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }
}

impl KeyFlags {
    pub const fn has(self, other: KeyFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// `|` for constants.
    pub const fn and(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KEY_FLAG_NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

pub const RO: KeyFlags = KeyFlags(1 << 0);
pub const RW: KeyFlags = KeyFlags(1 << 1);
pub const OW: KeyFlags = KeyFlags(1 << 2);
pub const RM: KeyFlags = KeyFlags(1 << 3);
pub const ACCESS: KeyFlags = KeyFlags(1 << 4);
pub const UPDATE: KeyFlags = KeyFlags(1 << 5);
pub const INSERT: KeyFlags = KeyFlags(1 << 6);
pub const DELETE: KeyFlags = KeyFlags(1 << 7);
/// Not a key, only treated as one by clients of a cluster: a shard channel.
pub const NOT_KEY: KeyFlags = KeyFlags(1 << 8);
/// There may be keys that the specification does not find.
pub const INCOMPLETE: KeyFlags = KeyFlags(1 << 9);
pub const VARIABLE_FLAGS: KeyFlags = KeyFlags(1 << 10);

const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
    (NOT_KEY, "not_key"),
    (INCOMPLETE, "incomplete"),
    (VARIABLE_FLAGS, "variable_flags"),
];

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this argument.
    Index(u16),
    /// Behind this word, in any case; without it there are no keys. Looked for from this argument on; negative: from so
    /// many before the end, backwards.
    Keyword(&'static str, i16),
    /// It cannot be said: the command's `find_keys` knows.
    Unknown,
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    Range {
        /// The last key, counted from the first; negative: from the end (-1 = the last argument).
        last: i16,
        /// Distance between keys.
        step: u16,
        /// With `last` -1: keys are among the first half (2), the first third (3), and so on; 0 or 1 for all.
        limit: u16,
    },
    /// An argument says how many there are; both indices are counted from where the search begins.
    KeyNum {
        at: u16,
        first: u16,
        step: u16,
    },
    Unknown,
}

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    pub begin: BeginSearch,
    pub find: FindKeys,
    pub flags: KeyFlags,
    /// Why the flags are what they are, where that is not plain; else empty.
    pub notes: &'static str,
}

/// A request whose keys are not where they should be: a count that is no number, or larger than the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Indices of arguments.
type Indices = std::iter::StepBy<std::ops::Range<usize>>;

impl KeySpec {
    pub const fn one(index: u16, flags: KeyFlags) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// From `first` on, as [`FindKeys::Range`] says.
    pub const fn range(first: u16, last: i16, step: u16, flags: KeyFlags) -> KeySpec {
        let find = FindKeys::Range { last, step, limit: 0 };
        KeySpec { begin: BeginSearch::Index(first), find, flags, notes: "" }
    }

    /// As many keys as the argument at `index` says, behind it.
    pub const fn counted(index: u16, flags: KeyFlags) -> KeySpec {
        let find = FindKeys::KeyNum { at: 0, first: 1, step: 1 };
        KeySpec { begin: BeginSearch::Index(index), find, flags, notes: "" }
    }

    /// Behind a word, as [`BeginSearch::Keyword`] and [`FindKeys::Range`] say, one argument after the other.
    pub const fn behind(word: &'static str, from: i16, last: i16, limit: u16, flags: KeyFlags) -> KeySpec {
        let find = FindKeys::Range { last, step: 1, limit };
        KeySpec { begin: BeginSearch::Keyword(word, from), find, flags, notes: "" }
    }

    /// Somewhere that no specification can name.
    pub const fn unknown(flags: KeyFlags) -> KeySpec {
        KeySpec { begin: BeginSearch::Unknown, find: FindKeys::Unknown, flags, notes: "" }
    }

    pub const fn noted(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }

    /// Whether it names the first argument and no other.
    pub const fn is_first_argument(&self) -> bool {
        matches!(self.begin, BeginSearch::Index(1))
            && matches!(self.find, FindKeys::Range { last: 0, .. })
            && !self.flags.has(NOT_KEY)
    }

    /// The indices of a request's keys; none where the word is missing that they stand behind.
    pub fn indices(&self, args: Args<'_>) -> Result<Indices, Malformed> {
        if self.flags.has(NOT_KEY) {
            return Ok(indices(0, 0, 1));
        }
        let begin = match self.begin {
            BeginSearch::Index(index) => usize::from(index),
            BeginSearch::Keyword(word, from) => match behind(args, word, from) {
                Some(index) => index,
                None => return Ok(indices(0, 0, 1)),
            },
            BeginSearch::Unknown => return Err(Malformed),
        };
        match self.find {
            FindKeys::Range { last, step, limit } => {
                let end = if last >= 0 {
                    begin + last as usize + 1
                } else if limit > 1 {
                    begin + args.len().saturating_sub(begin) / usize::from(limit)
                } else {
                    (args.len() + 1).saturating_sub(usize::from(last.unsigned_abs()))
                };
                // No key at all is as wrong as one too many.
                if begin < end && end <= args.len() { Ok(indices(begin, end, step)) } else { Err(Malformed) }
            }
            FindKeys::KeyNum { at, first, step } => {
                let count = args.get(begin + usize::from(at)).and_then(parse_i64).ok_or(Malformed)?;
                let (begin, step) = (begin + usize::from(first), step.max(1));
                let fitting = args.len().saturating_sub(begin).div_ceil(usize::from(step));
                match usize::try_from(count) {
                    // Compared before it is multiplied: a client may claim any count.
                    Ok(count) if (1..=fitting).contains(&count) => {
                        Ok(indices(begin, begin + (count - 1) * usize::from(step) + 1, step))
                    }
                    _ => Err(Malformed),
                }
            }
            FindKeys::Unknown => Err(Malformed),
        }
    }
}

fn indices(begin: usize, end: usize, step: u16) -> Indices {
    (begin..end).step_by(usize::from(step.max(1)))
}

/// The index behind a word; see [`BeginSearch::Keyword`].
fn behind(args: Args<'_>, word: &str, from: i16) -> Option<usize> {
    let is_word = |&index: &usize| args.at(index).eq_ignore_ascii_case(word.as_bytes());
    let distance = usize::from(from.unsigned_abs());
    let found = if from >= 0 {
        // As the last argument it has nothing behind it.
        (distance..args.len().saturating_sub(1)).find(is_word)
    } else {
        (2..(args.len() + 1).saturating_sub(distance)).rev().find(is_word)
    };
    found.map(|index| index + 1)
}

/// What was enough before there were key specifications, and what COMMAND INFO still says beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyRange {
    /// 0 where there is no such range.
    pub first: i64,
    /// Negative: counted from the end.
    pub last: i64,
    pub step: i64,
    /// There may be keys outside of it.
    pub is_movable: bool,
}

impl LegacyRange {
    /// As Redis derives it: from the only range, or from plain ranges that follow each other.
    pub fn of(specs: &[KeySpec]) -> LegacyRange {
        let mut legacy = LegacyRange::default();
        for spec in specs {
            legacy.is_movable |= spec.flags.has(INCOMPLETE);
            let (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) = (spec.begin, spec.find)
            else {
                legacy.is_movable = true;
                continue;
            };
            let first = i64::from(first);
            let is_next = legacy.first == 0 || legacy.last == first - 1;
            if specs.len() > 1 && (step != 1 || !is_next) {
                legacy.is_movable = true;
                continue;
            }
            legacy.first = if legacy.first == 0 { first } else { legacy.first };
            legacy.last = if last < 0 { i64::from(last) } else { first + i64::from(last) };
            legacy.step = i64::from(step);
        }
        legacy
    }
}
