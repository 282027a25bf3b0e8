//! Seeded workloads through the recorders to the verdict: what must be found, and what must be called healthy.

use observe::observers::{latency, prefixes};
use observe::record::clients::{ClientCounters, ClientSnapshot};
use observe::record::hotkeys::{Access, KeyAccess};
use observe::record::latency::Stage;
use observe::record::prefix_tree::PrefixTree;
use observe::record::{Observer, Recorder, Snapshot};
use observe::report::findings::{Finding, Level, findings};
use observe::report::redact::Redactor;
use observe::report::value::Node;
use observe::report::{Asked, Facts, Input, cost, verdict};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const GET: u16 = 0;
const SET: u16 = 1;
const KEYS: u16 = 2;
const NAMES: [&str; 3] = ["get", "set", "keys"];

/// Two workers, as a server has them, fed the way dispatch feeds them, and what is stored.
struct Server {
    tree: Arc<PrefixTree>,
    workers: Vec<Recorder>,
    stored: HashMap<String, (u16, usize)>,
    clients: Vec<ClientSnapshot>,
    facts: Facts,
    commands: u64,
    state: u64,
}

impl Server {
    fn new(seed: u64) -> Self {
        println!("seed {seed:#x}");
        let tree = Arc::new(PrefixTree::default());
        let worker = |_| Recorder::single(240, tree.clone());
        Self {
            workers: (0..2).map(worker).collect(),
            tree: tree.clone(),
            stored: HashMap::new(),
            clients: Vec::new(),
            facts: Facts {
                since_unix_s: 1_790_000_000,
                window_s: 60.0,
                used_memory_bytes: 64 << 20,
                ..Facts::default()
            },
            commands: 0,
            state: seed,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    fn set(&mut self, key: &str, value: usize) {
        let worker = self.begin();
        let recorder = &mut self.workers[worker];
        recorder.latency.called(SET);
        let total = key.len() + value + 16;
        match self.stored.get_mut(key) {
            Some((node, before)) => {
                recorder.resized(*node, *before, value, value as i64 - *before as i64);
                *before = value;
            }
            None => {
                let node = recorder.prefix_of(key.as_bytes());
                recorder.added(node, key.len(), value, total);
                self.stored.insert(key.to_owned(), (node, value));
            }
        }
        self.sampled(worker, SET, key, Access::Write, 700);
    }

    fn get(&mut self, key: &str) {
        let worker = self.begin();
        let recorder = &mut self.workers[worker];
        recorder.latency.called(GET);
        let access = if self.stored.contains_key(key) { Access::Read } else { Access::Miss };
        recorder.looked_up(access == Access::Read);
        self.sampled(worker, GET, key, access, 300);
    }

    fn sets(&self) -> u64 {
        self.workers.iter().map(|worker| worker.latency.call_counts(SET).calls).sum()
    }

    fn begin(&mut self) -> usize {
        self.commands += 1;
        self.facts.now_ms = self.commands / 20;
        let worker = self.commands as usize / 64 % 2;
        self.workers[worker].begin_batch(64, self.facts.now_ms);
        worker
    }

    fn sampled(&mut self, worker: usize, command: u16, key: &str, access: Access, cpu_ns: u32) {
        let recorder = &mut self.workers[worker];
        let weight = recorder.sample();
        if weight == 0 {
            return;
        }
        let hash = key.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31)
        });
        let stored = self.stored.get(key);
        if recorder.switches.is_on(Observer::LATENCY) {
            for (stage, ns) in [(Stage::Wait, 2_000), (Stage::Lock, 0), (Stage::Run, u64::from(cpu_ns))] {
                recorder.latency.record(command, stage, ns, weight);
            }
        }
        let key = key.as_bytes();
        let access = KeyAccess { db: 0, hash, key, weight, access, cpu_ns, bytes: 60 };
        recorder.record_key(access, stored.copied());
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.workers.iter().for_each(|worker| snapshot.add(&worker.recorded(), self.facts.now_ms));
        snapshot.add_tree(&self.tree);
        snapshot
    }

    fn with_input<T>(&self, redacts: bool, read: impl FnOnce(&Input<'_>) -> T) -> T {
        let snapshot = self.snapshot();
        let redactor = Redactor { redacts };
        let name = |command: u16| NAMES.get(usize::from(command)).copied().unwrap_or("?");
        read(&Input {
            snapshot: &snapshot,
            clients: &self.clients,
            facts: &self.facts,
            command_name: &name,
            redactor: &redactor,
        })
    }

    fn findings(&self) -> Vec<Finding> {
        self.with_input(false, findings)
    }

    fn found(&self, rule: &str) -> Finding {
        let all = self.findings();
        let found = all.iter().find(|finding| finding.rule == rule);
        found.unwrap_or_else(|| panic!("{rule} is not among {all:#?}")).clone()
    }

    fn client(&mut self, id: u64, change: impl FnOnce(&mut ClientSnapshot)) {
        let counters =
            ClientCounters { connected_ms: 0, active_ms: self.facts.now_ms, ..ClientCounters::default() };
        let mut client = ClientSnapshot {
            id,
            address: format!("10.0.0.{id}:4000"),
            counters,
            ..ClientSnapshot::default()
        };
        change(&mut client);
        self.clients.push(client);
    }

    /// The same number of reads and writes of every one of `keys` keys, in random order.
    fn uniform(&mut self, keys: u64, commands: u64) {
        for key in 0..keys {
            self.set(&format!("item:{key}"), 32);
        }
        for _ in 0..commands {
            let key = format!("item:{}", self.random(keys));
            if self.random(10) == 0 { self.set(&key, 32) } else { self.get(&key) }
        }
    }
}

fn healthy(server: &Server) {
    let found = server.findings();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(verdict::verdict(&found), "healthy");
    let report = server.with_input(false, verdict::report);
    assert_eq!(report.get("verdict").and_then(Node::as_text), Some("healthy"));
}

#[test]
fn uniform_traffic_is_healthy() {
    let mut server = Server::new(0x0DD5_0001);
    server.uniform(20_000, 200_000);
    for id in 0..50 {
        server.client(id, |client| (client.counters.commands, client.counters.batches) = (4_000, 4_000));
    }
    healthy(&server);
}

#[test]
fn uniform_traffic_on_few_keys_is_healthy() {
    let mut server = Server::new(0x0DD5_0002);
    server.uniform(5, 100_000);
    healthy(&server);
}

#[test]
fn a_key_with_one_per_cent_is_not_hot() {
    let mut server = Server::new(0x0DD5_0003);
    server.set("config:flags", 32);
    server.uniform(20_000, 20_000);
    for _ in 0..100_000 {
        let key = format!("item:{}", server.random(20_000));
        if server.random(100) == 0 { server.get("config:flags") } else { server.get(&key) }
    }
    healthy(&server);
}

#[test]
fn a_key_with_a_third_of_the_traffic_is_named() {
    let mut server = Server::new(0x0DD5_0004);
    server.uniform(20_000, 20_000);
    server.set("config:flags", 32);
    for _ in 0..60_000 {
        let key = format!("item:{}", server.random(20_000));
        if server.random(3) == 0 { server.get("config:flags") } else { server.get(&key) }
    }
    let found = server.found("hot-key");
    assert_eq!((found.culprit.as_str(), found.level), ("config:flags", Level::Problem));
    assert!(found.remedy.contains("application") && found.saves_usec_per_s.is_some());
    // 60,000 of 100,000 commands, a third of them: 20 %, with the margins taken off.
    assert!((0.16..0.22).contains(&found.weight), "{}", found.weight);
    assert!(verdict::verdict(&server.findings()).starts_with("config:flags: "));
}

#[test]
fn a_large_prefix_that_is_missed_is_named_with_its_saving() {
    let mut server = Server::new(0x0DD5_0005);
    for key in 0..4_000 {
        server.set(&format!("report:{key}:pdf"), 1_000);
        server.set(&format!("user:{key}"), 30);
    }
    for _ in 0..60_000 {
        let key = server.random(40_000);
        server.get(&format!("report:{key}:pdf"));
        let user = server.random(4_000);
        server.get(&format!("user:{user}"));
    }
    let found = server.found("cold-prefix");
    assert_eq!((found.culprit.as_str(), found.level), ("report:{n}:pdf", Level::Advice));
    let held = 4_000.0 * (1_000.0 + 16.0 + 14.0);
    let saved = found.saves_bytes.expect("bytes") as f64;
    assert!((saved / (held * 0.9) - 1.0).abs() < 0.05, "nine of ten reads miss: {saved} of {held}");
}

#[test]
fn a_low_hit_ratio_under_eviction_is_a_problem_only_with_evictions() {
    let mut server = Server::new(0x0DD5_0006);
    server.uniform(1_000, 1_000);
    for _ in 0..20_000 {
        let key = server.random(3_000);
        server.get(&format!("item:{key}"));
    }
    server.facts.memory_bytes_max = 100 << 20;
    assert!(server.findings().iter().all(|finding| finding.rule != "low-hit-ratio"));
    server.workers[0].evicted(5_000);
    let found = server.found("low-hit-ratio");
    assert!(found.remedy.contains("CONFIG SET maxmemory 157286400"), "{}", found.remedy);
}

#[test]
fn long_names_are_priced_exactly() {
    let mut server = Server::new(0x0DD5_0007);
    for key in 0..40_000 {
        server.set(&format!("application/production/customer/preferences:{key}"), 8);
    }
    let found = server.found("long-names");
    let fixed = "application/production/customer/preferences:".len() as u64;
    assert_eq!(found.saves_bytes, Some(40_000 * (fixed - prefixes::report::ALIAS_BYTES)));
    assert_eq!(found.culprit, "application/production/customer/preferences:{n}");
}

#[test]
fn a_command_that_holds_the_worker_is_named_with_the_delay() {
    let mut server = Server::new(0x0DD5_0008);
    server.uniform(1_000, 10_000);
    for _ in 0..40 {
        let recorder = &mut server.workers[1];
        recorder.latency.called(KEYS);
        recorder.latency.record(KEYS, Stage::Run, 80_000_000, 1);
        recorder.latency.delayed_others(KEYS, 80_000_000, 20);
    }
    let found = server.found("holding-command");
    assert_eq!(found.culprit, "KEYS");
    assert!(found.remedy.contains("SCAN"));
    assert_eq!(found.saves_usec_per_s, Some(40.0 * 80_000.0 / 60.0));
}

#[test]
fn a_fast_command_that_is_interrupted_now_and_then_is_not_blamed() {
    let mut server = Server::new(0x0DD5_0010);
    server.uniform(1_000, 100_000);
    for _ in 0..20 {
        server.workers[0].latency.record(GET, Stage::Run, 8_000_000, 16);
    }
    healthy(&server);
}

#[test]
fn switched_off_observers_record_no_traffic_and_sums_stay_exact() {
    let mut server = Server::new(0x0DD5_0011);
    server.uniform(300, 3_000);
    server.workers.iter_mut().for_each(|worker| worker.switches.profiling = false);
    let before = server.snapshot();
    for key in 0..500 {
        server.set(&format!("later:{key}"), 10);
    }
    let after = server.snapshot();
    assert_eq!(before.hotkeys.operations.samples(), after.hotkeys.operations.samples());
    assert_eq!(before.events[0], after.events[0]);
    let total = after.prefixes.total();
    assert_eq!((total.keys, after.sizes.counts.keys), (800, 800));
    let root = &after.prefixes.prefixes(&after.tree)[0];
    assert_eq!((root.shape.as_str(), root.own.keys), ("(other)", 500));
    assert_eq!(after.latency.command(SET).map(|stats| stats.counts.calls), Some(server.sets()));
}

#[test]
fn clients_are_named_for_what_they_do() {
    let mut server = Server::new(0x0DD5_0009);
    server.uniform(1_000, 10_000);
    server.facts.now_ms = 1_000_000;
    server.client(1, |client| {
        (client.counters.commands, client.counters.batches) = (5_000_000, 5_000_000);
        client.name = "importer".into();
    });
    server.client(2, |client| {
        (client.output_bytes, client.counters.slow_reads) = (64 << 20, 900);
    });
    assert!(server.found("unbatched-clients").culprit.contains("importer"));
    let slow = server.found("slow-reader");
    assert!(slow.culprit.contains("10.0.0.2") && slow.remedy.contains("CLIENT KILL ID 2"));
    assert_eq!(slow.saves_bytes, Some(64 << 20));
    assert!(server.findings().iter().all(|finding| finding.rule != "idle-clients"));
    for id in 3..200 {
        server.client(id, |client| client.counters.active_ms = 100_000);
    }
    assert!(server.found("idle-clients").says.starts_with("197 of 199"));
}

#[test]
fn a_pool_that_never_pipelines_is_one_culprit() {
    let mut server = Server::new(0x0DD5_0012);
    server.uniform(1_000, 10_000);
    server.facts.now_ms = 100_000;
    for id in 0..50 {
        server.client(id, |client| {
            client.address = format!("10.9.9.9:{}", 5_000 + id);
            (client.counters.commands, client.counters.batches) = (100_000 + id, 100_000);
        });
    }
    let found = server.found("unbatched-clients");
    assert!(found.says.starts_with("50 connection(s)") && found.culprit.contains("id 49"), "{found:?}");
    assert_eq!(found.level, Level::Advice);
    assert!(verdict::verdict(&server.findings()).starts_with("healthy"));
}

#[test]
fn storms_of_connections_and_errors_are_found() {
    let mut server = Server::new(0x0DD5_000A);
    server.uniform(1_000, 10_000);
    let now_ms = server.facts.now_ms;
    let address = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));
    for connect in 0..50u64 {
        server.workers[(connect % 2) as usize].connects.connected(Some(address), now_ms);
    }
    assert!(server.findings().is_empty(), "fifty connections are a pool");
    for connect in 0..2_000u64 {
        server.workers[(connect % 2) as usize].connects.connected(Some(address), now_ms);
    }
    assert_eq!(server.found("reconnect-storm").culprit, "10.1.2.3");
    for _ in 0..1_000 {
        server.workers[0].errors.record(b"WRONGTYPE Operation against a key holding the wrong kind of value");
        server.workers[0].latency.failed(GET);
    }
    let storm = server.found("error-storm");
    assert!(storm.says.contains("WRONGTYPE"), "{}", storm.says);
}

#[test]
fn no_key_name_leaves_when_redacted() {
    let mut server = Server::new(0x0DD5_000B);
    for key in 0..2_000 {
        server.set(&format!("secret{}/hidden:{key}", key % 7), 5_000);
    }
    for _ in 0..20_000 {
        server.get("secret0/hidden:0");
        let key = server.random(90_000);
        server.get(&format!("secret1/hidden:{key}"));
    }
    let report = server.with_input(true, verdict::report);
    for text in [report.to_json().to_string(), report.to_text()] {
        assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
    }
    let open = server.with_input(false, verdict::report).to_text();
    assert!(open.contains("secret0/hidden:0") && open.contains("hot-key"));
}

#[test]
fn every_report_says_since_when_and_how_exact_it_is() {
    let mut server = Server::new(0x0DD5_000C);
    server.uniform(500, 5_000);
    let reports = server.with_input(false, |input| {
        let asked = |command| Asked { count: 10, command };
        let observers = Observer::all().map(|observer| &observer.spec().report);
        let all = observers.map(|report| (report.make)(input, &asked(None)));
        all.chain([latency::report::report(input, Some(GET))]).collect::<Vec<Node>>()
    });
    for report in reports {
        assert_eq!(report.get("since_unix_s"), Some(&Node::Integer(1_790_000_000)));
        assert!(report.get("error").is_some() && report.get("window_s").is_some(), "{}", report.to_text());
    }
}

#[test]
fn cost_is_measured_and_memory_within_its_bounds() {
    let mut server = Server::new(0x0DD5_000D);
    server.uniform(20_000, 50_000);
    let report = server.with_input(false, cost::report);
    let rows = report.get("observers").expect("observers").items();
    assert_eq!(rows.len(), Observer::COUNT);
    for row in rows {
        let figure = |name: &str| row.get(name).and_then(Node::as_f64).unwrap_or(f64::NAN);
        assert!(figure("call_ns") > 0.0);
        assert!(figure("memory_bytes") <= figure("bound_bytes"), "{}", report.to_text());
    }
    let held = report.get("memory_bytes").and_then(Node::as_f64).expect("bytes");
    assert!(held < f64::from(24 << 20), "the budget of two workers: {held}");
}

#[test]
fn counts_reports_and_truth_agree() {
    let mut server = Server::new(0x0DD5_000E);
    server.uniform(3_000, 30_000);
    let (prefixes, latency) = server.with_input(false, |input| {
        (prefixes::report::report(input, 10), latency::report::report(input, None))
    });
    let total = prefixes.get("total").expect("total");
    assert_eq!(total.get("keys"), Some(&Node::Integer(3_000)));
    let bytes: usize = server.stored.iter().map(|(key, &(_, value))| key.len() + value + 16).sum();
    assert_eq!(total.get("memory_bytes"), Some(&Node::Integer(bytes as i64)));
    let calls: f64 = latency
        .get("commands")
        .expect("commands")
        .items()
        .iter()
        .filter_map(|row| row.get("calls").and_then(Node::as_f64))
        .sum();
    assert_eq!(calls, server.commands as f64);
}

#[test]
fn a_key_that_became_hot_a_moment_ago_is_found_in_the_last_seconds() {
    let mut server = Server::new(0x0DD5_000F);
    server.uniform(20_000, 1_000_000);
    healthy(&server);
    server.facts.window_s = 3_600.0;
    for _ in 0..90_000 {
        let key = format!("item:{}", server.random(20_000));
        if server.random(2) == 0 { server.get("item:7") } else { server.get(&key) }
    }
    let found = server.found("hot-key");
    assert_eq!(found.culprit, "item:7");
    let window =
        found.evidence.iter().find(|(name, _)| name == "window_s").and_then(|(_, node)| node.as_f64());
    assert!(window.is_some_and(|window| window < 10.0), "{window:?}");
}
