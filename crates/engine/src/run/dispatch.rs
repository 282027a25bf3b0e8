//! Dispatch: every command of every client passes here. Admit, lock, run, record.
//!
//! Not the meaning of any command (families) and not the sockets (the worker): bytes were parsed before, replies are sent
//! after.
//!
//! A batch is a group of requests of one connection. All are looked up and their keys hashed first, so that the memory
//! they will need can be fetched while the first ones run; they are executed strictly in order.
//!
//! Invariants: (1) the order of locks is gate, stripes ascending, a leaf; nothing recorded is locked for it; (2) no command
//! waits long for its stripes: it is parked, see `contention`; (3) every command writes exactly one reply, unless it was
//! parked or CLIENT REPLY says otherwise; (4) whatever is recorded about a command is recorded from here.
//!
//! Thread safety: one `Executor` per worker.

use crate::config::Setting;
use crate::registry::Registry;
use crate::run::admission::{Admission, Refusal, Room, admit};
use crate::run::alone::Alone;
use crate::run::contention::{Contention, Loss, Lost, id_of};
use crate::run::ctx::Ctx;
use crate::run::data::{Data, LockId, Locks, push_ids};
use crate::run::effects::Effects;
use crate::run::keys::{Declared, Keys};
use crate::run::parked::Parked;
use crate::run::passage::{Passage, Turn, Wants};
use crate::run::prepared::{Prepared, UNKNOWN};
use crate::run::recording::{self, Arrival, Clock, Timing};
use crate::run::runner::{Held, Runner};
use crate::run::slicing;
use crate::run::step::Step;
use crate::run::transaction;
use crate::run::unit;
use crate::spec::command::{Command, Run, Slice};
use crate::spec::flags::{NOT_QUEUED, WRITE};
use crate::state::instance::Instance;
use crate::state::session::{ReplyMode, Session};
use keyspace::gate::Place;
use keyspace::waiting::ALONE;
use keyspace::{Database, Journal, Pin};
use observe::os::clock;
use observe::record::latency::Stage;
use observe::record::{Observer, Recorder};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wire::{Args, Mark, Reply};

const LFU_DECAY_TIME_MINUTES: Setting<u32> = Setting::of("lfu-decay-time");
const ACTIVE_EXPIRE_EFFORT: Setting<usize> = Setting::of("active-expire-effort");

/// Most requests of one batch: after so many, other connections are served.
pub const BATCH_MAX: usize = 64;
/// Replies that a client has not taken above which no more of its requests are executed: it may read them first. With
/// the requests that are read meanwhile and the slack of both buffers, a client that reads nothing costs at most 1 MiB.
pub const UNSENT_PAUSE_BYTES: usize = 768 << 10;
/// Turns of the timer, ten a second, after which databases that stay without keys are given back.
const UNUSED_TICKS: u32 = 20;
/// Expired keys removed in one turn of the timer, times `active-expire-effort`: about a millisecond's worth.
pub const EXPIRE_PER_TICK: usize = 4096;

/// The prepared requests of a batch. It has room for the longest one, so it is filled where it lies: to move it would
/// copy kilobytes for every batch of one.
type Batch<'a> = SmallVec<[Prepared<'a>; BATCH_MAX]>;

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Every request was executed, or the session is closing.
    Done,
    /// Request number `at` did not get its stripes, or not through the gate, or no room for its effect, or waits for a
    /// report: it is to be run again when others had their turn, or when the worker is woken, or after a millisecond.
    Parked { at: usize },
    /// Request number `at` has done a slice of its work, and is to be run again when others had their turn.
    Sliced { at: usize },
    /// Request number `at` was not begun: the turn has taken long enough, or the replies so far are as many as the client
    /// may leave unread. It is to be run when others had their turn.
    Yield { at: usize },
}

/// When the timer's work is to be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// At its next turn.
    Timer,
    /// Within a millisecond: the gate was closed.
    Soon,
    /// At once: there is more to do.
    Now,
}

/// See the module's text.
pub struct Executor {
    pub instance: Arc<Instance>,
    /// Other connections that wait for this worker; told by it, for the delay a slow command gives to others.
    pub others_ready: u32,
    /// Bytes of replies above which a batch ends early; told by the worker, less what waits to be sent already.
    pub reply_room: usize,
    station: Station,
}

/// What a worker executes with; apart from the instance, so that both can be borrowed at once.
struct Station {
    worker: usize,
    passage: Passage,
    journal: Journal,
    admission: Admission,
    contention: Contention,
    /// None: nobody follows.
    effects: Option<Box<Effects>>,
    lock_ids: Vec<LockId>,
    /// Room for the keys of a batch.
    keys: Keys,
    recorder: Recorder,
    /// See [`Executor::reply_room`].
    reply_room: usize,
    /// Turns of the timer in a row that found databases without keys.
    unused_ticks: u32,
    /// What the timer's work waits for at the gate.
    timer: Wants,
}

impl Executor {
    pub fn new(instance: Arc<Instance>, worker: usize, place: Place, seed: u64) -> Executor {
        let mut journal = Journal::new(instance.hasher.clone(), seed);
        journal.worker = worker as u8;
        let effects = instance.effects.clone().map(|log| Box::new(Effects::new(log, worker)));
        if effects.is_some() {
            journal.number_changes(Arc::clone(&instance.tickets));
        }
        let contention = Contention::new(journal.worker, Arc::clone(&instance.waiting));
        instance.reporter.of(&instance);
        let station = Station {
            worker,
            passage: Passage::new(place),
            journal,
            admission: Admission::default(),
            contention,
            effects,
            lock_ids: Vec::new(),
            keys: Keys::default(),
            recorder: instance.take_recorder(worker),
            reply_room: UNSENT_PAUSE_BYTES,
            unused_ticks: 0,
            timer: Wants::default(),
        };
        Executor { instance, others_ready: 0, reply_room: UNSENT_PAUSE_BYTES, station }
    }

    /// Executes requests in order, at most [`BATCH_MAX`]. `arrived` is when the kernel received them;
    /// `parked` is what the first of them left behind when it was parked.
    pub fn run(
        &mut self,
        requests: &[Args<'_>],
        session: &mut Session,
        reply: &mut Reply,
        arrived: Arrival,
        parked: &mut Parked,
    ) -> End {
        let Executor { instance, station, .. } = self;
        station.reply_room = self.reply_room;
        station.journal.set_now(instance.now_ms());
        let clock = Clock::new(arrived, self.others_ready, instance);
        let mut at = 0;
        while at < requests.len() && !session.closing {
            let step = match parked.wants.turn() {
                Some(Turn::Run) => Step::Alone,
                Some(Turn::Reclaim) => Step::Reclaim,
                None => {
                    let (done, step) =
                        station.run_shared(instance, (requests, at), session, reply, &clock, parked);
                    at += done;
                    if done > 0 || matches!(step, Step::Again | Step::Wait) {
                        station.passage.end(&instance.gate, &mut parked.wants);
                    }
                    step
                }
            };
            match step {
                Step::Done => {}
                Step::Alone => {
                    let mut keys = Keys::default();
                    let request = Prepared::new(requests[at], instance.registry, &station.journal, &mut keys);
                    let request = (&request, &mut keys);
                    if !station.run_alone(instance, request, session, reply, &clock, &mut parked.wants) {
                        return End::Parked { at };
                    }
                    *parked = Parked::default();
                    at += 1;
                }
                Step::Reclaim => {
                    if !reclaim(&mut station.passage, instance, &mut parked.wants) {
                        return End::Parked { at };
                    }
                }
                Step::Away => {
                    if station.passage.turn_away(&instance.gate, &mut parked.wants) {
                        return End::Parked { at };
                    }
                }
                Step::Busy => {
                    instance.counters.lock_retries.fetch_add(1, Relaxed);
                    return End::Parked { at };
                }
                Step::Wait => return End::Parked { at },
                Step::Full => {
                    // It does not wait for the gate any more: that may close.
                    station.passage.end(&instance.gate, &mut parked.wants);
                    return End::Parked { at };
                }
                Step::Again => return End::Sliced { at },
                Step::Yield => return End::Yield { at },
            }
        }
        End::Done
    }

    /// The turn of a timer: expired keys go, memory over its limit is freed, access stamps are kept from coming round.
    pub fn tick(&mut self, age: bool) -> Due {
        let Executor { instance, station, .. } = self;
        station.journal.set_now(instance.now_ms());
        station.recorder.begin_batch(1, station.journal.now_ms as u64);
        if instance.timers_paused.load(Relaxed) {
            station.passage.end(&instance.gate, &mut station.timer);
            return Due::Timer;
        }
        if station.timer.turn().is_some() {
            return if reclaim(&mut station.passage, instance, &mut station.timer) {
                Due::Now
            } else {
                Due::Soon
            };
        }
        let Station {
            worker, passage, journal, admission, contention, effects, recorder, unused_ticks, ..
        } = station;
        let decay_seconds = instance.settings.read(LFU_DECAY_TIME_MINUTES).saturating_mul(60);
        journal.decay_seconds = u16::try_from(decay_seconds).unwrap_or(u16::MAX);
        let Some(databases) = passage.enter(&instance.gate) else {
            passage.turn_away(&instance.gate, &mut station.timer);
            return Due::Soon;
        };
        contention.let_go(&databases);
        let budget = EXPIRE_PER_TICK * instance.settings.read(ACTIVE_EXPIRE_EFFORT);
        let mut more = false;
        for (_, database) in databases.iter() {
            if instance.expires_actively() && Effects::have_room(effects.as_deref(), journal) {
                more |= database
                    .expire(budget, journal, |journal| Effects::seal_of(effects.as_deref_mut(), journal));
            }
            if age {
                // At ten turns a second every stamp is looked at within two hours.
                database.age(database.len() / 70_000 + 1, journal);
            }
        }
        let room = admission.make_room(instance, &databases, journal, effects.as_deref_mut());
        more |= matches!(room, Room::Gaining | Room::Unused);
        let mut reclaims = room == Room::Unused;
        if age && *worker == 0 {
            *unused_ticks = if databases.has_unused(*worker as u8) { *unused_ticks + 1 } else { 0 };
            reclaims |= *unused_ticks >= UNUSED_TICKS;
        }
        recording::settle(journal, recorder, instance);
        // Whoever asks for the peak is told the highest figure that anybody has seen.
        instance.used_memory_bytes();
        instance.rates.note(*worker, journal.now_ms, recorder, &instance.counters);
        drop(databases);
        passage.end(&instance.gate, &mut station.timer);
        if reclaims {
            *unused_ticks = 0;
            if !reclaim(passage, instance, &mut station.timer) {
                return Due::Soon;
            }
        }
        if more { Due::Now } else { Due::Timer }
    }

    /// Counts a connection that was accepted; None is the unix socket.
    pub fn count_connection(&mut self, address: Option<IpAddr>) {
        let recorder = &mut self.station.recorder;
        if recorder.switches.is_on(Observer::CLIENTS) {
            recorder.connects.connected(address, self.instance.now_ms() as u64);
        }
    }

    /// The number of its worker.
    pub fn worker(&self) -> usize {
        self.station.worker
    }

    /// Counts a read from a socket.
    pub fn count_read(&mut self, bytes: usize) {
        self.station.recorder.received(bytes as u64);
    }

    /// Counts replies written to a socket.
    pub fn count_write(&mut self, bytes: usize) {
        self.station.recorder.sent(bytes as u64);
    }

    /// Records how long the replies of a batch took to send, for the command that came last in it and the `weight`
    /// batches it stands for.
    pub fn record_flush(&mut self, session: &Session, ns: u64, weight: u32) {
        let recorder = &mut self.station.recorder;
        let command = session.client.last_command.load(Relaxed);
        if recorder.switches.is_on(Observer::LATENCY) && command != UNKNOWN {
            recorder.latency.record(command, Stage::Flush, ns, weight);
        }
    }

    /// Whether a parked request of this session may go to another worker: it is in no queue for this one.
    pub fn may_move(&self, session: &Session, parked: &Parked) -> bool {
        !self.station.contention.has_claim(session.client.id) && parked.wants.turn().is_none()
    }

    /// Takes back what a parked request has asked for on this worker: it goes to another one, or ends. Returns when the timer's
    /// work is to be done: there may be something to take back that is not to be reached now.
    pub fn leave(&mut self, session: &Session, parked: &mut Parked) -> Due {
        let Station { passage, contention, .. } = &mut self.station;
        passage.end(&self.instance.gate, &mut parked.wants);
        contention.leave(session.client.id, &mut parked.loss);
        slicing::end(&self.instance, session.client.id, parked);
        let Some(databases) = contention.has_left().then(|| passage.enter(&self.instance.gate)) else {
            return Due::Timer;
        };
        let Some(databases) = databases else { return Due::Soon };
        contention.let_go(&databases);
        Due::Timer
    }

    /// Ends what a closed session, and its request that was parked, wanted of others. Returns as [`Executor::leave`].
    pub fn close(&mut self, session: &mut Session, parked: Option<&mut Parked>) -> Due {
        transaction::unwatch(session);
        parked.map_or(Due::Timer, |parked| self.leave(session, parked))
    }
}

impl Station {
    /// Runs requests from number `at` on inside the gate's shared side, until all are done or one needs something else. If
    /// the gate is closed, only those that touch no database. Returns how many were done.
    #[inline(always)]
    fn run_shared(
        &mut self,
        instance: &Instance,
        (requests, at): (&[Args<'_>], usize),
        session: &mut Session,
        reply: &mut Reply,
        clock: &Clock,
        parked: &mut Parked,
    ) -> (usize, Step) {
        let requests = &requests[at..];
        let shared = self.passage.enter(&instance.gate);
        let databases = shared.as_deref().unwrap_or(&instance.nowhere);
        self.recorder.begin_batch(requests.len() as u32, self.journal.now_ms as u64);
        let mut batch = Batch::new();
        self.keys.clear();
        let database = session.database;
        let home = databases.existing(database);
        prepare(requests, instance.registry, (&mut batch, &mut self.keys), home, &self.journal);
        let (journal, recorder, keys) = (&mut self.journal, &mut self.recorder, &mut self.keys);
        let data = Data::new(databases, (database, home), journal, recorder, keys);
        let mut ctx = Ctx { instance, session, reply, data, effects: self.effects.as_deref_mut() };
        let (mut done, mut step) = (0_usize, Step::Done);
        for request in &batch {
            // Whoever killed it was told that it is gone.
            ctx.session.closing |= ctx.session.client.killed.load(Relaxed);
            if ctx.session.closing {
                break;
            }
            if shared.is_none() && !request.is_outside() {
                step = Step::Away;
                break;
            }
            if at + done > 0 && (ctx.reply.len() >= self.reply_room || clock.is_turn_over()) {
                step = Step::Yield;
                break;
            }
            let Station { admission, contention, lock_ids, .. } = self;
            step = execute(&mut ctx, request, admission, contention, lock_ids, clock, parked);
            if step != Step::Done {
                break;
            }
            done += 1;
        }
        if let Some(last) = batch.get(done.saturating_sub(1)) {
            ctx.session.client.last_command.store(last.index(), Relaxed);
        }
        let Data { journal, recorder, .. } = ctx.data;
        recording::settle(journal, recorder, instance);
        (done, step)
    }

    /// Runs one request with nobody else inside the gate; false if it is not its turn yet.
    fn run_alone(
        &mut self,
        instance: &Instance,
        (request, keys): (&Prepared<'_>, &mut Keys),
        session: &mut Session,
        reply: &mut Reply,
        clock: &Clock,
        wants: &mut Wants,
    ) -> bool {
        let Some(mut databases) = self.passage.alone(&instance.gate, wants, Turn::Run) else { return false };
        instance.counters.gate_escalations.fetch_add(1, Relaxed);
        let before = reply.mark();
        let worker = std::mem::replace(&mut self.journal.worker, ALONE);
        self.contention.give_up(&databases, session.client.id);
        self.contention.let_go(&databases);
        let (recorder, journal, effects) =
            (&mut self.recorder, &mut self.journal, self.effects.as_deref_mut());
        let mut alone =
            Alone { instance, databases: &mut databases, recorder, journal, effects, clock, keys };
        match request.entry.map(|entry| entry.command.run) {
            Some(Run::Transaction) => transaction::run_alone(&mut alone, request, session, reply),
            _ => alone.run(request, session, reply),
        }
        if let Some(effects) = &mut self.effects {
            unit::seal_alone(effects, &mut self.journal, reply, before);
        }
        drop(databases);
        self.passage.was_alone(&instance.gate, wants);
        self.journal.worker = worker;
        settle_reply(session, reply, before);
        recording::settle(&mut self.journal, &mut self.recorder, instance);
        true
    }
}

/// Gives back databases without keys; false if it is not this worker's turn to be alone yet.
fn reclaim(passage: &mut Passage, instance: &Instance, wants: &mut Wants) -> bool {
    let Some(mut databases) = passage.alone(&instance.gate, wants, Turn::Reclaim) else { return false };
    databases.release_unused();
    drop(databases);
    passage.was_alone(&instance.gate, wants);
    true
}

/// Looks up every request and fetches the memory its keys will need. Hints only: in a database that another request of
/// the batch selects, they are merely useless.
#[inline]
fn prepare<'a>(
    requests: &[Args<'a>],
    registry: &'static Registry,
    (batch, keys): (&mut Batch<'a>, &mut Keys),
    database: Option<&Database>,
    journal: &Journal,
) {
    for args in requests {
        batch.push(Prepared::new(*args, registry, journal, keys));
    }
    let Some(database) = database else { return };
    if batch.len() > 1 {
        let keys = || {
            batch.iter().filter_map(|request: &Prepared<'_>| match request.keys {
                Declared::One(key) => Some(key.hash),
                Declared::Listed(_) => None,
            })
        };
        keys().for_each(|hash| database.prefetch_stripe(hash));
        keys().for_each(|hash| database.prefetch_bucket(hash));
        keys().for_each(|hash| database.prefetch_entry(hash));
    }
    if !keys.is_empty() {
        prefetch_listed(keys, database);
    }
}

/// The same for the keys of commands that may have several.
#[inline(never)]
fn prefetch_listed(keys: &Keys, database: &Database) {
    // More of them would drive each other out of the nearest cache.
    let keys = &keys.all()[..keys.all().len().min(BATCH_MAX)];
    keys.iter().for_each(|key| database.prefetch_stripe(key.hash()));
    keys.iter().for_each(|key| database.prefetch_bucket(key.hash()));
    keys.iter().for_each(|key| database.prefetch_entry(key.hash()));
}

/// Executes one request: admit, lock, run, record.
#[inline]
fn execute<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'a>,
    admission: &mut Admission,
    contention: &mut Contention,
    lock_ids: &mut Vec<LockId>,
    clock: &Clock,
    parked: &mut Parked,
) -> Step {
    let before = ctx.reply.mark();
    let command = match admit(ctx, request, admission) {
        Ok(command) => command,
        Err(_) if is_http(request) => {
            ctx.session.speaks_http = true;
            ctx.session.closing = true;
            return Step::Done;
        }
        Err(Refusal::Reclaim) => return Step::Reclaim,
        Err(Refusal::Error(error)) => {
            contention.abandon(ctx.data.databases, ctx.session.client.id, &mut parked.loss);
            slicing::end(ctx.instance, ctx.session.client.id, parked);
            transaction::refuse(ctx, request, &error);
            settle_reply(ctx.session, ctx.reply, before);
            return Step::Done;
        }
    };
    let step = if ctx.session.multi.is_some() && !command.flags.has(NOT_QUEUED) {
        transaction::queue(ctx, request, command);
        Step::Done
    } else if ctx.effects.is_some() && !unit::begin(ctx, command, before, parked.progress.hold.is_some()) {
        contention.abandon(ctx.data.databases, ctx.session.client.id, &mut parked.loss);
        Step::Full
    } else {
        match command.run {
            Run::Alone(_) => Step::Alone,
            Run::Transaction => transaction::execute(ctx, request, contention, lock_ids, clock, parked),
            _ => lock_and_call(ctx, request, command, contention, lock_ids, clock, parked),
        }
    };
    if step == Step::Done {
        settle_reply(ctx.session, ctx.reply, before);
    }
    step
}

/// Whether a line of an HTTP request came instead of a command: a web page can make a browser on this machine send one,
/// with commands in its body. Redis closes the connection at the same two words.
#[cold]
fn is_http(request: &Prepared<'_>) -> bool {
    let word = request.args.at(0);
    request.entry.is_none() && (word.eq_ignore_ascii_case(b"POST") || word.eq_ignore_ascii_case(b"Host:"))
}

#[inline]
fn lock_and_call<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'a>,
    command: &'static Command,
    contention: &mut Contention,
    lock_ids: &mut Vec<LockId>,
    clock: &Clock,
    parked: &mut Parked,
) -> Step {
    let mut timing = clock.start(ctx.data.recorder, command.flags);
    ctx.data.database = ctx.session.database;
    if parked.has_sliced && parked.progress.needs_no_stripes() {
        ctx.data.declare(request.keys);
    } else {
        match lock(ctx, request, contention, lock_ids, &mut timing, &mut parked.loss) {
            Ok(()) => {}
            Err(Lost::Park) => return Step::Busy,
            Err(Lost::TooWide) => return Step::Alone,
        }
        if ctx.data.locks.may_be_pinned()
            && let Some(pin) = meets_pin(ctx, request, command, parked)
        {
            return slicing::wait(ctx, contention, parked, Some(&pin));
        }
    }
    timing.earlier_ns = parked.progress.run_ns;
    let runner = Runner { ctx, held: Held::Stripes, clock };
    match runner.run(request, command, timing, &mut parked.progress) {
        Slice::Done => {
            if ctx.effects.is_some() {
                unit::end(ctx, command);
            }
            contention.unlock(&mut ctx.data.locks);
            if parked.has_sliced {
                slicing::end(ctx.instance, ctx.session.client.id, parked);
            }
            Step::Done
        }
        slice => {
            // It has written nothing yet, but may have met keys past their deadline.
            Effects::seal_of(ctx.effects.as_deref_mut(), ctx.data.journal);
            parked.progress.run_ns = timing.run_ns();
            slicing::next(ctx, request, command, slice, contention, parked)
        }
    }
}

/// A pin that keeps a command from beginning; its stripes are held. One that has begun is at its last step: its own pins
/// are over, as it has the stripes, and nobody else has any of its keys.
#[cold]
fn meets_pin(
    ctx: &mut Ctx<'_>,
    request: &Prepared<'_>,
    command: &Command,
    parked: &mut Parked,
) -> Option<Arc<Pin>> {
    if let Some(hold) = &mut parked.progress.hold {
        hold.pins.end();
        return None;
    }
    ctx.data.pin_against(request.keys, command.flags.has(WRITE))
}

/// Locks the stripes of the request's keys.
#[inline(always)]
fn lock<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'a>,
    contention: &mut Contention,
    lock_ids: &mut Vec<LockId>,
    timing: &mut Timing,
    loss: &mut Loss,
) -> Result<(), Lost> {
    match request.keys {
        Declared::One(key) => {
            ctx.data.declare_one(key);
            let database = ctx.data.selected();
            let id = id_of(ctx.data.database, key);
            if !loss.is_any()
                && let Some(locked) = contention.lock_one(database, key)
            {
                ctx.data.locks = Locks::One(id, locked);
                return Ok(());
            }
            lock_ids.clear();
            lock_ids.push(id);
        }
        Declared::Listed(range) => {
            ctx.data.declare_listed(range);
            if range.is_empty() {
                return Ok(());
            }
            lock_ids.clear();
            push_ids(ctx.data.keys, range, ctx.data.database, ctx.data.databases.count(), lock_ids);
            lock_ids.sort_unstable();
            lock_ids.dedup();
        }
    }
    let (locked, lock_ns, parked_ns) = lock_all(ctx, contention, lock_ids, loss);
    (timing.lock_ns, timing.parked_ns) = (lock_ns, parked_ns);
    locked
}

/// Locks the stripes with these ids. Also returns the nanoseconds that took, and those since the first loss. Apart, because
/// most commands have one stripe, which is free.
#[inline(never)]
fn lock_all(
    ctx: &mut Ctx<'_>,
    contention: &mut Contention,
    lock_ids: &[LockId],
    loss: &mut Loss,
) -> (Result<(), Lost>, u64, u64) {
    let started = clock::now();
    let (now_ms, client) = (ctx.data.now_ms(), ctx.session.client.id);
    let locks = contention.lock_all(ctx.data.databases, lock_ids, now_ms, client, loss);
    let (lock_ns, parked_ns) = (clock::now().ns_since(started), loss.lasting_ns());
    let locked = locks.map(|locks| {
        ctx.data.locks = locks;
        *loss = Loss::default();
    });
    (locked, lock_ns, parked_ns)
}

/// Applies CLIENT REPLY to what a command has just written.
#[inline(always)]
fn settle_reply(session: &mut Session, reply: &mut Reply, before: Mark) {
    match session.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => reply.truncate(before),
        ReplyMode::SkipNext => session.reply_mode = ReplyMode::Skip,
        ReplyMode::Skip => {
            reply.truncate(before);
            session.reply_mode = ReplyMode::On;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn lfu_decay_time_is_taken_up_below_the_memory_limit_too() {
        let registry = Box::leak(Box::new(Registry::new(&[])));
        let (instance, mut places) =
            Instance::new(registry, Arc::new(Settings::new()), 1, 0x5eed, "0".repeat(40), None);
        let mut executor = Executor::new(Arc::new(instance), 0, places.remove(0), 1);
        for (minutes, seconds) in [("0", 0), ("3", 180), ("10000", u16::MAX), ("2147483647", u16::MAX)] {
            let change = [(&b"lfu-decay-time"[..], minutes.as_bytes())];
            executor.instance.settings.set(&change, true).expect("a setting");
            executor.tick(false);
            assert_eq!(executor.station.journal.decay_seconds, seconds);
        }
    }
}
