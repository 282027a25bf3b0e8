//! For tests: what a client says to a [`Bench`] and what it must hear, line by line.
//!
//! Not a parser of replies: they are compared byte for byte, only written shorter.
//!
//! Thread safety: plain functions.

use crate::testing::Bench;

/// Says each request (inline form) and compares the reply, in which `|` stands for a line end and the last is left out.
#[track_caller]
pub(crate) fn hear(bench: &mut Bench, dialogue: &[(&str, &str)]) {
    for (request, expected) in dialogue {
        let reply = bench.run(request.as_bytes());
        let reply = String::from_utf8_lossy(&reply).replace("\r\n", "|");
        assert_eq!(reply, format!("{expected}|"), "{request}");
    }
}

/// [`hear`] with a server of its own.
#[track_caller]
pub(crate) fn converse(dialogue: &[(&str, &str)]) {
    hear(&mut Bench::new(), dialogue);
}

pub(crate) const SYNTAX: &str = "-ERR syntax error";
pub(crate) const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range";
