//! The programs a test needs from the machine.
//!
//! A test whose program is absent fails and names the command that installs it; `cargo xtask check` leaves
//! such tests out in plain sight instead (their module is called `needs_...`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("crates/limpid lies two levels below the root").to_path_buf()
}

pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// The program on PATH, or a failure that says how to get it.
pub fn require(program: &str, package: &str) -> PathBuf {
    on_path(program).unwrap_or_else(|| panic!("{program} is not on PATH: apt-get install {package}"))
}

/// The wrapper left by `cargo xtask peers`.
pub fn require_peers() -> PathBuf {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let wrapper = home.join(".cache/peers/run");
    assert!(wrapper.is_file(), "Valkey 9 is not unpacked: cargo xtask peers");
    wrapper
}

/// Where `cargo xtask check` puts the clients of other languages.
fn clients() -> PathBuf {
    env::var_os("LIMPID_CLIENTS").map_or_else(|| repository().join("target/clients"), PathBuf::from)
}

/// A Python that can import redis.
pub fn require_redis_py() -> PathBuf {
    let candidates = [clients().join("python/bin/python"), PathBuf::from("python3")];
    let works = |python: &PathBuf| {
        Command::new(python).args(["-c", "import redis"]).output().is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().find(works).expect("no Python with redis-py: pip install redis")
}

/// The directory whose `node_modules` holds ioredis.
pub fn require_ioredis() -> PathBuf {
    let directory = clients().join("node");
    assert!(
        directory.join("node_modules/ioredis").is_dir(),
        "no ioredis: npm install --prefix {} ioredis",
        directory.display()
    );
    directory
}
