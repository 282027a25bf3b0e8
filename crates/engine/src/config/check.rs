//! What single directives ask of their value beyond its kind: the checks that the table names.
//!
//! A check takes the canonical text of the kind and gives the text to keep, which may be another one (Redis clamps some
//! numbers in silence), or the reason why not, in Redis's words. It looks at nothing but the text: whether a port is
//! free or a directory exists is found out by whoever acts on the change.
//!
//! Invariant: what a check gives passes it unchanged.
//!
//! Thread safety: pure functions.

use super::value::{lenient_integer, memory_bytes};
use std::net::{Ipv4Addr, Ipv6Addr};

/// How often a second Redis may do its background work.
const RATES_HZ: (i64, i64) = (1, 500);

/// Redis's software watchdog looks no more often than its timer, at the lowest rate of it.
const WATCHDOG_MS_MIN: i64 = 200;

/// The smallest backlog of replication.
const BACKLOG_BYTES_MIN: i64 = 16 << 10;

/// Names of hosts are shorter (RFC 1035 allows 253 bytes).
const HOST_NAME_BYTES_MAX: usize = 255;

/// The longest text of an address: an IPv4 one written inside an IPv6 one.
const ADDRESS_BYTES_MAX: usize = 45;

/// The kernel's score runs to 1000 in both directions; a relative one may need twice that to come from end to end.
const SCORE_MAX: u64 = 2000;

fn clamped(text: &str, least: i64, most: i64) -> String {
    text.parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.clamp(least, most).to_string())
}

pub(super) fn rate(text: &str) -> Result<String, String> {
    Ok(clamped(text, RATES_HZ.0, RATES_HZ.1))
}

/// 0 is off.
pub(super) fn watchdog_ms(text: &str) -> Result<String, String> {
    Ok(if text == "0" { text.to_owned() } else { clamped(text, WATCHDOG_MS_MIN, i64::MAX) })
}

pub(super) fn backlog_bytes(text: &str) -> Result<String, String> {
    Ok(clamped(text, BACKLOG_BYTES_MIN, i64::MAX))
}

/// The text if `is_good`, else `reason`.
fn kept_if(is_good: bool, text: &str, reason: &str) -> Result<String, String> {
    if is_good { Ok(text.to_owned()) } else { Err(reason.to_owned()) }
}

pub(super) fn file_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("dbfilename can't be empty".to_owned());
    }
    kept_if(!text.contains(['/', '\\']), text, "dbfilename can't be a path, just a filename")
}

pub(super) fn host_name(text: &str) -> Result<String, String> {
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

pub(super) fn node_name(text: &str) -> Result<String, String> {
    kept_if(can_be_announced(text), text, "Announced human node name contained invalid character")
}

pub(super) fn announced_address(text: &str) -> Result<String, String> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err("cluster-announce-ip is too long".to_owned());
    }
    kept_if(can_be_announced(text), text, "cluster-announce-ip contains invalid character")
}

pub(super) fn ipv4(text: &str) -> Result<String, String> {
    kept_if(text.is_empty() || text.parse::<Ipv4Addr>().is_ok(), text, "Invalid IPv4 address")
}

pub(super) fn ipv6(text: &str) -> Result<String, String> {
    kept_if(text.is_empty() || text.parse::<Ipv6Addr>().is_ok(), text, "Invalid IPv6 address")
}

/// A memory size, or -1.
pub(super) fn size_or_minus_one(text: &str) -> Result<String, String> {
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

/// `relative` is another word for `yes`.
pub(super) fn score_adjustment(text: &str) -> Result<String, String> {
    Ok(if text == "relative" { "yes" } else { text }.to_owned())
}

/// Three scores: of a primary, of a replica, of a process that saves.
pub(super) fn score_values(text: &str) -> Result<String, String> {
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
pub(super) fn process_title(text: &str) -> Result<String, String> {
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
        assert_eq!(backlog_bytes("1"), Ok("16384".to_owned()));
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
        assert!(file_name("dump.rdb").is_ok() && file_name("").is_err() && file_name("a/b").is_err());
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
