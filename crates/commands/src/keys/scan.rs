//! All names: KEYS in slices, SCAN by cursor.
//!
//! Neither holds the stripes of keys: both lock one stripe at a time and visit keys in the order of their hashes, which
//! never changes, so that a key that is there all the time is found whatever grows or shrinks meanwhile.
//!
//! Invariant: one slice visits at most `ENTRIES_MAX` entries, and compares no longer than `Search` lets it, so that a
//! worker's other connections wait for it no longer than about a millisecond.
//!
//! Thread safety: functions on one command's context.

use super::search::Search;
use crate::options::integer;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{Argument, ArgumentType, Arity, Command, Progress, READONLY, Run, Slice};
use keyspace::STRIPES;
use std::sync::Arc;
use wire::{Args, Reply};

/// Entries that one slice of KEYS visits: about 100 microseconds.
const ENTRIES_PER_SLICE: usize = 2_000;
/// Entries that one SCAN visits, whatever its COUNT says: about half a millisecond. COUNT is a hint in Redis too, and a
/// client goes on with the cursor anyway; were it taken at its word, one SCAN could hold up a worker for seconds.
const ENTRIES_MAX: usize = 10_000;
/// Entries that SCAN visits without COUNT.
const COUNT_DEFAULT: i64 = 10;
/// Entries that are visited before it is asked whether the pattern has taken too long: so many names are copied at most.
const ENTRIES_PER_LOOK: usize = 16;
/// From this size on a part of an answer is handed on, not copied.
const PART_BYTES_SHARED: usize = 16 << 10;

pub(super) const COMMANDS: &[Command] = &[KEYS, SCAN];

const KEYS: Command = Command {
    name: "KEYS",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    arity: Arity::Exactly(2),
    flags: READONLY,
    categories: &["dangerous"],
    complexity: "O(N) where N is the number of keys in the database; others are served meanwhile.",
    summary: "Returns all names that match a glob.",
    args: &[Argument::new("pattern", ArgumentType::Pattern)],
    run: Run::Slices(keys),
    ..Command::DEFAULT
};

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let is_busy = visit(ctx, progress, args.at(1), ENTRIES_PER_SLICE, None)?;
    let is_decided = Search::kept(progress).is_none_or(Search::is_decided);
    if is_busy || progress.cursor != 0 || !is_decided {
        return Ok(Slice::Again);
    }
    answer(ctx, progress);
    Ok(Slice::Done)
}

/// One slice: visits so many entries at most and keeps the names that match. True if it came to a busy stripe.
fn visit(
    ctx: &mut Ctx<'_>,
    progress: &mut Progress,
    pattern: &[u8],
    entries: usize,
    type_name: Option<&[u8]>,
) -> Result<bool, CommandError> {
    let Progress { cursor, count, found, kept, passed, .. } = progress;
    let kept = match kept {
        Some(kept) => kept,
        None => kept.insert(Box::new(Search::new(pattern)?)),
    };
    let search: &mut Search = kept.downcast_mut().expect("what a command keeps is its own");
    let mut reply = Reply::new();
    let of_type = |name: &str| type_name.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()));
    // The walk's end is cursor 0, and so is its start.
    let mut walks = search.resume(&mut reply, count) && (*cursor != 0 || *passed == 0);
    let (mut left, mut is_busy) = (entries, false);
    while walks && left > 0 && search.has_steps() {
        let mut look = left.min(ENTRIES_PER_LOOK);
        let mut visited = 0;
        let next = ctx.data.scan(*cursor, look, STRIPES, |entry| {
            visited += 1;
            if of_type(entry.kind().type_name()) {
                search.meet(entry.key(), &mut reply, count);
            }
        });
        let Some(next) = next else {
            is_busy = true;
            break;
        };
        *cursor = next;
        // Whole buckets are visited.
        look = look.max(visited);
        left = left.saturating_sub(look);
        *passed += look;
        walks = *cursor != 0;
    }
    if !reply.is_empty() {
        found.push(Arc::new(reply.take_bytes()));
    }
    Ok(is_busy)
}

/// Writes the names that were found; the next sliced command of the same batch starts anew.
fn answer(ctx: &mut Ctx<'_>, progress: &mut Progress) {
    let Progress { count, found, .. } = std::mem::take(progress);
    ctx.reply.array(count);
    for part in found {
        match part.len() {
            ..PART_BYTES_SHARED => ctx.reply.raw(&part),
            _ => ctx.reply.raw_shared(part),
        }
    }
}

const SCAN: Command = Command {
    name: "SCAN",
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    arity: Arity::AtLeast(2),
    flags: READONLY,
    since: "2.8.0",
    complexity: "O(1) for every call, O(N) for all of them, where N is the number of keys in the database.",
    summary: "Returns some names and a cursor to go on from.",
    args: &[
        Argument::new("cursor", ArgumentType::Integer),
        Argument::new("pattern", ArgumentType::Pattern).after("MATCH").optional(),
        Argument::new("count", ArgumentType::Integer).after("COUNT").optional(),
        Argument::new("type", ArgumentType::Text).after("TYPE").optional(),
    ],
    run: Run::Slices(scan),
    ..Command::DEFAULT
};

struct ScanOptions<'a> {
    pattern: &'a [u8],
    count: usize,
    type_name: Option<&'a [u8]>,
}

fn scan_options(args: Args<'_>) -> Result<ScanOptions<'_>, CommandError> {
    let mut options = ScanOptions { pattern: b"*", count: COUNT_DEFAULT as usize, type_name: None };
    let mut at = 2;
    while let (Some(word), Some(value)) = (args.get(at), args.get(at + 1)) {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"MATCH") {
            options.pattern = value;
        } else if is(b"COUNT") {
            let count = integer(value)?;
            options.count =
                usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::SYNTAX)?;
        } else if is(b"TYPE") {
            options.type_name = Some(value);
        } else {
            return Err(CommandError::SYNTAX);
        }
        at += 2;
    }
    if at < args.len() {
        return Err(CommandError::SYNTAX);
    }
    match options.type_name {
        Some(name) if !TYPE_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) => {
            Err(CommandError::unknown_type(name))
        }
        _ => Ok(options),
    }
}

/// The types SCAN knows, whether or not any key can have them yet.
const TYPE_NAMES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

/// Reads a cursor as `strtoull` does, except that nothing may precede or follow it but a `+`.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Goes on until as many entries were visited as COUNT says, whatever they are.
fn scan(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    let cursor = parse_cursor(args.at(1)).ok_or(CommandError::INVALID_CURSOR)?;
    let ScanOptions { pattern, count, type_name } = scan_options(args)?;
    if progress.kept.is_none() {
        progress.cursor = cursor;
    }
    let entries = count.min(ENTRIES_MAX).saturating_sub(progress.passed);
    let is_busy = visit(ctx, progress, pattern, entries, type_name)?;
    let is_decided = Search::kept(progress).is_none_or(Search::is_decided);
    let is_over = match is_busy {
        // The client may come back to the busy stripe, once it has got on.
        true => progress.passed > 0 && progress.cursor != 0,
        false => progress.cursor == 0 || progress.passed >= count.min(ENTRIES_MAX),
    };
    if !is_over || !is_decided {
        return Ok(Slice::Again);
    }
    ctx.reply.array(2);
    ctx.reply.bulk(progress.cursor.to_string().as_bytes());
    answer(ctx, progress);
    Ok(Slice::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::{NOT_AN_INTEGER, SYNTAX, converse, hear};
    use crate::testing::Bench;
    use engine::glob;
    use std::collections::BTreeSet;

    /// A server with the keys `key:0` ... and one that no pattern below names.
    fn filled(keys: usize) -> Bench {
        let mut bench = Bench::new();
        (0..keys).for_each(|n| drop(bench.run(format!("SET key:{n} v").as_bytes())));
        bench.run(b"SET other v");
        bench
    }

    /// The cursor and the names of a SCAN's reply.
    fn read_scan(reply: &[u8]) -> (String, Vec<String>) {
        let text = std::str::from_utf8(reply).unwrap();
        let mut bulks = text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$']));
        let cursor = bulks.next().unwrap().to_string();
        (cursor, bulks.map(str::to_string).collect())
    }

    /// Follows the cursor to the end; the names found and how many calls it took.
    fn scan_all(bench: &mut Bench, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut names, mut calls) = ("0".to_string(), Vec::new(), 0);
        loop {
            let (next, found) = read_scan(&bench.run(format!("SCAN {cursor} {options}").as_bytes()));
            names.extend(found);
            calls += 1;
            if next == "0" {
                return (names, calls);
            }
            cursor = next;
        }
    }

    #[test]
    fn keys_finds_all_in_slices() {
        let keys = 3 * ENTRIES_PER_SLICE;
        let mut bench = filled(keys);
        let reply = bench.run(b"KEYS key:*");
        assert!(reply.starts_with(format!("*{keys}\r\n").as_bytes()));
        let found: BTreeSet<_> =
            reply.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"key:")).collect();
        assert_eq!(found.len(), keys);
        assert!(bench.run(b"KEYS *").starts_with(format!("*{}\r\n", keys + 1).as_bytes()));
        hear(
            &mut bench,
            &[("KEYS ot[a-z]er", "*1|$5|other"), ("KEYS nothing", "*0"), ("KEYS key:77", "*1|$6|key:77")],
        );
    }

    /// A name of 40 KB and a pattern that tries most of itself at each of its bytes: 80 million steps.
    #[test]
    fn a_slow_pattern_is_matched_in_slices() {
        let mut bench = filled(100);
        let name = [b"a".repeat(40_000), b"b".to_vec()].concat();
        bench.command(&[b"SET", &name, b"v"]);
        let matching = [b"*".to_vec(), b"a".repeat(2_000), b"[b-d]".to_vec()].concat();
        let other = [b"*".to_vec(), b"a".repeat(2_000), b"[c-d]".to_vec()].concat();
        let one = [format!("*1\r\n${}\r\n", name.len()).as_bytes(), &name, b"\r\n"].concat();
        let scan = |found: &[u8]| [b"*2\r\n$1\r\n0\r\n", found].concat();
        for (request, expected) in [
            (vec![&b"KEYS"[..], &matching], one.clone()),
            (vec![b"KEYS", &other], b"*0\r\n".to_vec()),
            (vec![b"SCAN", b"0", b"COUNT", b"1000", b"MATCH", &matching], scan(&one)),
            (vec![b"SCAN", b"0", b"COUNT", b"1000", b"MATCH", &other], scan(b"*0\r\n")),
        ] {
            let owned = wire::OwnedArgs::from_slices(&request);
            let (mut reply, mut parked, mut slices) = (Reply::new(), engine::Parked::default(), 1);
            let arrival = || engine::Arrival { at: observe::os::clock::now(), weight: 1 };
            let Bench { executor, session, .. } = &mut bench;
            while executor.run(&[owned.as_args()], session, &mut reply, arrival(), &mut parked)
                != engine::End::Done
            {
                slices += 1;
            }
            assert_eq!(reply.to_vec(), expected);
            assert!((100..1_000).contains(&slices), "{slices} slices");
        }
        let too_long = vec![b'*'; glob::PATTERN_BYTES_MAX + 1];
        assert!(bench.command(&[b"KEYS", &too_long]).starts_with(b"-ERR pattern is too long"));
    }

    #[test]
    fn several_keys_in_one_batch_do_not_mix() {
        let mut bench = filled(3);
        let requests = ["key:1", "nothing", "key:2"].map(|pattern| vec!["KEYS", pattern]);
        let expected = b"*1\r\n$5\r\nkey:1\r\n*0\r\n*1\r\n$5\r\nkey:2\r\n";
        assert_eq!(bench.batch(&requests), expected);
    }

    #[test]
    fn keys_without_a_database() {
        converse(&[("SELECT 7", "+OK"), ("KEYS *", "*0"), ("SCAN 0", "*2|$1|0|*0")]);
    }

    #[test]
    fn scan_finds_every_key_once_while_nothing_changes() {
        let mut bench = filled(1_000);
        for options in ["", "COUNT 1", "COUNT 100 MATCH key:*", "COUNT 100000 TYPE string"] {
            let (names, calls) = scan_all(&mut bench, options);
            let expected = if options.contains("MATCH") { 1_000 } else { 1_001 };
            assert_eq!(names.len(), expected, "{options}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), expected, "{options}");
            assert_eq!(calls == 1, options.contains("100000"), "{options}");
        }
        assert!(scan_all(&mut bench, "TYPE hash COUNT 1000").0.is_empty());
        assert_eq!(scan_all(&mut bench, "MATCH key:1? COUNT 1000").0.len(), 10);
    }

    #[test]
    fn scan_finds_what_stays_while_the_rest_changes() {
        let mut bench = filled(500);
        let (mut cursor, mut names, mut round) = ("0".to_string(), BTreeSet::new(), 0);
        loop {
            let (next, found) = read_scan(&bench.run(format!("SCAN {cursor} COUNT 20").as_bytes()));
            names.extend(found);
            for n in 0..200 {
                bench.run(format!("SET new:{round}:{n} v").as_bytes());
                bench.run(format!("DEL new:{}:{n}", round - 1).as_bytes());
            }
            round += 1;
            if next == "0" {
                break;
            }
            cursor = next;
            assert!(round < 10_000, "the scan does not end");
        }
        assert_eq!(names.iter().filter(|name| name.starts_with("key:")).count(), 500);
    }

    #[test]
    fn one_scan_visits_no_more_than_the_limit() {
        let mut bench = filled(ENTRIES_MAX + 2_000);
        let (cursor, names) = read_scan(&bench.run(b"SCAN 0 COUNT 9223372036854775807"));
        assert!(cursor != "0" && names.len() < ENTRIES_MAX + 100, "{cursor} {}", names.len());
        assert_eq!(scan_all(&mut bench, "COUNT 9223372036854775807").0.len(), ENTRIES_MAX + 2_001);
    }

    #[test]
    fn keys_past_their_deadline_are_visited_like_others() {
        let mut bench = Bench::new();
        (0..5_000).for_each(|n| drop(bench.run(format!("SET gone:{n} v PX 1").as_bytes())));
        std::thread::sleep(std::time::Duration::from_millis(5));
        let (cursor, names) = read_scan(&bench.run(b"SCAN 0 COUNT 10"));
        assert!(cursor != "0" && names.is_empty(), "one call went through all of them: {cursor} {names:?}");
        assert!(scan_all(&mut bench, "COUNT 10").0.is_empty());
    }

    #[test]
    fn refusals() {
        let invalid = "-ERR invalid cursor";
        let mut bench = Bench::new();
        for cursor in ["x", "-1", "18446744073709551616", "\"\"", "\" 0\"", "\"0 \"", "0x1", "+"] {
            hear(&mut bench, &[(&format!("SCAN {cursor} COUNT 0"), invalid)]);
        }
        for cursor in ["0", "00", "+0", "18446744073709551615", "9223372036854775808"] {
            hear(&mut bench, &[(&format!("SCAN {cursor}"), "*2|$1|0|*0")]);
        }
        hear(
            &mut bench,
            &[
                ("SCAN 0 COUNT 0", SYNTAX),
                ("SCAN 0 COUNT -1", SYNTAX),
                ("SCAN 0 COUNT x", NOT_AN_INTEGER),
                ("SCAN 0 COUNT", SYNTAX),
                ("SCAN 0 FOO bar", SYNTAX),
                ("SCAN 0 TYPE foo", "-ERR unknown type name 'foo'"),
                ("SCAN 0 TYPE HASH", "*2|$1|0|*0"),
                ("SCAN", "-ERR wrong number of arguments for 'scan' command"),
                ("KEYS", "-ERR wrong number of arguments for 'keys' command"),
            ],
        );
    }
}
