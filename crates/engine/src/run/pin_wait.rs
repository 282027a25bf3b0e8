//! How long a request has waited for pins, and what of that others were told.
//!
//! Invariant: the client is among those for whom new pins are held off while `holds_off` says so.
//!
//! Thread safety: belongs to one request on one worker.

use crate::run::contention::WAY_AFTER_NS;
use keyspace::Pin;
use keyspace::waiting::Waiting;
use observe::os::clock::{self, Ticks};

/// See the module's text.
#[derive(Default)]
pub(crate) struct PinWait {
    since: Option<Ticks>,
    holds_off: bool,
}

impl PinWait {
    /// Notes that the request cannot begin. `pin` is what stands in its way; None: others have waited longer.
    #[cold]
    pub(crate) fn wait(&mut self, waiting: &Waiting, client: u64, worker: u8, pin: Option<&Pin>) {
        let since = *self.since.get_or_insert_with(clock::now);
        if !self.holds_off && clock::now().ns_since(since) >= WAY_AFTER_NS {
            self.holds_off = true;
            waiting.hold_off(client);
        }
        if let Some(pin) = pin {
            // One that is over meanwhile is found so in a millisecond at most.
            pin.wait(worker);
        }
    }

    /// The request has begun, or is over.
    #[cold]
    pub(crate) fn end(&mut self, waiting: &Waiting, client: u64) {
        if self.holds_off {
            waiting.end_hold_off(client);
        }
        *self = PinWait::default();
    }
}
