//! The options of `limpid bench`, as `clap` reads them, and the load they describe.
//!
//! Thread safety: plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::keys::{KEYS_MAX, KeyDistribution};

/// As many connections as one generator may open: more ports than that one client address does not have.
const CLIENTS_MAX: u64 = 60_000;
/// Deeper pipelines than this measure socket buffers, not servers.
const PIPELINE_MAX: u64 = 10_000;
/// What `proto-max-bulk-len` allows by default.
const VALUE_BYTES_MAX: u64 = 512 << 20;

const BENCH_HELP: &str = "\
EXAMPLES:
    limpid bench                                    50 clients, SET:GET 1:10 on port 6379, for 5 s
    limpid bench --prefill -P 16 --ratio 0:1        GETs that all hit, 16 in flight on each connection
    limpid bench --server-pid $(pidof limpid)       adds the server's CPU time for each operation, and its memory
    limpid bench --key-dist zipf:0.99 --keys 10000000 --threads 2
    limpid bench --command 'HSET user:{number} name {value}'
    limpid bench --memory --keys 5000000 --server-pid 4711
    limpid bench compare --peer A=:7001#4711 --peer B=:7002#4712 --prefill

HOW IT MEASURES:
    Each connection writes a batch of --pipeline requests, reads all its replies, then writes the next. A latency is
    the time from just before a batch is written until the reply is read, so with pipelines it includes waiting for
    the replies before it. Rates, CPU times and latencies cover the measured seconds only, not the warm-up.
    `server CPU` is user + system time of --server-pid over the replies in the same window: on a machine that the
    generator shares with the server it is the steadier figure.
    Exit status: 0 when every reply was read (error replies are counted and shown), 1 on a connection error, 2 on a
    usage error.";

const COMPARE_HELP: &str = "\
EXAMPLES:
    limpid bench compare --peer valkey=127.0.0.1:7001#4711 --peer limpid=127.0.0.1:7002#4712 --prefill
    limpid bench compare --peer A=:7001#4711 --peer B=:7002#4712 --rounds 5 --pipelines 1,16,64 --commands set,get
    limpid bench compare --peer A=:7001#4711 --peer B=:7002#4712 --memory --keys 5000000 --ttl 100000

Rounds interleave the servers (A B A B ...), so that a change of the machine's speed hits all of them. A figure is
the median over the rounds with its lowest and highest value; a ratio is formed within each round against the
baseline (the first peer unless --baseline names another), then its median and spread are printed.";

/// `limpid bench ...`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = BENCH_HELP)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub subcommand: Option<BenchSubcommand>,

    #[command(flatten)]
    pub target: TargetArgs,

    #[command(flatten)]
    pub load: LoadArgs,

    /// Requests that each connection keeps in flight
    #[arg(short = 'P', long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=PIPELINE_MAX))]
    pub pipeline: u64,

    /// SETs and GETs drawn in this proportion
    #[arg(long, value_name = "SET:GET", default_value_t = Ratio { sets: 1, gets: 10 }, conflicts_with = "command")]
    pub ratio: Ratio,

    /// Send this command instead; `{key}`, `{number}` (a number) and `{value}` are filled in
    #[arg(long, value_name = "LINE")]
    pub command: Option<String>,

    /// Insert --keys keys into an empty server instead; report its memory per key and the longest SET
    #[arg(long, requires = "server_pid", conflicts_with_all = ["command", "ratio"])]
    pub memory: bool,
}

#[derive(Debug, Subcommand)]
pub enum BenchSubcommand {
    /// Measure several servers in turn and print their ratios
    Compare(Box<CompareArgs>),
}

/// `limpid bench compare ...`
#[derive(Debug, Args)]
#[command(after_help = COMPARE_HELP)]
pub struct CompareArgs {
    /// A server to measure: a name, where it listens, and its process (for CPU time and memory); repeat it
    #[arg(long = "peer", value_name = "NAME=HOST:PORT[#PID]", required = true)]
    pub peers: Vec<Peer>,

    /// The peer that ratios are taken against [default: the first]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,

    /// How often each server is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub rounds: u64,

    /// Pipeline depths, each measured
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64],
        value_parser = clap::value_parser!(u64).range(1..=PIPELINE_MAX))]
    pub pipelines: Vec<u64>,

    /// Commands, each measured: `set`, `get`, a ratio such as `1:10`, or a command line with placeholders
    #[arg(long, value_delimiter = ',', default_values_t = ["set".to_owned(), "get".to_owned()])]
    pub commands: Vec<String>,

    /// Insert --keys keys into the empty servers instead, with the first of --pipelines; compare memory per key,
    /// CPU per insert and the longest SET
    #[arg(long)]
    pub memory: bool,

    /// The user for AUTH
    #[arg(long, requires = "password")]
    pub user: Option<String>,

    /// The password for AUTH, the same for all peers
    #[arg(short = 'a', long, env = "LIMPID_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    #[command(flatten)]
    pub load: LoadArgs,
}

/// Which server, and which processes it consists of.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The server's host name or address
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,

    /// The server's port
    #[arg(short = 'p', long, default_value_t = 6379)]
    pub port: u16,

    /// Connect to this unix socket instead
    #[arg(short = 's', long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub unix_socket: Option<PathBuf>,

    /// The user for AUTH
    #[arg(long, requires = "password")]
    pub user: Option<String>,

    /// The password for AUTH
    #[arg(short = 'a', long, env = "LIMPID_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,

    /// A process of the server, for its CPU time and memory (it must run on this machine); may be repeated
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<u32>,
}

/// The load, whatever the server.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Connections
    #[arg(short = 'c', long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=CLIENTS_MAX))]
    pub clients: u64,

    /// Threads of the generator, each with its share of the connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub threads: u64,

    /// Different keys
    #[arg(short = 'r', long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    pub keys: u64,

    /// How keys are drawn: uniform, zipf or zipf:THETA (key 0 is the hottest)
    #[arg(long, value_name = "DIST", default_value_t = KeyDistribution::Uniform)]
    pub key_dist: KeyDistribution,

    /// What stands before the 12 digits of a key's number
    #[arg(long, value_name = "TEXT", default_value = "key:")]
    pub key_prefix: String,

    /// Bytes of a value
    #[arg(short = 'd', long, value_name = "BYTES", default_value_t = 32,
        value_parser = clap::value_parser!(u64).range(0..=VALUE_BYTES_MAX))]
    pub value_size: u64,

    /// Give the SETs a time to live
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub ttl: Option<u64>,

    /// Measured time
    #[arg(long, default_value_t = Seconds(Duration::from_secs(5)))]
    pub seconds: Seconds,

    /// Time under load before measuring
    #[arg(long, value_name = "SECONDS", default_value_t = Seconds(Duration::from_millis(500)))]
    pub warmup: Seconds,

    /// SET every key once before measuring, so that GETs hit
    #[arg(long)]
    pub prefill: bool,

    /// Seed of the key sequence
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// What to say when one `--server-pid` is followed by several numbers, as an unquoted `$(pidof limpid)` gives them when
/// more than one server runs; else None. The parser would call the second one an unknown subcommand.
pub fn several_processes(arguments: &[OsString]) -> Option<String> {
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let option = words.iter().position(|word| word.starts_with("--server-pid"))?;
    let first = words[option].strip_prefix("--server-pid=").into_iter();
    let behind = words[option + 1..].iter().copied();
    let values = first.chain(behind).flat_map(str::split_whitespace);
    let pids: Vec<&str> = values.take_while(|word| word.parse::<u32>().is_ok()).collect();
    if pids.len() < 2 {
        return None;
    }
    let options: Vec<String> = pids.iter().map(|pid| format!("--server-pid {pid}")).collect();
    Some(format!(
        "--server-pid takes one process, and {} are {}: `pidof` names every process of that name.\n  Give the one that serves (`ss -ltnp` names it), or, if they are one server together, {}",
        pids.join(" "),
        pids.len(),
        options.join(" ")
    ))
}

/// A proportion of SETs to GETs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    pub sets: u32,
    pub gets: u32,
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse =
            |number: &str| number.parse::<u32>().map_err(|_| format!("`{number}` is not a whole number"));
        let (sets, gets) = text.split_once(':').ok_or("expected SET:GET, for example 1:10")?;
        let ratio = Self { sets: parse(sets)?, gets: parse(gets)? };
        if ratio.sets == 0 && ratio.gets == 0 {
            return Err("one of both must be above 0".to_owned());
        }
        Ok(ratio)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.sets, self.gets)
    }
}

/// A duration given in seconds, with fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
        // A day: longer runs are soak tests, and the histogram's counts stay far from overflow.
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err("expected 0 to 86400 seconds".to_owned());
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.as_secs_f64())
    }
}

/// A server of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub pids: Vec<u32>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected NAME=HOST:PORT or NAME=HOST:PORT#PID";
        let (name, rest) = text.split_once('=').ok_or(expected)?;
        let (address, pids) =
            rest.split_once('#').map_or((rest, None), |(address, pids)| (address, Some(pids)));
        let (host, port) = address.rsplit_once(':').ok_or(expected)?;
        let pids = pids.map_or(Ok(Vec::new()), |pids| {
            pids.split('#')
                .map(|pid| pid.parse().map_err(|_| format!("`{pid}` is not a process id")))
                .collect::<Result<Vec<u32>, String>>()
        })?;
        if name.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            host: if host.is_empty() { "127.0.0.1".to_owned() } else { host.to_owned() },
            port: port.parse().map_err(|_| format!("`{port}` is not a port"))?,
            pids,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_parse() {
        let peer: Peer = "valkey=10.0.0.1:7001#4711#4712".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.host.as_str(), peer.port), ("valkey", "10.0.0.1", 7001));
        assert_eq!(peer.pids, [4711, 4712]);
        let short: Peer = "a=:7001".parse().unwrap();
        assert_eq!((short.host.as_str(), short.pids.len()), ("127.0.0.1", 0));
        for bad in ["", "a", "a=", "=h:1", "a=h", "a=h:x", "a=h:1#", "a=h:1#x", "a=h:70000"] {
            assert!(bad.parse::<Peer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ratios_and_seconds_parse() {
        assert_eq!("1:10".parse(), Ok(Ratio { sets: 1, gets: 10 }));
        assert_eq!("0.5".parse(), Ok(Seconds(Duration::from_millis(500))));
        for bad in ["", "1", "1:", "0:0", "-1:2", "1:2:3"] {
            assert!(bad.parse::<Ratio>().is_err(), "{bad}");
        }
        for bad in ["", "x", "-1", "NaN", "1e9"] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
    }
}
