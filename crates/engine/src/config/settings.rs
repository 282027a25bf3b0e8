//! The settings of a running server: every directive's canonical text, and its value in its slot. CONFIG GET and CONFIG
//! SET are the two functions here, without their replies.
//!
//! It does no I/O: files are read and written by the server, lines are taken in by `load.rs`. It gives no directive a
//! function of its own: who reads one names it (`setting.rs`).
//!
//! Invariants:
//! 1. CONFIG SET changes all of its directives or none.
//! 2. An absent feature is never on: its text is always one of its off values.
//! 3. A slot and its text are written under the same lock.
//! 4. CONFIG REWRITE writes what was asked for, which may be more than the system allowed.
//!
//! Thread safety: shared as an `Arc`; texts are behind one `RwLock`, slots are atomics. One CONFIG SET at a time.

use super::choices::Access;
use super::directive::{Change, Directive, Support};
use super::known::{DirectiveIndex, directives, find};
use super::setting::Setting;
use super::slots::Slots;
use super::typed::Value;
use super::value;
use crate::error::CommandError;
use crate::glob::Glob;
use parking_lot::{Mutex, RwLock};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

/// Who may change what is protected.
const ENABLE_PROTECTED_CONFIGS: Setting<Access> = Setting::of("enable-protected-configs");

/// Called for CONFIG REWRITE.
type RewriteHook = Box<dyn Fn(&Settings) -> io::Result<()> + Send + Sync>;

/// Called for each directive that CONFIG SET changed; the reason why not takes the whole CONFIG SET back.
type ChangeHook = Box<dyn Fn(&Settings, &'static Directive) -> Result<(), String> + Send + Sync>;

/// One change of CONFIG SET that nothing speaks against so far.
struct Accepted {
    index: DirectiveIndex,
    directive: &'static Directive,
    /// The name as it was asked for, in lower case.
    asked: String,
    text: String,
}

/// What one change replaced.
struct Replaced {
    index: DirectiveIndex,
    directive: &'static Directive,
    asked: String,
    text: String,
    /// See [`Settings::make_do`].
    wanted: Option<String>,
}

/// All settings.
pub struct Settings {
    slots: Slots,
    /// Canonical texts by directive index.
    texts: RwLock<Vec<String>>,
    /// What was asked for, where the system allowed only another value.
    wanted: RwLock<BTreeMap<DirectiveIndex, String>>,
    /// Held while one CONFIG SET runs: another must not see what may be taken back.
    setting: Mutex<()>,
    changed: OnceLock<ChangeHook>,
    rewriter: OnceLock<RewriteHook>,
}

impl std::fmt::Debug for Settings {
    /// The texts alone would show the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::new()
    }
}

impl Settings {
    /// Every directive at its default.
    pub fn new() -> Settings {
        let texts = RwLock::new(directives().map(|d| d.default.to_owned()).collect());
        Settings {
            slots: Slots::new(),
            texts,
            wanted: RwLock::default(),
            setting: Mutex::default(),
            changed: OnceLock::new(),
            rewriter: OnceLock::new(),
        }
    }

    /// Has `hook` called for each directive that CONFIG SET changes, after all are changed and on the caller's thread:
    /// for what no atomic can carry (log level, sockets). An error of it leaves what it acts on unchanged and takes the
    /// whole CONFIG SET back; the hook is then called again for the directives that it acted on already. It must not call
    /// [`Settings::set`]. Only the first hook counts.
    pub fn on_change(
        &self,
        hook: impl Fn(&Settings, &'static Directive) -> Result<(), String> + Send + Sync + 'static,
    ) {
        let is_first = self.changed.set(Box::new(hook)).is_ok();
        debug_assert!(is_first, "a second change hook would never be called");
    }

    /// The directives whose name or alias matches the glob `pattern`, with their canonical texts: CONFIG GET. A
    /// pattern without wildcards is answered under the name as it was asked for, as Redis does.
    pub fn get(&self, pattern: &[u8]) -> Vec<(Cow<'static, str>, String)> {
        let texts = self.texts.read();
        let text = |index: usize| texts.get(index).cloned().unwrap_or_default();
        if !pattern.iter().any(|byte| b"*?[\\".contains(byte)) {
            let asked = String::from_utf8_lossy(pattern).into_owned();
            return find(pattern).map(|(index, _)| (Cow::Owned(asked), text(index))).into_iter().collect();
        }
        let mut found = Vec::new();
        // No directive has so long a name.
        let Ok(glob) = Glob::ignoring_case(pattern) else { return found };
        for (index, directive) in directives().enumerate().filter(|(_, directive)| !directive.is_hidden) {
            let names = std::iter::once(&directive.name).chain(directive.aliases);
            let matching = names.filter(|name| glob.matches(name.as_bytes()));
            found.extend(matching.map(|name| (Cow::Borrowed(*name), text(index))));
        }
        found
    }

    /// [`Settings::get`] of several patterns, each directive once.
    pub fn get_all(&self, patterns: &[&[u8]]) -> Vec<(Cow<'static, str>, String)> {
        let mut found: Vec<(Cow<'static, str>, String)> = Vec::new();
        for (name, text) in patterns.iter().flat_map(|pattern| self.get(pattern)) {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                found.push((name, text));
            }
        }
        found
    }

    /// CONFIG SET: changes all of `pairs` (name, value) or none, also when what has to act on a change cannot. Returns the
    /// directives whose value is another now, or the error reply in full. `is_local`: the client is on this machine.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        is_local: bool,
    ) -> Result<Vec<&'static Directive>, CommandError> {
        let _one_at_a_time = self.setting.lock();
        let accepted = self.accepted(pairs, is_local)?;
        let before = self.replace(accepted);
        let is_changed = |old: &Replaced| self.text_at(old.index) != old.text;
        let mut changed: Vec<&Replaced> = Vec::new();
        for old in before.iter().filter(|old| is_changed(old)) {
            if !changed.iter().any(|other| other.index == old.index) {
                changed.push(old);
            }
        }
        if let Some(hook) = self.changed.get() {
            for (done, change) in changed.iter().enumerate() {
                let Err(reason) = hook(self, change.directive) else { continue };
                self.restore(&before);
                for undone in changed.iter().take(done) {
                    if let Err(reason) = hook(self, undone.directive) {
                        tracing::error!("{} cannot be set back: {reason}", undone.directive.name);
                    }
                }
                return Err(set_error(&change.asked, &reason));
            }
        }
        Ok(changed.iter().map(|change| change.directive).collect())
    }

    /// The changes that `pairs` ask for, in canonical texts, or the error reply.
    fn accepted(&self, pairs: &[(&[u8], &[u8])], is_local: bool) -> Result<Vec<Accepted>, CommandError> {
        let mut chosen: Vec<(DirectiveIndex, &'static Directive, String)> = Vec::with_capacity(pairs.len());
        let may_change_protected = self.read(ENABLE_PROTECTED_CONFIGS).allows(is_local);
        for (name, _) in pairs {
            let asked = String::from_utf8_lossy(name).into_owned();
            let Some((index, directive)) = find(name) else {
                return Err(CommandError::unknown_setting(name));
            };
            // Redis repeats the name as it was typed only where it does not look at the value.
            if directive.change == Change::AtStart {
                return Err(set_error(&asked, "can't set immutable config"));
            }
            if directive.change == Change::Protected && !may_change_protected {
                return Err(set_error(&asked, "can't set protected config"));
            }
            let asked = asked.to_ascii_lowercase();
            // An alias beside its directive is no duplicate to Redis; the last of them counts.
            if chosen.iter().any(|(_, _, other)| *other == asked) {
                return Err(set_error(&asked, "duplicate parameter"));
            }
            chosen.push((index, directive, asked));
        }
        let texts = self.texts.read();
        let mut accepted = Vec::with_capacity(pairs.len());
        for ((index, directive, asked), (_, value)) in chosen.into_iter().zip(pairs) {
            let current = texts.get(index).map_or("", String::as_str);
            let text = value::canonical(directive, &[value], current)
                .map_err(|reason| set_error(&asked, &reason))?;
            if directive.is_absent_feature(&text) {
                return Err(set_error(&asked, &format!("not supported: {}", directive.summary)));
            }
            if directive.change == Change::AtRestart && text != current {
                return Err(set_error(&asked, "set it in the configuration file and restart the server"));
            }
            accepted.push(Accepted { index, directive, asked, text });
        }
        Ok(accepted)
    }

    /// Puts new texts in place. Returns what they were, in the same order.
    fn replace(&self, accepted: Vec<Accepted>) -> Vec<Replaced> {
        let mut texts = self.texts.write();
        let mut wanted = self.wanted.write();
        let mut before = Vec::with_capacity(accepted.len());
        for Accepted { index, directive, asked, text } in accepted {
            self.slots.store(index, directive, &text);
            let Some(place) = texts.get_mut(index) else { continue };
            let text = std::mem::replace(place, text);
            before.push(Replaced { index, directive, asked, text, wanted: wanted.remove(&index) });
        }
        before
    }

    /// Takes [`Settings::replace`] back.
    fn restore(&self, before: &[Replaced]) {
        let mut texts = self.texts.write();
        let mut wanted = self.wanted.write();
        // An alias may have changed the same directive twice: the first text is the one that was.
        for old in before.iter().rev() {
            self.slots.store(old.index, old.directive, &old.text);
            if let Some(place) = texts.get_mut(old.index) {
                place.clone_from(&old.text);
            }
            match &old.wanted {
                Some(text) => _ = wanted.insert(old.index, text.clone()),
                None => _ = wanted.remove(&old.index),
            }
        }
    }

    /// Makes do with `text` where the system does not allow what was asked for. CONFIG GET tells the truth; CONFIG
    /// REWRITE keeps what was asked for, because the next start may be on a system that allows it.
    pub fn make_do(&self, name: &str, text: &str) {
        let Some((index, directive)) = find(name.as_bytes()) else { return };
        let asked = self.text_at(index);
        if asked != text {
            self.wanted.write().entry(index).or_insert(asked);
            self.put(index, directive, text.to_owned());
        }
    }

    /// Puts the text that the system gives to a value that was just changed: the path of a directory without its links.
    pub fn spell(&self, name: &str, text: &str) {
        if let Some((index, directive)) = find(name.as_bytes()) {
            self.put(index, directive, text.to_owned());
        }
    }

    /// What CONFIG REWRITE writes: the text that was asked for.
    pub(super) fn wanted_at(&self, index: DirectiveIndex) -> String {
        let wanted = self.wanted.read().get(&index).cloned();
        wanted.unwrap_or_else(|| self.text_at(index))
    }

    /// Tells how CONFIG REWRITE reaches the file. Without it the server runs without one.
    pub fn on_rewrite(&self, rewriter: impl Fn(&Settings) -> io::Result<()> + Send + Sync + 'static) {
        let is_first = self.rewriter.set(Box::new(rewriter)).is_ok();
        debug_assert!(is_first, "a second rewriter would never be called");
    }

    /// CONFIG REWRITE: brings the configuration file up to date, on the caller's thread. An error is the reply in full;
    /// the file is unchanged then.
    pub fn rewrite(&self) -> Result<(), String> {
        let rewriter = self.rewriter.get().ok_or("ERR The server is running without a config file")?;
        rewriter(self).map_err(|error| format!("ERR Rewriting config file: {}", reason_of(&error)))
    }

    /// Stores a canonical text without asking whether the directive may change: for the start, before anyone reads.
    pub(super) fn put(&self, index: DirectiveIndex, directive: &Directive, text: String) {
        debug_assert!(!directive.is_absent_feature(&text));
        let mut texts = self.texts.write();
        self.slots.store(index, directive, &text);
        if let Some(place) = texts.get_mut(index) {
            *place = text;
        }
    }

    pub(super) fn text_at(&self, index: DirectiveIndex) -> String {
        self.texts.read().get(index).cloned().unwrap_or_default()
    }

    /// The canonical text of the directive `name`; empty for a name that does not exist, which only a typing error in
    /// the caller can be.
    pub fn text(&self, name: &str) -> String {
        let found = find(name.as_bytes());
        debug_assert!(found.is_some(), "no directive is called {name}");
        found.map(|(index, _)| self.text_at(index)).unwrap_or_default()
    }

    /// The words of the list that the directive `name` holds.
    pub fn words(&self, name: &str) -> Vec<String> {
        self.text(name).split_whitespace().map(str::to_owned).collect()
    }

    /// The value of one directive: a relaxed load or a few from a fixed place, cheap enough for every command.
    #[inline(always)]
    pub fn read<T: Value>(&self, setting: Setting<T>) -> T {
        T::of(|word| self.slots.load(setting.word + word))
    }
}

/// The directives that do something, for `limpid.conf` and the documentation.
pub fn live_directives() -> impl Iterator<Item = &'static Directive> {
    directives().filter(|directive| directive.support == Support::Live)
}

/// The error's text as C's strerror gives it, without the number that Rust adds.
pub fn reason_of(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(reason, _)| reason).to_owned()
}

fn set_error(asked: &str, reason: &str) -> CommandError {
    CommandError::with(format!("ERR CONFIG SET failed (possibly related to argument '{asked}') - {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAXMEMORY: Setting<u64> = Setting::of("maxmemory");
    const MAXCLIENTS: Setting<u32> = Setting::of("maxclients");

    fn set(settings: &Settings, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let changed = settings.set(&pairs, true).map_err(|error| said(&error))?;
        Ok(changed.into_iter().map(|directive| directive.name).collect())
    }

    fn said(error: &CommandError) -> String {
        String::from_utf8_lossy(error.text()).into_owned()
    }

    fn names(settings: &Settings, pattern: &str) -> Vec<String> {
        settings.get(pattern.as_bytes()).into_iter().map(|(name, _)| name.into_owned()).collect()
    }

    #[test]
    fn what_needs_a_restart_may_be_set_to_what_it_is() {
        let settings = Settings::new();
        let set = |value: &str| settings.set(&[(b"io-threads", value.as_bytes())], true);
        assert_eq!(set("0").map(|changed| changed.len()), Ok(0));
        let error = said(&set("2").expect_err("the threads run already"));
        assert!(error.contains("'io-threads'") && error.contains("restart"), "{error}");
        assert_eq!(settings.text("io-threads"), "0");
        let error = said(&settings.set(&[(b"tls-port", b"6380")], true).expect_err("there is no TLS"));
        assert!(error.contains("not supported"), "{error}");
    }

    #[test]
    fn hidden_directives_are_found_by_their_name_only() {
        let settings = Settings::new();
        assert!(settings.get(b"key-load-dela*").is_empty());
        assert_eq!(settings.get(b"key-load-delay").len(), 1);
    }

    #[test]
    fn get_of_everything_gives_every_name_once() {
        let settings = Settings::new();
        let all = names(&settings, "*");
        assert_eq!(
            all.len(),
            directives().filter(|directive| !directive.is_hidden).map(|d| 1 + d.aliases.len()).sum::<usize>()
        );
        assert_eq!(names(&settings, "**"), all);
        assert_eq!(settings.get_all(&[b"*", b"port", b"PORT"]).len(), all.len());
    }

    #[test]
    fn get_takes_globs_in_any_case() {
        let settings = Settings::new();
        assert_eq!(settings.get(b"MAXMEMORY"), [(Cow::Borrowed("MAXMEMORY"), "0".to_owned())]);
        assert_eq!(names(&settings, "MaxMemory-[p]*"), ["maxmemory-policy"]);
        assert_eq!(names(&settings, "maxm[a-e]mory"), ["maxmemory"]);
        assert_eq!(names(&settings, "maxm[^f-z]mory"), ["maxmemory"]);
        assert_eq!(names(&settings, "p?rt"), ["port"]);
        assert_eq!(names(&settings, "por\\t"), ["port"]);
        assert_eq!(names(&settings, "*slave*of*"), ["slaveof"]);
        assert_eq!(names(&settings, "[p]ort["), Vec::<String>::new());
        assert_eq!(names(&settings, "nonexistent"), Vec::<String>::new());
        assert_eq!(names(&settings, ""), Vec::<String>::new());
    }

    #[test]
    fn set_reports_what_changed() {
        let settings = Settings::new();
        assert_eq!(set(&settings, &[("maxmemory", "1mb"), ("timeout", "0")]), Ok(vec!["maxmemory"]));
        assert_eq!(set(&settings, &[("MAXMEMORY", "1048576")]), Ok(vec![]));
        assert_eq!(settings.text("maxmemory"), "1048576");
        assert_eq!(set(&settings, &[("slave-priority", "5")]), Ok(vec!["replica-priority"]));
    }

    #[test]
    fn set_changes_all_or_none() {
        let settings = Settings::new();
        for wrong in
            [("foo", "1"), ("timeout", "x"), ("io-threads", "2"), ("appendonly", "yes"), ("maxmemory", "3")]
        {
            assert!(set(&settings, &[("maxmemory", "100"), wrong]).is_err());
            assert_eq!((settings.text("maxmemory").as_str(), settings.read(MAXMEMORY)), ("0", 0));
        }
    }

    #[test]
    fn set_errors_are_redis_texts() {
        let settings = Settings::new();
        let error = |pairs: &[(&str, &str)]| set(&settings, pairs).unwrap_err();
        assert_eq!(
            error(&[("Foo", "1")]),
            "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"
        );
        let failed = |asked: &str, reason: &str| {
            format!("ERR CONFIG SET failed (possibly related to argument '{asked}') - {reason}")
        };
        assert_eq!(error(&[("maxmemory", "abc")]), failed("maxmemory", "argument must be a memory value"));
        assert_eq!(error(&[("databases", "x")]), failed("databases", "can't set immutable config"));
        assert_eq!(error(&[("dir", "/")]), failed("dir", "can't set protected config"));
        assert_eq!(
            error(&[("maxmemory", "1"), ("maxmemory", "2")]),
            failed("maxmemory", "duplicate parameter")
        );
        assert_eq!(error(&[("timeout", "1"), ("TimeOut", "2")]), failed("timeout", "duplicate parameter"));
        assert_eq!(error(&[("DATABASES", "2")]), failed("DATABASES", "can't set immutable config"));
        assert_eq!(error(&[("MAXMEMORY", "x")]), failed("maxmemory", "argument must be a memory value"));
        let absent = error(&[("appendonly", "yes")]);
        assert!(
            absent.starts_with(&failed("appendonly", "not supported: there is no append-only log yet")),
            "{absent}"
        );
        assert_eq!(set(&settings, &[("appendonly", "no"), ("save", "")]), Ok(vec![]));
    }

    #[test]
    fn the_hook_hears_of_changes_once_they_are_readable() {
        let settings = Settings::new();
        let heard = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let sink = heard.clone();
        settings.on_change(move |settings, changed| {
            sink.lock().push((changed.name, settings.text(changed.name)));
            Ok(())
        });
        set(&settings, &[("loglevel", "debug"), ("timeout", "0"), ("maxclients", "5")]).unwrap();
        set(&settings, &[("loglevel", "nonsense")]).unwrap_err();
        assert_eq!(*heard.lock(), [("loglevel", "debug".to_owned()), ("maxclients", "5".to_owned())]);
    }

    #[test]
    fn what_cannot_be_acted_on_takes_everything_back() {
        let settings = Settings::new();
        let heard = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
        let sink = heard.clone();
        settings.on_change(move |settings, changed| {
            sink.lock().push((changed.name, settings.text(changed.name)));
            if changed.name == "maxclients" { Err("too many".to_owned()) } else { Ok(()) }
        });
        let error = set(
            &settings,
            &[("loglevel", "debug"), ("maxmemory", "1"), ("maxclients", "5"), ("timeout", "9")],
        );
        let expected = "ERR CONFIG SET failed (possibly related to argument 'maxclients') - too many";
        assert_eq!(error, Err(expected.to_owned()));
        let texts = ["loglevel", "maxmemory", "maxclients", "timeout"].map(|name| settings.text(name));
        assert_eq!(texts, ["notice", "0", "10000", "0"]);
        assert_eq!((settings.read(MAXMEMORY), settings.read(MAXCLIENTS)), (0, 10_000));
        let heard = heard.lock();
        let last: Vec<(&str, &str)> =
            heard.iter().skip(3).map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(last, [("loglevel", "notice"), ("maxmemory", "0")]);
    }

    #[test]
    fn of_a_directive_and_its_alias_the_last_counts() {
        let settings = Settings::new();
        let both = [("slave-priority", "1"), ("replica-priority", "2")];
        assert_eq!(set(&settings, &both), Ok(vec!["replica-priority"]));
        assert_eq!(settings.text("replica-priority"), "2");
    }

    #[test]
    fn what_the_system_made_of_a_value_is_forgotten_with_the_next() {
        let settings = Settings::new();
        let (index, _) = find(b"maxclients").unwrap();
        settings.make_do("maxclients", "900");
        settings.make_do("maxclients", "800");
        assert_eq!((settings.text("maxclients").as_str(), settings.read(MAXCLIENTS)), ("800", 800));
        assert_eq!(settings.wanted_at(index), "10000");
        set(&settings, &[("maxclients", "800")]).unwrap();
        assert_eq!(settings.wanted_at(index), "800");
    }

    #[test]
    fn rewriting_needs_a_file() {
        let settings = Settings::new();
        assert_eq!(settings.rewrite(), Err("ERR The server is running without a config file".to_owned()));
        settings.on_rewrite(|_| Err(io::Error::from_raw_os_error(2)));
        assert_eq!(
            settings.rewrite(),
            Err("ERR Rewriting config file: No such file or directory".to_owned())
        );
    }

    #[test]
    fn lists_are_read_as_words() {
        let settings = Settings::new();
        assert_eq!(settings.words("bind"), ["*", "-::*"]);
        assert_eq!(settings.words("latency-tracking-info-percentiles"), ["50", "99", "99.9"]);
        set(&settings, &[("bind", "")]).unwrap();
        assert_eq!(settings.words("bind"), Vec::<String>::new());
    }
}
