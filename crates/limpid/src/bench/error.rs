//! What can go wrong in a load test, as one typed error with texts meant for the person at the terminal.
//!
//! Error *replies* of the server are not here: they are counted and the first one is shown (see `reply`).
//!
//! Thread safety: plain data.

use std::fmt;
use std::io;

/// A failure that ends the load test. The server keeps whatever had been written to it.
#[derive(Debug)]
pub enum BenchError {
    /// The server could not be reached.
    Connect { address: String, source: io::Error },
    /// AUTH or another request before the load was refused; the server's text.
    Refused { address: String, text: String },
    /// A connection broke or was closed while replies were outstanding.
    Lost { address: String, source: io::Error },
    /// Bytes that are not RESP.
    Protocol { address: String, text: String },
    /// No reply arrived for this many seconds.
    Stalled { address: String, seconds: u64 },
    /// `/proc/PID/stat` could not be read.
    Process { pid: u32, source: io::Error },
    /// Options that contradict each other or the state of the server.
    Usage(String),
    /// Something the system refused: a thread, an epoll instance, a limit.
    System { what: &'static str, source: io::Error },
}

impl fmt::Display for BenchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, source } => write!(
                out,
                "cannot connect to {address}: {source}\n  is a server running there? name it with --host and --port, \
                 or with --unix-socket"
            ),
            Self::Refused { address, text } => {
                write!(out, "{address} refused: {text}")?;
                if text.starts_with("NOAUTH") || text.starts_with("WRONGPASS") {
                    write!(out, "\n  give the password with --password (and the user with --user)")?;
                }
                Ok(())
            }
            Self::Lost { address, source } => {
                write!(out, "{address} closed a connection with requests outstanding: {source}")
            }
            Self::Protocol { address, text } => write!(out, "{address} does not speak RESP: {text}"),
            Self::Stalled { address, seconds } => write!(out, "{address} sent no reply for {seconds} s"),
            Self::Process { pid, source } => write!(
                out,
                "cannot read the CPU time of process {pid}: {source}\n  --server-pid must name a running process \
                 on this machine"
            ),
            Self::Usage(text) => write!(out, "{text}"),
            Self::System { what, source } => write!(out, "{what}: {source}"),
        }
    }
}

impl std::error::Error for BenchError {}
