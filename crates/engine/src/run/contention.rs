//! Contention: what a command does that does not get its stripes.
//!
//! It spins for [`LOCK_PATIENCE`], all of its stripes together, once. Then it registers its worker at the stripe it has
//! lost, looks once more, and is parked: it holds nothing, and the worker serves others. It is tried again whenever the
//! worker has gone round its connections, and at least once a millisecond. After [`WAY_AFTER_NS`] its worker asks for the
//! right of way for it; when it has it, the command's stripes are marked, and no other worker can take them before it.
//!
//! Not the marks and queues themselves: `keyspace::waiting`.
//!
//! Invariants: (1) nothing is held across a turn: neither latches nor, without the request that wants it, the right of
//! way; (2) one request of a worker at a time has a claim; its marks are set again at each try, because FLUSHALL and
//! SWAPDB may have taken the marked stripes away; (3) nobody takes the gate because a stripe is contended, unless it wants
//! more than [`STRIPES_MAX`] of them.
//!
//! Thread safety: one per worker.

use crate::run::data::{LockId, Locks, lock_id};
use keyspace::waiting::Waiting;
use keyspace::{Database, Databases, Key, Locked, Patience, STRIPES};
use observe::os::clock::{self, Ticks};
use std::sync::Arc;
use std::time::Duration;

/// How long a command spins for its stripes before it is parked.
const LOCK_PATIENCE: Duration = Duration::from_micros(50);
/// How long a command has lost before its worker asks for the right of way.
pub(crate) const WAY_AFTER_NS: u64 = 1_000_000;
/// Stripes that are marked for one command at most; a wider one that keeps losing takes the gate.
pub(crate) const STRIPES_MAX: usize = 64;

/// Locks whose room is kept from command to command; a wider command is rare.
const LOCKS_KEPT: usize = 256;

/// What a parked command remembers of its stripes.
#[derive(Default)]
pub(crate) struct Loss {
    /// When it lost for the first time.
    since: Option<Ticks>,
    /// Where its worker is registered for it.
    registered: Option<LockId>,
}

impl Loss {
    /// Nanoseconds since the first loss.
    pub(crate) fn lasting_ns(&self) -> u64 {
        self.since.map_or(0, |since| clock::now().ns_since(since))
    }

    /// Whether it has lost before.
    #[inline(always)]
    pub(crate) fn is_any(&self) -> bool {
        self.since.is_some()
    }

    fn patience(&self) -> Patience {
        Patience::new(if self.since.is_none() { LOCK_PATIENCE } else { Duration::ZERO })
    }
}

/// See the module's text.
pub(crate) struct Contention {
    worker: u8,
    waiting: Arc<Waiting>,
    claim: Option<Claim>,
    /// What requests that are no more have left at stripes: where the worker is registered for them, and whether the claim
    /// was theirs. It is taken back inside the gate.
    left: Vec<LockId>,
    claim_left: bool,
    /// Room for the locks of a command with several, empty: nothing is locked between two commands.
    room: Vec<(LockId, Locked<'static>)>,
}

/// A request that wants or has the right of way.
struct Claim {
    client: u64,
    /// The stripes marked for it.
    marked: Vec<LockId>,
}

/// A command did not get its stripes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// It is to be parked.
    Park,
    /// It wants too many: it is to run alone.
    TooWide,
}

impl Contention {
    pub(crate) fn new(worker: u8, waiting: Arc<Waiting>) -> Contention {
        Contention { worker, waiting, claim: None, left: Vec::new(), claim_left: false, room: Vec::new() }
    }

    /// Locks the stripe of a command's only key, the usual case.
    #[inline(always)]
    pub(crate) fn lock_one<'a>(&self, database: &'a Database, key: Key<'_>) -> Option<keyspace::Locked<'a>> {
        database.try_lock(keyspace::hash::stripe_of(key.hash), self.worker)
    }

    /// Locks the stripes with these ids, which ascend without repetition; all of them or none.
    pub(crate) fn lock_all<'a>(
        &mut self,
        databases: &'a Databases,
        ids: &[LockId],
        now_ms: i64,
        client: u64,
        loss: &mut Loss,
    ) -> Result<Locks<'a>, Lost> {
        if self.claim.as_ref().is_some_and(|claim| claim.client == client) {
            self.mark(databases, ids);
        }
        let mut patience = loss.patience();
        let lost = match self.try_all(databases, ids, now_ms, &mut patience) {
            Ok(locks) => {
                self.settle(databases, client, loss);
                return Ok(locks);
            }
            Err(lost) => lost,
        };
        self.register(databases, lost, loss);
        // It may have been given back before its holder could see that somebody waits.
        let mut none = Patience::new(Duration::ZERO);
        if let Ok(locks) = self.try_all(databases, ids, now_ms, &mut none) {
            self.settle(databases, client, loss);
            return Ok(locks);
        }
        if loss.lasting_ns() < WAY_AFTER_NS {
            return Err(Lost::Park);
        }
        if ids.len() > STRIPES_MAX {
            self.settle(databases, client, loss);
            return Err(Lost::TooWide);
        }
        if self.claim.is_none() {
            self.claim = Some(Claim { client, marked: Vec::new() });
            self.waiting.ask_way(self.worker);
        }
        Err(Lost::Park)
    }

    /// Gives back what a command had locked.
    #[inline(always)]
    pub(crate) fn unlock(&mut self, locks: &mut Locks<'_>) {
        match locks {
            Locks::Many(held) => {
                self.keep_room(std::mem::take(held));
                *locks = Locks::None;
            }
            Locks::One(..) | Locks::None => *locks = Locks::None,
        }
    }

    #[inline(never)]
    fn keep_room(&mut self, held: Vec<(LockId, Locked<'_>)>) {
        self.room = emptied(held);
        if self.room.capacity() > LOCKS_KEPT {
            self.room.shrink_to(LOCKS_KEPT);
        }
    }

    fn try_all<'a>(
        &mut self,
        databases: &'a Databases,
        ids: &[LockId],
        now_ms: i64,
        patience: &mut Patience,
    ) -> Result<Locks<'a>, LockId> {
        if let &[id] = ids {
            let (database, stripe) = place_of(id);
            let locked = databases.get(database, now_ms).lock(stripe, self.worker, patience);
            return locked.map(|locked| Locks::One(id, locked)).ok_or(id);
        }
        if ids.is_empty() {
            return Ok(Locks::None);
        }
        let mut held = emptied(std::mem::take(&mut self.room));
        held.reserve(ids.len());
        for &id in ids {
            let (database, stripe) = place_of(id);
            let database = databases.get(database, now_ms);
            // Apart from the slow way, so that the usual one is inlined.
            if let Some(locked) = database.try_lock(stripe, self.worker) {
                held.push((id, locked));
            } else if let Some(locked) = database.lock(stripe, self.worker, patience) {
                held.push((id, locked));
            } else {
                self.keep_room(held);
                return Err(id);
            }
        }
        Ok(Locks::Many(held))
    }

    fn register(&self, databases: &Databases, lost: LockId, loss: &mut Loss) {
        loss.since.get_or_insert_with(clock::now);
        if loss.registered == Some(lost) {
            return;
        }
        self.forget(databases, loss);
        let (database, stripe) = place_of(lost);
        if let Some(database) = databases.existing(database) {
            self.waiting.register(database.mark(stripe), self.worker);
            loss.registered = Some(lost);
        }
    }

    /// Marks the stripes of the claiming command, if it is this worker's turn.
    fn mark(&mut self, databases: &Databases, ids: &[LockId]) {
        let Some(claim) = &mut self.claim else { return };
        if !self.waiting.has_way(self.worker) {
            return;
        }
        for &id in ids {
            let (database, stripe) = place_of(id);
            if let Some(database) = databases.existing(database) {
                self.waiting.prefer(database.mark(stripe), self.worker);
            }
        }
        claim.marked.clear();
        claim.marked.extend_from_slice(ids);
    }

    /// A command has its stripes, gives up, or goes to another worker: whatever it has asked for here is taken back.
    pub(crate) fn settle(&mut self, databases: &Databases, client: u64, loss: &mut Loss) {
        self.forget(databases, loss);
        self.give_up(databases, client);
    }

    /// A client is gone, and its parked request with it; to be settled by [`Contention::let_go`] inside the gate.
    pub(crate) fn leave(&mut self, client: u64, loss: &mut Loss) {
        self.left.extend(loss.registered.take());
        self.claim_left |= self.claim.as_ref().is_some_and(|claim| claim.client == client);
    }

    /// Whether there is something for [`Contention::let_go`] to do.
    #[inline(always)]
    pub(crate) fn has_left(&self) -> bool {
        self.claim_left || !self.left.is_empty()
    }

    /// Takes back what closed clients have left at stripes, and wakes who waits there.
    pub(crate) fn let_go(&mut self, databases: &Databases) {
        if !self.has_left() {
            return;
        }
        for (database, stripe) in std::mem::take(&mut self.left).into_iter().map(place_of) {
            if let Some(database) = databases.existing(database) {
                self.waiting.forget(database.mark(stripe), self.worker);
                self.waiting.given_back(database.mark(stripe), self.worker);
            }
        }
        if std::mem::take(&mut self.claim_left)
            && let Some(client) = self.claim.as_ref().map(|claim| claim.client)
        {
            self.give_up(databases, client);
        }
    }

    /// Whether this client's request wants or has the right of way.
    pub(crate) fn has_claim(&self, client: u64) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.client == client)
    }

    /// A parked request is refused at its next try: it wants nothing any more.
    pub(crate) fn abandon(&mut self, databases: &Databases, client: u64, loss: &mut Loss) {
        if loss.is_any() {
            self.settle(databases, client, loss);
            *loss = Loss::default();
        }
    }

    fn forget(&self, databases: &Databases, loss: &mut Loss) {
        let Some((database, stripe)) = loss.registered.take().map(place_of) else { return };
        if let Some(database) = databases.existing(database) {
            self.waiting.forget(database.mark(stripe), self.worker);
        }
    }

    /// Gives back the right of way, or the place in its queue, if this client's request has it.
    pub(crate) fn give_up(&mut self, databases: &Databases, client: u64) {
        let Some(claim) = self.claim.take_if(|claim| claim.client == client) else { return };
        for (database, stripe) in claim.marked.into_iter().map(place_of) {
            if let Some(database) = databases.existing(database) {
                self.waiting.release(database.mark(stripe), self.worker);
            }
        }
        self.waiting.leave_way(self.worker);
    }
}

/// Unlocks all, and makes of the list an empty one for other locks, in the same room: the types differ in a lifetime only,
/// and the standard library collects in place. Should it stop to, a test notices.
fn emptied<'a>(mut held: Vec<(LockId, Locked<'_>)>) -> Vec<(LockId, Locked<'a>)> {
    held.clear();
    held.into_iter().map(|_| unreachable!("it was emptied")).collect()
}

fn place_of(id: LockId) -> (usize, usize) {
    (id as usize / STRIPES, id as usize % STRIPES)
}

/// The id of a key's stripe.
pub(crate) fn id_of(database: usize, key: Key<'_>) -> LockId {
    lock_id(database, key.hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_several_stripes_use_the_same_room_again() {
        let databases = Databases::new(1);
        let mut contention = Contention::new(0, Arc::clone(databases.waiting()));
        let mut rooms = Vec::new();
        for ids in [&[1, 2, 3][..], &[2, 3], &[1, 5]] {
            let locks = contention.lock_all(&databases, ids, 0, 7, &mut Loss::default());
            let Ok(mut locks) = locks else { panic!("nobody else is here") };
            let Locks::Many(held) = &locks else { panic!("several") };
            assert!(held.iter().map(|(id, _)| id).eq(ids));
            rooms.push((held.as_ptr(), held.capacity()));
            contention.unlock(&mut locks);
            assert!(ids.iter().all(|&id| databases.get(0, 0).try_lock(id as usize, 0).is_some()));
        }
        assert!(rooms.iter().all(|room| *room == rooms[0]), "{rooms:?}");
    }

    #[test]
    fn one_stripe_is_locked_without_a_list() {
        let databases = Databases::new(1);
        let mut contention = Contention::new(0, Arc::clone(databases.waiting()));
        let locks = contention.lock_all(&databases, &[9], 0, 7, &mut Loss::default());
        assert!(matches!(locks, Ok(Locks::One(9, _))));
    }

    #[test]
    fn who_lost_one_of_several_stripes_holds_none() {
        let databases = Databases::new(1);
        let mut contention = Contention::new(0, Arc::clone(databases.waiting()));
        let held = databases.get(0, 0).try_lock(2, 1);
        assert!(contention.lock_all(&databases, &[1, 2], 0, 7, &mut Loss::default()).is_err());
        assert!(databases.get(0, 0).try_lock(1, 0).is_some());
        drop(held);
    }
}
