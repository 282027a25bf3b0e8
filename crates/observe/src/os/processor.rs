//! How much of the machine's processors nobody uses.
//!
//! Not the use of one process or thread; and not what a container may use of it: a quota is not seen here.
//!
//! Thread safety: plain values.

use std::time::Duration;

/// A reading of proc_uptime(5): time since boot, and the idle time of all processors together. Both are counted in
/// hundredths of a second, so two readings should be some tenths apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    uptime: Duration,
    idle: Duration,
}

impl Idle {
    /// `None` where the kernel does not tell.
    pub fn read() -> Option<Idle> {
        Idle::parse(&std::fs::read_to_string("/proc/uptime").ok()?)
    }

    fn parse(text: &str) -> Option<Idle> {
        let mut seconds = text.split_ascii_whitespace().map(|word| word.parse::<f64>().ok());
        let mut next = || Duration::try_from_secs_f64(seconds.next()??).ok();
        Some(Idle { uptime: next()?, idle: next()? })
    }

    /// Processors that were idle since `earlier`, in thousandths of one.
    pub fn milli_since(self, earlier: Idle) -> u32 {
        let passed = self.uptime.saturating_sub(earlier.uptime).as_millis().max(1);
        (self.idle.saturating_sub(earlier.idle).as_millis() * 1000 / passed) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_processors_are_counted_between_two_readings() {
        let earlier = Idle::parse("350735.47 234388.90\n").expect("two numbers");
        let later = Idle::parse("350735.97 234389.65\n").expect("two numbers");
        assert_eq!(later.milli_since(earlier), 1500);
        assert_eq!(earlier.milli_since(later), 0, "a clock that goes backwards counts nothing");
        assert_eq!(Idle::parse("12.5"), None);
        assert_eq!(Idle::parse("-1 2"), None);
    }

    #[test]
    fn this_machine_tells() {
        let idle = Idle::read().expect("/proc/uptime");
        assert!(idle.uptime > Duration::ZERO);
    }
}
