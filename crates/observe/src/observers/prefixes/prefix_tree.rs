//! The tree of key shapes all workers share: which node a shape belongs to.
//!
//! A node has a 16-bit id that entries of the keyspace carry. A node with too many names beneath it is *wide*:
//! its named children collapse into one `{*}` (as the tree of Drain does, He et al., ICWS 2017), and their ids
//! are forwarded to it (union-find).
//!
//! Invariants:
//! 1. At most [`NODES_MAX`] ids; id 0 is the root, "other", and is never freed. When none is left, a shape
//!    belongs to its nearest ancestor.
//! 2. An id that was handed out stays valid until it is released: entries may carry it. It resolves
//!    through its forwarding to a node of the tree.
//! 3. An id is released only when it was retired (no longer handed out by any worker: they compare the epoch)
//!    and a full pass over the workers after that found no key that carries it: see `maintenance`.
//! 4. Depth is at most `shape::DEPTH_MAX`, a node's names at most [`ROOT_NAMES_MAX`] or [`NAMES_MAX`].
//!
//! Thread safety: one mutex, tried when a worker's cache does not know a shape; the epoch is read without it. A worker may
//! hold a stripe then, so it never sleeps for it: after [`TRIES_MAX`] attempts the key belongs to the root. Reports copy the
//! nodes under the mutex and write their names without it.

use super::shape::{Kind, Shape, extend};
use crate::name::{escaped, escaped_in_shape};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ids there are. An entry has 16 bits for one; 4096 keep a worker's counters below 300 KiB.
pub const NODES_MAX: usize = 4096;
/// The root: keys that have no node of their own.
pub const ROOT: u16 = 0;
/// Names a node may have before they collapse: more than the fields of an object, fewer than its instances.
pub const NAMES_MAX: usize = 64;
/// The same for the root: an application's namespaces.
pub const ROOT_NAMES_MAX: usize = 512;

/// Attempts of a worker to take the mutex: as long as others take to place a few shapes, a microsecond or two.
const TRIES_MAX: usize = 64;

/// Two counters before each shared text.
const TEXT_HEAD_BYTES: usize = 2 * size_of::<usize>();

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    Live,
    /// Entries may carry it, no worker hands it out; counted with the node it forwards to.
    Forwarded(u16),
}

#[derive(Clone)]
struct Node {
    state: State,
    parent: u16,
    token_hash: u64,
    /// Shared with the copies that reports work on.
    text: Arc<[u8]>,
    kind: Kind,
    is_wide: bool,
    children: Vec<u16>,
}

impl Node {
    /// The token at `depth` with the separator before it: a name escaped, a placeholder as it is.
    fn shown(&self, depth: usize) -> String {
        let (separator, token) = self.text.split_at(usize::from(depth > 1).min(self.text.len()));
        let number = if self.kind == Kind::NumberedName { "{n}" } else { "" };
        let token = token.strip_suffix(number.as_bytes()).unwrap_or(token);
        let token = if self.kind.is_name() {
            escaped_in_shape(token)
        } else {
            String::from_utf8_lossy(token).into_owned()
        };
        format!("{}{token}{number}", String::from_utf8_lossy(separator))
    }
}

/// A shape's place, with what a worker may remember of the way there.
pub(super) struct Place {
    pub id: u16,
    /// Path hashes of the wide nodes on the way.
    pub wide: [u64; super::shape::DEPTH_MAX],
    pub wide_count: usize,
    /// The epoch `id` was handed out in.
    pub epoch: u64,
}

struct Nodes {
    nodes: Vec<Node>,
    free: Vec<u16>,
    children: HashMap<(u16, u64), u16>,
}

/// The shared tree.
pub struct PrefixTree {
    nodes: Mutex<Nodes>,
    epoch: AtomicU64,
}

impl Default for PrefixTree {
    fn default() -> Self {
        let root = Node {
            state: State::Live,
            parent: ROOT,
            token_hash: 0,
            text: Arc::default(),
            kind: Kind::Any,
            is_wide: false,
            children: Vec::new(),
        };
        let nodes = Nodes { nodes: vec![root], free: Vec::new(), children: HashMap::new() };
        Self { nodes: Mutex::new(nodes), epoch: AtomicU64::new(1) }
    }
}

/// One node as reports see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeName {
    /// Its id.
    pub id: u16,
    /// The node above.
    pub parent: u16,
    /// The whole shape, such as `user:{n}:cart`, names in it escaped, so that no two shapes are written alike.
    pub shape: String,
    /// Tokens in the shape; 0 for the root.
    pub depth: usize,
}

/// The tree at one moment, for reports.
#[derive(Clone, Default, Debug)]
pub struct TreeSnapshot {
    /// The nodes of the tree, parents before children.
    pub names: Vec<NodeName>,
    /// For every id: the node it is counted with.
    pub forwards: Vec<u16>,
    /// Ids in use, forwarded ones included.
    pub used: usize,
}

impl PrefixTree {
    /// Changes when ids that workers remember must be asked for again.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The node of a shape, created if there is room; None if others keep the tree.
    pub(super) fn try_place(&self, shape: &Shape, key: &[u8]) -> Option<Place> {
        let mut tries = (0..TRIES_MAX).map(|_| self.nodes.try_lock().ok_or_else(spin_loop));
        let mut nodes = tries.find_map(Result::ok)?;
        let (mut place, collapsed) = nodes.place(shape, key);
        if collapsed {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        place.epoch = self.epoch();
        Some(place)
    }

    /// The tree at this moment.
    pub fn snapshot(&self) -> TreeSnapshot {
        let (nodes, used) = {
            let nodes = self.nodes.lock();
            (nodes.nodes.clone(), nodes.nodes.len() - nodes.free.len())
        };
        let nodes = Nodes { nodes, free: Vec::new(), children: HashMap::new() };
        let mut names = Vec::new();
        nodes.name(ROOT, &mut String::new(), 0, &mut names);
        let forwards = (0..nodes.nodes.len() as u16).map(|id| nodes.target(id)).collect();
        TreeSnapshot { names, forwards, used }
    }

    /// Takes leaves out of the tree that `is_unused` names, so that they can be released once no key carries
    /// them. Returns all ids that wait for that. Workers notice by the epoch before they hand out an id again.
    pub(super) fn retire(&self, is_unused: impl Fn(u16) -> bool) -> Vec<u16> {
        let mut nodes = self.nodes.lock();
        let mut changed = false;
        for id in 1..nodes.nodes.len() as u16 {
            let node = &nodes.nodes[usize::from(id)];
            if node.state == State::Live && node.children.is_empty() && is_unused(id) {
                nodes.forward_to_parent(id);
                changed = true;
            }
        }
        if changed {
            self.epoch.fetch_add(1, Ordering::Release);
        }
        let is_waiting = |id: &u16| matches!(nodes.nodes[usize::from(*id)].state, State::Forwarded(_));
        (1..nodes.nodes.len() as u16).filter(is_waiting).collect()
    }

    /// Where a forwarded id counts, and whether another forwards to it.
    pub(super) fn target(&self, id: u16) -> u16 {
        self.nodes.lock().target(id)
    }

    /// Frees retired ids. The caller has found no key that carries one and moved their counters away.
    pub(super) fn release(&self, ids: &[u16]) {
        let mut nodes = self.nodes.lock();
        for &id in ids {
            nodes.release(id);
        }
        // Shapes that were given to an ancestor for want of ids may now have their own.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Whether it is time to free the ids of prefixes without keys. Before, they are kept: a prefix that is
    /// only missed has no keys either, and is worth seeing.
    pub fn is_nearly_full(&self) -> bool {
        let nodes = self.nodes.lock();
        nodes.nodes.len() - nodes.free.len() > NODES_MAX / 4 * 3
    }

    /// Bytes held, estimated for the index.
    pub fn memory_bytes(&self) -> usize {
        let nodes = self.nodes.lock();
        let own =
            |node: &Node| TEXT_HEAD_BYTES + node.text.len() + node.children.capacity() * size_of::<u16>();
        nodes.nodes.capacity() * size_of::<Node>()
            + nodes.nodes.iter().map(own).sum::<usize>()
            + nodes.free.capacity() * size_of::<u16>()
            + nodes.children.capacity() * (size_of::<((u16, u64), u16)>() + 1)
    }

    /// The bound of [`PrefixTree::memory_bytes`].
    pub const fn memory_bytes_max() -> usize {
        // Vectors and the index may hold twice what they need; a child list grows to at most double.
        NODES_MAX
            * (2 * size_of::<Node>() + TEXT_HEAD_BYTES + super::shape::TOKEN_BYTES_MAX + 8 + 8 + 2 + 4 * 25)
    }
}

impl Nodes {
    fn node(&self, id: u16) -> &Node {
        &self.nodes[usize::from(id)]
    }

    fn node_mut(&mut self, id: u16) -> &mut Node {
        &mut self.nodes[usize::from(id)]
    }

    fn place(&mut self, shape: &Shape, key: &[u8]) -> (Place, bool) {
        let mut place = Place { id: ROOT, wide: [0; super::shape::DEPTH_MAX], wide_count: 0, epoch: 0 };
        let (mut path, mut collapsed) = (0u64, false);
        for token in shape.tokens() {
            let parent = place.id;
            let mut token = *token;
            if token.is_name()
                && !self.node(parent).is_wide
                && !self.children.contains_key(&(parent, token.hash))
                && self.names_of(parent) >= if parent == ROOT { ROOT_NAMES_MAX } else { NAMES_MAX }
            {
                self.collapse(parent);
                collapsed = true;
            }
            if token.is_name() && self.node(parent).is_wide {
                place.wide[place.wide_count] = path;
                place.wide_count += 1;
                token = token.any();
            }
            let child = match self.children.get(&(parent, token.hash)) {
                Some(&child) => child,
                None => match self.create(parent, token.hash, token.text(key).into(), token.kind) {
                    Some(child) => child,
                    None => break,
                },
            };
            place.id = child;
            path = extend(path, token.hash);
        }
        (place, collapsed)
    }

    fn names_of(&self, id: u16) -> usize {
        self.node(id).children.iter().filter(|&&child| self.node(child).kind.is_name()).count()
    }

    fn create(&mut self, parent: u16, token_hash: u64, text: Arc<[u8]>, kind: Kind) -> Option<u16> {
        let node =
            Node { state: State::Live, parent, token_hash, text, kind, is_wide: false, children: Vec::new() };
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None if self.nodes.len() < NODES_MAX => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u16
            }
            None => return None,
        };
        self.node_mut(parent).children.push(id);
        self.children.insert((parent, token_hash), id);
        Some(id)
    }

    /// Makes a node wide: its names become one `{*}`. Needs no id: the first name turns into it.
    fn collapse(&mut self, id: u16) {
        self.node_mut(id).is_wide = true;
        let names: Vec<u16> =
            self.node(id).children.iter().copied().filter(|&child| self.node(child).kind.is_name()).collect();
        for name in names {
            let separator = self.node(name).text.first().copied().filter(|_| id != ROOT).unwrap_or(0);
            let any = super::shape::Token { separator, ..Default::default() }.any();
            match self.children.get(&(id, any.hash)) {
                Some(&star) => {
                    self.detach(name);
                    self.merge(name, star);
                }
                None => {
                    let old = (id, self.node(name).token_hash);
                    self.children.remove(&old);
                    self.children.insert((id, any.hash), name);
                    let node = self.node_mut(name);
                    (node.token_hash, node.text, node.kind) = (any.hash, any.text(b"").into(), any.kind);
                }
            }
        }
    }

    fn detach(&mut self, id: u16) {
        let (parent, token_hash) = (self.node(id).parent, self.node(id).token_hash);
        self.node_mut(parent).children.retain(|&child| child != id);
        self.children.remove(&(parent, token_hash));
    }

    /// Moves a detached node's subtree under another's and forwards its id there.
    fn merge(&mut self, from: u16, into: u16) {
        let moved = std::mem::take(&mut self.node_mut(from).children);
        let was_wide = self.node(from).is_wide;
        let node = self.node_mut(from);
        (node.state, node.text) = (State::Forwarded(into), Arc::default());
        for child in moved {
            let token_hash = self.node(child).token_hash;
            self.children.remove(&(from, token_hash));
            match self.children.get(&(into, token_hash)) {
                Some(&twin) => self.merge(child, twin),
                None => {
                    self.node_mut(child).parent = into;
                    self.node_mut(into).children.push(child);
                    self.children.insert((into, token_hash), child);
                }
            }
        }
        if was_wide || self.node(into).is_wide || self.names_of(into) > NAMES_MAX {
            self.collapse(into);
        }
    }

    fn forward_to_parent(&mut self, id: u16) {
        let parent = self.node(id).parent;
        self.detach(id);
        let node = self.node_mut(id);
        (node.state, node.text) = (State::Forwarded(parent), Arc::default());
    }

    fn target(&self, id: u16) -> u16 {
        let mut id = id;
        while let Some(Node { state: State::Forwarded(next), .. }) = self.nodes.get(usize::from(id)) {
            id = *next;
        }
        match self.nodes.get(usize::from(id)) {
            Some(Node { state: State::Live, .. }) => id,
            _ => ROOT,
        }
    }

    fn release(&mut self, id: u16) {
        let State::Forwarded(next) = self.node(id).state else { return };
        // Nobody may forward to an id that is handed out anew.
        for node in &mut self.nodes {
            if node.state == State::Forwarded(id) {
                node.state = State::Forwarded(next);
            }
        }
        let node = self.node_mut(id);
        node.state = State::Free;
        node.children = Vec::new();
        self.free.push(id);
    }

    fn name(&self, id: u16, prefix: &mut String, depth: usize, names: &mut Vec<NodeName>) {
        let node = self.node(id);
        let length = prefix.len();
        prefix.push_str(&node.shown(depth));
        let shape = match prefix.as_str() {
            _ if id == ROOT => "(other)".to_owned(),
            "" => escaped(b""),
            prefix => prefix.to_owned(),
        };
        names.push(NodeName { id, parent: node.parent, shape, depth });
        for &child in &node.children {
            self.name(child, prefix, depth + 1, names);
        }
        prefix.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tree: &PrefixTree, key: &str) -> u16 {
        tree.try_place(&Shape::of(key.as_bytes()), key.as_bytes()).expect("nobody else has it").id
    }

    fn shapes(tree: &PrefixTree) -> Vec<String> {
        tree.snapshot().names.into_iter().map(|name| name.shape).collect()
    }

    #[test]
    fn a_worker_does_not_wait_for_the_tree() {
        let tree = Arc::new(PrefixTree::default());
        let mut worker = crate::observers::prefixes::record::Prefixes::new(tree.clone());
        let held = tree.nodes.lock();
        assert_eq!(worker.resolve(b"user:1:cart"), ROOT);
        drop(held);
        let node = worker.resolve(b"user:2:cart");
        assert_ne!(node, ROOT);
        let _held = tree.nodes.lock();
        assert_eq!(worker.resolve(b"user:3:cart"), node, "a known shape needs no tree");
    }

    #[test]
    fn shapes_share_nodes() {
        let tree = PrefixTree::default();
        assert_eq!(place(&tree, "user:1:cart"), place(&tree, "user:2:cart"));
        assert_ne!(place(&tree, "user:1:cart"), place(&tree, "user:1"));
        assert_eq!(shapes(&tree), ["(other)", "user", "user:{n}", "user:{n}:cart"]);
    }

    #[test]
    fn no_two_shapes_are_written_alike() {
        let tree = PrefixTree::default();
        for key in ["", "(other)", "\"\"", "{n}", "7", "a{n}", "a7", "{*}:x", "a\\", " ", ":b ", "{tag}:x"] {
            place(&tree, key);
        }
        let expected = [
            "(other)",
            "\"\"",
            ":b\\x20",
            "\\(other)",
            "\\\"\"",
            "\\{n}",
            "{n}",
            "a\\{n}",
            "a{n}",
            "\\{*}",
            "\\{*}:x",
            "a\\\\",
            "\\x20",
            "{tag}",
            "{tag}:x",
        ];
        assert_eq!(shapes(&tree), expected);
    }

    #[test]
    fn wide_nodes_collapse_and_forward_their_subtrees() {
        let tree = PrefixTree::default();
        let names: Vec<String> =
            (0..200).map(|i| format!("{}{}x", (b'a' + i / 26) as char, (b'a' + i % 26) as char)).collect();
        let old: Vec<u16> = names.iter().map(|name| place(&tree, &format!("tenant:{name}:jobs"))).collect();
        assert!(shapes(&tree).contains(&"tenant:{*}:jobs".to_owned()), "{:?}", shapes(&tree));
        assert_eq!(shapes(&tree).len(), 4);
        let now = place(&tree, "tenant:new:jobs");
        for id in old {
            assert_eq!(tree.target(id), now);
        }
    }

    #[test]
    fn exhaustion_falls_back_to_the_ancestor() {
        let tree = PrefixTree::default();
        let word = |i: usize| -> String {
            [i / 676, i / 26 % 26, i % 26].map(|c| (b'a' + c as u8) as char).iter().collect()
        };
        for top in 0..400 {
            for below in 0..30 {
                place(&tree, &format!("{}:{}", word(top), word(below)));
            }
        }
        let used = tree.snapshot().used;
        assert!(used <= NODES_MAX);
        let (ancestor, deep) =
            (place(&tree, &word(3)), place(&tree, &format!("{}:{}:x:y", word(3), word(2))));
        assert!(ancestor != ROOT && deep != ROOT);
        assert!(tree.memory_bytes() <= PrefixTree::memory_bytes_max());
    }

    #[test]
    fn released_ids_are_used_again_and_never_forwarded_to() {
        let tree = PrefixTree::default();
        let gone = place(&tree, "old:thing");
        let waiting = tree.retire(|id| id == gone);
        assert_eq!(waiting, [gone]);
        assert_eq!(tree.target(gone), place(&tree, "old"));
        tree.release(&waiting);
        assert_eq!(place(&tree, "fresh"), gone);
    }
}
