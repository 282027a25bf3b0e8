//! Redaction: which arguments of a request must not be shown to anybody who was not told them.
//!
//! Every place that shows arguments (the slow log, logs, reports) asks here. The marks are in the tables: an
//! [`Argument`]'s `secrecy`, a directive's `Kind::Secret`.
//!
//! Invariant: when a request does not follow its command's grammar, too much is hidden rather than too little.
//!
//! Thread safety: pure functions.

use crate::config::{self, Kind};
use crate::registry::Entry;
use crate::spec::argument::{Argument, Secrecy};
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
