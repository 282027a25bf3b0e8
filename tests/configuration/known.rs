//! What Limpid does otherwise than a real server on CONFIG SET, value by value, and why.

use std::collections::BTreeSet;

/// The references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Redis7,
    Valkey9,
}

/// Where a difference is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    OnBoth,
    Only(On),
}

/// One reason for differences, and where they are.
struct Known {
    seen: Seen,
    reason: &'static str,
    /// Directive and values.
    places: &'static [(&'static str, &'static [&'static str])],
}

const KNOWN: &[Known] = &[
    Known {
        seen: Seen::OnBoth,
        reason: "the feature is absent, and said to be so",
        places: &[("activedefrag", &["YES", "yes"]), ("maxmemory-clients", &["100%", "100gb", "5%"])],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "there is no persistence yet, and a client must not believe that there is",
        places: &[
            ("appendonly", &["YES", "yes"]),
            ("save", &["+1 1", "01 1", "1 0", "2147483648 1", "3600  1 ", "3600 1", "3600 1 300 100"]),
            ("shutdown-on-sigint", &["failover", "safe", "save"]),
            ("shutdown-on-sigterm", &["failover", "safe", "save"]),
        ],
    },
    Known {
        seen: Seen::Only(On::Valkey9),
        reason: "the feature is absent, and said to be so",
        places: &[("import-mode", &["YES", "yes"]), ("locale-collate", &["nonsense"])],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "workers are started once; 0 is one per core",
        places: &[("io-threads", &["(default)", "-1", "1", "2", "257"])],
    },
    Known {
        seen: Seen::Only(On::Valkey9),
        reason: "the shape of the log is chosen at start; text is the name of the usual one",
        places: &[
            (
                "log-format",
                &[
                    "",
                    " ",
                    "(default)",
                    "TEXT",
                    "json",
                    "legacy",
                    "logfmt",
                    "nonsense",
                    "text",
                    "text json",
                    "two words",
                ],
            ),
            ("log-timestamp-format", &["iso8601", "milliseconds"]),
        ],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "there is no replication yet, and writes would lack the copies asked for",
        places: &[("min-replicas-to-write", &["1", "1000000", "2147483647", "7"])],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "keyspace notifications are not published yet",
        places: &[("notify-keyspace-events", &["AKE", "KEA", "Kn", "g$lshzxetd", "gKE$", "m"])],
    },
    Known {
        seen: Seen::Only(On::Valkey9),
        reason: "there is no RDMA transport here, nor in this build of the reference, which says so in other words",
        places: &[("rdma-bind", &["", "nonsense"]), ("rdma-port", &["1", "65535", "7"])],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "the values of Redis 8 and of Valkey 9 are both known",
        places: &[(
            "repl-diskless-load",
            &["", " ", "disabled on-empty-db", "flushdb", "nonsense", "two words"],
        )],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "the default is the name of the server",
        places: &[("syslog-ident", &["(default)"])],
    },
    Known {
        seen: Seen::OnBoth,
        reason: "there is no TLS yet; the reference has it, but no certificate",
        places: &[
            ("tls-cluster", &["YES", "yes"]),
            ("tls-port", &["@taken"]),
            ("tls-replication", &["YES", "yes"]),
        ],
    },
    Known {
        seen: Seen::Only(On::Redis7),
        reason: "Redis 7 takes other values than Valkey 9, which Limpid follows",
        places: &[
            ("cluster-announce-ip", &["two words"]),
            ("cluster-link-sendbuf-limit", &["18446744073709551616"]),
            ("dbfilename", &[""]),
            ("dir", &[""]),
            ("latency-tracking-info-percentiles", &["0x10"]),
            ("loglevel", &["", " ", "debug verbose", "nonsense", "nothing", "two words"]),
            (
                "lua-enable-deprecated-api",
                &["", " ", "1", "No", "YES", "no", "nonsense", "off", "on", "true", "two words", "yes"],
            ),
            ("maxmemory", &["18446744073709551616"]),
            ("maxmemory-samples", &["0", "1000000", "65"]),
        ],
    },
    Known {
        seen: Seen::Only(On::Redis7),
        reason: "workers are started once; 0 is one per core",
        places: &[("io-threads", &["", "1.5", "x"])],
    },
    Known {
        seen: Seen::Only(On::Redis7),
        reason: "the default is Valkey's, which Redis 7 did not have yet",
        places: &[
            ("lazyfree-lazy-eviction", &["(default)"]),
            ("lazyfree-lazy-expire", &["(default)"]),
            ("lazyfree-lazy-server-del", &["(default)"]),
            ("lazyfree-lazy-user-del", &["(default)"]),
            ("lazyfree-lazy-user-flush", &["(default)"]),
            ("repl-backlog-size", &["(default)"]),
            ("replica-lazy-flush", &["(default)"]),
        ],
    },
    Known {
        seen: Seen::Only(On::Redis7),
        reason: "the values of Redis 8 and of Valkey 9 are both known",
        places: &[("repl-diskless-load", &["flush-before-load"])],
    },
    Known {
        seen: Seen::Only(On::Redis7),
        reason: "Redis 7 does not know the words safe and failover, which Valkey 9 does",
        places: &[
            ("shutdown-on-sigint", &["", " ", "nonsense", "two words"]),
            ("shutdown-on-sigterm", &["", " ", "nonsense", "two words"]),
        ],
    },
];

/// The known differences from one reference, as (directive, value).
pub fn differences(on: On) -> BTreeSet<(String, String)> {
    let here = KNOWN.iter().filter(|known| known.seen == Seen::OnBoth || known.seen == Seen::Only(on));
    let mut all = BTreeSet::new();
    for known in here {
        assert!(known.reason.len() > 20, "a difference needs its reason: {:?}", known.places);
        for (name, values) in known.places {
            for value in *values {
                assert!(
                    all.insert(((*name).to_owned(), (*value).to_owned())),
                    "{name} {value} is listed twice"
                );
            }
        }
    }
    all
}
