//! The values that are read while serving: one array of atomics, in which every directive has its slot.
//!
//! A slot follows from the directive's literal: which words, from its place in the table and its kind; which bit, if
//! it shares the first word, from the literal itself. Nobody hands out numbers. What reads a slot is a `Setting`.
//!
//! Invariants:
//! 1. Every directive has a slot, and no two have the same word or the same bit.
//! 2. A slot always equals its directive's canonical text, except while CONFIG SET runs; a reader may see one of two
//!    settings changed and not yet the other.
//!
//! Thread safety: atomics, read and written relaxed: a setting orders no other memory.

use super::directive::{Directive, Kind, Slot};
use super::known::{DirectiveIndex, directives};
use super::table::SECTIONS;
use super::typed::{OutputBufferLimits, is_same};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The word whose bits are switches of which somebody asks for all at once.
pub(super) const SHARED_WORD: usize = 0;

/// Where the words of directives' own begin.
const OWN_WORDS: usize = 1;

/// Words in all: the shared one and those of each directive.
const WORDS: usize = first_word(usize::MAX);

/// How many words a directive has to itself.
const fn own_words(directive: &Directive) -> usize {
    match (directive.slot, directive.kind) {
        (Slot::Bit(_), _) => 0,
        (Slot::Own, Kind::OutputBufferLimit) => OutputBufferLimits::WORDS,
        (Slot::Own, _) => 1,
    }
}

/// Where the words of the directive `index` begin: after those of all that stand before it.
const fn first_word(index: DirectiveIndex) -> usize {
    let (mut word, mut passed, mut section) = (OWN_WORDS, 0, 0);
    while section < SECTIONS.len() {
        let mut at = 0;
        while at < SECTIONS[section].directives.len() {
            if passed == index {
                return word;
            }
            word += own_words(&SECTIONS[section].directives[at]);
            passed += 1;
            at += 1;
        }
        section += 1;
    }
    word
}

/// The directive called `name`, in lower case and no alias, and its first word: for constants.
pub(super) const fn locate(name: &str) -> (usize, &'static Directive) {
    let (mut passed, mut section) = (0, 0);
    while section < SECTIONS.len() {
        let mut at = 0;
        while at < SECTIONS[section].directives.len() {
            let directive = &SECTIONS[section].directives[at];
            if is_same(directive.name, name) {
                return (first_word(passed), directive);
            }
            passed += 1;
            at += 1;
        }
        section += 1;
    }
    panic!("no directive has this name")
}

/// The slots of one server's settings.
pub(super) struct Slots {
    words: [AtomicU64; WORDS],
    /// Each directive's first word.
    firsts: Vec<usize>,
}

impl Slots {
    /// Every directive at its default.
    pub(super) fn new() -> Slots {
        let firsts = (0..directives().count()).map(first_word).collect();
        let slots = Slots { words: [const { AtomicU64::new(0) }; WORDS], firsts };
        for (index, directive) in directives().enumerate() {
            slots.store(index, directive, directive.default);
        }
        slots
    }

    #[inline(always)]
    pub(super) fn load(&self, word: usize) -> u64 {
        self.words[word].load(Relaxed)
    }

    /// Writes the slot of the directive `index`. `text` is canonical, so its numbers parse.
    pub(super) fn store(&self, index: DirectiveIndex, directive: &Directive, text: &str) {
        if let Slot::Bit(bit) = directive.slot {
            let word = &self.words[SHARED_WORD];
            match bits_of(directive.kind, text) {
                0 => word.fetch_and(!(1 << bit), Relaxed),
                _ => word.fetch_or(1 << bit, Relaxed),
            };
            return;
        }
        let words = &self.words[self.firsts[index]..][..own_words(directive)];
        match directive.kind {
            Kind::OutputBufferLimit => {
                let groups: Vec<&str> = text.split_whitespace().collect();
                let numbers = groups.chunks(4).flat_map(|group| group.iter().skip(1));
                words.iter().zip(numbers).for_each(|(word, number)| word.store(parsed(number), Relaxed));
            }
            kind => words.iter().for_each(|word| word.store(bits_of(kind, text), Relaxed)),
        }
    }
}

/// What a slot holds for `text`: a number, 1 for yes, the position of a word. Of other texts it holds whether there is
/// one.
fn bits_of(kind: Kind, text: &str) -> u64 {
    match kind {
        Kind::Bool | Kind::Switch => u64::from(text == "yes"),
        Kind::Int { .. } => parsed::<i64>(text).cast_unsigned(),
        Kind::Size { .. } => parsed(text),
        Kind::Octal => u64::from_str_radix(text, 8).unwrap_or_default(),
        Kind::Enum(words) => words.iter().position(|word| *word == text).unwrap_or_default() as u64,
        _ => u64::from(!text.is_empty()),
    }
}

/// A canonical number; its kind has checked its range.
fn parsed<N: std::str::FromStr + Default>(text: &str) -> N {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Nothing but its literal has to be written for a directive to have a slot: changing one in turn changes its own
    /// words or its own bit and nothing else.
    #[test]
    fn every_literal_has_its_own_slot() {
        let mut taken = BTreeSet::new();
        for (index, directive) in directives().enumerate() {
            let mut claim = |word: usize, bit: Option<u8>| {
                assert!(taken.insert((word, bit)), "{}: its slot is another's", directive.name);
            };
            match directive.slot {
                Slot::Bit(bit) => claim(SHARED_WORD, Some(bit)),
                Slot::Own => (0..own_words(directive)).for_each(|at| claim(first_word(index) + at, None)),
            }
            let other = match directive.kind {
                Kind::Bool | Kind::Switch if directive.default == "yes" => "no".to_owned(),
                Kind::Bool | Kind::Switch => "yes".to_owned(),
                Kind::Int { min, max } => {
                    if directive.default == max.to_string() { min } else { max }.to_string()
                }
                Kind::Size { min, max } => {
                    if directive.default == max.to_string() { min } else { max }.to_string()
                }
                Kind::Octal => "777".to_owned(),
                Kind::Enum(words) => {
                    words.iter().find(|word| **word != directive.default).unwrap().to_string()
                }
                Kind::OutputBufferLimit => "normal 11 12 13 slave 14 15 16 pubsub 17 18 19".to_owned(),
                _ if directive.default.is_empty() => "x".to_owned(),
                _ => String::new(),
            };
            let slots = Slots::new();
            let before: Vec<u64> = (0..WORDS).map(|word| slots.load(word)).collect();
            slots.store(index, directive, &other);
            let changed: Vec<usize> = (0..WORDS).filter(|word| slots.load(*word) != before[*word]).collect();
            let expected: Vec<usize> = match directive.slot {
                Slot::Bit(_) => vec![SHARED_WORD],
                Slot::Own => (0..own_words(directive)).map(|at| first_word(index) + at).collect(),
            };
            assert_eq!(changed, expected, "{}", directive.name);
            if let Slot::Bit(bit) = directive.slot {
                assert_eq!(slots.load(SHARED_WORD) ^ before[SHARED_WORD], 1 << bit, "{}", directive.name);
            }
            slots.store(index, directive, directive.default);
            assert!((0..WORDS).all(|word| slots.load(word) == before[word]), "{}", directive.name);
        }
        let own_words_taken = taken.iter().filter(|(word, _)| *word != SHARED_WORD).count();
        assert_eq!(own_words_taken, WORDS - OWN_WORDS, "no word is without a directive");
    }
}
