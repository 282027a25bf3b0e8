//! The places there are for connections of the admin port, and who must leave when all are taken.
//!
//! A connection that has not sent a whole request is silent, whatever bytes have come: it costs a place and gives nothing.
//! When all places are taken, the one that has been silent for longest leaves in favour of a new one. A deadline alone
//! would not do: whoever holds all places would keep probes waiting for as long as it is.
//!
//! Invariants: (1) at most [`Places::new`]'s number of connections at a time, those that are asked to leave included;
//! (2) a connection whose request is being answered is never asked to leave; (3) a new connection waits only while every
//! place is of that kind.
//!
//! Thread safety: Sync; its lock is held for moments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module's text.
pub struct Places {
    max: usize,
    state: Mutex<State>,
    /// A place was given back, or a connection has become silent.
    changed: Notify,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// Of those taken, how many were asked to leave: nobody else is while one of them is on the way out.
    leaving: usize,
    /// Counts up with everything that ends a silence.
    turn: u64,
    /// Silent connections by the turn since when, with what tells them to leave.
    silent: BTreeMap<u64, Arc<Leave>>,
}

/// Tells a connection to leave.
#[derive(Default)]
struct Leave {
    is_asked: AtomicBool,
    asked: Notify,
}

/// A connection's place, given back when it is dropped.
pub struct Place {
    places: Arc<Places>,
    leave: Arc<Leave>,
    /// The turn since when it is silent; None while a request of it is answered.
    silent_since: Mutex<Option<u64>>,
}

/// A request that is being answered: as long as it lives, the connection may stay.
pub struct Answering(Arc<Place>);

impl Places {
    pub fn new(max: usize) -> Arc<Places> {
        Arc::new(Places { max, state: Mutex::default(), changed: Notify::new() })
    }

    /// A place, as soon as there is one. To be called by one task at a time: that which accepts.
    pub async fn take(self: &Arc<Places>) -> Arc<Place> {
        while !self.has_room() {
            self.changed.notified().await;
        }
        let place = Place { places: Arc::clone(self), leave: Arc::default(), silent_since: Mutex::new(None) };
        locked(&self.state).taken += 1;
        place.is_silent_from_now_on();
        Arc::new(place)
    }

    /// Whether a place is free. If none is, the longest silent connection is asked to leave.
    fn has_room(&self) -> bool {
        let mut state = locked(&self.state);
        if state.taken < self.max {
            return true;
        }
        if state.leaving == 0
            && let Some((_, leave)) = state.silent.pop_first()
        {
            leave.is_asked.store(true, Relaxed);
            leave.asked.notify_one();
            state.leaving = 1;
        }
        false
    }
}

impl Place {
    /// Returns when the connection must end.
    pub async fn asked_to_leave(&self) {
        self.leave.asked.notified().await;
    }

    /// A whole request has come; the connection is silent again when the value is dropped.
    pub fn answering(self: &Arc<Place>) -> Answering {
        self.is_silent_no_more();
        Answering(Arc::clone(self))
    }

    fn is_silent_from_now_on(&self) {
        let mut state = locked(&self.places.state);
        if self.leave.is_asked.load(Relaxed) {
            return;
        }
        state.turn += 1;
        let turn = state.turn;
        state.silent.insert(turn, Arc::clone(&self.leave));
        *locked(&self.silent_since) = Some(turn);
    }

    fn is_silent_no_more(&self) {
        let mut state = locked(&self.places.state);
        if let Some(turn) = locked(&self.silent_since).take() {
            state.silent.remove(&turn);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_silent_from_now_on();
        self.0.places.changed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_silent_no_more();
        let mut state = locked(&self.places.state);
        state.taken -= 1;
        state.leaving -= usize::from(self.leave.is_asked.load(Relaxed));
        drop(state);
        self.places.changed.notify_one();
    }
}

/// What a panicking holder left is as good as before: every section leaves the state whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn must_leave(place: &Place) -> bool {
        now(place.asked_to_leave()).is_some()
    }

    #[test]
    fn the_longest_silent_leaves_and_its_place_is_given_when_it_has_gone() {
        let places = Places::new(3);
        let [first, second, third] = [0; 3].map(|_| now(places.take()).expect("room"));
        // The first has a request answered meanwhile, and so is the last to become silent again.
        drop(first.answering());
        assert!(now(places.take()).is_none());
        assert!(must_leave(&second) && !must_leave(&first) && !must_leave(&third));
        drop(second);
        let fourth = now(places.take()).expect("the place of the second");
        assert!(now(places.take()).is_none());
        assert!(must_leave(&third) && !must_leave(&first) && !must_leave(&fourth));
    }

    #[test]
    fn whoever_is_answered_stays_and_others_wait() {
        let places = Places::new(2);
        let [first, second] = [0; 2].map(|_| now(places.take()).expect("room"));
        let answers = [first.answering(), second.answering()];
        assert!(now(places.take()).is_none());
        assert!(!must_leave(&first) && !must_leave(&second));
        drop(answers);
        assert!(now(places.take()).is_none());
        assert!(must_leave(&first) && !must_leave(&second), "it became silent first");
        drop(first);
        assert!(now(places.take()).is_some());
    }

    #[test]
    fn many_come_and_go_within_the_bound() {
        let places = Places::new(4);
        let mut inside = std::collections::VecDeque::new();
        for round in 0..1_000 {
            match now(places.take()) {
                Some(place) => inside.push_back(place),
                None => {
                    let at = inside.iter().position(|place| must_leave(place)).expect("someone leaves");
                    drop(inside.remove(at));
                }
            }
            assert!(inside.len() <= 4, "{round}");
        }
    }
}
