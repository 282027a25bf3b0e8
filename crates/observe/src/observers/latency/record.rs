//! Observer 1: how long each command waited, was locked out, ran, waited for the log and was flushed.
//!
//! One block per command that was ever timed on this worker holds the histograms of all stages:
//!
//! ```text
//! stage   buckets per power of two   relative error   range
//! run     16                         3.1 %            0 .. 17 s      (448 counters)
//! wait     8                         6.3 %            0 .. 17 s      (232)
//! lock     4                        12.5 %            0 .. 1.07 s    (104)
//! log      4                        12.5 %            0 .. 1.07 s    (104)
//! flush    4                        12.5 %            0 .. 1.07 s    (104)
//! ```
//!
//! The unit is 8 ns; above a range the value counts in the last bucket and the maximum stays exact.
//!
//! Invariants:
//! 1. A block is at most [`BLOCK_BYTES_MAX`]; there are at most [`COMMANDS_MAX`] blocks.
//! 2. `calls`, `rejected` and `failed` are exact. Timings are weighted: a sample stands for `weight` calls, but all
//!    samples of a stage together never for more calls than there were: by chance they may come too often.
//! 3. A 32-bit counter that overflows leaves a carry behind; nothing is lost.
//! 4. A command's `usec` is exact only if each of its calls was timed with weight 1; else it says estimate.
//! 5. Forgetting the timings leaves `usec` as it was: the sums of the runs that are forgotten are kept.
//!
//! Thread safety: owned by one recorder.

use crate::record::histogram::{Histogram, Layout};

/// Commands the index space may have: twice what Redis knows.
pub const COMMANDS_MAX: usize = 512;
/// What one used command costs one worker, all stages together.
pub const BLOCK_BYTES_MAX: usize = 4096;
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

    const fn offset(self) -> usize {
        let mut offset = 0;
        let mut before = 0;
        while before < self as usize {
            offset += STAGES[before].layout().buckets();
            before += 1;
        }
        offset
    }
}

const OFFSETS: [usize; 5] = [
    Stage::Wait.offset(),
    Stage::Lock.offset(),
    Stage::Run.offset(),
    Stage::Log.offset(),
    Stage::Flush.offset(),
];
const COUNTERS: usize = Stage::Flush.offset() + Stage::Flush.layout().buckets();

/// The histograms of one command on one worker.
struct Block {
    sums_ns: [u64; 5],
    max_ns: [u64; 5],
    /// Counters that overflowed, once per overflow of 2^32. Bounded: each takes 2^32 samples.
    carries: Vec<u16>,
    counts: [u32; COUNTERS],
}

const _: () = assert!(size_of::<Block>() <= BLOCK_BYTES_MAX);

impl Block {
    #[inline]
    fn record(&mut self, stage: Stage, ns: u64, weight: u32) {
        let at = stage as usize;
        self.sums_ns[at] = self.sums_ns[at].wrapping_add(ns.wrapping_mul(u64::from(weight)));
        self.max_ns[at] = self.max_ns[at].max(ns);
        let index = OFFSETS[at] + stage.layout().index(ns);
        let (sum, overflow) = self.counts[index].overflowing_add(weight);
        self.counts[index] = sum;
        if overflow {
            self.carry(index);
        }
    }

    #[cold]
    fn carry(&mut self, index: usize) {
        self.carries.push(index as u16);
    }

    fn merge_into(&self, stage: Stage, histogram: &mut Histogram) {
        let at = stage as usize;
        let (from, to) = (OFFSETS[at], OFFSETS[at] + stage.layout().buckets());
        let counts = (from..to).map(|index| {
            let carries =
                self.carries.iter().filter(|&&carried| usize::from(carried) == index).count() as u64;
            (carries << 32) + u64::from(self.counts[index])
        });
        histogram.add_counts(counts, self.sums_ns[at], self.max_ns[at]);
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
    /// Some call was sampled with a weight above 1, so the timings are estimates.
    pub estimated: bool,
}

/// The body times of one command whose histogram was forgotten. Apart from [`CallCounts`], which every command touches.
#[derive(Clone, Copy, Default, Debug)]
struct ForgottenRuns {
    runs: u64,
    ns: u64,
    /// As in [`CallCounts`]: a new window begins exact.
    estimated: bool,
}

/// The recorder of observer 1.
pub struct Latency {
    counts: Vec<CallCounts>,
    /// By command index, empty until timings are forgotten for the first time.
    forgotten: Vec<ForgottenRuns>,
    blocks: Vec<Option<Box<Block>>>,
    /// By command index and stage: the calls that have a timing or are given up, at most `calls`. Beside the blocks,
    /// which must not exceed a page.
    accounted: Vec<[u64; 5]>,
    timings: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(256)
    }
}

impl Latency {
    /// `commands`: how many command indexes to expect; more are taken later, up to [`COMMANDS_MAX`].
    pub fn new(commands: usize) -> Self {
        let commands = commands.clamp(1, COMMANDS_MAX);
        Self {
            counts: vec![CallCounts::default(); commands],
            forgotten: Vec::new(),
            blocks: std::iter::repeat_with(|| None).take(commands).collect(),
            accounted: vec![[0; 5]; commands],
            timings: 0,
        }
    }

    /// Counts a call. Exact: to be called for every command executed.
    #[inline]
    pub fn called(&mut self, command: u16) {
        if let Some(counts) = self.counts_of(command) {
            counts.calls += 1;
        }
    }

    /// Counts a call that was refused before execution.
    pub fn rejected(&mut self, command: u16) {
        if let Some(counts) = self.counts_of(command) {
            counts.rejected += 1;
        }
    }

    /// Counts a call that answered an error (`called` counts it as well).
    pub fn failed(&mut self, command: u16) {
        if let Some(counts) = self.counts_of(command) {
            counts.failed += 1;
        }
    }

    /// Records one stage of a timed call that stands for `weight` calls, after [`Latency::called`] counted it.
    #[inline]
    pub fn record(&mut self, command: u16, stage: Stage, ns: u64, weight: u32) {
        let index = usize::from(command);
        if index >= self.blocks.len() && !self.grow(index) {
            return;
        }
        self.timings += 1;
        if stage == Stage::Run {
            let counts = &mut self.counts[index];
            counts.estimated |= weight > 1;
            if ns >= HOLD_NS {
                counts.holds += u64::from(weight);
                counts.hold_ns += ns.saturating_mul(u64::from(weight));
            }
        }
        let accounted = &mut self.accounted[index][stage as usize];
        let room = self.counts[index].calls.saturating_sub(*accounted);
        let weight = weight.min(u32::try_from(room).unwrap_or(u32::MAX));
        *accounted += u64::from(weight);
        match &mut self.blocks[index] {
            Some(block) => block.record(stage, ns, weight),
            empty => {
                let fresh =
                    Block { sums_ns: [0; 5], max_ns: [0; 5], carries: Vec::new(), counts: [0; COUNTERS] };
                empty.insert(Box::new(fresh)).record(stage, ns, weight);
            }
        }
    }

    /// Records that a run of `run_ns` made `waiting` ready requests of others wait.
    pub fn delayed_others(&mut self, command: u16, run_ns: u64, waiting: u32) {
        if let Some(counts) = self.counts_of(command) {
            counts.delay_given_ns =
                counts.delay_given_ns.saturating_add(run_ns.saturating_mul(u64::from(waiting)));
        }
    }

    /// Stages timed so far.
    pub fn timings(&self) -> u64 {
        self.timings
    }

    /// The exact counters of one command.
    pub fn call_counts(&self, command: u16) -> CallCounts {
        self.counts.get(usize::from(command)).copied().unwrap_or_default()
    }

    /// Calls of all commands, exact.
    pub fn calls(&self) -> u64 {
        self.counts.iter().map(|counts| counts.calls).sum()
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        let carries = |block: &Block| block.carries.capacity() * size_of::<u16>();
        self.counts.capacity() * size_of::<CallCounts>()
            + self.forgotten.capacity() * size_of::<ForgottenRuns>()
            + self.blocks.capacity() * size_of::<Option<Box<Block>>>()
            + self.accounted.capacity() * size_of::<[u64; 5]>()
            + self.blocks.iter().flatten().map(|block| size_of::<Block>() + carries(block)).sum::<usize>()
    }

    /// What the counters of all commands may take at most, besides the blocks, bytes.
    pub const fn counters_bytes_max() -> usize {
        COMMANDS_MAX
            * (size_of::<CallCounts>()
                + size_of::<ForgottenRuns>()
                + size_of::<Option<Box<Block>>>()
                + size_of::<[u64; 5]>())
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.counts.fill(CallCounts::default());
        self.forgotten = Vec::new();
        self.blocks.fill_with(|| None);
        self.accounted.fill([0; 5]);
        self.timings = 0;
    }

    /// Forgets the timings and keeps the exact counters and the time spent in all: PROF RESET leaves `calls` and
    /// `usec` of INFO commandstats alone.
    pub fn reset_timings(&mut self) {
        self.forgotten.resize(self.blocks.len(), ForgottenRuns::default());
        for ((forgotten, counts), block) in self.forgotten.iter_mut().zip(&mut self.counts).zip(&self.blocks)
        {
            let Some(block) = block else { continue };
            forgotten.estimated |= std::mem::take(&mut counts.estimated);
            let mut run = Histogram::new(Stage::Run.layout());
            block.merge_into(Stage::Run, &mut run);
            forgotten.runs += run.count();
            forgotten.ns = forgotten.ns.wrapping_add(run.sum());
        }
        self.blocks.fill_with(|| None);
        let calls = self.counts.iter().map(|counts| counts.calls);
        self.accounted.iter_mut().zip(calls).for_each(|(accounted, calls)| *accounted = [calls; 5]);
        self.timings = 0;
    }

    #[inline]
    fn counts_of(&mut self, command: u16) -> Option<&mut CallCounts> {
        let index = usize::from(command);
        if index >= self.counts.len() && !self.grow(index) {
            return None;
        }
        self.counts.get_mut(index)
    }

    #[cold]
    fn grow(&mut self, index: usize) -> bool {
        if index >= COMMANDS_MAX {
            return false;
        }
        let commands = (index + 1).next_power_of_two().min(COMMANDS_MAX);
        self.counts.resize(commands, CallCounts::default());
        self.blocks.resize_with(commands, || None);
        self.accounted.resize(commands, [0; 5]);
        true
    }
}

/// One command over all workers.
#[derive(Clone, Debug)]
pub struct CommandStats {
    /// The command's index.
    pub command: u16,
    /// Exact counters.
    pub counts: CallCounts,
    forgotten: ForgottenRuns,
    stages: [Histogram; 5],
}

impl CommandStats {
    fn new(command: u16) -> Self {
        let stages = STAGES.map(|stage| Histogram::new(stage.layout()));
        Self { command, counts: CallCounts::default(), forgotten: ForgottenRuns::default(), stages }
    }

    /// The merged histogram of a stage, nanoseconds.
    pub fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }

    /// Whether [`CommandStats::usec`] is exact: every call was timed.
    pub fn is_exact(&self) -> bool {
        !self.counts.estimated && !self.forgotten.estimated && self.runs_timed() == self.counts.calls
    }

    /// Time spent in the body over all calls, microseconds: the mean of the timed calls times the calls. Timings that
    /// were forgotten since are in it.
    pub fn usec(&self) -> u64 {
        let (runs, ns) = (self.runs_timed(), self.forgotten.ns.wrapping_add(self.stage(Stage::Run).sum()));
        if runs == self.counts.calls {
            return ns / 1_000;
        }
        (ns as f64 / runs.max(1) as f64 * self.counts.calls as f64 / 1_000.0) as u64
    }

    /// Mean body time of the calls whose timings are kept, microseconds.
    pub fn usec_per_call(&self) -> f64 {
        self.stage(Stage::Run).mean() / 1_000.0
    }

    fn runs_timed(&self) -> u64 {
        self.forgotten.runs + self.stage(Stage::Run).count()
    }
}

/// The latencies of all workers, merged.
#[derive(Clone, Debug, Default)]
pub struct LatencySnapshot {
    commands: Vec<CommandStats>,
}

impl LatencySnapshot {
    /// Adds one worker's.
    pub fn add(&mut self, worker: &Latency) {
        for (index, (counts, block)) in worker.counts.iter().zip(&worker.blocks).enumerate() {
            if *counts == CallCounts::default() && block.is_none() {
                continue;
            }
            let stats = self.stats_of(index as u16);
            stats.counts.calls += counts.calls;
            stats.counts.rejected += counts.rejected;
            stats.counts.failed += counts.failed;
            stats.counts.holds += counts.holds;
            stats.counts.hold_ns += counts.hold_ns;
            stats.counts.delay_given_ns = stats.counts.delay_given_ns.saturating_add(counts.delay_given_ns);
            stats.counts.estimated |= counts.estimated;
            let forgotten = worker.forgotten.get(index).copied().unwrap_or_default();
            stats.forgotten.runs += forgotten.runs;
            stats.forgotten.estimated |= forgotten.estimated;
            stats.forgotten.ns = stats.forgotten.ns.wrapping_add(forgotten.ns);
            if let Some(block) = block {
                for stage in STAGES {
                    block.merge_into(stage, &mut stats.stages[stage as usize]);
                }
            }
        }
    }

    /// Takes away calls counted before, given by ascending index, and the times of runs that were forgotten: both are
    /// from before the window. What was not used since is gone.
    pub(crate) fn subtract(&mut self, before: &[(u16, CallCounts)]) {
        for stats in &mut self.commands {
            stats.forgotten = ForgottenRuns::default();
            let Ok(at) = before.binary_search_by_key(&stats.command, |(command, _)| *command) else {
                continue;
            };
            let (counts, before) = (&mut stats.counts, &before[at].1);
            counts.calls = counts.calls.saturating_sub(before.calls);
            counts.rejected = counts.rejected.saturating_sub(before.rejected);
            counts.failed = counts.failed.saturating_sub(before.failed);
            counts.holds = counts.holds.saturating_sub(before.holds);
            counts.hold_ns = counts.hold_ns.saturating_sub(before.hold_ns);
            counts.delay_given_ns = counts.delay_given_ns.saturating_sub(before.delay_given_ns);
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
        snapshot.add(&latency);
        let stats = snapshot.command(3).expect("used");
        assert_eq!((stats.counts.calls, stats.counts.failed), (1_000, 1));
        assert!(stats.is_exact());
        assert_eq!(stats.usec(), (0..1_000u64).map(|call| 10_000 + call).sum::<u64>() / 1_000);
        assert_eq!(snapshot.command(5).expect("refused").counts.rejected, 1);

        latency.called(3);
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&latency);
        assert!(!snapshot.command(3).expect("used").is_exact(), "one call was not timed");
    }

    #[test]
    fn forgetting_the_timings_leaves_the_time_spent_but_for_the_profile() {
        let mut latency = Latency::new(8);
        let call = |latency: &mut Latency, ns| {
            latency.called(3);
            latency.record(3, Stage::Run, ns, 1);
        };
        let snapshot = |latency: &Latency| {
            let mut snapshot = LatencySnapshot::default();
            snapshot.add(latency);
            snapshot
        };
        (0..6).for_each(|_| call(&mut latency, 5_000));
        (0..4).for_each(|_| latency.called(3));
        latency.record(3, Stage::Run, 5_000, 4);
        let before = snapshot(&latency);
        latency.reset_timings();
        call(&mut latency, 7_000);
        let mut after = snapshot(&latency);
        let stats = after.command(3).expect("used");
        assert_eq!((stats.counts.calls, stats.usec(), stats.is_exact()), (11, 57, false));
        after.subtract(&[(3, before.command(3).expect("used").counts)]);
        let stats = after.command(3).expect("used since");
        assert_eq!((stats.counts.calls, stats.usec(), stats.is_exact()), (1, 7, true));
        latency.reset();
        assert!(snapshot(&latency).commands().is_empty());
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
        merged.add(&a);
        merged.add(&b);
        single.add(&both);
        let wait = |snapshot: &LatencySnapshot| snapshot.command(1).expect("used").stage(Stage::Wait).clone();
        assert_eq!(wait(&merged), wait(&single));
    }

    #[test]
    fn samples_never_stand_for_more_calls_than_there_were() {
        let mut latency = Latency::new(1);
        let count = |latency: &Latency, stage| {
            let mut snapshot = LatencySnapshot::default();
            snapshot.add(latency);
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
        latency.reset_timings();
        latency.called(0);
        latency.record(0, Stage::Run, 1_000, 16);
        assert_eq!(count(&latency, Stage::Run), 1, "the calls before the reset have no timing any more");
    }

    #[test]
    fn counters_carry_past_32_bits() {
        let mut latency = Latency::new(1);
        latency.counts[0].calls = u64::MAX;
        for _ in 0..3 {
            latency.record(0, Stage::Run, 100, u32::MAX);
        }
        let mut snapshot = LatencySnapshot::default();
        snapshot.add(&latency);
        let run = snapshot.command(0).expect("used").stage(Stage::Run);
        assert_eq!(run.count(), 3 * u64::from(u32::MAX));
    }

    #[test]
    fn memory_is_bounded_whatever_the_indexes() {
        let mut latency = Latency::new(1);
        for command in 0..=u16::MAX {
            latency.called(command);
            latency.record(command, Stage::Flush, u64::from(command), 16);
        }
        latency.reset_timings();
        for command in 0..=u16::MAX {
            latency.record(command, Stage::Flush, u64::from(command), 16);
        }
        let bound = COMMANDS_MAX * BLOCK_BYTES_MAX + Latency::counters_bytes_max();
        assert!(latency.memory_bytes() <= bound, "{} of {bound}", latency.memory_bytes());
        latency.reset();
        assert!(latency.memory_bytes() < COMMANDS_MAX * 128);
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
