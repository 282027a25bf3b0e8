//! How long one call takes: for PROF COST, which measures each observer on a scratch instance.
//!
//! It finds warm caches: under load a call costs more; the budget is kept by benchmarks.
//!
//! Thread safety: the caller's own thread is measured.

use crate::os::clock;

/// Calls per pass of a measurement.
const CALLS: u64 = 2_000;
/// Passes per measurement: about half a millisecond for an observer.
const PASSES: usize = 5;

/// Nanoseconds of a call, in the quickest of several passes: in the others the machine did something else as well.
pub(crate) fn per_call_ns(mut call: impl FnMut(u64)) -> f64 {
    let mut pass = || {
        let start = clock::now();
        (0..CALLS).for_each(&mut call);
        clock::now().ns_since(start) as f64 / CALLS as f64
    };
    (0..PASSES).map(|_| pass()).fold(f64::MAX, f64::min)
}

/// The key of a turn: one of a thousand, in no order.
pub(crate) fn key_of(turn: u64) -> u64 {
    turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54
}
