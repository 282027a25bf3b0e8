//! What a command's body is given besides its arguments.
//!
//! Bodies have no other way to the world: time and randomness come from `data`'s journal, replies go into `reply`. What
//! happened beside the reply (a conversion, a failed condition) will be reported here as well.
//!
//! Thread safety: belongs to one batch on one worker.

use crate::run::data::Data;
use crate::run::effects::{Effects, Requests};
use crate::spec::command::Progress;
use crate::state::instance::Instance;
use crate::state::reporter::{Length, Ticket};
use crate::state::session::Session;
use keyspace::waiting::ALONE;
use keyspace::{Database, Journal};
use observe::record::Recorder;
use std::sync::Arc;
use wire::Reply;

/// See the module's text.
pub struct Ctx<'a> {
    pub instance: &'a Instance,
    pub session: &'a mut Session,
    pub reply: &'a mut Reply,
    pub data: Data<'a>,
    /// None: nobody follows.
    pub(crate) effects: Option<&'a mut Effects>,
}

impl Ctx<'_> {
    /// Replaces what the command hands on as its effect by what `write` says, if it changes anything; see
    /// `spec::Effect::Rewrites`. `write` is called only if somebody follows.
    #[inline(always)]
    pub fn rewrite(&mut self, write: impl FnOnce(&mut Requests)) {
        if let Some(effects) = &mut self.effects {
            effects.rewrite(self.data.database, write);
        }
    }

    /// What `make` makes of the instance, on the thread that makes reports. None: not yet, the command answers
    /// `Slice::Wait` and asks the same when it is called again. Where it cannot wait it is made here.
    pub fn report<T: Send + 'static>(
        &self,
        progress: &mut Progress,
        length: Length,
        make: impl FnOnce(&Instance) -> T + Send + 'static,
    ) -> Option<T> {
        let reporter = &self.instance.reporter;
        if progress.in_place || !reporter.is_there() {
            return Some(make(self.instance));
        }
        if let Some(ticket) = progress.kept.as_ref().and_then(|kept| kept.downcast_ref::<Ticket<T>>()) {
            let made = ticket.take()?;
            *progress = Progress::default();
            return Some(made);
        }
        let client = Arc::clone(&self.session.client);
        // A connection may have moved by then: its worker is asked for when there is something to tell.
        let tell = move |instance: &Instance| instance.hint(&client);
        let (ticket, job) = Ticket::new(make, tell);
        // Without room it asks again, as often as a parked command is tried.
        if reporter.ask(length, job).is_ok() {
            progress.kept = Some(Box::new(ticket));
        }
        None
    }

    /// Hands on what was rewritten so far as a unit of its own, for a command that changes more than one should hold.
    pub fn hand_on(&mut self) {
        if let Some(effects) = &mut self.effects {
            effects.note_rewritten(self.data.journal);
            effects.seal(self.data.journal);
        }
    }

    /// Frees a database that was taken out, and accounts for its keys, in the background.
    pub fn discard(&mut self, mut database: Box<Database>) {
        let bytes = database.loaded_bytes();
        let recorder = self.instance.background_recorder();
        let journal_hasher = self.instance.hasher.clone();
        keyspace::free::in_background(
            Box::new(Discarded { database, recorder, hasher: journal_hasher }),
            bytes,
        );
    }

    /// What was decided about recording holds for this worker from here on, as for the others from their next batch: after
    /// CONFIG SET of a switch, CONFIG RESETSTAT and PROF RESET.
    pub fn take_recording_orders(&mut self) {
        self.data.recorder.take_orders();
    }
}

/// A database on its way out: dropping it tells the observers that its keys are gone.
struct Discarded {
    database: Box<Database>,
    recorder: std::sync::Arc<parking_lot::Mutex<Recorder>>,
    hasher: keyspace::KeyHasher,
}

impl Drop for Discarded {
    fn drop(&mut self) {
        /// Entries told under one hold of the recorder's lock.
        const PER_LOCK: usize = 1000;
        let mut journal = Journal::new(self.hasher.clone(), 1);
        // Nobody else has the database any more.
        journal.worker = ALONE;
        let mut cursor = 0;
        loop {
            let mut recorder = self.recorder.lock();
            let next = self.database.scan(cursor, PER_LOCK, usize::MAX, &journal, |entry| {
                let (key_bytes, value_bytes) = (entry.key().len(), entry.value_bytes());
                recorder.removed(entry.prefix(), key_bytes, value_bytes, entry.memory_bytes());
            });
            cursor = next.unwrap_or(cursor);
            if next == Some(0) {
                return;
            }
        }
    }
}
