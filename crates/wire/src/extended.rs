//! The 80-bit floating point numbers of x86, in software: INCRBYFLOAT computes with C's `long double`.
//!
//! Not general arithmetic: reading text, adding, and printing as `%.17Lf` without the zeros at the end are all
//! that Redis does with them, and all three are exact up to one rounding to nearest even.
//!
//! ```text
//!   value = (-1)^negative * significand * 2^exponent
//!   significand: 64 bits, the highest set unless exponent is the least one (subnormal, or zero)
//!   exponent:    of the lowest bit, -16445 ..= 16320
//! ```
//!
//! What Redis 7.0, 8.0 and Valkey 9.1 were seen to do: `inf` is read, but no sum with it is accepted; `nan`,
//! spaces, the empty text, overflow, and nonzero numbers that round to zero are "not a valid float";
//! hexadecimal text is read; 5119 bytes are the longest text.
//!
//! Thread safety: plain data.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

mod big_integer;

use crate::number::parse_exponent;
use big_integer::BigInteger;

/// Longest text that is read: Redis copies it into a buffer of 5 KiB with its terminator.
pub const TEXT_BYTES_MAX: usize = 5 * 1024 - 1;

/// Exponent of the lowest bit of the smallest numbers.
const EXPONENT_MIN: i64 = -16_445;

/// Exponent of the lowest bit of the largest numbers.
const EXPONENT_MAX: i64 = 16_320;

/// Decimal exponents outside of which every number overflows, or rounds to zero.
const DECIMAL_EXPONENTS: std::ops::RangeInclusive<i64> = -4_953..=4_934;

/// Digits printed behind the point.
const FRACTION_DIGITS: u32 = 17;

const BIAS_OF_FRACTION: u128 = 10_u128.pow(FRACTION_DIGITS);

/// A number with 64 significant bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    infinite: bool,
    exponent: i64,
    significand: u64,
}

impl Extended {
    /// Reads a number as `strtold` does, all of `text`: decimal or hexadecimal, or infinity. `None` is
    /// Redis's "value is not a valid float".
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (negative, body) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = match body {
            [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(digits)?,
            [b'0'..=b'9' | b'.', ..] => parse_decimal(body)?,
            _ if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") => {
                Self { infinite: true, ..Self::ZERO }
            }
            _ => return None,
        };
        Some(Self { negative, ..magnitude })
    }

    /// The same number.
    pub fn from_i64(value: i64) -> Self {
        Self { negative: value < 0, ..round(u128::from(value.unsigned_abs()), 0, false) }
    }

    const ZERO: Self = Self { negative: false, infinite: false, exponent: EXPONENT_MIN, significand: 0 };

    /// The sum, rounded to nearest even; `None` when it is not a finite number.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        let (large, small) = if self.order() >= other.order() { (self, other) } else { (other, self) };
        // 63 bits of room below keep the sum exact, or one sticky bit below them decides the rounding: when
        // bits fall out the numbers are so far apart that a difference loses at most one bit at its top.
        let left = u128::from(large.significand) << 63;
        let distance = large.exponent - small.exponent;
        let right = u128::from(small.significand) << 63;
        let (right, lost) = match u32::try_from(distance) {
            Ok(distance @ 0..=127) => (right >> distance, right & ((1 << distance) - 1) != 0),
            _ => (0, right != 0),
        };
        let right = right | u128::from(lost);
        let exponent = large.exponent - 63;
        let sum = if large.negative == small.negative {
            Self { negative: large.negative, ..round(left + right, exponent, false) }
        } else if left == right {
            Self::ZERO
        } else {
            Self { negative: large.negative, ..round(left - right, exponent, false) }
        };
        (!sum.infinite).then_some(sum)
    }

    /// Orders magnitudes: a subnormal or zero has the least exponent.
    fn order(self) -> (i64, u64) {
        (self.exponent, self.significand)
    }

    /// Appends the number with at most 17 digits behind the point, correctly rounded, without zeros at the
    /// end and without an exponent; minus zero is `0`.
    pub fn write(self, into: &mut Vec<u8>) {
        let mark = into.len();
        if self.negative {
            into.push(b'-');
        }
        let digits = into.len();
        if self.infinite {
            into.extend_from_slice(b"inf");
        } else if self.exponent >= 0 {
            self.write_whole(into);
        } else {
            self.write_fraction(into);
        }
        if into.get(digits..) == Some(b"0") {
            into.truncate(mark);
            into.push(b'0');
        }
    }

    fn write_whole(self, into: &mut Vec<u8>) {
        let mut integer = BigInteger::from_u64(self.significand);
        integer.shift_left(self.exponent.unsigned_abs());
        let mut groups = Vec::new();
        while !integer.is_zero() {
            groups.push(integer.divide_by_billion());
        }
        let first = groups.pop().unwrap_or(0);
        into.extend_from_slice(first.to_string().as_bytes());
        groups.iter().rev().for_each(|group| into.extend_from_slice(format!("{group:09}").as_bytes()));
    }

    fn write_fraction(self, into: &mut Vec<u8>) {
        // At most 121 bits, so that a shift by 122 or more leaves less than one half.
        let scaled = u128::from(self.significand) * BIAS_OF_FRACTION;
        let rounded = match u32::try_from(self.exponent.unsigned_abs()) {
            Ok(drop @ 1..=121) => round_shift(scaled, drop, false),
            _ => 0,
        };
        into.extend_from_slice((rounded / BIAS_OF_FRACTION).to_string().as_bytes());
        let fraction = rounded % BIAS_OF_FRACTION;
        if fraction > 0 {
            let text = format!(".{fraction:017}");
            into.extend_from_slice(text.trim_end_matches('0').as_bytes());
        }
    }
}

/// `value * 2^exponent`, plus less than one unit of `value` when `sticky`, rounded to nearest even. A sticky
/// value must have more than 64 bits.
fn round(value: u128, exponent: i64, sticky: bool) -> Extended {
    if value == 0 {
        return Extended::ZERO;
    }
    let bits = i64::from(128 - value.leading_zeros());
    let drop = (bits - 64).max(EXPONENT_MIN.saturating_sub(exponent));
    let kept = match drop {
        0 => value,
        1..=128 => round_shift(value, drop.unsigned_abs() as u32, sticky),
        129.. => return Extended::ZERO,
        // Fewer than 64 bits: there is nothing to round, and room at the bottom.
        _ => value << drop.unsigned_abs(),
    };
    let exponent = exponent.saturating_add(drop);
    let (kept, exponent) = if kept >> 64 == 0 { (kept, exponent) } else { (kept >> 1, exponent + 1) };
    if exponent > EXPONENT_MAX {
        return Extended { infinite: true, ..Extended::ZERO };
    }
    Extended { negative: false, infinite: false, exponent, significand: kept as u64 }
}

/// `value / 2^drop` for `drop` in 1..=128, to nearest even; `sticky` says that the value is a little more.
fn round_shift(value: u128, drop: u32, sticky: bool) -> u128 {
    let floor = value.checked_shr(drop).unwrap_or(0);
    let half = 1_u128 << (drop - 1);
    let rest = value & (half | (half - 1));
    let up = rest > half || (rest == half && (sticky || floor & 1 == 1));
    floor + u128::from(up)
}

/// What a nonzero number has become: `None` when all of it was lost, in either direction.
fn in_range(number: Extended) -> Option<Extended> {
    (!number.infinite && number.significand != 0).then_some(number)
}

/// Splits at the exponent's letter and reads the exponent; 0 when there is none.
fn split_exponent(text: &[u8], letter: u8) -> Option<(&[u8], i64)> {
    match text.iter().position(|byte| byte.eq_ignore_ascii_case(&letter)) {
        None => Some((text, 0)),
        Some(at) => Some((text.get(..at)?, parse_exponent(text.get(at + 1..)?)?)),
    }
}

/// Reads what follows `0x`.
fn parse_hexadecimal(text: &[u8]) -> Option<Extended> {
    let (digits, mut exponent) = split_exponent(text, b'p')?;
    let (mut value, mut sticky, mut point, mut seen) = (0_u128, false, false, false);
    for &byte in digits {
        if byte == b'.' && !point {
            point = true;
            continue;
        }
        let digit = u128::from(char::from(byte).to_digit(16)?);
        seen = true;
        if value >> 124 == 0 {
            value = value << 4 | digit;
            exponent -= if point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if point { 0 } else { 4 };
        }
    }
    match (seen, value) {
        (false, _) => None,
        (true, 0) => Some(Extended::ZERO),
        (true, _) => in_range(round(value, exponent, sticky)),
    }
}

fn parse_decimal(text: &[u8]) -> Option<Extended> {
    let (mantissa, written_exponent) = split_exponent(text, b'e')?;
    let mut parts = mantissa.split(|&byte| byte == b'.');
    let whole = parts.next()?;
    let fraction = parts.next().unwrap_or_default();
    if parts.next().is_some() || whole.len() + fraction.len() == 0 {
        return None;
    }
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let all = [whole, fraction].concat();
    let Some(first) = all.iter().position(|&digit| digit != b'0') else { return Some(Extended::ZERO) };
    let end = all.iter().rposition(|&digit| digit != b'0')? + 1;
    let exponent = written_exponent - fraction.len() as i64 + (all.len() - end) as i64;
    let digits = all.get(first..end)?;
    if !DECIMAL_EXPONENTS.contains(&exponent.saturating_add(digits.len() as i64)) {
        return None;
    }
    in_range(scale_short(digits, exponent).unwrap_or_else(|| scale_long(digits, exponent)))
}

/// `digits * 10^exponent` for numbers as people write them, in 128 bits.
fn scale_short(digits: &[u8], exponent: i64) -> Option<Extended> {
    if digits.len() > 19 {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u128::from(digit - b'0'));
    match exponent {
        // 10^19 * 10^19 has 127 bits.
        0..=19 => Some(round(value * 10_u128.pow(exponent as u32), 0, false)),
        // 5^27 has 63 bits, so that the quotient of 128 bits by it has more than 64.
        -27..=-1 => {
            let power = exponent.unsigned_abs() as u32;
            let divisor = 5_u128.pow(power);
            let shift = value.leading_zeros();
            let dividend = value << shift;
            Some(round(dividend / divisor, exponent - i64::from(shift), dividend % divisor != 0))
        }
        _ => None,
    }
}

/// `digits * 10^exponent` for any number, in as many bits as it takes.
fn scale_long(digits: &[u8], exponent: i64) -> Extended {
    let mut value = BigInteger::from_decimal(digits);
    if exponent >= 0 {
        value.multiply_power_of_five(exponent.unsigned_abs());
        let (top, below, sticky) = value.top();
        return round(top, exponent + below as i64, sticky);
    }
    let mut divisor = BigInteger::from_u64(1);
    divisor.multiply_power_of_five(exponent.unsigned_abs());
    // With equally many bits the quotient is between one half and two.
    let lift = divisor.bits() as i64 - value.bits() as i64;
    if lift >= 0 {
        value.shift_left(lift.unsigned_abs())
    } else {
        divisor.shift_left(lift.unsigned_abs())
    }
    const QUOTIENT_BITS: i64 = 68;
    let mut quotient = 0;
    for _ in 0..QUOTIENT_BITS {
        quotient <<= 1;
        if value >= divisor {
            value.subtract(&divisor);
            quotient |= 1;
        }
        value.shift_left(1);
    }
    round(quotient, exponent - lift - (QUOTIENT_BITS - 1), !value.is_zero())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn text(number: Extended) -> String {
        let mut bytes = Vec::new();
        number.write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn read(text: &str) -> Option<Extended> {
        Extended::parse(text.as_bytes())
    }

    /// Asked of Redis 7.0: SET key first, INCRBYFLOAT key second. Beyond this table 220,000 random pairs of every
    /// kind (short, long, hexadecimal, halfway between two numbers, subnormal, huge) were compared: no difference.
    #[test]
    fn sums_are_those_of_redis() {
        for (first, second, sum) in [
            ("0", "0x10", "16"),
            ("0x10", "1", "17"),
            ("0", "-0", "0"),
            ("-0", "-0", "0"),
            ("0", "-1e-30", "0"),
            ("1e3", "5e2", "1500"),
            ("+5", "1", "6"),
            ("0", "1.", "1"),
            ("0", ".5", "0.5"),
            ("0", "-.5", "-0.5"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3.0", "1.123456789", "4.123456789"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "5e-18", "1"),
            ("1.5e-17", "0", "0.00000000000000002"),
            ("2.5e-17", "0", "0.00000000000000002"),
            ("0.000000000000000005", "0", "0"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            ("1e30", "1", "1000000000000000000024696061952"),
            ("100000000000000000000000", "0.5", "100000000000000000000000"),
            ("-1", "0.99999999999999999", "-0.00000000000000001"),
            ("1e20", "-1e20", "0"),
            ("1e19", "-9999999999999999999", "1"),
            ("1", "-1.00000000000000000005", "0"),
            ("36893488147419103231", "0", "36893488147419103232"),
            ("36893488147419103230", "0", "36893488147419103230"),
            ("36893488147419103229.0000000000000000000000000000000000001", "0", "36893488147419103230"),
            ("9223372036854775808.50000000000000000000000000", "0", "9223372036854775808"),
            ("9223372036854775808.5", "0.5", "9223372036854775808"),
            ("-0x1.8p3", "0.25", "-11.75"),
            ("0x1.00000000000000018p0", "0", "1"),
            ("3.6e-4951", "0", "0"),
            ("1.9e-4951", "1", "1"),
            ("123456789.123456789", "-0.000000001", "123456789.12345678800193127"),
            ("17179869184.1", "0.00000000001", "17179869184.09999999962747097"),
            ("0e99999999999", "7", "7"),
            ("1e25", "1e-25", "10000000000000000000000000"),
            ("-79228162514264337593543950336", "1e10", "-79228162514264337584954015744"),
            (
                "3.14159265358979323846264338327950288",
                "2.71828182845904523536028747135266249",
                "5.85987448204883847",
            ),
            ("0.3333333333333333333333333333333333333333", "0.6666666666666666666666666666666666666667", "1"),
            ("1e-4940", "1e-4940", "0"),
            ("0x1p-16445", "1", "1"),
        ] {
            let found = read(first).unwrap().checked_add(read(second).unwrap()).map(text);
            assert_eq!(found.as_deref(), Some(sum), "{first} + {second}");
        }
    }

    #[test]
    fn huge_numbers_are_printed_with_every_digit() {
        for (number, start, end, digit_sum) in [
            (
                "1.18973149535723176502e4932".to_string(),
                "118973149535723176502126385303",
                "444156604419552086811989770240",
                22_047,
            ),
            ("1".repeat(4933), "111111111111111111109630034145", "459380366366861725149438148608", 21_731),
        ] {
            let printed = text(read(&number).unwrap());
            assert_eq!((printed.len(), &printed[..30], &printed[4903..]), (4933, start, end));
            assert_eq!(printed.bytes().map(|digit| u32::from(digit - b'0')).sum::<u32>(), digit_sum);
        }
    }

    #[test]
    fn what_redis_does_not_read() {
        for number in [
            "",
            " 1",
            "1 ",
            "\t1",
            "1\n",
            "1\0",
            "abc",
            "nan",
            "-nan",
            "nan(1)",
            "1e",
            "1e+",
            ".",
            "+",
            "-",
            "e1",
            "--1",
            "+-1",
            "1..2",
            "1.2.3",
            "1_0",
            "0x",
            "0x.",
            "0x.p1",
            "0x1p",
            "0x1g",
            "1e4933",
            "1.1897314953572317651e4932",
            "1e-4951",
            "1.8e-4951",
            "0x1p16384",
            "0x1p-16446",
            "0xfP-0500630503305050505",
            "0xfP0500630503305050505",
            "1e99999999999999999999",
            "-1e-99999999999999999999",
            "infin",
            "infx",
        ] {
            assert_eq!(read(number), None, "{number}");
        }
        assert_eq!(
            read(&format!("0.{}", "1".repeat(5117))).map(text).as_deref(),
            Some("0.11111111111111111")
        );
        assert_eq!(read(&format!("{}1", "0".repeat(5118))).map(text).as_deref(), Some("1"));
        assert_eq!(read(&format!("{}1", "0".repeat(5119))), None);
    }

    #[test]
    fn infinity_is_read_but_not_added() {
        let one = Extended::from_i64(1);
        for infinity in ["inf", "-inf", "+INF", "infinity", "-InFiNiTy"] {
            let infinity = read(infinity).unwrap();
            assert_eq!(infinity.checked_add(one), None);
            assert_eq!(one.checked_add(infinity), None);
            assert_eq!(infinity.checked_add(infinity), None);
        }
        let huge = read("1e4932").unwrap();
        assert_eq!(huge.checked_add(huge), None);
        assert!(huge.checked_add(one).is_some());
    }

    #[test]
    fn integers_are_exact() {
        for value in [0, 1, -1, 999_999_999, 1_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(text(Extended::from_i64(value)), value.to_string());
            assert_eq!(read(&value.to_string()), Some(Extended::from_i64(value)));
        }
    }

    #[test]
    fn the_short_way_and_the_long_way_agree() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits = (state >> (state & 31)).to_string();
            let digits = digits.trim_end_matches('0').as_bytes();
            let exponent = i64::from((state >> 40) as u8 % 47) - 27;
            if let (false, Some(short)) = (digits.is_empty(), scale_short(digits, exponent)) {
                assert_eq!(short, scale_long(digits, exponent), "{digits:?} e {exponent}");
            }
        }
    }
}
