//! Running a load: connections, worker threads, the measured window, and what came of it.
//!
//! It is not a rate controller: the loop is closed, every connection sends as soon as it has its replies. A closed
//! loop hides queueing that an open one would show (coordinated omission); it is what `valkey-benchmark` does, so the
//! figures compare.
//!
//! Invariants:
//! 1. Operations, CPU time and seconds of a window are read at the same two moments.
//! 2. A worker's error ends the run; there is no partial figure.
//!
//! Thread safety: the calling thread measures, one scoped thread for each `threads` generates.

use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::endpoint::{Endpoint, Socket};
use super::error::BenchError;
use super::keys::{KeyDistribution, KeySource, Random, mix64};
use super::process::{ProcessUsage, usage_of, usage_of_all};
use super::request::RequestMix;
use super::worker::{Phase, Signals, Worker, WorkerTotals};

/// A server that answers nothing for this long has hung; the longest pause worth waiting for is a big FLUSHALL.
const STALL_SECONDS_MAX: u64 = 60;
/// Files that the generator needs besides its connections: standard streams, epoll instances, /proc.
const FILES_BESIDE: u64 = 64;
/// How often the measuring thread looks at the workers.
const CONTROL_INTERVAL: Duration = Duration::from_millis(50);

/// A load on one server.
#[derive(Clone, Debug)]
pub struct Load {
    pub endpoint: Endpoint,
    /// Processes whose CPU time and memory are read; none if unknown.
    pub server_pids: Vec<u32>,
    pub clients: usize,
    pub threads: usize,
    pub pipeline: u64,
    pub mix: RequestMix,
    pub keys: u64,
    pub distribution: KeyDistribution,
    pub seed: u64,
}

/// How long a load runs.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// Random keys for a time, after a warm-up.
    Timed { warmup: Duration, window: Duration },
    /// Every key once, in order; no warm-up, since nothing may be left out.
    EveryKey,
}

/// A moment of a running load, for a progress line.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    pub elapsed: Duration,
    /// Replies since the start.
    pub replies: u64,
    pub is_warmup: bool,
}

/// What was seen in the measured window.
#[derive(Clone, Debug)]
pub struct Measurement {
    pub operations: u64,
    pub seconds: f64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Null replies: misses of GET.
    pub nulls: u64,
    /// Replies in the histogram and in `errors` and `nulls`; differs from `operations` by the last few milliseconds.
    pub replies_recorded: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub latency_ns: Histogram<u64>,
    pub server: Option<ServerUsage>,
    /// CPU time of this process in the window, in microseconds.
    pub generator_cpu_us: u64,
}

/// What the server's processes used in the window.
#[derive(Clone, Copy, Debug)]
pub struct ServerUsage {
    pub cpu_us: u64,
    pub rss_bytes_before: u64,
    pub rss_bytes_after: u64,
}

impl Measurement {
    /// Operations each second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    /// The server's CPU time for each operation, in microseconds.
    pub fn server_cpu_us_per_operation(&self) -> Option<f64> {
        self.server.map(|server| server.cpu_us as f64 / self.operations.max(1) as f64)
    }

    /// A latency percentile (0 to 100) in microseconds.
    pub fn latency_us(&self, percentile: f64) -> f64 {
        self.latency_ns.value_at_percentile(percentile) as f64 / 1e3
    }
}

/// Runs `load` and returns what the measured window showed. `on_tick` is called about every 50 ms.
///
/// # Errors
/// Any `BenchError` of connecting, of a worker, or of reading the server's usage.
pub fn run(load: &Load, extent: Extent, on_tick: &mut dyn FnMut(Tick)) -> Result<Measurement, BenchError> {
    raise_open_files(load.clients as u64 + FILES_BESIDE)?;
    let mut shares: Vec<Vec<Socket>> = (0..load.threads).map(|_| Vec::new()).collect();
    for client in 0..load.clients {
        let connect = || BenchError::Connect {
            address: load.endpoint.to_string(),
            source: std::io::Error::other("cannot make the socket non-blocking"),
        };
        shares[client % load.threads].push(load.endpoint.connect()?.into_socket().map_err(|_| connect())?);
    }
    let signals: Vec<Signals> = (0..load.threads).map(|_| Signals::default()).collect();
    std::thread::scope(|scope| {
        let mut handles = Vec::new();
        for (index, (sockets, signals)) in shares.into_iter().zip(&signals).enumerate() {
            let worker = Worker {
                signals,
                mix: &load.mix,
                keys: key_source(load, extent, index as u64),
                random: Random::new(mix64(load.seed.wrapping_add(index as u64))),
                pipeline: load.pipeline,
                address: load.endpoint.to_string(),
            };
            let spawned = std::thread::Builder::new()
                .name(format!("bench-{index}"))
                .spawn_scoped(scope, move || worker.run(sockets));
            handles.push(
                spawned.map_err(|source| BenchError::System { what: "cannot start a thread", source })?,
            );
        }
        let window = Control { load, signals: &signals, handles: &handles }.measure(extent, on_tick);
        signals.iter().for_each(|signals| signals.set_phase(Phase::Stop));
        let mut totals = WorkerTotals::new();
        for handle in handles {
            add(&mut totals, handle.join().expect("a worker does not panic")?);
        }
        Ok(assemble(window?, totals))
    })
}

fn key_source(load: &Load, extent: Extent, thread: u64) -> KeySource {
    let threads = load.threads as u64;
    match extent {
        Extent::Timed { .. } => KeySource::random(load.distribution, load.keys),
        Extent::EveryKey => KeySource::Sequential {
            next: load.keys * thread / threads,
            end: load.keys * (thread + 1) / threads,
        },
    }
}

/// The measured window as the controlling thread saw it.
struct Window {
    operations: u64,
    seconds: f64,
    server: Option<ServerUsage>,
    generator_cpu_us: u64,
}

struct Control<'a, 'scope> {
    load: &'a Load,
    signals: &'a [Signals],
    handles: &'a [ScopedJoinHandle<'scope, Result<WorkerTotals, BenchError>>],
}

impl Control<'_, '_> {
    fn measure(&self, extent: Extent, on_tick: &mut dyn FnMut(Tick)) -> Result<Window, BenchError> {
        let started = Instant::now();
        let (warmup, window) = match extent {
            Extent::Timed { warmup, window } => (warmup, Some(window)),
            Extent::EveryKey => (Duration::ZERO, None),
        };
        if !warmup.is_zero() {
            self.watch_until(started, Some(warmup), true, on_tick)?;
        }
        self.signals.iter().for_each(|signals| signals.set_phase(Phase::Measure));
        // A filling load counts from its first request, a timed one from here.
        let replies_before = if window.is_some() { self.replies() } else { 0 };
        let server_before = self.server_usage()?;
        let generator_before = usage_of(std::process::id())?;
        let window_started = if window.is_some() { Instant::now() } else { started };
        self.watch_until(window_started, window, false, on_tick)?;
        let seconds = window_started.elapsed().as_secs_f64();
        let operations = self.replies() - replies_before;
        let server_after = self.server_usage()?;
        let generator_after = usage_of(std::process::id())?;
        Ok(Window {
            operations,
            seconds,
            server: server_before.zip(server_after).map(|(before, after)| ServerUsage {
                cpu_us: after.cpu_us.saturating_sub(before.cpu_us),
                rss_bytes_before: before.rss_bytes,
                rss_bytes_after: after.rss_bytes,
            }),
            generator_cpu_us: generator_after.cpu_us - generator_before.cpu_us,
        })
    }

    /// Waits until `limit` after `since`, or until a worker has ended: early, that is an error which `join` returns.
    fn watch_until(
        &self,
        since: Instant,
        limit: Option<Duration>,
        is_warmup: bool,
        on_tick: &mut dyn FnMut(Tick),
    ) -> Result<(), BenchError> {
        let mut last_replies = self.replies();
        let mut last_change = Instant::now();
        loop {
            let left = limit.map_or(CONTROL_INTERVAL, |limit| limit.saturating_sub(since.elapsed()));
            let all_ended = self.handles.iter().all(ScopedJoinHandle::is_finished);
            let one_ended = self.handles.iter().any(ScopedJoinHandle::is_finished);
            if left.is_zero() || all_ended || (one_ended && limit.is_some()) {
                return Ok(());
            }
            std::thread::sleep(left.min(CONTROL_INTERVAL));
            let replies = self.replies();
            on_tick(Tick { elapsed: since.elapsed(), replies, is_warmup });
            if replies != last_replies {
                (last_replies, last_change) = (replies, Instant::now());
            } else if last_change.elapsed().as_secs() >= STALL_SECONDS_MAX {
                let address = self.load.endpoint.to_string();
                return Err(BenchError::Stalled { address, seconds: STALL_SECONDS_MAX });
            }
        }
    }

    fn replies(&self) -> u64 {
        self.signals.iter().map(|signals| signals.replies.load(std::sync::atomic::Ordering::Acquire)).sum()
    }

    fn server_usage(&self) -> Result<Option<ProcessUsage>, BenchError> {
        if self.load.server_pids.is_empty() {
            return Ok(None);
        }
        usage_of_all(&self.load.server_pids).map(Some)
    }
}

fn add(sum: &mut WorkerTotals, part: WorkerTotals) {
    sum.tally.replies += part.tally.replies;
    sum.tally.errors += part.tally.errors;
    sum.tally.nulls += part.tally.nulls;
    if sum.tally.first_error.is_none() {
        sum.tally.first_error = part.tally.first_error;
    }
    sum.bytes_sent += part.bytes_sent;
    sum.bytes_received += part.bytes_received;
    sum.latency_ns.add(&part.latency_ns).expect("all histograms have the same bounds");
}

fn assemble(window: Window, totals: WorkerTotals) -> Measurement {
    Measurement {
        operations: window.operations,
        seconds: window.seconds,
        errors: totals.tally.errors,
        first_error: totals.tally.first_error,
        nulls: totals.tally.nulls,
        replies_recorded: totals.tally.replies,
        bytes_sent: totals.bytes_sent,
        bytes_received: totals.bytes_received,
        latency_ns: totals.latency_ns,
        server: window.server,
        generator_cpu_us: window.generator_cpu_us,
    }
}

/// Raises the soft limit of open files to `needed`, as far as the hard limit allows.
fn raise_open_files(needed: u64) -> Result<(), BenchError> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(BenchError::Usage(format!(
            "this process may open {} files, {needed} are needed: raise `ulimit -n` or lower --clients",
            limit.maximum.unwrap_or_default()
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).map_err(|errno| {
        BenchError::System { what: "cannot raise the limit of open files", source: errno.into() }
    })
}
