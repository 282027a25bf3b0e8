//! What a command is: one literal per command holds its name, arity, flags, keys, documentation and function.
//!
//! Everything that is said about a command derives from these literals: COMMAND and its subcommands, ACL categories,
//! key extraction, hints, the reference page. Nothing here runs one; see `dispatch`.
//!
//! Thread safety: literals in static tables.

mod run;

pub(crate) use self::run::SlicedHold;
pub use self::run::{Outcome, Progress, Run, Slice};

use crate::spec::argument::Argument;
use crate::spec::effect::Effect;
use crate::spec::flags::{ADMIN, BLOCKING, FAST, Flags, MOVABLE_KEYS, READONLY, WRITE};
use crate::spec::group::Group;
use crate::spec::key_spec::{KeyFlags, KeySpec, LegacyRange, Malformed, NOT_KEY};
use wire::Args;

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    Exactly(u16),
    AtLeast(u16),
}

impl Arity {
    pub fn accepts(self, arguments: usize) -> bool {
        match self {
            Arity::Exactly(count) => arguments == usize::from(count),
            Arity::AtLeast(count) => arguments >= usize::from(count),
        }
    }

    /// As COMMAND INFO says it: negative for "at least".
    pub fn signed(self) -> i64 {
        match self {
            Arity::Exactly(count) => i64::from(count),
            Arity::AtLeast(count) => -i64::from(count),
        }
    }
}

/// A command; see the module's text.
pub struct Command {
    /// Upper case; a subcommand's own name without its container's.
    pub name: &'static str,
    pub arity: Arity,
    pub flags: Flags,
    /// What replays what it did; every command with the flag `WRITE` has one.
    pub effect: Effect,
    pub keys: &'static [KeySpec],
    pub group: Group,
    /// Further ACL categories that do not follow from flags or group, without `@`.
    pub categories: &'static [&'static str],
    /// What a client that talks to several servers should know (COMMAND INFO, command tips).
    pub tips: &'static [&'static str],
    pub since: &'static str,
    pub complexity: &'static str,
    pub summary: &'static str,
    pub args: &'static [Argument],
    pub subcommands: &'static [Command],
    /// What a request does to its keys, where that depends on its options (`VARIABLE_FLAGS`).
    pub key_flags: Option<fn(Args<'_>) -> KeyFlags>,
    /// What finds the keys where the specifications cannot say it: an unknown place, or one that depends on options.
    pub find_keys: Option<FindKeysOf>,
    /// Keys in other databases than the selected one (MOVE, COPY).
    pub other_databases: Option<OtherDatabases>,
    pub run: Run,
}

/// Calls back with the index of each key of a request and what the command does to it; not at all if it is malformed.
pub type FindKeysOf = fn(Args<'_>, &mut dyn FnMut(usize, KeyFlags));

/// Calls back with the database and the index of each key of a request that lies in another database than the selected
/// one.
pub type OtherDatabases = fn(Args<'_>, &mut dyn FnMut(usize, usize));

impl Command {
    /// What most commands are like; fill in the rest with `..Command::DEFAULT`.
    pub const DEFAULT: Command = Command {
        name: "",
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
        effect: Effect::None,
        keys: &[],
        group: Group::Generic,
        categories: &[],
        tips: &[],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "",
        args: &[],
        subcommands: &[],
        key_flags: None,
        find_keys: None,
        other_databases: None,
        run: Run::Container,
    };

    /// Whether the command's only key is its first argument: the shape that needs no key extraction.
    pub fn has_one_key(&self) -> bool {
        let is_first = matches!(self.keys, [spec] if spec.is_first_argument());
        is_first && self.find_keys.is_none() && self.other_databases.is_none()
    }

    /// Whether a request may have keys.
    pub fn has_keys(&self) -> bool {
        self.find_keys.is_some() || self.keys.iter().any(|spec| !spec.flags.has(NOT_KEY))
    }

    /// Calls back with the index of every key of the request in the selected database, and what is done to it. Those of
    /// a malformed request are found as far as they are where they should be.
    pub fn each_key(&self, args: Args<'_>, mut visit: impl FnMut(usize, KeyFlags)) -> Result<(), Malformed> {
        if let Some(find_keys) = self.find_keys {
            let mut keys = 0;
            find_keys(args, &mut |index, flags| {
                keys += 1;
                visit(index, flags);
            });
            return if keys > 0 { Ok(()) } else { Err(Malformed) };
        }
        let varying = self.key_flags.map(|of| of(args));
        let mut found = Ok(());
        for spec in self.keys {
            match spec.indices(args) {
                Ok(indices) => indices.for_each(|index| visit(index, varying.unwrap_or(spec.flags))),
                Err(malformed) => found = Err(malformed),
            }
        }
        found
    }

    /// The flags that clients are told of.
    pub fn shown_flags(&self) -> Flags {
        let is_movable = LegacyRange::of(self.keys).is_movable;
        if is_movable { self.flags | MOVABLE_KEYS } else { self.flags }
    }

    /// ACL categories, with `@`, as Redis derives them.
    pub fn acl_categories(&self) -> Vec<String> {
        let flags = self.flags;
        let derived = [
            (flags.has(WRITE), "write"),
            (flags.has(READONLY), "read"),
            (flags.has(ADMIN), "admin"),
            (flags.has(ADMIN), "dangerous"),
            (flags.has(FAST), "fast"),
            (flags.has(BLOCKING), "blocking"),
            (!flags.has(FAST), "slow"),
        ];
        // A container belongs to no group: its subcommands do.
        let category = self.group.category().filter(|_| !matches!(self.run, Run::Container));
        let mut names: Vec<&str> = category.into_iter().collect();
        names.extend(derived.iter().filter(|(applies, _)| *applies).map(|(_, name)| *name));
        names.extend(self.categories);
        names.dedup();
        names.into_iter().map(|name| format!("@{name}")).collect()
    }
}
