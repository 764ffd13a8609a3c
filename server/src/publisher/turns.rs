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
    /// When a message was last sent, or could not be.
    sent_at: AtomicU64,
}

impl Turns {
    pub(crate) fn new(data: DataThread, spins: bool) -> Self {
        let (clock, poller) = (data.clock, Arc::clone(&data.poller));
        let (wakes_at, sent_at) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { data: Mutex::new(Some(data)), clock, poller, spins, wakes_at, sent_at }
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
            let wakes_at = if rests { deadline } else { Timestamp::ZERO };
            self.wakes_at.store(wakes_at.0, Ordering::Relaxed);
            drop(data);
            if !rests {
                self.sent_at.store(self.clock.now().0, Ordering::Relaxed);
            }
            self.poller.wait(&mut events, &self.clock, Some(deadline))?;
        }
    }

    /// Does `push` and what follows from it, if nothing was sent just now and the data thread rests.
    /// None: it is to be left to the data thread.
    pub(crate) fn lend<T>(&self, push: impl FnOnce() -> Option<T>) -> Option<T> {
        // Not worth a look at the clock.
        if self.wakes_at.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let now = self.clock.now();
        let last = Timestamp(self.sent_at.swap(now.0, Ordering::Relaxed));
        // Messages that follow each other closely share datagrams instead.
        if now.since(last) < CLOSE {
            return None;
        }
        let mut data = match self.data.try_lock() {
            Ok(data) => data,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let thread = data.as_mut()?;
        let pushed = push()?;
        let mut next = Timestamp::ZERO;
        for _ in 0..TURNS {
            // What else there is wakes the data thread.
            next = thread.turn_of_streams();
            if next > Timestamp::ZERO {
                break;
            }
        }
        // What is due before the data thread would look is for it to do.
        if next.0 < self.wakes_at.load(Ordering::Relaxed) {
            self.poller.waker().wake();
        }
        Some(pushed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<DataThread>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turns").field("spins", &self.spins).finish_non_exhaustive()
    }
}

/// As long as it takes to wake a thread: below that, waking it once for several costs less.
const CLOSE: Duration = Duration::from_micros(25);

/// One to take the message and send it, one to see that nothing else is to be done.
const TURNS: u32 = 3;
