//! Directives of replication, which is absent: a server that was meant to be a replica must not start as an empty,
//! writable server of its own.
//!
//! Thread safety: constants and pure functions.

use super::{INT_MAX, SIZE_MAX};
use crate::config::directive::{Directive, Kind, Refusal};
use crate::config::value::clamped;

const NO_REPLICATION: &str = "there is no replication yet";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::absent(
        "replicaof",
        Kind::Words { min: 0, max: 2 },
        &["", "no one"],
        Refusal::Stop,
        "there is no replication yet; the server would start empty and take writes that its primary never sees",
    )
    .alias(&["slaveof"])
    .at_start(),
    Directive::absent(
        "min-replicas-to-write",
        Kind::Int { min: 0, max: INT_MAX },
        &["0"],
        Refusal::Stop,
        "there is no replication yet; writes would be accepted without the copies you asked for",
    )
    .alias(&["min-slaves-to-write"]),
    Directive::accepted("min-replicas-max-lag", Kind::Int { min: 0, max: INT_MAX }, "10", NO_REPLICATION)
        .alias(&["min-slaves-max-lag"]),
    Directive::accepted("masterauth", Kind::Secret, "", NO_REPLICATION).alias(&["primaryauth"]),
    Directive::accepted("masteruser", Kind::Text, "", NO_REPLICATION).alias(&["primaryuser"]),
    Directive::accepted("replica-serve-stale-data", Kind::Bool, "yes", NO_REPLICATION)
        .alias(&["slave-serve-stale-data"]),
    Directive::accepted("replica-read-only", Kind::Bool, "yes", NO_REPLICATION).alias(&["slave-read-only"]),
    Directive::accepted("replica-priority", Kind::Int { min: 0, max: INT_MAX }, "100", NO_REPLICATION)
        .alias(&["slave-priority"]),
    Directive::accepted("replica-announced", Kind::Bool, "yes", NO_REPLICATION),
    Directive::accepted("replica-announce-ip", Kind::Text, "", NO_REPLICATION).alias(&["slave-announce-ip"]),
    Directive::accepted("replica-announce-port", Kind::Int { min: 0, max: 65535 }, "0", NO_REPLICATION)
        .alias(&["slave-announce-port"]),
    Directive::accepted("replica-ignore-maxmemory", Kind::Bool, "yes", NO_REPLICATION)
        .alias(&["slave-ignore-maxmemory"]),
    Directive::accepted("replica-ignore-disk-write-errors", Kind::Bool, "no", NO_REPLICATION),
    Directive::accepted("replica-lazy-flush", Kind::Bool, "yes", NO_REPLICATION).alias(&["slave-lazy-flush"]),
    Directive::accepted(
        "replica-full-sync-buffer-limit",
        Kind::Size { min: 0, max: SIZE_MAX },
        "0",
        NO_REPLICATION,
    ),
    Directive::accepted("repl-ping-replica-period", Kind::Int { min: 1, max: INT_MAX }, "10", NO_REPLICATION)
        .alias(&["repl-ping-slave-period"]),
    Directive::accepted("repl-timeout", Kind::Int { min: 1, max: INT_MAX }, "60", NO_REPLICATION),
    Directive::accepted("repl-disable-tcp-nodelay", Kind::Bool, "no", NO_REPLICATION),
    Directive::accepted("repl-diskless-sync", Kind::Bool, "yes", NO_REPLICATION),
    Directive::accepted("repl-diskless-sync-delay", Kind::Int { min: 0, max: INT_MAX }, "5", NO_REPLICATION),
    Directive::accepted("repl-diskless-sync-max-replicas", Kind::Int { min: 0, max: INT_MAX }, "0", NO_REPLICATION),
    Directive::accepted(
        "repl-diskless-load",
        Kind::Enum(&["disabled", "on-empty-db", "swapdb", "flush-before-load", "flushdb"]),
        "disabled",
        NO_REPLICATION,
    ),
    Directive::accepted("repl-backlog-size", Kind::Size { min: 1, max: SIZE_MAX }, "10485760", NO_REPLICATION)
        .checked(backlog_bytes),
    Directive::accepted("repl-backlog-ttl", Kind::Int { min: 0, max: i64::MAX }, "3600", NO_REPLICATION),
    Directive::accepted("repl-rdb-channel", Kind::Bool, "no", NO_REPLICATION).hidden(),
    Directive::accepted("dual-channel-replication-enabled", Kind::Bool, "no", NO_REPLICATION),
    Directive::accepted(
        "propagation-error-behavior",
        Kind::Enum(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
        NO_REPLICATION,
    ),
];

/// The smallest backlog of replication.
const BACKLOG_BYTES_MIN: i64 = 16 << 10;

fn backlog_bytes(text: &str) -> Result<String, String> {
    Ok(clamped(text, BACKLOG_BYTES_MIN, i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_has_room_for_something() {
        assert_eq!(backlog_bytes("1"), Ok("16384".to_owned()));
    }
}
