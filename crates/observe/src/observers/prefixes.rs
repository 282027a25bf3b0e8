//! Observer 4: keys, memory and traffic per key prefix.

pub mod findings;
pub mod prefix_tree;
pub mod record;
pub mod report;
pub mod shape;
