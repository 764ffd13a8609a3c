//! Messages side by side, as they are sent.

use bytes::{BufMut, Bytes, BytesMut};

use crate::chunks::Chunks;
use crate::wire::MAX_MESSAGE_LEN;

/// Messages on their way to a [`crate::Sender`], laid out as in the payload of packets: each as its
/// length and its bytes (docs/PROTOCOL.md §3.1). Many of them cost one push.
#[derive(Debug, Default)]
pub struct Row {
    records: BytesMut,
    messages: u64,
    payload_bytes: u64,
    /// What is allocated next.
    room_len: usize,
    /// Memory that was filled before.
    chunks: Chunks,
}

/// No subscriber would put the message together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes: the longest that subscribers take has {MAX_MESSAGE_LEN}")]
pub struct MessageTooLong(pub usize);

impl Row {
    /// A row of one message, with no room for more.
    ///
    /// # Errors
    /// If it has more than [`MAX_MESSAGE_LEN`] bytes.
    pub fn of(message: &[u8]) -> Result<Self, MessageTooLong> {
        let mut row = Self::default();
        row.records.reserve(message.len().min(MAX_MESSAGE_LEN) + LEN_LEN);
        row.add(message)?;
        Ok(row)
    }

    /// Appends a message; it may be empty.
    ///
    /// # Errors
    /// If it has more than [`MAX_MESSAGE_LEN`] bytes.
    pub fn add(&mut self, message: &[u8]) -> Result<(), MessageTooLong> {
        let too_long = MessageTooLong(message.len());
        let len = u32::try_from(message.len()).map_err(|_| too_long)?;
        if message.len() > MAX_MESSAGE_LEN {
            return Err(too_long);
        }
        let record_len = message.len() + LEN_LEN;
        if !self.has_room_for(message) {
            self.renew(record_len);
        }
        self.records.put_u32(len);
        self.records.extend_from_slice(message);
        self.messages += 1;
        self.payload_bytes += u64::from(len);
        Ok(())
    }

    /// What was added so far; what is added next begins another row, in the same memory.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self {
            records: self.records.split(),
            messages: std::mem::take(&mut self.messages),
            payload_bytes: std::mem::take(&mut self.payload_bytes),
            ..Self::default()
        }
    }

    /// Whether a message can be added where the others lie: otherwise all of them are moved. Whoever
    /// takes the row before that moves none.
    #[must_use]
    pub fn has_room_for(&self, message: &[u8]) -> bool {
        self.records.capacity() - self.records.len() >= message.len().saturating_add(LEN_LEN)
    }

    /// Makes room for a record; how much memory is in use is bounded by what the sender keeps.
    fn renew(&mut self, record_len: usize) {
        // A stream that says little keeps little; one that says much allocates seldom.
        self.room_len = (self.room_len * 2).clamp(ROOM.0, ROOM.1);
        let waiting = self.records.split();
        let len = (waiting.len() + record_len).max(self.room_len);
        self.chunks.renew(&mut self.records, len, usize::MAX);
        self.records.extend_from_slice(&waiting);
    }

    /// Messages in it.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes of all messages, their lengths not counted.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Bytes of all messages and their lengths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no message is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    pub(super) fn into_records(self) -> Bytes {
        self.records.freeze()
    }
}

/// Length of the record that starts at `at`, its own length counted.
pub(super) fn record_len(records: &[u8], at: usize) -> usize {
    let len = records.get(at..).and_then(|rest| rest.first_chunk());
    let len = len.map_or(u32::MAX, |len| u32::from_be_bytes(*len));
    usize::try_from(len).unwrap_or(usize::MAX).saturating_add(LEN_LEN)
}

/// Length of a record's length.
pub(super) const LEN_LEN: usize = 4;

/// The first allocation, and the largest.
const ROOM: (usize, usize) = (4 << 10, 256 << 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lie_side_by_side_each_after_its_length() {
        let mut row = Row::default();
        row.add(b"ab").unwrap();
        row.add(b"").unwrap();
        assert_eq!((row.messages(), row.payload_bytes(), row.len()), (2, 2, 10));
        let first = row.take();
        assert!(row.is_empty());
        row.add(b"c").unwrap();
        assert_eq!(first.into_records(), Bytes::from_static(b"\0\0\0\x02ab\0\0\0\0"));
        assert_eq!(row.take().into_records(), Bytes::from_static(b"\0\0\0\x01c"));
    }

    #[test]
    fn what_waits_is_moved_only_by_who_adds_where_there_is_no_room() {
        let mut row = Row::default();
        row.add(&[1; 3_000]).unwrap();
        let at = row.records.as_ptr();
        assert!(row.has_room_for(&[1; 1_000]) && !row.has_room_for(&[1; 2_000]));
        let first = row.take();
        row.add(&[2; 2_000]).unwrap();
        row.add(&[3; 9_000]).unwrap();
        assert_eq!(first.into_records().as_ptr(), at);
        let rest = row.take().into_records();
        assert_eq!((rest.len(), rest[4], rest[2_008]), (11_008, 2, 3));
    }

    #[test]
    fn memory_of_rows_that_were_forgotten_is_used_again() {
        let mut row = Row::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            row.add(&[0; 60_000]).unwrap();
            seen.insert(row.take().into_records().as_ptr());
        }
        assert!(seen.len() < 40, "{}", seen.len());
    }

    #[test]
    fn what_nobody_would_put_together_is_refused() {
        let mut row = Row::default();
        let long = vec![0; MAX_MESSAGE_LEN + 1];
        assert_eq!(row.add(&long), Err(MessageTooLong(MAX_MESSAGE_LEN + 1)));
        assert!(row.is_empty());
    }
}
