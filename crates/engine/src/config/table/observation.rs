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
        "Commands that take at least this many microseconds enter the slow log (SLOWLOG GET). 0 logs all, -1 none.",
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
        "Events that take at least this many milliseconds enter LATENCY LATEST. 0 records none.",
    ),
    Directive::live(
        "latency-tracking",
        Kind::Bool,
        "yes",
        "A histogram of execution times per command, for LATENCY HISTOGRAM and INFO latencystats, and the \
         percentiles that INFO prints.",
    ),
    Directive::live(
        "latency-tracking-info-percentiles",
        Kind::Percentiles,
        "50 99 99.9",
        "",
    ),
    Directive::live(
        "profiling",
        Kind::Switch,
        "yes",
        "The profile (PROF REPORT). Its observers are always on and cost a few per cent (PROF COST measures how \
         much). Each can be switched off alone; profiling off switches off all.",
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
        "Show stable hashes instead of the names of keys in every profile, if the names themselves are secret.",
    ),
    Directive::live(
        "admin-port",
        Kind::Int { min: 0, max: 65535 },
        "8080",
        "The admin port: /metrics for Prometheus, /healthz, /readyz. 0 is off. It shows keys and clients: if \
         admin-bind is not a loopback address, admin-token must be set, and requests carry it as \"Authorization: \
         Bearer ...\".",
    )
    .at_start(),
    Directive::live(
        "admin-bind",
        Kind::Text,
        "127.0.0.1",
        "",
    )
    .at_start(),
    Directive::live(
        "admin-token",
        Kind::Secret,
        "",
        "",
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
