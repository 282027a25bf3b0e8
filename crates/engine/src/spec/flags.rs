//! What is true of a command as a whole, as COMMAND INFO's flags say it, and some flags of ours.
//!
//! Not what it does to single keys (see `key_spec`).
//!
//! Thread safety: constants.

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
/// Not in a literal: it follows from the key specifications.
pub const MOVABLE_KEYS: Flags = Flags(1 << 13);
pub const ALLOW_BUSY: Flags = Flags(1 << 14);
pub const NO_ASYNC_LOADING: Flags = Flags(1 << 15);
pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 16);
pub const TOUCHES_ARBITRARY_KEYS: Flags = Flags(1 << 17);
/// Runs at once inside MULTI instead of being queued (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET). Not a Redis flag.
pub const NOT_QUEUED: Flags = Flags(1 << 24);

/// Reads what all workers have recorded, or changes what they are to record: it must hold no stripe for so long, so a
/// transaction that contains one runs behind the gate. Not a Redis flag.
pub const REPORTS: Flags = Flags(1 << 25);

/// Of constant cost, although Redis does not call it fast (SET and its kin). Not a Redis flag.
pub const QUICK: Flags = Flags(1 << 26);

/// Selects the database that its first argument names, for the commands of a transaction that follow it. Not a Redis flag.
pub const SELECTS: Flags = Flags(1 << 28);

/// A subcommand that only dispatch knows (DEBUG's): COMMAND does not list it, and it is counted as its container. Not a
/// Redis flag.
pub const INNER: Flags = Flags(1 << 27);

/// Touches no database, so it runs although the gate is closed: whoever asks how the server is, or wants to end what holds
/// it up, gets through. Not a Redis flag.
pub const OUTSIDE: Flags = Flags(1 << 29);

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
    (NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (NO_ASYNC_LOADING, "no_async_loading"),
    (NO_MULTI, "no_multi"),
    (MOVABLE_KEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
    (TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
];
