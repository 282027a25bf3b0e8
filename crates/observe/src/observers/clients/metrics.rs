//! The metric family of errors; the server has its own of clients.
//!
//! Thread safety: functions over a merged snapshot.

use crate::report::Input;
use crate::report::metrics::{Exposition, Kind};

/// Writes it.
pub fn metrics(out: &mut Exposition, input: &Input<'_>) {
    let mut family = out.family("redis_errors_total", Kind::Counter, "Error replies by their code.");
    for (code, count) in input.snapshot.errors.top() {
        family.sample(&[("err", code)], count as f64);
    }
}
