//! The effects of all workers on their way to whoever follows the data, in the order of their tickets; and up to which
//! ticket they are durable.
//!
//! ```text
//!   worker 0:  3 | 4 | 7        a worker's own queue is filled while the unit's stripes, or the gate, are held
//!   worker 1:  1 | 6            the reader merges: 1, (2 is not there yet: nothing more)
//! ```
//!
//! Not a log on disk, and not what an effect is: `run::effects` makes them. A reader reads once; what it does with them,
//! and when it calls them durable, is its own affair.
//!
//! Invariants: (1) every ticket that was taken is in some queue once its stripes were given back, so the reader finds
//! each number exactly once; (2) a queue holds at most [`QUEUE_BYTES_MAX`] bytes and one unit more: who finds no room does
//! not begin; (3) `durable` never falls; (4) whoever stores what he waits for and then finds `durable` below it is woken
//! when it is reached.
//!
//! Thread safety: Sync. A queue's mutex is a leaf: nothing is locked under it, and only the reader competes for it.

use keyspace::Tickets;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

/// Effects of one worker that were not read yet above which its writes wait: what a disk takes in some ten
/// milliseconds, so that a pause of it is not noticed, and little beside the data.
pub const QUEUE_BYTES_MAX: usize = 4 << 20;
/// A queue keeps room for so much when it was read.
const QUEUE_BYTES_KEPT: usize = 64 << 10;
const NOTHING: u64 = u64::MAX;

/// One command of a unit.
#[derive(Clone, Copy, Debug)]
struct Head {
    ticket: u64,
    database: u32,
    bytes: usize,
}

/// Commands with their bytes, in order.
#[derive(Debug, Default)]
struct Commands {
    heads: VecDeque<Head>,
    bytes: Vec<u8>,
    /// Bytes at the front that were read.
    read: usize,
}

/// What one worker hands on.
#[derive(Default)]
#[repr(align(128))]
struct Queue {
    /// Of what was not read yet.
    unread_bytes: AtomicUsize,
    commands: Mutex<Commands>,
}

/// See the module's text.
pub struct EffectLog {
    tickets: Arc<Tickets>,
    queues: Box<[Queue]>,
    durable: AtomicU64,
    /// The lowest ticket that each worker has replies held for.
    awaited: Box<[AtomicU64]>,
}

impl EffectLog {
    pub(crate) fn new(tickets: Arc<Tickets>, workers: usize) -> EffectLog {
        EffectLog {
            tickets,
            queues: (0..workers).map(|_| Queue::default()).collect(),
            durable: AtomicU64::new(0),
            awaited: (0..workers).map(|_| AtomicU64::new(NOTHING)).collect(),
        }
    }

    /// See [`Tickets::newest`].
    pub(crate) fn newest(&self) -> u64 {
        self.tickets.newest()
    }

    /// Whether a worker may begin what will have an effect.
    pub(crate) fn has_room(&self, worker: usize) -> bool {
        self.queues[worker].unread_bytes.load(Relaxed) < QUEUE_BYTES_MAX
    }

    /// Takes over a unit: its commands as (database, bytes), the bytes of all in a row. Called while everything that the
    /// unit has changed is still held.
    pub(crate) fn push(&self, worker: usize, ticket: u64, commands: &[(u32, usize)], bytes: &[u8]) {
        let queue = &self.queues[worker];
        let mut waiting = queue.commands.lock();
        let heads = commands.iter().map(|&(database, bytes)| Head { ticket, database, bytes });
        waiting.heads.extend(heads);
        if commands.is_empty() {
            // The reader would wait for its number.
            waiting.heads.push_back(Head { ticket, database: 0, bytes: 0 });
        }
        waiting.bytes.extend_from_slice(bytes);
        queue.unread_bytes.fetch_add(weight(commands.len(), bytes.len()), Relaxed);
    }

    /// Up to which ticket changes are durable: replies that show no later one may leave.
    pub fn durable(&self) -> u64 {
        self.durable.load(SeqCst)
    }

    /// Everything up to `ticket` is durable. Calls `wake` for each worker that holds replies back which may leave now.
    pub fn advance(&self, ticket: u64, mut wake: impl FnMut(usize)) {
        self.durable.fetch_max(ticket, SeqCst);
        for (worker, awaited) in self.awaited.iter().enumerate() {
            let lowest = awaited.load(SeqCst);
            if lowest <= ticket && awaited.compare_exchange(lowest, NOTHING, SeqCst, SeqCst).is_ok() {
                wake(worker);
            }
        }
    }

    /// To be called by a worker for each connection whose replies it holds back, the first of them for `ticket`; only then may
    /// it sleep. True if they may leave already.
    pub fn await_durable(&self, worker: usize, ticket: u64) -> bool {
        self.awaited[worker].fetch_min(ticket, SeqCst);
        self.durable() >= ticket
    }
}

/// What counts of a unit, its heads included.
fn weight(commands: usize, bytes: usize) -> usize {
    bytes + commands.max(1) * size_of::<Head>()
}

/// A unit, to be replayed as a whole.
pub struct Unit<'a> {
    pub ticket: u64,
    /// Where each command is to run, and its request: an array of bulk strings.
    pub commands: &'a [(u32, &'a [u8])],
}

impl Unit<'_> {
    /// Appends what a stream of requests says for it: SELECT where its database is not the `selected` one, MULTI and EXEC
    /// around several commands. Nothing if it has none.
    pub fn write_stream(&self, selected: &mut Option<u32>, into: &mut Vec<u8>) {
        let is_several = self.commands.len() > 1;
        if is_several {
            into.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        }
        for (database, request) in self.commands {
            if *selected != Some(*database) {
                let digits = database.to_string();
                let select = format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{digits}\r\n", digits.len());
                into.extend_from_slice(select.as_bytes());
                *selected = Some(*database);
            }
            into.extend_from_slice(request);
        }
        if is_several {
            into.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
        }
    }
}

/// Reads every effect once, in order. There is one per log.
pub struct EffectReader {
    log: Arc<EffectLog>,
    /// The last ticket read.
    last: u64,
    /// Taken out of each worker's queue, and still waiting for lower numbers of others.
    taken: Box<[Commands]>,
}

impl EffectReader {
    pub(crate) fn new(log: Arc<EffectLog>) -> EffectReader {
        let taken = log.queues.iter().map(|_| Commands::default()).collect();
        EffectReader { log, last: 0, taken }
    }

    pub fn log(&self) -> &Arc<EffectLog> {
        &self.log
    }

    /// The last ticket that was read: all up to it were.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Visits the units that follow the last one read, as far as they are there.
    pub fn read(&mut self, mut visit: impl FnMut(&Unit<'_>)) {
        for (queue, taken) in self.log.queues.iter().zip(&mut self.taken) {
            taken.take_from(&mut queue.commands.lock());
        }
        while let Some(worker) = self.worker_of(self.last + 1) {
            self.last += 1;
            let Commands { heads, bytes, read } = &mut self.taken[worker];
            let (start, mut commands) = (*read, SmallVec::<[(u32, &[u8]); 4]>::new());
            while let Some(head) = heads.pop_front_if(|head| head.ticket == self.last) {
                if head.bytes > 0 {
                    commands.push((head.database, &bytes[*read..*read + head.bytes]));
                    *read += head.bytes;
                }
            }
            let weight = weight(commands.len(), *read - start);
            self.log.queues[worker].unread_bytes.fetch_sub(weight, Relaxed);
            visit(&Unit { ticket: self.last, commands: &commands });
        }
    }

    fn worker_of(&self, ticket: u64) -> Option<usize> {
        self.taken.iter().position(|taken| taken.heads.front().is_some_and(|head| head.ticket == ticket))
    }
}

impl Commands {
    /// Takes over everything of `queue`, which keeps little of its room.
    fn take_from(&mut self, queue: &mut Commands) {
        self.bytes.drain(..self.read);
        self.read = 0;
        if self.heads.is_empty() {
            std::mem::swap(self, queue);
        } else {
            self.heads.append(&mut queue.heads);
            self.bytes.append(&mut queue.bytes);
        }
        queue.heads.shrink_to(QUEUE_BYTES_KEPT / size_of::<Head>());
        queue.bytes.shrink_to(QUEUE_BYTES_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(workers: usize) -> (Arc<EffectLog>, EffectReader) {
        let log = Arc::new(EffectLog::new(Arc::default(), workers));
        (Arc::clone(&log), EffectReader::new(log))
    }

    fn tickets(reader: &mut EffectReader) -> Vec<u64> {
        let mut tickets = Vec::new();
        reader.read(|unit| tickets.push(unit.ticket));
        tickets
    }

    #[test]
    fn queues_are_merged_by_number_and_a_missing_one_is_waited_for() {
        let (log, mut reader) = log(3);
        let push = |worker, ticket| log.push(worker, ticket, &[(0, 1)], b"x");
        [(0, 3), (1, 1), (0, 4), (1, 6)].into_iter().for_each(|(worker, ticket)| push(worker, ticket));
        assert_eq!(tickets(&mut reader), [1]);
        push(2, 2);
        assert_eq!(tickets(&mut reader), [2, 3, 4]);
        push(0, 5);
        log.push(0, 7, &[], b"");
        assert_eq!(tickets(&mut reader), [5, 6, 7]);
        assert!(log.queues.iter().all(|queue| queue.unread_bytes.load(Relaxed) == 0));
    }

    #[test]
    fn a_unit_is_a_stream_with_its_databases() {
        let (log, mut reader) = log(1);
        log.push(0, 1, &[(0, 3)], b"one");
        log.push(0, 2, &[(0, 3), (5, 5)], b"twothree");
        log.push(0, 3, &[(5, 4)], b"four");
        let (mut selected, mut stream) = (None, Vec::new());
        reader.read(|unit| unit.write_stream(&mut selected, &mut stream));
        let select = |database| format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{database}\r\n");
        let expected =
            format!("{}one*1\r\n$5\r\nMULTI\r\ntwo{}three*1\r\n$4\r\nEXEC\r\nfour", select(0), select(5));
        assert_eq!(String::from_utf8_lossy(&stream), expected);
    }

    #[test]
    fn there_is_room_until_the_queue_is_full_and_again_when_it_was_read() {
        let (log, mut reader) = log(2);
        let bytes = vec![b'x'; QUEUE_BYTES_MAX - size_of::<Head>() - 1];
        log.push(0, 2, &[(0, bytes.len())], &bytes);
        assert!(log.has_room(0));
        log.push(0, 3, &[(0, 1)], b"x");
        assert!(!log.has_room(0) && log.has_room(1));
        assert_eq!(tickets(&mut reader), [0; 0]);
        assert!(!log.has_room(0), "taken, but not read: the first ticket is missing");
        log.push(1, 1, &[(0, 1)], b"x");
        assert_eq!(tickets(&mut reader), [1, 2, 3]);
        assert!(log.has_room(0));
    }

    #[test]
    fn who_waits_is_woken_once_when_it_is_durable() {
        let (log, _) = log(3);
        let mut woken = Vec::new();
        assert!(!log.await_durable(1, 5) && !log.await_durable(2, 9));
        log.advance(4, |worker| woken.push(worker));
        log.advance(6, |worker| woken.push(worker));
        log.advance(7, |worker| woken.push(worker));
        assert_eq!(woken, [1]);
        assert!(log.await_durable(1, 7) && !log.await_durable(1, 8));
        log.advance(20, |worker| woken.push(worker));
        assert_eq!((woken, log.durable()), (vec![1, 1, 2], 20));
        log.advance(3, |_| {});
        assert_eq!(log.durable(), 20);
    }
}
