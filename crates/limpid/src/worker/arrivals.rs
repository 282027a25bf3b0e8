//! How connections come to a worker: accepted by the first one, handed over by others.
//!
//! Not the choice, which is `placement`'s, and not their end (`closing`).
//!
//! Invariants: (1) a connection is in one worker's slots, or on its way through an entrance; (2) who hands one over has
//! changed its mailbox's address before, and who takes it over looks into the mailbox: nothing that was sent to it on
//! its way is missed.
//!
//! Thread safety: an `Entrance` is shared; everything else is its worker's.

use super::Worker;
use crate::arrival;
use crate::connection::{Connection, Why};
use crate::listen::{self, Peer};
use crate::placement::{self, Load, MOVES_PER_TICK, Turns};
use engine::config::Setting;
use engine::state::clients::{Client, Origin};
use engine::state::session::REQUIRES_PASSWORD;
use engine::{Instance, Session};
use mio::{Interest, Token};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const IO_THREADS_ALWAYS_ACTIVE: Setting<bool> = Setting::of("io-threads-always-active");
const TCP_KEEPALIVE_SECONDS: Setting<u32> = Setting::of("tcp-keepalive");

/// Accepting pauses this long when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where other workers leave connections for a worker, and what they know of its load. Its bell is rung after.
#[derive(Default)]
pub struct Entrance {
    arrivals: Mutex<Vec<Newcomer>>,
    load: Load,
}

/// A client that another worker hands over.
enum Newcomer {
    /// It was just accepted.
    Client(Peer, Origin),
    /// It was served there so far.
    Connection(Box<Connection>),
}

impl Worker {
    /// Accepts everybody who waits at a listener.
    pub(super) fn accept(&mut self, number: usize) {
        let instance = self.instance();
        let Some(sockets) = self.sockets.clone() else { return };
        loop {
            match sockets.accept(number) {
                Ok(None) => return,
                Ok(Some((peer, origin))) => match listen::refusal(&instance, &origin) {
                    Some(why) => listen::turn_away(&instance, peer, why),
                    None => self.assign(peer, origin),
                },
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// Gives a client to the worker it is to be served by.
    fn assign(&mut self, peer: Peer, origin: Origin) {
        let to = match self.executor.instance.settings.read(IO_THREADS_ALWAYS_ACTIVE) {
            true => placement::fewest(&self.loads()),
            false => placement::newcomer(&self.loads(), self.executor.instance.now_ms()),
        };
        self.entrances[to].load.connections.fetch_add(1, Relaxed);
        if to == self.index {
            self.connect(peer, origin);
        } else {
            self.hand_over(to, Newcomer::Client(peer, origin));
        }
    }

    fn loads(&self) -> Vec<&Load> {
        self.entrances.iter().map(|entrance| &entrance.load).collect()
    }

    fn hand_over(&self, to: usize, newcomer: Newcomer) {
        self.entrances[to].arrivals.lock().push(newcomer);
        self.executor.instance.bells[to].ring();
    }

    /// Takes over the clients that other workers handed over.
    pub(super) fn welcome(&mut self) {
        let arrivals = std::mem::take(&mut *self.entrances[self.index].arrivals.lock());
        for newcomer in arrivals {
            match newcomer {
                Newcomer::Client(peer, origin) => self.connect(peer, origin),
                Newcomer::Connection(connection) => self.adopt(connection),
            }
        }
    }

    fn connect(&mut self, peer: Peer, origin: Origin) {
        let instance = self.instance();
        listen::prepare(&peer, instance.settings.read(TCP_KEEPALIVE_SECONDS));
        arrival::stamp(&peer);
        let (fd, worker, now_ms) = (peer.raw_fd(), self.index, instance.now_ms());
        let address = if let Origin::Tcp { peer, .. } = &origin { Some(peer.ip()) } else { None };
        self.executor.count_connection(address);
        let client = instance.clients.connect(|id| Client::new(id, origin, fd, worker, now_ms));
        let authenticated = !instance.settings.read(REQUIRES_PASSWORD);
        client.authenticated.store(authenticated, Relaxed);
        let session = Session::new(client, authenticated);
        self.adopt(Box::new(Connection::new(peer, session)));
    }

    /// Serves a connection from now on. What its socket holds already raises an event.
    fn adopt(&mut self, mut connection: Box<Connection>) {
        // Its former worker counted its windows from another start.
        connection.turns = Turns::default();
        let is_at_rest = connection.is_at_rest();
        let client = Arc::clone(&connection.session.client);
        let slot = self.slots.insert(connection);
        client.slot.store(slot, Relaxed);
        // Whatever it was sent on its way is looked at here; who sends from now on names it to this worker.
        self.addressees.push_back(client);
        if !is_at_rest {
            self.slots.set_busy(slot);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let Some(connection) = self.slots.get_mut(slot) else { return };
        let registered = self.poll.registry().register(connection.peer.source(), Token(slot), interest);
        if let Err(error) = registered {
            tracing::warn!("Registering a client failed: {error}");
            self.close(slot, Why::Gone);
        }
    }

    /// Decides now and then whether clients are to move to another worker, and moves some that are to.
    pub(super) fn place(&mut self, instance: &Instance, now: Instant) {
        // At the end each worker says farewell to those it has.
        if self.entrances.len() == 1 || instance.stopping.load(Relaxed) {
            return;
        }
        let spread = instance.settings.read(IO_THREADS_ALWAYS_ACTIVE);
        let loads: Vec<&Load> = self.entrances.iter().map(|entrance| &entrance.load).collect();
        let now_ms = instance.now_ms();
        loads[self.index].ticked(now_ms);
        let turns = |window| self.slots.iter().map(|c| c.turns.ns_in(window)).sum();
        self.placement.end_window(now, now_ms, &loads, spread, turns);
        let Some(mut giving) = self.placement.giving.take() else { return };
        let mut moves = 0;
        while giving.slot < self.slots.end() && !giving.is_done() && moves < MOVES_PER_TICK {
            let connection = self.slots.get(giving.slot);
            let movable = connection.filter(|connection| connection.is_movable(&self.executor));
            if movable.is_some_and(|connection| giving.takes(&connection.turns)) {
                self.move_away(giving.slot, giving.to);
                moves += 1;
            }
            giving.slot += 1;
        }
        if giving.slot < self.slots.end() && !giving.is_done() {
            self.placement.giving = Some(giving);
        } else {
            tracing::debug!("Worker {} gave {} clients to worker {}", self.index, giving.moved, giving.to);
            self.placement.end_giving(now);
        }
    }

    fn move_away(&mut self, slot: usize, to: usize) {
        let Some(mut connection) = self.take_out(slot) else { return };
        self.due = self.due.max(connection.leave(&mut self.executor));
        self.entrances[to].load.connections.fetch_add(1, Relaxed);
        // Before the other worker looks into its mailbox: who sends to it names it to this worker or to that one.
        connection.session.client.mailbox.move_to(to);
        self.hand_over(to, Newcomer::Connection(connection));
    }

    /// Takes a connection out of this worker: it goes to another one, or ends.
    pub(super) fn take_out(&mut self, slot: usize) -> Option<Box<Connection>> {
        let mut connection = self.slots.remove(slot)?;
        let _ = self.poll.registry().deregister(connection.peer.source());
        self.entrances[self.index].load.connections.fetch_sub(1, Relaxed);
        self.turn_slot = self.turn_slot.filter(|&turn| turn != slot);
        Some(connection)
    }
}
