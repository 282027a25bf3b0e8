//! What commands hand on to whoever follows the data (`engine::run::effects`), and which replies wait until it is durable.

use crate::testing::Bench;
use engine::config::{Loader, Settings};
use engine::state::effect_log::{EffectReader, QUEUE_BYTES_MAX};
use engine::{Arrival, End, Parked};
use observe::os::clock;
use std::time::Duration;
use wire::{Args, OwnedArgs, Reply};

/// Everything handed on since the last time: per unit its commands, each with its database. Seconds and values are words.
fn units(reader: &mut EffectReader) -> Vec<Vec<String>> {
    let mut units = Vec::new();
    reader.read(|unit| {
        let commands = unit.commands.iter().map(|(database, request)| {
            let text = String::from_utf8_lossy(request).into_owned();
            let words = text.split("\r\n").filter(|line| !line.starts_with(['*', '$']) && !line.is_empty());
            format!("{database}: {}", words.collect::<Vec<_>>().join(" "))
        });
        units.push(commands.collect());
    });
    units
}

fn enabled(lines: &[&str]) -> Settings {
    let mut loader = Loader::new();
    (1..).zip(lines).for_each(|(number, line)| {
        loader.line("test", number, line.as_bytes()).expect("a directive");
    });
    loader.finish().expect("settings").0
}

/// Says each request and compares what it hands on: the commands of one unit, `|` between them, or nothing.
#[track_caller]
fn hands_on(pairs: &[(&str, &str)]) {
    let (mut bench, mut reader) = Bench::followed(Settings::new(), 1);
    for (request, expected) in pairs {
        bench.run(request.as_bytes());
        let units = units(&mut reader);
        assert!(units.len() <= 1, "{request}: {units:?}");
        let found = units.first().map(|unit| unit.join(" | ")).unwrap_or_default();
        assert_eq!(found, *expected, "{request}");
    }
}

#[test]
fn what_is_the_same_everywhere_is_handed_on_as_it_is() {
    hands_on(&[
        ("set a 1", "0: set a 1"),
        ("GET a", ""),
        ("APPEND a x", "0: APPEND a x"),
        ("MSET a 1 b 2", "0: MSET a 1 b 2"),
        ("INCR a", "0: INCR a"),
        ("GETSET a 5", "0: GETSET a 5"),
        ("RENAME a c", "0: RENAME a c"),
        ("COPY c d DB 3", "0: COPY c d DB 3"),
        ("MOVE b 3", "0: MOVE b 3"),
        ("SELECT 3", ""),
        ("DEL b x", "3: DEL b x"),
        ("SWAPDB 0 3", "3: SWAPDB 0 3"),
        ("FLUSHDB", "3: FLUSHDB"),
        ("FLUSHALL SYNC", "3: FLUSHALL SYNC"),
    ]);
}

#[test]
fn what_changes_nothing_is_not_handed_on() {
    hands_on(&[
        ("FLUSHALL", ""),
        ("DEL a", ""),
        ("SWAPDB 1 1", ""),
        ("SET a 1 XX", ""),
        ("SET a 1", "0: SET a 1"),
        ("SET a 2 NX", ""),
        ("SET a 2 NX GET", ""),
        ("SET a 2 EX 100 NX", ""),
        ("SETNX a 2", ""),
        ("MSETNX a 2 b 3", ""),
        ("RENAME a a", ""),
        ("RENAMENX a a", ""),
        ("SETRANGE a 0 \"\"", ""),
        ("PERSIST a", ""),
        ("GETEX a", ""),
        ("GETEX a PERSIST", ""),
        ("EXPIRE a 100 XX", ""),
        ("EXPIRE b 100", ""),
        ("DELIFEQ a 9", ""),
        ("GETDEL b", ""),
        ("INCRBYFLOAT a x", ""),
        ("SET a", ""),
        ("FUNCTION FLUSH", ""),
    ]);
}

#[test]
fn times_floats_and_conditions_are_decided_once() {
    hands_on(&[
        ("SET a 1 PXAT 4102444800001", "0: SET a 1 PXAT 4102444800001"),
        ("SET a 2 EXAT 4102444800 GET", "0: SET a 2 PXAT 4102444800000"),
        ("SET a 2 KEEPTTL XX", "0: SET a 2 KEEPTTL"),
        ("SET a 3 IFEQ 2", "0: SET a 3"),
        ("SET a 0.5 GET", "0: SET a 0.5"),
        ("INCRBYFLOAT a 0.25", "0: SET a 0.75 KEEPTTL"),
        ("EXPIREAT a 4102444800 NX", "0: PEXPIREAT a 4102444800000"),
        ("GETEX a PXAT 4102444800002", "0: PEXPIREAT a 4102444800002"),
        ("GETEX a PERSIST", "0: PERSIST a"),
        ("SET a 1 PXAT 1", "0: UNLINK a"),
        ("SET a 1 PXAT 1", ""),
        ("SET a 1", "0: SET a 1"),
        ("EXPIRE a 0", "0: UNLINK a"),
        ("SET a 1", "0: SET a 1"),
        ("GETEX a EXAT 1", "0: UNLINK a"),
        ("SET a 1", "0: SET a 1"),
        ("DELIFEQ a 1", "0: UNLINK a"),
    ]);
    let (mut bench, mut reader) = Bench::followed(Settings::new(), 1);
    for (request, expected) in [
        ("SET a 1 EX 100", "0: SET a 1 PXAT "),
        ("SETEX a 100 1", "0: SET a 1 PXAT "),
        ("PSETEX a 100000 1", "0: SET a 1 PXAT "),
        ("EXPIRE a 100", "0: PEXPIREAT a "),
        ("PEXPIRE a 100000", "0: PEXPIREAT a "),
        ("GETEX a PX 100000", "0: PEXPIREAT a "),
    ] {
        bench.run(request.as_bytes());
        let deadline = String::from_utf8(bench.run(b"PEXPIRETIME a")).expect("text");
        let at = deadline.trim_start_matches(':').trim_end();
        assert_eq!(units(&mut reader), [[format!("{expected}{at}")]], "{request}");
    }
}

#[test]
fn a_key_past_its_deadline_is_unlinked_before_the_command_that_met_it() {
    let (mut bench, mut reader) = Bench::followed(Settings::new(), 1);
    let dead = |bench: &mut Bench, reader: &mut EffectReader| {
        bench.run(b"SELECT 2\r\nPSETEX dead 1 v\r\nSELECT 0\r\nPSETEX dead 1 v");
        std::thread::sleep(Duration::from_millis(5));
        units(reader);
    };
    for (request, expected) in [
        ("GET dead", &["0: UNLINK dead"][..]),
        ("DEL dead", &["0: UNLINK dead"]),
        ("APPEND dead x", &["0: UNLINK dead", "0: APPEND dead x"]),
        ("SET dead x NX", &["0: UNLINK dead", "0: SET dead x"]),
        ("MOVE dead 2", &["2: UNLINK dead", "0: UNLINK dead"]),
        ("RENAME dead a", &["0: UNLINK dead"]),
        // A body that fails before it has looked: the observers look.
        ("INCRBY dead x", &["0: UNLINK dead"]),
    ] {
        dead(&mut bench, &mut reader);
        bench.run(request.as_bytes());
        let found = units(&mut reader);
        assert_eq!(found.concat(), expected, "{request}");
        assert_eq!(found.len(), 1, "{request}");
        bench.run(b"FLUSHALL");
    }
}

#[test]
fn keys_that_expire_in_the_background_go_one_by_one() {
    let (mut bench, mut reader) = Bench::followed(Settings::new(), 1);
    bench.run(b"PSETEX a 1 v\r\nSELECT 5\r\nPSETEX b 1 v");
    units(&mut reader);
    let mut found = Vec::new();
    while found.len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
        bench.executor.tick(false);
        found.extend(units(&mut reader));
    }
    found.sort();
    assert_eq!(found, [["0: UNLINK a"], ["5: UNLINK b"]]);
}

#[test]
fn a_transaction_is_one_unit_whatever_its_databases() {
    let (mut bench, mut reader) = Bench::followed(Settings::new(), 1);
    bench.run(b"PSETEX dead 1 v");
    std::thread::sleep(Duration::from_millis(5));
    units(&mut reader);
    bench.run(b"MULTI\r\nSET a 1\r\nGET a\r\nSELECT 4\r\nINCRBYFLOAT f 0.5\r\nSETNX f 1\r\nSELECT 0\r\nINCR dead\r\nEXEC");
    let expected = ["0: SET a 1", "4: SET f 0.5 KEEPTTL", "0: UNLINK dead", "0: INCR dead"];
    assert_eq!(units(&mut reader), [expected]);
    // Behind the gate, too.
    bench.run(b"MULTI\r\nSET a 1\r\nFLUSHDB\r\nSET b 1 EX 0\r\nDBSIZE\r\nAPPEND b 2\r\nEXEC");
    assert_eq!(units(&mut reader), [["0: SET a 1", "0: FLUSHDB", "0: APPEND b 2"]]);
    bench.run(b"WATCH a\r\nMULTI\r\nGET a\r\nDBSIZE\r\nEXEC\r\nMULTI\r\nGET a\r\nEXEC\r\nMULTI\r\nEXEC");
    assert!(units(&mut reader).is_empty());
}

#[test]
fn populated_keys_are_handed_on_as_what_they_are() {
    let (mut bench, mut reader) = Bench::followed(enabled(&["enable-debug-command yes"]), 1);
    bench.run(b"SET key:1 x\r\nDEBUG POPULATE 1500 key 0");
    let found = units(&mut reader);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1023, 476]);
    assert_eq!(found.concat()[1..3], ["0: SET key:0 value:0", "0: SET key:2 value:2"]);
}

/// Executes requests in one batch and leaves the replies as they are.
fn batch(bench: &mut Bench, requests: &[&str]) -> Reply {
    let owned: Vec<OwnedArgs> = requests
        .iter()
        .map(|request| OwnedArgs::from_slices(&request.split(' ').collect::<Vec<_>>()))
        .collect();
    let args: Vec<Args<'_>> = owned.iter().map(|owned| owned.as_args()).collect();
    let (mut reply, mut parked) = (Reply::new(), Parked::default());
    let mut at = 0;
    while at < args.len() {
        let arrived = Arrival { at: clock::now(), weight: 1 };
        match bench.executor.run(&args[at..], &mut bench.session, &mut reply, arrived, &mut parked) {
            End::Done => break,
            End::Parked { at: next } | End::Sliced { at: next } | End::Yield { at: next } => at += next,
        }
    }
    reply
}

/// What may leave of the replies to `requests` when everything up to `durable` is durable.
fn free(bench: &mut Bench, requests: &[&str], durable: u64) -> String {
    let reply = batch(bench, requests);
    let free = reply.free_bytes(durable);
    String::from_utf8_lossy(&reply.to_vec()[..free]).replace("\r\n", "|")
}

#[test]
fn no_reply_overtakes_the_change_it_shows() {
    let (mut writer, _reader) = Bench::followed(enabled(&["enable-debug-command yes"]), 2);
    let mut other = writer.sharing();
    // Tickets 1 to 3.
    writer.run(b"SET old 1\r\nSET new 2");
    writer.run(b"SET new 3");
    let instance = std::sync::Arc::clone(&writer.instance);
    instance.effects_are_durable(1);
    for (request, shown) in [
        (&["PING", "GET old", "CLIENT GETNAME"][..], "+PONG|$1|1|$-1|"),
        (&["GET old", "GET new", "PING"], "$1|1|"),
        (&["MGET old new"], ""),
        (&["EXISTS old", "STRLEN new"], ":1|"),
        (&["TTL old", "TTL new"], ":-1|"),
        (&["DBSIZE"], ""),
        (&["PING", "KEYS *"], "+PONG|"),
        (&["SCAN 0"], ""),
        (&["RANDOMKEY"], ""),
        (&["INFO keyspace"], ""),
        (&["DEBUG DIGEST"], ""),
        (&["WATCH new", "PING"], ""),
        (&["UNWATCH", "MULTI", "GET old", "EXEC"], "+OK|+OK|+QUEUED|*1|$1|1|"),
        (&["MULTI", "GET new", "EXEC"], "+OK|+QUEUED|"),
        (&["MULTI", "DBSIZE", "EXEC"], "+OK|+QUEUED|"),
        (&["GET", "GET new"], "-ERR wrong number of arguments for 'get' command|"),
    ] {
        assert_eq!(free(&mut other, request, 1), shown, "{request:?}");
        let whole = free(&mut other, request, 3);
        assert!(whole.len() > shown.len() || whole == shown, "{request:?}: {whole}");
    }
    assert_eq!(free(&mut writer, &["SET old 2", "PING", "GET new"], 3), "");
    assert_eq!(free(&mut writer, &["GET old", "DBSIZE"], 4), "$1|2|:2|");
}

/// What a stripe shows after its database was emptied, exchanged or given back is a change as well.
#[test]
fn no_reply_overtakes_a_change_of_a_whole_database() {
    for (request, ticket) in [("FLUSHALL", 3), ("FLUSHDB", 3), ("SWAPDB 0 1", 3), ("MULTI|FLUSHDB|EXEC", 3)] {
        let (mut bench, _reader) = Bench::followed(Settings::new(), 1);
        bench.run(b"SET a 1\r\nSET b 1");
        assert_eq!(bench.instance.tickets.newest(), 2);
        let lines = request.replace('|', "\r\n");
        bench.run(lines.as_bytes());
        assert_eq!(free(&mut bench, &["GET a"], ticket - 1), "", "{request}");
        assert_eq!(free(&mut bench, &["GET a"], ticket), "$-1|", "{request}");
        bench.run(b"SELECT 1");
        let held = request.starts_with("SWAP");
        let shown = if held { "" } else { "$-1|" };
        assert_eq!(
            free(&mut bench, &["GET nothing"], ticket - 1),
            if request == "FLUSHALL" { "$-1|" } else { shown }
        );
    }
    let (mut bench, _reader) = Bench::followed(Settings::new(), 1);
    bench.run(b"SET a 1\r\nDEL a");
    let instance = std::sync::Arc::clone(&bench.instance);
    // A database without keys is given back after some turns of the timer.
    while instance.visit(|databases| databases.existing(0).is_some()) {
        bench.executor.tick(true);
    }
    assert_eq!(free(&mut bench, &["GET a"], 1), "");
    assert_eq!(free(&mut bench, &["GET a"], 2), "$-1|");
}

#[test]
fn replies_that_are_not_wanted_hold_nothing_back() {
    let (mut bench, _reader) = Bench::followed(Settings::new(), 1);
    assert_eq!(free(&mut bench, &["CLIENT REPLY SKIP", "SET a 1", "PING"], 0), "+PONG|");
    assert_eq!(free(&mut bench, &["CLIENT REPLY OFF", "SET a 1", "CLIENT REPLY ON"], 0), "+OK|");
}

#[test]
fn writers_wait_while_nobody_reads_and_readers_go_on() {
    let (mut writer, mut reader) = Bench::followed(Settings::new(), 2);
    let mut other = writer.sharing();
    other.run(b"SET old 1\r\nPSETEX dead 1 v");
    std::thread::sleep(Duration::from_millis(5));
    let value = vec![b'v'; 100_000];
    let set = OwnedArgs::from_slices(&[&b"SET"[..], b"k", &value]);
    let mut writes = 0;
    while writer.step(set.as_args()).is_some() {
        writes += 1;
        assert!(writes * value.len() <= QUEUE_BYTES_MAX + value.len(), "{writes} writes and no end");
    }
    assert!(writes * value.len() > QUEUE_BYTES_MAX / 2);
    let step = |bench: &mut Bench, words: &[&str]| bench.step(OwnedArgs::from_slices(words).as_args());
    for words in [&["SET", "a", "1"][..], &["DEL", "k"], &["FLUSHALL"], &["EXPIRE", "k", "10"]] {
        assert_eq!(step(&mut writer, words), None, "{words:?}");
    }
    let newest = writer.instance.tickets.newest();
    // A key past its deadline is absent, and stays where it is.
    for (words, reply) in [
        (&["GET", "old"][..], "$1\r\n1\r\n"),
        (&["GET", "dead"], "$-1\r\n"),
        (&["EXISTS", "dead", "old"], ":1\r\n"),
        (&["DBSIZE"], ":3\r\n"),
        (&["MULTI"], "+OK\r\n"),
        (&["GET", "old"], "+QUEUED\r\n"),
        (&["EXEC"], "*1\r\n$1\r\n1\r\n"),
        (&["MULTI"], "+OK\r\n"),
        (&["SET", "b", "1"], "+QUEUED\r\n"),
    ] {
        assert_eq!(
            step(&mut writer, words).map(|reply| String::from_utf8(reply).expect("text")).as_deref(),
            Some(reply)
        );
    }
    assert_eq!(step(&mut writer, &["EXEC"]), None);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        writer.executor.tick(false);
    }
    assert_eq!(writer.instance.tickets.newest(), newest, "nothing expires, nothing is written");
    // Another worker has room of its own.
    assert!(step(&mut other, &["SET", "old", "2"]).is_some());
    reader.read(|_| {});
    assert_eq!(step(&mut writer, &["EXEC"]).as_deref(), Some(&b"*1\r\n+OK\r\n"[..]));
    assert_eq!(step(&mut writer, &["GET", "dead"]).as_deref(), Some(&b"$-1\r\n"[..]));
    assert_eq!(units(&mut reader), [["0: SET b 1"], ["0: UNLINK dead"]]);
}
