//! What counting one batch of a client costs.
//!
//! Thread safety: measures on a scratch instance.

use super::record::ClientCounters;
use crate::measure::per_call_ns;
use std::hint::black_box;

/// Nanoseconds of one typical call.
pub fn call_ns() -> f64 {
    let mut client = ClientCounters::default();
    per_call_ns(|turn| black_box(&mut client).batch(16, 0, 500, 800, turn))
}
