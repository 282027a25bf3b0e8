//! What recording one access to a key costs.
//!
//! Thread safety: measures on a scratch instance.

use super::record::{Access, HotKeys, KeyAccess};
use crate::measure::{key_of, per_call_ns};

/// Nanoseconds of one typical call.
pub fn call_ns() -> f64 {
    let mut hotkeys = HotKeys::default();
    per_call_ns(|turn| {
        hotkeys.record(KeyAccess {
            db: 0,
            hash: key_of(turn).wrapping_mul(0xBF58_476D_1CE4_E5B9),
            key: b"user:1042:cart",
            weight: 16,
            access: Access::Read,
            cpu_ns: 100,
            bytes: 60,
        })
    })
}
