//! Directives of the network: listening, limits on clients, worker threads.
//!
//! Thread safety: constants and pure functions.

use super::{INT_MAX, SIZE_MAX};
use crate::config::directive::{Directive, Kind, Refusal};
use crate::config::value::kept_if;

const NO_MPTCP: &str = "connections are plain TCP, which MPTCP clients fall back to";
const NO_COPY: &str = "values above 16 KiB are never copied into a reply";
const NO_RDMA: &str = "there is no RDMA transport; clients reach the server over TCP";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::live(
        "bind",
        Kind::Words { min: 0, max: usize::MAX },
        "* -::*",
        "Addresses to listen on. '*' and '::*' are all of IPv4 and IPv6. A '-' before an address lets the server \
         start although this machine does not have it. To serve this machine alone: bind 127.0.0.1 -::1",
    )
    .checked(bind_addresses),
    Directive::live(
        "port",
        Kind::Int { min: 0, max: 65535 },
        "6379",
        "TCP port for clients. 0 listens on no TCP port. Clients that are connected stay so when a running server \
         is given another one.",
    ),
    Directive::live(
        "unixsocket",
        Kind::Text,
        "",
        "A unix socket to listen on as well, and its permissions in octal; 0 leaves them to the umask. Clients on \
         the same machine save a good part of the network's cost with it.",
    )
    .at_start(),
    Directive::live(
        "unixsocketperm",
        Kind::Octal,
        "0",
        "",
    )
    .at_start(),
    Directive::absent(
        "unixsocketgroup",
        Kind::Text,
        &[""],
        Refusal::Warn,
        "the unix socket keeps the group of the process",
    )
    .at_start(),
    Directive::live(
        "tcp-backlog",
        Kind::Int { min: 0, max: INT_MAX },
        "511",
        "Connections the kernel may queue until the server accepts them. The kernel caps it at net.core.somaxconn.",
    )
    .at_start(),
    Directive::live(
        "tcp-keepalive",
        Kind::Int { min: 0, max: INT_MAX },
        "300",
        "Seconds between the probes that find dead peers and keep the connection in the tables of firewalls. 0 \
         sends none.",
    ),
    Directive::live(
        "timeout",
        Kind::Int { min: 0, max: INT_MAX },
        "0",
        "Seconds after which a client that says nothing is disconnected. 0 never does.",
    ),
    Directive::live(
        "maxclients",
        Kind::Int { min: 1, max: u32::MAX as i64 },
        "10000",
        "Clients connected at once. One more is told \"max number of clients reached\" and closed. The limit of \
         open files is raised to fit; if the system refuses, fewer clients fit at start, and the log says so. \
         CONFIG SET is refused then.",
    ),
    Directive::live(
        "io-threads",
        Kind::Int { min: 0, max: 256 },
        "0",
        "Worker threads. Each has its own connections and executes their commands itself, on data that all share. 0 \
         is one per processor core, which is right unless the machine does something else as well.",
    )
    .at_restart(),
    Directive::live(
        "io-threads-always-active",
        Kind::Bool,
        "no",
        "Clients are served by as few workers as have time for them, and move to another when one has none left and \
         a processor is idle: workers with much to do work more cheaply than workers with little. \"yes\" spreads \
         clients evenly over all, so that a client's long commands delay fewer others from the start.",
    ),
    Directive::live(
        "busy-poll-us",
        Kind::Int { min: -1, max: 100 },
        "-1",
        "How long a worker polls its sockets before it goes to sleep, in microseconds. Polling a little saves the \
         time of waking up and costs processor time. -1 adapts: it polls only while that has been paying off. 0 \
         never polls.",
    ),
    Directive::live(
        "proto-max-bulk-len",
        Kind::Size { min: 1 << 20, max: SIZE_MAX },
        "536870912",
        "The longest single argument or value.",
    ),
    Directive::live(
        "client-query-buffer-limit",
        Kind::Size { min: 1 << 20, max: SIZE_MAX },
        "1073741824",
        "How much of unfinished requests the server holds for one client before it closes the connection. A \
         transaction whose queued commands take more is discarded.",
    ),
    Directive::live(
        "client-output-buffer-limit",
        Kind::OutputBufferLimit,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "When a client that does not read its replies is cut off: above the hard limit at once, above the soft \
         limit after so many seconds. 0 is no limit. Classes: normal, replica, pubsub. Nothing more is executed for \
         a client that has left 768 KiB unread, so only a single long reply, or a lower limit, cuts a normal client \
         off. Of each class: the hard limit, the soft limit, the seconds.",
    ),
    Directive::absent("mptcp", Kind::Bool, &["no"], Refusal::Warn, NO_MPTCP).at_start(),
    Directive::absent("repl-mptcp", Kind::Bool, &["no"], Refusal::Warn, NO_MPTCP).at_start(),
    Directive::absent("rdma-port", Kind::Int { min: 0, max: 65535 }, &["0"], Refusal::Warn, NO_RDMA)
        .at_restart(),
    Directive::accepted("rdma-bind", Kind::Words { min: 0, max: 16 }, "", NO_RDMA).at_start(),
    Directive::accepted("rdma-rx-size", Kind::Size { min: 65536, max: 16 << 20 }, "1048576", NO_RDMA)
        .at_start(),
    Directive::accepted("rdma-completion-vector", Kind::Int { min: -1, max: 1024 }, "-1", NO_RDMA).at_start(),
    Directive::absent(
        "socket-mark-id",
        Kind::Int { min: 0, max: u32::MAX as i64 },
        &["0"],
        Refusal::Warn,
        "sockets are not marked, so firewall rules on marks do not see them",
    )
    .at_start(),
    Directive::accepted("bind-source-addr", Kind::Text, "", "the server opens no outgoing connections"),
    Directive::accepted(
        "max-new-connections-per-cycle",
        Kind::Int { min: 1, max: 1000 },
        "10",
        "the number of connections accepted at once adapts to the load",
    ),
    Directive::accepted(
        "io-threads-do-reads",
        Kind::Bool,
        "no",
        "every worker reads, executes and writes for its own connections",
    )
    .at_start(),
    Directive::accepted(
        "prefetch-batch-max-size",
        Kind::Int { min: 0, max: 128 },
        "16",
        "the size of a prefetched batch follows from what the sockets hold",
    ),
    Directive::accepted(
        "events-per-io-thread",
        Kind::Int { min: 0, max: INT_MAX },
        "2",
        "a connection stays with one worker; no events are handed to other threads",
    ),
    Directive::accepted("min-io-threads-avoid-copy-reply", Kind::Int { min: 0, max: INT_MAX }, "7", NO_COPY)
        .hidden(),
    Directive::accepted(
        "min-string-size-avoid-copy-reply",
        Kind::Int { min: 0, max: INT_MAX },
        "16384",
        NO_COPY,
    )
    .hidden(),
    Directive::accepted(
        "min-string-size-avoid-copy-reply-threaded",
        Kind::Int { min: 0, max: INT_MAX },
        "65536",
        NO_COPY,
    )
    .hidden(),
];

/// Addresses that Redis has room for.
const BIND_ADDRESSES_MAX: usize = 16;

fn bind_addresses(text: &str) -> Result<String, String> {
    kept_if(text.split(' ').count() <= BIND_ADDRESSES_MAX, text, "Too many bind addresses specified.")
}
