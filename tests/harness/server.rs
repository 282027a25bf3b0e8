//! A server that lives as long as one test: started on a free port, asked until it answers, killed on drop.
//!
//! Its log is captured, and shown when the test fails.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use super::reply::Value;

/// A server that has not answered by then will not.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Another process may take the free port first; then another one is tried.
const START_ATTEMPTS: usize = 5;

/// Bytes of the log shown on failure.
const LOG_SHOWN_BYTES: usize = 8 * 1024;

pub struct Server {
    pub port: u16,
    child: Child,
    /// Holds the log and whatever the server writes; removed on drop.
    directory: tempfile::TempDir,
    name: String,
}

/// What to start: a program with the arguments that stand before `--port`.
#[derive(Clone)]
pub struct Program {
    pub path: PathBuf,
    pub prefix: Vec<String>,
    pub environment: Vec<(String, String)>,
    is_limpid: bool,
}

impl Program {
    /// The binary under test, or `LIMPID_TEST_SERVER` in its place: any server that takes redis-server's
    /// arguments, to see that the tests hold for it as well.
    pub fn limpid() -> Program {
        match std::env::var_os("LIMPID_TEST_SERVER") {
            Some(path) => Program::other(PathBuf::from(path), &[]),
            None => {
                let path = PathBuf::from(env!("CARGO_BIN_EXE_limpid"));
                Program { path, prefix: Vec::new(), environment: Vec::new(), is_limpid: true }
            }
        }
    }

    pub fn other(path: PathBuf, prefix: &[&str]) -> Program {
        let prefix = prefix.iter().map(|argument| (*argument).to_owned()).collect();
        Program { path, prefix, environment: Vec::new(), is_limpid: false }
    }
}

impl Server {
    /// The server under test with these arguments after `--port`.
    pub fn limpid(arguments: &[&str]) -> Server {
        Server::start(&Program::limpid(), arguments)
    }

    pub fn start(program: &Program, arguments: &[&str]) -> Server {
        Server::start_from(program, None, arguments)
    }

    /// With a configuration file, and nothing on the command line but the port.
    pub fn start_with_file(program: &Program, file: &Path) -> Server {
        Server::start_from(program, Some(file), &[])
    }

    fn start_from(program: &Program, file: Option<&Path>, arguments: &[&str]) -> Server {
        for _ in 0..START_ATTEMPTS {
            let mut server = Server::spawn(program, file, arguments);
            if server.wait_until_it_answers() {
                return server;
            }
            if server.is_running() || !server.log().contains("in use") {
                panic!("{} did not start:\n{}", server.name, server.log());
            }
        }
        panic!("no free port in {START_ATTEMPTS} attempts")
    }

    fn spawn(program: &Program, file: Option<&Path>, arguments: &[&str]) -> Server {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let log = File::create(directory.path().join("log")).expect("a log file");
        let mut command = Command::new(&program.path);
        command.args(&program.prefix).envs(program.environment.iter().cloned());
        command.args(file).arg("--port").arg(port.to_string());
        if file.is_none() {
            command
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
                .arg(directory.path());
        }
        if program.is_limpid {
            // Several servers run at once; the admin port would be taken by the first.
            command.args(["--admin-port", "0"]);
        }
        command.args(arguments).current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let name = program.path.display().to_string();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Server { port, child, directory, name }
    }

    fn wait_until_it_answers(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if self.child.try_wait().ok().flatten().is_some() {
                return false;
            }
            // Any reply will do: PONG, NOAUTH, or too many clients.
            if let Ok(mut client) = Client::tcp(self.port)
                && client.try_call(&["PING"]).is_ok()
            {
                return self.child.try_wait().ok().flatten().is_none();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub fn client(&self) -> Client {
        Client::tcp(self.port).expect("a connection")
    }

    /// A client that has said `HELLO 3`.
    pub fn client3(&self) -> Client {
        let mut client = self.client();
        let hello = client.ask("HELLO 3");
        assert!(matches!(hello.value, Value::Map(_)), "HELLO 3: {hello:?}");
        client
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LOG_SHOWN_BYTES)..]).into_owned()
    }

    /// Resident memory, as the kernel counts it.
    pub fn rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        assert!(kib > 0, "{} is gone:\n{}", self.name, self.log());
        kib * 1024
    }

    /// Sends a signal and waits for the end.
    pub fn stop(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the server is running");
        self.wait()
    }

    /// Waits for an end that somebody else caused.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} did not end", self.name)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            if let Some(status) = ended {
                println!("{} had ended: {status}", self.name);
            }
            println!("the log of {}:\n{}", self.name, self.log());
        }
    }
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}
