//! Passage: what the requests of one worker want of the gate, and what of that the gate was told.
//!
//! Not the gate: `keyspace::gate`. A request that is turned away, or has to be alone and is not yet, is parked; it tries
//! again when its worker is woken, and at least once a millisecond.
//!
//! Invariants: (1) the gate is told that this worker was turned away while some request's [`Wants`] says so; (2) the worker
//! is in the gate's queue while some request's `Wants` says that it waits for its turn.
//!
//! Thread safety: one per worker.

use keyspace::Databases;
use keyspace::gate::{Alone, Gate, Place, Shared};

/// See the module's text.
pub(crate) struct Passage {
    place: Place,
    /// Requests that were turned away.
    away: u32,
    /// Requests that wait to be alone.
    turns: u32,
}

/// What one request wants of the gate. To be settled by [`Passage::end`] when the request is over.
#[derive(Default)]
pub(crate) struct Wants {
    /// It was turned away and has not begun since.
    away: bool,
    /// It waits to be alone, for this.
    turn: Option<Turn>,
}

/// What a request has to be alone for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// To run.
    Run,
    /// To give back databases without keys, before it is tried again: memory is short.
    Reclaim,
}

impl Wants {
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.turn
    }

    #[inline(always)]
    fn is_any(&self) -> bool {
        self.away || self.turn.is_some()
    }
}

impl Passage {
    pub(crate) fn new(place: Place) -> Passage {
        Passage { place, away: 0, turns: 0 }
    }

    /// The gate's shared side; None: it is closed.
    #[inline(always)]
    pub(crate) fn enter<'a>(&'a mut self, gate: &'a Gate<Databases>) -> Option<Shared<'a, Databases>> {
        gate.try_enter(&mut self.place)
    }

    /// A request finds the gate closed. False: it has opened meanwhile.
    #[cold]
    pub(crate) fn turn_away(&mut self, gate: &Gate<Databases>, wants: &mut Wants) -> bool {
        self.away += u32::from(!std::mem::replace(&mut wants.away, true));
        gate.turn_away(&self.place)
    }

    /// The exclusive side, if it is to be had now; else the request is in the queue for it.
    pub(crate) fn alone<'a>(
        &'a mut self,
        gate: &'a Gate<Databases>,
        wants: &mut Wants,
        turn: Turn,
    ) -> Option<Alone<'a, Databases>> {
        self.begun(gate, wants);
        if wants.turn.replace(turn).is_none() {
            self.turns += 1;
            gate.ask(&self.place);
        }
        gate.drive(&mut self.place)
    }

    /// A request was alone, and the pass is dropped: others of this worker queue again.
    pub(crate) fn was_alone(&mut self, gate: &Gate<Databases>, wants: &mut Wants) {
        wants.turn = None;
        self.turns -= 1;
        if self.turns > 0 {
            gate.ask(&self.place);
        }
    }

    fn begun(&mut self, gate: &Gate<Databases>, wants: &mut Wants) {
        if std::mem::take(&mut wants.away) {
            self.away -= 1;
            if self.away == 0 {
                gate.begun(&self.place);
            }
        }
    }

    /// A request has begun, or is over: it wants nothing any more.
    #[inline(always)]
    pub(crate) fn end(&mut self, gate: &Gate<Databases>, wants: &mut Wants) {
        if wants.is_any() {
            self.settle(gate, wants);
        }
    }

    #[cold]
    fn settle(&mut self, gate: &Gate<Databases>, wants: &mut Wants) {
        self.begun(gate, wants);
        if wants.turn.take().is_some() {
            self.turns -= 1;
            if self.turns == 0 {
                gate.withdraw(&self.place);
            }
        }
    }
}
