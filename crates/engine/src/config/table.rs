//! Every directive that Redis 7.2 and Valkey 9 know, and Limpid's own, as plain constants.
//!
//! A directive is one literal in the section it belongs to; nothing is registered anywhere else, and its slot follows
//! from its place. The rule for an
//! absent feature: its "on" value **stops** the start when ignoring it would lose data (a log, a replica, a cluster
//! that is not there) or protection (encryption, access rules, renamed commands); otherwise it **warns**.
//!
//! Not here: values (`settings.rs`) and how texts are read (`value.rs`).
//!
//! Thread safety: constants.

mod cluster;
mod memory;
mod network;
mod observation;
mod persistence;
mod process;
mod replication;
mod security;
mod values;

use super::directive::{Directive, FileOnly, Refusal};

/// Directives that belong together.
pub(super) struct Section {
    /// What `limpid.conf` calls it; empty if it has no heading of its own there.
    pub heading: &'static str,
    /// What `limpid.conf` says below the heading.
    pub about: &'static str,
    pub directives: &'static [Directive],
}

/// The sections, in the order of `limpid.conf` and of CONFIG GET.
pub(super) const SECTIONS: &[Section] = &[
    headed("NETWORK", network::DIRECTIVES),
    headed("PROCESS", process::DIRECTIVES),
    headed("PROTECTION", security::DIRECTIVES),
    headed("", security::TLS_DIRECTIVES),
    headed("MEMORY", memory::DIRECTIVES),
    headed("SEEING", observation::DIRECTIVES),
    headed("", &observation::SWITCHES),
    headed("", observation::ADMIN_DIRECTIVES),
    headed("", values::DIRECTIVES),
    Section { about: persistence::ABOUT, ..headed("PERSISTENCE", persistence::DIRECTIVES) },
    headed("", replication::DIRECTIVES),
    headed("", cluster::DIRECTIVES),
];

const fn headed(heading: &'static str, directives: &'static [Directive]) -> Section {
    Section { heading, about: "", directives }
}

/// The largest C `int`, the upper end of many ranges.
const INT_MAX: i64 = i32::MAX as i64;

/// The largest signed 64-bit number, the upper end of most sizes.
const SIZE_MAX: u64 = i64::MAX as u64;

pub(super) const FILE_ONLY: &[FileOnly] = &[
    FileOnly {
        name: "rename-command",
        otherwise: Refusal::Stop,
        why: "commands cannot be renamed; ignoring this would leave a command open that you meant to hide",
    },
    FileOnly {
        name: "user",
        otherwise: Refusal::Stop,
        why: "there are no ACL users yet; ignoring this would let every client do everything (requirepass works)",
    },
    FileOnly {
        name: "loadmodule",
        otherwise: Refusal::Stop,
        why: "modules cannot be loaded; the commands and data types this one brings would be missing",
    },
    FileOnly {
        name: "loadmodule-with-config",
        otherwise: Refusal::Stop,
        why: "modules cannot be loaded; the commands and data types this one brings would be missing",
    },
    FileOnly {
        name: "sentinel",
        otherwise: Refusal::Stop,
        why: "Limpid has no sentinel mode; nothing would watch over your servers",
    },
    FileOnly {
        name: "lua-replicate-commands",
        otherwise: Refusal::Warn,
        why: "scripts have replicated their effects since Redis 7; the directive means nothing any more",
    },
    FileOnly {
        name: "list-max-ziplist-entries",
        otherwise: Refusal::Warn,
        why: "lists are tuned by list-max-listpack-size since Redis 3.2; the directive means nothing any more",
    },
    FileOnly {
        name: "list-max-ziplist-value",
        otherwise: Refusal::Warn,
        why: "lists are tuned by list-max-listpack-size since Redis 3.2; the directive means nothing any more",
    },
];
