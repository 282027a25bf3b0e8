//! The observers, one folder each: what it records, what it reports, what it finds.
//!
//! Not what they share: switches and merging (`record`), forms and the verdict (`report`).

pub mod clients;
pub mod hotkeys;
pub mod latency;
pub mod prefixes;
pub mod sizes;
