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
        "Addresses to listen on; a leading '-' lets an address be missing on this machine.",
    )
    .checked(bind_addresses),
    Directive::live(
        "port",
        Kind::Int { min: 0, max: 65535 },
        "6379",
        "TCP port for clients; 0 listens on no TCP port.",
    ),
    Directive::live(
        "unixsocket",
        Kind::Text,
        "",
        "Path of a unix socket to listen on as well; empty for none.",
    )
    .at_start(),
    Directive::live(
        "unixsocketperm",
        Kind::Octal,
        "0",
        "Permissions of the unix socket, octal; 0 leaves them to umask.",
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
        "Connections the kernel queues before they are accepted; net.core.somaxconn caps it.",
    )
    .at_start(),
    Directive::live(
        "tcp-keepalive",
        Kind::Int { min: 0, max: INT_MAX },
        "300",
        "Seconds between TCP keepalive probes of an idle connection; 0 sends none.",
    ),
    Directive::live(
        "timeout",
        Kind::Int { min: 0, max: INT_MAX },
        "0",
        "Seconds after which an idle client is disconnected; 0 never.",
    ),
    Directive::live(
        "maxclients",
        Kind::Int { min: 1, max: u32::MAX as i64 },
        "10000",
        "Clients connected at once; one more is told so and closed. The limit of open files is raised to fit.",
    ),
    Directive::live(
        "io-threads",
        Kind::Int { min: 0, max: 256 },
        "0",
        "Worker threads, each with its own connections and all executing commands; 0 is one per core.",
    )
    .at_restart(),
    Directive::live(
        "io-threads-always-active",
        Kind::Bool,
        "no",
        "Spread clients evenly over all workers, instead of over as few as have time for them.",
    ),
    Directive::live(
        "busy-poll-us",
        Kind::Int { min: -1, max: 100 },
        "-1",
        "Microseconds a worker polls its sockets before it sleeps; -1 adapts to the load, 0 sleeps at once.",
    ),
    Directive::live(
        "proto-max-bulk-len",
        Kind::Size { min: 1 << 20, max: SIZE_MAX },
        "536870912",
        "The longest single argument or value, in bytes.",
    ),
    Directive::live(
        "client-query-buffer-limit",
        Kind::Size { min: 1 << 20, max: SIZE_MAX },
        "1073741824",
        "Bytes of unfinished requests one client may have the server hold.",
    ),
    Directive::live(
        "client-output-buffer-limit",
        Kind::OutputBufferLimit,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Bytes of unread replies after which a client is cut off: class, hard limit, soft limit, seconds above soft.",
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
