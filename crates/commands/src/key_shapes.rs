//! (tests) Key specifications of every shape that Redis has, on commands that are not here yet: what COMMAND GETKEYS and
//! COMMAND INFO answer is what Valkey 9.1 answered for the commands of these names.
//!
//! Not the commands: they run nothing.
//!
//! Thread safety: one server per test.

use crate::dialogue::hear;
use crate::testing::Bench;
use engine::config::Settings;
use engine::registry::Registry;
use engine::spec::{
    ACCESS, Arity, BeginSearch, Command, DELETE, FindKeys, INCOMPLETE, KeyFlags, KeySpec, NO_MANDATORY_KEYS,
    NOT_KEY, OW, RO, RW, UPDATE,
};
use wire::Args;

const READ: KeyFlags = RO.and(ACCESS);
const TAKE: KeyFlags = RW.and(ACCESS).and(DELETE);
const INTO: KeyFlags = OW.and(UPDATE);

const fn shape(name: &'static str, arity: Arity, keys: &'static [KeySpec]) -> Command {
    Command { name, arity, keys, ..Command::DEFAULT }
}

const SHAPES: &[Command] = &[
    shape("SINTERCARD", Arity::AtLeast(3), &[KeySpec::counted(1, READ)]),
    shape("LMPOP", Arity::AtLeast(4), &[KeySpec::counted(1, TAKE)]),
    shape("BLMPOP", Arity::AtLeast(5), &[KeySpec::counted(2, TAKE)]),
    shape("ZUNIONSTORE", Arity::AtLeast(4), &[KeySpec::one(1, INTO), KeySpec::counted(2, READ)]),
    shape("BLPOP", Arity::AtLeast(3), &[KeySpec::range(1, -2, 1, TAKE)]),
    shape("BITOP", Arity::AtLeast(4), &[KeySpec::one(2, INTO), KeySpec::range(3, -1, 1, READ)]),
    shape("XREAD", Arity::AtLeast(4), &[KeySpec::behind("STREAMS", 1, -1, 2, READ)]),
    shape("XREADGROUP", Arity::AtLeast(7), &[KeySpec::behind("STREAMS", 4, -1, 2, READ)]),
    shape(
        "GEORADIUS",
        Arity::AtLeast(6),
        &[
            KeySpec::one(1, READ),
            KeySpec::behind("STORE", 6, 0, 0, INTO),
            KeySpec::behind("STOREDIST", 6, 0, 0, INTO),
        ],
    ),
    shape("SPUBLISH", Arity::Exactly(3), &[KeySpec::one(1, NOT_KEY)]),
    Command {
        flags: NO_MANDATORY_KEYS,
        ..shape("EVAL", Arity::AtLeast(3), &[KeySpec::counted(2, RW.and(ACCESS).and(UPDATE))])
    },
    Command {
        find_keys: Some(sort_keys),
        ..shape(
            "SORT",
            Arity::AtLeast(2),
            &[KeySpec::one(1, READ), KeySpec::unknown(READ).noted("BY and GET"), KeySpec::unknown(INTO)],
        )
    },
    Command {
        find_keys: Some(migrate_keys),
        ..shape(
            "MIGRATE",
            Arity::AtLeast(6),
            &[KeySpec::one(3, TAKE), KeySpec::behind("KEYS", -2, -1, 0, TAKE.and(INCOMPLETE))],
        )
    },
];

/// The key, and where the last STORE puts the result.
fn sort_keys(args: Args<'_>, visit: &mut dyn FnMut(usize, KeyFlags)) {
    visit(1, READ);
    let (mut at, mut destination) = (2, None);
    while let Some(word) = args.get(at) {
        let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
        if is("STORE") && at + 1 < args.len() {
            destination = Some(at + 1);
        }
        at += if is("LIMIT") {
            3
        } else if is("GET") || is("BY") {
            2
        } else {
            1
        };
    }
    if let Some(destination) = destination {
        visit(destination, INTO);
    }
}

/// The one key, or if that is empty those behind KEYS.
fn migrate_keys(args: Args<'_>, visit: &mut dyn FnMut(usize, KeyFlags)) {
    let several = KeySpec::behind("KEYS", -2, -1, 0, TAKE).indices(args).expect("the last argument is one");
    match several.len() {
        0 => visit(3, TAKE),
        _ if args.at(3).is_empty() => several.for_each(|index| visit(index, TAKE)),
        _ => {}
    }
}

fn bench() -> Bench {
    let families = &[crate::server::COMMANDS, &[SHAPES]];
    Bench::of_registry(Box::leak(Box::new(Registry::new(families))), Settings::new(), 1)
}

const INVALID: &str = "-ERR Invalid arguments specified for command";
const ARITY: &str = "-ERR Invalid number of arguments specified for command";
const NONE: &str = "-ERR The command has no key arguments";

/// Says COMMAND GETKEYS for each request and compares the keys, or an error.
#[track_caller]
fn check(table: &[(&str, &str)]) {
    let mut bench = bench();
    for (request, expected) in table {
        let keys: Vec<&str> = expected.split_whitespace().collect();
        let bulk = |key: &&str| match *key {
            "\"\"" => "|$0|".to_owned(),
            key => format!("|${}|{key}", key.len()),
        };
        let array = format!("*{}{}", keys.len(), keys.iter().map(bulk).collect::<String>());
        let reply = if expected.starts_with('-') { (*expected).to_owned() } else { array };
        hear(&mut bench, &[(&format!("COMMAND GETKEYS {request}"), &reply)]);
    }
}

#[test]
fn counted_keys() {
    check(&[
        ("SINTERCARD 2 a b", "a b"),
        ("SINTERCARD 2 a b LIMIT 1", "a b"),
        ("SINTERCARD 3 a b", INVALID),
        ("SINTERCARD 2", ARITY),
        ("LMPOP 2 a b LEFT", "a b"),
        ("BLMPOP 0 2 a b LEFT", "a b"),
        ("ZUNIONSTORE dst 2 a b WEIGHTS 1 2", "dst a b"),
        ("ZUNIONSTORE dst 3 a b", INVALID),
        ("EVAL s 2 a b c", "a b"),
        ("EVAL s 0", ""),
        ("EVAL s 0 a", ""),
        ("EVAL s -1 a", ""),
        ("EVAL s x a", ""),
        ("EVAL s 3 a b", ""),
        ("EVAL s 9223372036854775807 a", ""),
    ]);
}

#[test]
fn a_malformed_count_names_no_key() {
    for count in ["0", "-1", "x", "9223372036854775807", "-9223372036854775808", "99999999999999999999"] {
        for request in [format!("SINTERCARD {count} a"), format!("ZUNIONSTORE dst {count} a")] {
            check(&[(&request, INVALID)]);
        }
        check(&[(&format!("LMPOP {count} a LEFT"), INVALID)]);
    }
}

/// Valkey counts these when it cannot tell a number: its commands refuse all of them.
#[test]
fn a_count_is_read_as_the_command_reads_it() {
    check(&[
        ("SINTERCARD 2x a b", INVALID),
        ("SINTERCARD +2 a b", INVALID),
        ("SINTERCARD 4294967297 a", INVALID),
    ]);
}

#[test]
fn keys_behind_a_word() {
    check(&[
        ("XREAD COUNT 2 STREAMS a b 0 0", "a b"),
        ("XREAD STREAMS a b 0", "a"),
        ("XREAD STREAMS streams streams", "streams"),
        ("XREAD STREAMS a", ARITY),
        ("XREAD COUNT 1 BLOCK 2", INVALID),
        ("XREAD COUNT 1 STREAMS", INVALID),
        ("XREADGROUP GROUP streams c STREAMS a 0", "a"),
        ("GEORADIUS k 1 2 3 m", "k"),
        ("GEORADIUS k 1 2 3 m STORE d", "k d"),
        ("GEORADIUS k 1 2 3 m STORE", "k"),
        ("SORT k", "k"),
        ("SORT k STORE d", "k d"),
        ("SORT k store", "k"),
        ("SORT k BY store GET store STORE d STORE e", "k e"),
        ("MIGRATE h 1 k 0 10", "k"),
        ("MIGRATE h 1 \"\" 0 10 KEYS a b", "a b"),
        ("MIGRATE h 1 \"\" 0 10 COPY AUTH keys KEYS a b", "a b"),
        ("MIGRATE h 1 k 0 10 KEYS a b", INVALID),
        ("MIGRATE h 1 \"\" 0 10 KEYS", "\"\""),
        ("BLPOP a b 0", "a b"),
        ("BITOP AND d a b", "d a b"),
        ("SPUBLISH channel message", NONE),
    ]);
}

#[test]
fn flags_go_with_each_key() {
    let mut bench = bench();
    let [dst, a] = ["*2|$3|dst|*2|+OW|+update", "*2|$1|a|*2|+RO|+access"];
    hear(
        &mut bench,
        &[
            ("COMMAND GETKEYSANDFLAGS ZUNIONSTORE dst 1 a", &format!("*2|{dst}|{a}")),
            ("COMMAND GETKEYSANDFLAGS SORT a STORE dst", &format!("*2|{a}|{dst}")),
            ("COMMAND GETKEYSANDFLAGS ZUNIONSTORE dst 2 a", INVALID),
            ("COMMAND GETKEYSANDFLAGS EVAL s 0", "*0"),
            ("COMMAND GETKEYSANDFLAGS SPUBLISH c m", NONE),
        ],
    );
}

/// First key, last key and step, and whether there are keys elsewhere.
#[test]
fn the_old_range_follows_from_the_specifications() {
    let mut bench = bench();
    for (name, range, is_movable) in [
        ("SINTERCARD", "|:0|:0|:0|", true),
        ("ZUNIONSTORE", "|:1|:1|:1|", true),
        ("XREAD", "|:0|:0|:0|", true),
        ("MIGRATE", "|:3|:3|:1|", true),
        ("SORT", "|:1|:1|:1|", true),
        ("EVAL", "|:0|:0|:0|", true),
        ("BLPOP", "|:1|:-2|:1|", false),
        ("BITOP", "|:2|:-1|:1|", false),
        ("GEORADIUS", "|:1|:1|:1|", true),
        ("SPUBLISH", "|:1|:1|:1|", false),
    ] {
        let reply = bench.run(format!("COMMAND INFO {name}").as_bytes());
        let reply = String::from_utf8_lossy(&reply).replace("\r\n", "|");
        assert!(reply.contains(range), "{name}: {reply}");
        assert_eq!(reply.contains("+movablekeys"), is_movable, "{name}: {reply}");
    }
}

#[test]
fn specifications_are_described_as_redis_describes_them() {
    let begin = "|$12|begin_search|*4|$4|type|";
    let find = "|$9|find_keys|*4|$4|type|";
    let index = |at: u32| format!("{begin}$5|index|$4|spec|*2|$5|index|:{at}");
    let keynum = format!("{find}$6|keynum|$4|spec|*6|$9|keynumidx|:0|$8|firstkey|:1|$7|keystep|:1|");
    let range = |last: i32, limit: u32| {
        format!("{find}$5|range|$4|spec|*6|$7|lastkey|:{last}|$7|keystep|:1|$5|limit|:{limit}|")
    };
    let keyword = |word: &str, from: i32| {
        let length = word.len();
        format!("{begin}$7|keyword|$4|spec|*4|$7|keyword|${length}|{word}|$9|startfrom|:{from}")
    };
    let unknown = format!("{begin}$7|unknown|$4|spec|*0{find}$7|unknown|$4|spec|*0|");
    let mut bench = bench();
    for (name, parts) in [
        ("SINTERCARD", vec![format!("|*6|$5|flags|*2|+RO|+access{}{keynum}", index(1))]),
        ("XREAD", vec![format!("+RO|+access{}{}", keyword("STREAMS", 1), range(-1, 2))]),
        ("BLPOP", vec![format!("{}{}", index(1), range(-2, 0))]),
        (
            "MIGRATE",
            vec![
                format!("+RW|+access|+delete{}{}", index(3), range(0, 0)),
                format!("*4|+RW|+access|+delete|+incomplete{}{}", keyword("KEYS", -2), range(-1, 0)),
            ],
        ),
        (
            "SORT",
            vec![
                format!("|*8|$5|notes|$10|BY and GET|$5|flags|*2|+RO|+access{unknown}"),
                format!("|*6|$5|flags|*2|+OW|+update{unknown}"),
            ],
        ),
        ("SPUBLISH", vec!["|$5|flags|*1|+not_key|".to_owned()]),
    ] {
        let reply = bench.run(format!("COMMAND INFO {name}").as_bytes());
        let reply = String::from_utf8_lossy(&reply).replace("\r\n", "|");
        for part in parts {
            assert!(reply.contains(&part), "{name}: {part}\n{reply}");
        }
    }
}

/// Whatever a request claims, only its own arguments are named.
#[test]
fn no_request_names_an_argument_that_it_has_not() {
    let seed = crate::grammar::seed();
    let mut random = crate::grammar::Random(seed);
    let small = |random: &mut crate::grammar::Random| random.below(5) as u16;
    for _ in 0..100_000 {
        let begin = match random.below(3) {
            0 => BeginSearch::Index(1 + small(&mut random)),
            _ => BeginSearch::Keyword("w", small(&mut random) as i16 - 2),
        };
        let [at, first, step, limit] = [(); 4].map(|()| small(&mut random));
        let find = match random.below(2) {
            0 => FindKeys::Range { last: first as i16 - 2, step, limit },
            _ => FindKeys::KeyNum { at, first, step },
        };
        let spec = KeySpec { begin, find, flags: READ, notes: "" };
        const WORDS: &[&str] =
            &["w", "W", "1", "2", "3", "0", "-1", "9223372036854775807", "18446744073709551616", "x"];
        let words: Vec<&str> = (0..random.below(7)).map(|_| random.pick(WORDS)).collect();
        let owned = wire::OwnedArgs::from_slices(&words);
        if let Ok(mut indices) = spec.indices(owned.as_args()) {
            assert!(indices.all(|index| index < words.len()), "seed {seed}: {spec:?} {words:?}");
        }
    }
}
