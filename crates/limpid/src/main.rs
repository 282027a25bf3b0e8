//! The binary `limpid`: reads the command line and hands over to the subcommand.
//!
//! Nothing is decided here: `cli` parses, `bench`, `demo` and the server do.

use std::process::ExitCode;

mod admin;
mod allocator;
mod arrival;
mod bench;
mod cli;
mod config;
mod connection;
mod demo;
mod listen;
mod logging;
mod placement;
mod score;
mod serve;
mod sockets;
mod supervise;
mod worker;

/// jemalloc, behind a wrapper that counts what is used.
#[global_allocator]
static ALLOCATOR: keyspace::memory::Counting<tikv_jemallocator::Jemalloc> =
    keyspace::memory::Counting(tikv_jemallocator::Jemalloc);

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        cli::Invocation::Serve(directives) => serve::run(&directives),
        cli::Invocation::Demo(args) => demo::run(&args, serve::start_beside),
        cli::Invocation::Bench(args) => bench::run(&args),
        cli::Invocation::Completions(shell) => match cli::print_completions(shell) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        cli::Invocation::Version => {
            println!("{}", cli::version_line());
            ExitCode::SUCCESS
        }
    }
}
