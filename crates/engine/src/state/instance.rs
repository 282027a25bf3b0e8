//! The instance: what all workers, the admin plane and background threads of one server share.
//!
//! Not a place for a worker's own things (see `dispatch::Executor`): everything here is either constant, an atomic, or
//! behind a lock that the GET/SET path does not take.
//!
//! Invariants: (1) every worker has a gate place, a recorder and a bell of its own; (2) time is measured on one
//! monotonic clock that starts at 1 with the instance, and shown on the wall clock through `wall_offset_ms`, which
//! changes only when the wall clock jumps.
//!
//! Thread safety: Sync; every field says how.

use crate::config::{HashFunction, Observers, Setting, Settings};
use crate::registry::Registry;
use crate::state::bell::Bell;
use crate::state::clients::{Client, Clients};
use crate::state::counters::Counters;
use crate::state::effect_log::{EffectLog, EffectReader};
use crate::state::mailbox::Delivery;
use crate::state::rates::RateKeeper;
use crate::state::reporter::Reporter;
use crate::state::slowlog::SlowLog;
use crate::state::spikes::Spikes;
use crate::state::windows::Windows;
use keyspace::eviction::Policy;
use keyspace::gate::{Gate, Place, Shared};
use keyspace::waiting::Waiting;
use keyspace::{Databases, KeyHasher, Tickets, Wake};
use observe::os::clock::{self, Ticks};
use observe::record::{Observer, Recorder, Recorders, Snapshot, Switches};
use observe::spec::ReportSpec;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wire::Reply;

/// Bytes that may be in use; 0 is no limit.
pub const MAXMEMORY: Setting<u64> = Setting::of("maxmemory");
/// Which keys go when that is reached.
pub const MAXMEMORY_POLICY: Setting<Policy> = Setting::of("maxmemory-policy");

const DATABASES: Setting<usize> = Setting::of("databases");
const HASH_FUNCTION: Setting<HashFunction> = Setting::of("hash-function");
const OBSERVERS: Setting<Observers> = Setting::of("profiling");

/// How far wall clock and monotonic clock may drift apart before it is called a jump and absolute deadlines follow it.
const JUMP_MS: i64 = 500;

/// See the module's text.
pub struct Instance {
    /// Every command there is.
    pub registry: &'static Registry,
    pub settings: Arc<Settings>,
    pub gate: Gate<Databases>,
    /// What commands that touch no database run with while the gate is closed.
    pub(crate) nowhere: Databases,
    /// The numbers of changes, if somebody follows them.
    pub tickets: Arc<Tickets>,
    /// What changes on its way to whoever follows; none: nobody does.
    pub effects: Option<Arc<EffectLog>>,
    /// Who waits for stripes.
    pub waiting: Arc<Waiting>,
    pub clients: Clients,
    /// One per worker: whose mailboxes it is to look at.
    pub bells: Arc<[Bell<Arc<Client>>]>,
    pub hasher: KeyHasher,
    /// What the workers have recorded.
    pub recorders: Recorders,
    pub slow_log: SlowLog,
    pub spikes: Spikes,
    pub counters: Counters,
    pub rates: RateKeeper,
    /// Who makes reports.
    pub reporter: Reporter<Instance>,
    /// Since when the profile's figures count.
    pub profile_windows: Windows,
    /// 40 hexadecimal digits, new with every start.
    pub run_id: String,
    pub workers: usize,
    /// The configuration file, if there is one.
    pub config_file: Option<String>,
    /// Set once; workers leave their loops when they see it.
    pub stopping: AtomicBool,
    /// Commands that have reached for a key that they did not declare; each is logged once.
    pub(crate) astray: Mutex<BTreeSet<u16>>,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub active_expiry: AtomicBool,
    /// DEBUG PAUSE-CRON: nothing is done by the clock.
    pub timers_paused: AtomicBool,
    /// Set by the binary, which alone knows the allocator.
    pub allocator: OnceLock<Allocator>,
    started: Ticks,
    /// The same moment on the system's monotonic clock.
    anchor: Instant,
    correction_ms: AtomicI64,
    wall_offset_ms: AtomicI64,
    /// For whoever is not a worker: the admin plane, background accounting.
    visitor: Mutex<Place>,
    /// Until its worker takes it.
    writers: Mutex<Vec<Option<Recorder>>>,
    background: Arc<Mutex<Recorder>>,
}

/// What the process's allocator can be asked; functions, because the allocator is the binary's choice.
#[derive(Clone, Copy)]
pub struct Allocator {
    /// As INFO `mem_allocator` names it: `jemalloc-5.3.1`.
    pub name: fn() -> String,
    pub figures: fn() -> AllocatorFigures,
    /// Gives unused pages back to the system.
    pub purge: fn(),
    /// The allocator's own report, for people.
    pub report: fn() -> String,
}

/// The allocator's view of memory, in bytes; see jemalloc's `stats.*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorFigures {
    /// Handed out to the program.
    pub allocated: u64,
    /// In pages that hold something handed out.
    pub active: u64,
    /// In pages that are in physical memory.
    pub resident: u64,
}

impl Instance {
    /// A server's shared state for `workers` workers, and the gate places for them.
    pub fn new(
        registry: &'static Registry,
        settings: Arc<Settings>,
        workers: usize,
        seed: u64,
        run_id: String,
        config_file: Option<String>,
    ) -> (Instance, Vec<Place>) {
        clock::calibrate();
        let hasher = match settings.read(HASH_FUNCTION) {
            HashFunction::Foldhash => KeyHasher::fold(seed),
            HashFunction::Siphash => KeyHasher::sip(),
        };
        let databases = Databases::new(settings.read(DATABASES));
        let waiting = Arc::clone(databases.waiting());
        let bells: Arc<[Bell<Arc<Client>>]> = (0..workers).map(|_| Bell::default()).collect();
        let woken = Arc::clone(&bells);
        let hint: Wake = Arc::new(move |worker| woken.iter().skip(worker).take(1).for_each(Bell::hint));
        waiting.set_wake(Arc::clone(&hint));
        let tickets = Arc::clone(databases.tickets());
        let (gate, mut places) = Gate::new(databases, workers + 1);
        gate.set_wake(hint);
        let visitor = places.pop().expect("one place more than workers");
        let (recorders, mut writers) = Recorders::new(workers, registry.all().len(), switches_of(&settings));
        let background = writers.pop().expect("one recorder more than workers");
        let instance = Instance {
            registry,
            gate,
            nowhere: Databases::new(settings.read(DATABASES)),
            tickets,
            effects: None,
            waiting,
            clients: Clients::default(),
            bells,
            hasher,
            recorders,
            slow_log: SlowLog::default(),
            spikes: Spikes::default(),
            counters: Counters::default(),
            rates: RateKeeper::new(workers),
            reporter: Reporter::default(),
            profile_windows: Windows::default(),
            run_id,
            workers,
            config_file,
            stopping: AtomicBool::new(false),
            astray: Mutex::default(),
            active_expiry: AtomicBool::new(true),
            timers_paused: AtomicBool::new(false),
            allocator: OnceLock::new(),
            started: clock::now(),
            anchor: Instant::now(),
            correction_ms: AtomicI64::new(0),
            wall_offset_ms: AtomicI64::new(wall_ms()),
            visitor: Mutex::new(visitor),
            writers: Mutex::new(writers.into_iter().map(Some).collect()),
            background: Arc::new(Mutex::new(background)),
            settings,
        };
        (instance, places)
    }

    /// Switches effects on, before any worker has its executor: from then on every change is handed to the reader, and
    /// replies wait until it calls them durable.
    pub fn follow_effects(&mut self) -> EffectReader {
        let log = Arc::new(EffectLog::new(Arc::clone(&self.tickets), self.workers));
        self.effects = Some(Arc::clone(&log));
        EffectReader::new(log)
    }

    /// All effects up to this ticket are durable: replies that show them may leave.
    pub fn effects_are_durable(&self, ticket: u64) {
        if let Some(log) = &self.effects {
            log.advance(ticket, |worker| self.bells[worker].ring());
        }
    }

    /// How many bytes of these replies may leave: those before the first that shows a change which is not durable.
    #[inline(always)]
    pub fn free_bytes(&self, reply: &Reply) -> usize {
        match &self.effects {
            Some(log) if reply.has_holds() => reply.free_bytes(log.durable()),
            _ => reply.len(),
        }
    }

    /// To be asked by a worker that keeps these replies. None: nothing of them is held back. True: they may leave by now;
    /// false: the worker is woken when they may.
    #[inline(always)]
    pub fn await_durable(&self, worker: usize, reply: &Reply) -> Option<bool> {
        let log = self.effects.as_ref().filter(|_| reply.has_holds())?;
        Some(log.await_durable(worker, reply.first_held(log.durable())?))
    }

    /// Milliseconds of the keyspace's clock: monotonic, 1 at the start.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.counted_ms() + self.correction_ms.load(Relaxed)
    }

    /// Milliseconds since the start by the processor's counter, off by some parts per million.
    #[inline]
    fn counted_ms(&self) -> i64 {
        (clock::now().ns_since(self.started) / 1_000_000) as i64 + 1
    }

    /// Unix time in milliseconds that corresponds to a moment of the keyspace's clock.
    pub fn to_unix_ms(&self, moment_ms: i64) -> i64 {
        moment_ms.saturating_add(self.wall_offset_ms.load(Relaxed) - 1)
    }

    /// The moment of the keyspace's clock that corresponds to a Unix time in milliseconds; may be in the past,
    /// even before the start (negative).
    pub fn from_unix_ms(&self, unix_ms: i64) -> i64 {
        unix_ms.saturating_sub(self.wall_offset_ms.load(Relaxed) - 1)
    }

    /// As if the wall clock jumped by so much: for tests of what is done with dates.
    pub fn shift_wall_clock(&self, by_ms: i64) {
        self.wall_offset_ms.fetch_add(by_ms, Relaxed);
    }

    /// Compares the clocks; to be called about once a second. Returns the jump in milliseconds if the wall clock jumped.
    /// Deadlines stay where they are on the monotonic clock; only their Unix times are told anew.
    pub fn follow_wall_clock(&self) -> Option<i64> {
        // The system's monotonic clock is disciplined by NTP, the processor's counter is not.
        let system_ms = self.anchor.elapsed().as_millis() as i64 + 1;
        self.correction_ms.store(system_ms - self.counted_ms(), Relaxed);
        let expected = self.to_unix_ms(self.now_ms());
        let jump = wall_ms() - expected;
        if jump.abs() < JUMP_MS {
            return None;
        }
        self.wall_offset_ms.fetch_add(jump, Relaxed);
        Some(jump)
    }

    /// As [`Instance::visit`], but does not wait while somebody is alone behind the gate.
    pub fn try_visit<R>(&self, visit: impl FnOnce(&Shared<'_, Databases>) -> R) -> Option<R> {
        let mut place = self.visitor.lock();
        self.gate.try_enter(&mut place).map(|shared| visit(&shared))
    }

    /// Runs `visit` inside the gate's shared side; for threads that are not workers.
    pub fn visit<R>(&self, visit: impl FnOnce(&Shared<'_, Databases>) -> R) -> R {
        let mut place = self.visitor.lock();
        visit(&self.gate.visit(&mut place))
    }

    /// All recorders, merged.
    pub fn snapshot(&self) -> Snapshot {
        self.recorders.snapshot(self.now_ms() as u64)
    }

    /// What a report is made from, merged: of an observer's own report no other observer.
    pub fn snapshot_for(&self, report: &ReportSpec) -> Snapshot {
        self.recorders.snapshot_for(report, self.now_ms() as u64)
    }

    /// The recorders' statistics, without keys and prefixes; as [`Instance::snapshot`], and cheaper.
    pub fn statistics(&self) -> Snapshot {
        self.recorders.statistics()
    }

    /// The writing side of a worker's recorder, for the worker to keep: there is one.
    pub(crate) fn take_recorder(&self, worker: usize) -> Recorder {
        let recorder = self.writers.lock().get_mut(worker).and_then(Option::take);
        recorder.expect("a worker has one executor")
    }

    /// The recorder for accounting that no worker does.
    pub fn background_recorder(&self) -> Arc<Mutex<Recorder>> {
        Arc::clone(&self.background)
    }

    /// The profiling switches as the settings have them.
    pub fn switches(&self) -> Switches {
        switches_of(&self.settings)
    }

    /// Sends something to another connection, wherever it is served. Not to be called with a stripe held: it may wake
    /// a worker, which is a system call.
    pub fn deliver(&self, client: &Arc<Client>, delivery: Delivery) {
        if let Some(worker) = client.mailbox.put(delivery) {
            self.bells[worker].list(Arc::clone(client));
        }
    }

    /// What a parked command of this client waits for is there: its worker is to try it again, if it sleeps.
    pub fn hint(&self, client: &Client) {
        if let Some(bell) = self.bells.get(client.mailbox.worker()) {
            bell.hint();
        }
    }

    /// Closes a connection, wherever it is served; it is out of the register at once.
    pub fn kill(&self, client: &Arc<Client>) {
        self.clients.condemn(client);
        self.deliver(client, Delivery::Kill);
    }

    pub fn expires_actively(&self) -> bool {
        self.active_expiry.load(Relaxed)
    }

    /// Asks every worker to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        self.bells.iter().for_each(Bell::ring);
    }

    /// Frees the ids of prefixes without keys when they get scarce; to be called once a second.
    pub fn maintain_prefixes(&self) {
        self.recorders.maintain();
    }

    /// Bytes that count against `maxmemory`: those in use but for clients' buffers, which eviction cannot give back. They
    /// are bounded one by one, see `UNSENT_PAUSE_BYTES`.
    pub fn limited_bytes(&self) -> u64 {
        (keyspace::memory::used_bytes() as u64).saturating_sub(self.clients.buffer_bytes())
    }

    /// Bytes allocated, and the highest figure seen by anybody who asked.
    pub fn used_memory_bytes(&self) -> (u64, u64) {
        let used = keyspace::memory::used_bytes() as u64;
        let peak = self.counters.memory_peak_bytes.fetch_max(used, Relaxed).max(used);
        (used, peak)
    }
}

fn switches_of(settings: &Settings) -> Switches {
    let on = settings.read(OBSERVERS);
    let mut switches = Switches { profiling: !on.is_off(), ..Switches::default() };
    Observer::all().for_each(|observer| switches.set(observer, on.is_on(observer)));
    switches
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
