//! A server without sockets, for tests at the dispatch boundary: bytes in, bytes out.
//!
//! Not a second way to serve: it drives the same parser and the same `Executor` as a worker does.
//!
//! Thread safety: a `Bench` has one worker, itself; `Bench::sharing` makes further workers of the same instance.

use engine::config::Settings;
use engine::registry::Registry;
use engine::run::dispatch::{BATCH_MAX, End, Executor};
use engine::run::parked::Parked;
use engine::run::recording::Arrival;
use engine::state::clients::{Client, Origin};
use engine::state::effect_log::EffectReader;
use engine::state::instance::Instance;
use engine::state::session::{REQUIRES_PASSWORD, Session};
use keyspace::gate::Place;
use observe::os::clock;
use std::sync::Arc;
use wire::{Args, Limits, Parsed, Reply, RequestParser};

/// See the module's text.
pub struct Bench {
    pub instance: Arc<Instance>,
    pub executor: Executor,
    pub session: Session,
    places: Vec<Place>,
    /// What a parked request of [`Bench::step`] left behind.
    parked: Parked,
}

fn instance(registry: &'static Registry, settings: Settings, workers: usize) -> (Instance, Vec<Place>) {
    Instance::new(registry, Arc::new(settings), workers, 0x5eed, "0".repeat(40), None)
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Bench {
    /// One worker, default settings.
    pub fn new() -> Bench {
        Bench::with(Settings::new(), 1)
    }

    /// `workers` of one instance; this is the first, [`Bench::sharing`] gives the others.
    pub fn with(settings: Settings, workers: usize) -> Bench {
        Bench::of_registry(crate::registry(), settings, workers)
    }

    /// As [`Bench::with`], with other commands than the server's.
    pub fn of_registry(registry: &'static Registry, settings: Settings, workers: usize) -> Bench {
        let (instance, places) = instance(registry, settings, workers);
        Bench::first(instance, places)
    }

    /// As [`Bench::with`], and somebody follows what changes.
    pub fn followed(settings: Settings, workers: usize) -> (Bench, EffectReader) {
        let (mut instance, places) = instance(crate::registry(), settings, workers);
        let reader = instance.follow_effects();
        (Bench::first(instance, places), reader)
    }

    fn first(instance: Instance, mut places: Vec<Place>) -> Bench {
        let place = places.remove(0);
        Bench::of(Arc::new(instance), 0, place, places)
    }

    fn of(instance: Arc<Instance>, worker: usize, place: Place, places: Vec<Place>) -> Bench {
        let origin = Origin::Unix { path: "test".into() };
        let now_ms = instance.now_ms();
        let client = instance.clients.connect(|id| Client::new(id, origin, 7, worker, now_ms));
        let authenticated = !instance.settings.read(REQUIRES_PASSWORD);
        let executor = Executor::new(Arc::clone(&instance), worker, place, worker as u64 + 1);
        Bench {
            instance,
            executor,
            session: Session::new(client, authenticated),
            places,
            parked: Parked::default(),
        }
    }

    /// Another worker of the same instance with a connection of its own.
    pub fn sharing(&mut self) -> Bench {
        let place = self.places.remove(0);
        let worker = self.instance.workers - 1 - self.places.len();
        Bench::of(Arc::clone(&self.instance), worker, place, Vec::new())
    }

    /// Runs requests, in inline form (one per line) or RESP, and returns the replies.
    pub fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !bytes.ends_with(b"\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        let mut reply = Reply::new();
        if self.session.client.protocol.load(std::sync::atomic::Ordering::Relaxed) == 3 {
            reply.set_protocol(wire::Protocol::Resp3);
        }
        let limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };
        let (mut parser, mut position) = (RequestParser::new(), 0);
        loop {
            let mut spans = Vec::new();
            match parser.parse(&bytes, &mut position, &mut spans, &limits) {
                Ok(Parsed::Request) => self.execute(Args::new(&bytes, &spans), &mut reply),
                Ok(Parsed::Rewritten(owned)) => self.execute(owned.as_args(), &mut reply),
                Ok(Parsed::Incomplete) => return reply.to_vec(),
                Err(error) => {
                    error.write(&mut reply);
                    return reply.to_vec();
                }
            }
        }
    }

    /// Runs one request given as its arguments.
    pub fn command(&mut self, arguments: &[&[u8]]) -> Vec<u8> {
        let owned = wire::OwnedArgs::from_slices(arguments);
        let mut reply = Reply::new();
        if self.session.client.protocol.load(std::sync::atomic::Ordering::Relaxed) == 3 {
            reply.set_protocol(wire::Protocol::Resp3);
        }
        self.execute(owned.as_args(), &mut reply);
        reply.to_vec()
    }

    /// Runs requests as one batch, as a worker does with what a pipelining client has sent, and returns the replies.
    pub fn batch<S: AsRef<[u8]>>(&mut self, requests: &[Vec<S>]) -> Vec<u8> {
        let owned: Vec<wire::OwnedArgs> =
            requests.iter().map(|request| wire::OwnedArgs::from_slices(request)).collect();
        let args: Vec<Args<'_>> = owned.iter().map(|owned| owned.as_args()).collect();
        let (mut reply, mut parked, mut at) = (Reply::new(), Parked::default(), 0);
        while at < args.len() && !self.session.closing {
            let batch = &args[at..args.len().min(at + BATCH_MAX)];
            match self.executor.run(
                batch,
                &mut self.session,
                &mut reply,
                Arrival { at: clock::now(), weight: 1 },
                &mut parked,
            ) {
                End::Done => at += batch.len(),
                End::Parked { at: next } => {
                    std::thread::yield_now();
                    at += next;
                }
                End::Sliced { at: next } | End::Yield { at: next } => at += next,
            }
        }
        reply.to_vec()
    }

    /// Tries one request once, as a worker does in one of its rounds; None if it is parked. Its next try goes on.
    pub fn step(&mut self, args: Args<'_>) -> Option<Vec<u8>> {
        let (mut reply, mut parked) = (Reply::new(), std::mem::take(&mut self.parked));
        let arrived = Arrival { at: clock::now(), weight: 1 };
        let end = self.executor.run(&[args], &mut self.session, &mut reply, arrived, &mut parked);
        self.parked = parked;
        (end == End::Done).then(|| reply.to_vec())
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.executor.close(&mut self.session, Some(&mut self.parked));
    }

    /// Runs one request until it is done, as a worker would that has nothing else to do.
    pub fn execute(&mut self, args: Args<'_>, reply: &mut Reply) {
        let mut parked = Parked::default();
        let requests = [args];
        const { assert!(BATCH_MAX > 1) };
        while self.executor.run(
            &requests,
            &mut self.session,
            reply,
            Arrival { at: clock::now(), weight: 1 },
            &mut parked,
        ) != End::Done
        {
            std::thread::yield_now();
        }
    }
}
