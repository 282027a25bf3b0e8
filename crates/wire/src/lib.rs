//! Bytes to requests, replies to bytes: everything of the protocol that needs no socket.
//!
//! No I/O, no clock, no knowledge of commands. Every function here reads bytes that a stranger may have
//! chosen, hence: no unsafe code, no indexing and no unchecked arithmetic on them.
#![forbid(unsafe_code)]

pub mod args;
pub mod extended;
mod holds;
pub mod inline;
pub mod number;
pub mod protocol_error;
pub mod reply;
pub mod resp;

pub use args::{Args, OwnedArgs, Span};
pub use extended::Extended;
pub use protocol_error::ProtocolError;
pub use reply::{Mark, Protocol, Reply};
pub use resp::{Limits, Parsed, RequestParser};
