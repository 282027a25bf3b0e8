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
        "How much memory the server may use. 0 is no limit. For a cache, set it, and a policy with it. Clients' \
         buffers do not count: eviction cannot give them back. A client that does not read costs at most 1 MiB when \
         memory is short.",
    ),
    Directive::live(
        "maxmemory-policy",
        Kind::Enum(POLICIES),
        "noeviction",
        "What happens at the limit:\n\
         \x20 noeviction       writes that need memory are refused with an error; reads go on\n\
         \x20 allkeys-lru      the key that was not used for longest goes, of all keys\n\
         \x20 allkeys-lfu      the key that is used least often goes, of all keys\n\
         \x20 allkeys-random   any key goes\n\
         \x20 volatile-lru, volatile-lfu, volatile-random\n\
         \x20                  the same among keys that have a time to live\n\
         \x20 volatile-ttl     of those, the one that would expire soonest",
    ),
    Directive::live(
        "maxmemory-samples",
        Kind::Int { min: 1, max: 64 },
        "5",
        "Keys that are compared for each one evicted. 10 comes close to true LRU, 3 is faster and coarser.",
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
        "How slowly the number grows that OBJECT FREQ answers; what is evicted does not depend on it.",
    ),
    Directive::live(
        "lfu-decay-time",
        Kind::Int { min: 0, max: INT_MAX },
        "1",
        "For the lfu policies: after how many minutes without use a key's counter goes down by one (0 never).",
    ),
    Directive::live(
        "active-expire-effort",
        Kind::Int { min: 1, max: 10 },
        "1",
        "How much work goes into removing expired keys that nobody asks for, from 1 to 10.",
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
