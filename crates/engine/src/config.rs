//! The configuration: redis.conf syntax and CONFIG, without any I/O.
//!
//! `table/` names every directive; `directive.rs` says what one is, `known.rs` finds it; `line.rs` splits lines, `value.rs`
//! reads values and `check.rs` knows what single directives ask of them;
//! `load.rs` turns lines into [`Settings`], which the running server shares as an `Arc` and reads without locks where it
//! is hot (`hot.rs`); `rewrite.rs` writes them back.
//!
//! Not here: reading files and the command line, which is the server's `config.rs`, and the CONFIG command's replies.
//!
//! Thread safety: `Settings` is shared by all threads; everything else is used by one.

mod check;
mod directive;
mod hot;
mod known;
pub mod line;
mod load;
mod rewrite;
mod settings;
mod table;
mod value;

pub use directive::{Change, Directive, Kind, Refusal, Support};
pub use hot::{BusyPoll, ClientClass, MaxmemoryPolicy, Observers, OutputBufferLimit};
pub use known::{directives, find, suggestion};
pub use load::{COMMAND_LINE, ConfigError, Loader, Notice, Place, Severity};
pub use rewrite::rewrite;
pub use settings::{Access, HashFunction, Settings, live_directives, reason_of};
pub use value::memory_bytes;
