//! (tests) A command touches no key but those it declares: requests from the grammar of every command, and what happens
//! to one that does.
//!
//! Builds with assertions compare each key that a body reaches for, with its database, with those that the one reader of
//! key specifications has found (`Data::stripe`), so every other test checks this too.
//!
//! Thread safety: one server per test.

use crate::dialogue::hear;
use crate::grammar::{PASSWORD, Random, draw, seed};
use crate::testing::Bench;
use engine::config::{Loader, Settings};
use engine::registry::{Entry, Registry};
use engine::run::ctx::Ctx;
use engine::spec::{Arity, Command, INNER, KeySpec, Outcome, RW, Run, WRITE};
use keyspace::{Deadline, Event, Kind, Missing, NewValue, Text};
use std::sync::atomic::Ordering::Relaxed;
use wire::Args;

const ROUNDS: usize = 12_000;
const UNDECLARED: &str = "-ERR internal error: the command reached for a key that it does not declare";

fn says_undeclared(reply: &[u8]) -> bool {
    reply.windows(UNDECLARED.len()).any(|part| part == UNDECLARED.as_bytes())
}

fn run(bench: &mut Bench, words: &[String]) -> Vec<u8> {
    let slices: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    bench.command(&slices)
}

/// What COMMAND GETKEYS is to answer for a request with keys at these indices.
fn keys_reply(words: &[String], keys: &[usize]) -> String {
    let bulk = |&at: &usize| format!("${}\r\n{}\r\n", words[at].len(), words[at]);
    format!("*{}\r\n{}", keys.len(), keys.iter().map(bulk).collect::<String>())
}

fn is_runnable(entry: &Entry) -> bool {
    let is_last = entry.full_name.contains("sleep") || entry.full_name.contains("shutdown");
    !is_last && !matches!(entry.command.run, Run::Container)
}

#[test]
fn commands_touch_the_keys_that_they_declare_and_no_others() {
    let seed = seed();
    let mut random = Random(seed);
    let mut servers: Option<(Bench, Bench)> = None;
    let entries: Vec<&Entry> = crate::registry().all().iter().filter(|entry| is_runnable(entry)).collect();
    let keyed: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.command.has_keys()).collect();
    let (mut compared, mut done) = (0, vec![false; crate::registry().all().len()]);
    for round in 0..ROUNDS {
        let (bench, asker) = servers.get_or_insert_with(|| {
            let mut loader = Loader::new();
            for line in [&b"enable-debug-command yes"[..], b"requirepass pw"] {
                loader.line("test", 1, line).expect("a directive");
            }
            let mut bench = Bench::with(loader.finish().expect("settings").0, 2);
            let asker = bench.sharing();
            (bench, asker)
        });
        asker.run(format!("AUTH {PASSWORD}\r\nFLUSHALL\r\nSELECT 1\r\nSET a one\r\nSELECT 0").as_bytes());
        asker.run(b"MSET a 1 n 12\r\nSET b v EX 100");
        bench.run(format!("RESET\r\nAUTH {PASSWORD}\r\nSELECT {}", random.below(3)).as_bytes());
        let in_transaction = random.below(3) == 0;
        if in_transaction {
            bench.run(b"MULTI");
        }
        for _ in 0..if in_transaction { 1 + random.below(3) } else { 1 } {
            let from = if random.below(4) == 0 { &entries } else { &keyed };
            let entry = from[random.below(from.len())];
            let mut drawn = draw(entry, &mut random);
            let is_whole = entry.command.arity.accepts(drawn.words.len());
            // DEBUG's subcommands are not known to COMMAND.
            if is_whole && !drawn.keys.is_empty() && !entry.command.flags.has(INNER) {
                let asked = [vec!["COMMAND".to_owned(), "GETKEYS".to_owned()], drawn.words.clone()].concat();
                let reply = run(asker, &asked);
                let expected = keys_reply(&drawn.words, &drawn.keys);
                assert_eq!(String::from_utf8_lossy(&reply), expected, "seed {seed}: {:?}", drawn.words);
                compared += 1;
            }
            // One of four is cut short or has a word too many: what is malformed touches no other keys either.
            match random.below(8) {
                0 => drop(drawn.words.pop()),
                1 => drawn.words.push(random.pick(&["a", "DB", "1", "-1", ""]).to_owned()),
                _ => {}
            }
            let reply = run(bench, &drawn.words);
            assert!(!says_undeclared(&reply), "seed {seed}, round {round}: {:?}", drawn.words);
            done[usize::from(entry.index)] |= !reply.starts_with(b"-") && !in_transaction;
        }
        if in_transaction {
            let reply = bench.run(b"EXEC");
            assert!(!says_undeclared(&reply), "seed {seed}, round {round}: EXEC");
        }
        // One of them was closed or killed.
        if bench.session.closing || asker.session.client.killed.load(Relaxed) {
            servers = None;
        }
    }
    assert!(compared > ROUNDS / 2, "too few requests had keys to compare: {compared}");
    let undone = keyed.iter().filter(|entry| !done[usize::from(entry.index)]);
    let undone: Vec<&str> = undone.map(|entry| entry.full_name.as_str()).collect();
    assert!(undone.is_empty(), "seed {seed}: never answered anything but an error: {undone:?}");
}

/// Declares its first argument, and does everything to the others.
const STRAY: &[Command] = &[Command {
    name: "STRAY",
    arity: Arity::AtLeast(2),
    flags: WRITE,
    keys: &[KeySpec::one(1, RW)],
    run: Run::Body(stray),
    ..Command::DEFAULT
}];

fn stray(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    ctx.data.read(args.at(1));
    for key in args.from(2).iter() {
        let data = &mut ctx.data;
        assert!(data.read(key).is_none() && data.look(key).is_none(), "nothing is seen of it");
        data.store(key, NewValue::Bytes(b"stray"), Kind::StringRaw, Deadline::At(i64::MAX / 2), Event::Set);
        data.edit(key, Missing::Create, Event::Append, |text: &mut Text| text.write_at(5, &[b'x'; 100_000]));
        data.set_deadline(key, None, Event::Persist);
        if let Some(taken) = data.take(key, key, Event::RenameFrom) {
            data.attach(data.database, key, taken, Event::RenameTo);
        }
        if let Some(copied) = data.copy(key, key) {
            data.attach(5, key, copied, Event::CopyTo);
        }
        data.delete(key, Event::Del);
    }
    ctx.reply.array(2);
    ctx.reply.ok();
    Ok(())
}

fn stray_bench() -> Bench {
    let families = [crate::FAMILIES, &[&[STRAY]]].concat();
    Bench::of_registry(Box::leak(Box::new(Registry::new(&families))), Settings::new(), 2)
}

#[test]
fn reaching_for_an_undeclared_key_is_an_error_and_changes_nothing() {
    let mut bench = stray_bench();
    let mut other = bench.sharing();
    hear(&mut bench, &[("MSET a 1 b 2", "+OK"), ("EXPIRE b 100", ":1"), ("STRAY a", "*2|+OK")]);
    hear(&mut other, &[("WATCH b c", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED")]);
    hear(
        &mut bench,
        &[
            ("STRAY a b c", UNDECLARED),
            ("STRAY a b", UNDECLARED),
            ("GET b", "$1|2"),
            ("TTL b", ":100"),
            ("DBSIZE", ":2"),
            ("MULTI", "+OK"),
            ("STRAY a b", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("EXEC", &format!("*2|{UNDECLARED}|:2")),
            // With KEYS it runs behind the gate.
            ("MULTI", "+OK"),
            ("STRAY a b", "+QUEUED"),
            ("KEYS missing", "+QUEUED"),
            ("INCR a", "+QUEUED"),
            ("EXEC", &format!("*3|{UNDECLARED}|*0|:3")),
            ("MGET a b c", "*3|$1|3|$1|2|$-1"),
            ("SELECT 5", "+OK"),
            ("DBSIZE", ":0"),
            ("PING", "+PONG"),
        ],
    );
    let statistics = String::from_utf8(bench.run(b"INFO commandstats")).expect("text");
    let line = statistics.lines().find(|line| line.starts_with("cmdstat_stray")).expect("it was called");
    assert!(line.contains("calls=5,") && line.contains("failed_calls=4"), "{line}");
    hear(&mut other, &[("EXEC", "*1|+PONG")]);
}

/// Builds with assertions tell keys apart, not only stripes.
#[cfg(debug_assertions)]
#[test]
fn an_undeclared_key_is_noticed_in_a_stripe_that_is_held() {
    let mut bench = stray_bench();
    let stripe = |name: &str| keyspace::hash::stripe_of(bench.instance.hasher.hash(name.as_bytes()));
    let names = (0..1_000_000).map(|number| format!("key:{number}"));
    let twin = names.into_iter().find(|name| stripe(name) == stripe("a")).expect("one of a thousand is");
    hear(&mut bench, &[(&format!("SET {twin} v"), "+OK"), (&format!("STRAY a {twin}"), UNDECLARED)]);
    hear(&mut bench, &[(&format!("GET {twin}"), "$1|v")]);
}
