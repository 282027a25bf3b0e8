//! Observer 1: latency per command and stage.

pub mod record;
pub mod report;
