//! Key names as shapes: `user:1042:cart` is one of the many `user:{n}:cart`.
//!
//! A key is cut into tokens at `:` `/` `.` `|`. Not at `-` and `_`: they join the words of one name and the
//! parts of a UUID. A token becomes
//!
//! | token                                        | shape                                   |
//! |----------------------------------------------|-----------------------------------------|
//! | digits                                       | `{n}`                                   |
//! | 8-4-4-4-12 hexadecimal digits                | `{uuid}`                                |
//! | 8 or more hexadecimal digits, digit included | `{hex}` (16 or more: any)               |
//! | something with digits at the end             | `something{n}`                          |
//! | longer than 48 bytes                         | `{*}`                                   |
//! | with bytes that are not printable ASCII      | `{bin}`                                 |
//! | anything else                                | itself                                  |
//!
//! The braces of a cluster hash tag around a token are ignored when it is classified. Tokens past
//! [`DEPTH_MAX`] are not looked at: such keys belong to the shape of their first tokens.
//!
//! Invariants:
//! 1. Work is bounded by [`KEY_SCAN_BYTES_MAX`] and [`DEPTH_MAX`], whatever the key.
//! 2. The shape's hash depends on the tokens' shapes and separators only, and is computed in the one pass.
//!
//! Thread safety: plain values.

/// Tokens of a shape. Real key schemes seldom go deeper than four.
pub const DEPTH_MAX: usize = 6;
/// Longest token that may be a name; longer ones are data.
pub const TOKEN_BYTES_MAX: usize = 48;
/// Bytes of a key that are looked at: enough for `DEPTH_MAX` tokens of the longest kind that is a name.
pub const KEY_SCAN_BYTES_MAX: usize = DEPTH_MAX * (TOKEN_BYTES_MAX + 1);
/// Hexadecimal tokens from here on are ids if they have a digit; shorter ones may be words ("cafe").
const HEX_ID_DIGITS_MIN: usize = 8;
/// From here on even without a digit.
const HEX_ID_DIGITS_SURE: usize = 16;

const DIGIT: u8 = 1;
const HEX: u8 = 2;
const WORD: u8 = 4;
const DASH: u8 = 8;
const BRACE: u8 = 16;
const BINARY: u8 = 32;
const SEPARATOR: u8 = 64;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [BINARY; 256];
    let mut byte = 0x20usize;
    while byte < 0x7F {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'-' => DASH,
            b'{' | b'}' => BRACE,
            b':' | b'/' | b'.' | b'|' => SEPARATOR,
            _ => WORD,
        };
        byte += 1;
    }
    classes
}

/// Whether keys are cut at this character.
pub fn is_separator(character: char) -> bool {
    u8::try_from(character).is_ok_and(|byte| CLASSES[usize::from(byte)] == SEPARATOR)
}

/// What a token was recognised as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// A name, or the start of one that ends in digits.
    #[default]
    Name,
    /// A name followed by a number.
    NumberedName,
    /// Decimal digits.
    Number,
    /// A UUID.
    Uuid,
    /// A hexadecimal id.
    Hex,
    /// Bytes that are not text.
    Binary,
    /// Anything: too long, or under a node whose names are too many.
    Any,
}

impl Kind {
    /// Whether it is a name of its own, of which there may be too many.
    pub fn is_name(self) -> bool {
        matches!(self, Self::Name | Self::NumberedName)
    }
}

/// One token of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Token {
    /// Hash of the token's shape and of the separator before it.
    pub hash: u64,
    /// Where the kept part starts.
    pub start: u16,
    /// Where the kept part ends; the rest of a numbered name is its number.
    pub end: u16,
    /// What it is.
    pub kind: Kind,
    /// The separator before it, 0 for the first token.
    pub separator: u8,
}

impl Token {
    /// The same place in the shape, with any token.
    pub fn any(self) -> Token {
        Token { hash: kind_hash(Kind::Any, self.separator), kind: Kind::Any, end: self.start, ..self }
    }

    /// The token as a report shows it, separator included. At most `TOKEN_BYTES_MAX + 4` bytes.
    pub fn text(&self, key: &[u8]) -> Box<[u8]> {
        let mut text = Vec::with_capacity(usize::from(self.end - self.start) + 8);
        if self.separator != 0 {
            text.push(self.separator);
        }
        match self.kind {
            Kind::Name | Kind::NumberedName => {
                text.extend_from_slice(
                    key.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default(),
                );
                if self.kind == Kind::NumberedName {
                    text.extend_from_slice(b"{n}");
                }
            }
            Kind::Number => text.extend_from_slice(b"{n}"),
            Kind::Uuid => text.extend_from_slice(b"{uuid}"),
            Kind::Hex => text.extend_from_slice(b"{hex}"),
            Kind::Binary => text.extend_from_slice(b"{bin}"),
            Kind::Any => text.extend_from_slice(b"{*}"),
        }
        text.into_boxed_slice()
    }

    /// Whether the token is a name of its own, of which there may be too many.
    pub fn is_name(&self) -> bool {
        self.kind.is_name()
    }
}

/// A key cut into tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    tokens: [Token; DEPTH_MAX],
    count: usize,
    hash: u64,
}

impl Shape {
    /// Cuts and classifies a key.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        let mut shape = Self::default();
        let scanned = &key[..key.len().min(KEY_SCAN_BYTES_MAX)];
        let (mut start, mut separator) = (0usize, 0u8);
        let (mut mask, mut digits_from) = (0u8, 0usize);
        for (at, &byte) in scanned.iter().enumerate() {
            let class = CLASSES[usize::from(byte)];
            if class == SEPARATOR {
                shape.push(key, Span { start, end: at, digits_from, mask, separator });
                if shape.count == DEPTH_MAX {
                    return shape;
                }
                (start, digits_from, mask, separator) = (at + 1, at + 1, 0, byte);
                continue;
            }
            mask |= class;
            if class != DIGIT {
                digits_from = at + 1;
            }
        }
        let mut end = scanned.len();
        if scanned.len() < key.len() {
            // The scan ended inside a token: what it is cannot be known, so it counts as too long.
            end = end.max(start + TOKEN_BYTES_MAX + 1);
        }
        shape.push(key, Span { start, end, digits_from, mask, separator });
        shape
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens[..self.count]
    }

    /// The hash of the whole shape.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn push(&mut self, key: &[u8], span: Span) {
        let token = span.classify(key);
        self.tokens[self.count] = token;
        self.count += 1;
        self.hash = extend(self.hash, token.hash);
    }
}

/// Extends the hash of a path by one token.
#[inline]
pub fn extend(path: u64, token: u64) -> u64 {
    fold(path ^ 0x2D35_8DCC_AA6C_78A5, token ^ 0x8BB8_4B93_962E_ACC9)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn kind_hash(kind: Kind, separator: u8) -> u64 {
    fold(kind as u64 + 0x9E37_79B9_7F4A_7C15, u64::from(separator) ^ 0xD6E8_FEB8_6659_FD93)
}

struct Span {
    start: usize,
    end: usize,
    digits_from: usize,
    mask: u8,
    separator: u8,
}

impl Span {
    #[inline]
    fn classify(&self, key: &[u8]) -> Token {
        let (kind, end) = self.kind(key);
        let mut hash = kind_hash(kind, self.separator);
        if matches!(kind, Kind::Name | Kind::NumberedName) {
            hash = hash_bytes(hash, &key[self.start..end]);
        }
        Token { hash, start: self.start as u16, end: end as u16, kind, separator: self.separator }
    }

    #[inline]
    fn kind(&self, key: &[u8]) -> (Kind, usize) {
        let (length, mask) = (self.end - self.start, self.mask & !BRACE);
        if mask == DIGIT {
            return (Kind::Number, self.start);
        }
        if length > TOKEN_BYTES_MAX {
            return (Kind::Any, self.start);
        }
        if mask & BINARY != 0 {
            return (Kind::Binary, self.start);
        }
        if mask & !(DIGIT | HEX) == 0
            && (length >= HEX_ID_DIGITS_SURE || length >= HEX_ID_DIGITS_MIN && mask & DIGIT != 0)
        {
            return (Kind::Hex, self.start);
        }
        if mask & DASH != 0 && mask & WORD == 0 && is_uuid(&key[self.start..self.end]) {
            return (Kind::Uuid, self.start);
        }
        if self.digits_from < self.end {
            return (Kind::NumberedName, self.digits_from);
        }
        (Kind::Name, self.end)
    }
}

/// 8-4-4-4-12, within the braces of a hash tag or not.
fn is_uuid(token: &[u8]) -> bool {
    let token = token.strip_prefix(b"{").unwrap_or(token);
    let token = token.strip_suffix(b"}").unwrap_or(token);
    token.len() == 36
        && token.iter().enumerate().all(|(at, &byte)| {
            let class = CLASSES[usize::from(byte)];
            if matches!(at, 8 | 13 | 18 | 23) { class == DASH } else { class & (DIGIT | HEX) != 0 }
        })
}

#[inline]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = extend(hash, u64::from_le_bytes(word));
    }
    let mut last = 0u64;
    for &byte in chunks.remainder() {
        last = last << 8 | u64::from(byte);
    }
    extend(hash, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &[u8]) -> String {
        let shape = Shape::of(key);
        shape.tokens().iter().map(|token| String::from_utf8_lossy(&token.text(key)).into_owned()).collect()
    }

    #[test]
    fn ids_become_placeholders_and_names_stay() {
        for (key, shape) in [
            ("user:1042:cart", "user:{n}:cart"),
            ("user:00:", "user:{n}:"),
            ("sess:6f1c2a9e-8f3b-4b6e-9b7e-1a2b3c4d5e6f", "sess:{uuid}"),
            ("sess/deadbeefcafe01", "sess/{hex}"),
            ("facade:decade", "facade:decade"),
            ("page|v1.2.txt", "page|v{n}.{n}.txt"),
            ("memtier-123456", "memtier-{n}"),
            ("{user:17}:cart", "{user:{n}:cart"),
            ("{17}:cart", "{n}:cart"),
            ("snake_case_name", "snake_case_name"),
            ("a::b", "a::b"),
            ("", ""),
            ("a:b:c:d:e:f:g:h", "a:b:c:d:e:f"),
        ] {
            assert_eq!(text(key.as_bytes()), shape, "{key}");
        }
        assert_eq!(text(b"k:\xff\x00"), "k:{bin}");
        assert_eq!(text(&[b'x'; 1000]), "{*}");
    }

    #[test]
    fn equal_shapes_have_equal_hashes_and_others_do_not() {
        let hash = |key: &str| Shape::of(key.as_bytes()).hash();
        assert_eq!(hash("user:1:cart"), hash("user:999:cart"));
        assert_ne!(hash("user:1:cart"), hash("user/1:cart"));
        assert_ne!(hash("user:1:cart"), hash("user:1:card"));
        assert_ne!(hash("ab:c"), hash("a:bc"));
        assert_ne!(hash("user:1"), hash("user1"));
    }

    #[test]
    fn arbitrary_bytes_are_harmless() {
        let mut state = 0xBADC_0FFEu64;
        println!("seed {state:#x}");
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = (state >> 33) as usize % 400;
            let key: Vec<u8> = (0..length as u64)
                .map(|at| {
                    let byte = (state.rotate_left(at as u32) ^ at.wrapping_mul(31)) as u8;
                    if state & 1 == 0 { byte } else { b":/.|-{}a0f"[usize::from(byte) % 10] }
                })
                .collect();
            let shape = Shape::of(&key);
            assert!((1..=DEPTH_MAX).contains(&shape.tokens().len()));
            for token in shape.tokens() {
                assert!(token.text(&key).len() <= TOKEN_BYTES_MAX + 5);
            }
        }
    }
}
