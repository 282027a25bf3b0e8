//! Commands about connections: one's own, and those of others.
//!
//! Not the sockets, which are the server's.
//!
//! Thread safety: bodies run on the worker that owns the session.

mod client;
mod filter;
mod state;

use engine::spec::{Command, Group};

/// The only user there is: access control lists are a later feature.
const DEFAULT_USER: &[u8] = b"default";

/// The version that clients gate features on: the level of Redis that Limpid answers like.
pub const REDIS_VERSION: &str = "7.4.0";

/// What the commands of a connection have in common.
const CONNECTION: Command =
    Command { group: Group::Connection, complexity: "O(1)", since: "1.0.0", ..Command::DEFAULT };

pub(crate) const COMMANDS: &[&[Command]] = &[state::COMMANDS, client::COMMANDS];
