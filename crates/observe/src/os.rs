//! What the operating system and the processor tell us. The only part of the crate where `unsafe` is allowed.
//!
//! Thread safety: stated per module; all functions may be called from any thread.

pub mod clock;
pub mod processor;
