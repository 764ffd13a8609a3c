//! Datagrams that came together, in one buffer: most of them are next in order, and then little is to
//! be done for each.

use std::net::SocketAddr;

use super::arrival::Arrived;
use super::session::Session;
use super::window::{Check, Placed};
use super::{Receiver, Via};
use crate::Timestamp;
use crate::wire::{self, CodedFields, CodedPrefix, Kind};

/// Datagrams that a socket gave in one buffer, as UDP GRO joins them.
#[derive(Debug)]
pub struct Joined<'a> {
    /// One behind the other.
    pub bytes: &'a mut [u8],
    /// How long each is but for the last, which may be shorter, in bytes.
    pub len: usize,
}

impl Receiver {
    /// Takes datagrams that came together; does the same as [`Receiver::handle_datagram`] with each.
    /// None is taken if they have no length.
    pub fn handle_joined(
        &mut self,
        joined: Joined<'_>,
        via: Via,
        from: SocketAddr,
        now: Timestamp,
    ) {
        let Joined { bytes: mut left, len } = joined;
        while len > 0 && !left.is_empty() {
            let taken = self.take_in_order(left, len, from, now).min(left.len());
            let (_, rest) = left.split_at_mut(taken);
            let (one, rest) = rest.split_at_mut(len.min(rest.len()));
            if !one.is_empty() {
                self.handle_datagram(one, via, from, now);
            }
            left = rest;
        }
    }

    /// Takes data packets from the front as long as each is the next, of a block that is known, with
    /// nothing to be opened, proved, recovered or caught up on; says how many bytes they are.
    pub(super) fn take_in_order(
        &mut self,
        datagrams: &[u8],
        len: usize,
        from: SocketAddr,
        now: Timestamp,
    ) -> usize {
        if self.guard.is_some() || self.is_verified() {
            return 0;
        }
        let Some(session) = self.session.as_mut().filter(|session| session.is_steady(from)) else {
            return 0;
        };
        let mut taken = 0;
        let mut packets = 0;
        for datagram in datagrams.chunks(len) {
            if !session.take_next(datagram, now) {
                break;
            }
            taken += datagram.len();
            packets += 1;
        }
        self.stats.packets_placed += packets;
        self.stats.received.add(Kind::Data, packets, 0);
        taken
    }
}

impl Session {
    /// Whether its next data packet from there changes nothing but the window.
    fn is_steady(&self, from: SocketAddr) -> bool {
        self.source == from
            && !self.silent
            && self.catch_up_to.is_none()
            && !self.blocks.has_parity()
            // A gap of a timely stream is passed sooner for what comes behind it.
            && (self.is_reliable() || self.gaps.first().is_none())
            && self.window.end() == self.frontier
    }

    /// Takes a datagram if it is the next data packet, of a block that is known, and there is room.
    fn take_next(&mut self, datagram: &[u8], now: Timestamp) -> bool {
        let Ok((header, fields, body)) = wire::decode_coded(datagram) else { return false };
        let is_ours = header.kind == Kind::Data
            && header.session == self.id
            && header.stream == self.stream
            && header.is_for_group();
        if !is_ours || body.len() > usize::from(self.coded_len) || !self.is_next(fields) {
            return false;
        }
        let Ok(prefix) = CodedPrefix::read(body) else { return false };
        let seq = self.frontier;
        if self.window.place(seq, prefix, Arrived::Datagram(body), Check::Passed) != Placed::New {
            return false;
        }
        self.heard = now;
        self.clock.on_datagram(header.sent_at, now);
        self.numbers.on_datagram(header.number);
        self.barren_heartbeats = 0;
        self.frontier = seq.next();
        self.lead = self.lead.max(self.frontier);
        true
    }

    fn is_next(&self, fields: CodedFields) -> bool {
        let (start, seq) = (fields.block_start(self.frontier), fields.seq(self.frontier));
        seq == self.frontier
            && seq < self.last().min(self.window.limit())
            && self.blocks.is_of_last(start, fields.k, fields.index, fields.depth_log2)
    }
}
