//! Freeing large values on a background thread.
//!
//! Giving hundreds of megabytes back to the kernel takes milliseconds; a worker that holds a stripe's lock must not
//! wait for it. Small values are freed where they are: handing them over would cost more than the free.
//!
//! Thread safety: callable from any thread; one thread drops what it receives, in order.

use crate::entry::Blob;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

/// Below this a free is cheaper than the hand-over (jemalloc serves it from an arena, without a system call).
const BACKGROUND_BYTES_MIN: usize = 256 * 1024;

static GRAVE: OnceLock<Sender<Box<dyn Send>>> = OnceLock::new();
static HANDED_OVER: AtomicU64 = AtomicU64::new(0);
static FREED: AtomicU64 = AtomicU64::new(0);

/// What was handed to the background thread since the start, and how much of it is freed by now.
pub fn counts() -> (u64, u64) {
    let freed = FREED.load(Relaxed);
    (HANDED_OVER.load(Relaxed).max(freed), freed)
}

/// Drops one reference to `blob`; if it is the last one and the value is large, on the background thread.
pub(crate) fn blob(blob: Blob) {
    // Others that hold it will free it, outside any lock; should they let go right now, it is freed here.
    if Blob::strong_count(&blob) == 1 && blob.capacity() >= BACKGROUND_BYTES_MIN {
        in_background(Box::new(blob));
    }
}

/// Drops `garbage` on the background thread, or here if that thread cannot be started.
pub fn in_background(garbage: Box<dyn Send>) {
    let sender = GRAVE.get_or_init(|| {
        let (sender, receiver) = channel::<Box<dyn Send>>();
        let digger = move || {
            for garbage in receiver {
                drop(garbage);
                FREED.fetch_add(1, Relaxed);
            }
        };
        // Without the thread the receiver is dropped, every send fails and returns its garbage to the caller.
        let _ = std::thread::Builder::new().name("free".into()).spawn(digger);
        sender
    });
    if sender.send(garbage).is_ok() {
        HANDED_OVER.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_freed_and_counted() {
        let (_, before) = counts();
        let garbage = std::sync::Arc::new(());
        in_background(Box::new(garbage.clone()));
        let freed = || std::sync::Arc::strong_count(&garbage) == 1 && counts().1 > before;
        let is_freed = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            freed()
        });
        assert!(is_freed && counts().0 > before);
    }
}
