//! Observer 20: traffic and errors of every client.

pub mod findings;
pub mod record;
pub mod report;
