//! Takes in configuration lines one by one and gives the settings, or the first line that is wrong.
//!
//! It reads no file and no command line itself: the server feeds it lines, with the place each came from. `include` is
//! the server's too, because it is I/O.
//!
//! Invariants:
//! 1. A later line wins, so that the command line can switch off what a file asked for: features that Limpid lacks are
//!    judged at the end, not where they are named.
//! 2. Nothing is silently ignored: a directive takes effect, is known to be harmless, or leaves a notice.
//!
//! Thread safety: owned by the starting thread.

use super::directive::{Directive, FileOnly, Kind, Refusal, Support};
use super::known::{DirectiveIndex, find, find_file_only, suggestion};
use super::setting::Setting;
use super::settings::Settings;
use super::{line, value};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

const ADMIN_PORT: Setting<u16> = Setting::of("admin-port");
const ASKS_FOR_TOKEN: Setting<bool> = Setting::is_given("admin-token");

/// The server's name and version as error messages give it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Something to say at start that does not stop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub severity: Severity,
    pub text: String,
}

/// How loud a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Notice,
    Warning,
}

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A file's path, `standard input` or `command line`.
    pub source: String,
    /// From 1; on the command line, the number of the option.
    pub line: usize,
    /// The line itself.
    pub text: String,
}

/// A configuration that cannot be started with. Its text has the shape of Redis's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `None` if no single line is to blame.
    pub place: Option<Place>,
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "*** FATAL CONFIG FILE ERROR (Limpid {VERSION}) ***")?;
        match &self.place {
            Some(place) if place.source == COMMAND_LINE => {
                writeln!(f, "Reading the command line, at option {}", place.line)?;
                writeln!(f, ">>> '{}'", place.text)?;
            }
            Some(place) => {
                writeln!(f, "Reading the configuration file '{}', at line {}", place.source, place.line)?;
                writeln!(f, ">>> '{}'", place.text)?;
            }
            None => {}
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// The [`Place::source`] of options given on the command line.
pub const COMMAND_LINE: &str = "command line";

/// An absent feature that some line switched on, to be judged at the end.
struct Asked {
    directive: &'static Directive,
    place: Place,
}

/// Collects lines into [`Settings`].
pub struct Loader {
    settings: Settings,
    /// Absent features that are on so far.
    asked: BTreeMap<DirectiveIndex, Asked>,
    notices: Vec<Notice>,
    /// Save points were mentioned: by which the next `save` line adds to the ones before.
    save_is_given: bool,
    /// The save points are `""`, said in so many words.
    save_is_off: bool,
}

impl Default for Loader {
    fn default() -> Self {
        Loader::new()
    }
}

impl Loader {
    pub fn new() -> Loader {
        Loader {
            settings: Settings::new(),
            asked: BTreeMap::new(),
            notices: Vec::new(),
            save_is_given: false,
            save_is_off: false,
        }
    }

    /// Takes in one line of a file: blank, a comment or a directive. `source` and `line_number` (from 1) are for
    /// messages.
    pub fn line(&mut self, source: &str, line_number: usize, text: &[u8]) -> Result<(), ConfigError> {
        let trimmed = text.trim_ascii();
        let shown = String::from_utf8_lossy(trimmed).into_owned();
        let place = Place { source: source.to_owned(), line: line_number, text: shown };
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            return Ok(());
        }
        match line::split(trimmed) {
            Ok(words) => self.words(place, &words),
            Err(error) => Err(ConfigError { place: Some(place), reason: error.to_string() }),
        }
    }

    /// Takes in one directive that is split into words already: its name and its value.
    pub fn words(&mut self, place: Place, words: &[Vec<u8>]) -> Result<(), ConfigError> {
        let Some((name, values)) = words.split_first() else { return Ok(()) };
        if let Some(file_only) = find_file_only(name) {
            return self.file_only(place, file_only);
        }
        let Some((index, directive)) = find(name) else {
            return Err(ConfigError { place: Some(place), reason: unknown(name) });
        };
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let text = match self.canonical(index, directive, &values) {
            Ok(text) => text,
            Err(reason) => return Err(ConfigError { place: Some(hide_secret(place, directive)), reason }),
        };
        if directive.is_absent_feature(&text) {
            self.asked.insert(index, Asked { directive, place });
        } else {
            self.asked.remove(&index);
            self.settings.put(index, directive, text);
        }
        Ok(())
    }

    fn canonical(
        &mut self,
        index: DirectiveIndex,
        directive: &Directive,
        values: &[&[u8]],
    ) -> Result<String, String> {
        // Lists may be empty (`bind ""`), but the word itself has to be there.
        let may_be_bare = matches!(directive.kind, Kind::Words { min: 0, .. } | Kind::Percentiles);
        if values.is_empty() && !may_be_bare {
            return Err("wrong number of arguments".to_owned());
        }
        let text = value::canonical(directive, values, &self.settings.text_at(index))?;
        if directive.kind == Kind::Save {
            self.save_is_off = text.is_empty();
            self.save_is_given = true;
        }
        Ok(text)
    }

    fn file_only(&mut self, place: Place, file_only: &FileOnly) -> Result<(), ConfigError> {
        match file_only.otherwise {
            Refusal::Stop => Err(ConfigError {
                place: Some(place),
                reason: format!("{}: {}.", file_only.name, file_only.why),
            }),
            Refusal::Warn => {
                self.warn(&place, file_only.why);
                Ok(())
            }
        }
    }

    fn warn(&mut self, place: &Place, why: &str) {
        let unit = if place.source == COMMAND_LINE { "option" } else { "line" };
        let text = format!("'{}' is ignored: {why} ({}, {unit} {})", place.text, place.source, place.line);
        self.notices.push(Notice { severity: Severity::Warning, text });
    }

    /// The settings and what there is to say about them, or why they cannot be started with.
    pub fn finish(mut self) -> Result<(Settings, Vec<Notice>), ConfigError> {
        for (_, Asked { directive, place }) in std::mem::take(&mut self.asked) {
            match directive.support {
                // Save points have their own line below.
                Support::Absent { .. } if directive.kind == Kind::Save => {}
                Support::Absent { otherwise: Refusal::Stop, off } => {
                    let off = off.first().copied().unwrap_or_default();
                    let remedy = format!(
                        "Remove the line or say '{} {}'.",
                        directive.name,
                        line::quote(off.as_bytes())
                    );
                    let reason = format!("{}: {}. {remedy}", directive.name, directive.summary);
                    return Err(ConfigError { place: Some(place), reason });
                }
                _ => self.warn(&place, directive.summary),
            }
        }
        self.refuse_open_admin_port()?;
        if !self.save_is_off {
            let ignored = if self.save_is_given { " 'save' is ignored." } else { "" };
            let text = format!(
                "The data is in memory only: it is gone when the server stops.{ignored} (save \"\" silences this line.)"
            );
            self.notices.push(Notice { severity: Severity::Notice, text });
        }
        Ok((self.settings, self.notices))
    }

    /// The admin port shows keys, clients and profiles: beyond this machine it has to ask for a token.
    fn refuse_open_admin_port(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        let bind = settings.text("admin-bind");
        let is_loopback =
            bind == "localhost" || bind.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if settings.read(ADMIN_PORT) == 0 || is_loopback || settings.read(ASKS_FOR_TOKEN) {
            return Ok(());
        }
        let reason = format!(
            "admin-bind {bind}: the admin port shows keys and clients, so beyond this machine it needs a token. \
             Set admin-token, bind it to 127.0.0.1 or say 'admin-port 0'."
        );
        Err(ConfigError { place: None, reason })
    }
}

fn unknown(name: &[u8]) -> String {
    let shown = String::from_utf8_lossy(name);
    match suggestion(name) {
        Some(known) => {
            format!("Bad directive or wrong number of arguments: '{shown}'. Did you mean '{known}'?")
        }
        None => format!("Bad directive or wrong number of arguments: no directive is called '{shown}'"),
    }
}

fn hide_secret(place: Place, directive: &Directive) -> Place {
    match directive.kind {
        Kind::Secret => Place { text: format!("{} (hidden)", directive.name), ..place },
        _ => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<(Settings, Vec<Notice>), ConfigError> {
        let mut loader = Loader::new();
        for (index, line) in text.lines().enumerate() {
            loader.line("limpid.conf", index + 1, line.as_bytes())?;
        }
        loader.finish()
    }

    fn reason(text: &str) -> String {
        load(text).unwrap_err().reason
    }

    #[test]
    fn errors_have_the_shape_of_redis() {
        let error = load("port 7000\n\n  maxmemry 1gb \n").unwrap_err();
        let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("*** FATAL CONFIG FILE ERROR (Limpid "));
        assert_eq!(lines[1], "Reading the configuration file 'limpid.conf', at line 3");
        assert_eq!(lines[2], ">>> 'maxmemry 1gb'");
        assert_eq!(
            lines[3],
            "Bad directive or wrong number of arguments: 'maxmemry'. Did you mean 'maxmemory'?"
        );
        assert_eq!(reason("save \"a"), "Unbalanced quotes in configuration line");
        assert_eq!(reason("port 1 # not a comment"), "wrong number of arguments");
        assert_eq!(reason("port"), "wrong number of arguments");
        assert_eq!(reason("save"), "wrong number of arguments");
        assert_eq!(reason("databases 0"), "argument must be between 1 and 16384 inclusive");
        assert_eq!(reason("databases 16385"), "argument must be between 1 and 16384 inclusive");
        assert_eq!(load("databases 16384").unwrap().0.text("databases"), "16384");
        assert!(!load("requirepass secret word").unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn later_lines_win() {
        let (settings, _) = load("# a comment\n\tPORT 7000\nport 7001\nbind 127.0.0.1 ::1").unwrap();
        assert_eq!(settings.text("port"), "7001");
        assert_eq!(settings.words("bind"), ["127.0.0.1", "::1"]);
        assert!(load("appendonly yes\nappendonly no").is_ok());
        assert!(load("replicaof 10.0.0.1 6379\nslaveof no one").is_ok());
    }

    #[test]
    fn what_would_lose_data_or_protection_stops() {
        let lines = [
            "appendonly yes",
            "tls-port 6380",
            "aclfile /etc/limpid/users.acl",
            "user alice on",
            "rename-command CONFIG \"\"",
            "cluster-enabled yes",
            "loadmodule /lib/search.so",
            "replicaof 10.0.0.1 6379",
            "min-slaves-to-write 1",
            "sentinel monitor main 127.0.0.1 6379 2",
        ];
        for text in lines {
            let error = load(text).unwrap_err();
            assert_eq!(error.place.unwrap().line, 1);
            assert!(error.reason.len() > 40, "{text} is refused without a reason: {}", error.reason);
        }
    }

    #[test]
    fn other_absent_features_warn_and_stay_off() {
        let (settings, notices) = load("save \"\"\nactivedefrag yes\nnotify-keyspace-events KEA").unwrap();
        assert_eq!(notices.len(), 2);
        assert!(notices.iter().all(|notice| notice.severity == Severity::Warning));
        assert!(notices[0].text.contains("activedefrag yes") || notices[1].text.contains("activedefrag yes"));
        assert_eq!(settings.text("activedefrag"), "no");
        assert_eq!(settings.text("notify-keyspace-events"), "");
    }

    #[test]
    fn in_memory_only_is_said_unless_save_is_off() {
        for text in ["", "save 3600 1\nsave 300 100", "save \"\"\nsave 1 1", "save '3600 1 300 100'"] {
            let (settings, notices) = load(text).unwrap();
            assert_eq!(notices.len(), 1, "{text}");
            assert!(notices[0].text.contains("in memory only"));
            assert_eq!(settings.text("save"), "");
        }
        assert_eq!(load("save 3600 1\nsave \"\"").unwrap().1, []);
    }

    #[test]
    fn an_open_admin_port_needs_a_token() {
        assert!(reason("admin-bind 0.0.0.0").contains("admin-token"));
        assert!(load("admin-bind 0.0.0.0\nadmin-token abc").is_ok());
        assert!(load("admin-bind 0.0.0.0\nadmin-port 0").is_ok());
        assert!(load("admin-bind ::1").is_ok());
    }

    #[test]
    fn debians_configuration_starts() {
        let (settings, notices) = load(include_str!("debian.conf")).unwrap();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].text.contains("in memory only"));
        assert_eq!(settings.text("daemonize"), "yes");
        assert_eq!(settings.text("auto-aof-rewrite-min-size"), "67108864");
        assert_eq!(
            settings.text("client-output-buffer-limit"),
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
        );
    }

    /// `limpid.conf` without the text, its directives uncommented.
    fn stock_configuration() -> String {
        let text = include_str!("../../../../limpid.conf");
        assert!(
            text.lines().all(|line| line.is_empty() || line.starts_with('#')),
            "everything is at its default"
        );
        let directives = text.lines().filter_map(|line| line.strip_prefix('#'));
        let directives = directives.filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        directives.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn limpid_conf_shows_every_live_directive_at_its_default() {
        let stock = stock_configuration();
        let (settings, notices) = load(&stock).unwrap();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert_eq!(settings.get(b"*"), Settings::new().get(b"*"));
        let mut shown: Vec<&str> = stock.lines().filter_map(|line| line.split(' ').next()).collect();
        shown.dedup();
        let live: Vec<&str> = super::super::live_directives().map(|directive| directive.name).collect();
        assert_eq!(shown, live, "the directives and their order");
    }

    #[test]
    fn every_directive_can_be_said_as_config_get_prints_it() {
        for directive in super::super::known::directives() {
            let text = if directive.default.is_empty() { "\"\"" } else { directive.default };
            let line = match value::is_list(directive.kind) {
                true => format!("{} {text}", directive.name),
                false => format!("{} {}", directive.name, line::quote(directive.default.as_bytes())),
            };
            let (settings, notices) = load(&format!("{line}\nsave \"\"")).unwrap();
            assert_eq!(
                (settings.text(directive.name).as_str(), notices.len()),
                (directive.default, 0),
                "{line}"
            );
        }
    }

    /// Lines of random bytes and of random words of the table: none may panic, and what is split is no longer than the
    /// line. xorshift64* with a printed seed.
    #[test]
    fn no_line_panics() {
        let seed = 0x5eed_u64 ^ u64::from(std::process::id());
        println!("seed {seed:#x}");
        let mut state = seed | 1;
        let mut next = move |bound: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
        };
        let names: Vec<&str> = super::super::known::directives().map(|directive| directive.name).collect();
        let values = [
            "",
            "-1",
            "yes",
            "\"\"",
            "1gb",
            "18446744073709551615",
            "normal",
            "0",
            "é",
            "'",
            "\\",
            "a b",
            "%",
        ];
        for _ in 0..20_000 {
            let mut text: Vec<u8> = match next(2) {
                0 => (0..next(40)).map(|_| b"a \"'\\x0f#\n\t\xff-"[next(13)]).collect(),
                _ => names[next(names.len())].as_bytes().to_vec(),
            };
            for _ in 0..next(6) {
                text.push(b' ');
                text.extend(values[next(values.len())].as_bytes());
            }
            if let Ok(words) = line::split(&text) {
                assert!(words.iter().map(Vec::len).sum::<usize>() <= text.len(), "{text:?}");
                let again = words.iter().map(|word| line::quote(word)).collect::<Vec<_>>().join(" ");
                assert_eq!(line::split(again.as_bytes()), Ok(words));
            }
            let mut loader = Loader::new();
            if loader.line("random", 1, &text).is_ok()
                && let Err(error) = loader.finish()
            {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
