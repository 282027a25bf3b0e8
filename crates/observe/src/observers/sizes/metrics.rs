//! The metric families of sizes: how much is stored.
//!
//! Thread safety: functions over a merged snapshot.

use crate::report::Input;
use crate::report::metrics::{Exposition, Kind};

/// Writes them.
pub fn metrics(out: &mut Exposition, input: &Input<'_>) {
    let sizes = &input.snapshot.sizes.counts;
    for (name, help, value) in [
        ("limpid_keys", "Keys of all databases.", sizes.keys),
        ("limpid_entries_bytes", "Memory of all entries, rounding included.", sizes.total_bytes),
        ("limpid_names_bytes", "Lengths of all key names.", sizes.key_bytes),
        ("limpid_values_bytes", "Lengths of all values.", sizes.value_bytes),
    ] {
        out.single(name, Kind::Gauge, help, value as f64);
    }
}
