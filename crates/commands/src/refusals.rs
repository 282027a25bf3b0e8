//! (tests) A request that is answered with an error has done nothing: random requests to every command, most with a
//! mistake somewhere, compare what the server holds and remembers before and after.
//!
//! Not a test of the texts, which each family's tests hold. Inside MULTI an error does something (it breaks the
//! transaction), so every request starts outside one.
//!
//! Thread safety: one server per seed.

use crate::grammar::{PASSWORD, Random, draw, seed};
use crate::testing::Bench;
use engine::config::Settings;
use engine::spec::Run;
use std::sync::atomic::Ordering::Relaxed;

const ROUNDS: usize = 12_000;

/// A request to some command: its words, then perhaps a mistake.
fn request(random: &mut Random) -> Vec<String> {
    let entry = loop {
        // What lets a client in is the most important, and wrong in the most ways.
        let entry = match random.below(10) {
            0 => crate::registry().find(random.pick(&["AUTH", "HELLO"]).as_bytes()).expect("a command"),
            _ => &crate::registry().all()[random.below(crate::registry().all().len())],
        };
        let sleeps = entry.full_name.contains("sleep");
        if !sleeps && !matches!(entry.command.run, Run::Container) {
            break entry;
        }
    };
    let mut words = draw(entry, random).words;
    const WRONG: &[&str] = &["FOO", "", "AUTH", "SETNAME", "EX", "NX", "XX", "GET", "DB", "ID", "1", "-1"];
    match random.below(6) {
        0 => {}
        1 if words.len() > 1 => drop(words.pop()),
        2 => words.extend(entry.command.args.last().and_then(|last| last.token).map(str::to_owned)),
        3 => {
            let again = words.get(1..).unwrap_or_default().to_vec();
            words.extend(again);
        }
        _ => words.push(random.pick(WRONG).to_owned()),
    }
    words
}

/// Everything that a command could change, as text. `asker` looks, so that nothing of `bench` is disturbed.
fn state(bench: &Bench, asker: &mut Bench) -> String {
    let session = &bench.session;
    let client = &session.client;
    let mut text = format!(
        "db {} auth {} {} reply {:?} multi {} watched {} closing {} names {:?} proto {} readonly {} stopping {} \
         expiring {} slow {}",
        session.database,
        session.authenticated,
        client.authenticated.load(Relaxed),
        session.reply_mode,
        session.multi.is_some(),
        session.watched.len(),
        session.closing,
        client.names.lock(),
        client.protocol.load(Relaxed),
        client.readonly.load(Relaxed),
        bench.instance.stopping.load(Relaxed),
        bench.instance.active_expiry.load(Relaxed),
        bench.instance.slow_log.len(),
    );
    let mut say = |request: &str| text.push_str(&String::from_utf8_lossy(&asker.run(request.as_bytes())));
    for database in 0..4 {
        say(&format!("SELECT {database}"));
        for key in ["a", "b", "n", "missing", "v", "1", "two words"] {
            say(&format!("GET \"{key}\""));
            say(&format!("PEXPIRETIME \"{key}\""));
        }
        say("DBSIZE");
    }
    say("CONFIG GET *");
    text
}

/// Runs one request on a fresh session; true if it was refused.
fn check(bench: &mut Bench, asker: &mut Bench, words: &[String], seed: u64) -> bool {
    let before = state(bench, asker);
    let slices: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let reply = bench.command(&slices);
    let refused = reply.starts_with(b"-");
    if refused {
        let after = state(bench, asker);
        assert_eq!(before, after, "seed {seed}: {words:?} answered {}", reply.escape_ascii());
    }
    refused
}

#[test]
fn a_refused_request_has_done_nothing() {
    let seed = seed();
    let mut random = Random(seed);
    let mut servers: Option<(Bench, Bench)> = None;
    let (mut refused, mut authenticated) = (0, 0);
    for _ in 0..ROUNDS {
        let (bench, asker) = servers.get_or_insert_with(|| {
            let settings = Settings::new();
            // On a busy machine any command may be slow, and would be seen as a change of the slow log.
            let wanted =
                [(&b"requirepass"[..], PASSWORD.as_bytes()), (&b"slowlog-log-slower-than"[..], &b"-1"[..])];
            settings.set(&wanted, true).expect("settings");
            let mut bench = Bench::with(settings, 2);
            let mut asker = bench.sharing();
            asker.run(format!("AUTH {PASSWORD}").as_bytes());
            (bench, asker)
        });
        asker.run(b"FLUSHALL\r\nSELECT 1\r\nSET a one\r\nSELECT 0\r\nMSET a 1 n 12\r\nSET b v EX 100");
        bench.run(b"RESET");
        if random.below(3) > 0 {
            bench.run(format!("AUTH {PASSWORD}\r\nCLIENT SETNAME me\r\nSELECT 0").as_bytes());
        }
        let was_authenticated = bench.session.authenticated;
        let words = request(&mut random);
        refused += usize::from(check(bench, asker, &words, seed));
        authenticated += usize::from(!was_authenticated && bench.session.authenticated);
        // Stopped, closed, or told to be silent: the next request needs another server.
        let ended = bench.session.closing || bench.instance.stopping.load(Relaxed);
        if ended || asker.session.client.killed.load(Relaxed) {
            servers = None;
        }
    }
    assert!(refused > ROUNDS / 5 && refused < ROUNDS, "too few of one kind to mean anything: {refused}");
    assert!(authenticated > ROUNDS / 1000, "HELLO and AUTH were hardly ever right: {authenticated}");
}
