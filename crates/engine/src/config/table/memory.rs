//! Directives of memory: the limit, eviction, expiry, freeing, defragmentation.
//!
//! Thread safety: constants.

use super::{INT_MAX, SIZE_MAX};
use crate::config::choices::POLICIES;
use crate::config::directive::{Directive, Kind, Refusal};

const FREED_ASIDE: &str = "large values are always freed in the background, small ones at once";
const NO_DEFRAG: &str = "there is no active defragmentation; MEMORY PURGE returns unused pages";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::live(
        "maxmemory",
        Kind::Size { min: 0, max: u64::MAX },
        "0",
        "Bytes the server may use before it evicts or refuses writes; 0 is no limit.",
    ),
    Directive::live(
        "maxmemory-policy",
        Kind::Enum(POLICIES),
        "noeviction",
        "Which keys go first when maxmemory is reached: all or those with a TTL; noeviction refuses writes instead.",
    ),
    Directive::live(
        "maxmemory-samples",
        Kind::Int { min: 1, max: 64 },
        "5",
        "Keys compared per eviction: more finds better victims and takes longer.",
    ),
    Directive::accepted(
        "maxmemory-eviction-tenacity",
        Kind::Int { min: 0, max: 100 },
        "10",
        "every command evicts in bounded steps of its own",
    ),
    Directive::absent(
        "maxmemory-clients",
        Kind::SizeOrPercent,
        &["0"],
        Refusal::Warn,
        "clients have no common limit; client-output-buffer-limit and client-query-buffer-limit bound each one",
    ),
    Directive::live(
        "lfu-log-factor",
        Kind::Int { min: 0, max: INT_MAX },
        "10",
        "The scale on which OBJECT FREQ tells accesses; eviction counts the same whatever it is.",
    ),
    Directive::live(
        "lfu-decay-time",
        Kind::Int { min: 0, max: INT_MAX },
        "1",
        "Minutes after which the LFU counter of an unused key goes down by one; 0 never.",
    ),
    Directive::live(
        "active-expire-effort",
        Kind::Int { min: 1, max: 10 },
        "1",
        "How much time may go into removing expired keys nobody asks for: 1 little, 10 a lot.",
    ),
    Directive::accepted("lazyfree-lazy-eviction", Kind::Bool, "yes", FREED_ASIDE),
    Directive::accepted("lazyfree-lazy-expire", Kind::Bool, "yes", FREED_ASIDE),
    Directive::accepted("lazyfree-lazy-server-del", Kind::Bool, "yes", FREED_ASIDE),
    Directive::accepted("lazyfree-lazy-user-del", Kind::Bool, "yes", FREED_ASIDE),
    Directive::accepted("lazyfree-lazy-user-flush", Kind::Bool, "yes", FREED_ASIDE),
    Directive::absent("activedefrag", Kind::Bool, &["no"], Refusal::Warn, NO_DEFRAG),
    Directive::accepted(
        "active-defrag-ignore-bytes",
        Kind::Size { min: 1, max: SIZE_MAX },
        "104857600",
        NO_DEFRAG,
    ),
    Directive::accepted("active-defrag-threshold-lower", Kind::Int { min: 0, max: 1000 }, "10", NO_DEFRAG),
    Directive::accepted("active-defrag-threshold-upper", Kind::Int { min: 0, max: 1000 }, "100", NO_DEFRAG),
    Directive::accepted("active-defrag-cycle-min", Kind::Int { min: 1, max: 99 }, "1", NO_DEFRAG),
    Directive::accepted("active-defrag-cycle-max", Kind::Int { min: 1, max: 99 }, "25", NO_DEFRAG),
    Directive::accepted("active-defrag-cycle-us", Kind::Int { min: 0, max: 100_000 }, "500", NO_DEFRAG),
    Directive::accepted(
        "active-defrag-max-scan-fields",
        Kind::Int { min: 1, max: i64::MAX },
        "1000",
        NO_DEFRAG,
    ),
    Directive::accepted(
        "jemalloc-bg-thread",
        Kind::Bool,
        "yes",
        "the allocator returns unused memory by itself",
    ),
    Directive::accepted(
        "activerehashing",
        Kind::Bool,
        "yes",
        "tables grow in steps of bounded size within the commands themselves",
    ),
    Directive::absent(
        "import-mode",
        Kind::Bool,
        &["no"],
        Refusal::Warn,
        "expired keys are removed even while another server is imported",
    ),
    Directive::accepted(
        "key-load-delay",
        Kind::Int { min: i32::MIN as i64, max: INT_MAX },
        "0",
        "nothing is loaded at start that could be delayed",
    )
    .hidden(),
];
