//! How much longer do clients wait while another one sends what is costly?
//!
//!     limpid --port 7001 --enable-debug-command yes --databases 16
//!     cargo run --release -p limpid --example disturbed -- 127.0.0.1:7001 [RATE] [ROUNDS] [SECONDS]
//!
//! Fifty connections send GETs at a fixed rate, whatever the replies do (an open loop: each latency counts from the moment
//! the request was due). In each round one such phase is undisturbed, and one runs beside each disturber, interleaved, so
//! that a change of the machine's speed hits all of them. RATE 0 measures first what the connections get when they send as
//! soon as they have their reply, and takes half of that.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 50;
/// Keys beside those that are read, for KEYS to walk over.
const KEYS: usize = 5_000_000;
/// Keys that are read, each with a value of [`VALUE_BYTES`].
const READ_KEYS: usize = 10_000;
const VALUE_BYTES: usize = 16;
/// A `$16`, the value, and two line ends.
const REPLY_BYTES: usize = 5 + VALUE_BYTES + 2;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What one phase saw, in microseconds.
struct Phase {
    latencies_us: Vec<f64>,
    /// What the disturber got done.
    disturbances: u64,
}

impl Phase {
    fn at(&self, share: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

/// A request, and how often it is sent before its replies are read.
type Disturber = (&'static str, fn(u64) -> Vec<String>);

const DISTURBERS: &[Disturber] = &[
    ("SETRANGE of 512 MB", |_| vec!["DEL big".into(), "SETRANGE big 536870911 x".into()]),
    ("KEYS over 5M keys", |_| vec!["KEYS nothing*".into()]),
    ("SWAPDB", |_| vec!["SWAPDB 14 15".into()]),
    ("EXEC over 200 keys", |round| {
        let sets = (0..200).map(|key| format!("SET wide:{key} {round}"));
        std::iter::once("MULTI".into()).chain(sets).chain(std::iter::once("EXEC".into())).collect()
    }),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.first().ok_or("usage: disturbed HOST:PORT [RATE] [ROUNDS] [SECONDS]")?;
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (rate, rounds, seconds) = (number(1, 0)?, number(2, 5)?, number(3, 5)?);
    fill(address)?;
    let rate = if rate == 0 { saturation(address)? / 2 } else { rate };
    println!("{rate} GET/s on {CONNECTIONS} connections, {rounds} rounds of {seconds} s; microseconds");
    let names = std::iter::once("undisturbed").chain(DISTURBERS.iter().map(|(name, _)| *name));
    let names: Vec<&str> = names.collect();
    let mut phases: Vec<Vec<Phase>> = names.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (index, name) in names.iter().enumerate() {
            let disturber = index.checked_sub(1).map(|at| DISTURBERS[at].1);
            let phase = run(address, rate, Duration::from_secs(seconds), disturber)?;
            let figures = [0.5, 0.99, 0.999, 1.0].map(|share| format!("{:9.0}", phase.at(share))).join(" ");
            println!(
                "round {round} {name:20} p50 p99 p99.9 max {figures}   {} disturbances",
                phase.disturbances
            );
            phases[index].push(phase);
        }
    }
    println!("\np99 above the undisturbed one of the same round, median of {rounds}:");
    for (name, phase) in names.iter().zip(&phases).skip(1) {
        let mut growth: Vec<f64> =
            phase.iter().zip(&phases[0]).map(|(with, without)| with.at(0.99) - without.at(0.99)).collect();
        growth.sort_by(f64::total_cmp);
        println!(
            "{name:20} {:9.0}   ({:.0} to {:.0})",
            growth[growth.len() / 2],
            growth[0],
            growth[growth.len() - 1]
        );
    }
    Ok(())
}

fn fill(address: &str) -> Outcome<()> {
    let mut client = Plain::connect(address)?;
    client.call(&["FLUSHALL".into()])?;
    client.call(&[format!("DEBUG POPULATE {KEYS} filler 16")])?;
    let value = "v".repeat(VALUE_BYTES);
    let sets: Vec<String> = (0..READ_KEYS).map(|key| format!("SET read:{key} {value}")).collect();
    client.call(&sets)
}

/// GETs a second that the connections get when each sends as soon as it has its reply.
fn saturation(address: &str) -> Outcome<u64> {
    const SECONDS: u64 = 3;
    let mut done = 0;
    let mut crowd = Crowd::connect(address)?;
    let started = Instant::now();
    for number in 0..CONNECTIONS {
        crowd.send(number, started)?;
    }
    while started.elapsed() < Duration::from_secs(SECONDS) {
        for number in 0..CONNECTIONS {
            for _ in 0..crowd.receive(number, |_| ())? {
                done += 1;
                crowd.send(number, started)?;
            }
        }
    }
    Ok(done / SECONDS)
}

fn run(
    address: &str,
    rate: u64,
    time: Duration,
    disturber: Option<fn(u64) -> Vec<String>>,
) -> Outcome<Phase> {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let disturbances = disturber.map(|lines| scope.spawn(move || disturb(address, lines, stop)));
        let latencies = read_at(address, rate, time);
        stop.store(true, Relaxed);
        let disturbances = disturbances.map_or(Ok(0), |thread| thread.join().expect("no panic"));
        let mut latencies_us = latencies?;
        latencies_us.sort_by(f64::total_cmp);
        Ok(Phase { latencies_us, disturbances: disturbances.map_err(|error| error.to_string())? })
    })
}

fn disturb(address: &str, lines: fn(u64) -> Vec<String>, stop: &AtomicBool) -> io::Result<u64> {
    let mut client = Plain::connect(address)?;
    let mut rounds = 0;
    while !stop.load(Relaxed) {
        client.call(&lines(rounds)).map_err(|error| io::Error::other(error.to_string()))?;
        rounds += 1;
    }
    Ok(rounds)
}

fn read_at(address: &str, rate: u64, time: Duration) -> Outcome<Vec<f64>> {
    let mut crowd = Crowd::connect(address)?;
    let requests = rate * time.as_millis() as u64 / 1000;
    let mut latencies_us = Vec::with_capacity(requests as usize);
    let pause = Duration::from_secs(1).div_f64(rate as f64);
    let (started, mut sent) = (Instant::now(), 0);
    while (latencies_us.len() as u64) < requests {
        let now = Instant::now();
        while sent < requests && started + pause.mul_f64(sent as f64) <= now {
            crowd.send(sent as usize % CONNECTIONS, started + pause.mul_f64(sent as f64))?;
            sent += 1;
        }
        for number in 0..CONNECTIONS {
            crowd.receive(number, |due| latencies_us.push(due.elapsed().as_nanos() as f64 / 1e3))?;
        }
    }
    Ok(latencies_us)
}

/// Connections with GETs under way.
struct Crowd {
    sockets: Vec<TcpStream>,
    /// When each was due that is not answered yet, and the bytes of a reply that is not whole.
    under_way: Vec<(VecDeque<Instant>, usize)>,
    sent: usize,
}

impl Crowd {
    fn connect(address: &str) -> io::Result<Crowd> {
        let socket = |_| {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let sockets = (0..CONNECTIONS).map(socket).collect::<io::Result<_>>()?;
        let under_way = (0..CONNECTIONS).map(|_| Default::default()).collect();
        Ok(Crowd { sockets, under_way, sent: 0 })
    }

    fn send(&mut self, number: usize, due: Instant) -> io::Result<()> {
        // Keys in an order that is no order, without a generator: a stride that has no divisor in common with their number.
        let key = format!("read:{}", self.sent * 7_919 % READ_KEYS);
        self.sent += 1;
        self.sockets[number]
            .write_all(format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()).as_bytes())?;
        self.under_way[number].0.push_back(due);
        Ok(())
    }

    /// Reads what there is, and returns how many replies were among it.
    fn receive(&mut self, number: usize, mut answered: impl FnMut(Instant)) -> Outcome<usize> {
        let (due, partial) = &mut self.under_way[number];
        if due.is_empty() {
            return Ok(0);
        }
        let mut buffer = [0; 4096];
        let received = match self.sockets[number].read(&mut buffer) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let bytes = *partial + received;
        *partial = bytes % REPLY_BYTES;
        due.drain(..bytes / REPLY_BYTES).for_each(&mut answered);
        Ok(bytes / REPLY_BYTES)
    }
}

/// A client that sends lines and waits for their replies.
struct Plain {
    socket: TcpStream,
}

impl Plain {
    fn connect(address: &str) -> io::Result<Plain> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Plain { socket })
    }

    /// Sends the lines and a last one whose reply is known, and reads up to that.
    fn call(&mut self, lines: &[String]) -> Outcome<()> {
        const LAST: &[u8] = b"$4\r\nlast\r\n";
        let request = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "ECHO last\r\n";
        self.socket.write_all(request.as_bytes())?;
        let (mut buffer, mut tail) = ([0; 65536], Vec::new());
        loop {
            let received = self.socket.read(&mut buffer)?;
            if received == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(error) = buffer[..received].strip_prefix(b"-") {
                return Err(format!("the server says {}", String::from_utf8_lossy(error)).into());
            }
            tail.extend_from_slice(&buffer[..received]);
            if tail.ends_with(LAST) {
                return Ok(());
            }
            tail.drain(..tail.len().saturating_sub(LAST.len()));
        }
    }
}
