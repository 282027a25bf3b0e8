//! How a command runs: from a batch of requests to replies and records.
//!
//! `dispatch` is the way in; every other file here is a part of that way.

mod admission;
mod alone;
mod contention;
pub mod ctx;
pub mod data;
pub mod dispatch;
pub mod effects;
pub(crate) mod keys;
pub mod parked;
mod passage;
mod pin_wait;
mod prepared;
pub mod recording;
mod runner;
mod slicing;
mod step;
pub mod transaction;
mod unit;
