//! The list of all reports, whatever asks for them: those over all observers, and one per observer.
//!
//! Not how they are asked for: PROF and the admin plane make subcommands and addresses from this list.
//!
//! Thread safety: constants.

use super::{catalogue, cost, verdict};
use crate::observers::OBSERVERS;
use crate::spec::{Observer, Options, ReportSpec};

const REPORT: ReportSpec = ReportSpec {
    name: "report",
    subcommand: "REPORT",
    summary: "Return the verdict, the findings and the evidence of all observers, as text.",
    shows: "the verdict, the findings, and the evidence of all observers",
    options: Options::None,
    is_text: true,
    make: |input, _| verdict::report(input),
};

const ADVICE: ReportSpec = ReportSpec {
    name: "advice",
    subcommand: "ADVICE",
    summary: "Return the findings alone: culprit, evidence, remedy, and what it would save.",
    shows: "the findings alone: culprit, evidence, remedy, saving",
    options: Options::None,
    is_text: false,
    make: |input, _| verdict::advice(input),
};

const COST: ReportSpec = ReportSpec {
    name: "cost",
    subcommand: "COST",
    summary: "Return what each observer costs in time and memory, measured on a scratch instance (3 ms).",
    shows: "what each observer costs in time and memory",
    options: Options::None,
    is_text: false,
    make: |input, _| cost::report(input),
};

const CATALOGUE: ReportSpec = ReportSpec {
    name: "observers",
    subcommand: "OBSERVERS",
    summary: "Return what each observer shows, how exact it is, within which memory, and its switch.",
    shows: "what each observer shows, how exact it is, and its switch",
    options: Options::None,
    is_text: false,
    make: |input, _| catalogue::report(input),
};

/// How many reports there are.
pub const COUNT: usize = 4 + OBSERVERS.len();

/// All reports, as no list for people: see [`by_place`].
pub const REPORTS: [&ReportSpec; COUNT] = {
    let mut all = [&REPORT; COUNT];
    (all[1], all[2], all[3]) = (&ADVICE, &COST, &CATALOGUE);
    let mut at = 0;
    while at < OBSERVERS.len() {
        all[4 + at] = &OBSERVERS[at].report;
        at += 1;
    }
    all
};

/// All reports, in the order of lists for people.
pub fn by_place() -> impl Iterator<Item = &'static ReportSpec> {
    let observers = Observer::by_place().map(|observer| &observer.spec().report);
    [&REPORT, &ADVICE].into_iter().chain(observers).chain([&COST, &CATALOGUE])
}

/// The report of a name or subcommand, case-insensitive.
pub fn find(name: &[u8]) -> Option<&'static ReportSpec> {
    REPORTS.into_iter().find(|report| report.name.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_found_by_its_name_and_listed_once() {
        let mut listed: Vec<&str> = by_place().map(|report| report.name).collect();
        assert_eq!(listed[..3], ["report", "advice", "hotkeys"]);
        listed.sort_unstable();
        let mut all = REPORTS.map(|report| report.name);
        all.sort_unstable();
        assert_eq!(listed, all);
        for report in REPORTS {
            assert_eq!(report.name.to_ascii_uppercase(), report.subcommand);
            assert!(find(report.subcommand.as_bytes()).is_some_and(|found| found.name == report.name));
        }
        assert!(find(b"help").is_none());
    }
}
