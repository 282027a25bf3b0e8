//! The command line of the one binary, `limpid`: which subcommand was asked for, and its options.
//!
//! It is not the server's configuration: what follows `serve` (or stands alone) is redis.conf style and goes to
//! `config` untouched, because `--port 7000` must mean there what it means to `redis-server`.
//!
//! Invariants:
//! 1. A first argument that is no subcommand, help or version flag belongs to `serve`, whatever it looks like.
//! 2. Parsing has no effect but printing help, a version or a usage error; a usage error exits with status 2.
//!
//! Thread safety: used once, by the main thread, before any other thread exists.

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::bench::{BenchArgs, several_processes};
use crate::demo::DemoArgs;

const LONG_ABOUT: &str = "\
Limpid is a Redis-compatible key-value store that you can see through: it always knows which key is hot, which \
prefix holds the memory, and how long each command waited and ran.";

const EXAMPLES: &str = "\
EXAMPLES:
    limpid                              serve on port 6379 of every address, in memory; without a password only
                                        this machine is let in (--bind 127.0.0.1 listens nowhere else)
    limpid --port 7000 --maxmemory 1gb  any redis.conf directive works as --name value
    limpid /etc/limpid.conf             serve with a configuration file
    limpid demo                         play real traffic at a server and print what it saw
    limpid bench --pipeline 16          load the server on port 6379 and print rates and latencies

With no subcommand, every argument is read as in `limpid serve`.";

const SERVE_HELP: &str = "\
EXAMPLES:
    limpid serve
    limpid serve limpid.conf --port 7000 --maxmemory 100mb --maxmemory-policy allkeys-lru
    limpid serve --unixsocket /run/limpid.sock --port 0
    echo 'port 7000' | limpid serve -

DIRECTIVES:
    The directives are those of redis.conf. A file is read first; then each `--name value ...` overrides it, in
    order. Values with spaces are quoted as in the file: --save '\"\"'. Every directive and its default is
    explained in limpid.conf; a running server tells them with CONFIG GET '*'.";

/// Everything the command line can say.
#[derive(Debug, Parser)]
#[command(
    name = "limpid",
    about = "A Redis-compatible key-value store that you can see through",
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
    disable_version_flag = true,
    subcommand_required = true,
    max_term_width = 110
)]
struct CommandLine {
    #[command(subcommand)]
    command: Subcommands,

    /// Print the version and exit
    #[arg(short = 'v', long, global = false)]
    version: bool,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve clients (the default)
    #[command(after_help = SERVE_HELP, override_usage = "limpid [serve] [FILE.conf | -] [--DIRECTIVE VALUE ...]...")]
    Serve {
        /// A configuration file (`-` reads standard input), then directives as `--name value`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FILE.conf | --DIRECTIVE VALUE"
        )]
        directives: Vec<OsString>,
    },

    /// Play recorded traffic at a server in this process, then print its profile
    Demo(Box<DemoArgs>),

    /// Measure a running server, or compare several
    Bench(Box<BenchArgs>),

    /// Print a completion script for a shell
    #[command(after_help = "EXAMPLES:\n    limpid completions bash > /etc/bash_completion.d/limpid\n    \
        limpid completions zsh > ~/.zfunc/_limpid\n    \
        limpid completions fish > ~/.config/fish/completions/limpid.fish")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// The shells that completions exist for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What the user asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve, with these redis.conf style arguments, untouched.
    Serve(Vec<OsString>),
    Demo(Box<DemoArgs>),
    Bench(Box<BenchArgs>),
    Completions(Shell),
    Version,
}

/// Reads the process's arguments (without the program's name). On `--help` or a usage error it prints and exits.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Invocation {
    match try_parse(arguments.into_iter().collect()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    }
}

fn try_parse(mut arguments: Vec<OsString>) -> Result<Invocation, clap::Error> {
    match arguments.first().and_then(|first| first.to_str()) {
        Some("-v" | "-V" | "--version") => return Ok(Invocation::Version),
        Some("serve") if !asks_for_help(arguments.get(1)) => {
            arguments.remove(0);
            return Ok(Invocation::Serve(arguments));
        }
        Some("bench") => {
            if let Some(text) = several_processes(&arguments) {
                return Err(CommandLine::command().error(ErrorKind::TooManyValues, text));
            }
        }
        Some(first) if is_for_clap(first) => {}
        _ => return Ok(Invocation::Serve(arguments)),
    }
    arguments.insert(0, OsString::from("limpid"));
    Ok(match CommandLine::try_parse_from(arguments)?.command {
        Subcommands::Serve { directives } => Invocation::Serve(directives),
        Subcommands::Demo(args) => Invocation::Demo(args),
        Subcommands::Bench(args) => Invocation::Bench(args),
        Subcommands::Completions { shell } => Invocation::Completions(shell),
    })
}

fn asks_for_help(argument: Option<&OsString>) -> bool {
    argument
        .and_then(|argument| argument.to_str())
        .is_some_and(|argument| matches!(argument, "-h" | "--help"))
}

fn is_for_clap(first: &str) -> bool {
    matches!(first, "-h" | "--help" | "help") || CommandLine::command().find_subcommand(first).is_some()
}

/// The line that `limpid --version` prints, in the shape of `redis-server -v`, which scripts cut by `v=`.
pub fn version_line() -> String {
    format!(
        "Limpid server v={} sha=00000000:0 malloc=jemalloc bits={} build={}",
        env!("CARGO_PKG_VERSION"),
        usize::BITS,
        if cfg!(debug_assertions) { "debug" } else { "release" },
    )
}

/// Writes the completion script for `shell` to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_completions(shell: Shell) -> std::io::Result<()> {
    let mut command = CommandLine::command();
    let mut script = Vec::new();
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(generator, &mut command, "limpid", &mut script);
    std::io::stdout().write_all(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        try_parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn the_definition_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_is_no_subcommand_goes_to_the_server_untouched() {
        for (line, expected) in [
            ("", vec![]),
            ("--port 7000 --save", vec!["--port", "7000", "--save"]),
            ("a.conf --port 7000", vec!["a.conf", "--port", "7000"]),
            ("serve - --version", vec!["-", "--version"]),
            ("serve demo", vec!["demo"]),
        ] {
            match parsed(line) {
                Ok(Invocation::Serve(arguments)) => assert_eq!(arguments, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn versions_and_help_are_found_first() {
        assert!(matches!(parsed("-v"), Ok(Invocation::Version)));
        assert!(matches!(parsed("--version"), Ok(Invocation::Version)));
        for line in ["--help", "serve --help", "bench --help", "bench compare -h", "demo -h"] {
            let error = parsed(line).expect_err(line);
            assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp, "{line}");
        }
        assert!(version_line().starts_with("Limpid server v="));
    }

    #[test]
    fn the_help_says_where_a_server_listens_by_default() {
        let settings = engine::config::Settings::new();
        assert_eq!((settings.text("bind").as_str(), settings.text("port").as_str()), ("* -::*", "6379"));
        assert!(settings.text("protected-mode") == "yes" && settings.text("requirepass").is_empty());
        let help = parsed("--help").expect_err("help").to_string();
        assert!(help.contains("port 6379 of every address") && !help.contains("on 127.0.0.1:6379"), "{help}");
    }

    #[test]
    fn several_pids_behind_one_option_are_told_so() {
        for line in ["bench --server-pid 4711 4712", "bench -P 16 --server-pid=4711 4712 4713 --prefill"] {
            let error = parsed(line).expect_err(line);
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(
                text.contains("4711 4712") && text.contains("--server-pid 4711 --server-pid 4712"),
                "{text}"
            );
            assert!(text.contains("pidof"), "{text}");
        }
        // In quotes it is one argument.
        let quoted = ["bench", "--server-pid", "4711 4712"].map(OsString::from).to_vec();
        assert!(
            try_parse(quoted).expect_err("two").to_string().contains("--server-pid 4711 --server-pid 4712")
        );
        for line in [
            "bench --server-pid 4711",
            "bench --server-pid 4711 --server-pid 4712",
            "bench --server-pid 4711 -c 2",
        ] {
            assert!(matches!(parsed(line), Ok(Invocation::Bench(_))), "{line}");
        }
    }

    #[test]
    fn bench_options_are_checked() {
        assert!(matches!(parsed("bench --pipeline 16 --ratio 1:10"), Ok(Invocation::Bench(_))));
        for line in ["bench --pipeline 0", "bench --ratio 0:0", "bench --key-dist zipf:-1", "bench --nope"] {
            assert_eq!(parsed(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }
}
