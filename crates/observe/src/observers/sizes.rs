//! Observer 5: lengths of keys and values.

pub mod record;
pub mod report;
