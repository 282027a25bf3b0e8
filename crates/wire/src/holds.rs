//! Holds: from which byte on replies may not leave before the changes that they show are durable.
//!
//! ```text
//!   +PONG\r\n | $3\r\nnew\r\n | +OK\r\n
//!             ^ at 7: ticket 12  ^ at 16: ticket 14     durable 13: the first 16 bytes may leave
//! ```
//!
//! A reply leaves behind those before it. So one that showed no more than they did needs no hold of its own, and the
//! tickets rise.
//!
//! Not the bytes, and not what a ticket is: numbers that rise, and a number up to which they are durable.
//!
//! Invariants: (1) positions do not fall and tickets rise; (2) there are at most [`HOLDS_MAX`]: beyond, the last one
//! stands for all that follow, and waits for the newest of them.
//!
//! Thread safety: plain data, part of a `Reply`.

/// More than a batch has replies.
const HOLDS_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold {
    /// Bytes before it, of those that were not sent yet.
    at: usize,
    ticket: u64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Holds(Vec<Hold>);

impl Holds {
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, at: usize, ticket: u64) {
        let is_full = self.0.len() == HOLDS_MAX;
        match self.0.last_mut() {
            Some(last) if last.ticket >= ticket => {}
            Some(last) if is_full || last.at == at => last.ticket = ticket,
            _ => self.0.push(Hold { at, ticket }),
        }
    }

    /// How many of `bytes` may leave.
    pub(crate) fn free_bytes(&self, bytes: usize, durable: u64) -> usize {
        self.0.iter().find(|hold| hold.ticket > durable).map_or(bytes, |hold| hold.at)
    }

    /// The ticket that the first held byte waits for.
    pub(crate) fn first_ticket(&self, durable: u64) -> Option<u64> {
        self.0.iter().map(|hold| hold.ticket).find(|&ticket| ticket > durable)
    }

    /// The first `sent` bytes are gone.
    pub(crate) fn consume(&mut self, sent: usize) {
        // What was sent beyond a hold was free: so is the rest up to the next one.
        self.0.retain(|hold| hold.at >= sent);
        self.0.iter_mut().for_each(|hold| hold.at -= sent);
    }

    /// Only the first `bytes` are left.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.0.retain(|hold| hold.at < bytes);
    }

    /// Adds those of what was appended behind `bytes`.
    pub(crate) fn append(&mut self, bytes: usize, other: &Holds) {
        other.0.iter().for_each(|hold| self.push(bytes + hold.at, hold.ticket));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Hold>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pairs: &[(usize, u64)]) -> Holds {
        let mut holds = Holds::default();
        pairs.iter().for_each(|&(at, ticket)| holds.push(at, ticket));
        holds
    }

    #[test]
    fn bytes_are_free_up_to_the_first_ticket_that_is_not_durable() {
        let holds = holds(&[(7, 12), (16, 14), (20, 13), (24, 20)]);
        for (durable, free) in [(0, 7), (11, 7), (12, 16), (13, 16), (14, 24), (19, 24), (20, 99)] {
            assert_eq!(holds.free_bytes(99, durable), free, "durable {durable}");
        }
        assert_eq!(holds.first_ticket(12), Some(14));
        assert_eq!(holds.first_ticket(20), None);
    }

    #[test]
    fn what_was_sent_takes_its_holds_along() {
        let mut holds = holds(&[(0, 1), (10, 2), (20, 3)]);
        holds.consume(5);
        assert_eq!(holds.0, [Hold { at: 5, ticket: 2 }, Hold { at: 15, ticket: 3 }]);
        holds.consume(5);
        assert_eq!(holds.free_bytes(50, 1), 0);
        holds.truncate(10);
        assert_eq!(holds.0, [Hold { at: 0, ticket: 2 }]);
    }

    #[test]
    fn holds_are_bounded_and_never_free_too_much() {
        let mut holds = Holds::default();
        (0..1000).for_each(|n| holds.push(n, n as u64 + 1));
        assert_eq!(holds.0.len(), HOLDS_MAX);
        for durable in 0..1000 {
            assert!(holds.free_bytes(1000, durable) <= durable as usize, "durable {durable}");
        }
        assert_eq!(holds.free_bytes(1000, 1000), 1000);
    }

    #[test]
    fn appended_replies_bring_theirs() {
        let mut first = holds(&[(3, 5)]);
        first.append(10, &holds(&[(2, 4), (6, 9)]));
        assert_eq!(first.0, [Hold { at: 3, ticket: 5 }, Hold { at: 16, ticket: 9 }]);
    }
}
