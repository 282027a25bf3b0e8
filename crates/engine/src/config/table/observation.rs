//! Directives of seeing: slow log, latency, the profile's observers, the admin port.
//!
//! Thread safety: constants.

use crate::config::choices::Observers;
use crate::config::directive::{Directive, Kind, Refusal};
use observe::observers::OBSERVERS;

const NO_LARGE_LOG: &str =
    "only slow commands are logged one by one; PROF SIZES shows large requests and replies";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::live(
        "slowlog-log-slower-than",
        Kind::Int { min: -1, max: i64::MAX },
        "10000",
        "Microseconds from which a command enters the slow log; 0 logs all, -1 none.",
    )
    .alias(&["commandlog-execution-slower-than"]),
    Directive::live(
        "slowlog-max-len",
        Kind::Int { min: 0, max: i64::MAX },
        "128",
        "Entries the slow log keeps.",
    )
    .alias(&["commandlog-slow-execution-max-len"]),
    Directive::accepted(
        "commandlog-request-larger-than",
        Kind::Int { min: -1, max: i64::MAX },
        "1048576",
        NO_LARGE_LOG,
    ),
    Directive::accepted(
        "commandlog-large-request-max-len",
        Kind::Int { min: 0, max: i64::MAX },
        "128",
        NO_LARGE_LOG,
    ),
    Directive::accepted(
        "commandlog-reply-larger-than",
        Kind::Int { min: -1, max: i64::MAX },
        "1048576",
        NO_LARGE_LOG,
    ),
    Directive::accepted(
        "commandlog-large-reply-max-len",
        Kind::Int { min: 0, max: i64::MAX },
        "128",
        NO_LARGE_LOG,
    ),
    Directive::live(
        "latency-monitor-threshold",
        Kind::Int { min: 0, max: i64::MAX },
        "0",
        "Milliseconds from which an event enters LATENCY LATEST; 0 records none.",
    ),
    Directive::live(
        "latency-tracking",
        Kind::Bool,
        "yes",
        "Keep a latency histogram per command for LATENCY HISTOGRAM and INFO latencystats.",
    ),
    Directive::live(
        "latency-tracking-info-percentiles",
        Kind::Percentiles,
        "50 99 99.9",
        "The percentiles INFO latencystats prints.",
    ),
    Directive::live(
        "profiling",
        Kind::Switch,
        "yes",
        "All observers at once: off stops every one of them, whatever its own switch says.",
    )
    .bit(Observers::MASTER),
];

/// One switch per observer, from its literal.
pub(super) const SWITCHES: [Directive; OBSERVERS.len()] = {
    let mut switches = [const { Directive::live("", Kind::Switch, "yes", "") }; OBSERVERS.len()];
    let mut at = 0;
    while at < OBSERVERS.len() {
        let observer = &OBSERVERS[at];
        switches[at] =
            Directive::live(observer.directive, Kind::Switch, "yes", observer.switch).bit(at as u8);
        at += 1;
    }
    switches
};

/// What follows the switches.
pub(super) const ADMIN_DIRECTIVES: &[Directive] = &[
    Directive::live(
        "profiling-redact-keys",
        Kind::Switch,
        "no",
        "Show stable hashes instead of key names in every profile.",
    ),
    Directive::live(
        "admin-port",
        Kind::Int { min: 0, max: 65535 },
        "8080",
        "HTTP port for /metrics, /healthz and /readyz; 0 is off.",
    )
    .at_start(),
    Directive::live(
        "admin-bind",
        Kind::Text,
        "127.0.0.1",
        "Address of the admin port; one that is not loopback needs admin-token.",
    )
    .at_start(),
    Directive::live(
        "admin-token",
        Kind::Secret,
        "",
        "Bearer token that the admin port asks for; empty asks for none.",
    )
    .at_start(),
    Directive::accepted(
        "tracking-table-max-keys",
        Kind::Int { min: 0, max: i64::MAX },
        "1000000",
        "client-side caching is not served yet",
    ),
    Directive::absent(
        "notify-keyspace-events",
        Kind::EventClasses,
        &[""],
        Refusal::Warn,
        "keyspace notifications are not published yet",
    ),
];
