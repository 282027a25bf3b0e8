//! Effects: what commands have changed, as requests that change it again elsewhere.
//!
//! A command that has changed something hands on itself, or what its body said instead (`Ctx::rewrite`); before it, UNLINK
//! for each key that it found past its deadline. What is run as a whole is one unit with one ticket: a command, an EXEC, a
//! key that expired or was evicted. SELECT is no effect: each command of a unit has the number of its database.
//!
//! Not the queues (`state::effect_log`), not when a ticket is taken (`keyspace::tickets`), and not when a unit begins and
//! ends (`unit`).
//!
//! Invariants: (1) what a unit holds is complete when it is sealed; (2) where the worker's queue has no room, reads take
//! keys past their deadline for absent and leave them; (3) while nobody follows there is no `Effects`,
//! which costs a command two comparisons.
//!
//! Thread safety: one `Effects` per worker.

use crate::spec::command::Command;
use crate::spec::effect::Effect;
use crate::state::effect_log::EffectLog;
use keyspace::Journal;
use std::sync::Arc;
use wire::{Args, Mark, Reply};

/// The buffers of a worker keep so much between units.
const KEPT_BYTES: usize = 64 << 10;

/// Requests on their way: each an array of bulk strings, which is how a reply writes one, too.
#[derive(Default)]
pub struct Requests {
    encoded: Reply,
    /// Database and length of each.
    heads: Vec<(u32, usize)>,
    /// Where those that are written next are to run.
    database: u32,
}

/// See the module's text.
pub(crate) struct Effects {
    log: Arc<EffectLog>,
    worker: usize,
    /// The unit under way.
    unit: Requests,
    /// What the command under way says instead of itself.
    rewritten: Option<Requests>,
    /// Where the reply of what runs now begins.
    pub(crate) reply_start: Option<Mark>,
}

impl Requests {
    /// One request: its words, the command's name first.
    pub fn request(&mut self, words: &[&[u8]]) {
        let start = self.begin(words.len());
        words.iter().for_each(|word| self.encoded.bulk(word));
        self.end(start);
    }

    fn verbatim(&mut self, args: Args<'_>) {
        let start = self.begin(args.len());
        args.iter().for_each(|word| self.encoded.bulk(word));
        self.end(start);
    }

    fn begin(&mut self, words: usize) -> Mark {
        let start = self.encoded.mark();
        self.encoded.array(words);
        start
    }

    fn end(&mut self, start: Mark) {
        self.heads.push((self.database, self.encoded.len_since(start)));
    }

    fn bytes(&self) -> &[u8] {
        self.encoded.as_bytes().expect("nothing in a request is shared")
    }

    fn append(&mut self, other: &Requests) {
        self.encoded.raw(other.bytes());
        self.heads.extend_from_slice(&other.heads);
    }

    fn clear(&mut self) {
        self.encoded.clear();
        self.encoded.shrink_to(KEPT_BYTES);
        self.heads.clear();
    }
}

impl Effects {
    pub(crate) fn new(log: Arc<EffectLog>, worker: usize) -> Effects {
        Effects { log, worker, unit: Requests::default(), rewritten: None, reply_start: None }
    }

    /// Whether there is room for effects. If not, keys past their deadline stay where they are until there is.
    pub(crate) fn has_room(&self, journal: &mut Journal) -> bool {
        let has_room = self.log.has_room(self.worker);
        journal.keeps_dead = !has_room;
        has_room
    }

    /// As [`Effects::has_room`]; there is while nobody follows.
    pub(crate) fn have_room(effects: Option<&Effects>, journal: &mut Journal) -> bool {
        effects.is_none_or(|effects| effects.has_room(journal))
    }

    /// Replaces the effect of the command under way.
    pub(crate) fn rewrite(&mut self, database: usize, write: impl FnOnce(&mut Requests)) {
        let requests = self.rewritten.get_or_insert_default();
        requests.database = database as u32;
        write(requests);
    }

    /// A command of the unit has run: notes what it has changed.
    pub(crate) fn note(&mut self, journal: &mut Journal, command: &Command, args: Args<'_>, database: usize) {
        let Command { name, effect, .. } = command;
        if self.rewritten.is_some() {
            debug_assert!(*effect == Effect::Rewrites, "{name} is said to be its own effect");
            return self.note_rewritten(journal);
        }
        self.note_gone(journal);
        if has_written(journal) {
            debug_assert!(*effect != Effect::None, "{name} writes and does not say so");
            self.unit.database = database as u32;
            self.unit.verbatim(args);
        }
    }

    /// As [`Effects::note`], of what the command said instead of itself.
    pub(crate) fn note_rewritten(&mut self, journal: &mut Journal) {
        self.note_gone(journal);
        if let (true, Some(requests)) = (has_written(journal), self.rewritten.take()) {
            self.unit.append(&requests);
        }
        self.rewritten = None;
    }

    fn note_gone(&mut self, journal: &mut Journal) {
        for gone in journal.unit.iter_mut().flat_map(|unit| unit.gone()) {
            self.unit.database = gone.database;
            self.unit.request(&[b"UNLINK", &gone.key]);
        }
    }

    /// Hands the unit on, if it has changed something. Everything that it has changed is still held.
    pub(crate) fn seal(&mut self, journal: &mut Journal) {
        self.note_gone(journal);
        if let Some(ticket) = journal.unit.as_mut().and_then(|unit| unit.seal()) {
            self.log.push(self.worker, ticket, &self.unit.heads, self.unit.bytes());
            self.unit.clear();
        }
    }

    /// As [`Effects::seal`], if somebody follows.
    pub(crate) fn seal_of(effects: Option<&mut Effects>, journal: &mut Journal) {
        if let Some(effects) = effects {
            effects.seal(journal);
        }
    }

    /// Holds back the reply of what has just run, which has seen changes up to `seen`.
    pub(crate) fn hold(&mut self, reply: &mut Reply, seen: u64) {
        let Some(start) = self.reply_start.take() else { return };
        if seen > self.log.durable() {
            reply.hold_since(start, seen);
        }
    }

    /// The newest ticket.
    pub(crate) fn newest(&self) -> u64 {
        self.log.newest()
    }
}

/// Whether a command has changed anything since this was last asked.
fn has_written(journal: &mut Journal) -> bool {
    journal.unit.as_mut().is_some_and(|unit| unit.take_written())
}
