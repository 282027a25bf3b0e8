//! Any text as a number: no panic, agreement with the standard library where both read it, and what is printed
//! reads back as the same number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::Extended;
use wire::number::{format_f64, parse_f64, parse_i64, parse_u64};

fuzz_target!(|data: &[u8]| {
    let text = std::str::from_utf8(data).ok();
    if let Some(value) = parse_i64(data) {
        assert_eq!(value.to_string().as_bytes(), data, "an integer has one spelling");
    }
    if let Some(value) = parse_u64(data) {
        assert_eq!(value.to_string().as_bytes(), data, "an integer has one spelling");
    }
    if let Some(value) = parse_f64(data) {
        if let Some(Ok(expected)) = text.map(str::parse::<f64>) {
            assert_eq!(value.to_bits(), expected.to_bits(), "not the nearest double");
        }
        let mut printed = Vec::new();
        format_f64(value, &mut printed);
        assert_eq!(parse_f64(&printed).map(f64::to_bits), Some(value.to_bits()), "printed another double");
    }
    extended(data);
});

fn extended(data: &[u8]) {
    let Some(value) = Extended::parse(data) else { return };
    let Some(sum) = value.checked_add(Extended::from_i64(0)) else { return };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    value.write(&mut before);
    sum.write(&mut after);
    assert_eq!(before, after, "adding zero changed the number");
    // Seventeen digits behind the point lose bits; printed once, a number must stay as it is.
    let Some(read) = Extended::parse(&before) else { panic!("a printed number is not read") };
    let mut again = Vec::new();
    read.write(&mut again);
    assert_eq!(before, again, "a printed number reads as another");
}
