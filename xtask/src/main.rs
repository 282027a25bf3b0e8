//! `cargo xtask`: the chores of the repository, as a program rather than a pile of scripts.
//!
//! `check` is the one command that decides whether a tree is good; everything it runs can be run alone.
//! Not part of the product: nothing here is linked into the server.

mod arrows;
mod check;
mod docs;
mod instructions;
mod peers;
mod provision;
mod step;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  check [--no-install]  run every check: format, lints, house rules, documentation, all tests
  tidy                  the house rules and the arrows between crates alone (a second)
  docs [--check]        write docs/commands.md and the list in docs/profiling.md from what the server says, or compare
  instructions [--renew]
                        count the hot path's instructions and compare them with docs/instructions.md, or write it
  peers [DIR]           unpack or find Valkey 9, Redis 8 and memcached; print the path of a `run` wrapper
";

/// The root of the repository, wherever the command was started. Cargo is asked when it runs: a program in a target
/// directory that two checkouts share may have been compiled for the other one.
fn repository_root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = PathBuf::from(xtask);
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = repository_root();
    let outcome = match arguments.as_slice() {
        ["check"] => check::run(&root, provision::Install::Allowed),
        ["check", "--no-install"] => check::run(&root, provision::Install::Never),
        ["tidy"] => tidy_and_arrows(&root),
        ["docs"] => docs::write(&root),
        ["docs", "--check"] => docs::check(&root),
        ["instructions"] => instructions::check(&root),
        ["instructions", "--renew"] => instructions::renew(&root),
        ["peers"] => peers::run(None),
        ["peers", directory] => peers::run(Some(PathBuf::from(directory))),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn tidy_and_arrows(root: &std::path::Path) -> Result<(), String> {
    let tidy = tidy::check(root);
    let arrows = arrows::check(root);
    match (tidy, arrows) {
        (Err(one), Err(two)) => Err(format!("{one}\n{two}")),
        (one, two) => one.and(two),
    }
}
