//! The arguments of a command as its documentation describes them.
//!
//! Not a parser: each command reads its own arguments.
//!
//! Thread safety: constants.

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
