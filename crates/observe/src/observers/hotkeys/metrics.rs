//! The metric of hot keys: a share, never a name.
//!
//! Thread safety: functions over a merged snapshot.

use crate::report::Input;
use crate::report::metrics::{Exposition, Kind};

/// Writes it.
pub fn metrics(out: &mut Exposition, input: &Input<'_>) {
    let operations = &input.snapshot.hotkeys.operations;
    let hottest = operations.top(1).first().map_or(0, |key| key.count.saturating_sub(key.error));
    let share = if operations.total() == 0 { 0.0 } else { hottest as f64 / operations.total() as f64 };
    let help = "Share of all operations that the hottest key has for certain; PROF HOTKEYS names it.";
    out.single("limpid_hottest_key_share_ratio", Kind::Gauge, help, share);
}
