//! What is remembered: by a server (`instance` and what it holds), and of a connection (`session`, `clients`); and what
//! connections send each other (`mailbox`, `push`, `bell`).
//!
//! Not keys and values, which are the keyspace's.

pub mod bell;
pub mod clients;
pub mod counters;
pub mod effect_log;
pub mod instance;
pub mod mailbox;
pub mod push;
pub mod rates;
pub mod reporter;
pub mod session;
pub mod slowlog;
pub mod spikes;
pub mod windows;
