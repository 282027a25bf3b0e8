//! A server that knows nothing: the ceiling that a real one is measured against.
//!
//!     cargo run --release -p limpid --example null -- 7009
//!
//! It has what no server can do without, one thread waiting in epoll, a read and a write for each batch, and answers
//! every GET with the same 32 bytes, every SET with OK and DBSIZE with 0. It finds requests by their first bytes, so it
//! is fit for `limpid bench --value-size 32` and nothing else.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

const LISTENER: Token = Token(usize::MAX);
const VALUE: &[u8] = b"$32\r\nvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n";
const OK: &[u8] = b"+OK\r\n";
const EMPTY: &[u8] = b":0\r\n";

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7009);
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(512);
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut reply = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut streams)?;
            } else if let Some(stream) = &mut streams[event.token().0]
                && !serve(stream, &mut buffer, &mut reply)
            {
                streams[event.token().0] = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, streams: &mut Vec<Option<TcpStream>>) -> io::Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        poll.registry().register(&mut stream, Token(streams.len()), Interest::READABLE)?;
        streams.push(Some(stream));
    }
    Ok(())
}

/// Answers what one read brings; false when the client is gone.
fn serve(stream: &mut TcpStream, buffer: &mut [u8], reply: &mut Vec<u8>) -> bool {
    let received = match stream.read(buffer) {
        Ok(0) => return false,
        Ok(received) => received,
        Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
    };
    reply.clear();
    for request in buffer[..received].windows(2).filter(|bytes| bytes[0] == b'*') {
        reply.extend_from_slice(match request[1] {
            b'1' => EMPTY,
            b'2' => VALUE,
            _ => OK,
        });
    }
    stream.write_all(reply).is_ok()
}
