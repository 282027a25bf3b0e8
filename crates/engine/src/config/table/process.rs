//! Directives of the process: databases, log, supervision, shutdown, operating system.
//!
//! Thread safety: constants and pure functions.

use super::INT_MAX;
use crate::config::directive::{Directive, Kind, Refusal};
use crate::config::value::{clamped, kept_if, lenient_integer};

/// A database in use takes some 144 KB before its first key, for its stripes: this many take 2.3 GB, which a machine may
/// have. Redis takes any C `int`, and ends with too little memory.
const DATABASES_MAX: i64 = 16_384;

const SHUTDOWN_FLAGS: &[&str] = &["default", "save", "nosave", "now", "force", "safe", "failover"];
const NO_SAVE_ON_SHUTDOWN: &str = "the data is in memory only, a shutdown cannot save it";
const NO_SYSLOG: &str = "the log goes to logfile or standard output, never to syslog";
const NO_PINNING: &str = "threads are not pinned; use taskset or the service manager";
const NO_SWITCHED_ASSERTIONS: &str = "assertions are chosen when the server is built";
const NO_WATCHDOG: &str = "there is no software watchdog; the profile shows stalls with their causes";
const NO_TITLE: &str = "the process title is left as it was started";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::live(
        "databases",
        Kind::Int { min: 1, max: DATABASES_MAX },
        "16",
        "Number of databases (SELECT 0 and up), at most 16384. Unused ones cost nothing, a used one takes 144 KB \
         and its keys.",
    )
    .at_start(),
    Directive::live("dir", Kind::Text, "", "Working directory, entered at start. Empty stays where the server was started.")
        .protected(),
    Directive::live(
        "daemonize",
        Kind::Bool,
        "no",
        "Run in the background. The command returns once clients can connect, or fails with the reason. Leave it at \
         no below systemd or in a container.",
    )
    .at_start(),
    Directive::live(
        "supervised",
        Kind::Enum(&["upstart", "systemd", "auto", "no"]),
        "no",
        "Tell a service manager when the server is ready and when it stops: systemd (Type=notify), upstart, auto \
         (whichever started the server) or no.",
    )
    .at_start(),
    Directive::live(
        "pidfile",
        Kind::Text,
        "",
        "File that holds the process id while the server runs. Empty writes none, except in the background: \
         /run/limpid.pid.",
    )
    .at_start(),
    Directive::live(
        "loglevel",
        Kind::Enum(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice",
        "The least important messages that are still logged: debug, verbose, notice, warning or nothing.",
    ),
    Directive::live("logfile", Kind::Text, "", "File that the log is appended to. Empty is standard output. A file that was moved away is created anew, so \
         rotating logs takes no signal.").at_start(),
    Directive::live(
        "log-format",
        Kind::Enum(&["text", "json", "logfmt", "legacy"]),
        "text",
        "Shape of a log line: text, json or logfmt (key=\"value\" pairs).",
    )
    .at_restart(),
    Directive::live(
        "log-timestamp-format",
        Kind::Enum(&["legacy", "iso8601", "milliseconds"]),
        "legacy",
        "How a line writes its time, which is always UTC: legacy (20 Nov 2026 12:32:37.782), iso8601 \
         (2026-11-20T12:32:37.782Z) or milliseconds since 1970. JSON uses iso8601 instead of legacy.",
    )
    .at_restart(),
    Directive::absent("syslog-enabled", Kind::Bool, &["no"], Refusal::Warn, NO_SYSLOG).at_start(),
    Directive::accepted("syslog-ident", Kind::Text, "limpid", NO_SYSLOG).at_start(),
    Directive::accepted(
        "syslog-facility",
        Kind::Enum(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]),
        "local0",
        NO_SYSLOG,
    )
    .at_start(),
    Directive::accepted(
        "hide-user-data-from-log",
        Kind::Bool,
        "yes",
        "values are never logged, and keys only as profiling-redact-keys allows",
    ),
    Directive::accepted("always-show-logo", Kind::Bool, "no", "there is no logo").at_start(),
    Directive::accepted("set-proc-title", Kind::Bool, "yes", NO_TITLE).at_start(),
    Directive::accepted(
        "proc-title-template",
        Kind::Text,
        "{title} {listen-addr} {server-mode}",
        NO_TITLE,
    )
    .checked(process_title),
    Directive::accepted("crash-log-enabled", Kind::Bool, "yes", "a crash is always logged with its backtrace"),
    Directive::accepted("crash-memcheck-enabled", Kind::Bool, "yes", "memory is not tested after a crash"),
    Directive::absent(
        "locale-collate",
        Kind::Text,
        // All these mean: byte by byte.
        &["", "C", "POSIX"],
        Refusal::Warn,
        "texts are compared byte by byte, whatever the locale",
    ),
    Directive::accepted(
        "hz",
        Kind::Int { min: 0, max: INT_MAX },
        "10",
        "background work runs when it is due, not at a fixed rate",
    )
    .checked(rate),
    Directive::accepted("dynamic-hz", Kind::Bool, "yes", "background work runs when it is due, not at a fixed rate"),
    Directive::accepted(
        "shutdown-timeout",
        Kind::Int { min: 0, max: INT_MAX },
        "10",
        "there are no replicas a shutdown would have to wait for",
    ),
    Directive::absent(
        "shutdown-on-sigint",
        Kind::Flags(SHUTDOWN_FLAGS),
        &["default", "nosave", "now", "force", "nosave now", "nosave force", "now force", "nosave now force"],
        Refusal::Warn,
        NO_SAVE_ON_SHUTDOWN,
    ),
    Directive::absent(
        "shutdown-on-sigterm",
        Kind::Flags(SHUTDOWN_FLAGS),
        &["default", "nosave", "now", "force", "nosave now", "nosave force", "now force", "nosave now force"],
        Refusal::Warn,
        NO_SAVE_ON_SHUTDOWN,
    ),
    Directive::accepted(
        "ignore-warnings",
        Kind::Words { min: 0, max: 16 },
        "",
        "no warning of Limpid's stops a start, so none has to be ignored",
    ),
    Directive::live(
        "oom-score-adj",
        Kind::Enum(&["no", "yes", "relative", "absolute"]),
        "no",
        "Which process the kernel ends first when memory runs out. \"yes\" adds the first of the values to the \
         score the server was started with, \"absolute\" sets the score to it (1000 is ended first, -1000 never); \
         lower scores need a privilege. \"no\" leaves the score alone. The second and third value are for replicas \
         and processes that save, which there are none of.",
    )
    .checked(score_adjustment),
    Directive::live(
        "oom-score-adj-values",
        Kind::Words { min: 3, max: 3 },
        "0 200 800",
        "",
    )
    .checked(score_values),
    Directive::accepted(
        "disable-thp",
        Kind::Bool,
        "yes",
        "the allocator decides about huge pages; no fork ever copies them",
    )
    .at_start(),
    Directive::accepted("server-cpulist", Kind::Text, "", NO_PINNING).alias(&["server_cpulist"]).at_start(),
    Directive::accepted("bio-cpulist", Kind::Text, "", NO_PINNING).alias(&["bio_cpulist"]).at_start(),
    Directive::accepted("bgsave-cpulist", Kind::Text, "", NO_PINNING).alias(&["bgsave_cpulist"]).at_start(),
    Directive::accepted("aof-rewrite-cpulist", Kind::Text, "", NO_PINNING)
        .alias(&["aof_rewrite_cpulist"])
        .at_start(),
    Directive::accepted(
        "availability-zone",
        Kind::Text,
        "",
        "clients are not told a zone",
    ),
    Directive::accepted(
        "extended-redis-compatibility",
        Kind::Bool,
        "no",
        "the server always presents itself at the level of compatibility it has",
    ),
    Directive::accepted("debug-context", Kind::Text, "", "reports of crashes have no text of their owner's").hidden(),
    Directive::accepted("enable-debug-assert", Kind::Bool, "no", NO_SWITCHED_ASSERTIONS).at_start().hidden(),
    Directive::accepted("use-exit-on-panic", Kind::Bool, "no", "a panic always aborts the process").hidden(),
    Directive::accepted("watchdog-period", Kind::Int { min: 0, max: INT_MAX }, "0", NO_WATCHDOG)
        .checked(watchdog_ms)
        .hidden(),
];

/// How often a second Redis may do its background work.
const RATES_HZ: (i64, i64) = (1, 500);

fn rate(text: &str) -> Result<String, String> {
    Ok(clamped(text, RATES_HZ.0, RATES_HZ.1))
}

/// Redis's software watchdog looks no more often than its timer, at the lowest rate of it.
const WATCHDOG_MS_MIN: i64 = 200;

/// 0 is off.
fn watchdog_ms(text: &str) -> Result<String, String> {
    Ok(if text == "0" { text.to_owned() } else { clamped(text, WATCHDOG_MS_MIN, i64::MAX) })
}

/// `relative` is another word for `yes`.
fn score_adjustment(text: &str) -> Result<String, String> {
    Ok(if text == "relative" { "yes" } else { text }.to_owned())
}

/// The kernel's score runs to 1000 in both directions; a relative one may need twice that to come from end to end.
const SCORE_MAX: u64 = 2000;

/// Three scores: of a primary, of a replica, of a process that saves.
fn score_values(text: &str) -> Result<String, String> {
    let mut texts = Vec::new();
    for word in text.split(' ') {
        let number = lenient_integer(word).filter(|number| number.unsigned_abs() <= SCORE_MAX);
        let number = number.ok_or_else(|| {
            format!("Invalid oom-score-adj-values, elements must be between -{SCORE_MAX} and {SCORE_MAX}.")
        })?;
        texts.push(number.to_string());
    }
    Ok(texts.join(" "))
}

/// A template is good if its variables are known, and leave something when those that may be empty are.
fn process_title(text: &str) -> Result<String, String> {
    let expanded = expanded_title(text).unwrap_or_default();
    let reason = "template format is invalid or contains unknown variables";
    kept_if(!expanded.trim_matches([' ', '\t', '\r', '\n']).is_empty(), text, reason)
}

/// `template` with a stand-in for every variable; `None` if one is unknown or not closed. `{{` is a brace.
fn expanded_title(template: &str) -> Option<String> {
    let mut output = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        output.push_str(before);
        if let Some(literal) = after.strip_prefix('{') {
            output.push('{');
            rest = literal;
            continue;
        }
        let (name, after) = after.split_once('}')?;
        output.push_str(match name {
            "title" | "server-mode" | "unixsocket" => "",
            "listen-addr" | "port" | "tls-port" | "config-file" => "x",
            _ => return None,
        });
        rest = after;
    }
    output.push_str(rest);
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_reach_are_clamped_as_redis_does() {
        assert_eq!([rate("0"), rate("7"), rate("501")], ["1", "7", "500"].map(|text| Ok(text.to_owned())));
        let kept = ["0", "200", "500"].map(|text| Ok(text.to_owned()));
        assert_eq!([watchdog_ms("0"), watchdog_ms("1"), watchdog_ms("500")], kept);
    }

    #[test]
    fn templates_of_the_title() {
        let good =
            ["x", "{title} {listen-addr} {server-mode}", "{port}", "{{", "{{title}}", "}", " x ", "a } b"];
        for template in good {
            assert_eq!(process_title(template), Ok(template.to_owned()));
        }
        for template in
            ["", " ", "{title}", "{title}{server-mode}", "{nothing}", "{title", "{}", "{TITLE}", "{ port}"]
        {
            let error = process_title(template).expect_err(template);
            assert_eq!(error, "template format is invalid or contains unknown variables");
        }
    }

    #[test]
    fn scores() {
        assert_eq!(score_values("+1 02 -2000"), Ok("1 2 -2000".to_owned()));
        for values in ["a b c", "-2001 0 0", "0 0 2001", "1.5 2 3", "0x1 2 3", "1 2 3x", "1  3"] {
            let error = score_values(values).expect_err(values);
            assert_eq!(error, "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
        }
        assert_eq!(score_adjustment("relative"), Ok("yes".to_owned()));
        assert_eq!(score_adjustment("absolute"), Ok("absolute".to_owned()));
    }
}
