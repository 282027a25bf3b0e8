//! `limpid bench`: a small, honest load generator for anything that speaks RESP.
//!
//! It is not a correctness test: replies are counted, not compared. How it measures is told by `--help` and in
//! `worker` and `load`.
//!
//! Thread safety: `run` is called once by the main thread; see `load` for the threads it starts.

use std::process::ExitCode;

mod compare;
mod endpoint;
mod error;
mod figures;
mod keys;
mod load;
mod memory;
mod options;
mod process;
mod reply;
mod request;
mod spread;
mod worker;

use serde_json::json;

use endpoint::{Address, Endpoint};
use error::BenchError;
use figures::ProgressLine;
pub use figures::grouped;
use load::{Extent, Load, Measurement};
use options::{BenchSubcommand, LoadArgs, Ratio, TargetArgs};
use request::{RequestMix, RequestTemplate, value_bytes};

pub use figures::{bytes_text, latency_text, say};
pub use keys::mix64;
pub use options::{BenchArgs, Seconds, several_processes};

/// Filling uses a deep pipeline: it is not measured.
const PREFILL_PIPELINE: u64 = 64;

/// A server answers at most this many requests within the 10 ms that a process's CPU time is known to; the fastest need
/// 0.3 microseconds each.
const OPERATIONS_WITHOUT_CPU_MAX: u64 = 50_000;

/// Runs `limpid bench` or `limpid bench compare`; prints to standard output, progress and errors to standard error.
pub fn run(args: &BenchArgs) -> ExitCode {
    let result = match &args.subcommand {
        Some(BenchSubcommand::Compare(args)) => compare::run(args),
        None if args.memory => run_memory(args),
        None => run_single(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limpid bench: {error}");
            ExitCode::from(if matches!(error, BenchError::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run_single(args: &BenchArgs) -> Result<(), BenchError> {
    let endpoint = endpoint_of(&args.target);
    let mix = match &args.command {
        Some(line) => custom_mix(line, &args.load)?,
        None => ratio_mix(args.ratio, &args.load),
    };
    let load = load_of(&args.load, endpoint, args.target.server_pid.clone(), args.pipeline, mix);
    if args.load.prefill {
        prefill(&load, &args.load)?;
    }
    let what = args.command.clone().unwrap_or_else(|| match args.ratio {
        Ratio { sets: 0, .. } => "GET".to_owned(),
        Ratio { gets: 0, .. } => "SET".to_owned(),
        ratio => format!("SET:GET {ratio}"),
    });
    let measured = measure(&load, &args.load, &what)?;
    if args.load.json {
        let mut document = figures::to_json(&measured);
        document["load"] = load_json(&load, &args.load, &what);
        say(format_args!("{document:#}"));
        return Ok(());
    }
    say(format_args!(
        "{what} on {}: {} clients, pipeline {}, {} keys ({}), values of {} B",
        load.endpoint,
        load.clients,
        load.pipeline,
        grouped(load.keys),
        load.distribution,
        args.load.value_size
    ));
    say(figures::text(&measured, load.threads));
    Ok(())
}

fn run_memory(args: &BenchArgs) -> Result<(), BenchError> {
    let endpoint = endpoint_of(&args.target);
    let load =
        load_of(&args.load, endpoint, args.target.server_pid.clone(), args.pipeline, fill_mix(&args.load));
    let growth = memory::measure(&load, &args.load)?;
    if args.load.json {
        say(format_args!("{:#}", growth.to_json()));
    } else {
        say(growth.text());
    }
    Ok(())
}

fn endpoint_of(target: &TargetArgs) -> Endpoint {
    let address = match &target.unix_socket {
        Some(path) => Address::Unix(path.clone()),
        None => Address::Tcp { host: target.host.clone(), port: target.port },
    };
    Endpoint { address, user: target.user.clone(), password: target.password.clone() }
}

fn load_of(
    args: &LoadArgs,
    endpoint: Endpoint,
    server_pids: Vec<u32>,
    pipeline: u64,
    mix: RequestMix,
) -> Load {
    let clients = args.clients as usize;
    Load {
        endpoint,
        server_pids,
        clients,
        threads: (args.threads as usize).min(clients),
        pipeline,
        mix,
        keys: args.keys,
        distribution: args.key_dist,
        seed: args.seed,
    }
}

fn ratio_mix(ratio: Ratio, args: &LoadArgs) -> RequestMix {
    RequestMix::of_two((ratio.sets, set_template(args)), (ratio.gets, RequestTemplate::get(&args.key_prefix)))
}

fn custom_mix(line: &str, args: &LoadArgs) -> Result<RequestMix, BenchError> {
    let value = value_bytes(args.value_size as usize, args.seed);
    let template = RequestTemplate::custom(line, &args.key_prefix, &value);
    template.map(RequestMix::only).map_err(|text| BenchError::Usage(format!("--command: {text}")))
}

fn fill_mix(args: &LoadArgs) -> RequestMix {
    RequestMix::only(set_template(args))
}

fn set_template(args: &LoadArgs) -> RequestTemplate {
    RequestTemplate::set(&args.key_prefix, &value_bytes(args.value_size as usize, args.seed), args.ttl)
}

/// Sets every key of `load` once.
fn prefill(load: &Load, args: &LoadArgs) -> Result<(), BenchError> {
    let fill = Load { mix: fill_mix(args), pipeline: PREFILL_PIPELINE, ..load.clone() };
    let mut line = ProgressLine::new(format!("filling {} keys", grouped(load.keys)), args.json);
    let filled = load::run(&fill, Extent::EveryKey, &mut |tick| line.tick(tick));
    line.finish();
    match filled?.first_error {
        Some(text) => Err(BenchError::Refused { address: load.endpoint.to_string(), text }),
        None => Ok(()),
    }
}

fn measure(load: &Load, args: &LoadArgs, label: &str) -> Result<Measurement, BenchError> {
    if args.seconds.0.is_zero() {
        return Err(BenchError::Usage("--seconds must be above 0".to_owned()));
    }
    let mut line = ProgressLine::new(label, args.json);
    let extent = Extent::Timed { warmup: args.warmup.0, window: args.seconds.0 };
    let measured = load::run(load, extent, &mut |tick| line.tick(tick));
    line.finish();
    let measured = measured?;
    match measured.server {
        Some(server) if is_idle(server.cpu_us, measured.operations) => {
            Err(BenchError::Usage(wrong_process(load, measured.operations)))
        }
        _ => Ok(measured),
    }
}

/// Whether processes that used this much CPU time cannot be the server that answered so many requests. A comparison of
/// zeros would look like a result.
fn is_idle(cpu_us: u64, operations: u64) -> bool {
    cpu_us == 0 && operations > OPERATIONS_WITHOUT_CPU_MAX
}

fn wrong_process(load: &Load, operations: u64) -> String {
    let pids: Vec<String> = load.server_pids.iter().map(u32::to_string).collect();
    format!(
        "process {} used no CPU time while {} answered {} requests: it is not that server's; see `ss -ltnp`",
        pids.join(", "),
        load.endpoint,
        grouped(operations),
    )
}

fn load_json(load: &Load, args: &LoadArgs, what: &str) -> serde_json::Value {
    json!({
        "requests": what,
        "server": load.endpoint.to_string(),
        "clients": load.clients,
        "threads": load.threads,
        "pipeline": load.pipeline,
        "keys": load.keys,
        "key_distribution": load.distribution.to_string(),
        "value_bytes": args.value_size,
        "ttl_seconds": args.ttl,
        "warmup_seconds": args.warmup.0.as_secs_f64(),
        "seed": load.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_did_nothing_is_no_server() {
        assert!(is_idle(0, 1_000_000));
        assert!(!is_idle(10_000, 1_000_000));
        assert!(!is_idle(0, 1_000), "that little work may not reach a tick of the clock");
    }
}
