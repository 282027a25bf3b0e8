//! How a worker's try at one request ended: what dispatch goes on with.
//!
//! Thread safety: a plain value.

/// How one request ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// It must run behind the gate.
    Alone,
    /// Its stripes were taken, or a key is pinned.
    Busy,
    /// The gate is closed, or wanted and this is a sliced write that would begin.
    Away,
    /// It was not begun: there is no room for its effect.
    Full,
    /// It has done a slice of its work.
    Again,
    /// It waits for a report.
    Wait,
    /// It was not begun: memory is short, and there are databases without keys to give back first.
    Reclaim,
    /// It was not begun: see `End::Yield`.
    Yield,
}
