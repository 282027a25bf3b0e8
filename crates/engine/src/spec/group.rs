//! The family a command is listed under.
//!
//! Not where its code is: a file may hold commands of several groups.
//!
//! Thread safety: constants.

/// The ACL category and COMMAND DOCS group a command belongs to; further categories follow from its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    String,
    Generic,
    Transactions,
    Connection,
    Server,
    Cluster,
    Scripting,
}

impl Group {
    /// As COMMAND DOCS names it.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Generic => "generic",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
            Group::Scripting => "scripting",
        }
    }

    /// The ACL category, without `@`; none for server and cluster commands, which have those of their flags.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Group::String => Some("string"),
            Group::Generic => Some("keyspace"),
            Group::Transactions => Some("transaction"),
            Group::Connection => Some("connection"),
            Group::Scripting => Some("scripting"),
            Group::Server | Group::Cluster => None,
        }
    }
}
