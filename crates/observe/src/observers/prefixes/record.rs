//! Observer 4: keys, memory, traffic and hit ratio per key prefix; each worker's side.
//!
//! A worker turns a key into its shape (see `shape`), looks the shape's hash up in its own direct-mapped cache
//! and asks the shared tree (see `prefix_tree`) only when it is not there. Events are counted per node id in
//! the worker's own array; ids are resolved to nodes when a report merges them.
//!
//! ```text
//! cache   u64 x 4096   shape hash:48 | node id:16     32 KiB
//! wide    u64 x 256    path hash of a wide node        2 KiB: its names are all {*}
//! cells   72 B x 64 nodes, where any is in use         up to 288 KiB
//! ```
//!
//! Invariants:
//! 1. Over all workers and nodes, keys and bytes add up to what was added less what was removed, exactly: an
//!    event is counted under the id its entry carries, and only whole ids are forwarded.
//! 2. An id from [`Prefixes::resolve`] is used for [`Prefixes::added`] before the next [`Prefixes::begin_batch`]:
//!    `maintenance` relies on it.
//! 3. Reads, hits, misses, writes and network bytes are sampled, each with its weight.
//!
//! Thread safety: [`Prefixes`] is owned by one recorder; its [`PrefixCells`] may be read by anybody at any time; the tree has
//! its own lock.

use super::prefix_tree::{PrefixTree, ROOT};
use super::shape::{Shape, extend};
use std::sync::Arc;

pub use super::counts::{NodeCounts, Prefix, PrefixCells, PrefixSnapshot};

const CACHE_SLOTS: usize = 4096;
const WIDE_SLOTS: usize = 256;

/// What a recorder takes besides its cells.
const OWN_BYTES: usize = (CACHE_SLOTS + WIDE_SLOTS) * 8;

impl PrefixCells {
    /// Bytes held by a worker, what it remembers of the tree included; the tree's are apart.
    pub fn memory_bytes(&self) -> usize {
        OWN_BYTES + self.cells_bytes()
    }
}

/// One worker's recorder of observer 4.
pub struct Prefixes {
    tree: Arc<PrefixTree>,
    epoch: u64,
    cache: Box<[u64]>,
    wide: Box<[u64]>,
    cells: Arc<PrefixCells>,
    /// As the cells have it.
    epoch_seen: u64,
}

impl Prefixes {
    /// A recorder over the tree that all workers share.
    pub fn new(tree: Arc<PrefixTree>) -> Self {
        let epoch = tree.epoch();
        Self {
            epoch,
            tree,
            cache: vec![0; CACHE_SLOTS].into_boxed_slice(),
            wide: vec![0; WIDE_SLOTS].into_boxed_slice(),
            cells: Arc::new(PrefixCells::new(epoch)),
            epoch_seen: epoch,
        }
    }

    /// What others read.
    pub fn cells(&self) -> Arc<PrefixCells> {
        Arc::clone(&self.cells)
    }

    /// A batch begins: all keys that were resolved are counted by now.
    #[inline]
    pub fn begin_batch(&mut self) {
        let epoch = self.tree.epoch();
        if self.epoch_seen != epoch {
            self.see_epoch(epoch);
        }
    }

    #[cold]
    fn see_epoch(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.forget_shapes(epoch);
        }
        self.epoch_seen = epoch;
        self.cells.see_epoch(epoch);
    }

    /// It will never resolve a key: nobody need wait for its batches.
    pub(crate) fn resolves_nothing(&mut self) {
        self.epoch_seen = u64::MAX;
        self.cells.see_epoch(u64::MAX);
    }

    /// The node of a key: what its entry carries from now on. About 20 ns when the shape is known; if it is not, and others
    /// keep the tree, the root: the caller may hold a stripe, so it is not waited for.
    #[inline]
    pub fn resolve(&mut self, key: &[u8]) -> u16 {
        self.cells.resolved.add(1);
        if self.epoch != self.tree.epoch() {
            self.forget_shapes(self.tree.epoch());
        }
        let shape = Shape::of(key);
        match self.lookup(shape.hash()) {
            Some(id) => id,
            None => self.resolve_slowly(&shape, key),
        }
    }

    /// A key that now exists. `total_bytes` is the entry's, as the keyspace accounts it.
    #[inline]
    pub fn added(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.count(node, key_bytes, value_bytes, total_bytes, 1);
    }

    /// A key that is gone: deleted, expired or evicted. The sizes are those it had.
    #[inline]
    pub fn removed(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        self.count(node, key_bytes, value_bytes, total_bytes, -1);
    }

    #[inline]
    fn count(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize, sign: i64) {
        let cells = self.cells.of(node);
        cells.keys.add(sign);
        cells.bytes.add(sign * total_bytes as i64);
        cells.name_bytes.add(sign * key_bytes as i64);
        cells.value_bytes.add(sign * value_bytes as i64);
    }

    /// A key that stays and whose value changed its size.
    #[inline]
    pub fn resized(&mut self, node: u16, value_bytes_delta: i64, total_bytes_delta: i64) {
        let cells = self.cells.of(node);
        cells.value_bytes.add(value_bytes_delta);
        cells.bytes.add(total_bytes_delta);
    }

    /// A key that was evicted, besides [`Prefixes::removed`].
    pub fn evicted(&mut self, node: u16) {
        self.cells.of(node).evicted.add(1);
    }

    /// A sampled read. A key that was not there has no entry to carry a node: resolve it.
    #[inline]
    pub fn read(&mut self, node: u16, weight: u32, hit: bool, network_bytes: u32) {
        let cells = self.cells.of(node);
        cells.reads.add(u64::from(weight));
        cells.hits.add(if hit { u64::from(weight) } else { 0 });
        cells.network_bytes.add(u64::from(weight) * u64::from(network_bytes));
    }

    /// A sampled write.
    #[inline]
    pub fn written(&mut self, node: u16, weight: u32, network_bytes: u32) {
        let cells = self.cells.of(node);
        cells.writes.add(u64::from(weight));
        cells.network_bytes.add(u64::from(weight) * u64::from(network_bytes));
    }

    /// The bound of [`PrefixCells::memory_bytes`].
    pub const fn memory_bytes_max() -> usize {
        OWN_BYTES + PrefixCells::cells_bytes_max()
    }

    #[inline]
    fn lookup(&self, hash: u64) -> Option<u16> {
        let entry = self.cache[hash as usize % CACHE_SLOTS];
        (entry >> 16 == hash >> 16 && entry != 0).then_some(entry as u16)
    }

    #[cold]
    fn forget_shapes(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.cache.fill(0);
        self.wide.fill(0);
    }

    /// The shape as the tree keeps it, names under wide nodes replaced, as far as this worker knows.
    fn hash_under_wide_nodes(&self, shape: &Shape) -> u64 {
        shape.tokens().iter().fold(0, |path, token| {
            let is_wide = self.wide[path as usize % WIDE_SLOTS] == path | 1;
            extend(path, if is_wide && token.is_name() { token.any().hash } else { token.hash })
        })
    }

    #[inline(never)]
    fn resolve_slowly(&mut self, shape: &Shape, key: &[u8]) -> u16 {
        let hash = self.hash_under_wide_nodes(shape);
        if hash != shape.hash()
            && let Some(id) = self.lookup(hash)
        {
            return id;
        }
        let Some(place) = self.tree.try_place(shape, key) else { return ROOT };
        if self.epoch != place.epoch {
            self.forget_shapes(place.epoch);
        }
        for &path in &place.wide[..place.wide_count] {
            self.wide[path as usize % WIDE_SLOTS] = path | 1;
        }
        let hash = self.hash_under_wide_nodes(shape);
        self.cache[hash as usize % CACHE_SLOTS] = hash & !0xFFFF | u64::from(place.id);
        place.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observers::prefixes::ledger::Ledger;
    use crate::observers::prefixes::maintenance::Maintenance;
    use crate::observers::prefixes::prefix_tree::NODES_MAX;
    use std::collections::HashMap;

    fn random(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 8) as usize
    }

    fn word(mut n: usize) -> String {
        let mut word = String::new();
        for _ in 0..4 {
            word.push((b'g' + (n % 20) as u8) as char);
            n /= 20;
        }
        word
    }

    fn report(workers: &[Prefixes], tree: &PrefixTree, ledger: &Ledger) -> (Vec<Prefix>, NodeCounts) {
        let mut snapshot = PrefixSnapshot::default();
        workers.iter().for_each(|worker| snapshot.add(&worker.cells()));
        ledger.apply(&mut snapshot);
        (snapshot.prefixes(&tree.snapshot()), snapshot.total())
    }

    /// Turns with a batch of each worker in between, until there is nothing left to do.
    fn maintain(tree: &PrefixTree, ledger: &Ledger, workers: &mut [Prefixes]) -> usize {
        let cells: Vec<Arc<PrefixCells>> = workers.iter().map(Prefixes::cells).collect();
        let cells: Vec<&PrefixCells> = cells.iter().map(|cells| &**cells).collect();
        let mut maintenance = Maintenance::default();
        assert_eq!(maintenance.turn(tree, ledger, &cells), 0);
        assert_eq!(maintenance.turn(tree, ledger, &cells), 0, "no worker has begun a batch since");
        workers.iter_mut().for_each(Prefixes::begin_batch);
        maintenance.turn(tree, ledger, &cells)
    }

    fn of_shape(prefixes: &[Prefix], shape: &str) -> NodeCounts {
        prefixes.iter().find(|prefix| prefix.shape == shape).map(|prefix| prefix.own).unwrap_or_default()
    }

    #[test]
    fn sums_equal_the_totals_through_collapse_exhaustion_and_reuse() {
        for seed in [0x9EF1_0001u64, 0x9EF1_0002] {
            println!("seed {seed:#x}");
            let mut state = seed;
            let (tree, ledger) = (Arc::new(PrefixTree::default()), Ledger::default());
            let mut workers = [Prefixes::new(tree.clone()), Prefixes::new(tree.clone())];
            // Key -> node, value length: what the keyspace would hold.
            let mut stored: HashMap<String, (u16, usize)> = HashMap::new();
            let mut released = 0;
            for step in 0..150_000 {
                let roll = random(&mut state);
                // Namespaces come and go, so that ids run out and are used again.
                let era = step / 10_000;
                let key = match roll % 4 {
                    0 => format!("user:{}:{}", random(&mut state) % 500, word(random(&mut state) % 40)),
                    1 => format!("{}:{}", word(random(&mut state) % 300), word(random(&mut state) % 30)),
                    2 => format!(
                        "e{}:{}:{}",
                        word(era),
                        word(random(&mut state) % 60),
                        word(random(&mut state) % 60)
                    ),
                    _ => format!("sess:{}", word(random(&mut state) % 100_000)),
                };
                let worker = &mut workers[roll / 7 % 2];
                match stored.get(&key).copied() {
                    Some((node, value)) if !(roll / 64).is_multiple_of(3) => {
                        worker.removed(node, key.len(), value, key.len() + value + 16);
                        stored.remove(&key);
                    }
                    Some((node, value)) => {
                        let after = random(&mut state) % 1_000;
                        worker.resized(node, after as i64 - value as i64, after as i64 - value as i64);
                        stored.insert(key, (node, after));
                    }
                    None => {
                        let (node, value) = (worker.resolve(key.as_bytes()), random(&mut state) % 1_000);
                        worker.added(node, key.len(), value, key.len() + value + 16);
                        worker.read(node, 4, roll.is_multiple_of(2), 10);
                        stored.insert(key, (node, value));
                    }
                }
                if step % 10_000 == 9_999 {
                    // The era's namespace disappears as a whole.
                    let gone = format!("e{}:", word(era));
                    let old: Vec<String> =
                        stored.keys().filter(|key| key.starts_with(&gone)).cloned().collect();
                    for key in old {
                        if let Some((node, value)) = stored.remove(&key) {
                            workers[era % 2].removed(node, key.len(), value, key.len() + value + 16);
                        }
                    }
                    released += maintain(&tree, &ledger, &mut workers);
                }
                if step % 25_000 == 24_999 {
                    let (prefixes, total) = report(&workers, &tree, &ledger);
                    let mut sum = NodeCounts::default();
                    prefixes.iter().for_each(|prefix| sum.add(&prefix.own));
                    assert_eq!(sum, total);
                    assert_eq!(prefixes[0].subtree, total);
                    assert_eq!(total.keys, stored.len() as i64);
                    assert_eq!(total.name_bytes, stored.keys().map(|key| key.len() as i64).sum::<i64>());
                    assert_eq!(
                        total.value_bytes,
                        stored.values().map(|&(_, value)| value as i64).sum::<i64>()
                    );
                    assert_eq!(total.bytes, total.name_bytes + total.value_bytes + 16 * total.keys);
                    assert!(prefixes.iter().all(|prefix| prefix.own.keys >= 0), "{prefixes:?}");
                    // `user:{n}:<field>` stays below the width bound, so each of its nodes must be exact.
                    for field in 0..40 {
                        let (shape, end) =
                            (format!("user:{{n}}:{}", word(field)), format!(":{}", word(field)));
                        let truth =
                            stored.keys().filter(|key| key.starts_with("user:") && key.ends_with(&end));
                        assert_eq!(of_shape(&prefixes, &shape).keys, truth.count() as i64, "{shape}");
                    }
                }
            }
            assert!(tree.snapshot().used <= NODES_MAX);
            println!("released {released}");
        }
    }

    #[test]
    fn ids_of_vanished_prefixes_are_released_when_scarce_and_their_traffic_kept() {
        let (tree, ledger) = (Arc::new(PrefixTree::default()), Ledger::default());
        let mut workers = [Prefixes::new(tree.clone()), Prefixes::new(tree.clone())];
        let mut keys = Vec::new();
        for top in 0..63 {
            for below in 0..60 {
                let key = format!("{}:{}", word(top * 7), word(below * 11));
                let node = workers[0].resolve(key.as_bytes());
                workers[0].added(node, key.len(), 1, 40);
                workers[0].read(node, 1, true, 0);
                keys.push((key, node));
            }
        }
        assert!(tree.is_nearly_full());
        let before = tree.snapshot().used;
        assert_eq!(maintain(&tree, &ledger, &mut workers), 0, "all have keys");
        let survivor = keys.pop().expect("keys");
        for (key, node) in &keys {
            workers[1].removed(*node, key.len(), 1, 40);
        }
        let released = maintain(&tree, &ledger, &mut workers);
        assert!(released > 3_000, "{released}");
        assert_eq!(tree.snapshot().used, before - released);
        let (prefixes, total) = report(&workers, &tree, &ledger);
        assert_eq!((total.keys, total.reads), (1, keys.len() as u64 + 1));
        assert_eq!(of_shape(&prefixes, &survivor.0).keys, 1);
        assert_eq!(workers[1].resolve(survivor.0.as_bytes()), survivor.1);
    }

    #[test]
    fn traffic_begins_again_and_what_a_released_id_had_stays_with_the_prefix_above() {
        let (tree, ledger) = (Arc::new(PrefixTree::default()), Ledger::default());
        let mut workers = [Prefixes::new(tree.clone()), Prefixes::new(tree.clone())];
        let visit = |workers: &mut [Prefixes], times: u32| {
            for top in 0..63 {
                for below in 0..60 {
                    let node =
                        workers[0].resolve(format!("{}:{}", word(top * 7), word(below * 11)).as_bytes());
                    workers[0].read(node, times, true, 10);
                    workers[1].written(node, 1, 0);
                }
            }
        };
        visit(&mut workers, 5);
        ledger.restart(workers.iter().map(|worker| &*worker.cells));
        let (prefixes, total) = report(&workers, &tree, &ledger);
        assert_eq!((total, prefixes[0].subtree), (NodeCounts::default(), NodeCounts::default()));
        visit(&mut workers, 2);
        let of = |workers: &[Prefixes], shape: &str| {
            let (prefixes, total) = report(workers, &tree, &ledger);
            assert_eq!(prefixes[0].subtree, total);
            let prefix = prefixes.iter().find(|prefix| prefix.shape == shape).expect("a prefix");
            (prefix.subtree.reads, prefix.subtree.writes, prefix.subtree.network_bytes)
        };
        assert_eq!(of(&workers, &word(7)), (120, 60, 1_200));
        assert!(maintain(&tree, &ledger, &mut workers) > 3_000);
        assert_eq!(of(&workers, "(other)"), (2 * 3_780, 3_780, 20 * 3_780));
        // Ids are handed out again, and begin with nothing.
        visit(&mut workers, 1);
        assert_eq!(of(&workers, "(other)"), (3 * 3_780, 2 * 3_780, 30 * 3_780));
        ledger.restart(workers.iter().map(|worker| &*worker.cells));
        visit(&mut workers, 1);
        assert_eq!(of(&workers, &word(7)), (60, 60, 600));
    }

    #[test]
    fn collapsed_names_are_resolved_without_the_tree() {
        let tree = Arc::new(PrefixTree::default());
        let mut worker = Prefixes::new(tree.clone());
        for n in 0..1_000 {
            worker.resolve(format!("sess:{}", word(n)).as_bytes());
        }
        let known = worker.resolve(format!("sess:{}", word(5_000)).as_bytes());
        let guard = tree.snapshot();
        let shape = Shape::of(b"sess:neverseen");
        assert_eq!(worker.lookup(worker.hash_under_wide_nodes(&shape)), Some(known));
        assert!(guard.names.iter().any(|name| name.shape == "sess:{*}" && name.id == known));
    }

    #[test]
    fn hit_ratio_and_traffic_are_weighted() {
        let tree = Arc::new(PrefixTree::default());
        let mut worker = Prefixes::new(tree.clone());
        let node = worker.resolve(b"page:1");
        worker.read(node, 16, true, 100);
        worker.read(node, 16, true, 100);
        worker.read(node, 16, true, 100);
        worker.read(node, 16, false, 10);
        worker.written(node, 4, 50);
        let (prefixes, _) = report(std::slice::from_ref(&worker), &tree, &Ledger::default());
        let counts = of_shape(&prefixes, "page:{n}");
        assert_eq!((counts.hit_ratio(), counts.misses(), counts.writes), (Some(0.75), 16, 4));
        assert_eq!(counts.network_bytes, 16 * 310 + 200);
    }

    #[test]
    fn memory_is_bounded() {
        let tree = Arc::new(PrefixTree::default());
        let mut worker = Prefixes::new(tree.clone());
        let mut state = 0xB0_0B5u64;
        for _ in 0..60_000 {
            let key: Vec<String> = (0..5).map(|_| word(random(&mut state) % 50)).collect();
            let node = worker.resolve(key.join("/").as_bytes());
            worker.added(node, 20, 20, 60);
        }
        worker.added(u16::MAX, 1, 1, 1);
        assert!(worker.cells().memory_bytes() <= Prefixes::memory_bytes_max());
        assert!(tree.memory_bytes() <= PrefixTree::memory_bytes_max(), "{}", tree.memory_bytes());
        assert!(PrefixTree::memory_bytes_max() + Prefixes::memory_bytes_max() < 2 << 20);
    }
}
