//! Freeing large values on a background thread.
//!
//! Giving hundreds of megabytes back to the kernel takes milliseconds; a worker that holds a stripe's lock must not
//! wait for it. Small values are freed where they are: handing them over would cost more than the free.
//!
//! Invariant: what was handed over does not count as used memory (`memory::used_bytes`), from that moment on.
//!
//! Thread safety: callable from any thread; one thread drops what it receives, in order.

use crate::entry::{Blob, size_class};
use crate::memory;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

/// Below this a free is cheaper than the hand-over (jemalloc serves it from an arena, without a system call).
const BACKGROUND_BYTES_MIN: usize = 256 * 1024;

static GRAVE: OnceLock<Sender<Garbage>> = OnceLock::new();
static HANDED_OVER: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);
/// The sizes of all garbage that is not wholly freed.
static PENDING_BYTES: AtomicUsize = AtomicUsize::new(0);
/// What the thread is freeing right now, to see how far it has come.
static UNDERWAY: Underway =
    Underway { bytes: AtomicUsize::new(0), counter: AtomicUsize::new(0), counter_before: AtomicI64::new(0) };

/// Something to drop, and about how many bytes that gives back.
struct Garbage {
    what: Box<dyn Send>,
    bytes: usize,
}

struct Underway {
    /// Its size; 0 while the thread has nothing to do.
    bytes: AtomicUsize,
    /// The thread's counter of memory, and where that stood before.
    counter: AtomicUsize,
    counter_before: AtomicI64,
}

impl Underway {
    fn free(&self, garbage: Garbage) {
        let counter = memory::my_counter();
        self.counter.store(counter, Relaxed);
        self.counter_before.store(memory::thread_bytes(counter), Relaxed);
        self.bytes.store(garbage.bytes, Relaxed);
        drop(garbage.what);
        self.bytes.store(0, Relaxed);
        PENDING_BYTES.fetch_sub(garbage.bytes, Relaxed);
        FREED.fetch_add(1, Relaxed);
    }

    fn freed_bytes(&self) -> usize {
        let freed = self.counter_before.load(Relaxed) - memory::thread_bytes(self.counter.load(Relaxed));
        usize::try_from(freed).unwrap_or(0).min(self.bytes.load(Relaxed))
    }
}

/// What was handed to the background thread since the start, and how much of it is freed by now.
pub fn counts() -> (u64, u64) {
    let freed = FREED.load(Relaxed);
    (HANDED_OVER.load(Relaxed).max(freed), freed)
}

/// Bytes that were handed over and are not freed yet, as far as their size was known.
pub fn pending_bytes() -> usize {
    match PENDING_BYTES.load(Relaxed) {
        0 => 0,
        pending => pending.saturating_sub(UNDERWAY.freed_bytes()),
    }
}

/// Drops one reference to `blob`; if it is the last one and the value is large, on the background thread.
pub(crate) fn blob(blob: Blob) {
    // Others that hold it will free it, outside any lock; should they let go right now, it is freed here.
    if Blob::strong_count(&blob) == 1 && blob.capacity() >= BACKGROUND_BYTES_MIN {
        let bytes = size_class(blob.capacity());
        in_background(Box::new(blob), bytes);
    }
}

/// Drops `garbage`, about `bytes` of it, on the background thread, or here if that thread cannot be started.
pub fn in_background(garbage: Box<dyn Send>, bytes: usize) {
    let sender = GRAVE.get_or_init(|| {
        let (sender, receiver) = channel::<Garbage>();
        let digger = move || receiver.into_iter().for_each(|garbage| UNDERWAY.free(garbage));
        // Without the thread the receiver is dropped, every send fails and returns its garbage to the caller.
        let _ = std::thread::Builder::new().name("free".into()).spawn(digger);
        sender
    });
    HANDED_OVER.fetch_add(1, Relaxed);
    PENDING_BYTES.fetch_add(bytes, Relaxed);
    if let Err(returned) = sender.send(Garbage { what: garbage, bytes }) {
        drop(returned);
        PENDING_BYTES.fetch_sub(bytes, Relaxed);
        FREED.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_freed_and_counted() {
        let (_, before) = counts();
        let garbage = std::sync::Arc::new(());
        in_background(Box::new(garbage.clone()), 0);
        let freed = || std::sync::Arc::strong_count(&garbage) == 1 && counts().1 > before;
        let is_freed = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            freed()
        });
        assert!(is_freed && counts().0 > before);
    }

    #[test]
    fn garbage_is_pending_until_it_is_dropped() {
        struct Slow(std::sync::mpsc::Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        const BYTES: usize = 1 << 40;
        let (release, waits) = channel();
        in_background(Box::new(Slow(waits)), BYTES);
        // Others may free some kilobytes meanwhile, on this thread too.
        let about = pending_bytes();
        assert!((BYTES - (1 << 30)..BYTES + (1 << 30)).contains(&about), "{about}");
        release.send(()).expect("somebody waits");
        let is_gone = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            pending_bytes() < BYTES / 2
        });
        assert!(is_gone);
    }
}
