//! Just enough of an unsigned integer without bounds to read and print an 80-bit float exactly.
//!
//! Not a general library: the numbers have at most some 35,000 bits (`10^10074`), so every operation is the
//! schoolbook one and needs no thought about speed.
//!
//! Invariant: the most significant limb is not zero.
//!
//! Thread safety: plain data.

use std::cmp::Ordering;

const LIMB_BITS: u64 = 64;

/// The largest power of five that a limb holds.
const FIVES_OF_LIMB: u64 = 27;

/// Limbs, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BigInteger {
    limbs: Vec<u64>,
}

impl BigInteger {
    pub(super) fn from_u64(value: u64) -> Self {
        let mut integer = Self { limbs: vec![value] };
        integer.trim();
        integer
    }

    /// The decimal digits of `digits`; other bytes are skipped.
    pub(super) fn from_decimal(digits: &[u8]) -> Self {
        let mut integer = Self::from_u64(0);
        let digits: Vec<u64> =
            digits.iter().filter(|d| d.is_ascii_digit()).map(|d| u64::from(d - b'0')).collect();
        for group in digits.chunks(19) {
            let value = group.iter().fold(0, |value, digit| value * 10 + digit);
            integer.multiply_add(10_u64.pow(group.len() as u32), value);
        }
        integer
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Number of bits up to the highest that is set.
    pub(super) fn bits(&self) -> u64 {
        self.limbs
            .last()
            .map_or(0, |top| self.limbs.len() as u64 * LIMB_BITS - u64::from(top.leading_zeros()))
    }

    pub(super) fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = addend;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            *limb = product as u64;
            carry = (product >> LIMB_BITS) as u64;
        }
        self.limbs.push(carry);
        self.trim();
    }

    pub(super) fn multiply_power_of_five(&mut self, power: u64) {
        (0..power / FIVES_OF_LIMB).for_each(|_| self.multiply_add(5_u64.pow(FIVES_OF_LIMB as u32), 0));
        self.multiply_add(5_u64.pow((power % FIVES_OF_LIMB) as u32), 0);
    }

    pub(super) fn shift_left(&mut self, bits: u64) {
        if bits == 0 || self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bits % LIMB_BITS), 0);
        let zeros = std::iter::repeat_n(0, (bits / LIMB_BITS) as usize);
        self.limbs.splice(0..0, zeros);
    }

    /// Subtracts a number that is not larger.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        let others = other.limbs.iter().copied().chain(std::iter::repeat(0));
        for (limb, subtrahend) in self.limbs.iter_mut().zip(others) {
            (*limb, borrow) = subtract_limb(*limb, subtrahend, borrow);
        }
        debug_assert!(!borrow, "subtracted a larger number");
        self.trim();
    }

    /// Divides by 10^9 and returns the remainder. A constant and half a limb at a time, so that the compiler
    /// can multiply instead of divide.
    pub(super) fn divide_by_billion(&mut self) -> u32 {
        const BILLION: u64 = 1_000_000_000;
        let mut remainder = 0;
        for limb in self.limbs.iter_mut().rev() {
            let high = remainder << 32 | *limb >> 32;
            let low = (high % BILLION) << 32 | *limb & 0xffff_ffff;
            *limb = ((high / BILLION) << 32) | (low / BILLION);
            remainder = low % BILLION;
        }
        self.trim();
        remainder as u32
    }

    /// The highest 128 bits (all, when there are fewer), how many bits are below them, and whether any of
    /// those is set.
    pub(super) fn top(&self) -> (u128, u64, bool) {
        let below = self.limbs.len().saturating_sub(2);
        let (low, high) = self.limbs.split_at(below);
        let top = high.iter().rev().fold(0, |value, limb| value << LIMB_BITS | u128::from(*limb));
        (top, below as u64 * LIMB_BITS, low.iter().any(|limb| *limb != 0))
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

/// `limb - subtrahend - borrow`, and whether it wrapped.
fn subtract_limb(limb: u64, subtrahend: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = limb.overflowing_sub(subtrahend);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first || second)
}

impl PartialOrd for BigInteger {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BigInteger {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.limbs.len().cmp(&other.limbs.len());
        by_len.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}
