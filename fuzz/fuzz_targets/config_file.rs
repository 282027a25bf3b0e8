//! Any bytes as a configuration file: no panic, an error that names its line, and settings that, once written
//! out and read again, are the same.
//!
//! Lines with an unknown name are dropped unless the input begins with `!`: each would end the load at once, and
//! looking for the name that was meant costs a hundred times what a known line does.
#![no_main]

use engine::config::{Loader, Settings, find, line, rewrite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let known;
    let data = match data.strip_prefix(b"!") {
        Some(rest) => rest,
        None => {
            let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').filter(|text| is_known(text)).collect();
            known = lines.join(&b'\n');
            &known
        }
    };
    let Ok(settings) = load(data) else { return };
    let original = String::from_utf8_lossy(data);
    let written = rewrite(&settings, &original);
    let again =
        load(written.as_bytes()).unwrap_or_else(|error| panic!("own output is refused: {error}\n{written}"));
    let (before, after) = (settings.get(b"*"), again.get(b"*"));
    for (left, right) in before.iter().zip(&after) {
        assert_eq!(left, right, "read again as another value\n{written}");
    }
    // A carriage return at the end of a line is part of the line end, and may go.
    let twice = rewrite(&again, &written);
    assert_eq!(twice.replace('\r', ""), written.replace('\r', ""), "rewriting is not idempotent");
});

fn is_known(text: &[u8]) -> bool {
    line::split(text.trim_ascii()).map_or(true, |words| words.first().is_none_or(|name| find(name).is_some()))
}

fn load(data: &[u8]) -> Result<Settings, engine::config::ConfigError> {
    let mut loader = Loader::new();
    for (i, line) in data.split(|&byte| byte == b'\n').enumerate() {
        let outcome = loader.line("fuzz.conf", i + 1, line);
        if let Err(error) = outcome {
            assert!(!error.to_string().is_empty(), "an error without a text");
            return Err(error);
        }
    }
    loader.finish().map(|(settings, _)| settings)
}
