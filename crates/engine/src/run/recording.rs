//! What dispatch records about a command, in one place: counters always, timings and keys by sample.
//!
//! Not the observers themselves (the `observe` crate): here is only which figure goes to which of them.
//!
//! Invariants: (1) calls, failures, hits, misses and sizes are exact; (2) a command that is not BRIEF is always timed, a
//! BRIEF one by sample, see `observe::record::sampler`; (3) with `profiling no` the clock is read only for the slow log.
//!
//! Thread safety: works on the worker's own recorder.

pub mod sections;

use crate::config::Setting;
use crate::run::ctx::Ctx;
use crate::run::keys::Declared;
use crate::run::prepared::Prepared;
use crate::spec::command::{Command, Outcome};
use crate::spec::flags::{BRIEF, FAST, Flags, SKIP_SLOWLOG, WRITE};
use crate::state::clients::Client;
use crate::state::instance::Instance;
use crate::state::slowlog::{self, SlowCommand};
use keyspace::{Event, Journal, Key};
use observe::os::clock::{self, Ticks};
use observe::record::hotkeys::{Access, KeyAccess};
use observe::record::latency::{HOLD_NS, Stage};
use observe::record::{Observer, Recorder};
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

/// 0 logs every command, -1 none.
const SLOWLOG_LOG_SLOWER_THAN_US: Setting<i64> = Setting::of("slowlog-log-slower-than");
const SLOWLOG_MAX_LEN: Setting<usize> = Setting::of("slowlog-max-len");
/// 0 is off.
const LATENCY_MONITOR_THRESHOLD_MS: Setting<u64> = Setting::of("latency-monitor-threshold");

/// Below this threshold of the slow log every command is timed, not only a sample of the fast ones.
const SLOW_LOG_COMPLETE_US: i64 = 100;

/// When the requests of a batch arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Ticks,
    /// How many batches this one stands for in the statistics of waiting; 0 = `at` is not known well enough to count.
    pub weight: u32,
}

/// After so long the worker's other connections get their turn: a client with costly commands starves nobody.
const TURN_NS: u64 = 500_000;

/// The clock of one batch.
pub(crate) struct Clock {
    /// What its timed commands took. Those that are timed by sample take a microsecond each, 64 of them no time that counts.
    spent_ns: Cell<u64>,
    arrived: Arrival,
    /// Other connections of this worker that had something to do when the batch began.
    others_ready: u32,
    time_all: bool,
    threshold_us: i64,
}

/// The timing of one command.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    /// How many commands the sample stands for; 0 = not sampled.
    weight: u32,
    started: Option<Ticks>,
    misses: u64,
    /// Nanoseconds spent waiting for stripes.
    pub lock_ns: u64,
    /// Nanoseconds since it was parked for want of stripes.
    pub parked_ns: u64,
    /// Nanoseconds that earlier slices of the command took.
    pub earlier_ns: u64,
}

impl Clock {
    pub(crate) fn new(arrived: Arrival, others_ready: u32, instance: &Instance) -> Clock {
        let threshold_us = instance.settings.read(SLOWLOG_LOG_SLOWER_THAN_US);
        Clock {
            spent_ns: Cell::new(0),
            arrived,
            others_ready,
            time_all: (0..SLOW_LOG_COMPLETE_US).contains(&threshold_us),
            threshold_us,
        }
    }

    /// Whether the batch has taken as long as one turn may.
    #[inline(always)]
    pub(crate) fn is_turn_over(&self) -> bool {
        self.spent_ns.get() > TURN_NS
    }

    /// Called once per command, before its locks are taken.
    #[inline(always)]
    pub(crate) fn start(&self, recorder: &mut Recorder, flags: Flags) -> Timing {
        let weight = if recorder.switches.profiling { recorder.sample() } else { 0 };
        let timed = weight > 0 || self.time_all || !flags.has(BRIEF);
        let started = timed.then(clock::now);
        Timing { weight, started, misses: recorder.misses(), lock_ns: 0, parked_ns: 0, earlier_ns: 0 }
    }
}

impl Timing {
    /// How long the command runs by now, earlier slices included, if it is timed.
    pub(crate) fn run_ns(&self) -> u64 {
        self.earlier_ns + self.started.map_or(0, |started| clock::now().ns_since(started))
    }
}

/// A command that has run.
pub(crate) struct Ran<'a> {
    pub request: &'a Prepared<'a>,
    pub command: &'static Command,
    pub outcome: &'a Outcome,
    pub clock: &'a Clock,
    pub timing: Timing,
}

/// Records a command that ran, while its stripes are still held.
#[inline]
pub(crate) fn record(ctx: &mut Ctx<'_>, ran: &Ran<'_>, reply_before: wire::Mark) {
    count(ran, ctx.data.recorder, &ctx.session.client);
    if !ctx.data.journal.changes.is_empty() {
        drain(ctx.data.journal, ctx.data.recorder);
    }
    if ran.timing.started.is_some() {
        let now_ms = ctx.data.journal.now_ms;
        let run_ns = time(ran, ctx.data.recorder, ctx.instance, &ctx.session.client, now_ms);
        if ran.timing.weight > 0 {
            record_keys(ctx, ran, run_ns, reply_before);
        }
    }
}

#[inline]
fn count(ran: &Ran<'_>, recorder: &mut Recorder, client: &Client) {
    recorder.latency.called(ran.request.index());
    if let Err(error) = ran.outcome {
        recorder.latency.failed(ran.request.index());
        recorder.errors.record(error.text());
        Client::add(&client.errors, 1);
    }
}

/// Records the stages of a timed command and whether it was slow; returns its run time in nanoseconds.
fn time(ran: &Ran<'_>, recorder: &mut Recorder, instance: &Instance, client: &Client, now_ms: i64) -> u64 {
    let Ran { request, command, clock, timing, .. } = ran;
    let Some(started) = timing.started else { return 0 };
    let run_ns = timing.earlier_ns + clock::now().ns_since(started).saturating_sub(timing.lock_ns);
    clock.spent_ns.set(clock.spent_ns.get() + run_ns);
    // Where every call of the command is timed, each stands for itself.
    let is_sample = command.flags.has(BRIEF) && !clock.time_all;
    let weight = if is_sample { timing.weight.max(1) } else { 1 };
    if recorder.switches.is_on(Observer::CLIENTS) {
        Client::add(&client.run_ns, run_ns.saturating_mul(u64::from(weight)));
    }
    if recorder.switches.is_on(Observer::LATENCY) {
        recorder.latency.record(request.index(), Stage::Run, run_ns, weight);
        if run_ns >= HOLD_NS {
            recorder.latency.delayed_others(request.index(), run_ns, clock.others_ready);
        }
        if clock.arrived.weight > 0 {
            let waited_ns = started.ns_since(clock.arrived.at);
            recorder.latency.record(request.index(), Stage::Wait, waited_ns, weight * clock.arrived.weight);
        }
        let waited_ns = timing.lock_ns.max(timing.parked_ns);
        if waited_ns > 0 {
            recorder.latency.record(request.index(), Stage::Lock, waited_ns, weight);
        }
    }
    let run_us = run_ns / 1000;
    let at_seconds = || instance.to_unix_ms(now_ms) / 1000;
    let is_slow = clock.threshold_us >= 0 && run_us >= clock.threshold_us as u64;
    if let (true, Some(entry)) = (is_slow && !command.flags.has(SKIP_SLOWLOG), request.entry) {
        let max = instance.settings.read(SLOWLOG_MAX_LEN);
        instance.slow_log.add(max, |id| SlowCommand {
            id,
            at_seconds: at_seconds(),
            duration_us: run_us,
            arguments: slowlog::shorten(entry, request.args),
            peer: client.origin.peer(),
            client_name: client.names.lock().name.clone(),
        });
    }
    let threshold_ms = instance.settings.read(LATENCY_MONITOR_THRESHOLD_MS);
    if threshold_ms > 0 && run_us / 1000 >= threshold_ms {
        let event = if command.flags.has(FAST) { "fast-command" } else { "command" };
        instance.spikes.add(event, at_seconds(), run_us / 1000);
    }
    run_ns
}

/// Hot keys, prefixes and sizes: every key of a sampled command.
fn record_keys(ctx: &mut Ctx<'_>, ran: &Ran<'_>, run_ns: u64, reply_before: wire::Mark) {
    let Ran { request, command, timing, .. } = ran;
    let switches = ctx.data.recorder.switches;
    if !(switches.is_on(Observer::HOTKEYS)
        || switches.is_on(Observer::PREFIXES)
        || switches.is_on(Observer::SIZES))
    {
        return;
    }
    let keys = match request.keys {
        Declared::One(_) => 1,
        Declared::Listed(range) => ctx.data.keys.of(range).iter().filter(|key| key.is_in_selected()).count(),
    };
    let Some(each) = u32::try_from(keys).ok().filter(|&keys| keys > 0) else { return };
    let bytes = (request.args.bytes_len() + ctx.reply.len_since(reply_before)).min(u32::MAX as usize) as u32;
    let has_missed = ctx.data.recorder.misses() > timing.misses;
    let db = ctx.data.database as u8;
    let cpu_ns = (run_ns / u64::from(each)).min(u64::from(u32::MAX)) as u32;
    let record_key = |ctx: &mut Ctx<'_>, key: Key<'_>, writes: bool| {
        let Key { bytes: name, hash } = key;
        let (weight, bytes) = (timing.weight, bytes / each);
        let stored = ctx.data.observed(key);
        // A command that found some of its keys missed only those that are not there.
        let access = match stored {
            _ if writes => Access::Write,
            None if has_missed => Access::Miss,
            _ => Access::Read,
        };
        let access = KeyAccess { db, hash, key: name, weight, access, cpu_ns, bytes };
        ctx.data.recorder.record_key(access, stored);
    };
    match request.keys {
        Declared::One(key) => record_key(ctx, key, command.flags.has(WRITE)),
        Declared::Listed(range) => {
            for place in range.indices() {
                let declared = ctx.data.keys.at(place);
                if declared.is_in_selected() {
                    let key = Key { bytes: request.args.at(declared.at as usize), hash: declared.hash() };
                    // Of a key that is only read a command that writes says so: the source of COPY.
                    record_key(ctx, key, command.flags.has(WRITE) && !declared.is_only_read());
                }
            }
        }
    }
}

/// Tells the observers what came, went and changed its size since the last time.
pub fn drain(journal: &mut Journal, recorder: &mut Recorder) {
    for change in &journal.changes {
        let (node, key_bytes) = (change.prefix, change.key_bytes as usize);
        match (change.before, change.after) {
            (None, Some(after)) => {
                let (value_bytes, total_bytes) = (after.value_bytes as usize, after.total_bytes as usize);
                recorder.added(node, key_bytes, value_bytes, total_bytes);
            }
            (Some(before), None) => {
                recorder.removed(node, key_bytes, before.value_bytes as usize, before.total_bytes as usize);
                if change.event == Event::Evicted {
                    recorder.prefixes.evicted(node);
                }
            }
            // A write that left the sizes as they were is nothing to those who add them up.
            (Some(before), Some(after))
                if (before.value_bytes, before.total_bytes) == (after.value_bytes, after.total_bytes) => {}
            (Some(before), Some(after)) => {
                let delta = after.total_bytes as i64 - before.total_bytes as i64;
                recorder.resized(node, before.value_bytes as usize, after.value_bytes as usize, delta);
            }
            (None, None) => {}
        }
    }
    journal.forget_changes();
}

/// Moves the journal's exact counts into the recorder and the instance; once per batch.
pub(crate) fn settle(journal: &mut Journal, recorder: &mut Recorder, instance: &Instance) {
    drain(journal, recorder);
    let counters = &instance.counters;
    let expired = std::mem::take(&mut journal.expired_keys);
    let evicted = std::mem::take(&mut journal.evicted_keys);
    let writes = std::mem::take(&mut journal.writes);
    if expired > 0 {
        recorder.expired(expired);
    }
    if evicted > 0 {
        recorder.evicted(evicted);
    }
    if writes > 0 {
        counters.writes.fetch_add(writes, Relaxed);
    }
}
