//! Records back into messages.

use bytes::{Buf, Bytes, BytesMut};

use super::arena::{CHUNK, MOST_CHUNKS};
use super::row::Whole;
use crate::chunks::Chunks;
use crate::wire::{MAX_MESSAGE_LEN, NO_RECORD};

/// Puts messages together from the payloads of packets, and finds its place again after a gap.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Bytes of a record that is not whole yet.
    partial: BytesMut,
    /// Memory for them.
    chunks: Chunks,
    /// Whether the next byte is known to belong to `partial` or to start a record.
    in_step: bool,
}

impl Records {
    /// What follows is not what came before.
    pub(super) fn lose_step(&mut self) {
        self.partial.clear();
        self.in_step = false;
    }

    /// Whether payload of several packets can be taken at once: otherwise it has to be told where in
    /// each of them a record starts.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// Takes the payload of the next packets and gives the messages that are now whole.
    pub(super) fn push(&mut self, mut payload: Bytes, first_record: u16) -> Whole {
        if !self.in_step {
            let start = usize::from(first_record);
            if first_record == NO_RECORD || start > payload.len() {
                return Whole::default();
            }
            payload.advance(start);
            self.in_step = true;
        }
        let Some(head) = self.complete(&mut payload) else { return Whole::default() };
        let (len, count) = whole(&payload);
        let records = payload.split_to(len);
        self.begin(&payload);
        let messages = count + usize::from(!head.is_empty());
        Whole { head, records, messages }
    }

    /// Takes from `payload` what the record lacks that is not whole, and gives it, or nothing if there
    /// is none; none if there is too little, or it cannot be one. Nothing else is copied.
    fn complete(&mut self, payload: &mut Bytes) -> Option<Bytes> {
        if self.partial.is_empty() {
            return Some(Bytes::new());
        }
        self.fill(LEN_LEN, payload);
        let len = record_len(&self.partial)?;
        if len > MAX_RECORD {
            self.lose_step();
            return None;
        }
        self.fill(len, payload);
        (self.partial.len() >= len).then(|| self.partial.split().freeze())
    }

    /// Gives memory back that was of no use since the last call.
    pub(super) fn give_back(&mut self) {
        self.chunks.give_back();
    }

    fn fill(&mut self, len: usize, payload: &mut Bytes) {
        let lacks = len.saturating_sub(self.partial.len()).min(payload.len());
        self.partial.extend_from_slice(&payload.split_to(lacks));
    }

    /// Keeps the beginning of a record.
    fn begin(&mut self, beginning: &[u8]) {
        if beginning.is_empty() {
            return;
        }
        if self.partial.capacity() < beginning.len().max(USUAL_RECORD) {
            self.chunks.renew(&mut self.partial, beginning.len().max(CHUNK), MOST_CHUNKS);
        }
        self.partial.extend_from_slice(beginning);
        if record_len(&self.partial).is_some_and(|len| len > MAX_RECORD) {
            self.lose_step();
        }
    }
}

/// Length of the records that lie whole in `payload`, and how many they are.
pub(super) fn whole(payload: &[u8]) -> (usize, usize) {
    let (mut rest, mut count) = (payload, 0);
    while let Some(len) = record_len(rest)
        && let Some(behind) = rest.get(len..)
    {
        (rest, count) = (behind, count + 1);
    }
    (payload.len() - rest.len(), count)
}

/// Length of the record that starts here, its own length counted.
pub(super) fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(len).ok()?.checked_add(LEN_LEN)
}

/// Length of a record's length.
pub(super) const LEN_LEN: usize = 4;

/// A longer message is not put together: its length is not to be believed.
const MAX_RECORD: usize = MAX_MESSAGE_LEN + LEN_LEN;

/// So much room is worth beginning a record in.
const USUAL_RECORD: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Row;
    use super::*;
    use crate::{Seq, SeqRange};

    fn row(whole: Whole) -> Row {
        Row { range: SeqRange::new(Seq(0), Seq(1)), delay: Duration::ZERO, whole }
    }

    fn push(records: &mut Records, payload: &'static [u8], first: u16) -> Vec<Vec<u8>> {
        row(records.push(Bytes::from_static(payload), first)).map(Vec::from).collect()
    }

    #[test]
    fn short_messages_share_a_packet_and_long_ones_span_packets() {
        let mut records = Records::default();
        let got = push(&mut records, b"\0\0\0\x02ab\0\0\0\x01c\0\0", 0);
        assert_eq!(got, [b"ab".to_vec(), b"c".to_vec()]);
        assert!(push(&mut records, b"\0\x05de", NO_RECORD).is_empty());
        let got = push(&mut records, b"fgh\0\0\0\x01i", 3);
        assert_eq!(got, [b"defgh".to_vec(), b"i".to_vec()]);
    }

    #[test]
    fn after_a_gap_the_next_record_is_found() {
        let mut records = Records::default();
        push(&mut records, b"\0\0\0\x09abc", 0);
        records.lose_step();
        assert!(push(&mut records, b"xyz", NO_RECORD).is_empty());
        assert_eq!(push(&mut records, b"z\0\0\0\x01k", 1), [b"k".to_vec()]);
    }

    #[test]
    fn a_record_that_comes_byte_by_byte_is_put_together() {
        let mut records = Records::default();
        let row: &'static [u8] = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
        let mut got = Vec::new();
        for at in 0..row.len() {
            got.extend(push(&mut records, &row[at..=at], 0));
        }
        assert_eq!(got, [b"ab".to_vec(), Vec::new(), b"c".to_vec()]);
    }

    #[test]
    fn only_what_spans_packets_is_copied() {
        let mut records = Records::default();
        push(&mut records, b"\0\0\0\x02a", 0);
        let payload = Bytes::from_static(b"b\0\0\0\x01c");
        let at: Vec<_> = row(records.push(payload.clone(), 1)).map(|it| it.as_ptr()).collect();
        assert_eq!(at.get(1), Some(&payload[5..].as_ptr()));
    }

    #[test]
    fn an_empty_message_is_a_message() {
        assert_eq!(push(&mut Records::default(), b"\0\0\0\0", 0), [Vec::<u8>::new()]);
    }

    #[test]
    fn a_length_that_cannot_be_is_not_waited_for() {
        let mut records = Records::default();
        assert!(push(&mut records, b"\xff\xff\xff\xffabc", 0).is_empty());
        assert_eq!(push(&mut records, b"\0\0\0\x01k", 0), [b"k".to_vec()]);
    }
}
