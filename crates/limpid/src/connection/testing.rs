//! (tests) Connections with real sockets whose turns are taken by hand, on one thread.
//!
//! Not a worker: nothing waits for events, and whoever holds a stage decides whose turn it is.
//!
//! Thread safety: a stage has one executor, its thread's.

use super::{Connection, Lent, Next};
use crate::listen::Peer;
use engine::config::Settings;
use engine::state::clients::{Client, Origin};
use engine::state::effect_log::EffectReader;
use engine::{Arrival, Executor, Instance, Session};
use keyspace::gate::Place;
use mio::net::UnixStream;
use observe::os::clock;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream as Far;
use std::sync::Arc;
use wire::{Reply, Span};

/// See the module's text.
pub struct Stage {
    pub instance: Arc<Instance>,
    pub executor: Executor,
    /// The worker's one output buffer.
    pub reply: Reply,
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

fn instance() -> (Instance, Vec<Place>) {
    let settings = Arc::new(Settings::new());
    Instance::new(commands::registry(), settings, 1, 0x5eed, "0".repeat(40), None)
}

impl Stage {
    pub fn new() -> Stage {
        let (instance, places) = instance();
        Stage::of(instance, places)
    }

    /// As [`Stage::new`], and somebody follows what changes.
    pub fn followed() -> (Stage, EffectReader) {
        let (mut instance, places) = instance();
        let reader = instance.follow_effects();
        (Stage::of(instance, places), reader)
    }

    fn of(instance: Instance, mut places: Vec<Place>) -> Stage {
        let instance = Arc::new(instance);
        let executor = Executor::new(Arc::clone(&instance), 0, places.remove(0), 1);
        Stage { instance, executor, reply: Reply::new(), buffer: vec![0; 64 << 10], spans: Vec::new() }
    }

    /// A connection and the client's end of it.
    pub fn connect(&self) -> (Connection, Far) {
        let (near, far) = Far::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("it does not block");
        far.set_nonblocking(true).expect("it does not block");
        let origin = Origin::Unix { path: "test".to_owned() };
        let now_ms = self.instance.now_ms();
        let client = self.instance.clients.connect(|id| Client::new(id, origin, 0, 0, now_ms));
        let connection = Connection::new(Peer::Unix(UnixStream::from_std(near)), Session::new(client, true));
        (connection, far)
    }

    /// One turn, as a worker gives it.
    pub fn turn(&mut self, connection: &mut Connection) -> Next {
        let next = self.lend(|lent| connection.turn(lent));
        connection.tell_buffers(&self.instance.clients);
        next
    }

    /// Does something with what a worker lends to a connection.
    pub fn lend<R>(&mut self, action: impl FnOnce(&mut Lent<'_>) -> R) -> R {
        let Stage { instance, executor, reply, buffer, spans } = self;
        let arrived = Arrival { at: clock::now(), weight: 0 };
        let now_ms = instance.now_ms();
        let mut lent = Lent { executor, buffer, reply, spans, arrived, now_ms, time_flush: 0 };
        let result = action(&mut lent);
        self.reply.clear();
        result
    }

    /// Requests arrive and get turns until there is nothing left to do; returns what the last turn said.
    pub fn serve(&mut self, connection: &mut Connection, far: &mut Far, requests: &[u8]) -> Next {
        far.write_all(requests).expect("sent");
        connection.set_readable(false);
        loop {
            match self.turn(connection) {
                Next::Again => {}
                next => return next,
            }
        }
    }
}

/// Everything that has been sent to a client, which must be this.
pub fn assert_received(far: &mut Far, expected: &[u8]) {
    let mut received = vec![0; expected.len() + 1024];
    let mut len = 0;
    while len < received.len() {
        match far.read(&mut received[len..]) {
            Ok(more) if more > 0 => len += more,
            _ => break,
        }
    }
    assert_eq!(received[..len].escape_ascii().to_string(), expected.escape_ascii().to_string());
}
