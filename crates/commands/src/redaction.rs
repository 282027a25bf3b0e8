//! Redaction: which arguments of a request must not be shown to anybody who was not told them.
//!
//! Every place that shows arguments (the slow log, logs, reports) asks here. The marks are in the tables: an
//! [`Argument`]'s `secrecy`, a directive's `Kind::Secret`.
//!
//! Invariant: when a request does not follow its command's grammar, too much is hidden rather than too little.
//!
//! Thread safety: pure functions.

use crate::command::{Argument, Secrecy};
use crate::config::{self, Kind};
use crate::registry::Entry;
use wire::Args;

/// What stands in a secret argument's place, as in Redis.
pub const REDACTED: &[u8] = b"(redacted)";

/// The argument at `index` as it may be shown.
pub fn shown<'a>(entry: &Entry, args: Args<'a>, index: usize) -> &'a [u8] {
    let first = if entry.container.is_some() { 2 } else { 1 };
    let is_hidden =
        index >= first && entry.command.args.iter().any(|argument| hides(argument, None, args, first, index));
    if is_hidden { REDACTED } else { args.at(index) }
}

/// Whether `argument` or one of its parts hides the request's argument at `index`. `after` is the token that precedes
/// the block around it.
fn hides(argument: &Argument, after: Option<&str>, args: Args<'_>, first: usize, index: usize) -> bool {
    let after = argument.token.or(after);
    match argument.secrecy {
        Secrecy::Open => argument.parts.iter().any(|part| hides(part, after, args, first, index)),
        Secrecy::OfDirective => {
            let named = config::find(args.at(index - 1));
            named.is_some_and(|(_, directive)| directive.kind == Kind::Secret)
        }
        Secrecy::Secret => match after {
            None => true,
            // The token may stand anywhere among the options, and is followed by two words at most.
            Some(token) => (index.saturating_sub(2).max(first)..index)
                .any(|at| args.at(at).eq_ignore_ascii_case(token.as_bytes())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use wire::OwnedArgs;

    fn shown_line(line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let owned = OwnedArgs::from_slices(&words);
        let args = owned.as_args();
        let entry = crate::registry().entry(crate::registry().resolve(args).expect("a command"));
        let shown = (0..args.len()).map(|index| shown(entry, args, index));
        shown.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        for (line, wanted) in [
            ("AUTH secret", "AUTH (redacted)"),
            ("auth default secret", "auth (redacted) (redacted)"),
            ("HELLO 3 AUTH default secret", "HELLO 3 AUTH (redacted) (redacted)"),
            ("HELLO 3 SETNAME me auth default secret", "HELLO 3 SETNAME me auth (redacted) (redacted)"),
            ("HELLO 3 AUTH default secret SETNAME me", "HELLO 3 AUTH (redacted) (redacted) SETNAME me"),
            ("HELLO AUTH default secret", "HELLO AUTH (redacted) (redacted)"),
            ("CONFIG SET requirepass secret", "CONFIG SET requirepass (redacted)"),
            (
                "config set maxmemory 1 RequirePass s timeout 3",
                "config set maxmemory 1 RequirePass (redacted) timeout 3",
            ),
            ("CONFIG SET primaryauth secret", "CONFIG SET primaryauth (redacted)"),
            ("CONFIG GET requirepass", "CONFIG GET requirepass"),
            ("SET AUTH secret", "SET AUTH secret"),
            ("CLIENT SETNAME auth", "CLIENT SETNAME auth"),
        ] {
            assert_eq!(shown_line(line), wanted);
        }
    }

    #[test]
    fn the_slow_log_shows_no_password_neither_of_a_transaction() {
        let mut bench = Bench::new();
        bench.run(b"CONFIG SET slowlog-log-slower-than 0");
        bench.run(b"CONFIG SET requirepass hunter2");
        for request in ["AUTH hunter2", "HELLO 2 AUTH default hunter2", "AUTH default hunter2"] {
            bench.run(request.as_bytes());
            bench.run(format!("MULTI\r\n{request}\r\nEXEC").as_bytes());
        }
        bench.run(b"CONFIG SET requirepass hunter2 maxmemory 0");
        let log = String::from_utf8_lossy(&bench.run(b"SLOWLOG GET 100")).into_owned();
        assert!(log.contains("(redacted)") && !log.contains("hunter2"), "{log}");
        assert_eq!(log.matches("(redacted)").count(), 2 + 2 * (1 + 2 + 2));
    }
}
