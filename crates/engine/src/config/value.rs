//! Reads the value of a directive: words in, the canonical text (what CONFIG GET prints) or the reason why not out.
//!
//! What single directives ask of their value beyond its kind stands beside their literals: functions that take the
//! canonical text and give the text to keep, which passes them unchanged, or the reason why not. They look at nothing else:
//! whether a port is free or a directory exists is found out by whoever acts on the change.
//!
//! The reasons are Redis's own texts, because people search for them. Nothing is stored here, and nothing here knows
//! which feature a value switches on.
//!
//! Invariant: the canonical text of a canonical text is the same text.
//!
//! Thread safety: pure functions.

use super::directive::{Directive, Kind};

/// The canonical text of `words` for `directive`. `current` is its present canonical text: a buffer limit names only
/// the classes it changes.
pub fn canonical(directive: &Directive, words: &[&[u8]], current: &str) -> Result<String, String> {
    let text = of_kind(directive, words, current)?;
    match directive.check {
        Some(check) => check(&text),
        None => Ok(text),
    }
}

fn of_kind(directive: &Directive, words: &[&[u8]], current: &str) -> Result<String, String> {
    if is_list(directive.kind) {
        let split: Vec<Vec<u8>> = match words {
            [single] => words_of(directive.kind, single),
            several => several.iter().map(|word| word.to_vec()).collect(),
        };
        let split: Vec<&str> = split.iter().map(|word| utf8(word)).collect::<Result<_, _>>()?;
        return list(directive.kind, &split, current);
    }
    let [word] = words else { return Err("wrong number of arguments".to_owned()) };
    scalar(directive.kind, utf8(word)?)
}

/// `text` as the words of one directive line: split at every single space for a list, as Redis does (two spaces hold an
/// empty word between them), else one word. The empty text is the empty list.
pub fn words_of(kind: Kind, text: &[u8]) -> Vec<Vec<u8>> {
    if is_list(kind) && text.is_empty() {
        Vec::new()
    } else if is_list(kind) {
        text.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect()
    } else {
        vec![text.to_vec()]
    }
}

/// Whether the value of this kind is a list of words.
pub fn is_list(kind: Kind) -> bool {
    match kind {
        Kind::Words { .. } | Kind::Percentiles | Kind::OutputBufferLimit | Kind::Save | Kind::Flags(_) => {
            true
        }
        Kind::Bool | Kind::Switch | Kind::Int { .. } | Kind::Size { .. } | Kind::SizeOrPercent => false,
        Kind::Octal | Kind::Enum(_) | Kind::Text | Kind::Secret | Kind::EventClasses => false,
    }
}

fn utf8(word: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(word).map_err(|_| "argument must be UTF-8 text".to_owned())
}

fn scalar(kind: Kind, word: &str) -> Result<String, String> {
    match kind {
        Kind::Bool => yes_or_no(word).map(str::to_owned),
        Kind::Switch if word.eq_ignore_ascii_case("on") => Ok("yes".to_owned()),
        Kind::Switch if word.eq_ignore_ascii_case("off") => Ok("no".to_owned()),
        Kind::Switch => yes_or_no(word).map(str::to_owned),
        Kind::Int { min, max } => integer(word, min, max).map(|number| number.to_string()),
        Kind::Size { min, max } => size(word, min, max).map(|bytes| bytes.to_string()),
        Kind::SizeOrPercent => size_or_percent(word),
        Kind::Octal => octal(word),
        Kind::Enum(choices) => choice(word, choices).map(str::to_owned),
        Kind::EventClasses => event_classes(word),
        _ => Ok(word.to_owned()),
    }
}

fn list(kind: Kind, words: &[&str], current: &str) -> Result<String, String> {
    match kind {
        Kind::Words { min, max } if words.len() < min || words.len() > max => {
            Err("wrong number of arguments".to_owned())
        }
        Kind::Percentiles => percentiles(words),
        Kind::OutputBufferLimit => output_buffer_limits(words, current),
        Kind::Save => save_points(words),
        Kind::Flags(choices) => flags(words, choices),
        _ => Ok(words.join(" ")),
    }
}

fn yes_or_no(word: &str) -> Result<&'static str, String> {
    match word {
        _ if word.eq_ignore_ascii_case("yes") => Ok("yes"),
        _ if word.eq_ignore_ascii_case("no") => Ok("no"),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

/// A number as Redis takes it: decimal, without sign `+`, leading zeros or spaces.
fn strict_integer(word: &str) -> Option<i64> {
    let number: i64 = word.parse().ok()?;
    (number.to_string() == word).then_some(number)
}

fn integer(word: &str, min: i64, max: i64) -> Result<i64, String> {
    let number = strict_integer(word).ok_or("argument couldn't be parsed into an integer")?;
    if number < min || number > max {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(number)
}

/// A number as C's `strtoll` takes the whole of a word: a sign and leading zeros are fine.
pub(super) fn lenient_integer(word: &str) -> Option<i64> {
    word.parse().ok()
}

/// Bytes written as a memory size (`100`, `1k` = 1000, `1kb` = 1024, `1gb`); `None` if it is none or above 2^64. No
/// digits at all are 0: tools switch a limit off with the empty text, as Redis lets them.
pub fn memory_bytes(word: &str) -> Option<u64> {
    let digits_end = word.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at_checked(digits_end)?;
    let multiplier: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let number = if digits.is_empty() { 0 } else { digits.parse::<u64>().ok()? };
    number.checked_mul(multiplier)
}

/// A canonical number as Redis clamps some in silence.
pub(super) fn clamped(text: &str, least: i64, most: i64) -> String {
    text.parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.clamp(least, most).to_string())
}

/// The text if `is_good`, else `reason`.
pub(super) fn kept_if(is_good: bool, text: &str, reason: &str) -> Result<String, String> {
    if is_good { Ok(text.to_owned()) } else { Err(reason.to_owned()) }
}

fn size(word: &str, min: u64, max: u64) -> Result<u64, String> {
    let bytes = memory_bytes(word).ok_or("argument must be a memory value")?;
    if bytes < min || bytes > max {
        return Err(format!("argument must be between {min} and {max} inclusive"));
    }
    Ok(bytes)
}

fn size_or_percent(word: &str) -> Result<String, String> {
    const REASON: &str = "argument must be a memory or percent value";
    match word.strip_suffix('%') {
        Some(digits) => match strict_integer(digits) {
            Some(percent @ 0..=100) => Ok(format!("{percent}%")),
            Some(percent) if percent > 100 => {
                Err("percentage argument must be less or equal to 100".to_owned())
            }
            _ => Err(REASON.to_owned()),
        },
        None => memory_bytes(word).map(|bytes| bytes.to_string()).ok_or_else(|| REASON.to_owned()),
    }
}

fn octal(word: &str) -> Result<String, String> {
    let is_octal = !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(word, 8) {
        Ok(permissions @ 0..=0o777) if is_octal => Ok(format!("{permissions:o}")),
        Ok(_) if is_octal => Err("argument must be between 0 and 777 inclusive".to_owned()),
        _ => Err("argument couldn't be parsed as an octal number".to_owned()),
    }
}

fn choice(word: &str, choices: &[&'static str]) -> Result<&'static str, String> {
    let found = choices.iter().find(|choice| choice.eq_ignore_ascii_case(word));
    found.copied().ok_or_else(|| format!("argument(s) must be one of the following: {}", choices.join(", ")))
}

fn flags(words: &[&str], choices: &[&'static str]) -> Result<String, String> {
    let mut set = Vec::new();
    // No word at all is as wrong as an unknown one.
    let none = [""];
    for word in if words.is_empty() { &none } else { words } {
        set.push(choice(word, choices)?);
    }
    // The first choice means "none of the others".
    let named = choices.iter().skip(1).filter(|choice| set.contains(*choice)).copied();
    let text = named.collect::<Vec<_>>().join(" ");
    match choices.first() {
        Some(none) if text.is_empty() => Ok((*none).to_owned()),
        _ => Ok(text),
    }
}

fn event_classes(word: &str) -> Result<String, String> {
    const ALL: &str = "g$lshzxetd";
    const OTHERS: &str = "KEmn";
    if !word.chars().all(|class| class == 'A' || ALL.contains(class) || OTHERS.contains(class)) {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let all = word.contains('A') || ALL.chars().all(|class| word.contains(class));
    let mut text =
        if all { "A".to_owned() } else { ALL.chars().filter(|class| word.contains(*class)).collect() };
    text.extend(OTHERS.chars().filter(|class| word.contains(*class)));
    Ok(text)
}

/// At most six digits after the point and no zeros at the end.
fn short_decimal(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn percentiles(words: &[&str]) -> Result<String, String> {
    let mut texts = Vec::with_capacity(words.len());
    for word in words {
        let percentile = word.parse::<f64>().ok().filter(|number| !number.is_nan());
        let percentile = percentile.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".to_owned()
            );
        }
        texts.push(short_decimal(percentile));
    }
    Ok(texts.join(" "))
}

fn save_points(words: &[&str]) -> Result<String, String> {
    const REASON: &str = "Invalid save parameters";
    if !words.len().is_multiple_of(2) {
        return Err(REASON.to_owned());
    }
    let mut texts = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let least = if index.is_multiple_of(2) { 1 } else { 0 };
        // Nothing at all counts as 0, for which a second space is enough.
        let number = if word.is_empty() { Some(0) } else { lenient_integer(word) };
        texts.push(number.filter(|number| *number >= least).ok_or(REASON)?.to_string());
    }
    Ok(texts.join(" "))
}

/// The classes of clients as canonical texts order them.
const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

fn output_buffer_limits(words: &[&str], current: &str) -> Result<String, String> {
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let mut limits: Vec<String> =
        current.split_whitespace().collect::<Vec<_>>().chunks(4).map(|group| group.join(" ")).collect();
    for [class, hard, soft, soft_seconds] in groups {
        let canonical_class = if class.eq_ignore_ascii_case("replica") { "slave" } else { class };
        let index = CLIENT_CLASSES.iter().position(|known| known.eq_ignore_ascii_case(canonical_class));
        let index = index.ok_or("Invalid client class specified in buffer limit configuration.")?;
        let seconds = if soft_seconds.is_empty() { Some(0) } else { lenient_integer(soft_seconds) };
        let seconds = seconds.filter(|seconds| (0..=i64::from(i32::MAX)).contains(seconds));
        let (Some(hard), Some(soft), Some(seconds)) = (memory_bytes(hard), memory_bytes(soft), seconds)
        else {
            return Err(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.".to_owned()
            );
        };
        let limit = format!("{} {hard} {soft} {seconds}", CLIENT_CLASSES.get(index).unwrap_or(&"normal"));
        match limits.get_mut(index) {
            Some(place) => *place = limit,
            None => limits.push(limit),
        }
    }
    Ok(limits.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::known::find;

    fn read(name: &str, words: &[&str]) -> Result<String, String> {
        let (_, directive) = find(name.as_bytes()).unwrap();
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        canonical(directive, &words, directive.default)
    }

    fn reason(name: &str, value: &str) -> String {
        read(name, &[value]).unwrap_err()
    }

    #[test]
    fn sizes_are_printed_as_bytes() {
        let read = |value| read("maxmemory", &[value]).unwrap();
        assert_eq!(read("10b"), "10");
        assert_eq!(read("1k"), "1000");
        assert_eq!(read("1KB"), "1024");
        assert_eq!(read("2m"), "2000000");
        assert_eq!(read("5mb"), "5242880");
        assert_eq!(read("3g"), "3000000000");
        assert_eq!(read("1Gb"), "1073741824");
        assert_eq!((read(""), read("gb")), ("0".to_owned(), "0".to_owned()));
        for value in
            ["abc", "-1", "1tb", "1.5gb", "50%", " 1", "0x10", "18446744073709551616", "99999999999999gb"]
        {
            assert_eq!(reason("maxmemory", value), "argument must be a memory value", "{value}");
        }
        assert_eq!(
            reason("proto-max-bulk-len", "10"),
            "argument must be between 1048576 and 9223372036854775807 inclusive"
        );
    }

    #[test]
    fn percentages_of_memory() {
        let read = |value: &str| read("maxmemory-clients", &[value]);
        assert_eq!(read("5%").unwrap(), "5%");
        assert_eq!(read("1mb").unwrap(), "1048576");
        assert_eq!(read("200%").unwrap_err(), "percentage argument must be less or equal to 100");
        assert_eq!(read("x%").unwrap_err(), "argument must be a memory or percent value");
    }

    #[test]
    fn integers_are_strict() {
        assert_eq!(read("timeout", &["5"]).unwrap(), "5");
        for value in ["", " 5", "+5", "05", "0x10", "1k", "-0"] {
            assert_eq!(reason("timeout", value), "argument couldn't be parsed into an integer", "{value}");
        }
        assert_eq!(reason("timeout", "-1"), "argument must be between 0 and 2147483647 inclusive");
        assert_eq!(reason("maxclients", "0"), "argument must be between 1 and 4294967295 inclusive");
        assert_eq!(read("unixsocketperm", &["0770"]).unwrap(), "770");
        assert_eq!(reason("unixsocketperm", "9"), "argument couldn't be parsed as an octal number");
        assert_eq!(reason("unixsocketperm", "1777"), "argument must be between 0 and 777 inclusive");
        assert_eq!(read("port", &["1", "2"]).unwrap_err(), "wrong number of arguments");
        assert_eq!(read("port", &[]).unwrap_err(), "wrong number of arguments");
    }

    #[test]
    fn words_from_a_closed_set() {
        assert_eq!(read("maxmemory-policy", &["AllKeys-LRU"]).unwrap(), "allkeys-lru");
        assert_eq!(
            reason("loglevel", "foo"),
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing"
        );
        assert_eq!(reason("appendonly", "maybe"), "argument must be 'yes' or 'no'");
        assert_eq!(read("profiling", &["off"]).unwrap(), "no");
        assert_eq!(reason("latency-tracking", "off"), "argument must be 'yes' or 'no'");
        assert_eq!(read("shutdown-on-sigterm", &["force", "now", "default"]).unwrap(), "now force");
    }

    #[test]
    fn lists() {
        assert_eq!(read("bind", &["127.0.0.1", "::1"]).unwrap(), "127.0.0.1 ::1");
        assert_eq!(read("bind", &["127.0.0.1 ::1"]).unwrap(), "127.0.0.1 ::1");
        assert_eq!(read("bind", &[""]).unwrap(), "");
        assert_eq!(read("bind", &["::1"; 17]).unwrap_err(), "Too many bind addresses specified.");
        assert_eq!(read("save", &["3600", "1", "300", "100"]).unwrap(), "3600 1 300 100");
        assert_eq!(read("save", &[""]).unwrap(), "");
        assert_eq!(read("save", &["+60 010"]).unwrap(), "60 10");
        for value in ["100", "abc", "0 1", "100 -1", "1 1 1", " "] {
            assert_eq!(reason("save", value), "Invalid save parameters", "{value}");
        }
        assert_eq!(
            read("latency-tracking-info-percentiles", &["0.001 50 99.999 100.0"]).unwrap(),
            "0.001 50 99.999 100"
        );
        assert_eq!(read("latency-tracking-info-percentiles", &["12.3456789 1e-7"]).unwrap(), "12.345679 0");
        assert!(
            reason("latency-tracking-info-percentiles", "50  99").starts_with("Invalid latency-tracking")
        );
        assert!(
            reason("latency-tracking-info-percentiles", "101").contains("should sit between [0.0,100.0]")
        );
        assert!(reason("latency-tracking-info-percentiles", "nan").starts_with("Invalid latency-tracking"));
        assert!(reason("latency-tracking-info-percentiles", "a").starts_with("Invalid latency-tracking"));
    }

    #[test]
    fn buffer_limits_change_only_the_classes_they_name() {
        let read = |value: &str| read("client-output-buffer-limit", &[value]);
        assert_eq!(
            read("normal 1mb 2kb 10 replica 1 2 3").unwrap(),
            "normal 1048576 2048 10 slave 1 2 3 pubsub 33554432 8388608 60"
        );
        assert_eq!(
            read("normal 0 0").unwrap_err(),
            "Wrong number of arguments in buffer limit configuration."
        );
        assert_eq!(
            read("master 1 0 0").unwrap_err(),
            "Invalid client class specified in buffer limit configuration."
        );
        for value in ["normal a 0 0", "normal -1 0 0", "normal 0 0 -1"] {
            assert_eq!(
                read(value).unwrap_err(),
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            );
        }
    }

    #[test]
    fn event_classes_are_ordered() {
        let read = |value: &str| read("notify-keyspace-events", &[value]);
        assert_eq!(read("KEA").unwrap(), "AKE");
        assert_eq!(read("gKE$").unwrap(), "g$KE");
        assert_eq!(read("xyz").unwrap_err(), "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let (_, directive) = find(b"requirepass").unwrap();
        assert_eq!(canonical(directive, &[b"\xff"], ""), Err("argument must be UTF-8 text".to_owned()));
    }
}
