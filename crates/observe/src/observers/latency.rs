//! Observer 1: latency per command and stage.

pub mod findings;
pub mod record;
pub mod report;
