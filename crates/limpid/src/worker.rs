//! A worker: a thread with one event loop, its connections, and an executor.
//!
//! Not the meaning of anything: sockets become readable, connections get their turns, a timer ticks ten times a second.
//! The first worker also accepts clients; which worker serves them is `placement`'s to say.
//!
//! Invariants: (1) a worker waits only in `poll`, and for a stripe at most as long as dispatch allows; (2) a connection
//! that has more to do gets its next turn after every other ready one; (3) a slot is reused only after the events that
//! may name it were handled (a poll has one event for each socket, and a connection is closed while its own is handled,
//! or after all of them).
//!
//! Thread safety: everything here is the thread's own, except the `Mailbox`.

use crate::arrival;
use crate::connection::{Connection, Lent, Next, Why};
use crate::listen::{self, Peer};
use crate::placement::{self, Load, MOVES_PER_TICK, Placement, Turns};
use crate::sockets::{SOCKETS_MAX, Sockets};
use engine::config::Setting;
use engine::state::clients::{Client, Origin};
use engine::state::session::REQUIRES_PASSWORD;
use engine::{Arrival, Due, Executor, Instance, Session};
use mio::{Events, Interest, Poll, Token, Waker};
use observe::os::clock::{self, Ticks};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};
use wire::{Reply, Span};

/// -1 polls as long as that has paid lately.
const BUSY_POLL_US: Setting<i64> = Setting::of("busy-poll-us");
const IO_THREADS_ALWAYS_ACTIVE: Setting<bool> = Setting::of("io-threads-always-active");
const TCP_KEEPALIVE_SECONDS: Setting<u32> = Setting::of("tcp-keepalive");

/// What one read takes at most, and so the most that one connection executes in a turn.
const READ_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 512;
/// How long a worker with parked commands sleeps at most: wake-ups are hints.
const PARKED_LOOK: Duration = Duration::from_millis(1);
const TICK: Duration = Duration::from_millis(100);
/// How long a worker polls before it sleeps, when that pays: measured at +12 to +16 % throughput with one request in
/// flight per connection.
const SPIN: Duration = Duration::from_micros(5);
/// Of 256: how often spinning must have found work lately to be done again. Below about three quarters it costs more
/// processor time than the sleeps it saves: with half, +7 % at one request in flight on a shared machine.
const SPIN_WORTH: u32 = 208;
/// One wait of so many spins to see whether it would pay again.
const SPIN_PROBE_EVERY: u64 = 256;
/// One turn of so many asks the kernel when its bytes arrived and has its sending timed. A prime, or of sixteen clients
/// in a row it would always be the same one's.
const TIMED_EVERY: u32 = 17;
/// After a turn this long every read of the next cycle asks: those requests may have waited for it.
const LONG_TURN_MS: i64 = 2;
/// An output buffer keeps at most this much between turns.
const REPLY_KEPT_BYTES: usize = 256 << 10;
/// Between two warnings of clients that speak HTTP.
const HTTP_WARNING_PAUSE: Duration = Duration::from_secs(60);
/// Accepting pauses this long when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const WAKE: Token = Token(usize::MAX);
const LISTENERS: usize = usize::MAX - 1 - SOCKETS_MAX;

/// How other threads reach a worker.
pub struct Mailbox {
    pub waker: Waker,
    /// Whether its worker waits for events with nothing else to do.
    asleep: AtomicBool,
    arrivals: Mutex<Vec<Newcomer>>,
    load: Load,
}

/// A client that another worker hands over.
enum Newcomer {
    /// It was just accepted.
    Client(Peer, Origin),
    /// It was served there so far.
    Connection(Box<Connection>),
}

/// See the module's text.
pub struct Worker {
    index: usize,
    poll: Poll,
    executor: Executor,
    mailboxes: Arc<Vec<Mailbox>>,
    /// The first worker's alone: who accepts.
    sockets: Option<Arc<Sockets>>,
    accept_again: Option<Instant>,
    warned_of_http: Option<Instant>,
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    /// Slots of connections that have more to do.
    busy: VecDeque<usize>,
    /// Slots of connections whose command waits for stripes.
    parked: VecDeque<usize>,
    buffer: Vec<u8>,
    reply: Reply,
    spans: Vec<Span>,
    spin_score: u32,
    waits: u64,
    turns: u64,
    /// Events of this poll that are not handled yet.
    ready: usize,
    /// What is read now may have waited in its socket for long.
    after_long_turn: bool,
    had_long_turn: bool,
    /// When the last turn started, on the keyspace's clock, and whose it was, if nothing else came after it.
    turn_started_ms: i64,
    turn_slot: Option<usize>,
    /// Cycles, and nanoseconds spent in them, since the last turn of the timer.
    cycles: u64,
    cycles_ns: u64,
    placement: Placement,
    due: Due,
}

/// A worker's mailbox with the poll it wakes.
pub fn mailbox() -> io::Result<(Poll, Mailbox)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    Ok((
        poll,
        Mailbox { waker, asleep: AtomicBool::new(false), arrivals: Mutex::default(), load: Load::default() },
    ))
}

impl Mailbox {
    /// Wakes the worker if it sleeps. May come too early; whoever depends on it looks again by himself.
    pub fn hint(&self) {
        if self.asleep.load(Relaxed) {
            let _ = self.waker.wake();
        }
    }
}

impl Worker {
    pub fn new(
        index: usize,
        poll: Poll,
        executor: Executor,
        mailboxes: Arc<Vec<Mailbox>>,
        sockets: Option<Arc<Sockets>>,
    ) -> io::Result<Worker> {
        if let Some(sockets) = &sockets {
            sockets.wait_with(poll.registry(), LISTENERS)?;
        }
        Ok(Worker {
            index,
            poll,
            executor,
            mailboxes,
            sockets,
            accept_again: None,
            warned_of_http: None,
            connections: Vec::new(),
            free: Vec::new(),
            busy: VecDeque::new(),
            parked: VecDeque::new(),
            buffer: vec![0; READ_BYTES],
            reply: Reply::new(),
            spans: Vec::new(),
            spin_score: SPIN_WORTH,
            waits: 0,
            turns: 0,
            ready: 0,
            after_long_turn: false,
            had_long_turn: false,
            turn_started_ms: 0,
            turn_slot: None,
            cycles: 0,
            cycles_ns: 0,
            placement: Placement::new(index),
            due: Due::Timer,
        })
    }

    fn instance(&self) -> Arc<Instance> {
        Arc::clone(&self.executor.instance)
    }

    /// Serves until the instance stops.
    pub fn run(mut self) {
        let instance = self.instance();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut next_tick = Instant::now() + TICK;
        let mut next_second = Instant::now() + Duration::from_secs(1);
        while !instance.stopping.load(Relaxed) {
            let waiting = clock::now();
            if let Err(error) = self.wait(&mut events, next_tick) {
                tracing::error!("Waiting for events failed: {error}");
                instance.stop();
                break;
            }
            let arrived = clock::now();
            self.placement.add_waited(arrived.ns_since(waiting));
            (self.turn_started_ms, self.turn_slot) = (instance.now_ms(), None);
            self.handle(&events, arrived);
            self.serve_busy(arrived);
            self.serve_parked(arrived);
            let now = Instant::now();
            let cycle_ns = clock::now().ns_since(arrived);
            self.end_turn(instance.now_ms());
            self.after_long_turn = std::mem::take(&mut self.had_long_turn);
            self.cycles += 1;
            self.cycles_ns += cycle_ns;
            if self.due != Due::Timer || now >= next_tick {
                self.due = self.executor.tick(now >= next_tick);
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.note_cycles(&instance);
                self.place(&instance, now);
            }
            if now >= next_second {
                next_second = now + Duration::from_secs(1);
                self.every_second(&instance, arrived);
            }
        }
        self.close_all();
    }

    /// Waits for events: not at all when there is more to do, else a few microseconds busily if that pays, else asleep.
    fn wait(&mut self, events: &mut Events, next_tick: Instant) -> io::Result<()> {
        if self.due == Due::Now || !self.busy.is_empty() {
            return self.poll_once(events, Some(Duration::ZERO));
        }
        let spin = match self.executor.instance.settings.read(BUSY_POLL_US) {
            us @ 0.. => Duration::from_micros(us.unsigned_abs()),
            _ if self.spin_score >= SPIN_WORTH || self.waits.is_multiple_of(SPIN_PROBE_EVERY) => SPIN,
            _ => Duration::ZERO,
        };
        self.waits += 1;
        if !spin.is_zero() {
            let start = clock::now();
            loop {
                self.poll_once(events, Some(Duration::ZERO))?;
                if !events.is_empty() {
                    self.spin_score += (256 - self.spin_score) / 8;
                    return Ok(());
                }
                if clock::now().ns_since(start) >= spin.as_nanos() as u64 {
                    break;
                }
            }
            self.spin_score -= self.spin_score / 8;
        }
        let until_tick = next_tick.saturating_duration_since(Instant::now());
        let looks = self.due == Due::Soon || !self.parked.is_empty();
        let longest = if looks { until_tick.min(PARKED_LOOK) } else { until_tick };
        let asleep = |yes| self.mailboxes[self.index].asleep.store(yes, Relaxed);
        asleep(true);
        let outcome = self.poll.poll(events, Some(longest));
        asleep(false);
        interrupted_is_nothing(outcome, events)
    }

    fn poll_once(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let outcome = self.poll.poll(events, timeout);
        interrupted_is_nothing(outcome, events)
    }

    fn handle(&mut self, events: &Events, arrived: Ticks) {
        let mut woken = false;
        self.ready = events.iter().count();
        for event in events {
            self.ready = self.ready.saturating_sub(1);
            match event.token() {
                WAKE => woken = true,
                Token(token) if token >= LISTENERS => {
                    self.turn_slot = None;
                    self.accept(token - LISTENERS);
                }
                Token(slot) => {
                    let Some(Some(connection)) = self.connections.get_mut(slot) else { continue };
                    let ending = event.is_read_closed() || event.is_error();
                    if ending || event.is_readable() {
                        connection.set_readable(ending);
                        self.turn(slot, arrived);
                    } else if connection.has_unsent() {
                        self.turn(slot, arrived);
                    }
                }
            }
        }
        if woken {
            self.turn_slot = None;
            self.welcome();
            self.close_killed();
        }
        if self.accept_again.is_some_and(|again| Instant::now() >= again) {
            self.accept_again = None;
            (0..SOCKETS_MAX).for_each(|number| self.accept(number));
        }
    }

    /// Gives each connection that had more to do one more turn.
    fn serve_busy(&mut self, arrived: Ticks) {
        for _ in 0..self.busy.len() {
            if let Some(slot) = self.busy.pop_front() {
                self.turn(slot, arrived);
            }
        }
    }

    /// Tries each parked command once more; nothing to do for one that is still parked until somebody wakes this worker.
    fn serve_parked(&mut self, arrived: Ticks) {
        for _ in 0..self.parked.len() {
            if let Some(slot) = self.parked.pop_front() {
                self.turn(slot, arrived);
            }
        }
    }

    /// Notes a turn that took long; others were timed by sample, or not at all.
    fn end_turn(&mut self, now_ms: i64) {
        let took_ms = now_ms - std::mem::replace(&mut self.turn_started_ms, now_ms);
        if took_ms < LONG_TURN_MS {
            return;
        }
        self.had_long_turn = true;
        let connection = self.turn_slot.and_then(|slot| self.connections.get_mut(slot)?.as_mut());
        if let Some(connection) = connection {
            connection.turns.add(self.placement.window(), took_ms as u64 * 1_000_000);
        }
    }

    fn turn(&mut self, slot: usize, arrived: Ticks) {
        let now_ms = self.executor.instance.now_ms();
        self.end_turn(now_ms);
        self.turn_slot = Some(slot);
        let Worker { connections, executor, buffer, reply, spans, busy, turns, placement, .. } = self;
        let Some(Some(connection)) = connections.get_mut(slot) else { return };
        *turns += 1;
        let sampled = if turns.is_multiple_of(u64::from(TIMED_EVERY)) { TIMED_EVERY } else { 0 };
        executor.others_ready = (self.ready + busy.len()) as u32;
        let arrived = Arrival { at: arrived, weight: if self.after_long_turn { 1 } else { sampled } };
        let mut lent = Lent { executor, buffer, reply, spans, arrived, now_ms, time_flush: sampled };
        let started = (sampled > 0).then(clock::now);
        let next = connection.turn(&mut lent);
        connection.tell_buffers(&lent.executor.instance.clients);
        if let Some(started) = started {
            let ns = clock::now().ns_since(started);
            // A longer one is noted when it ends, like every long one.
            if ns < LONG_TURN_MS as u64 * 1_000_000 {
                connection.turns.add(placement.window(), ns * u64::from(TIMED_EVERY));
            }
        }
        match next {
            Next::Wait => {}
            Next::Again => {
                if !self.busy.contains(&slot) {
                    self.busy.push_back(slot);
                }
            }
            Next::Retry => {
                if !self.parked.contains(&slot) {
                    self.parked.push_back(slot);
                }
            }
            Next::Close(why) => self.close(slot, why),
        }
        self.reply.clear();
        self.reply.shrink_to(REPLY_KEPT_BYTES);
    }

    /// Accepts everybody who waits at a listener.
    fn accept(&mut self, number: usize) {
        let instance = self.instance();
        let Some(sockets) = self.sockets.clone() else { return };
        loop {
            match sockets.accept(number) {
                Ok(None) => return,
                Ok(Some((peer, origin))) => match listen::refusal(&instance, &origin) {
                    Some(why) => listen::turn_away(&instance, peer, why),
                    None => self.assign(peer, origin),
                },
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// Gives a client to the worker it is to be served by.
    fn assign(&mut self, peer: Peer, origin: Origin) {
        let to = match self.executor.instance.settings.read(IO_THREADS_ALWAYS_ACTIVE) {
            true => placement::fewest(&self.loads()),
            false => placement::newcomer(&self.loads(), self.executor.instance.now_ms()),
        };
        self.mailboxes[to].load.connections.fetch_add(1, Relaxed);
        if to == self.index {
            self.connect(peer, origin);
        } else {
            self.hand_over(to, Newcomer::Client(peer, origin));
        }
    }

    fn loads(&self) -> Vec<&Load> {
        self.mailboxes.iter().map(|mailbox| &mailbox.load).collect()
    }

    fn hand_over(&self, to: usize, newcomer: Newcomer) {
        self.mailboxes[to].arrivals.lock().push(newcomer);
        let _ = self.mailboxes[to].waker.wake();
    }

    /// Takes over the clients that other workers handed over.
    fn welcome(&mut self) {
        let arrivals = std::mem::take(&mut *self.mailboxes[self.index].arrivals.lock());
        for newcomer in arrivals {
            match newcomer {
                Newcomer::Client(peer, origin) => self.connect(peer, origin),
                Newcomer::Connection(connection) => self.adopt(connection),
            }
        }
    }

    fn connect(&mut self, peer: Peer, origin: Origin) {
        let instance = self.instance();
        listen::prepare(&peer, instance.settings.read(TCP_KEEPALIVE_SECONDS));
        arrival::stamp(&peer);
        let (fd, worker, now_ms) = (peer.raw_fd(), self.index, instance.now_ms());
        let address = if let Origin::Tcp { peer, .. } = &origin { Some(peer.ip()) } else { None };
        self.executor.count_connection(address);
        let client = instance.clients.connect(|id| Client::new(id, origin, fd, worker, now_ms));
        let authenticated = !instance.settings.read(REQUIRES_PASSWORD);
        client.authenticated.store(authenticated, Relaxed);
        let session = Session::new(client, authenticated);
        self.adopt(Box::new(Connection::new(peer, session)));
    }

    /// Serves a connection from now on. What its socket holds already raises an event.
    fn adopt(&mut self, mut connection: Box<Connection>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(connection.peer.source(), Token(slot), interest);
        // Its former worker counted its windows from another start.
        connection.turns = Turns::default();
        if !connection.is_at_rest() {
            self.busy.push_back(slot);
        }
        self.connections[slot] = Some(connection);
        if let Err(error) = registered {
            tracing::warn!("Registering a client failed: {error}");
            self.close(slot, Why::Gone);
        }
    }

    /// Decides now and then whether clients are to move to another worker, and moves some that are to.
    fn place(&mut self, instance: &Instance, now: Instant) {
        if self.mailboxes.len() == 1 {
            return;
        }
        let spread = instance.settings.read(IO_THREADS_ALWAYS_ACTIVE);
        let loads: Vec<&Load> = self.mailboxes.iter().map(|mailbox| &mailbox.load).collect();
        let now_ms = instance.now_ms();
        loads[self.index].ticked(now_ms);
        let turns = |window| self.connections.iter().flatten().map(|c| c.turns.ns_in(window)).sum();
        self.placement.end_window(now, now_ms, &loads, spread, turns);
        let Some(mut giving) = self.placement.giving.take() else { return };
        let mut moves = 0;
        while giving.slot < self.connections.len() && !giving.is_done() && moves < MOVES_PER_TICK {
            let movable =
                self.connections[giving.slot].as_deref().filter(|connection| connection.is_movable());
            if movable.is_some_and(|connection| giving.takes(&connection.turns)) {
                self.move_away(giving.slot, giving.to);
                moves += 1;
            }
            giving.slot += 1;
        }
        if giving.slot < self.connections.len() && !giving.is_done() {
            self.placement.giving = Some(giving);
        } else {
            tracing::debug!("Worker {} gave {} clients to worker {}", self.index, giving.moved, giving.to);
            self.placement.end_giving(now);
        }
    }

    fn move_away(&mut self, slot: usize, to: usize) {
        let Some(mut connection) = self.connections[slot].take() else { return };
        let _ = self.poll.registry().deregister(connection.peer.source());
        self.busy.retain(|&busy| busy != slot);
        self.parked.retain(|&parked| parked != slot);
        self.turn_slot = self.turn_slot.filter(|&turn| turn != slot);
        self.free.push(slot);
        self.mailboxes[self.index].load.connections.fetch_sub(1, Relaxed);
        self.mailboxes[to].load.connections.fetch_add(1, Relaxed);
        // Before the other worker looks for killed clients: who kills it wakes this worker or that one, see `Client`.
        connection.session.client.worker.store(to, SeqCst);
        self.hand_over(to, Newcomer::Connection(connection));
    }

    fn close(&mut self, slot: usize, why: Why) {
        let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) else { return };
        let instance = self.instance();
        let _ = self.poll.registry().deregister(connection.peer.source());
        let (session, parked) = connection.ended();
        self.due = self.due.max(self.executor.close(session, parked));
        connection.forget_buffers(&instance.clients);
        let client = &connection.session.client;
        instance.clients.disconnect(client.id);
        let counter = match why {
            Why::QueryLimit => Some(&instance.counters.query_limit_disconnections),
            Why::OutputLimit => Some(&instance.counters.output_limit_disconnections),
            Why::Http => {
                self.warn_of_http(client);
                None
            }
            Why::Gone | Why::Finished | Why::Idle => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
            tracing::warn!("Client {} closed: {why:?}", client.origin.peer());
        }
        self.mailboxes[self.index].load.connections.fetch_sub(1, Relaxed);
        self.busy.retain(|&busy| busy != slot);
        self.parked.retain(|&parked| parked != slot);
        self.turn_slot = self.turn_slot.filter(|&turn| turn != slot);
        self.free.push(slot);
    }

    /// Once a minute; who can make a browser send one request can make it send thousands.
    fn warn_of_http(&mut self, client: &Client) {
        if self.warned_of_http.is_some_and(|before| before.elapsed() < HTTP_WARNING_PAUSE) {
            return;
        }
        self.warned_of_http = Some(Instant::now());
        tracing::warn!(
            "Possible SECURITY ATTACK detected: {} sent POST or Host: as if this were a web server, perhaps a web page \
             that tries to send commands through a browser on this machine. Its connection was closed.",
            client.origin.peer()
        );
    }

    fn close_killed(&mut self) {
        for slot in 0..self.connections.len() {
            let killed = |connection: &Connection| connection.session.client.killed.load(SeqCst);
            if self.connections[slot].as_deref().is_some_and(killed) {
                self.close(slot, Why::Finished);
            }
        }
    }

    fn every_second(&mut self, instance: &Instance, arrived: Ticks) {
        let now_ms = instance.now_ms();
        for slot in 0..self.connections.len() {
            let Worker { connections, executor, buffer, reply, spans, .. } = self;
            let Some(connection) = &mut connections[slot] else { continue };
            let arrived = Arrival { at: arrived, weight: 0 };
            let lent = Lent { executor, buffer, reply, spans, arrived, now_ms, time_flush: 0 };
            if let Some(why) = connection.check_time(&lent) {
                self.close(slot, why);
            } else if connection.is_held_back() && !self.busy.contains(&slot) {
                self.busy.push_back(slot);
            }
        }
        if self.index == 0 {
            if let Some(jump_ms) = instance.follow_wall_clock() {
                tracing::warn!("The system clock jumped by {jump_ms} ms; times to live are not affected");
            }
            instance.used_memory_bytes();
            instance.maintain_prefixes();
        }
    }

    /// Adds the cycles since the last turn of the timer to everybody's, waiting not included.
    fn note_cycles(&mut self, instance: &Instance) {
        let (cycles, ns) = (std::mem::take(&mut self.cycles), std::mem::take(&mut self.cycles_ns));
        instance.counters.event_loop_cycles.fetch_add(cycles, Relaxed);
        instance.counters.event_loop_duration_us.fetch_add(ns / 1000, Relaxed);
    }

    /// At the end: every client gets what its socket takes.
    fn close_all(&mut self) {
        for slot in 0..self.connections.len() {
            self.close(slot, Why::Finished);
        }
    }
}

/// A signal came while waiting: there are no events.
fn interrupted_is_nothing(outcome: io::Result<()>, events: &mut Events) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        other => other,
    }
}
