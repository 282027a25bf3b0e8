//! What a command's body is given besides its arguments.
//!
//! Bodies have no other way to the world: time and randomness come from `data`'s journal, replies go into `reply`. What
//! happened beside the reply (a conversion, a failed condition) will be reported here as well.
//!
//! Thread safety: belongs to one command on one worker.

use crate::data::Data;
use crate::instance::Instance;
use crate::session::Session;
use keyspace::Journal;
use observe::record::Recorder;
use wire::Reply;

/// For commands that run on the locked stripes of their keys.
pub struct Ctx<'a> {
    pub instance: &'a Instance,
    pub session: &'a mut Session,
    pub reply: &'a mut Reply,
    pub data: Data<'a>,
    /// The command's index in the registry.
    pub index: u16,
}

/// For commands that run behind the gate; the databases are an argument of their own.
pub struct AloneCtx<'a> {
    pub instance: &'a Instance,
    pub session: &'a mut Session,
    pub reply: &'a mut Reply,
    pub journal: &'a mut Journal,
    pub(crate) recorder: &'a mut Recorder,
}

impl AloneCtx<'_> {
    /// Accounts for keys that left with a whole database, which is freed in the background.
    pub fn discard(&mut self, database: Box<keyspace::Database>, all: bool) {
        crate::accounting::discard(self.instance, self.recorder, database, all);
    }
}

impl Ctx<'_> {
    /// The keyspace's moment for an offset from now, in milliseconds.
    pub fn from_now_ms(&self, offset_ms: i64) -> Option<i64> {
        self.data.now_ms().checked_add(offset_ms)
    }
}
