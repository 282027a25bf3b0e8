//! Who watches keys of a stripe: the flags of transactions, by the key's hash.
//!
//! A stripe only refers to a flag, which belongs to its connection: letting go of it ends all the watches it stood for,
//! without a visit to any stripe. What has ended is swept whenever the number of watches has doubled.
//!
//! Invariant: equal hashes abort one transaction too many at worst, never one too few.
//!
//! Thread safety: none of its own; the stripe's lock guards every access.

use super::WatchFlag;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

type ByHash = HashMap<u64, Vec<Weak<AtomicBool>>>;

/// See the module's text.
#[derive(Default)]
pub(super) struct Watches(Option<Box<ByHash>>);

impl Watches {
    /// Whether anybody watches a key.
    pub(super) fn is_any(&self) -> bool {
        self.0.iter().flat_map(|watches| watches.values()).flatten().any(is_watching)
    }

    /// Tells the transactions that watch a key of this hash.
    #[inline(always)]
    pub(super) fn touch(&self, hash: u64) {
        if let Some(watches) = &self.0 {
            watches.get(&hash).into_iter().flatten().for_each(set);
        }
    }

    /// Tells the transactions that watch keys for which `changes` says so; for whole-database commands.
    pub(super) fn touch_where(&self, changes: impl Fn(u64) -> bool) {
        for (hash, flags) in self.0.iter().flat_map(|watches| watches.iter()) {
            if changes(*hash) {
                flags.iter().for_each(set);
            }
        }
    }

    pub(super) fn add(&mut self, hash: u64, flag: &WatchFlag) {
        let watches = self.0.get_or_insert_default();
        if watches.len().is_power_of_two() {
            sweep(watches);
        }
        let flags = watches.entry(hash).or_default();
        if flags.len().is_power_of_two() {
            flags.retain(is_watching);
        }
        if !flags.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(flag))) {
            flags.push(Arc::downgrade(flag));
        }
    }
}

fn set(flag: &Weak<AtomicBool>) {
    if let Some(flag) = flag.upgrade() {
        flag.store(true, Relaxed);
    }
}

fn is_watching(flag: &Weak<AtomicBool>) -> bool {
    flag.strong_count() > 0
}

fn sweep(watches: &mut ByHash) {
    watches.retain(|_, flags| {
        flags.retain(is_watching);
        !flags.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_end_with_their_flag_and_do_not_pile_up() {
        let mut watches = Watches::default();
        let kept = WatchFlag::default();
        watches.add(7, &kept);
        for hash in 0..10_000 {
            let passing = WatchFlag::default();
            watches.add(hash, &passing);
            watches.add(7, &passing);
        }
        let held: usize = watches.0.iter().flat_map(|watches| watches.values()).map(Vec::len).sum();
        assert!(held <= 4, "{held} watches of flags that are gone");
        watches.touch(3);
        assert!(!kept.load(Relaxed) && watches.is_any());
        watches.touch_where(|hash| hash == 7);
        assert!(kept.load(Relaxed));
        drop(kept);
        assert!(!watches.is_any());
    }
}
