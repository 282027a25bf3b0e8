//! Deadlines: EXPIRE and its variants set them, TTL and its variants tell them, PERSIST removes them.
//!
//! A deadline is kept on the keyspace's monotonic clock; Unix times are translated on the way in and out. One that has
//! passed deletes the key at once.
//!
//! Thread safety: functions on one command's context.

use crate::options::{Moment, integer, unix_ms_text};
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ACCESS, Argument, ArgumentType, Arity, Command, Effect, FAST, KEY, KeySpec, Outcome, READONLY, RO, RW,
    Run, UPDATE, WRITE,
};
use keyspace::Event;
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

pub(super) const COMMANDS: &[Command] =
    &[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST];

const EXPIRE: Command = Command {
    name: "EXPIRE",
    arity: Arity::AtLeast(3),
    flags: WRITE.and(FAST),
    effect: Effect::Rewrites,
    keys: &[KeySpec::one(1, RW.and(UPDATE))],
    summary: "Lets a key expire after so many seconds.",
    args: &[KEY, Argument::new("seconds", ArgumentType::Integer), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::InSeconds, "expire")),
    ..Command::DEFAULT
};

const PEXPIRE: Command = Command {
    name: "PEXPIRE",
    since: "2.6.0",
    summary: "Lets a key expire after so many milliseconds.",
    args: &[KEY, Argument::new("milliseconds", ArgumentType::Integer), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::InMilliseconds, "pexpire")),
    ..EXPIRE
};

const EXPIREAT: Command = Command {
    name: "EXPIREAT",
    since: "1.2.0",
    summary: "Lets a key expire at a Unix time in seconds.",
    args: &[KEY, Argument::new("unix-time-seconds", ArgumentType::UnixTime), CONDITION],
    run: Run::Body(|ctx, args| expire(ctx, args, Moment::AtSeconds, "expireat")),
    ..EXPIRE
};

const PEXPIREAT: Command = Command {
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
            let instance = ctx.instance;
            if deadline_ms <= now_ms {
                ctx.rewrite(|effect| effect.request(&[b"UNLINK", key]));
                ctx.data.delete(key, Event::Del)
            } else {
                ctx.rewrite(|effect| {
                    effect.request(&[b"PEXPIREAT", key, &unix_ms_text(instance, deadline_ms)])
                });
                ctx.data.set_deadline(key, Some(deadline_ms), Event::Expire)
            }
        }
        _ => false,
    };
    ctx.reply.integer(i64::from(changed));
    Ok(())
}

const TTL: Command = Command {
    name: "TTL",
    tips: &["nondeterministic_output"],
    arity: Arity::Exactly(2),
    flags: READONLY.and(FAST),
    keys: &[KeySpec::one(1, RO.and(ACCESS))],
    summary: "Returns how many seconds a key has left: -1 without a deadline, -2 without such a key.",
    args: &[KEY],
    run: Run::Body(|ctx, args| tell(ctx, args, |ctx, expiry_ms| seconds(left_ms(ctx, expiry_ms)))),
    ..Command::DEFAULT
};

const PTTL: Command = Command {
    name: "PTTL",
    tips: &["nondeterministic_output"],
    since: "2.6.0",
    summary: "Returns how many milliseconds a key has left: -1 without a deadline, -2 without such a key.",
    run: Run::Body(|ctx, args| tell(ctx, args, left_ms)),
    ..TTL
};

const EXPIRETIME: Command = Command {
    name: "EXPIRETIME",
    tips: &[],
    since: "7.0.0",
    summary: "Returns the Unix time in seconds at which a key expires: -1 for never, -2 without such a key.",
    run: Run::Body(|ctx, args| tell(ctx, args, |ctx, expiry_ms| seconds(ctx.instance.to_unix_ms(expiry_ms)))),
    ..TTL
};

const PEXPIRETIME: Command = Command {
    name: "PEXPIRETIME",
    tips: &[],
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

const PERSIST: Command = Command {
    name: "PERSIST",
    arity: Arity::Exactly(2),
    flags: WRITE.and(FAST),
    effect: Effect::Verbatim,
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
    let removed = expires && ctx.data.set_deadline(key, None, Event::Persist);
    ctx.reply.integer(i64::from(removed));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::{NOT_AN_INTEGER, converse, hear};
    use crate::testing::Bench;

    #[test]
    fn deadlines_in_all_four_forms() {
        converse(&[
            ("TTL a", ":-2"),
            ("PTTL a", ":-2"),
            ("EXPIRETIME a", ":-2"),
            ("PEXPIRETIME a", ":-2"),
            ("EXPIRE a 10", ":0"),
            ("PERSIST a", ":0"),
            ("SET a 1", "+OK"),
            ("TTL a", ":-1"),
            ("PTTL a", ":-1"),
            ("EXPIRETIME a", ":-1"),
            ("PEXPIRETIME a", ":-1"),
            ("PERSIST a", ":0"),
            ("EXPIRE a 100", ":1"),
            ("TTL a", ":100"),
            ("PEXPIRE a 200000", ":1"),
            ("TTL a", ":200"),
            ("EXPIREAT a 4102444800", ":1"),
            ("PEXPIRETIME a", ":4102444800000"),
            ("PEXPIREAT a 4102444800499", ":1"),
            ("EXPIRETIME a", ":4102444800"),
            ("PEXPIREAT a 4102444800500", ":1"),
            ("EXPIRETIME a", ":4102444801"),
            ("PEXPIREAT a 9223372036854775807", ":1"),
            ("PEXPIRETIME a", ":9223372036854775807"),
            ("EXPIRETIME a", ":9223372036854776"),
            ("PERSIST a", ":1"),
            ("TTL a", ":-1"),
        ]);
    }

    #[test]
    fn a_deadline_in_the_past_deletes() {
        let mut bench = Bench::new();
        for request in
            ["EXPIRE a 0", "EXPIRE a -1", "PEXPIRE a -9223372036854775808", "EXPIREAT a 1", "PEXPIREAT a -5"]
        {
            hear(&mut bench, &[("SET a 1", "+OK"), (request, ":1"), ("EXISTS a", ":0")]);
        }
    }

    #[test]
    fn conditions_that_meet_the_old_deadline() {
        converse(&[
            ("SET a 1", "+OK"),
            ("EXPIRE a 10 XX", ":0"),
            ("EXPIRE a 10 GT", ":0"),
            ("EXPIRE a 100 LT", ":1"),
            ("EXPIRE a 10 NX", ":0"),
            ("EXPIRE a 50 GT", ":0"),
            ("EXPIRE a 200 GT", ":1"),
            ("EXPIRE a 300 LT", ":0"),
            ("EXPIRE a 100 XX LT", ":1"),
            ("EXPIRE a 150 xx gt", ":1"),
            ("TTL a", ":150"),
            ("PERSIST a", ":1"),
            ("EXPIRE a 10 NX", ":1"),
            ("EXPIRE a -1 GT", ":0"),
            ("EXPIRE a -1 LT", ":1"),
            ("EXISTS a", ":0"),
        ]);
    }

    #[test]
    fn an_equal_deadline_is_neither_earlier_nor_later() {
        let none = Conditions::default();
        let (earlier, later) = (Conditions { earlier: true, ..none }, Conditions { later: true, ..none });
        assert!(none.allow(Some(5), 5));
        assert!(!earlier.allow(Some(5), 5) && !later.allow(Some(5), 5));
    }

    #[test]
    fn refusals() {
        let incompatible = "-ERR NX and XX, GT or LT options at the same time are not compatible";
        converse(&[
            ("EXPIRE a 10 NX XX", incompatible),
            ("EXPIRE a 10 GT NX", incompatible),
            ("EXPIRE a 10 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE a x FOO", "-ERR Unsupported option FOO"),
            ("EXPIRE a x", NOT_AN_INTEGER),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a -9223372036854775808", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT a 9223372036854776", "-ERR invalid expire time in 'expireat' command"),
            ("EXPIRE a", "-ERR wrong number of arguments for 'expire' command"),
        ]);
    }
}
