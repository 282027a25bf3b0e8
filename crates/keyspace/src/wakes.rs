//! How a worker that sleeps is woken. A hint: whoever waits for something also looks once in a millisecond.
//!
//! Not the sleeping itself, which is the event loop's.
//!
//! Thread safety: Sync; set once, before the workers start.

use std::sync::{Arc, OnceLock};

/// Wakes the worker with this number; cheap if it is awake.
pub type Wake = Arc<dyn Fn(usize) + Send + Sync>;

/// See the module's text.
#[derive(Default)]
pub(crate) struct Wakes(OnceLock<Wake>);

impl Wakes {
    pub(crate) fn set(&self, wake: Wake) {
        let _ = self.0.set(wake);
    }

    /// Without a way to wake anybody, everybody finds out by looking.
    pub(crate) fn wake(&self, worker: usize) {
        if let Some(wake) = self.0.get() {
            wake(worker);
        }
    }
}
