//! `cargo xtask peers`: the servers that Limpid's published figures are compared with, without installing them.
//!
//! Uses a Valkey 9, Redis 8 and memcached that are on PATH; otherwise unpacks Debian's newest builds into a
//! directory (default `~/.cache/peers`), with the libraries they were built against, and writes `run`, a
//! wrapper that starts one of them with its own C library:
//!
//! ```text
//! ~/.cache/peers/run valkey-server --port 7001 --save '' --appendonly no
//! ```
//!
//! Nothing outside the directory is touched: apt works on lists and sources of its own. The mirror is the
//! one the machine's apt already uses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Package, the program in it, and the oldest major version worth comparing with.
const SERVERS: &[(&str, &str, u32)] = &[
    ("valkey-server", "valkey-server", 9),
    ("redis-server", "redis-server", 8),
    ("memcached", "memcached", 1),
];

/// The packages with the benchmark and command-line clients.
const TOOLS: &[&str] = &["valkey-tools", "redis-tools"];

/// Debian's suite with the newest builds.
const SUITE: &str = "sid";

/// Prints the path of the wrapper as the last line.
pub(crate) fn run(directory: Option<PathBuf>) -> Result<(), String> {
    let directory = match directory {
        Some(directory) => directory,
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache/peers"),
    };
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let directory = directory.canonicalize().map_err(|error| format!("{}: {error}", directory.display()))?;
    let wrapper = directory.join("run");
    if wrapper.is_file() && versions(&wrapper).is_ok() {
        println!("{}", wrapper.display());
        return Ok(());
    }
    write_wrapper(&wrapper, "#!/bin/sh\nexec \"$@\"\n")?;
    if versions(&wrapper).is_err() {
        let unpacked = unpack(&directory);
        if unpacked.is_err() {
            let _ = fs::remove_file(&wrapper);
        }
        unpacked?;
    }
    for line in versions(&wrapper)? {
        eprintln!("{line}");
    }
    println!("{}", wrapper.display());
    Ok(())
}

/// The version line of every server, or which one is absent or too old.
fn versions(wrapper: &Path) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for (_, program, major_min) in SERVERS {
        let output = Command::new(wrapper)
            .args([program, "--version"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{program}: {error}"))?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match major_version(&line) {
            Some(major) if major >= *major_min => lines.push(line),
            _ => return Err(format!("{program}: no version {major_min} or later: {line}")),
        }
    }
    Ok(lines)
}

/// `Valkey server v=9.1.2 sha=...` and `memcached 1.6.45` -> 9 and 1.
fn major_version(line: &str) -> Option<u32> {
    let word =
        line.split_whitespace().find(|word| word.starts_with("v=") || word.starts_with(char::is_numeric))?;
    word.trim_start_matches("v=").split('.').next()?.parse().ok()
}

fn unpack(directory: &Path) -> Result<(), String> {
    let mirror = debian_mirror(&apt_sources()).ok_or(
        "no Debian mirror in the apt sources; put valkey-server 9, redis-server 8 and memcached on PATH instead",
    )?;
    let place = |name: &str| directory.join(name);
    for name in ["apt/lists/partial", "debs", "root"] {
        fs::create_dir_all(place(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let source = format!("deb [trusted=yes] {mirror} {SUITE} main\n");
    fs::write(place("apt/sources.list"), source).map_err(|error| format!("sources.list: {error}"))?;
    let apt = apt_options(directory);
    captured(Command::new("apt-get").arg("-qq").args(&apt).arg("update"))?;
    let packages = with_libraries(&apt)?;
    eprintln!("downloading {} packages of Debian {SUITE}", packages.len());
    let mut download = Command::new("apt-get");
    download.current_dir(place("debs")).arg("-qq").args(&apt).arg("download").args(&packages);
    captured(&mut download)?;
    let debs = fs::read_dir(place("debs")).map_err(|error| format!("debs: {error}"))?;
    for deb in debs.flatten().map(|entry| entry.path()) {
        captured(Command::new("dpkg").arg("-x").arg(&deb).arg(place("root")))?;
    }
    let loader = loader(&place("root"))?;
    let libraries = loader.parent().unwrap_or(directory).display().to_string();
    let programs = place("root/usr/bin").display().to_string();
    let script = format!(
        "#!/bin/sh\nprogram=$1; shift\nexec \"{}\" --library-path \"{libraries}\" \"{programs}/$program\" \"$@\"\n",
        loader.display()
    );
    write_wrapper(&directory.join("run"), &script)
}

fn apt_options(directory: &Path) -> Vec<String> {
    let path = |name: &str| directory.join(name).display().to_string();
    [
        format!("Dir::Etc::sourcelist={}", path("apt/sources.list")),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", path("apt/lists")),
        format!("Dir::Cache::pkgcache={}", path("apt/pkgcache.bin")),
        format!("Dir::Cache::srcpkgcache={}", path("apt/srcpkgcache.bin")),
        // apt's own user cannot write below a home directory.
        "APT::Sandbox::User=root".to_owned(),
    ]
    .into_iter()
    .flat_map(|option| ["-o".to_owned(), option])
    .collect()
}

/// The servers, their tools and every library beneath them, by the packages' own dependencies.
fn with_libraries(apt: &[String]) -> Result<Vec<String>, String> {
    let wanted: Vec<&str> =
        SERVERS.iter().map(|(package, ..)| *package).chain(TOOLS.iter().copied()).collect();
    let mut depends = Command::new("apt-cache");
    depends.args(apt).args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]);
    depends.args(["--no-breaks", "--no-replaces", "--no-enhances"]).args(&wanted);
    Ok(packages_of(&captured(&mut depends)?, &wanted))
}

/// Package names in the output of `apt-cache depends --recurse`: unindented lines; virtual ones are in `<>`.
fn packages_of(output: &str, wanted: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = output
        .lines()
        .filter(|line| !line.starts_with([' ', '|', '<']))
        .map(|line| line.split(':').next().unwrap_or(line).to_owned())
        .filter(|name| wanted.contains(&name.as_str()) || name.starts_with("lib") || name.starts_with("lua-"))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The dynamic loader of the unpacked C library.
fn loader(root: &Path) -> Result<PathBuf, String> {
    let libraries = root.join("usr/lib");
    let directories =
        fs::read_dir(&libraries).map_err(|error| format!("{}: {error}", libraries.display()))?;
    let files = directories.flatten().filter_map(|entry| fs::read_dir(entry.path()).ok()).flatten().flatten();
    files
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .ok_or_else(|| format!("no dynamic loader under {}", libraries.display()))
}

fn apt_sources() -> String {
    let mut text = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        text.push('\n');
        text.push_str(&fs::read_to_string(entry.path()).unwrap_or_default());
    }
    text
}

/// The first Debian archive of the sources, in either format (`deb URL suite` or `URIs: URL`).
fn debian_mirror(sources: &str) -> Option<String> {
    let lines =
        sources.lines().map(str::trim).filter(|line| line.starts_with("URIs:") || line.starts_with("deb "));
    lines
        .flat_map(str::split_whitespace)
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}

fn write_wrapper(path: &Path, script: &str) -> Result<(), String> {
    fs::write(path, script)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn captured(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc"), Some(9));
        assert_eq!(major_version("memcached 1.6.45"), Some(1));
        assert_eq!(major_version("sh: not found"), None);
    }

    #[test]
    fn the_mirror_is_found_in_both_formats() {
        let old =
            "# deb http://no.example/debian x\ndeb [signed-by=/k] http://one.example/debian bookworm main";
        assert_eq!(debian_mirror(old).as_deref(), Some("http://one.example/debian"));
        let new = "Types: deb\nURIs: https://two.example/security/debian-security\nURIs: https://two.example/debian/\n";
        assert_eq!(debian_mirror(new).as_deref(), Some("https://two.example/debian/"));
        assert_eq!(debian_mirror("deb http://archive.example/ubuntu noble main"), None);
    }

    #[test]
    fn dependencies_keep_libraries_and_the_wanted() {
        let output = "memcached\n  Depends: libc6\n |Depends: x\nlibc6\n<virtual>\nlibc6:i386\nadduser\n";
        assert_eq!(packages_of(output, &["memcached"]), ["libc6", "memcached"]);
    }
}
