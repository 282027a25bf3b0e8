//! Directives of protection: passwords, access lists, dangerous commands, TLS.
//!
//! Thread safety: constants.

use super::INT_MAX;
use crate::config::choices::{Access, HashFunction};
use crate::config::directive::{Directive, Kind, Refusal};

const LOCAL_CHOICES: Kind = Kind::Enum(Access::WORDS);
const NO_TLS: &str = "there is no TLS yet, and with tls-port 0 nothing would use it";
const NO_TLS_LISTENER: &str =
    "there is no TLS yet: clients would speak in clear text or not at all. Put a TLS proxy in front";

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::live(
        "protected-mode",
        Kind::Bool,
        "yes",
        "Without a password, serve only clients on this machine, whatever bind says: a server that was opened by \
         mistake stays closed. Set a password before you switch this off.",
    ),
    Directive::live("requirepass", Kind::Secret, "", "Password that clients have to give with AUTH, alone or for the user \"default\". Guessing is fast against \
         a server this fast: take a long random one. Empty asks for none."),
    Directive::live(
        "enable-debug-command",
        LOCAL_CHOICES,
        "no",
        "Who may use DEBUG, which can stop the server: no (nobody), yes (everybody) or local (clients on this \
         machine).",
    )
    .at_start(),
    Directive::live(
        "enable-protected-configs",
        LOCAL_CHOICES,
        "no",
        "Who may change dir with CONFIG SET: no, yes or local. Names of directories let a client write files.",
    )
    .at_start(),
    Directive::absent(
        "enable-module-command",
        LOCAL_CHOICES,
        &["no"],
        Refusal::Warn,
        "modules cannot be loaded, so there is no MODULE command to allow",
    )
    .at_start(),
    Directive::absent(
        "aclfile",
        Kind::Text,
        &[""],
        Refusal::Stop,
        "there are no ACL users yet; ignoring the file would let every client do everything (requirepass works)",
    )
    .at_start(),
    Directive::accepted(
        "acl-pubsub-default",
        Kind::Enum(&["allchannels", "resetchannels"]),
        "resetchannels",
        "there are no ACL users yet that it would apply to",
    ),
    Directive::accepted(
        "acllog-max-len",
        Kind::Int { min: 0, max: i64::MAX },
        "128",
        "there are no ACL users yet whose denials would be logged",
    ),
    Directive::live(
        "hash-function",
        Kind::Enum(HashFunction::WORDS),
        "foldhash",
        "The hash that spreads keys, seeded at random at every start. foldhash is fast; siphash also withstands an \
         attacker who chooses keys and measures response times.",
    )
    .at_start(),
    Directive::absent(
        "hash-seed",
        Kind::Text,
        &[""],
        Refusal::Warn,
        "the seed is drawn at random at every start, so that nobody can predict it",
    )
    .at_start(),
];

pub(super) const TLS_DIRECTIVES: &[Directive] = &[
    Directive::absent("tls-port", Kind::Int { min: 0, max: 65535 }, &["0"], Refusal::Stop, NO_TLS_LISTENER)
        .at_restart(),
    Directive::absent(
        "tls-replication",
        Kind::Bool,
        &["no"],
        Refusal::Warn,
        "there is no replication to encrypt",
    ),
    Directive::absent(
        "tls-cluster",
        Kind::Bool,
        &["no"],
        Refusal::Warn,
        "there is no cluster bus to encrypt",
    ),
    Directive::accepted("tls-cert-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-key-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-key-file-pass", Kind::Secret, "", NO_TLS),
    Directive::accepted("tls-client-cert-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-client-key-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-client-key-file-pass", Kind::Secret, "", NO_TLS),
    Directive::accepted("tls-dh-params-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-ca-cert-file", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-ca-cert-dir", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-auth-clients", Kind::Enum(&["no", "yes", "optional"]), "yes", NO_TLS),
    Directive::accepted("tls-auth-clients-user", Kind::Enum(&["CN", "URI", "off"]), "off", NO_TLS),
    Directive::accepted("tls-protocols", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-ciphers", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-ciphersuites", Kind::Text, "", NO_TLS),
    Directive::accepted("tls-prefer-server-ciphers", Kind::Bool, "no", NO_TLS),
    Directive::accepted("tls-session-caching", Kind::Bool, "yes", NO_TLS),
    Directive::accepted("tls-session-cache-size", Kind::Int { min: 0, max: INT_MAX }, "20480", NO_TLS),
    Directive::accepted("tls-session-cache-timeout", Kind::Int { min: 0, max: INT_MAX }, "300", NO_TLS),
    Directive::accepted("tls-auto-reload-interval", Kind::Int { min: 0, max: INT_MAX }, "0", NO_TLS),
    Directive::accepted("max-new-tls-connections-per-cycle", Kind::Int { min: 1, max: 1000 }, "1", NO_TLS),
];
