//! Workers go on while reporters read, and what reporters are told adds up.

use crate::testing::Bench;
use engine::Instance;
use engine::config::Settings;
use engine::state::reporter::Length;
use observe::report::metrics::observed::write_counts;
use observe::report::metrics::{Exposition, Format};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Longer than any machine takes for a thousand commands: whoever waits so long waits for ever.
const FOR_EVER: Duration = Duration::from_secs(60);

fn metrics(instance: &Instance) -> HashMap<String, f64> {
    let mut out = Exposition::new(Format::Prometheus);
    write_counts(&mut out, &super::Evidence::as_counted(instance, instance.snapshot()).input());
    let text = out.finish();
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn a_worker_executes_while_a_reporter_is_in_the_middle_of_its_copy() {
    const COMMANDS: u64 = 1_000;
    let mut bench = Bench::new();
    bench.run(b"SET key value");
    let recorded = bench.instance.recorders.recorded()[0].clone();
    let (inside, entered) = channel();
    let (leave, told) = channel();
    let reporter = std::thread::spawn(move || {
        let hold = |_: &_| {
            recorded.connects.read(|_| {
                inside.send(()).expect("the worker waits");
                told.recv_timeout(FOR_EVER)
            })
        };
        recorded.hotkeys.read(hold)
    });
    entered.recv().expect("the reporter has its lock");
    for _ in 0..COMMANDS {
        assert_eq!(bench.run(b"GET key"), b"$5\r\nvalue\r\n");
    }
    bench.executor.count_connection(None);
    let info = String::from_utf8(bench.run(b"INFO commandstats")).expect("text");
    assert!(
        info.contains(&format!("cmdstat_get:calls={COMMANDS},")),
        "who counts is asked meanwhile: {info}"
    );
    leave.send(()).expect("the reporter waits");
    reporter.join().expect("no panic").expect("the worker was done before the reporter gave up");

    bench.run(b"GET key");
    let snapshot = bench.instance.snapshot();
    let keys = &snapshot.hotkeys.operations;
    assert_eq!(keys.total(), COMMANDS + 2, "nothing is lost");
    let key = keys.top(1)[0];
    assert!(key.certain() <= COMMANDS + 2 && COMMANDS + 2 <= key.count, "{key:?}");
    bench.executor.count_connection(None);
    assert_eq!(bench.instance.snapshot().connects.total, 2);
}

#[test]
fn sums_are_exact_however_many_reports_are_made_meanwhile() {
    const COMMANDS: u64 = 30_000;
    let mut asker = Bench::with(Settings::new(), 3);
    let workers = [asker.sharing(), asker.sharing()];
    let done = Arc::new(AtomicBool::new(false));
    let (reports, mut workers) = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .zip(1_u64..)
            .map(|(mut worker, number)| {
                scope.spawn(move || {
                    for turn in 0..COMMANDS / 4 {
                        let key = format!("key:{}", turn * number % 100);
                        worker.batch(&[
                            vec!["SET", &key, "v"],
                            vec!["GET", &key],
                            vec!["GET", "none"],
                            vec!["GET"],
                        ]);
                    }
                    worker
                })
            })
            .collect();
        let (reporting, instance) = (Arc::clone(&done), Arc::clone(&asker.instance));
        let reporter = scope.spawn(move || {
            let (mut reports, mut last) = (0, 0.0);
            while !reporting.load(Relaxed) {
                let seen = metrics(&instance);
                for (name, count) in &seen {
                    let Some((family, labels)) = name.split_once("_count{") else { continue };
                    let labels = labels.trim_end_matches('}');
                    if let Some(all) = seen.get(&format!("{family}_bucket{{{labels},le=\"+Inf\"}}")) {
                        assert_eq!(count, all, "{name}");
                    }
                    let calls = seen.get("redis_commands_total{cmd=\"get\"}").copied().unwrap_or(0.0);
                    assert!(!labels.contains("cmd=\"get\"") || *count <= calls, "{name}: {count} of {calls}");
                }
                let calls = seen["redis_commands_processed_total"];
                assert!(calls >= last);
                (reports, last) = (reports + 1, calls);
            }
            reports
        });
        let workers: Vec<Bench> =
            threads.into_iter().map(|thread| thread.join().expect("a worker")).collect();
        done.store(true, Relaxed);
        (reporter.join().expect("the reporter"), workers)
    });
    // What came while the last report copied is settled by the timer's turn.
    workers.iter_mut().for_each(|worker| {
        worker.executor.tick(false);
    });
    println!("{reports} reports");
    assert!(reports > 0);
    let seen = metrics(&asker.instance);
    let each = (COMMANDS / 4 * 2) as f64;
    for (name, expected) in [
        ("redis_commands_total{cmd=\"set\"}", each),
        ("redis_commands_total{cmd=\"get\"}", 2.0 * each),
        ("redis_commands_rejected_calls_total{cmd=\"get\"}", each),
        ("redis_keyspace_hits_total", each),
        ("redis_keyspace_misses_total", each),
        ("redis_errors_total{err=\"ERR\"}", each),
        ("limpid_command_duration_seconds_count{cmd=\"get\",stage=\"run\"}", 2.0 * each),
        ("limpid_keys", 100.0),
    ] {
        assert_eq!(seen.get(name), Some(&expected), "{name}");
    }
    let report = String::from_utf8(asker.run(b"PROF LATENCY GET JSON")).expect("text");
    assert!(report.contains(&format!("\"calls\":{}", 2 * each as u64)), "{report}");
    let hot = String::from_utf8(asker.run(b"PROF HOTKEYS JSON")).expect("text");
    assert!(hot.contains(&format!("\"operations\":{}", 3 * each as u64)), "{hot}");
}

/// Keeps the thread that makes reports in the middle of one until told to go on.
fn hold_reporter(bench: &Bench) -> Sender<()> {
    let (inside, entered) = channel();
    let (go_on, told) = channel();
    let job = move |_: &Instance| {
        inside.send(()).expect("the test waits");
        told.recv_timeout(FOR_EVER).expect("the worker was done before the reporter gave up");
    };
    bench.instance.reporter.ask(Length::Long, Box::new(job)).expect("room");
    entered.recv().expect("the thread runs");
    go_on
}

#[test]
fn a_worker_serves_others_while_a_report_is_made() {
    let mut bench = Bench::new();
    bench.run(b"SET key value");
    let go_on = hold_reporter(&bench);
    let report = wire::OwnedArgs::from_slices(&[&b"PROF"[..], b"REPORT", b"JSON"]);
    for _ in 0..100 {
        assert_eq!(bench.step(report.as_args()), None, "it is not made yet");
        assert_eq!(bench.run(b"GET key"), b"$5\r\nvalue\r\n");
    }
    let alone = String::from_utf8(bench.run(b"MULTI\r\nINFO commandstats\r\nEXEC")).expect("text");
    assert!(alone.contains("cmdstat_get:calls=100,"), "what must not wait is made in place: {alone}");
    go_on.send(()).expect("the reporter waits");
    let made = loop {
        match bench.step(report.as_args()) {
            Some(made) => break String::from_utf8(made).expect("text"),
            None => std::thread::yield_now(),
        }
    };
    assert!(made.starts_with('$') && made.contains("\"verdict\""), "{made}");
    let counted = String::from_utf8(bench.run(b"INFO commandstats")).expect("text");
    assert!(counted.contains("cmdstat_prof|report:calls=1,"), "however often it was tried: {counted}");
}

#[test]
fn a_pipeline_with_reports_in_it_is_answered_in_order() {
    let mut bench = Bench::new();
    bench.run(b"SET key value");
    let requests: [&[&str]; 5] =
        [&["GET", "key"], &["PROF", "SIZES", "JSON"], &["GET", "key"], &["INFO", "cpu"], &["GET", "none"]];
    let requests: Vec<Vec<&str>> = requests.iter().map(|request| request.to_vec()).collect();
    let replies = String::from_utf8(bench.batch(&requests)).expect("text");
    let (first, rest) = replies.split_once("{").expect("JSON");
    assert!(first.starts_with("$5\r\nvalue\r\n$"), "{replies}");
    let (_, rest) = rest.rsplit_once("}\r\n$5\r\nvalue\r\n$").expect("the second value");
    assert!(rest.contains("# CPU\r\n") && rest.ends_with("\r\n$-1\r\n"), "{rest}");
}
