//! Several workers and a maintaining thread at once: the sums of keys and bytes stay exact.

use observe::record::ledger::Ledger;
use observe::record::maintenance::Maintenance;
use observe::record::prefix::{PrefixCells, PrefixSnapshot, Prefixes};
use observe::record::prefix_tree::{NODES_MAX, PrefixTree};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn word(&mut self, different: u64) -> String {
        let mut n = self.below(different);
        let mut word = String::new();
        for _ in 0..4 {
            word.push((b'g' + (n % 20) as u8) as char);
            n /= 20;
        }
        word
    }
}

/// Adds and removes keys of ever new namespaces; what it leaves stored is returned. Entries are exchanged
/// through `pool`, so that one worker removes what another added.
fn work(mut prefixes: Prefixes, pool: &Mutex<Vec<(u16, usize)>>, mut random: Random) -> (i64, i64) {
    let (mut keys, mut bytes) = (0i64, 0i64);
    for batch in 0..3_000u64 {
        let era = batch / 300;
        let mut entries = std::mem::take(&mut *pool.lock());
        prefixes.begin_batch();
        for _ in 0..32 {
            if entries.len() < 600 && random.below(5) < 3 {
                let key = format!("era{era}x/{}/{}", random.word(60), random.word(60));
                let node = prefixes.resolve(key.as_bytes());
                prefixes.added(node, key.len(), 10, key.len() + 26);
                prefixes.read(node, 1, true, 1);
                entries.push((node, key.len()));
                (keys, bytes) = (keys + 1, bytes + key.len() as i64 + 26);
            } else if !entries.is_empty() {
                let (node, length) = entries.swap_remove(random.below(entries.len() as u64) as usize);
                prefixes.removed(node, length, 10, length + 26);
                (keys, bytes) = (keys - 1, bytes - length as i64 - 26);
            }
        }
        pool.lock().append(&mut entries);
    }
    (keys, bytes)
}

#[test]
fn sums_stay_exact_while_ids_are_reused_under_the_workers() {
    let seed = 0x7EA4_0001u64;
    println!("seed {seed:#x}");
    let tree = Arc::new(PrefixTree::default());
    let ledger = Ledger::default();
    let workers: Vec<Prefixes> = (0..3).map(|_| Prefixes::new(tree.clone())).collect();
    let cells: Vec<Arc<PrefixCells>> = workers.iter().map(Prefixes::cells).collect();
    let (pool, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let (keys, bytes, released) = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .zip(1_u64..)
            .map(|(worker, number)| {
                let pool = &pool;
                scope.spawn(move || work(worker, pool, Random(seed ^ number << 32)))
            })
            .collect();
        let maintainer = scope.spawn(|| {
            let cells: Vec<&PrefixCells> = cells.iter().map(|cells| &**cells).collect();
            let (mut released, mut maintenance) = (0, Maintenance::default());
            while !done.load(Ordering::Relaxed) {
                released += maintenance.turn(&tree, &ledger, &cells);
                std::thread::yield_now();
            }
            released
        });
        let mut sums = (0, 0);
        for thread in threads {
            let (keys, bytes) = thread.join().expect("worker");
            sums = (sums.0 + keys, sums.1 + bytes);
        }
        done.store(true, Ordering::Relaxed);
        (sums.0, sums.1, maintainer.join().expect("maintainer"))
    });
    let mut snapshot = PrefixSnapshot::default();
    cells.iter().for_each(|worker| snapshot.add(worker));
    ledger.apply(&mut snapshot);
    let (total, prefixes) = (snapshot.total(), snapshot.prefixes(&tree.snapshot()));
    assert_eq!((total.keys, total.bytes), (keys, bytes));
    assert_eq!(total.keys, pool.lock().len() as i64);
    assert_eq!(prefixes[0].subtree, total);
    assert!(
        prefixes.iter().all(|prefix| prefix.own.keys >= 0 && prefix.own.bytes >= 0),
        "an id was reused early"
    );
    assert!(tree.snapshot().used <= NODES_MAX);
    assert!(released > 0, "the workload must exhaust the ids, else nothing is shown");
}
