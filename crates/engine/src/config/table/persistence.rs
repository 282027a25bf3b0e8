//! Directives of persistence. Limpid keeps its data in memory only so far, so the ones that promise more are absent.
//!
//! Thread safety: constants and pure functions.

use super::{INT_MAX, SIZE_MAX};
use crate::config::directive::{Directive, Kind, Refusal};
use crate::config::value::kept_if;

const NO_SNAPSHOTS: &str = "there are no snapshots yet";
const NO_LOG: &str = "there is no append-only log yet";

pub(super) const ABOUT: &str = "There is none yet: the data is in memory only and gone when the server stops, which the log \
                                says at every start. If that is what you want, say so, and the line stays away:\n\n\
                                \x20   save \"\"";

pub(super) const DIRECTIVES: &[Directive] = &[
    // Stock configurations name save points, and so do servers that are caches: their owners get one clear line at
    // start. Who asks for the log has decided that the data matters: that start stops.
    Directive::absent(
        "save",
        Kind::Save,
        &[""],
        Refusal::Warn,
        "there are no snapshots yet, the data is in memory only",
    ),
    Directive::absent(
        "appendonly",
        Kind::Bool,
        &["no"],
        Refusal::Stop,
        "there is no append-only log yet; ignoring this would lose the data you asked to keep",
    ),
    Directive::accepted("dbfilename", Kind::Text, "dump.rdb", NO_SNAPSHOTS).checked(file_name).protected(),
    Directive::accepted("stop-writes-on-bgsave-error", Kind::Bool, "yes", NO_SNAPSHOTS),
    Directive::accepted("rdbcompression", Kind::Bool, "yes", NO_SNAPSHOTS),
    Directive::accepted("rdbchecksum", Kind::Bool, "yes", NO_SNAPSHOTS).at_start(),
    Directive::accepted("rdb-del-sync-files", Kind::Bool, "no", NO_SNAPSHOTS),
    Directive::accepted("rdb-save-incremental-fsync", Kind::Bool, "yes", NO_SNAPSHOTS),
    Directive::accepted(
        "rdb-key-save-delay",
        Kind::Int { min: i32::MIN as i64, max: INT_MAX },
        "0",
        NO_SNAPSHOTS,
    )
    .hidden(),
    Directive::accepted(
        "loading-process-events-interval-bytes",
        Kind::Int { min: 1024, max: INT_MAX },
        "2097152",
        NO_SNAPSHOTS,
    )
    .hidden(),
    Directive::accepted("rdb-version-check", Kind::Enum(&["strict", "relaxed"]), "strict", NO_SNAPSHOTS),
    Directive::accepted("sanitize-dump-payload", Kind::Enum(&["no", "yes", "clients"]), "no", NO_SNAPSHOTS),
    Directive::accepted("appendfilename", Kind::Text, "appendonly.aof", NO_LOG).at_start(),
    Directive::accepted("appenddirname", Kind::Text, "appendonlydir", NO_LOG).at_start(),
    Directive::accepted("appendfsync", Kind::Enum(&["everysec", "always", "no"]), "everysec", NO_LOG),
    Directive::accepted("no-appendfsync-on-rewrite", Kind::Bool, "no", NO_LOG),
    Directive::accepted("auto-aof-rewrite-percentage", Kind::Int { min: 0, max: INT_MAX }, "100", NO_LOG),
    Directive::accepted(
        "auto-aof-rewrite-min-size",
        Kind::Size { min: 0, max: SIZE_MAX },
        "67108864",
        NO_LOG,
    ),
    Directive::accepted("aof-load-truncated", Kind::Bool, "yes", NO_LOG),
    Directive::accepted("aof-use-rdb-preamble", Kind::Bool, "yes", NO_LOG),
    Directive::accepted("aof-timestamp-enabled", Kind::Bool, "no", NO_LOG),
    Directive::accepted("aof-rewrite-incremental-fsync", Kind::Bool, "yes", NO_LOG),
    Directive::accepted("aof-disable-auto-gc", Kind::Bool, "no", NO_LOG),
];

fn file_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("dbfilename can't be empty".to_owned());
    }
    kept_if(!text.contains(['/', '\\']), text, "dbfilename can't be a path, just a filename")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_without_its_directory() {
        assert!(file_name("dump.rdb").is_ok() && file_name("").is_err() && file_name("a/b").is_err());
    }
}
