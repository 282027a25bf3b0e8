//! Where a command's keys are among its arguments, and what it does to them.
//!
//! Thread safety: constants and pure functions.

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
