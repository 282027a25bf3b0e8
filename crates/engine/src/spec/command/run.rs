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
use crate::run::ctx::Ctx;
use keyspace::{Databases, Pinned};
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
    /// slices follow each other at once. A first call that answers [`Slice::Begin`] may be taken back and repeated.
    Slices(fn(&mut Ctx<'_>, Args<'_>, &mut Progress) -> Result<Slice, CommandError>),
    /// Behind the gate, nobody else inside: all databases are its own, and its context holds no stripe.
    Alone(fn(&mut Databases, &mut Ctx<'_>, Args<'_>) -> Outcome),
    /// EXEC: dispatch knows how.
    Transaction,
    /// Only its subcommands run.
    Container,
}

/// Whether a sliced command wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// Its keys hold more than one slice: it has taken the references it needs, and wants them pinned. From now on it is
    /// called without stripes. Nothing is written yet, neither to a key nor to the reply.
    Begin,
    /// For another slice.
    Again,
    /// For its last step, with its stripes: what was made aside is to be stored.
    Last,
    /// For what it waits for, see `Ctx::report`; it holds nothing.
    Wait,
    Done,
}

/// What a sliced command has beside its own progress, while nothing is locked for it.
pub(crate) struct SlicedHold {
    /// Dropped, the pins are over.
    pub pins: Pinned,
    /// It is to be called with its stripes, to store what it made.
    pub is_last: bool,
    /// The gate counts it: it writes.
    pub is_counted: bool,
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
    /// What dispatch has pinned for it.
    pub(crate) hold: Option<Box<SlicedHold>>,
    /// Nanoseconds the slices took so far.
    pub run_ns: u64,
    /// It runs behind the gate or within a transaction: it is not to wait for anything.
    pub in_place: bool,
}

impl Progress {
    /// Of a command whose slices follow each other at once.
    pub(crate) fn in_place() -> Progress {
        Progress { in_place: true, ..Progress::default() }
    }

    /// What it keeps, if that is a `T`.
    pub fn kept_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.kept.as_mut()?.downcast_mut()
    }

    /// Whether it has pinned its keys and does without stripes.
    #[inline(always)]
    pub(crate) fn needs_no_stripes(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| !hold.is_last)
    }
}
