//! Dispatch: every command of every client passes here. Admit, lock, run, record.
//!
//! Not the meaning of any command (families) and not the sockets (the worker): bytes were parsed before, replies are sent
//! after.
//!
//! A batch is a group of requests of one connection. All are looked up and their keys hashed first, so that the memory
//! they will need can be fetched while the first ones run; they are executed strictly in order.
//!
//! Invariants: (1) the order of locks is gate, stripes ascending, a leaf; the worker's own recorder is locked inside the
//! gate and never waited for by a thread that holds a stripe; (2) no stripe is waited for longer than `LOCK_PATIENCE`:
//! the command is parked and tried again, and takes the gate after `LOCK_RETRIES_MAX` retries; (3) every command writes
//! exactly one reply, unless it was parked or CLIENT REPLY says otherwise; (4) whatever is recorded about a command is
//! recorded from here.
//!
//! Thread safety: one `Executor` per worker.

use crate::admission::{Admission, Refusal, Room, admit};
use crate::command::{Command, NOT_QUEUED, Progress, Run, Slice};
use crate::ctx::{AloneCtx, Ctx};
use crate::data::{Data, LockId, Locks, lock_all, lock_id};
use crate::instance::Instance;
use crate::recording::{self, Arrival, Clock, Ran, Timing};
use crate::registry::{self, Entry};
use crate::session::{ReplyMode, Session};
use crate::transaction;
use keyspace::locks::Place;
use keyspace::{Databases, Journal, Key};
use observe::os::clock;
use observe::record::latency::Stage;
use observe::record::{Observer, Traffic};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wire::{Args, Mark, Reply};

/// Most requests of one batch: after so many, other connections are served.
pub const BATCH_MAX: usize = 64;
/// Replies that a client has not taken above which no more of its requests are executed: it may read them first. With
/// the requests that are read meanwhile and the slack of both buffers, a client that reads nothing costs at most 1 MiB.
pub const UNSENT_PAUSE_BYTES: usize = 768 << 10;
/// Tries for the locks of one command before it takes the gate.
const LOCK_RETRIES_MAX: u8 = 8;
/// Turns of the timer, ten a second, after which databases that stay without keys are given back.
const UNUSED_TICKS: u32 = 20;
/// Expired keys removed in one turn of the timer, times `active-expire-effort`: about a millisecond's worth.
pub const EXPIRE_PER_TICK: usize = 4096;
/// `index` of a request whose command is not known.
pub(crate) const UNKNOWN: u16 = u16::MAX;

/// A request that was looked up and whose first key was hashed.
pub(crate) struct Prepared<'a> {
    pub args: Args<'a>,
    /// None: no command is called that.
    pub entry: Option<&'static Entry>,
    /// The only key, when the command has exactly one at the usual place.
    pub key: Option<Key<'a>>,
}

/// The prepared requests of a batch. It has room for the longest one, so it is filled where it lies: to move it would
/// copy kilobytes for every batch of one.
type Batch<'a> = SmallVec<[Prepared<'a>; BATCH_MAX]>;

impl Prepared<'_> {
    /// The command that figures are kept for.
    pub(crate) fn index(&self) -> u16 {
        self.entry.map_or(UNKNOWN, |entry| entry.counted_as)
    }
}

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Every request was executed, or the session is closing.
    Done,
    /// Request number `at` could not go on: its stripes were taken, or it is a sliced command with more to do. It is
    /// to be run again, later.
    Parked { at: usize },
    /// The replies so far are as many as the client may leave unread; request number `at` is the first not executed.
    Full { at: usize },
}

/// What a parked command takes along.
#[derive(Default)]
pub struct Parked {
    lock_retries: u8,
    progress: Progress,
}

/// How one request ended.
#[derive(PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// It must run behind the gate.
    Alone,
    /// Its stripes were taken.
    Busy,
    /// It has done a slice of its work.
    Again,
    /// It was not begun: memory is short, and there are databases without keys to give back first.
    Reclaim,
    /// It was not begun: see [`End::Full`].
    Full,
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
    place: Place,
    journal: Journal,
    admission: Admission,
    lock_ids: Vec<LockId>,
    /// What was received and sent since the recorder was told.
    traffic: Traffic,
    /// See [`Executor::reply_room`].
    reply_room: usize,
    /// Turns of the timer in a row that found databases without keys.
    unused_ticks: u32,
}

impl Executor {
    pub fn new(instance: Arc<Instance>, worker: usize, place: Place, seed: u64) -> Executor {
        let journal = Journal::new(instance.hasher.clone(), seed);
        let station = Station {
            worker,
            place,
            journal,
            admission: Admission::default(),
            lock_ids: Vec::new(),
            traffic: Traffic::default(),
            reply_room: UNSENT_PAUSE_BYTES,
            unused_ticks: 0,
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
            let (done, step) = station.run_shared(instance, &requests[at..], session, reply, &clock, parked);
            at += done;
            match step {
                Step::Done => {}
                Step::Alone => {
                    let request = prepare_one(requests[at], &station.journal);
                    station.run_alone(instance, &request, session, reply, &clock);
                    *parked = Parked::default();
                    at += 1;
                }
                Step::Busy => {
                    instance.counters.lock_retries.fetch_add(1, Relaxed);
                    parked.lock_retries += 1;
                    return End::Parked { at };
                }
                Step::Again => return End::Parked { at },
                Step::Reclaim => instance.gate.alone().release_unused(),
                Step::Full => return End::Full { at },
            }
        }
        End::Done
    }

    /// The turn of a timer: expired keys go, memory over its limit is freed, access stamps are kept from coming round.
    /// Returns whether more is to be done at once.
    pub fn tick(&mut self, age: bool) -> bool {
        let Executor { instance, station, .. } = self;
        let Station { worker, place, journal, admission, traffic, unused_ticks, .. } = station;
        journal.set_now(instance.now_ms());
        if instance.timers_paused.load(Relaxed) {
            return false;
        }
        let decay_seconds = instance.settings.lfu_decay_time_minutes() * 60;
        journal.decay_seconds = u16::try_from(decay_seconds).unwrap_or(u16::MAX);
        let databases = instance.gate.enter(place);
        let budget = EXPIRE_PER_TICK * usize::from(instance.settings.active_expire_effort());
        let mut more = false;
        for (_, database) in databases.iter() {
            if instance.expires_actively() {
                more |= database.expire(budget, journal);
            }
            if age {
                // At ten turns a second every stamp is looked at within two hours.
                database.age(database.len() / 70_000 + 1, journal);
            }
        }
        let room = admission.make_room(instance, &databases, journal);
        more |= matches!(room, Room::Gaining | Room::Unused);
        let mut reclaims = room == Room::Unused;
        if age && *worker == 0 {
            *unused_ticks = if databases.has_unused() { *unused_ticks + 1 } else { 0 };
            reclaims |= *unused_ticks >= UNUSED_TICKS;
        }
        let mut recorder = instance.recorders[*worker].lock();
        recorder.counters.traffic.add(&std::mem::take(traffic));
        recording::settle(journal, &mut recorder, instance);
        // Whoever asks for the peak is told the highest figure that anybody has seen.
        instance.used_memory_bytes();
        instance.rates.note(*worker, journal.now_ms, &recorder, &instance.counters);
        drop((recorder, databases));
        if reclaims {
            *unused_ticks = 0;
            instance.gate.alone().release_unused();
        }
        more
    }

    /// Counts a read from a socket; the recorder is told with the next batch or turn of the timer.
    pub fn count_read(&mut self, bytes: usize) {
        self.station.traffic.bytes_in += bytes as u64;
        self.station.traffic.reads += 1;
    }

    /// Counts replies written to a socket, as [`Executor::count_read`].
    pub fn count_write(&mut self, bytes: usize) {
        self.station.traffic.bytes_out += bytes as u64;
        self.station.traffic.writes += 1;
    }

    /// Records how long the replies of a batch took to send, for the command that came last in it and the `weight`
    /// batches it stands for.
    pub fn record_flush(&mut self, session: &Session, ns: u64, weight: u32) {
        let mut recorder = self.instance.recorders[self.station.worker].lock();
        let command = session.client.last_command.load(Relaxed);
        if recorder.switches.is_on(Observer::LATENCY) && command != UNKNOWN {
            recorder.latency.record(command, Stage::Flush, ns, weight);
        }
    }

    /// Unregisters what a closed session left in the keyspace.
    pub fn close(&mut self, session: &mut Session) {
        let databases = self.instance.gate.enter(&mut self.station.place);
        transaction::unwatch(session, &databases);
    }
}

impl Station {
    /// Runs requests inside the gate's shared side, until all are done or one needs something else. Returns how many
    /// were done.
    fn run_shared(
        &mut self,
        instance: &Instance,
        requests: &[Args<'_>],
        session: &mut Session,
        reply: &mut Reply,
        clock: &Clock,
        parked: &mut Parked,
    ) -> (usize, Step) {
        let shared = instance.gate.enter(&mut self.place);
        let mut recorder = instance.recorders[self.worker].lock();
        recorder.set_batch_depth(requests.len() as u32);
        recorder.rotate(self.journal.now_ms as u64);
        recorder.counters.traffic.add(&std::mem::take(&mut self.traffic));
        let mut batch = Batch::new();
        prepare(requests, &mut batch, &shared, session.database, &self.journal);
        let database = session.database;
        let (journal, locks) = (&mut self.journal, Locks::None);
        let data = Data { databases: &shared, database, journal, recorder, locks, first: None };
        let mut ctx = Ctx { instance, session, reply, data };
        let (mut done, mut step) = (0_usize, Step::Done);
        for request in &batch {
            // Whoever killed it was told that it is gone.
            ctx.session.closing |= ctx.session.client.killed.load(Relaxed);
            if ctx.session.closing {
                break;
            }
            if done > 0 && ctx.reply.len() >= self.reply_room {
                step = Step::Full;
                break;
            }
            step = execute(&mut ctx, request, &mut self.admission, &mut self.lock_ids, clock, parked);
            if step != Step::Done {
                break;
            }
            done += 1;
        }
        if let Some(last) = batch.get(done.saturating_sub(1)) {
            ctx.session.client.last_command.store(last.index(), Relaxed);
        }
        let Data { journal, mut recorder, .. } = ctx.data;
        recording::settle(journal, &mut recorder, instance);
        (done, step)
    }

    /// Runs one request with nobody else inside the gate.
    fn run_alone(
        &mut self,
        instance: &Instance,
        request: &Prepared<'_>,
        session: &mut Session,
        reply: &mut Reply,
        clock: &Clock,
    ) {
        instance.counters.gate_escalations.fetch_add(1, Relaxed);
        let before = reply.mark();
        let mut databases = instance.gate.alone();
        let mut room = AloneRoom { instance, worker: self.worker, journal: &mut self.journal, clock };
        match request.entry.map(|entry| entry.command.run) {
            Some(Run::Transaction) => {
                transaction::run_alone(&mut room, &mut databases, request, session, reply)
            }
            _ => room.run(&mut databases, request, session, reply),
        }
        drop(databases);
        settle_reply(session, reply, before);
        recording::settle(&mut self.journal, &mut instance.recorders[self.worker].lock(), instance);
    }
}

/// Looks up every request and fetches the memory the key of each will need. Hints only: in a database that another
/// request of the batch selects, they are merely useless.
#[inline]
fn prepare<'a>(
    requests: &[Args<'a>],
    batch: &mut Batch<'a>,
    databases: &Databases,
    database: usize,
    journal: &Journal,
) {
    for args in requests {
        batch.push(prepare_one(*args, journal));
    }
    if let (Some(database), true) = (databases.existing(database), batch.len() > 1) {
        let keys = || batch.iter().filter_map(|request: &Prepared<'_>| request.key);
        keys().for_each(|key| database.prefetch_stripe(key.hash));
        keys().for_each(|key| database.prefetch_bucket(key.hash));
        keys().for_each(|key| database.prefetch_entry(key.hash));
    }
}

#[inline(always)]
pub(crate) fn prepare_one<'a>(args: Args<'a>, journal: &Journal) -> Prepared<'a> {
    let Some(mut entry) = registry::find(args.at(0)) else {
        return Prepared { args, entry: None, key: None };
    };
    if !entry.subcommands.is_empty() {
        entry = entry.subcommand(args).unwrap_or(entry);
    }
    let key = match args.get(1) {
        Some(bytes) if entry.has_one_key => Some(Key { bytes, hash: journal.hasher.hash(bytes) }),
        _ => None,
    };
    Prepared { args, entry: Some(entry), key }
}

/// Executes one request: admit, lock, run, record.
#[inline]
fn execute<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'a>,
    admission: &mut Admission,
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
            transaction::refuse(ctx, request, &error);
            settle_reply(ctx.session, ctx.reply, before);
            return Step::Done;
        }
    };
    let step = if ctx.session.multi.is_some() && !command.flags.has(NOT_QUEUED) {
        transaction::queue(ctx, request, command);
        Step::Done
    } else {
        match command.run {
            Run::Alone(_) => Step::Alone,
            _ if parked.lock_retries > LOCK_RETRIES_MAX => Step::Alone,
            Run::Transaction => transaction::execute(ctx, request, lock_ids, clock),
            _ => lock_and_call(ctx, request, command, lock_ids, clock, &mut parked.progress),
        }
    };
    if step == Step::Done {
        parked.lock_retries = 0;
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
    lock_ids: &mut Vec<LockId>,
    clock: &Clock,
    progress: &mut Progress,
) -> Step {
    let mut timing = clock.start(&mut ctx.data.recorder, command.flags);
    ctx.data.database = ctx.session.database;
    if !lock(ctx, request, command, lock_ids, &mut timing) {
        return Step::Busy;
    }
    timing.earlier_ns = progress.run_ns;
    let slice = call(ctx, request, command, clock, timing, progress);
    ctx.data.locks = Locks::None;
    if slice == Slice::Again {
        progress.run_ns = timing.run_ns();
        return Step::Again;
    }
    Step::Done
}

/// Locks the stripes of the request's keys; false if one was not to be had in time.
#[inline(always)]
fn lock<'a>(
    ctx: &mut Ctx<'a>,
    request: &Prepared<'a>,
    command: &'static Command,
    lock_ids: &mut Vec<LockId>,
    timing: &mut Timing,
) -> bool {
    ctx.data.first = request.key;
    let now_ms = ctx.data.now_ms();
    if let Some(key) = request.key {
        let database = ctx.data.databases.get(ctx.data.database, now_ms);
        let stripe = keyspace::hash::stripe_of(key.hash);
        let Some(locked) = lock_one(database, stripe, timing) else { return false };
        ctx.data.locks = Locks::One(lock_id(ctx.data.database, key.hash), locked);
        return true;
    }
    if command.keys.is_empty() {
        return true;
    }
    lock_ids.clear();
    key_ids(request.args, command, ctx.data.database, ctx.data.databases, ctx.data.journal, lock_ids);
    lock_ids.sort_unstable();
    lock_ids.dedup();
    let started = clock::now();
    let Some(locks) = lock_all(ctx.data.databases, lock_ids, now_ms) else { return false };
    timing.lock_ns = clock::now().ns_since(started);
    ctx.data.locks = locks;
    true
}

/// Locks one stripe; the clock is read only if it was not free.
#[inline(always)]
fn lock_one<'a>(
    database: &'a keyspace::Database,
    stripe: usize,
    timing: &mut Timing,
) -> Option<keyspace::Locked<'a>> {
    if let Some(locked) = database.try_lock(stripe) {
        return Some(locked);
    }
    let started = clock::now();
    let locked = database.lock(stripe, Some(crate::data::LOCK_PATIENCE));
    timing.lock_ns = clock::now().ns_since(started);
    locked
}

/// Appends the lock ids of all keys of a request, those in other databases included. A database that does not exist
/// has none; the body answers the error.
pub(crate) fn key_ids(
    args: Args<'_>,
    command: &Command,
    database: usize,
    databases: &Databases,
    journal: &Journal,
    ids: &mut Vec<LockId>,
) {
    let mut push = |database: usize, key: &[u8]| {
        if database < databases.count() {
            ids.push(lock_id(database, journal.hasher.hash(key)));
        }
    };
    command.each_key(args, |key| push(database, key));
    if let Some(other_databases) = command.other_databases {
        other_databases(args, &mut push);
    }
}

/// Runs a body whose stripes are held, writes its error, and records it. A sliced command runs one slice.
#[inline(always)]
pub(crate) fn call(
    ctx: &mut Ctx<'_>,
    request: &Prepared<'_>,
    command: &'static Command,
    clock: &Clock,
    timing: Timing,
    progress: &mut Progress,
) -> Slice {
    let before = ctx.reply.mark();
    let outcome = match command.run {
        Run::Body(body) => body(ctx, request.args),
        Run::Slices(body) => match body(ctx, request.args, progress) {
            Ok(Slice::Again) => return Slice::Again,
            Ok(Slice::Done) => Ok(()),
            Err(error) => Err(error),
        },
        Run::Alone(_) | Run::Transaction | Run::Container => unreachable!("handled by the caller"),
    };
    if let Err(error) = &outcome {
        ctx.reply.error(error.text());
    }
    recording::record(ctx, &Ran { request, command, outcome: &outcome, clock, timing }, before);
    Slice::Done
}

/// What commands behind the gate run with.
pub(crate) struct AloneRoom<'a> {
    pub instance: &'a Instance,
    pub worker: usize,
    pub journal: &'a mut Journal,
    pub clock: &'a Clock,
}

impl AloneRoom<'_> {
    /// Runs one command: of whole databases, or of keys whose stripes nobody else can hold.
    pub(crate) fn run(
        &mut self,
        databases: &mut Databases,
        request: &Prepared<'_>,
        session: &mut Session,
        reply: &mut Reply,
    ) {
        let Some(command) = request.entry.map(|entry| entry.command) else { return };
        let instance = self.instance;
        let mut recorder = instance.recorders[self.worker].lock();
        let timing = self.clock.start(&mut recorder, command.flags);
        if let Run::Alone(body) = command.run {
            let mut ctx = AloneCtx { instance, session, reply, journal: self.journal, recorder };
            let outcome = body(databases, &mut ctx, request.args);
            if let Err(error) = &outcome {
                ctx.reply.error(error.text());
            }
            let ran = Ran { request, command, outcome: &outcome, clock: self.clock, timing };
            return recording::record_alone(&mut ctx, &ran);
        }
        let mut ids = Vec::new();
        key_ids(request.args, command, session.database, databases, self.journal, &mut ids);
        ids.sort_unstable();
        ids.dedup();
        let locks = crate::data::lock_uncontended(databases, &ids, self.journal.now_ms);
        let (database, journal) = (session.database, &mut *self.journal);
        let data = Data { databases, database, journal, recorder, locks, first: None };
        let mut ctx = Ctx { instance, session, reply, data };
        let mut progress = Progress::default();
        while call(&mut ctx, request, command, self.clock, timing, &mut progress) == Slice::Again {}
    }
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
    use crate::testing::Bench;

    #[test]
    fn lfu_decay_time_is_taken_up_below_the_memory_limit_too() {
        let mut bench = Bench::new();
        for (minutes, seconds) in [(0, 0), (3, 180), (10_000, u16::MAX)] {
            bench.run(format!("CONFIG SET lfu-decay-time {minutes}").as_bytes());
            bench.executor.tick(false);
            assert_eq!(bench.executor.station.journal.decay_seconds, seconds);
        }
    }
}
