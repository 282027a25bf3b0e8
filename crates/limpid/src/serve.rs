//! Starting and stopping a server: sockets, workers, signals.
//!
//! Not the serving itself, see `worker`. The demo starts a server in its own process through the same `start`.
//!
//! Thread safety: `Running` is the main thread's; workers are threads of their own.

use crate::admin::{self, Admin};
use crate::score::Score;
use crate::sockets::Sockets;
use crate::worker::arrivals::Entrance;
use crate::worker::{self, Worker};
use crate::{allocator, config, demo, logging, supervise};
use engine::config::{Notice, Setting, Settings, Severity};
use engine::{Executor, Instance};
use keyspace::waiting::WORKERS_MAX;
use observe::os::clock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

/// 0 is one per core.
const IO_THREADS: Setting<usize> = Setting::of("io-threads");
const MAXCLIENTS: Setting<u32> = Setting::of("maxclients");

/// Descriptors the server needs beside its clients': sockets, logs, epoll, spare. As Redis reserves.
const DESCRIPTORS_RESERVED: u64 = 32;

/// A server that accepts clients.
pub struct Running {
    pub instance: Arc<Instance>,
    sockets: Arc<Sockets>,
    workers: Vec<JoinHandle<()>>,
    admin: Option<Admin>,
}

impl Running {
    /// The TCP port, 0 without one.
    pub fn port(&self) -> u16 {
        self.sockets.port()
    }

    /// Waits until every worker has stopped.
    pub fn wait(self) {
        for worker in self.workers {
            let _ = worker.join();
        }
        self.sockets.close();
        if let Some(admin) = self.admin {
            admin.stop();
        }
    }
}

/// Opens the sockets and starts the workers. `signals` will stop it.
///
/// # Errors
/// A socket cannot be opened, or a thread cannot be started.
pub fn start(
    settings: Arc<Settings>,
    config_file: Option<String>,
    signals: Option<Signals>,
) -> io::Result<Running> {
    fit_clients(&settings);
    let sockets = Arc::new(Sockets::open(&settings)?);
    let workers = match settings.read(IO_THREADS) {
        0 => cores(),
        threads => threads,
    };
    let workers = workers.min(WORKERS_MAX);
    let mut random = [0; 28];
    fill_random(&mut random)?;
    let run_id = random[..20].iter().map(|byte| format!("{byte:02x}")).collect();
    let seed = u64::from_le_bytes(random[20..].try_into().expect("eight bytes"));
    let (instance, places) =
        Instance::new(commands::registry(), settings, workers, seed, run_id, config_file);
    let instance = Arc::new(instance);
    let _ = instance.allocator.set(allocator::JEMALLOC);
    instance.counters.memory_startup_bytes.store(instance.used_memory_bytes().0, Relaxed);
    act_on_changes(&instance, &sockets);
    if let Some(signals) = signals {
        stop_on(signals, &instance)?;
    }
    let admin = admin::start(&instance, &sockets)?;
    let mut polls = Vec::new();
    for bell in instance.bells.iter() {
        let (poll, waker) = worker::poll()?;
        bell.set_wake(Box::new(move || _ = waker.wake()));
        polls.push(poll);
    }
    let entrances: Arc<[Entrance]> = (0..workers).map(|_| Entrance::default()).collect();
    let mut threads = Vec::new();
    for (index, (poll, place)) in polls.into_iter().zip(places).enumerate() {
        let executor =
            Executor::new(Arc::clone(&instance), index, place, seed.wrapping_add(index as u64 + 1));
        let accepting = (index == 0).then(|| Arc::clone(&sockets));
        let worker = Worker::new(index, poll, executor, Arc::clone(&entrances), accepting)?;
        let name = format!("worker-{index}");
        threads.push(std::thread::Builder::new().name(name).spawn(move || worker.run())?);
    }
    Ok(Running { instance, sockets, workers: threads, admin })
}

/// Starts a server inside another subcommand's process, from redis.conf style arguments.
///
/// # Errors
/// The text to tell the user.
pub fn start_beside(arguments: Vec<OsString>) -> Result<demo::RunningServer, String> {
    let configuration = config::from_command_line(&arguments).map_err(|error| error.to_string())?;
    logging::start(&configuration.settings).map_err(|error| format!("cannot open the log: {error}"))?;
    // Until it is waited for, a signal means the other subcommand.
    let running = start(configuration.settings, None, None).map_err(|error| error.to_string())?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], running.port()));
    let admin = running.admin.as_ref().map(|admin| admin.address);
    let wait = move || {
        if let Err(error) = stop_signals().and_then(|signals| stop_on(signals, &running.instance)) {
            eprintln!("limpid: signals cannot be caught: {error}");
            return ExitCode::FAILURE;
        }
        running.wait();
        ExitCode::SUCCESS
    };
    Ok(demo::RunningServer { address, admin, wait: Box::new(wait) })
}

/// What CONFIG SET changes beyond the settings themselves.
fn act_on_changes(instance: &Arc<Instance>, sockets: &Arc<Sockets>) {
    let sockets = Arc::clone(sockets);
    let score = Score::default();
    // At start it is only a warning, as in Redis: the server serves as well with the score it has.
    let _ = score.follow(&instance.settings);
    instance.settings.on_change(move |settings, directive| match directive.name {
        "loglevel" => {
            logging::apply_level(settings);
            Ok(())
        }
        "maxclients" => raise_descriptor_limit(settings.read(MAXCLIENTS)).map_err(|clients| {
            format!(
                "The operating system is not able to handle the specified number of clients, try with {clients}"
            )
        }),
        "bind" | "port" => sockets.follow(settings),
        "oom-score-adj" | "oom-score-adj-values" => score.follow(settings),
        "dir" => supervise::change_directory(settings),
        _ => Ok(()),
    });
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(())
}

/// Raises the limit of open files to what `clients` need.
///
/// # Errors
/// How many clients the limit allows, as high as it goes.
fn raise_descriptor_limit(clients: u32) -> Result<(), u64> {
    let wanted = u64::from(clients) + DESCRIPTORS_RESERVED;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.unwrap_or(u64::MAX) >= wanted {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(wanted));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
        return Ok(());
    }
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let is_raised =
        setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum }).is_ok();
    let reached = if is_raised { reachable } else { limit.current.unwrap_or(reachable) };
    if reached >= wanted { Ok(()) } else { Err(reached.saturating_sub(DESCRIPTORS_RESERVED).max(1)) }
}

/// At start the server makes do with the clients that fit, as Redis does; a CONFIG SET for more is refused.
fn fit_clients(settings: &Settings) {
    let wanted = settings.read(MAXCLIENTS);
    if let Err(clients) = raise_descriptor_limit(wanted) {
        settings.make_do("maxclients", &clients.to_string());
        tracing::warn!(
            "You requested maxclients of {wanted} requiring at least {} file descriptors, but the limit of open files \
             is {}: maxclients is {clients} now. Raise it with 'ulimit -n'.",
            u64::from(wanted) + DESCRIPTORS_RESERVED,
            clients + DESCRIPTORS_RESERVED
        );
    }
}

/// `limpid serve`: until a signal or SHUTDOWN.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let configuration = match config::from_command_line(arguments) {
        Ok(configuration) => configuration,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let settings = configuration.settings;
    match supervise::go_to_background(&settings, arguments) {
        Ok(Some(code)) => return code,
        Ok(None) => {}
        Err(error) => {
            eprintln!("limpid: cannot go to the background: {error}");
            return ExitCode::FAILURE;
        }
    }
    if let Err(error) = logging::start(&settings) {
        eprintln!("limpid: cannot open the log file: {error}");
        return ExitCode::FAILURE;
    }
    logging::abort_on_panic();
    configuration.notices.iter().for_each(log);
    let supervision = supervise::Supervision::start(&settings);
    let file = configuration.file.map(|file| file.display().to_string());
    // The signals first: a client that sees the server answer may stop it.
    let started = stop_signals().and_then(|signals| start(Arc::clone(&settings), file, Some(signals)));
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            // Once: a log on standard output is read beside standard error, at a terminal as by a service manager.
            if !settings.text("logfile").is_empty() {
                tracing::error!("{error}");
            }
            eprintln!("limpid: {error}");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(
        "Limpid {} serves on port {} with {} workers, clock {}",
        env!("CARGO_PKG_VERSION"),
        running.port(),
        running.instance.workers,
        clock::source_name()
    );
    tracing::info!("Ready to accept connections");
    supervision.ready();
    running.wait();
    supervision.stopping();
    tracing::info!("Limpid is now ready to exit, bye bye...");
    ExitCode::SUCCESS
}

fn log(notice: &Notice) {
    match notice.severity {
        Severity::Warning => tracing::warn!("{}", notice.text),
        _ => tracing::info!("{}", notice.text),
    }
}

fn stop_signals() -> io::Result<Signals> {
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// Stops the instance when a signal says so; a second one ends the process at once.
fn stop_on(mut signals: Signals, instance: &Arc<Instance>) -> io::Result<()> {
    let instance = Arc::clone(instance);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => tracing::debug!("SIGHUP is ignored"),
                _ if instance.stopping.load(std::sync::atomic::Ordering::Relaxed) => std::process::exit(1),
                _ => {
                    let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                    tracing::info!("Received {name} scheduling shutdown...");
                    instance.stop();
                }
            }
        }
    })?;
    Ok(())
}
