//! The register of connected clients: what CLIENT LIST, CLIENT KILL and the profiler may know of a connection, from
//! any thread.
//!
//! Not a connection: the worker that owns the socket writes these figures, mostly once per batch; everybody else reads.
//!
//! What others send to it lies in its `mailbox`.
//!
//! Invariants: (1) ids ascend and are never reused; (2) a client is registered from accept until it is closed or
//! killed; (3) a killed client's worker is told, and closes it before it serves it again.
//!
//! Thread safety: figures are relaxed atomics with one writer; texts are behind a mutex that only CLIENT commands take.

pub mod section;

use crate::state::mailbox::Mailbox;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// Where a client connected from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Tcp { peer: SocketAddr, local: SocketAddr },
    Unix { path: String },
}

impl Origin {
    /// `addr` of CLIENT LIST.
    pub fn peer(&self) -> String {
        match self {
            Origin::Tcp { peer, .. } => peer.to_string(),
            Origin::Unix { path } => format!("{path}:0"),
        }
    }

    /// `laddr` of CLIENT LIST.
    pub fn local(&self) -> String {
        match self {
            Origin::Tcp { local, .. } => local.to_string(),
            Origin::Unix { path } => format!("{path}:0"),
        }
    }
}

/// The classes of clients, each with output limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    Normal,
    Replica,
    PubSub,
}

/// What the client said about itself.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub name: String,
    pub library_name: String,
    pub library_version: String,
}

/// One connected client; the figures are since it connected unless they say otherwise.
pub struct Client {
    pub id: u64,
    pub origin: Origin,
    pub fd: i32,
    /// What others send to it, and which worker serves it.
    pub mailbox: Mailbox,
    /// Where its worker has it: that worker's own note.
    pub slot: AtomicUsize,
    /// Milliseconds of the keyspace's clock.
    pub connected_ms: i64,
    pub names: Mutex<Names>,
    pub last_active_ms: AtomicI64,
    pub commands: AtomicU64,
    pub errors: AtomicU64,
    pub batches: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Time its commands ran, from the timed ones; only while the clients' observer is on.
    pub run_ns: AtomicU64,
    pub database: AtomicU16,
    /// Index of the last command, `u16::MAX` before the first.
    pub last_command: AtomicU16,
    /// 2 or 3.
    pub protocol: AtomicU8,
    /// Commands queued since MULTI, -1 outside a transaction.
    pub queued: AtomicI64,
    /// Memory of the queued commands and of the watched keys.
    pub transaction_bytes: AtomicU64,
    pub watching: AtomicU32,
    pub query_buffer_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    pub output_bytes_peak: AtomicU64,
    /// Times its socket would not take all that was to be sent.
    pub output_blocked: AtomicU64,
    pub authenticated: AtomicBool,
    /// READONLY: it would read from a replica too.
    pub readonly: AtomicBool,
    /// CLIENT CAPA redirect: it would follow a redirection.
    pub redirects: AtomicBool,
    /// Arguments of the request that waits to go on.
    pub argument_bytes: AtomicU64,
    /// A [`ClientClass`].
    class: AtomicU8,
    pub killed: AtomicBool,
}

impl Client {
    pub fn new(id: u64, origin: Origin, fd: i32, worker: usize, now_ms: i64) -> Client {
        Client {
            id,
            origin,
            fd,
            mailbox: Mailbox::new(worker),
            slot: AtomicUsize::new(usize::MAX),
            connected_ms: now_ms,
            names: Mutex::default(),
            last_active_ms: AtomicI64::new(now_ms),
            commands: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            run_ns: AtomicU64::new(0),
            database: AtomicU16::new(0),
            last_command: AtomicU16::new(u16::MAX),
            protocol: AtomicU8::new(2),
            queued: AtomicI64::new(-1),
            transaction_bytes: AtomicU64::new(0),
            watching: AtomicU32::new(0),
            query_buffer_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            output_bytes_peak: AtomicU64::new(0),
            output_blocked: AtomicU64::new(0),
            authenticated: AtomicBool::new(false),
            readonly: AtomicBool::new(false),
            redirects: AtomicBool::new(false),
            argument_bytes: AtomicU64::new(0),
            class: AtomicU8::new(ClientClass::Normal as u8),
            killed: AtomicBool::new(false),
        }
    }

    /// Bytes the server holds for it: unfinished requests, one that waits, queued ones and watched keys, unread replies,
    /// and what others have sent to it.
    pub fn held_bytes(&self) -> u64 {
        let own =
            [&self.query_buffer_bytes, &self.argument_bytes, &self.transaction_bytes, &self.output_bytes];
        own.iter().map(|bytes| bytes.load(Relaxed)).sum::<u64>() + self.mailbox.bytes() as u64
    }

    /// Which output limits apply to it.
    pub fn class(&self) -> ClientClass {
        match self.class.load(Relaxed) {
            class if class == ClientClass::PubSub as u8 => ClientClass::PubSub,
            class if class == ClientClass::Replica as u8 => ClientClass::Replica,
            _ => ClientClass::Normal,
        }
    }

    /// Its session has become one of another class.
    pub fn set_class(&self, class: ClientClass) {
        self.class.store(class as u8, Relaxed);
    }

    /// Adds to a figure that only this client's worker writes.
    #[inline]
    pub fn add(figure: &AtomicU64, by: u64) {
        figure.store(figure.load(Relaxed).wrapping_add(by), Relaxed);
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Clients {
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    ids: AtomicU64,
    /// Heap bytes of all clients' buffers.
    buffer_bytes: AtomicU64,
}

impl Clients {
    /// Registers a client under a new id.
    pub fn connect(&self, make: impl FnOnce(u64) -> Client) -> Arc<Client> {
        let id = self.ids.fetch_add(1, Relaxed) + 1;
        let client = Arc::new(make(id));
        self.connected.lock().insert(id, Arc::clone(&client));
        client
    }

    /// Takes a client out of the register; from now on none of its requests begins. Its worker is still to be told.
    pub(crate) fn condemn(&self, client: &Client) {
        client.killed.store(true, SeqCst);
        self.disconnect(client.id);
    }

    /// Heap bytes of all clients' buffers, as far as their workers have told.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes.load(Relaxed)
    }

    /// Tells that some client's buffers took `before` bytes and take `after`.
    pub fn buffers_changed(&self, before: u64, after: u64) {
        self.buffer_bytes.fetch_add(after.wrapping_sub(before), Relaxed);
    }

    pub fn disconnect(&self, id: u64) {
        self.connected.lock().remove(&id);
    }

    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.connected.lock().get(&id).cloned()
    }

    /// All clients, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.connected.lock().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.connected.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections since the start.
    pub fn connections(&self) -> u64 {
        self.ids.load(Relaxed)
    }
}
