//! Messages side by side, as they came.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::records::{LEN_LEN, record_len, whole};
use crate::SeqRange;

/// Messages in order, all of them whole; an iterator that hands out one after the other. They lie as
/// they came, and taking one copies nothing (docs/PROTOCOL.md §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The packets they came in; of a message that began before these, only the last ones.
    pub range: SeqRange,
    /// Time since the first of the packets was first sent, by the smallest clock offset seen: zero is the
    /// fastest way a packet ever took.
    pub delay: Duration,
    pub(super) whole: Whole,
}

/// Records that are whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// The one that began in packets before.
    pub(super) head: Bytes,
    /// Those that follow it.
    pub(super) records: Bytes,
    /// How many both are.
    pub(super) messages: usize,
}

impl Row {
    /// The messages of `records`, which lie there as in the payload of packets; what is not whole at its
    /// end is left out.
    #[must_use]
    pub fn new(range: SeqRange, delay: Duration, mut records: Bytes) -> Self {
        let (len, messages) = whole(&records);
        records.truncate(len);
        Self { range, delay, whole: Whole { head: Bytes::new(), records, messages } }
    }

    /// Bytes of all messages that are left, their lengths not counted.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.len_with_lengths().saturating_sub(self.whole.messages * LEN_LEN) as u64
    }

    /// Bytes of all messages that are left and of their lengths: what keeping them takes.
    #[must_use]
    pub fn len_with_lengths(&self) -> usize {
        self.whole.head.len() + self.whole.records.len()
    }
}

impl Iterator for Row {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        let Whole { head, records, messages } = &mut self.whole;
        let from = if head.is_empty() { records } else { head };
        let len = record_len(from)?;
        let mut record = if len < from.len() { from.split_to(len) } else { std::mem::take(from) };
        record.advance(LEN_LEN);
        *messages = messages.saturating_sub(1);
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.whole.messages, Some(self.whole.messages))
    }
}

impl ExactSizeIterator for Row {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seq;

    #[test]
    fn messages_come_out_one_by_one_where_they_lie() {
        let records = Bytes::from_static(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c\0\0\0\x09not");
        let range = SeqRange::new(Seq(3), Seq(5));
        let mut row = Row::new(range, Duration::ZERO, records.clone());
        assert_eq!((row.len(), row.payload_bytes(), row.len_with_lengths()), (3, 3, 15));
        let first = row.next().unwrap();
        assert_eq!((&first[..], first.as_ptr()), (&b"ab"[..], records[4..].as_ptr()));
        assert_eq!((row.len(), row.payload_bytes()), (2, 1));
        assert_eq!(row.collect::<Vec<_>>(), [Bytes::new(), Bytes::from_static(b"c")]);
    }
}
