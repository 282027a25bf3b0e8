//! What commands mean: a file or folder per family, and the list that joins their tables.
//!
//! Not how a command runs: that is the engine's, which hands every body its context. No sockets, no files.

pub mod connection;
#[cfg(test)]
mod contended;
#[cfg(test)]
mod declared;
#[cfg(test)]
mod dialogue;
#[cfg(test)]
mod effects;
mod families;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod key_shapes;
mod keys;
mod options;
pub mod profile;
#[cfg(test)]
mod refusals;
mod server;
#[cfg(test)]
mod sliced;
mod string;
pub mod testing;
mod transactions;
#[cfg(test)]
mod turned_away;
mod usage;

pub use families::{FAMILIES, registry};
