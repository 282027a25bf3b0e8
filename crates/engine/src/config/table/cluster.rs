//! Directives of the cluster, which is absent: only `cluster-enabled no` starts.
//!
//! Thread safety: constants.

use super::INT_MAX;
use crate::config::check;
use crate::config::directive::{Directive, Kind, Refusal};

const NO_CLUSTER: &str = "there is no cluster yet";
const PORT: Kind = Kind::Int { min: 0, max: 65535 };

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::absent(
        "cluster-enabled",
        Kind::Bool,
        &["no"],
        Refusal::Stop,
        "there is no cluster yet; the server would take keys that belong to other nodes and lose them to their clients",
    )
    .at_start(),
    Directive::accepted("cluster-config-file", Kind::Text, "nodes.conf", NO_CLUSTER).at_start(),
    Directive::accepted("cluster-config-save-behavior", Kind::Enum(&["sync", "best-effort"]), "sync", NO_CLUSTER),
    Directive::accepted("cluster-node-timeout", Kind::Int { min: 0, max: i64::MAX }, "15000", NO_CLUSTER),
    Directive::accepted("cluster-port", PORT, "0", NO_CLUSTER).at_start(),
    Directive::accepted("cluster-databases", Kind::Int { min: 1, max: INT_MAX }, "1", NO_CLUSTER).at_start(),
    Directive::accepted("cluster-announce-ip", Kind::Text, "", NO_CLUSTER).checked(check::announced_address),
    Directive::accepted("cluster-announce-hostname", Kind::Text, "", NO_CLUSTER).checked(check::host_name),
    Directive::accepted("cluster-announce-human-nodename", Kind::Text, "", NO_CLUSTER).checked(check::node_name),
    Directive::accepted("cluster-announce-client-ipv4", Kind::Text, "", NO_CLUSTER).checked(check::ipv4),
    Directive::accepted("cluster-announce-client-ipv6", Kind::Text, "", NO_CLUSTER).checked(check::ipv6),
    Directive::accepted("cluster-announce-port", PORT, "0", NO_CLUSTER),
    Directive::accepted("cluster-announce-tls-port", PORT, "0", NO_CLUSTER),
    Directive::accepted("cluster-announce-bus-port", PORT, "0", NO_CLUSTER),
    Directive::accepted("cluster-announce-client-port", PORT, "0", NO_CLUSTER),
    Directive::accepted("cluster-announce-client-tls-port", PORT, "0", NO_CLUSTER),
    Directive::accepted(
        "cluster-preferred-endpoint-type",
        Kind::Enum(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        NO_CLUSTER,
    ),
    Directive::accepted("cluster-replica-validity-factor", Kind::Int { min: 0, max: INT_MAX }, "10", NO_CLUSTER)
        .alias(&["cluster-slave-validity-factor"]),
    Directive::accepted("cluster-replica-no-failover", Kind::Bool, "no", NO_CLUSTER)
        .alias(&["cluster-slave-no-failover"]),
    Directive::accepted("cluster-migration-barrier", Kind::Int { min: 0, max: INT_MAX }, "1", NO_CLUSTER),
    Directive::accepted("cluster-allow-replica-migration", Kind::Bool, "yes", NO_CLUSTER),
    Directive::accepted("cluster-require-full-coverage", Kind::Bool, "yes", NO_CLUSTER),
    Directive::accepted("cluster-allow-reads-when-down", Kind::Bool, "no", NO_CLUSTER),
    Directive::accepted("cluster-allow-pubsubshard-when-down", Kind::Bool, "yes", NO_CLUSTER),
    Directive::accepted("cluster-link-sendbuf-limit", Kind::Size { min: 0, max: u64::MAX }, "0", NO_CLUSTER),
    Directive::accepted("cluster-blacklist-ttl", Kind::Int { min: i64::MIN, max: i64::MAX }, "60", NO_CLUSTER),
    Directive::accepted("cluster-manual-failover-timeout", Kind::Int { min: 1, max: INT_MAX }, "5000", NO_CLUSTER),
    Directive::accepted("cluster-slot-stats-enabled", Kind::Bool, "no", NO_CLUSTER),
    Directive::accepted(
        "cluster-slot-migration-log-max-len",
        Kind::Int { min: 0, max: i64::MAX },
        "1000",
        NO_CLUSTER,
    ),
    Directive::accepted("cluster-compatibility-sample-ratio", Kind::Int { min: 0, max: 100 }, "0", NO_CLUSTER),
    // A size or -1, which no other directive mixes.
    Directive::accepted("slot-migration-max-failover-repl-bytes", Kind::Text, "0", NO_CLUSTER)
        .checked(check::size_or_minus_one),
    Directive::accepted("cluster-ping-interval", Kind::Int { min: 0, max: i64::MAX }, "0", NO_CLUSTER).hidden(),
    Directive::accepted("cluster-message-gossip-perc", Kind::Int { min: 1, max: 100 }, "10", NO_CLUSTER).hidden(),
];
