//! A small blocking RESP2 client: enough to play traffic and to ask a server for its profile.
//!
//! Invariants:
//! 1. Replies come in the order of the requests; the caller counts them.
//! 2. A reply it keeps is bounded (`VALUE_BYTES_MAX`, `NESTING_MAX`); a reply it skips may have any size.
//!
//! Thread safety: one thread owns a client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server in the same process that needs longer than this has hung.
const REPLY_SECONDS_MAX: u64 = 30;
/// Replies of a batch are read in one go.
const READ_BUFFER_BYTES: usize = 128 * 1024;
/// A profile in JSON is some 100 KiB; this is far above, and far below memory.
const VALUE_BYTES_MAX: u64 = 64 << 20;
/// Arrays in arrays that a reply may hold.
const NESTING_MAX: u32 = 16;

/// A reply that was read in full.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Null,
    Integer(i64),
    Text(String),
    Error(String),
    Array(Vec<Reply>),
}

/// A reply that was skipped: what kind it had.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyKind {
    Null,
    Value,
    Error(String),
}

/// A connection to a server.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// # Errors
    /// When nothing listens at `address`.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(REPLY_SECONDS_MAX)))?;
        Ok(Self { reader: BufReader::with_capacity(READ_BUFFER_BYTES, stream) })
    }

    /// Sends one request and reads its reply.
    ///
    /// # Errors
    /// When the connection breaks or answers something that is not RESP2. An error *reply* is `Ok(Reply::Error)`.
    pub fn ask(&mut self, arguments: &[&str]) -> io::Result<Reply> {
        let mut request = Vec::new();
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        append_request(&mut request, &arguments);
        self.send(&request)?;
        self.read_reply(0)
    }

    /// Writes requests laid out by `append_request`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(requests)
    }

    /// Reads the next reply and keeps only its kind; an array's elements are skipped too.
    ///
    /// # Errors
    /// As `ask`.
    pub fn skip_reply(&mut self) -> io::Result<ReplyKind> {
        let (kind, text) = self.read_header()?;
        Ok(match kind {
            b'+' | b':' => ReplyKind::Value,
            b'-' => ReplyKind::Error(text),
            b'$' => match length(&text)? {
                None => ReplyKind::Null,
                Some(bytes) => {
                    self.skip_bytes(bytes + 2)?;
                    ReplyKind::Value
                }
            },
            b'*' => match length(&text)? {
                None => ReplyKind::Null,
                Some(elements) => {
                    for _ in 0..elements {
                        self.read_reply(1)?;
                    }
                    ReplyKind::Value
                }
            },
            other => return Err(not_resp(other)),
        })
    }

    fn read_reply(&mut self, nesting: u32) -> io::Result<Reply> {
        let (kind, text) = self.read_header()?;
        Ok(match kind {
            b'+' => Reply::Text(text),
            b'-' => Reply::Error(text),
            b':' => Reply::Integer(text.parse().map_err(|_| not_resp(kind))?),
            b'$' => match length(&text)? {
                None => Reply::Null,
                Some(bytes) if bytes <= VALUE_BYTES_MAX => {
                    let mut value = vec![0; bytes as usize];
                    self.reader.read_exact(&mut value)?;
                    self.skip_bytes(2)?;
                    Reply::Text(String::from_utf8_lossy(&value).into_owned())
                }
                Some(_) => return Err(not_resp(kind)),
            },
            b'*' => match length(&text)? {
                None => Reply::Null,
                Some(_) if nesting >= NESTING_MAX => return Err(not_resp(kind)),
                Some(elements) => {
                    let mut array = Vec::new();
                    for _ in 0..elements {
                        array.push(self.read_reply(nesting + 1)?);
                    }
                    Reply::Array(array)
                }
            },
            other => return Err(not_resp(other)),
        })
    }

    fn read_header(&mut self) -> io::Result<(u8, String)> {
        let mut line = Vec::new();
        (&mut self.reader).take(VALUE_BYTES_MAX).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) {
            Some((&kind, text)) => Ok((kind, String::from_utf8_lossy(text).into_owned())),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(not_resp(b'?')),
        }
    }

    fn skip_bytes(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let held = self.reader.fill_buf()?.len();
            if held == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let skipped = count.min(held as u64);
            self.reader.consume(skipped as usize);
            count -= skipped;
        }
        Ok(())
    }
}

/// Appends one request to `out`.
pub fn append_request(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    append_header(out, b'*', arguments.len());
    for argument in arguments {
        append_header(out, b'$', argument.len());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

fn append_header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    write!(out, "{number}\r\n").expect("a Vec takes every byte");
}

fn length(text: &str) -> io::Result<Option<u64>> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length) if (0..1 << 40).contains(&length) => Ok(Some(length as u64)),
        _ => Err(not_resp(b'$')),
    }
}

fn not_resp(kind: u8) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the answer is not RESP2 (type `{}`)", char::from(kind)),
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that answers with these bytes, whatever it is asked.
    fn client_of(answer: &'static [u8]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(answer).unwrap());
        Client::connect(address).unwrap()
    }

    #[test]
    fn replies_of_every_type_are_read() {
        let mut client =
            client_of(b"+OK\r\n:-7\r\n$5\r\nhe\r\no\r\n$-1\r\n-ERR no\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n");
        let replies: Vec<Reply> = (0..6).map(|_| client.read_reply(0).unwrap()).collect();
        assert_eq!(
            replies,
            [
                Reply::Text("OK".to_owned()),
                Reply::Integer(-7),
                Reply::Text("he\r\no".to_owned()),
                Reply::Null,
                Reply::Error("ERR no".to_owned()),
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![Reply::Text(String::new())])]),
            ]
        );
        assert!(client.read_reply(0).is_err(), "the server has closed");
    }

    #[test]
    fn skipped_replies_tell_their_kind() {
        let mut client = client_of(b"$5\r\nhello\r\n$-1\r\n-OOM x\r\n*2\r\n$1\r\na\r\n:2\r\n+OK\r\n");
        let kinds: Vec<ReplyKind> = (0..5).map(|_| client.skip_reply().unwrap()).collect();
        assert_eq!(
            kinds,
            [
                ReplyKind::Value,
                ReplyKind::Null,
                ReplyKind::Error("OOM x".to_owned()),
                ReplyKind::Value,
                ReplyKind::Value
            ]
        );
    }

    #[test]
    fn what_is_not_resp_is_an_error() {
        for answer in [&b"HTTP/1.1 400\r\n"[..], b"$-2\r\n", b"$x\r\n", b":x\r\n", b"\r\n", b"+cut"] {
            assert!(client_of(answer).read_reply(0).is_err());
        }
        let deep: &'static [u8] =
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n\
            *1\r\n*1\r\n*1\r\n*1\r\n:1\r\n";
        assert!(client_of(deep).read_reply(0).is_err());
    }
}
