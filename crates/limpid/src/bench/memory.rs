//! `--memory`: what a key costs beyond its bytes, and the longest SET while the server grows.
//!
//! It measures growth of resident memory, from outside: allocator slack, tables, expiry and profiling records are all
//! in it, as they are in what the machine's owner pays for.
//!
//! Thread safety: runs in the calling thread; see `load`.

use serde_json::{Value, json};

use super::error::BenchError;
use super::figures::{self, ProgressLine, bytes_text, grouped, latency_text};
use super::keys::KEY_DIGITS;
use super::load::{self, Extent, Load, Measurement};
use super::options::LoadArgs;

/// What inserting many keys did to a server.
#[derive(Clone, Debug)]
pub struct Growth {
    pub keys: u64,
    pub key_bytes: u64,
    pub value_bytes: u64,
    pub ttl_seconds: Option<u64>,
    pub pipeline: u64,
    pub rss_bytes_before: u64,
    pub rss_bytes_after: u64,
    pub measured: Measurement,
}

impl Growth {
    /// RSS growth for each key minus the bytes of key and value.
    pub fn overhead_bytes(&self) -> f64 {
        let growth = self.rss_bytes_after as f64 - self.rss_bytes_before as f64;
        growth / self.keys as f64 - (self.key_bytes + self.value_bytes) as f64
    }

    /// The longest SET in milliseconds.
    pub fn longest_ms(&self) -> f64 {
        self.measured.latency_ns.max() as f64 / 1e6
    }

    pub fn to_json(&self) -> Value {
        let mut document = figures::to_json(&self.measured);
        document["memory"] = json!({
            "keys": self.keys,
            "key_bytes": self.key_bytes,
            "value_bytes": self.value_bytes,
            "ttl_seconds": self.ttl_seconds,
            "pipeline": self.pipeline,
            "rss_bytes_before": self.rss_bytes_before,
            "rss_bytes_after": self.rss_bytes_after,
            "overhead_bytes_per_key": self.overhead_bytes(),
        });
        document
    }

    pub fn text(&self) -> String {
        let ttl = self.ttl_seconds.map_or("no TTL".to_owned(), |ttl_seconds| format!("TTL {ttl_seconds} s"));
        format!(
            "{} keys of {} B + {} B, {ttl}\n\
             overhead      {:.1} B for each key (RSS {} -> {}, minus key and value)\n\
             SET, growing  p99.99 {}, longest {} (pipeline {})\n\
             throughput    {} op/s",
            grouped(self.keys),
            self.key_bytes,
            self.value_bytes,
            self.overhead_bytes(),
            bytes_text(self.rss_bytes_before),
            bytes_text(self.rss_bytes_after),
            latency_text(self.measured.latency_us(99.99)),
            latency_text(self.longest_ms() * 1e3),
            self.pipeline,
            grouped(self.measured.rate() as u64),
        )
    }
}

/// Inserts every key of `load`, whose requests must be SETs, into its empty server.
///
/// # Errors
/// `Usage` when the server holds keys already or its process is unknown, `Refused` when a SET fails, and those of
/// `load::run`.
pub fn measure(load: &Load, args: &LoadArgs) -> Result<Growth, BenchError> {
    if load.server_pids.is_empty() {
        return Err(BenchError::Usage(
            "--memory needs the server's process: --server-pid, or #PID".to_owned(),
        ));
    }
    let held = load.endpoint.connect()?.ask(&["DBSIZE"])?;
    if held != "0" {
        return Err(BenchError::Usage(format!(
            "{} holds {held} keys: --memory needs an empty, freshly started server",
            load.endpoint
        )));
    }
    let mut line = ProgressLine::new(format!("inserting {} keys", grouped(load.keys)), args.json);
    let measured = load::run(load, Extent::EveryKey, &mut |tick| line.tick(tick));
    line.finish();
    let measured = measured?;
    if let Some(text) = measured.first_error {
        return Err(BenchError::Refused { address: load.endpoint.to_string(), text });
    }
    let server =
        measured.server.unwrap_or(load::ServerUsage { cpu_us: 0, rss_bytes_before: 0, rss_bytes_after: 0 });
    Ok(Growth {
        keys: load.keys,
        key_bytes: (args.key_prefix.len() + KEY_DIGITS) as u64,
        value_bytes: args.value_size,
        ttl_seconds: args.ttl,
        pipeline: load.pipeline,
        rss_bytes_before: server.rss_bytes_before,
        rss_bytes_after: server.rss_bytes_after,
        measured,
    })
}
