//! What runs with nobody else inside the gate: commands of whole databases, and those of a transaction that needs that.
//!
//! Not the gate, nor how a command runs: see `passage` and `runner`. Here each command is given its context.
//!
//! Thread safety: works on one request of one worker, which is alone.

use crate::run::ctx::Ctx;
use crate::run::data::{Data, lock_id, lock_uncontended, push_ids};
use crate::run::effects::Effects;
use crate::run::keys::{Declared, Keys};
use crate::run::prepared::Prepared;
use crate::run::recording::Clock;
use crate::run::runner::{Held, Runner};
use crate::spec::command::Run;
use crate::state::instance::Instance;
use crate::state::session::Session;
use keyspace::{Databases, Journal};
use observe::record::Recorder;
use wire::Reply;

/// What commands behind the gate run with.
pub(crate) struct Alone<'a> {
    pub instance: &'a Instance,
    pub databases: &'a mut Databases,
    pub recorder: &'a mut Recorder,
    pub journal: &'a mut Journal,
    pub effects: Option<&'a mut Effects>,
    pub clock: &'a Clock,
    /// The keys of the requests that are run.
    pub keys: &'a mut Keys,
}

impl Alone<'_> {
    /// Runs one command: of whole databases, or of keys whose stripes nobody else can hold.
    pub(crate) fn run(&mut self, request: &Prepared<'_>, session: &mut Session, reply: &mut Reply) {
        let Some(command) = request.entry.map(|entry| entry.command) else { return };
        let Alone { instance, databases, recorder, journal, effects, clock, keys } = self;
        let (database, effects) = (session.database, effects.as_deref_mut());
        if let Run::Alone(_) = command.run {
            let data = Data::new(&instance.nowhere, (database, None), journal, recorder, keys);
            let mut ctx = Ctx { instance, session, reply, data, effects };
            return Runner { ctx: &mut ctx, held: Held::Everything(databases), clock }
                .run_through(request, command);
        }
        let mut ids = Vec::new();
        match request.keys {
            Declared::One(key) => ids.push(lock_id(database, key.hash)),
            Declared::Listed(range) => push_ids(keys, range, database, databases.count(), &mut ids),
        }
        ids.sort_unstable();
        ids.dedup();
        let locks = lock_uncontended(databases, &ids, journal.now_ms);
        let mut data = Data::new(databases, (database, None), journal, recorder, keys);
        data.locks = locks;
        data.declare(request.keys);
        let mut ctx = Ctx { instance, session, reply, data, effects };
        Runner { ctx: &mut ctx, held: Held::Stripes, clock }.run_through(request, command);
    }
}
