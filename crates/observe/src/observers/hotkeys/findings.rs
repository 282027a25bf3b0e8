//! The rule about hot keys: one key takes much more than its share.
//!
//! A rule says nothing unless the figures are sure, see `report::findings`.
//!
//! Thread safety: functions over a merged snapshot.

use super::record::{HotKey, Summary};
use crate::report::Input;
use crate::report::findings::{Finding, Level, at_least};
use crate::report::value::Node;

/// A key is hot from this share of all operations on...
const HOT_KEY_SHARE: f64 = 0.10;
/// ...if that is this many times the share it would have if all keys were equal...
const HOT_KEY_TIMES_UNIFORM: f64 = 4.0;
/// ...or this share at once, when there are few keys.
const HOT_KEY_SHARE_SURE: f64 = 0.50;
/// Operations looked at before a key may be called hot.
const HOT_KEY_SAMPLES_MIN: u64 = 1_000;

/// What hurts.
pub fn findings(input: &Input<'_>) -> Vec<Finding> {
    hot_key(input).into_iter().collect()
}

/// A key that is hot since the reset, or at least in the last seconds.
fn hot_key(input: &Input<'_>) -> Option<Finding> {
    let hot = &input.snapshot.hotkeys;
    hot_key_of(input, &hot.operations, input.facts.window_s)
        .or_else(|| hot_key_of(input, &hot.recent, hot.recent_ms as f64 / 1_000.0))
}

fn hot_key_of(input: &Input<'_>, summary: &Summary, window_s: f64) -> Option<Finding> {
    if summary.samples() < HOT_KEY_SAMPLES_MIN {
        return None;
    }
    let key: &HotKey = summary.top(1).into_iter().next()?;
    let sampling_error = summary.sampling_error(key.certain());
    let sure = key.certain().saturating_sub(sampling_error);
    let share = sure as f64 / summary.total().max(1) as f64;
    let uniform = 1.0 / summary.keys().len().max(1) as f64;
    if share < HOT_KEY_SHARE.max((HOT_KEY_TIMES_UNIFORM * uniform).min(HOT_KEY_SHARE_SURE)) {
        return None;
    }
    let key_name = input.redactor.hot_key(key);
    let name = key_name.shown();
    let read_mostly = key.reads + key.misses > key.writes * 4;
    let remedy = if read_mostly {
        format!("keep the value of {name} in the application for a second instead of a GET each time")
    } else {
        format!(
            "spread it over several keys ({name}:0 to {name}:7), write to any of them, read them with MGET"
        )
    };
    Some(Finding {
        rule: "hot-key",
        level: Level::Problem,
        weight: share,
        says: format!("one key takes {} of all operations on keys", at_least(share)),
        culprit: name,
        key: Some(key_name),
        evidence: vec![
            ("operations".into(), Node::integer(key.certain())),
            ("undercount_max".into(), Node::integer(key.error)),
            ("sampling_error".into(), Node::integer(sampling_error)),
            ("all_operations".into(), Node::integer(summary.total())),
            ("reads".into(), Node::integer(key.reads)),
            ("writes".into(), Node::integer(key.writes)),
            ("window_s".into(), Node::number(window_s)),
        ],
        remedy,
        saves_bytes: None,
        saves_usec_per_s: Some(key.cpu_ns as f64 / 1_000.0 / window_s.max(1.0)),
    })
}
