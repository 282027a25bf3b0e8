//! What Limpid records about its own work, and how it reports it.
//!
//! This crate knows nothing of sockets, keyspaces or commands: it takes plain observation values (a command's
//! index, a key's hash, nanoseconds, bytes) so that a live server, a capture, a trace file or a snapshot scan
//! can feed the same recorders.
//!
//! - [`spec`]: what an observer is: one literal, from which everything that lists observers derives.
//! - [`record`]: the recorders, one set per worker thread, bounded memory, merged on read.
//! - [`observers`]: each with its recorder, its report and its findings, in a folder of its own.
//! - [`name`]: names that others chose, for people and for programs.
//! - [`report`]: trees of figures, each with its window and its error bound, and the verdict over them.
//! - [`os`]: the clock; the only place here where `unsafe` is allowed.
//!
//! Thread safety: a recorder belongs to one worker, which alone writes; what it has recorded may be read by anybody at any
//! time. The prefix tree is shared.
#![deny(unsafe_code)]

mod measure;
pub mod name;
pub mod observers;
pub mod os;
pub mod record;
pub mod report;
pub mod spec;
