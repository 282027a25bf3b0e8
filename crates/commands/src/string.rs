//! Strings: the commands that read and write them, one family.
//!
//! Here is what its files share: how a value is answered and which encoding a new one gets. The commands lie next to
//! their literals in the files below, each of which has a table of its own.
//!
//! Invariants: (1) a value that is the canonical text of an i64 and was set as a whole is `StringInt`; (2) a command
//! that changes part of a value leaves it `StringRaw` and its deadline alone.
//!
//! Thread safety: functions on one command's context.

use engine::spec::Command;
use keyspace::{EntryRef, Kind, Value};
use wire::Reply;
use wire::number::parse_i64;

mod copying;
mod counter;
mod get;
mod many;
mod part;
mod set;

/// Longest value that is "embstr" (Redis: what fits a 64-byte allocation with its headers).
const EMBEDDED_BYTES_MAX: usize = 44;
/// Longest text of an i64.
const INTEGER_BYTES_MAX: usize = 20;

pub(crate) const COMMANDS: &[&[Command]] =
    &[get::COMMANDS, set::COMMANDS, counter::COMMANDS, many::COMMANDS, part::COMMANDS];

/// The encoding of a value that is set as a whole.
#[inline(always)]
pub(crate) fn kind_of(value: &[u8]) -> Kind {
    if value.len() <= INTEGER_BYTES_MAX && parse_i64(value).is_some() {
        Kind::StringInt
    } else if value.len() <= EMBEDDED_BYTES_MAX {
        Kind::StringEmbedded
    } else {
        Kind::StringRaw
    }
}

/// Answers a value; a large one is not copied.
#[inline(always)]
fn answer(reply: &mut Reply, entry: Option<EntryRef<'_>>) {
    match entry.map(|entry| entry.value()) {
        Some(Value::Inline(bytes)) => reply.bulk(bytes),
        Some(Value::Shared(blob)) => reply.bulk_shared(blob.clone()),
        None => reply.null(),
    }
}
