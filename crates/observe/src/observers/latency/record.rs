//! Observer 1: how long each command waited, was locked out, ran, waited for the log and was flushed.
//!
//! Each command has a histogram per stage that was ever timed on this worker:
//!
//! ```text
//! stage   buckets per power of two   relative error   range
//! run     16                         3.1 %            0 .. 17 s      (448 counters, 3.5 KiB)
//! wait     8                         6.3 %            0 .. 17 s      (232, 1.8 KiB)
//! lock     4                        12.5 %            0 .. 1.07 s    (104, 0.8 KiB)
//! log      4                        12.5 %            0 .. 1.07 s    (104, 0.8 KiB)
//! flush    4                        12.5 %            0 .. 1.07 s    (104, 0.8 KiB)
//! ```
//!
//! The unit is 8 ns; above a range the value counts in the last bucket and the maximum stays exact.
//!
//! Invariants:
//! 1. The histograms of all commands take at most [`TIMINGS_BYTES_MAX`]: when that is used up, a stage that was never
//!    timed before is not timed. There are at most [`COMMANDS_MAX`] commands.
//! 2. `calls`, `rejected` and `failed` are exact. Timings are weighted: a sample stands for `weight` calls, but all
//!    samples of a stage together never for more calls than there were: by chance they may come too often.
//! 3. A command's `usec` is exact only if each of its calls was timed with weight 1; else it says estimate.
//! 4. A call is counted before it is timed, and readers take the timings first: whatever a worker does meanwhile, they see
//!    no more timings than calls.
//!
//! Thread safety: [`Latency`] is owned by one recorder; its [`LatencyCells`] may be read by anybody at any time.

use crate::record::buckets::{Buckets, LazyBuckets, held_bytes};
use crate::record::counter::Counter;
use crate::record::histogram::{Histogram, Layout};
use std::sync::Arc;

/// Commands the index space may have: twice what Redis knows.
pub const COMMANDS_MAX: usize = 512;
/// What the histograms of one worker may take: those of 330 commands that ran, waited and were answered; 250 there are.
pub const TIMINGS_BYTES_MAX: usize = 2 << 20;
/// Runs from here on count as having held the worker: others were delayed by a noticeable time.
pub const HOLD_NS: u64 = 1_000_000;

/// A part of a command's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// From arrival (or from the read of its batch, a lower bound) to the start.
    Wait,
    /// Waiting for stripe locks or the gate.
    Lock,
    /// The body, locks held.
    Run,
    /// Waiting for the log or a quorum.
    Log,
    /// From the end of the body to its reply being handed to the kernel.
    Flush,
}

/// All stages, in order of a command's life.
pub const STAGES: [Stage; 5] = [Stage::Wait, Stage::Lock, Stage::Run, Stage::Log, Stage::Flush];

impl Stage {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Lock => "lock",
            Self::Run => "run",
            Self::Log => "log",
            Self::Flush => "flush",
        }
    }

    /// The bucket boundaries of this stage.
    pub const fn layout(self) -> Layout {
        match self {
            Self::Run => Layout { unit_bits: 3, sub_bits: 4, groups: 28 },
            Self::Wait => Layout { unit_bits: 3, sub_bits: 3, groups: 29 },
            Self::Lock | Self::Log | Self::Flush => Layout { unit_bits: 3, sub_bits: 2, groups: 26 },
        }
    }
}

const RUN_BUCKETS: usize = Stage::Run.layout().buckets();
const WAIT_BUCKETS: usize = Stage::Wait.layout().buckets();
const OTHER_BUCKETS: usize = Stage::Flush.layout().buckets();

/// One command on one worker.
#[derive(Default)]
struct CommandCells {
    calls: Counter,
    rejected: Counter,
    failed: Counter,
    holds: Counter,
    hold_ns: Counter,
    delay_given_ns: Counter,
    /// Samples that stood for more than themselves.
    estimates: Counter,
    /// Stages that were timed.
    timings: Counter,
    run: LazyBuckets<RUN_BUCKETS>,
    wait: LazyBuckets<WAIT_BUCKETS>,
    lock: LazyBuckets<OTHER_BUCKETS>,
    log: LazyBuckets<OTHER_BUCKETS>,
    flush: LazyBuckets<OTHER_BUCKETS>,
}

impl CommandCells {
    fn counts(&self) -> CallCounts {
        CallCounts {
            calls: self.calls.get(),
            rejected: self.rejected.get(),
            failed: self.failed.get(),
            holds: self.holds.get(),
            hold_ns: self.hold_ns.get(),
            delay_given_ns: self.delay_given_ns.get(),
            estimates: self.estimates.get(),
        }
    }

    fn add_to(&self, stage: Stage, histogram: &mut Histogram) {
        fn add<const N: usize>(cell: &LazyBuckets<N>, histogram: &mut Histogram) {
            if let Some(buckets) = cell.get() {
                buckets.add_to(histogram);
            }
        }
        match stage {
            Stage::Run => add(&self.run, histogram),
            Stage::Wait => add(&self.wait, histogram),
            Stage::Lock => add(&self.lock, histogram),
            Stage::Log => add(&self.log, histogram),
            Stage::Flush => add(&self.flush, histogram),
        }
    }

    fn begin_window(&self) {
        fn begin<const N: usize>(cell: &LazyBuckets<N>) {
            if let Some(buckets) = cell.get() {
                buckets.begin_window();
            }
        }
        begin(&self.run);
        begin(&self.wait);
        [&self.lock, &self.log, &self.flush].into_iter().for_each(begin);
    }

    fn timings_bytes(&self) -> usize {
        let others: usize = [&self.lock, &self.log, &self.flush].into_iter().map(held_bytes).sum();
        held_bytes(&self.run) + held_bytes(&self.wait) + others
    }
}

/// What is counted of all commands on one worker, to be read.
#[derive(Clone)]
pub struct LatencyCells(Arc<[CommandCells]>);

impl LatencyCells {
    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        self.0.len() * BYTES_PER_COMMAND + self.0.iter().map(CommandCells::timings_bytes).sum::<usize>()
    }

    /// Calls of all commands, exact.
    pub fn calls(&self) -> u64 {
        self.0.iter().map(|cells| cells.calls.get()).sum()
    }

    /// Stages timed so far.
    pub fn timings(&self) -> u64 {
        self.0.iter().map(|cells| cells.timings.get()).sum()
    }
}

/// What is counted for every call, sampled or not.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CallCounts {
    /// Calls that were executed, failed ones included.
    pub calls: u64,
    /// Calls refused before execution (wrong arity, no permission, out of memory).
    pub rejected: u64,
    /// Calls that ran and answered an error.
    pub failed: u64,
    /// Runs of at least [`HOLD_NS`], among those timed.
    pub holds: u64,
    /// Time of those runs, nanoseconds.
    pub hold_ns: u64,
    /// Delay given to others: run time times the requests that were ready meanwhile, nanoseconds.
    pub delay_given_ns: u64,
    /// Samples that stood for more calls than their own, so that the timings are estimates.
    pub estimates: u64,
}

impl CallCounts {
    fn add(&mut self, other: &CallCounts) {
        self.calls += other.calls;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.holds += other.holds;
        self.hold_ns = self.hold_ns.saturating_add(other.hold_ns);
        self.delay_given_ns = self.delay_given_ns.saturating_add(other.delay_given_ns);
        self.estimates += other.estimates;
    }

    fn subtract(&mut self, before: &CallCounts) {
        self.calls = self.calls.saturating_sub(before.calls);
        self.rejected = self.rejected.saturating_sub(before.rejected);
        self.failed = self.failed.saturating_sub(before.failed);
        self.holds = self.holds.saturating_sub(before.holds);
        self.hold_ns = self.hold_ns.saturating_sub(before.hold_ns);
        self.delay_given_ns = self.delay_given_ns.saturating_sub(before.delay_given_ns);
        self.estimates = self.estimates.saturating_sub(before.estimates);
    }
}

/// What a command takes besides its histograms.
const BYTES_PER_COMMAND: usize = size_of::<CommandCells>() + size_of::<[u64; 5]>();

/// The recorder of observer 1.
pub struct Latency {
    commands: Arc<[CommandCells]>,
    /// By command and stage: the calls that have a timing or are given up, at most `calls`.
    accounted: Box<[[u64; 5]]>,
    /// What is left of [`TIMINGS_BYTES_MAX`].
    room_bytes: usize,
}

impl Latency {
    /// `commands`: how many command indexes there are; those from [`COMMANDS_MAX`] on are not counted.
    pub fn new(commands: usize) -> Self {
        let commands = commands.min(COMMANDS_MAX);
        Self {
            commands: std::iter::repeat_with(CommandCells::default).take(commands).collect(),
            accounted: vec![[0; 5]; commands].into_boxed_slice(),
            room_bytes: TIMINGS_BYTES_MAX,
        }
    }

    /// What others read.
    pub fn cells(&self) -> LatencyCells {
        LatencyCells(Arc::clone(&self.commands))
    }

    /// Counts a call. Exact: to be called for every command executed.
    #[inline]
    pub fn called(&mut self, command: u16) {
        if let Some(cells) = self.cells_of(command) {
            cells.calls.add(1);
        }
    }

    /// Counts a call that was refused before execution.
    pub fn rejected(&mut self, command: u16) {
        if let Some(cells) = self.cells_of(command) {
            cells.rejected.add(1);
        }
    }

    /// Counts a call that answered an error (`called` counts it as well).
    pub fn failed(&mut self, command: u16) {
        if let Some(cells) = self.cells_of(command) {
            cells.failed.add(1);
        }
    }

    /// Records one stage of a timed call that stands for `weight` calls, after [`Latency::called`] counted it.
    #[inline]
    pub fn record(&mut self, command: u16, stage: Stage, ns: u64, weight: u32) {
        let index = usize::from(command);
        let Some((cells, accounted)) = self.commands.get(index).zip(self.accounted.get_mut(index)) else {
            return;
        };
        cells.timings.add(1);
        if stage == Stage::Run {
            if weight > 1 {
                cells.estimates.add(1);
            }
            if ns >= HOLD_NS {
                cells.holds.add(u64::from(weight));
                cells.hold_ns.add(ns.saturating_mul(u64::from(weight)));
            }
        }
        let accounted = &mut accounted[stage as usize];
        let weight = u64::from(weight).min(cells.calls.get().saturating_sub(*accounted));
        *accounted += weight;
        let room = &mut self.room_bytes;
        match stage {
            Stage::Run => add(&cells.run, stage.layout(), ns, weight, room),
            Stage::Wait => add(&cells.wait, stage.layout(), ns, weight, room),
            Stage::Lock => add(&cells.lock, stage.layout(), ns, weight, room),
            Stage::Log => add(&cells.log, stage.layout(), ns, weight, room),
            Stage::Flush => add(&cells.flush, stage.layout(), ns, weight, room),
        }
    }

    /// Records that a run of `run_ns` made `waiting` ready requests of others wait.
    pub fn delayed_others(&mut self, command: u16, run_ns: u64, waiting: u32) {
        if let Some(cells) = self.cells_of(command) {
            cells.delay_given_ns.add(run_ns.saturating_mul(u64::from(waiting)));
        }
    }

    /// The exact counters of one command.
    pub fn call_counts(&self, command: u16) -> CallCounts {
        self.cells_of(command).map(CommandCells::counts).unwrap_or_default()
    }

    /// Calls of all commands, exact.
    pub fn calls(&self) -> u64 {
        self.commands.iter().map(|cells| cells.calls.get()).sum()
    }

    /// A window begins: its maxima are found anew, and the calls before it will have no timing any more.
    pub(crate) fn begin_window(&mut self) {
        for (cells, accounted) in self.commands.iter().zip(&mut self.accounted) {
            cells.begin_window();
            *accounted = [cells.calls.get(); 5];
        }
    }

    /// The bound of what one worker holds.
    pub const fn memory_bytes_max() -> usize {
        TIMINGS_BYTES_MAX + COMMANDS_MAX * BYTES_PER_COMMAND
    }

    #[inline]
    fn cells_of(&self, command: u16) -> Option<&CommandCells> {
        self.commands.get(usize::from(command))
    }
}

#[inline]
fn add<const N: usize>(cell: &LazyBuckets<N>, layout: Layout, ns: u64, weight: u64, room: &mut usize) {
    let made = cell.get().map(|buckets| &**buckets);
    if let Some(buckets) = made.or_else(|| first(cell, room)) {
        buckets.record(layout, ns, weight);
    }
}

#[cold]
fn first<'a, const N: usize>(cell: &'a LazyBuckets<N>, room: &mut usize) -> Option<&'a Buckets<N>> {
    *room = room.checked_sub(size_of::<Buckets<N>>())?;
    Some(cell.get_or_init(Box::default))
}

/// One command over all workers.
#[derive(Clone, Debug)]
pub struct CommandStats {
    /// The command's index.
    pub command: u16,
    /// Exact counters.
    pub counts: CallCounts,
    stages: [Histogram; 5],
}

impl CommandStats {
    fn new(command: u16) -> Self {
        let stages = STAGES.map(|stage| Histogram::new(stage.layout()));
        Self { command, counts: CallCounts::default(), stages }
    }

    /// The merged histogram of a stage, nanoseconds.
    pub fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }

    /// Whether [`CommandStats::usec`] is exact: every call was timed.
    pub fn is_exact(&self) -> bool {
        self.counts.estimates == 0 && self.stage(Stage::Run).count() == self.counts.calls
    }

    /// Time spent in the body over all calls, microseconds: the mean of the timed calls times the calls.
    pub fn usec(&self) -> u64 {
        let (runs, ns) = (self.stage(Stage::Run).count(), self.stage(Stage::Run).sum());
        if runs == self.counts.calls {
            return ns / 1_000;
        }
        (ns as f64 / runs.max(1) as f64 * self.counts.calls as f64 / 1_000.0) as u64
    }

    /// Mean body time of the timed calls, microseconds.
    pub fn usec_per_call(&self) -> f64 {
        self.stage(Stage::Run).mean() / 1_000.0
    }
}

/// The latencies of all workers, merged.
#[derive(Clone, Debug, Default)]
pub struct LatencySnapshot {
    commands: Vec<CommandStats>,
}

impl LatencySnapshot {
    /// Adds one worker's.
    pub fn add(&mut self, worker: &LatencyCells) {
        for (index, cells) in worker.0.iter().enumerate() {
            if cells.counts() == CallCounts::default() && cells.timings.get() == 0 {
                continue;
            }
            let stats = self.stats_of(index as u16);
            let timed_before: [u64; 5] = std::array::from_fn(|at| stats.stages[at].count());
            for stage in STAGES {
                cells.add_to(stage, &mut stats.stages[stage as usize]);
            }
            // After the timings; and where the machine reorders reads, so many calls there were at least.
            let mut counts = cells.counts();
            for (stage, before) in stats.stages.iter().zip(timed_before) {
                counts.calls = counts.calls.max(stage.count() - before);
            }
            stats.counts.add(&counts);
        }
    }

    /// Takes away what was counted before. What was not used since is gone.
    pub(crate) fn subtract(&mut self, before: &LatencySnapshot) {
        if before.commands.is_empty() {
            return;
        }
        for stats in &mut self.commands {
            let Some(before) = before.command(stats.command) else { continue };
            stats.counts.subtract(&before.counts);
            stats.stages.iter_mut().zip(&before.stages).for_each(|(now, before)| now.subtract(before));
        }
        self.commands.retain(|stats| {
            let counts = stats.counts;
            let is_timed = stats.stages.iter().any(|stage| stage.count() > 0);
            counts.calls + counts.rejected + counts.failed > 0 || is_timed
        });
    }

    /// Every command that was called, refused or timed, by ascending index.
    pub fn commands(&self) -> &[CommandStats] {
        &self.commands
    }

    /// One command, if it was ever used.
    pub fn command(&self, command: u16) -> Option<&CommandStats> {
        let at = self.commands.binary_search_by_key(&command, |stats| stats.command).ok()?;
        self.commands.get(at)
    }

    fn stats_of(&mut self, command: u16) -> &mut CommandStats {
        let at = match self.commands.binary_search_by_key(&command, |stats| stats.command) {
            Ok(at) => at,
            Err(at) => {
                self.commands.insert(at, CommandStats::new(command));
                at
            }
        };
        &mut self.commands[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_and_usec_says_when_it_is_not() {
        let mut latency = Latency::new(8);
        for call in 0..1_000u64 {
            latency.called(3);
            latency.record(3, Stage::Run, 10_000 + call, 1);
        }
        latency.failed(3);
        latency.rejected(5);
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&latency.cells());
        let stats = snapshot.command(3).expect("used");
        assert_eq!((stats.counts.calls, stats.counts.failed), (1_000, 1));
        assert!(stats.is_exact());
        assert_eq!(stats.usec(), (0..1_000u64).map(|call| 10_000 + call).sum::<u64>() / 1_000);
        assert_eq!(snapshot.command(5).expect("refused").counts.rejected, 1);

        latency.called(3);
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&latency.cells());
        assert!(!snapshot.command(3).expect("used").is_exact(), "one call was not timed");
    }

    #[test]
    fn a_window_has_its_own_maximum_and_leaves_the_time_spent_in_all() {
        let mut latency = Latency::new(8);
        let call = |latency: &mut Latency, ns| {
            latency.called(3);
            latency.record(3, Stage::Run, ns, 1);
        };
        let snapshot = |latency: &Latency| {
            let mut snapshot = LatencySnapshot::default();
            snapshot.add(&latency.cells());
            snapshot
        };
        (0..6).for_each(|_| call(&mut latency, 5_000));
        (0..4).for_each(|_| latency.called(3));
        latency.record(3, Stage::Run, 50_000, 4);
        let before = snapshot(&latency);
        latency.begin_window();
        call(&mut latency, 7_000);
        let mut after = snapshot(&latency);
        let stats = after.command(3).expect("used");
        assert_eq!((stats.counts.calls, stats.usec(), stats.is_exact()), (11, 237, false));
        assert_eq!(stats.stage(Stage::Run).max(), 50_000);
        after.subtract(&before);
        let stats = after.command(3).expect("used since");
        assert_eq!((stats.counts.calls, stats.usec(), stats.is_exact()), (1, 7, true));
        assert_eq!(stats.stage(Stage::Run).max(), 7_000);
        let mut nothing = snapshot(&latency);
        nothing.subtract(&snapshot(&latency));
        assert!(nothing.commands().is_empty());
    }

    #[test]
    fn workers_merge_to_the_same_histogram_as_one() {
        let (mut a, mut b, mut both) = (Latency::new(4), Latency::new(4), Latency::new(4));
        for ns in 0..5_000u64 {
            let worker = if ns % 2 == 0 { &mut a } else { &mut b };
            (0..4).for_each(|_| worker.called(1));
            worker.record(1, Stage::Wait, ns * 37, 4);
            (0..4).for_each(|_| both.called(1));
            both.record(1, Stage::Wait, ns * 37, 4);
        }
        let (mut merged, mut single) = (LatencySnapshot::default(), LatencySnapshot::default());
        merged.add(&a.cells());
        merged.add(&b.cells());
        single.add(&both.cells());
        let wait = |snapshot: &LatencySnapshot| snapshot.command(1).expect("used").stage(Stage::Wait).clone();
        assert_eq!(wait(&merged), wait(&single));
    }

    #[test]
    fn samples_never_stand_for_more_calls_than_there_were() {
        let mut latency = Latency::new(1);
        let count = |latency: &Latency, stage| {
            let mut snapshot = LatencySnapshot::default();
            snapshot.add(&latency.cells());
            snapshot.command(0).map_or(0, |stats| stats.stage(stage).count())
        };
        // The first call is a sample of 16, the next one is of 16 calls, and then two come too early.
        for (calls, expected) in [(1, 1), (20, 17), (2, 23), (0, 23)] {
            (0..calls).for_each(|_| latency.called(0));
            latency.record(0, Stage::Run, 1_000, 16);
            assert_eq!(count(&latency, Stage::Run), expected);
        }
        latency.record(0, Stage::Wait, 1_000, 17 * 16);
        assert_eq!(count(&latency, Stage::Wait), 23);
        latency.begin_window();
        latency.called(0);
        latency.record(0, Stage::Run, 1_000, 16);
        assert_eq!(count(&latency, Stage::Run), 24, "the calls before the window have no timing any more");
    }

    #[test]
    fn counters_go_past_32_bits() {
        let mut latency = Latency::new(1);
        latency.commands[0].calls.add(u64::MAX);
        for _ in 0..3 {
            latency.record(0, Stage::Run, 100, u32::MAX);
        }
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&latency.cells());
        let run = snapshot.command(0).expect("used").stage(Stage::Run);
        assert_eq!(run.count(), 3 * u64::from(u32::MAX));
    }

    #[test]
    fn memory_is_bounded_whatever_the_indexes() {
        let mut latency = Latency::new(usize::from(u16::MAX));
        for command in 0..=u16::MAX {
            latency.called(command);
            STAGES.iter().for_each(|&stage| latency.record(command, stage, u64::from(command), 16));
        }
        let (held, bound) = (latency.cells().memory_bytes(), Latency::memory_bytes_max());
        assert!(held <= bound && held > bound / 10 * 9, "{held} of {bound}");
        assert_eq!(latency.calls(), COMMANDS_MAX as u64, "what is not timed is counted all the same");
    }

    #[test]
    fn a_reader_never_sees_more_timings_than_calls() {
        let mut latency = Latency::new(1);
        let (cells, done) = (latency.cells(), std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for call in 0..100_000 {
                    latency.called(0);
                    latency.record(0, Stage::Run, call % 3_000, 1);
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let mut snapshot = LatencySnapshot::default();
                snapshot.add(&cells);
                if let Some(stats) = snapshot.command(0) {
                    let run = stats.stage(Stage::Run);
                    assert!(run.count() <= stats.counts.calls, "{} of {}", run.count(), stats.counts.calls);
                    assert_eq!(run.cumulative_log2_usec().last().map_or(0, |last| last.1), run.count());
                }
            }
        });
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&cells);
        assert!(snapshot.command(0).expect("used").is_exact());
    }

    #[test]
    fn long_runs_are_held_against_the_command() {
        let mut latency = Latency::new(2);
        latency.called(1);
        latency.record(1, Stage::Run, 3 * HOLD_NS, 1);
        latency.delayed_others(1, 3 * HOLD_NS, 5);
        let counts = latency.call_counts(1);
        assert_eq!((counts.holds, counts.hold_ns, counts.delay_given_ns), (1, 3 * HOLD_NS, 15 * HOLD_NS));
    }
}
