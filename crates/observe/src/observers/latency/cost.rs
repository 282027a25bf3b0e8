//! What recording one timing costs.
//!
//! Thread safety: measures on a scratch instance.

use super::record::{Latency, Stage};
use crate::measure::{key_of, per_call_ns};

/// Nanoseconds of one typical call.
pub fn call_ns() -> f64 {
    let mut latency = Latency::new(16);
    per_call_ns(|turn| latency.record((turn & 7) as u16, Stage::Run, key_of(turn) * 100, 16))
}
