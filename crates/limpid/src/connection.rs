//! A connection: a client's socket, what was received and not yet executed, what was answered and not yet sent.
//!
//! Not the meaning of commands: requests go to the `Executor`, replies come back in the worker's one output buffer.
//!
//! A half request waits in `inbox`; everything else is parsed in place in the worker's read buffer. Replies are sent at
//! once with one system call; what the socket does not take waits in `outbox`.
//!
//! Invariants: (1) replies leave in the order of their requests; (2) `inbox` is at most `client-query-buffer-limit`,
//! `outbox` at most the client's output limit; (3) nothing is executed while `UNSENT_PAUSE_BYTES` are unsent, but reading
//! goes on, because clients that pipeline send all they have before they read; (4) while a request is parked nothing
//! behind it is executed.
//!
//! Thread safety: owned by one worker; `Send`, so it may move to another between batches.

use crate::arrival;
use crate::listen::Peer;
use crate::placement::Turns;
use engine::config::{OutputBufferLimits, Setting};
use engine::run::dispatch::{BATCH_MAX, UNSENT_PAUSE_BYTES};
use engine::run::transaction::CLIENT_QUERY_BUFFER_LIMIT_BYTES;
use engine::state::clients::{Client, Clients};
use engine::state::instance::MAXMEMORY;
use engine::state::session::ReplyMode;
use engine::{Arrival, End, Executor, Parked, Session};
use observe::os::clock;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use smallvec::SmallVec;
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use wire::{Args, Limits, OwnedArgs, Parsed, Protocol, ProtocolError, Reply, RequestParser, Span};

const PROTO_MAX_BULK_LEN_BYTES: Setting<usize> = Setting::of("proto-max-bulk-len");
const CLIENT_OUTPUT_BUFFER_LIMIT: Setting<OutputBufferLimits> = Setting::of("client-output-buffer-limit");
const TIMEOUT_SECONDS: Setting<u32> = Setting::of("timeout");

/// Requests that are read ahead of execution, while replies are unsent, when memory is at its limit.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// Replies that no output limit counts, as in Redis, where they fit a client's first buffer.
const OUTPUT_UNCOUNTED_BYTES: usize = 16 << 10;
/// What a client may leave unread, and have half sent, before it has authenticated: as in Valkey, a buffer and 1 KiB of
/// replies, and 1 MiB of requests.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = OUTPUT_UNCOUNTED_BYTES + (1 << 10);
const UNAUTHENTICATED_QUERY_BYTES_MAX: usize = 1 << 20;
/// An idle inbox keeps at most this much.
const INBOX_KEPT_BYTES: usize = 16 << 10;

/// Bytes sent to one connection in a turn; a long reply to a fast reader is sent in several.
const SEND_PER_TURN_BYTES: usize = 1 << 20;

/// How far sending got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    All,
    /// The socket is full; it becomes writable.
    Blocked,
    /// The socket may take more.
    More,
}

/// What is to happen with a connection after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do until its socket is ready.
    Wait,
    /// It has more to do, after others had their turn.
    Again,
    /// Its command was parked; it is to be tried again in a millisecond at most.
    Retry,
    Close(Why),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client closed it or vanished.
    Gone,
    /// QUIT, a protocol error, CLIENT KILL: replies were sent as far as the socket takes them.
    Finished,
    /// It sent HTTP.
    Http,
    QueryLimit,
    OutputLimit,
    Idle,
}

/// What a worker lends to the connection whose turn it is.
pub struct Lent<'a> {
    pub executor: &'a mut Executor,
    /// Read buffer, 64 KiB.
    pub buffer: &'a mut [u8],
    /// Output buffer, empty.
    pub reply: &'a mut Reply,
    pub spans: &'a mut Vec<Span>,
    /// When the worker learned that there is something to read; if its weight is not 0, the kernel is asked.
    pub arrived: Arrival,
    pub now_ms: i64,
    /// 0, or the number of turns for which this one's sending is timed.
    pub time_flush: u32,
}

struct Held {
    args: OwnedArgs,
    parked: Parked,
}

/// See the module's text.
pub struct Connection {
    pub peer: Peer,
    pub session: Session,
    parser: RequestParser,
    inbox: Vec<u8>,
    /// Bytes of the inbox that were executed.
    inbox_head: usize,
    outbox: Reply,
    held: Option<Box<Held>>,
    /// The inbox holds bytes that the parser has not seen.
    read_ahead: bool,
    /// Heap bytes of both boxes that everybody was told of.
    told_bytes: u64,
    /// The socket may have more to read.
    readable: bool,
    /// The client has sent its last byte, or the connection broke.
    ending: bool,
    over_soft_limit_since: Option<Instant>,
    /// No more requests are read; closed when the outbox is empty.
    finishing: bool,
    pub turns: Turns,
}

impl Connection {
    pub fn new(peer: Peer, session: Session) -> Connection {
        Connection {
            peer,
            session,
            parser: RequestParser::new(),
            inbox: Vec::new(),
            inbox_head: 0,
            outbox: Reply::new(),
            held: None,
            read_ahead: false,
            told_bytes: 0,
            readable: false,
            ending: false,
            over_soft_limit_since: None,
            finishing: false,
            turns: Turns::default(),
        }
    }

    /// The socket has something to read; `ending`: its end is among it, and no event will come for that alone.
    pub fn set_readable(&mut self, ending: bool) {
        self.readable = true;
        self.ending |= ending;
    }

    /// Whether another worker may serve it from now on: not while a command is parked, or the end is near.
    pub fn is_movable(&self) -> bool {
        self.held.is_none() && !self.finishing
    }

    /// What is to be ended with it.
    pub fn ended(&mut self) -> (&mut Session, Option<&mut Parked>) {
        (&mut self.session, self.held.as_mut().map(|held| &mut held.parked))
    }

    /// Whether there is nothing to do until its socket is ready.
    pub fn is_at_rest(&self) -> bool {
        !self.readable && self.inbox.is_empty() && self.outbox.is_empty()
    }

    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether requests wait in its socket that were not read for want of memory.
    pub fn is_held_back(&self) -> bool {
        self.readable && self.is_paused()
    }

    /// Whether so much is unsent that nothing more is executed.
    fn is_paused(&self) -> bool {
        self.outbox.len() >= UNSENT_PAUSE_BYTES
    }

    /// One turn: sends what waits, executes at most [`BATCH_MAX`] requests or one read of them, sends the replies.
    pub fn turn(&mut self, lent: &mut Lent<'_>) -> Next {
        if self.session.client.killed.load(Relaxed) {
            return Next::Close(Why::Finished);
        }
        match self.send_outbox() {
            Ok(Sent::More) => return Next::Again,
            Ok(Sent::All | Sent::Blocked) => {}
            Err(why) => return Next::Close(why),
        }
        if self.finishing {
            return if self.outbox.is_empty() { Next::Close(Why::Finished) } else { Next::Wait };
        }
        if self.is_paused() {
            let next = self.read_ahead(lent);
            self.settle_figures(lent);
            return next;
        }
        lent.executor.reply_room = UNSENT_PAUSE_BYTES - self.outbox.len();
        let next = self.execute(lent);
        self.settle_figures(lent);
        match self.send_replies(lent) {
            Err(why) => Next::Close(why),
            Ok(sent) => {
                self.finishing = self.session.closing;
                match sent {
                    Sent::More => Next::Again,
                    _ if self.session.speaks_http => Next::Close(Why::Http),
                    Sent::All if self.finishing => Next::Close(Why::Finished),
                    Sent::Blocked if self.finishing => Next::Wait,
                    Sent::All | Sent::Blocked => next,
                }
            }
        }
    }

    fn execute(&mut self, lent: &mut Lent<'_>) -> Next {
        if self.held.is_some() {
            let next = self.resume(lent);
            if next != Next::Wait {
                return next;
            }
        }
        let has_requests = self.parser.is_idle() || std::mem::take(&mut self.read_ahead);
        if self.inbox_head < self.inbox.len() && has_requests {
            // Requests left from the last turn; nothing is read before they are done.
            let inbox = std::mem::take(&mut self.inbox);
            let (head, next) = self.execute_bytes(&inbox, self.inbox_head, lent);
            self.inbox = inbox;
            self.inbox_head = head;
            self.trim_inbox();
            // A batch may have ended before the last half request was looked at again.
            self.read_ahead = next != Next::Wait;
            if next != Next::Wait || !self.readable {
                return next;
            }
        }
        if !self.readable {
            return Next::Wait;
        }
        self.read(lent)
    }

    /// Tries the held request again.
    fn resume(&mut self, lent: &mut Lent<'_>) -> Next {
        let Some(mut held) = self.held.take() else { return Next::Wait };
        let argument_bytes = self.session.client.argument_bytes.swap(0, Relaxed);
        let requests = [held.args.as_args()];
        let reply = &mut *lent.reply;
        match lent.executor.run(&requests, &mut self.session, reply, lent.arrived, &mut held.parked) {
            End::Done => {
                Client::add(&self.session.client.commands, 1);
                let has_more = self.readable || self.inbox_head < self.inbox.len();
                if has_more { Next::Again } else { Next::Wait }
            }
            end @ (End::Parked { .. } | End::Sliced { .. } | End::Yield { .. }) => {
                self.held = Some(held);
                self.session.client.argument_bytes.store(argument_bytes, Relaxed);
                if let End::Parked { .. } = end { Next::Retry } else { Next::Again }
            }
        }
    }

    fn read(&mut self, lent: &mut Lent<'_>) -> Next {
        let received = match self.receive(lent) {
            Ok(0) if self.outbox.is_empty() && lent.reply.is_empty() => return Next::Close(Why::Gone),
            Ok(0) => {
                // It may have closed only its own side and still want the replies.
                self.readable = false;
                self.session.closing = true;
                return Next::Wait;
            }
            Ok(received) => received,
            Err(Errno::AGAIN) => {
                self.readable = false;
                return Next::Wait;
            }
            Err(Errno::INTR) => return Next::Again,
            Err(_) => return Next::Close(Why::Gone),
        };
        // A read that did not fill the buffer emptied the socket; what comes later raises a new event (epoll(7)). The
        // end of the stream does not if it was there already: the next read is to find it.
        self.readable = self.ending || received == lent.buffer.len();
        self.count_received(received, lent);
        let buffer = std::mem::take(&mut lent.buffer);
        let next = self.execute_received(&buffer[..received], lent);
        lent.buffer = buffer;
        if next == Next::Wait && self.readable { Next::Again } else { next }
    }

    /// Receives requests without executing them. The end of the stream is left to be found when they are done.
    fn read_ahead(&mut self, lent: &mut Lent<'_>) -> Next {
        if !self.readable || !self.may_read_ahead(lent) {
            return Next::Wait;
        }
        match self.receive(lent) {
            Ok(0) => Next::Wait,
            Ok(received) => {
                self.readable = self.ending || received == lent.buffer.len();
                self.count_received(received, lent);
                self.append_to_inbox(&lent.buffer[..received]);
                self.read_ahead = true;
                let next = if self.readable { Next::Again } else { Next::Wait };
                self.check_query_limit(lent, next)
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Next::Wait
            }
            Err(Errno::INTR) => Next::Again,
            Err(_) => Next::Close(Why::Gone),
        }
    }

    /// Whether there is memory for requests that cannot be executed yet.
    fn may_read_ahead(&self, lent: &Lent<'_>) -> bool {
        let limit = lent.executor.instance.settings.read(MAXMEMORY);
        let used = || keyspace::memory::used_bytes() as u64;
        self.inbox.len() - self.inbox_head < READ_AHEAD_BYTES || limit == 0 || used() < limit
    }

    /// Appends what may become long and stay: doubling would take twice the memory that it was asked for.
    fn append_to_inbox(&mut self, received: &[u8]) {
        if self.inbox.capacity() - self.inbox.len() < received.len() {
            self.inbox.reserve_exact(received.len().max(self.inbox.len() / 8));
        }
        self.inbox.extend_from_slice(received);
    }

    fn count_received(&self, received: usize, lent: &mut Lent<'_>) {
        Client::add(&self.session.client.bytes_in, received as u64);
        lent.executor.count_read(received);
    }

    fn receive(&mut self, lent: &mut Lent<'_>) -> Result<usize, Errno> {
        if lent.arrived.weight == 0 {
            return recv(self.peer.as_fd(), &mut *lent.buffer, RecvFlags::empty())
                .map(|(received, _)| received);
        }
        let (received, arrived) = arrival::receive(&self.peer, lent.buffer)
            .map_err(|error| Errno::from_raw_os_error(error as i32))?;
        lent.arrived.at = arrived.unwrap_or(lent.arrived.at);
        Ok(received)
    }

    fn execute_received(&mut self, received: &[u8], lent: &mut Lent<'_>) -> Next {
        if self.inbox.is_empty() {
            let (head, next) = self.execute_bytes(received, 0, lent);
            if head < received.len() && !matches!(next, Next::Close(_)) {
                self.inbox.extend_from_slice(&received[head..]);
                self.inbox_head = 0;
                if !self.parser.is_idle() {
                    self.inbox.reserve(self.parser.bytes_missing());
                }
            }
            return self.check_query_limit(lent, next);
        }
        self.inbox.extend_from_slice(received);
        let inbox = std::mem::take(&mut self.inbox);
        let (head, next) = self.execute_bytes(&inbox, self.inbox_head, lent);
        self.inbox = inbox;
        self.inbox_head = head;
        self.trim_inbox();
        self.check_query_limit(lent, next)
    }

    /// Whether the client may stay with the requests it has sent; those it has queued since MULTI are among them.
    fn check_query_limit(&self, lent: &Lent<'_>, next: Next) -> Next {
        let limit = lent.executor.instance.settings.read(CLIENT_QUERY_BUFFER_LIMIT_BYTES);
        let queued = self.session.multi.as_ref().map_or(0, |multi| multi.queued_bytes);
        let waiting = self.inbox.len() + self.parser.memory_bytes() + queued;
        let is_too_much =
            waiting > limit || !self.session.authenticated && waiting > UNAUTHENTICATED_QUERY_BYTES_MAX;
        if is_too_much { Next::Close(Why::QueryLimit) } else { next }
    }

    /// Drops what was executed from the inbox's front, without moving bytes more often than they are worth.
    fn trim_inbox(&mut self) {
        if self.inbox_head == self.inbox.len() {
            self.inbox.clear();
            self.inbox.shrink_to(INBOX_KEPT_BYTES);
            self.inbox_head = 0;
        } else if self.inbox_head > self.inbox.len() / 2 {
            self.inbox.drain(..self.inbox_head);
            self.inbox_head = 0;
        }
    }

    /// Parses and executes requests of `bytes[head..]`, one batch of them. Returns where the next one starts.
    fn execute_bytes(&mut self, bytes: &[u8], head: usize, lent: &mut Lent<'_>) -> (usize, Next) {
        let authenticated = self.session.authenticated;
        let bulk_bytes_max = lent.executor.instance.settings.read(PROTO_MAX_BULK_LEN_BYTES);
        let limits = Limits { bulk_bytes_max, authenticated };
        // Before AUTH each request may change what the next one may be.
        let most = if authenticated { BATCH_MAX } else { 1 };
        let mut spans = std::mem::take(lent.spans);
        spans.clear();
        // Per request: where its spans end and where it ends in `bytes`.
        let mut ends: SmallVec<[(usize, usize); BATCH_MAX]> = SmallVec::new();
        let mut position = head;
        let mut rewritten = None;
        let mut failure = None;
        while ends.len() < most {
            match self.parser.parse(bytes, &mut position, &mut spans, &limits) {
                Ok(Parsed::Request) => ends.push((spans.len(), position)),
                Ok(Parsed::Rewritten(owned)) => {
                    rewritten = Some(owned);
                    break;
                }
                Ok(Parsed::Incomplete) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let full = ends.len() == most;
        let next = self.execute_spans(bytes, &spans, &ends, &mut position, lent);
        *lent.spans = spans;
        if next != Next::Wait {
            return (position, next);
        }
        if let Some(owned) = rewritten {
            return (position, self.execute_owned(*owned, lent));
        }
        if let Some(error) = failure {
            self.fail(error, lent);
            return (bytes.len(), Next::Wait);
        }
        (position, if full && position < bytes.len() { Next::Again } else { Next::Wait })
    }

    fn execute_spans(
        &mut self,
        bytes: &[u8],
        spans: &[Span],
        ends: &[(usize, usize)],
        position: &mut usize,
        lent: &mut Lent<'_>,
    ) -> Next {
        if ends.is_empty() {
            return Next::Wait;
        }
        let mut start = 0;
        // Filled where it lies: collecting would move all its room, some kilobytes, for every batch of one.
        let mut requests: SmallVec<[Args<'_>; BATCH_MAX]> = SmallVec::new();
        for &(end, _) in ends {
            requests.push(Args::new(bytes, &spans[start..end]));
            start = end;
        }
        let mut parked = Parked::default();
        lent.reply.set_protocol(self.protocol());
        let end = lent.executor.run(&requests, &mut self.session, lent.reply, lent.arrived, &mut parked);
        let executed = match end {
            End::Done => requests.len(),
            End::Parked { at } | End::Sliced { at } | End::Yield { at } => at,
        };
        let client = &self.session.client;
        Client::add(&client.commands, executed as u64);
        Client::add(&client.batches, 1);
        // What was parsed behind the last one that was begun is parsed again.
        match end {
            End::Done => Next::Wait,
            End::Parked { at } | End::Sliced { at } => {
                *position = ends[at].1;
                self.parser.reset();
                let argument_bytes = requests[at].bytes_len() as u64;
                self.session.client.argument_bytes.store(argument_bytes, Relaxed);
                self.held = Some(Box::new(Held { args: requests[at].to_owned(), parked }));
                if let End::Parked { .. } = end { Next::Retry } else { Next::Again }
            }
            End::Yield { at } => {
                *position = ends[at - 1].1;
                self.parser.reset();
                Next::Again
            }
        }
    }

    /// Executes an inline request whose arguments had to be unescaped.
    fn execute_owned(&mut self, args: OwnedArgs, lent: &mut Lent<'_>) -> Next {
        lent.reply.set_protocol(self.protocol());
        self.held = Some(Box::new(Held { args, parked: Parked::default() }));
        match self.resume(lent) {
            Next::Wait => Next::Again,
            next => next,
        }
    }

    /// Answers a protocol error, unless the client wants no answers; the connection is closed behind it.
    fn fail(&mut self, error: ProtocolError, lent: &mut Lent<'_>) {
        if self.session.closing {
            // What stands behind QUIT is not looked at.
            return;
        }
        if self.session.reply_mode == ReplyMode::On {
            lent.reply.set_protocol(self.protocol());
            error.write(lent.reply);
        }
        Client::add(&self.session.client.errors, 1);
        self.session.closing = true;
        tracing::debug!("Closing client {}: {error}", self.session.client.origin.peer());
    }

    fn protocol(&self) -> Protocol {
        if self.session.client.protocol.load(Relaxed) == 3 { Protocol::Resp3 } else { Protocol::Resp2 }
    }

    fn settle_figures(&mut self, lent: &Lent<'_>) {
        let client = &self.session.client;
        client.last_active_ms.store(lent.now_ms, Relaxed);
        client.database.store(self.session.database as u16, Relaxed);
        client.query_buffer_bytes.store((self.inbox.len() - self.inbox_head) as u64, Relaxed);
    }

    /// Tells everybody what its buffers take, when that has changed.
    pub fn tell_buffers(&mut self, clients: &Clients) {
        let bytes = (self.inbox.capacity() + self.outbox.memory_bytes()) as u64;
        let told = std::mem::replace(&mut self.told_bytes, bytes);
        if told != bytes {
            clients.buffers_changed(told, bytes);
        }
    }

    /// Takes its buffers out of everybody's sum; it is being closed.
    pub fn forget_buffers(&mut self, clients: &Clients) {
        clients.buffers_changed(std::mem::take(&mut self.told_bytes), 0);
    }

    /// Sends the replies of this turn, behind what waits already.
    fn send_replies(&mut self, lent: &mut Lent<'_>) -> Result<Sent, Why> {
        self.check_output_limit(lent)?;
        if lent.reply.is_empty() {
            return Ok(if self.outbox.is_empty() { Sent::All } else { Sent::Blocked });
        }
        Client::add(&self.session.client.bytes_out, lent.reply.len() as u64);
        lent.executor.count_write(lent.reply.len());
        if !self.outbox.is_empty() {
            lent.reply.append_to(&mut self.outbox);
            lent.reply.clear();
            if self.is_paused() {
                self.outbox.settle();
            }
            self.tell_unsent();
            return Ok(Sent::Blocked);
        }
        let sent = match lent.time_flush {
            0 => send_some(&self.peer, lent.reply)?,
            weight => {
                let start = clock::now();
                let sent = send_some(&self.peer, lent.reply)?;
                lent.executor.record_flush(&self.session, clock::now().ns_since(start), weight);
                sent
            }
        };
        if sent == lent.reply.len() {
            lent.reply.clear();
            return Ok(Sent::All);
        }
        lent.reply.consume(sent);
        std::mem::swap(&mut self.outbox, lent.reply);
        let sent = self.send_outbox()?;
        if sent == Sent::Blocked {
            Client::add(&self.session.client.output_blocked, 1);
            self.outbox.settle();
        }
        self.tell_unsent();
        Ok(sent)
    }

    /// Sends what waits until the socket takes no more (it will say when it does again), or enough for one turn.
    fn send_outbox(&mut self) -> Result<Sent, Why> {
        let mut sent_bytes = 0;
        while !self.outbox.is_empty() {
            if sent_bytes >= SEND_PER_TURN_BYTES {
                return Ok(Sent::More);
            }
            let sent = send_some(&self.peer, &self.outbox)?;
            if sent == 0 {
                return Ok(Sent::Blocked);
            }
            self.outbox.consume(sent);
            sent_bytes += sent;
        }
        if sent_bytes > 0 {
            self.outbox = Reply::new();
            self.over_soft_limit_since = None;
            self.session.client.output_bytes.store(0, Relaxed);
        }
        Ok(Sent::All)
    }

    fn tell_unsent(&self) {
        let (client, unsent) = (&self.session.client, self.outbox.len() as u64);
        client.output_bytes.store(unsent, Relaxed);
        client.output_bytes_peak.fetch_max(unsent, Relaxed);
    }

    /// Whether the client may stay with what it has not read and what is about to be sent.
    #[inline]
    fn check_output_limit(&mut self, lent: &Lent<'_>) -> Result<(), Why> {
        let waiting = self.outbox.len() + lent.reply.len();
        if waiting <= OUTPUT_UNCOUNTED_BYTES {
            return Ok(());
        }
        if !self.session.authenticated && waiting > UNAUTHENTICATED_OUTPUT_BYTES_MAX {
            return Err(Why::OutputLimit);
        }
        self.check_configured_limit(lent, waiting as u64)
    }

    fn check_configured_limit(&mut self, lent: &Lent<'_>, waiting: u64) -> Result<(), Why> {
        self.tell_unsent();
        let limit = lent.executor.instance.settings.read(CLIENT_OUTPUT_BUFFER_LIMIT).normal;
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

    /// Once a second: idle for too long, or above its soft output limit for too long?
    pub fn check_time(&mut self, lent: &Lent<'_>) -> Option<Why> {
        let timeout_ms = i64::from(lent.executor.instance.settings.read(TIMEOUT_SECONDS)) * 1000;
        let idle_ms = lent.now_ms - self.session.client.last_active_ms.load(Relaxed);
        if timeout_ms > 0 && idle_ms > timeout_ms && self.held.is_none() {
            return Some(Why::Idle);
        }
        self.check_output_limit(lent).err()
    }
}

/// Sends as much of a reply as the socket takes with one system call. 0: it takes nothing now.
fn send_some(peer: &Peer, reply: &Reply) -> Result<usize, Why> {
    let sent = match reply.as_bytes() {
        Some(bytes) => send(peer.as_fd(), bytes, SendFlags::NOSIGNAL),
        None => {
            let mut slices: Vec<IoSlice<'_>> = Vec::new();
            reply.slices(0, &mut slices);
            sendmsg(peer.as_fd(), &slices, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        }
    };
    match sent {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(_) => Err(Why::Gone),
    }
}
