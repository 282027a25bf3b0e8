//! A user's own trace: CSV lines `op,key,size,ttl`, read as a stream.
//!
//! Invariants:
//! 1. Memory is bounded by `LINE_BYTES_MAX`, whatever the file.
//! 2. An error names file and line, and nothing after that line is played.
//!
//! Thread safety: every player thread opens its own reader, so that none waits for another.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A longer line is no trace: keys are names, and values are given by their size.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The largest size that is played; bigger values would be a trace of something else than a cache.
const SIZE_BYTES_MAX: u32 = 64 << 20;
/// Ten years: longer times to live are mistakes of unit.
const TTL_SECONDS_MAX: u32 = 315_360_000;
/// Reads in large pieces, since a trace is read once from front to back.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// GET; on a miss the key is set if the line gives a size, as a cache in front of a database would.
    Get,
    Set,
    /// SET NX.
    Add,
    Append,
    Del,
    Incr,
    Decr,
    Exists,
    Touch,
    Expire,
}

const VERBS: [(&str, Verb); 14] = [
    ("get", Verb::Get),
    ("gets", Verb::Get),
    ("set", Verb::Set),
    ("replace", Verb::Set),
    ("cas", Verb::Set),
    ("add", Verb::Add),
    ("append", Verb::Append),
    ("del", Verb::Del),
    ("delete", Verb::Del),
    ("incr", Verb::Incr),
    ("decr", Verb::Decr),
    ("exists", Verb::Exists),
    ("touch", Verb::Touch),
    ("expire", Verb::Expire),
];

/// One line of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    pub verb: Verb,
    pub key: &'a [u8],
    pub size_bytes: Option<u32>,
    pub ttl_seconds: Option<u32>,
}

/// A trace that cannot be played.
#[derive(Debug)]
pub enum CsvError {
    /// The file could not be opened or read.
    Read { path: PathBuf, source: io::Error },
    /// A line is not `op,key,size,ttl`.
    Line { path: PathBuf, line: u64, text: String },
}

impl fmt::Display for CsvError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(out, "{}: {source}", path.display()),
            Self::Line { path, line, text } => write!(
                out,
                "{}:{line}: {text}\n  expected op,key,size,ttl, for example `set,user:1,512,60` or `get,user:1`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for CsvError {}

/// Reads steps from a file.
pub struct CsvReader {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    line_number: u64,
}

impl CsvReader {
    /// # Errors
    /// `Read` when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, CsvError> {
        let failed = |source| CsvError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        Ok(Self { path: path.to_owned(), reader, line: Vec::new(), line_number: 0 })
    }

    /// The next step, or `None` at the end. Empty lines, lines that start with `#`, and a header are left out.
    ///
    /// # Errors
    /// `Read`, or `Line` with the number of a line that is wrong.
    pub fn next(&mut self) -> Result<Option<Step<'_>>, CsvError> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let count = (&mut self.reader)
                .take(limit)
                .read_until(b'\n', &mut self.line)
                .map_err(|source| CsvError::Read { path: self.path.clone(), source })?;
            if count == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            if count as u64 == limit {
                return Err(self.wrong(format!("a line of more than {LINE_BYTES_MAX} bytes")));
            }
            while self.line.last().is_some_and(u8::is_ascii_whitespace) {
                self.line.pop();
            }
            let is_header = self.line_number == 1 && self.line.to_ascii_lowercase().starts_with(b"op,");
            if !self.line.is_empty() && !self.line.starts_with(b"#") && !is_header {
                break;
            }
        }
        let (path, line) = (&self.path, self.line_number);
        parse_line(&self.line).map(Some).map_err(|text| CsvError::Line { path: path.clone(), line, text })
    }

    fn wrong(&self, text: String) -> CsvError {
        CsvError::Line { path: self.path.clone(), line: self.line_number, text }
    }
}

fn parse_line(line: &[u8]) -> Result<Step<'_>, String> {
    let (op, rest) = split_field(line)?;
    let (key, rest) = split_field(rest.ok_or("there is no key")?)?;
    let (size, rest) = rest.map_or(Ok((&b""[..], None)), split_field)?;
    let (ttl, rest) = rest.map_or(Ok((&b""[..], None)), split_field)?;
    if rest.is_some() {
        return Err("more than four fields".to_owned());
    }
    let name = String::from_utf8_lossy(op).to_ascii_lowercase();
    let verb = VERBS.iter().find(|(known, _)| *known == name).map(|(_, verb)| *verb).ok_or_else(|| {
        let known: Vec<&str> = VERBS.iter().map(|(known, _)| *known).collect();
        format!("unknown op `{name}` (known: {})", known.join(" "))
    })?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    let step = Step {
        verb,
        key,
        size_bytes: number("size", size, SIZE_BYTES_MAX)?,
        ttl_seconds: number("ttl", ttl, TTL_SECONDS_MAX)?.filter(|&ttl_seconds| ttl_seconds > 0),
    };
    if matches!(verb, Verb::Set | Verb::Add | Verb::Append) && step.size_bytes.is_none() {
        return Err(format!("`{name}` needs a size in bytes"));
    }
    if verb == Verb::Expire && step.ttl_seconds.is_none() {
        return Err("`expire` needs a ttl in seconds".to_owned());
    }
    Ok(step)
}

/// The first field and what follows its comma. A field in double quotes may hold commas, but no quotes.
fn split_field(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), String> {
    if let Some(quoted) = bytes.strip_prefix(b"\"") {
        let end = memchr::memchr(b'"', quoted).ok_or("a double quote is not closed")?;
        let (field, rest) = quoted.split_at(end);
        return match rest.get(1..) {
            None | Some([]) => Ok((field, None)),
            Some([b',', rest @ ..]) => Ok((field, Some(rest))),
            Some(_) => Err("text after a closing double quote".to_owned()),
        };
    }
    match memchr::memchr(b',', bytes) {
        Some(comma) => Ok((bytes.get(..comma).unwrap_or_default().trim_ascii(), bytes.get(comma + 1..))),
        None => Ok((bytes.trim_ascii(), None)),
    }
}

fn number(what: &str, field: &[u8], max: u32) -> Result<Option<u32>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(field);
    match text.parse::<u32>() {
        Ok(number) if number <= max => Ok(Some(number)),
        _ => Err(format!("the {what} `{text}` is not a whole number up to {max}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    type OwnedStep = (Verb, String, Option<u32>, Option<u32>);

    fn read(text: &[u8]) -> Result<Vec<OwnedStep>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut reader = CsvReader::open(file.path()).unwrap();
        let mut steps = Vec::new();
        loop {
            match reader.next() {
                Ok(None) => return Ok(steps),
                Ok(Some(step)) => steps.push((
                    step.verb,
                    String::from_utf8_lossy(step.key).into_owned(),
                    step.size_bytes,
                    step.ttl_seconds,
                )),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn lines_become_steps() {
        let text = b"op,key,size,ttl\nget,user:1\r\nSET,user:1,512,60\n\n# a comment\n\
            set,\"a,b\",0,0\nget,user:2,100\ndelete,user:1,,\nexpire,k,,5";
        assert_eq!(
            read(text).unwrap(),
            [
                (Verb::Get, "user:1".to_owned(), None, None),
                (Verb::Set, "user:1".to_owned(), Some(512), Some(60)),
                (Verb::Set, "a,b".to_owned(), Some(0), None),
                (Verb::Get, "user:2".to_owned(), Some(100), None),
                (Verb::Del, "user:1".to_owned(), None, None),
                (Verb::Expire, "k".to_owned(), None, Some(5)),
            ]
        );
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn errors_name_the_line_and_the_reason() {
        for (text, line, reason) in [
            (&b"get,a\nfly,a\n"[..], 2, "unknown op `fly`"),
            (b"get\n", 1, "there is no key"),
            (b"get,\n", 1, "the key is empty"),
            (b"op,key\nset,a\n", 2, "`set` needs a size"),
            (b"set,a,big\n", 1, "the size `big`"),
            (b"set,a,-1\n", 1, "the size `-1`"),
            (b"set,a,99999999999\n", 1, "the size `99999999999`"),
            (b"set,a,1,x\n", 1, "the ttl `x`"),
            (b"\n\nexpire,a\n", 3, "`expire` needs a ttl"),
            (b"get,a,1,2,3\n", 1, "more than four fields"),
            (b"get,\"a\n", 1, "a double quote is not closed"),
            (b"get,\"a\"b,1\n", 1, "text after a closing"),
            (b"\xff\xfe,a\n", 1, "unknown op"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(&format!(":{line}: {reason}")), "{error} should be {line}: {reason}");
        }
        let endless = vec![b'x'; LINE_BYTES_MAX + 1];
        assert!(read(&endless).unwrap_err().contains("a line of more than"));
        assert!(CsvReader::open(Path::new("/nonexistent/trace.csv")).is_err());
    }
}
