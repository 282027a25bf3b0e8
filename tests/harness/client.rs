//! A client that sends exactly what it is told and hands back exactly what it gets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::reply::{Incomplete, Reply, parse};

/// A reply that takes longer than this will not come.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// One descriptor per client: ten thousand of them fit under an ordinary limit.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }
}

pub struct Client {
    stream: Stream,
    received: Vec<u8>,
    /// Bytes of `received` already handed out.
    taken: usize,
}

impl Client {
    pub fn tcp(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { stream: Stream::Tcp(stream), received: Vec::new(), taken: 0 })
    }

    pub fn unix(path: &Path) -> io::Result<Client> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { stream: Stream::Unix(stream), received: Vec::new(), taken: 0 })
    }

    /// The TCP socket beneath, for timeouts and half-closing.
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Tcp(stream) => stream,
            Stream::Unix(_) => panic!("not a TCP client"),
        }
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn send<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<()> {
        self.send_raw(&encode(arguments))
    }

    /// Waits for one whole reply.
    pub fn read(&mut self) -> io::Result<Reply> {
        loop {
            if self.taken < self.received.len() {
                match parse(&self.received[self.taken..]) {
                    Ok((value, length)) => {
                        let raw = self.received[self.taken..self.taken + length].to_vec();
                        self.taken += length;
                        return Ok(Reply { raw, value });
                    }
                    Err(Incomplete::More) => {}
                    Err(Incomplete::Malformed(why)) => return Err(io::Error::other(why)),
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; 64 * 1024];
        let length = self.stream.read(&mut chunk)?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.received.extend_from_slice(&chunk[..length]);
        Ok(())
    }

    /// Sends one request and waits for its reply.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> io::Result<Reply> {
        self.send(arguments)?;
        self.read()
    }

    /// Like [`Client::try_call`]; a connection that breaks fails the test.
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.try_call(arguments).unwrap_or_else(|error| {
            let shown: Vec<String> =
                arguments.iter().map(|argument| argument.as_ref().escape_ascii().to_string()).collect();
            panic!("{}: {error}", shown.join(" "))
        })
    }

    /// Words separated by spaces, for the requests that tests write out.
    pub fn ask(&mut self, words: &str) -> Reply {
        self.call(&words.split(' ').collect::<Vec<_>>())
    }

    /// Like [`Client::ask`], as text: `OK`, an error's text, a bulk string's.
    pub fn text(&mut self, words: &str) -> String {
        self.ask(words).value.text()
    }

    /// Everything until the server closes the connection; an error when it does not.
    pub fn read_to_close(&mut self) -> io::Result<Vec<u8>> {
        let mut all = self.received.split_off(self.taken);
        let mut chunk = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(all),
                Ok(length) => all.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(all),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A request as an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
