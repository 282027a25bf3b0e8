//! What a command is: one literal per command holds its name, arity, flags, keys, documentation and function.
//!
//! Everything that is said about a command derives from these literals: COMMAND and its subcommands, ACL categories,
//! key extraction, hints, the reference page. Nothing here runs one; see `dispatch`.
//!
//! Thread safety: literals in static tables.

mod run;

pub use self::run::{Outcome, Progress, Run, Slice};

use crate::spec::argument::Argument;
use crate::spec::flags::{ADMIN, BLOCKING, FAST, Flags, READONLY, WRITE};
use crate::spec::group::Group;
use crate::spec::key_spec::{KeyFlags, KeySpec};
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
    /// Keys in other databases than the selected one (MOVE, COPY): calls back with (database, key).
    pub other_databases: Option<OtherDatabases>,
    pub run: Run,
}

/// Names the keys of a request that lie in other databases than the selected one.
pub type OtherDatabases = fn(Args<'_>, &mut dyn FnMut(usize, &[u8]));

impl Command {
    /// What most commands are like; fill in the rest with `..Command::DEFAULT`.
    pub const DEFAULT: Command = Command {
        name: "",
        arity: Arity::AtLeast(1),
        flags: Flags::NONE,
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
        other_databases: None,
        run: Run::Container,
    };

    /// Whether the command's only key is its first argument: the shape that needs no key extraction.
    #[inline(always)]
    pub fn has_one_key(&self) -> bool {
        matches!(self.keys, [KeySpec { first: 1, last: 1, .. }]) && self.other_databases.is_none()
    }

    /// Calls back with every key of the request in the selected database.
    pub fn each_key<'a>(&self, args: Args<'a>, mut visit: impl FnMut(&'a [u8])) {
        for spec in self.keys {
            spec.indices(args.len()).for_each(|index| visit(args.at(index)));
        }
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
