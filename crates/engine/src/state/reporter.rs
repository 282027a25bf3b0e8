//! The thread that makes reports, so that no worker does and no worker waits for one.
//!
//! Not what is in a report, nor who asks: a job is a function of the instance, and delivers what it made itself. A client's
//! command is parked meanwhile (`Ctx::report`); the admin plane waits in its own runtime.
//!
//! Invariants: (1) at most [`JOBS_MAX`] jobs wait; who finds no room tries again or says so; (2) jobs that only add up
//! counters go before the others, and among each other in order: who asks for INFO every second does not wait for a
//! hundred reports; (3) a job does not keep the instance alive, and ends with it.
//!
//! Thread safety: Sync. The thread is started by the first job.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, Weak};

/// Jobs that wait at most: some hundred bytes each.
pub const JOBS_MAX: usize = 256;

/// How long a job takes, roughly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// It adds up counters: tens of microseconds.
    Short,
    /// It makes a report of keys, prefixes, findings: milliseconds.
    Long,
}

/// What is to be made of an instance `I`, and given to whoever asked.
pub type Job<I> = Box<dyn FnOnce(&I) + Send>;

/// See the module's text.
pub struct Reporter<I: Send + Sync + 'static> {
    desk: Arc<Desk<I>>,
    subject: OnceLock<Weak<I>>,
    is_started: OnceLock<bool>,
}

struct Desk<I> {
    queue: Mutex<Queue<I>>,
    changed: Condvar,
}

struct Queue<I> {
    short: VecDeque<Job<I>>,
    long: VecDeque<Job<I>>,
    is_closed: bool,
}

/// Nobody took the job: there is no room, or no thread.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

impl<I: Send + Sync> Default for Reporter<I> {
    fn default() -> Self {
        let queue = Queue { short: VecDeque::new(), long: VecDeque::new(), is_closed: false };
        let desk = Desk { queue: Mutex::new(queue), changed: Condvar::new() };
        Reporter { desk: Arc::new(desk), subject: OnceLock::new(), is_started: OnceLock::new() }
    }
}

impl<I: Send + Sync> Reporter<I> {
    /// Tells it of what reports are made.
    pub fn of(&self, subject: &Arc<I>) {
        self.subject.get_or_init(|| Arc::downgrade(subject));
    }

    /// Whether there is somebody to make reports; who asks in vain makes his own.
    pub fn is_there(&self) -> bool {
        let Some(subject) = self.subject.get() else { return false };
        *self.is_started.get_or_init(|| {
            let (desk, subject) = (Arc::clone(&self.desk), Weak::clone(subject));
            std::thread::Builder::new().name("reports".into()).spawn(move || desk.work(&subject)).is_ok()
        })
    }

    /// Hands over a job.
    ///
    /// # Errors
    /// It was not taken.
    pub fn ask(&self, length: Length, job: Job<I>) -> Result<(), Refused> {
        if !self.is_there() {
            return Err(Refused);
        }
        let mut queue = self.desk.queue.lock();
        if queue.short.len() + queue.long.len() >= JOBS_MAX {
            return Err(Refused);
        }
        match length {
            Length::Short => queue.short.push_back(job),
            Length::Long => queue.long.push_back(job),
        }
        drop(queue);
        self.desk.changed.notify_one();
        Ok(())
    }
}

impl<I: Send + Sync> Drop for Reporter<I> {
    fn drop(&mut self) {
        self.desk.queue.lock().is_closed = true;
        self.desk.changed.notify_one();
    }
}

impl<I: Send + Sync> Desk<I> {
    fn work(&self, subject: &Weak<I>) {
        while let Some(job) = self.next() {
            let Some(subject) = subject.upgrade() else { return };
            job(&subject);
        }
    }

    fn next(&self) -> Option<Job<I>> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            let job = queue.short.pop_front().or_else(|| queue.long.pop_front());
            if job.is_some() {
                return job;
            }
            self.changed.wait(&mut queue);
        }
    }
}

/// What a job makes for somebody who looks whether it is there.
pub struct Ticket<T>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Ticket<T> {
    /// A ticket, and the job that makes what it is for and then calls `tell`; nothing is made once the ticket is gone.
    pub fn new<I: 'static>(
        make: impl FnOnce(&I) -> T + Send + 'static,
        tell: impl FnOnce(&I) + Send + 'static,
    ) -> (Ticket<T>, Job<I>) {
        let made = Arc::new(Mutex::new(None));
        let place = Arc::downgrade(&made);
        let job = move |subject: &I| {
            if place.strong_count() == 0 {
                return;
            }
            let value = make(subject);
            if let Some(place) = place.upgrade() {
                *place.lock() = Some(value);
                tell(subject);
            }
        };
        (Ticket(made), Box::new(job))
    }

    /// What was made, once.
    pub fn take(&self) -> Option<T> {
        self.0.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// A reporter that is in the middle of a job until told to go on.
    fn held() -> (Arc<Reporter<u64>>, Arc<u64>, std::sync::mpsc::Sender<()>) {
        let (reporter, subject) = (Arc::new(Reporter::default()), Arc::new(7));
        reporter.of(&subject);
        let (inside, entered) = channel();
        let (go_on, told) = channel();
        let wait = move |_: &u64| {
            inside.send(()).expect("the test waits");
            told.recv().expect("the test tells");
        };
        reporter.ask(Length::Long, Box::new(wait)).expect("room");
        entered.recv().expect("the thread runs");
        (reporter, subject, go_on)
    }

    #[test]
    fn short_jobs_go_first_and_each_kind_in_order() {
        let (reporter, _subject, go_on) = held();
        let (done, order) = channel();
        for (length, name) in
            [(Length::Long, "a"), (Length::Short, "b"), (Length::Long, "c"), (Length::Short, "d")]
        {
            let done = done.clone();
            let job = Box::new(move |_: &u64| done.send(name).expect("the test waits"));
            reporter.ask(length, job).expect("room");
        }
        go_on.send(()).expect("it waits");
        assert_eq!([0; 4].map(|_| order.recv().expect("made")), ["b", "d", "a", "c"]);
    }

    #[test]
    fn who_finds_no_room_is_told() {
        let (reporter, _subject, go_on) = held();
        for _ in 0..JOBS_MAX {
            reporter.ask(Length::Long, Box::new(|_| {})).expect("room");
        }
        assert_eq!(reporter.ask(Length::Short, Box::new(|_| {})), Err(Refused));
        go_on.send(()).expect("it waits");
        let nobody = Reporter::<u64>::default();
        assert_eq!(nobody.ask(Length::Short, Box::new(|_| {})), Err(Refused));
    }

    #[test]
    fn nothing_is_made_for_who_has_left() {
        let (reporter, _subject, go_on) = held();
        let made = Arc::new(Mutex::new(Vec::new()));
        let job = |name: &'static str| {
            let made = Arc::clone(&made);
            Ticket::new(move |_: &u64| made.lock().push(name), |_: &u64| {})
        };
        let ((left, first), (stays, second)) = (job("left"), job("stays"));
        [first, second].into_iter().for_each(|job| reporter.ask(Length::Long, job).expect("room"));
        drop(left);
        let (told, end) = channel();
        reporter.ask(Length::Long, Box::new(move |_| told.send(()).expect("the test waits"))).expect("room");
        go_on.send(()).expect("it waits");
        end.recv().expect("all are made");
        assert_eq!(*made.lock(), ["stays"]);
        assert_eq!((stays.take(), stays.take()), (Some(()), None));
        assert_eq!(Arc::strong_count(&made), 1, "jobs that are over hold nothing");
    }
}
