//! Whose turn it is: the data thread's, or, while it sleeps and a message is to go at once, that of
//! whoever sends the message. To wake a thread takes several times as long as to send a packet.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use host::clock::Clock;
use host::poller::{Events, Poller, Waker, make_timers_exact};
use proto::Timestamp;

use super::{DataThread, StreamEnd};
use crate::input::{Queue, SendError};

/// What the data thread works on, and whoever does its work in its place.
pub(crate) struct Turns {
    /// None once all is sent.
    data: Mutex<Option<DataThread>>,
    clock: Clock,
    poller: Arc<Poller>,
    /// The data thread never sleeps.
    spins: bool,
    /// When the data thread wakes up by itself, as of its last turn; 0 while it does not rest, or cannot
    /// send what it has.
    wakes_at: AtomicU64,
    /// When the next turn is due, as of the last, whoever's it was.
    due_at: AtomicU64,
    allowance: Allowance,
}

/// How many messages may be sent by whoever sends them, one after the other: those that follow each other
/// closely for longer share datagrams instead. Who was kept from sending, and makes up for it, does not
/// wait for another thread.
#[derive(Default)]
struct Allowance {
    /// When the last was sent, or could not be.
    last_at: AtomicU64,
    /// How many have followed each other closely.
    run: AtomicU64,
    /// Until then it is a flood: what is close is not sent.
    flooded_until: AtomicU64,
}

impl Turns {
    pub(crate) fn new(data: DataThread, spins: bool) -> Self {
        let (clock, poller) = (data.clock, Arc::clone(&data.poller));
        let (wakes_at, due_at) = (AtomicU64::new(0), AtomicU64::new(0));
        let (data, allowance) = (Mutex::new(Some(data)), Allowance::default());
        Self { data, clock, poller, spins, wakes_at, due_at, allowance }
    }

    /// Ends the data thread's wait.
    pub(crate) fn waker(&self) -> Waker {
        self.poller.waker()
    }

    /// The data thread: sends everything; ends when every stream has.
    ///
    /// # Errors
    ///
    /// When the kernel no longer lets it wait.
    pub(crate) fn run(&self) -> io::Result<Vec<StreamEnd>> {
        if let Err(error) = make_timers_exact() {
            tracing::debug!(%error, "timers are not exact: bursts may be 50 µs late");
        }
        let mut events = Events::with_capacity(64);
        loop {
            let mut data = self.lock();
            let Some(thread) = data.as_mut() else { return Ok(Vec::new()) };
            thread.take_note(&events);
            if thread.is_finished() {
                return Ok(data.take().map(DataThread::into_ends).unwrap_or_default());
            }
            let due = thread.turn();
            let deadline = if self.spins { Timestamp::ZERO } else { due };
            let rests = deadline > Timestamp::ZERO && !thread.is_held_back();
            self.due_at.store(deadline.0, Ordering::SeqCst);
            self.wakes_at.store(if rests { deadline.0 } else { 0 }, Ordering::SeqCst);
            drop(data);
            if rests {
                self.rest(&mut events)?;
            } else {
                self.allowance.on_sent(self.clock.now());
                self.poller.wait(&mut events, &self.clock, Some(deadline))?;
            }
        }
    }

    /// Waits until something happens or is due. Whoever sends in the data thread's place puts off what is
    /// due, and then to have a turn would only be in the way.
    fn rest(&self, events: &mut Events) -> io::Result<()> {
        let mut aside = Duration::ZERO;
        loop {
            let due = self.due_at.load(Ordering::SeqCst);
            self.wakes_at.store(due, Ordering::SeqCst);
            // Who makes something due sooner sees when this thread wakes, or is seen here.
            let due = Timestamp(self.due_at.load(Ordering::SeqCst).min(due));
            self.poller.wait(events, &self.clock, Some(due.after(aside)))?;
            let has_happened = events.woken() || events.iter().next().is_some();
            if has_happened || self.due_at.load(Ordering::SeqCst) <= self.clock.now().0 {
                return Ok(());
            }
            aside = ASIDE;
        }
    }

    /// Sends a message, if nothing was sent just now and the data thread rests; what was pushed to `queue`
    /// before goes before it. None: it is to be left to the data thread.
    pub(crate) fn lend(&self, queue: &Queue, message: &[u8]) -> Option<Result<(), SendError>> {
        // Not worth a look at the clock.
        if self.wakes_at.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let now = self.clock.now();
        if !self.allowance.take(now) {
            return None;
        }
        let mut data = match self.data.try_lock() {
            Ok(data) => data,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let thread = data.as_mut()?;
        let pushed = if queue.pass(message, || thread.send_alone(message, now)) {
            Ok(())
        } else {
            queue.try_push(message)?
        };
        let mut next = Timestamp::ZERO;
        for _ in 0..TURNS {
            // What else there is wakes the data thread.
            next = thread.turn_of_streams();
            if next > Timestamp::ZERO {
                break;
            }
        }
        let due = next.min(thread.publish_at).0;
        self.due_at.store(due, Ordering::SeqCst);
        // What is due before the data thread would look is for it to do.
        if due < self.wakes_at.load(Ordering::SeqCst) {
            self.poller.waker().wake();
        }
        Some(pushed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<DataThread>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance {
    /// Whether one more may be sent at `now`.
    fn take(&self, now: Timestamp) -> bool {
        let last = Timestamp(self.last_at.swap(now.0, Ordering::Relaxed));
        if now.since(last) >= CLOSE {
            self.run.store(0, Ordering::Relaxed);
            return true;
        }
        let run = self.run.fetch_add(1, Ordering::Relaxed) + 1;
        if run < MANY && now.0 >= self.flooded_until.load(Ordering::Relaxed) {
            return true;
        }
        self.flooded_until.store(now.after(FLOOD).0, Ordering::Relaxed);
        false
    }

    /// Something was sent at `now`, by the data thread.
    fn on_sent(&self, now: Timestamp) {
        self.last_at.store(now.0, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("spins", &self.spins).finish_non_exhaustive()
    }
}

/// As long as it takes to wake a thread: below that, waking it once for several costs less.
const CLOSE: Duration = Duration::from_micros(25);

/// What comes closely and is sent one by one all the same: it takes no longer than to wake a thread and have
/// it send them.
const MANY: u64 = 16;

/// Who floods is blocked now and then, until there is room again, and goes on as before.
const FLOOD: Duration = Duration::from_millis(1);

/// What others put off is due a round time after a message, when the next of a regular stream is sent as
/// well: it is looked at a little later, which nobody notices.
const ASIDE: Duration = Duration::from_micros(70);

/// One to take the message and send it, one to see that nothing else is to be done.
const TURNS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp(micros * 1_000)
    }

    #[test]
    fn a_few_may_follow_each_other_and_a_flood_may_not() {
        let allowance = Allowance::default();
        let taken = (0..100).filter(|nth| allowance.take(at(1_000 + nth))).count();
        assert_eq!(taken, 16);
        assert!(allowance.take(at(1_130)), "after a pause");
        assert!(!allowance.take(at(1_131)), "the flood goes on");
        let taken = (0..100).filter(|nth| allowance.take(at(3_000 + nth))).count();
        assert_eq!(taken, 16, "it has stopped for long");
    }

    #[test]
    fn what_comes_steadily_may_always_be_sent() {
        let allowance = Allowance::default();
        assert!((1..1_000).all(|nth| allowance.take(at(25 * nth))));
    }
}
