//! The slow log: the last commands that ran longer than `slowlog-log-slower-than`, newest first.
//!
//! Not a latency statistic (see the profiler's latency observer): single commands with their arguments.
//!
//! Invariants: (1) at most `slowlog-max-len` entries; (2) an entry holds at most 32 arguments of at most 128 bytes
//! each, the rest is counted, as Redis does it; (3) secrets are not in it, see `redaction`.
//!
//! Thread safety: one mutex, taken only for slow commands and by SLOWLOG.

use crate::redaction;
use crate::registry::Entry;
use parking_lot::Mutex;
use std::collections::VecDeque;
use wire::Args;

const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone)]
pub struct SlowCommand {
    pub id: u64,
    /// Unix time in seconds.
    pub at_seconds: i64,
    pub duration_us: u64,
    pub arguments: Vec<Vec<u8>>,
    pub peer: String,
    pub client_name: String,
}

#[derive(Default)]
struct Entries {
    newest_first: VecDeque<SlowCommand>,
    next_id: u64,
}

/// See the module's text.
#[derive(Default)]
pub struct SlowLog(Mutex<Entries>);

impl SlowLog {
    /// Adds a command; `make` is given its id.
    pub fn add(&self, max: usize, make: impl FnOnce(u64) -> SlowCommand) {
        let mut entries = self.0.lock();
        let slow = make(entries.next_id);
        entries.next_id += 1;
        entries.newest_first.push_front(slow);
        entries.newest_first.truncate(max);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.0.lock().newest_first.iter().take(count).cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().newest_first.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn reset(&self) {
        self.0.lock().newest_first.clear();
    }
}

/// A request's arguments as they may be shown, shortened.
pub(crate) fn shorten(command: &Entry, args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { args.len() };
    let mut arguments: Vec<Vec<u8>> = (0..kept)
        .map(|index| redaction::shown(command, args, index))
        .map(|argument| {
            if argument.len() <= ARGUMENT_BYTES_MAX {
                return argument.to_vec();
            }
            let more = argument.len() - ARGUMENT_BYTES_MAX;
            [&argument[..ARGUMENT_BYTES_MAX], format!("... ({more} more bytes)").as_bytes()].concat()
        })
        .collect();
    if args.len() > kept {
        arguments.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::spec::command::Command;
    use wire::OwnedArgs;

    #[test]
    fn long_commands_are_shortened_and_counted() {
        let long = [b'x'; 200];
        let owned = OwnedArgs::from_slices(&vec![&long[..]; 40]);
        let log = SlowLog::default();
        const MGET: &[Command] = &[Command { name: "MGET", ..Command::DEFAULT }];
        let registry = Registry::new(&[&[MGET]]);
        let mget = registry.entry(0);
        for _ in 0..3 {
            log.add(2, |id| SlowCommand {
                id,
                at_seconds: 1,
                duration_us: 2,
                arguments: shorten(mget, owned.as_args()),
                peer: String::new(),
                client_name: String::new(),
            });
        }
        let newest = log.newest(10);
        assert_eq!(newest.iter().map(|slow| slow.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(newest[0].arguments.len(), 32);
        assert!(newest[0].arguments[0].ends_with(b"... (72 more bytes)"));
        assert_eq!(newest[0].arguments[31], b"... (9 more arguments)");
    }
}
