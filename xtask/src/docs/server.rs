//! Builds the server, starts it, asks it one thing, and ends it.
//!
//! Knows as much of the protocol (RESP2) as the answer to COMMAND DOCS needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{provision, step};

/// A server that does not answer by then will not.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Nesting of arguments within arguments; the server's own is 4.
const DEPTH_MAX: usize = 32;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Array(Vec<Value>),
    Null,
}

impl Value {
    pub(super) fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn elements(&self) -> &[Value] {
        match self {
            Value::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The value under a key of a map, which RESP2 sends as a flat array.
    pub(super) fn get(&self, key: &str) -> &Value {
        let pairs = self.elements().chunks_exact(2);
        let mut found = pairs.filter_map(|pair| match pair {
            [name, value] if name.text() == key => Some(value),
            _ => None,
        });
        found.next().unwrap_or(&Value::Null)
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server's answer to one request.
pub(super) fn ask(root: &Path, request: &[&str]) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    step::command(root, Command::new(cargo).args(["build", "--quiet", "--locked", "--package", "limpid"]))?;
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))?
        .port();
    let binary = provision::target_directory(root).join("debug/limpid");
    let server = Command::new(&binary)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--admin-port", "0", "--save", ""])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Running(server.map_err(|error| format!("{}: {error}", binary.display()))?);
    let started = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) if started.elapsed() > START_TIMEOUT => return Err(format!("limpid: {error}")),
            Err(_) if server.0.try_wait().ok().flatten().is_some() => return Err("limpid ended".to_owned()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut bytes = format!("*{}\r\n", request.len());
    for word in request {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    let exchange =
        stream.set_read_timeout(Some(START_TIMEOUT)).and_then(|()| stream.write_all(bytes.as_bytes()));
    exchange.map_err(|error| format!("limpid: {error}"))?;
    read(&mut BufReader::new(stream), 0)
}

fn read(from: &mut impl BufRead, depth: usize) -> Result<Value, String> {
    let mut line = String::new();
    from.read_line(&mut line).map_err(|error| format!("limpid: {error}"))?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or("limpid: an empty answer")?;
    let number = || rest.parse::<i64>().map_err(|_| format!("limpid: {line}"));
    match kind {
        "+" => Ok(Value::Text(rest.to_owned())),
        ":" => Ok(Value::Integer(number()?)),
        "$" | "*" if number()? < 0 => Ok(Value::Null),
        "$" => {
            let mut bytes = Vec::new();
            let length = number()?.unsigned_abs() + 2;
            from.take(length).read_to_end(&mut bytes).map_err(|error| format!("limpid: {error}"))?;
            let text = String::from_utf8_lossy(&bytes);
            Ok(Value::Text(text.trim_end_matches("\r\n").to_owned()))
        }
        "*" if depth < DEPTH_MAX => {
            let elements: Result<Vec<Value>, String> =
                (0..number()?).map(|_| read(from, depth + 1)).collect();
            Ok(Value::Array(elements?))
        }
        _ => Err(format!("limpid: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let mut bytes: &[u8] = b"*3\r\n$3\r\na\r\n\r\n:-4\r\n*1\r\n$-1\r\n";
        let wanted = [Value::Text("a".to_owned()), Value::Integer(-4), Value::Array(vec![Value::Null])];
        assert_eq!(read(&mut bytes, 0), Ok(Value::Array(wanted.to_vec())));
        let mut error: &[u8] = b"-ERR no\r\n";
        assert!(read(&mut error, 0).is_err());
    }

    #[test]
    fn maps_are_looked_up() {
        let text = |text: &str| Value::Text(text.to_owned());
        let map = Value::Array(vec![text("since"), text("1.0"), text("group"), text("string")]);
        assert_eq!(map.get("group").text(), "string");
        assert_eq!(map.get("string"), &Value::Null);
    }
}
