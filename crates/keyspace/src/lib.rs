//! The data: keys, values, deadlines and the locks around them. No I/O, no clock, no async.
//!
//! `table` finds `entry`s; a `stripe` is a lock with a table and what belongs to it; a `database` is 1024 stripes;
//! the `gate` separates single commands from whole-keyspace ones.

pub mod checked;
pub mod database;
pub mod entry;
pub mod eviction;
pub mod expiry;
pub mod free;
pub mod gate;
pub mod hash;
pub mod journal;
pub mod latch;
pub mod memory;
pub mod pins;
pub mod stripe;
mod table;
pub mod tickets;
pub mod waiting;
mod wakes;

pub use database::{Database, Databases, STRIPES};
pub use entry::{Blob, EntryRef, Kind, NewValue, Value};
pub use hash::KeyHasher;
pub use journal::{Change, Event, Footprint, Journal, Wanted};
pub use latch::Patience;
pub use pins::{Hold, Pin, Pinned};
pub use stripe::{Contents, Deadline, Detached, EntryMut, Key, Locked, Missing, Put, Shape, Text, WatchFlag};
pub use tickets::{Gone, Tickets, Unit};
pub use wakes::Wake;
