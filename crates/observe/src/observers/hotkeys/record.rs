//! Observer 2: which keys are hot, by operations, CPU and bytes, in the last windows and since the reset.
//!
//! Three Space-Saving summaries are fed with the commands that were sampled: by operations, by CPU time and by
//! bytes. The latter two take only commands that cost something ([`COSTLY_CPU_NS`], [`COSTLY_BYTES`]): a rare
//! but heavy key would never win a slot by operations, and a light one that is heavy in sum is in the first.
//! Once a second [`HotKeys::rotate`] freezes them: the window is kept and merged into the total, in the way
//! of *Mergeable Summaries* (Agarwal et al., PODS 2012). The heaviest keys of a window keep their slots in the next.
//!
//! It is not a list of all keys, and a count is not exact.
//!
//! Invariants:
//! 1. For every key of a summary `count - error <= weight seen <= count`; a key that is missing has at most
//!    `unmonitored`, which is at most `total / K` and stays so through merging.
//! 2. Counts are of sampled commands times their weight. For depth classes that sample (see `sampler`) the
//!    figure has a deviation of `sqrt((interval - 1) * count)` besides; [`Summary::sampling_error`] gives two.
//! 3. CPU, bytes, reads, writes and misses of a key are counted while it holds its slot: lower bounds.
//! 4. A key's name is copied once it is proven heavy in its window: [`NAME_BYTES_MAX`] of it into the summary, and the
//!    whole of a longer one beside (`long_names`), as long as there is room. What was cut says its length.
//! 5. Memory: [`HotKeys::memory_bytes_max`], whatever the traffic.
//! 6. Accesses that came while a reporter had the summaries have no name; those that there was no room for are in the total
//!    of operations, and each key may have had them: they are in its error.
//!
//! Thread safety: plain values, but for [`HotKeyRecorder`], which is owned by one recorder, see `kept`. A copy for a
//! reporter shares what is frozen.

use super::key_summary::{name_bytes, with_database};
use super::long_names::LongNames;
use super::space_saving::{Slot, SpaceSaving};
use crate::record::kept::{Keeper, Kept, Summary as KeptSummary, late_bytes_max};
use std::collections::VecDeque;
use std::sync::Arc;

pub use super::key_summary::{HotKey, KeyName, NAME_BYTES_MAX, NAME_HEAD_BYTES, Summary};

/// Slots of the summary by operations. 64 find a third of a Zipf top 20, 256 all of it. On the demo's recording, whose
/// hot keys are flat, the certain count of one of the true top 20 was 62 % short with 512, 12 % with 1,024.
pub const OPERATION_SLOTS: usize = 1024;
/// Slots of each of the summaries by CPU and bytes: only costly commands compete there.
pub const COSTLY_SLOTS: usize = 128;
/// So many of a window's heaviest keys keep their slots in the next one, where they are counted exactly: a key that
/// stays hot has no error but that of its first window (demo's recording, top 10: 0.5 % instead of 2.5 %).
pub const KEPT_KEYS: usize = 64;
/// A command from here on enters the summary by CPU.
pub const COSTLY_CPU_NS: u32 = 4_000;
/// A command that moves this much enters the summary by bytes.
pub const COSTLY_BYTES: u32 = 4_096;
/// Frozen windows kept.
pub const WINDOWS: usize = 5;
/// Keys kept of a frozen window.
pub const WINDOW_KEYS: usize = 64;
/// Length of a window.
pub const WINDOW_MS: u64 = 1_000;
/// A name is copied when a key surely has more than this fraction (1/n) of the window's weight.
const PROVEN_FRACTION: u64 = 1_024;

/// What a command did to a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read, and it was there.
    Read,
    /// Written or deleted.
    Write,
    /// Read, and it was not there.
    Miss,
}

#[derive(Clone, Default)]
struct Detail {
    name: Option<Arc<KeyName>>,
    cpu_ns: u64,
    bytes: u64,
    reads: u32,
    writes: u32,
    misses: u32,
    db: u8,
    samples: u16,
}

impl Detail {
    fn into_key(self, hash: u64, count: u64, error: u64) -> HotKey {
        HotKey {
            hash,
            db: self.db,
            name: self.name,
            count,
            error,
            reads: u64::from(self.reads),
            writes: u64::from(self.writes),
            misses: u64::from(self.misses),
            cpu_ns: self.cpu_ns,
            bytes: self.bytes,
            samples: u64::from(self.samples),
        }
    }
}

/// Takes the keys out of a live summary, and keeps slots for the heaviest.
fn freeze(live: &mut SpaceSaving<Detail>, samples: u64) -> Summary {
    let (unmonitored, total) = (live.unmonitored(), live.total());
    let keys = live.drain().map(|(slot, count)| slot.detail.into_key(slot.hash, count, slot.error)).collect();
    let frozen = Summary::new(keys, unmonitored, total, samples);
    frozen.top(KEPT_KEYS).iter().for_each(|key| live.keep(key.hash).detail.db = key.db);
    frozen
}

/// Copies the keys of a live summary.
fn peek(live: &SpaceSaving<Detail>, samples: u64) -> Summary {
    let key =
        |(slot, count): (&Slot<Detail>, u64)| slot.detail.clone().into_key(slot.hash, count, slot.error);
    let keys = live.items().map(key).collect();
    Summary::new(keys, live.unmonitored(), live.total(), samples)
}

/// A frozen window.
#[derive(Clone, PartialEq, Debug)]
pub struct Window {
    /// When it was frozen, milliseconds of the clock given to [`HotKeys::rotate`].
    pub end_ms: u64,
    /// How long it was.
    pub span_ms: u64,
    /// By operations.
    pub operations: Summary,
}

impl Window {
    fn is_recent(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.end_ms) <= (WINDOWS as u64 + 1) * WINDOW_MS
    }
}

/// What one worker knows of hot keys.
#[derive(Clone)]
pub struct HotKeys {
    operations: SpaceSaving<Detail>,
    cpu: SpaceSaving<Detail>,
    bytes: SpaceSaving<Detail>,
    samples: u64,
    window_start_ms: u64,
    previous_total: u64,
    windows: VecDeque<Arc<Window>>,
    long_names: LongNames,
    /// Weight of operations that came while a reporter had the summaries, and that there was no room for.
    missed: u64,
    operations_total: Arc<Summary>,
    cpu_total: Arc<Summary>,
    bytes_total: Arc<Summary>,
}

impl Default for HotKeys {
    fn default() -> Self {
        Self {
            operations: SpaceSaving::new(OPERATION_SLOTS, KEPT_KEYS),
            cpu: SpaceSaving::new(COSTLY_SLOTS, KEPT_KEYS),
            bytes: SpaceSaving::new(COSTLY_SLOTS, KEPT_KEYS),
            samples: 0,
            window_start_ms: 0,
            previous_total: 0,
            windows: VecDeque::with_capacity(WINDOWS + 1),
            long_names: LongNames::default(),
            missed: 0,
            operations_total: Arc::default(),
            cpu_total: Arc::default(),
            bytes_total: Arc::default(),
        }
    }
}

/// One sampled access to one key.
#[derive(Clone, Copy, Debug)]
pub struct KeyAccess<'a> {
    /// Database.
    pub db: u8,
    /// The key's hash, any good 64-bit one, the same for all workers.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// How many commands the sample stands for.
    pub weight: u32,
    /// What was done.
    pub access: Access,
    /// CPU time of the command, nanoseconds.
    pub cpu_ns: u32,
    /// Bytes of request and reply.
    pub bytes: u32,
}

impl HotKeys {
    /// Records a sampled access.
    #[inline]
    pub fn record(&mut self, access: KeyAccess<'_>) {
        self.take(&access, true);
    }

    /// An access that comes late has no name.
    #[inline]
    fn take(&mut self, access: &KeyAccess<'_>, has_name: bool) {
        let hash = with_database(access.db, access.hash);
        let weight = u64::from(access.weight);
        self.samples += 1;
        let threshold = self.operations.total().max(self.previous_total) / PROVEN_FRACTION;
        let long_names = &mut self.long_names;
        note(self.operations.add(hash, weight), access, has_name, threshold, long_names);
        if access.cpu_ns >= COSTLY_CPU_NS {
            let threshold = self.cpu.total() / PROVEN_FRACTION;
            note(
                self.cpu.add(hash, u64::from(access.cpu_ns) * weight),
                access,
                has_name,
                threshold,
                long_names,
            );
        }
        if access.bytes >= COSTLY_BYTES {
            let threshold = self.bytes.total() / PROVEN_FRACTION;
            note(
                self.bytes.add(hash, u64::from(access.bytes) * weight),
                access,
                has_name,
                threshold,
                long_names,
            );
        }
    }

    /// Closes the window when it is [`WINDOW_MS`] old: 0.1 to 0.2 ms, once a second.
    /// To be called now and then with any clock in milliseconds.
    pub fn rotate(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.window_start_ms) >= WINDOW_MS {
            self.freeze(now_ms);
        }
    }

    #[cold]
    fn freeze(&mut self, now_ms: u64) {
        let span_ms = now_ms.saturating_sub(self.window_start_ms);
        self.window_start_ms = now_ms;
        self.previous_total = self.operations.total();
        if self.operations.total() == 0 {
            return;
        }
        let mut operations = freeze(&mut self.operations, std::mem::take(&mut self.samples));
        operations.miss(std::mem::take(&mut self.missed));
        let mut window = operations.clone();
        window.cut(WINDOW_KEYS);
        self.windows.push_back(Arc::new(Window { end_ms: now_ms, span_ms, operations: window }));
        if self.windows.len() > WINDOWS {
            self.windows.pop_front();
        }
        Arc::make_mut(&mut self.operations_total).merge(operations, OPERATION_SLOTS);
        Arc::make_mut(&mut self.cpu_total).merge(freeze(&mut self.cpu, 0), COSTLY_SLOTS);
        Arc::make_mut(&mut self.bytes_total).merge(freeze(&mut self.bytes, 0), COSTLY_SLOTS);
        self.make_room_for_names();
    }

    /// Long names of keys that are light by every figure make room. Shares, because operations, nanoseconds and bytes
    /// do not compare.
    fn make_room_for_names(&mut self) {
        let totals = [&self.operations_total, &self.cpu_total, &self.bytes_total];
        let share = |summary: &Summary, hash: u64| {
            let certain = summary.by_hash(hash).map_or(0, HotKey::certain);
            u128::from(certain) * u128::from(u32::MAX) / u128::from(summary.total().max(1))
        };
        self.long_names
            .make_room(|hash| totals.iter().map(|summary| share(summary, hash)).max().unwrap_or(0) as u64);
    }

    /// Accesses recorded since the reset.
    pub fn samples(&self) -> u64 {
        self.samples + self.operations_total.samples()
    }

    /// Bytes held now.
    pub fn memory_bytes(&self) -> usize {
        let live = |summary: &SpaceSaving<Detail>| {
            summary.memory_bytes()
                + summary.items().map(|(slot, _)| name_bytes(&slot.detail.name)).sum::<usize>()
        };
        let totals = [&self.operations_total, &self.cpu_total, &self.bytes_total];
        self.long_names.memory_bytes()
            + live(&self.operations)
            + live(&self.cpu)
            + live(&self.bytes)
            + totals.iter().map(|summary| summary.memory_bytes()).sum::<usize>()
            + self
                .windows
                .iter()
                .map(|window| size_of::<Window>() + window.operations.memory_bytes())
                .sum::<usize>()
    }

    /// The bound of what one worker holds: 1 MiB if every name is as long as it may be, a third typically.
    pub const fn memory_bytes_max() -> usize {
        let name = NAME_BYTES_MAX + NAME_HEAD_BYTES;
        let live = SpaceSaving::<Detail>::memory_bytes_max(OPERATION_SLOTS, KEPT_KEYS)
            + 2 * SpaceSaving::<Detail>::memory_bytes_max(COSTLY_SLOTS, KEPT_KEYS);
        let slots = OPERATION_SLOTS + 2 * COSTLY_SLOTS;
        let names = (2 * slots + 3 * KEPT_KEYS) * name;
        // A total may keep the room of both sides of its last merge.
        let totals = (2 * slots + 3 * KEPT_KEYS) * size_of::<HotKey>();
        let long_names = LongNames::memory_bytes_max();
        live + totals
            + late_bytes_max::<HotKeys>()
            + names
            + long_names
            + WINDOWS * (size_of::<Window>() + WINDOW_KEYS * (size_of::<HotKey>() + name))
    }
}

/// An access that came while a reporter had the summaries.
#[derive(Clone, Copy)]
pub struct LateAccess {
    hash: u64,
    weight: u32,
    cpu_ns: u32,
    bytes: u32,
    access: Access,
    db: u8,
}

impl KeptSummary for HotKeys {
    type Event = LateAccess;

    fn take_late(&mut self, event: LateAccess) {
        let LateAccess { hash, weight, cpu_ns, bytes, access, db } = event;
        self.take(&KeyAccess { db, hash, key: b"", weight, access, cpu_ns, bytes }, false);
    }

    fn take_missed(&mut self, weight: u64) {
        self.missed += weight;
    }

    fn held_bytes(&self) -> usize {
        self.memory_bytes()
    }

    fn forget(&mut self) {
        let window_start_ms = self.window_start_ms;
        *self = Self { window_start_ms, ..Self::default() };
    }
}

/// The worker's side of [`HotKeys`].
#[derive(Default)]
pub struct HotKeyRecorder {
    keeper: Keeper<HotKeys>,
    /// As the summaries have it.
    window_start_ms: u64,
}

impl HotKeyRecorder {
    /// Records a sampled access.
    #[inline]
    pub fn record(&mut self, access: KeyAccess<'_>) {
        if let Some(mut hotkeys) = self.keeper.try_open() {
            hotkeys.record(access);
        } else {
            let KeyAccess { db, hash, weight, access, cpu_ns, bytes, .. } = access;
            let late = LateAccess { hash, weight, cpu_ns, bytes, access, db };
            self.keeper.note(late, u64::from(weight));
        }
    }

    /// See [`HotKeys::rotate`]. While a reporter has the summaries, the window goes on. What came late is settled: the
    /// worker may have no more commands.
    #[inline]
    pub fn rotate(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.window_start_ms) >= WINDOW_MS {
            self.close_window(now_ms);
        } else if self.keeper.has_late() {
            self.keeper.try_open();
        }
    }

    #[cold]
    fn close_window(&mut self, now_ms: u64) {
        let Some(mut hotkeys) = self.keeper.try_open() else { return };
        hotkeys.rotate(now_ms);
        drop(hotkeys);
        self.window_start_ms = now_ms;
        self.keeper.weigh();
    }

    /// What others read.
    pub fn kept(&self) -> Arc<Kept<HotKeys>> {
        self.keeper.kept()
    }
}

#[inline]
fn note(
    slot: (&mut Slot<Detail>, u64),
    access: &KeyAccess<'_>,
    has_name: bool,
    threshold: u64,
    long_names: &mut LongNames,
) {
    let (slot, count) = slot;
    let detail = &mut slot.detail;
    let weight = access.weight;
    let times = u64::from(weight);
    detail.db = access.db;
    detail.samples = detail.samples.saturating_add(1);
    detail.cpu_ns += u64::from(access.cpu_ns) * times;
    detail.bytes += u64::from(access.bytes) * times;
    let counter = match access.access {
        Access::Read => &mut detail.reads,
        Access::Write => &mut detail.writes,
        Access::Miss => &mut detail.misses,
    };
    *counter = counter.saturating_add(weight);
    if detail.name.is_none() && count - slot.error > threshold && has_name {
        detail.name = Some(Arc::new(KeyName::copy(access.key)));
        if access.key.len() > NAME_BYTES_MAX {
            long_names.keep(slot.hash, access.key);
        }
    }
}

/// The hot keys of all workers, merged.
#[derive(Clone, Default, Debug)]
pub struct HotKeysSnapshot {
    /// Since the reset, by operations.
    pub operations: Summary,
    /// Since the reset, by CPU nanoseconds of commands from [`COSTLY_CPU_NS`].
    pub cpu: Summary,
    /// Since the reset, by bytes of commands from [`COSTLY_BYTES`].
    pub bytes: Summary,
    /// The last complete window, by operations.
    pub window: Summary,
    /// How long that window was, the longest of the workers'.
    pub window_ms: u64,
    /// The windows still kept, by operations: the last seconds.
    pub recent: Summary,
    /// How long they were together, the longest of the workers'.
    pub recent_ms: u64,
}

impl HotKeysSnapshot {
    /// Adds one worker's. `now_ms` as given to [`HotKeys::rotate`]: a window that ended more than two windows
    /// ago is not "now" (the worker is idle).
    pub fn add(&mut self, worker: &HotKeys, now_ms: u64) {
        let slots = |summary: &Summary, slots: usize| summary.keys().len().max(slots) + slots;
        let totals = [
            (
                &mut self.operations,
                &worker.operations_total,
                &worker.operations,
                worker.samples,
                OPERATION_SLOTS,
            ),
            (&mut self.cpu, &worker.cpu_total, &worker.cpu, 0, COSTLY_SLOTS),
            (&mut self.bytes, &worker.bytes_total, &worker.bytes, 0, COSTLY_SLOTS),
        ];
        for (merged, past, live, samples, capacity) in totals {
            let room = slots(merged, capacity);
            merged.merge(Summary::clone(past), room);
            merged.merge(peek(live, samples), room);
        }
        self.operations.miss(worker.missed);
        let mut recent_ms = 0;
        let kept = worker.windows.iter().enumerate();
        for (age, window) in kept.filter(|(_, window)| window.is_recent(now_ms)) {
            recent_ms += window.span_ms;
            let room = slots(&self.recent, WINDOW_KEYS);
            self.recent.merge(window.operations.clone(), room);
            if age + 1 == worker.windows.len() && now_ms.saturating_sub(window.end_ms) <= 2 * WINDOW_MS {
                self.window_ms = self.window_ms.max(window.span_ms);
                let room = slots(&self.window, WINDOW_KEYS);
                self.window.merge(window.operations.clone(), room);
            }
        }
        self.recent_ms = self.recent_ms.max(recent_ms);
        let summaries =
            [&mut self.operations, &mut self.cpu, &mut self.bytes, &mut self.window, &mut self.recent];
        summaries.into_iter().for_each(|summary| summary.complete_names(&worker.long_names));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sampler::Sampler;
    use std::collections::HashMap;

    /// A seeded stream of keys, uniform or like Zipf with exponent 1 (by inversion of the harmonic sum).
    struct Stream {
        state: u64,
        cumulative: Vec<f64>,
    }

    impl Stream {
        fn zipf(seed: u64, keys: usize, exponent: f64) -> Self {
            println!("seed {seed:#x}, {keys} keys, exponent {exponent}");
            let mut sum = 0.0;
            let cumulative = (1..=keys)
                .map(|rank| {
                    sum += (rank as f64).powf(-exponent);
                    sum
                })
                .collect();
            Self { state: seed, cumulative }
        }

        fn uniform(&mut self) -> f64 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state >> 11) as f64 / (1u64 << 53) as f64
        }

        fn next(&mut self) -> u64 {
            let at = self.uniform() * self.cumulative[self.cumulative.len() - 1];
            self.cumulative.partition_point(|&sum| sum < at) as u64
        }
    }

    fn hash(key: u64) -> u64 {
        (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    fn read(hotkeys: &mut HotKeys, key: u64, weight: u32) {
        let name = format!("key:{key}");
        hotkeys.record(KeyAccess {
            db: 0,
            hash: hash(key),
            key: name.as_bytes(),
            weight,
            access: Access::Read,
            cpu_ns: 100,
            bytes: 50,
        });
    }

    fn names(keys: &[&HotKey]) -> Vec<String> {
        let name =
            |key: &&HotKey| key.name.as_ref().map(|name| String::from_utf8_lossy(name.bytes()).into_owned());
        keys.iter().map(|key| name(key).unwrap_or_default()).collect()
    }

    #[test]
    fn the_top_20_of_zipf_traffic_over_workers_and_windows_is_recalled_within_the_bound() {
        let mut stream = Stream::zipf(0x71BF_0001, 100_000, 1.0);
        let mut workers = [HotKeys::default(), HotKeys::default()];
        let mut truth: HashMap<u64, u64> = HashMap::new();
        let accesses = 600_000u64;
        for access in 0..accesses {
            let key = stream.next();
            *truth.entry(key).or_default() += 1;
            let worker = &mut workers[(access % 2) as usize];
            read(worker, key, 1);
            worker.rotate(access / 50);
        }
        let now_ms = accesses / 50;
        let mut merged = HotKeysSnapshot::default();
        workers.iter().for_each(|worker| merged.add(worker, now_ms));
        let summary = &merged.operations;
        assert_eq!(summary.total(), accesses);
        assert_eq!(summary.samples(), accesses);
        assert_eq!(summary.sampling_error(1_000), 0);
        assert!(summary.unmonitored() <= accesses / OPERATION_SLOTS as u64);
        for (&key, &real) in &truth {
            match summary.get(0, hash(key)) {
                Some(found) => assert!(found.count - found.error <= real && real <= found.count),
                None => assert!(real <= summary.unmonitored(), "key {key}: {real}"),
            }
        }
        let mut real: Vec<(u64, u64)> = truth.into_iter().map(|(key, count)| (count, key)).collect();
        real.sort_unstable_by_key(|&(count, key)| (std::cmp::Reverse(count), key));
        let found = names(&summary.top(20));
        let recalled = real[..20].iter().filter(|(_, key)| found.contains(&format!("key:{key}"))).count();
        assert!(recalled >= 19, "{recalled} of 20: {found:?}");
        assert!(found.iter().all(|name| !name.is_empty()), "heavy keys have names");
        assert!(!merged.window.top(5).is_empty() && merged.window_ms >= WINDOW_MS);
    }

    #[test]
    fn a_key_that_stays_hot_is_counted_exactly_after_its_first_window() {
        // Three times as many keys as slots, so that every slot that can change hands does.
        let mut stream = Stream::zipf(0x71BF_0005, 3 * OPERATION_SLOTS, 0.3);
        let mut hotkeys = HotKeys::default();
        let (windows, window_accesses) = (6u64, 20_000u64);
        let mut real = 0;
        for access in 0..windows * window_accesses {
            let is_hot = access % 50 == 0;
            real += u64::from(is_hot && access >= window_accesses);
            read(&mut hotkeys, if is_hot { 1 << 40 } else { stream.next() }, 1);
            if (access + 1) % window_accesses == 0 {
                hotkeys.rotate((access / window_accesses + 1) * WINDOW_MS);
            }
            if access + 1 == window_accesses {
                hotkeys.operations_total = Arc::default();
            }
        }
        let key = hotkeys.operations_total.get(0, hash(1 << 40)).expect("listed");
        assert_eq!((key.count, key.error), (real, 0));
        assert!(hotkeys.operations_total.unmonitored() > 0, "the others competed");
    }

    #[test]
    fn sampled_counts_stay_within_the_stated_error() {
        let mut stream = Stream::zipf(0x71BF_0002, 10_000, 1.0);
        let (mut hotkeys, mut sampler) = (HotKeys::default(), Sampler::new(3));
        sampler.set_batch_depth(64);
        let mut truth: HashMap<u64, u64> = HashMap::new();
        for _ in 0..800_000 {
            let key = stream.next();
            *truth.entry(key).or_default() += 1;
            let weight = sampler.sample();
            if weight > 0 {
                read(&mut hotkeys, key, weight);
            }
        }
        hotkeys.rotate(WINDOW_MS);
        let summary = &hotkeys.operations_total;
        let mut inside = 0;
        let top = summary.top(20);
        for key in &top {
            let real = (0..10_000).find(|&k| hash(k) == key.hash).map_or(0, |k| truth[&k]);
            let margin = summary.sampling_error(key.count);
            assert!(margin > 0);
            inside += usize::from(key.count + margin >= real && key.count - key.error <= real + margin);
        }
        // Two deviations hold 95 % of the keys: 17 of 20 fails about once in a hundred seeds, and the seed is fixed.
        assert!(inside >= 17, "{inside} of 20 within two deviations");
    }

    #[test]
    fn uniform_traffic_has_no_heavy_key_and_copies_few_names() {
        let mut stream = Stream::zipf(0x71BF_0003, 50_000, 0.0);
        let mut hotkeys = HotKeys::default();
        for access in 0..200_000u64 {
            let key = stream.next();
            read(&mut hotkeys, key, 1);
            hotkeys.rotate(access / 20);
        }
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, 10_000);
        for key in merged.operations.top(20) {
            assert!((key.count - key.error) * 100 < merged.operations.total(), "no key surely has 1 %");
        }
    }

    #[test]
    fn a_rare_but_costly_key_is_found_by_cpu_and_bytes() {
        let mut stream = Stream::zipf(0x71BF_0004, 20_000, 0.0);
        let mut hotkeys = HotKeys::default();
        for access in 0..100_000u64 {
            let key = stream.next();
            read(&mut hotkeys, key, 1);
            if access % 1_000 == 0 {
                let (cpu_ns, bytes) = (2_000_000, 1_000_000);
                let name = b"report:huge";
                hotkeys.record(KeyAccess {
                    db: 1,
                    hash: 42,
                    key: name,
                    weight: 1,
                    access: Access::Write,
                    cpu_ns,
                    bytes,
                });
            }
            hotkeys.rotate(access / 20);
        }
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, 5_000);
        let by_cpu = merged.cpu.top(1)[0];
        assert_eq!(names(&[by_cpu]), ["report:huge"]);
        assert_eq!((by_cpu.db, by_cpu.writes, by_cpu.cpu_ns), (1, 100, 200_000_000));
        assert!(by_cpu.count - by_cpu.error <= 200_000_000 && by_cpu.count >= 200_000_000);
        assert_eq!(names(&[merged.bytes.top(1)[0]]), ["report:huge"]);
    }

    #[test]
    fn memory_is_bounded_with_the_longest_names() {
        // Each window has a thousand keys of its own, each heavy enough for a name; the totals keep those of others.
        let (keys_per_window, windows) = (1_000, 8);
        let mut hotkeys = HotKeys::default();
        let mut name = vec![b'k'; 10_000];
        for access in 0..windows * 20_000u64 {
            let window = access / 20_000;
            let key = window * keys_per_window + access % keys_per_window;
            name[..8].copy_from_slice(&key.to_le_bytes());
            hotkeys.record(KeyAccess {
                db: (key % 16) as u8,
                hash: hash(key),
                key: &name,
                weight: 16,
                access: Access::Miss,
                cpu_ns: 1_000_000,
                bytes: 1_000_000,
            });
            hotkeys.rotate(window * WINDOW_MS);
        }
        let (held, bound) = (hotkeys.memory_bytes(), HotKeys::memory_bytes_max());
        assert!(held <= bound && held > bound / 2, "{held} of {bound}");
        assert!(bound <= 1 << 20, "{bound}");
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, windows * WINDOW_MS);
        let key = merged.operations.top(1)[0].name.clone().expect("named");
        assert!(key.is_shortened() && key.length() == 10_000 && key.bytes().len() == NAME_BYTES_MAX);
        let whole = merged.operations.keys().iter().filter_map(|key| key.name.as_ref());
        let whole = whole.filter(|name| name.bytes().len() == 10_000).count();
        assert!((1..=13).contains(&whole), "{whole} long names fit");
        hotkeys.forget();
        assert_eq!(hotkeys.samples(), 0);
    }

    #[test]
    fn long_names_of_hot_keys_are_known_whole() {
        let mut hotkeys = HotKeys::default();
        let long = |at: u64| format!("{at}:{}", "long".repeat(500));
        for second in 1..20 {
            for access in 0..2_000_u64 {
                // Half of the traffic is for three keys; the names of the others would fill the room many times.
                let key =
                    if access % 2 == 0 { access / 2 % 3 } else { 10 + (second * 2_000 + access) % 3_000 };
                hotkeys.record(KeyAccess {
                    db: 2,
                    hash: hash(key),
                    key: long(key).as_bytes(),
                    weight: 1,
                    access: Access::Read,
                    cpu_ns: 100,
                    bytes: 50,
                });
            }
            hotkeys.rotate(second * WINDOW_MS);
        }
        assert!(hotkeys.memory_bytes() <= HotKeys::memory_bytes_max());
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, 20_000);
        for summary in [&merged.operations, &merged.window, &merged.recent] {
            let mut found = names(&summary.top(3));
            found.sort();
            assert_eq!(found, [long(0), long(1), long(2)]);
        }
    }

    #[test]
    fn a_kept_key_that_rests_for_a_window_stays_in_its_database() {
        let mut hotkeys = HotKeys::default();
        let mut record = |db, key, second: u64| {
            hotkeys.record(KeyAccess {
                db,
                hash: hash(key),
                key: b"key",
                weight: 1,
                access: Access::Read,
                cpu_ns: 100,
                bytes: 50,
            });
            hotkeys.rotate(second * WINDOW_MS);
        };
        record(3, 1, 1);
        record(5, 2, 2);
        record(5, 2, 3);
        let databases: Vec<_> =
            hotkeys.windows.iter().flat_map(|window| window.operations.keys()).map(|key| key.db).collect();
        assert!(databases.len() >= 4 && databases.iter().all(|db| [3, 5].contains(db)), "{databases:?}");
    }

    #[test]
    fn the_bytes_of_the_largest_replies_add_up() {
        let mut hotkeys = HotKeys::default();
        for _ in 0..64 {
            hotkeys.record(KeyAccess {
                db: 0,
                hash: hash(1),
                key: b"huge",
                weight: 16,
                access: Access::Read,
                cpu_ns: u32::MAX,
                bytes: 512 << 20,
            });
        }
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, 0);
        let key = merged.bytes.top(1)[0];
        let real = 64 * 16 * (512 << 20);
        assert_eq!((key.count, key.error, key.bytes, merged.bytes.total()), (real, 0, real, real));
        assert_eq!(key.cpu_ns, 64 * 16 * u64::from(u32::MAX));
    }

    #[test]
    fn quiet_traffic_shows_its_keys() {
        let mut hotkeys = HotKeys::default();
        for second in 0..20 {
            read(&mut hotkeys, 5, 1);
            hotkeys.rotate(second * 1_000);
        }
        let mut merged = HotKeysSnapshot::default();
        merged.add(&hotkeys, 19_000);
        assert_eq!(names(&merged.operations.top(1)), ["key:5"]);
        assert_eq!(merged.operations.get(0, hash(5)).map(|key| (key.count, key.error)), Some((20, 0)));
        assert!(merged.operations.get(1, hash(5)).is_none());
    }

    #[test]
    fn bounds_hold_though_a_reporter_has_the_summaries_for_long() {
        let mut stream = Stream::zipf(0x71BF_0006, 5_000, 1.0);
        let mut recorder = HotKeyRecorder::default();
        let kept = recorder.kept();
        let mut truth: HashMap<u64, u64> = HashMap::new();
        let mut some = |recorder: &mut HotKeyRecorder, accesses: u64| {
            for _ in 0..accesses {
                let key = stream.next();
                *truth.entry(key).or_default() += 1;
                let name = format!("key:{key}");
                let (hash, access) = (hash(key), Access::Read);
                recorder.record(KeyAccess {
                    db: 0,
                    hash,
                    key: name.as_bytes(),
                    weight: 1,
                    access,
                    cpu_ns: 100,
                    bytes: 50,
                });
            }
        };
        for second in 1..10 {
            some(&mut recorder, 3_000);
            // What does not fit into the list of late ones is missed, but for what then rotates.
            kept.read(|_| some(&mut recorder, 900));
            if second % 2 == 0 {
                recorder.rotate(second * WINDOW_MS);
            }
        }
        some(&mut recorder, 1);
        let mut merged = HotKeysSnapshot::default();
        merged.add(&kept.copy(), 10_000);
        let summary = &merged.operations;
        assert_eq!(summary.total(), truth.values().sum::<u64>());
        for (&key, &real) in &truth {
            match summary.get(0, hash(key)) {
                Some(found) => {
                    assert!(found.certain() <= real && real <= found.count, "{key}: {real} {found:?}")
                }
                None => assert!(real <= summary.unmonitored(), "key {key}: {real}"),
            }
        }
        assert!(summary.top(5).iter().all(|key| key.error >= 9 * 300), "they say what was missed");
        let names = names(&summary.top(5));
        assert!(names.iter().all(|name| name.starts_with("key:")), "{names:?}");
    }
}
