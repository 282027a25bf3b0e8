//! Plays traffic at a server as an application with a cache in front of its database would: GET, and on a miss SET
//! with a time to live.
//!
//! It is not a load generator: replies decide what is sent next, and every command is counted by its key.
//!
//! Invariants:
//! 1. All commands for a key travel on one connection, in the order of the traffic.
//! 2. A connection has at most one batch of requests in flight, so that neither side's buffers can fill up and block.
//! 3. A key that may miss is asked for once in a batch: whoever comes next finds what the first one's miss has set.
//! 4. `Played::exact` counts every command that was sent for a key and answered, none else.
//!
//! Thread safety: each thread owns some connections and walks the whole traffic, leaving out the keys of the others;
//! only the progress is shared.

use std::collections::VecDeque;
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;

use super::client::{Client, ReplyKind, append_request};
use super::csv::{CsvError, Step, Verb};
use super::exact::ExactCounts;
use super::object::ValueWriter;
use super::traffic::{Cursor, Traffic};

/// Steps in flight on one connection: as many as a page of the shop may need at once.
const BATCH_STEPS: usize = 16;
/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(20);
/// Steps that a thread holds for its connections; more let a connection get on while another repeats one key.
const QUEUED_STEPS_MAX: usize = 512;
/// Seed of the assignment of keys to connections; any fixed number, so that runs are alike.
const SHARD_SEED: u64 = 0x6c69_6d70_6964;

/// How to play.
#[derive(Clone, Copy, Debug)]
pub struct PlayOptions {
    pub address: SocketAddr,
    pub clients: usize,
    pub threads: usize,
    pub time: Duration,
}

/// Counters that a progress bar may read while the player runs, and the way to end it early.
#[derive(Debug, Default)]
pub struct PlayProgress {
    pub steps: AtomicU64,
    pub gets: AtomicU64,
    pub hits: AtomicU64,
    /// Set, it ends the play as the time does: what was sent is answered and counted.
    pub is_over: AtomicBool,
}

/// What was played.
#[derive(Debug, Default)]
pub struct Played {
    /// Steps of the traffic.
    pub steps: u64,
    pub gets: u64,
    pub hits: u64,
    /// SETs that followed a miss.
    pub fills: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub seconds: f64,
    /// Whether the traffic ended before the time did.
    pub is_all: bool,
    pub exact: ExactCounts,
}

impl Played {
    /// Hits among the GETs, 0 to 1.
    pub fn hit_ratio(&self) -> f64 {
        self.hits as f64 / self.gets.max(1) as f64
    }
}

/// Why playing stopped early.
#[derive(Debug)]
pub enum PlayError {
    Connection(io::Error),
    Traffic(CsvError),
}

impl fmt::Display for PlayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(source) => write!(out, "the connection to the server broke: {source}"),
            Self::Traffic(source) => write!(out, "{source}"),
        }
    }
}

impl From<io::Error> for PlayError {
    fn from(source: io::Error) -> Self {
        Self::Connection(source)
    }
}

impl From<CsvError> for PlayError {
    fn from(source: CsvError) -> Self {
        Self::Traffic(source)
    }
}

/// Plays `traffic` until it ends or the time is over. `on_tick` is called every `TICK`.
///
/// # Errors
/// When a connection breaks or the traffic cannot be read; what was played until then is lost.
pub fn play(
    traffic: &Traffic,
    options: PlayOptions,
    on_tick: &mut dyn FnMut(&PlayProgress),
) -> Result<Played, PlayError> {
    let progress = PlayProgress::default();
    let started = Instant::now();
    let deadline = started + options.time;
    let mut threads = Vec::new();
    for thread in 0..options.threads {
        let lanes = (thread..options.clients).step_by(options.threads);
        let lanes: Vec<Lane> = lanes.map(|_| Lane::connect(options.address)).collect::<io::Result<_>>()?;
        threads.push(PlayerThread { thread, options, lanes, cursor: traffic.cursor()?, progress: &progress });
    }
    let played = std::thread::scope(|scope| {
        let handles: Vec<_> = threads.into_iter().map(|it| scope.spawn(move || it.run(deadline))).collect();
        while !handles.iter().all(|handle| handle.is_finished()) {
            on_tick(&progress);
            std::thread::sleep(TICK);
        }
        let mut sum = Played { is_all: true, ..Played::default() };
        for handle in handles {
            add(&mut sum, handle.join().expect("a player thread does not panic")?);
        }
        Ok::<Played, PlayError>(sum)
    });
    let seconds = started.elapsed().as_secs_f64();
    played.map(|played| Played { seconds, ..played })
}

fn add(sum: &mut Played, part: Played) {
    sum.steps += part.steps;
    sum.gets += part.gets;
    sum.hits += part.hits;
    sum.fills += part.fills;
    sum.errors += part.errors;
    sum.first_error = sum.first_error.take().or(part.first_error);
    sum.is_all &= part.is_all;
    sum.exact.merge(part.exact);
}

/// A step of the traffic, kept until it is answered.
#[derive(Debug)]
struct QueuedStep {
    verb: Verb,
    key: Box<[u8]>,
    size_bytes: Option<u32>,
    ttl_seconds: Option<u32>,
}

impl QueuedStep {
    fn of(step: &Step<'_>) -> Self {
        let Step { verb, key, size_bytes, ttl_seconds } = *step;
        Self { verb, key: key.into(), size_bytes, ttl_seconds }
    }

    /// Whether a SET follows when this step misses.
    fn may_fill(&self) -> bool {
        self.verb == Verb::Get && self.size_bytes.is_some()
    }
}

/// What a thread writes values with.
#[derive(Default)]
struct Values {
    writer: ValueWriter,
    value: Vec<u8>,
}

impl Values {
    fn of(&mut self, step: &QueuedStep) -> &[u8] {
        self.writer.write(&mut self.value, &step.key, step.size_bytes.unwrap_or(0) as usize);
        &self.value
    }
}

/// One connection with the steps that wait for it and its batch.
struct Lane {
    client: Client,
    queue: VecDeque<QueuedStep>,
    out: Vec<u8>,
    /// SETs at the beginning of the batch, for misses of the one before.
    fills: usize,
    /// The steps of the batch, in order, after the fills.
    asked: Vec<QueuedStep>,
}

impl Lane {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let client = Client::connect(address)?;
        Ok(Self { client, queue: VecDeque::new(), out: Vec::new(), fills: 0, asked: Vec::new() })
    }

    fn is_idle(&self) -> bool {
        self.fills == 0 && self.asked.is_empty()
    }

    /// Moves steps from the queue into the batch.
    fn take_batch(&mut self, played: &mut Played, values: &mut Values) {
        while self.asked.len() < BATCH_STEPS {
            let repeats =
                |step: &QueuedStep| self.asked.iter().any(|asked| asked.may_fill() && asked.key == step.key);
            let Some(step) = self.queue.pop_front_if(|step| !repeats(step)) else { break };
            append_step(&mut self.out, &step, values);
            played.exact.add(&step.key);
            played.steps += 1;
            self.asked.push(step);
        }
    }

    /// Reads the replies to the batch. The fills of its misses become the beginning of the next one.
    fn receive(&mut self, played: &mut Played, values: &mut Values) -> io::Result<()> {
        self.out.clear();
        for _ in 0..std::mem::take(&mut self.fills) {
            count_error(self.client.skip_reply()?, played);
        }
        for step in self.asked.drain(..) {
            let kind = count_error(self.client.skip_reply()?, played);
            if step.verb != Verb::Get {
                continue;
            }
            played.gets += 1;
            match kind {
                ReplyKind::Value => played.hits += 1,
                ReplyKind::Null if step.may_fill() => {
                    append_set(&mut self.out, &step.key, values.of(&step), step.ttl_seconds, false);
                    played.exact.add(&step.key);
                    played.fills += 1;
                    self.fills += 1;
                }
                ReplyKind::Null | ReplyKind::Error(_) => {}
            }
        }
        Ok(())
    }
}

fn count_error(kind: ReplyKind, played: &mut Played) -> ReplyKind {
    if let ReplyKind::Error(text) = &kind {
        played.errors += 1;
        played.first_error.get_or_insert_with(|| text.clone());
    }
    kind
}

fn append_step(out: &mut Vec<u8>, step: &QueuedStep, values: &mut Values) {
    let key: &[u8] = &step.key;
    match step.verb {
        Verb::Get => append_request(out, &[b"GET", key]),
        Verb::Set => append_set(out, key, values.of(step), step.ttl_seconds, false),
        Verb::Add => append_set(out, key, values.of(step), step.ttl_seconds, true),
        Verb::Append => append_request(out, &[b"APPEND", key, values.of(step)]),
        Verb::Del => append_request(out, &[b"DEL", key]),
        Verb::Incr => append_request(out, &[b"INCR", key]),
        Verb::Decr => append_request(out, &[b"DECR", key]),
        Verb::Exists => append_request(out, &[b"EXISTS", key]),
        Verb::Touch => append_request(out, &[b"TOUCH", key]),
        Verb::Expire => {
            let ttl = step.ttl_seconds.unwrap_or(1).to_string();
            append_request(out, &[b"EXPIRE", key, ttl.as_bytes()]);
        }
    }
}

fn append_set(out: &mut Vec<u8>, key: &[u8], value: &[u8], ttl_seconds: Option<u32>, only_new: bool) {
    let ttl = ttl_seconds.map(|ttl_seconds| ttl_seconds.to_string());
    match (&ttl, only_new) {
        (None, false) => append_request(out, &[b"SET", key, value]),
        (None, true) => append_request(out, &[b"SET", key, value, b"NX"]),
        (Some(ttl), false) => append_request(out, &[b"SET", key, value, b"EX", ttl.as_bytes()]),
        (Some(ttl), true) => append_request(out, &[b"SET", key, value, b"EX", ttl.as_bytes(), b"NX"]),
    }
}

struct PlayerThread<'a> {
    thread: usize,
    options: PlayOptions,
    lanes: Vec<Lane>,
    cursor: Cursor<'a>,
    progress: &'a PlayProgress,
}

impl PlayerThread<'_> {
    fn run(mut self, deadline: Instant) -> Result<Played, PlayError> {
        let mut values = Values::default();
        let mut played = Played::default();
        let mut has_more = true;
        loop {
            let before = (played.steps, played.gets, played.hits);
            if Instant::now() < deadline && !self.progress.is_over.load(Ordering::Relaxed) {
                has_more = has_more && self.fill_queues()?;
                self.lanes.iter_mut().for_each(|lane| lane.take_batch(&mut played, &mut values));
            }
            // After the last step the fills of the last misses are still sent, so that all that is counted is answered.
            if self.lanes.iter().all(Lane::is_idle) {
                played.is_all = !has_more && self.lanes.iter().all(|lane| lane.queue.is_empty());
                return Ok(played);
            }
            for lane in &mut self.lanes {
                lane.client.send(&lane.out)?;
            }
            for lane in &mut self.lanes {
                lane.receive(&mut played, &mut values)?;
            }
            self.progress.steps.fetch_add(played.steps - before.0, Ordering::Relaxed);
            self.progress.gets.fetch_add(played.gets - before.1, Ordering::Relaxed);
            self.progress.hits.fetch_add(played.hits - before.2, Ordering::Relaxed);
        }
    }

    /// Reads on until every connection has a batch waiting, or enough steps are held. `false` at the traffic's end.
    fn fill_queues(&mut self) -> Result<bool, PlayError> {
        let hasher = FixedState::with_seed(SHARD_SEED);
        let mut queued: usize = self.lanes.iter().map(|lane| lane.queue.len()).sum();
        let mut short = self.lanes.iter().filter(|lane| lane.queue.len() < BATCH_STEPS).count();
        while short > 0 && queued < QUEUED_STEPS_MAX {
            let Some(step) = self.cursor.next()? else { return Ok(false) };
            let shard = (hasher.hash_one(step.key) % self.options.clients as u64) as usize;
            if shard % self.options.threads != self.thread {
                continue;
            }
            if let Some(lane) = self.lanes.get_mut(shard / self.options.threads) {
                lane.queue.push_back(QueuedStep::of(&step));
                queued += 1;
                short -= usize::from(lane.queue.len() == BATCH_STEPS);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::demo::recording::{Object, Recording};

    type Log = Arc<Mutex<Vec<(usize, Vec<String>)>>>;

    /// A cache for one connection each that never forgets, and a log of what it was asked on which connection.
    fn cache_server(log: Log) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store: Arc<Mutex<HashMap<String, String>>> = Arc::default();
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (log, store) = (log.clone(), store.clone());
                std::thread::spawn(move || serve(stream.unwrap(), connection, &log, &store));
            }
        });
        address
    }

    fn serve(
        mut stream: std::net::TcpStream,
        connection: usize,
        log: &Log,
        store: &Mutex<HashMap<String, String>>,
    ) {
        stream.set_nodelay(true).unwrap();
        let (mut held, mut chunk) = (Vec::new(), [0u8; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            held.extend_from_slice(&chunk[..count]);
            while let Some((arguments, used)) = parse(&held) {
                held.drain(..used);
                let mut store = store.lock().unwrap();
                let reply = match arguments[0].as_str() {
                    "GET" => match store.get(&arguments[1]) {
                        Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                        None => "$-1\r\n".to_owned(),
                    },
                    "SET" => {
                        store.insert(arguments[1].clone(), arguments[2].clone());
                        "+OK\r\n".to_owned()
                    }
                    other => format!("-ERR unknown command '{other}'\r\n"),
                };
                log.lock().unwrap().push((connection, arguments));
                stream.write_all(reply.as_bytes()).unwrap();
            }
        }
    }

    /// One request of bulk strings without line breaks in them.
    fn parse(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split_inclusive("\r\n");
        let head = lines.next()?;
        let count: usize = head.strip_prefix('*')?.strip_suffix("\r\n")?.parse().ok()?;
        let (mut arguments, mut used) = (Vec::new(), head.len());
        for _ in 0..count {
            let (length, argument) = (lines.next()?, lines.next()?);
            arguments.push(argument.strip_suffix("\r\n")?.to_owned());
            used += length.len() + argument.len();
        }
        Some((arguments, used))
    }

    fn options(address: SocketAddr) -> PlayOptions {
        PlayOptions { address, clients: 3, threads: 2, time: Duration::from_secs(60) }
    }

    #[test]
    fn each_object_misses_once_keeps_its_order_and_is_counted() {
        let object = |number| Object { key: format!("obj:1:{number}:0"), size_bytes: 40, ttl_seconds: 60 };
        let recording = Recording {
            // Runs of one object, and all of them again and again.
            accesses: (0..2_000).map(|at| if at % 7 < 3 { 5 } else { at * 31 % 50 }).collect(),
            objects: (0..50).map(object).collect(),
        };
        let mut truth: HashMap<String, u64> = HashMap::new();
        for &number in &recording.accesses {
            *truth.entry(object(number).key).or_default() += 1;
        }
        let log = Log::default();
        let played =
            play(&Traffic::Recording(recording), options(cache_server(log.clone())), &mut |_| {}).unwrap();
        assert!(played.is_all);
        assert_eq!((played.steps, played.gets, played.errors), (2_000, 2_000, 0));
        // The cache never forgets: an object misses at its first access and at no other.
        assert_eq!(played.gets - played.hits, truth.len() as u64);
        assert_eq!(played.fills, truth.len() as u64);
        let mut connection_of: HashMap<String, usize> = HashMap::new();
        for (connection, arguments) in log.lock().unwrap().iter() {
            assert_eq!(*connection_of.entry(arguments[1].clone()).or_insert(*connection), *connection);
        }
        for (key, gets) in truth {
            assert_eq!(played.exact.of(key.as_bytes()), gets + 1, "{key}: its GETs and one SET");
        }
    }

    #[test]
    fn a_trace_is_sent_as_written_and_errors_are_counted() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"set,a,5\nget,a\nget,b\nget,c,8,60\nincr,a\nadd,d,3,9\n").unwrap();
        let log = Log::default();
        let traffic = Traffic::Csv(file.path().to_owned());
        let played = play(&traffic, options(cache_server(log.clone())), &mut |_| {}).unwrap();
        assert_eq!((played.steps, played.gets, played.hits, played.fills, played.errors), (6, 3, 1, 1, 1));
        assert_eq!(played.first_error.as_deref(), Some("ERR unknown command 'INCR'"));
        let mut sent: Vec<String> = log
            .lock()
            .unwrap()
            .iter()
            .map(|(_, arguments)| [&arguments[..2], arguments.get(3..).unwrap_or(&[])].concat().join(" "))
            .collect();
        sent.sort();
        assert_eq!(sent, ["GET a", "GET b", "GET c", "INCR a", "SET a", "SET c EX 60", "SET d EX 9 NX"]);
    }

    #[test]
    fn a_play_that_is_ended_early_keeps_what_was_played() {
        let object =
            |number: u32| Object { key: format!("obj:1:{number}:0"), size_bytes: 40, ttl_seconds: 60 };
        // More than is played while the first tick is awaited.
        let accesses: Vec<u32> = (0..2_000_000).map(|at| at % 50).collect();
        let recording = Recording { accesses, objects: (0..50).map(object).collect() };
        let server = cache_server(Log::default());
        let played = play(&Traffic::Recording(recording), options(server), &mut |progress| {
            if progress.steps.load(Ordering::Relaxed) > 0 {
                progress.is_over.store(true, Ordering::Relaxed);
            }
        });
        let played = played.unwrap();
        assert!(!played.is_all && played.steps > 0);
        assert_eq!(played.exact.total(), played.steps + played.fills);
    }

    #[test]
    fn a_wrong_trace_and_a_broken_connection_are_errors() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"get,a\nfly,a\n").unwrap();
        let traffic = Traffic::Csv(file.path().to_owned());
        let failed = play(&traffic, options(cache_server(Log::default())), &mut |_| {});
        assert!(matches!(failed, Err(PlayError::Traffic(_))));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(play(&traffic, options(closed), &mut |_| {}), Err(PlayError::Connection(_))));
    }
}
