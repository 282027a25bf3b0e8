//! What the tests need from the machine besides Rust: real servers, real clients, a clock that can be turned.
//!
//! As root the missing ones are installed with apt-get; otherwise each missing one becomes a message that
//! names the command to install it, and the tests that need it are left out *visibly*: their names carry
//! a module `needs_<thing>`, which the runner is told to skip and so counts as skipped.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether missing tools may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    Allowed,
    Never,
}

/// Open files the 10,000-connection test needs, with room for the test's own.
const OPEN_FILES_MIN: u64 = 10_200;

/// A need that is not met.
pub(crate) struct Missing {
    /// The module of the tests that need it.
    pub(crate) module: &'static str,
    pub(crate) message: String,
}

/// Where the clients in other languages were put, and what could not be had.
pub(crate) struct Machine {
    pub(crate) clients: PathBuf,
    pub(crate) missing: Vec<Missing>,
}

/// Programs that steps of the check need, with their Debian packages; a step says itself when its program is absent.
const STEP_PROGRAMS: &[(&str, &str)] = &[("valgrind", "valgrind")];

/// Module of the tests, program that must be on PATH, Debian package that brings it.
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("needs_redis_server", "redis-server", "redis-server"),
    ("needs_redis_tools", "redis-cli", "redis-tools"),
    ("needs_redis_tools", "redis-benchmark", "redis-tools"),
    ("needs_faketime", "faketime", "faketime"),
    ("needs_redis_py", "python3", "python3"),
    ("needs_ioredis", "node", "nodejs"),
    ("needs_ioredis", "npm", "npm"),
];

/// Finds or installs everything.
pub(crate) fn prepare(root: &Path, install: Install) -> Machine {
    let clients = target_directory(root).join("clients");
    let mut machine = Machine { clients, missing: Vec::new() };
    if install == Install::Allowed && is_root() && found("apt-get") {
        install_packages();
    }
    for (module, program, package) in PROGRAMS {
        if !found(program) {
            let message = format!("{program} is not on PATH; install it with: apt-get install {package}");
            machine.missing.push(Missing { module, message });
        }
    }
    if !machine.lacks("needs_redis_py")
        && let Err(message) = python_client(&machine.clients, install)
    {
        machine.missing.push(Missing { module: "needs_redis_py", message });
    }
    if !machine.lacks("needs_ioredis")
        && let Err(message) = node_client(&machine.clients, install)
    {
        machine.missing.push(Missing { module: "needs_ioredis", message });
    }
    if peers_wrapper().is_none() {
        let message = "Valkey 9 is not unpacked; get it with: cargo xtask peers".to_owned();
        machine.missing.push(Missing { module: "needs_valkey", message });
    }
    if open_files_max() < OPEN_FILES_MIN {
        let message = format!("the hard limit of open files is below {OPEN_FILES_MIN}; raise it: ulimit -Hn");
        machine.missing.push(Missing { module: "needs_open_files", message });
    }
    machine
}

impl Machine {
    fn lacks(&self, module: &str) -> bool {
        self.missing.iter().any(|missing| missing.module == module)
    }

    /// The test modules to leave out, each once.
    pub(crate) fn skipped_modules(&self) -> Vec<&'static str> {
        let mut modules: Vec<&'static str> = self.missing.iter().map(|missing| missing.module).collect();
        modules.dedup();
        modules
    }
}

/// Cargo's target directory for this run.
pub(crate) fn target_directory(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |named| root.join(named))
}

/// The wrapper that `cargo xtask peers` left, when it is there.
pub(crate) fn peers_wrapper() -> Option<PathBuf> {
    let wrapper = PathBuf::from(env::var_os("HOME")?).join(".cache/peers/run");
    wrapper.is_file().then_some(wrapper)
}

/// Whether a program is on PATH.
pub(crate) fn found(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|line| line.split_whitespace().nth(1)) == Some("0")
}

fn install_packages() {
    let needed = PROGRAMS.iter().map(|&(_, program, package)| (program, package));
    let needed = needed.chain(STEP_PROGRAMS.iter().copied());
    let mut packages: Vec<&str> =
        needed.filter(|(program, _)| !found(program)).map(|(_, package)| package).collect();
    if !python_has_venv() {
        packages.push("python3-venv");
    }
    packages.dedup();
    if packages.is_empty() {
        return;
    }
    println!("   installing with apt-get: {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdin(Stdio::null());
        // A daemon started by a package's script would take port 6379 on somebody's machine.
        command.env("RUNLEVEL", "1").stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let common = ["-qq", "-y", "--no-install-recommends", "install"];
    let mut arguments: Vec<&str> = common.to_vec();
    arguments.extend(&packages);
    if !apt(&["-qq", "update"]) || !apt(&arguments) {
        println!("   apt-get failed; going on with what there is");
    }
}

fn python_has_venv() -> bool {
    quiet(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

/// A virtual environment with redis-py, unless the machine's own Python has it.
fn python_client(clients: &Path, install: Install) -> Result<(), String> {
    let python = clients.join("python/bin/python");
    if python.is_file() && quiet(Command::new(&python).args(["-c", "import redis"])).is_ok() {
        return Ok(());
    }
    if quiet(Command::new("python3").args(["-c", "import redis"])).is_ok() {
        return Ok(());
    }
    let how = "redis-py is not installed; install it with: pip install redis";
    if install == Install::Never {
        return Err(how.to_owned());
    }
    println!("   installing redis-py into {}", clients.join("python").display());
    quiet(Command::new("python3").args(["-m", "venv"]).arg(clients.join("python")))
        .and_then(|()| quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", "redis"])))
        .map_err(|error| format!("{how} ({error})"))
}

/// ioredis in a directory of its own.
fn node_client(clients: &Path, install: Install) -> Result<(), String> {
    let directory = clients.join("node");
    if directory.join("node_modules/ioredis").is_dir() {
        return Ok(());
    }
    let how = format!(
        "ioredis is not installed; install it with: npm install --prefix {} ioredis",
        directory.display()
    );
    if install == Install::Never {
        return Err(how);
    }
    println!("   installing ioredis into {}", directory.display());
    std::fs::create_dir_all(&directory).map_err(|error| format!("{how} ({error})"))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(&directory).arg("ioredis");
    quiet(&mut npm).map_err(|error| format!("{how} ({error})"))
}

fn quiet(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("no message").to_owned())
}

fn open_files_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    match line.split_whitespace().nth(1) {
        Some("unlimited") => u64::MAX,
        hard => hard.and_then(|number| number.parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(found("sh"));
        assert!(!found("no-such-program-anywhere"));
    }

    #[test]
    fn a_module_is_skipped_once() {
        let missing = ["needs_a", "needs_a", "needs_b"]
            .map(|module| Missing { module, message: String::new() })
            .into_iter()
            .collect();
        let machine = Machine { clients: PathBuf::new(), missing };
        assert_eq!(machine.skipped_modules(), ["needs_a", "needs_b"]);
    }

    #[test]
    fn the_open_file_limit_is_read() {
        assert!(open_files_max() > 0);
    }
}
