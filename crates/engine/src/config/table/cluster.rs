//! Directives of the cluster, which is absent: only `cluster-enabled no` starts.
//!
//! Thread safety: constants and pure functions.

use super::INT_MAX;
use crate::config::directive::{Directive, Kind, Refusal};
use crate::config::value::{kept_if, memory_bytes};
use std::net::{Ipv4Addr, Ipv6Addr};

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
    Directive::accepted("cluster-announce-ip", Kind::Text, "", NO_CLUSTER).checked(announced_address),
    Directive::accepted("cluster-announce-hostname", Kind::Text, "", NO_CLUSTER).checked(host_name),
    Directive::accepted("cluster-announce-human-nodename", Kind::Text, "", NO_CLUSTER).checked(node_name),
    Directive::accepted("cluster-announce-client-ipv4", Kind::Text, "", NO_CLUSTER).checked(ipv4),
    Directive::accepted("cluster-announce-client-ipv6", Kind::Text, "", NO_CLUSTER).checked(ipv6),
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
        .checked(size_or_minus_one),
    Directive::accepted("cluster-ping-interval", Kind::Int { min: 0, max: i64::MAX }, "0", NO_CLUSTER).hidden(),
    Directive::accepted("cluster-message-gossip-perc", Kind::Int { min: 1, max: 100 }, "10", NO_CLUSTER).hidden(),
];

/// Names of hosts are shorter (RFC 1035 allows 253 bytes).
const HOST_NAME_BYTES_MAX: usize = 255;

fn host_name(text: &str) -> Result<String, String> {
    if text.len() > HOST_NAME_BYTES_MAX {
        return Err("Hostnames must be less than 256 characters".to_owned());
    }
    let is_good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
    kept_if(is_good, text, "Hostnames may only contain alphanumeric characters, hyphens or dots")
}

/// Names and addresses travel over the cluster's bus between separators; what could be one is refused.
fn can_be_announced(text: &str) -> bool {
    text.bytes().all(|byte| {
        byte >= 0x80
            || byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'/' | b':' | b'_' | b'`')
    })
}

fn node_name(text: &str) -> Result<String, String> {
    kept_if(can_be_announced(text), text, "Announced human node name contained invalid character")
}

/// The longest text of an address: an IPv4 one written inside an IPv6 one.
const ADDRESS_BYTES_MAX: usize = 45;

fn announced_address(text: &str) -> Result<String, String> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err("cluster-announce-ip is too long".to_owned());
    }
    kept_if(can_be_announced(text), text, "cluster-announce-ip contains invalid character")
}

fn ipv4(text: &str) -> Result<String, String> {
    kept_if(text.is_empty() || text.parse::<Ipv4Addr>().is_ok(), text, "Invalid IPv4 address")
}

fn ipv6(text: &str) -> Result<String, String> {
    kept_if(text.is_empty() || text.parse::<Ipv6Addr>().is_ok(), text, "Invalid IPv6 address")
}

/// A memory size, or -1.
fn size_or_minus_one(text: &str) -> Result<String, String> {
    let number = match text.strip_prefix('-') {
        Some(_) => text.parse::<i64>().ok().map(i128::from),
        None => memory_bytes(text).map(i128::from),
    };
    match number {
        Some(number) if (-1..=i128::from(i64::MAX)).contains(&number) => Ok(number.to_string()),
        Some(_) => Err(format!("argument must be between -1 and {} inclusive", i64::MAX)),
        None => Err("argument must be a memory value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert!(host_name("a-1.example.COM").is_ok() && host_name("").is_ok() && host_name("a_b").is_err());
        assert!(host_name(&"a".repeat(255)).is_ok() && host_name(&"a".repeat(256)).is_err());
        assert!(
            node_name("name_1/2:3").is_ok() && node_name("two words").is_err() && node_name("a!").is_err()
        );
        assert!(announced_address("10.0.0.1").is_ok() && announced_address(&"1".repeat(46)).is_err());
        assert!(
            ipv4("10.0.0.1").is_ok() && ipv4("").is_ok() && ipv4("::1").is_err() && ipv4("01.2.3.4").is_err()
        );
        assert!(ipv6("::1").is_ok() && ipv6("").is_ok() && ipv6("10.0.0.1").is_err());
    }

    #[test]
    fn a_size_or_minus_one() {
        let good = [("0", "0"), ("-1", "-1"), ("1mb", "1048576"), ("mb", "0"), ("", "0")];
        for (given, kept) in good {
            assert_eq!(size_or_minus_one(given), Ok(kept.to_owned()));
        }
        let range = "argument must be between -1 and 9223372036854775807 inclusive";
        for given in ["-2", "9223372036854775808"] {
            assert_eq!(size_or_minus_one(given), Err(range.to_owned()), "{given}");
        }
        for given in ["x", "-", "-1mb", "+1"] {
            assert_eq!(
                size_or_minus_one(given),
                Err("argument must be a memory value".to_owned()),
                "{given}"
            );
        }
    }
}
