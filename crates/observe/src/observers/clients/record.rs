//! Observer 20: what each client does, and which addresses connect again and again.
//!
//! A connection owns a [`ClientCounters`]: plain fields its worker updates, exact. A report is given a
//! [`ClientSnapshot`] per connection. [`Connects`] counts connections per address in windows of
//! [`CONNECT_WINDOW_MS`], with the bounded list and the error bound of Space-Saving.
//!
//! Invariants:
//! 1. [`ClientCounters`] is at most 128 bytes.
//! 2. An address that connected more than `total / `[`ADDRESSES_MAX`]` + missed` times in a window is listed; connections
//!    are missed only if a reporter keeps the list from the worker for hundreds of them.
//!
//! Thread safety: plain values, but for [`ConnectRecorder`], which is owned by one recorder, see `kept`.

use crate::record::kept::{Keeper, Kept, Summary};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses counted at once per worker and window.
pub const ADDRESSES_MAX: usize = 64;
/// Window of the reconnect counts: a storm shows within seconds.
pub const CONNECT_WINDOW_MS: u64 = 10_000;

/// What a worker's counts of reconnects and of errors by code may hold; most of it is never used.
pub const RECORDER_BYTES_MAX: usize = 48 * 1024;

/// What one connection did. Times are milliseconds of the server's monotonic clock.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ClientCounters {
    /// Commands executed or refused.
    pub commands: u64,
    /// Commands answered with an error.
    pub errors: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Reads from the socket that held at least one command: commands over batches is the pipeline depth.
    pub batches: u64,
    /// Time the commands ran, nanoseconds, weighted by sampling.
    pub run_ns: u64,
    /// When it connected.
    pub connected_ms: u64,
    /// When its last command ended.
    pub active_ms: u64,
    /// Largest reply backlog, bytes.
    pub output_bytes_peak: u64,
    /// Times the socket took less than what was to be sent.
    pub slow_reads: u32,
    /// Deepest batch.
    pub batch_max: u32,
}

const _: () = assert!(size_of::<ClientCounters>() <= 128);

impl ClientCounters {
    /// Counters of a connection made at `now_ms`.
    pub fn connected(now_ms: u64) -> Self {
        Self { connected_ms: now_ms, active_ms: now_ms, ..Self::default() }
    }

    /// Counts one batch.
    #[inline]
    pub fn batch(&mut self, commands: u32, errors: u32, bytes_in: u64, bytes_out: u64, now_ms: u64) {
        self.commands += u64::from(commands);
        self.errors += u64::from(errors);
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        self.batches += 1;
        self.batch_max = self.batch_max.max(commands);
        self.active_ms = now_ms;
    }

    /// Counts a send that the socket did not take whole; `backlog_bytes` are left.
    pub fn slow_read(&mut self, backlog_bytes: u64) {
        self.slow_reads = self.slow_reads.saturating_add(1);
        self.output_bytes_peak = self.output_bytes_peak.max(backlog_bytes);
    }

    /// Mean commands per batch.
    pub fn depth(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.commands as f64 / self.batches as f64 }
    }
}

/// One connection in a report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientSnapshot {
    /// Its id.
    pub id: u64,
    /// Address and port, or the socket's path.
    pub address: String,
    /// What CLIENT SETNAME said.
    pub name: String,
    /// What it did.
    pub counters: ClientCounters,
    /// Bytes waiting to be sent now.
    pub output_bytes: u64,
}

/// Connections of one address in a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressConnects {
    /// None: a unix socket.
    pub address: Option<IpAddr>,
    /// Upper bound.
    pub connects: u64,
    /// `connects - error` is the lower bound.
    pub error: u64,
}

/// The connections of a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnectWindow {
    /// All connections made.
    pub total: u64,
    /// How long the window was.
    pub span_ms: u64,
    /// Connections whose address nobody knows: each address may have had them.
    missed: u64,
    addresses: Vec<AddressConnects>,
}

impl ConnectWindow {
    fn count(&mut self, address: Option<IpAddr>) {
        self.total += 1;
        if let Some(known) = self.addresses.iter_mut().find(|known| known.address == address) {
            known.connects += 1;
        } else if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(AddressConnects { address, connects: 1 + self.missed, error: self.missed });
        } else if let Some(least) = self.addresses.iter_mut().min_by_key(|known| known.connects) {
            *least = AddressConnects { address, connects: least.connects + 1, error: least.connects };
        }
    }

    /// So many connections came whose addresses are not known: any of them may have been any address's.
    fn miss(&mut self, connections: u64) {
        self.total += connections;
        self.missed += connections;
        for known in &mut self.addresses {
            known.connects += connections;
            known.error += connections;
        }
    }

    /// Adds another worker's. An address it does not list may have had its smallest count there.
    pub fn merge(&mut self, other: &ConnectWindow) {
        let least = |window: &ConnectWindow| {
            if window.addresses.len() < ADDRESSES_MAX {
                return window.missed;
            }
            let least = window.addresses.iter().map(|known| known.connects).min().unwrap_or(0);
            least.max(window.missed)
        };
        let (mine, theirs) = (least(self), least(other));
        let before = self.addresses.len();
        for theirs in &other.addresses {
            match self.addresses[..before].iter_mut().find(|known| known.address == theirs.address) {
                Some(known) => {
                    known.connects += theirs.connects;
                    known.error += theirs.error;
                }
                None => self.addresses.push(AddressConnects {
                    connects: theirs.connects + mine,
                    error: theirs.error + mine,
                    ..theirs.clone()
                }),
            }
        }
        for known in &mut self.addresses[..before] {
            if !other.addresses.iter().any(|theirs| theirs.address == known.address) {
                known.connects += theirs;
                known.error += theirs;
            }
        }
        self.total += other.total;
        self.missed += other.missed;
        self.span_ms = self.span_ms.max(other.span_ms);
    }

    /// The addresses that connected most, most first.
    pub fn top(&self, n: usize) -> Vec<&AddressConnects> {
        let mut addresses: Vec<_> = self.addresses.iter().collect();
        addresses.sort_by_key(|known| std::cmp::Reverse(known.connects));
        addresses.truncate(n);
        addresses
    }
}

/// Connections per address, in windows.
#[derive(Clone, Default, Debug)]
pub struct Connects {
    current: ConnectWindow,
    last: ConnectWindow,
    started_ms: u64,
}

impl Connects {
    /// Counts a connection that was accepted. `None` is the unix socket.
    pub fn connected(&mut self, address: Option<IpAddr>, now_ms: u64) {
        self.rotate(now_ms);
        self.current.count(address);
    }

    /// Closes the window when it is old enough.
    pub fn rotate(&mut self, now_ms: u64) {
        let span_ms = now_ms.saturating_sub(self.started_ms);
        if span_ms < CONNECT_WINDOW_MS {
            return;
        }
        self.last = std::mem::take(&mut self.current);
        self.last.span_ms = span_ms;
        if span_ms >= 2 * CONNECT_WINDOW_MS {
            self.last = ConnectWindow::default();
        }
        self.started_ms = now_ms;
    }

    /// The last complete window and the one under way: ten to twenty seconds. For a reader's copy: the worker closes a
    /// window only when somebody connects.
    pub fn recent(mut self, now_ms: u64) -> ConnectWindow {
        self.rotate(now_ms);
        let mut recent = self.last;
        let last_ms = recent.span_ms;
        recent.merge(&self.current);
        recent.span_ms = last_ms + now_ms.saturating_sub(self.started_ms);
        recent
    }

    /// Bytes held now: at most `2 * ADDRESSES_MAX * 40` and a little.
    pub fn memory_bytes(&self) -> usize {
        let addresses = self.current.addresses.capacity() + self.last.addresses.capacity();
        size_of::<Self>() + addresses * size_of::<AddressConnects>()
    }
}

impl Summary for Connects {
    type Event = (Option<IpAddr>, u64);

    fn take_late(&mut self, (address, now_ms): (Option<IpAddr>, u64)) {
        self.connected(address, now_ms);
    }

    fn take_missed(&mut self, weight: u64) {
        self.current.miss(weight);
    }

    fn held_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn forget(&mut self) {
        let started_ms = self.started_ms;
        *self = Self { started_ms, ..Self::default() };
    }
}

/// The worker's side of [`Connects`].
#[derive(Default)]
pub struct ConnectRecorder(Keeper<Connects>);

impl ConnectRecorder {
    /// Counts a connection that was accepted. `None` is the unix socket.
    pub fn connected(&mut self, address: Option<IpAddr>, now_ms: u64) {
        if let Some(mut connects) = self.0.try_open() {
            connects.connected(address, now_ms);
        } else {
            self.0.note((address, now_ms), 1);
        }
    }

    /// What others read.
    pub fn kept(&self) -> Arc<Kept<Connects>> {
        self.0.kept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::kept::LATE_MAX;
    use std::collections::HashMap;
    use std::net::Ipv4Addr;

    fn address(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from(n)))
    }

    #[test]
    fn a_storm_is_found_among_thousands_of_addresses() {
        let mut state = 0xC0_FFEEu64;
        println!("seed {state:#x}");
        let mut workers = [Connects::default(), Connects::default()];
        let mut truth: HashMap<Option<IpAddr>, u64> = HashMap::new();
        for connect in 0..20_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let from = if state >> 60 < 6 { address(7) } else { address((state >> 40) as u32 % 5_000 + 100) };
            workers[(connect % 2) as usize].connected(from, 1_000);
            *truth.entry(from).or_default() += 1;
        }
        let mut merged = workers[0].clone().recent(1_000);
        merged.merge(&workers[1].clone().recent(1_000));
        assert_eq!(merged.total, 20_000);
        let top = merged.top(1)[0];
        assert_eq!(top.address, address(7));
        for known in merged.top(usize::MAX) {
            let real = truth.get(&known.address).copied().unwrap_or(0);
            assert!(known.connects - known.error <= real && real <= known.connects, "{known:?} {real}");
        }
        assert!(workers[0].memory_bytes() < 2 * ADDRESSES_MAX * 64 + 256);
    }

    #[test]
    fn connections_that_come_while_a_reporter_copies_are_counted_later() {
        let mut recorder = ConnectRecorder::default();
        recorder.connected(address(1), 100);
        let kept = recorder.kept();
        kept.read(|_| {
            for connect in 0..LATE_MAX as u32 + 7 {
                recorder.connected(address(connect % 2), 100);
            }
        });
        recorder.connected(address(9), 100);
        let recent = kept.copy().recent(100);
        assert_eq!(recent.total, LATE_MAX as u64 + 9);
        let counted = |n| recent.top(9).into_iter().find(|known| known.address == address(n)).cloned();
        let late = LATE_MAX as u64 / 2;
        for (n, real) in [(0, late), (1, late + 1), (9, 1)] {
            let known = counted(n).expect("listed");
            assert_eq!((known.connects, known.error), (real + 7, 7), "{known:?}");
        }
    }

    #[test]
    fn windows_forget() {
        let mut connects = Connects::default();
        connects.connected(address(1), 100);
        connects.rotate(CONNECT_WINDOW_MS + 100);
        assert_eq!(connects.clone().recent(CONNECT_WINDOW_MS + 200).total, 1);
        assert_eq!(connects.recent(4 * CONNECT_WINDOW_MS).total, 0);
    }

    #[test]
    fn depth_is_commands_per_batch() {
        let mut client = ClientCounters::connected(5);
        client.batch(10, 1, 100, 200, 9);
        client.batch(30, 0, 100, 200, 12);
        assert_eq!((client.depth(), client.batch_max, client.active_ms), (20.0, 30, 12));
    }
}
