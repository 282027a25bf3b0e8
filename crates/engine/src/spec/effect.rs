//! What a command hands on to whoever follows the data: the log, replicas, migration.
//!
//! Not the handing on: `run::effects` does that. A command that has changed nothing hands nothing on, whatever it says
//! here; keys that go by themselves (expiry, eviction) are told apart from it.
//!
//! Thread safety: constants.

/// The effect of a command that has changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It writes nothing.
    None,
    /// Itself: on the same data it does the same, whenever and wherever it runs.
    Verbatim,
    /// What its body says with `Ctx::rewrite`, where time, a float, chance or a condition decided; else itself.
    Rewrites,
}
