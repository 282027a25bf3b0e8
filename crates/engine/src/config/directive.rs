//! What a directive is: its name, its kind of value, its default, when it may change, what Limpid does with it, and
//! where its value lives.
//!
//! One [`Directive`] literal in `table/` is the single source: the file loader, CONFIG GET/SET/REWRITE, the warnings
//! at start, the slot (`slots.rs`), the typed reads (`setting.rs`) and the tests of `limpid.conf` all derive from it.
//! This file holds no values: those are in `settings.rs`.
//!
//! Thread safety: constants and pure functions.

/// The values a directive takes. The canonical text of each is what CONFIG GET prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// `yes` or `no`, also written `on` and `off`; printed as `yes` and `no`.
    Switch,
    /// A decimal integer, both ends inclusive.
    Int { min: i64, max: i64 },
    /// Bytes, with a unit (`1k` = 1000, `1kb` = 1024, likewise m, g); printed as plain bytes.
    Size { min: u64, max: u64 },
    /// [`Kind::Size`] or a percentage of `maxmemory` (`5%`).
    SizeOrPercent,
    /// File permissions as an octal number, at most 777.
    Octal,
    /// One of these words, whatever the case.
    Enum(&'static [&'static str]),
    /// Some of these words.
    Flags(&'static [&'static str]),
    /// Any UTF-8 text.
    Text,
    /// Text that is never logged.
    Secret,
    /// A number of words.
    Words { min: usize, max: usize },
    /// Numbers from 0 to 100.
    Percentiles,
    /// Letters that name classes of keyspace events.
    EventClasses,
    /// `class hard soft seconds`, repeated; classes that are not named keep their limits.
    OutputBufferLimit,
    /// `seconds changes`, repeated; a first line replaces the default, later lines add to it, `""` clears.
    Save,
}

/// When a directive may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At start and by CONFIG SET.
    Anytime,
    /// At start only.
    AtStart,
    /// At start; CONFIG SET takes the value it has. Other servers change it while they run, so tools set it.
    AtRestart,
    /// By CONFIG SET only where `enable-protected-configs` allows it.
    Protected,
}

/// What Limpid does with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Limpid acts on it.
    Live,
    /// Harmless tuning of something that Limpid does differently or not at all: any value is stored and has no effect.
    Accepted,
    /// The feature is absent: only the values in `off` are accepted in silence.
    Absent {
        /// The canonical texts that mean "off"; the default is among them.
        off: &'static [&'static str],
        /// What any other value does at start.
        otherwise: Refusal,
    },
}

/// What an absent feature's "on" value does to a starting server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A warning; the directive stays off.
    Warn,
    /// The start fails: ignoring the directive would lose data or protection.
    Stop,
}

/// Where a directive's value lives while the server runs, for those who read it without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Words of its own, as many as its kind needs; which ones follows from its place in the table.
    Own,
    /// This bit of the one word that switches share of which somebody asks for all at once.
    Bit(u8),
}

/// Takes the canonical text of a directive's kind; gives the text to keep, which may be another one (Redis clamps some
/// numbers in silence) and passes the check unchanged, or the reason why not, in Redis's words.
pub type Check = fn(&str) -> Result<String, String>;

/// One directive of the configuration.
#[derive(Debug)]
pub struct Directive {
    /// Lower case, as CONFIG GET prints it.
    pub name: &'static str,
    /// Older or other names of the same setting; CONFIG GET prints them too.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// In canonical form.
    pub default: &'static str,
    /// What a value has to satisfy beyond its kind.
    pub check: Option<Check>,
    pub change: Change,
    /// A pattern of CONFIG GET does not find it; its name does. For what only tests of other servers use.
    pub is_hidden: bool,
    pub slot: Slot,
    pub support: Support,
    /// Live: what `limpid.conf` says of it, paragraphs by line; lines that begin with blanks stay as they are, and nothing
    /// at all means that the text of the directive before it speaks of both. Otherwise: why it has no effect, as a clause
    /// that reads well after `name: `.
    pub summary: &'static str,
}

impl Directive {
    const fn of(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        support: Support,
        summary: &'static str,
    ) -> Self {
        let change = Change::Anytime;
        Directive {
            name,
            aliases: &[],
            kind,
            default,
            check: None,
            change,
            is_hidden: false,
            slot: Slot::Own,
            support,
            summary,
        }
    }

    pub(super) const fn live(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        summary: &'static str,
    ) -> Self {
        Directive::of(name, kind, default, Support::Live, summary)
    }

    pub(super) const fn accepted(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        why: &'static str,
    ) -> Self {
        Directive::of(name, kind, default, Support::Accepted, why)
    }

    /// `off` holds the values that are accepted in silence; the first is the default.
    pub(super) const fn absent(
        name: &'static str,
        kind: Kind,
        off: &'static [&'static str],
        otherwise: Refusal,
        why: &'static str,
    ) -> Self {
        Directive::of(name, kind, off[0], Support::Absent { off, otherwise }, why)
    }

    pub(super) const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Directive { aliases, ..self }
    }

    pub(super) const fn checked(self, check: Check) -> Self {
        Directive { check: Some(check), ..self }
    }

    pub(super) const fn at_start(self) -> Self {
        Directive { change: Change::AtStart, ..self }
    }

    pub(super) const fn at_restart(self) -> Self {
        Directive { change: Change::AtRestart, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Directive { is_hidden: true, ..self }
    }

    pub(super) const fn protected(self) -> Self {
        Directive { change: Change::Protected, ..self }
    }

    /// Of the switches that share a word.
    pub(super) const fn bit(self, bit: u8) -> Self {
        Directive { slot: Slot::Bit(bit), ..self }
    }

    /// Whether the canonical `text` switches on a feature that Limpid does not have.
    pub fn is_absent_feature(&self, text: &str) -> bool {
        match self.support {
            Support::Absent { off, .. } => !off.contains(&text),
            Support::Live | Support::Accepted => false,
        }
    }
}

/// Names that a configuration file may hold and CONFIG GET never prints. They take the rest of the line as it is.
#[derive(Debug)]
pub struct FileOnly {
    pub name: &'static str,
    pub otherwise: Refusal,
    /// Why it is refused or ignored.
    pub why: &'static str,
}
