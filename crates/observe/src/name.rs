//! Names that others chose (keys, clients): one unambiguous form for people, the bytes themselves for programs.
//!
//! For people ([`Name::shown`]) a name is printed as it is, but for what could be mistaken or does harm at a terminal:
//!
//! | In the name                                                   | Printed                          |
//! |---------------------------------------------------------------|----------------------------------|
//! | backslash, line feed, carriage return, tab                    | `\\` `\n` `\r` `\t`              |
//! | another ASCII control character, a byte that is no UTF-8      | `\x1b` `\xff`                    |
//! | what is invisible, turns the direction of text, or is a blank | `\u{202e}`                       |
//! | a space at an end or behind another one                       | `\x20`                           |
//! | a quote or parenthesis at the beginning                       | `\"` `\(`                        |
//! | the ellipsis, which says that a name goes on                  | `\u{2026}`                       |
//! | nothing                                                       | `""`                             |
//! | more than [`SHOWN_BYTES_MAX`] bytes, or bytes that are unknown | `beginning… (300 bytes, hash 0a…)` |
//!
//! Programs get the fields of [`Name::fields`]: the bytes if all are known, else what is known of them.
//!
//! Invariants: (1) two different names are never printed alike: the form can be read back, and what stands for a name
//! that is not known whole begins or ends as no escaped name does; (2) nothing that is printed moves the cursor, turns
//! the text's direction or is invisible.
//!
//! Thread safety: plain values.

use std::fmt::Write as _;

/// Bytes of a name that people are shown: a line of a terminal. Longer names are cut and say so.
pub const SHOWN_BYTES_MAX: usize = 128;

/// Characters that print nothing, only change what stands beside them, or look like a space: ranges with both ends.
/// Unicode's `Default_Ignorable_Code_Point` and `Bidi_Control`, the interlinear marks, and blanks of other scripts;
/// control characters and `White_Space` are asked of the standard library.
const UNSEEN: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{fffe}', '\u{ffff}'),
    ('\u{13430}', '\u{1345f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// What is known of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Name {
    /// All of its bytes.
    Whole {
        /// The bytes.
        bytes: Box<[u8]>,
        /// Tells long names with one beginning apart, for people.
        hash: Option<u64>,
    },
    /// Only how it begins.
    Beginning {
        /// The first bytes.
        bytes: Box<[u8]>,
        /// How many there are in all.
        length: usize,
        /// Of the whole name.
        hash: u64,
    },
    /// Only its hash.
    Unnamed(u64),
    /// What stands for a name that must not leave.
    Hidden(String),
}

/// What a program gets of a name, in a field of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// Bytes, all of the name or its beginning.
    Bytes(Box<[u8]>),
    /// Text that is not the name.
    Text(String),
    /// A number of bytes.
    Length(usize),
    /// The name is not known whole.
    Unknown,
}

impl Name {
    /// A name all of whose bytes are known.
    pub fn whole(bytes: &[u8]) -> Self {
        Self::Whole { bytes: bytes.into(), hash: None }
    }

    /// The form for people: see the module's table.
    pub fn shown(&self) -> String {
        match self {
            Self::Whole { bytes, .. } if bytes.len() <= SHOWN_BYTES_MAX => escaped(bytes),
            Self::Whole { bytes, hash } => cut(bytes, bytes.len(), *hash),
            Self::Beginning { bytes, length, hash } => cut(bytes, *length, Some(*hash)),
            Self::Unnamed(hash) => format!("(unnamed {hash:016x})"),
            Self::Hidden(text) => text.clone(),
        }
    }

    /// What programs get in place of a field `name`: the field itself, null unless the name is known whole, and then
    /// what is known of it.
    pub fn fields(&self, name: &str) -> Vec<(String, Field)> {
        let hash_field = |hash: u64| (format!("{name}_hash"), Field::Text(format!("{hash:016x}")));
        match self {
            Self::Whole { bytes, .. } => vec![(name.to_owned(), Field::Bytes(bytes.clone()))],
            Self::Beginning { bytes, length, hash } => vec![
                (name.to_owned(), Field::Unknown),
                (format!("{name}_beginning"), Field::Bytes(bytes.clone())),
                (format!("{name}_length_bytes"), Field::Length(*length)),
                hash_field(*hash),
            ],
            Self::Unnamed(hash) => vec![(name.to_owned(), Field::Unknown), hash_field(*hash)],
            Self::Hidden(text) => vec![(name.to_owned(), Field::Text(text.clone()))],
        }
    }

    /// Whether anything is known of it that a person could recognise.
    pub fn is_named(&self) -> bool {
        !matches!(self, Self::Unnamed(_))
    }
}

/// A whole name for people, however long: see the module's table.
pub fn escaped(name: &[u8]) -> String {
    if name.is_empty() {
        return "\"\"".to_owned();
    }
    escaped_part(name)
}

/// As [`escaped`], for a part of a name, which may be empty.
fn escaped_part(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let mut is_after_space = true;
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if text.is_empty() && matches!(character, '"' | '(') {
                text.push('\\');
            }
            if character == ' ' && is_after_space {
                text.push_str("\\x20");
            } else {
                push(&mut text, character);
            }
            is_after_space = character == ' ';
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
            is_after_space = false;
        }
    }
    if text.ends_with(' ') {
        text.pop();
        text.push_str("\\x20");
    }
    text
}

/// A part of a key in a shape, where `{n}` and its kin stand for many names: the same in a name is written `\{n}`.
pub fn escaped_in_shape(part: &[u8]) -> String {
    let mut text = escaped_part(part);
    for placeholder in PLACEHOLDERS {
        text = text.replace(placeholder, &format!("\\{placeholder}"));
    }
    text
}

/// What stands in a shape for any number, UUID, hexadecimal id, binary token, or anything.
pub const PLACEHOLDERS: [&str; 5] = ["{n}", "{uuid}", "{hex}", "{bin}", "{*}"];

fn push(text: &mut String, character: char) {
    // Writing to a string cannot fail.
    let _ = match character {
        '\\' => write!(text, "\\\\"),
        '\n' => write!(text, "\\n"),
        '\r' => write!(text, "\\r"),
        '\t' => write!(text, "\\t"),
        control if control.is_ascii_control() => write!(text, "\\x{:02x}", u32::from(control)),
        unseen if is_unseen(unseen) => write!(text, "\\u{{{:x}}}", u32::from(unseen)),
        other => write!(text, "{other}"),
    };
}

fn is_unseen(character: char) -> bool {
    character == '\u{2026}'
        || character.is_control()
        || (character.is_whitespace() && character != ' ')
        || UNSEEN.iter().any(|&(first, last)| (first..=last).contains(&character))
}

/// A name of which people are shown only the beginning.
fn cut(bytes: &[u8], length: usize, hash: Option<u64>) -> String {
    let mut end = bytes.len().min(SHOWN_BYTES_MAX);
    // Not within a character, unless the bytes are no text anyway.
    let is_inside = |end: usize| bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80);
    let start = (end.saturating_sub(3)..=end).rev().find(|&at| !is_inside(at));
    end = start.unwrap_or(end);
    let beginning = escaped_part(&bytes[..end]);
    match hash {
        Some(hash) => format!("{beginning}\u{2026} ({length} bytes, hash {hash:016x})"),
        None => format!("{beginning}\u{2026} ({length} bytes)"),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

/// The bytes of [`base64`]; None for what it does not write.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.as_bytes().chunks(4) {
        let value = |digit: &u8| DIGITS.iter().position(|known| known == digit);
        let bits = group.iter().try_fold(0_u32, |bits, digit| Some(bits << 6 | value(digit)? as u32))?;
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    (base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The bytes that a text for people stands for; None for what no whole name is printed as.
    fn read_back(text: &str) -> Option<Vec<u8>> {
        if text == "\"\"" {
            return Some(Vec::new());
        }
        if text.is_empty() || text.starts_with(['"', '(']) {
            return None;
        }
        let (mut bytes, mut rest) = (Vec::new(), text);
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\u{2026}' => return None,
                '\\' => {
                    let kind = rest.chars().next()?;
                    rest = &rest[1..];
                    match kind {
                        '\\' | '"' | '(' | '{' => bytes.push(kind as u8),
                        'n' => bytes.push(b'\n'),
                        'r' => bytes.push(b'\r'),
                        't' => bytes.push(b'\t'),
                        'x' => {
                            bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                            rest = &rest[2..];
                        }
                        'u' => {
                            let (digits, after) = rest.strip_prefix('{')?.split_once('}')?;
                            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                            bytes.extend_from_slice(character.to_string().as_bytes());
                            rest = after;
                        }
                        _ => return None,
                    }
                }
                other => bytes.extend_from_slice(other.to_string().as_bytes()),
            }
        }
        Some(bytes)
    }

    /// Names of pieces that are hard to print, most of them combined with each other over the rounds.
    fn random_name(state: &mut u64) -> Vec<u8> {
        const PIECES: [&[u8]; 24] = [
            b"a",
            b"n",
            b"x20",
            b"{n}",
            b"\\",
            b"\\n",
            b"\n",
            b"\r",
            b"\t",
            b" ",
            b"  ",
            b"\"",
            b"\"\"",
            b"(",
            b"\x00",
            b"\x1b[2J",
            b"\xff",
            b"\xe2\x80",
            "\u{202e}".as_bytes(),
            "\u{2026}".as_bytes(),
            "\u{9b}".as_bytes(),
            "\u{fc}\u{1f600}".as_bytes(),
            "\u{a0}".as_bytes(),
            "(unnamed 00)".as_bytes(),
        ];
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 11) as usize
        };
        let pieces = next() % 6;
        (0..pieces).fold(Vec::new(), |mut name, _| {
            match next() % 8 {
                0 => name.push(next() as u8),
                1 => name
                    .extend(char::from_u32((next() % 0x11_0000) as u32).unwrap_or('z').to_string().bytes()),
                _ => name.extend_from_slice(PIECES[next() % PIECES.len()]),
            }
            name
        })
    }

    #[test]
    fn every_name_can_be_read_back_from_what_people_see() {
        let mut state = 0x00C0_FFEE_u64;
        println!("seed {state:#x}");
        let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
        for _ in 0..200_000 {
            let name = random_name(&mut state);
            let text = escaped(&name);
            assert_eq!(read_back(&text).as_deref(), Some(&name[..]), "{text}");
            assert!(
                !text.chars().any(|character| character.is_control() || is_unseen(character)),
                "{text:?}"
            );
            assert!(!text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  "), "{text:?}");
            let shaped = escaped_in_shape(&name);
            assert!(name.is_empty() || read_back(&shaped).as_deref() == Some(&name[..]), "{shaped}");
            if let Some(other) = seen.insert(text, name.clone()) {
                assert_eq!(other, name, "two names that look alike");
            }
        }
        assert!(seen.len() > 10_000);
    }

    #[test]
    fn people_see_what_the_table_says() {
        for (name, text) in [
            (&b"user:1"[..], "user:1"),
            (b"a\\nb", "a\\\\nb"),
            (b"a\nb", "a\\nb"),
            (b"", "\"\""),
            (b"\"\"", "\\\"\""),
            (b"say \"hi\"", "say \"hi\""),
            (b"(other)", "\\(other)"),
            (b"f(x)", "f(x)"),
            (b" a  b ", "\\x20a \\x20b\\x20"),
            (b" ", "\\x20"),
            (b"\x1b[31m\x07", "\\x1b[31m\\x07"),
            (b"\xff\xe2\x80", "\\xff\\xe2\\x80"),
            ("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}"),
            (
                "a\u{202e}b\u{2066}\u{200b}\u{feff}\u{85}".as_bytes(),
                "a\\u{202e}b\\u{2066}\\u{200b}\\u{feff}\\u{85}",
            ),
            ("a\u{2026}".as_bytes(), "a\\u{2026}"),
        ] {
            assert_eq!(escaped(name), text);
        }
        assert_eq!(escaped_in_shape(b"a{n}"), "a\\{n}");
        assert_eq!(escaped_in_shape(b""), "");
    }

    #[test]
    fn what_is_cut_says_so_and_is_read_as_no_name() {
        let long = Name::Whole { bytes: vec![b'a'; 300].into(), hash: Some(0xABC) };
        let text = format!("{}\u{2026} (300 bytes, hash 0000000000000abc)", "a".repeat(SHOWN_BYTES_MAX));
        assert_eq!(long.shown(), text);
        assert_eq!(read_back(&text), None);
        let beginning = Name::Beginning { bytes: b"abc".as_slice().into(), length: 9, hash: 1 };
        assert_eq!(beginning.shown(), "abc\u{2026} (9 bytes, hash 0000000000000001)");
        assert_eq!(Name::whole(&[b'b'; 129]).shown(), format!("{}\u{2026} (129 bytes)", "b".repeat(128)));
        assert_eq!(Name::whole(&[b'b'; 128]).shown(), "b".repeat(128));
        let unnamed = Name::Unnamed(0xF).shown();
        assert_eq!((unnamed.as_str(), read_back(&unnamed)), ("(unnamed 000000000000000f)", None));
        // 127 bytes and a character of three: it is left out, not cut in the middle.
        let text = format!("{}\u{20ac}\u{20ac}", "c".repeat(127));
        assert_eq!(Name::whole(text.as_bytes()).shown(), format!("{}\u{2026} (133 bytes)", "c".repeat(127)));
    }

    #[test]
    fn programs_get_the_bytes_or_no_name_at_all() {
        let bytes = |bytes: &[u8]| Field::Bytes(bytes.into());
        assert_eq!(Name::whole(b"\xff\n").fields("key"), [("key".to_owned(), bytes(b"\xff\n"))]);
        let beginning = Name::Beginning { bytes: b"ab".as_slice().into(), length: 9, hash: 0x1F };
        assert_eq!(
            beginning.fields("key"),
            [
                ("key".to_owned(), Field::Unknown),
                ("key_beginning".to_owned(), bytes(b"ab")),
                ("key_length_bytes".to_owned(), Field::Length(9)),
                ("key_hash".to_owned(), Field::Text("000000000000001f".to_owned())),
            ]
        );
        assert_eq!(Name::Unnamed(1).fields("key")[0], ("key".to_owned(), Field::Unknown));
        assert!(!Name::Unnamed(1).is_named() && Name::whole(b"").is_named());
    }

    #[test]
    fn base64_is_the_standard_s() {
        // The vectors of RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
        for wrong in ["Zg", "Zg=", "Zh==", "Z", "Zm9v=", "Zm 9"] {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
    }
}
