//! From an input into a sender.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use proto::sender::PushError;
use proto::{Sender, Timestamp};

use crate::input::{InputCounters, Item};

/// What a sender is fed with.
pub(in crate::publisher) struct Feed {
    items: Receiver<Item>,
    counters: Arc<InputCounters>,
    input_len: Option<u64>,
    is_live: bool,
    /// Taken from the input, not yet by the sender.
    held: VecDeque<Bytes>,
    /// A short packet is to go once everything held was taken.
    is_pause: bool,
    /// What `close` was told.
    closed: Option<Option<[u8; 32]>>,
    /// A live input that was asked to end has until then to do so.
    close_by: Option<Timestamp>,
    failure: Option<String>,
}

impl Feed {
    pub(in crate::publisher) fn new(
        items: Receiver<Item>,
        counters: Arc<InputCounters>,
        input_len: Option<u64>,
        is_live: bool,
    ) -> Self {
        Self {
            items,
            counters,
            input_len,
            is_live,
            held: VecDeque::new(),
            is_pause: false,
            closed: None,
            close_by: None,
            failure: None,
        }
    }

    /// Gives `sender` what it has room for; says whether it took something.
    pub(super) fn turn(&mut self, sender: &mut Sender, now: Timestamp) -> bool {
        let mut has_taken = false;
        for _ in 0..ITEMS_PER_TURN {
            if !self.push(sender, now) || self.is_closed() || !self.next(sender, now) {
                break;
            }
            has_taken = true;
        }
        if self.close_by.is_some_and(|by| by <= now) {
            self.close(sender, None, true, now);
        }
        has_taken
    }

    /// Ends before the input does. What is live has no other end: for it this is a good one.
    pub(super) fn end(&mut self, sender: &mut Sender, now: Timestamp) {
        if self.is_live && !self.is_closed() {
            self.close_by = Some(now.after(LAST_INPUT));
        } else {
            self.close(sender, None, true, now);
        }
    }

    /// Ends because something is wrong.
    pub(super) fn fail(&mut self, sender: &mut Sender, failure: &str, now: Timestamp) {
        self.failure.get_or_insert_with(|| failure.to_owned());
        self.close(sender, None, true, now);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn close_by(&self) -> Timestamp {
        self.close_by.unwrap_or(Timestamp::NEVER)
    }

    /// SHA-256 of all payload, if the input came to its end.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        self.closed.flatten()
    }

    pub(super) fn counters(&self) -> &Arc<InputCounters> {
        &self.counters
    }

    pub(super) fn input_len(&self) -> Option<u64> {
        self.input_len
    }

    pub(super) fn into_failure(self) -> Option<String> {
        self.failure
    }

    /// Pushes what is held; says whether all of it was taken and there is room for more.
    fn push(&mut self, sender: &mut Sender, now: Timestamp) -> bool {
        while let Some(payload) = self.held.pop_front() {
            match sender.push(payload, now) {
                Ok(()) => {}
                Err(PushError::WindowFull(payload)) => {
                    self.held.push_front(payload);
                    return false;
                }
                Err(error @ PushError::TooLong(_)) => {
                    self.fail(sender, &format!("the input cannot be sent: {error}"), now);
                    return false;
                }
            }
        }
        if std::mem::take(&mut self.is_pause) {
            sender.flush(now);
        }
        sender.has_room()
    }

    /// Takes the next item of the input; says whether there was payload.
    fn next(&mut self, sender: &mut Sender, now: Timestamp) -> bool {
        match self.items.try_recv() {
            Ok(Item::Payload { payloads, is_pause }) => {
                self.held.extend(payloads);
                self.is_pause = is_pause;
                return true;
            }
            Ok(Item::End { sha256 }) => self.close(sender, Some(sha256), false, now),
            Ok(Item::Failed(error)) => {
                self.fail(sender, &format!("the input cannot be read on: {error}"), now);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                self.fail(sender, "the input ended without a word", now);
            }
        }
        false
    }

    fn close(
        &mut self,
        sender: &mut Sender,
        sha256: Option<[u8; 32]>,
        is_aborted: bool,
        now: Timestamp,
    ) {
        if self.closed.is_none() {
            self.closed = Some(sha256);
            self.close_by = None;
            self.held.clear();
            sender.close(sha256, is_aborted, now);
        }
    }
}

/// What one stream may take before the others have their turn: 2 MiB of a file.
const ITEMS_PER_TURN: usize = 8;

/// An input thread wakes, hands over its end, and a full window lets it through.
const LAST_INPUT: Duration = Duration::from_secs(1);
