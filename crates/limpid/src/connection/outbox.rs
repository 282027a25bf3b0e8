//! An outbox: what a client was answered and its socket has not taken yet, and how much of that it may leave unread.
//!
//! Not the worker's output buffer: the replies of a turn are sent from there at once, with one system call; only what the
//! socket does not take comes here.
//!
//! Invariants: (1) bytes leave in the order in which they came, and none before what it shows is durable; (2) it holds at most the output limit of the client's
//! class and one turn's replies.
//!
//! Thread safety: its connection's.

use super::{Lent, Why};
use crate::listen::Peer;
use engine::config::{OutputBufferLimits, Setting};
use engine::run::dispatch::UNSENT_PAUSE_BYTES;
use engine::state::clients::{Client, ClientClass};
use engine::{Instance, Session};
use observe::os::clock;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use wire::Reply;

const CLIENT_OUTPUT_BUFFER_LIMIT: Setting<OutputBufferLimits> = Setting::of("client-output-buffer-limit");

/// Replies that no output limit counts, as in Redis, where they fit a client's first buffer.
const UNCOUNTED_BYTES: usize = 16 << 10;
/// What a client may leave unread before it has authenticated: as in Valkey, a buffer and 1 KiB of replies.
const UNAUTHENTICATED_BYTES_MAX: usize = UNCOUNTED_BYTES + (1 << 10);
/// Bytes sent to one connection in a turn; a long reply to a fast reader is sent in several.
const SEND_PER_TURN_BYTES: usize = 1 << 20;

/// How far sending got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    All,
    /// The socket is full; it becomes writable.
    Blocked,
    /// The socket may take more.
    More,
}

/// See the module's text.
#[derive(Default)]
pub struct Outbox {
    unsent: Reply,
    over_soft_limit_since: Option<Instant>,
}

impl Outbox {
    pub fn len(&self) -> usize {
        self.unsent.len()
    }

    pub fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Heap bytes held, values that are kept by reference not included.
    pub fn memory_bytes(&self) -> usize {
        self.unsent.memory_bytes()
    }

    /// Whether so much is unsent that nothing more is executed.
    pub fn is_paused(&self) -> bool {
        self.len() >= UNSENT_PAUSE_BYTES
    }

    /// Sends what waits until the socket takes no more (it will say when it does again), or enough for one turn.
    /// What shows a change that is not durable stays, as if the socket were full.
    pub fn send(&mut self, peer: &Peer, client: &Client, instance: &Instance) -> Result<Sent, Why> {
        let mut sent_bytes = 0;
        while !self.unsent.is_empty() {
            if sent_bytes >= SEND_PER_TURN_BYTES {
                return Ok(Sent::More);
            }
            let sent = send_some(peer, &self.unsent, instance)?;
            if sent == 0 {
                return Ok(Sent::Blocked);
            }
            self.unsent.consume(sent);
            sent_bytes += sent;
        }
        if sent_bytes > 0 {
            *self = Outbox::default();
            client.output_bytes.store(0, Relaxed);
        }
        Ok(Sent::All)
    }

    /// Sends the replies of this turn, behind what waits already.
    pub fn send_replies(&mut self, peer: &Peer, session: &Session, lent: &mut Lent<'_>) -> Result<Sent, Why> {
        self.check_limit(session, lent)?;
        if lent.reply.is_empty() {
            return Ok(if self.is_empty() { Sent::All } else { Sent::Blocked });
        }
        let client = &session.client;
        Client::add(&client.bytes_out, lent.reply.len() as u64);
        lent.executor.count_write(lent.reply.len());
        if !self.is_empty() {
            lent.reply.append_to(&mut self.unsent);
            lent.reply.clear();
            if self.is_paused() {
                self.unsent.settle();
            }
            self.tell_unsent(client);
            return Ok(Sent::Blocked);
        }
        let sent = match lent.time_flush {
            0 => send_some(peer, lent.reply, &lent.executor.instance)?,
            weight => {
                let start = clock::now();
                let sent = send_some(peer, lent.reply, &lent.executor.instance)?;
                lent.executor.record_flush(session, clock::now().ns_since(start), weight);
                sent
            }
        };
        if sent == lent.reply.len() {
            lent.reply.clear();
            return Ok(Sent::All);
        }
        lent.reply.consume(sent);
        std::mem::swap(&mut self.unsent, lent.reply);
        let sent = self.send(peer, client, &lent.executor.instance)?;
        if sent == Sent::Blocked {
            Client::add(&client.output_blocked, u64::from(!self.unsent.has_holds()));
            self.unsent.settle();
        }
        self.tell_unsent(client);
        Ok(sent)
    }

    /// How much of it may leave.
    pub fn free_bytes(&self, instance: &Instance) -> usize {
        instance.free_bytes(&self.unsent)
    }

    /// See `Instance::await_durable`.
    #[inline]
    pub fn await_durable(&self, worker: usize, instance: &Instance) -> Option<bool> {
        instance.await_durable(worker, &self.unsent)
    }

    fn tell_unsent(&self, client: &Client) {
        let unsent = self.len() as u64;
        client.output_bytes.store(unsent, Relaxed);
        client.output_bytes_peak.fetch_max(unsent, Relaxed);
    }

    /// Whether the client may stay with what it has not read and what is about to be sent.
    #[inline]
    pub fn check_limit(&mut self, session: &Session, lent: &Lent<'_>) -> Result<(), Why> {
        let waiting = self.len() + lent.reply.len();
        if waiting <= UNCOUNTED_BYTES {
            return Ok(());
        }
        if !session.authenticated && waiting > UNAUTHENTICATED_BYTES_MAX {
            return Err(Why::OutputLimit);
        }
        self.check_configured_limit(session, lent, waiting as u64)
    }

    fn check_configured_limit(
        &mut self,
        session: &Session,
        lent: &Lent<'_>,
        waiting: u64,
    ) -> Result<(), Why> {
        self.tell_unsent(&session.client);
        let limits = lent.executor.instance.settings.read(CLIENT_OUTPUT_BUFFER_LIMIT);
        let limit = match session.client.class() {
            ClientClass::Normal => limits.normal,
            ClientClass::Replica => limits.replica,
            ClientClass::PubSub => limits.pubsub,
        };
        if limit.hard_bytes > 0 && waiting > limit.hard_bytes {
            return Err(Why::OutputLimit);
        }
        if limit.soft_bytes > 0 && waiting > limit.soft_bytes {
            let since = *self.over_soft_limit_since.get_or_insert_with(Instant::now);
            if since.elapsed().as_secs() >= limit.soft_seconds {
                return Err(Why::OutputLimit);
            }
        } else {
            self.over_soft_limit_since = None;
        }
        Ok(())
    }
}

/// Sends as much of a reply as may leave and the socket takes with one system call. 0: nothing now.
fn send_some(peer: &Peer, reply: &Reply, instance: &Instance) -> Result<usize, Why> {
    let free = instance.free_bytes(reply);
    if free == 0 {
        return Ok(0);
    }
    let sent = match reply.as_bytes() {
        Some(bytes) => send(peer.as_fd(), &bytes[..free], SendFlags::NOSIGNAL),
        None => {
            let mut slices: Vec<IoSlice<'_>> = Vec::new();
            reply.first_slices(free, &mut slices);
            sendmsg(peer.as_fd(), &slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        }
    };
    match sent {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(_) => Err(Why::Gone),
    }
}
