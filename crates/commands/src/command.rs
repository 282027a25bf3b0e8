//! What a command is: one literal per command holds its name, arity, flags, keys, documentation and function.
//!
//! Everything that is said about a command derives from these literals: COMMAND and its subcommands, ACL categories,
//! key extraction, hints, the reference page. Nothing here runs one; see `dispatch`.
//!
//! Thread safety: literals in static tables.

use crate::ctx::{AloneCtx, Ctx};
use crate::error::CommandError;
use crate::keys::Search;
use keyspace::Databases;
use std::sync::Arc;
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

/// A set of command flags (COMMAND INFO's third field).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u32);

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl Flags {
    pub const NONE: Flags = Flags(0);

    #[inline(always)]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// `|` for constants.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The names COMMAND INFO lists, in Redis's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

pub const WRITE: Flags = Flags(1 << 0);
pub const READONLY: Flags = Flags(1 << 1);
pub const DENYOOM: Flags = Flags(1 << 2);
pub const ADMIN: Flags = Flags(1 << 3);
pub const NOSCRIPT: Flags = Flags(1 << 4);
pub const BLOCKING: Flags = Flags(1 << 5);
pub const LOADING: Flags = Flags(1 << 6);
pub const STALE: Flags = Flags(1 << 7);
pub const SKIP_MONITOR: Flags = Flags(1 << 8);
pub const SKIP_SLOWLOG: Flags = Flags(1 << 9);
pub const FAST: Flags = Flags(1 << 10);
/// What may be timed by sample because it takes about as long every time: FAST, or `QUICK`.
pub const BRIEF: Flags = FAST.and(QUICK);
pub const NO_AUTH: Flags = Flags(1 << 11);
pub const NO_MULTI: Flags = Flags(1 << 12);
pub const MOVABLE_KEYS: Flags = Flags(1 << 13);
pub const ALLOW_BUSY: Flags = Flags(1 << 14);
pub const NO_ASYNC_LOADING: Flags = Flags(1 << 15);
pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 16);
pub const TOUCHES_ARBITRARY_KEYS: Flags = Flags(1 << 17);
/// Runs at once inside MULTI instead of being queued (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET). Not a Redis flag.
pub const NOT_QUEUED: Flags = Flags(1 << 24);

/// Reads or writes every worker's recorder (`Ctx::snapshot`), so it must hold no stripe: a transaction that contains
/// one runs behind the gate. Not a Redis flag.
pub const REPORTS: Flags = Flags(1 << 25);

/// Of constant cost, although Redis does not call it fast (SET and its kin). Not a Redis flag.
pub const QUICK: Flags = Flags(1 << 26);

/// A subcommand that only dispatch knows (DEBUG's): COMMAND does not list it, and it is counted as its container. Not a
/// Redis flag.
pub const INNER: Flags = Flags(1 << 27);

const FLAG_NAMES: &[(Flags, &str)] = &[
    (WRITE, "write"),
    (READONLY, "readonly"),
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (NO_MULTI, "no_multi"),
    (MOVABLE_KEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
    (NO_ASYNC_LOADING, "no_async_loading"),
    (NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
];

/// The ACL category and COMMAND DOCS group a command belongs to; further categories follow from its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    String,
    Generic,
    Transactions,
    Connection,
    Server,
    Cluster,
    Scripting,
}

impl Group {
    /// As COMMAND DOCS names it.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Generic => "generic",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Cluster => "cluster",
            Group::Scripting => "scripting",
        }
    }

    /// The ACL category, without `@`; none for server and cluster commands, which have those of their flags.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Group::String => Some("string"),
            Group::Generic => Some("keyspace"),
            Group::Transactions => Some("transaction"),
            Group::Connection => Some("connection"),
            Group::Scripting => Some("scripting"),
            Group::Server | Group::Cluster => None,
        }
    }
}

/// What a command does to the keys of a [`KeySpec`] (COMMAND INFO, key specifications).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFlags(pub u16);

impl std::ops::BitOr for KeyFlags {
    type Output = KeyFlags;

    fn bitor(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }
}

impl KeyFlags {
    pub const fn has(self, other: KeyFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// `|` for constants.
    pub const fn and(self, other: KeyFlags) -> KeyFlags {
        KeyFlags(self.0 | other.0)
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KEY_FLAG_NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

pub const RO: KeyFlags = KeyFlags(1 << 0);
pub const RW: KeyFlags = KeyFlags(1 << 1);
pub const OW: KeyFlags = KeyFlags(1 << 2);
pub const RM: KeyFlags = KeyFlags(1 << 3);
pub const ACCESS: KeyFlags = KeyFlags(1 << 4);
pub const UPDATE: KeyFlags = KeyFlags(1 << 5);
pub const INSERT: KeyFlags = KeyFlags(1 << 6);
pub const DELETE: KeyFlags = KeyFlags(1 << 7);
pub const VARIABLE_FLAGS: KeyFlags = KeyFlags(1 << 8);

const KEY_FLAG_NAMES: &[(KeyFlags, &str)] = &[
    (RO, "RO"),
    (RW, "RW"),
    (OW, "OW"),
    (RM, "RM"),
    (ACCESS, "access"),
    (UPDATE, "update"),
    (INSERT, "insert"),
    (DELETE, "delete"),
    (VARIABLE_FLAGS, "variable_flags"),
];

/// Where a command's keys are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Index of the first key.
    pub first: u16,
    /// Index of the last key; negative counts from the end (-1 = the last argument).
    pub last: i16,
    /// Distance between keys.
    pub step: u16,
    pub flags: KeyFlags,
    /// Why the flags are what they are, where that is not plain; else empty.
    pub notes: &'static str,
}

impl KeySpec {
    pub const fn one(index: u16, flags: KeyFlags) -> KeySpec {
        KeySpec { first: index, last: index as i16, step: 1, flags, notes: "" }
    }

    pub const fn range(first: u16, last: i16, step: u16, flags: KeyFlags) -> KeySpec {
        KeySpec { first, last, step, flags, notes: "" }
    }

    pub const fn noted(self, notes: &'static str) -> KeySpec {
        KeySpec { notes, ..self }
    }

    /// Indices of the keys in a request of `arguments` arguments.
    pub fn indices(self, arguments: usize) -> impl Iterator<Item = usize> {
        let last = if self.last < 0 { arguments as i64 + i64::from(self.last) } else { i64::from(self.last) };
        let end = (last + 1).clamp(0, arguments as i64) as usize;
        (usize::from(self.first)..end).step_by(usize::from(self.step))
    }
}

/// The type of an [`Argument`], as COMMAND DOCS names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    Key,
    Text,
    Integer,
    Double,
    Pattern,
    UnixTime,
    Token,
    OneOf,
    Block,
}

impl ArgumentType {
    pub fn name(self) -> &'static str {
        match self {
            ArgumentType::Key => "key",
            ArgumentType::Text => "string",
            ArgumentType::Integer => "integer",
            ArgumentType::Double => "double",
            ArgumentType::Pattern => "pattern",
            ArgumentType::UnixTime => "unix-time",
            ArgumentType::Token => "pure-token",
            ArgumentType::OneOf => "oneof",
            ArgumentType::Block => "block",
        }
    }
}

/// Whether an argument may be shown to others than its sender; see `redaction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Open,
    /// A password, or what comes with one.
    Secret,
    /// Secret where the argument before it names a directive that is.
    OfDirective,
}

/// One argument of a command, for COMMAND DOCS, hints and redaction.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    pub name: &'static str,
    pub kind: ArgumentType,
    /// The word that precedes it or, for a `Token`, is it.
    pub token: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
    pub parts: &'static [Argument],
    pub secrecy: Secrecy,
}

impl Argument {
    pub const fn new(name: &'static str, kind: ArgumentType) -> Argument {
        Argument {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            parts: &[],
            secrecy: Secrecy::Open,
        }
    }

    pub const fn token(name: &'static str, token: &'static str) -> Argument {
        Argument { token: Some(token), ..Argument::new(name, ArgumentType::Token) }
    }

    pub const fn one_of(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentType::OneOf) }
    }

    pub const fn block(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument { parts, ..Argument::new(name, ArgumentType::Block) }
    }

    pub const fn after(self, token: &'static str) -> Argument {
        Argument { token: Some(token), ..self }
    }

    pub const fn optional(self) -> Argument {
        Argument { optional: true, ..self }
    }

    pub const fn multiple(self) -> Argument {
        Argument { multiple: true, ..self }
    }

    pub const fn secret(self, secrecy: Secrecy) -> Argument {
        Argument { secrecy, ..self }
    }
}

/// The most usual argument: `key`.
pub const KEY: Argument = Argument::new("key", ArgumentType::Key);

/// What a body answers: it has written its reply, or nothing and an error.
pub type Outcome = Result<(), CommandError>;

/// How a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// With the stripes of its keys locked.
    Body(fn(&mut Ctx<'_>, Args<'_>) -> Outcome),
    /// In slices between which others are served; called until it answers `Slice::Done`. Inside a transaction the
    /// slices follow each other at once.
    Slices(fn(&mut Ctx<'_>, Args<'_>, &mut Progress) -> Result<Slice, CommandError>),
    /// Behind the gate, nobody else inside.
    Alone(fn(&mut Databases, &mut AloneCtx<'_>, Args<'_>) -> Outcome),
    /// EXEC: dispatch knows how.
    Transaction,
    /// Only its subcommands run.
    Container,
}

/// Whether a sliced command wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    Again,
    Done,
}

/// What a sliced command remembers from slice to slice.
#[derive(Default)]
pub struct Progress {
    /// Where it has come to; 0 at the start.
    pub cursor: u64,
    /// How many entries were visited.
    pub passed: usize,
    /// How many elements `found` holds.
    pub count: usize,
    /// Elements found so far, encoded, one part per slice: a growing buffer would be copied each time it doubles, and
    /// the last copy of a long answer would hold the worker for tens of milliseconds.
    pub found: Vec<Arc<Vec<u8>>>,
    /// The pattern of KEYS and SCAN, and the keys whose match is not decided.
    pub search: Option<Box<Search>>,
    /// Nanoseconds the slices took so far.
    pub run_ns: u64,
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
