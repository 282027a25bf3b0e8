//! Figures of a server that are counted rarely enough for shared atomics.
//!
//! Not what is counted per command or per byte: those are in each worker's recorder.
//!
//! Thread safety: relaxed atomics, written by whoever has something to count.

pub mod section;

use std::sync::atomic::AtomicU64;

/// See the module's text.
#[derive(Default)]
pub struct Counters {
    pub rejected_connections: AtomicU64,
    pub output_limit_disconnections: AtomicU64,
    pub query_limit_disconnections: AtomicU64,
    /// Modifications since the start.
    pub writes: AtomicU64,
    pub writes_at_reset: AtomicU64,
    pub lock_retries: AtomicU64,
    pub gate_escalations: AtomicU64,
    pub event_loop_cycles: AtomicU64,
    pub event_loop_duration_us: AtomicU64,
    pub memory_peak_bytes: AtomicU64,
    pub memory_startup_bytes: AtomicU64,
    /// Connections that CONFIG RESETSTAT has put out of the count.
    pub connections_at_reset: AtomicU64,
}
