//! A push: a message that is no answer to a request, encoded once for however many clients it goes to.
//!
//! Not the way to them, which is the mailbox. In RESP3 it is a push (`>3`), in RESP2 an array (`*3`): which of them a
//! client is sent is decided when the message joins its replies, not when it is sent, because HELLO may stand between.
//!
//! Invariant: both forms have the same number of elements.
//!
//! Thread safety: constant; shared by reference.

use std::sync::Arc;
use wire::{Protocol, Reply};

/// From this size on the elements are spliced into a client's replies by reference, not copied.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// See the module's text.
pub struct Push {
    elements: usize,
    resp2: Arc<Vec<u8>>,
    /// Usually the same as `resp2`: only some kinds of elements differ.
    resp3: Arc<Vec<u8>>,
}

impl Push {
    /// A message of so many elements, which `write` appends in the reply's dialect.
    pub fn new(elements: usize, write: impl Fn(&mut Reply)) -> Push {
        let encode = |protocol| {
            let mut reply = Reply::new();
            reply.set_protocol(protocol);
            write(&mut reply);
            Arc::new(reply.to_vec())
        };
        let (resp2, resp3) = (encode(Protocol::Resp2), encode(Protocol::Resp3));
        let resp3 = if resp3 == resp2 { Arc::clone(&resp2) } else { resp3 };
        Push { elements, resp2, resp3 }
    }

    /// Appends the message in the reply's dialect.
    pub fn append_to(&self, reply: &mut Reply) {
        reply.push(self.elements);
        let elements = if reply.protocol() == Protocol::Resp3 { &self.resp3 } else { &self.resp2 };
        if elements.len() < SHARED_BYTES_MIN {
            reply.raw(elements);
        } else {
            reply.raw_shared(Arc::clone(elements));
        }
    }

    /// Bytes of its elements, in the longer form.
    pub fn bytes_len(&self) -> usize {
        self.resp2.len().max(self.resp3.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(push: &Push, protocol: Protocol) -> Vec<u8> {
        let mut reply = Reply::new();
        reply.set_protocol(protocol);
        push.append_to(&mut reply);
        reply.to_vec()
    }

    #[test]
    fn each_client_is_sent_its_own_dialect() {
        let push = Push::new(2, |reply| {
            reply.bulk(b"invalidate");
            reply.null();
        });
        assert_eq!(sent(&push, Protocol::Resp2), b"*2\r\n$10\r\ninvalidate\r\n$-1\r\n");
        assert_eq!(sent(&push, Protocol::Resp3), b">2\r\n$10\r\ninvalidate\r\n_\r\n");
        assert_eq!(push.bytes_len(), 22);
    }

    #[test]
    fn what_is_long_is_not_copied() {
        let push = Push::new(1, |reply| reply.bulk(&[b'x'; SHARED_BYTES_MIN]));
        assert!(Arc::ptr_eq(&push.resp2, &push.resp3));
        let mut replies: Vec<Reply> = (0..3).map(|_| Reply::new()).collect();
        replies.iter_mut().for_each(|reply| push.append_to(reply));
        assert!(replies.iter().all(|reply| reply.memory_bytes() < 1_000 && reply.len() > SHARED_BYTES_MIN));
        assert_eq!(Arc::strong_count(&push.resp2), 5);
    }
}
