//! The rules about prefixes: memory that nobody reads, a cache that is too small, names that are too long.
//!
//! A rule says nothing unless the figures are sure, see `report::findings`.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::Prefix;
use super::report::alias_saves_bytes;
use crate::report::findings::{Finding, Level, only};
use crate::report::value::{Node, bytes};
use crate::report::{Input, percent};

/// A prefix is worth a finding from this share of the memory on.
const PREFIX_MEMORY_SHARE: f64 = 0.40;
/// And below this hit ratio.
const PREFIX_HIT_RATIO: f64 = 0.50;
/// Reads (weighted) before a hit ratio is believed.
const READS_MIN: u64 = 1_000;
/// Savings below this are not worth anyone's time.
const SAVING_BYTES_MIN: u64 = 1 << 20;
/// A cache that evicts should hit more often than this.
const CACHE_HIT_RATIO: f64 = 0.80;
/// Evictions before that is said.
const EVICTIONS_MIN: u64 = 1_000;
/// Shorter names are proposed from this share of the memory on.
const NAMING_SHARE: f64 = 0.10;

/// What hurts.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    [cold_prefix(input), low_hit_ratio(input), long_names(input)].into_iter().flatten().collect()
}

fn cold_prefix(input: &Input<'_>) -> Option<Finding> {
    let total_bytes = input.snapshot.prefixes.total().bytes.max(0) as u64;
    if total_bytes < SAVING_BYTES_MIN {
        return None;
    }
    let prefixes = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let is_cold = |prefix: &&Prefix| {
        let counts = &prefix.own;
        prefix.depth > 0
            && counts.reads >= READS_MIN
            && counts.bytes.max(0) as f64 >= PREFIX_MEMORY_SHARE * total_bytes as f64
            && counts.hit_ratio().is_some_and(|ratio| ratio < PREFIX_HIT_RATIO)
    };
    let prefix = prefixes.iter().filter(is_cold).max_by_key(|prefix| prefix.own.bytes)?;
    let (counts, ratio) = (&prefix.own, prefix.own.hit_ratio().unwrap_or(0.0));
    let held = counts.bytes.max(0) as u64;
    let name = input.redactor.prefix(&prefix.shape);
    Some(Finding {
        rule: "cold-prefix",
        key: None,
        level: if counts.evicted > 0 { Level::Problem } else { Level::Advice },
        weight: held as f64 / total_bytes as f64 * (1.0 - ratio),
        says: format!(
            "{name} holds {:.0} % of the memory and answers {} of its reads",
            percent(held, total_bytes),
            only(ratio)
        ),
        evidence: vec![
            ("memory_bytes".into(), Node::integer(held)),
            ("keys".into(), Node::integer(counts.keys)),
            ("reads".into(), Node::integer(counts.reads)),
            ("hit_percent".into(), Node::number(ratio * 100.0)),
            ("evicted".into(), Node::integer(counts.evicted)),
        ],
        remedy: format!("store {name} with a shorter lifetime (SET ... EX), or not at all"),
        culprit: name,
        saves_bytes: Some((held as f64 * (1.0 - ratio)) as u64),
        saves_usec_per_s: None,
    })
}

fn low_hit_ratio(input: &Input<'_>) -> Option<Finding> {
    let counters = &input.snapshot.counters;
    let reads = counters.hits + counters.misses;
    if counters.evicted < EVICTIONS_MIN || reads < READS_MIN || input.facts.memory_bytes_max == 0 {
        return None;
    }
    let ratio = counters.hits as f64 / reads as f64;
    if ratio >= CACHE_HIT_RATIO {
        return None;
    }
    let larger = input.facts.memory_bytes_max / 2 * 3;
    let growth = larger - input.facts.memory_bytes_max;
    Some(Finding {
        rule: "low-hit-ratio",
        key: None,
        level: Level::Problem,
        weight: (1.0 - ratio) * 0.5,
        culprit: format!("maxmemory {}", bytes(input.facts.memory_bytes_max as f64)),
        says: format!("the cache evicts, and of the reads {} find their key", only(ratio)),
        evidence: vec![
            ("hits".into(), Node::integer(counters.hits)),
            ("misses".into(), Node::integer(counters.misses)),
            ("evicted".into(), Node::integer(counters.evicted)),
            ("used_memory_bytes".into(), Node::integer(input.facts.used_memory_bytes)),
            ("policy".into(), Node::text(input.facts.eviction_policy.clone())),
        ],
        remedy: format!(
            "CONFIG SET maxmemory {larger} ({} more) and compare the hit ratio; PROF PREFIXES shows who fills it",
            bytes(growth as f64)
        ),
        saves_bytes: None,
        saves_usec_per_s: None,
    })
}

fn long_names(input: &Input<'_>) -> Option<Finding> {
    let total = input.snapshot.prefixes.total();
    let prefixes = input.snapshot.prefixes.prefixes(&input.snapshot.tree);
    let saved: u64 = prefixes.iter().map(alias_saves_bytes).sum();
    let memory = total.bytes.max(0) as u64;
    if saved < SAVING_BYTES_MIN || (saved as f64) < NAMING_SHARE * memory as f64 {
        return None;
    }
    let worst = prefixes.iter().max_by_key(|prefix| alias_saves_bytes(prefix))?;
    let name = input.redactor.prefix(&worst.shape);
    Some(Finding {
        rule: "long-names",
        key: None,
        level: Level::Advice,
        weight: saved as f64 / memory as f64,
        says: format!(
            "the fixed parts of key names take {:.0} % of the memory; most of it in {name}",
            percent(saved, memory)
        ),
        evidence: vec![
            ("keys".into(), Node::integer(worst.own.keys)),
            ("names_bytes".into(), Node::integer(total.name_bytes)),
            ("values_bytes".into(), Node::integer(total.value_bytes)),
            ("memory_bytes".into(), Node::integer(memory)),
        ],
        remedy: format!("abbreviate {name} in the application (PROF PREFIXES lists what each would save)"),
        culprit: name,
        saves_bytes: Some(saved),
        saves_usec_per_s: None,
    })
}
