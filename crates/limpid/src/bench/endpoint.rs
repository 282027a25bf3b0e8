//! Where a server listens, and connections to it: blocking while they say hello, then non-blocking for the load.
//!
//! Thread safety: an `Endpoint` is shared; a connection has one owner.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::error::BenchError;

/// A server on the same machine or network answers a connect and an AUTH far sooner.
const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// An answer to AUTH or DBSIZE is one short line.
const HANDSHAKE_REPLY_BYTES_MAX: usize = 16 * 1024;

/// A server's address and the credentials for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: Address,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// What to connect to.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port } => write!(out, "{host}:{port}"),
            Address::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

impl Endpoint {
    /// A connection on which AUTH has been accepted, still blocking.
    ///
    /// # Errors
    /// `Connect` when there is no server, `Refused` with its text when it declines.
    pub fn connect(&self) -> Result<BlockingConnection, BenchError> {
        let failed = |source| BenchError::Connect { address: self.to_string(), source };
        let timeout = Some(Duration::from_secs(HANDSHAKE_SECONDS_MAX));
        let stream = match &self.address {
            Address::Tcp { host, port } => {
                let stream = connect_tcp(host, *port).map_err(failed)?;
                stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(timeout)).map_err(failed)?;
                BlockingStream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(failed)?;
                stream.set_read_timeout(timeout).map_err(failed)?;
                BlockingStream::Unix(stream)
            }
        };
        let mut connection = BlockingConnection { stream, address: self.to_string() };
        if let Some(password) = &self.password {
            let mut request = vec!["AUTH"];
            request.extend(self.user.as_deref());
            request.push(password);
            connection.ask(&request)?;
        }
        Ok(connection)
    }
}

fn connect_tcp(host: &str, port: u16) -> io::Result<std::net::TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(HANDSHAKE_SECONDS_MAX)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

enum BlockingStream {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A connection for single questions with one-line answers.
pub struct BlockingConnection {
    stream: BlockingStream,
    address: String,
}

impl BlockingConnection {
    /// Sends a request and returns its one-line answer without the type byte.
    ///
    /// # Errors
    /// `Refused` for an error reply, `Lost` when the connection breaks, `Protocol` when it is no single line.
    pub fn ask(&mut self, arguments: &[&str]) -> Result<String, BenchError> {
        let mut request = format!("*{}\r\n", arguments.len());
        for argument in arguments {
            request.push_str(&format!("${}\r\n{argument}\r\n", argument.len()));
        }
        let line = self.exchange(request.as_bytes()).map_err(|source| {
            let address = self.address.clone();
            match source.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    BenchError::Stalled { address, seconds: HANDSHAKE_SECONDS_MAX }
                }
                _ => BenchError::Lost { address, source },
            }
        })?;
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_owned()),
            Some(("-", text)) => {
                Err(BenchError::Refused { address: self.address.clone(), text: text.to_owned() })
            }
            _ => Err(BenchError::Protocol {
                address: self.address.clone(),
                text: format!("unexpected reply {line:?}"),
            }),
        }
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<String> {
        let stream: &mut dyn ReadWrite = match &mut self.stream {
            BlockingStream::Tcp(stream) => stream,
            BlockingStream::Unix(stream) => stream,
        };
        stream.write_all(request)?;
        let mut reply = Vec::new();
        let mut chunk = [0u8; 512];
        while !reply.ends_with(b"\r\n") {
            let count = stream.read(&mut chunk)?;
            if count == 0 || reply.len() > HANDSHAKE_REPLY_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reply.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
    }

    /// Gives up blocking: the connection becomes a socket for an event loop.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn into_socket(self) -> io::Result<Socket> {
        Ok(match self.stream {
            BlockingStream::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Socket::Tcp(mio::net::TcpStream::from_std(stream))
            }
            BlockingStream::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Socket::Unix(mio::net::UnixStream::from_std(stream))
            }
        })
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A non-blocking connection of either family.
pub enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Socket {
    /// As `Read::read`.
    #[inline]
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }

    /// As `Write::write`.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Asks `registry` to report when this socket can be read, and written if `writable`.
    pub fn watch(
        &mut self,
        registry: &Registry,
        token: Token,
        writable: bool,
        is_new: bool,
    ) -> io::Result<()> {
        let source: &mut dyn Source = match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        };
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        if is_new {
            source.register(registry, token, interest)
        } else {
            source.reregister(registry, token, interest)
        }
    }
}
