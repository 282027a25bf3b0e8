//! The forms a report can be answered in: RESP, JSON, or text for people.
//!
//! Not the reports, which are trees of figures (`observe::report::value`).
//!
//! Thread safety: pure functions.

use observe::report::value::Node;
use wire::{Protocol, Reply};

/// How a report is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Maps and arrays of the protocol; RESP2 has maps as flat arrays.
    Resp,
    /// One string of JSON.
    Json,
    /// One string to read at a terminal.
    Text,
}

impl Form {
    /// The form a word asks for.
    pub(super) fn of_word(word: &[u8]) -> Option<Form> {
        const WORDS: [(&[u8], Form); 3] =
            [(b"RESP", Form::Resp), (b"JSON", Form::Json), (b"TEXT", Form::Text)];
        WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, form)| *form)
    }
}

/// A report as a client of this protocol is sent it.
pub(super) fn encoded(report: &Node, form: Form, protocol: Protocol) -> Vec<u8> {
    let mut reply = Reply::new();
    reply.set_protocol(protocol);
    write(&mut reply, report, form);
    reply.take_bytes()
}

fn write(reply: &mut Reply, report: &Node, form: Form) {
    match form {
        Form::Resp => write_node(reply, &report.for_programs()),
        Form::Json => reply.bulk(report.to_json().to_string().as_bytes()),
        Form::Text => reply.verbatim("txt", &report.to_text()),
    }
}

/// As deep as a report is nested: a handful of levels, none of them made by clients.
fn write_node(reply: &mut Reply, node: &Node) {
    match node {
        Node::Map(entries) => {
            reply.map(entries.len());
            for (name, node) in entries {
                reply.bulk(name.as_bytes());
                write_node(reply, node);
            }
        }
        Node::List(items) => {
            reply.array(items.len());
            items.iter().for_each(|item| write_node(reply, item));
        }
        Node::Text(text) => reply.bulk(text.as_bytes()),
        Node::Bytes(bytes) => reply.bulk(bytes),
        Node::Name(name) => reply.bulk(name.shown().as_bytes()),
        Node::Integer(integer) => reply.integer(*integer),
        Node::Number(number) => reply.double(*number),
        Node::Bool(truth) => reply.boolean(*truth),
        Node::Null => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_same_in_every_form() {
        let report = Node::Map(vec![
            ("keys".into(), Node::integer(3_u64)),
            ("mean".into(), Node::number(1.5)),
            ("on".into(), Node::Bool(true)),
            ("none".into(), Node::Null),
            ("list".into(), Node::List(vec![Node::text("a")])),
        ]);
        let written = |form, protocol| {
            String::from_utf8(encoded(&report, form, protocol)).expect("text").replace("\r\n", "|")
        };
        assert_eq!(
            written(Form::Resp, Protocol::Resp3),
            "%5|$4|keys|:3|$4|mean|,1.5|$2|on|#t|$4|none|_|$4|list|*1|$1|a|"
        );
        assert_eq!(
            written(Form::Resp, Protocol::Resp2),
            "*10|$4|keys|:3|$4|mean|$3|1.5|$2|on|:1|$4|none|$-1|$4|list|*1|$1|a|"
        );
        assert_eq!(
            written(Form::Json, Protocol::Resp3),
            "$56|{\"keys\":3,\"mean\":1.5,\"on\":true,\"none\":null,\"list\":[\"a\"]}|"
        );
        assert!(written(Form::Text, Protocol::Resp3).contains("|txt:keys"));
        assert_eq!((Form::of_word(b"json"), Form::of_word(b"js")), (Some(Form::Json), None));
    }
}
