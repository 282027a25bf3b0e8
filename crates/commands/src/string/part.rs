//! Parts of values: APPEND, SETRANGE, GETRANGE, SUBSTR, STRLEN.
//!
//! Both writers edit the value where it lies (`keyspace::Text`). What would copy a long part of a value at once is done in
//! slices: the value is pinned, and others are served in between.
//!
//! Thread safety: functions on one command's context.

use super::copying::{Copying, SLICE_BYTES};
use super::kind_of;
use crate::options::integer;
use engine::config::Setting;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, DENYOOM, Effect, FAST, Group, INSERT, KEY, KeySpec,
    Outcome, Progress, READONLY, RO, RW, Run, Slice, UPDATE, WRITE,
};
use keyspace::{Blob, Deadline, Event, Missing, NewValue, Text, Value};
use std::ops::Range;
use std::sync::Arc;
use wire::Args;

const PROTO_MAX_BULK_LEN_BYTES: Setting<u64> = Setting::of("proto-max-bulk-len");

pub(super) const COMMANDS: &[Command] = &[APPEND, SETRANGE, GETRANGE, SUBSTR, STRLEN];

const APPEND: Command = Command {
    name: "APPEND",
    arity: Arity::Exactly(3),
    flags: WRITE.and(DENYOOM).and(FAST),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(INSERT))],
    group: Group::String,
    since: "2.0.0",
    complexity: "O(1) amortised for a short argument: a large value grows with room to spare.",
    summary: "Appends to the value of a key; creates the key if there is none.",
    args: &[KEY, Argument::new("value", ArgumentType::Text)],
    run: Run::Slices(append),
    ..Command::DEFAULT
};

fn append(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    if let Some(slice) = copy_more(progress) {
        return Ok(slice);
    }
    let (key, tail) = (args.at(1), args.at(2));
    let Some(old_bytes) = ctx.data.find(key).map(|entry| entry.value_bytes()) else {
        ctx.data.store(key, NewValue::Bytes(tail), kind_of(tail), Deadline::Clear, Event::Append);
        ctx.reply.integer(tail.len() as i64);
        return Ok(Slice::Done);
    };
    write_at(ctx, key, [old_bytes, old_bytes], tail, Event::Append, progress)
}

const SETRANGE: Command = Command {
    name: "SETRANGE",
    arity: Arity::Exactly(4),
    flags: WRITE.and(DENYOOM),
    effect: Effect::Verbatim,
    keys: &[KeySpec::one(1, RW.and(UPDATE))],
    group: Group::String,
    since: "2.2.0",
    complexity: "O(M) where M is the length of the argument, plus that of a gap to be filled with zeros.",
    summary: "Overwrites part of a value from an offset on, filling a gap with zeros; creates the key if there is none.",
    args: &[KEY, Argument::new("offset", ArgumentType::Integer), Argument::new("value", ArgumentType::Text)],
    run: Run::Slices(setrange),
    ..Command::DEFAULT
};

fn setrange(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    if let Some(slice) = copy_more(progress) {
        return Ok(slice);
    }
    let (key, part) = (args.at(1), args.at(3));
    let offset = usize::try_from(integer(args.at(2))?).map_err(|_| CommandError::OFFSET_OUT_OF_RANGE)?;
    let old_bytes = ctx.data.find(key).map(|entry| entry.value_bytes());
    if part.is_empty() {
        ctx.reply.integer(old_bytes.unwrap_or(0) as i64);
        return Ok(Slice::Done);
    }
    write_at(ctx, key, [old_bytes.unwrap_or(0), offset], part, Event::SetRange, progress)
}

/// Goes on with a copy that is not finished. No stripe is held.
fn copy_more(progress: &mut Progress) -> Option<Slice> {
    progress.kept_mut::<Copying>().filter(|copying| !copying.is_done()).map(Copying::step)
}

/// Writes `part` at `offset` into the value of `key`, which has `old_bytes` bytes (0 if there is no such key), and
/// answers its new length. First calls for a copy, if the edit would have to make a long one.
fn write_at(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    [old_bytes, offset]: [usize; 2],
    part: &[u8],
    event: Event,
    progress: &mut Progress,
) -> Result<Slice, CommandError> {
    let limit_bytes = ctx.instance.settings.read(PROTO_MAX_BULK_LEN_BYTES);
    let end = offset.checked_add(part.len()).filter(|&end| end as u64 <= limit_bytes);
    let end = end.ok_or(CommandError::STRING_TOO_LONG)?;
    let made = progress.kept.take().and_then(|kept| kept.downcast::<Copying>().ok());
    let copy = match (made, ctx.data.find(key)) {
        (Some(made), Some(entry)) => made.finish(&entry.value()),
        (None, Some(entry)) => {
            if let Some(copying) = Copying::needed(&entry.value(), offset, end) {
                progress.kept = Some(Box::new(copying));
                return Ok(Slice::Begin);
            }
            None
        }
        (_, None) => None,
    };
    ctx.data.edit(key, Missing::Create, event, |text: &mut Text| {
        copy.into_iter().for_each(|copy| text.continue_with(copy));
        text.write_at(offset, part);
    });
    ctx.reply.integer(end.max(old_bytes) as i64);
    Ok(Slice::Done)
}

const RANGE_ARGUMENTS: &[Argument] =
    &[KEY, Argument::new("start", ArgumentType::Integer), Argument::new("end", ArgumentType::Integer)];

const GETRANGE: Command = Command {
    name: "GETRANGE",
    arity: Arity::Exactly(4),
    flags: READONLY,
    keys: &[KeySpec::one(1, RO.and(ACCESS))],
    group: Group::String,
    since: "2.4.0",
    complexity: "O(N) where N is the number of bytes returned.",
    summary: "Returns the part of a value between two positions; negative ones count from the end.",
    args: RANGE_ARGUMENTS,
    run: Run::Slices(getrange),
    ..Command::DEFAULT
};

const SUBSTR: Command = Command {
    name: "SUBSTR",
    arity: Arity::Exactly(4),
    flags: READONLY,
    keys: &[KeySpec::one(1, RO.and(ACCESS))],
    group: Group::String,
    complexity: "O(N) where N is the number of bytes returned.",
    summary: "Returns the part of a value between two positions: the old name of GETRANGE.",
    args: RANGE_ARGUMENTS,
    run: Run::Slices(getrange),
    ..Command::DEFAULT
};

/// The part of a large value that is being copied into the reply; nobody changes the value meanwhile.
struct Part {
    value: Blob,
    left: Range<usize>,
}

fn getrange(ctx: &mut Ctx<'_>, args: Args<'_>, progress: &mut Progress) -> Result<Slice, CommandError> {
    if progress.kept.is_some() {
        return Ok(copy_part(ctx, progress));
    }
    let (start, end) = (integer(args.at(2))?, integer(args.at(3))?);
    match ctx.data.read(args.at(1)).map(|entry| entry.value()) {
        None => ctx.reply.bulk(b""),
        Some(value) => match (range(value.bytes().len(), start, end), value) {
            (part, Value::Shared(blob)) if part.len() == blob.len() => ctx.reply.bulk_shared(blob.clone()),
            (part, Value::Shared(blob)) if part.len() > SLICE_BYTES => {
                progress.kept = Some(Box::new(Part { value: blob.clone(), left: part }));
                return Ok(Slice::Begin);
            }
            (part, value) => ctx.reply.bulk(&value.bytes()[part]),
        },
    }
    Ok(Slice::Done)
}

/// Copies one slice; the last step answers.
fn copy_part(ctx: &mut Ctx<'_>, progress: &mut Progress) -> Slice {
    let Some(Part { value, left }) = progress.kept_mut::<Part>() else { return Slice::Done };
    if left.start == left.end {
        ctx.reply.bulk_parts(std::mem::take(&mut progress.found));
        return Slice::Done;
    }
    let end = left.end.min(left.start + SLICE_BYTES);
    let copied = value[left.start..end].to_vec();
    left.start = end;
    let slice = if left.start == left.end { Slice::Last } else { Slice::Again };
    progress.found.push(Arc::new(copied));
    slice
}

/// The bytes from `start` to `end` inclusive of `len`, as Redis counts: negative positions from the end, then clamped.
fn range(len: usize, start: i64, end: i64) -> Range<usize> {
    // Both behind the end of time in the wrong order are nothing, before clamping could make them something.
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let bytes = len as i64;
    let position = |at: i64| if at < 0 { at.saturating_add(bytes).max(0) } else { at.min(bytes) } as usize;
    let (start, end) = (position(start), position(end).saturating_add(1).min(len));
    start.min(end)..end
}

const STRLEN: Command = Command {
    name: "STRLEN",
    arity: Arity::Exactly(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::one(1, RO)],
    group: Group::String,
    since: "2.2.0",
    summary: "Returns the length of a value in bytes.",
    args: &[KEY],
    run: Run::Body(strlen),
    ..Command::DEFAULT
};

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let bytes = ctx.data.read(args.at(1)).map_or(0, |entry| entry.value_bytes());
    ctx.reply.integer(bytes as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::dialogue::{NOT_AN_INTEGER, converse, hear};
    use crate::testing::Bench;

    const TOO_LONG: &str = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";

    #[test]
    fn append_and_strlen() {
        converse(&[
            ("STRLEN a", ":0"),
            ("APPEND a 12", ":2"),
            ("OBJECT ENCODING a", "$3|int"),
            ("EXPIRE a 100", ":1"),
            ("APPEND a \"\"", ":2"),
            ("OBJECT ENCODING a", "$3|raw"),
            ("APPEND a x", ":3"),
            ("GET a", "$3|12x"),
            ("STRLEN a", ":3"),
            ("TTL a", ":100"),
            ("APPEND b \"\"", ":0"),
            ("EXISTS b", ":1"),
        ]);
    }

    #[test]
    fn setrange() {
        converse(&[
            ("SETRANGE a 5 \"\"", ":0"),
            ("EXISTS a", ":0"),
            ("SETRANGE a 2 xy", ":4"),
            ("GET a", "$4|\0\0xy"),
            ("OBJECT ENCODING a", "$3|raw"),
            ("SETRANGE a 0 abc", ":4"),
            ("GET a", "$4|abcy"),
            ("SETRANGE a 3 zzz", ":6"),
            ("GET a", "$6|abczzz"),
            ("SET a 12", "+OK"),
            ("SETRANGE a 536870912 \"\"", ":2"),
            ("OBJECT ENCODING a", "$3|int"),
            ("SETRANGE a -1 x", "-ERR offset is out of range"),
            ("SETRANGE a x x", NOT_AN_INTEGER),
            ("SETRANGE a 536870912 x", TOO_LONG),
            ("SETRANGE a 9223372036854775807 x", TOO_LONG),
            ("GET a", "$2|12"),
        ]);
    }

    #[test]
    fn getrange() {
        let mut bench = Bench::new();
        hear(
            &mut bench,
            &[("SET a abcdef", "+OK"), ("GETRANGE b 0 -1", "$0|"), ("GETRANGE a 0 x", NOT_AN_INTEGER)],
        );
        for (start, end, part) in [
            (0, -1, "abcdef"),
            (0, 0, "a"),
            (1, 3, "bcd"),
            (-3, -2, "de"),
            (-2, -3, ""),
            (4, 2, ""),
            (6, 9, ""),
            (5, 9, "f"),
            (-100, 1, "ab"),
            (-100, -50, "a"),
            (i64::MIN, i64::MAX, "abcdef"),
            (i64::MAX, i64::MIN, ""),
        ] {
            let expected = format!("${}|{part}", part.len());
            hear(&mut bench, &[(&format!("GETRANGE a {start} {end}"), &expected)]);
            hear(&mut bench, &[(&format!("SUBSTR a {start} {end}"), &expected)]);
        }
    }

    /// APPEND and SETRANGE against a plain `Vec`, across the border between small and large values.
    #[test]
    fn parts_agree_with_a_vec() {
        let seed = 41_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let mut bench = Bench::new();
        for _ in 0..40 {
            let mut model: Vec<u8> = Vec::new();
            bench.run(b"DEL k");
            for step in 0..30 {
                let part = vec![b'a' + step; 1 + below(3_000)];
                let offset = if below(2) == 0 { model.len() } else { below(model.len() + 2_000) };
                let end = offset + part.len();
                model.resize(model.len().max(end), 0);
                model[offset..end].copy_from_slice(&part);
                let offset = offset.to_string();
                let reply = bench.command(&[b"SETRANGE", b"k", offset.as_bytes(), &part]);
                assert_eq!(reply, format!(":{}\r\n", model.len()).as_bytes());
                let (from, to) = (below(model.len()), below(model.len()));
                let range = bench.command(&[
                    b"GETRANGE",
                    b"k",
                    from.to_string().as_bytes(),
                    to.to_string().as_bytes(),
                ]);
                let expected = model.get(from..to + 1).unwrap_or_default();
                assert_eq!(
                    range,
                    [format!("${}\r\n", expected.len()).as_bytes(), expected, b"\r\n"].concat()
                );
            }
            let whole = bench.command(&[b"GET", b"k"]);
            assert_eq!(whole, [format!("${}\r\n", model.len()).as_bytes(), &model, b"\r\n"].concat());
        }
    }

    #[test]
    fn a_held_reply_keeps_its_value() {
        let mut bench = Bench::new();
        let value = vec![b'v'; 20_000];
        bench.command(&[b"SET", b"k", &value]);
        let mut held = wire::Reply::new();
        let get = wire::OwnedArgs::from_slices(&["GET", "k"]);
        bench.execute(get.as_args(), &mut held);
        hear(
            &mut bench,
            &[("SETRANGE k 0 x", ":20000"), ("APPEND k y", ":20001"), ("GETRANGE k 0 0", "$1|x")],
        );
        assert_eq!(held.to_vec(), [b"$20000\r\n", &value[..], b"\r\n"].concat());
    }
}
