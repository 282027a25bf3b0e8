//! DEBUG PROTOCOL: one reply of each type, for tests of clients.
//!
//! Not a description of the protocol. The replies are Valkey's to the byte, in both versions.
//!
//! Thread safety: pure functions.

use engine::error::CommandError;
use engine::spec::Outcome;
use wire::{Protocol, Reply};

/// Writes the reply of a type.
pub(super) fn answer(reply: &mut Reply, kind: &[u8]) -> Outcome {
    let kind = kind.to_ascii_lowercase();
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12_345),
        // Not pi: the text of the reply is what is tested for.
        b"double" => reply.double(f64::from(3_141) / 1_000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => attribute(reply),
        b"push" => return push(reply),
        b"verbatim" => reply.verbatim("txt", "This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        _ => return Err(CommandError::WRONG_PROTOCOL_TYPE),
    }
    Ok(())
}

/// An attribute of the reply behind it; RESP2 has none.
fn attribute(reply: &mut Reply) {
    if reply.protocol() == Protocol::Resp3 {
        reply.raw(b"|1\r\n");
        reply.bulk(b"key-popularity");
        reply.array(2);
        reply.bulk(b"key:123");
        reply.integer(90);
    }
    reply.bulk(b"Some real reply following the attribute");
}

/// A reply, and what was not asked for: it comes behind what the command answers.
fn push(reply: &mut Reply) -> Outcome {
    if reply.protocol() == Protocol::Resp2 {
        return Err(CommandError::RESP2_NOT_SUPPORTED);
    }
    reply.bulk(b"Some real reply following the push reply");
    reply.push(2);
    reply.bulk(b"server-cpu-usage");
    reply.integer(42);
    Ok(())
}
