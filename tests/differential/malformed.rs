//! Damaged streams of bytes: what two servers answer until they close the connection.
//!
//! Not a test of commands: the requests are PING and ECHO, which show where a parser found their words.

use std::io;
use std::net::Shutdown;

use crate::harness::client::{Client, encode};
use crate::harness::rng::Rng;

/// One damaged stream.
pub fn stream(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + rng.below(4) {
        bytes.extend(if rng.chance(50) { line(rng) } else { request(rng) });
    }
    // What was in sight of a mistake is not to be taken for something else: another request follows.
    bytes.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n");
    bytes
}

/// An inline line with quotes, escapes and spaces in odd places.
fn line(rng: &mut Rng) -> Vec<u8> {
    const STARTS: &[&[u8]] = &[b"ECHO ", b"PING ", b"", b" ping "];
    const ENDS: &[&[u8]] = &[b"\r\n", b"\r\n", b"\n", b"\r\r\n"];
    const PIECES: &[&[u8]] = &[
        b"a",
        b"b",
        b"\"",
        b"\"",
        b"'",
        b"'",
        b"\\",
        b"\\\"",
        b"\\'",
        b"\\n",
        b"\\x41",
        b"\\x4",
        b"\\xg1",
        b" ",
        b" ",
        b"\t",
        b"\r",
        b"\x0b",
        b"\x0c",
        b"\x7f",
        b"$1",
        b"*1",
        b"\\a\\b\\t\\r",
    ];
    let mut bytes = rng.pick::<&[u8]>(STARTS).to_vec();
    for _ in 0..rng.below(9) {
        bytes.extend_from_slice(rng.pick::<&[u8]>(PIECES));
    }
    bytes.extend_from_slice(rng.pick::<&[u8]>(ENDS));
    bytes
}

/// An array of bulk strings in which, mostly, one thing is wrong.
fn request(rng: &mut Rng) -> Vec<u8> {
    let words: &[&[u8]] = if rng.chance(50) { &[b"PING"] } else { &[b"ECHO", b"twelve bytes"] };
    let mut bytes = encode(words);
    const WRONG: &[&[u8]] = &[
        b"\r",
        b"\n",
        b"\r\n",
        b"x",
        b" ",
        b"$",
        b"*",
        b"0",
        b"1",
        b"-",
        b"+",
        b"-1",
        b"99",
        b"\x7f",
        b"9999999999999999999",
    ];
    match rng.below(6) {
        0 => {}
        1 | 2 => {
            let at = rng.below(bytes.len());
            bytes.splice(at..at + 1, rng.pick::<&[u8]>(WRONG).iter().copied());
        }
        3 | 4 => {
            let at = rng.below(bytes.len());
            bytes.splice(at..at, rng.pick::<&[u8]>(WRONG).iter().copied());
        }
        _ => drop(bytes.remove(rng.below(bytes.len()))),
    }
    bytes
}

/// Sends the bytes, says that there will be no more, and reads to the end.
pub fn answer(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut client = Client::tcp(port)?;
    client.send_raw(bytes)?;
    // PING's reply says that all before it was read; a server that found a mistake has closed already.
    let _ = client.socket().shutdown(Shutdown::Write);
    client.read_to_close()
}
