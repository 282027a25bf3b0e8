//! The configuration: redis.conf syntax and CONFIG, without any I/O.
//!
//! `table/` names every directive; `directive.rs` says what one is, `known.rs` finds it; `line.rs` splits lines, `value.rs`
//! reads values; `load.rs` turns lines into [`Settings`], which the running server shares as an `Arc`; `rewrite.rs` writes
//! them back. A directive's value lives in its slot (`slots.rs`) and is read through a [`Setting`] (`setting.rs`), as one
//! of the types in `typed.rs` and `choices.rs`.
//!
//! **A directive is one literal in `table/`.** Everything else follows from it: CONFIG, the file, its slot, the check of
//! whoever reads it. Who reads it names it.
//!
//! Not here: reading files and the command line, which is the server's `config.rs`, and the CONFIG command's replies.
//!
//! Thread safety: `Settings` is shared by all threads; everything else is used by one.

mod choices;
mod directive;
mod known;
pub mod line;
mod load;
mod rewrite;
mod setting;
mod settings;
mod slots;
mod stock;
mod table;
mod typed;
mod value;

pub use choices::{Access, HashFunction, Observers};
pub use directive::{Change, Directive, Kind, Refusal, Slot, Support};
pub use known::{directives, find, suggestion};
pub use load::{COMMAND_LINE, ConfigError, Loader, Notice, Place, Severity};
pub use rewrite::rewrite;
pub use setting::Setting;
pub use settings::{Settings, live_directives, reason_of};
pub use stock::stock;
pub use typed::{OutputBufferLimit, OutputBufferLimits, Value};
pub use value::memory_bytes;
