//! PROF OBSERVERS: what each observer shows, how exact it is, within which memory, and how to switch it off.
//!
//! It says what the literals say, not what was seen: the reference page is written from it.
//!
//! Thread safety: functions over a merged snapshot.

use super::Input;
use super::cost::bound_bytes;
use super::value::Node;
use crate::spec::Observer;

/// The report.
pub fn report(input: &Input<'_>) -> Node {
    let mut entries = input.header("observers", "the observers there are");
    entries.push(("observers".into(), Node::List(Observer::by_place().map(|one| row(input, one)).collect())));
    Node::Map(entries)
}

fn row(input: &Input<'_>, observer: Observer) -> Node {
    let spec = observer.spec();
    let doc = spec.doc.iter().map(|(word, text)| {
        Node::Map(vec![("aspect".into(), Node::text(*word)), ("says".into(), Node::text(*text))])
    });
    Node::Map(vec![
        ("observer".into(), Node::text(observer.name())),
        ("on".into(), Node::Bool(input.facts.switches.is_on(observer))),
        ("command".into(), Node::text(format!("PROF {}", spec.report.subcommand))),
        ("summary".into(), Node::text(spec.report.summary)),
        ("doc".into(), Node::List(doc.collect())),
        ("memory".into(), Node::text(spec.bound)),
        ("bound_bytes".into(), Node::integer(bound_bytes(observer, input.snapshot.workers) as u64)),
        ("switch".into(), Node::text(spec.directive)),
    ])
}
