//! What the program reads itself, instead of having it written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use proto::receiver::{Delivered, Ending, Gap, Payload, Row, SessionInfo};

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

/// What is handed out at once.
#[derive(Debug)]
pub(crate) enum Handed {
    /// A message; of a stream of bytes, its next piece.
    Payload(Bytes),
    /// A session begins.
    Session(Box<SessionInfo>),
    /// Packets that will not come.
    Gap(Gap),
    /// The session is over.
    End(Ending),
}

/// Takes batches out of the ring, and hands out one message after the other.
pub(crate) struct Reader {
    ring: Arc<Ring>,
    bell: Arc<Bell>,
    progress: Arc<Mutex<Progress>>,
    verdict: Verdict,
    /// What was taken out of the ring.
    items: VecDeque<Delivered>,
    /// Messages that were first of those.
    row: Option<Row>,
    /// What of it was handed out, as the ring counts it, and in bytes.
    taken: (usize, u64),
}

impl Reader {
    pub(super) fn new(shares: (Arc<Ring>, Arc<Mutex<Progress>>), bell: Arc<Bell>) -> Self {
        let ((ring, progress), verdict) = (shares, Verdict::new(false));
        Self { ring, bell, progress, verdict, items: VecDeque::new(), row: None, taken: (0, 0) }
    }

    /// Computes the SHA-256 of what is handed out.
    pub(crate) fn hash(&mut self) {
        self.verdict = Verdict::new(true);
    }

    /// What is next; waits for it. `None`: nothing more comes.
    pub(crate) fn next(&mut self) -> Option<Handed> {
        loop {
            match self.try_next() {
                Poll::Ready(next) => return next,
                Poll::Pending => self.bell.wait(),
            }
        }
    }

    /// What is next, if it is there; the task is woken when it is.
    pub(crate) fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Handed>> {
        loop {
            let next = self.try_next();
            if next.is_ready() || self.bell.poll(context).is_pending() {
                return next;
            }
        }
    }

    /// What is next, if it is there now.
    pub(crate) fn try_next(&mut self) -> Poll<Option<Handed>> {
        loop {
            if let Some(message) = self.row.as_mut().and_then(Row::next) {
                self.verdict.add_one(&message);
                return Poll::Ready(Some(Handed::Payload(message)));
            }
            if let Some(item) = self.items.pop_front() {
                if let Some(handed) = self.begin(item) {
                    return Poll::Ready(Some(handed));
                }
                continue;
            }
            self.give_back();
            match self.ring.take(&mut self.items) {
                Taken::Some => {}
                Taken::Nothing => return Poll::Pending,
                Taken::All => return Poll::Ready(None),
            }
        }
    }

    /// Takes what is next, where it is not in the ring.
    pub(crate) fn take_over(&mut self, delivered: Delivered) {
        self.ring.count(&delivered);
        self.items.push_back(delivered);
    }

    /// How the session ended whose end was handed out last.
    pub(crate) fn finished(&self) -> Option<Finished> {
        self.progress().finished
    }

    /// Why nothing more comes; `None` if the receive thread ended without a word.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.progress().ended
    }

    /// Takes an item in hand; none if it is to be handed out in parts.
    fn begin(&mut self, item: Delivered) -> Option<Handed> {
        self.taken.0 += cost(&item);
        Some(match item {
            Delivered::Payload(Payload { bytes, .. }) => {
                self.verdict.add_one(&bytes);
                self.taken.1 += bytes.len() as u64;
                Handed::Payload(bytes)
            }
            Delivered::Row(row) => {
                self.taken.1 += row.payload_bytes();
                self.row = Some(row);
                return None;
            }
            Delivered::Session(session) => {
                self.verdict.begin(&session);
                Handed::Session(session)
            }
            Delivered::Gap(gap) => {
                self.verdict.lose(gap.range.len());
                Handed::Gap(gap)
            }
            Delivered::End(ending) => {
                self.end(&ending);
                Handed::End(ending)
            }
        })
    }

    fn end(&mut self, ending: &Ending) {
        let finished = self.verdict.end(ending);
        self.give_back();
        self.change(|progress| {
            progress.sessions += 1;
            progress.finished = Some(finished);
        });
        self.ring.signal();
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
