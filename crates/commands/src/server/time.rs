//! TIME: the server's wall clock.
//!
//! Not the clock that keys expire by, which is monotonic (see `engine::state::instance`).
//!
//! Thread safety: a pure question to the system.

use super::SERVER;
use engine::run::ctx::Ctx;
use engine::spec::{Arity, Command, FAST, LOADING, OUTSIDE, Outcome, Run, STALE};
use std::time::{SystemTime, UNIX_EPOCH};
use wire::Args;

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "TIME",
    tips: &["nondeterministic_output"],
    arity: Arity::Exactly(1),
    flags: LOADING.and(STALE).and(FAST).and(OUTSIDE),
    since: "2.6.0",
    summary: "Tell the server's time.",
    run: Run::Body(time),
    ..SERVER
}];

/// The wall clock itself, as it is this moment: the one that keys expire by is told in milliseconds only.
fn time(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ctx.reply.array(2);
    ctx.reply.bulk_i64(since.as_secs() as i64);
    ctx.reply.bulk_i64(i64::from(since.subsec_micros()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn time_is_told_in_seconds_and_microseconds() {
        let reply = String::from_utf8(Bench::new().run(b"TIME")).expect("text");
        let parts: Vec<&str> = reply.split("\r\n").collect();
        assert_eq!((parts[0], parts[1]), ("*2", "$10"));
        assert!(parts[2].parse::<i64>().expect("seconds") > 1_700_000_000);
        assert!(parts[4].parse::<i64>().expect("microseconds") < 1_000_000);
    }
}
