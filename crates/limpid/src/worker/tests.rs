//! (tests) Workers of a server in this process, with real sockets: what is sent from one to a client of another, clients
//! that move, and parked ones.
//!
//! Not the black-box tests, which start the binary: here a test sends, holds stripes and asks where a client is.
//!
//! Thread safety: each test has a server of its own.

use crate::serve::{self, Running};
use engine::config::Loader;
use engine::state::clients::Client;
use engine::state::mailbox::Delivery;
use engine::state::push::Push;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What takes longer than this will not come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    running: Option<Running>,
    directory: tempfile::TempDir,
}

impl Server {
    fn start(workers: usize) -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let mut loader = Loader::new();
        let socket = format!("unixsocket {}", directory.path().join("socket").display());
        let threads = format!("io-threads {workers}");
        let lines = ["port 0", "admin-port 0", "io-threads-always-active yes", &socket, &threads];
        for (number, line) in lines.into_iter().enumerate() {
            loader.line("test", number + 1, line.as_bytes()).expect("a directive");
        }
        let settings = Arc::new(loader.finish().expect("settings").0);
        let running = serve::start(settings, None, None).expect("it starts");
        Server { running: Some(running), directory }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    fn connect(&self) -> Far {
        let stream = UnixStream::connect(self.directory.path().join("socket")).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut far = Far { stream: BufReader::new(stream), client: None };
        far.send("CLIENT ID");
        let id = far.line().trim_start_matches(':').parse().expect("an id");
        far.client = self.running().instance.clients.get(id);
        far
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.instance.stop();
            running.wait();
        }
    }
}

/// A client, and what the server knows of it.
struct Far {
    stream: BufReader<UnixStream>,
    client: Option<Arc<Client>>,
}

impl Far {
    fn client(&self) -> &Arc<Client> {
        self.client.as_ref().expect("it was registered")
    }

    fn worker(&self) -> usize {
        self.client().mailbox.worker()
    }

    fn send(&mut self, request: &str) {
        self.stream.get_mut().write_all(format!("{request}\r\n").as_bytes()).expect("sent");
    }

    /// The next line it is sent, without its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// From now on it speaks RESP3.
    fn say_hello(&mut self) {
        self.send("HELLO 3");
        while self.line() != "modules" {}
        assert_eq!(self.line(), "*0");
    }

    /// The sender and the number of a push that begins with `head`.
    fn ping(&mut self, head: &str) -> (usize, usize) {
        assert_eq!(head, ">2");
        let mut number = || self.line().trim_start_matches(':').parse().expect("a number");
        (number(), number())
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ping(sender: usize, number: usize) -> Delivery {
    Delivery::Push(Arc::new(Push::new(2, |reply| {
        reply.integer(sender as i64);
        reply.integer(number as i64);
    })))
}

/// Each client asks for echoes while others send to it and the workers hand it to and fro: every push comes once, each
/// sender's in order, and none inside a reply.
#[test]
fn pushes_arrive_once_and_in_order_wherever_a_client_is() {
    const SENDERS: usize = 2;
    const MOVES: usize = 3;
    let server = Server::start(2);
    let mut fars: Vec<Far> = (0..6).map(|_| server.connect()).collect();
    fars.iter_mut().for_each(Far::say_hello);
    let clients: Vec<Arc<Client>> = fars.iter().map(|far| Arc::clone(far.client())).collect();
    let instance = &server.running().instance;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for far in &mut fars {
            scope.spawn(|| echo_and_listen::<SENDERS>(far));
        }
        for sender in 0..SENDERS {
            let (clients, is_over) = (&clients, &is_over);
            scope.spawn(move || {
                let mut number = 0;
                while !is_over.load(Relaxed) {
                    clients.iter().for_each(|client| instance.deliver(client, ping(sender, number)));
                    number += 1;
                    std::thread::sleep(Duration::from_micros(200));
                }
                clients.iter().for_each(|client| instance.deliver(client, ping(sender, LAST)));
            });
        }
        // Also when this thread panics, or the others would go on for ever.
        let _over = OnDrop(&is_over);
        let placed = || -> Vec<usize> { clients.iter().map(|client| client.mailbox.worker()).collect() };
        let (started, mut moves, mut round) = (Instant::now(), 0, 0);
        while moves < MOVES {
            assert!(started.elapsed() < 3 * PATIENCE, "only {moves} moves in {round} rounds");
            // Others come, and those of one worker leave: it is given some that the other has.
            let before = placed();
            let crowd: Vec<Far> = (0..24).map(|_| server.connect()).collect();
            let (leaving, staying): (Vec<Far>, Vec<Far>) =
                crowd.into_iter().partition(|far| far.worker() == round % 2);
            drop(leaving);
            let waiting = Instant::now();
            while placed() == before && waiting.elapsed() < Duration::from_secs(2) {
                std::thread::sleep(Duration::from_millis(5));
            }
            moves += placed().iter().zip(&before).filter(|(now, then)| now != then).count();
            drop(staying);
            round += 1;
        }
    });
}

/// Says that it is over when it goes out of scope.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The number of a sender's last push.
const LAST: usize = usize::MAX >> 1;

/// Asks for echoes until every sender has sent its last push.
fn echo_and_listen<const SENDERS: usize>(far: &mut Far) {
    let (mut next, mut round) = ([0; SENDERS], 0);
    while next != [LAST; SENDERS] {
        far.send(&format!("ECHO {round}\r\nECHO {round}"));
        let mut echoes = 0;
        while echoes < 2 {
            let head = far.line();
            if head.starts_with('$') {
                assert_eq!(far.line(), round.to_string());
                echoes += 1;
                continue;
            }
            let (sender, number) = far.ping(&head);
            match number {
                LAST => next[sender] = LAST,
                number => {
                    assert_eq!(number, next[sender], "of sender {sender}");
                    next[sender] += 1;
                }
            }
        }
        round += 1;
    }
}

/// A worker that sleeps is woken for what is sent to its clients; nothing else happens on them.
#[test]
fn a_sleeping_worker_is_woken_by_what_is_sent() {
    let server = Server::start(2);
    let (mut one, mut other) = (server.connect(), server.connect());
    assert_ne!(one.worker(), other.worker());
    [&mut one, &mut other].into_iter().for_each(Far::say_hello);
    let instance = &server.running().instance;
    for number in 0..200 {
        for far in [&mut one, &mut other] {
            instance.deliver(far.client(), ping(0, number));
            let head = far.line();
            assert_eq!(far.ping(&head), (0, number));
        }
    }
    instance.kill(other.client());
    assert_eq!(other.stream.read_to_end(&mut Vec::new()).expect("it is closed"), 0);
    one.send("PING");
    assert_eq!(one.line(), "+PONG");
}

/// A client whose request is parked goes to another worker, is answered there, or ends with its peer.
#[test]
fn parked_clients_move_and_end() {
    let server = Server::start(3);
    let mut fars: Vec<Far> = (0..12).map(|_| server.connect()).collect();
    fars[0].send("SET other value");
    assert_eq!(fars[0].line(), "+OK");
    let instance = &server.running().instance;
    let stripe = keyspace::hash::stripe_of(instance.hasher.hash(b"key"));
    let (leaving, mut staying): (Vec<Far>, Vec<Far>) = fars.into_iter().partition(|far| far.worker() == 2);
    assert_eq!((leaving.len(), staying.len()), (4, 8));
    instance.visit(|databases| {
        let database = databases.existing(0).expect("it was written to");
        let held = database.try_lock(stripe, 200).expect("free");
        for far in &mut staying {
            far.send("GET key");
        }
        let waits = |far: &Far| far.client().argument_bytes.load(Relaxed) > 0;
        until("all are parked", || staying.iter().all(waits));
        drop(leaving);
        let moved = || staying.iter().filter(|far| far.worker() == 2).count();
        until("some move while they are parked", || moved() >= 2);
        assert!(staying.iter().all(waits));
        let id = staying.remove(0).client().id;
        until("who is gone is closed", || instance.clients.get(id).is_none());
        drop(held);
    });
    for far in &mut staying {
        assert_eq!(far.line(), "$-1");
        far.send("PING");
        assert_eq!(far.line(), "+PONG");
    }
    instance.visit(|databases| {
        let mark = databases.existing(0).expect("in use").mark(stripe);
        assert!(!mark.is_set(), "nobody is left registered");
    });
}
