//! Requests laid out once and patched: RESP bytes in which only the digits of the key numbers change.
//!
//! Invariants:
//! 1. A template's length never changes: every key number has `KEY_DIGITS` digits.
//! 2. Every placeholder of a request draws its own key number.
//!
//! Thread safety: templates are immutable and shared; the buffers belong to the caller.

use super::keys::{KEY_DIGITS, KeySource, Random, write_key_digits};

/// One request with holes for key numbers.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    bytes: Vec<u8>,
    /// Offsets of the digits of each key number.
    digits_at: Vec<usize>,
}

impl RequestTemplate {
    /// `GET <prefix><number>`.
    pub fn get(key_prefix: &str) -> Self {
        Self::of_arguments(&[b"GET".to_vec(), key_argument(key_prefix)])
    }

    /// `SET <prefix><number> <value>`, with `EX <ttl_seconds>` when given.
    pub fn set(key_prefix: &str, value: &[u8], ttl_seconds: Option<u64>) -> Self {
        let mut arguments = vec![b"SET".to_vec(), key_argument(key_prefix), value.to_vec()];
        if let Some(ttl_seconds) = ttl_seconds {
            arguments.extend([b"EX".to_vec(), ttl_seconds.to_string().into_bytes()]);
        }
        Self::of_arguments(&arguments)
    }

    /// A command line in which `{key}` stands for a key, `{number}` (or `__rand_int__`, as in `valkey-benchmark`) for a
    /// key's number alone and `{value}` for the value. Arguments with spaces are put in double quotes.
    ///
    /// # Errors
    /// A description when the line is empty or a quote is not closed.
    pub fn custom(line: &str, key_prefix: &str, value: &[u8]) -> Result<Self, String> {
        let arguments: Vec<Vec<u8>> = split_arguments(line)?
            .into_iter()
            .map(|argument| {
                let mut bytes = argument.into_bytes();
                bytes = replace(&bytes, b"{key}", &key_argument(key_prefix));
                bytes = replace(&bytes, b"{number}", &HOLE);
                bytes = replace(&bytes, b"__rand_int__", &HOLE);
                replace(&bytes, b"{value}", value)
            })
            .collect();
        if arguments.is_empty() {
            return Err("the command is empty".to_owned());
        }
        Ok(Self::of_arguments(&arguments))
    }

    fn of_arguments(arguments: &[Vec<u8>]) -> Self {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        let digits_at = memchr::memmem::find_iter(&bytes, &HOLE).collect();
        Self { bytes, digits_at }
    }

    /// Appends one request to `out`, its key numbers drawn from `keys`. Returns `false`, with `out` unchanged, when
    /// `keys` has ended.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, keys: &mut KeySource, random: &mut Random) -> bool {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for &at in &self.digits_at {
            let digits = out.get_mut(start + at..).and_then(|tail| tail.first_chunk_mut::<KEY_DIGITS>());
            match (digits, keys.next(random)) {
                (Some(digits), Some(number)) => write_key_digits(digits, number),
                _ => {
                    out.truncate(start);
                    return false;
                }
            }
        }
        true
    }
}

/// Marks the digits while a template is laid out: bytes that no UTF-8 text (prefix, value, command) can hold.
const HOLE: [u8; KEY_DIGITS] = [0xff; KEY_DIGITS];

fn key_argument(key_prefix: &str) -> Vec<u8> {
    [key_prefix.as_bytes(), &HOLE].concat()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for at in memchr::memmem::find_iter(bytes, from) {
        out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
        out.extend_from_slice(to);
        done = at + from.len();
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out
}

fn split_arguments(line: &str) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            space if space.is_whitespace() && !quoted => arguments.extend(current.take()),
            other => current.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err("a double quote is not closed".to_owned());
    }
    arguments.extend(current);
    Ok(arguments)
}

/// Several templates, each drawn with a probability.
#[derive(Clone, Debug)]
pub struct RequestMix {
    /// Each template with the number of draws out of `total` that are below its end.
    choices: Vec<(u64, RequestTemplate)>,
    total: u64,
}

impl RequestMix {
    /// Every request is of this template.
    pub fn only(template: RequestTemplate) -> Self {
        Self { choices: vec![(1, template)], total: 1 }
    }

    /// Draws `first` and `second` in the ratio of their weights, of which one must be above 0.
    pub fn of_two(first: (u32, RequestTemplate), second: (u32, RequestTemplate)) -> Self {
        let mut mix = Self { choices: Vec::new(), total: 0 };
        for (weight, template) in [first, second] {
            if weight > 0 {
                mix.total += u64::from(weight);
                mix.choices.push((mix.total, template));
            }
        }
        mix
    }

    /// Appends one request; `false` when the keys have ended.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, keys: &mut KeySource, random: &mut Random) -> bool {
        if let [(_, only)] = self.choices.as_slice() {
            return only.append(out, keys, random);
        }
        let drawn = random.below(self.total);
        self.choices.iter().find(|(end, _)| drawn < *end).is_some_and(|(_, it)| it.append(out, keys, random))
    }
}

/// A value of `size_bytes` printable bytes that do not compress, the same for the same seed.
pub fn value_bytes(size_bytes: usize, seed: u64) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = Random::new(seed);
    (0..size_bytes).map(|_| ALPHABET[random.below(64) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::keys::KeyDistribution;

    fn rendered(mix: &RequestMix, mut keys: KeySource) -> Option<String> {
        let mut out = Vec::new();
        mix.append(&mut out, &mut keys, &mut Random::new(1)).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn requests_are_resp_with_padded_keys() {
        let get = RequestMix::only(RequestTemplate::get("key:"));
        let sequence = KeySource::Sequential { next: 7, end: 8 };
        assert_eq!(
            rendered(&get, sequence.clone()).unwrap(),
            "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000007\r\n"
        );
        let set = RequestMix::only(RequestTemplate::set("k", b"val", Some(60)));
        assert_eq!(
            rendered(&set, sequence).unwrap(),
            "*5\r\n$3\r\nSET\r\n$13\r\nk000000000007\r\n$3\r\nval\r\n$2\r\nEX\r\n$2\r\n60\r\n"
        );
        assert_eq!(rendered(&get, KeySource::Sequential { next: 8, end: 8 }), None);
    }

    #[test]
    fn custom_commands_are_split_and_filled() {
        let line = r#"HSET h:{key} "a field" {value} __rand_int__ {number}"#;
        let custom = RequestMix::only(RequestTemplate::custom(line, "k:", b"V").unwrap());
        assert_eq!(
            rendered(&custom, KeySource::Sequential { next: 0, end: 9 }).unwrap(),
            "*6\r\n$4\r\nHSET\r\n$16\r\nh:k:000000000000\r\n$7\r\na field\r\n$1\r\nV\r\n\
             $12\r\n000000000001\r\n$12\r\n000000000002\r\n"
        );
        let ping = RequestMix::only(RequestTemplate::custom("PING", "k", b"").unwrap());
        assert_eq!(
            rendered(&ping, KeySource::Sequential { next: 0, end: 0 }).unwrap(),
            "*1\r\n$4\r\nPING\r\n"
        );
        assert!(RequestTemplate::custom("  ", "k", b"").is_err());
        assert!(RequestTemplate::custom("GET \"x", "k", b"").is_err());
    }

    #[test]
    fn a_mix_follows_its_ratio() {
        let (set, get) = (RequestTemplate::set("k", b"v", None), RequestTemplate::get("k"));
        let mix = RequestMix::of_two((1, set.clone()), (3, get.clone()));
        let mut keys = KeySource::random(KeyDistribution::Uniform, 100);
        let (mut random, mut out, mut sets) = (Random::new(3), Vec::new(), 0);
        for _ in 0..10_000 {
            out.clear();
            assert!(mix.append(&mut out, &mut keys, &mut random));
            sets += u32::from(out.starts_with(b"*3"));
        }
        assert!((2_300..2_700).contains(&sets), "{sets}");
        assert_eq!(RequestMix::of_two((0, set), (1, get)).choices.len(), 1);
    }

    #[test]
    fn values_are_reproducible() {
        assert_eq!(value_bytes(32, 5), value_bytes(32, 5));
        assert_ne!(value_bytes(32, 5), value_bytes(32, 6));
        assert_eq!(value_bytes(0, 5).len(), 0);
    }
}
