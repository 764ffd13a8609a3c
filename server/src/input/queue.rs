//! Messages that the program pushes itself, on their way to the data thread.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use host::poller::Waker;
use proto::sender::{MessageTooLong, Row};

use super::outbox::sha256;
use super::{InputCounters, Item};

/// Bounded; many may push, one takes. What was pushed since the last time is taken at once, and
/// nobody is woken who is awake.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// Rung when there is room again, or never will be.
    room: Condvar,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Later there may be room: subscribers take less than is sent, or the rate is lower.
    #[error("too much waits to be sent")]
    Full,
    /// No subscriber would put it together.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
    /// The stream was closed, or failed; its summary says why.
    #[error("the stream has ended")]
    Ended,
}

struct State {
    /// What was pushed first, where there was no room for all in the same memory.
    full: VecDeque<Row>,
    /// Bytes of those.
    full_len: usize,
    row: Row,
    digest: Option<Context>,
    is_flush: bool,
    is_closed: bool,
    /// The end was taken, or nothing more will be.
    is_over: bool,
    /// Those that wait for room.
    waiting: u32,
    /// The data thread found nothing, and is to be woken.
    is_awaited: bool,
    taker: Option<Taker>,
}

/// The data thread, as it is known here.
#[derive(Debug)]
struct Taker {
    wake: Waker,
    counters: Arc<InputCounters>,
}

impl Queue {
    /// An empty queue; `is_hashed`: the end of the stream tells the SHA-256 of all messages.
    #[must_use]
    pub fn new(is_hashed: bool) -> Self {
        let state = State {
            full: VecDeque::new(),
            full_len: 0,
            row: Row::default(),
            digest: is_hashed.then(|| Context::new(&SHA256)),
            is_flush: false,
            is_closed: false,
            is_over: false,
            waiting: 0,
            is_awaited: false,
            taker: None,
        };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }

    /// Pushes a message, and waits until there is room for it.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`] and [`SendError::Ended`].
    pub fn send(&self, message: &[u8]) -> Result<(), SendError> {
        let mut state = self.lock();
        while state.is_full() && !state.is_over {
            state.waiting += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        push(state, message)
    }

    /// Pushes a message if there is room for it.
    ///
    /// # Errors
    ///
    /// Each [`SendError`].
    pub fn try_send(&self, message: &[u8]) -> Result<(), SendError> {
        let state = self.lock();
        if state.is_full() && !state.is_over {
            return Err(SendError::Full);
        }
        push(state, message)
    }

    /// Pushes a message if there is room for it, and wakes nobody: whoever calls takes it himself.
    /// None: there is none.
    pub(crate) fn try_push(&self, message: &[u8]) -> Option<Result<(), SendError>> {
        let mut state = self.lock();
        if state.is_full() && !state.is_over {
            return None;
        }
        Some(state.add(message))
    }

    /// Has `send` send a message that nothing goes before, instead of pushing it; says whether it did. Others
    /// push behind it meanwhile.
    pub(crate) fn pass(&self, message: &[u8], send: impl FnOnce() -> bool) -> bool {
        let mut state = self.lock();
        if !state.is_idle() || !send() {
            return false;
        }
        state.hash(message);
        state.count(message.len() as u64);
        true
    }

    /// What was pushed and waits for company is to go at once.
    pub fn flush(&self) {
        let mut state = self.lock();
        state.is_flush = true;
        wake(state);
    }

    /// No more messages come.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        wake(state);
    }

    /// From now on it is taken from; `wake` is rung when there is something to take.
    pub(super) fn connect(&self, wake: Waker, counters: Arc<InputCounters>) {
        self.lock().taker = Some(Taker { wake, counters });
    }

    /// What there is to take; if nothing, the waker rings once there is.
    pub(super) fn take(&self) -> Option<Item> {
        let mut state = self.lock();
        let item = state.next();
        state.is_awaited = item.is_none();
        if state.waiting > 0 {
            self.room.notify_all();
        }
        item
    }

    /// Nothing more is taken.
    pub(super) fn hang_up(&self) {
        self.lock().is_over = true;
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.full_len + self.row.len() >= CAPACITY
    }

    /// Whether there is nothing to take, and may be more.
    fn is_idle(&self) -> bool {
        self.full.is_empty()
            && self.row.is_empty()
            && !self.is_flush
            && !self.is_closed
            && !self.is_over
    }

    fn hash(&mut self, message: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(message);
        }
    }

    /// Counts bytes of messages that the data thread has.
    fn count(&self, bytes: u64) {
        if let Some(Taker { counters, .. }) = &self.taker {
            counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn add(&mut self, message: &[u8]) -> Result<(), SendError> {
        if self.is_over || self.is_closed {
            return Err(SendError::Ended);
        }
        if !self.row.is_empty() && !self.row.has_room_for(message) {
            self.full_len += self.row.len();
            self.full.push_back(self.row.take());
        }
        self.row.add(message)?;
        self.hash(message);
        Ok(())
    }

    fn next(&mut self) -> Option<Item> {
        let first = self.full.pop_front();
        if let Some(row) = first.or_else(|| (!self.row.is_empty()).then(|| self.row.take())) {
            self.full_len = self.full.iter().map(Row::len).sum();
            self.count(row.payload_bytes());
            return Some(Item::Row(row));
        }
        if std::mem::take(&mut self.is_flush) {
            return Some(Item::Flush);
        }
        if self.is_closed && !self.is_over {
            self.is_over = true;
            return Some(Item::End { sha256: self.digest.take().map(sha256) });
        }
        None
    }
}

fn push(mut state: MutexGuard<'_, State>, message: &[u8]) -> Result<(), SendError> {
    state.add(message)?;
    wake(state);
    Ok(())
}

/// Wakes the data thread if it sleeps; one ring is enough.
fn wake(mut state: MutexGuard<'_, State>) {
    if !std::mem::take(&mut state.is_awaited) {
        return;
    }
    let waker = state.taker.as_ref().map(|taker| taker.wake.clone());
    // What is rung would only wait for the lock.
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waits = self.full.iter().chain([&self.row]).map(Row::messages).sum::<u64>();
        f.debug_struct("State").field("waits", &waits).field("is_over", &self.is_over).finish()
    }
}

/// What waits to be taken: more only takes longer, because the sender has a queue of its own.
const CAPACITY: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use host::clock::Clock;
    use host::poller::{Events, Poller};

    use super::*;

    fn connected(is_hashed: bool) -> (Arc<Queue>, Poller) {
        let (queue, poller) = (Arc::new(Queue::new(is_hashed)), Poller::new().unwrap());
        queue.connect(poller.waker(), Arc::default());
        (queue, poller)
    }

    fn is_rung(poller: &Poller) -> bool {
        let (mut events, clock) = (Events::with_capacity(1), Clock::start());
        poller.wait(&mut events, &clock, Some(clock.now())).unwrap();
        events.woken()
    }

    fn messages(item: Option<Item>) -> u64 {
        let Some(Item::Row(row)) = item else { panic!("{item:?}") };
        row.messages()
    }

    #[test]
    fn what_was_pushed_is_taken_at_once_and_only_a_sleeper_is_woken() {
        let (queue, poller) = connected(false);
        queue.send(b"a").unwrap();
        assert!(!is_rung(&poller), "the data thread has not looked yet");
        queue.send(b"").unwrap();
        assert_eq!(messages(queue.take()), 2);
        assert!(queue.take().is_none());
        queue.send(b"b").unwrap();
        queue.send(b"c").unwrap();
        assert!(is_rung(&poller));
        assert!(!is_rung(&poller));
        assert_eq!(messages(queue.take()), 2);
    }

    #[test]
    fn what_does_not_fit_the_same_memory_comes_in_several_rows_and_nothing_before_it() {
        let (queue, _poller) = connected(false);
        for _ in 0..20 {
            queue.send(&[7; 1_000]).unwrap();
        }
        queue.flush();
        let mut rows = Vec::new();
        while rows.iter().sum::<u64>() < 20 {
            rows.push(messages(queue.take()));
        }
        assert!(rows.len() > 1, "{rows:?}");
        assert!(matches!(queue.take(), Some(Item::Flush)));
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_flush_and_an_end_come_after_what_was_pushed_before() {
        let (queue, _poller) = connected(true);
        queue.send(b"ab").unwrap();
        queue.send(b"c").unwrap();
        queue.flush();
        queue.close();
        assert_eq!(queue.send(b"d"), Err(SendError::Ended));
        assert_eq!(messages(queue.take()), 2);
        assert!(matches!(queue.take(), Some(Item::Flush)));
        let digest = aws_lc_rs::digest::digest(&SHA256, b"abc");
        let end = queue.take();
        let Some(Item::End { sha256: Some(sha256) }) = end else { panic!("{end:?}") };
        assert_eq!(sha256, digest.as_ref());
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_full_queue_holds_back_until_it_is_taken_from() {
        let (queue, _poller) = connected(false);
        let message = vec![7; CAPACITY];
        queue.try_send(&message).unwrap();
        assert_eq!(queue.try_send(b"a"), Err(SendError::Full));
        let pushing = Arc::clone(&queue);
        let pusher = thread::spawn(move || pushing.send(b"a"));
        while queue.lock().waiting == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(messages(queue.take()), 1);
        pusher.join().unwrap().unwrap();
        assert_eq!(messages(queue.take()), 1);
    }

    #[test]
    fn who_waits_for_room_is_told_that_there_will_be_none() {
        let (queue, _poller) = connected(false);
        queue.send(&vec![7; CAPACITY]).unwrap();
        let pushing = Arc::clone(&queue);
        let pusher = thread::spawn(move || pushing.send(b"a"));
        while queue.lock().waiting == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        queue.hang_up();
        assert_eq!(pusher.join().unwrap(), Err(SendError::Ended));
        assert_eq!(queue.try_send(b"a"), Err(SendError::Ended));
    }
}
