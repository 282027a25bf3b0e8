//! A pattern on its way through a database: the names that match, however long deciding one takes.
//!
//! Not the walk (see `scan`): it is handed names one by one. A name whose match is not decided when the steps of a slice
//! are spent is copied, and gone on with in the next slice, when its stripe is no longer held.
//!
//! Invariant: one slice takes at most `STEPS_PER_SLICE` steps, whatever the pattern and the names.
//!
//! Thread safety: a plain value.

use engine::error::CommandError;
use engine::glob::{Attempt, Glob};
use engine::spec::Progress;
use wire::Reply;

/// Steps of matching in one slice: about a millisecond.
const STEPS_PER_SLICE: usize = 500_000;

/// See the module's text.
pub(super) struct Search {
    glob: Glob,
    everything: bool,
    steps: usize,
    undecided: Vec<(Vec<u8>, Attempt)>,
}

impl Search {
    /// The search that a sliced command keeps from slice to slice, if it has begun.
    pub(super) fn kept(progress: &Progress) -> Option<&Search> {
        progress.kept.as_ref()?.downcast_ref()
    }

    pub(super) fn new(pattern: &[u8]) -> Result<Search, CommandError> {
        let glob = Glob::new(pattern)?;
        Ok(Search { everything: glob.matches_everything(), glob, steps: 0, undecided: Vec::new() })
    }

    /// Begins a slice: decides what is left of the last one, as far as the steps reach. True if nothing is left.
    pub(super) fn resume(&mut self, found: &mut Reply, count: &mut usize) -> bool {
        self.steps = STEPS_PER_SLICE;
        while let Some((key, attempt)) = self.undecided.last_mut() {
            match self.glob.attempt(key, attempt, &mut self.steps) {
                None => return false,
                Some(matches) => {
                    if matches {
                        found.bulk(key);
                        *count += 1;
                    }
                    self.undecided.pop();
                }
            }
        }
        true
    }

    /// Whether the slice has steps left.
    pub(super) fn has_steps(&self) -> bool {
        self.steps > 0
    }

    /// Looks at one name.
    #[inline]
    pub(super) fn meet(&mut self, key: &[u8], found: &mut Reply, count: &mut usize) {
        let mut attempt = Attempt::default();
        let matches = match self.everything {
            true => Some(true),
            false => self.glob.attempt(key, &mut attempt, &mut self.steps),
        };
        match matches {
            Some(true) => {
                found.bulk(key);
                *count += 1;
            }
            Some(false) => {}
            None => {
                self.steps = 0;
                self.undecided.push((key.to_vec(), attempt));
            }
        }
    }

    pub(super) fn is_decided(&self) -> bool {
        self.undecided.is_empty()
    }
}
