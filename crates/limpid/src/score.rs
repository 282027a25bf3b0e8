//! Which process the kernel ends first when memory runs out: `oom-score-adj` and its values.
//!
//! Of the three values the first counts: this process is a primary. There are no replicas and no processes that save.
//!
//! Thread safety: one lock, held for one change. The score is the whole process's.

use engine::config::Settings;
use parking_lot::Mutex;
use std::{fs, io};

const FILE: &str = "/proc/self/oom_score_adj";

/// How far the kernel lets a score go in either direction.
const SCORE_MAX: i32 = 1000;

/// The score as the settings have changed it.
#[derive(Debug, Default)]
pub struct Score {
    /// What it was before they did.
    before: Mutex<Option<i32>>,
}

impl Score {
    /// Gives the process the score that the settings ask for; with `oom-score-adj no` the one it was started with.
    ///
    /// # Errors
    /// What the client is told; the log has the reason. Lower scores than the present one need a privilege.
    pub fn follow(&self, settings: &Settings) -> Result<(), String> {
        let mut before = self.before.lock();
        let changed = match settings.text("oom-score-adj").as_str() {
            "no" => before.take().map_or(Ok(()), set),
            mode => start_score(&mut before).and_then(|start| set(wanted(mode, start, settings))),
        };
        changed.map_err(|error| {
            tracing::warn!("Cannot set {FILE}: {error}");
            "Failed to set current oom_score_adj. Check server logs.".to_owned()
        })
    }
}

fn start_score(before: &mut Option<i32>) -> io::Result<i32> {
    if let Some(score) = *before {
        return Ok(score);
    }
    let score = fs::read_to_string(FILE)?.trim().parse().map_err(io::Error::other)?;
    *before = Some(score);
    Ok(score)
}

fn wanted(mode: &str, start: i32, settings: &Settings) -> i32 {
    let values = settings.text("oom-score-adj-values");
    let value = values.split(' ').next().and_then(|value| value.parse::<i32>().ok()).unwrap_or(0);
    let score = if mode == "absolute" { value } else { start.saturating_add(value) };
    score.clamp(-SCORE_MAX, SCORE_MAX)
}

fn set(score: i32) -> io::Result<()> {
    fs::write(FILE, score.to_string())
}
