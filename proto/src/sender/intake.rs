//! Payload in: into packets, and those into the window.

use bytes::Bytes;

use super::Sender;
use super::row::Row;
use crate::wire::{MAX_MESSAGE_LEN, StreamMode};
use crate::{ByteCount, Delivery, Timestamp};

/// Why payload was not taken; it comes back untouched.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Too much waits to be sent already, or the stream was closed: later there may be room.
    #[error("the transmit window is full")]
    WindowFull(Bytes),
    /// No subscriber would put it together.
    #[error("a message of {} bytes: the longest that subscribers take has {MAX_MESSAGE_LEN}", .0.len())]
    TooLong(Bytes),
}

impl Sender {
    /// Takes all of `payload` or nothing: a piece of the stream of bytes, or one message.
    ///
    /// # Errors
    /// [`PushError::WindowFull`] with the payload if too much waits to be sent already, or the
    /// stream was closed; [`PushError::TooLong`] with a message of more than [`MAX_MESSAGE_LEN`].
    pub fn push(&mut self, payload: Bytes, now: Timestamp) -> Result<(), PushError> {
        if self.config.mode == StreamMode::Messages {
            if self.row.add(&payload).is_err() {
                return Err(PushError::TooLong(payload));
            }
            let row = self.row.take();
            return self.push_row(row, now).map_err(|_| PushError::WindowFull(payload));
        }
        if self.drops_payload(payload.len() as u64) {
            return Ok(());
        }
        if !self.has_room() {
            return Err(PushError::WindowFull(payload));
        }
        self.stats.payload_bytes += payload.len() as u64;
        let window = &mut self.window;
        self.packetizer.push_bytes(payload, now, |cut| window.add(cut, now));
        Ok(())
    }

    /// Takes all messages of `row` or none, in a stream of messages: those that fit share packets.
    /// What does not fill one leaves when it has waited for company for as long as
    /// [`crate::SenderConfig::linger`], or later if the pacer or the audience holds the stream back; by
    /// then more may share it.
    ///
    /// # Errors
    /// The row comes back if too much waits to be sent already, or the stream was closed.
    pub fn push_row(&mut self, row: Row, now: Timestamp) -> Result<(), Row> {
        if self.drops_payload(row.payload_bytes()) {
            return Ok(());
        }
        if !self.has_room() {
            return Err(row);
        }
        self.stats.payload_bytes += row.payload_bytes();
        let window = &mut self.window;
        self.packetizer.push_row(row.into_records(), now, |cut| window.add(cut, now));
        Ok(())
    }

    /// Whether payload is not wanted: by the time that a stopped stream is tried again, nobody
    /// wants it any more.
    fn drops_payload(&mut self, bytes: u64) -> bool {
        let drops = self.breaker.is_stopped() && self.config.delivery != Delivery::Reliable;
        if drops {
            self.stats.payload_dropped += bytes;
        }
        drops
    }

    /// Whether a push would be taken.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let ahead = self.window.unsent_bytes() + self.packetizer.pending_len() as u64;
        ahead < MAX_UNSENT && self.phase.takes_payload()
    }

    /// Payload that fills packets and waits to be sent.
    #[must_use]
    pub fn unsent(&self) -> ByteCount {
        ByteCount(self.window.unsent_bytes())
    }

    /// The input has paused: of a stream of bytes a packet goes that is not full. Messages have
    /// their linger.
    pub fn pause(&mut self, now: Timestamp) {
        if self.config.mode == StreamMode::Bytes {
            self.flush(now);
        }
    }

    /// Lets a packet go that is not full.
    pub fn flush(&mut self, now: Timestamp) {
        if let Some(cut) = self.packetizer.flush() {
            self.window.add(cut, now);
        }
    }

    /// When messages that wait for company are to go without; `None` while others go before them.
    pub(super) fn linger_due(&self) -> Option<Timestamp> {
        let since = self.packetizer.waits_since().filter(|_| !self.window.has_unsent());
        since.map(|since| since.after(self.config.linger))
    }

    /// Lets messages go that have waited for company long enough, if they are the next to go.
    pub(super) fn end_linger(&mut self, now: Timestamp) {
        if self.linger_due().is_some_and(|due| due <= now) {
            self.flush(now);
        }
    }

    /// No more payload will come: what there is is sent, then End.
    ///
    /// `sha256` is that of all payload; `aborted` says that the input had more.
    pub fn close(&mut self, sha256: Option<[u8; 32]>, aborted: bool, now: Timestamp) {
        if aborted {
            // What was pushed and not sent is not waited for: whoever stops a stream wants it to
            // end.
            let dropped = self.window.drop_unsent() + self.packetizer.clear();
            self.stats.payload_bytes -= dropped.min(self.stats.payload_bytes);
        }
        self.flush(now);
        self.window.close_block();
        let is_whole = self.stats.payload_dropped == 0;
        self.phase.close(sha256.filter(|_| is_whole), aborted);
        self.advance_phase(now);
    }
}

/// Payload that may wait to be sent: enough for 10 ms at 3 Gbit/s, and little memory.
const MAX_UNSENT: u64 = 4 << 20;
