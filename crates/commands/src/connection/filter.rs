//! Which clients CLIENT LIST shows and CLIENT KILL closes.
//!
//! Not the commands; only the options they have in common, read from the arguments.
//!
//! Invariant: a filter without conditions matches every client.
//!
//! Thread safety: a plain value.

use engine::error::CommandError;
use engine::state::clients::{Client, ClientClass};
use wire::Args;

/// Conditions that a client must all meet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// Sorted: a million of them may be asked for.
    ids: Vec<u64>,
    peer: Option<String>,
    local: Option<String>,
    class: Option<Class>,
    age_seconds_min: Option<i64>,
    /// Whether the asking client is left out, if SKIPME said so.
    pub skips_self: Option<bool>,
}

impl Filter {
    /// Reads options from argument `from` on. `not_an_id` is the answer to an ID that is no number.
    pub fn parse(args: Args<'_>, from: usize, not_an_id: CommandError) -> Result<Filter, CommandError> {
        let mut filter = Filter::default();
        let mut at = from;
        while let Some(option) = args.get(at) {
            let value = args.get(at + 1).ok_or(CommandError::SYNTAX)?;
            let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
            at += 2;
            if is(b"ID") {
                at = filter.parse_ids(args, at - 1, &not_an_id)?;
            } else if is(b"TYPE") {
                filter.class = Some(class_of(value)?);
            } else if is(b"USER") {
                if value != super::DEFAULT_USER {
                    return Err(CommandError::no_such_user(value));
                }
            } else if is(b"ADDR") {
                filter.peer = Some(String::from_utf8_lossy(value).into_owned());
            } else if is(b"LADDR") {
                filter.local = Some(String::from_utf8_lossy(value).into_owned());
            } else if is(b"SKIPME") {
                filter.skips_self = Some(yes_or_no(value)?);
            } else if is(b"MAXAGE") {
                let seconds = wire::number::parse_i64(value).ok_or(CommandError::MAXAGE_NOT_AN_INTEGER)?;
                if seconds <= 0 {
                    return Err(CommandError::MAXAGE_NOT_POSITIVE);
                }
                filter.age_seconds_min = Some(seconds);
            } else {
                return Err(CommandError::SYNTAX);
            }
        }
        filter.ids.sort_unstable();
        Ok(filter)
    }

    /// One id or several, up to the next option; returns where that is.
    fn parse_ids(
        &mut self,
        args: Args<'_>,
        from: usize,
        not_an_id: &CommandError,
    ) -> Result<usize, CommandError> {
        let mut at = from;
        while let Some(id) = args.get(at).and_then(wire::number::parse_i64) {
            let id = u64::try_from(id).ok().filter(|&id| id > 0);
            self.ids.push(id.ok_or(CommandError::CLIENT_ID_NOT_POSITIVE)?);
            at += 1;
        }
        if at == from { Err(not_an_id.clone()) } else { Ok(at) }
    }

    /// Whether a client meets all conditions; `asking` is the id of the client that asks.
    pub fn matches(&self, client: &Client, asking: u64, now_ms: i64) -> bool {
        let is_listed = self.ids.is_empty() || self.ids.binary_search(&client.id).is_ok();
        let is_old_enough =
            self.age_seconds_min.is_none_or(|seconds| (now_ms - client.connected_ms) / 1000 >= seconds);
        is_listed
            && is_old_enough
            && self.class.is_none_or(|class| class == Class::Of(client.class()))
            && self.peer.as_ref().is_none_or(|peer| *peer == client.origin.peer())
            && self.local.as_ref().is_none_or(|local| *local == client.origin.local())
            && !(self.skips_self == Some(true) && client.id == asking)
    }
}

/// A class of clients that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Of(ClientClass),
    /// There are none.
    Primary,
}

fn class_of(name: &[u8]) -> Result<Class, CommandError> {
    let names: [(&[u8], Class); 6] = [
        (b"normal", Class::Of(ClientClass::Normal)),
        (b"slave", Class::Of(ClientClass::Replica)),
        (b"replica", Class::Of(ClientClass::Replica)),
        (b"pubsub", Class::Of(ClientClass::PubSub)),
        (b"master", Class::Primary),
        (b"primary", Class::Primary),
    ];
    let found = names.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, class)| class).ok_or_else(|| CommandError::unknown_client_type(name))
}

fn yes_or_no(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        _ if word.eq_ignore_ascii_case(b"yes") => Ok(true),
        _ if word.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err(CommandError::SYNTAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::state::clients::Origin;
    use wire::OwnedArgs;

    fn parse(words: &[&str]) -> Result<Filter, CommandError> {
        Filter::parse(OwnedArgs::from_slices(words).as_args(), 0, CommandError::INVALID_CLIENT_ID)
    }

    fn client(id: u64) -> Client {
        let origin = Origin::Tcp {
            peer: "10.0.0.1:4000".parse().expect("address"),
            local: "127.0.0.1:6379".parse().expect("address"),
        };
        Client::new(id, origin, 0, 0, 1000)
    }

    #[test]
    fn all_conditions_must_hold() {
        let matches = |words: &[&str]| parse(words).expect("filter").matches(&client(5), 5, 11_000);
        let matching: [&[&str]; 9] = [
            &[],
            &["ID", "5"],
            &["id", "4", "5", "6", "TYPE", "Normal"],
            &["ADDR", "10.0.0.1:4000"],
            &["LADDR", "127.0.0.1:6379", "USER", "default"],
            &["MAXAGE", "10"],
            &["SKIPME", "no"],
            &["ID", "5", "SKIPME", "NO", "MAXAGE", "1"],
            &["SKIPME", "yes", "SKIPME", "no"],
        ];
        for words in matching {
            assert!(matches(words), "{words:?}");
        }
        let other: [&[&str]; 7] = [
            &["ID", "4", "6"],
            &["TYPE", "pubsub"],
            &["ADDR", "10.0.0.1:4001"],
            &["LADDR", "10.0.0.1:4000"],
            &["MAXAGE", "11"],
            &["SKIPME", "yes"],
            &["ID", "5", "TYPE", "replica"],
        ];
        for words in other {
            assert!(!matches(words), "{words:?}");
        }
    }

    #[test]
    fn the_last_type_that_is_named_counts() {
        let listener = client(5);
        listener.set_class(ClientClass::PubSub);
        let table: [(&[&str], bool); 5] = [
            (&["TYPE", "PubSub"], true),
            (&["TYPE", "normal"], false),
            (&["TYPE", "normal", "TYPE", "pubsub"], true),
            (&["TYPE", "pubsub", "TYPE", "slave"], false),
            (&["TYPE", "master"], false),
        ];
        for (words, matches) in table {
            assert_eq!(parse(words).expect("filter").matches(&listener, 1, 0), matches, "{words:?}");
        }
    }

    #[test]
    fn mistakes_get_their_text() {
        let table: [(&[&str], &str); 8] = [
            (&["ID"], "ERR syntax error"),
            (&["ID", "x"], "ERR Invalid client ID"),
            (&["ID", "0"], "ERR client-id should be greater than 0"),
            (&["TYPE", "foo"], "ERR Unknown client type 'foo'"),
            (&["USER", "bob"], "ERR No such user 'bob'"),
            (&["MAXAGE", "x"], "ERR maxage is not an integer or out of range"),
            (&["MAXAGE", "0"], "ERR maxage should be greater than 0"),
            (&["SKIPME", "perhaps"], "ERR syntax error"),
        ];
        for (words, text) in table {
            assert_eq!(parse(words).expect_err("a mistake").text(), text.as_bytes(), "{words:?}");
        }
    }
}
