//! Reads configuration files with their includes into a loader, and writes one back.
//!
//! It knows one directive, `include`, because that one is I/O. A pattern (`include conf.d/*.conf`) takes the matching
//! files in alphabetical order and may match none; a plain path has to exist. Relative paths start at the working
//! directory the server was started in.
//!
//! Thread safety: used by one thread.

use engine::config::{ConfigError, Loader, Place, Settings, line, rewrite};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The largest file: real ones have some 100 KB, and a wrong path may be a device or a dump.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// How deep includes may nest; a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// How many files may be read in all, because nested patterns multiply.
const FILES_MAX: usize = 1024;

const STANDARD_INPUT: &str = "standard input";

/// Reads files, counting them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: usize,
    depth: usize,
}

impl Reader {
    pub(super) fn standard_input(&mut self, loader: &mut Loader) -> Result<(), ConfigError> {
        let bytes = read_bounded(io::stdin().lock())
            .map_err(|error| cannot_open(Path::new(STANDARD_INPUT), &error, None))?;
        self.lines(loader, STANDARD_INPUT, &bytes)
    }

    /// Reads `path`; `included_at` is the line that names it.
    pub(super) fn file(
        &mut self,
        loader: &mut Loader,
        path: &Path,
        included_at: Option<&Place>,
    ) -> Result<(), ConfigError> {
        self.files += 1;
        if self.files > FILES_MAX || self.depth >= INCLUDE_DEPTH_MAX {
            return Err(ConfigError {
                place: included_at.cloned(),
                reason: format!(
                    "too many includes: at most {FILES_MAX} files, {INCLUDE_DEPTH_MAX} deep. Does a file include itself?"
                ),
            });
        }
        let bytes = File::open(path)
            .and_then(read_bounded)
            .map_err(|error| cannot_open(path, &error, included_at))?;
        self.depth += 1;
        self.lines(loader, &path.to_string_lossy(), &bytes)?;
        self.depth -= 1;
        Ok(())
    }

    fn lines(&mut self, loader: &mut Loader, source: &str, bytes: &[u8]) -> Result<(), ConfigError> {
        for (index, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
            match include_words(text) {
                Some(words) => {
                    let text = String::from_utf8_lossy(text.trim_ascii()).into_owned();
                    self.directive(
                        loader,
                        Place { source: source.to_owned(), line: index + 1, text },
                        &words,
                    )?;
                }
                None => loader.line(source, index + 1, text)?,
            }
        }
        Ok(())
    }

    /// Takes in one directive, following it if it is `include`.
    pub(super) fn directive(
        &mut self,
        loader: &mut Loader,
        place: Place,
        words: &[Vec<u8>],
    ) -> Result<(), ConfigError> {
        match words {
            [name, path] if is_include(name) => self.include(loader, &place, path),
            [name, ..] if is_include(name) => {
                Err(ConfigError { place: Some(place), reason: "wrong number of arguments".to_owned() })
            }
            _ => loader.words(place, words),
        }
    }

    fn include(&mut self, loader: &mut Loader, place: &Place, path: &[u8]) -> Result<(), ConfigError> {
        if !path.iter().any(|byte| b"*?[".contains(byte)) {
            return self.file(loader, Path::new(std::ffi::OsStr::from_bytes(path)), Some(place));
        }
        let bad = |reason: String| ConfigError { place: Some(place.clone()), reason };
        let pattern =
            std::str::from_utf8(path).map_err(|_| bad("an include pattern must be UTF-8 text".to_owned()))?;
        let found = glob::glob(pattern).map_err(|error| bad(format!("bad include pattern: {error}")))?;
        for path in found.take(FILES_MAX + 1) {
            let path = path.map_err(|error| cannot_open(error.path(), error.error(), Some(place)))?;
            self.file(loader, &path, Some(place))?;
        }
        Ok(())
    }
}

fn is_include(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"include")
}

/// The words of a line that says `include`; other lines, wrong ones too, are the loader's.
fn include_words(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let first = text.trim_ascii_start().get(..b"include".len())?;
    if !is_include(first) {
        return None;
    }
    let words = line::split(text.trim_ascii()).ok()?;
    words.first().is_some_and(|name| is_include(name)).then_some(words)
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 16 MB, which no configuration is",
        ));
    }
    Ok(bytes)
}

fn cannot_open(path: &Path, error: &io::Error, included_at: Option<&Place>) -> ConfigError {
    let reason = format!("Fatal error, can't open config file '{}': {error}", path.display());
    ConfigError { place: included_at.cloned(), reason }
}

/// CONFIG REWRITE: puts the present settings into `path`, all or nothing: the new text is written beside the file,
/// flushed, and renamed over it.
///
/// # Errors
/// The file is unchanged after any error.
pub(super) fn rewrite_file(settings: &Settings, path: &Path) -> io::Result<()> {
    // A link stays a link: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let original = read_bounded(File::open(&path)?)?;
    let original = String::from_utf8(original).map_err(|_| io::Error::other("the file is not UTF-8 text"))?;
    let rewritten = rewrite(settings, &original);
    if rewritten == original {
        return Ok(());
    }
    let permissions = fs::metadata(&path)?.permissions();
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = replace(&path, &beside, rewritten.as_bytes(), permissions);
    if written.is_err() {
        // The first error is the one to report; a file left behind is harmless.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn replace(path: &Path, beside: &Path, text: &[u8], permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(beside)?;
    file.set_permissions(permissions)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory with these files, `@` in them standing for the directory.
    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let text = text.replace('@', directory.path().to_str().unwrap());
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn read(directory: &tempfile::TempDir) -> Result<Settings, ConfigError> {
        let mut loader = Loader::new();
        Reader::default().file(&mut loader, &directory.path().join("main.conf"), None)?;
        loader.finish().map(|(settings, _)| settings)
    }

    #[test]
    fn includes_take_effect_where_they_stand() {
        let files = [
            (
                "main.conf",
                "timeout 1\nINCLUDE '@/a.conf'\nport 7001\ninclude @/d-*.conf\ninclude @/none-*.conf",
            ),
            ("a.conf", "timeout 2\nport 7000\n"),
            ("d-1.conf", "maxclients 1\n"),
            ("d-2.conf", "maxclients 2\n"),
        ];
        let settings = read(&directory(&files)).unwrap();
        assert_eq!(["timeout", "port", "maxclients"].map(|name| settings.text(name)), ["2", "7001", "2"]);
    }

    #[test]
    fn errors_name_the_included_file_and_line() {
        let files = directory(&[("main.conf", "include @/a.conf"), ("a.conf", "\nbogus 1")]);
        let place = read(&files).unwrap_err().place.unwrap();
        assert!(place.source.ends_with("/a.conf") && place.line == 2, "{place:?}");
        let missing = read(&directory(&[("main.conf", "port 1\ninclude @/b.conf")])).unwrap_err();
        assert_eq!(missing.place.unwrap().line, 2);
        let bare = read(&directory(&[("main.conf", "include")])).unwrap_err();
        assert_eq!(bare.reason, "wrong number of arguments");
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        for text in ["include @/main.conf", "include @/*.conf\ninclude @/*.conf"] {
            let reason = read(&directory(&[("main.conf", text)])).unwrap_err().reason;
            assert!(reason.contains("too many includes"), "{reason}");
        }
    }

    #[test]
    fn rewriting_keeps_permissions_and_leaves_nothing_behind() {
        let files = directory(&[("main.conf", "# mine\ntimeout 1\n")]);
        let path = files.path().join("main.conf");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let settings = read(&files).unwrap();
        settings.set(&[(b"timeout", b"9")], false).unwrap();
        rewrite_file(&settings, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\ntimeout 9\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(files.path()).unwrap().count(), 1);
        assert!(rewrite_file(&settings, &files.path().join("absent.conf")).is_err());
    }
}
