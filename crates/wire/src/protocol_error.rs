//! What can be wrong with the bytes of a request, in the words Redis uses.
//!
//! Not a mistake in a command's arguments: after one of these nobody knows where the next request begins.
//!
//! Thread safety: plain values.

use crate::reply::Reply;
use std::fmt;

/// Why the connection has to be closed; `Display` gives Redis's text without the leading `ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// `*x`, or more than `ARGUMENTS_MAX`.
    InvalidMultibulkLength,
    /// `$x`, negative, or more than `proto-max-bulk-len`.
    InvalidBulkLength,
    /// A `\r` without its `\n`, or a bulk string longer than its header says.
    InvalidCrlf,
    /// Something else where an argument has to begin.
    ExpectedDollar(u8),
    /// A count line without an end.
    TooBigMultibulkCount,
    /// A length line without an end.
    TooBigBulkCount,
    /// An inline line without an end.
    TooBigInline,
    /// An inline line with an open quote.
    UnbalancedQuotes,
    /// More than `ARGUMENTS_UNAUTHENTICATED_MAX` arguments before AUTH.
    UnauthenticatedMultibulkLength,
    /// More than `BULK_BYTES_UNAUTHENTICATED_MAX` bytes of an argument before AUTH.
    UnauthenticatedBulkLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::InvalidCrlf => "invalid CRLF in request",
            Self::ExpectedDollar(got) => return write!(f, "expected '$', got '{}'", char::from(*got)),
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::TooBigInline => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
        })
    }
}

impl std::error::Error for ProtocolError {}

impl ProtocolError {
    /// Writes the error as Redis words it: `-ERR Protocol error: ...`, a quoted byte as it came.
    pub fn write(self, reply: &mut Reply) {
        match self {
            Self::ExpectedDollar(got) => {
                reply.error([b"ERR Protocol error: expected '$', got '", &[got][..], b"'"].concat());
            }
            other => reply.error(format!("ERR {other}")),
        }
    }
}
