//! The rules that turn figures into findings: what hurts, who does it, how to end it, what that would save.
//!
//! Each rule looks at one thing and has its thresholds as named constants. A rule says nothing unless the
//! figures are sure: it takes lower bounds where a count has an error, and asks for a minimum of evidence.
//!
//! Invariants:
//! 1. A finding names its culprit, its evidence, a remedy and what that would save.
//! 2. Uniform traffic yields no finding; nor does a key with 1 % of the traffic.
//!
//! Thread safety: plain values.

use super::Input;
use super::value::Node;
use crate::name::Name;
use crate::observers::OBSERVERS;

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Something could be cheaper; nobody suffers.
    Advice,
    /// Others are delayed, refused or endangered by it now.
    Problem,
}

/// One thing that is worth changing.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Stable name of the rule.
    pub rule: &'static str,
    /// How much it matters.
    pub level: Level,
    /// 0 to 1: the share of the resource in question. Orders findings of one level.
    pub weight: f64,
    /// The key, prefix, client or command, as people are shown it.
    pub culprit: String,
    /// The key for programs, where the culprit is one.
    pub key: Option<Name>,
    /// One sentence.
    pub says: String,
    /// The figures.
    pub evidence: Vec<(String, Node)>,
    /// A command or setting.
    pub remedy: String,
    /// Estimated.
    pub saves_bytes: Option<u64>,
    /// Estimated, per second.
    pub saves_usec_per_s: Option<f64>,
}

impl Finding {
    /// As a node.
    pub fn to_node(&self) -> Node {
        let level = if self.level == Level::Problem { "problem" } else { "advice" };
        let culprit = self.key.clone().map_or_else(|| Node::text(self.culprit.clone()), Node::Name);
        let mut entries = vec![
            ("rule".into(), Node::text(self.rule)),
            ("level".into(), Node::text(level)),
            ("finding".into(), Node::text(self.says.clone())),
            ("culprit".into(), culprit),
            ("evidence".into(), Node::Map(self.evidence.clone())),
            ("remedy".into(), Node::text(self.remedy.clone())),
        ];
        if let Some(saved) = self.saves_bytes {
            entries.push(("saves_about_bytes".into(), Node::integer(saved)));
        }
        if let Some(saved) = self.saves_usec_per_s {
            entries.push(("saves_about_usec_per_s".into(), Node::number(saved)));
        }
        Node::Map(entries)
    }
}

/// A share that is a lower bound, in words.
pub(crate) fn at_least(share: f64) -> String {
    // Rounded down: "at least" must stay true.
    let percent = (share * 1_000.0).floor() / 10.0;
    if percent >= 99.0 { "nearly all".to_owned() } else { format!("at least {percent:.1} %") }
}

/// A share that is small, in words.
pub(crate) fn only(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "none".to_owned(),
        percent if percent < 1.0 => "less than 1 %".to_owned(),
        percent => format!("only {percent:.0} %"),
    }
}

/// All findings: problems before advice, each by weight.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = OBSERVERS.iter().flat_map(|spec| (spec.findings)(input)).collect();
    found.sort_by(|a, b| b.level.cmp(&a.level).then(b.weight.total_cmp(&a.weight)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_well_at_both_ends() {
        let lower = [1.0, 0.9949, 0.9899, 0.1239].map(at_least);
        assert_eq!(lower, ["nearly all", "nearly all", "at least 98.9 %", "at least 12.3 %"]);
        assert_eq!([0.0, 0.004, 0.42].map(only), ["none", "less than 1 %", "only 42 %"]);
    }
}
