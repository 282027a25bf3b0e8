//! Deadlines: ticks, and a hierarchical timing wheel whose items are stripes.
//!
//! It does not hold keys. A key's deadline lies in its entry; each bucket, segment and table knows the earliest one
//! below it (see `table`); the wheel says which of a database's 1024 stripes to look into next. So a deadline costs
//! no timer, setting or refreshing one allocates nothing, and a wheel is 9 KiB whatever the number of keys. Wheels
//! that hold an item per key were rejected: at 4 to 8 bytes per key they cost more than the tree of minima (0.6),
//! and a refreshed or deleted key leaves a dead item behind until its slot comes round.
//!
//! The scheme is G. Varghese and A. Lauck, "Hashed and hierarchical timing wheels" (1987), scheme 7: four levels of 64
//! slots; an item further away than a level reaches waits on a coarser one and is moved down when its slot opens.
//!
//! Invariants: (1) an item is in at most one slot; (2) an item armed for tick t is reported by the first
//! `advance` that reaches t, or earlier when t is more than 64^4 ticks (12 days) ahead, never later.
//!
//! Thread safety: none of its own; a database keeps its wheel behind a mutex, a leaf in the order of locks.

/// Milliseconds per tick: how late, at most, the active cycle notices a deadline (a read notices at once).
pub const TICK_MS: i64 = 64;
/// The tick of an entry without a deadline.
pub const NEVER: u32 = u32::MAX;

const LEVELS: u32 = 4;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u32 = SLOTS as u32 - 1;
/// The furthest a wheel reaches; what lies beyond is looked at again by then.
const HORIZON: u32 = 1 << (LEVELS * SLOT_BITS);
const NONE: u16 = u16::MAX;

/// The first tick at which a deadline has passed for certain. `now_ms` has reached tick `tick_of(now_ms) - 1`.
#[inline(always)]
pub fn tick_of(deadline_ms: i64) -> u32 {
    let tick = (deadline_ms.max(0) / TICK_MS).saturating_add(1);
    u32::try_from(tick).map_or(NEVER - 1, |tick| tick.min(NEVER - 1))
}

/// See the module's text. Items are numbers below the wheel's size.
pub struct Wheel {
    now: u32,
    /// First item of each slot, level by level.
    heads: Box<[u16]>,
    items: Box<[Item]>,
}

#[derive(Clone, Copy)]
struct Item {
    next: u16,
    previous: u16,
    slot: u16,
    tick: u32,
}

impl Wheel {
    /// What the wheel takes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.items)
    }

    /// A wheel for `items` items, at most 2^16 - 1, none of them armed, standing at tick `now`.
    pub fn new(items: usize, now: u32) -> Wheel {
        let idle = Item { next: NONE, previous: NONE, slot: NONE, tick: NEVER };
        let heads = vec![NONE; SLOTS * LEVELS as usize].into_boxed_slice();
        Wheel { now, heads, items: vec![idle; items].into_boxed_slice() }
    }

    /// Arms `item` for `tick`, or disarms it for `NEVER`, whatever it was armed for before.
    pub fn arm(&mut self, item: usize, tick: u32) {
        self.unlink(item);
        self.items[item].tick = tick;
        if tick != NEVER {
            self.link(item, tick);
        }
    }

    fn link(&mut self, item: usize, tick: u32) {
        let ahead = tick.saturating_sub(self.now).clamp(1, HORIZON - 1);
        let at = self.now + ahead;
        let level = ahead.ilog2() / SLOT_BITS;
        let slot = level as usize * SLOTS + (at >> (level * SLOT_BITS) & SLOT_MASK) as usize;
        let head = self.heads[slot];
        if head != NONE {
            self.items[head as usize].previous = item as u16;
        }
        let entry = &mut self.items[item];
        (entry.next, entry.previous, entry.slot) = (head, NONE, slot as u16);
        self.heads[slot] = item as u16;
    }

    fn unlink(&mut self, item: usize) {
        let Item { next, previous, slot, .. } = self.items[item];
        if slot == NONE {
            return;
        }
        if previous == NONE {
            self.heads[slot as usize] = next;
        } else {
            self.items[previous as usize].next = next;
        }
        if next != NONE {
            self.items[next as usize].previous = previous;
        }
        self.items[item].slot = NONE;
    }

    /// Turns the wheel to `tick` and reports, disarmed, the items whose time has come.
    pub fn advance(&mut self, tick: u32, due: &mut Vec<u16>) {
        while self.now < tick {
            self.now += 1;
            let mut level = 1;
            while level < LEVELS && self.now & ((1 << (level * SLOT_BITS)) - 1) == 0 {
                let slot = level as usize * SLOTS + (self.now >> (level * SLOT_BITS) & SLOT_MASK) as usize;
                self.open(slot, due);
                level += 1;
            }
            self.open((self.now & SLOT_MASK) as usize, due);
        }
    }

    /// Empties a slot: what is due is reported, the rest goes where it now belongs.
    fn open(&mut self, slot: usize, due: &mut Vec<u16>) {
        while self.heads[slot] != NONE {
            let item = self.heads[slot] as usize;
            self.unlink(item);
            let tick = self.items[item].tick;
            if tick <= self.now {
                self.items[item].tick = NEVER;
                due.push(item as u16);
            } else {
                self.link(item, tick);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tick_is_never_before_its_deadline() {
        for deadline_ms in [0, 1, 63, 64, 65, 1_000_000_007] {
            assert!(i64::from(tick_of(deadline_ms)) * TICK_MS >= deadline_ms);
            assert!((i64::from(tick_of(deadline_ms)) - 1) * TICK_MS <= deadline_ms);
        }
        assert_eq!(tick_of(-5), 1);
        assert_eq!(tick_of(i64::MAX), NEVER - 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(usize, u32),
        Disarm(usize),
        Advance(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ahead = prop_oneof![0..100u32, 0..10_000u32, 0..HORIZON + 5000];
        let advance = prop_oneof![0..80u32, 0..6000u32];
        prop_oneof![
            4 => (0..40usize, ahead).prop_map(|(item, ahead)| Step::Arm(item, ahead)),
            1 => (0..40usize).prop_map(Step::Disarm),
            3 => advance.prop_map(Step::Advance),
        ]
    }

    proptest! {
        /// Against a plain array of deadlines: an item is reported at the first advance that reaches its tick.
        #[test]
        fn the_wheel_reports_what_an_array_of_deadlines_would(
            steps in prop::collection::vec(step(), 1..200), start in 0..1_000_000u32,
        ) {
            let mut wheel = Wheel::new(40, start);
            let mut armed = [NEVER; 40];
            let mut now = start;
            for step in steps {
                match step {
                    Step::Arm(item, ahead) => {
                        armed[item] = (now + ahead).max(now + 1);
                        wheel.arm(item, now + ahead);
                    }
                    Step::Disarm(item) => {
                        armed[item] = NEVER;
                        wheel.arm(item, NEVER);
                    }
                    Step::Advance(by) => {
                        now += by;
                        let mut due = Vec::new();
                        wheel.advance(now, &mut due);
                        due.sort_unstable();
                        let expected: Vec<u16> = (0..40u16).filter(|&i| armed[i as usize] <= now).collect();
                        prop_assert_eq!(&due, &expected);
                        expected.iter().for_each(|&item| armed[item as usize] = NEVER);
                    }
                }
            }
        }
    }
}
