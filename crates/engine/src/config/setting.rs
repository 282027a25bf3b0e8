//! A typed way to one directive's value. Whoever reads a directive names it, once, as a constant:
//!
//! ```text
//! const TIMEOUT_SECONDS: Setting<u32> = Setting::of("timeout");
//! ...
//! settings.read(TIMEOUT_SECONDS)
//! ```
//!
//! The compiler finds the slot in the table and refuses a name that no directive has, and a type that does not hold what
//! the directive may be. So a read is a load from a fixed place, and there is no list of readers to keep.
//!
//! Not for texts and lists, which are read rarely: `Settings::text` and `Settings::words`.
//!
//! Thread safety: constants.

use super::directive::{Kind, Slot};
use super::slots::{self, SHARED_WORD};
use super::typed::{Shape, Value};
use std::fmt;
use std::marker::PhantomData;

/// The slot of one directive, read as a `T`.
pub struct Setting<T> {
    pub(super) word: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Setting<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Setting<T> {}

impl<T> fmt::Debug for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.word)
    }
}

impl<T: Value> Setting<T> {
    /// The directive called `name`.
    ///
    /// # Panics
    /// While compiling, if it is used as a constant: when no directive has this name, or one whose values are not of the
    /// type `T`.
    pub const fn of(name: &str) -> Setting<T> {
        let (word, directive) = slots::locate(name);
        assert!(T::SHAPE.fits(&directive.kind), "the type does not hold what the directive may be");
        let word = match (directive.slot, T::SHAPE) {
            (Slot::Bit(_), Shape::Switches) => SHARED_WORD,
            (Slot::Own, Shape::Switches) => panic!("the directive shares its word with no other"),
            (Slot::Bit(_), _) => panic!("the directive is read with those whose word it shares"),
            (Slot::Own, _) => word,
        };
        Setting { word, value: PhantomData }
    }
}

impl Setting<bool> {
    /// Whether the directive called `name`, a text, is not empty.
    ///
    /// # Panics
    /// As [`Setting::of`].
    pub const fn is_given(name: &str) -> Setting<bool> {
        let (word, directive) = slots::locate(name);
        assert!(matches!(directive.kind, Kind::Text | Kind::Secret), "the directive is no text");
        Setting { word, value: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::choices::{Access, HashFunction, Observers, POLICIES};
    use crate::config::typed::{OutputBufferLimit, OutputBufferLimits};
    use keyspace::eviction::Policy;
    use observe::spec::Observer;

    fn set(settings: &Settings, name: &str, value: &str) {
        settings.set(&[(name.as_bytes(), value.as_bytes())], false).unwrap();
    }

    #[test]
    fn what_is_read_is_what_was_set() {
        let settings = Settings::new();
        assert_eq!(settings.read(Setting::<u64>::of("maxmemory")), 0);
        set(&settings, "maxmemory", "18446744073709551615b");
        assert_eq!(settings.read(Setting::<u64>::of("maxmemory")), u64::MAX);
        assert_eq!(settings.read(Setting::<u32>::of("maxclients")), 10_000);
        set(&settings, "maxclients", "4294967295");
        assert_eq!(settings.read(Setting::<u32>::of("maxclients")), u32::MAX);
        assert_eq!(settings.read(Setting::<i64>::of("busy-poll-us")), -1);
        set(&settings, "busy-poll-us", "7");
        assert_eq!(settings.read(Setting::<i64>::of("busy-poll-us")), 7);
        assert_eq!(settings.read(Setting::<u8>::of("active-expire-effort")), 1);
        assert_eq!(settings.read(Setting::<u16>::of("port")), 6379);
        assert_eq!(settings.read(Setting::<usize>::of("databases")), 16);
        assert_eq!(settings.read(Setting::<u32>::of("unixsocketperm")), 0);
        assert!(settings.read(Setting::<bool>::of("protected-mode")));
        set(&settings, "protected-mode", "no");
        assert!(!settings.read(Setting::<bool>::of("protected-mode")));
        assert_eq!(settings.read(Setting::<Access>::of("enable-debug-command")), Access::NoOne);
        assert_eq!(settings.read(Setting::<HashFunction>::of("hash-function")), HashFunction::Foldhash);
    }

    #[test]
    fn a_text_is_given_or_not() {
        let settings = Settings::new();
        let password = Setting::is_given("requirepass");
        assert!(!settings.read(password));
        set(&settings, "requirepass", "secret");
        assert!(settings.read(password));
        set(&settings, "requirepass", "");
        assert!(!settings.read(password));
    }

    #[test]
    #[should_panic(expected = "no directive has this name")]
    fn an_unknown_name_is_refused() {
        let _ = Setting::<u64>::of("maxmemry");
    }

    #[test]
    #[should_panic(expected = "does not hold")]
    fn a_narrower_type_is_refused() {
        let _ = Setting::<u16>::of("timeout");
    }

    #[test]
    #[should_panic(expected = "whose word it shares")]
    fn one_of_many_switches_is_not_read_alone() {
        let _ = Setting::<bool>::of("profiling");
    }

    #[test]
    fn policies_are_their_words() {
        let settings = Settings::new();
        let policy = Setting::<Policy>::of("maxmemory-policy");
        assert_eq!(settings.read(policy), Policy::NoEviction);
        for word in POLICIES {
            set(&settings, "maxmemory-policy", word);
            let name = format!("{:?}", settings.read(policy)).to_ascii_lowercase();
            assert_eq!(name, word.replace('-', ""));
        }
    }

    #[test]
    fn output_buffer_limits_of_each_class() {
        let settings = Settings::new();
        let limits = || settings.read(Setting::<OutputBufferLimits>::of("client-output-buffer-limit"));
        assert_eq!(limits().normal.hard_bytes, 0);
        let replica = OutputBufferLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 };
        assert_eq!(limits().replica, replica);
        set(&settings, "client-output-buffer-limit", "pubsub 3 2 1");
        let pubsub = OutputBufferLimit { hard_bytes: 3, soft_bytes: 2, soft_seconds: 1 };
        assert_eq!((limits().pubsub, limits().replica), (pubsub, replica));
    }

    #[test]
    fn profiling_off_switches_every_observer_and_back() {
        let settings = Settings::new();
        let observers = || settings.read(Setting::<Observers>::of("profiling"));
        for observer in Observer::all() {
            let only_it_is_off = || {
                let on = observers();
                !on.is_off() && Observer::all().all(|other| on.is_on(other) == (other != observer))
            };
            assert!(Observer::all().all(|other| observers().is_on(other)));
            set(&settings, observer.spec().directive, "no");
            assert!(only_it_is_off(), "{}", observer.name());
            set(&settings, "profiling", "off");
            assert!(observers().is_off());
            set(&settings, "profiling", "on");
            assert!(only_it_is_off(), "{}", observer.name());
            set(&settings, observer.spec().directive, "yes");
        }
    }
}
