//! `limpid demo`: plays real traffic at a server over real sockets, then prints what the server saw.
//!
//! Three steps: a server (in this process, or a running one with `--connect`), the player, the report. The server is
//! reached only through its port, as by any other client.
//!
//! Thread safety: `run` is called once by the main thread; the server and the player have their own threads.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use signal_hook::consts::SIGINT;

use indicatif::{ProgressBar, ProgressStyle};

mod client;
mod csv;
mod exact;
mod object;
mod player;
mod recording;
mod report;
mod traffic;

use crate::bench::{Seconds, bytes_text, grouped, say};
use client::{Client, Reply};
use player::{PlayOptions, PlayProgress, Played};
use recording::Recording;
use traffic::Traffic;

/// How much more than an empty server may be used unless `--maxmemory` says otherwise. All objects of the recording
/// need about 70 MB, those of its first million accesses about 40 MB; with 20 MB the cache is full after a second or
/// two, and for the rest of the play keys are evicted while nine accesses of ten still hit. Since player and server
/// share a process, up to 5 MB of it are the player's own exact counts.
const MEMORY_BYTES_DEFAULT: u64 = 20 << 20;
/// More player threads would take the cores from the server they play at.
const PLAYER_THREADS_MAX: usize = 2;

/// What a shell expects of a program that Ctrl-C ended: 128 and the signal's number.
const EXIT_INTERRUPTED: u8 = 130;

const HELP: &str = "\
EXAMPLES:
    limpid demo                            15 seconds of a web shop's traffic, then the profile
    limpid demo --stay --port 7000         keep the server afterwards, for redis-cli -p 7000
    limpid demo --trace my.csv             your own traffic
    limpid demo --connect 10.0.0.7:6379    play at a running server; its configuration stays as it is

TRACES:
    CSV lines `op,key,size,ttl`; size in bytes, ttl in seconds, both may be left out where the op needs none. The ops:
    get gets set replace cas add append del delete incr decr exists touch expire. A `get` with a size is followed by
    a set when it misses, as a cache in front of a database would do. A header, empty lines and # comments are
    skipped; a key with commas stands in double quotes. The commands of one key keep their order.";

/// `limpid demo ...`
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DemoArgs {
    /// The port of the server [default: a free one]
    #[arg(short = 'p', long, conflicts_with = "connect")]
    port: Option<u16>,

    /// Keep serving after the profile, until interrupted
    #[arg(long, conflicts_with = "connect")]
    stay: bool,

    /// How long to play
    #[arg(long, default_value = "15")]
    seconds: Seconds,

    /// Play this CSV file instead of the recording
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// The server's memory limit, for example 32mb [default: 20 MiB above an empty server]
    #[arg(long, value_name = "SIZE", conflicts_with = "connect")]
    maxmemory: Option<String>,

    /// Connections to play over
    #[arg(short = 'c', long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    clients: u64,

    /// Play at this running server instead of starting one
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,
}

/// A server that was started in this process.
pub struct RunningServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its page is, when it has one.
    pub admin: Option<SocketAddr>,
    /// Ends with signals from now on, and waits until it has ended, by one or by SHUTDOWN.
    pub wait: Box<dyn FnOnce() -> ExitCode>,
}

/// Starts a server in this process from redis.conf style arguments and returns once it listens.
///
/// # Errors
/// A text for the user.
pub type StartServer = fn(Vec<OsString>) -> Result<RunningServer, String>;

/// Runs the demo.
pub fn run(args: &DemoArgs, start_server: StartServer) -> ExitCode {
    match run_demo(args, start_server) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("limpid demo: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run_demo(args: &DemoArgs, start_server: StartServer) -> Result<ExitCode, String> {
    if args.seconds.0.is_zero() {
        return Err("--seconds must be above 0: the profile is of what is played".to_owned());
    }
    let interrupted = interruption().map_err(|error| format!("signals cannot be caught: {error}"))?;
    let traffic = match &args.trace {
        Some(path) => Traffic::Csv(path.clone()),
        None => {
            let damaged = |error| format!("the recording in this binary is damaged: {error}");
            Traffic::Recording(Recording::load().map_err(damaged)?)
        }
    };
    // A trace that cannot be played is better known before a server is started for it.
    let mut cursor = traffic.cursor().map_err(|error| error.to_string())?;
    if cursor.next().map_err(|error| error.to_string())?.is_none() {
        let path = args.trace.as_deref().unwrap_or(Path::new("the recording")).display();
        return Err(format!(
            "there is nothing to play in {path}: it has no line `op,key,size,ttl`; see limpid demo --help"
        ));
    }
    let (address, server) = match &args.connect {
        Some(target) => (resolve(target)?, None),
        None => {
            let server = start_server(directives(args)?)?;
            (server.address, Some(server))
        }
    };
    let broken = |error: std::io::Error| format!("{address}: {error}");
    let mut client = Client::connect(address).map_err(broken)?;
    say(format_args!("Playing {}", traffic.description()));
    if args.connect.is_none() {
        say(limit_memory(&mut client, args)?);
        // What the demo itself has asked so far is not part of the traffic.
        client.ask(&["PROF", "RESET"]).map_err(broken)?;
    }
    let played = play(&traffic, args, address, &interrupted)?;
    if interrupted.load(Ordering::Relaxed) {
        say("Interrupted; this is what was seen until then.");
    }
    say(format_args!("{}\n", summary(&played, &traffic, args)));
    let profile = report::Profile::ask(&mut client).map_err(broken)?;
    let is_interrupted = interrupted.load(Ordering::Relaxed);
    // Nobody is told to ask a server that ends with the demo.
    let stays = args.connect.is_some() || (args.stay && !is_interrupted);
    let admin = server.as_ref().and_then(|server| server.admin);
    say(report::text(&profile, &played, stays.then_some((address, admin))));
    if is_interrupted {
        return Ok(ExitCode::from(EXIT_INTERRUPTED));
    }
    Ok(finish(args, server, address))
}

/// A flag that the first Ctrl-C sets; the second one ends the process at once.
fn interruption() -> std::io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    // In this order: the first signal must find the flag unset.
    let code = i32::from(EXIT_INTERRUPTED);
    signal_hook::flag::register_conditional_shutdown(SIGINT, code, Arc::clone(&interrupted))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;
    Ok(interrupted)
}

fn resolve(target: &str) -> Result<SocketAddr, String> {
    let addresses = target.to_socket_addrs().map_err(|error| format!("--connect {target}: {error}"))?;
    addresses.into_iter().next().ok_or_else(|| format!("--connect {target}: the name has no address"))
}

/// The arguments of the server: in memory, reachable from this machine only.
fn directives(args: &DemoArgs) -> Result<Vec<OsString>, String> {
    let port = match args.port {
        Some(port) => port,
        None => free_port().map_err(|error| format!("there is no free port: {error}"))?,
    };
    // The page is for looking around afterwards.
    let admin = if args.stay { "" } else { " --admin-port 0" };
    let text = format!("--bind 127.0.0.1 --port {port} --loglevel warning{admin}");
    Ok(text.split(' ').map(OsString::from).collect())
}

/// A port that nothing listens on at the moment. (`port 0` means "do not listen" in redis.conf.)
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Sets `maxmemory` and the policy, and says what was chosen and why.
fn limit_memory(client: &mut Client, args: &DemoArgs) -> Result<String, String> {
    let mut set = |name: &str, value: &str| match client.ask(&["CONFIG", "SET", name, value]) {
        Ok(Reply::Text(_)) => Ok(()),
        Ok(other) => Err(format!("CONFIG SET {name} {value}: {other:?}")),
        Err(error) => Err(format!("CONFIG SET {name} {value}: {error}")),
    };
    set("maxmemory-policy", "allkeys-lru")?;
    if let Some(wanted) = &args.maxmemory {
        set("maxmemory", wanted)?;
        return Ok(format!("maxmemory {wanted}, maxmemory-policy allkeys-lru, as asked for."));
    }
    let empty = match client.ask(&["INFO", "memory"]) {
        Ok(Reply::Text(info)) => report::info_number(&info, "used_memory"),
        _ => 0,
    };
    let limit = empty + MEMORY_BYTES_DEFAULT;
    match client.ask(&["CONFIG", "SET", "maxmemory", &limit.to_string()]) {
        Ok(Reply::Text(_)) => Ok(format!(
            "maxmemory {} ({} above the empty server{}), maxmemory-policy allkeys-lru.",
            bytes_text(limit),
            bytes_text(MEMORY_BYTES_DEFAULT),
            if args.trace.is_some() {
                ""
            } else {
                ": less than the objects need, so that keys must be evicted"
            }
        )),
        other => Err(format!("CONFIG SET maxmemory {limit}: {other:?}")),
    }
}

fn play(
    traffic: &Traffic,
    args: &DemoArgs,
    address: SocketAddr,
    interrupted: &AtomicBool,
) -> Result<Played, String> {
    let bar = progress_bar(traffic.steps());
    let clients = args.clients as usize;
    let options =
        PlayOptions { address, clients, threads: clients.min(PLAYER_THREADS_MAX), time: args.seconds.0 };
    let started = std::time::Instant::now();
    let played = player::play(traffic, options, &mut |progress: &PlayProgress| {
        progress.is_over.store(interrupted.load(Ordering::Relaxed), Ordering::Relaxed);
        let (steps, gets) = (progress.steps.load(Ordering::Relaxed), progress.gets.load(Ordering::Relaxed));
        let hits = progress.hits.load(Ordering::Relaxed);
        let seconds = started.elapsed().as_secs_f64();
        bar.set_position(steps);
        bar.set_message(format!(
            "{} accesses  {}/s  hit ratio {:.1} %  {:.0} s left",
            grouped(steps),
            grouped((steps as f64 / seconds.max(0.001)) as u64),
            hits as f64 * 100.0 / gets.max(1) as f64,
            (args.seconds.0.as_secs_f64() - seconds).max(0.0),
        ));
    });
    bar.finish_and_clear();
    played.map_err(|error| error.to_string())
}

fn progress_bar(steps: Option<u64>) -> ProgressBar {
    let (bar, template) = match steps {
        Some(steps) => (ProgressBar::new(steps), "{bar:30} {percent:>3} %  {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("a constant template"))
}

fn summary(played: &Played, traffic: &Traffic, args: &DemoArgs) -> String {
    let of = match traffic.steps() {
        Some(steps) if !played.is_all => format!(" of {}", grouped(steps)),
        _ if played.is_all => " (all there are)".to_owned(),
        _ => String::new(),
    };
    let mut text = format!(
        "Played {}{of} accesses in {:.1} s ({}/s) over {} connections; {} different keys, {} SETs after a miss.",
        grouped(played.steps),
        played.seconds,
        grouped((played.steps as f64 / played.seconds) as u64),
        args.clients,
        grouped(played.exact.keys() as u64),
        grouped(played.fills),
    );
    if let Some(error) = &played.first_error {
        text.push_str(&format!("\n{} error replies, the first: {error}", grouped(played.errors)));
    }
    text
}

/// Keeps the server when asked to.
fn finish(args: &DemoArgs, server: Option<RunningServer>, address: SocketAddr) -> ExitCode {
    match server {
        Some(server) if args.stay => {
            say(format_args!("\nStill serving on {address}; Ctrl-C ends it."));
            (server.wait)()
        }
        Some(_) | None => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_without_a_line_is_refused_before_a_server_is_started() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: DemoArgs,
        }
        for text in ["", "op,key,size,ttl\n", "# nothing\n\n"] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            let path = file.path().to_str().expect("text");
            let line: Line = clap::Parser::try_parse_from(["demo", "--trace", path]).expect("valid");
            let refused = run_demo(&line.args, |_| panic!("a server was started"));
            assert!(
                refused.expect_err("nothing to play").contains("there is nothing to play in"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn free_ports_can_be_listened_on() {
        let port = free_port().unwrap();
        assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}
