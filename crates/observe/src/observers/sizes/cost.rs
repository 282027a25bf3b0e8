//! What counting one entry costs.
//!
//! Thread safety: measures on a scratch instance.

use super::record::Sizes;
use crate::measure::{key_of, per_call_ns};

/// Nanoseconds of one typical call.
pub fn call_ns() -> f64 {
    let mut sizes = Sizes::default();
    per_call_ns(|turn| sizes.added(14, key_of(turn) as usize, 64))
}
