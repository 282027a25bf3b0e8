//! The values that a directive is probed with: some of its kind, some that no directive of its kind may take.
//!
//! Not the judgement: a real server decides which are good. What would harm the machine or take minutes on a real
//! server is left out here, with the reason beside it.

use engine::config::{Change, Directive, Kind};

/// Values that every kind has an opinion on.
const ODD: &[&str] = &["", " ", "nonsense", "two words"];

/// The probes of one directive.
pub fn of(directive: &Directive) -> Vec<Vec<u8>> {
    let mut values: Vec<String> = match by_name(directive.name) {
        Some(values) => values.iter().map(|value| (*value).to_owned()).collect(),
        None => of_kind(directive.kind),
    };
    if directive.change == Change::AtStart {
        // No value is looked at, so two are enough.
        values = vec![directive.default.to_owned(), "nonsense".to_owned()];
    }
    values.into_iter().map(String::into_bytes).collect()
}

fn of_kind(kind: Kind) -> Vec<String> {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut values = match kind {
        Kind::Bool | Kind::Switch => texts(&["yes", "no", "YES", "No", "on", "off", "1", "true"]),
        Kind::Int { min, max } => integers(i128::from(min), i128::from(max)),
        Kind::Size { min, max } => sizes(u128::from(min), u128::from(max)),
        Kind::SizeOrPercent => size_or_percent(),
        Kind::Enum(choices) => {
            let mut values = texts(choices);
            values.extend(choices.first().map(|choice| choice.to_ascii_uppercase()));
            values.extend(choices.get(..2).map(|pair| pair.join(" ")));
            values
        }
        Kind::Flags(choices) => {
            let mut values = texts(choices);
            values.extend(choices.get(2..5).map(|some| some.join(" ")));
            values.extend(choices.get(2).map(|choice| format!("{0} {0}", choice.to_ascii_uppercase())));
            values
        }
        Kind::Text | Kind::Secret => texts(&["text", "{title}", "a\"b", "\\x41"]),
        Kind::Percentiles => texts(&[
            "50 99",
            " 50  99 ",
            "0",
            "100",
            "101",
            "-1",
            "-0.0",
            "50 x",
            "nan",
            "inf",
            "1e1",
            "1e-7",
            "0.000001",
            "99.99999",
            "12.3456789",
            "0x10",
            "5,6",
        ]),
        Kind::EventClasses => texts(&["KEA", "AKE", "gKE$", "xyz", "g$lshzxetd", "Kn", "m"]),
        Kind::Octal | Kind::Words { .. } | Kind::OutputBufferLimit | Kind::Save => Vec::new(),
    };
    values.extend(texts(ODD));
    values
}

fn integers(min: i128, max: i128) -> Vec<String> {
    let numbers = [min - 1, min, min + 1, max, max + 1, 7, 1_000_000];
    let mut values: Vec<String> = numbers.iter().map(i128::to_string).collect();
    let written = ["+7", "07", " 7", "7 ", "7.5", "7k", "0x10", "-0", "--7", "18446744073709551616"];
    values.extend(written.iter().map(|text| (*text).to_owned()));
    values
}

fn sizes(min: u128, max: u128) -> Vec<String> {
    let mut values: Vec<String> =
        [min.saturating_sub(1), min, max, max + 1].iter().map(u128::to_string).collect();
    let written = [
        "2mb", "2MB", "2m", "3000k", "3000Kb", "1gb", "2G", "5000000b", "5000000B", "-1", "-1mb", "1.5mb",
        "1tb", "50%", "mb", "+5000000", "05000000", " 5000000", "5000000 ", "2 mb", "0x500000",
    ];
    values.extend(written.iter().map(|text| (*text).to_owned()));
    values
}

/// Nothing small: a real server closes its clients, the one that asks included, when they take more.
fn size_or_percent() -> Vec<String> {
    let written = ["0", "5%", "100%", "101%", "-1%", "x%", "%", "5.5%", "05%", "100gb", "-1", "1tb", "5 %"];
    written.iter().map(|text| (*text).to_owned()).collect()
}

/// Directives whose values have a form of their own, or would do harm.
fn by_name(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "port" | "tls-port" => &["0", "@taken", "-1", "65536", "x", "", "7.5", "two words"],
        // Nothing that a resolver would be asked about. 192.0.2.1 belongs to no machine (RFC 5737).
        "bind" => &[
            "127.0.0.1",
            "127.0.0.1 -::1",
            "",
            "-192.0.2.1 127.0.0.1",
            "192.0.2.1",
            "127.0.0.1 192.0.2.1",
            "* -::*",
            "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        ],
        // Ten millions: above what any machine allows. A real server tries every 16th number below the value in turn,
        // for 4294967295 that takes minutes.
        "maxclients" => {
            &["0", "-1", "1000", "10000000", "4294967296", "x", "", "+7", "07", "7.5", "7k", "two words"]
        }
        // A real server starts as many threads as it is told.
        "io-threads" => &["1", "2", "-1", "257", "x", "", "1.5"],
        "dir" => &["/nonexistent/place", "", ".", "/etc/passwd", "two words"],
        "dbfilename" => &["dump.rdb", "other.rdb", "", "a/b", "/a", "two words", ".."],
        "hz" => &["0", "1", "7", "500", "501", "-1", "2147483647", "2147483648", "x", "", "07", "7.5"],
        // "yes" and "absolute" leave the score as it is at these values; lower ones need a privilege.
        "oom-score-adj" => &["no", "yes", "relative", "absolute", "YES", "", "nonsense", "two words"],
        "oom-score-adj-values" => &[
            "0 200 800",
            "1 2 3",
            "3 2 1",
            "1 2",
            "1 2 3 4",
            "",
            "a b c",
            "-2000 0 2000",
            "-2001 0 0",
            "0 0 2001",
            "1 2 x",
            "+1 2 3",
            " 1  2 3 ",
            "1.5 2 3",
            "0x1 2 3",
            "1 2 3x",
        ],
        "proc-title-template" => &[
            "x",
            "{title}",
            "{nothing}",
            "",
            " ",
            "{title",
            "title}",
            "{}",
            "{{title}}",
            "{TITLE}",
            "{title}{title}",
            "{title} {listen-addr} {server-mode} {port} {tls-port} {unixsocket} {config-file}",
            "{{",
            "a } b",
        ],
        "save" => &[
            "",
            "3600 1",
            "3600 1 300 100",
            "3600",
            "0 1",
            "1 0",
            "1 -1",
            "x y",
            "\"\"",
            " ",
            "3600  1 ",
            "+1 1",
            "01 1",
            "1.5 1",
            "2147483648 1",
        ],
        "client-output-buffer-limit" => &[
            "",
            "normal 0 0 0",
            "normal 1gb 512mb 10",
            "replica 2gb 1gb 3",
            "slave 2gb 1gb 3",
            "SLAVE 2gb 1gb 3",
            "normal 0 0",
            "normal 0 0 0 pubsub",
            "master 1gb 1gb 3",
            "nobody 1gb 1gb 3",
            "normal x 0 0",
            "normal 0 0 -1",
            "normal -1 0 0",
            "normal 0 0 x",
            "normal 0 0 2147483648",
            "pubsub 0 0 1k",
            "normal 1gb 1gb 01",
            "pubsub 64mb 8mb 60 normal 1gb 1gb 1",
        ],
        "latency-tracking-info-percentiles" | "notify-keyspace-events" => return None,
        "ignore-warnings" => &["", "ARM64-COW-BUG", "nonsense", "two words"],
        "shutdown-on-sigint" | "shutdown-on-sigterm" => return None,
        "locale-collate" => &["", "C", "POSIX", "nonsense"],
        "replica-announce-ip" | "cluster-announce-ip" => &["", "10.0.0.1", "text", "two words"],
        "cluster-announce-hostname" => &["", "host.example.com", "-host", "host!", "two words"],
        "cluster-announce-client-ipv4" => &["", "10.0.0.1", "nonsense", "::1"],
        "cluster-announce-client-ipv6" => &["", "::1", "nonsense", "10.0.0.1"],
        "cluster-announce-human-nodename" => &["", "name", "two words", "na!me"],
        "slot-migration-max-failover-repl-bytes" => &["0", "-1", "-2", "1mb", "x", ""],
        "requirepass" | "masterauth" => &["", "secret", "two words", "\u{e4}"],
        _ => return None,
    })
}
