//! What an observer is: one [`ObserverSpec`] literal says what it is called, what it shows, how sure it is, within which
//! memory, and by which functions it is merged, reported, judged, reset and measured.
//!
//! Not the observers themselves (`observers`). PROF's subcommands, the addresses under `/api/profile/`, the switches, PROF
//! COST, PROF RESET, PROF REPORT's evidence and findings, /metrics and the reference page all derive from these literals.
//!
//! Invariants:
//! 1. Beyond its folder and the list [`OBSERVERS`], only those name an observer who hand it what it observes:
//!    `record::Recorder`, [`Recorded`] and [`Snapshot`], which hold its state, and dispatch.
//! 2. Numbers, names and places are unique; the directive is `profiling-<name>`, the subcommand the name in capitals.
//! 3. An observer's report is made from its own figures, the exact counters, the clients and the facts: nothing else is
//!    merged for it.
//! 4. An [`Observer`] is a position in [`OBSERVERS`], known when compiling: asking a switch is one load.
//!
//! Thread safety: constants.

use crate::observers::OBSERVERS;
use crate::record::baseline::Baseline;
use crate::record::{Recorded, Recorders, Snapshot};
use crate::report::findings::Finding;
use crate::report::metrics::Exposition;
use crate::report::value::Node;
use crate::report::{Asked, Input};

/// An observer, as one literal.
pub struct ObserverSpec {
    /// In the list of all observers that Limpid is to have.
    pub number: u8,
    /// Where it stands in lists for people: what is asked for most comes first.
    pub place: u8,
    /// Its report. The report's name is the observer's.
    pub report: ReportSpec,
    /// The switch's directive: `profiling-<name>`.
    pub directive: &'static str,
    /// What the directive says about itself.
    pub switch: &'static str,
    /// Method, exactness or error bound, each with the word that the reference page puts in front.
    pub doc: &'static [(&'static str, &'static str)],
    /// The bound of its memory, in words.
    pub bound: &'static str,
    /// The bound of its memory on one worker, bytes.
    pub memory_bytes_max: usize,
    /// The bound of what all workers share, bytes.
    pub shared_bytes_max: usize,
    /// Bytes held on one worker.
    pub memory_bytes: fn(&Recorded) -> usize,
    /// INFO and MEMORY ask for its figures every second: it is merged for them, too, so this must be quick.
    pub is_statistic: bool,
    /// Its figures are by node of the tree of prefixes that all workers share.
    pub is_over_tree: bool,
    /// Adds a worker's figures to a snapshot at a moment of `Recorder::begin_batch`'s clock; returns how often it was called
    /// since the reset.
    pub merge: fn(&mut Snapshot, &Recorded, u64) -> u64,
    /// PROF RESET: forgets what is no counter, but for what is stored.
    pub reset: fn(&Recorders),
    /// PROF RESET: notes where its counters stand, if it keeps any; reports subtract that.
    pub rebase: Option<fn(&mut Baseline, &Snapshot)>,
    /// CONFIG RESETSTAT begins its counters again, because INFO shows them. Its window begins again with them.
    pub restarts_with_statistics: bool,
    /// What its figures say that hurts.
    pub findings: fn(&Input<'_>) -> Vec<Finding>,
    /// Fields of its report that PROF REPORT leaves out.
    pub evidence_without: &'static [&'static str],
    /// What the page at `/` shows of it.
    pub headline: Option<Headline>,
    /// Writes its families; the input has no window.
    pub metrics: fn(&mut Exposition, &Input<'_>),
    /// Nanoseconds of one typical call, measured on a scratch instance.
    pub call_ns: fn() -> f64,
}

/// A report: a subcommand of PROF and an address under `/api/profile/`.
pub struct ReportSpec {
    /// Its address: `/api/profile/<name>`.
    pub name: &'static str,
    /// The subcommand of PROF: the name in capitals.
    pub subcommand: &'static str,
    /// One sentence for PROF HELP, COMMAND DOCS and the reference.
    pub summary: &'static str,
    /// A few words for lists of reports.
    pub shows: &'static str,
    /// What may be asked besides the form.
    pub options: Options,
    /// PROF answers it as text unless told otherwise: it is for people.
    pub is_text: bool,
    /// Makes it.
    pub make: fn(&Input<'_>, &Asked) -> Node,
}

/// What may be asked of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Options {
    /// Nothing.
    None,
    /// How many rows its lists have.
    Count,
    /// One command, in detail.
    Command,
}

/// A table of a report that the page at `/` shows.
pub struct Headline {
    /// Its heading.
    pub title: &'static str,
    /// The list in the report.
    pub list: &'static str,
    /// Fields of its rows, each with the column's heading.
    pub columns: &'static [(&'static str, &'static str)],
}

/// An observer by its position in [`OBSERVERS`]. Each folder defines its own: `Observer::HOTKEYS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observer(u8);

impl ReportSpec {
    /// The observer whose report it is, if it is not one over all of them.
    pub fn observer(&self) -> Option<Observer> {
        Observer::from_name(self.name)
    }
}

impl Observer {
    /// How many there are.
    pub const COUNT: usize = OBSERVERS.len();

    /// The observer of a literal; does not compile if it is not in the list.
    pub const fn of(spec: &ObserverSpec) -> Observer {
        let mut at = 0;
        while OBSERVERS[at].number != spec.number {
            at += 1;
        }
        Observer(at as u8)
    }

    /// Its position: index of arrays that have a place per observer.
    #[inline(always)]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its literal.
    pub const fn spec(self) -> &'static ObserverSpec {
        OBSERVERS[self.index()]
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.spec().report.name
    }

    /// All, in the order of the list.
    pub fn all() -> impl Iterator<Item = Observer> {
        (0..Self::COUNT as u8).map(Observer)
    }

    /// All, in the order of lists for people.
    pub fn by_place() -> impl Iterator<Item = Observer> {
        let mut all: Vec<Observer> = Self::all().collect();
        all.sort_by_key(|observer| observer.spec().place);
        all.into_iter()
    }

    /// The observer of a name, case-insensitive.
    pub fn from_name(name: &str) -> Option<Observer> {
        Self::all().find(|observer| observer.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_words_of_a_literal_belong_together_and_to_no_other() {
        let (mut numbers, mut places, mut names) = (HashSet::new(), HashSet::new(), HashSet::new());
        for (at, spec) in OBSERVERS.iter().enumerate() {
            let ReportSpec { name, subcommand, summary, shows, .. } = spec.report;
            assert_eq!(name.to_ascii_uppercase(), subcommand);
            assert_eq!(format!("profiling-{name}"), spec.directive);
            assert!(numbers.insert(spec.number) && places.insert(spec.place) && names.insert(name), "{name}");
            assert!(spec.switch.ends_with(&format!("PROF {subcommand}.")), "{name}");
            assert!(summary.ends_with('.') && !shows.is_empty() && !spec.bound.is_empty(), "{name}");
            let words = ["exact", "Exact", "Bound"];
            assert!(
                spec.doc.iter().any(|(word, text)| words.contains(word) || text.contains("exact")),
                "{name}"
            );
            assert!(spec.memory_bytes_max > 0, "{name}");
            let observer = Observer::of(spec);
            assert_eq!((observer.index(), observer.name()), (at, name));
            assert_eq!(Observer::from_name(subcommand), Some(observer));
        }
        assert_eq!(Observer::from_name("all"), None);
    }
}
