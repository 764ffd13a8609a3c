//! Payload into packets.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{NO_RECORD, PREFIX_RECORDS, StreamMode};

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
    mode: StreamMode,
    /// Bytes that do not fill a packet yet.
    pending: BytesMut,
}

impl Packetizer {
    pub(super) fn new(capacity: usize, mode: StreamMode) -> Self {
        Self { capacity, mode, pending: BytesMut::new() }
    }

    pub(super) fn push(&mut self, payload: Bytes, cut: impl FnMut(Cut)) {
        match self.mode {
            StreamMode::Bytes => self.push_bytes(payload, cut),
            StreamMode::Messages => self.push_message(&payload, cut),
        }
    }

    /// Lets go of what does not fill a packet.
    pub(super) fn flush(&mut self) -> Option<Cut> {
        if self.pending.is_empty() {
            return None;
        }
        Some(of_bytes(self.pending.split().freeze()))
    }

    /// Forgets what does not fill a packet; says how many bytes that was.
    pub(super) fn clear(&mut self) -> u64 {
        let len = self.pending.len() as u64;
        self.pending.clear();
        len
    }

    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Full packets are slices of what was pushed; only the seam between two pushes is copied.
    fn push_bytes(&mut self, mut payload: Bytes, mut cut: impl FnMut(Cut)) {
        if !self.pending.is_empty() {
            let seam = self.capacity.saturating_sub(self.pending.len()).min(payload.len());
            self.pending.extend_from_slice(&payload.split_to(seam));
            if self.pending.len() >= self.capacity {
                cut(of_bytes(self.pending.split().freeze()));
            }
        }
        while payload.len() >= self.capacity {
            cut(of_bytes(payload.split_to(self.capacity)));
        }
        self.pending.extend_from_slice(&payload);
    }

    /// A message is a record: its length, then its bytes, in as many packets as it takes.
    fn push_message(&mut self, message: &Bytes, mut cut: impl FnMut(Cut)) {
        let mut record = BytesMut::with_capacity(message.len() + 4);
        record.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        record.extend_from_slice(message);
        let mut record = record.freeze();
        let mut first_record = 0;
        while !record.is_empty() {
            let payload = record.split_to(self.capacity.min(record.len()));
            cut(Cut { payload, flags: PREFIX_RECORDS, first_record });
            first_record = NO_RECORD;
        }
    }
}

fn of_bytes(payload: Bytes) -> Cut {
    Cut { payload, flags: 0, first_record: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(packetizer: &mut Packetizer, payload: &'static [u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        packetizer.push(Bytes::from_static(payload), |cut| out.push(cut.payload.to_vec()));
        out
    }

    #[test]
    fn bytes_fill_packets_across_pushes() {
        let mut packetizer = Packetizer::new(4, StreamMode::Bytes);
        assert_eq!(cuts(&mut packetizer, b"abcdef"), [b"abcd".to_vec()]);
        assert_eq!(cuts(&mut packetizer, b"g"), Vec::<Vec<u8>>::new());
        assert_eq!(cuts(&mut packetizer, b"hijklm"), [b"efgh".to_vec(), b"ijkl".to_vec()]);
        assert_eq!(packetizer.flush().unwrap().payload, Bytes::from_static(b"m"));
        assert_eq!(packetizer.flush(), None);
    }

    #[test]
    fn a_long_message_spans_packets_and_only_the_first_starts_a_record() {
        let mut packetizer = Packetizer::new(6, StreamMode::Messages);
        let mut out = Vec::new();
        packetizer.push(Bytes::from_static(b"abcdefgh"), |cut| out.push(cut));
        let starts: Vec<_> = out.iter().map(|cut| cut.first_record).collect();
        assert_eq!(starts, [0, NO_RECORD]);
        let joined: Vec<u8> = out.iter().flat_map(|cut| cut.payload.to_vec()).collect();
        assert_eq!(joined, b"\0\0\0\x08abcdefgh");
    }
}
