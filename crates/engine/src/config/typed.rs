//! The types that a directive's value can be read as, and what each asks of the directive.
//!
//! Not the directives (`table/`), and not how a value is found (`setting.rs`). Types that are one of some words are in
//! `choices.rs`.
//!
//! Invariant: a type fits a directive only if every value that the directive takes is one of the type: the conversions
//! here lose nothing.
//!
//! Thread safety: constants and pure functions.

use super::directive::Kind;

/// What a directive has to be like for a type to hold its values.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `yes` or `no`.
    Switch,
    /// All switches that share a word, asked for by the name of any of them.
    Switches,
    /// A number within these bounds.
    Number { min: i128, max: i128 },
    /// One of exactly these words, known by its position.
    Words(&'static [&'static str]),
    /// [`Kind::OutputBufferLimit`].
    OutputBufferLimits,
}

/// A type that a directive's value can be read as.
pub trait Value: Sized {
    const SHAPE: Shape;

    /// The value that the directive's slot holds; `word` loads one of its words, counted from 0.
    fn of(word: impl Fn(usize) -> u64) -> Self;
}

impl Shape {
    /// Whether a type of this shape holds whatever `kind` allows.
    pub(super) const fn fits(self, kind: &Kind) -> bool {
        match (self, kind) {
            (Shape::Switch | Shape::Switches, Kind::Bool | Kind::Switch) => true,
            (Shape::Number { min, max }, Kind::Int { min: least, max: most }) => {
                min <= *least as i128 && *most as i128 <= max
            }
            (Shape::Number { min, max }, Kind::Size { min: least, max: most }) => {
                min <= *least as i128 && *most as i128 <= max
            }
            (Shape::Number { min, max }, Kind::Octal) => min <= 0 && 0o777 <= max,
            (Shape::Words(words), Kind::Enum(choices)) => are_same(words, choices),
            (Shape::OutputBufferLimits, Kind::OutputBufferLimit) => true,
            _ => false,
        }
    }
}

const fn are_same(words: &[&str], others: &[&str]) -> bool {
    let mut at = 0;
    while at < words.len() && at < others.len() {
        if !is_same(words[at], others[at]) {
            return false;
        }
        at += 1;
    }
    words.len() == others.len()
}

/// `==`, which constants cannot use for texts.
pub(super) const fn is_same(text: &str, other: &str) -> bool {
    let (text, other) = (text.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < text.len() && at < other.len() {
        if text[at] != other[at] {
            return false;
        }
        at += 1;
    }
    text.len() == other.len()
}

impl Value for bool {
    const SHAPE: Shape = Shape::Switch;
    fn of(word: impl Fn(usize) -> u64) -> bool {
        word(0) != 0
    }
}

impl Value for u8 {
    const SHAPE: Shape = Shape::Number { min: 0, max: u8::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> u8 {
        word(0) as u8
    }
}

impl Value for u16 {
    const SHAPE: Shape = Shape::Number { min: 0, max: u16::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> u16 {
        word(0) as u16
    }
}

impl Value for u32 {
    const SHAPE: Shape = Shape::Number { min: 0, max: u32::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> u32 {
        word(0) as u32
    }
}

impl Value for u64 {
    const SHAPE: Shape = Shape::Number { min: 0, max: u64::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> u64 {
        word(0)
    }
}

impl Value for usize {
    const SHAPE: Shape = Shape::Number { min: 0, max: usize::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> usize {
        word(0) as usize
    }
}

/// The only one for directives that may be negative.
impl Value for i64 {
    const SHAPE: Shape = Shape::Number { min: i64::MIN as i128, max: i64::MAX as i128 };
    fn of(word: impl Fn(usize) -> u64) -> i64 {
        word(0).cast_signed()
    }
}

/// When a client that does not read its replies is cut off; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// Cut off at once above this.
    pub hard_bytes: u64,
    /// Cut off when above this for longer than `soft_seconds`.
    pub soft_bytes: u64,
    pub soft_seconds: u64,
}

/// The limits of each class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBufferLimits {
    pub normal: OutputBufferLimit,
    pub replica: OutputBufferLimit,
    pub pubsub: OutputBufferLimit,
}

impl OutputBufferLimits {
    /// Words it takes, three for each class.
    pub(super) const WORDS: usize = 9;
}

impl Value for OutputBufferLimits {
    const SHAPE: Shape = Shape::OutputBufferLimits;
    fn of(word: impl Fn(usize) -> u64) -> OutputBufferLimits {
        let limit = |at| OutputBufferLimit {
            hard_bytes: word(at),
            soft_bytes: word(at + 1),
            soft_seconds: word(at + 2),
        };
        OutputBufferLimits { normal: limit(0), replica: limit(3), pubsub: limit(6) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_fits_what_it_holds_and_nothing_else() {
        let port = Kind::Int { min: 0, max: 65535 };
        assert!(u16::SHAPE.fits(&port) && u32::SHAPE.fits(&port) && i64::SHAPE.fits(&port));
        assert!(!u8::SHAPE.fits(&port) && !bool::SHAPE.fits(&port));
        let signed = Kind::Int { min: -1, max: 100 };
        assert!(i64::SHAPE.fits(&signed) && !u64::SHAPE.fits(&signed));
        let any_size = Kind::Size { min: 0, max: u64::MAX };
        assert!(u64::SHAPE.fits(&any_size) && !i64::SHAPE.fits(&any_size) && !u32::SHAPE.fits(&any_size));
        assert!(u32::SHAPE.fits(&Kind::Octal) && !u8::SHAPE.fits(&Kind::Octal));
        assert!(bool::SHAPE.fits(&Kind::Bool) && bool::SHAPE.fits(&Kind::Switch));
        assert!(!bool::SHAPE.fits(&Kind::Text) && !u64::SHAPE.fits(&Kind::Text));
        let words = Shape::Words(&["a", "bc"]);
        assert!(words.fits(&Kind::Enum(&["a", "bc"])));
        for others in [&["a"] as &[&str], &["bc", "a"], &["a", "b"], &["a", "bc", "d"]] {
            let others: &'static [&'static str] =
                Vec::leak(others.iter().map(|word| &*word.to_string().leak()).collect());
            assert!(!words.fits(&Kind::Enum(others)), "{others:?}");
        }
    }
}
