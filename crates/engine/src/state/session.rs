//! A session: what the server remembers of one connection from command to command.
//!
//! Not the socket and not its buffers: those are the worker's. What other threads may ask about a connection is in
//! its `Client` (see `clients`); the session writes it, others read it.
//!
//! Invariants: (1) `queue` is non-empty only while `multi` is set; (2) every watched key has its flag registered in
//! its stripe until `watched` is emptied.
//!
//! Thread safety: owned by the worker that serves the connection; moves with it.

use crate::config::Setting;
use crate::registry::Entry;
use crate::run::keys::{Kept, Keys};
use crate::state::clients::Client;
use keyspace::WatchFlag;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use wire::OwnedArgs;

/// Whether there is a password: new connections start unauthenticated.
pub const REQUIRES_PASSWORD: Setting<bool> = Setting::is_given("requirepass");

/// What CLIENT REPLY set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    #[default]
    On,
    Off,
    /// Nothing for the command after this one.
    SkipNext,
    /// Nothing for this command.
    Skip,
}

/// A transaction being collected.
#[derive(Default)]
pub struct Multi {
    pub queue: Vec<Queued>,
    /// The keys of the queued commands.
    pub(crate) keys: Keys,
    /// Memory of the queued commands.
    pub queued_bytes: usize,
    /// A command was refused while queueing: EXEC will abort.
    pub broken: bool,
    /// Some queued command may need memory.
    pub grows: bool,
}

/// A queued command.
pub struct Queued {
    pub entry: &'static Entry,
    pub args: OwnedArgs,
    pub(crate) keys: Kept,
}

/// A watched key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    pub database: usize,
    pub hash: u64,
    pub key: Box<[u8]>,
}

impl Watched {
    /// About what it takes, in its stripe too.
    pub fn memory_bytes(&self) -> usize {
        const IN_STRIPE: usize = size_of::<(u64, Vec<WatchFlag>)>() + size_of::<WatchFlag>();
        size_of::<Self>() + self.key.len() + IN_STRIPE
    }
}

/// See the module's text.
pub struct Session {
    pub client: Arc<Client>,
    pub database: usize,
    pub authenticated: bool,
    pub reply_mode: ReplyMode,
    pub multi: Option<Box<Multi>>,
    /// Each with whether it existed then: if it has expired since, EXEC aborts.
    pub watched: BTreeMap<Watched, bool>,
    /// Memory of the watched keys.
    pub watched_bytes: usize,
    pub watch_flag: Option<WatchFlag>,
    /// The connection is to be closed once its replies are sent.
    pub closing: bool,
    /// It sent a line of HTTP; that is why it is closing.
    pub speaks_http: bool,
}

impl Session {
    pub fn new(client: Arc<Client>, authenticated: bool) -> Session {
        Session {
            client,
            database: 0,
            authenticated,
            reply_mode: ReplyMode::On,
            multi: None,
            watched: BTreeMap::new(),
            watched_bytes: 0,
            watch_flag: None,
            closing: false,
            speaks_http: false,
        }
    }

    /// Whether some watched key was changed since it was watched.
    pub fn is_watch_broken(&self) -> bool {
        self.watch_flag.as_ref().is_some_and(|flag| flag.load(Relaxed))
    }

    /// What the server keeps for the client's transaction, at most `client-query-buffer-limit`.
    pub fn transaction_bytes(&self) -> usize {
        self.watched_bytes + self.multi.as_ref().map_or(0, |multi| multi.queued_bytes)
    }

    /// Tells the others how far the transaction has come.
    pub fn show_transaction(&self) {
        let queued = self.multi.as_ref().map_or(-1, |multi| multi.queue.len() as i64);
        self.client.queued.store(queued, Relaxed);
        self.client.watching.store(self.watched.len() as u32, Relaxed);
        self.client.transaction_bytes.store(self.transaction_bytes() as u64, Relaxed);
    }
}
