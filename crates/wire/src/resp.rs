//! Requests out of bytes: RESP arrays of bulk strings, and inline commands, as Redis 7.2 reads them.
//!
//! Not a general RESP decoder: a request has one shape, and nested arrays are an error. Quoted inline lines
//! are taken apart in `inline.rs`.
//!
//! Invariants
//! 1. The result of a request does not depend on how its bytes were cut into pieces, errors included.
//! 2. No byte is looked at more than a constant number of times, however small the pieces.
//! 3. Memory: spans only of arguments that were received, never of what a length promises.
//! 4. An idle parser holds no heap memory; a request that arrives whole allocates nothing.
//!
//! Like Valkey 9.1 it refuses a `\r` without its `\n` and a bulk string that does not end in both: what lies there
//! was counted wrong, and to go on would take some client's data for commands. Thousands of damaged streams get the
//! same answers from Valkey (`tests/differential/malformed.rs`) but for two things: a NUL and the byte 0xff in a line are
//! bytes like any others here (Valkey waits for ever, and leaves the byte out), and the limit of a line does not depend
//! on where a read ended.
//!
//! Thread safety: plain data, one parser per connection.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::args::{OwnedArgs, Span};
use crate::inline::{self, Line};
use crate::protocol_error::ProtocolError;

/// Longest inline line, count line or length line, without its last byte (Redis: PROTO_INLINE_MAX_SIZE).
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Most arguments of one request: Redis refuses a count above INT_MAX. The memory they take is bounded by
/// the caller's limit of the buffer, since each needs at least six bytes of it.
pub const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// Most arguments of a request before AUTH, so that strangers cannot hold memory.
pub const ARGUMENTS_UNAUTHENTICATED_MAX: i64 = 10;

/// Longest argument before AUTH.
pub const BULK_BYTES_UNAUTHENTICATED_MAX: i64 = 16_384;

/// Most that [`RequestParser::bytes_missing`] answers: a promised length is not a reason to reserve much.
pub const BYTES_MISSING_MAX: usize = 1024 * 1024;

/// A refused argument could place a span beyond what its 32 bits reach.
const REQUEST_BYTES_MAX: usize = u32::MAX as usize;

/// Arguments for which room is made at once; beyond, memory grows with what was received.
const ARGUMENTS_RESERVED_MAX: usize = 1024;

/// The shortest argument: `$0\r\n\r\n`.
const ARGUMENT_BYTES_MIN: usize = 6;

/// What this connection may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument: `proto-max-bulk-len`.
    pub bulk_bytes_max: usize,
    /// Whether the client has authenticated or need not.
    pub authenticated: bool,
}

impl Limits {
    /// Longest argument that this client may send now.
    #[inline]
    fn bulk_bytes_now(&self) -> usize {
        let unauthenticated_max = BULK_BYTES_UNAUTHENTICATED_MAX as usize;
        if self.authenticated { self.bulk_bytes_max } else { self.bulk_bytes_max.min(unauthenticated_max) }
    }
}

/// What one call of [`RequestParser::parse`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request: the spans of its arguments were pushed.
    Request,
    /// An inline request with quotes: its arguments are not in the buffer as they are. No span was pushed.
    Rewritten(Box<OwnedArgs>),
    /// No whole request is left in the buffer.
    Incomplete,
}

/// Where a half-received request stands. Offsets count from the request's first byte.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// First byte that is not taken yet: where a line or a bulk string's header begins.
    cursor: usize,
    /// Up to here the line at `cursor` has no end.
    scanned: usize,
    /// Arguments still to come; 0 while the first line is incomplete.
    arguments_missing: u32,
    /// Bytes that must arrive before there can be progress; 0 when unknown.
    bytes_missing: u32,
    /// Whether a request has begun.
    underway: bool,
}

/// The state of one connection's request stream.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Arguments of the half-received request, relative to its start.
    spans: Vec<Span>,
    progress: Progress,
}

const _: () = assert!(size_of::<RequestParser>() <= 64);

impl RequestParser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses one request of `buffer[*position..]`.
    ///
    /// On [`Parsed::Request`] the spans of its arguments (absolute in `buffer`) were pushed to `spans` and
    /// `*position` is behind it. Empty requests (`*0`, `*-1`, blank lines) are skipped silently.
    ///
    /// On [`Parsed::Incomplete`] `*position` is at the request's start and what was parsed is remembered:
    /// the next call must find the same bytes at its `*position`, in any buffer, with more behind them.
    ///
    /// # Errors
    /// The stream cannot be followed any further; the parser is idle and `spans` as it was.
    #[inline]
    pub fn parse(
        &mut self,
        buffer: &[u8],
        position: &mut usize,
        spans: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        if !self.progress.underway
            && let Some(end) = parse_short(buffer, *position, spans, limits)
        {
            *position = end;
            return Ok(Parsed::Request);
        }
        self.parse_any(buffer, position, spans, limits)
    }

    /// Whether no request is half received.
    #[inline]
    pub fn is_idle(&self) -> bool {
        !self.progress.underway
    }

    /// How many bytes the request under way lacks at least, at most [`BYTES_MISSING_MAX`]; 0 when unknown.
    #[inline]
    pub fn bytes_missing(&self) -> usize {
        (self.progress.bytes_missing as usize).min(BYTES_MISSING_MAX)
    }

    /// Heap bytes held for a half-received request.
    pub fn memory_bytes(&self) -> usize {
        self.spans.capacity().saturating_mul(size_of::<Span>())
    }

    /// Forgets a half-received request.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn parse_any(
        &mut self,
        buffer: &[u8],
        position: &mut usize,
        spans: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Parsed, ProtocolError> {
        loop {
            let request = buffer.get(*position..).unwrap_or_default();
            let found = match request.first() {
                None => return Ok(Parsed::Incomplete),
                Some(b'*') => self.parse_array(request, *position, spans, limits),
                Some(_) => self.parse_inline(request, *position, spans),
            };
            let consumed = match found {
                Ok(Found::Incomplete) => return Ok(Parsed::Incomplete),
                Ok(Found::Empty(consumed) | Found::Request(consumed) | Found::Rewritten(_, consumed)) => {
                    consumed
                }
                Err(error) => {
                    self.reset();
                    return Err(error);
                }
            };
            self.reset();
            *position = position.saturating_add(consumed);
            match found {
                Ok(Found::Request(_)) => return Ok(Parsed::Request),
                Ok(Found::Rewritten(args, _)) => return Ok(Parsed::Rewritten(args)),
                _ => {}
            }
        }
    }

    fn parse_array(
        &mut self,
        request: &[u8],
        position: usize,
        spans: &mut Vec<Span>,
        limits: &Limits,
    ) -> Result<Found, ProtocolError> {
        if self.progress.arguments_missing == 0 {
            self.progress.underway = true;
            let Some(count) = read_count(request, &mut self.progress, limits)? else {
                return Ok(Found::Incomplete);
            };
            if count == 0 {
                return Ok(Found::Empty(self.progress.cursor));
            }
            self.progress.arguments_missing = count;
        }
        if self.spans.is_empty() {
            // Not resumed, or nothing to resume from: the spans go where the caller wants them.
            let mark = spans.len();
            let complete = read_arguments(request, position, &mut self.progress, spans, limits);
            if complete == Ok(true) {
                return Ok(Found::Request(self.progress.cursor));
            }
            if complete.is_ok() {
                let begun = spans.get(mark..).unwrap_or_default();
                self.spans =
                    begun.iter().filter_map(|span| shift(*span, |at| at.checked_sub(position))).collect();
            }
            spans.truncate(mark);
            return complete.map(|_| Found::Incomplete);
        }
        if !read_arguments(request, 0, &mut self.progress, &mut self.spans, limits)? {
            return Ok(Found::Incomplete);
        }
        let mark = spans.len();
        spans.extend(self.spans.iter().filter_map(|span| shift(*span, |at| at.checked_add(position))));
        if spans.len().saturating_sub(mark) != self.spans.len() {
            spans.truncate(mark);
            return Err(ProtocolError::InvalidBulkLength);
        }
        Ok(Found::Request(self.progress.cursor))
    }

    fn parse_inline(
        &mut self,
        request: &[u8],
        position: usize,
        spans: &mut Vec<Span>,
    ) -> Result<Found, ProtocolError> {
        let progress = &mut self.progress;
        progress.underway = true;
        let Some(end) = find_line_end(request, b'\n', progress, ProtocolError::TooBigInline)? else {
            return Ok(Found::Incomplete);
        };
        let line = request.get(..end).unwrap_or_default();
        let consumed = end.saturating_add(1);
        if position.saturating_add(consumed) > REQUEST_BYTES_MAX {
            return Err(ProtocolError::TooBigInline);
        }
        let mark = spans.len();
        Ok(match inline::split(line.strip_suffix(b"\r").unwrap_or(line), position, spans)? {
            Line::Words if spans.len() == mark => Found::Empty(consumed),
            Line::Words => Found::Request(consumed),
            Line::Rewritten(args) if args.is_empty() => Found::Empty(consumed),
            Line::Rewritten(args) => Found::Rewritten(Box::new(args), consumed),
        })
    }
}

/// One step of the parser; the number is the request's length in bytes.
enum Found {
    Incomplete,
    Empty(usize),
    Request(usize),
    Rewritten(Box<OwnedArgs>, usize),
}

/// The fast path: up to nine arguments, all received and within the limits. `None` leaves `spans` as it was
/// and says nothing about the request.
#[inline]
fn parse_short(buffer: &[u8], position: usize, spans: &mut Vec<Span>, limits: &Limits) -> Option<usize> {
    let request = buffer.get(position..)?;
    let [b'*', count @ b'1'..=b'9', b'\r', b'\n', ..] = request else { return None };
    if buffer.len() > REQUEST_BYTES_MAX {
        return None;
    }
    let bulk_bytes_max = limits.bulk_bytes_now();
    let mark = spans.len();
    let mut cursor = position.wrapping_add(4);
    for _ in 0..count.wrapping_sub(b'0') {
        let Some((start, len)) = short_bulk(buffer, cursor) else {
            spans.truncate(mark);
            return None;
        };
        // No sum can overflow: `start` is in the buffer and `len` has at most nine digits.
        cursor = start.wrapping_add(len).wrapping_add(2);
        if buffer.get(cursor.wrapping_sub(2)..cursor) != Some(b"\r\n") || len > bulk_bytes_max {
            spans.truncate(mark);
            return None;
        }
        spans.push(Span { start: start as u32, len: len as u32 });
    }
    Some(cursor)
}

/// Reads a length line of at most nine digits at `cursor`: where the bytes begin and how many they are.
/// `None` says nothing about the line.
#[inline]
fn short_bulk(buffer: &[u8], cursor: usize) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match buffer.get(cursor..)? {
        [b'$', a @ b'0'..=b'9', b'\r', b'\n', ..] => Some((cursor.wrapping_add(4), digit(*a))),
        [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((cursor.wrapping_add(5), digit(*a).wrapping_mul(10).wrapping_add(digit(*b))))
        }
        [b'$', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
            let tens = digit(*a).wrapping_mul(10).wrapping_add(digit(*b));
            Some((cursor.wrapping_add(6), tens.wrapping_mul(10).wrapping_add(digit(*c))))
        }
        [b'$', b'1'..=b'9', digits @ ..] => {
            // Lengths of one to three digits are unrolled above: they are most, and this loop costs twice.
            let end = digits.iter().take(9).position(|byte| !byte.is_ascii_digit())?;
            let first = buffer.get(cursor.wrapping_add(1)..cursor.wrapping_add(end).wrapping_add(2))?;
            let len = first.iter().fold(0_usize, |len, byte| len.wrapping_mul(10).wrapping_add(digit(*byte)));
            let complete = digits.get(end..end.wrapping_add(2)) == Some(b"\r\n");
            complete.then_some((cursor.wrapping_add(end).wrapping_add(4), len))
        }
        _ => None,
    }
}

/// Reads the count line at the cursor. `Some(0)` is an empty request, `None` an incomplete line.
fn read_count(
    request: &[u8],
    progress: &mut Progress,
    limits: &Limits,
) -> Result<Option<u32>, ProtocolError> {
    let Some(count) = read_length(request, progress, ProtocolError::TooBigMultibulkCount)? else {
        return Ok(None);
    };
    match count {
        Some((b'*', count)) if count <= 0 => Ok(Some(0)),
        Some((b'*', count)) if count > ARGUMENTS_MAX => Err(ProtocolError::InvalidMultibulkLength),
        Some((b'*', count)) if count > ARGUMENTS_UNAUTHENTICATED_MAX && !limits.authenticated => {
            Err(ProtocolError::UnauthenticatedMultibulkLength)
        }
        Some((b'*', count)) => {
            u32::try_from(count).map(Some).map_err(|_| ProtocolError::InvalidMultibulkLength)
        }
        _ => Err(ProtocolError::InvalidMultibulkLength),
    }
}

/// Reads arguments until all are there (`true`) or the bytes end; spans are `base` further than offsets.
fn read_arguments(
    request: &[u8],
    base: usize,
    progress: &mut Progress,
    spans: &mut Vec<Span>,
    limits: &Limits,
) -> Result<bool, ProtocolError> {
    let received_max = request.len().saturating_sub(progress.cursor) / ARGUMENT_BYTES_MIN;
    spans.reserve((progress.arguments_missing as usize).min(received_max).min(ARGUMENTS_RESERVED_MAX));
    while progress.arguments_missing > 0 {
        let header_at = progress.cursor;
        let (start, len) = match short_bulk(request, header_at) {
            Some((start, len)) if len <= limits.bulk_bytes_now() => (start, len),
            _ => match read_bulk_length(request, progress, limits)? {
                Some(len) => (progress.cursor, len),
                None => return Ok(false),
            },
        };
        let end = start.saturating_add(len).saturating_add(2);
        if end > request.len() {
            // The header is read again with the next piece: it is shorter than remembering it would be.
            progress.cursor = header_at;
            progress.scanned = header_at;
            let missing = end.saturating_sub(request.len());
            progress.bytes_missing = u32::try_from(missing).unwrap_or(u32::MAX);
            return Ok(false);
        }
        if request.get(start.wrapping_add(len)..end) != Some(b"\r\n") {
            return Err(ProtocolError::InvalidCrlf);
        }
        if base.saturating_add(end) > REQUEST_BYTES_MAX {
            return Err(ProtocolError::InvalidBulkLength);
        }
        spans.push(Span { start: base.wrapping_add(start) as u32, len: len as u32 });
        progress.cursor = end;
        progress.scanned = end;
        progress.arguments_missing = progress.arguments_missing.saturating_sub(1);
    }
    Ok(true)
}

/// Reads a length line at the cursor and moves the cursor behind it.
fn read_bulk_length(
    request: &[u8],
    progress: &mut Progress,
    limits: &Limits,
) -> Result<Option<usize>, ProtocolError> {
    let header_at = progress.cursor;
    let length =
        match (read_length(request, progress, ProtocolError::TooBigBulkCount), request.get(header_at)) {
            (Ok(Some(length)), _) => length,
            (Ok(None), _) => return Ok(None),
            // The wrong type of argument is the more telling of two mistakes.
            (Err(ProtocolError::InvalidCrlf), Some(&got)) if got != b'$' => {
                return Err(ProtocolError::ExpectedDollar(got));
            }
            (Err(error), _) => return Err(error),
        };
    match (request.get(header_at), length) {
        (Some(b'$'), Some((_, len))) => {
            let bytes = usize::try_from(len).map_err(|_| ProtocolError::InvalidBulkLength)?;
            if bytes > limits.bulk_bytes_max {
                Err(ProtocolError::InvalidBulkLength)
            } else if len > BULK_BYTES_UNAUTHENTICATED_MAX && !limits.authenticated {
                Err(ProtocolError::UnauthenticatedBulkLength)
            } else {
                Ok(Some(bytes))
            }
        }
        (Some(b'$') | None, _) => Err(ProtocolError::InvalidBulkLength),
        (Some(&got), _) => Err(ProtocolError::ExpectedDollar(got)),
    }
}

/// Reads a line of one type byte and a number, and moves the cursor behind it. The outer `None`: no line
/// yet; the inner: not a number.
fn read_length(
    request: &[u8],
    progress: &mut Progress,
    too_big: ProtocolError,
) -> Result<Option<Option<(u8, i64)>>, ProtocolError> {
    let Some(end) = find_line_end(request, b'\r', progress, too_big)? else {
        return Ok(None);
    };
    let behind = end.saturating_add(2);
    match request.get(end.wrapping_add(1)) {
        Some(b'\n') => {}
        Some(_) => return Err(ProtocolError::InvalidCrlf),
        None => {
            progress.bytes_missing = 1;
            return Ok(None);
        }
    }
    let line = request.get(progress.cursor..end).unwrap_or_default();
    progress.cursor = behind;
    progress.scanned = behind;
    progress.bytes_missing = 0;
    let (Some((&first, digits)), true) = (line.split_first(), line.len() <= 21) else {
        return Ok(Some(None));
    };
    Ok(Some(crate::number::parse_i64(digits).map(|number| (first, number))))
}

/// Offset of the next `delimiter` at most [`LINE_BYTES_MAX`] behind the cursor; remembers what was searched.
fn find_line_end(
    request: &[u8],
    delimiter: u8,
    progress: &mut Progress,
    too_big: ProtocolError,
) -> Result<Option<usize>, ProtocolError> {
    let limit = progress.cursor.saturating_add(LINE_BYTES_MAX).saturating_add(1);
    let from = progress.scanned.max(progress.cursor);
    let window = request.get(from..limit.min(request.len())).unwrap_or_default();
    if let Some(at) = memchr::memchr(delimiter, window) {
        return Ok(Some(from.saturating_add(at)));
    }
    if request.len() >= limit {
        return Err(too_big);
    }
    progress.scanned = request.len();
    progress.bytes_missing = 1;
    Ok(None)
}

/// `span` with its start moved; `None` when 32 bits do not reach.
fn shift(span: Span, by: impl Fn(usize) -> Option<usize>) -> Option<Span> {
    let start = by(span.start as usize)?;
    let end = start.checked_add(span.len as usize)?;
    (end <= REQUEST_BYTES_MAX).then_some(Span { start: start as u32, len: span.len })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::reply::Reply;

    const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

    /// Everything in `stream`, given in pieces that end at `cuts`; the last element is how it ended.
    fn requests(stream: &[u8], cuts: &[usize], limits: &Limits) -> (Vec<Vec<Vec<u8>>>, String) {
        let mut parser = RequestParser::new();
        let (mut position, mut spans, mut found) = (0, Vec::new(), Vec::new());
        for &cut in cuts.iter().chain([&stream.len()]) {
            let buffer = &stream[..cut];
            loop {
                let mark = spans.len();
                match parser.parse(buffer, &mut position, &mut spans, limits) {
                    Ok(Parsed::Request) => {
                        assert!(parser.is_idle() && parser.memory_bytes() == 0);
                        let args = crate::Args::new(buffer, &spans[mark..]);
                        found.push(args.iter().map(<[u8]>::to_vec).collect());
                    }
                    Ok(Parsed::Rewritten(args)) => {
                        assert_eq!(spans.len(), mark);
                        found.push(args.as_args().iter().map(<[u8]>::to_vec).collect());
                    }
                    Ok(Parsed::Incomplete) => {
                        assert_eq!(spans.len(), mark);
                        assert_eq!(parser.is_idle(), position == buffer.len());
                        break;
                    }
                    Err(error) => return (found, error.to_string()),
                }
            }
        }
        (found, format!("{} left", stream.len() - position))
    }

    fn all(stream: &[u8]) -> (Vec<Vec<Vec<u8>>>, String) {
        requests(stream, &[], &LIMITS)
    }

    fn words(requests: &[&[&str]]) -> Vec<Vec<Vec<u8>>> {
        requests.iter().map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect()).collect()
    }

    #[test]
    fn a_pipeline_is_parsed_in_place() {
        let stream = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$2\r\nk2\r\n$0\r\n\r\nPING a\r\n*1\r\n$4\r\nPI";
        let expected = words(&[&["GET", "k"], &["SET", "k2", ""], &["PING", "a"]]);
        assert_eq!(all(stream), (expected, "10 left".to_string()));
    }

    #[test]
    fn empty_requests_are_skipped() {
        let stream = b"*0\r\n\r\n\n*-1\r\n   \r\n*-7\r\nPING\r\n";
        assert_eq!(all(stream), (words(&[&["PING"]]), "0 left".to_string()));
    }

    #[test]
    fn long_headers_take_the_general_way() {
        let value = "v".repeat(1234);
        let stream = format!("*10\r\n{}$1234\r\n{value}\r\n", "$1\r\na\r\n".repeat(9));
        let mut expected = words(&[&["a"; 9]]);
        expected[0].push(value.into_bytes());
        assert_eq!(all(stream.as_bytes()), (expected, "0 left".to_string()));
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        let limit = "1".repeat(LINE_BYTES_MAX + 1);
        for (stream, text) in [
            ("*x\r\n".to_string(), "invalid multibulk length"),
            ("*\r\n".to_string(), "invalid multibulk length"),
            ("*03\r\n".to_string(), "invalid multibulk length"),
            ("*2147483648\r\n".to_string(), "invalid multibulk length"),
            ("*1\r\n$x\r\n".to_string(), "invalid bulk length"),
            ("*1\r\n$\r\n".to_string(), "invalid bulk length"),
            ("*1\r\n$-1\r\n".to_string(), "invalid bulk length"),
            (format!("*1\r\n${}\r\n", (512 << 20) + 1), "invalid bulk length"),
            ("*1\rx".to_string(), "invalid CRLF in request"),
            ("*1\r\n$4\rx".to_string(), "invalid CRLF in request"),
            ("*1\r\n$4\r\nPINGxx".to_string(), "invalid CRLF in request"),
            ("*1\r\n$4\r\nPING\rx".to_string(), "invalid CRLF in request"),
            ("*1\r\n$4\r\nPING\n\n".to_string(), "invalid CRLF in request"),
            (
                format!("*10\r\n{}$1234\r\n{}xx", "$1\r\na\r\n".repeat(9), "v".repeat(1234)),
                "invalid CRLF in request",
            ),
            ("*1\r\n*1\r\n".to_string(), "expected '$', got '*'"),
            ("*1\r\n\r\n".to_string(), "expected '$', got '\r'"),
            (format!("*{limit}"), "too big mbulk count string"),
            (format!("*1\r\n${limit}"), "too big bulk count string"),
            (limit, "too big inline request"),
            ("SET \"k\r\n".to_string(), "unbalanced quotes in request"),
        ] {
            let found = all(stream.as_bytes());
            assert_eq!(
                found,
                (vec![], format!("Protocol error: {text}")),
                "{}",
                &stream[..stream.len().min(40)]
            );
        }
    }

    #[test]
    fn an_error_is_replied_on_one_line_with_the_byte_as_it_came() {
        let mut reply = Reply::new();
        ProtocolError::ExpectedDollar(0xff).write(&mut reply);
        ProtocolError::ExpectedDollar(b'\n').write(&mut reply);
        ProtocolError::InvalidBulkLength.write(&mut reply);
        let expected = [
            &b"-ERR Protocol error: expected '$', got '\xff'\r\n"[..],
            b"-ERR Protocol error: expected '$', got ' '\r\n",
            b"-ERR Protocol error: invalid bulk length\r\n",
        ];
        assert_eq!(reply.to_vec(), expected.concat());
    }

    #[test]
    fn strangers_are_kept_small() {
        let limits = Limits { authenticated: false, ..LIMITS };
        let ends = |stream: &str| requests(stream.as_bytes(), &[], &limits).1;
        assert_eq!(ends("*11\r\n"), "Protocol error: unauthenticated multibulk length");
        assert_eq!(ends("*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
        assert_eq!(ends("*10\r\n$16384\r\n"), "13 left");
    }

    #[test]
    fn a_lower_bulk_limit_holds_for_short_arguments_too() {
        let limits = Limits { bulk_bytes_max: 3, authenticated: true };
        assert_eq!(requests(b"*1\r\n$3\r\nGET\r\n", &[], &limits).0.len(), 1);
        assert_eq!(requests(b"*1\r\n$4\r\nPING\r\n", &[], &limits).1, "Protocol error: invalid bulk length");
    }

    #[test]
    fn a_half_request_says_what_it_lacks_and_moves_with_its_bytes() {
        let mut parser = RequestParser::new();
        let mut spans = Vec::new();
        let mut position = 7;
        let first = b"garbage*2\r\n$3\r\nGET\r\n$2000000\r\nxy";
        assert_eq!(parser.parse(first, &mut position, &mut spans, &LIMITS), Ok(Parsed::Incomplete));
        assert_eq!((position, parser.is_idle(), parser.bytes_missing()), (7, false, BYTES_MISSING_MAX));

        let mut moved = first[7..].to_vec();
        moved.resize(moved.len() + 1_999_998, b'z');
        moved.push(b'\r');
        let mut position = 0;
        assert_eq!(parser.parse(&moved, &mut position, &mut spans, &LIMITS), Ok(Parsed::Incomplete));
        assert_eq!(parser.bytes_missing(), 1);
        moved.push(b'\n');
        assert_eq!(parser.parse(&moved, &mut position, &mut spans, &LIMITS), Ok(Parsed::Request));
        assert_eq!(spans, [Span { start: 8, len: 3 }, Span { start: 23, len: 2_000_000 }]);
        assert_eq!((position, parser.is_idle(), parser.bytes_missing()), (moved.len(), true, 0));
    }

    #[test]
    fn a_promised_length_reserves_nothing() {
        let mut parser = RequestParser::new();
        let mut spans = Vec::new();
        assert_eq!(
            parser.parse(b"*2147483647\r\n$1\r\na\r\n", &mut 0, &mut spans, &LIMITS),
            Ok(Parsed::Incomplete)
        );
        assert!(spans.capacity() <= ARGUMENTS_RESERVED_MAX && parser.memory_bytes() < 1024);
    }
}
