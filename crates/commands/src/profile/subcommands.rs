//! The table of PROF's subcommands: one per report, made from the report's literal, and the two that are no report.
//!
//! Not what they do (`profile`). A report that is added to an observer's literal is a subcommand without an edit here.
//!
//! Thread safety: constants.

use engine::spec::{
    ADMIN, Argument, ArgumentType, Arity, Command, Group, LOADING, NOSCRIPT, REPORTS, Run, STALE,
};
use observe::observers::OBSERVERS;
use observe::report::reports;
use observe::spec::{Options, ReportSpec};

const FORMS: &[Argument] =
    &[Argument::token("json", "JSON"), Argument::token("text", "TEXT"), Argument::token("resp", "RESP")];
const FORM: Argument = Argument::one_of("form", FORMS).optional();
const COUNT: Argument = Argument::new("count", ArgumentType::Integer).after("COUNT").optional();
const COMMAND: Argument = Argument::new("command", ArgumentType::Text).optional();

/// What PROF RESET may name.
const NAMES: [Argument; OBSERVERS.len()] = {
    let mut names = [Argument::token("", ""); OBSERVERS.len()];
    let mut at = 0;
    while at < names.len() {
        let report = &OBSERVERS[at].report;
        names[at] = Argument::token(report.name, report.subcommand);
        let mut place = at;
        while place > 0 && is_before(names[place].name, names[place - 1].name) {
            names.swap(place, place - 1);
            place -= 1;
        }
        at += 1;
    }
    names
};

const SUBCOMMAND: Command = Command {
    arity: Arity::AtLeast(2),
    flags: LOADING.and(STALE).and(NOSCRIPT).and(REPORTS),
    group: Group::Server,
    categories: &["dangerous"],
    since: "0.1.0",
    complexity: "O(1); what is kept is bounded",
    args: &[FORM],
    ..Command::DEFAULT
};

const HELP: Command = Command {
    name: "HELP",
    arity: Arity::Exactly(2),
    flags: LOADING.and(STALE),
    complexity: "O(1)",
    summary: "Show this text.",
    args: &[],
    run: Run::Body(crate::usage::help),
    ..SUBCOMMAND
};

const RESET: Command = Command {
    name: "RESET",
    flags: SUBCOMMAND.flags.and(ADMIN),
    categories: &[],
    summary: "Forget traffic and timings, of one observer or of all.",
    args: &[Argument::one_of("observer", &NAMES).optional()],
    run: Run::Body(super::reset),
    ..SUBCOMMAND
};

const fn of_report(report: &ReportSpec) -> Command {
    Command {
        name: report.subcommand,
        summary: report.summary,
        args: match report.options {
            Options::None => &[FORM],
            Options::Count => &[COUNT, FORM],
            Options::Command => &[COMMAND, FORM],
        },
        run: Run::Slices(super::answer),
        ..SUBCOMMAND
    }
}

/// By name, as HELP lists them.
pub(super) const SUBCOMMANDS: [Command; reports::COUNT + 2] = {
    let mut all = [SUBCOMMAND; reports::COUNT + 2];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at {
            0 => HELP,
            1 => RESET,
            _ => of_report(reports::REPORTS[at - 2]),
        };
        let mut place = at;
        while place > 0 && is_before(all[place].name, all[place - 1].name) {
            all.swap(place, place - 1);
            place -= 1;
        }
        at += 1;
    }
    all
};

/// Whether a name comes before another, by its bytes: `str`'s own order is not known while compiling.
const fn is_before(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at < other.len() && (at >= one.len() || one[at] < other[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_a_subcommand_and_they_are_sorted() {
        assert!(SUBCOMMANDS.is_sorted_by_key(|command| command.name));
        for report in reports::REPORTS {
            let command = SUBCOMMANDS.iter().find(|command| command.name == report.subcommand);
            assert_eq!(command.map(|command| command.summary), Some(report.summary));
        }
        for spec in OBSERVERS {
            assert!(NAMES.iter().any(|name| name.token == Some(spec.report.subcommand)));
        }
        assert!(NAMES.is_sorted_by_key(|name| name.name));
    }
}
