//! Used memory: a global allocator that counts what passes through it, per thread.
//!
//! It is not an allocator of its own: it wraps one. Counted bytes are those of the size class, as
//! `malloc_usable_size` would say, so that `used_memory` and `maxmemory` mean what they mean in Redis.
//!
//! Invariants: (1) each of the first `THREADS_EXCLUSIVE` threads writes only its own counter, so counting costs a
//! load and a store; later threads share one counter and pay an atomic addition; (2) the sum over all counters is
//! the number of live bytes, single counters may be negative (one thread frees what another allocated).
//!
//! Thread safety: `used_bytes` may be called from anywhere; it reads a sum that was true within microseconds.

use crate::entry::size_class;
use crate::free;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

/// Threads with a counter of their own; a server has workers plus a handful.
const THREADS_EXCLUSIVE: usize = 127;

#[repr(align(128))]
struct Counter(AtomicI64);

static COUNTERS: [Counter; THREADS_EXCLUSIVE + 1] =
    [const { Counter(AtomicI64::new(0)) }; THREADS_EXCLUSIVE + 1];
static THREADS: AtomicUsize = AtomicUsize::new(0);
const UNASSIGNED: usize = usize::MAX;

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(UNASSIGNED) };
}

/// Bytes in use, by size class: allocated, and neither freed nor handed over to be freed in the background. Those are
/// gone for whoever compares with a limit, or a database that was just flushed would count until its last key is freed.
pub fn used_bytes() -> usize {
    let threads = THREADS.load(Relaxed).min(THREADS_EXCLUSIVE + 1);
    let sum: i64 = COUNTERS.iter().take(threads).map(|counter| counter.0.load(Relaxed)).sum();
    usize::try_from(sum).unwrap_or(0).saturating_sub(free::pending_bytes())
}

/// Which counter the calling thread writes.
#[inline(always)]
pub(crate) fn my_counter() -> usize {
    let index = MINE.with(Cell::get);
    if index == UNASSIGNED { assign() } else { index }
}

/// Bytes that the thread with this counter has allocated beyond what it has freed; may be negative.
pub(crate) fn thread_bytes(counter: usize) -> i64 {
    COUNTERS[counter].0.load(Relaxed)
}

#[inline(always)]
fn count(bytes: i64) {
    let index = my_counter();
    let counter = &COUNTERS[index].0;
    if index < THREADS_EXCLUSIVE {
        counter.store(counter.load(Relaxed) + bytes, Relaxed);
    } else {
        counter.fetch_add(bytes, Relaxed);
    }
}

#[cold]
fn assign() -> usize {
    let index = THREADS.fetch_add(1, Relaxed).min(THREADS_EXCLUSIVE);
    MINE.with(|mine| mine.set(index));
    index
}

/// The counting wrapper; install it with `#[global_allocator]`.
pub struct Counting<A>(pub A);

// SAFETY: every call is passed on unchanged; counting allocates nothing and cannot unwind.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as i64);
        // SAFETY: the caller's contract is the inner allocator's.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size_class(layout.size()) as i64);
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(size_class(layout.size()) as i64));
        // SAFETY: as above.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(size_class(new_size) as i64 - size_class(layout.size()) as i64);
        // SAFETY: as above.
        unsafe { self.0.realloc(pointer, layout, new_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_right_when_one_thread_frees_what_another_allocated() {
        let before: i64 = COUNTERS.iter().map(|counter| counter.0.load(Relaxed)).sum();
        std::thread::spawn(|| count(1000)).join().expect("thread");
        std::thread::spawn(|| count(-400)).join().expect("thread");
        let after: i64 = COUNTERS.iter().map(|counter| counter.0.load(Relaxed)).sum();
        assert_eq!(after - before, 600);
    }
}
