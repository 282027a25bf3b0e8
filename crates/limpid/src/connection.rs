//! A connection: a client's socket, what was received and not yet executed, what was answered and not yet sent.
//!
//! Not the meaning of commands: requests go to the `Executor`, replies come back in the worker's one output buffer.
//!
//! A half request waits in `inbox`; everything else is parsed in place in the worker's read buffer. Replies are sent at
//! once with one system call; what the socket does not take waits in the `outbox`.
//!
//! Invariants: (1) replies leave in the order of their requests, and what others send goes between two of them: a command
//! writes its whole reply in one turn; (2) `inbox` and the arguments of a request that waits are at most
//! `client-query-buffer-limit`; (3) nothing is executed while `UNSENT_PAUSE_BYTES` are unsent, but reading goes on, because
//! clients that pipeline send all they have before they read; (4) while a request is parked nothing behind it is read or
//! executed, and only its being tried again takes time.
//!
//! Thread safety: owned by one worker; `Send`, so it may move to another between batches.

use crate::arrival;
use crate::listen::Peer;
use crate::placement::Turns;
use engine::config::Setting;
use engine::run::dispatch::{BATCH_MAX, UNSENT_PAUSE_BYTES};
use engine::run::transaction::CLIENT_QUERY_BUFFER_LIMIT_BYTES;
use engine::state::clients::{Client, ClientClass, Clients};
use engine::state::instance::MAXMEMORY;
use engine::state::mailbox::{Delivery, Mail};
use engine::state::session::ReplyMode;
use engine::{Arrival, Due, End, Executor, Instance, Parked, Session};
use outbox::{Outbox, Sent};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use smallvec::SmallVec;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use wire::{Args, Limits, OwnedArgs, Parsed, Protocol, ProtocolError, Reply, RequestParser, Span};

mod outbox;
#[cfg(test)]
pub mod testing;

const PROTO_MAX_BULK_LEN_BYTES: Setting<usize> = Setting::of("proto-max-bulk-len");
const TIMEOUT_SECONDS: Setting<u32> = Setting::of("timeout");

/// Requests that are read ahead of execution, while replies are unsent, when memory is at its limit.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// What a client may have half sent before it has authenticated, as in Valkey.
const UNAUTHENTICATED_QUERY_BYTES_MAX: usize = 1 << 20;
/// An idle inbox keeps at most this much.
const INBOX_KEPT_BYTES: usize = 16 << 10;
/// How long a request stays parked after its client has sent its last byte. A client that is gone leaves nothing behind for
/// longer than this; one that only ended its sending, or sent a command and left, gets it done meanwhile: it waited in line,
/// as behind somebody's long command in Redis.
const DESERTED_AFTER: Duration = Duration::from_secs(1);
/// Requests that are received at the server's end only to be dropped, per client.
const DROPPED_BYTES_MAX: usize = 4 << 20;

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

/// A request that goes on in a later turn.
struct Held {
    args: OwnedArgs,
    parked: Parked,
    /// It has done a part of its work: it stays with its worker.
    is_begun: bool,
    since: Instant,
}

impl Held {
    fn new(args: OwnedArgs, parked: Parked) -> Box<Held> {
        Box::new(Held { args, parked, is_begun: false, since: Instant::now() })
    }
}

/// See the module's text.
pub struct Connection {
    pub peer: Peer,
    pub session: Session,
    parser: RequestParser,
    inbox: Vec<u8>,
    /// Bytes of the inbox that were executed.
    inbox_head: usize,
    outbox: Outbox,
    held: Option<Box<Held>>,
    /// The inbox holds bytes that the parser has not seen.
    read_ahead: bool,
    /// Heap bytes of both boxes and of a request that waits that everybody was told of.
    told_bytes: u64,
    /// The socket may have more to read.
    readable: bool,
    /// The client has sent its last byte, or the connection broke.
    ending: bool,
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
            outbox: Outbox::default(),
            held: None,
            read_ahead: false,
            told_bytes: 0,
            readable: false,
            ending: false,
            finishing: false,
            turns: Turns::default(),
        }
    }

    /// The socket has something to read; `ending`: its end is among it, and no event will come for that alone.
    pub fn set_readable(&mut self, ending: bool) {
        self.readable = true;
        self.ending |= ending;
    }

    /// Whether another worker may serve it from now on: not while its command has done a part of its work or has a claim
    /// on this worker, or when the end is near.
    pub fn is_movable(&self, executor: &Executor) -> bool {
        let may_move = |held: &Held| !held.is_begun && executor.may_move(&self.session, &held.parked);
        !self.finishing && self.held.as_deref().is_none_or(may_move)
    }

    /// Takes back what its parked command waits for at its worker: another one is to serve it. Returns when the timer's
    /// work is to be done.
    pub fn leave(&mut self, executor: &mut Executor) -> Due {
        self.held.as_mut().map_or(Due::Timer, |held| executor.leave(&self.session, &mut held.parked))
    }

    /// Drops its parked command, which was not begun.
    pub fn drop_parked(&mut self, executor: &mut Executor) -> Due {
        let due = self.leave(executor);
        self.held = None;
        due
    }

    /// Unregisters whatever it left anywhere; it is being closed.
    pub fn end(&mut self, executor: &mut Executor) -> Due {
        let due = executor.close(&mut self.session, self.held.as_mut().map(|held| &mut held.parked));
        self.session.client.mailbox.close();
        executor.instance.clients.buffers_changed(std::mem::take(&mut self.told_bytes), 0);
        executor.instance.clients.disconnect(self.session.client.id);
        due
    }

    /// Whether there is nothing to do until its socket is ready.
    pub fn is_at_rest(&self) -> bool {
        !self.readable && self.inbox.is_empty() && self.outbox.is_empty() && self.held.is_none()
    }

    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether requests wait in its socket that were not read for want of memory.
    pub fn is_held_back(&self) -> bool {
        self.readable && self.outbox.is_paused()
    }

    /// One turn: sends what waits, executes at most [`BATCH_MAX`] requests or one read of them, sends the replies.
    pub fn turn(&mut self, lent: &mut Lent<'_>) -> Next {
        let next = self.take_turn(lent);
        self.or_await_durable(next, lent)
    }

    /// What is next with a connection that has nothing else to do, if its replies wait until what they show is durable: it is
    /// looked at with the parked ones, and its worker is woken.
    #[inline]
    fn or_await_durable(&self, next: Next, lent: &Lent<'_>) -> Next {
        if next != Next::Wait {
            return next;
        }
        match self.outbox.await_durable(lent.executor.worker(), &lent.executor.instance) {
            None => next,
            Some(true) => Next::Again,
            Some(false) => Next::Retry,
        }
    }

    fn take_turn(&mut self, lent: &mut Lent<'_>) -> Next {
        if self.session.client.killed.load(Relaxed) {
            return Next::Close(Why::Finished);
        }
        match self.outbox.send(&self.peer, &self.session.client, &lent.executor.instance) {
            Ok(Sent::More) => return Next::Again,
            Ok(Sent::All | Sent::Blocked) => {}
            Err(why) => return Next::Close(why),
        }
        if self.finishing {
            return if self.outbox.is_empty() { Next::Close(Why::Finished) } else { Next::Wait };
        }
        // A request that waits is tried in any case: others may be waiting for it to be done.
        if self.outbox.is_paused() && self.held.is_none() {
            let next = self.read_ahead(lent);
            self.settle_figures(lent);
            return next;
        }
        lent.executor.reply_room = UNSENT_PAUSE_BYTES.saturating_sub(self.outbox.len());
        let next = self.execute(lent);
        self.settle_figures(lent);
        match self.outbox.send_replies(&self.peer, &self.session, lent) {
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

    /// Hands over what others have sent to this client, between its replies, whatever CLIENT REPLY says, as in Valkey.
    pub fn deliver(&mut self, mail: Mail, lent: &mut Lent<'_>) -> Next {
        if mail.is_too_much {
            return Next::Close(Why::OutputLimit);
        }
        lent.reply.set_protocol(self.protocol());
        for delivery in mail.deliveries {
            match delivery {
                Delivery::Kill => return Next::Close(Why::Finished),
                // Behind its last reply nothing is sent.
                Delivery::Push(_) if self.finishing => {}
                Delivery::Push(push) => push.append_to(lent.reply),
            }
        }
        match self.outbox.send_replies(&self.peer, &self.session, lent) {
            Err(why) => Next::Close(why),
            Ok(Sent::More) => Next::Again,
            Ok(Sent::All | Sent::Blocked) => self.or_await_durable(Next::Wait, lent),
        }
    }

    /// At the server's end: sends what is unsent as far as the socket takes it now. Returns how much is left to send.
    pub fn send_rest(&mut self, instance: &Instance) -> usize {
        loop {
            match self.outbox.send(&self.peer, &self.session.client, instance) {
                Ok(Sent::More) => {}
                // What shows a change that is not durable is never sent.
                Ok(Sent::All | Sent::Blocked) => return self.outbox.free_bytes(instance),
                Err(_) => return 0,
            }
        }
    }

    /// Ends the connection so that what was sent arrives: a socket that is closed with requests unread is reset, and what
    /// the kernel has not passed on is lost.
    pub fn hang_up(&mut self, buffer: &mut [u8]) {
        let _ = shutdown(self.peer.as_fd(), Shutdown::Write);
        let mut dropped = 0;
        while dropped < DROPPED_BYTES_MAX {
            match recv(self.peer.as_fd(), &mut *buffer, RecvFlags::empty()) {
                Ok((received, _)) if received > 0 => dropped += received,
                _ => return,
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
        self.session.client.argument_bytes.store(0, Relaxed);
        let requests = [held.args.as_args()];
        let reply = &mut *lent.reply;
        reply.set_protocol(protocol_of(&self.session.client));
        let before = reply.len();
        match lent.executor.run(&requests, &mut self.session, reply, lent.arrived, &mut held.parked) {
            End::Done => {
                Client::add(&self.session.client.commands, 1);
                let has_more = self.readable || self.inbox_head < self.inbox.len();
                if has_more { Next::Again } else { Next::Wait }
            }
            end => {
                debug_assert_eq!(lent.reply.len(), before, "a reply is written whole, in the last turn");
                self.hold(held, &end)
            }
        }
    }

    /// Keeps a request that was not done.
    fn hold(&mut self, mut held: Box<Held>, end: &End) -> Next {
        let is_parked = matches!(end, End::Parked { .. });
        held.is_begun |= matches!(end, End::Sliced { .. });
        let is_deserted =
            is_parked && !held.is_begun && self.ending && held.since.elapsed() >= DESERTED_AFTER;
        self.session.client.argument_bytes.store(held.args.as_args().bytes_len() as u64, Relaxed);
        self.held = Some(held);
        match is_parked {
            true if is_deserted => Next::Close(Why::Gone),
            true => Next::Retry,
            false => Next::Again,
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
        // A held request's bytes may still lie before the head.
        let unexecuted = self.inbox.len() - self.inbox_head + self.held_bytes();
        let waiting = self.inbox.len().max(unexecuted) + self.parser.memory_bytes() + queued;
        let is_too_much =
            waiting > limit || !self.session.authenticated && waiting > UNAUTHENTICATED_QUERY_BYTES_MAX;
        if is_too_much { Next::Close(Why::QueryLimit) } else { next }
    }

    /// What the arguments of a request that waits take.
    fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.args.memory_bytes())
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
                self.hold(Held::new(requests[at].to_owned(), parked), &end)
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
        self.held = Some(Held::new(args, Parked::default()));
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
        protocol_of(&self.session.client)
    }

    fn settle_figures(&mut self, lent: &Lent<'_>) {
        let client = &self.session.client;
        client.last_active_ms.store(lent.now_ms, Relaxed);
        client.database.store(self.session.database as u16, Relaxed);
        client.query_buffer_bytes.store((self.inbox.len() - self.inbox_head) as u64, Relaxed);
    }

    /// Tells everybody what its buffers take, when that has changed.
    pub fn tell_buffers(&mut self, clients: &Clients) {
        let bytes = (self.inbox.capacity() + self.outbox.memory_bytes() + self.held_bytes()) as u64;
        let told = std::mem::replace(&mut self.told_bytes, bytes);
        if told != bytes {
            clients.buffers_changed(told, bytes);
        }
    }

    /// Once a second: idle for too long, or above its soft output limit for too long?
    pub fn check_time(&mut self, lent: &Lent<'_>) -> Option<Why> {
        let timeout_ms = i64::from(lent.executor.instance.settings.read(TIMEOUT_SECONDS)) * 1000;
        let idle_ms = lent.now_ms - self.session.client.last_active_ms.load(Relaxed);
        // Who only listens is idle by nature.
        let may_be_idle = self.held.is_some() || self.session.client.class() != ClientClass::Normal;
        if timeout_ms > 0 && idle_ms > timeout_ms && !may_be_idle {
            return Some(Why::Idle);
        }
        self.outbox.check_limit(&self.session, lent).err()
    }
}

fn protocol_of(client: &Client) -> Protocol {
    if client.protocol.load(Relaxed) == 3 { Protocol::Resp3 } else { Protocol::Resp2 }
}

#[cfg(test)]
mod tests;
