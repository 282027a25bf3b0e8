//! The commands crate.
