//! Placement: which worker serves which client.
//!
//! Clients are kept together on as few workers as serve them well: a worker with much to do gets more requests each time
//! it wakes, and spends less on waking. Two half-idle workers on two processors, with the load generator beside them,
//! cost 1.4 times the processor time of one at one request in flight. A worker that has no time left gives clients away
//! if a processor is idle: to a worker with clients and time, else to one without clients; when two workers together have
//! little to do, the later one's clients go back to the earlier.
//!
//! The price: clients that could be on different workers wait for each other's long commands until the average of half a
//! second says that the worker is full.
//!
//! Not the moving: `worker` takes a connection out of its poll and hands it to the other's mailbox.
//!
//! With `io-threads-always-active yes` every worker gets as many clients as the others instead.
//!
//! Invariants: (1) what two workers know of each other is a window old, so relief moves at most half of the difference,
//! and both sides' figures are corrected for it at once; (2) while a worker gives clients away its window stands still;
//! (3) a worker that has not been heard of for some ticks counts as full: it is in a long command.
//!
//! Thread safety: `Load` is shared atomics, written by its worker and by who gives to it; `Placement` is its worker's.

use observe::os::processor::Idle;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a worker's load is measured before anything is decided. Readings of idle processors are steps of 10 ms.
const WINDOW: Duration = Duration::from_millis(500);
/// Thousandths of a window. From here on a worker counts as having no time left.
const SATURATED: u32 = 900;
/// Two workers that together do less than this become one.
const COMFORTABLE: u32 = 500;
/// Idle processors, in thousandths of one, that make it worth using another worker, in two windows running. With less,
/// the workers and who sends the requests only take the processors from each other.
const IDLE_WORTH: u32 = 300;
/// A worker's timer turns every 100 ms; one that is so late is in a long command.
const SILENCE_MAX_MS: i64 = 300;
/// Connections moved in one turn of the timer: about 3 µs each.
pub const MOVES_PER_TICK: usize = 256;

/// What the workers know of each other.
#[derive(Default)]
pub struct Load {
    pub connections: AtomicUsize,
    /// Share of the last window in which the worker did not wait, in thousandths.
    busy: AtomicU32,
    /// The last turn of its timer, on the keyspace's clock.
    ticked_ms: AtomicI64,
}

impl Load {
    /// To be told at each turn of its worker's timer.
    pub fn ticked(&self, now_ms: i64) {
        self.ticked_ms.store(now_ms, Relaxed);
    }

    fn standing(&self, now_ms: i64) -> Standing {
        let is_silent = now_ms - self.ticked_ms.load(Relaxed) > SILENCE_MAX_MS;
        let busy = if is_silent { 1000 } else { self.busy.load(Relaxed) };
        Standing { connections: self.connections.load(Relaxed), busy }
    }
}

/// One worker's load at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    connections: usize,
    /// Thousandths.
    busy: u32,
}

/// A worker's clients are to go to another until they carry `load` thousandths of a window there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    to: usize,
    load: u32,
}

/// Clients that are on their way to another worker.
pub struct Giving {
    pub to: usize,
    /// The first slot that was not looked at yet.
    pub slot: usize,
    pub moved: usize,
    by: Measure,
    /// What is still to be given away.
    left: u64,
    /// With so little left it is done: clients that were not timed have no weight, and would all follow.
    enough: u64,
}

/// What is counted of a client that goes.
#[derive(Clone, Copy)]
enum Measure {
    /// Nanoseconds of its turns in this window.
    Turns {
        window: u32,
    },
    Clients,
}

impl Giving {
    fn turns(to: usize, window: u32, ns: u64) -> Giving {
        Giving { to, slot: 0, moved: 0, by: Measure::Turns { window }, left: ns, enough: ns / 16 }
    }

    fn clients(to: usize, count: usize) -> Giving {
        Giving { to, slot: 0, moved: 0, by: Measure::Clients, left: count as u64, enough: 0 }
    }

    pub fn is_done(&self) -> bool {
        self.left <= self.enough
    }

    /// Whether a client goes. One that does more than is to be given stays, and others go.
    pub fn takes(&mut self, turns: &Turns) -> bool {
        let weight = match self.by {
            Measure::Turns { window } => turns.ns_in(window),
            Measure::Clients => 1,
        };
        let goes = weight <= self.left;
        if goes {
            self.left -= weight;
            self.moved += 1;
        }
        goes
    }
}

/// How long a connection's turns took in the current window, as far as they were timed.
#[derive(Default)]
pub struct Turns {
    window: u32,
    ns: u64,
}

impl Turns {
    pub fn add(&mut self, window: u32, ns: u64) {
        *self = Turns { window, ns: self.ns_in(window) + ns };
    }

    pub fn ns_in(&self, window: u32) -> u64 {
        if self.window == window { self.ns } else { 0 }
    }
}

/// One worker's part in placement.
pub struct Placement {
    index: usize,
    window: u32,
    started: Instant,
    waited_ns: u64,
    idle: Option<Idle>,
    /// What this worker told the others last.
    told_busy: u32,
    /// At the end of the last window there was reason to ask another worker for help.
    wanted_help: bool,
    pub giving: Option<Giving>,
}

impl Placement {
    pub fn new(index: usize) -> Placement {
        Placement {
            index,
            window: 0,
            started: Instant::now(),
            waited_ns: 0,
            idle: Idle::read(),
            told_busy: 0,
            wanted_help: false,
            giving: None,
        }
    }

    /// The number of the current window; what is known of a connection from another one is out of date.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// The worker had nothing to do for so long.
    pub fn add_waited(&mut self, ns: u64) {
        self.waited_ns += ns;
    }

    /// At the end of a window: tells the others how busy it was, and decides whether clients are to go. `turns_ns` is
    /// what all clients' turns took in it, as far as they were timed.
    pub fn end_window(
        &mut self,
        now: Instant,
        now_ms: i64,
        loads: &[&Load],
        spread: bool,
        turns_ns: impl FnOnce(u32) -> u64,
    ) {
        let passed = now.duration_since(self.started);
        if passed < WINDOW || self.giving.is_some() {
            return;
        }
        let waited = (u128::from(self.waited_ns) * 1000 / passed.as_nanos().max(1)).min(1000) as u32;
        let busy = 1000 - waited;
        let was_told = loads[self.index].busy.swap(busy, Relaxed);
        if was_told != self.told_busy {
            // Another worker has given it clients meanwhile: what was measured is not what is to come.
            self.told_busy = busy.max(was_told);
            loads[self.index].busy.fetch_add(self.told_busy - busy, Relaxed);
            return self.start_window(now, Idle::read());
        }
        self.told_busy = busy;
        let mut standings: Vec<Standing> = loads.iter().map(|load| load.standing(now_ms)).collect();
        // Not what another worker has just added to it.
        standings[self.index].busy = busy;
        let idle = Idle::read();
        // Where the kernel does not tell, a processor may well be idle.
        let idle_milli = self.idle.zip(idle).map_or(IDLE_WORTH, |(before, now)| now.milli_since(before));
        if spread {
            self.giving = surplus(&standings, self.index);
        } else if let Some(order) = self.confirm(order(&standings, self.index, idle_milli), busy) {
            loads[self.index].busy.fetch_sub(order.load, Relaxed);
            self.told_busy -= order.load;
            loads[order.to].busy.fetch_add(order.load, Relaxed);
            self.giving = Some(match order.load == busy {
                true => Giving::clients(order.to, standings[self.index].connections),
                false => {
                    let ns = turns_ns(self.window) / u64::from(busy) * u64::from(order.load);
                    Giving::turns(order.to, self.window, ns)
                }
            });
        }
        if self.giving.is_none() {
            self.start_window(now, idle);
        }
    }

    /// The clients that were to go have gone.
    pub fn end_giving(&mut self, now: Instant) {
        self.giving = None;
        self.start_window(now, Idle::read());
    }

    fn start_window(&mut self, now: Instant, idle: Option<Idle>) {
        self.window = self.window.wrapping_add(1);
        (self.started, self.waited_ns, self.idle) = (now, 0, idle);
    }

    /// Help is asked for by the second order running.
    fn confirm(&mut self, order: Option<Order>, busy: u32) -> Option<Order> {
        let wants_help = order.is_some() && busy >= SATURATED;
        let wanted_help = std::mem::replace(&mut self.wanted_help, wants_help);
        order.filter(|_| wanted_help || !wants_help)
    }
}

/// The worker that a new client goes to: of those that have clients the one with most time left; if none has any, the
/// first without clients.
pub fn newcomer(loads: &[&Load], now_ms: i64) -> usize {
    let standings = || loads.iter().map(|load| load.standing(now_ms)).enumerate();
    let awake = standings()
        .filter(|(_, worker)| worker.connections > 0)
        .min_by_key(|(_, worker)| (worker.busy, worker.connections));
    let asleep = standings().find(|(_, worker)| worker.connections == 0 && worker.busy < SATURATED);
    awake.filter(|(_, worker)| worker.busy < SATURATED).or(asleep).or(awake).map_or(0, |(index, _)| index)
}

/// The worker with the fewest clients.
pub fn fewest(loads: &[&Load]) -> usize {
    (0..loads.len()).min_by_key(|&index| loads[index].connections.load(Relaxed)).unwrap_or(0)
}

/// With clients spread evenly: what worker `me` has more than the worker with the fewest, halved.
fn surplus(workers: &[Standing], me: usize) -> Option<Giving> {
    let (to, least) = workers.iter().enumerate().min_by_key(|(_, worker)| worker.connections)?;
    let count = workers[me].connections.saturating_sub(least.connections) / 2;
    (count > 0).then(|| Giving::clients(to, count))
}

/// What worker `me` is to give away, if anything. `idle` processors in thousandths.
fn order(workers: &[Standing], me: usize, idle: u32) -> Option<Order> {
    let mine = workers[me];
    if mine.busy >= SATURATED {
        return relief(workers, me, idle);
    }
    let is_last = workers.iter().skip(me + 1).all(|later| later.connections == 0);
    if mine.connections == 0 || !is_last {
        return None;
    }
    let earlier = workers.iter().enumerate().take(me).filter(|(_, worker)| worker.connections > 0);
    earlier
        .filter(|(_, worker)| worker.busy + mine.busy <= COMFORTABLE)
        .max_by_key(|(_, worker)| worker.busy)
        .map(|(to, _)| Order { to, load: mine.busy })
}

/// Who takes some of the load of worker `me`, which has no time left: one that has clients but half as much to do, or
/// one without clients.
fn relief(workers: &[Standing], me: usize, idle: u32) -> Option<Order> {
    let mine = workers[me];
    if mine.connections < 2 || idle < IDLE_WORTH {
        return None;
    }
    let others = || workers.iter().enumerate().filter(|(index, _)| *index != me);
    let active = others().filter(|(_, worker)| worker.connections > 0).min_by_key(|(_, worker)| worker.busy);
    let asleep = others().find(|(_, worker)| worker.connections == 0 && worker.busy <= mine.busy / 2);
    let (to, other) = active.filter(|(_, worker)| worker.busy <= mine.busy / 2).or(asleep)?;
    Some(Order { to, load: (mine.busy - other.busy.min(mine.busy)) / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(standings: &[(usize, u32)]) -> Vec<Standing> {
        standings.iter().map(|&(connections, busy)| Standing { connections, busy }).collect()
    }

    #[test]
    fn one_worker_is_enough_until_it_has_no_time_left() {
        assert_eq!(order(&workers(&[(50, 899), (0, 0)]), 0, 2000), None);
        assert_eq!(order(&workers(&[(50, 950), (0, 0)]), 0, 2000), Some(Order { to: 1, load: 475 }));
    }

    #[test]
    fn another_worker_helps_only_if_a_processor_is_idle() {
        for helper in [(0, 0), (1, 0)] {
            let saturated = workers(&[(50, 1000), helper]);
            assert_eq!(order(&saturated, 0, 100), None);
            assert_eq!(order(&saturated, 0, 300), Some(Order { to: 1, load: 500 }));
        }
    }

    #[test]
    fn one_that_is_awake_and_has_time_helps_first() {
        let uneven = workers(&[(50, 1000), (50, 950), (10, 300), (0, 0)]);
        assert_eq!(order(&uneven, 0, 2000), Some(Order { to: 2, load: 350 }));
        assert_eq!(order(&workers(&[(50, 1000), (50, 700)]), 0, 2000), None, "nobody has much less to do");
    }

    #[test]
    fn nobody_goes_to_a_worker_that_is_in_a_long_command() {
        let loads: Vec<Load> = (0..3).map(|_| Load::default()).collect();
        let all: Vec<&Load> = loads.iter().collect();
        for (load, ticked_ms) in loads.iter().zip([5_000, 4_000, 5_000]) {
            load.connections.store(10, Relaxed);
            load.busy.store(100, Relaxed);
            load.ticked(ticked_ms);
        }
        loads[0].busy.store(200, Relaxed);
        assert_eq!(newcomer(&all, 5_100), 2);
        let standings: Vec<Standing> = loads.iter().map(|load| load.standing(5_100)).collect();
        assert_eq!(order(&standings, 2, 2000), Some(Order { to: 0, load: 100 }));
    }

    #[test]
    fn a_single_client_cannot_be_shared() {
        assert_eq!(order(&workers(&[(1, 1000), (0, 0)]), 0, 2000), None);
    }

    #[test]
    fn the_last_worker_gives_its_clients_back_when_there_is_little_to_do() {
        let quiet = workers(&[(20, 300), (20, 250), (20, 150), (0, 0)]);
        assert_eq!(order(&quiet, 2, 2000), Some(Order { to: 0, load: 150 }));
        assert_eq!(order(&quiet, 1, 2000), None, "one at a time, from the end");
        assert_eq!(order(&quiet, 0, 2000), None);
        assert_eq!(order(&workers(&[(20, 300), (20, 250)]), 1, 2000), None, "together too much for one");
        assert_eq!(order(&workers(&[(0, 0), (20, 0)]), 1, 2000), None, "there is nobody to go to");
    }

    #[test]
    fn orders_do_not_come_back() {
        // Whatever was given is not given back by the next order, nor taken from the other again.
        for busy in SATURATED..=1000 {
            let mut both = workers(&[(50, busy), (0, 0)]);
            let given = order(&both, 0, 2000).expect("saturated");
            both[0].busy -= given.load;
            both[1] = Standing { connections: 25, busy: both[1].busy + given.load };
            assert_eq!((order(&both, 0, 2000), order(&both, 1, 2000)), (None, None), "{busy}");
        }
    }

    #[test]
    fn a_busy_client_stays_and_the_others_go() {
        let mut giving = Giving::turns(1, 7, 500);
        let taken = [900, 10, 20, 0, 30].map(|ns| giving.takes(&Turns { window: 7, ns }));
        assert_eq!(taken, [false, true, true, true, true]);
        assert!(giving.takes(&Turns { window: 6, ns: 900 }), "it did nothing in this window");
        assert!(!giving.is_done());
    }

    #[test]
    fn equal_clients_are_shared_equally() {
        let mut giving = Giving::turns(1, 0, 25 * 4000);
        let client = Turns { window: 0, ns: 4000 };
        let moved = (0..50).filter(|_| !giving.is_done() && giving.takes(&client)).count();
        assert!((23..=25).contains(&moved), "{moved}");
        let mut everybody = Giving::clients(0, 50);
        assert!((0..50).all(|_| !everybody.is_done() && everybody.takes(&client)));
        assert!(everybody.is_done());
    }

    #[test]
    fn spread_evenly_the_surplus_goes_to_the_worker_with_the_fewest() {
        let uneven = workers(&[(9, 0), (4, 0), (2, 0)]);
        let moves = |me| surplus(&uneven, me).map(|giving| (giving.to, giving.left));
        assert_eq!([moves(0), moves(1), moves(2)], [Some((2, 3)), Some((2, 1)), None]);
        assert!(surplus(&workers(&[(3, 900), (2, 0)]), 0).is_none(), "one more is even");
    }

    #[test]
    fn newcomers_join_the_workers_that_are_awake() {
        let loads: Vec<Load> = (0..3).map(|_| Load::default()).collect();
        let all: Vec<&Load> = loads.iter().collect();
        assert_eq!(newcomer(&all, 0), 0);
        loads[0].connections.store(5, Relaxed);
        loads[0].busy.store(800, Relaxed);
        assert_eq!(newcomer(&all, 0), 0);
        loads[0].busy.store(950, Relaxed);
        assert_eq!(newcomer(&all, 0), 1, "nobody who is awake has time");
        loads[1].connections.store(5, Relaxed);
        assert_eq!(newcomer(&all, 0), 1);
        loads[1].busy.store(970, Relaxed);
        loads[2].connections.store(5, Relaxed);
        loads[2].busy.store(960, Relaxed);
        assert_eq!(newcomer(&all, 0), 0, "all are full, it is the least so");
    }

    #[test]
    fn a_worker_is_woken_when_two_windows_running_were_full() {
        let loads = [Load::default(), Load::default()];
        let all: Vec<&Load> = loads.iter().collect();
        loads[0].connections.store(2, Relaxed);
        let mut placement = Placement::new(0);
        let start = placement.started;
        let mut full_until = |moment: Instant| {
            placement.idle = None;
            placement.end_window(moment, 0, &all, false, |_| 1000);
            placement.giving.is_some()
        };
        assert!(!full_until(start + WINDOW / 2), "the window is not over");
        assert!(!full_until(start + WINDOW), "it may be a moment's work");
        assert!(full_until(start + WINDOW * 2));
        let giving = placement.giving.as_ref().expect("it did not wait for a moment");
        assert_eq!((giving.to, giving.left), (1, 500));
        assert_eq!((loads[0].standing(0).busy, loads[1].standing(0).busy), (500, 500));
        let window = placement.window();
        placement.end_window(start + WINDOW * 3, 0, &all, false, |_| 1000);
        assert_eq!(placement.window(), window, "it stands still until all have gone");
        placement.end_giving(start + WINDOW * 3);
        assert!(placement.window() != window && placement.giving.is_none());
    }

    #[test]
    fn who_was_just_given_clients_does_not_give_them_back() {
        let loads = [Load::default(), Load::default()];
        let all: Vec<&Load> = loads.iter().collect();
        loads[0].connections.store(1, Relaxed);
        let mut placement = Placement::new(1);
        let start = placement.started;
        // Worker 0 gives ten clients near the end of a window in which worker 1 had nothing to do.
        loads[1].connections.store(10, Relaxed);
        loads[1].busy.fetch_add(450, Relaxed);
        placement.add_waited(WINDOW.as_nanos() as u64);
        placement.end_window(start + WINDOW, 0, &all, false, |_| 0);
        assert!(placement.giving.is_none());
        assert_eq!(loads[1].standing(0).busy, 450, "others count on what is to come");
        placement.add_waited(WINDOW.as_nanos() as u64);
        placement.end_window(start + WINDOW * 2, 0, &all, false, |_| 0);
        let giving = placement.giving.as_ref().expect("a whole window without work");
        assert_eq!((giving.to, giving.left, loads[1].standing(0).busy), (0, 10, 0));
    }
}
