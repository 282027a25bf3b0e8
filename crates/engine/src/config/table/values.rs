//! Directives that tune how values are stored, and how scripts run. None has an effect yet.
//!
//! Thread safety: constants.

use super::{INT_MAX, SIZE_MAX};
use crate::config::directive::{Directive, Kind};

const NO_HASHES: &str = "there are no hashes yet";
const NO_LISTS: &str = "there are no lists yet";
const NO_SETS: &str = "there are no sets yet";
const NO_SORTED_SETS: &str = "there are no sorted sets yet";
const NO_STREAMS: &str = "there are no streams yet";
const NO_SCRIPTS: &str = "there are no scripts yet";
const ANY_COUNT: Kind = Kind::Int { min: 0, max: i64::MAX };
const ANY_SIZE: Kind = Kind::Size { min: 0, max: SIZE_MAX };

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::accepted("hash-max-listpack-entries", ANY_COUNT, "512", NO_HASHES)
        .alias(&["hash-max-ziplist-entries"]),
    Directive::accepted("hash-max-listpack-value", ANY_SIZE, "64", NO_HASHES)
        .alias(&["hash-max-ziplist-value"]),
    Directive::accepted(
        "list-max-listpack-size",
        Kind::Int { min: i32::MIN as i64, max: INT_MAX },
        "-2",
        NO_LISTS,
    )
    .alias(&["list-max-ziplist-size"]),
    Directive::accepted("list-compress-depth", Kind::Int { min: 0, max: INT_MAX }, "0", NO_LISTS),
    Directive::accepted("set-max-intset-entries", ANY_COUNT, "512", NO_SETS),
    Directive::accepted("set-max-listpack-entries", ANY_COUNT, "128", NO_SETS),
    Directive::accepted("set-max-listpack-value", ANY_COUNT, "64", NO_SETS),
    Directive::accepted("zset-max-listpack-entries", ANY_COUNT, "128", NO_SORTED_SETS)
        .alias(&["zset-max-ziplist-entries"]),
    Directive::accepted("zset-max-listpack-value", ANY_SIZE, "64", NO_SORTED_SETS)
        .alias(&["zset-max-ziplist-value"]),
    Directive::accepted("hll-sparse-max-bytes", ANY_SIZE, "3000", "there are no HyperLogLogs yet"),
    Directive::accepted("stream-node-max-bytes", ANY_SIZE, "4096", NO_STREAMS),
    Directive::accepted("stream-node-max-entries", ANY_COUNT, "100", NO_STREAMS),
    Directive::accepted("busy-reply-threshold", ANY_COUNT, "5000", NO_SCRIPTS).alias(&["lua-time-limit"]),
    Directive::accepted("lua-enable-deprecated-api", Kind::Bool, "no", NO_SCRIPTS)
        .alias(&["lua-enable-insecure-api"])
        .hidden(),
];
