//! `limpid bench compare`: several servers under the same load, interleaved, with ratios and their spread.
//!
//! Invariant: within a round every peer runs the same load, one after the other, and a ratio is formed only between
//! figures of the same round.
//!
//! Thread safety: runs in the calling thread; see `load`.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::endpoint::{Address, Endpoint};
use super::error::BenchError;
use super::figures::{self, say};
use super::load::{Load, Measurement};
use super::memory::{self, Growth};
use super::options::{CompareArgs, Peer, Ratio};
use super::request::{RequestMix, RequestTemplate};
use super::spread::Spread;
use super::{custom_mix, fill_mix, load_of, measure, prefill, ratio_mix};

/// One combination of command and pipeline depth.
struct Case {
    name: String,
    pipeline: u64,
    mix: RequestMix,
}

/// Everything measured for one case: `rounds[peer][round]`.
struct CaseResult {
    name: String,
    pipeline: u64,
    rounds: Vec<Vec<Measurement>>,
}

/// Measures as `args` say and prints a table or JSON.
///
/// # Errors
/// `Usage` for contradictory options, else those of `load::run`.
pub fn run(args: &CompareArgs) -> Result<(), BenchError> {
    let baseline = baseline_index(args)?;
    if args.memory {
        return run_memory(args, baseline);
    }
    let cases = cases_of(args)?;
    if args.load.prefill {
        for peer in &args.peers {
            prefill(&peer_load(peer, args, 1, fill_mix(&args.load)), &args.load)?;
        }
    }
    let mut results = Vec::new();
    for case in cases {
        let mut rounds = vec![Vec::new(); args.peers.len()];
        for round in 1..=args.rounds {
            for (peer, measured) in args.peers.iter().zip(&mut rounds) {
                let load = peer_load(peer, args, case.pipeline, case.mix.clone());
                let label =
                    format!("{} P={} round {round}/{} {}", case.name, case.pipeline, args.rounds, peer.name);
                measured.push(measure(&load, &args.load, &label)?);
            }
        }
        results.push(CaseResult { name: case.name, pipeline: case.pipeline, rounds });
    }
    if args.load.json {
        say(format_args!("{:#}", to_json(args, baseline, &results)));
    } else {
        say(table(args, baseline, &results));
        say(footnote(args, baseline, &results));
    }
    Ok(())
}

fn baseline_index(args: &CompareArgs) -> Result<usize, BenchError> {
    for (index, peer) in args.peers.iter().enumerate() {
        if args.peers.iter().skip(index + 1).any(|other| other.name == peer.name) {
            return Err(BenchError::Usage(format!("two peers are named `{}`", peer.name)));
        }
    }
    let Some(name) = &args.baseline else { return Ok(0) };
    args.peers
        .iter()
        .position(|peer| peer.name == *name)
        .ok_or_else(|| BenchError::Usage(format!("--baseline `{name}` is none of the peers")))
}

fn cases_of(args: &CompareArgs) -> Result<Vec<Case>, BenchError> {
    let mut cases = Vec::new();
    for command in &args.commands {
        let mix = match command.to_ascii_lowercase().as_str() {
            "set" => fill_mix(&args.load),
            "get" => RequestMix::only(RequestTemplate::get(&args.load.key_prefix)),
            other => match other.parse::<Ratio>() {
                Ok(ratio) => ratio_mix(ratio, &args.load),
                Err(_) => custom_mix(command, &args.load)?,
            },
        };
        for &pipeline in &args.pipelines {
            cases.push(Case { name: command.clone(), pipeline, mix: mix.clone() });
        }
    }
    Ok(cases)
}

fn peer_load(peer: &Peer, args: &CompareArgs, pipeline: u64, mix: RequestMix) -> Load {
    let endpoint = Endpoint {
        address: Address::Tcp { host: peer.host.clone(), port: peer.port },
        user: args.user.clone(),
        password: args.password.clone(),
    };
    load_of(&args.load, endpoint, peer.pids.clone(), pipeline, mix)
}

/// The values of one figure over the rounds of a peer; empty when it was not measured.
fn values(rounds: &[Measurement], figure: impl Fn(&Measurement) -> Option<f64>) -> Vec<f64> {
    rounds.iter().filter_map(figure).collect()
}

/// The figures of a comparison: a heading, its digits, whether its ratio is shown, and how it is read.
type Figure = (&'static str, usize, fn(&Measurement) -> Option<f64>);
const CPU: Figure = ("server CPU µs/op", 3, Measurement::server_cpu_us_per_operation);
const RATE: Figure = ("1000 op/s", 1, |measured| Some(measured.rate() / 1e3));
const P99: Figure = ("p99 µs", 0, |measured| Some(measured.latency_us(99.0)));

fn table(args: &CompareArgs, baseline: usize, results: &[CaseResult]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let mut header = vec!["load".to_owned(), "server".to_owned()];
    header.extend([CPU.0, "ratio", RATE.0, "ratio", P99.0].map(str::to_owned));
    table.set_header(header);
    for result in results {
        for (index, (peer, rounds)) in args.peers.iter().zip(&result.rounds).enumerate() {
            let base = result.rounds.get(baseline).map_or(&[][..], Vec::as_slice);
            let load =
                if index == 0 { format!("{} P={}", result.name, result.pipeline) } else { String::new() };
            let mut row = vec![load, peer.name.clone()];
            for figure in [CPU, RATE] {
                row.push(cell(Spread::of(&values(rounds, figure.2)), figure.1));
                row.push(if index == baseline {
                    "1".to_owned()
                } else {
                    cell(Spread::of_ratios(&values(rounds, figure.2), &values(base, figure.2)), 3)
                });
            }
            row.push(
                Spread::of(&values(rounds, P99.2)).map_or("-".to_owned(), |p99| format!("{:.0}", p99.median)),
            );
            table.add_row(row);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{spread:.digits$}"))
}

fn footnote(args: &CompareArgs, baseline: usize, results: &[CaseResult]) -> String {
    let load = &args.load;
    let mut lines = vec![format!(
        "median (min..max) of {} rounds of {} s; ratios against {} within each round; {} clients, {} thread(s), {} keys \
         ({}), values of {} B",
        args.rounds,
        load.seconds,
        args.peers.get(baseline).map_or("", |peer| peer.name.as_str()),
        load.clients,
        load.threads,
        figures::grouped(load.keys),
        load.key_dist,
        load.value_size,
    )];
    for result in results {
        for (peer, rounds) in args.peers.iter().zip(&result.rounds) {
            if let Some(error) = rounds.iter().find_map(|measured| measured.first_error.as_ref()) {
                let errors: u64 = rounds.iter().map(|measured| measured.errors).sum();
                lines.push(format!(
                    "{} P={} on {}: {} error replies, the first: {error}",
                    result.name,
                    result.pipeline,
                    peer.name,
                    figures::grouped(errors)
                ));
            }
        }
    }
    lines.join("\n")
}

fn to_json(args: &CompareArgs, baseline: usize, results: &[CaseResult]) -> Value {
    let cases: Vec<Value> = results
        .iter()
        .map(|result| {
            let base = result.rounds.get(baseline).map_or(&[][..], Vec::as_slice);
            let peers: Vec<Value> = args
                .peers
                .iter()
                .zip(&result.rounds)
                .map(|(peer, rounds)| {
                    let ratio = |figure: Figure| {
                        Spread::of_ratios(&values(rounds, figure.2), &values(base, figure.2))
                            .map(Spread::to_json)
                    };
                    json!({
                        "name": peer.name,
                        "server_cpu_ratio": ratio(CPU),
                        "rate_ratio": ratio(RATE),
                        "rounds": rounds.iter().map(figures::to_json).collect::<Vec<_>>(),
                    })
                })
                .collect();
            json!({"requests": result.name, "pipeline": result.pipeline, "peers": peers})
        })
        .collect();
    json!({
        "baseline": args.peers.get(baseline).map(|peer| &peer.name),
        "clients": args.load.clients,
        "threads": args.load.threads,
        "keys": args.load.keys,
        "key_distribution": args.load.key_dist.to_string(),
        "value_bytes": args.load.value_size,
        "seconds": args.load.seconds.0.as_secs_f64(),
        "cases": cases,
    })
}

fn run_memory(args: &CompareArgs, baseline: usize) -> Result<(), BenchError> {
    let pipeline = args.pipelines.first().copied().unwrap_or(1);
    let mut grown: Vec<(&Peer, Growth)> = Vec::new();
    for peer in &args.peers {
        let load = peer_load(peer, args, pipeline, fill_mix(&args.load));
        grown.push((peer, memory::measure(&load, &args.load)?));
    }
    if args.load.json {
        let peers: Vec<Value> = grown
            .iter()
            .map(|(peer, growth)| {
                let mut document = growth.to_json();
                document["name"] = json!(peer.name);
                document
            })
            .collect();
        say(format_args!("{:#}", json!({ "peers": peers })));
        return Ok(());
    }
    let base = grown.get(baseline).map_or(0.0, |(_, growth)| growth.overhead_bytes());
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "server",
        "overhead B/key",
        "ratio",
        "CPU µs/insert",
        "longest SET ms",
        "p99.99 ms",
        "1000 op/s",
    ]);
    for (peer, growth) in &grown {
        table.add_row([
            peer.name.clone(),
            format!("{:.1}", growth.overhead_bytes()),
            format!("{:.2}", growth.overhead_bytes() / base),
            growth.measured.server_cpu_us_per_operation().map_or(String::new(), |us| format!("{us:.3}")),
            format!("{:.2}", growth.longest_ms()),
            format!("{:.2}", growth.measured.latency_us(99.99) / 1e3),
            format!("{:.1}", growth.measured.rate() / 1e3),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    say(table);
    if let Some((_, growth)) = grown.first() {
        say(format_args!(
            "{} keys of {} B + {} B{}, pipeline {pipeline}, inserted once into each server in the order given",
            figures::grouped(growth.keys),
            growth.key_bytes,
            growth.value_bytes,
            growth.ttl_seconds.map_or(String::new(), |ttl_seconds| format!(" with a TTL of {ttl_seconds} s")),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        args: CompareArgs,
    }

    fn args(line: &str) -> CompareArgs {
        Wrapper::parse_from(std::iter::once("compare").chain(line.split_whitespace())).args
    }

    #[test]
    fn cases_are_all_combinations() {
        let args = args("--peer a=:1 --peer b=:2 --commands set,1:10 --pipelines 1,64");
        let names: Vec<_> =
            cases_of(&args).unwrap().into_iter().map(|case| (case.name, case.pipeline)).collect();
        assert_eq!(
            names,
            [("set".to_owned(), 1), ("set".to_owned(), 64), ("1:10".to_owned(), 1), ("1:10".to_owned(), 64)]
        );
    }

    #[test]
    fn the_baseline_is_the_first_peer_or_the_named_one() {
        assert_eq!(baseline_index(&args("--peer a=:1 --peer b=:2")).unwrap(), 0);
        assert_eq!(baseline_index(&args("--peer a=:1 --peer b=:2 --baseline b")).unwrap(), 1);
        assert!(baseline_index(&args("--peer a=:1 --baseline c")).is_err());
        assert!(baseline_index(&args("--peer a=:1 --peer a=:2")).is_err());
    }
}
