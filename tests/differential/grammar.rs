//! Random commands: a list of templates in which `$k` is a key, `$i` an integer, and so on.
//!
//! Four keys in five come from a small pool, so that commands meet; one argument in some thirty is replaced,
//! dropped or doubled, so that every error text is met as well. Only commands whose replies follow from the
//! requests before them are here: nothing about time that passes, about the server, or about a random choice
//! that [`super::compare`] cannot judge.

use crate::harness::rng::Rng;

pub type Arguments = Vec<Vec<u8>>;

/// One step of a sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which connection sends it.
    pub connection: usize,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Call(Arguments),
    /// PEXPIRE of a key in a millisecond, a wait, and a look at the key.
    ExpireNow(Vec<u8>),
    /// SCAN from 0 until the cursor is 0 again, with these options.
    ScanAll(Arguments),
}

/// Connections of a sequence.
pub const CONNECTIONS: usize = 2;

pub const KEYS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"k:1",
    b"k:2",
    b"user:1000",
    b"user:1001",
    b"",
    b"\x00\xff\r\n",
    b"{tag}x",
    b"{tag}y",
    b"a-rather-long-key-that-does-not-fit-into-any-small-buffer:0123456789:0123456789:0123456789",
];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "10",
    "-10",
    "100",
    "9999",
    "10000",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "99999999999999999999999",
    "",
    " 1",
    "1 ",
    "+1",
    "01",
    "-0",
    "0x10",
    "1.0",
    "1e3",
    "abc",
    "nan",
];

const SMALL: &[&str] = &["0", "1", "2", "3", "4", "5", "-1", "-2", "-3", "8", "20", "100", "-100"];

const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.1",
    "0.2",
    "3.0e3",
    "1.5",
    "-2.25",
    "1e17",
    "1e-7",
    "1e21",
    "3.14159265358979323846",
    "inf",
    "-inf",
    "nan",
    "+1.5",
    ".5",
    "5.",
    "1e400",
    "abc",
    "",
    " 1",
    "1 ",
    "0x1p3",
    "9007199254740993",
    "123456789.123456789",
    "1e308",
    "-0",
    "5.0e-3",
    "200000000000000000000",
];

const PATTERNS: &[&[u8]] = &[
    b"*",
    b"a",
    b"?",
    b"k:*",
    b"user:100?",
    b"[abc]",
    b"[^a]",
    b"[a-c]",
    b"*1*",
    b"\\*",
    b"",
    b"[",
    b"user:[0-9]*",
    b"*\xff*",
    b"{tag}*",
    b"[z-a]",
    b"**a**",
    b"k\\:1",
];

const TYPES: &[&str] = &["string", "hash", "list", "set", "zset", "stream", "STRING", "nonsense"];

/// Seconds until something expires: far enough that nothing expires during a test, or refused.
const SECONDS: &[&str] = &[
    "100",
    "1000",
    "86400",
    "9223372036854775807",
    "9223372036854775",
    "-9223372036854775808",
    "0",
    "-1",
    "abc",
    "1.5",
    "",
];

const MILLISECONDS: &[&str] =
    &["100000", "1000000", "86400000", "9223372036854775807", "-9223372036854775808", "0", "-1", "abc", ""];

/// Points in time long after any test, or long before.
const UNIX_SECONDS: &[&str] = &[
    "4102444800",
    "5000000000",
    "32503680000",
    "1",
    "0",
    "-1",
    "9223372036854775807",
    "9223372036854775",
    "abc",
];

const UNIX_MILLISECONDS: &[&str] =
    &["4102444800000", "5000000000123", "32503680000001", "1", "0", "-1", "9223372036854775807", "abc"];

/// Points in time for SET. One in the past would store a key that has already expired: DBSIZE counts it until
/// somebody notices, which is up to the server.
const UNIX_SECONDS_AHEAD: &[&str] = &["4102444800", "5000000000", "0", "-1", "9223372036854775807", "abc"];

const UNIX_MILLISECONDS_AHEAD: &[&str] =
    &["4102444800000", "32503680000001", "0", "-1", "9223372036854775807", "abc"];

/// Weight and template. `$` words: k key, v value, w word, i integer, n small number, f float, s/m seconds or
/// milliseconds to live, S/M Unix time in them, A/B the same for SET, t/T any number of them (equal ones would be
/// compared to the millisecond by GT and LT), d database, p pattern, y type, o SET options, e EXPIRE option,
/// x GETEX options, c SCAN options.
const TEMPLATES: &[(usize, &str)] = &[
    (30, "SET $k $v"),
    (30, "SET $k $i"),
    (30, "SET $k $v $o"),
    (10, "SET $k $i $o $o"),
    (30, "GET $k"),
    (4, "GETDEL $k"),
    (6, "GETSET $k $v"),
    (8, "GETEX $k $x"),
    (8, "APPEND $k $v"),
    (6, "STRLEN $k"),
    (8, "INCR $k"),
    (6, "DECR $k"),
    (8, "INCRBY $k $i"),
    (6, "DECRBY $k $i"),
    (10, "INCRBYFLOAT $k $f"),
    (8, "GETRANGE $k $n $n"),
    (3, "SUBSTR $k $n $n"),
    (3, "GETRANGE $k $i $i"),
    (8, "SETRANGE $k $n $v"),
    (2, "SETRANGE $k $i $v"),
    (6, "MGET $k $k $k"),
    (6, "MSET $k $v $k $i"),
    (4, "MSETNX $k $v $k $v"),
    (4, "SETNX $k $v"),
    (4, "SETEX $k $s $v"),
    (4, "PSETEX $k $m $v"),
    (2, "MSET $k $v $k"),
    (10, "DEL $k"),
    (4, "DEL $k $k $k"),
    (3, "UNLINK $k $k"),
    (6, "EXISTS $k $k"),
    (3, "TOUCH $k $k"),
    (6, "TYPE $k"),
    (6, "EXPIRE $k $s"),
    (6, "EXPIRE $k $t $e"),
    (4, "PEXPIRE $k $m"),
    (4, "PEXPIRE $k $T $e"),
    (4, "EXPIREAT $k $S"),
    (4, "EXPIREAT $k $S $e"),
    (4, "PEXPIREAT $k $M"),
    (3, "PEXPIREAT $k $M $e $e"),
    (6, "TTL $k"),
    (6, "PTTL $k"),
    (6, "EXPIRETIME $k"),
    (6, "PEXPIRETIME $k"),
    (5, "PERSIST $k"),
    (8, "RENAME $k $k"),
    (5, "RENAMENX $k $k"),
    (6, "COPY $k $k"),
    (3, "COPY $k $k REPLACE"),
    (4, "COPY $k $k DB $d"),
    (2, "COPY $k $k DB $d REPLACE"),
    (5, "MOVE $k $d"),
    (8, "SELECT $d"),
    (3, "SWAPDB $d $d"),
    (4, "DBSIZE"),
    (1, "FLUSHDB"),
    (1, "FLUSHDB ASYNC"),
    (1, "FLUSHALL SYNC"),
    (1, "FLUSHALL $w"),
    (5, "KEYS $p"),
    (4, "RANDOMKEY"),
    (8, "OBJECT ENCODING $k"),
    (3, "OBJECT REFCOUNT $k"),
    (1, "OBJECT $w $k"),
    (10, "MULTI"),
    (16, "EXEC"),
    (4, "DISCARD"),
    (10, "WATCH $k $k"),
    (4, "WATCH $k"),
    (4, "UNWATCH"),
    (2, "PING"),
    (2, "PING $v"),
    (2, "ECHO $v"),
    (1, "RESET"),
    (1, "CLIENT SETNAME name"),
    (1, "CLIENT GETNAME"),
    (1, "CLIENT SETNAME $w"),
    (1, "NOSUCHCOMMAND $w $w"),
    (1, "CLIENT $w"),
    (1, "COMMAND GETKEYS SET $k $v"),
    (1, "COMMAND GETKEYS MSET $k $v $k $v"),
    (1, "COMMAND GETKEYS COPY $k $k"),
    (1, "HELLO $i"),
    (1, "CONFIG GET nonsense"),
    (1, "CONFIG $w"),
    (1, "AUTH $v"),
    (1, "AUTH default $v"),
];

/// Templates for which the reference must be Valkey 9.
const TEMPLATES_VALKEY: &[(usize, &str)] = &[
    (12, "SET $k $v IFEQ $v"),
    (6, "SET $k $i IFEQ $i GET"),
    (10, "DELIFEQ $k $v"),
    (1, "COMMAND GETKEYS GET"),
    (1, "COMMAND GETKEYS PING"),
    (1, "COMMAND GETKEYS $w"),
    (4, "SET $k $v IFEQ $v $o"),
    (2, "CLIENT SETINFO lib-name $w"),
];

/// Writes sequences of steps.
pub struct Grammar {
    templates: Vec<(usize, &'static str)>,
    weight: usize,
}

impl Grammar {
    pub fn new(reference_is_7_0: bool) -> Self {
        let mut templates = TEMPLATES.to_vec();
        if !reference_is_7_0 {
            templates.extend_from_slice(TEMPLATES_VALKEY);
        }
        let weight = templates.iter().map(|(weight, _)| weight).sum();
        Grammar { templates, weight }
    }

    pub fn sequence(&self, rng: &mut Rng, length: usize) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut in_multi = [false; CONNECTIONS];
        for _ in 0..length {
            let mut step = self.step(rng);
            let inside = &mut in_multi[step.connection];
            if let Action::Call(arguments) = &mut step.action {
                // Nesting may end the comparison, so it is rare.
                match arguments[0].to_ascii_uppercase().as_slice() {
                    b"MULTI" | b"WATCH" if *inside && rng.chance(95) => *arguments = vec![b"EXEC".to_vec()],
                    b"MULTI" => *inside = true,
                    _ => {}
                }
                if arguments.len() == 1
                    && ["EXEC", "DISCARD", "RESET"].iter().any(|end| is(&arguments[0], end))
                {
                    *inside = false;
                }
            }
            steps.push(step);
        }
        steps
    }

    fn step(&self, rng: &mut Rng) -> Step {
        // Runs of one connection are common, interleavings frequent enough.
        let connection = if rng.chance(75) { 0 } else { 1 };
        let action = match rng.below(100) {
            0 => Action::ExpireNow(key(rng)),
            1 => Action::ScanAll(scan_options(rng)),
            _ => Action::Call(self.call(rng)),
        };
        Step { connection, action }
    }

    fn call(&self, rng: &mut Rng) -> Arguments {
        let mut at = rng.below(self.weight);
        let mut chosen = "PING";
        for (weight, template) in &self.templates {
            if at < *weight {
                chosen = template;
                break;
            }
            at -= weight;
        }
        let mut arguments = Arguments::new();
        for word in chosen.split(' ') {
            expand(rng, word, &mut arguments);
        }
        if rng.chance(4) {
            spoil(rng, &mut arguments);
        }
        if rng.chance(10)
            && let Some(name) = arguments.first_mut()
        {
            name.make_ascii_lowercase();
        }
        arguments
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

fn expand(rng: &mut Rng, word: &str, arguments: &mut Arguments) {
    let one = |rng: &mut Rng, from: &[&str]| rng.pick(from).as_bytes().to_vec();
    match word {
        "$k" => arguments.push(key(rng)),
        "$v" => arguments.push(value(rng)),
        "$w" => arguments.push(plain_word(rng)),
        "$i" => arguments.push(one(rng, INTEGERS)),
        "$n" => arguments.push(one(rng, SMALL)),
        "$f" => arguments.push(one(rng, FLOATS)),
        "$s" => arguments.push(one(rng, SECONDS)),
        "$m" => arguments.push(one(rng, MILLISECONDS)),
        "$S" => arguments.push(one(rng, UNIX_SECONDS)),
        "$M" => arguments.push(one(rng, UNIX_MILLISECONDS)),
        "$t" => arguments.push((101 + rng.below(1_000_000)).to_string().into_bytes()),
        "$T" => arguments.push((100_001 + rng.below(1_000_000_000)).to_string().into_bytes()),
        "$A" => arguments.push(one(rng, UNIX_SECONDS_AHEAD)),
        "$B" => arguments.push(one(rng, UNIX_MILLISECONDS_AHEAD)),
        "$d" => arguments.push(one(rng, &["0", "1", "2", "15", "0", "1", "16", "-1", "abc", "99999999999"])),
        "$p" => arguments.push(rng.pick(PATTERNS).to_vec()),
        "$y" => arguments.push(one(rng, TYPES)),
        "$e" => arguments.push(one(rng, &["NX", "XX", "GT", "LT", "gt", "nonsense"])),
        "$o" => set_option(rng, arguments),
        "$x" => getex_option(rng, arguments),
        literal => arguments.push(literal.as_bytes().to_vec()),
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    if rng.chance(80) { rng.pick(&KEYS[..5]).to_vec() } else { rng.pick(KEYS).to_vec() }
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => Vec::new(),
        1 => vec![b'x'; *rng.pick(&[43, 44, 45, 63, 64, 65, 200])],
        2 => vec![rng.next() as u8; rng.below(2_000)],
        3 => b"\r\n$5\r\nhello\r\n\x00".to_vec(),
        4 => rng.pick(INTEGERS).as_bytes().to_vec(),
        5 => rng.pick(FLOATS).as_bytes().to_vec(),
        6 if rng.chance(5) => vec![b'L'; 20_000 + rng.below(50_000)],
        _ => rng.pick(&[&b"one"[..], b"two", b"three"]).to_vec(),
    }
}

/// A short value without control characters: error texts repeat it, and each server cuts and cleans them its way.
fn plain_word(rng: &mut Rng) -> Vec<u8> {
    let from = *rng.pick(&[&["one", "two", "three", "help me", "\"quoted\""][..], INTEGERS, FLOATS]);
    rng.pick(from).as_bytes().to_vec()
}

fn set_option(rng: &mut Rng, arguments: &mut Arguments) {
    const OPTIONS: &[&str] = &[
        "NX",
        "XX",
        "GET",
        "KEEPTTL",
        "EX $s",
        "PX $m",
        "EXAT $A",
        "PXAT $B",
        "nx",
        "xx GET",
        "NX GET",
        "EX",
        "nonsense",
        "NX XX",
        "EX 100 PX 100000",
        "KEEPTTL EX 100",
        "get EX 1000",
        "EX 100 KEEPTTL",
    ];
    for word in rng.pick(OPTIONS).split(' ') {
        expand(rng, word, arguments);
    }
}

fn getex_option(rng: &mut Rng, arguments: &mut Arguments) {
    const OPTIONS: &[&str] =
        &["EX $s", "PX $m", "EXAT $S", "PXAT $M", "PERSIST", "persist EX 100", "EX", "KEEPTTL"];
    if rng.chance(15) {
        return;
    }
    for word in rng.pick(OPTIONS).split(' ') {
        expand(rng, word, arguments);
    }
}

fn scan_options(rng: &mut Rng) -> Arguments {
    let mut options = Arguments::new();
    if rng.chance(50) {
        options.push(b"MATCH".to_vec());
        expand(rng, "$p", &mut options);
    }
    if rng.chance(50) {
        options.push(b"COUNT".to_vec());
        options.push(rng.pick(&["1", "2", "5", "100", "0", "-1", "abc"]).as_bytes().to_vec());
    }
    if rng.chance(40) {
        options.push(b"TYPE".to_vec());
        options.push(rng.pick(&["string", "hash", "STRING"]).as_bytes().to_vec());
    }
    options
}

/// Makes a request that is probably wrong.
fn spoil(rng: &mut Rng, arguments: &mut Arguments) {
    let at = rng.below(arguments.len());
    match rng.below(5) {
        0 => {
            arguments.pop();
        }
        1 => arguments.push(plain_word(rng)),
        2 => arguments.insert(at, arguments[at].clone()),
        3 if at > 0 => {
            arguments.remove(at);
        }
        _ if at > 0 => arguments[at] = plain_word(rng),
        _ => arguments.truncate(1),
    }
    // COMMAND alone lists every command, which is compared elsewhere.
    if arguments.is_empty() || (arguments.len() == 1 && arguments[0] == b"COMMAND") {
        *arguments = vec![b"PING".to_vec()];
    }
}

/// For messages: the way redis-cli would be asked.
pub fn show(arguments: &[Vec<u8>]) -> String {
    let words = arguments.iter().map(|argument| {
        let plain =
            !argument.is_empty() && argument.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
        match plain {
            true if argument.len() <= 100 => String::from_utf8_lossy(argument).into_owned(),
            _ if argument.len() > 100 => {
                format!("\"{}\"...({} bytes)", argument[..8].escape_ascii(), argument.len())
            }
            _ => format!("\"{}\"", argument.escape_ascii()),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
