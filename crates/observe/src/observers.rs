//! The observers, one folder each: what it records, what it reports, what it finds, and one literal that says so.
//!
//! Not what they share: switches and merging (`record`), forms and the verdict (`report`), what an observer is (`spec`).
//!
//! Thread safety: constants.

pub mod clients;
pub mod hotkeys;
pub mod latency;
pub mod prefixes;
pub mod sizes;

use crate::spec::ObserverSpec;

/// All observers, in the order of their numbers. What an observer's name stands in derives from this list.
pub const OBSERVERS: &[&ObserverSpec] =
    &[&latency::SPEC, &hotkeys::SPEC, &prefixes::SPEC, &sizes::SPEC, &clients::SPEC];
