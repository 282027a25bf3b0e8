//! Observer 2: the most used keys, with an error bound.

pub mod findings;
pub mod key_summary;
pub mod long_names;
pub mod record;
pub mod report;
pub mod space_saving;
