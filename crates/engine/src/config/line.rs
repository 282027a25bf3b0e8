//! Splits one line of redis.conf syntax into its words.
//!
//! The rules are those of redis.conf and of inline commands: words are separated by white space; `"..."` takes the
//! escapes `\n \r \t \b \a \xHH` and `\` before any other byte; `'...'` takes `\'` only; a closing quote must be
//! followed by white space or the end. Words are bytes: `"\xff"` is legal.
//!
//! It is not a reader of files and knows no directive: comments, `include` and names belong to the loader.
//!
//! Invariants:
//! 1. No input panics, and the words together are never longer than the line.
//! 2. `split(quote(w))` gives `[w]` for every word `w`.
//!
//! Thread safety: pure functions.

use std::fmt::Write as _;

/// The longest line, in bytes. The longest real directives (`tls-ciphers`, `user` rules) stay far below 64 KiB.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Why a line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// A quote is not closed, or something follows a closing quote directly.
    UnbalancedQuotes,
    /// The line is longer than [`LINE_BYTES_MAX`].
    TooLong,
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SplitError::UnbalancedQuotes => "Unbalanced quotes in configuration line",
            SplitError::TooLong => "The configuration line is longer than 64 KiB",
        })
    }
}

impl std::error::Error for SplitError {}

/// The words of `line`, without its quotes and escapes. An empty or blank line has none.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, SplitError> {
    if line.len() > LINE_BYTES_MAX {
        return Err(SplitError::TooLong);
    }
    let mut words = Vec::new();
    let mut rest = trim_space(line);
    while !rest.is_empty() {
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = trim_space(after);
    }
    Ok(words)
}

/// C's `isspace`: ASCII white space including the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn trim_space(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}

/// The first word of `rest`, which starts with one, and what follows it.
fn next_word(mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), SplitError> {
    let mut word = Vec::new();
    while let [first, after @ ..] = rest {
        match first {
            b'"' => return quoted_double(word, after),
            b'\'' => return quoted_single(word, after),
            byte if is_space(*byte) => break,
            byte => word.push(*byte),
        }
        rest = after;
    }
    Ok((word, rest))
}

fn quoted_double(mut word: Vec<u8>, mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), SplitError> {
    loop {
        rest = match rest {
            [] => return Err(SplitError::UnbalancedQuotes),
            [b'"', after @ ..] => return closed(word, after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                word.push(hex_value(*high) << 4 | hex_value(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn quoted_single(mut word: Vec<u8>, mut rest: &[u8]) -> Result<(Vec<u8>, &[u8]), SplitError> {
    loop {
        rest = match rest {
            [] => return Err(SplitError::UnbalancedQuotes),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return closed(word, after),
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

fn closed(word: Vec<u8>, after: &[u8]) -> Result<(Vec<u8>, &[u8]), SplitError> {
    match after.first() {
        Some(byte) if !is_space(*byte) => Err(SplitError::UnbalancedQuotes),
        _ => Ok((word, after)),
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A') + 10,
    }
}

/// `word` as it has to be written in a configuration line: as it is when that is unambiguous, else in double quotes.
pub fn quote(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'#');
    if !word.is_empty() && word.iter().all(plain) {
        return word.iter().map(|byte| char::from(*byte)).collect();
    }
    let mut text = String::with_capacity(word.len() + 2);
    text.push('"');
    for byte in word {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x20..=0x7e => text.push(char::from(*byte)),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{other:02x}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line.as_bytes()).unwrap().into_iter().map(|w| String::from_utf8(w).unwrap()).collect()
    }

    #[test]
    fn splits_as_a_server_does() {
        assert_eq!(words("  port\t6379 \r"), ["port", "6379"]);
        assert_eq!(words("save \"\""), ["save", ""]);
        assert_eq!(words(r#"logfile "a \"b\" \\ \x41\n\t""#), ["logfile", "a \"b\" \\ A\n\t"]);
        assert_eq!(words(r"requirepass 'it\'s \n'"), ["requirepass", r"it's \n"]);
        assert_eq!(words("a\"b c\" d"), ["ab c", "d"]);
        assert_eq!(words("\x0b \x0c"), Vec::<String>::new());
        assert_eq!(split(b"a \"\\xff\\xg\"").unwrap(), [b"a".to_vec(), b"\xffxg".to_vec()]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in ["save \"a", "save 'a", "timeout \"1\"x", "a 'b'c", "a \"b\\", "\"", "'"] {
            assert_eq!(split(line.as_bytes()), Err(SplitError::UnbalancedQuotes), "{line}");
        }
        assert_eq!(split(&vec![b'a'; LINE_BYTES_MAX + 1]), Err(SplitError::TooLong));
    }

    #[test]
    fn quote_is_the_inverse_of_split() {
        for word in
            [&b""[..], b"plain", b"two words", b"#no comment", b"q\"'\\", b"\xff\x00\n\r\t\x0b", b"\\x41"]
        {
            assert_eq!(split(quote(word).as_bytes()).unwrap(), [word.to_vec()]);
        }
        assert_eq!(quote(b"127.0.0.1"), "127.0.0.1");
    }
}
