//! What a report is made from: the merged recorders, the connections, and the server's facts, at one moment.
//!
//! Not a report: `observe::report` makes those from it, for PROF and for the admin plane alike.
//!
//! Invariant: gathering takes each lock shortly and one after the other; nothing is held while a report is made.
//!
//! Thread safety: plain values.

use engine::config::Setting;
use engine::state::clients::Client;
use engine::state::instance::{Instance, MAXMEMORY};
use observe::record::Snapshot;
use observe::record::clients::{ClientCounters, ClientSnapshot};
use observe::report::redact::Redactor;
use observe::report::{Facts, Input};
use std::sync::atomic::Ordering::Relaxed;

const REDACTS_KEYS: Setting<bool> = Setting::of("profiling-redact-keys");

/// See the module's text.
pub struct Evidence {
    pub snapshot: Snapshot,
    pub clients: Vec<ClientSnapshot>,
    pub facts: Facts,
    pub redactor: Redactor,
    command_name: Box<dyn Fn(u16) -> &'static str + Send + Sync>,
}

impl Evidence {
    /// Adds to the merged recorders what else a report needs, and leaves of the counters what came since PROF RESET.
    pub fn of(instance: &Instance, snapshot: Snapshot) -> Evidence {
        Evidence::as_counted(instance, snapshot).since_reset(instance)
    }

    /// The same with the counters as they are, whatever the window of the profile: for /metrics.
    pub fn as_counted(instance: &Instance, snapshot: Snapshot) -> Evidence {
        let facts = Facts {
            switches: instance.switches(),
            used_memory_bytes: instance.used_memory_bytes().0,
            memory_bytes_max: instance.settings.read(MAXMEMORY),
            eviction_policy: instance.settings.text("maxmemory-policy"),
            ..Facts::default()
        };
        let clients = instance.clients.all().iter().map(|client| client_snapshot(client)).collect();
        let registry = instance.registry;
        Evidence {
            snapshot,
            clients,
            facts,
            redactor: Redactor { redacts: instance.settings.read(REDACTS_KEYS) },
            command_name: Box::new(move |index| registry.entry(index).full_name.as_str()),
        }
    }

    /// Takes away what was counted before PROF RESET.
    pub fn since_reset(mut self, instance: &Instance) -> Evidence {
        let to_unix_ms = |moment_ms| instance.to_unix_ms(moment_ms);
        instance.profile_windows.apply(&mut self.snapshot, &mut self.facts, instance.now_ms(), to_unix_ms);
        self
    }

    pub fn input(&self) -> Input<'_> {
        Input {
            snapshot: &self.snapshot,
            clients: &self.clients,
            facts: &self.facts,
            command_name: &*self.command_name,
            redactor: &self.redactor,
        }
    }
}

fn client_snapshot(client: &Client) -> ClientSnapshot {
    ClientSnapshot {
        id: client.id,
        address: client.origin.peer(),
        name: client.names.lock().name.clone(),
        counters: ClientCounters {
            commands: client.commands.load(Relaxed),
            errors: client.errors.load(Relaxed),
            bytes_in: client.bytes_in.load(Relaxed),
            bytes_out: client.bytes_out.load(Relaxed),
            batches: client.batches.load(Relaxed),
            run_ns: client.run_ns.load(Relaxed),
            connected_ms: client.connected_ms.max(0) as u64,
            active_ms: client.last_active_ms.load(Relaxed).max(0) as u64,
            output_bytes_peak: client.output_bytes_peak.load(Relaxed),
            slow_reads: u32::try_from(client.output_blocked.load(Relaxed)).unwrap_or(u32::MAX),
            batch_max: 0,
        },
        output_bytes: client.output_bytes.load(Relaxed),
    }
}
