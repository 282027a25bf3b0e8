//! The admin plane from outside: what scrapers, probes and people are answered.
//!
//! It speaks HTTP itself, so that every header and byte is seen.

mod harness;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use harness::server::{Program, Server, free_port};

/// A reply that takes longer than this will not come.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!((self.status, self.header("content-type")), (200, "application/json"), "{}", self.body);
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A server with its admin plane on a port of its own.
struct Admin {
    server: Server,
    port: u16,
}

impl Admin {
    fn start(arguments: &[&str]) -> Admin {
        let port = free_port();
        let text = port.to_string();
        let all: Vec<&str> = ["--admin-port", &text].into_iter().chain(arguments.iter().copied()).collect();
        Admin { server: Server::limpid(&all), port }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        self.send(&request)
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let (status, headers) = head.split_once("\r\n").expect("a status line");
        let status = status.split(' ').nth(1).expect("a status").parse().expect("a number");
        Answer { status, headers: headers.to_owned(), body: body.to_owned() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the admin port");
        stream.set_read_timeout(Some(REPLY_TIMEOUT)).expect("a timeout");
        stream
    }
}

fn traffic(admin: &Admin) {
    let mut client = admin.server.client();
    for number in 0..200 {
        client.ask(&format!("SET user:{number}:cart value{number}"));
        client.ask(&format!("GET user:{number}:cart"));
    }
    for request in
        ["SET topsecretkey x EX 100", "GET topsecretkey", "GET nosuch", "INCR topsecretkey", "NOSUCH"]
    {
        client.ask(request);
    }
}

/// One line of samples: name, labels, value.
fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = match value {
        "+Inf" => f64::INFINITY,
        "NaN" => f64::NAN,
        number => number.parse().expect("a number"),
    };
    let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), Vec::new(), value) };
    let mut rest = labels.strip_suffix('}').expect("a closing brace");
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect("a label");
        assert!(label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        let (mut text, mut characters, mut end) = (String::new(), after.char_indices(), None);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = Some(at);
                    break;
                }
                '\\' => text.push(match characters.next().expect("an escaped character").1 {
                    'n' => '\n',
                    other @ ('"' | '\\') => other,
                    other => panic!("\\{other} in {line}"),
                }),
                other => text.push(other),
            }
        }
        rest = &after[end.expect("a closing quote") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        all.push((label.to_owned(), text));
    }
    (name.to_owned(), all, value)
}

/// Checks what promtool checks, and returns every series with its value.
fn checked(text: &str, is_openmetrics: bool) -> HashMap<String, f64> {
    let mut series = HashMap::new();
    let mut families: HashSet<String> = HashSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let mut below: Option<(String, f64, f64)> = None;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        assert!(!line.is_empty() && !line.contains('\r'));
        if line == "# EOF" {
            assert!(is_openmetrics && text.ends_with("# EOF\n"));
            continue;
        }
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name").to_owned();
            assert!(families.insert(family.clone()), "{family} twice");
            continue;
        }
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, of) = typed.split_once(' ').expect("a type");
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram", "summary"].contains(&of), "{line}");
            kind = of.to_owned();
            continue;
        }
        let (name, labels, value) = sample(line);
        let suffixes: &[&str] = match (kind.as_str(), is_openmetrics) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("summary", _) => &["", "_sum", "_count"],
            ("counter", true) => &["_total"],
            _ => &[""],
        };
        let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} in {family}"));
        assert!(suffixes.contains(&suffix), "{line} in {family}, a {kind}");
        if kind == "counter" {
            assert!(name.ends_with("_total") && value >= 0.0, "{line}");
        }
        if suffix == "_bucket" {
            let (le, others) = labels.split_last().expect("le");
            let bound = if le.1 == "+Inf" { f64::INFINITY } else { le.1.parse().expect("a bound") };
            let id = format!("{name}{others:?}");
            if let Some((last, last_bound, last_value)) = &below
                && *last == id
            {
                assert!(bound > *last_bound && value >= *last_value, "{line}");
            }
            below = Some((id, bound, value));
        }
        if suffix == "_count" && kind == "histogram" {
            let (id, bound, all) = below.take().expect("buckets before the count");
            assert!(id.starts_with(&family) && bound.is_infinite() && all == value, "{line}");
        }
        let id = line.rsplit_once(' ').expect("a value").0.to_owned();
        assert!(series.insert(id, value).is_none(), "{line} twice");
    }
    series
}

#[test]
fn metrics_have_the_exporter_s_names_and_true_figures_in_both_formats() {
    let admin = Admin::start(&["--maxmemory", "100mb"]);
    traffic(&admin);
    let answer = admin.get("/metrics");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let series = checked(&answer.body, false);
    for (name, expected) in [
        ("redis_up", 1.0),
        ("redis_commands_total{cmd=\"set\"}", 201.0),
        ("redis_commands_total{cmd=\"get\"}", 202.0),
        ("redis_commands_failed_calls_total{cmd=\"incr\"}", 1.0),
        ("redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"+Inf\"}", 202.0),
        ("redis_commands_latencies_usec_count{cmd=\"get\"}", 202.0),
        ("redis_errors_total{err=\"ERR\"}", 2.0),
        ("redis_memory_max_bytes", 104_857_600.0),
        ("redis_keyspace_hits_total", 201.0),
        ("redis_keyspace_misses_total", 1.0),
        ("redis_db_keys{db=\"db0\"}", 201.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_expired_keys_total", 0.0),
        ("redis_evicted_keys_total", 0.0),
        ("redis_blocked_clients", 0.0),
        ("limpid_prefix_keys{prefix=\"user\"}", 200.0),
        ("limpid_keys", 201.0),
    ] {
        assert_eq!(series.get(name), Some(&expected), "{name}");
    }
    for name in [
        "redis_commands_duration_seconds_total{cmd=\"get\"}",
        "redis_commands_latencies_usec_sum{cmd=\"get\"}",
        "redis_memory_used_bytes",
        "redis_net_input_bytes_total",
        "redis_net_output_bytes_total",
        "redis_mem_fragmentation_ratio",
        "redis_memory_fragmentation_ratio",
        "limpid_command_duration_seconds_count{cmd=\"get\",stage=\"run\"}",
    ] {
        assert!(series.get(name).is_some_and(|value| *value > 0.0), "{name}: {:?}", series.get(name));
    }
    assert!(series.contains_key("redis_uptime_in_seconds") && series.contains_key("redis_connected_clients"));
    assert!(!answer.body.contains("topsecretkey") && !answer.body.contains("cart"), "a key became a label");
    let wanted = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = admin.ask("GET", "/metrics", wanted);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((open.status, open.header("content-type")), (200, content_type));
    let series = checked(&open.body, true);
    assert_eq!(series.get("redis_commands_total{cmd=\"set\"}"), Some(&201.0));
    let head = admin.ask("HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").parse::<u64>().expect("a length") > 1000);
}

/// Deep pipelines, in which the fast commands are sampled, while others scrape.
#[test]
fn no_histogram_counts_more_than_there_were_calls() {
    let admin = Admin::start(&["--io-threads", "2"]);
    let batch: String = (0..64).map(|at| format!("SET k{at} v\r\nGET k{at}\r\nEXISTS k{at}\r\n")).collect();
    let rounds = 40;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut stream =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, admin.server.port)).expect("the server");
                stream.set_read_timeout(Some(REPLY_TIMEOUT)).expect("a timeout");
                // `+OK`, `$1 v` and `:1` for each.
                let mut replies = vec![0; 64 * (5 + 7 + 4)];
                for _ in 0..rounds {
                    stream.write_all(batch.as_bytes()).expect("sent");
                    stream.read_exact(&mut replies).expect("the replies");
                }
            });
        }
        (0..10).for_each(|_| drop(histograms_are_within_their_calls(&admin)));
    });
    let series = histograms_are_within_their_calls(&admin);
    assert_eq!(series["redis_commands_total{cmd=\"get\"}"], f64::from(3 * 64 * rounds));
    assert!(series["redis_commands_latencies_usec_count{cmd=\"get\"}"] > f64::from(64 * rounds));
}

fn histograms_are_within_their_calls(admin: &Admin) -> HashMap<String, f64> {
    let series = checked(&admin.get("/metrics").body, false);
    for (name, count) in series.iter().filter(|(name, _)| name.contains("_count{cmd=\"")) {
        let (_, command) = name.split_once("cmd=\"").expect("a command");
        let (command, _) = command.split_once('"').expect("its end");
        let calls = series[&format!("redis_commands_total{{cmd=\"{command}\"}}")];
        assert!(*count <= calls, "{name} is {count} of {calls} calls");
    }
    series
}

/// What the exporter's dashboards ask for, of a server that has nothing of the features left out.
#[test]
fn the_dashboards_of_the_exporter_find_their_series() {
    let admin = Admin::start(&["--maxmemory", "100mb", "--slowlog-log-slower-than", "0"]);
    traffic(&admin);
    let body = admin.get("/metrics").body;
    let series = checked(&body, false);
    for (name, expected) in [
        ("redis_config_maxmemory", 104_857_600.0),
        ("redis_config_maxclients", 10_000.0),
        ("redis_cpu_sys_children_seconds_total", 0.0),
        ("redis_cpu_user_children_seconds_total", 0.0),
        ("redis_rejected_connections_total", 0.0),
        ("redis_slowlog_length", 128.0),
        ("redis_slowlog_last_id", 404.0),
        ("redis_latency_percentiles_usec_count{cmd=\"get\"}", 202.0),
    ] {
        assert_eq!(series.get(name), Some(&expected), "{name}");
    }
    for name in [
        "redis_process_id",
        "redis_start_time_seconds",
        "redis_memory_used_rss_bytes",
        "redis_memory_used_peak_bytes",
        "redis_memory_used_startup_bytes",
        "redis_allocator_resident_bytes",
        "redis_connections_received_total",
        "redis_commands_processed_total",
        "redis_last_slow_execution_duration_seconds",
        "redis_latency_percentiles_usec{cmd=\"get\",quantile=\"99.9\"}",
    ] {
        assert!(series.get(name).is_some_and(|value| *value > 0.0), "{name}: {:?}", series.get(name));
    }
    for name in
        ["redis_cpu_sys_seconds_total", "redis_cpu_user_seconds_total", "redis_instantaneous_ops_per_sec"]
    {
        assert!(series.contains_key(name), "{name}");
    }
    let info = series.keys().find(|name| name.starts_with("redis_instance_info{")).expect("the instance");
    for label in ["role=\"master\"", "redis_version=", "redis_mode=", "os=", "tcp_port=", "process_id="] {
        assert!(info.contains(label), "{label} in {info}");
    }
}

#[test]
fn counters_do_not_shrink_from_scrape_to_scrape_nor_by_a_profile_reset() {
    let admin = Admin::start(&[]);
    traffic(&admin);
    let before = checked(&admin.get("/metrics").body, false);
    admin.server.client().ask("PROF RESET");
    traffic(&admin);
    let after = checked(&admin.get("/metrics").body, false);
    let is_timing = |name: &str| {
        name.contains("duration") || name.contains("latencies") || name.starts_with("limpid_prefix")
    };
    for (name, value) in before.iter().filter(|(name, _)| name.contains("_total") && !is_timing(name)) {
        assert!(after[name] >= *value, "{name}: {} after {value}", after[name]);
    }
    assert_eq!(after["redis_commands_total{cmd=\"set\"}"], 402.0);
}

#[test]
fn the_profile_is_served_as_json_and_text() {
    let admin = Admin::start(&[]);
    traffic(&admin);
    // Every report that there is, those of observers as their literals name them; advice is a list.
    for report in observe::report::reports::by_place().map(|report| report.name) {
        if report == "advice" {
            continue;
        }
        assert!(admin.get(&format!("/api/profile/{report}")).json().is_object(), "{report}");
        let text = admin.get(&format!("/api/profile/{report}?format=text"));
        assert_eq!(
            (text.status, text.header("content-type")),
            (200, "text/plain; charset=utf-8"),
            "{report}"
        );
    }
    assert!(admin.get("/api/profile/advice").json().is_array());
    let hot = admin.get("/api/profile/hotkeys?count=1").json();
    assert_eq!(hot["since_reset"][0]["key"], "topsecretkey");
    assert_eq!(hot["since_reset"].as_array().map(Vec::len), Some(1));
    let latency = admin.get("/api/profile/latency?command=get").json();
    assert_eq!(latency["commands"]["get"]["calls"], 202);
    let same = admin.server.client().text("PROF SIZES JSON");
    let (mut of_port, mut of_http) = (
        serde_json::from_str::<serde_json::Value>(&same).expect("JSON"),
        admin.get("/api/profile/sizes").json(),
    );
    for report in [&mut of_port, &mut of_http] {
        report["window_s"] = serde_json::Value::Null;
    }
    assert_eq!(of_port, of_http);
    let page = admin.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for link in ["href=\"/metrics\"", "href=\"/api/profile/report?format=text\"", "topsecretkey", "user"] {
        assert!(page.body.contains(link), "{link} in {}", page.body);
    }
    admin.server.client().ask("CONFIG SET profiling-redact-keys yes");
    for path in
        ["/", "/api/profile/hotkeys", "/api/profile/report", "/api/profile/report?format=text", "/metrics"]
    {
        let body = admin.get(path).body;
        let body = body.replace("redis_cpu_user_", "");
        assert!(!body.contains("topsecret") && !body.contains("user"), "{path}: {body}");
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_said_so() {
    let admin = Admin::start(&[]);
    for (path, status, says) in [
        ("/nosuch", 404, "/api/profile/{report,"),
        ("/api/profile/nosuch", 404, "/metrics"),
        ("/api/profile/hotkeys?count=0", 400, "count must be between 1 and 1000"),
        ("/api/profile/latency?command=nosuch", 400, "No such command 'nosuch'"),
        ("/api/profile/sizes?format=xml", 400, "format is json or text"),
    ] {
        let answer = admin.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    let post = admin.ask("POST", "/metrics", "Content-Length: 0\r\n");
    assert_eq!(post.status, 405);
    assert!(post.body.contains("GET or HEAD") && post.header("allow").contains("GET"), "{}", post.body);
    let strange = admin.send("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n");
    assert_eq!(strange.status, 403);
    assert!(strange.body.contains("admin-token"), "{}", strange.body);
    let huge = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(40_000));
    assert!((400..500).contains(&admin.send(&huge).status));
    assert_eq!(admin.get("/healthz").body, "ok\n");
}

#[test]
fn a_token_is_asked_for_everywhere_but_by_probes() {
    let admin = Admin::start(&["--admin-token", "s3cret&x", "--admin-bind", "0.0.0.0"]);
    for path in ["/", "/metrics", "/api/profile/report"] {
        let refused = admin.get(path);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"), "{path}");
        assert!(refused.body.contains("Authorization: Bearer"), "{}", refused.body);
        assert_eq!(admin.ask("GET", path, "Authorization: Bearer wrong\r\n").status, 401);
        assert_eq!(admin.ask("GET", path, "Authorization: Bearer s3cret&x\r\n").status, 200);
        assert_eq!(admin.get(&format!("{path}?token=s3cret%26x")).status, 200);
    }
    assert!(admin.get("/?token=s3cret%26x").body.contains("href=\"/metrics?token=s3cret%26x\""));
    assert_eq!((admin.get("/healthz").status, admin.get("/readyz").status), (200, 200));
    assert_eq!(admin.get("/nosuch").status, 404);
}

#[test]
fn probes_and_reports_are_answered_while_a_command_holds_the_only_worker() {
    let admin = Admin::start(&["--io-threads", "1", "--enable-debug-command", "yes"]);
    let mut sleeper = admin.server.client();
    sleeper.ask("SET key value");
    sleeper.send(&["DEBUG", "SLEEP", "8"]).expect("sent");
    std::thread::sleep(Duration::from_millis(300));
    let during = admin.get("/metrics");
    assert_eq!((admin.get("/healthz").status, admin.get("/readyz").status), (200, 200));
    assert_eq!((during.status, admin.get("/api/profile/report").status), (200, 200));
    assert!(during.body.contains("redis_commands_processed_total"), "{}", during.body);
    sleeper.read().expect("the sleeper wakes");
    let after = admin.get("/metrics");
    assert!(after.status == 200 && after.body.contains("redis_db_keys{"), "{}", after.body);
}

#[test]
fn a_taken_port_stops_the_start_unless_it_is_the_default() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let output = std::process::Command::new(&Program::limpid().path)
        .args(["--port", "0", "--save", "", "--admin-port", &port.to_string()])
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let says = format!("cannot open the admin port 127.0.0.1:{port}");
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((said.matches(&says).count(), all.matches(&says).count()), (1, 1), "{all}");
    assert!(said.contains("choose another port with 'admin-port'"), "{said}");
    // Whether or not somebody else has the default port, the server starts.
    let default = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let server = Server::limpid(&["--admin-port", "8080"]);
    assert!(
        server.log().contains(if default.is_ok() { "No admin plane" } else { "dmin plane" }),
        "{}",
        server.log()
    );
}

/// More than there are places, none of which sends a whole request: the oldest leave, and the others stay.
#[test]
fn more_silent_connections_than_places_do_not_keep_a_probe_waiting() {
    const SILENT: usize = 300;
    const PLACES: usize = 256;
    let admin = Admin::start(&[]);
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| admin.connect()).collect();
    silent.iter_mut().step_by(2).for_each(|stream| stream.write_all(b"GET /metrics HT").expect("sent"));
    assert_eq!(admin.get("/healthz").body, "ok\n");
    // Whoever is left was not cut off by a deadline: so the answer did not wait for one.
    let is_open = |stream: &TcpStream| {
        stream.set_nonblocking(true).expect("a socket option");
        matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let open: Vec<bool> = silent.iter().map(is_open).collect();
    let (gone, left) = open.split_at(SILENT + 1 - PLACES);
    assert!(left.iter().all(|open| *open), "{open:?}");
    assert!(gone.iter().all(|open| !open), "{open:?}");
}

/// Nearly as many as there are places ask at once for what takes longest to make, and some of them do not wait for it.
#[test]
fn hundreds_who_ask_for_reports_at_once_hold_up_nobody() {
    const ASKERS: usize = 250;
    let admin = Admin::start(&[]);
    traffic(&admin);
    let request = b"GET /api/profile/report HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let ask = |_| {
        let mut stream = admin.connect();
        stream.write_all(request).expect("sent");
        stream
    };
    let mut askers: Vec<TcpStream> = (0..ASKERS).map(ask).collect();
    assert_eq!(admin.get("/healthz").body, "ok\n");
    let mut client = admin.server.client();
    assert!(client.text("INFO commandstats").contains("cmdstat_get:calls=202,"));
    askers.truncate(ASKERS / 2);
    let mut made = 0;
    for mut stream in askers {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        if text.starts_with("HTTP/1.1 200 ") {
            assert!(text.trim_end().ends_with('}'), "{text}");
            made += 1;
        } else {
            assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("retry-after: 1"), "{text}");
        }
    }
    assert!(made > 0);
    assert_eq!(admin.get("/api/profile/report").status, 200, "those who have left hold nothing");
}

#[test]
fn idle_and_half_open_connections_do_not_keep_others_out() {
    let admin = Admin::start(&[]);
    let mut idle: Vec<TcpStream> = (0..40).map(|_| admin.connect()).collect();
    idle.iter_mut().take(20).for_each(|stream| stream.write_all(b"GET /metrics HT").expect("sent"));
    assert_eq!(admin.get("/metrics").status, 200);
    drop(idle);
    assert_eq!(admin.get("/healthz").status, 200);
}
