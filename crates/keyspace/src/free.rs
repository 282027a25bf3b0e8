//! Freeing large values on a background thread.
//!
//! Giving hundreds of megabytes back to the kernel takes milliseconds; a worker that holds a stripe's lock must not
//! wait for it. Small values are freed where they are: handing them over would cost more than the free.
//!
//! Thread safety: callable from any thread; one thread drops what it receives, in order.

use crate::entry::Blob;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// Below this a free is cheaper than the hand-over (jemalloc serves it from an arena, without a system call).
const BACKGROUND_BYTES_MIN: usize = 256 * 1024;

static GRAVE: OnceLock<Sender<Box<dyn Send>>> = OnceLock::new();

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
        let digger = move || receiver.into_iter().for_each(drop);
        // Without the thread the receiver is dropped, every send fails and returns its garbage to the caller.
        let _ = std::thread::Builder::new().name("free".into()).spawn(digger);
        sender
    });
    let _ = sender.send(garbage);
}
