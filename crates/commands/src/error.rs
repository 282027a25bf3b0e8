//! What a client can do wrong, in the words Redis uses: every error text a command can answer stands here.
//!
//! Not for failures of the environment (typed errors of each crate) nor for our own mistakes (assertions).
//!
//! Thread safety: plain data.

use std::borrow::Cow;

/// An error reply, its code first, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(Cow<'static, str>);

impl CommandError {
    pub const WRONG_TYPE: CommandError =
        CommandError::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub const SYNTAX: CommandError = CommandError::fixed("ERR syntax error");
    pub const NOT_AN_INTEGER: CommandError =
        CommandError::fixed("ERR value is not an integer or out of range");
    pub const NOT_A_FLOAT: CommandError = CommandError::fixed("ERR value is not a valid float");
    pub const NO_SUCH_KEY: CommandError = CommandError::fixed("ERR no such key");
    pub const SAME_OBJECT: CommandError =
        CommandError::fixed("ERR source and destination objects are the same");
    pub const INDEX_OUT_OF_RANGE: CommandError = CommandError::fixed("ERR index out of range");
    pub const OUT_OF_RANGE: CommandError = CommandError::fixed("ERR value is out of range");
    pub const DB_INDEX_OUT_OF_RANGE: CommandError = CommandError::fixed("ERR DB index is out of range");
    pub const OVERFLOW: CommandError = CommandError::fixed("ERR increment or decrement would overflow");
    pub const DECREMENT_OVERFLOW: CommandError = CommandError::fixed("ERR decrement would overflow");
    pub const NAN_OR_INFINITY: CommandError =
        CommandError::fixed("ERR increment would produce NaN or Infinity");
    pub const OFFSET_OUT_OF_RANGE: CommandError = CommandError::fixed("ERR offset is out of range");
    pub const STRING_TOO_LONG: CommandError =
        CommandError::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    pub const INVALID_CURSOR: CommandError = CommandError::fixed("ERR invalid cursor");
    pub const OUT_OF_MEMORY: CommandError =
        CommandError::fixed("OOM command not allowed when used memory > 'maxmemory'.");
    pub const NO_AUTH: CommandError = CommandError::fixed("NOAUTH Authentication required.");
    pub const WRONG_PASS: CommandError =
        CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled.");
    pub const NO_PASSWORD_SET: CommandError = CommandError::fixed(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?",
    );
    pub const NESTED_MULTI: CommandError = CommandError::fixed("ERR MULTI calls can not be nested");
    pub const WATCH_IN_MULTI: CommandError = CommandError::fixed("ERR WATCH inside MULTI is not allowed");
    pub const EXEC_WITHOUT_MULTI: CommandError = CommandError::fixed("ERR EXEC without MULTI");
    pub const DISCARD_WITHOUT_MULTI: CommandError = CommandError::fixed("ERR DISCARD without MULTI");
    pub const EXEC_ABORTED: CommandError =
        CommandError::fixed("EXECABORT Transaction discarded because of previous errors.");
    pub const TRANSACTION_TOO_LONG: CommandError =
        CommandError::fixed("ERR transaction discarded: its queued commands are larger than 1 GiB");
    pub const NOT_IN_MULTI: CommandError =
        CommandError::fixed("ERR Command not allowed inside a transaction");
    pub const NO_SUCH_CLIENT: CommandError = CommandError::fixed("ERR No such client");
    pub const NO_PROTO: CommandError = CommandError::fixed("NOPROTO unsupported protocol version");
    pub const INVALID_COMMAND_SPECIFIED: CommandError = CommandError::fixed("ERR Invalid command specified");
    pub const NO_KEY_ARGUMENTS: CommandError =
        CommandError::fixed("ERR The command has no key arguments");
    pub const INVALID_ARGUMENT_COUNT: CommandError =
        CommandError::fixed("ERR Invalid number of arguments specified for command");

    const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text))
    }

    /// An error with a text of its own; `text` starts with its code.
    pub fn with(text: String) -> CommandError {
        CommandError(Cow::Owned(text))
    }

    pub fn wrong_arity(name: &str) -> CommandError {
        let name = name.to_ascii_lowercase();
        CommandError::with(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// Redis cites the name and the first arguments, at most 128 bytes of each part.
    pub fn unknown_command(args: wire::Args<'_>) -> CommandError {
        const CITED_BYTES_MAX: usize = 128;
        let cite = |bytes: &[u8], most: usize| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
        };
        let mut text = format!("ERR unknown command '{}', with args beginning with: ", cite(args.at(0), 128));
        let mut cited = 0;
        for argument in args.from(1).iter() {
            if cited >= CITED_BYTES_MAX {
                break;
            }
            let part = cite(argument, CITED_BYTES_MAX - cited);
            cited += part.len() + 3;
            text.push('\'');
            text.push_str(&part);
            text.push_str("' ");
        }
        CommandError::with(text)
    }

    pub fn unknown_subcommand(container: &str, given: &[u8]) -> CommandError {
        let given = String::from_utf8_lossy(&given[..given.len().min(128)]).into_owned();
        CommandError::with(format!("ERR unknown subcommand '{given}'. Try {container} HELP."))
    }

    pub fn invalid_expire(command: &str) -> CommandError {
        let command = command.to_ascii_lowercase();
        CommandError::with(format!("ERR invalid expire time in '{command}' command"))
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}
