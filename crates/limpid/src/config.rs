//! Where the server's settings come from: configuration files, standard input and `--name value` options.
//!
//! The rules are redis-server's: an optional file (or `-` for standard input) first, then options, each with as many
//! values as follow it; a later line wins, so options override files. What a directive means is not decided here but in
//! `engine::config`.
//!
//! Invariants:
//! 1. Every line reaches the loader with the place it came from, so every error names file and line.
//! 2. Reading is bounded: file size, number of files and depth of includes.
//!
//! Thread safety: used by the main thread before any other exists; CONFIG REWRITE by one thread at a time.

mod file;

use engine::config::line::quote;
use engine::config::{COMMAND_LINE, ConfigError, Loader, Notice, Place, Settings};
use file::{Reader, rewrite_file};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the command line and the files on it say.
#[derive(Debug)]
pub struct Configuration {
    pub settings: Arc<Settings>,
    /// To be logged once the log is open.
    pub notices: Vec<Notice>,
    /// The file given on the command line, absolute, for INFO and CONFIG REWRITE.
    pub file: Option<PathBuf>,
}

/// Reads `[file.conf | -] [--name value ...] [-]`.
///
/// # Errors
/// The first line that is wrong, or a file that cannot be read.
pub fn from_command_line(arguments: &[OsString]) -> Result<Configuration, ConfigError> {
    let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    let mut loader = Loader::new();
    let mut reader = Reader::default();
    let (file, options) = match arguments.split_first() {
        Some((&b"-", options)) => {
            reader.standard_input(&mut loader)?;
            (None, options)
        }
        Some((first, options)) if !first.starts_with(b"-") => {
            let path = absolute(Path::new(std::ffi::OsStr::from_bytes(first)));
            reader.file(&mut loader, &path, None)?;
            (Some(path), options)
        }
        _ => (None, arguments.as_slice()),
    };
    let options = match options {
        [options @ .., b"-"] => {
            reader.standard_input(&mut loader)?;
            options
        }
        options => options,
    };
    for (index, words) in options_of(options)?.into_iter().enumerate() {
        let place = Place { source: COMMAND_LINE.to_owned(), line: index + 1, text: shown(&words) };
        reader.directive(&mut loader, place, &words)?;
    }
    let (settings, notices) = loader.finish()?;
    if let Some(path) = file.clone() {
        settings.on_rewrite(move |settings| rewrite_file(settings, &path));
    }
    Ok(Configuration { settings: Arc::new(settings), notices, file })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// An option as it was typed, to show where the error is.
fn shown(words: &[Vec<u8>]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("--{}", words.join(" "))
}

/// Splits `--name value ... --name value ...` into lines of words. An option's first value may itself start with `--`
/// (a password may), except after `--save`, which on its own has always meant `save ""`.
fn options_of(arguments: &[&[u8]]) -> Result<Vec<Vec<Vec<u8>>>, ConfigError> {
    let mut options: Vec<Vec<Vec<u8>>> = Vec::new();
    for argument in arguments {
        let name = argument.strip_prefix(b"--").filter(|name| !name.is_empty());
        let awaits_value = options.last().is_some_and(|words| words.len() == 1 && !is_save(words));
        match (name, options.last_mut()) {
            (Some(name), _) if !awaits_value => options.push(vec![name.to_vec()]),
            // A shell's way to pass the empty text that survives another level of quoting.
            (_, Some(words)) if *argument == b"\"\"" => words.push(Vec::new()),
            (_, Some(words)) => words.push(argument.to_vec()),
            (_, None) => return Err(unexpected(argument)),
        }
    }
    for words in options.iter_mut().filter(|words| words.len() == 1 && is_save(words)) {
        words.push(Vec::new());
    }
    Ok(options)
}

fn is_save(words: &[Vec<u8>]) -> bool {
    words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"save"))
}

fn unexpected(argument: &[u8]) -> ConfigError {
    let text = String::from_utf8_lossy(argument).into_owned();
    ConfigError {
        place: Some(Place { source: COMMAND_LINE.to_owned(), line: 1, text }),
        reason: "A configuration file comes first and only once; everything else is '--name value'. \
                 'limpid serve --help' shows examples"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Configuration, ConfigError> {
        from_command_line(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn text(arguments: &[&str], name: &str) -> String {
        read(arguments).unwrap().settings.text(name)
    }

    #[test]
    fn options_take_the_values_that_follow() {
        let arguments = ["--port", "7000", "--bind", "127.0.0.1", "::1", "--save", "", "--MAXMEMORY", "1gb"];
        assert_eq!(text(&arguments, "port"), "7000");
        assert_eq!(text(&arguments, "bind"), "127.0.0.1 ::1");
        assert_eq!(text(&arguments, "maxmemory"), "1073741824");
        assert_eq!(read(&arguments).unwrap().notices, []);
        let limits = text(&["--client-output-buffer-limit", "pubsub 3 2 1"], "client-output-buffer-limit");
        assert!(limits.ends_with(" pubsub 3 2 1"), "{limits}");
    }

    #[test]
    fn save_may_stand_alone() {
        for arguments in [
            &["--save", "--port", "7000"][..],
            &["--port", "7000", "--save"],
            &["--save", "\"\"", "--port", "7000"],
        ] {
            let configuration = read(arguments).unwrap();
            assert_eq!(
                (configuration.settings.text("port"), configuration.notices.len()),
                ("7000".to_owned(), 0),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn a_value_may_look_like_an_option() {
        assert_eq!(text(&["--requirepass", "--secret", "--port", "1"], "requirepass"), "--secret");
    }

    #[test]
    fn errors_name_the_option() {
        let error = read(&["--port", "7000", "--maxmemry", "1 gb"]).unwrap_err();
        let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines[1], "Reading the command line, at option 2");
        assert_eq!(lines[2], ">>> '--maxmemry \"1 gb\"'");
        assert!(lines[3].contains("'maxmemory'"));
        assert!(read(&["--port"]).unwrap_err().reason.contains("wrong number of arguments"));
        assert!(read(&["--port=7000"]).is_err());
        assert!(read(&["-port", "7000"]).unwrap_err().reason.contains("--name value"));
    }

    #[test]
    fn a_file_comes_first_and_options_override_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limpid.conf");
        std::fs::write(&path, "port 7000\nappendonly yes\ntimeout 5").unwrap();
        let path_text = path.to_str().unwrap();
        let error = read(&[path_text]).unwrap_err();
        assert_eq!(error.place.unwrap().line, 2);
        let configuration = read(&[path_text, "--appendonly", "no", "--port", "7001"]).unwrap();
        let settings = &configuration.settings;
        assert_eq!((settings.text("port").as_str(), settings.text("timeout").as_str()), ("7001", "5"));
        assert_eq!(configuration.file, Some(path.clone()));
        assert!(read(&[path_text, "other.conf"]).unwrap_err().reason.contains("only once"));
    }

    #[test]
    fn the_file_can_be_rewritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limpid.conf");
        std::fs::write(&path, "timeout 5\n").unwrap();
        let settings = read(&[path.to_str().unwrap()]).unwrap().settings;
        settings.set(&[(b"timeout", b"6")], false).unwrap();
        settings.rewrite().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "timeout 6\n");
        assert!(read(&[]).unwrap().settings.rewrite().is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(&["/nonexistent/limpid.conf"]).unwrap_err().to_string();
        assert!(error.contains("can't open config file '/nonexistent/limpid.conf': No such file"), "{error}");
    }
}
