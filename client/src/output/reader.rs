//! What the program reads itself, instead of having it written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use proto::receiver::Delivered;

use super::Progress;
use super::bell::Bell;
use super::ring::{Ring, Taken, cost};
use super::verdict::{Finished, Verdict};
use crate::summary::Ended;

/// Where a [`crate::Subscriber`] finds what it reads, once the group was joined.
#[derive(Clone, Default)]
pub struct Inbox {
    place: Arc<(Mutex<Option<Reader>>, Condvar)>,
}

impl Inbox {
    pub(super) fn set(&self, reader: Reader) {
        let (place, came) = &*self.place;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        came.notify_all();
    }

    /// What there is to read with, once.
    pub(crate) fn take(&self) -> Option<Reader> {
        self.place.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The same; waits so long for it.
    pub(crate) fn take_within(&self, time: Duration) -> Option<Reader> {
        let (place, came) = &*self.place;
        let place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = came.wait_timeout_while(place, time, |reader| reader.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

impl PartialEq for Inbox {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place)
    }
}

impl Eq for Inbox {}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// Takes batches out of the ring, and hands out one item after the other.
pub(crate) struct Reader {
    ring: Arc<Ring>,
    bell: Arc<Bell>,
    progress: Arc<Mutex<Progress>>,
    verdict: Verdict,
    /// What was taken out of the ring.
    items: VecDeque<Delivered>,
    /// What of it was handed out, as the ring counts it, and in bytes.
    taken: (usize, u64),
}

impl Reader {
    pub(super) fn new(shares: (Arc<Ring>, Arc<Mutex<Progress>>), bell: Arc<Bell>) -> Self {
        let ((ring, progress), verdict) = (shares, Verdict::new(false));
        Self { ring, bell, progress, verdict, items: VecDeque::new(), taken: (0, 0) }
    }

    /// Computes the SHA-256 of what is handed out.
    pub(crate) fn hash(&mut self) {
        self.verdict = Verdict::new(true);
    }

    /// The next item; waits for it. `None`: nothing more comes.
    pub(crate) fn next(&mut self) -> Option<Delivered> {
        while self.refill() == Taken::Nothing {
            self.bell.wait();
        }
        self.pop()
    }

    /// The next item, if one is there; the task is woken when one is.
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Delivered>> {
        while self.refill() == Taken::Nothing {
            if self.bell.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.pop())
    }

    /// The next item, if one is there now.
    pub(crate) fn try_next(&mut self) -> Poll<Option<Delivered>> {
        if self.refill() == Taken::Nothing { Poll::Pending } else { Poll::Ready(self.pop()) }
    }

    /// How the session ended whose end was handed out last.
    pub(crate) fn finished(&self) -> Option<Finished> {
        self.progress().finished
    }

    /// Why nothing more comes; `None` if the receive thread ended without a word.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.progress().ended
    }

    /// Has something in hand, if there is something.
    fn refill(&mut self) -> Taken {
        if !self.items.is_empty() {
            return Taken::Some;
        }
        self.give_back();
        self.ring.take(&mut self.items)
    }

    fn pop(&mut self) -> Option<Delivered> {
        let item = self.items.pop_front()?;
        self.taken.0 += cost(&item);
        match &item {
            Delivered::Payload(payload) => {
                self.verdict.add_one(&payload.bytes);
                self.taken.1 += payload.bytes.len() as u64;
            }
            Delivered::Session(session) => self.verdict.begin(session),
            Delivered::Gap(gap) => self.verdict.lose(gap.range.len()),
            Delivered::End(ending) => {
                let finished = self.verdict.end(ending);
                self.give_back();
                self.change(|progress| {
                    progress.sessions += 1;
                    progress.finished = Some(finished);
                });
                self.ring.signal();
            }
        }
        Some(item)
    }

    /// Gives the room of what was handed out back to the ring.
    fn give_back(&mut self) {
        let (cost, bytes) = std::mem::take(&mut self.taken);
        if cost > 0 {
            self.change(|progress| progress.bytes += bytes);
            self.ring.release(cost);
        }
    }

    fn progress(&self) -> Progress {
        self.change(|progress| progress.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("items", &self.items.len()).finish_non_exhaustive()
    }
}
