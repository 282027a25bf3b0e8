//! Slots: the connections of one worker, and which of them have more to do or wait for a stripe.
//!
//! Not the turns themselves. A connection keeps its slot, which is the token of its events, until it is taken out.
//!
//! Invariants: (1) a slot is in each of the two queues at most once, and its flags say in which; (2) a slot that was
//! emptied is given out again only when no queue names it, so that nobody gets a turn that was meant for another.
//!
//! Every operation costs the same however many connections there are.
//!
//! Thread safety: its worker's.

use crate::connection::Connection;
use std::collections::VecDeque;

#[derive(Default)]
struct Slot {
    connection: Option<Box<Connection>>,
    is_busy: bool,
    is_parked: bool,
}

/// See the module's text.
#[derive(Default)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Connections that have more to do.
    busy: VecDeque<usize>,
    /// Connections whose command waits for stripes.
    parked: VecDeque<usize>,
}

impl Slots {
    pub fn insert(&mut self, connection: Box<Connection>) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[at].connection = Some(connection);
        at
    }

    pub fn remove(&mut self, at: usize) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(at)?;
        let connection = slot.connection.take()?;
        self.free_if_unnamed(at);
        Some(connection)
    }

    fn free_if_unnamed(&mut self, at: usize) {
        let slot = &self.slots[at];
        if slot.connection.is_none() && !slot.is_busy && !slot.is_parked {
            self.free.push(at);
        }
    }

    pub fn get(&self, at: usize) -> Option<&Connection> {
        self.slots.get(at)?.connection.as_deref()
    }

    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Connection> {
        self.slots.get_mut(at)?.connection.as_deref_mut()
    }

    /// Slots that may hold a connection: all below this.
    pub fn end(&self) -> usize {
        self.slots.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().filter_map(|slot| slot.connection.as_deref())
    }

    /// This connection is to have a turn behind the other busy ones.
    pub fn set_busy(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if slot.connection.is_some() && !std::mem::replace(&mut slot.is_busy, true) {
            self.busy.push_back(at);
        }
    }

    /// This connection's command is to be tried again with the other parked ones.
    pub fn set_parked(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if slot.connection.is_some() && !std::mem::replace(&mut slot.is_parked, true) {
            self.parked.push_back(at);
        }
    }

    /// The next busy connection, which is no longer one; None for a slot that was emptied meanwhile.
    pub fn pop_busy(&mut self) -> Option<usize> {
        let at = self.busy.pop_front()?;
        self.slots[at].is_busy = false;
        self.free_if_unnamed(at);
        self.get(at).map(|_| at)
    }

    /// As [`Slots::pop_busy`], of the parked ones.
    pub fn pop_parked(&mut self) -> Option<usize> {
        let at = self.parked.pop_front()?;
        self.slots[at].is_parked = false;
        self.free_if_unnamed(at);
        self.get(at).map(|_| at)
    }

    pub fn busy_len(&self) -> usize {
        self.busy.len()
    }

    pub fn parked_len(&self) -> usize {
        self.parked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::testing::Stage;

    fn connection(stage: &Stage) -> Box<Connection> {
        Box::new(stage.connect().0)
    }

    #[test]
    fn a_connection_is_queued_once_however_often_it_asks() {
        let (stage, mut slots) = (Stage::new(), Slots::default());
        let all: Vec<usize> = (0..3).map(|_| slots.insert(connection(&stage))).collect();
        for &at in all.iter().chain(&all) {
            slots.set_busy(at);
            slots.set_parked(at);
        }
        assert_eq!((slots.busy_len(), slots.parked_len()), (3, 3));
        assert_eq!((slots.pop_busy(), slots.pop_parked()), (Some(0), Some(0)));
        slots.set_busy(0);
        assert_eq!([(); 3].map(|()| slots.pop_busy()), [Some(1), Some(2), Some(0)]);
        assert_eq!((slots.busy_len(), slots.parked_len()), (0, 2));
    }

    #[test]
    fn a_slot_is_used_again_when_no_queue_names_it() {
        let (stage, mut slots) = (Stage::new(), Slots::default());
        let at = slots.insert(connection(&stage));
        slots.set_busy(at);
        slots.set_parked(at);
        assert!(slots.remove(at).is_some() && slots.remove(at).is_none());
        let second = slots.insert(connection(&stage));
        assert_ne!(second, at);
        assert_eq!(slots.pop_busy(), None, "it is gone");
        let third = slots.insert(connection(&stage));
        assert_ne!(third, at, "it is still among the parked ones");
        assert_eq!(slots.pop_parked(), None);
        assert_eq!(slots.insert(connection(&stage)), at);
        assert_eq!((slots.end(), slots.iter().count()), (3, 3));
    }
}
