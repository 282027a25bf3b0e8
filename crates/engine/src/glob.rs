//! Globs, byte for byte as Redis matches them (KEYS, SCAN MATCH; CONFIG GET and COMMAND LIST whatever the case).
//!
//! `*` any bytes, `?` one byte, `[a-c]` one of a class, `[^a-c]` one of the others, `\` takes the next byte literally,
//! also in a class. What Redis does with odd patterns is kept: a class that is not closed ends with the pattern, a
//! range may be written backwards, `]` can be the end of a range, a last `\` stands for itself, and of the patterns made
//! of stars only `*` itself matches the empty text, and a pattern with more than a thousand stars to be tried matches
//! nothing. 4,000 random patterns over 400 keys gave the same as in Valkey 9.1,
//! Redis 7.0 and 8.0.
//!
//! A pattern is compiled once per command, so that a class costs one step per byte however long it is: interpreted, one
//! of 64 KiB against a key of 40 KB took seconds.
//!
//! Invariants: (1) a match takes at most elements times bytes of text steps, because only the last `*` is ever retried:
//! whatever an earlier one could match differently, the later one can make up for; (2) that can still be long, so a
//! match spends a budget and can be gone on with; (3) a compiled pattern takes at most `MEMORY_PER_BYTE` times its
//! length.
//!
//! Thread safety: plain values.

use crate::error::CommandError;

/// Stars that are tried; Redis nests no deeper. One at the end, and those right behind another, are not tried.
const STARS_MAX: usize = 1_000;
/// Longest pattern: one takes a few milliseconds to compile, and [`MEMORY_PER_BYTE`] times as much memory.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;
/// The worst is `[]`, a class of its own in two bytes.
#[cfg(test)]
const MEMORY_PER_BYTE: usize = 18;

/// What matches one byte, or is a star: a literal byte, or one of the numbers below.
type Element = u32;
const ANY: Element = 256;
const STAR: Element = 257;
/// The first class; from here on an element is the number of its set.
const CLASS: Element = 258;

/// The bytes of a class.
type Set = [u64; 4];

/// A compiled pattern.
pub struct Glob {
    elements: Vec<Element>,
    sets: Vec<Set>,
    /// Bytes a text has at least.
    text_bytes_min: usize,
    ignores_case: bool,
    /// Whether the empty text matches.
    matches_empty: bool,
}

/// How far a match has come.
#[derive(Clone, Copy, Default)]
pub struct Attempt {
    element: usize,
    at: usize,
    /// Where to go on after a mismatch: behind the last `*`, with one byte more given to it.
    retry: Option<(usize, usize)>,
    stars: usize,
}

impl Glob {
    pub fn new(pattern: &[u8]) -> Result<Glob, CommandError> {
        Glob::compile(pattern, false)
    }

    /// One that takes capitals for small letters.
    pub fn ignoring_case(pattern: &[u8]) -> Result<Glob, CommandError> {
        Glob::compile(pattern, true)
    }

    fn compile(pattern: &[u8], ignores_case: bool) -> Result<Glob, CommandError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(CommandError::PATTERN_TOO_LONG);
        }
        let matches_empty = pattern.is_empty() || matches_everything(pattern);
        let mut glob =
            Glob { elements: Vec::new(), sets: Vec::new(), text_bytes_min: 0, ignores_case, matches_empty };
        let fold = |byte: u8| if ignores_case { byte.to_ascii_lowercase() } else { byte };
        let mut rest = pattern;
        while let [first, behind @ ..] = rest {
            let element;
            (element, rest) = match (first, behind) {
                (b'*', _) => (STAR, behind),
                (b'?', _) => (ANY, behind),
                (b'[', _) => {
                    let (set, behind) = class(behind, fold);
                    glob.sets.push(set);
                    (CLASS + glob.sets.len() as Element - 1, behind)
                }
                (b'\\', [literal, behind @ ..]) => (Element::from(fold(*literal)), behind),
                (literal, _) => (Element::from(fold(*literal)), behind),
            };
            if element != STAR {
                glob.text_bytes_min += 1;
            }
            // Stars next to each other do what one does.
            if element != STAR || glob.elements.last() != Some(&STAR) {
                glob.elements.push(element);
            }
        }
        Ok(glob)
    }

    /// Whether every text matches, so that nothing needs to be compared.
    pub fn matches_everything(&self) -> bool {
        self.matches_empty && self.elements == [STAR]
    }

    /// Whether all of `text` matches, however long that takes: for texts known to be short.
    pub fn matches(&self, text: &[u8]) -> bool {
        let mut steps = usize::MAX;
        self.attempt(text, &mut Attempt::default(), &mut steps).unwrap_or(false)
    }

    /// Goes on with a match for at most so many steps, which are taken off; none if they did not suffice.
    pub fn attempt(&self, text: &[u8], attempt: &mut Attempt, steps: &mut usize) -> Option<bool> {
        if text.is_empty() {
            return Some(self.matches_empty);
        }
        if text.len() < self.text_bytes_min {
            return Some(false);
        }
        while let Some(&byte) = text.get(attempt.at) {
            *steps = steps.checked_sub(1)?;
            let element = self.elements.get(attempt.element).copied();
            if element == Some(STAR) {
                attempt.element += 1;
                if attempt.element == self.elements.len() {
                    return Some(true);
                }
                attempt.stars += 1;
                if attempt.stars > STARS_MAX {
                    return Some(false);
                }
                attempt.retry = Some((attempt.element, attempt.at));
            } else if element.is_some_and(|element| self.element_matches(element, byte)) {
                attempt.element += 1;
                attempt.at += 1;
            } else if let Some((element, at)) = attempt.retry {
                (attempt.element, attempt.at) = (element, at + 1);
                attempt.retry = Some((element, at + 1));
            } else {
                return Some(false);
            }
        }
        Some(self.elements[attempt.element..].iter().all(|element| *element == STAR))
    }

    #[inline(always)]
    fn element_matches(&self, element: Element, byte: u8) -> bool {
        let byte = if self.ignores_case { byte.to_ascii_lowercase() } else { byte };
        match element.checked_sub(CLASS) {
            Some(class) => contains(&self.sets[class as usize], byte),
            None => element == ANY || element == Element::from(byte),
        }
    }
}

/// Whether a pattern is the one that every text matches.
fn matches_everything(pattern: &[u8]) -> bool {
    pattern == b"*"
}

fn contains(set: &Set, byte: u8) -> bool {
    set[usize::from(byte / 64)] & 1 << (byte % 64) != 0
}

/// The bytes of the class that starts `rest`, behind its `[`, and what follows it.
fn class(mut rest: &[u8], fold: impl Fn(u8) -> u8) -> (Set, &[u8]) {
    let mut set = [0; 4];
    let negated = rest.first() == Some(&b'^');
    rest = &rest[usize::from(negated)..];
    loop {
        let (low, high);
        (low, high, rest) = match rest {
            [] => break,
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            [b'\\', literal, behind @ ..] => (*literal, *literal, behind),
            [low, b'-', high, behind @ ..] => (*low, *high, behind),
            [literal, behind @ ..] => (*literal, *literal, behind),
        };
        insert(&mut set, fold(low), fold(high));
    }
    if negated {
        set = set.map(|word| !word);
    }
    (set, rest)
}

/// Adds a range, whichever way round. Bytes are ordered as C's signed characters, where 0xff comes right before 0.
fn insert(set: &mut Set, low: u8, high: u8) {
    let (low, high) = if low.cast_signed() <= high.cast_signed() { (low, high) } else { (high, low) };
    if low <= high {
        return insert_bytes(set, low, high);
    }
    insert_bytes(set, low, u8::MAX);
    insert_bytes(set, 0, high);
}

/// Adds a range a word at a time: a pattern may hold hundreds of thousands of them.
fn insert_bytes(set: &mut Set, low: u8, high: u8) {
    let (low, high) = (usize::from(low), usize::from(high));
    for (index, word) in set.iter_mut().enumerate() {
        let start = index * 64;
        if low < start + 64 && high >= start {
            let (from, to) = (low.max(start) - start, high.min(start + 63) - start);
            *word |= u64::MAX >> (63 - (to - from)) << from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        Glob::new(pattern).expect("short enough").matches(text)
    }

    /// What follows the pattern's first element, if that matches `byte`.
    fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
        match pattern {
            [] => None,
            [b'?', rest @ ..] => Some(rest),
            [b'[', class @ ..] => match_class(class, byte),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
        }
    }

    /// What follows the class that starts `class`, behind its `[`, if `byte` is in it.
    fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
        let (negated, mut rest) = match class {
            [b'^', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut found = false;
        loop {
            rest = match rest {
                [] => break,
                [b']', behind @ ..] => {
                    rest = behind;
                    break;
                }
                [b'\\', literal, behind @ ..] => {
                    found |= *literal == byte;
                    behind
                }
                [low, b'-', high, behind @ ..] => {
                    let (low, high, byte) = (low.cast_signed(), high.cast_signed(), byte.cast_signed());
                    found |= (low.min(high)..=low.max(high)).contains(&byte);
                    behind
                }
                [literal, behind @ ..] => {
                    found |= *literal == byte;
                    behind
                }
            };
        }
        (found != negated).then_some(rest)
    }

    /// Written for clarity alone: tries every length for every `*`.
    fn matches_naively(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches_naively(rest, &text[skip..])),
            (_, []) => false,
            (_, [byte, text @ ..]) => {
                match_one(pattern, *byte).is_some_and(|rest| matches_naively(rest, text))
            }
        }
    }

    #[test]
    fn agrees_with_a_naive_matcher() {
        let seed = 0x9e37_79b9_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let mut found = 0;
        for _ in 0..200_000 {
            let pattern: Vec<u8> = (0..below(9)).map(|_| b"aab**?[]^-\\\xff"[below(12)]).collect();
            let text: Vec<u8> = (0..below(7)).map(|_| b"aab]-\xff"[below(6)]).collect();
            let expected = match text.is_empty() {
                true => pattern.is_empty() || pattern == b"*",
                false => matches_naively(&pattern, &text),
            };
            found += usize::from(expected);
            assert_eq!(
                matches(&pattern, &text),
                expected,
                "{} {}",
                pattern.escape_ascii(),
                text.escape_ascii()
            );
        }
        assert!(found > 10_000, "too few matches to mean anything: {found}");
    }

    /// Asked of Redis 7.0 with KEYS.
    #[test]
    fn odd_patterns_match_what_they_match_in_redis() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "", false),
            ("a**", "a", true),
            ("**", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("h[ae]llo", "hello", true),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("[a-c]", "b", true),
            ("[c-a]", "b", true),
            ("[a-]", "b", false),
            ("[a-]", "]", true),
            ("[]a]", "a", false),
            ("[ab", "a", true),
            ("[ab", "[ab", false),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("[^]", "a", true),
            ("a[", "a[", false),
            ("*.txt", "a.txt.txt", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_bounded_work() {
        let pattern = [b"a*".repeat(STARS_MAX), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(20_000)));
        assert!(matches(&pattern, &[b"a".repeat(20_000), b"b".to_vec()].concat()));
    }

    /// Asked of Redis 7.0 and 8.0 and Valkey 9.1 with KEYS.
    #[test]
    fn more_than_a_thousand_stars_match_nothing() {
        let text = b"a".repeat(5_000);
        assert!(matches(&b"*?".repeat(1_000), &text));
        assert!(matches(&[b"*?".repeat(1_000), b"**".to_vec()].concat(), &text));
        assert!(!matches(&b"*?".repeat(1_001), &text));
        assert!(matches(&[b"*".repeat(5_000), b"?".to_vec()].concat(), &text));
    }

    #[test]
    fn what_matches_everything() {
        let everything = |pattern: &[u8]| Glob::new(pattern).expect("short enough").matches_everything();
        assert!(everything(b"*"));
        assert!(!everything(b"") && !everything(b"**") && !everything(b"\\*"));
    }

    #[test]
    fn a_match_spends_its_budget_and_goes_on_where_it_was() {
        let glob = Glob::new(b"*a[b-d]?*aab").expect("short enough");
        for (text, expected) in [(&b"xaab-aaccaab"[..], true), (b"xaab-aaccaa", false)] {
            let (mut attempt, mut steps_all) = (Attempt::default(), 0);
            let found = loop {
                let mut steps = 1;
                steps_all += 1;
                if let Some(found) = glob.attempt(text, &mut attempt, &mut steps) {
                    break found;
                }
            };
            assert_eq!(found, expected);
            assert!(steps_all > text.len() / 2 && steps_all < 100, "{steps_all}");
        }
    }

    #[test]
    fn a_class_costs_one_step_however_long() {
        let pattern = [&b"*["[..], &b"b".repeat(100_000), b"]"].concat();
        let (glob, mut steps) = (Glob::new(&pattern).expect("short enough"), 100_000);
        let found = glob.attempt(&b"a".repeat(40_000), &mut Attempt::default(), &mut steps);
        assert_eq!((found, steps), (Some(false), 100_000 - 40_001));
    }

    #[test]
    fn memory_is_bounded_and_so_is_the_pattern() {
        for piece in [&b"[]"[..], b"[^]", b"a", b"*?", b"[a-z]"] {
            let pattern = piece.repeat(10_000);
            let glob = Glob::new(&pattern).expect("short enough");
            let bytes = glob.elements.len() * size_of::<Element>() + glob.sets.len() * size_of::<Set>();
            assert!(bytes <= MEMORY_PER_BYTE * pattern.len(), "{}: {bytes}", piece.escape_ascii());
        }
        assert!(Glob::new(&[b'*'; PATTERN_BYTES_MAX]).is_ok());
        assert!(Glob::new(&[b'*'; PATTERN_BYTES_MAX + 1]).is_err());
    }

    /// Asked of Valkey 9.1 with KEYS.
    #[test]
    fn ranges_order_bytes_as_signed() {
        for byte in 0..=u8::MAX {
            let expected = byte >= 0xfe || byte <= b'a';
            assert_eq!(matches(b"[\xfe-a]", &[byte]), expected, "{byte}");
            assert_eq!(matches(b"[a-\xfe]", &[byte]), expected, "{byte}");
            assert_eq!(matches(b"[\x80-\xff]", &[byte]), byte >= 0x80, "{byte}");
            assert!(!matches(b"[^\x7f-\x80]", &[byte]), "{byte}");
        }
    }

    #[test]
    fn case_can_be_ignored() {
        let matches = |pattern: &str, text: &str| {
            Glob::ignoring_case(pattern.as_bytes()).expect("short enough").matches(text.as_bytes())
        };
        let matching = [
            ("a*c", "abbc"),
            ("A?C", "abc"),
            ("[^x]bc", "abc"),
            ("[c-a]*", "b"),
            ("\\*", "*"),
            ("[A-C]", "b"),
        ];
        assert!(matching.iter().all(|(pattern, text)| matches(pattern, text)));
        let other =
            [("", "a"), ("a", ""), ("?", ""), ("a*c", "abcd"), ("[^A]bc", "abc"), ("\\*", "a"), ("[", "a")];
        assert!(!other.iter().any(|(pattern, text)| matches(pattern, text)));
    }
}
