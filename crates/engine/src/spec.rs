//! What a command is, in words and numbers: the parts of the literal that each command has.
//!
//! Not how one runs; see `run`.

pub mod command;

pub use command::*;
