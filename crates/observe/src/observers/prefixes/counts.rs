//! What is counted per node of the tree of prefixes: the cells of one worker, and the sums over all.
//!
//! Invariant: nothing counted is taken back: what is moved or begun again is in the `ledger`.
//!
//! Thread safety: [`PrefixCells`] is written by one recorder and may be read by anybody at any time; the rest is plain values.

use super::prefix_tree::{NODES_MAX, NodeName, ROOT, TreeSnapshot};
use crate::record::counter::{Counter, Level};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

/// Nodes whose counters are made together.
const CHUNK_NODES: usize = 64;

/// What is counted per node. Counts of one worker may be negative: it may remove what another added.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct NodeCounts {
    /// Keys alive, exact.
    pub keys: i64,
    /// Bytes of their entries as the keyspace accounts them, exact.
    pub bytes: i64,
    /// Bytes of the key names among them, exact.
    pub name_bytes: i64,
    /// Bytes of the values among them, exact.
    pub value_bytes: i64,
    /// Reads, sampled.
    pub reads: u64,
    /// Reads that found a key, sampled.
    pub hits: u64,
    /// Writes, sampled.
    pub writes: u64,
    /// Bytes of requests and replies, sampled.
    pub network_bytes: u64,
    /// Keys that were evicted, exact.
    pub evicted: u64,
}

impl NodeCounts {
    /// Adds another's counts.
    pub fn add(&mut self, other: &NodeCounts) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.name_bytes += other.name_bytes;
        self.value_bytes += other.value_bytes;
        self.reads += other.reads;
        self.hits += other.hits;
        self.writes += other.writes;
        self.network_bytes += other.network_bytes;
        self.evicted += other.evicted;
    }

    /// Reads that found nothing.
    pub fn misses(&self) -> u64 {
        self.reads.saturating_sub(self.hits)
    }

    /// Hits over reads, None without reads.
    pub fn hit_ratio(&self) -> Option<f64> {
        (self.reads > 0).then(|| self.hits as f64 / self.reads as f64)
    }

    /// What came to it, without what is there.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic([self.reads, self.hits, self.writes, self.network_bytes, self.evicted].map(|n| n as i64))
    }

    fn correct(&mut self, amount: &Traffic) {
        let figures =
            [&mut self.reads, &mut self.hits, &mut self.writes, &mut self.network_bytes, &mut self.evicted];
        for (figure, amount) in figures.into_iter().zip(amount.0) {
            // Below zero only while something is moved.
            *figure = figure.checked_add_signed(amount).unwrap_or(0);
        }
    }
}

/// Amounts of traffic: the figures of [`NodeCounts::traffic`].
#[derive(Clone, Copy, Default)]
pub struct Traffic([i64; 5]);

impl Traffic {
    pub(super) fn is_zero(&self) -> bool {
        self.0 == [0; 5]
    }

    pub(super) fn negated(self) -> Traffic {
        Traffic(self.0.map(|figure| -figure))
    }

    pub(super) fn plus(self, other: &Traffic) -> Traffic {
        Traffic(std::array::from_fn(|at| self.0[at] + other.0[at]))
    }
}

/// See [`NodeCounts`].
#[derive(Default)]
pub(super) struct NodeCells {
    pub keys: Level,
    pub bytes: Level,
    pub name_bytes: Level,
    pub value_bytes: Level,
    pub reads: Counter,
    pub hits: Counter,
    pub writes: Counter,
    pub network_bytes: Counter,
    pub evicted: Counter,
}

impl NodeCells {
    fn counts(&self) -> NodeCounts {
        NodeCounts {
            keys: self.keys.get(),
            bytes: self.bytes.get(),
            name_bytes: self.name_bytes.get(),
            value_bytes: self.value_bytes.get(),
            reads: self.reads.get(),
            hits: self.hits.get(),
            writes: self.writes.get(),
            network_bytes: self.network_bytes.get(),
            evicted: self.evicted.get(),
        }
    }
}

type Chunk = [NodeCells; CHUNK_NODES];

/// What one worker counts per node, to be read.
pub struct PrefixCells {
    chunks: [OnceLock<Box<Chunk>>; NODES_MAX / CHUNK_NODES],
    pub(super) resolved: Counter,
    /// The tree's epoch when the worker's last batch began; who hands out no ids has always seen all.
    epoch_seen: AtomicU64,
}

impl PrefixCells {
    pub(super) fn new(epoch: u64) -> Self {
        let chunks = [const { OnceLock::new() }; NODES_MAX / CHUNK_NODES];
        Self { chunks, resolved: Counter::new(), epoch_seen: AtomicU64::new(epoch) }
    }

    /// Keys resolved so far.
    pub fn resolved(&self) -> u64 {
        self.resolved.get()
    }

    /// Bytes held by the cells.
    pub(super) fn cells_bytes(&self) -> usize {
        let chunks = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        size_of::<Self>() + chunks * size_of::<Chunk>()
    }

    /// The bound of [`PrefixCells::cells_bytes`].
    pub(super) const fn cells_bytes_max() -> usize {
        size_of::<Self>() + NODES_MAX * size_of::<NodeCells>()
    }

    /// The cells of a node; one that cannot be has those of the root.
    #[inline]
    pub(super) fn of(&self, node: u16) -> &NodeCells {
        let at = if usize::from(node) < NODES_MAX { usize::from(node) } else { usize::from(ROOT) };
        let chunk = self.chunks[at / CHUNK_NODES].get_or_init(new_chunk);
        &chunk[at % CHUNK_NODES]
    }

    /// Whoever reads the epoch sees what was counted before. For the worker alone.
    pub(super) fn see_epoch(&self, epoch: u64) {
        self.epoch_seen.store(epoch, Release);
    }

    /// The keys of a worker that has not begun a batch since an epoch may still get ids from before it.
    pub(super) fn epoch_seen(&self) -> u64 {
        self.epoch_seen.load(Acquire)
    }

    pub(super) fn add_keys(&self, keys: &mut [i64]) {
        for (id, cells) in self.nodes() {
            keys[id] += cells.keys.get();
        }
    }

    fn nodes(&self) -> impl Iterator<Item = (usize, &NodeCells)> {
        let made = self.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at, chunk.get()?)));
        made.flat_map(|(at, chunk)| {
            chunk.iter().enumerate().map(move |(node, cells)| (at * CHUNK_NODES + node, cells))
        })
    }

    fn counts(&self, id: u16) -> NodeCounts {
        let id = usize::from(id);
        let chunk = self.chunks.get(id / CHUNK_NODES).and_then(OnceLock::get);
        chunk.map_or_else(NodeCounts::default, |chunk| chunk[id % CHUNK_NODES].counts())
    }
}

/// What all workers counted under one id.
pub(super) fn sum_of(workers: &[&PrefixCells], id: u16) -> NodeCounts {
    let mut sum = NodeCounts::default();
    workers.iter().for_each(|worker| sum.add(&worker.counts(id)));
    sum
}

#[cold]
fn new_chunk() -> Box<Chunk> {
    Box::new(std::array::from_fn(|_| NodeCells::default()))
}

/// All workers' counts, under the nodes of the tree.
#[derive(Clone, Default, Debug)]
pub struct PrefixSnapshot {
    by_id: Vec<NodeCounts>,
}

/// One prefix in a report.
#[derive(Clone, PartialEq, Debug)]
pub struct Prefix {
    /// The shape, such as `user:{n}:cart`.
    pub shape: String,
    /// Tokens in it.
    pub depth: usize,
    /// Keys of exactly this shape.
    pub own: NodeCounts,
    /// Keys of this shape and all that it begins.
    pub subtree: NodeCounts,
}

impl PrefixSnapshot {
    /// Adds one worker's.
    pub fn add(&mut self, worker: &PrefixCells) {
        for (id, cells) in worker.nodes() {
            self.of(id).add(&cells.counts());
        }
    }

    /// Corrects the traffic of an id, see `ledger`.
    pub(super) fn correct(&mut self, id: usize, amount: &Traffic) {
        self.of(id).correct(amount);
    }

    pub(super) fn counts(&self) -> &[NodeCounts] {
        &self.by_id
    }

    fn of(&mut self, id: usize) -> &mut NodeCounts {
        if id >= self.by_id.len() {
            self.by_id.resize(id + 1, NodeCounts::default());
        }
        &mut self.by_id[id]
    }

    /// The sum over all nodes: what the keyspace holds, and its sampled traffic.
    pub fn total(&self) -> NodeCounts {
        let mut total = NodeCounts::default();
        self.by_id.iter().for_each(|counts| total.add(counts));
        total
    }

    /// The prefixes, parents before children, root first. Take the tree's snapshot after the workers'.
    pub fn prefixes(&self, tree: &TreeSnapshot) -> Vec<Prefix> {
        let mut own = vec![NodeCounts::default(); NODES_MAX];
        for (id, counts) in self.by_id.iter().enumerate() {
            let node = tree.forwards.get(id).copied().unwrap_or(ROOT);
            own[usize::from(node)].add(counts);
        }
        let mut subtree = own.clone();
        for name in tree.names.iter().rev().filter(|name| name.id != ROOT) {
            let counts = subtree[usize::from(name.id)];
            subtree[usize::from(name.parent)].add(&counts);
        }
        let prefix = |name: &NodeName| Prefix {
            shape: name.shape.clone(),
            depth: name.depth,
            own: own[usize::from(name.id)],
            subtree: subtree[usize::from(name.id)],
        };
        tree.names.iter().map(prefix).collect()
    }
}
