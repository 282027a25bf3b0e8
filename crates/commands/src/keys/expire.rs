//! Deadlines: EXPIRE and its variants set them, TTL and its variants tell them, PERSIST removes them.
//!
//! A deadline is kept on the keyspace's monotonic clock; Unix times are translated on the way in and out. One that has
//! passed deletes the key at once.
//!
//! Thread safety: functions on one command's context.

use crate::command::{
    ACCESS, Argument, ArgumentType, Arity, Command, FAST, KEY, KeySpec, Outcome, READONLY, RO, RW, Run,
    UPDATE, WRITE,
};
use crate::ctx::Ctx;
use crate::error::CommandError;
use crate::options::{Moment, integer};
use wire::Args;

const CONDITION: Argument = Argument::one_of(
    "condition",
    &[
        Argument::token("nx", "NX"),
        Argument::token("xx", "XX"),
        Argument::token("gt", "GT"),
        Argument::token("lt", "LT"),
    ],
)
.optional();

pub(super) const EXPIRE: Command = Command {
    name: "EXPIRE",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(FAST),
    keys: &[KeySpec::one(1, RW.and(UPDATE))],
    summary: "Lets a key expire after so many seconds.",
    args: &[KEY, Argument::new("seconds", ArgumentType::Integer), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::InSeconds, "expire")),
    ..Command::DEFAULT
};

pub(super) const PEXPIRE: Command = Command {
    name: "PEXPIRE",
    since: "2.6.0",
    summary: "Lets a key expire after so many milliseconds.",
    args: &[KEY, Argument::new("milliseconds", ArgumentType::Integer), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::InMilliseconds, "pexpire")),
    ..EXPIRE
};

pub(super) const EXPIREAT: Command = Command {
    name: "EXPIREAT",
    since: "1.2.0",
    summary: "Lets a key expire at a Unix time in seconds.",
    args: &[KEY, Argument::new("unix-time-seconds", ArgumentType::UnixTime), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::AtSeconds, "expireat")),
    ..EXPIRE
};

pub(super) const PEXPIREAT: Command = Command {
    name: "PEXPIREAT",
    since: "2.6.0",
    summary: "Lets a key expire at a Unix time in milliseconds.",
    args: &[KEY, Argument::new("unix-time-milliseconds", ArgumentType::UnixTime), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::AtMilliseconds, "pexpireat")),
    ..EXPIRE
};

/// Which deadlines an EXPIRE replaces.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// NX: none.
    none: bool,
    /// XX: any.
    any: bool,
    /// GT: an earlier one; no deadline counts as the latest.
    earlier: bool,
    /// LT: a later one, or none.
    later: bool,
}

impl Conditions {
    fn parse(words: Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for word in words {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            match () {
                () if is(b"NX") => conditions.none = true,
                () if is(b"XX") => conditions.any = true,
                () if is(b"GT") => conditions.earlier = true,
                () if is(b"LT") => conditions.later = true,
                () => return Err(CommandError::unsupported_option(word)),
            }
        }
        let Conditions { none, any, earlier, later } = conditions;
        if none && (any || earlier || later) {
            return Err(CommandError::NX_WITH_OTHERS);
        }
        if earlier && later {
            return Err(CommandError::GT_WITH_LT);
        }
        Ok(conditions)
    }

    /// Whether `new_ms` replaces `old_ms`, both on the same clock.
    fn allow(self, old_ms: Option<i64>, new_ms: i64) -> bool {
        let Conditions { none, any, earlier, later } = self;
        match old_ms {
            None => !any && !earlier,
            Some(old_ms) => !none && (!earlier || new_ms > old_ms) && (!later || new_ms < old_ms),
        }
    }
}

fn expire(ctx: &mut Ctx<'_>, args: Args<'_>, moment: Moment, command: &str) -> Outcome {
    let key = args.at(1);
    let conditions = Conditions::parse(args.from(3))?;
    let number = integer(args.at(2))?;
    let now_ms = ctx.data.now_ms();
    let deadline_ms = moment.deadline_ms(number, ctx.instance, now_ms);
    let deadline_ms = deadline_ms.ok_or_else(|| CommandError::invalid_expire(command))?;
    let changed = match ctx.data.find(key).map(|entry| entry.expiry_ms()) {
        Some(old_ms) if conditions.allow(old_ms, deadline_ms) => {
            if deadline_ms <= now_ms {
                ctx.data.delete(key)
            } else {
                ctx.data.set_deadline(key, Some(deadline_ms))
            }
        }
        _ => false,
    };
    ctx.reply.integer(i64::from(changed));
    Ok(())
}

pub(super) const TTL: Command = Command {
    name: "TTL",
    arity: Arity::Exactly(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::one(1, RO.and(ACCESS))],
    summary: "Returns how many seconds a key has left: -1 without a deadline, -2 without such a key.",
    args: &[KEY],
    run: Run::Body(|ctx, args| tell(ctx, args, |ctx, expiry_ms| seconds(left_ms(ctx, expiry_ms)))),
    ..Command::DEFAULT
};

pub(super) const PTTL: Command = Command {
    name: "PTTL",
    since: "2.6.0",
    summary: "Returns how many milliseconds a key has left: -1 without a deadline, -2 without such a key.",
    run: Run::Body(|ctx, args| tell(ctx, args, left_ms)),
    ..TTL
};

pub(super) const EXPIRETIME: Command = Command {
    name: "EXPIRETIME",
    since: "7.0.0",
    summary: "Returns the Unix time in seconds at which a key expires: -1 for never, -2 without such a key.",
    run: Run::Body(|ctx, args| tell(ctx, args, |ctx, expiry_ms| seconds(ctx.instance.to_unix_ms(expiry_ms)))),
    ..TTL
};

pub(super) const PEXPIRETIME: Command = Command {
    name: "PEXPIRETIME",
    since: "7.0.0",
    summary: "Returns the Unix time in milliseconds at which a key expires: -1 for never, -2 without such a key.",
    run: Run::Body(|ctx, args| tell(ctx, args, |ctx, expiry_ms| ctx.instance.to_unix_ms(expiry_ms))),
    ..TTL
};

fn left_ms(ctx: &Ctx<'_>, expiry_ms: i64) -> i64 {
    (expiry_ms - ctx.data.now_ms()).max(0)
}

/// Rounded to the nearest second, as Redis does.
fn seconds(milliseconds: i64) -> i64 {
    milliseconds / 1000 + i64::from(milliseconds % 1000 >= 500)
}

fn tell(ctx: &mut Ctx<'_>, args: Args<'_>, of: impl FnOnce(&Ctx<'_>, i64) -> i64) -> Outcome {
    let answer = match ctx.data.look(args.at(1)).map(|entry| entry.expiry_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(expiry_ms)) => of(ctx, expiry_ms),
    };
    ctx.reply.integer(answer);
    Ok(())
}

pub(super) const PERSIST: Command = Command {
    name: "PERSIST",
    arity: Arity::Exactly(2),
    flags: WRITE.and(FAST),
    keys: &[KeySpec::one(1, RW.and(UPDATE))],
    since: "2.2.0",
    summary: "Removes a key's deadline.",
    args: &[KEY],
    run: Run::Body(persist),
    ..Command::DEFAULT
};

fn persist(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let key = args.at(1);
    let expires = ctx.data.find(key).is_some_and(|entry| entry.expiry_ms().is_some());
    let removed = expires && ctx.data.set_deadline(key, None);
    ctx.reply.integer(i64::from(removed));
    Ok(())
}
