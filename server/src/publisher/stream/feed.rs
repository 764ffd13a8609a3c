//! From an input into a sender.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use bytes::Bytes;
use host::shutdown::Shutdown;
use proto::sender::{PushError, Row};
use proto::{ByteCount, Sender, Timestamp};

use crate::input::{InputCounters, Item, Items};

/// What a sender is fed with.
pub(in crate::publisher) struct Feed {
    items: Items,
    counters: Arc<InputCounters>,
    input_len: Option<u64>,
    is_live: bool,
    /// The input had nothing more when it was last asked.
    is_drained: bool,
    /// Taken from the input, not yet by the sender.
    held: VecDeque<Bytes>,
    /// The same, of messages that lie side by side.
    row: Option<Row>,
    /// The input has paused after what is held.
    is_pause: bool,
    closed: Option<Closed>,
    /// A live input that was asked to end has until then to do so.
    close_by: Option<Timestamp>,
    failure: Option<String>,
    /// Ends the input.
    stop: Shutdown,
}

/// What `close` was told.
#[derive(Clone, Copy)]
struct Closed {
    sha256: Option<[u8; 32]>,
    is_aborted: bool,
}

impl Feed {
    pub(in crate::publisher) fn new(
        items: Items,
        counters: Arc<InputCounters>,
        (input_len, is_live): (Option<u64>, bool),
        stop: Shutdown,
    ) -> Self {
        Self {
            items,
            counters,
            input_len,
            is_live,
            is_drained: false,
            held: VecDeque::new(),
            row: None,
            is_pause: false,
            closed: None,
            close_by: None,
            failure: None,
            stop,
        }
    }

    /// Gives `sender` what it has room for; says whether it took something.
    pub(super) fn turn(&mut self, sender: &mut Sender, now: Timestamp) -> bool {
        let mut has_taken = false;
        self.is_drained = false;
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
            self.stop.request();
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

    /// What differs once it has given the sender something, or told it the end.
    pub(super) fn state(&self) -> (usize, bool, bool) {
        (self.held.len(), self.row.is_some(), self.is_closed())
    }

    /// Whether there is nothing more to take until whoever hands over wakes the thread.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// Whether nothing is held that was taken, and more may come.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.row.is_none() && !self.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn close_by(&self) -> Timestamp {
        self.close_by.unwrap_or(Timestamp::NEVER)
    }

    /// SHA-256 of all payload, if the input came to its end and is hashed.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        self.closed.and_then(|closed| closed.sha256)
    }

    /// Whether it was ended before the input was.
    pub(super) fn is_aborted(&self) -> bool {
        self.closed.is_some_and(|closed| closed.is_aborted)
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
        if let Some(row) = self.row.take() {
            self.row = sender.push_row(row, now).err();
        }
        if std::mem::take(&mut self.is_pause) {
            sender.pause(now);
        }
        self.row.is_none() && sender.has_room()
    }

    /// Takes the next item of the input; says whether there was payload.
    fn next(&mut self, sender: &mut Sender, now: Timestamp) -> bool {
        // Who pushes wakes whoever asked and found nothing: that is not worth it while enough waits.
        if matches!(self.items, Items::Queue(_)) && sender.unsent() >= ENOUGH {
            return false;
        }
        match self.items.try_recv() {
            Ok(Item::Piece { piece, is_pause }) => {
                self.held.push_back(piece);
                self.is_pause = is_pause;
                return true;
            }
            Ok(Item::Messages(messages)) => {
                self.held.extend(messages);
                self.is_pause = true;
                return true;
            }
            Ok(Item::Row(row)) => {
                self.row = Some(row);
                return true;
            }
            Ok(Item::Flush) => {
                sender.flush(now);
                return true;
            }
            Ok(Item::End { sha256 }) => self.close(sender, sha256, false, now),
            Ok(Item::Failed(error)) => {
                self.fail(sender, &format!("the input cannot be read on: {error}"), now);
            }
            Err(TryRecvError::Empty) => self.is_drained = true,
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
            self.closed = Some(Closed { sha256, is_aborted });
            self.close_by = None;
            self.held.clear();
            self.row = None;
            self.items.hang_up();
            self.stop.request();
            sender.close(sha256, is_aborted, now);
        }
    }
}

/// Pushed messages that wait to be sent are not taken beyond this: some bursts.
const ENOUGH: ByteCount = ByteCount(256 << 10);

/// What one stream may take before the others have their turn: 2 MiB of a file.
const ITEMS_PER_TURN: usize = 8;

/// An input thread wakes, hands over its end, and a full window lets it through.
const LAST_INPUT: Duration = Duration::from_secs(1);
