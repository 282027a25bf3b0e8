//! Which commands are timed: one countdown with random steps, for everything that is sampled.
//!
//! A fixed step would alias with periodic traffic (a client that sends GET, GET, SET in a loop). Steps are
//! uniform in `1..=2*interval-1`: their mean is the interval, and a walk with such steps visits every phase of
//! any period equally often.
//!
//! Invariants:
//! 1. The weights returned estimate the number of calls without bias: each sample stands for its interval.
//! 2. Every depth class keeps its own countdown, so that switching between shallow and deep batches never
//!    restarts one half way (that would favour the ends of batches).
//!
//! Thread safety: owned by one recorder.

/// Batches up to this many commands are timed completely: the system calls cost far more than the clock.
pub const SHALLOW_BATCH_MAX: u32 = 4;
/// Batches up to this many are sampled at [`INTERVALS`]`[1]`, deeper ones at `[2]`.
pub const MIDDLE_BATCH_MAX: u32 = 16;
/// Mean sampling interval per depth class.
pub const INTERVALS: [u32; 3] = [1, 4, 16];

/// Decides which commands are timed, and with which weight.
#[derive(Clone, Debug)]
pub struct Sampler {
    countdowns: [u32; 3],
    class: usize,
    state: u64,
}

impl Sampler {
    /// `seed` should differ per worker; any value will do.
    pub fn new(seed: u64) -> Self {
        let mut sampler = Self { countdowns: [1; 3], class: 0, state: seed };
        sampler.countdowns = INTERVALS.map(|interval| sampler.step(interval));
        sampler
    }

    /// Says how many commands the batch about to run holds.
    #[inline]
    pub fn set_batch_depth(&mut self, commands: u32) {
        self.class = if commands <= SHALLOW_BATCH_MAX {
            0
        } else if commands <= MIDDLE_BATCH_MAX {
            1
        } else {
            2
        };
    }

    /// 0: this command is not sampled. Else the number of commands that this one stands for.
    #[inline]
    pub fn sample(&mut self) -> u32 {
        let countdown = &mut self.countdowns[self.class];
        *countdown -= 1;
        if *countdown > 0 {
            return 0;
        }
        self.sampled()
    }

    fn sampled(&mut self) -> u32 {
        let interval = INTERVALS[self.class];
        self.countdowns[self.class] = self.step(interval);
        interval
    }

    /// Uniform in `1..=2*interval-1`.
    fn step(&mut self, interval: u32) -> u32 {
        if interval == 1 {
            return 1;
        }
        let span = u64::from(2 * interval - 1);
        (((self.random() >> 32) * span) >> 32) as u32 + 1
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shallow_batches_are_timed_completely() {
        let mut sampler = Sampler::new(1);
        sampler.set_batch_depth(1);
        assert!((0..100).all(|_| sampler.sample() == 1));
    }

    #[test]
    fn weights_estimate_calls_even_for_periodic_traffic() {
        let seed = 0x5EED_0001;
        println!("seed {seed:#x}");
        for period in [2u64, 3, 16, 31, 64] {
            let mut sampler = Sampler::new(seed);
            sampler.set_batch_depth(64);
            let mut estimate = vec![0u64; period as usize];
            let calls_each = 200_000 / period;
            for call in 0..calls_each * period {
                estimate[(call % period) as usize] += u64::from(sampler.sample());
            }
            for phase in estimate {
                let error = (phase as f64 - calls_each as f64).abs() / calls_each as f64;
                // 16 * sqrt(n/16) is the deviation of an independent sample; four of them.
                let bound = 4.0 * 4.0 / (calls_each as f64).sqrt();
                assert!(error < bound, "period {period}: error {error}, bound {bound}");
            }
        }
    }

    #[test]
    fn alternating_depths_stay_unbiased() {
        let mut sampler = Sampler::new(7);
        let (mut shallow, mut deep) = (0u64, 0u64);
        for _ in 0..20_000 {
            sampler.set_batch_depth(8);
            shallow += (0..8).map(|_| u64::from(sampler.sample())).sum::<u64>();
            sampler.set_batch_depth(20);
            deep += (0..20).map(|_| u64::from(sampler.sample())).sum::<u64>();
        }
        assert!((shallow as f64 / 160_000.0 - 1.0).abs() < 0.02, "{shallow}");
        assert!((deep as f64 / 400_000.0 - 1.0).abs() < 0.03, "{deep}");
    }
}
