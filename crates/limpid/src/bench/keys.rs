//! Which key a request touches: uniform, Zipf-distributed or sequential key numbers, and their decimal form.
//!
//! A key is a prefix and `KEY_DIGITS` decimal digits, so that a request can be laid out once and its digits
//! patched. Rank equals number: with `zipf` key 0 is the hottest, key 1 the next, which makes the truth easy to
//! compute beside; servers hash keys, so neighbours do not lie together.
//!
//! Invariants:
//! 1. A drawn number is below the number of keys.
//! 2. The same seed gives the same sequence.
//!
//! Thread safety: each load thread owns its `KeySource`.

use std::str::FromStr;

/// Digits of a key's number: with the default prefix `key:` a key has 16 bytes, as `valkey-benchmark` makes them.
pub const KEY_DIGITS: usize = 12;

/// The largest number of keys: what `KEY_DIGITS` can name.
pub const KEYS_MAX: u64 = 10u64.pow(KEY_DIGITS as u32);

/// The skew of YCSB's default workload, the usual stand-in for web traffic.
const ZIPF_THETA_DEFAULT: f64 = 0.99;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): one addition and two multiplications for each number, far more
/// even than a load test needs.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator whose sequence depends on `seed` alone.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.state)
    }

    /// A number in `0..bound`; `bound` must not be 0. (Lemire's multiplication; its bias is below 2^-24 here.)
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The finalizer of SplitMix64: spreads every bit of `value` over the result.
pub fn mix64(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How key numbers are chosen, as given on the command line: `uniform`, `zipf` or `zipf:THETA`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyDistribution {
    Uniform,
    /// The probability of rank k is proportional to `1 / k^theta`, with `theta` above 0.
    Zipf {
        theta: f64,
    },
}

impl FromStr for KeyDistribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let theta = match text.split_once(':') {
            None if text == "uniform" => return Ok(Self::Uniform),
            None if text == "zipf" => ZIPF_THETA_DEFAULT,
            Some(("zipf", theta)) => theta.parse().map_err(|_| format!("`{theta}` is not a number"))?,
            _ => return Err("expected uniform, zipf or zipf:THETA".to_owned()),
        };
        if theta > 0.0 && theta <= 10.0 {
            Ok(Self::Zipf { theta })
        } else {
            Err("THETA must be above 0 and at most 10".to_owned())
        }
    }
}

impl std::fmt::Display for KeyDistribution {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => write!(out, "uniform"),
            Self::Zipf { theta } => write!(out, "zipf:{theta}"),
        }
    }
}

/// Zipf-distributed ranks by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate
/// variates from monotone discrete distributions", 1996): no table, any number of keys, any exponent, about 1.1
/// attempts for each number.
#[derive(Clone, Debug)]
pub struct Zipf {
    ranks: f64,
    theta: f64,
    area_first: f64,
    area_all: f64,
    accept_below: f64,
}

impl Zipf {
    /// Ranks `1..=ranks` with exponent `theta` > 0.
    pub fn new(ranks: u64, theta: f64) -> Self {
        let mut zipf = Self { ranks: ranks as f64, theta, area_first: 0.0, area_all: 0.0, accept_below: 0.0 };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_all = zipf.area(zipf.ranks + 0.5);
        zipf.accept_below = 2.0 - zipf.area_inverse(zipf.area(2.5) - zipf.density(2.0));
        zipf
    }

    /// A rank from 1, the most frequent, to the number of ranks.
    pub fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.area_all + random.unit() * (self.area_first - self.area_all);
            let point = self.area_inverse(area);
            let rank = point.round().clamp(1.0, self.ranks);
            if rank - point <= self.accept_below || area >= self.area(rank + 0.5) - self.density(rank) {
                return rank as u64;
            }
        }
    }

    fn density(&self, point: f64) -> f64 {
        point.powf(-self.theta)
    }

    /// The integral of the density from 1 to `point`.
    fn area(&self, point: f64) -> f64 {
        let power = 1.0 - self.theta;
        let log = point.ln();
        if power.abs() < 1e-9 { log } else { (power * log).exp_m1() / power }
    }

    fn area_inverse(&self, area: f64) -> f64 {
        let power = 1.0 - self.theta;
        if power.abs() < 1e-9 { area.exp() } else { ((power * area).max(-1.0).ln_1p() / power).exp() }
    }
}

/// A stream of key numbers for one load thread.
#[derive(Clone, Debug)]
pub enum KeySource {
    Uniform {
        keys: u64,
    },
    Zipf(Zipf),
    /// Every number of a range once, for filling.
    Sequential {
        next: u64,
        end: u64,
    },
}

impl KeySource {
    /// Random numbers below `keys`, drawn as `distribution` says.
    pub fn random(distribution: KeyDistribution, keys: u64) -> Self {
        match distribution {
            KeyDistribution::Uniform => Self::Uniform { keys },
            KeyDistribution::Zipf { theta } => Self::Zipf(Zipf::new(keys, theta)),
        }
    }

    /// The next number, or `None` when a sequential source has reached its end.
    #[inline]
    pub fn next(&mut self, random: &mut Random) -> Option<u64> {
        match self {
            Self::Uniform { keys } => Some(random.below(*keys)),
            Self::Zipf(zipf) => Some(zipf.draw(random) - 1),
            Self::Sequential { next, end } => {
                let number = *next;
                (number < *end).then(|| {
                    *next += 1;
                    number
                })
            }
        }
    }
}

/// Writes `number` as `KEY_DIGITS` decimal digits with leading zeros over `digits`.
#[inline]
pub fn write_key_digits(digits: &mut [u8; KEY_DIGITS], mut number: u64) {
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        let two = (number % 100) as u8;
        number /= 100;
        *pair = [b'0' + two / 10, b'0' + two % 10];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_padded_and_complete() {
        for (number, expected) in [(0, "000000000000"), (42, "000000000042"), (KEYS_MAX - 1, "999999999999")]
        {
            let mut digits = [b'x'; KEY_DIGITS];
            write_key_digits(&mut digits, number);
            assert_eq!(std::str::from_utf8(&digits).unwrap(), expected);
        }
    }

    #[test]
    fn distributions_parse_and_print() {
        assert_eq!("uniform".parse(), Ok(KeyDistribution::Uniform));
        assert_eq!("zipf".parse(), Ok(KeyDistribution::Zipf { theta: 0.99 }));
        assert_eq!("zipf:1.2".parse(), Ok(KeyDistribution::Zipf { theta: 1.2 }));
        assert_eq!(KeyDistribution::Zipf { theta: 1.2 }.to_string(), "zipf:1.2");
        for bad in ["", "pareto", "zipf:", "zipf:0", "zipf:-1", "zipf:NaN", "uniform:1"] {
            assert!(bad.parse::<KeyDistribution>().is_err(), "{bad}");
        }
    }

    #[test]
    fn zipf_frequencies_match_the_formula() {
        const DRAWS: u64 = 400_000;
        let seed = 20_240_817;
        println!("seed {seed}");
        for theta in [0.5, 0.99, 1.0, 1.4] {
            let ranks = 1000u64;
            let zipf = Zipf::new(ranks, theta);
            let mut random = Random::new(seed);
            let mut counts = vec![0u64; ranks as usize + 1];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut random) as usize] += 1;
            }
            let norm: f64 = (1..=ranks).map(|rank| (rank as f64).powf(-theta)).sum();
            for rank in [1u64, 2, 3, 10, 100] {
                let expected = DRAWS as f64 * (rank as f64).powf(-theta) / norm;
                let deviation = (counts[rank as usize] as f64 - expected).abs();
                // Five standard deviations of a Poisson count.
                assert!(
                    deviation < 5.0 * expected.sqrt(),
                    "theta {theta} rank {rank}: {deviation} off {expected}"
                );
            }
            assert_eq!(counts[0], 0);
        }
    }

    #[test]
    fn uniform_numbers_stay_below_the_bound_and_cover_it() {
        let mut random = Random::new(7);
        let mut source = KeySource::random(KeyDistribution::Uniform, 10);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[source.next(&mut random).unwrap() as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 800), "{seen:?}");
    }

    #[test]
    fn a_sequential_source_ends() {
        let mut random = Random::new(7);
        let mut source = KeySource::Sequential { next: 3, end: 5 };
        assert_eq!(source.next(&mut random), Some(3));
        assert_eq!(source.next(&mut random), Some(4));
        assert_eq!(source.next(&mut random), None);
    }
}
