//! The arithmetic of a comparison: medians, spreads, and ratios formed within each round.
//!
//! Thread safety: plain data.

use std::fmt;

use serde_json::{Value, json};

/// The median of some rounds with the lowest and highest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Spread {
    /// `None` without values. The median of an even number is the mean of the middle two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&lowest, &highest) = (sorted.first()?, sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: (lower + upper) / 2.0, lowest, highest })
    }

    /// The spread of `values[i] / baseline[i]`: both were measured one after the other in round `i`, so a slow round
    /// cancels out. Rounds with a baseline of 0 are left out.
    pub fn of_ratios(values: &[f64], baseline: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = values
            .iter()
            .zip(baseline)
            .filter(|(_, base)| **base != 0.0)
            .map(|(value, base)| value / base)
            .collect();
        Self::of(&ratios)
    }

    /// As `{median, min, max}`.
    pub fn to_json(self) -> Value {
        json!({"median": self.median, "min": self.lowest, "max": self.highest})
    }
}

impl fmt::Display for Spread {
    /// `1.23 (1.20..1.31)`, with the formatter's precision.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = out.precision().unwrap_or(2);
        write!(out, "{:.digits$} ({:.digits$}..{:.digits$})", self.median, self.lowest, self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, lowest: 1.0, highest: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(format!("{:.1}", Spread::of(&[1.0, 2.0, 4.0]).unwrap()), "2.0 (1.0..4.0)");
    }

    #[test]
    fn ratios_are_formed_within_rounds() {
        // The machine was half as fast in the second round: each ratio is still exactly 0.5.
        let ratio = Spread::of_ratios(&[1.0, 2.0, 1.5], &[2.0, 4.0, 3.0]).unwrap();
        assert_eq!(ratio, Spread { median: 0.5, lowest: 0.5, highest: 0.5 });
        // The ratio of medians would be 1 here; the median of ratios is not.
        let ratio = Spread::of_ratios(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).unwrap();
        assert_eq!((ratio.median, ratio.lowest, ratio.highest), (1.0, 1.0 / 3.0, 3.0));
        assert_eq!(Spread::of_ratios(&[1.0], &[0.0]), None);
    }
}
