//! RANDOMKEY: some key, whichever.
//!
//! It draws at random first. Where nearly all keys are past their deadline and not removed yet, draws hardly ever meet
//! a live one; then it walks the names from a random place, in slices, so that it answers nil only where there is none.
//!
//! Invariant: one call visits at most `ENTRIES_PER_SLICE` entries, so that a worker's other connections are served.
//!
//! Thread safety: functions on one command's context.

use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{Arity, Command, Progress, READONLY, Run, Slice};
use keyspace::{Database, Journal, STRIPES};
use wire::Args;

/// Draws before the walk: when half of all keys are dead, one in 4 billion gets there.
const DRAWS_MAX: usize = 32;
/// Entries that one slice of the walk visits: about 100 microseconds.
const ENTRIES_PER_SLICE: usize = 2_000;
/// Walks: from a random place to the end, then from the start, where the first one did not look.
const WALKS_MAX: usize = 2;

pub(super) const COMMANDS: &[Command] = &[RANDOMKEY];

const RANDOMKEY: Command = Command {
    name: "RANDOMKEY",
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    arity: Arity::Exactly(1),
    flags: READONLY,
    complexity: "O(1), unless nearly all keys are past their deadline; others are served meanwhile.",
    summary: "Returns the name of a key chosen at random.",
    run: Run::Slices(randomkey),
    ..Command::DEFAULT
};

/// `progress.count` is the number of the walk, 0 before the first; `progress.cursor` is where it has come to.
fn randomkey(ctx: &mut Ctx<'_>, _: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let found = if progress.count == 0 {
        let drawn = ctx.data.random_key(DRAWS_MAX);
        progress.count = 1;
        progress.cursor = random_cursor(ctx.data.journal);
        drawn
    } else {
        walk(ctx, progress)
    };
    match found {
        Some(key) => ctx.reply.bulk(&key),
        None if ctx.data.is_empty() || progress.count > WALKS_MAX => ctx.reply.null(),
        None => return Ok(Slice::Again),
    }
    // The next sliced command of the same batch starts anew.
    *progress = Progress::default();
    Ok(Slice::Done)
}

/// The start of some stripe, as SCAN's cursors name it.
fn random_cursor(journal: &mut Journal) -> u64 {
    Database::cursor_of(journal.random() as usize % STRIPES)
}

/// One slice: a live key among those it meets, each as likely as the others.
fn walk(ctx: &mut Ctx<'_>, progress: &mut Progress) -> Option<Vec<u8>> {
    let mut dice = ctx.data.journal.random();
    let (mut found, mut met) = (None, 0);
    let next = ctx.data.scan(progress.cursor, ENTRIES_PER_SLICE, STRIPES, |entry| {
        met += 1;
        // Vitter's reservoir of one: the n-th replaces the choice with probability 1/n.
        if dice.is_multiple_of(met) {
            found = Some(entry.key().to_vec());
        }
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407)
            .rotate_left(17);
    });
    // At a busy stripe it goes on from there.
    progress.cursor = next.unwrap_or(progress.cursor);
    if next == Some(0) {
        progress.count += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;
    use std::sync::atomic::Ordering::Relaxed;

    /// So many keys past their deadline, none of which anything removes.
    fn dead(keys: usize) -> Bench {
        let mut bench = Bench::new();
        bench.instance.active_expiry.store(false, Relaxed);
        (0..keys).for_each(|n| drop(bench.run(format!("SET dead:{n} v PX 1").as_bytes())));
        std::thread::sleep(std::time::Duration::from_millis(5));
        bench
    }

    #[test]
    fn the_one_live_key_is_found_among_any_number_of_dead_ones() {
        for round in 0..4 {
            let mut bench = dead(20_000);
            assert_eq!(bench.run(b"RANDOMKEY"), b"$-1\r\n");
            bench.run(format!("SET live:{round} v").as_bytes());
            for _ in 0..10 {
                assert_eq!(bench.run(b"RANDOMKEY"), format!("$6\r\nlive:{round}\r\n").as_bytes());
            }
            assert_eq!(bench.batch(&[["RANDOMKEY"; 1].to_vec(), vec!["PING"], vec!["RANDOMKEY"]]), {
                let live = format!("$6\r\nlive:{round}\r\n");
                format!("{live}+PONG\r\n{live}").into_bytes()
            });
            assert_eq!(bench.run(b"MULTI\r\nRANDOMKEY\r\nEXEC"), {
                format!("+OK\r\n+QUEUED\r\n*1\r\n$6\r\nlive:{round}\r\n").into_bytes()
            });
        }
    }

    #[test]
    fn each_of_a_few_live_keys_comes_up() {
        let mut bench = dead(1_000);
        (0..10).for_each(|n| drop(bench.run(format!("SET live:{n} v").as_bytes())));
        let mut seen = std::collections::BTreeSet::new();
        // Some 300 of the calls draw one at random: a key is missed by all of them once in 10^13 runs.
        for _ in 0..1_000 {
            let reply = bench.run(b"RANDOMKEY");
            assert!(reply.starts_with(b"$6\r\nlive:"), "{}", reply.escape_ascii());
            seen.insert(reply);
        }
        assert_eq!(seen.len(), 10);
    }
}
