//! The commands crate.

pub mod config;
