//! Inline commands: one line of words, quoted the way Valkey 9.1 does.
//!
//! Not the search for the line's end, which `resp.rs` does.
//!
//! Between double quotes `\n \r \t \b \a \xHH` mean a byte and any other `\c` means `c`; between single
//! quotes only `\'` does. Quotes may open and close in the middle of a word, as in a shell; older servers wanted a
//! closing quote to end it. A `\` with one byte behind it on the whole line means itself, so that `"a\"` is `a\`.
//!
//! Thread safety: pure functions.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::args::{OwnedArgs, Span};
use crate::protocol_error::ProtocolError;

/// How the words of a line were given back.
pub(crate) enum Line {
    /// As spans: the words are in the buffer as they are.
    Words,
    /// As a copy, since quotes were removed.
    Rewritten(OwnedArgs),
}

/// Splits `line`, whose first byte is at `base` of the caller's buffer. The caller has checked that spans
/// reach its end.
pub(crate) fn split(line: &[u8], base: usize, spans: &mut Vec<Span>) -> Result<Line, ProtocolError> {
    if memchr::memchr2(b'"', b'\'', line).is_some() {
        return split_quoted(line).map(Line::Rewritten).ok_or(ProtocolError::UnbalancedQuotes);
    }
    let mut cursor = 0_usize;
    while let Some(start) = position_from(line, cursor, |byte| !is_space(byte)) {
        let end = position_from(line, start, ends_word).unwrap_or(line.len());
        spans.push(Span { start: base.wrapping_add(start) as u32, len: end.wrapping_sub(start) as u32 });
        cursor = end;
    }
    Ok(Line::Words)
}

/// Splits a line into words and removes their quotes; `None` when the quotes are unbalanced.
pub fn split_quoted(line: &[u8]) -> Option<OwnedArgs> {
    let mut args = OwnedArgs::with_capacity(0, 0);
    let mut word = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len());
        rest = rest.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return Some(args);
        }
        word.clear();
        rest = take_word(rest, &mut word)?;
        args.push(&word);
    }
}

/// Takes one word off `rest`, its quotes removed, and returns what is behind it.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [byte, ..] if ends_word(*byte) => return Some(rest),
            [b'"', tail @ ..] => rest = take_double_quoted(tail, word)?,
            [b'\'', tail @ ..] => rest = take_single_quoted(tail, word)?,
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn take_double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hexadecimal(*high) << 4 | hexadecimal(*low), tail)
            }
            [b'\\', escaped, tail @ ..] if !tail.is_empty() => (unescape(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        word.push(byte);
        rest = tail;
    }
}

fn take_single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [] => return None,
            [b'\\', b'\'', tail @ ..] if !tail.is_empty() => (b'\'', tail),
            [b'\'', tail @ ..] => return Some(tail),
            [byte, tail @ ..] => (*byte, tail),
        };
        word.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hexadecimal(byte: u8) -> u8 {
    u8::try_from(char::from(byte).to_digit(16).unwrap_or(0)).unwrap_or(0)
}

fn position_from(line: &[u8], from: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
    let found = line.get(from..)?.iter().position(|&byte| is(byte))?;
    from.checked_add(found)
}

/// C's `isspace`: what may stand between words.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 11 | 12 | b'\r')
}

/// What ends an unquoted word: not all of `isspace`, as in Redis. Every such byte is also a space, so that
/// each turn of the loops above consumes something.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn quoted(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        split_quoted(line).map(|args| args.as_args().iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn quotes_are_removed_and_escapes_replaced() {
        assert_eq!(
            quoted(br#"set k "a b\x41\n\q" "#),
            Some(vec![b"set".to_vec(), b"k".to_vec(), b"a bA\nq".to_vec()])
        );
        assert_eq!(quoted(br"'it\'s \n' b"), Some(vec![br"it's \n".to_vec(), b"b".to_vec()]));
        assert_eq!(quoted(br#""" x"y z""#), Some(vec![b"".to_vec(), b"xy z".to_vec()]));
        assert_eq!(quoted(br#""\xZ1""#), Some(vec![b"xZ1".to_vec()]));
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [&br#"set "k"#[..], br"set 'k", br#"k\""#, br#""\" x"#, br"'\' ", br#""k\"x"#] {
            assert_eq!(quoted(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    /// Asked of Valkey 9.1.
    #[test]
    fn words_are_joined_of_quoted_and_bare_pieces() {
        let one = |line: &[u8]| quoted(line).map(|words| words.join(&b"|"[..]));
        for (line, words) in [
            (&br#""a"b"#[..], &b"ab"[..]),
            (br"'a''b'", b"ab"),
            (br#"a"b"c'd'e f"#, b"abcde|f"),
            (b"'a'\x0bb\r'c'", b"a\x0bb|c"),
            (br#""a\""#, br"a\"),
            (br#""\" "b"#, b"\" b"),
            (br"'a\'", br"a\"),
            (br#"a"\""#, br"a\"),
            (br#""k\"""#, b"k\""),
        ] {
            assert_eq!(one(line).as_deref(), Some(words), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn plain_words_are_spans_of_the_line() {
        let mut spans = Vec::new();
        assert!(matches!(split(b"  get\tkey ", 100, &mut spans), Ok(Line::Words)));
        assert_eq!(spans, [Span { start: 102, len: 3 }, Span { start: 106, len: 3 }]);
    }
}
