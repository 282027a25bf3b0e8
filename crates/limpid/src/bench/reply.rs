//! Counting the replies in a stream of RESP2 or RESP3 bytes, without building them.
//!
//! It is not a client's parser: values are skipped, only errors and nulls are told apart. It keeps no more than a
//! partial header line between calls, so that a reply of any size needs no buffer.
//!
//! Invariants:
//! 1. The result does not depend on how the stream was cut into calls of `feed`.
//! 2. Memory is bounded by `HEADER_BYTES_MAX`, whatever the server sends; nesting costs a counter, not a stack.
//!
//! Thread safety: one scanner belongs to one connection.

use memchr::memchr;

/// A header or simple reply longer than this is not RESP. Redis's own error texts stay below 1 KiB.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Sum of what many scanners saw.
#[derive(Clone, Debug, Default)]
pub struct ReplyTally {
    /// Complete top-level replies, errors and nulls included.
    pub replies: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Replies that were null: for GET a miss.
    pub nulls: u64,
    /// The text of the first error.
    pub first_error: Option<String>,
}

/// The place in one connection's stream of replies.
#[derive(Debug)]
pub struct ReplyScanner {
    /// The header line so far, when it was cut by the end of the bytes.
    partial: Vec<u8>,
    /// Bytes of the current bulk string still to come, its CRLF included.
    skip_bytes: u64,
    /// Elements still to come until the current top-level reply is complete; at least 1.
    elements_open: u64,
}

impl Default for ReplyScanner {
    fn default() -> Self {
        Self { partial: Vec::new(), skip_bytes: 0, elements_open: 1 }
    }
}

impl ReplyScanner {
    /// Reads on in the stream and adds what was completed to `tally`.
    ///
    /// # Errors
    /// A description when the bytes are not RESP; the scanner must not be used any more.
    pub fn feed(&mut self, mut bytes: &[u8], tally: &mut ReplyTally) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.skip_bytes > 0 {
                let skipped = self.skip_bytes.min(bytes.len() as u64);
                self.skip_bytes -= skipped;
                bytes = bytes.get(skipped as usize..).unwrap_or_default();
                if self.skip_bytes == 0 {
                    self.complete_element(tally);
                }
                continue;
            }
            let Some(newline) = memchr(b'\n', bytes) else {
                return self.keep_partial(bytes);
            };
            let (line, rest) = bytes.split_at(newline + 1);
            bytes = rest;
            if self.partial.is_empty() {
                self.header(line, tally)?;
            } else {
                self.keep_partial(line)?;
                let line = std::mem::take(&mut self.partial);
                self.header(&line, tally)?;
            }
        }
        Ok(())
    }

    fn keep_partial(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.partial.len() + bytes.len() > HEADER_BYTES_MAX {
            return Err(format!("a reply line of more than {HEADER_BYTES_MAX} bytes"));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn header(&mut self, line: &[u8], tally: &mut ReplyTally) -> Result<(), String> {
        let unexpected = || format!("unexpected reply {:?}", String::from_utf8_lossy(line));
        let (&kind, text) =
            line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first).ok_or_else(unexpected)?;
        let is_top_level = self.elements_open == 1;
        match kind {
            b'+' | b':' | b'#' | b',' | b'(' => self.complete_element(tally),
            b'-' => {
                if is_top_level {
                    count_error(text, tally);
                }
                self.complete_element(tally);
            }
            b'_' => {
                tally.nulls += u64::from(is_top_level);
                self.complete_element(tally);
            }
            b'$' | b'=' | b'!' => {
                let Some(length) = length(text).ok_or_else(unexpected)? else {
                    tally.nulls += u64::from(is_top_level);
                    self.complete_element(tally);
                    return Ok(());
                };
                if kind == b'!' && is_top_level {
                    count_error(b"(a bulk error)", tally);
                }
                self.skip_bytes = length.checked_add(2).ok_or_else(unexpected)?;
            }
            b'*' | b'~' | b'%' => {
                let Some(length) = length(text).ok_or_else(unexpected)? else {
                    tally.nulls += u64::from(is_top_level);
                    self.complete_element(tally);
                    return Ok(());
                };
                let elements = if kind == b'%' { length.checked_mul(2) } else { Some(length) };
                self.elements_open = elements
                    .and_then(|elements| elements.checked_add(self.elements_open))
                    .ok_or_else(unexpected)?;
                self.complete_element(tally);
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn complete_element(&mut self, tally: &mut ReplyTally) {
        if self.elements_open == 1 {
            tally.replies += 1;
        } else {
            self.elements_open -= 1;
        }
    }
}

fn count_error(text: &[u8], tally: &mut ReplyTally) {
    tally.errors += 1;
    if tally.first_error.is_none() {
        tally.first_error = Some(String::from_utf8_lossy(text).into_owned());
    }
}

/// The number in a header: `Some(None)` for -1, `None` when it is no length.
fn length(text: &[u8]) -> Option<Option<u64>> {
    if text == b"-1" {
        return Some(None);
    }
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    let mut number = 0u64;
    for &digit in text {
        number = number * 10 + u64::from(digit.checked_sub(b'0').filter(|&digit| digit <= 9)?);
    }
    Some(Some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"+OK\r\n$-1\r\n$5\r\nhe\r\no\r\n-ERR no\r\n:12\r\n*3\r\n$1\r\na\r\n*2\r\n:1\r\n-ERR inner\r\n\
        $0\r\n\r\n*0\r\n*-1\r\n_\r\n%1\r\n+k\r\n,1.5\r\n#t\r\n!5\r\nERR x\r\n";

    fn scan(chunk_bytes: usize) -> ReplyTally {
        let (mut scanner, mut tally) = (ReplyScanner::default(), ReplyTally::default());
        for chunk in STREAM.chunks(chunk_bytes) {
            scanner.feed(chunk, &mut tally).unwrap();
        }
        tally
    }

    #[test]
    fn counts_do_not_depend_on_the_cuts() {
        for chunk_bytes in [1, 2, 3, 5, 7, 11, STREAM.len()] {
            let tally = scan(chunk_bytes);
            assert_eq!(
                (tally.replies, tally.errors, tally.nulls),
                (12, 2, 3),
                "chunks of {chunk_bytes}: {tally:?}"
            );
            assert_eq!(tally.first_error.as_deref(), Some("ERR no"));
        }
    }

    #[test]
    fn an_incomplete_reply_is_not_counted() {
        let (mut scanner, mut tally) = (ReplyScanner::default(), ReplyTally::default());
        scanner.feed(b"*2\r\n+a\r\n$3\r\nabc\r", &mut tally).unwrap();
        assert_eq!(tally.replies, 0);
        scanner.feed(b"\n", &mut tally).unwrap();
        assert_eq!(tally.replies, 1);
    }

    #[test]
    fn what_is_not_resp_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\r\n",
            b"+no carriage return\n",
            b"$-2\r\n",
            b"$1x\r\n",
            b"*99999999999999999999\r\n",
            b"$\r\n",
        ] {
            let result = ReplyScanner::default().feed(bytes, &mut ReplyTally::default());
            assert!(result.is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = vec![b'+'; HEADER_BYTES_MAX + 1];
        assert!(ReplyScanner::default().feed(&endless, &mut ReplyTally::default()).is_err());
    }
}
