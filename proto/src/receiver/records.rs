//! Records back into messages.

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{MAX_MESSAGE_LEN, NO_RECORD};

/// Puts messages together from the payloads of packets, and finds its place again after a gap.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Bytes of a record that is not whole yet.
    partial: BytesMut,
    /// Whether the next byte is known to belong to `partial` or to start a record.
    in_step: bool,
}

impl Records {
    /// What follows is not what came before.
    pub(super) fn lose_step(&mut self) {
        self.partial.clear();
        self.in_step = false;
    }

    /// Takes the payload of the next packet and hands out each message that is now whole.
    pub(super) fn push(
        &mut self,
        mut payload: Bytes,
        first_record: u16,
        mut out: impl FnMut(Bytes),
    ) {
        if !self.in_step {
            let start = usize::from(first_record);
            if first_record == NO_RECORD || start > payload.len() {
                return;
            }
            payload.advance(start);
            self.in_step = true;
        }
        if !self.complete(&mut payload, &mut out) {
            return;
        }
        let rest = whole(payload, &mut out);
        self.partial.extend_from_slice(&rest);
        if record_len(&self.partial).is_some_and(|len| len > MAX_RECORD) {
            self.lose_step();
        }
    }

    /// Takes from `payload` what the record lacks that is not whole; false if there is too little, or
    /// it cannot be one. Nothing else is copied.
    fn complete(&mut self, payload: &mut Bytes, out: &mut impl FnMut(Bytes)) -> bool {
        if self.partial.is_empty() {
            return true;
        }
        self.fill(LEN_LEN, payload);
        let Some(len) = record_len(&self.partial) else { return false };
        if len > MAX_RECORD {
            self.lose_step();
            return false;
        }
        self.fill(len, payload);
        if self.partial.len() < len {
            return false;
        }
        let mut record = self.partial.split();
        record.advance(LEN_LEN);
        out(record.freeze());
        true
    }

    fn fill(&mut self, len: usize, payload: &mut Bytes) {
        let lacks = len.saturating_sub(self.partial.len()).min(payload.len());
        self.partial.extend_from_slice(&payload.split_to(lacks));
    }
}

/// Hands out the records that lie whole in `payload`, and gives what is left.
fn whole(mut payload: Bytes, out: &mut impl FnMut(Bytes)) -> Bytes {
    while let Some(len) = record_len(&payload) {
        if len > payload.len() {
            break;
        }
        out(payload.split_to(len).slice(LEN_LEN..));
    }
    payload
}

/// Length of the record that starts here, its own length counted.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(len).ok()?.checked_add(LEN_LEN)
}

const LEN_LEN: usize = 4;

/// A longer message is not put together: its length is not to be believed.
const MAX_RECORD: usize = MAX_MESSAGE_LEN + LEN_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(records: &mut Records, payload: &'static [u8], first: u16) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        records.push(Bytes::from_static(payload), first, |message| out.push(message.to_vec()));
        out
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
        let mut at = Vec::new();
        records.push(payload.clone(), 1, |message| at.push(message.as_ptr()));
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
