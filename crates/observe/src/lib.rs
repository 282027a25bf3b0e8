//! The observe crate.
