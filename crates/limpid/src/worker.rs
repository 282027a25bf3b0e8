//! A worker: a thread with one event loop, its connections, and an executor.
//!
//! Not the meaning of anything: sockets become readable, connections get their turns, a timer ticks ten times a second.
//! The first worker also accepts clients; which worker serves them is `placement`'s to say, how they come and go is in
//! `arrivals` and `closing`.
//!
//! Invariants: (1) a worker waits only in `poll`, and for a stripe at most as long as dispatch allows; (2) a connection
//! that has more to do gets its next turn after every other ready one; (3) a slot is reused only after the events that
//! may name it were handled (a poll has one event for each socket, and a connection is closed while its own is handled,
//! or after all of them); (4) a worker that is rung for looks at those it was named, and at nobody else.
//!
//! Thread safety: everything here is the thread's own, except the `Entrance` and the instance's bells.

use crate::connection::{Connection, Lent, Next};
use crate::placement::Placement;
use crate::sockets::{SOCKETS_MAX, Sockets};
use arrivals::Entrance;
use engine::config::Setting;
use engine::state::bell::Bell;
use engine::state::clients::Client;
use engine::{Arrival, Due, Executor, Instance};
use mio::{Events, Poll, Token, Waker};
use observe::os::clock::{self, Ticks};
use slots::Slots;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use wire::{Reply, Span};

pub mod arrivals;
mod closing;
mod slots;
#[cfg(test)]
mod tests;

/// -1 polls as long as that has paid lately.
const BUSY_POLL_US: Setting<i64> = Setting::of("busy-poll-us");

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
/// Clients that are handed what others have sent to them between two rounds of turns.
const DELIVERIES_PER_CYCLE: usize = EVENTS_MAX;
/// An output buffer keeps at most this much between turns.
const REPLY_KEPT_BYTES: usize = 256 << 10;
const WAKE: Token = Token(usize::MAX);
const LISTENERS: usize = usize::MAX - 1 - SOCKETS_MAX;

/// See the module's text.
pub struct Worker {
    index: usize,
    poll: Poll,
    executor: Executor,
    entrances: Arc<[Entrance]>,
    /// The first worker's alone: who accepts.
    sockets: Option<Arc<Sockets>>,
    accept_again: Option<Instant>,
    warned_of_http: Option<Instant>,
    slots: Slots,
    /// Clients whose mailboxes are to be looked at, in this cycle or the next ones.
    addressees: VecDeque<Arc<Client>>,
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

/// What a worker waits with, and what ends its waiting.
pub fn poll() -> io::Result<(Poll, Waker)> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    Ok((poll, waker))
}

impl Worker {
    pub fn new(
        index: usize,
        poll: Poll,
        executor: Executor,
        entrances: Arc<[Entrance]>,
        sockets: Option<Arc<Sockets>>,
    ) -> io::Result<Worker> {
        if let Some(sockets) = &sockets {
            sockets.wait_with(poll.registry(), LISTENERS)?;
        }
        Ok(Worker {
            index,
            poll,
            executor,
            entrances,
            sockets,
            accept_again: None,
            warned_of_http: None,
            slots: Slots::default(),
            addressees: VecDeque::new(),
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

    fn bell(&self) -> &Bell<Arc<Client>> {
        &self.executor.instance.bells[self.index]
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
            self.deliver(arrived);
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
        if self.due == Due::Now || self.slots.busy_len() > 0 || !self.addressees.is_empty() {
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
                if !events.is_empty() || self.bell().is_rung() {
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
        let looks = self.due == Due::Soon || self.slots.parked_len() > 0;
        let longest = if looks { until_tick.min(PARKED_LOOK) } else { until_tick };
        let may_sleep = self.bell().lie_down();
        let outcome = self.poll.poll(events, Some(if may_sleep { longest } else { Duration::ZERO }));
        self.bell().get_up();
        interrupted_is_nothing(outcome, events)
    }

    fn poll_once(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let outcome = self.poll.poll(events, timeout);
        interrupted_is_nothing(outcome, events)
    }

    fn handle(&mut self, events: &Events, arrived: Ticks) {
        self.ready = events.iter().count();
        for event in events {
            self.ready = self.ready.saturating_sub(1);
            match event.token() {
                // What it is to see follows from its bell.
                WAKE => {}
                Token(token) if token >= LISTENERS => {
                    self.turn_slot = None;
                    self.accept(token - LISTENERS);
                }
                Token(slot) => {
                    let Some(connection) = self.slots.get_mut(slot) else { continue };
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
        if self.accept_again.is_some_and(|again| Instant::now() >= again) {
            self.accept_again = None;
            (0..SOCKETS_MAX).for_each(|number| self.accept(number));
        }
    }

    /// Takes over who was handed over, and hands out what others have sent to clients of this worker.
    fn deliver(&mut self, arrived: Ticks) {
        if self.bell().look() {
            self.turn_slot = None;
            self.welcome();
            let named = self.bell().take();
            self.addressees.extend(named);
        }
        for _ in 0..self.addressees.len().min(DELIVERIES_PER_CYCLE) {
            let Some(client) = self.addressees.pop_front() else { return };
            let slot = client.slot.load(Relaxed);
            let is_here = |connection: &Connection| Arc::ptr_eq(&connection.session.client, &client);
            // Who has moved away meanwhile is looked at by the worker that has taken it over.
            if self.slots.get(slot).is_some_and(is_here) {
                let mail = client.mailbox.take();
                if !mail.is_empty() {
                    self.turn_with(slot, arrived, |connection, lent| connection.deliver(mail, lent));
                }
            }
        }
    }

    /// Gives each connection that had more to do one more turn.
    fn serve_busy(&mut self, arrived: Ticks) {
        for _ in 0..self.slots.busy_len() {
            if let Some(slot) = self.slots.pop_busy() {
                self.turn(slot, arrived);
            }
        }
    }

    /// Tries each parked command once more; nothing to do for one that is still parked until somebody wakes this worker.
    fn serve_parked(&mut self, arrived: Ticks) {
        for _ in 0..self.slots.parked_len() {
            if let Some(slot) = self.slots.pop_parked() {
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
        if let Some(connection) = self.turn_slot.and_then(|slot| self.slots.get_mut(slot)) {
            connection.turns.add(self.placement.window(), took_ms as u64 * 1_000_000);
        }
    }

    fn turn(&mut self, slot: usize, arrived: Ticks) {
        self.turn_with(slot, arrived, Connection::turn);
    }

    /// A turn of one connection: `act` is what it does in it.
    #[inline]
    fn turn_with(
        &mut self,
        slot: usize,
        arrived: Ticks,
        act: impl FnOnce(&mut Connection, &mut Lent<'_>) -> Next,
    ) {
        let now_ms = self.executor.instance.now_ms();
        self.end_turn(now_ms);
        self.turn_slot = Some(slot);
        let Worker { slots, executor, buffer, reply, spans, turns, placement, .. } = self;
        let others_busy = slots.busy_len();
        let Some(connection) = slots.get_mut(slot) else { return };
        *turns += 1;
        let sampled = if turns.is_multiple_of(u64::from(TIMED_EVERY)) { TIMED_EVERY } else { 0 };
        executor.others_ready = (self.ready + others_busy) as u32;
        let arrived = Arrival { at: arrived, weight: if self.after_long_turn { 1 } else { sampled } };
        let mut lent = Lent { executor, buffer, reply, spans, arrived, now_ms, time_flush: sampled };
        let started = (sampled > 0).then(clock::now);
        let next = act(connection, &mut lent);
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
            Next::Again => self.slots.set_busy(slot),
            Next::Retry => self.slots.set_parked(slot),
            Next::Close(why) => self.close(slot, why),
        }
        self.reply.clear();
        self.reply.shrink_to(REPLY_KEPT_BYTES);
    }

    fn every_second(&mut self, instance: &Instance, arrived: Ticks) {
        let now_ms = instance.now_ms();
        for slot in 0..self.slots.end() {
            let Worker { slots, executor, buffer, reply, spans, .. } = self;
            let Some(connection) = slots.get_mut(slot) else { continue };
            let arrived = Arrival { at: arrived, weight: 0 };
            let lent = Lent { executor, buffer, reply, spans, arrived, now_ms, time_flush: 0 };
            if let Some(why) = connection.check_time(&lent) {
                self.close(slot, why);
            } else if connection.is_held_back() {
                self.slots.set_busy(slot);
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
