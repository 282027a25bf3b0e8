//! The server and what started it: background, working directory, pid file, service manager.
//!
//! `daemonize yes` does not fork: a copy of a process that may have threads is only allowed to exec. The server starts
//! itself anew in a session of its own, with the same arguments, and the first process waits until the new one serves
//! or fails, so that a script's next line finds a server or an error (redis-server returns at once either way).
//!
//! Invariants:
//! 1. The pid file names this process while it runs, and is removed only by the process that wrote it.
//! 2. What cannot be done here is a warning, never the end of a server that could serve.
//!
//! Thread safety: used by the main thread.

use engine::config::Settings;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Set for the process that `daemonize yes` starts.
const BACKGROUND_MARK: &str = "LIMPID_IN_BACKGROUND";

/// The line with which the background process tells the waiting one that it serves. Log lines start with a number.
const READY_LINE: &str = "limpid-is-ready\n";

/// The pid file of a background server that names none; Redis writes one too (`redis.pid`).
const DEFAULT_PIDFILE: &str = "/run/limpid.pid";

/// Starts the server in the background if `settings` ask for it and this process is not that one yet. `Some` is what
/// the waiting process has to exit with; `None` means: go on, this process is the server.
///
/// # Errors
/// The background process cannot be started.
pub fn go_to_background(settings: &Settings, arguments: &[OsString]) -> io::Result<Option<ExitCode>> {
    if !wants_background(settings) {
        return Ok(None);
    }
    if is_background_process() {
        // Fails only for a leader of a process group, which a process just started is not.
        rustix::process::setsid()?;
        return Ok(None);
    }
    if arguments.iter().any(|argument| argument == "-") {
        let reason = "a configuration from standard input cannot be read again by the background process; \
                      give it as a file, or say '--daemonize no'";
        return Err(io::Error::other(reason));
    }
    let mut server = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(BACKGROUND_MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = server.stdout.take().map(BufReader::new);
    if output.is_some_and(|output| forward_until_ready(output, &mut io::stdout())) {
        return Ok(Some(ExitCode::SUCCESS));
    }
    let status = server.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    Ok(Some(ExitCode::from(code.unwrap_or(1))))
}

/// A service manager keeps track of the process it started, so nothing goes to the background below one.
fn wants_background(settings: &Settings) -> bool {
    settings.text("daemonize") == "yes" && Manager::of(settings) == Manager::None
}

fn is_background_process() -> bool {
    env::var_os(BACKGROUND_MARK).is_some()
}

/// Copies what the background process prints while it starts. Whether it came to serve.
fn forward_until_ready(mut output: impl BufRead, terminal: &mut impl Write) -> bool {
    let mut line = Vec::new();
    loop {
        line.clear();
        match output.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == READY_LINE.as_bytes() => return true,
            // The terminal may be gone; the server starts all the same.
            Ok(_) => _ = terminal.write_all(&line),
        }
    }
}

/// Who watches over this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    None,
    Systemd,
    Upstart,
}

impl Manager {
    fn of(settings: &Settings) -> Manager {
        let has = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        match settings.text("supervised").as_str() {
            "systemd" => Manager::Systemd,
            "upstart" => Manager::Upstart,
            "auto" if has("UPSTART_JOB") => Manager::Upstart,
            "auto" if has("NOTIFY_SOCKET") => Manager::Systemd,
            _ => Manager::None,
        }
    }
}

/// The running server as its surroundings see it. Dropping it removes the pid file.
#[derive(Debug)]
pub struct Supervision {
    manager: Manager,
    pidfile: Option<PathBuf>,
    is_background: bool,
}

impl Supervision {
    /// Enters `dir` and writes the pid file. Call it once the log is open: what fails is logged.
    pub fn start(settings: &Settings) -> Supervision {
        let is_background = wants_background(settings) && is_background_process();
        // Before `dir` changes what a relative path means.
        let pidfile = match settings.text("pidfile") {
            path if !path.is_empty() => std::path::absolute(path).ok(),
            _ if is_background => Some(PathBuf::from(DEFAULT_PIDFILE)),
            _ => None,
        };
        let pidfile = pidfile.filter(|path| match write_pidfile(path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("Cannot write the pid file {}: {error}", path.display());
                false
            }
        });
        enter_directory(settings);
        let manager = Manager::of(settings);
        if manager == Manager::Systemd && env::var_os("NOTIFY_SOCKET").is_none() {
            tracing::warn!(
                "systemd supervision requested, but NOTIFY_SOCKET is not set: is the unit Type=notify?"
            );
        }
        Supervision { manager, pidfile, is_background }
    }

    /// Clients can connect: tells the service manager and the process that waits for a background start.
    pub fn ready(&self) {
        match self.manager {
            Manager::Systemd => notify("STATUS=Ready to accept connections\nREADY=1\n"),
            Manager::Upstart => {
                // Upstart waits for this very stop and continues the process.
                if let Err(error) =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
                {
                    tracing::warn!("Cannot stop for upstart: {error}");
                }
            }
            Manager::None => {}
        }
        if self.is_background
            && let Err(error) = leave_terminal()
        {
            tracing::warn!("Cannot let go of the terminal: {error}");
        }
    }

    /// The server is about to stop.
    pub fn stopping(&self) {
        if self.manager == Manager::Systemd {
            notify("STATUS=Closing connections\nSTOPPING=1\n");
        }
    }
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if let Some(path) = &self.pidfile
            && is_ours(path)
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!("Cannot remove the pid file {}: {error}", path.display());
        }
    }
}

fn write_pidfile(path: &Path) -> io::Result<()> {
    fs::write(path, format!("{}\n", std::process::id()))
}

/// Another server may have been started with the same pid file meanwhile; then it is that server's.
fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == std::process::id().to_string())
}

fn enter_directory(settings: &Settings) {
    let directory = settings.text("dir");
    if !directory.is_empty()
        && let Err(error) = env::set_current_dir(&directory)
    {
        // Redis stops here; without files to keep there, the directory matters to nobody.
        tracing::warn!("Cannot enter the directory {directory} (dir): {error}");
    }
    match env::current_dir() {
        Ok(path) => settings.make_do("dir", &path.to_string_lossy()),
        Err(error) => tracing::warn!("The working directory is gone: {error}"),
    }
}

/// Enters `dir`, after CONFIG SET: where relative paths in later settings start.
///
/// # Errors
/// The system's reason, in its own words; the working directory is the old one then.
pub fn change_directory(settings: &Settings) -> Result<(), String> {
    let directory = settings.text("dir");
    if directory.is_empty() {
        return Err("dir can't be empty".to_owned());
    }
    env::set_current_dir(&directory).map_err(|error| engine::config::reason_of(&error))?;
    // Redis tells where it is, not how it was told to go there.
    if let Ok(path) = env::current_dir() {
        settings.spell("dir", &path.to_string_lossy());
    }
    Ok(())
}

/// Tells the process that waits, then gives standard output and error to `/dev/null`: the terminal may close.
fn leave_terminal() -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(READY_LINE.as_bytes())?;
    output.flush()?;
    let null: File = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Sends `state` to systemd as sd_notify(3) describes: one datagram to the socket that NOTIFY_SOCKET names.
fn notify(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send_datagram(name.as_bytes(), state) {
        tracing::warn!("Cannot notify systemd at {}: {error}", name.to_string_lossy());
    }
}

fn send_datagram(name: &[u8], state: &str) -> io::Result<()> {
    let address = match name {
        // The abstract namespace.
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lines: &str) -> Settings {
        let mut loader = engine::config::Loader::new();
        for (index, line) in lines.lines().enumerate() {
            loader.line("test", index + 1, line.as_bytes()).unwrap();
        }
        loader.finish().unwrap().0
    }

    #[test]
    fn the_pid_file_lives_as_long_as_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limpid.pid");
        let settings = settings(&format!("pidfile {}", path.display()));
        let supervision = Supervision::start(&settings);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(settings.text("dir"), env::current_dir().unwrap().to_string_lossy());
        drop(supervision);
        assert!(!path.exists());
        let supervision = Supervision::start(&settings);
        fs::write(&path, "1\n").unwrap();
        drop(supervision);
        assert!(path.exists(), "another process's pid file was removed");
    }

    #[test]
    fn an_impossible_pid_file_does_not_stop_the_start() {
        let supervision = Supervision::start(&settings("pidfile /nonexistent/limpid.pid"));
        assert_eq!(supervision.pidfile, None);
    }

    #[test]
    fn systemd_is_told_over_either_kind_of_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let abstract_name = format!("limpid-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap().to_owned()),
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{abstract_name}")),
        ];
        for (socket, name) in sockets {
            send_datagram(name.as_bytes(), "READY=1\n").unwrap();
            let mut buffer = [0; 64];
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
        assert!(send_datagram(b"/nonexistent/notify", "READY=1\n").is_err());
    }

    #[test]
    fn output_of_a_background_start_is_forwarded_until_it_is_ready() {
        let mut terminal = Vec::new();
        assert!(forward_until_ready(&b"1:M log\nlimpid-is-ready\nafter"[..], &mut terminal));
        assert_eq!(terminal, b"1:M log\n");
        assert!(!forward_until_ready(&b"port in use\n"[..], &mut terminal));
        assert_eq!(terminal, b"1:M log\nport in use\n");
    }

    #[test]
    fn below_a_service_manager_nothing_goes_to_the_background() {
        assert!(wants_background(&settings("daemonize yes")));
        assert!(!wants_background(&settings("daemonize yes\nsupervised systemd")));
        assert!(!wants_background(&settings("")));
    }
}
