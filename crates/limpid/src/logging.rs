//! The server's log: level, file and format from the settings, through `tracing`.
//!
//! It is not the slow log and not an access log: nothing is logged per command. Limpid's levels are Redis's: `debug` is
//! TRACE, `verbose` DEBUG, `notice` INFO, `warning` WARN and ERROR.
//!
//! Invariants:
//! 1. A log that cannot be written never stops the server; the line is lost.
//! 2. A log file that was moved or removed (log rotation) is created anew with the next line, without a signal.
//! 3. A panic on any thread is logged with its backtrace and ends the process: data that a half-done command may have
//!    bent is worth more than uptime.
//!
//! Thread safety: lines come from all threads; one lock orders whole lines.

mod line;

use engine::config::Settings;
use line::{LineFormat, Shape, Timestamp};
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::{Layer, reload};

/// Changes the level of the running log.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Opens the log that `settings` describe and sends all of the process's lines to it.
///
/// # Errors
/// The log file cannot be opened for appending.
pub fn start(settings: &Settings) -> io::Result<()> {
    let sink = Arc::new(Sink::open(&settings.text("logfile"))?);
    let (level, handle) = reload::Layer::new(level_filter(&settings.text("loglevel")));
    let timestamp = Timestamp::from_name(&settings.text("log-timestamp-format"));
    let layer =
        tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(sink);
    let layer: Box<dyn Layer<_> + Send + Sync> = match settings.text("log-format").as_str() {
        "json" => layer.json().flatten_event(true).with_timer(timestamp.for_machines()).boxed(),
        "logfmt" => layer.event_format(LineFormat { shape: Shape::Logfmt, timestamp }).boxed(),
        _ => layer.event_format(LineFormat { shape: Shape::Text, timestamp }).boxed(),
    };
    let subscriber = Registry::default().with(level).with(layer);
    // A second start in one process (the demo after a test) keeps the first log.
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = LEVEL.set(handle);
    }
    Ok(())
}

/// Takes over the present `loglevel`, after CONFIG SET.
pub fn apply_level(settings: &Settings) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the subscriber is gone, and then there is no level to set.
        let _ = handle.modify(|level| *level = level_filter(&settings.text("loglevel")));
    }
}

fn level_filter(loglevel: &str) -> LevelFilter {
    match loglevel {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    }
}

/// Logs every panic with its backtrace, then aborts: also where the build would unwind, because a thread that is gone
/// would leave its connections silent and its locks in doubt.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!("Limpid has a bug and stops: thread {thread} {panic}\n{backtrace}");
        // The log may be a file, or off; who watches the terminal has to know as well.
        let _ = writeln!(io::stderr(), "Limpid has a bug and stops: thread {thread} {panic}");
        std::process::abort();
    }));
}

/// Where lines go.
enum Sink {
    Stdout,
    File { path: PathBuf, file: Mutex<File> },
}

impl Sink {
    fn open(logfile: &str) -> io::Result<Sink> {
        if logfile.is_empty() {
            return Ok(Sink::Stdout);
        }
        // Absolute, because the working directory changes later.
        let path = std::path::absolute(logfile)?;
        let file = Mutex::new(open_for_append(&path)?);
        Ok(Sink::File { path, file })
    }
}

impl Write for &Sink {
    /// Takes all of `bytes`, which is one whole line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout => io::stdout().lock().write_all(bytes)?,
            Sink::File { path, file } => {
                let mut file = file.lock();
                if !is_still_at(&file, path)
                    && let Ok(anew) = open_for_append(path)
                {
                    *file = anew;
                }
                file.write_all(bytes)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout => io::stdout().lock().flush(),
            // Unbuffered: every line is one system call.
            Sink::File { .. } => Ok(()),
        }
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Whether `path` still names the open `file`.
fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_log_file_is_created_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limpid.log");
        std::fs::write(&path, "before\n").unwrap();
        let sink = Sink::open(path.to_str().unwrap()).unwrap();
        (&sink).write_all(b"first\n").unwrap();
        let moved = directory.path().join("limpid.log.1");
        std::fs::rename(&path, &moved).unwrap();
        (&sink).write_all(b"second\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "before\nfirst\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second\n");
        drop(directory);
        (&sink).write_all(b"into the removed file\n").unwrap();
    }

    #[test]
    fn an_impossible_log_file_is_an_error() {
        assert!(Sink::open("/nonexistent/limpid.log").is_err());
        assert!(matches!(Sink::open(""), Ok(Sink::Stdout)));
    }

    #[test]
    fn levels_are_redis_levels() {
        assert_eq!(level_filter("debug"), LevelFilter::TRACE);
        assert_eq!(level_filter("verbose"), LevelFilter::DEBUG);
        assert_eq!(level_filter("notice"), LevelFilter::INFO);
        assert_eq!(level_filter("warning"), LevelFilter::WARN);
        assert_eq!(level_filter("nothing"), LevelFilter::OFF);
    }
}
