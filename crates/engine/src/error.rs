//! What a client can do wrong, in the words Redis uses: every error text a command can answer stands here.
//!
//! Not for failures of the environment (typed errors of each crate) nor for our own mistakes (assertions).
//!
//! Thread safety: plain data.

use std::borrow::Cow;
use std::fmt;

/// An error reply, its code first, without the leading `-`. Bytes, not text: it quotes what the client sent as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandError(Cow<'static, [u8]>);

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

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
    pub const NOT_AN_I32: CommandError =
        CommandError::fixed("ERR value is out of range, value must between -2147483648 and 2147483647");
    pub const NX_WITH_OTHERS: CommandError =
        CommandError::fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
    pub const GT_WITH_LT: CommandError =
        CommandError::fixed("ERR GT and LT options at the same time are not compatible");
    pub const IDLE_TIME_NOT_TRACKED: CommandError = CommandError::fixed(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
         policies at runtime LRU and LFU data will take some time to adjust.",
    );
    pub const INVALID_CURSOR: CommandError = CommandError::fixed("ERR invalid cursor");
    pub const PATTERN_TOO_LONG: CommandError =
        CommandError::fixed("ERR pattern is too long (1048576 bytes at most)");
    pub const OUT_OF_MEMORY: CommandError =
        CommandError::fixed("OOM command not allowed when used memory > 'maxmemory'.");
    pub const NO_AUTH: CommandError = CommandError::fixed("NOAUTH Authentication required.");
    pub const WRONG_PASS: CommandError =
        CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled.");
    pub const NO_PASSWORD_SET: CommandError = CommandError::fixed(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?",
    );
    pub const EXEC_WITHOUT_MULTI: CommandError = CommandError::fixed("ERR EXEC without MULTI");
    pub const DISCARD_WITHOUT_MULTI: CommandError = CommandError::fixed("ERR DISCARD without MULTI");
    pub const EXEC_ABORTED: CommandError =
        CommandError::fixed("EXECABORT Transaction discarded because of previous errors.");
    pub const TRANSACTION_TOO_LONG: CommandError = CommandError::fixed(
        "ERR transaction discarded: its queued commands exceed client-query-buffer-limit",
    );
    pub const TOO_MUCH_WATCHED: CommandError =
        CommandError::fixed("ERR the watched keys exceed client-query-buffer-limit");
    pub const NO_SUCH_CLIENT: CommandError = CommandError::fixed("ERR No such client");
    pub const NO_PROTO: CommandError = CommandError::fixed("NOPROTO unsupported protocol version");
    pub const INVALID_COMMAND_SPECIFIED: CommandError = CommandError::fixed("ERR Invalid command specified");
    pub const NO_KEY_ARGUMENTS: CommandError = CommandError::fixed("ERR The command has no key arguments");
    /// A mistake of ours, not of the client's.
    pub const UNDECLARED_KEY: CommandError =
        CommandError::fixed("ERR internal error: the command reached for a key that it does not declare");
    pub const INVALID_ARGUMENT_COUNT: CommandError =
        CommandError::fixed("ERR Invalid number of arguments specified for command");

    const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a text of its own; `text` starts with its code.
    pub fn with(text: impl Into<Vec<u8>>) -> CommandError {
        CommandError(Cow::Owned(text.into()))
    }

    /// A text around the beginning of what a client sent.
    fn quoting(before: &str, given: &[u8], after: &str) -> CommandError {
        CommandError::with([before.as_bytes(), cited(given, CITED_BYTES_MAX), after.as_bytes()].concat())
    }

    pub fn wrong_arity(name: &str) -> CommandError {
        let name = name.to_ascii_lowercase();
        CommandError::with(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// Redis cites the name and the first arguments, at most 128 bytes of each part.
    pub fn unknown_command(args: wire::Args<'_>) -> CommandError {
        let name = cited(args.at(0), CITED_BYTES_MAX);
        let mut text = [b"ERR unknown command '", name, b"', with args beginning with: "].concat();
        let begin = text.len();
        for argument in args.from(1).iter() {
            let Some(left @ 1..) = CITED_BYTES_MAX.checked_sub(text.len() - begin) else { break };
            text.push(b'\'');
            text.extend_from_slice(cited(argument, left));
            text.extend_from_slice(b"' ");
        }
        CommandError::with(text)
    }

    pub fn unknown_subcommand(container: &str, given: &[u8]) -> CommandError {
        CommandError::quoting("ERR unknown subcommand '", given, &format!("'. Try {container} HELP."))
    }

    /// EXPIRE's word for an option it does not know.
    pub fn unsupported_option(given: &[u8]) -> CommandError {
        CommandError::quoting("ERR Unsupported option ", given, "")
    }

    pub fn unknown_type(given: &[u8]) -> CommandError {
        CommandError::quoting("ERR unknown type name '", given, "'")
    }

    pub fn not_in_multi(full_name: &str) -> CommandError {
        CommandError::with(format!("ERR Command '{full_name}' not allowed inside a transaction"))
    }

    pub fn invalid_expire(command: &str) -> CommandError {
        let command = command.to_ascii_lowercase();
        CommandError::with(format!("ERR invalid expire time in '{command}' command"))
    }

    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

/// What connection and server commands answer.
impl CommandError {
    pub const HELLO_WITHOUT_AUTH: CommandError = CommandError::fixed(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
         <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
    );
    pub const PROTOCOL_VERSION_NOT_AN_INTEGER: CommandError =
        CommandError::fixed("ERR Protocol version is not an integer or out of range");
    pub const CLIENT_NAME_NOT_PRINTABLE: CommandError =
        CommandError::fixed("ERR Client names cannot contain spaces, newlines or special characters.");
    pub const INVALID_CLIENT_ID: CommandError = CommandError::fixed("ERR Invalid client ID");
    pub const CLIENT_ID_NOT_POSITIVE: CommandError =
        CommandError::fixed("ERR client-id should be greater than 0");
    pub const MAXAGE_NOT_AN_INTEGER: CommandError =
        CommandError::fixed("ERR maxage is not an integer or out of range");
    pub const MAXAGE_NOT_POSITIVE: CommandError = CommandError::fixed("ERR maxage should be greater than 0");
    pub const INVALID_FIRST_DB: CommandError = CommandError::fixed("ERR invalid first DB index");
    pub const INVALID_SECOND_DB: CommandError = CommandError::fixed("ERR invalid second DB index");
    pub const INVALID_ARGUMENTS_FOR_COMMAND: CommandError =
        CommandError::fixed("ERR Invalid arguments specified for command");
    pub const NO_SHUTDOWN_IN_PROGRESS: CommandError = CommandError::fixed("ERR No shutdown in progress.");
    pub const SHUTDOWN_CANNOT_SAVE: CommandError = CommandError::fixed(
        "ERR Errors trying to SHUTDOWN. The data is in memory only: use NOSAVE or FORCE.",
    );
    pub const SLOWLOG_COUNT: CommandError =
        CommandError::fixed("ERR count should be greater than or equal to -1");
    pub const NO_CONFIG_FILE: CommandError =
        CommandError::fixed("ERR The server is running without a config file");
    pub const DEBUG_NOT_ALLOWED: CommandError = CommandError::fixed(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the \
         server.",
    );

    pub const WRONG_PROTOCOL_TYPE: CommandError = CommandError::fixed(
        "ERR Wrong protocol type name. Please use one of the following: \
         string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
    );
    pub const RESP2_NOT_SUPPORTED: CommandError =
        CommandError::fixed("ERR RESP2 is not supported by this command");
    pub const NOT_POSITIVE: CommandError = CommandError::fixed("ERR value is out of range, must be positive");

    pub const SCRIPT_FLUSH_MODE: CommandError =
        CommandError::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    pub const FUNCTION_FLUSH_MODE: CommandError =
        CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    pub const LIBRARY_NAME_MISSING: CommandError =
        CommandError::fixed("ERR library name argument was not given");

    pub fn unknown_argument(argument: &[u8]) -> CommandError {
        CommandError::quoting("ERR Unknown argument ", argument, "")
    }

    pub fn hello_option(option: &[u8]) -> CommandError {
        CommandError::quoting("ERR Syntax error in HELLO option '", option, "'")
    }

    pub fn no_such_user(user: &[u8]) -> CommandError {
        CommandError::quoting("ERR No such user '", user, "'")
    }

    pub fn unknown_client_type(class: &[u8]) -> CommandError {
        CommandError::quoting("ERR Unknown client type '", class, "'")
    }

    pub fn unrecognized_option(option: &[u8]) -> CommandError {
        CommandError::quoting("ERR Unrecognized option '", option, "'")
    }

    pub fn attribute_not_printable(attribute: &[u8]) -> CommandError {
        CommandError::quoting("ERR ", attribute, " cannot contain spaces, newlines or special characters.")
    }

    pub fn unknown_setting(name: &[u8]) -> CommandError {
        let before = b"ERR Unknown option or number of arguments for CONFIG SET - '".as_slice();
        CommandError::with([before, cited(name, name.len()), b"'"].concat())
    }

    pub fn config_rewrite(reason: &str) -> CommandError {
        CommandError::with(format!("ERR Rewriting config file: {reason}"))
    }

    pub fn count_out_of_range(most: usize) -> CommandError {
        CommandError::with(format!("ERR COUNT must be between 1 and {most}"))
    }

    pub fn no_such_command(name: &[u8]) -> CommandError {
        CommandError::quoting("ERR No such command '", name, "': a subcommand is written 'config|get'")
    }

    /// What containers say that check their own arguments.
    pub fn unknown_subcommand_or_arity(container: &str, given: &[u8]) -> CommandError {
        let after = format!("'. Try {container} HELP.");
        CommandError::quoting("ERR unknown subcommand or wrong number of arguments for '", given, &after)
    }

    pub fn no_samples(event: &[u8]) -> CommandError {
        CommandError::quoting("ERR No samples available for event '", event, "'")
    }
}

/// What an error quotes of each thing that a client sent.
const CITED_BYTES_MAX: usize = 128;

/// What a client sent, shortened to what an error may quote: as C ends a text, at the first zero.
fn cited(bytes: &[u8], most: usize) -> &[u8] {
    let end = bytes.iter().take(most).position(|&byte| byte == 0).unwrap_or(bytes.len().min(most));
    &bytes[..end]
}
