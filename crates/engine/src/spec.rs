//! What a command is, in words and numbers: the parts of the literal that each command has.
//!
//! Not how one runs; see `run`.

pub mod argument;
pub mod command;
pub mod effect;
pub mod flags;
pub mod group;
pub mod key_spec;
pub mod section;

pub use argument::*;
pub use command::*;
pub use effect::*;
pub use flags::*;
pub use group::*;
pub use key_spec::*;
