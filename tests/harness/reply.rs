//! Replies of the Redis protocol (RESP2 and RESP3), as bytes and as values.
//!
//! Written independently of the `wire` crate, so that the two check each other.

use std::fmt;

/// Nesting beyond this is a fault of the server under test.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// `$-1` and `_`.
    Null,
    /// `*-1`.
    NullArray,
    Array(Vec<Value>),
    Map(Vec<Value>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Double(Vec<u8>),
    Boolean(bool),
    Verbatim(Vec<u8>),
}

impl Value {
    /// The bytes of a string or an error, and nothing of everything else.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Simple(bytes) | Value::Error(bytes) | Value::Bulk(bytes) => bytes,
            Value::Double(bytes) | Value::Verbatim(bytes) => bytes,
            _ => &[],
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => panic!("not an integer: {other:?}"),
        }
    }

    /// The elements of any aggregate; a map's are key, value, key, value.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::Array(all) | Value::Map(all) | Value::Set(all) | Value::Push(all) => all,
            _ => &[],
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Value::Error(_))
    }
}

/// One reply: its exact bytes and their meaning.
#[derive(Clone, PartialEq)]
pub struct Reply {
    pub raw: Vec<u8>,
    pub value: Value,
}

impl fmt::Debug for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES_MAX: usize = 600;
        let shown = &self.raw[..self.raw.len().min(SHOWN_BYTES_MAX)];
        write!(out, "{}", shown.escape_ascii())?;
        if shown.len() < self.raw.len() { write!(out, "... ({} bytes)", self.raw.len()) } else { Ok(()) }
    }
}

/// Why bytes are not (yet) a reply.
#[derive(Debug, PartialEq)]
pub enum Incomplete {
    More,
    Malformed(String),
}

/// The first reply in `bytes` and its length.
pub fn parse(bytes: &[u8]) -> Result<(Value, usize), Incomplete> {
    parse_nested(bytes, 0)
}

fn parse_nested(bytes: &[u8], depth: usize) -> Result<(Value, usize), Incomplete> {
    if depth > DEPTH_MAX {
        return Err(Incomplete::Malformed("nested too deeply".to_owned()));
    }
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").ok_or(Incomplete::More)?;
    let kind = bytes[0];
    let line = &bytes[1..end.max(1)];
    let after = end + 2;
    let scalar = |value| Ok((value, after));
    match kind {
        b'+' => scalar(Value::Simple(line.to_vec())),
        b'-' => scalar(Value::Error(line.to_vec())),
        b':' => scalar(Value::Integer(number(line)?)),
        b',' | b'(' => scalar(Value::Double(line.to_vec())),
        b'#' => scalar(Value::Boolean(line == b"t")),
        b'_' => scalar(Value::Null),
        b'$' | b'=' | b'!' => {
            let length = number(line)?;
            if length < 0 {
                return scalar(Value::Null);
            }
            let stop = after + length as usize;
            let body = bytes.get(after..stop).ok_or(Incomplete::More)?.to_vec();
            match bytes.get(stop..stop + 2) {
                None => return Err(Incomplete::More),
                Some(b"\r\n") => {}
                Some(_) => return Err(Incomplete::Malformed("a bulk string without its end".to_owned())),
            }
            let value = match kind {
                b'$' => Value::Bulk(body),
                b'=' => Value::Verbatim(body),
                _ => Value::Error(body),
            };
            Ok((value, stop + 2))
        }
        b'*' | b'~' | b'>' | b'%' => aggregate(bytes, kind, number(line)?, after, depth),
        _ => Err(Incomplete::Malformed(format!("unknown type: {}", bytes[..end].escape_ascii()))),
    }
}

fn aggregate(
    bytes: &[u8],
    kind: u8,
    count: i64,
    mut at: usize,
    depth: usize,
) -> Result<(Value, usize), Incomplete> {
    if count < 0 {
        return Ok((Value::NullArray, at));
    }
    let count = if kind == b'%' { count * 2 } else { count };
    let mut elements = Vec::new();
    for _ in 0..count {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty()).ok_or(Incomplete::More)?;
        let (element, length) = parse_nested(rest, depth + 1)?;
        elements.push(element);
        at += length;
    }
    let value = match kind {
        b'*' => Value::Array(elements),
        b'~' => Value::Set(elements),
        b'>' => Value::Push(elements),
        _ => Value::Map(elements),
    };
    Ok((value, at))
}

fn number(line: &[u8]) -> Result<i64, Incomplete> {
    let text = std::str::from_utf8(line).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Incomplete::Malformed(format!("not a number: {}", line.escape_ascii())))
}
