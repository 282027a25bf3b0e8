//! What resolving and counting one key costs.
//!
//! Thread safety: measures on a scratch instance.

use super::prefix_tree::PrefixTree;
use super::record::Prefixes;
use crate::measure::per_call_ns;
use std::hint::black_box;
use std::sync::Arc;

/// Nanoseconds of one typical call.
pub fn call_ns() -> f64 {
    let mut prefixes = Prefixes::new(Arc::new(PrefixTree::default()));
    per_call_ns(|_| {
        let node = prefixes.resolve(black_box(b"user:1042:cart"));
        prefixes.added(node, 14, 32, 64);
    })
}
