//! What the black-box tests share: a server started for one test, a client that sees every byte, numbers
//! that can be drawn again from a seed, and the programs a test needs from the machine.
//!
//! Not a client library: the client knows one request at a time and trusts nobody.

// Each test binary compiles its own copy and uses its part of it.
#![allow(dead_code)]

pub mod client;
pub mod programs;
pub mod reply;
pub mod rng;
pub mod server;
