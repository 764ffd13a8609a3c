//! A burst: what it is, and how it is written into one buffer.

use std::net::SocketAddr;

use super::Sender;
use super::window::Slot;
use crate::wire::{
    self, Body, CODED_HEADER_LEN, CODED_PREFIX_LEN, CodedPrefix, FLAG_NO_DIGEST,
    FLAG_REPORT_WANTED, Header, Kind, Manifest, Packet,
};
use crate::{Seq, Timestamp};

/// Where a burst goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// To every group of the stream.
    Group,
    /// To one subscriber.
    Unicast(SocketAddr),
}

/// A burst of datagrams in one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub destination: Destination,
    /// What it is, but for what follows.
    pub kind: Kind,
    /// Length of each datagram, in bytes; only the last may be shorter.
    pub segment_len: usize,
    /// How many.
    pub datagrams: usize,
    /// So many of them, the first, are parity that travels with data.
    pub parity: usize,
    /// Whether the last is a manifest.
    pub has_manifest: bool,
}

impl Transmit {
    /// What `count` of its datagrams are, from the one at `first` on: kinds, each with how many.
    pub fn kinds(&self, first: usize, count: usize) -> impl Iterator<Item = (Kind, usize)> + use<> {
        let end = first.saturating_add(count).min(self.datagrams);
        let manifest = self.datagrams - usize::from(self.has_manifest);
        let parity = self.parity.min(manifest);
        let parts = [
            (Kind::Parity, 0..parity),
            (self.kind, parity..manifest),
            (Kind::Manifest, manifest..self.datagrams),
        ];
        let within = move |(kind, part): (Kind, std::ops::Range<usize>)| {
            (kind, part.end.min(end).saturating_sub(part.start.max(first)))
        };
        parts.into_iter().map(within).filter(|(_, count)| *count > 0)
    }
}

/// What leaves, where to and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub(super) kind: Kind,
    pub(super) to: Destination,
    pub(super) at: Timestamp,
}

/// A burst that is being written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Burst {
    segment_len: usize,
    pub(super) datagrams: usize,
    is_closed: bool,
    /// So many of them are parity with which data may travel, of so many bytes together.
    parity: usize,
    parity_bytes: usize,
}

impl Burst {
    /// What was written so far is parity; data may follow.
    pub(super) fn carry_parity(&mut self, buf: &[u8]) {
        (self.parity, self.parity_bytes) = (self.datagrams, buf.len());
    }

    /// Datagrams of it that are no parity which it only carries, and their bytes.
    pub(super) fn own(&self, buf: &[u8]) -> (usize, usize) {
        (self.datagrams - self.parity, buf.len() - self.parity_bytes)
    }

    /// What leaves, without a manifest.
    pub(super) fn transmit(self, leaving: Leaving) -> Transmit {
        let Self { segment_len, datagrams, parity, .. } = self;
        let Leaving { kind, to: destination, .. } = leaving;
        Transmit { destination, kind, segment_len, datagrams, parity, has_manifest: false }
    }

    /// Whether a datagram of `len` bytes may follow; a shorter one is the last.
    pub(super) fn admits(&mut self, len: usize, max: usize) -> bool {
        if self.datagrams == 0 {
            self.segment_len = len;
        }
        let admits = !self.is_closed && self.datagrams < max && len <= self.segment_len;
        if admits {
            self.datagrams += 1;
            self.is_closed = len < self.segment_len;
        }
        admits
    }

    /// Bytes that one more datagram may have behind those in `buf`, at the end of a burst of at most
    /// `max`.
    pub(super) fn room_after(&self, max: usize, buf: &[u8]) -> usize {
        let is_full = self.is_closed || self.datagrams >= max;
        if is_full { 0 } else { self.segment_len.min(MAX_BURST_BYTES.saturating_sub(buf.len())) }
    }
}

impl Sender {
    /// Ends a burst with a manifest, which is shorter than what it follows.
    pub(super) fn append(
        &mut self,
        transmit: Transmit,
        manifest: Manifest,
        leaving: Leaving,
        buf: &mut Vec<u8>,
    ) -> Transmit {
        self.write_said(
            Leaving { kind: Kind::Manifest, ..leaving },
            0,
            Body::Manifest(manifest),
            buf,
        );
        Transmit { datagrams: transmit.datagrams + 1, has_manifest: true, ..transmit }
    }

    /// Datagrams of a burst: by the pacer, the caller and the largest UDP payload.
    pub(super) fn burst_limit(&mut self, max: usize, now: Timestamp) -> usize {
        let len = usize::from(self.config.datagram_len);
        let wire_len = len + usize::from(self.config.overhead_len);
        let by_size = MAX_BURST_BYTES / len.max(1);
        self.pacer.burst_datagrams(wire_len, max, now).min(by_size).max(1)
    }

    pub(super) fn datagram_len(&self, seq: Seq) -> Option<usize> {
        let slot = self.window.get(seq)?;
        Some(CODED_HEADER_LEN + CODED_PREFIX_LEN + slot.payload.len() + self.tag_len())
    }

    pub(super) fn header(&mut self, leaving: Leaving, flags: u8) -> Header {
        let key_epoch = self.key_epoch();
        let number = match leaving.to {
            Destination::Group => &mut self.numbers.0,
            Destination::Unicast(_) => &mut self.numbers.1,
        };
        let header = Header {
            kind: leaving.kind,
            flags,
            key_epoch,
            stream: self.config.stream,
            session: self.config.session,
            number: *number,
            sent_at: leaving.at.to_wire(),
        };
        *number += 1;
        header
    }

    pub(super) fn write_coded(&mut self, leaving: Leaving, seq: Seq, buf: &mut Vec<u8>) {
        let header = self.header(leaving, 0);
        let Some(slot) = self.window.get(seq) else { return };
        let header = Header { flags: slot.depth_log2, ..header };
        let start = buf.len();
        wire::encode_coded_header(&header, slot.block.low(), slot.index, slot.k, buf);
        prefix_of(slot, leaving.at).write(buf);
        buf.extend_from_slice(&slot.payload);
        self.seal(start, buf);
    }

    pub(super) fn write_control(
        &mut self,
        to: Destination,
        body: Body,
        now: Timestamp,
        buf: &mut Vec<u8>,
    ) -> Transmit {
        let leaving = Leaving { kind: body.kind(), to, at: now };
        let waits = self.window.has_unsent() || self.phase.is_waiting();
        let mut flags = 0;
        if leaving.kind == Kind::Heartbeat {
            flags = self.window.last_closed().depth_log2;
            flags |= if waits { FLAG_REPORT_WANTED } else { 0 };
        } else if leaving.kind == Kind::Announce && !self.config.is_hashed {
            flags = FLAG_NO_DIGEST;
        }
        self.write_said(leaving, flags, body, buf);
        Transmit {
            destination: to,
            kind: leaving.kind,
            segment_len: buf.len(),
            datagrams: 1,
            parity: 0,
            has_manifest: false,
        }
    }

    /// Appends what is no payload, signed and sealed.
    fn write_said(&mut self, leaving: Leaving, flags: u8, body: Body, buf: &mut Vec<u8>) {
        let header = self.header(leaving, flags);
        let start = buf.len();
        wire::encode(&Packet { header, body }, buf);
        self.sign(leaving.kind, start, buf);
        self.seal(start, buf);
        self.count(leaving, 1, buf.len() - start);
    }

    /// Counts a burst, and gives it if there is something in it.
    pub(super) fn sent(&mut self, leaving: Leaving, burst: Burst, buf: &[u8]) -> Option<Transmit> {
        if burst.datagrams == 0 {
            return None;
        }
        self.pacer.on_burst(leaving.at);
        let (datagrams, bytes) = burst.own(buf);
        if burst.parity > 0 {
            let parity = Leaving { kind: Kind::Parity, ..leaving };
            self.count(parity, burst.parity, burst.parity_bytes);
        }
        self.count(leaving, datagrams, bytes);
        Some(burst.transmit(leaving))
    }

    fn count(&mut self, leaving: Leaving, datagrams: usize, bytes: usize) {
        let counts = match leaving.to {
            Destination::Group => &mut self.stats.group,
            Destination::Unicast(_) => &mut self.stats.unicast,
        };
        counts.add(leaving.kind, datagrams as u64, bytes as u64);
        let wire_bytes = bytes + datagrams * usize::from(self.config.overhead_len);
        self.stats.wire_bytes += wire_bytes as u64;
        if leaving.kind.is_coded() {
            self.pacer.on_sent(wire_bytes, leaving.at);
        } else {
            self.pacer.on_unpaced(wire_bytes);
        }
        self.cap.on_sent(wire_bytes as u64);
    }
}

/// What stands before the payload of a packet, which leaves now if it never did.
pub(super) fn prefix_of(slot: &Slot, now: Timestamp) -> CodedPrefix {
    CodedPrefix {
        len: u16::try_from(slot.payload.len()).unwrap_or(u16::MAX),
        flags: slot.flags,
        first_record: slot.first_record,
        first_sent: slot.first_sent.unwrap_or(now).to_wire(),
    }
}

/// The largest UDP payload over IPv4 is 65,507 bytes, GSO or not.
const MAX_BURST_BYTES: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_travels_together_is_told_apart() {
        let transmit = Transmit {
            destination: Destination::Group,
            kind: Kind::Data,
            segment_len: 100,
            datagrams: 10,
            parity: 3,
            has_manifest: true,
        };
        let kinds = |first, count| transmit.kinds(first, count).collect::<Vec<_>>();
        assert_eq!(kinds(0, 10), [(Kind::Parity, 3), (Kind::Data, 6), (Kind::Manifest, 1)]);
        assert_eq!(kinds(0, 2), [(Kind::Parity, 2)]);
        assert_eq!(kinds(2, 3), [(Kind::Parity, 1), (Kind::Data, 2)]);
        assert_eq!(kinds(4, 99), [(Kind::Data, 5), (Kind::Manifest, 1)]);
        assert_eq!(kinds(10, 1), []);
    }
}
