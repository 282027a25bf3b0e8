//! The clock every timing is taken from: the processor's time-stamp counter where it is invariant.
//!
//! Readings are *chained*: the end of one command is the start of the next, so one reading per timed boundary
//! is enough. It is not a wall clock and not the clock deadlines are kept by.
//!
//! Invariants:
//! 1. One source for the life of the process: a [`Ticks`] is never compared with one from another source.
//! 2. A difference is never negative: a reading from another core that is older counts as zero.
//! 3. The counter is used only when the kernel says that it runs at a constant rate in every power state
//!    (`constant_tsc` and `nonstop_tsc`); else, and on other processors, `clock_gettime` through the standard
//!    library.
//!
//! Thread safety: free functions over atomics that are written once.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the counter is compared with the system clock at start. Two readings are each good to about
/// 50 ns, so 10 ms leave an error of about 10 parts per million.
const CALIBRATION: Duration = Duration::from_millis(10);

const SOURCE_UNKNOWN: u8 = 0;
const SOURCE_TSC: u8 = 1;
const SOURCE_SYSTEM: u8 = 2;

static SOURCE: AtomicU8 = AtomicU8::new(SOURCE_UNKNOWN);
/// Nanoseconds per tick, as a fixed-point number with 32 fractional bits.
static NS_PER_TICK_Q32: AtomicU64 = AtomicU64::new(1 << 32);
static ANCHOR: OnceLock<Instant> = OnceLock::new();

/// A reading of the clock. Only differences have a meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ticks(pub u64);

impl Ticks {
    /// Nanoseconds from `earlier` to this reading, 0 if `earlier` is later.
    #[inline]
    pub fn ns_since(self, earlier: Ticks) -> u64 {
        ticks_to_ns(self.0.saturating_sub(earlier.0))
    }

    /// The reading that was due `ns` nanoseconds before this one.
    pub fn before(self, ns: u64) -> Ticks {
        let per_tick = u128::from(NS_PER_TICK_Q32.load(Ordering::Relaxed)).max(1);
        Ticks(self.0.saturating_sub(((u128::from(ns) << 32) / per_tick) as u64))
    }
}

/// Reads the clock: about 10 ns from the time-stamp counter, 25 ns from the system. The first call of the
/// process calibrates (10 ms); call [`calibrate`] at start so that no command pays for it.
#[inline]
pub fn now() -> Ticks {
    #[cfg(target_arch = "x86_64")]
    if SOURCE.load(Ordering::Relaxed) == SOURCE_TSC {
        return Ticks(time_stamp_counter());
    }
    now_from_system()
}

/// A span in ticks as nanoseconds.
#[inline]
pub fn ticks_to_ns(ticks: u64) -> u64 {
    let scaled = u128::from(ticks) * u128::from(NS_PER_TICK_Q32.load(Ordering::Relaxed));
    (scaled >> 32) as u64
}

/// The name of the source in use, for reports: `tsc` or `clock_gettime`.
pub fn source_name() -> &'static str {
    calibrate();
    if SOURCE.load(Ordering::Relaxed) == SOURCE_TSC { "tsc" } else { "clock_gettime" }
}

/// Chooses and calibrates the source; later calls do nothing.
pub fn calibrate() {
    ANCHOR.get_or_init(|| {
        let anchor = Instant::now();
        choose_source();
        anchor
    });
}

/// Makes every span shorter by this factor from now on. For counting instructions under valgrind, where each takes some
/// fifty times as long: without it every command looks slow and takes the paths that slow commands take.
pub fn slow_down(factor: u64) {
    calibrate();
    let rate = NS_PER_TICK_Q32.load(Ordering::Relaxed);
    NS_PER_TICK_Q32.store((rate / factor.max(1)).max(1), Ordering::Relaxed);
}

#[cold]
fn now_from_system() -> Ticks {
    calibrate();
    #[cfg(target_arch = "x86_64")]
    if SOURCE.load(Ordering::Relaxed) == SOURCE_TSC {
        return Ticks(time_stamp_counter());
    }
    let anchor = ANCHOR.get().copied().unwrap_or_else(Instant::now);
    Ticks(anchor.elapsed().as_nanos() as u64)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn time_stamp_counter() -> u64 {
    // SAFETY: RDTSC exists on every x86_64 processor, reads a register pair and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "x86_64")]
fn choose_source() {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |name: &str| flags.split_ascii_whitespace().any(|flag| flag == name);
    let (start, start_ticks) = paired_reading();
    if !(has("constant_tsc") && has("nonstop_tsc")) {
        SOURCE.store(SOURCE_SYSTEM, Ordering::Relaxed);
        return;
    }
    std::thread::sleep(CALIBRATION);
    let (end, end_ticks) = paired_reading();
    let ticks = end_ticks.saturating_sub(start_ticks);
    let ns = end.duration_since(start).as_nanos();
    if ticks == 0 || ns == 0 {
        SOURCE.store(SOURCE_SYSTEM, Ordering::Relaxed);
        return;
    }
    NS_PER_TICK_Q32.store(((ns << 32) / u128::from(ticks)) as u64, Ordering::Relaxed);
    SOURCE.store(SOURCE_TSC, Ordering::Relaxed);
}

#[cfg(not(target_arch = "x86_64"))]
fn choose_source() {
    SOURCE.store(SOURCE_SYSTEM, Ordering::Relaxed);
}

/// The system clock and the counter at the same moment: the tightest of eight tries.
#[cfg(target_arch = "x86_64")]
fn paired_reading() -> (Instant, u64) {
    let mut best = (Instant::now(), time_stamp_counter(), u64::MAX);
    for _ in 0..8 {
        let before = time_stamp_counter();
        let instant = Instant::now();
        let after = time_stamp_counter();
        let width = after.saturating_sub(before);
        if width < best.2 {
            best = (instant, before + width / 2, width);
        }
    }
    (best.0, best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_reading_is_as_far_away_as_was_asked() {
        calibrate();
        let now = now();
        for ns in [0, 1_000, 1_000_000_000] {
            let away = now.ns_since(now.before(ns));
            assert!(away.abs_diff(ns) <= 2, "{away} for {ns}");
        }
    }

    #[test]
    fn follows_the_system_clock() {
        calibrate();
        let (start, instant) = (now(), Instant::now());
        std::thread::sleep(Duration::from_millis(30));
        let (ns, system_ns) = (now().ns_since(start), instant.elapsed().as_nanos() as u64);
        // The two spans are read one after the other, so a preemption between the readings separates them:
        // the bound is loose on purpose; a wrong scale is off by a factor.
        assert!(
            ns > system_ns / 2 && ns < system_ns * 2,
            "{} said {ns} ns, system {system_ns}",
            source_name()
        );
    }

    #[test]
    fn never_goes_backwards() {
        assert_eq!(Ticks(5).ns_since(Ticks(9)), 0);
        let mut last = now();
        for _ in 0..10_000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}
