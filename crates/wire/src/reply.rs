//! Replies: one interface, both dialects, and the bytes that wait to be sent.
//!
//! Not a socket, and not a place for error texts, which belong to the commands.
//!
//! The bytes are one growing buffer. A large value is not copied into it: it is kept by reference and spliced
//! in at its offset.
//!
//! ```text
//!   bytes   sent | *2\r\n$5\r\nhello\r\n$20000\r\n | \r\n+OK\r\n
//!                 ^ head                           ^ shared[0].offset: 20000 bytes go here
//! ```
//!
//! Invariants
//! 1. `head <= shared[0].offset <= shared[1].offset <= ... <= bytes.len()`.
//! 2. `shared_sent < shared[0].len`, and it is 0 unless `head == shared[0].offset`.
//! 3. `shared_bytes` is the length of all shared values, less `shared_sent`.
//!
//! Thread safety: plain data, owned by one connection or worker.

use std::io::IoSlice;
use std::sync::Arc;

use crate::holds::Holds;
use crate::number;

/// The dialect a client chose with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client starts with.
    #[default]
    Resp2,
    /// With maps, sets, doubles, booleans, nulls and pushes.
    Resp3,
}

/// Most slices that one call of [`Reply::first_slices`] has in its vector: well below the kernel's 1024.
pub const SLICES_MAX: usize = 64;

/// Longest error code kept for the statistics of errors.
pub const ERROR_CODE_BYTES_MAX: usize = 32;

/// Bytes a header can have: a type, 20 digits, and the line's end.
const HEADER_BYTES_MAX: usize = 23;

/// A point of a reply, to return to with [`Reply::truncate`]. Valid until bytes are consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    bytes: usize,
    shared: usize,
}

#[derive(Clone, Debug)]
struct Shared {
    offset: usize,
    value: Arc<Vec<u8>>,
}

/// Replies of one connection, in the order they will be sent.
#[derive(Debug, Default)]
pub struct Reply {
    bytes: Vec<u8>,
    shared: Vec<Shared>,
    /// Bytes at the front of `bytes` that were consumed.
    head: usize,
    shared_sent: usize,
    shared_bytes: usize,
    holds: Holds,
    errors: u32,
    error_code_len: u8,
    protocol: Protocol,
    error_code: [u8; ERROR_CODE_BYTES_MAX],
}

/// `\0ddd\r\n` for every length of up to three digits, first byte lowest: the type byte is or-ed in. One
/// load and one store of eight bytes replace a division per digit and a copy of unknown length.
static SHORT_HEADERS: [u64; 1000] = short_headers();

const fn short_headers() -> [u64; 1000] {
    let mut headers = [0; 1000];
    let mut n = 0;
    while n < 1000 {
        let (hundreds, tens, ones) = (n as u64 / 100 + 48, n as u64 / 10 % 10 + 48, n as u64 % 10 + 48);
        headers[n] = match n {
            0..10 => ones << 8 | 0x0a0d << 16,
            10..100 => tens << 8 | ones << 16 | 0x0a0d << 24,
            _ => hundreds << 8 | tens << 16 | ones << 24 | 0x0a0d << 32,
        };
        n += 1;
    }
    headers
}

impl Reply {
    /// An empty reply in RESP2.
    pub fn new() -> Self {
        Self::default()
    }

    /// The dialect of what is appended next.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the dialect of what is appended next.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    #[inline]
    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    // ---- one value ----

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// A status; the text must not contain a line end.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.line(b'+', text.as_bytes());
    }

    /// An error, its code first and without `-`: `ERR syntax error`. It may quote any bytes; line ends become spaces.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.error_bytes(text.as_ref());
    }

    fn error_bytes(&mut self, text: &[u8]) {
        self.errors = self.errors.wrapping_add(1);
        let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let code = &code[..code.len().min(ERROR_CODE_BYTES_MAX)];
        self.error_code[..code.len()].copy_from_slice(code);
        self.error_code_len = code.len() as u8;
        self.bytes.reserve(text.len() + 3);
        self.bytes.push(b'-');
        self.bytes.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match usize::try_from(value) {
            Ok(small) if small < SHORT_HEADERS.len() => self.header(b':', small),
            _ => self.line(b':', itoa::Buffer::new().format(value).as_bytes()),
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        self.bytes.reserve(value.len() + HEADER_BYTES_MAX + 2);
        self.header(b'$', value.len());
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The decimal text of `value` as a bulk string.
    pub fn bulk_i64(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string that is not copied: for values large enough that a reference count is cheaper.
    pub fn bulk_shared(&mut self, value: Arc<Vec<u8>>) {
        self.header(b'$', value.len());
        if !value.is_empty() {
            self.shared_bytes += value.len();
            self.shared.push(Shared { offset: self.bytes.len(), value });
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// A bulk string in parts that are not copied.
    pub fn bulk_parts(&mut self, parts: Vec<Arc<Vec<u8>>>) {
        self.header(b'$', parts.iter().map(|part| part.len()).sum());
        parts.into_iter().filter(|part| !part.is_empty()).for_each(|part| self.raw_shared(part));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// No value: `$-1` or `_`.
    #[inline]
    pub fn null(&mut self) {
        if self.is_resp3() {
            self.bytes.extend_from_slice(b"_\r\n");
        } else {
            self.bytes.extend_from_slice(b"$-1\r\n");
        }
    }

    /// No array: `*-1` or `_`.
    #[inline]
    pub fn null_array(&mut self) {
        if self.is_resp3() {
            self.bytes.extend_from_slice(b"_\r\n");
        } else {
            self.bytes.extend_from_slice(b"*-1\r\n");
        }
    }

    /// A double: `,1.5`, or its text as a bulk string.
    pub fn double(&mut self, value: f64) {
        let text = number::text_of_f64(value);
        if self.is_resp3() { self.line(b',', &text) } else { self.bulk(&text) }
    }

    /// A boolean: `#t`, or `:1`.
    pub fn boolean(&mut self, value: bool) {
        match (self.is_resp3(), value) {
            (true, true) => self.bytes.extend_from_slice(b"#t\r\n"),
            (true, false) => self.bytes.extend_from_slice(b"#f\r\n"),
            (false, _) => self.integer(i64::from(value)),
        }
    }

    /// An integer of any size, given as its digits: `(123`, or a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        if self.is_resp3() { self.line(b'(', digits.as_bytes()) } else { self.bulk(digits.as_bytes()) }
    }

    /// Text with its format, three bytes such as `txt`: `=n\r\ntxt:...`, or a bulk string without it.
    pub fn verbatim(&mut self, format: &str, text: &str) {
        if !self.is_resp3() {
            return self.bulk(text.as_bytes());
        }
        debug_assert_eq!(format.len(), 3, "a verbatim string's format has three bytes");
        self.header(b'=', format.len() + 1 + text.len());
        self.bytes.extend_from_slice(format.as_bytes());
        self.bytes.push(b':');
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    // ---- aggregates: their header, the elements follow ----

    /// An array of `count` values.
    #[inline]
    pub fn array(&mut self, count: usize) {
        self.header(b'*', count);
    }

    /// A map of `pairs` keys, each with its value: `%n`, or an array of `2n`.
    pub fn map(&mut self, pairs: usize) {
        if self.is_resp3() { self.header(b'%', pairs) } else { self.header(b'*', pairs * 2) }
    }

    /// A set: `~n`, or an array.
    pub fn set(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, count);
    }

    /// A push, which is not the answer to a request: `>n`, or an array.
    pub fn push(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, count);
    }

    /// Begins an array whose length is not known yet.
    pub fn start_array(&mut self) -> Mark {
        self.mark()
    }

    /// Puts the header of an array of `count` values before what was appended since `start`.
    pub fn finish_array(&mut self, start: Mark, count: usize) {
        self.insert_header(start, b'*', count);
    }

    /// Puts the header of a map of `pairs` before what was appended since `start`.
    pub fn finish_map(&mut self, start: Mark, pairs: usize) {
        let (kind, count) = if self.is_resp3() { (b'%', pairs) } else { (b'*', pairs * 2) };
        self.insert_header(start, kind, count);
    }

    /// Puts the header of a set of `count` before what was appended since `start`.
    pub fn finish_set(&mut self, start: Mark, count: usize) {
        self.insert_header(start, if self.is_resp3() { b'~' } else { b'*' }, count);
    }

    fn insert_header(&mut self, at: Mark, kind: u8, count: usize) {
        let end = self.bytes.len();
        self.header(kind, count);
        let header_len = self.bytes.len() - end;
        self.bytes[at.bytes..].rotate_right(header_len);
        self.shared[at.shared..].iter_mut().for_each(|shared| shared.offset += header_len);
    }

    /// A type, a length and a line end.
    #[inline]
    fn header(&mut self, kind: u8, count: usize) {
        let Some(header) = SHORT_HEADERS.get(count) else {
            return self.line(kind, itoa::Buffer::new().format(count).as_bytes());
        };
        let len = self.bytes.len() + 4 + usize::from(count >= 10) + usize::from(count >= 100);
        self.bytes.extend_from_slice(&(header | u64::from(kind)).to_le_bytes());
        self.bytes.truncate(len);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.reserve(text.len() + 3);
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Appends bytes that are already encoded in this reply's dialect.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    // ---- errors ----

    /// Errors written so far, wrapping. Truncating does not take them back: they happened.
    #[inline]
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// The code of the last error, its first word of at most [`ERROR_CODE_BYTES_MAX`] bytes; empty before
    /// the first, and when it is not UTF-8.
    pub fn last_error_code(&self) -> &str {
        std::str::from_utf8(&self.error_code[..usize::from(self.error_code_len)]).unwrap_or_default()
    }

    // ---- measuring, taking back ----

    /// Bytes not consumed yet, shared values included.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.head + self.shared_bytes
    }

    /// Whether everything was consumed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes held, shared values not included.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.shared.capacity() * size_of::<Shared>() + self.holds.memory_bytes()
    }

    /// The current end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), shared: self.shared.len() }
    }

    /// Bytes appended since `mark`, shared values included.
    pub fn len_since(&self, mark: Mark) -> usize {
        let shared: usize = self.shared[mark.shared..].iter().map(|shared| shared.value.len()).sum();
        self.bytes.len() - mark.bytes + shared
    }

    /// Takes back everything appended since `mark`. Nothing may have been consumed since.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        for shared in self.shared.drain(mark.shared..) {
            self.shared_bytes -= shared.value.len();
        }
        if !self.holds.is_empty() {
            self.holds.truncate(self.len());
        }
    }

    /// Drops all bytes; dialect, error count and allocation stay.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.head = 0;
        if !self.shared.is_empty() {
            self.shared.clear();
            (self.shared_sent, self.shared_bytes) = (0, 0);
        }
        if !self.holds.is_empty() {
            self.holds.clear();
        }
    }

    /// Gives back memory above `bytes_max`, after an unusually large reply.
    pub fn shrink_to(&mut self, bytes_max: usize) {
        if self.bytes.capacity() > bytes_max {
            self.bytes.shrink_to(bytes_max);
        }
        if self.shared.is_empty() {
            self.shared = Vec::new();
        }
    }

    /// Gives back what was consumed and the buffer's slack, when the rest is to wait.
    pub fn settle(&mut self) {
        self.drop_consumed();
        self.bytes.shrink_to_fit();
    }

    // ---- sending ----

    /// Everything that is not consumed, when no value is shared.
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.shared.is_empty().then(|| &self.bytes[self.head..])
    }

    /// Appends the next `bytes` bytes as slices for one vectored write, until `into` has [`SLICES_MAX`]; what did not fit
    /// waits for the next call.
    pub fn first_slices<'a>(&'a self, bytes: usize, into: &mut Vec<IoSlice<'a>>) {
        let mut left = bytes;
        self.pieces().for_each(|piece| {
            let taken = left.min(piece.len());
            left -= taken;
            if taken > 0 && into.len() < SLICES_MAX {
                into.push(IoSlice::new(&piece[..taken]));
            }
        });
    }

    // ---- holding back ----

    /// What was appended since `start` shows a change with this ticket: it may not leave before that is durable.
    pub fn hold_since(&mut self, start: Mark, ticket: u64) {
        self.holds.push(self.len() - self.len_since(start), ticket);
    }

    /// Whether some of it may have to wait.
    #[inline(always)]
    pub fn has_holds(&self) -> bool {
        !self.holds.is_empty()
    }

    /// How many bytes may leave when everything up to the ticket `durable` is durable.
    pub fn free_bytes(&self, durable: u64) -> usize {
        self.holds.free_bytes(self.len(), durable)
    }

    /// The ticket that the first byte that may not leave waits for.
    pub fn first_held(&self, durable: u64) -> Option<u64> {
        self.holds.first_ticket(durable)
    }

    /// The unconsumed bytes in order, in as few pieces as they lie in; pieces may be empty.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.head).chain(self.shared.iter().map(|shared| shared.offset));
        let ends = self.shared.iter().map(|shared| shared.offset).chain(std::iter::once(self.bytes.len()));
        let sent = std::iter::once(self.shared_sent).chain(std::iter::repeat(0));
        let values = self.shared.iter().zip(sent).map(|(shared, sent)| &shared.value[sent..]);
        let values = values.chain(std::iter::once(&[][..]));
        starts.zip(ends).zip(values).flat_map(|((start, end), value)| [&self.bytes[start..end], value])
    }

    /// Drops the first `n` bytes, which were sent. Marks taken before are invalid.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len(), "more consumed than there was");
        if n >= self.len() {
            return self.clear();
        }
        self.holds.consume(n);
        let mut left = n;
        let mut shared_done = 0;
        for shared in &self.shared {
            let plain = left.min(shared.offset - self.head);
            self.head += plain;
            left -= plain;
            if left == 0 && self.head < shared.offset {
                break;
            }
            let value_left = shared.value.len() - self.shared_sent;
            let taken = left.min(value_left);
            left -= taken;
            self.shared_bytes -= taken;
            if taken < value_left {
                self.shared_sent += taken;
                break;
            }
            self.shared_sent = 0;
            shared_done += 1;
        }
        self.shared.drain(..shared_done);
        self.head += left;
        self.compact();
    }

    /// Moves the rest to the front once the sent part is larger: each byte is moved a bounded number of times.
    fn compact(&mut self) {
        if self.head * 2 > self.bytes.len() {
            self.drop_consumed();
        }
    }

    fn drop_consumed(&mut self) {
        self.bytes.drain(..self.head);
        self.shared.iter_mut().for_each(|shared| shared.offset -= self.head);
        self.head = 0;
    }

    /// Appends what is not consumed to `other`; this reply stays as it is.
    pub fn append_to(&self, other: &mut Reply) {
        other.holds.append(other.len(), &self.holds);
        let mut from = self.head;
        for (i, shared) in self.shared.iter().enumerate() {
            other.bytes.extend_from_slice(&self.bytes[from..shared.offset]);
            from = shared.offset;
            if i == 0 && self.shared_sent > 0 {
                // A half-sent value cannot be spliced from its middle.
                other.bytes.extend_from_slice(&shared.value[self.shared_sent..]);
            } else {
                other.shared_bytes += shared.value.len();
                other.shared.push(Shared { offset: other.bytes.len(), value: Arc::clone(&shared.value) });
            }
        }
        other.bytes.extend_from_slice(&self.bytes[from..]);
    }

    /// Takes over encoded replies that were collected elsewhere, without copying them.
    pub fn raw_shared(&mut self, encoded: Arc<Vec<u8>>) {
        self.shared_bytes += encoded.len();
        self.shared.push(Shared { offset: self.bytes.len(), value: encoded });
    }

    /// The encoded bytes of a reply that holds no shared value and was not sent from; empty afterwards.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        debug_assert!(self.shared.is_empty() && self.head == 0);
        std::mem::take(&mut self.bytes)
    }

    /// All unconsumed bytes in one piece: for tests and for what has to be kept.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().collect::<Vec<_>>().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(protocol: Protocol, write: impl FnOnce(&mut Reply)) -> String {
        let mut reply = Reply::new();
        reply.set_protocol(protocol);
        write(&mut reply);
        assert_eq!(reply.len(), reply.to_vec().len());
        String::from_utf8(reply.to_vec()).unwrap()
    }

    #[test]
    fn both_dialects() {
        type Write = fn(&mut Reply);
        let table: &[(Write, &str, &str)] = &[
            (|r| r.ok(), "+OK\r\n", "+OK\r\n"),
            (|r| r.simple("QUEUED"), "+QUEUED\r\n", "+QUEUED\r\n"),
            (|r| r.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (|r| r.integer(7), ":7\r\n", ":7\r\n"),
            (|r| r.integer(-1), ":-1\r\n", ":-1\r\n"),
            (|r| r.integer(1000), ":1000\r\n", ":1000\r\n"),
            (|r| r.integer(i64::MIN), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"),
            (|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (|r| r.bulk(b"hello"), "$5\r\nhello\r\n", "$5\r\nhello\r\n"),
            (|r| r.bulk_i64(-12), "$3\r\n-12\r\n", "$3\r\n-12\r\n"),
            (|r| r.bulk_shared(Arc::new(b"abc".to_vec())), "$3\r\nabc\r\n", "$3\r\nabc\r\n"),
            (|r| r.bulk_shared(Arc::default()), "$0\r\n\r\n", "$0\r\n\r\n"),
            (
                |r| r.bulk_parts(vec![Arc::new(b"ab".to_vec()), Arc::default(), Arc::new(b"c".to_vec())]),
                "$3\r\nabc\r\n",
                "$3\r\nabc\r\n",
            ),
            (|r| r.null(), "$-1\r\n", "_\r\n"),
            (|r| r.null_array(), "*-1\r\n", "_\r\n"),
            (|r| r.array(0), "*0\r\n", "*0\r\n"),
            (|r| r.array(99), "*99\r\n", "*99\r\n"),
            (|r| r.map(500), "*1000\r\n", "%500\r\n"),
            (|r| r.set(100), "*100\r\n", "~100\r\n"),
            (|r| r.push(3), "*3\r\n", ">3\r\n"),
            (|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (|r| r.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
            (|r| r.boolean(true), ":1\r\n", "#t\r\n"),
            (|r| r.boolean(false), ":0\r\n", "#f\r\n"),
            (|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
            (|r| r.verbatim("txt", "a\nb"), "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n"),
        ];
        for (write, resp2, resp3) in table {
            assert_eq!(encoded(Protocol::Resp2, write), *resp2);
            assert_eq!(encoded(Protocol::Resp3, write), *resp3);
        }
    }

    #[test]
    fn every_length_has_the_right_header() {
        for n in 0..1100 {
            assert_eq!(encoded(Protocol::Resp2, |r| r.array(n)), format!("*{n}\r\n"));
        }
    }

    #[test]
    fn a_deferred_header_is_put_before_its_elements() {
        for (count, kind) in [(2, "*2"), (12, "*12"), (1234, "*1234")] {
            let mut reply = Reply::new();
            reply.bulk_shared(Arc::new(b"before".to_vec()));
            let start = reply.start_array();
            reply.bulk_shared(Arc::new(b"one".to_vec()));
            reply.integer(2);
            reply.finish_array(start, count);
            reply.ok();
            let expected = format!("$6\r\nbefore\r\n{kind}\r\n$3\r\none\r\n:2\r\n+OK\r\n");
            assert_eq!(String::from_utf8(reply.to_vec()).unwrap(), expected);
        }
        assert_eq!(
            encoded(Protocol::Resp3, |r| {
                let start = r.start_array();
                r.ok();
                r.finish_map(start, 1);
                r.finish_set(start, 1);
            }),
            "~1\r\n%1\r\n+OK\r\n"
        );
    }

    #[test]
    fn errors_are_counted_with_their_code() {
        let mut reply = Reply::new();
        assert_eq!((reply.errors(), reply.last_error_code()), (0, ""));
        let mark = reply.mark();
        reply.error("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert_eq!((reply.errors(), reply.last_error_code()), (1, "WRONGTYPE"));
        reply.truncate(mark);
        reply.error("E".repeat(40));
        assert_eq!((reply.errors(), reply.last_error_code()), (2, "E".repeat(32).as_str()));
        reply.error(b"\xff x");
        assert_eq!((reply.errors(), reply.last_error_code()), (3, ""));
    }

    #[test]
    fn truncating_takes_back_shared_values_too() {
        let mut reply = Reply::new();
        reply.ok();
        let mark = reply.mark();
        reply.bulk_shared(Arc::new(vec![b'x'; 30_000]));
        assert_eq!((reply.len(), reply.len_since(mark)), (30_015, 30_010));
        assert_eq!(reply.as_bytes(), None);
        reply.truncate(mark);
        assert_eq!((reply.len(), reply.as_bytes()), (5, Some(&b"+OK\r\n"[..])));
    }

    /// A reply with plain bytes and shared values in every order.
    fn mixed() -> Reply {
        let mut reply = Reply::new();
        for (i, len) in [3_usize, 0, 40, 1, 7].into_iter().enumerate() {
            reply.bulk_shared(Arc::new(vec![b'a' + i as u8; len]));
            if i % 2 == 0 {
                reply.integer(i as i64 * 1000);
            }
        }
        reply
    }

    #[test]
    fn a_reply_is_sent_whole_however_it_is_cut() {
        let whole = mixed().to_vec();
        for step in 1..whole.len() {
            let mut reply = mixed();
            let mut sent = Vec::new();
            while !reply.is_empty() {
                let mut slices = Vec::new();
                reply.first_slices(reply.len(), &mut slices);
                let piece: Vec<u8> =
                    slices.iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
                sent.extend_from_slice(&piece);
                reply.consume(piece.len());
                assert_eq!(sent.len() + reply.len(), whole.len());
                assert_eq!(reply.to_vec(), whole[sent.len()..]);

                let mut other = Reply::new();
                other.ok();
                reply.append_to(&mut other);
                assert_eq!(other.to_vec()[5..], whole[sent.len()..]);
                assert_eq!(other.len(), 5 + reply.len());
            }
            assert_eq!(sent, whole);
            assert_eq!(reply.as_bytes(), Some(&b""[..]));
        }
    }

    #[test]
    fn slices_stop_and_are_bounded() {
        let reply = mixed();
        let whole = reply.to_vec();
        for bytes in 0..=whole.len() + 1 {
            let mut slices = Vec::new();
            reply.first_slices(bytes, &mut slices);
            let found: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(found, whole[..bytes.min(whole.len())]);
        }
        let mut reply = Reply::new();
        (0..200).for_each(|_| reply.bulk_shared(Arc::new(vec![1])));
        let mut slices = Vec::new();
        reply.first_slices(reply.len(), &mut slices);
        assert_eq!(slices.len(), SLICES_MAX);
    }

    #[test]
    fn replies_are_held_from_where_they_start() {
        let mut reply = Reply::new();
        reply.ok();
        let start = reply.mark();
        reply.bulk_shared(Arc::new(vec![b'v'; 10]));
        reply.hold_since(start, 7);
        let start = reply.mark();
        reply.ok();
        reply.hold_since(start, 9);
        assert_eq!([6, 7, 8, 9].map(|durable| reply.free_bytes(durable)), [5, 22, 22, 27]);
        reply.consume(5);
        assert_eq!((reply.free_bytes(6), reply.free_bytes(7), reply.first_held(7)), (0, 17, Some(9)));
        let mut outbox = Reply::new();
        outbox.ok();
        reply.append_to(&mut outbox);
        assert_eq!((outbox.free_bytes(6), outbox.free_bytes(7)), (5, 22));
        reply.clear();
        assert!(!reply.has_holds());
    }

    #[test]
    fn what_is_taken_back_holds_nothing() {
        let mut reply = Reply::new();
        let start = reply.mark();
        reply.ok();
        reply.hold_since(start, 7);
        reply.truncate(start);
        reply.simple("PONG");
        assert_eq!((reply.has_holds(), reply.free_bytes(0)), (false, 7));
    }

    #[test]
    fn a_slow_reader_keeps_little_of_what_was_sent() {
        let mut reply = Reply::new();
        for _ in 0..10_000 {
            reply.bulk(&[b'x'; 100]);
            reply.consume(reply.len() - 50);
        }
        assert_eq!(reply.len(), 50);
        assert!(reply.memory_bytes() < 2048, "{}", reply.memory_bytes());
    }
}
