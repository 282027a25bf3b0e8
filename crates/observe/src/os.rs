//! What the operating system and the processor tell us. The only part of the crate where `unsafe` is allowed.

pub mod clock;
