//! How connections end: one by one, or all of them with the server.
//!
//! Invariants: (1) a closed connection leaves nothing behind: no registration at a stripe or a transaction's keys, nothing
//! in its mailbox, no entry in the register; (2) at the server's end clients get what they are owed, the replies to what
//! was executed and what others have sent to them, as long as they go on reading it, [`FAREWELL_MAX`] at most.
//!
//! Thread safety: its worker's.

use super::{EVENTS_MAX, Worker};
use crate::connection::Why;
use engine::state::clients::Client;
use mio::Events;
use observe::os::clock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Between two warnings of clients that speak HTTP.
const HTTP_WARNING_PAUSE: Duration = Duration::from_secs(60);
/// How long the server's end waits for a client to read on, while no other does.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for clients that do read: less than the ten seconds or more that service managers wait.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn close(&mut self, slot: usize, why: Why) {
        let Some(mut connection) = self.take_out(slot) else { return };
        self.due = self.due.max(connection.end(&mut self.executor));
        let client = &connection.session.client;
        let counters = &self.executor.instance.counters;
        match why {
            Why::QueryLimit => {
                counters.query_limit_disconnections.fetch_add(1, Relaxed);
                tracing::warn!("Client {} closed: its requests exceed the query buffer limit", named(client));
            }
            Why::OutputLimit => {
                counters.output_limit_disconnections.fetch_add(1, Relaxed);
                tracing::warn!("Client {} closed for overcoming of output buffer limits.", named(client));
            }
            Why::Http => self.warn_of_http(client),
            Why::Gone | Why::Finished | Why::Idle => {}
        }
    }

    /// Once a minute; who can make a browser send one request can make it send thousands.
    fn warn_of_http(&mut self, client: &Client) {
        if self.warned_of_http.is_some_and(|before| before.elapsed() < HTTP_WARNING_PAUSE) {
            return;
        }
        self.warned_of_http = Some(Instant::now());
        tracing::warn!(
            "Possible SECURITY ATTACK detected: {} sent POST or Host: as if this were a web server, perhaps a web page \
             that tries to send commands through a browser on this machine. Its connection was closed.",
            client.origin.peer()
        );
    }

    /// At the end: every client gets what its socket takes in time.
    pub(super) fn close_all(&mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        for slot in 0..self.slots.end() {
            if let Some(connection) = self.slots.get_mut(slot) {
                connection.drop_parked(&mut self.executor);
            }
        }
        self.bell().ring();
        self.deliver(clock::now());
        while !self.addressees.is_empty() {
            self.deliver(clock::now());
        }
        let last = Instant::now() + FAREWELL_MAX;
        let (mut owed, mut deadline) = (usize::MAX, last);
        loop {
            let left = self.send_rest();
            if left < owed {
                (owed, deadline) = (left, last.min(Instant::now() + FAREWELL_PATIENCE));
            }
            let time = deadline.saturating_duration_since(Instant::now());
            if owed == 0 || time.is_zero() || self.poll.poll(&mut events, Some(time)).is_err() {
                break;
            }
        }
        (0..self.slots.end()).for_each(|slot| self.close(slot, Why::Finished));
    }

    /// Sends what clients are owed as far as their sockets take it, and closes those that are owed nothing more. Returns
    /// the bytes that are left.
    fn send_rest(&mut self) -> usize {
        let mut owed = 0;
        for slot in 0..self.slots.end() {
            let Some(connection) = self.slots.get_mut(slot) else { continue };
            let left = connection.send_rest(&self.executor.instance);
            if left == 0 {
                connection.hang_up(&mut self.buffer);
                self.close(slot, Why::Finished);
            }
            owed += left;
        }
        owed
    }
}

/// A client as the log names it.
fn named(client: &Client) -> String {
    format!("id={} addr={}", client.id, client.origin.peer())
}
