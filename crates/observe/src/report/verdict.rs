//! PROF REPORT: the verdict first (healthy, or the one thing that hurts most), then the findings, then the
//! evidence. PROF ADVICE is its findings alone.
//!
//! Invariant: a server about which no rule finds a problem is called healthy; advice alone does not change that.
//!
//! Thread safety: functions over a merged snapshot.

use super::findings::{Finding, Level, findings};
use super::value::Node;
use super::{Asked, Input};
use crate::spec::Observer;

/// Keys, prefixes and clients per list of the evidence.
const EVIDENCE_ROWS: usize = 10;

/// The whole report.
pub fn report(input: &Input<'_>) -> Node {
    let found = findings(input);
    let mut entries = vec![("verdict".into(), Node::text(verdict(&found)))];
    entries.extend(input.header("report", "all observers joined"));
    entries.push(("findings".into(), Node::List(found.iter().map(Finding::to_node).collect())));
    entries.push(("overview".into(), overview(input)));
    let asked = Asked { count: EVIDENCE_ROWS, command: None };
    for observer in Observer::by_place() {
        let spec = observer.spec();
        let evidence = without((spec.report.make)(input, &asked), spec.evidence_without);
        entries.push((observer.name().into(), evidence));
    }
    Node::Map(entries)
}

/// The findings alone.
pub fn advice(input: &Input<'_>) -> Node {
    Node::List(findings(input).iter().map(Finding::to_node).collect())
}

/// One sentence: healthy, or what hurts most.
pub fn verdict(found: &[Finding]) -> String {
    let advice = found.iter().filter(|finding| finding.level == Level::Advice).count();
    match found.first() {
        Some(worst) if worst.level == Level::Problem => format!("{}: {}", worst.culprit, worst.says),
        Some(_) => format!("healthy; {advice} thing(s) could be cheaper"),
        None => "healthy".to_owned(),
    }
}

/// The figures of the server as a whole.
pub fn overview(input: &Input<'_>) -> Node {
    let counters = &input.snapshot.counters;
    let reads = counters.hits + counters.misses;
    let ratio = (reads > 0).then(|| counters.hits as f64 * 100.0 / reads as f64);
    let commands: u64 = input.snapshot.latency.commands().iter().map(|stats| stats.counts.calls).sum();
    let total = input.snapshot.prefixes.total();
    Node::Map(vec![
        ("commands".into(), Node::integer(commands)),
        ("commands_per_second".into(), Node::number(commands as f64 / input.facts.window_s.max(1.0))),
        ("hits".into(), Node::integer(counters.hits)),
        ("misses".into(), Node::integer(counters.misses)),
        ("hit_percent".into(), Node::optional(ratio)),
        ("evicted".into(), Node::integer(counters.evicted)),
        ("expired".into(), Node::integer(counters.expired)),
        ("errors".into(), Node::integer(input.snapshot.errors.total())),
        ("keys".into(), Node::integer(total.keys)),
        ("entries_bytes".into(), Node::integer(total.bytes)),
        ("used_memory_bytes".into(), Node::integer(input.facts.used_memory_bytes)),
        ("received_bytes".into(), Node::integer(counters.traffic.bytes_in)),
        ("sent_bytes".into(), Node::integer(counters.traffic.bytes_out)),
        ("clients".into(), Node::integer(input.clients.len() as u64)),
    ])
}

fn without(node: Node, names: &[&str]) -> Node {
    match node {
        Node::Map(entries) => {
            Node::Map(entries.into_iter().filter(|(name, _)| !names.contains(&name.as_str())).collect())
        }
        other => other,
    }
}
