//! Any bytes as a configuration file: no panic, an error that names its line, and settings that, once written
//! out and read again, are the same.
#![no_main]

use commands::config::{Loader, Settings, rewrite};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(settings) = load(data) else { return };
    let original = String::from_utf8_lossy(data);
    let written = rewrite(&settings, &original);
    let again =
        load(written.as_bytes()).unwrap_or_else(|error| panic!("own output is refused: {error}\n{written}"));
    let (before, after) = (settings.get(b"*"), again.get(b"*"));
    for (left, right) in before.iter().zip(&after) {
        assert_eq!(left, right, "read again as another value\n{written}");
    }
    assert_eq!(rewrite(&again, &written), written, "rewriting is not idempotent");
});

fn load(data: &[u8]) -> Result<Settings, commands::config::ConfigError> {
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
