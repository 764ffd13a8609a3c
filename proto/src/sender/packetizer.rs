//! Payload into packets.

use bytes::{Bytes, BytesMut};

use super::row::{LEN_LEN, record_len};
use crate::chunks::Chunks;
use crate::wire::{NO_RECORD, PREFIX_RECORDS, StreamMode};
use crate::{Delivery, Timestamp};

/// The payload of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) payload: Bytes,
    pub(super) flags: u8,
    pub(super) first_record: u16,
}

/// Cuts payload into packets of one size; only what is flushed may be shorter.
#[derive(Debug)]
pub(super) struct Packetizer {
    capacity: usize,
    framing: Framing,
    /// Bytes that do not fill a packet yet.
    pending: BytesMut,
    /// Memory for them.
    chunks: Chunks,
    /// Where in them the first record starts.
    first_record: u16,
    /// Since when the oldest of them waits.
    since: Timestamp,
}

/// What lies in packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Bytes.
    Bytes,
    /// Records that run on from packet to packet, so that all are full.
    Running,
    /// Records that are not split between packets if one would hold them: what is lost of a timely
    /// stream takes as few messages with it as can be.
    Whole,
}

impl Packetizer {
    pub(super) fn new(capacity: usize, mode: StreamMode, delivery: Delivery) -> Self {
        let framing = match (mode, delivery) {
            (StreamMode::Bytes, _) => Framing::Bytes,
            (StreamMode::Messages, Delivery::Reliable) => Framing::Running,
            (StreamMode::Messages, Delivery::Timely(_)) => Framing::Whole,
        };
        let (pending, chunks) = (BytesMut::new(), Chunks::default());
        let (first_record, since) = (NO_RECORD, Timestamp::ZERO);
        Self { capacity, framing, pending, chunks, first_record, since }
    }

    /// Takes a piece of a stream of bytes.
    ///
    /// Full packets are slices of what was pushed; only the seam between two pushes is copied.
    pub(super) fn push_bytes(
        &mut self,
        mut payload: Bytes,
        now: Timestamp,
        mut cut: impl FnMut(Cut),
    ) {
        while !payload.is_empty() {
            let piece = payload.split_to(self.room().min(payload.len()));
            self.put(piece, false, now, &mut cut);
        }
    }

    /// Takes a row of records. Here, too, full packets are slices.
    pub(super) fn push_row(&mut self, mut row: Bytes, now: Timestamp, mut cut: impl FnMut(Cut)) {
        // Where in `row` the next record starts.
        let mut next = 0;
        while !row.is_empty() {
            let len = self.share(&row, next).min(row.len());
            if len == 0 {
                self.flush().into_iter().for_each(&mut cut);
                continue;
            }
            if next < len && self.first_record == NO_RECORD {
                self.first_record = u16::try_from(self.pending.len() + next).unwrap_or(NO_RECORD);
            }
            while next < len {
                next = next.saturating_add(record_len(&row, next));
            }
            next -= len;
            let piece = row.split_to(len);
            // Where records stay whole, the next one would not fit.
            let is_full = self.framing == Framing::Whole && !row.is_empty();
            self.put(piece, is_full, now, &mut cut);
        }
    }

    /// Lets go of what does not fill a packet.
    pub(super) fn flush(&mut self) -> Option<Cut> {
        if self.pending.is_empty() {
            return None;
        }
        let payload = self.pending.split().freeze();
        Some(self.cut_of(payload))
    }

    /// Whether a message of `len` bytes would fit into a packet of its own.
    pub(super) fn holds_alone(&self, len: usize) -> bool {
        self.pending.is_empty() && len.saturating_add(LEN_LEN) <= self.capacity
    }

    /// A packet of one record that [`Self::holds_alone`]: a slice of what it lies in.
    pub(super) fn cut_alone(&mut self, record: Bytes) -> Cut {
        self.first_record = 0;
        self.cut_of(record)
    }

    /// Forgets what does not fill a packet; says how many bytes that was.
    pub(super) fn clear(&mut self) -> u64 {
        let len = self.pending.len() as u64;
        self.pending.clear();
        self.first_record = NO_RECORD;
        len
    }

    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Since when messages wait for company.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        (self.framing != Framing::Bytes && !self.pending.is_empty()).then_some(self.since)
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.pending.len())
    }

    /// How much of `row` goes into the packet that is being filled; 0: it is to go as it is.
    fn share(&self, row: &[u8], next: usize) -> usize {
        let room = self.room();
        if self.framing != Framing::Whole || next >= room {
            return room;
        }
        let mut end = next;
        while end < row.len() {
            let with_it = end.saturating_add(record_len(row, end));
            if with_it > room {
                break;
            }
            end = with_it;
        }
        // No packet holds a record that an empty one has no room for.
        if end == 0 && self.pending.is_empty() { room } else { end }
    }

    /// Adds a piece that there is room for.
    fn put(&mut self, piece: Bytes, is_full: bool, now: Timestamp, cut: &mut impl FnMut(Cut)) {
        let is_full = is_full || piece.len() >= self.room();
        if self.pending.is_empty() {
            if is_full {
                cut(self.cut_of(piece));
                return;
            }
            self.since = now;
            if self.pending.capacity() < self.capacity {
                // The window bounds how much of it is in use.
                self.chunks.renew(&mut self.pending, self.capacity * SEAMS, usize::MAX);
            }
        }
        self.pending.extend_from_slice(&piece);
        if is_full {
            self.flush().into_iter().for_each(cut);
        }
    }

    fn cut_of(&mut self, payload: Bytes) -> Cut {
        match self.framing {
            Framing::Bytes => Cut { payload, flags: 0, first_record: 0 },
            Framing::Running | Framing::Whole => {
                let first_record = std::mem::replace(&mut self.first_record, NO_RECORD);
                Cut { payload, flags: PREFIX_RECORDS, first_record }
            }
        }
    }
}

/// Packets that are put together in one allocation.
const SEAMS: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Row;
    use super::*;

    const TIMELY: Delivery = Delivery::Timely(Duration::from_millis(1));

    fn packetizer(capacity: usize, mode: StreamMode, delivery: Delivery) -> Packetizer {
        Packetizer::new(capacity, mode, delivery)
    }

    fn cuts(packetizer: &mut Packetizer, payload: &'static [u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let payload = Bytes::from_static(payload);
        packetizer.push_bytes(payload, Timestamp::ZERO, |cut| out.push(cut.payload.to_vec()));
        out
    }

    fn row(messages: &[&[u8]]) -> Bytes {
        let mut row = Row::default();
        messages.iter().for_each(|message| row.add(message).unwrap());
        row.into_records()
    }

    /// Payloads, and where in each the first record starts.
    fn rows(packetizer: &mut Packetizer, messages: &[&[u8]]) -> Vec<(Vec<u8>, u16)> {
        let mut out = Vec::new();
        packetizer.push_row(row(messages), Timestamp::ZERO, |cut| {
            assert_eq!(cut.flags, PREFIX_RECORDS);
            out.push((cut.payload.to_vec(), cut.first_record));
        });
        out
    }

    fn rest(packetizer: &mut Packetizer) -> Option<(Vec<u8>, u16)> {
        packetizer.flush().map(|cut| (cut.payload.to_vec(), cut.first_record))
    }

    #[test]
    fn bytes_fill_packets_across_pushes() {
        let mut packetizer = packetizer(4, StreamMode::Bytes, TIMELY);
        assert_eq!(cuts(&mut packetizer, b"abcdef"), [b"abcd".to_vec()]);
        assert_eq!(cuts(&mut packetizer, b"g"), Vec::<Vec<u8>>::new());
        assert_eq!(cuts(&mut packetizer, b"hijklm"), [b"efgh".to_vec(), b"ijkl".to_vec()]);
        assert_eq!(packetizer.waits_since(), None, "bytes have no linger");
        let last = packetizer.flush().unwrap();
        assert_eq!(last, Cut { payload: Bytes::from_static(b"m"), flags: 0, first_record: 0 });
        assert_eq!(packetizer.flush(), None);
    }

    #[test]
    fn a_long_message_spans_packets_and_what_follows_shares_its_last() {
        let mut packetizer = packetizer(6, StreamMode::Messages, TIMELY);
        let got = rows(&mut packetizer, &[b"abcdefgh", b""]);
        let wanted = [(b"\0\0\0\x08ab".to_vec(), 0), (b"cdefgh".to_vec(), NO_RECORD)];
        assert_eq!(got, wanted);
        assert_eq!(rest(&mut packetizer), Some((b"\0\0\0\0".to_vec(), 0)));
    }

    #[test]
    fn reliable_records_run_on_and_each_packet_tells_where_the_next_begins() {
        let mut packetizer = packetizer(8, StreamMode::Messages, Delivery::Reliable);
        assert_eq!(rows(&mut packetizer, &[b"ab"]), []);
        let got = rows(&mut packetizer, &[b"cdefghijklmn", b"o"]);
        let wanted = [
            (b"\0\0\0\x02ab\0\0".to_vec(), 0),
            (b"\0\x0ccdefgh".to_vec(), NO_RECORD),
            (b"ijklmn\0\0".to_vec(), 6),
        ];
        assert_eq!(got, wanted);
        assert_eq!(rest(&mut packetizer), Some((b"\0\x01o".to_vec(), NO_RECORD)));
    }

    #[test]
    fn timely_records_are_not_split_where_a_packet_would_hold_them() {
        let mut packetizer = packetizer(12, StreamMode::Messages, TIMELY);
        assert_eq!(rows(&mut packetizer, &[b"abcd"]), []);
        let got = rows(&mut packetizer, &[b"ef", b"gh", b"ijklmnopqr", b"s"]);
        let wanted = [
            (b"\0\0\0\x04abcd".to_vec(), 0),
            (b"\0\0\0\x02ef\0\0\0\x02gh".to_vec(), 0),
            (b"\0\0\0\x0aijklmnop".to_vec(), 0),
        ];
        assert_eq!(got, wanted);
        assert_eq!(rest(&mut packetizer), Some((b"qr\0\0\0\x01s".to_vec(), 2)));
    }

    #[test]
    fn what_is_full_is_a_slice_of_what_was_pushed() {
        let mut packetizer = packetizer(8, StreamMode::Messages, Delivery::Reliable);
        let row = row(&[b"abcd", b"efgh"]);
        let mut at = Vec::new();
        packetizer.push_row(row.clone(), Timestamp::ZERO, |cut| at.push(cut.payload.as_ptr()));
        assert_eq!(at, [row.as_ptr(), row[8..].as_ptr()]);
    }

    #[test]
    fn messages_wait_from_when_the_oldest_of_them_came() {
        let at = Timestamp::from_secs;
        let mut packetizer = packetizer(9, StreamMode::Messages, Delivery::Reliable);
        for second in 1..3 {
            packetizer.push_row(row(&[b""]), at(second), |_| {});
        }
        assert_eq!(packetizer.waits_since(), Some(at(1)));
        packetizer.push_row(row(&[b""]), at(3), |_| {});
        assert_eq!(packetizer.waits_since(), Some(at(3)), "what came before is in a full packet");
        assert_eq!(packetizer.clear(), 3);
        assert_eq!(packetizer.waits_since(), None);
    }
}
