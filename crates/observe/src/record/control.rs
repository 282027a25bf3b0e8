//! What reporters tell recorders: which observers record, and that a window has begun.
//!
//! A worker takes it up when its next batch begins, by one load; nobody waits until it has. Who must know at once subtracts
//! what was counted before instead, see `baseline`.
//!
//! Thread safety: atomics; changes are made by one thread at a time, see `recorders`.

use super::Switches;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// See the module's text.
pub(super) struct Control {
    /// Changes with everything else here.
    version: AtomicU32,
    switches: AtomicU64,
    windows: AtomicU32,
}

/// What a recorder has taken up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Orders {
    pub version: u32,
    pub switches: Switches,
    /// Windows that have begun since the start.
    pub windows: u32,
}

impl Control {
    pub fn new(switches: Switches) -> Control {
        Control {
            version: AtomicU32::new(0),
            switches: AtomicU64::new(switches.to_bits()),
            windows: AtomicU32::new(0),
        }
    }

    /// Whether there is something new.
    #[inline(always)]
    pub fn has_changed(&self, known: u32) -> bool {
        self.version.load(Relaxed) != known
    }

    pub fn orders(&self) -> Orders {
        // The version first: what changes meanwhile is found at the next look.
        let version = self.version.load(Acquire);
        Orders {
            version,
            switches: Switches::from_bits(self.switches.load(Relaxed)),
            windows: self.windows.load(Relaxed),
        }
    }

    pub fn switch(&self, switches: Switches) {
        self.switches.store(switches.to_bits(), Relaxed);
        self.version.fetch_add(1, Release);
    }

    pub fn begin_window(&self) {
        self.windows.fetch_add(1, Relaxed);
        self.version.fetch_add(1, Release);
    }
}
