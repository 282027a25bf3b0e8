//! How any command runs: what a command is, what happens around its body, and what a server and a connection remember.
//!
//! Not what any command means: no family is known here, their table is handed over at the start. Bytes come from and go
//! to `wire`, keys live in `keyspace`, figures go to `observe`. No sockets, no files.

pub mod config;
pub mod error;
pub mod glob;
pub mod redaction;
pub mod registry;
pub mod run;
pub mod spec;
pub mod state;

pub use registry::Registry;
pub use run::ctx::Ctx;
pub use run::dispatch::{Due, End, Executor};
pub use run::parked::Parked;
pub use run::recording::Arrival;
pub use state::instance::Instance;
pub use state::session::Session;
