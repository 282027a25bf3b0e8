//! One thread of the load generator: an epoll loop over its connections.
//!
//! Each connection writes a batch, reads all replies to it, writes the next. The thread shares the machine with the
//! server it measures, so the loop does as little as it can: requests are patched templates, replies are counted and
//! not built, one read buffer serves all connections, and the clock is read twice for each batch.
//!
//! Invariants:
//! 1. A connection has at most one batch in flight; its latency counts from just before the first write.
//! 2. After an error the thread stops and says so; nothing is reconnected, since that would hide what happened.
//!
//! Thread safety: a `Worker` lives in its thread; `Signals` are the only state it shares.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::endpoint::Socket;
use super::error::BenchError;
use super::keys::{KeySource, Random};
use super::reply::{ReplyScanner, ReplyTally};
use super::request::RequestMix;

/// Replies to a batch of 64 small GETs are 3 KiB; 256 KiB takes large values in few reads and still fits the L2 cache.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// How long the loop sleeps without events before it looks at the phase again.
const PHASE_CHECK_MS: u64 = 20;
/// Latencies up to a minute are recorded with 3 significant digits; longer ones count as a minute.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What the worker threads are to do with what they measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    WarmUp = 0,
    Measure = 1,
    Stop = 2,
}

/// The state that one worker shares with the measuring thread. On its own cache lines, for the worker writes it often.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Signals {
    phase: AtomicU8,
    /// Replies since the start, warm-up included.
    pub replies: AtomicU64,
}

impl Signals {
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::WarmUp,
            1 => Phase::Measure,
            _ => Phase::Stop,
        }
    }
}

/// What one worker saw since measuring began.
#[derive(Debug)]
pub struct WorkerTotals {
    pub tally: ReplyTally,
    pub latency_ns: Histogram<u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

impl WorkerTotals {
    /// Nothing seen yet.
    pub fn new() -> Self {
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("constant bounds are valid");
        Self { tally: ReplyTally::default(), latency_ns, bytes_sent: 0, bytes_received: 0 }
    }
}

struct Connection {
    socket: Socket,
    scanner: ReplyScanner,
    out: Vec<u8>,
    written: usize,
    outstanding: u64,
    batch_started: Instant,
    waits_for_writable: bool,
}

/// What a worker needs to run.
pub struct Worker<'a> {
    pub signals: &'a Signals,
    pub mix: &'a RequestMix,
    pub keys: KeySource,
    pub random: Random,
    pub pipeline: u64,
    pub address: String,
}

impl Worker<'_> {
    /// Drives `sockets` until the phase is `Stop` or the keys have ended and every reply is read.
    ///
    /// # Errors
    /// `Lost`, `Protocol` or `System`; the connections are closed.
    pub fn run(mut self, sockets: Vec<Socket>) -> Result<WorkerTotals, BenchError> {
        let system = |what| move |source| BenchError::System { what, source };
        let mut poll = Poll::new().map_err(system("cannot create an epoll instance"))?;
        let mut totals = WorkerTotals::new();
        let mut connections = Vec::with_capacity(sockets.len());
        let mut busy = 0usize;
        for (index, mut socket) in sockets.into_iter().enumerate() {
            socket
                .watch(poll.registry(), Token(index), false, true)
                .map_err(system("cannot watch a socket"))?;
            let mut connection = Connection {
                socket,
                scanner: ReplyScanner::default(),
                out: Vec::new(),
                written: 0,
                outstanding: 0,
                batch_started: Instant::now(),
                waits_for_writable: false,
            };
            busy += usize::from(self.start_batch(&mut connection, Token(index), &poll, &mut totals)?);
            connections.push(connection);
        }

        let mut events = Events::with_capacity(connections.len().clamp(16, 4096));
        let mut buffer = vec![0u8; READ_BUFFER_BYTES];
        let mut phase = Phase::WarmUp;
        let mut replies_before = 0;
        while busy > 0 {
            match poll.poll(&mut events, Some(Duration::from_millis(PHASE_CHECK_MS))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(system("cannot wait for events"))?,
            }
            let wanted = self.signals.phase();
            if wanted != phase {
                phase = wanted;
                if phase == Phase::Stop {
                    break;
                }
                replies_before += totals.tally.replies;
                totals = WorkerTotals::new();
            }
            for event in &events {
                let Some(connection) = connections.get_mut(event.token().0) else { continue };
                if event.is_writable() && connection.waits_for_writable {
                    self.write(connection, event.token(), &poll, &mut totals)?;
                }
                if event.is_readable()
                    && !self.read(connection, event.token(), &poll, &mut buffer, &mut totals)?
                {
                    busy -= 1;
                }
            }
            self.signals.replies.store(replies_before + totals.tally.replies, Ordering::Release);
        }
        Ok(totals)
    }

    /// Reads what there is and starts the next batch when this one is complete. `false` once the keys have ended.
    #[inline]
    fn read(
        &mut self,
        connection: &mut Connection,
        token: Token,
        poll: &Poll,
        buffer: &mut [u8],
        totals: &mut WorkerTotals,
    ) -> Result<bool, BenchError> {
        loop {
            let count = match connection.socket.read(buffer) {
                Ok(0) if connection.outstanding == 0 => return Ok(true),
                Ok(0) => return Err(self.closed(totals)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.lost(error)),
            };
            let latency = connection.batch_started.elapsed();
            totals.bytes_received += count as u64;
            let replies_before = totals.tally.replies;
            let bytes = buffer.get(..count).unwrap_or_default();
            connection.scanner.feed(bytes, &mut totals.tally).map_err(|text| self.protocol(text))?;
            let replies = totals.tally.replies - replies_before;
            totals.latency_ns.saturating_record_n(latency.as_nanos() as u64, replies);
            connection.outstanding = connection
                .outstanding
                .checked_sub(replies)
                .ok_or_else(|| self.protocol("more replies than requests".to_owned()))?;
            if connection.outstanding == 0 && !self.start_batch(connection, token, poll, totals)? {
                return Ok(false);
            }
            // The socket was emptied: the next bytes make a new event. This saves a read call for each batch.
            if count < buffer.len() {
                return Ok(true);
            }
        }
    }

    /// Lays out and writes the next batch; `false` when the keys have ended.
    #[inline]
    fn start_batch(
        &mut self,
        connection: &mut Connection,
        token: Token,
        poll: &Poll,
        totals: &mut WorkerTotals,
    ) -> Result<bool, BenchError> {
        connection.out.clear();
        connection.written = 0;
        while connection.outstanding < self.pipeline
            && self.mix.append(&mut connection.out, &mut self.keys, &mut self.random)
        {
            connection.outstanding += 1;
        }
        if connection.outstanding == 0 {
            return Ok(false);
        }
        connection.batch_started = Instant::now();
        self.write(connection, token, poll, totals)?;
        Ok(true)
    }

    #[inline]
    fn write(
        &self,
        connection: &mut Connection,
        token: Token,
        poll: &Poll,
        totals: &mut WorkerTotals,
    ) -> Result<(), BenchError> {
        let mut is_blocked = false;
        while let Some(rest) = connection.out.get(connection.written..).filter(|rest| !rest.is_empty()) {
            match connection.socket.write(rest) {
                Ok(count) => {
                    connection.written += count;
                    totals.bytes_sent += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
        if is_blocked != connection.waits_for_writable {
            connection.waits_for_writable = is_blocked;
            connection
                .socket
                .watch(poll.registry(), token, is_blocked, false)
                .map_err(|source| BenchError::System { what: "cannot watch a socket", source })?;
        }
        Ok(())
    }

    /// A server that turns a client away says why in an error reply before it closes.
    fn closed(&self, totals: &WorkerTotals) -> BenchError {
        match &totals.tally.first_error {
            Some(text) => BenchError::Refused { address: self.address.clone(), text: text.clone() },
            None => self.lost(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn lost(&self, source: io::Error) -> BenchError {
        BenchError::Lost { address: self.address.clone(), source }
    }

    fn protocol(&self, text: String) -> BenchError {
        BenchError::Protocol { address: self.address.clone(), text }
    }
}
