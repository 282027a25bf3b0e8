//! How a command runs, as its literal says it: a function, and what it is called with.
//!
//! Not the running: `dispatch` does that.
//!
//! Here is the one knot of this crate that cannot be untied. A command names its function, the function is given a
//! context, that leads to the instance, and the instance holds the registry of all commands. No other file of `spec`
//! knows a context.
//!
//! Thread safety: function pointers; a `Progress` belongs to one request and moves with its connection.

use crate::error::CommandError;
use crate::run::ctx::{AloneCtx, Ctx};
use keyspace::Databases;
use std::any::Any;
use std::sync::Arc;
use wire::Args;

/// What a body answers: it has written its reply, or nothing and an error.
pub type Outcome = Result<(), CommandError>;

/// How a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// With the stripes of its keys locked.
    Body(fn(&mut Ctx<'_>, Args<'_>) -> Outcome),
    /// In slices between which others are served; called until it answers `Slice::Done`. Inside a transaction the
    /// slices follow each other at once.
    Slices(fn(&mut Ctx<'_>, Args<'_>, &mut Progress) -> Result<Slice, CommandError>),
    /// Behind the gate, nobody else inside.
    Alone(fn(&mut Databases, &mut AloneCtx<'_>, Args<'_>) -> Outcome),
    /// EXEC: dispatch knows how.
    Transaction,
    /// Only its subcommands run.
    Container,
}

/// Whether a sliced command wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    Again,
    Done,
}

/// What a sliced command remembers from slice to slice.
#[derive(Default)]
pub struct Progress {
    /// Where it has come to; 0 at the start.
    pub cursor: u64,
    /// How many entries were visited.
    pub passed: usize,
    /// How many elements `found` holds.
    pub count: usize,
    /// Elements found so far, encoded, one part per slice: a growing buffer would be copied each time it doubles, and
    /// the last copy of a long answer would hold the worker for tens of milliseconds.
    pub found: Vec<Arc<Vec<u8>>>,
    /// What else the command keeps, of a type that only it knows.
    pub kept: Option<Box<dyn Any + Send>>,
    /// Nanoseconds the slices took so far.
    pub run_ns: u64,
}
