//! What commands mean, and how every one of them passes through dispatch.
//!
//! Arrows: families (`string`, `keys`, ...) -> `ctx`, `data`; `dispatch` -> all of them. Bytes come from and go to `wire`,
//! keys live in `keyspace`, figures go to `observe`. No sockets, no files.

mod admission;
pub mod clients;
pub mod command;
pub mod config;
pub mod connection;
pub mod counters;
pub mod ctx;
pub mod data;
#[cfg(test)]
mod dialogue;
pub mod dispatch;
pub mod error;
mod families;
mod glob;
pub mod instance;
pub mod keys;
mod multi;
mod options;
mod prepared;
pub mod profile;
pub mod rates;
mod recording;
mod redaction;
#[cfg(test)]
mod refusals;
pub mod registry;
pub mod server;
pub mod session;
pub mod slowlog;
pub mod spikes;
pub mod string;
pub mod testing;
mod transaction;
mod usage;
pub mod windows;

pub use dispatch::{End, Executor, Parked};
pub use families::{FAMILIES, registry};
pub use instance::Instance;
pub use recording::Arrival;
pub use session::Session;
