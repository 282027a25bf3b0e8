//! CONFIG against real servers: for every directive of the table, values good and bad are set on Limpid and on a
//! reference, and the reply to CONFIG SET and what CONFIG GET says afterwards are compared byte for byte.
//!
//! The probes come from the directive's kind (`configuration/values.rs`). What differs on purpose, or because the
//! feature is absent, stands with its reason in `configuration/known.rs`; the comparison fails on a difference that is
//! not there, and on an entry there that is none any more.
//!
//! What a change does beyond its reply is in `configuration/changes.rs`.
//!
//! The servers live in directories of their own that are removed, and no probe names another place where they could
//! write.

#[path = "configuration/changes.rs"]
mod changes;
mod harness;
#[path = "configuration/known.rs"]
mod known;
#[path = "configuration/values.rs"]
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use engine::config::directives;
use harness::client::Client;
use harness::programs;
use harness::server::{Program, Server};

/// What stands for a server's own directory and port.
const DIRECTORY: &str = "@directory";
const PORT: &str = "@port";

/// What stands for a port that somebody else listens on.
const TAKEN: &[u8] = b"@taken";

/// One server as the comparison sees it.
struct Side {
    server: Server,
    client: Client,
    taken: u16,
}

/// What a server made of one probe.
#[derive(Debug, PartialEq)]
struct Outcome {
    reply: String,
    value: String,
}

impl Side {
    fn start(program: &Program, taken: u16) -> Side {
        // The directives that name directories are compared too.
        let server = Server::start(program, &["--enable-protected-configs", "yes"]);
        let client = server.client();
        Side { server, client, taken }
    }

    /// CONFIG GET's value; `None` if the server does not know the name.
    fn get(&mut self, name: &str) -> Option<String> {
        let reply = self.client.call(&["CONFIG", "GET", name]).value;
        let value = reply.elements().get(1)?.bytes().escape_ascii().to_string();
        Some(self.without_itself(&value))
    }

    /// `text` without what no other server can have.
    fn without_itself(&self, text: &str) -> String {
        let directory = self.server.directory().canonicalize().expect("it lives as long as the server");
        let text = text.replace(&directory.display().to_string(), DIRECTORY);
        if text == self.server.port.to_string() { PORT.to_owned() } else { text }
    }

    fn set(&mut self, name: &str, value: &[u8]) -> String {
        let reply = self.client.call(&[b"CONFIG".as_slice(), b"SET", name.as_bytes(), value]);
        reply.raw.escape_ascii().to_string()
    }

    /// Sets `value`, looks, and puts back what was there.
    fn probe(&mut self, name: &str, value: &[u8]) -> Outcome {
        let before = self.client.call(&["CONFIG", "GET", name]).value;
        let before = before.elements().get(1).map(|text| text.bytes().to_vec()).unwrap_or_default();
        let text = match value {
            TAKEN => self.taken.to_string().into_bytes(),
            value => value.to_vec(),
        };
        let reply = self.set(name, &text);
        let value = self.get(name).unwrap_or_default();
        self.set(name, &before);
        Outcome { reply, value }
    }
}

/// Every difference between the reference and Limpid, by directive and value, with both outcomes.
fn differences(reference: &Program) -> BTreeMap<(String, String), String> {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken_port = taken.local_addr().expect("its address").port();
    let mut theirs = Side::start(reference, taken_port);
    let mut ours = Side::start(&Program::limpid(), taken_port);
    let mut found = BTreeMap::new();
    let (mut compared, mut probes) = (0, 0);
    for directive in directives() {
        let Some(default) = theirs.get(directive.name) else { continue };
        compared += 1;
        let our_default = ours.get(directive.name).unwrap_or_default();
        if default != our_default {
            let text = format!("reference: {default}\n    limpid:    {our_default}");
            found.insert((directive.name.to_owned(), "(default)".to_owned()), text);
        }
        for value in values::of(directive) {
            probes += 1;
            let (their, our) = (theirs.probe(directive.name, &value), ours.probe(directive.name, &value));
            let is_same = their.reply == our.reply
                // What a default made different stays different while nothing is changed.
                && (their.value == our.value || (their.value == default && our.value == our_default));
            if !is_same {
                let text = format!("reference: {their:?}\n    limpid:    {our:?}");
                found.insert((directive.name.to_owned(), value.escape_ascii().to_string()), text);
            }
        }
    }
    println!("{compared} directives, {probes} values, {} differences", found.len());
    assert!(compared > 150, "the reference knows only {compared} directives");
    found
}

/// The differences are the known ones and no others.
fn compare(reference: &Program, on: known::On) {
    let found = differences(reference);
    let known: BTreeSet<(String, String)> = known::differences(on);
    let new: Vec<String> = found
        .iter()
        .filter(|(place, _)| !known.contains(*place))
        .map(|((name, value), text)| format!("{name} \"{value}\"\n    {text}"))
        .collect();
    let gone: Vec<String> = known
        .iter()
        .filter(|place| !found.contains_key(*place))
        .map(|(name, value)| format!("{name} \"{value}\""))
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{} new differences:\n{}\n{} known ones that are gone:\n{}",
        new.len(),
        new.join("\n"),
        gone.len(),
        gone.join("\n")
    );
}

mod needs_redis_server {
    use super::*;

    #[test]
    fn every_directive_takes_and_refuses_what_redis_7_does() {
        compare(&Program::other(programs::require("redis-server", "redis-server"), &[]), known::On::Redis7);
    }
}

mod needs_valkey {
    use super::*;

    #[test]
    fn every_directive_takes_and_refuses_what_valkey_9_does() {
        compare(&Program::other(programs::require_peers(), &["valkey-server"]), known::On::Valkey9);
    }
}
