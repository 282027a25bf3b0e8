//! SHUTDOWN: the server's end, as far as a client may ask for it.
//!
//! Not the stopping itself: each worker leaves its loop when it sees that it is to.
//!
//! Thread safety: the body runs on one worker and tells the others through the instance.

use super::SERVER;
use engine::error::CommandError;
use engine::run::ctx::Ctx;
use engine::spec::{
    ADMIN, ALLOW_BUSY, Argument, Command, LOADING, NO_MULTI, NOSCRIPT, OUTSIDE, Outcome, Run, STALE,
};
use wire::Args;

const SAVE_MODES: &[Argument] = &[Argument::token("nosave", "NOSAVE"), Argument::token("save", "SAVE")];

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "SHUTDOWN",
    flags: ADMIN.and(NOSCRIPT).and(LOADING).and(STALE).and(NO_MULTI).and(ALLOW_BUSY).and(OUTSIDE),
    summary: "Stop the server.",
    args: &[
        Argument::one_of("save-selector", SAVE_MODES).optional(),
        Argument::token("now", "NOW").optional(),
        Argument::token("force", "FORCE").optional(),
        Argument::token("abort", "ABORT").optional(),
    ],
    run: Run::Body(shutdown),
    ..SERVER
}];

/// Stops the server. There is no reply: the closed connection is the answer, as clients expect.
fn shutdown(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (mut save, mut nosave, mut now, mut force, mut abort) = (false, false, false, false, false);
    for word in args.from(1) {
        let known: [(&[u8], &mut bool); 5] = [
            (b"SAVE", &mut save),
            (b"NOSAVE", &mut nosave),
            (b"NOW", &mut now),
            (b"FORCE", &mut force),
            (b"ABORT", &mut abort),
        ];
        let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        *found.ok_or(CommandError::SYNTAX)?.1 = true;
    }
    if (save && nosave) || (abort && (save || nosave || now || force)) {
        return Err(CommandError::SYNTAX);
    }
    if abort {
        return Err(CommandError::NO_SHUTDOWN_IN_PROGRESS);
    }
    // Who asks to save must not be told that all went well when nothing can be saved.
    if save && !force {
        return Err(CommandError::SHUTDOWN_CANNOT_SAVE);
    }
    ctx.session.closing = true;
    ctx.instance.stop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    fn check(bench: &mut Bench, table: &[(&str, &str)]) {
        for (line, expected) in table {
            let reply = String::from_utf8_lossy(&bench.run(line.as_bytes())).into_owned();
            assert_eq!(reply, *expected, "{line}");
        }
    }

    #[test]
    fn shutdown_stops_or_says_why_not() {
        let mut bench = Bench::new();
        check(
            &mut bench,
            &[
                ("SHUTDOWN foo", "-ERR syntax error\r\n"),
                ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n"),
                ("SHUTDOWN ABORT NOW", "-ERR syntax error\r\n"),
                ("SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"),
            ],
        );
        assert!(bench.run(b"SHUTDOWN SAVE").starts_with(b"-ERR Errors trying to SHUTDOWN."));
        assert!(!bench.session.closing);
        assert_eq!(bench.run(b"SHUTDOWN nosave now"), b"");
        assert!(bench.session.closing && bench.instance.stopping.load(std::sync::atomic::Ordering::Relaxed));
    }
}
