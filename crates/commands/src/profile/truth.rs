//! Truth tests of the profile: seeded traffic goes in as bytes, the answer is computed outside, and PROF must agree
//! within the bounds it states itself.
//!
//! Thread safety: tests.

use crate::testing::Bench;
use engine::config::Settings;
use std::collections::HashMap;

/// A pipelined client's batch.
const BATCH: usize = 64;

/// Numbers that are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The text of a bulk string that holds JSON, read by a parser of its own: only what these tests look at.
fn json(bench: &mut Bench, request: &str) -> serde_json::Value {
    let reply = String::from_utf8(bench.run(request.as_bytes())).expect("text");
    let (header, body) = reply.split_once("\r\n").expect("a bulk string");
    assert!(header.starts_with('$'), "{request}: {reply}");
    serde_json::from_str(body.trim_end()).unwrap_or_else(|error| panic!("{request}: {error} in {body}"))
}

fn whole(value: &serde_json::Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not a whole number: {value}"))
}

#[test]
fn hot_keys_are_those_that_were_sent_within_the_stated_bounds() {
    const KEYS: usize = 10_000;
    const REQUESTS: usize = 300_000;
    let seed = 0x5eed_2001;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let weights = (0..KEYS).scan(0.0, |sum, rank| {
        *sum += 1.0 / (rank as f64 + 1.0);
        Some(*sum)
    });
    let cumulative: Vec<f64> = weights.collect();
    let all = cumulative.last().copied().expect("keys");
    let mut bench = Bench::new();
    let mut sent: HashMap<String, u64> = HashMap::new();
    for _ in 0..REQUESTS / BATCH {
        let requests: Vec<Vec<String>> = (0..BATCH)
            .map(|_| {
                let draw = random.unit() * all;
                let rank = cumulative.partition_point(|&sum| sum < draw).min(KEYS - 1);
                let key = format!("item:{rank}");
                *sent.entry(key.clone()).or_default() += 1;
                if random.below(10) == 0 {
                    vec!["SET".into(), key, "v".into()]
                } else {
                    vec!["GET".into(), key]
                }
            })
            .collect();
        bench.batch(&requests);
    }
    let report = json(&mut bench, "PROF HOTKEYS JSON");
    let mut exact: Vec<(&String, &u64)> = sent.iter().collect();
    exact.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let total = exact.iter().map(|(_, count)| **count).sum::<u64>() as i64;
    let rows = report["since_reset"].as_array().expect("rows");
    assert_eq!(rows.len(), 10);
    let mut within = 0;
    for row in rows {
        let (key, operations) = (row["key"].as_str().expect("a key"), whole(&row["operations"]));
        let truth = sent[key] as i64;
        let bound = whole(&row["undercount_max"]) + whole(&row["sampling_error"]);
        within += usize::from((operations - truth).abs() <= bound);
        // Three times the stated two standard deviations does not happen by chance.
        assert!((operations - truth).abs() <= 3 * bound, "{key}: {operations} for {truth}, bound {bound}");
        let misses = whole(&row["misses"]) + whole(&row["reads"]) + whole(&row["writes"]);
        assert!(misses <= operations, "{row}");
    }
    let reported: Vec<&str> = rows.iter().filter_map(|row| row["key"].as_str()).collect();
    let found = exact[..10].iter().filter(|(key, _)| reported.contains(&key.as_str())).count();
    println!("recall {found} of 10, {within} of 10 counts within two standard deviations, {total} sent");
    assert!(found >= 9, "recall {found} of 10: {reported:?}");
    assert!(within >= 8, "{within} of 10 counts within the bound");
    let operations = whole(&report["operations"]);
    assert!((operations - total).abs() * 50 < total, "{operations} operations of {total}");
    let listed = exact.iter().skip(512).map(|(_, count)| **count as i64).max().expect("more keys");
    assert!(listed <= whole(&report["error"]["unlisted_max"]) + 16 * 16, "{listed}");
}

/// A command of several keys has missed those that are not there, and written those that it writes.
#[test]
fn each_key_of_a_command_is_counted_as_what_was_done_to_it() {
    let mut bench = Bench::new();
    bench.run(b"MSET here 1 source 1\r\nPROF RESET");
    for _ in 0..5 {
        bench.run(b"MGET here gone\r\nCOPY source copied REPLACE");
    }
    let report = json(&mut bench, "PROF HOTKEYS JSON");
    let counted = |key: &str| {
        let rows = report["since_reset"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{key} in {report}"));
        ["reads", "writes", "misses"].map(|figure| whole(&row[figure]))
    };
    assert_eq!(counted("here"), [5, 0, 0]);
    assert_eq!(counted("gone"), [0, 0, 5]);
    assert_eq!(counted("source"), [5, 0, 0]);
    assert_eq!(counted("copied"), [0, 5, 0]);
}

#[test]
fn prefixes_add_up_to_what_is_stored_whatever_happens() {
    let seed = 0x5eed_2002;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let mut bench = Bench::new();
    for round in 0..4_000 {
        let (kind, id) = (random.below(5), random.below(200));
        let (key, other) = (format!("kind{kind}:{id}:x"), format!("other:{}", random.below(50)));
        let value = "v".repeat(random.below(300) as usize + 1);
        let request = match random.below(12) {
            0..5 => vec!["SET".into(), key, value],
            5 => vec!["SETRANGE".into(), key, random.below(400).to_string(), value],
            6 => vec!["DEL".into(), key, other],
            7 => vec!["PEXPIRE".into(), key, "-1".into()],
            8 => vec!["RENAME".into(), key, other],
            9 => vec!["APPEND".into(), key, value],
            10 => vec!["COPY".into(), key, other, "DB".into(), random.below(2).to_string()],
            _ => vec!["SELECT".into(), random.below(2).to_string()],
        };
        bench.batch(&[request]);
        if round % 1_500 == 1_499 {
            bench.run(b"FLUSHDB");
        }
        if round % 400 == 399 {
            sums_agree(&mut bench);
        }
    }
}

/// The prefixes' sums are DBSIZE of all databases, and the bytes those of PROF SIZES and of MEMORY USAGE.
fn sums_agree(bench: &mut Bench) {
    let keys = bench.instance.visit(|databases| databases.iter().map(|(_, db)| db.len() as i64).sum::<i64>());
    // A flushed database is accounted for in the background.
    let report = (0..2_000)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            json(bench, "PROF PREFIXES COUNT 1000 JSON")
        })
        .find(|report| whole(&report["total"]["keys"]) == keys)
        .expect("the prefixes count what is stored");
    let sizes = json(bench, "PROF SIZES JSON");
    assert_eq!(whole(&sizes["keys"]), keys);
    let rows = report["by_bytes"].as_array().expect("rows");
    for (of_prefixes, of_sizes) in [
        ("keys", "keys"),
        ("memory_bytes", "memory_bytes"),
        ("names_bytes", "names_bytes"),
        ("values_bytes", "values_bytes"),
    ] {
        let sum: i64 = rows.iter().map(|row| whole(&row[of_prefixes])).sum();
        assert_eq!(sum, whole(&report["total"][of_prefixes]), "{of_prefixes}");
        assert_eq!(sum, whole(&sizes[of_sizes]), "{of_sizes}");
    }
    let used: i64 = bench.instance.visit(|databases| {
        let journal = keyspace::Journal::new(bench.instance.hasher.clone(), 1);
        let mut bytes = 0;
        for (_, database) in databases.iter() {
            let mut cursor = 0;
            loop {
                cursor = database
                    .scan(cursor, 1000, usize::MAX, &journal, |entry| bytes += entry.memory_bytes() as i64)
                    .expect("nobody holds a stripe");
                if cursor == 0 {
                    break;
                }
            }
        }
        bytes
    });
    assert_eq!(used, whole(&report["total"]["memory_bytes"]));
}

#[test]
fn each_switch_stops_its_observer_and_no_other() {
    let figure = |bench: &mut Bench, observer: &str| -> i64 {
        let (request, field) = match observer {
            "latency" => ("PROF LATENCY get JSON", "/commands/get/stages/0/calls"),
            "hotkeys" => ("PROF HOTKEYS JSON", "/operations"),
            "prefixes" => ("PROF PREFIXES JSON", "/total/reads"),
            _ => ("PROF SIZES JSON", "/latency_by_value_size/0/commands"),
        };
        json(bench, request).pointer(field).map_or(0, whole)
    };
    const OBSERVERS: [&str; 4] = ["latency", "hotkeys", "prefixes", "sizes"];
    let mut bench = Bench::new();
    bench.run(b"SET a 1");
    let traffic_moves = |bench: &mut Bench| -> Vec<bool> {
        let before = OBSERVERS.map(|observer| figure(bench, observer));
        (0..100).for_each(|_| drop(bench.run(b"GET a")));
        OBSERVERS.iter().zip(before).map(|(observer, before)| figure(bench, observer) > before).collect()
    };
    assert_eq!(traffic_moves(&mut bench), [true; 4]);
    for (off, observer) in OBSERVERS.iter().enumerate() {
        assert_eq!(bench.run(format!("CONFIG SET profiling-{observer} no").as_bytes()), b"+OK\r\n");
        let moved = traffic_moves(&mut bench);
        for (other, moved) in moved.into_iter().enumerate() {
            assert_eq!(moved, other != off, "{} while {observer} is off", OBSERVERS[other]);
        }
        assert_eq!(bench.run(format!("CONFIG SET profiling-{observer} yes").as_bytes()), b"+OK\r\n");
    }
    bench.run(b"CONFIG SET profiling no");
    assert_eq!(traffic_moves(&mut bench), [false; 4]);
    let run_ns = |bench: &Bench| bench.session.client.run_ns.load(std::sync::atomic::Ordering::Relaxed);
    let before = run_ns(&bench);
    bench.run(b"GET a\r\nCONFIG GET maxmemory");
    assert_eq!(run_ns(&bench), before, "clients while profiling is off");
    // The exact counters go on: INFO could not be right again after a pause.
    bench.run(b"CONFIG RESETSTAT\r\nGET a\r\nGET a");
    let get = bench.instance.registry.find(b"GET").expect("GET").index;
    let snapshot = bench.instance.snapshot();
    assert_eq!(snapshot.latency.command(get).expect("counted").counts.calls, 2);
    assert_eq!(snapshot.counters.hits, 2);
    bench.run(b"CONFIG SET profiling yes");
    assert_eq!(traffic_moves(&mut bench), [true; 4]);
}

#[test]
fn a_reset_begins_new_windows_and_keeps_what_is_stored_and_what_info_counts() {
    let mut bench = Bench::new();
    bench.run(b"MSET user:1 a user:2 b\r\nGET user:1\r\nGET user:1\r\nGET nosuch\r\nNOSUCH");
    assert_eq!(bench.run(b"PROF RESET"), b"+OK\r\n");
    bench.run(b"GET user:2");
    let report = json(&mut bench, "PROF REPORT JSON");
    assert_eq!((whole(&report["overview"]["hits"]), whole(&report["overview"]["misses"])), (1, 0));
    assert_eq!((whole(&report["overview"]["errors"]), whole(&report["overview"]["keys"])), (0, 2));
    assert_eq!(whole(&report["hotkeys"]["operations"]), 1);
    let commands = json(&mut bench, "PROF LATENCY GET JSON");
    assert_eq!(whole(&commands["commands"]["get"]["calls"]), 1);
    assert_eq!(commands["commands"]["get"]["timing"], "exact");
    let info = String::from_utf8(bench.run(b"INFO everything")).expect("text");
    for expected in
        ["keyspace_hits:3\r\n", "keyspace_misses:1\r\n", "errorstat_ERR:count=1\r\n", "cmdstat_get:calls=4,"]
    {
        assert!(info.contains(expected), "{expected} in {info}");
    }
    let usec_of_mset = |bench: &mut Bench| -> u64 {
        let info = String::from_utf8(bench.run(b"INFO commandstats")).expect("text");
        let (_, line) = info.split_once("cmdstat_mset:calls=1,usec=").expect("MSET was called");
        line.split(',').next().expect("a figure").parse().expect("a number")
    };
    // Long enough for a figure in whole microseconds that a forgotten timing would turn into 0.
    let pairs: String = (0..5_000).map(|at| format!(" many:{at} x")).collect();
    bench.run(format!("CONFIG RESETSTAT\r\nMSET{pairs}").as_bytes());
    let before = usec_of_mset(&mut bench);
    bench.run(b"PROF RESET");
    assert!(before > 0);
    assert_eq!(usec_of_mset(&mut bench), before, "PROF RESET leaves what INFO counts alone");
    bench.run(b"PROF RESET latency");
    assert_eq!(usec_of_mset(&mut bench), before);
    bench.run(b"GET user:2\r\nPROF RESET\r\nGET user:2");
    bench.run(b"PROF RESET hotkeys");
    assert_eq!(whole(&json(&mut bench, "PROF HOTKEYS JSON")["operations"]), 0);
    assert_eq!(whole(&json(&mut bench, "PROF LATENCY GET JSON")["commands"]["get"]["calls"]), 1);
    bench.run(b"CONFIG RESETSTAT\r\nGET user:2");
    assert_eq!(whole(&json(&mut bench, "PROF LATENCY GET JSON")["commands"]["get"]["calls"]), 1);
}

#[test]
fn no_name_leaves_while_keys_are_redacted() {
    let mut bench = Bench::new();
    bench.run(b"CONFIG SET slowlog-log-slower-than -1");
    for _ in 0..200 {
        bench.run(
            b"SET topsecret:customer:alice hidden\r\nGET topsecret:customer:alice\r\nGET topsecret:nothing",
        );
    }
    let reports = ["HOTKEYS", "PREFIXES", "REPORT", "ADVICE", "SIZES", "LATENCY", "CLIENTS", "COST"];
    let all = |bench: &mut Bench| -> String {
        let requests: Vec<String> = reports
            .iter()
            .flat_map(|report| [format!("PROF {report} JSON"), format!("PROF {report} TEXT")])
            .collect();
        String::from_utf8_lossy(&bench.run(requests.join("\r\n").as_bytes())).into_owned()
    };
    let open = all(&mut bench);
    assert!(open.contains("topsecret:customer:alice") && open.contains("topsecret:nothing"), "{open}");
    assert_eq!(bench.run(b"CONFIG SET profiling-redact-keys yes"), b"+OK\r\n");
    let closed = all(&mut bench);
    for word in ["topsecret", "customer", "alice", "nothing"] {
        assert!(!closed.contains(word), "{word} in {closed}");
    }
    assert_eq!(
        json(&mut bench, "PROF HOTKEYS JSON")["since_reset"],
        json(&mut bench, "PROF HOTKEYS JSON")["since_reset"]
    );
}

/// Every key that a client can send is told apart from every other, by people and by programs.
#[test]
fn names_leave_whole_for_programs_and_unambiguous_for_people() {
    let mut bench = Bench::new();
    let long = "long".repeat(400);
    let keys: [&[u8]; 7] =
        [b"a\\nb", b"a\nb", b"", b"\"\"", b"\xff\xfe", "x\u{202e}y".as_bytes(), long.as_bytes()];
    for (at, key) in keys.iter().enumerate() {
        let request =
            [&format!("*2\r\n$3\r\nGET\r\n${}\r\n", key.len()).into_bytes()[..], key, b"\r\n"].concat();
        // In this order: the first is the hottest.
        (0..20 * (keys.len() - at)).for_each(|_| drop(bench.run(&request)));
    }
    let report = json(&mut bench, "PROF HOTKEYS JSON");
    let rows = report["since_reset"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), keys.len());
    for (key, row) in keys.iter().zip(&rows) {
        match std::str::from_utf8(key) {
            Ok(text) => assert_eq!((row["key"].as_str(), row.get("key_base64")), (Some(text), None)),
            Err(_) => assert_eq!(
                (row["key"].is_null(), row["key_base64"].as_str()),
                (true, Some(&observe::name::base64(key)[..]))
            ),
        }
    }
    let resp = bench.run(b"PROF HOTKEYS RESP");
    for key in keys {
        let field = [&b"$3\r\nkey\r\n"[..], format!("${}\r\n", key.len()).as_bytes(), key, b"\r\n"].concat();
        assert!(
            resp.windows(field.len()).any(|bytes| bytes == field),
            "{:?}",
            key.escape_ascii().to_string()
        );
    }
    let text = String::from_utf8(bench.run(b"PROF HOTKEYS TEXT")).expect("text");
    let shown = ["a\\\\nb", "a\\nb", "\"\"", "\\\"\"", "\\xff\\xfe", "x\\u{202e}y"];
    let rows: Vec<&str> =
        text.split("since reset").nth(1).expect("the list").lines().skip(2).take(7).collect();
    for (shown, row) in shown.iter().zip(&rows) {
        assert_eq!(row.split_whitespace().next(), Some(*shown), "{text}");
    }
    let cut = format!("{}\u{2026} (1600 bytes, hash ", &long[..128]);
    assert!(rows.last().is_some_and(|row| row.trim_start().starts_with(&cut)), "{text}");
    // The culprit of a finding is a key too.
    (0..2_000).for_each(|_| drop(bench.run(b"*2\r\n$3\r\nGET\r\n$3\r\n\xffhi\r\n")));
    let advice = json(&mut bench, "PROF ADVICE JSON");
    assert_eq!((advice[0]["culprit"].is_null(), advice[0]["culprit_base64"].as_str()), (true, Some("/2hp")));
    assert!(advice[0]["remedy"].as_str().is_some_and(|remedy| remedy.contains("\\xffhi")), "{advice}");
}

#[test]
fn options_are_understood_or_refused() {
    let mut bench = Bench::with(Settings::new(), 2);
    bench.run(b"MSET a 1 b 2 c 3");
    bench.run(b"GET a\r\nGET b\r\nGET c");
    assert_eq!(
        json(&mut bench, "PROF HOTKEYS COUNT 2 JSON")["since_reset"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(
        json(&mut bench, "prof hotkeys json count 1")["since_reset"].as_array().map(Vec::len),
        Some(1)
    );
    for (request, expected) in [
        ("PROF HOTKEYS COUNT", "-ERR syntax error\r\n"),
        ("PROF HOTKEYS COUNT x", "-ERR value is not an integer or out of range\r\n"),
        ("PROF HOTKEYS COUNT 0", "-ERR COUNT must be between 1 and 1000\r\n"),
        ("PROF HOTKEYS COUNT 1001", "-ERR COUNT must be between 1 and 1000\r\n"),
        ("PROF SIZES YAML", "-ERR syntax error\r\n"),
        ("PROF LATENCY nosuch", "-ERR No such command 'nosuch': a subcommand is written 'config|get'\r\n"),
        ("PROF RESET nosuch", "-ERR syntax error\r\n"),
        ("PROF NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try PROF HELP.\r\n"),
        ("PROF", "-ERR wrong number of arguments for 'prof' command\r\n"),
    ] {
        assert_eq!(String::from_utf8_lossy(&bench.run(request.as_bytes())), expected, "{request}");
    }
    assert!(bench.run(b"PROF HOTKEYS").starts_with(b"*26\r\n$4\r\nwhat\r\n"));
    assert!(bench.run(b"PROF REPORT").starts_with(b"$"));
    assert!(bench.run(b"PROF HELP").starts_with(b"*"));
    assert!(bench.run(b"HELLO 3\r\nPROF SIZES").windows(12).any(|bytes| bytes == b"%15\r\n$4\r\nwha"));
    assert!(bench.run(b"PROF REPORT").windows(15).any(|bytes| bytes == b"\r\ntxt:verdict  "));
    bench.run(b"MULTI\r\nSET d 1\r\nPROF SIZES JSON\r\nPROF RESET");
    let transaction = String::from_utf8(bench.run(b"EXEC")).expect("text");
    assert!(transaction.contains("\"keys\":4") && transaction.ends_with("+OK\r\n"), "{transaction}");
}
