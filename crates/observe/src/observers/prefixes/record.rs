//! Observer 4: keys, memory, traffic and hit ratio per key prefix; each worker's side.
//!
//! A worker turns a key into its shape (see `shape`), looks the shape's hash up in its own direct-mapped cache
//! and asks the shared tree (see `prefix_tree`) only when it is not there. Events are counted per node id in
//! the worker's own array; ids are resolved to nodes when a report merges them.
//!
//! ```text
//! cache   u64 x 4096   shape hash:48 | node id:16     32 KiB
//! wide    u64 x 256    path hash of a wide node        2 KiB: its names are all {*}
//! counts  72 B x nodes in use                          up to 288 KiB
//! ```
//!
//! Invariants:
//! 1. Over all workers and nodes, keys and bytes add up to what was added less what was removed, exactly: an
//!    event is counted under the id its entry carries, and only whole ids are forwarded.
//! 2. An id from [`Prefixes::resolve`] is used for [`Prefixes::added`] before the recorder's lock is released:
//!    [`maintain`] relies on it.
//! 3. Reads, hits, misses, writes and network bytes are sampled, each with its weight.
//!
//! Thread safety: owned by one recorder; the tree has its own lock.

use super::prefix_tree::{NODES_MAX, PrefixTree, ROOT, TreeSnapshot};
use super::shape::{Shape, extend};
use std::sync::Arc;

const CACHE_SLOTS: usize = 4096;
const WIDE_SLOTS: usize = 256;

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
}

/// One worker's recorder of observer 4.
pub struct Prefixes {
    tree: Arc<PrefixTree>,
    epoch: u64,
    cache: Box<[u64]>,
    wide: Box<[u64]>,
    counts: Vec<NodeCounts>,
    resolved: u64,
}

impl Prefixes {
    /// A recorder over the tree that all workers share.
    pub fn new(tree: Arc<PrefixTree>) -> Self {
        Self {
            epoch: tree.epoch(),
            tree,
            cache: vec![0; CACHE_SLOTS].into_boxed_slice(),
            wide: vec![0; WIDE_SLOTS].into_boxed_slice(),
            counts: vec![NodeCounts::default()],
            resolved: 0,
        }
    }

    /// The node of a key: what its entry carries from now on. About 20 ns when the shape is known; if it is not, and others
    /// keep the tree, the root: the caller may hold a stripe, so it is not waited for.
    #[inline]
    pub fn resolve(&mut self, key: &[u8]) -> u16 {
        self.resolved += 1;
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
        let counts = self.counts_of(node);
        counts.keys += 1;
        counts.bytes += total_bytes as i64;
        counts.name_bytes += key_bytes as i64;
        counts.value_bytes += value_bytes as i64;
    }

    /// A key that is gone: deleted, expired or evicted. The sizes are those it had.
    #[inline]
    pub fn removed(&mut self, node: u16, key_bytes: usize, value_bytes: usize, total_bytes: usize) {
        let counts = self.counts_of(node);
        counts.keys -= 1;
        counts.bytes -= total_bytes as i64;
        counts.name_bytes -= key_bytes as i64;
        counts.value_bytes -= value_bytes as i64;
    }

    /// A key that stays and whose value changed its size.
    #[inline]
    pub fn resized(&mut self, node: u16, value_bytes_delta: i64, total_bytes_delta: i64) {
        let counts = self.counts_of(node);
        counts.value_bytes += value_bytes_delta;
        counts.bytes += total_bytes_delta;
    }

    /// A key that was evicted, besides [`Prefixes::removed`].
    pub fn evicted(&mut self, node: u16) {
        self.counts_of(node).evicted += 1;
    }

    /// A sampled read. A key that was not there has no entry to carry a node: resolve it.
    #[inline]
    pub fn read(&mut self, node: u16, weight: u32, hit: bool, network_bytes: u32) {
        let counts = self.counts_of(node);
        counts.reads += u64::from(weight);
        counts.hits += if hit { u64::from(weight) } else { 0 };
        counts.network_bytes += u64::from(weight) * u64::from(network_bytes);
    }

    /// A sampled write.
    #[inline]
    pub fn written(&mut self, node: u16, weight: u32, network_bytes: u32) {
        let counts = self.counts_of(node);
        counts.writes += u64::from(weight);
        counts.network_bytes += u64::from(weight) * u64::from(network_bytes);
    }

    /// All keys of all databases are gone: on every worker (FLUSHALL). Traffic counts stay.
    pub fn flushed(&mut self) {
        for counts in &mut self.counts {
            *counts = NodeCounts { keys: 0, bytes: 0, name_bytes: 0, value_bytes: 0, ..*counts };
        }
    }

    /// Keys resolved so far.
    pub fn resolved(&self) -> u64 {
        self.resolved
    }

    /// Bytes held by this worker; the tree's are apart.
    pub fn memory_bytes(&self) -> usize {
        (self.cache.len() + self.wide.len()) * 8 + self.counts.capacity() * size_of::<NodeCounts>()
    }

    /// The bound of [`Prefixes::memory_bytes`].
    pub const fn memory_bytes_max() -> usize {
        (CACHE_SLOTS + WIDE_SLOTS) * 8 + NODES_MAX * size_of::<NodeCounts>()
    }

    /// The shared tree.
    pub fn tree(&self) -> &Arc<PrefixTree> {
        &self.tree
    }

    /// Forgets the traffic. Keys and bytes describe what is there, so they stay.
    pub fn reset(&mut self) {
        for counts in &mut self.counts {
            let NodeCounts { keys, bytes, name_bytes, value_bytes, .. } = *counts;
            *counts = NodeCounts { keys, bytes, name_bytes, value_bytes, ..NodeCounts::default() };
        }
        self.resolved = 0;
    }

    #[inline]
    fn counts_of(&mut self, node: u16) -> &mut NodeCounts {
        let at = usize::from(node);
        if at >= self.counts.len() {
            return self.grow(at);
        }
        &mut self.counts[at]
    }

    #[cold]
    fn grow(&mut self, at: usize) -> &mut NodeCounts {
        let at = if at < NODES_MAX { at } else { usize::from(ROOT) };
        if at >= self.counts.len() {
            let nodes = (at + 1).next_power_of_two().min(NODES_MAX);
            self.counts.reserve_exact(nodes - self.counts.len());
            self.counts.resize(nodes, NodeCounts::default());
        }
        &mut self.counts[at]
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

/// Frees the ids of prefixes that have no keys any more, if ids are getting scarce. Returns how many. To be
/// called now and then (once a second costs nothing) by any one thread. `for_each_worker` calls the given function with every worker's
/// recorder, each under its lock, one after the other; it is called up to three times.
///
/// Why it is safe: a retired id is handed out no more once each worker has been visited, so its keys only
/// dwindle, and a later pass that adds them up to zero, worker by worker, cannot miss one.
pub fn maintain(tree: &PrefixTree, mut for_each_worker: impl FnMut(&mut dyn FnMut(&mut Prefixes))) -> usize {
    if !tree.is_nearly_full() {
        return 0;
    }
    let mut keys = vec![0i64; NODES_MAX];
    for_each_worker(&mut |worker| add_keys(worker, &mut keys));
    let retired = tree.retire(|id| keys[usize::from(id)] == 0);
    if retired.is_empty() {
        return 0;
    }
    // Every worker must have dropped its cache before the count that decides.
    for_each_worker(&mut |worker| worker.forget_shapes(tree.epoch()));
    keys.fill(0);
    for_each_worker(&mut |worker| add_keys(worker, &mut keys));
    let released: Vec<u16> = retired.into_iter().filter(|&id| keys[usize::from(id)] == 0).collect();
    let targets: Vec<u16> = released.iter().map(|&id| tree.target(id)).collect();
    for_each_worker(&mut |worker| {
        for (&id, &target) in released.iter().zip(&targets) {
            if let Some(counts) = worker.counts.get_mut(usize::from(id)) {
                let moved = std::mem::take(counts);
                worker.counts_of(target).add(&moved);
            }
        }
    });
    tree.release(&released);
    released.len()
}

fn add_keys(worker: &Prefixes, keys: &mut [i64]) {
    for (sum, counts) in keys.iter_mut().zip(&worker.counts) {
        *sum += counts.keys;
    }
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
    pub fn add(&mut self, worker: &Prefixes) {
        if self.by_id.len() < worker.counts.len() {
            self.by_id.resize(worker.counts.len(), NodeCounts::default());
        }
        for (sum, counts) in self.by_id.iter_mut().zip(&worker.counts) {
            sum.add(counts);
        }
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
        let prefix = |name: &super::prefix_tree::NodeName| Prefix {
            shape: name.shape.clone(),
            depth: name.depth,
            own: own[usize::from(name.id)],
            subtree: subtree[usize::from(name.id)],
        };
        tree.names.iter().map(prefix).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn report(workers: &[Prefixes], tree: &PrefixTree) -> (Vec<Prefix>, NodeCounts) {
        let mut snapshot = PrefixSnapshot::default();
        workers.iter().for_each(|worker| snapshot.add(worker));
        (snapshot.prefixes(&tree.snapshot()), snapshot.total())
    }

    fn of_shape(prefixes: &[Prefix], shape: &str) -> NodeCounts {
        prefixes.iter().find(|prefix| prefix.shape == shape).map(|prefix| prefix.own).unwrap_or_default()
    }

    #[test]
    fn sums_equal_the_totals_through_collapse_exhaustion_and_reuse() {
        for seed in [0x9EF1_0001u64, 0x9EF1_0002] {
            println!("seed {seed:#x}");
            let mut state = seed;
            let tree = Arc::new(PrefixTree::default());
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
                    released += maintain(&tree, |visit| workers.iter_mut().for_each(&mut *visit));
                }
                if step % 25_000 == 24_999 {
                    let (prefixes, total) = report(&workers, &tree);
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
        let tree = Arc::new(PrefixTree::default());
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
        assert_eq!(maintain(&tree, |visit| workers.iter_mut().for_each(&mut *visit)), 0, "all have keys");
        let survivor = keys.pop().expect("keys");
        for (key, node) in &keys {
            workers[1].removed(*node, key.len(), 1, 40);
        }
        let released = maintain(&tree, |visit| workers.iter_mut().for_each(&mut *visit));
        assert!(released > 3_000, "{released}");
        assert_eq!(tree.snapshot().used, before - released);
        let (prefixes, total) = report(&workers, &tree);
        assert_eq!((total.keys, total.reads), (1, keys.len() as u64 + 1));
        assert_eq!(of_shape(&prefixes, &survivor.0).keys, 1);
        assert_eq!(workers[1].resolve(survivor.0.as_bytes()), survivor.1);
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
        let (prefixes, _) = report(std::slice::from_ref(&worker), &tree);
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
        assert!(worker.memory_bytes() <= Prefixes::memory_bytes_max());
        assert!(tree.memory_bytes() <= PrefixTree::memory_bytes_max(), "{}", tree.memory_bytes());
        assert!(PrefixTree::memory_bytes_max() + Prefixes::memory_bytes_max() < 2 << 20);
    }
}
