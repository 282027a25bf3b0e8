//! The keyspace crate.
