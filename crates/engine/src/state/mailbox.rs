//! A client's mailbox: what other threads have sent to it and its worker has not taken yet.
//!
//! Not the telling of the worker (`bell`), and not the sending to the socket: the worker that serves the client takes
//! all that lies here and hands it over. The mailbox moves with the client.
//!
//! Invariants: (1) a sender puts first and reads the address afterwards; who moves a client changes the address first,
//! and who takes it over then looks into the mailbox: whatever was put is seen by one of them; (2) while there is
//! something in it, its worker was told or is being told, so that only who finds it empty has to; (3) it holds at most
//! [`MAIL_BYTES_MAX`]; (4) after it was closed nothing is kept.
//!
//! Thread safety: Sync; the lock is the last one in the order of locks, nothing is locked and nobody is woken under it.
//! Model-checked under `--cfg shuttle` (`tests/shuttle.rs`).

use crate::state::push::Push;
use keyspace::checked::Mutex;
#[cfg(shuttle)]
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Bytes that wait in one mailbox at most: as many as a client that does nothing but listen may leave unread by default.
/// A worker empties it once a cycle, so it fills only while that worker is in a long command.
pub const MAIL_BYTES_MAX: usize = 32 << 20;
/// What one delivery costs beside its message, which is shared.
const PLACE_BYTES: usize = 32;
const _: () = assert!(size_of::<Delivery>() <= PLACE_BYTES);

/// What can be sent to another connection.
pub enum Delivery {
    /// It is to be closed; none of its requests begins any more.
    Kill,
    /// A message that goes between its replies.
    Push(Arc<Push>),
}

impl Delivery {
    fn bytes_len(&self) -> usize {
        match self {
            Delivery::Kill => 0,
            Delivery::Push(push) => push.bytes_len() + PLACE_BYTES,
        }
    }
}

/// What a mailbox held.
#[derive(Default)]
pub struct Mail {
    pub deliveries: Vec<Delivery>,
    /// More was sent than it may hold, and dropped: the client is to be closed, as by its output limit.
    pub is_too_much: bool,
}

impl Mail {
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && !self.is_too_much
    }
}

/// See the module's text.
pub struct Mailbox {
    worker: AtomicUsize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    mail: Mail,
    bytes: usize,
    is_closed: bool,
}

impl Mailbox {
    /// An empty one of a client that `worker` serves.
    pub fn new(worker: usize) -> Mailbox {
        Mailbox { worker: AtomicUsize::new(worker), queue: Mutex::new(Queue::default()) }
    }

    /// The worker that serves the client, or takes it over.
    pub fn worker(&self) -> usize {
        self.worker.load(SeqCst)
    }

    /// To be called before the client is handed over to `worker`, which then looks into it.
    pub fn move_to(&self, worker: usize) {
        self.worker.store(worker, SeqCst);
    }

    /// Puts something in. Returns the worker that the caller has to tell, unless somebody else does.
    #[must_use]
    pub fn put(&self, delivery: Delivery) -> Option<usize> {
        let mut queue = self.queue.lock();
        if queue.is_closed || queue.mail.is_too_much {
            return None;
        }
        let was_empty = queue.mail.deliveries.is_empty();
        queue.bytes += delivery.bytes_len();
        if queue.bytes > MAIL_BYTES_MAX {
            queue.mail = Mail { deliveries: Vec::new(), is_too_much: true };
        } else {
            queue.mail.deliveries.push(delivery);
        }
        drop(queue);
        was_empty.then(|| self.worker())
    }

    /// Takes everything out.
    pub fn take(&self) -> Mail {
        let mut queue = self.queue.lock();
        queue.bytes = 0;
        let is_too_much = queue.mail.is_too_much;
        Mail { deliveries: std::mem::take(&mut queue.mail.deliveries), is_too_much }
    }

    /// Bytes that wait in it.
    pub fn bytes(&self) -> usize {
        let queue = self.queue.lock();
        if queue.mail.is_too_much { 0 } else { queue.bytes }
    }

    /// The client is gone: drops everything, and whatever is sent from now on.
    pub fn close(&self) {
        let dropped =
            std::mem::replace(&mut *self.queue.lock(), Queue { is_closed: true, ..Queue::default() });
        // Outside the lock: it may be the last reference to long messages.
        drop(dropped);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn push(bytes: usize) -> Delivery {
        Delivery::Push(Arc::new(Push::new(1, |reply| reply.raw(&vec![b'x'; bytes]))))
    }

    #[test]
    fn who_finds_it_empty_tells_the_worker() {
        let mailbox = Mailbox::new(3);
        assert_eq!(mailbox.put(push(10)), Some(3));
        assert_eq!(mailbox.put(Delivery::Kill), None, "it was told already");
        assert_eq!(mailbox.bytes(), 10 + PLACE_BYTES);
        mailbox.move_to(1);
        assert!(matches!(mailbox.take().deliveries[..], [Delivery::Push(_), Delivery::Kill]));
        assert_eq!((mailbox.bytes(), mailbox.put(Delivery::Kill)), (0, Some(1)));
        mailbox.close();
        assert_eq!(mailbox.put(push(10)), None);
        assert!(mailbox.take().deliveries.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_a_kill_always_fits() {
        const MESSAGE_BYTES: usize = (1 << 20) - PLACE_BYTES;
        let mailbox = Mailbox::new(0);
        let message = Arc::new(Push::new(1, |reply| reply.raw(&vec![b'x'; MESSAGE_BYTES])));
        let to_all = || Delivery::Push(Arc::clone(&message));
        let told = (0..MAIL_BYTES_MAX >> 20).filter(|_| mailbox.put(to_all()).is_some()).count();
        assert_eq!((told, mailbox.bytes()), (1, MAIL_BYTES_MAX));
        assert_eq!(mailbox.put(Delivery::Kill), None);
        let mail = mailbox.take();
        assert!(!mail.is_too_much && matches!(mail.deliveries.last(), Some(Delivery::Kill)));
        // One message that is too long by itself is seen as well.
        assert_eq!(mailbox.put(push(MAIL_BYTES_MAX)), Some(0));
        assert_eq!((mailbox.put(push(1)), mailbox.bytes()), (None, 0));
        let mail = mailbox.take();
        assert!(mail.is_too_much && mail.deliveries.is_empty());
    }
}
