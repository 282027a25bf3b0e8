//! All names: KEYS in slices, SCAN by cursor.
//!
//! Neither holds the stripes of keys: both lock one stripe at a time and visit keys in the order of their hashes, which
//! never changes, so that a key that is there all the time is found whatever grows or shrinks meanwhile.
//!
//! Invariant: one call visits at most `ENTRIES_MAX` entries, fewer when the pattern is long, so that a worker's other
//! connections wait for it no longer than about a millisecond.
//!
//! Thread safety: functions on one command's context.

use crate::command::{Argument, ArgumentType, Arity, Command, Outcome, Progress, READONLY, Run, Slice};
use crate::ctx::Ctx;
use crate::error::CommandError;
use crate::glob;
use crate::options::integer;
use keyspace::STRIPES;
use wire::{Args, Reply};

/// Entries that one slice of KEYS visits: about 100 microseconds.
const ENTRIES_PER_SLICE: usize = 2_000;
/// Entries that one SCAN visits, whatever its COUNT says: about half a millisecond. COUNT is a hint in Redis too, and a
/// client goes on with the cursor anyway; were it taken at its word, one SCAN could hold up a worker for seconds.
const ENTRIES_MAX: usize = 10_000;
/// Entries that SCAN visits without COUNT.
const COUNT_DEFAULT: i64 = 10;
/// A match may take as many steps per byte of a key as the pattern is long: from this length on, the entries of a call
/// are fewer in proportion.
const PATTERN_BYTES_FREE: usize = 256;

pub(super) const KEYS: Command = Command {
    name: "KEYS",
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
    let pattern = args.at(1);
    let everything = glob::matches_everything(pattern);
    let entries = entries_of(ENTRIES_PER_SLICE, pattern);
    let Progress { cursor, count, reply } = progress;
    *cursor = ctx.data.scan(*cursor, entries, STRIPES, |entry| {
        if everything || glob::matches(pattern, entry.key()) {
            reply.bulk(entry.key());
            *count += 1;
        }
    });
    if *cursor != 0 {
        return Ok(Slice::Again);
    }
    ctx.reply.array(*count);
    reply.append_to(ctx.reply);
    *progress = Progress::default();
    Ok(Slice::Done)
}

/// So many entries, or fewer for a long pattern.
fn entries_of(entries: usize, pattern: &[u8]) -> usize {
    (entries / (1 + pattern.len() / PATTERN_BYTES_FREE)).max(1)
}

pub(super) const SCAN: Command = Command {
    name: "SCAN",
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
    run: Run::Body(scan),
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

fn scan(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.at(1)).ok_or(CommandError::INVALID_CURSOR)?;
    let ScanOptions { pattern, count, type_name } = scan_options(args)?;
    let everything = glob::matches_everything(pattern);
    let entries = count.min(entries_of(ENTRIES_MAX, pattern));
    let mut found = Reply::new();
    let mut found_count = 0;
    let next = ctx.data.scan(cursor, entries, STRIPES, |entry| {
        let of_type = |name: &[u8]| name.eq_ignore_ascii_case(entry.kind().type_name().as_bytes());
        if type_name.is_none_or(of_type) && (everything || glob::matches(pattern, entry.key())) {
            found.bulk(entry.key());
            found_count += 1;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(next.to_string().as_bytes());
    ctx.reply.array(found_count);
    found.append_to(ctx.reply);
    Ok(())
}
