//! Whether two replies to one request mean the same: byte for byte, but for the few commands whose reply
//! has no order, or depends on a clock or on chance.

use crate::harness::reply::{Reply, Value};

/// Two servers get a request one after the other; their clocks may differ by this much.
const CLOCK_TOLERANCE_MS: i64 = 250;

/// Times later than this were given absolutely and must be exact.
const ABSOLUTE_FROM_SECONDS: i64 = 4_000_000_000;

/// How replies to a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    /// Elements in any order.
    Unordered,
    /// Time left, give or take.
    Left(i64),
    /// A point in time, exact when it was given as one.
    At {
        absolute_from: i64,
        tolerance: i64,
    },
    /// `embstr` and `raw`: from which length a value is kept apart differs between servers.
    Encoding,
    /// Both find a key, or neither does.
    SomeKey,
    /// Reference counts: what is shared with what is an implementation's own affair.
    AnyNumber,
    /// Both refuse or both accept: texts of the server about itself.
    Verdict,
}

/// What Redis 7.0 answered and later servers answer differently: command, beginning of the old reply and of
/// the new one, where `""` is any. Limpid follows Valkey 9.
const CHANGED_SINCE_7_0: &[(&str, &str, &str)] = &[
    // The expiry is now checked before the key is looked up.
    ("GETEX", "$-1", "-ERR value is not an integer"),
    ("GETEX", "$-1", "-ERR invalid expire time"),
];

/// The rule for the replies to one request.
#[derive(Clone, Debug)]
pub struct Rule {
    name: String,
    kind: Kind,
    reference_is_7_0: bool,
}

impl Rule {
    pub fn of(arguments: &[Vec<u8>], reference_is_7_0: bool) -> Rule {
        let name = arguments.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).into_owned();
        let second = arguments.get(1).map(Vec::as_slice).unwrap_or_default();
        let kind = match name.as_str() {
            "KEYS" => Kind::Unordered,
            "TTL" => Kind::Left(1),
            "PTTL" => Kind::Left(CLOCK_TOLERANCE_MS),
            "EXPIRETIME" => Kind::At { absolute_from: ABSOLUTE_FROM_SECONDS, tolerance: 1 },
            "PEXPIRETIME" => {
                Kind::At { absolute_from: ABSOLUTE_FROM_SECONDS * 1000, tolerance: CLOCK_TOLERANCE_MS }
            }
            "RANDOMKEY" => Kind::SomeKey,
            "OBJECT" if second.eq_ignore_ascii_case(b"ENCODING") => Kind::Encoding,
            "OBJECT" if second.eq_ignore_ascii_case(b"REFCOUNT") => Kind::AnyNumber,
            "HELLO" => Kind::Verdict,
            _ => Kind::Exact,
        };
        Rule { name, kind, reference_is_7_0 }
    }

    /// Whether `ours` says the same as `theirs`.
    pub fn accepts(&self, theirs: &Reply, ours: &Reply) -> bool {
        theirs.raw == ours.raw || self.accepts_value(&theirs.value, &ours.value)
    }

    fn accepts_value(&self, theirs: &Value, ours: &Value) -> bool {
        theirs == ours || self.similar(theirs, ours) || self.changed(theirs, ours)
    }

    fn similar(&self, theirs: &Value, ours: &Value) -> bool {
        if let (Value::Error(theirs), Value::Error(ours)) = (theirs, ours) {
            return repeated_bytes_apart(theirs, ours);
        }
        match (self.kind, theirs, ours) {
            (Kind::Unordered, Value::Array(theirs), Value::Array(ours)) => sorted(theirs) == sorted(ours),
            (Kind::Left(tolerance), Value::Integer(theirs), Value::Integer(ours)) => {
                close(*theirs, *ours, tolerance)
            }
            (Kind::At { absolute_from, tolerance }, Value::Integer(theirs), Value::Integer(ours)) => {
                *theirs < absolute_from && close(*theirs, *ours, tolerance)
            }
            (Kind::Encoding, Value::Bulk(theirs), Value::Bulk(ours)) => {
                [theirs, ours].iter().all(|encoding| [&b"embstr"[..], b"raw"].contains(&encoding.as_slice()))
            }
            (Kind::SomeKey, Value::Bulk(_), Value::Bulk(_)) => true,
            (Kind::AnyNumber, Value::Integer(_), Value::Integer(_)) => true,
            (Kind::Verdict, theirs, ours) => !theirs.is_error() && !ours.is_error(),
            _ => false,
        }
    }

    fn changed(&self, theirs: &Value, ours: &Value) -> bool {
        let begins = |value: &Value, with: &str| with.is_empty() || line(value).starts_with(with);
        self.reference_is_7_0
            && CHANGED_SINCE_7_0
                .iter()
                .any(|(name, old, new)| *name == self.name && begins(theirs, old) && begins(ours, new))
    }
}

/// Whether two replies to EXEC say the same, given the rules of the queued requests.
pub fn same_exec(rules: &[Rule], theirs: &Reply, ours: &Reply) -> bool {
    if theirs.raw == ours.raw {
        return true;
    }
    let (Value::Array(theirs), Value::Array(ours)) = (&theirs.value, &ours.value) else { return false };
    theirs.len() == ours.len()
        && theirs.len() == rules.len()
        && rules
            .iter()
            .zip(theirs.iter().zip(ours))
            .all(|(rule, (theirs, ours))| rule.accepts_value(theirs, ours))
}

/// Whether two error texts differ only in how they repeat bytes that cannot be printed: each server cuts and cleans
/// those its way.
fn repeated_bytes_apart(theirs: &[u8], ours: &[u8]) -> bool {
    let printable = |text: &[u8]| text.iter().all(|byte| (b' '..=b'~').contains(byte));
    let kind = |text: &[u8]| text.split(|byte| *byte == b'\'').next().map(<[u8]>::to_vec);
    (!printable(theirs) || !printable(ours)) && kind(theirs) == kind(ours)
}

fn close(theirs: i64, ours: i64, tolerance: i64) -> bool {
    theirs >= 0 && ours >= 0 && theirs.abs_diff(ours) <= tolerance.unsigned_abs()
}

/// The first line of a scalar reply.
fn line(value: &Value) -> String {
    match value {
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Simple(text) => format!("+{}", String::from_utf8_lossy(text)),
        Value::Integer(number) => format!(":{number}"),
        Value::Bulk(text) => format!("${}", String::from_utf8_lossy(text)),
        Value::Null => "$-1".to_owned(),
        _ => String::new(),
    }
}

fn sorted(values: &[Value]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = values.iter().map(|value| value.bytes().to_vec()).collect();
    all.sort();
    all
}
