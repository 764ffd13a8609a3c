//! What a member turned bad says in the publisher's name: everything there is.

use bytes::Bytes;
use proto::wire::{
    self, Announce, Body, Coded, CodedPrefix, End, Evict, EvictReason, Header, Heartbeat, List,
    Manifest, Name, Ncf, Need, Packet, PacketHash, Range, Refused, RefusedReason, StreamMode,
};
use proto::{Seq, SubscriberId};

use crate::member::Member;

/// Forges everything there is, in the name of the publisher that it overhears.
#[derive(Debug)]
pub struct Forger {
    member: Member,
    stream: Name,
    /// One of its victims, if it knows one.
    victim: SubscriberId,
    rng: fastrand::Rng,
}

/// Stands in what is forged, and in nothing else.
pub const EVIL: &[u8] = b"evil";

impl Forger {
    /// Who is to speak for the publisher of `stream`.
    #[must_use]
    pub fn new(member: Member, stream: Name, seed: u64) -> Self {
        Self { member, stream, victim: SubscriberId(1), rng: fastrand::Rng::with_seed(seed) }
    }

    /// What it sends when it has heard `overheard`, which may still be under way to others: data, repairs
    /// and parity near it, and every statement, numbered as the publisher may, or may not, have done.
    pub fn forge(&mut self, overheard: &[u8]) -> Vec<Vec<u8>> {
        let Ok((header, _)) = wire::decode_header(overheard) else { return Vec::new() };
        let mut bodies = self.said();
        if let Ok((_, fields, _)) = wire::decode_coded(overheard) {
            bodies.extend(self.coded(fields.block, fields.index, fields.k));
        }
        bodies.into_iter().map(|body| self.seal(header, body)).collect()
    }

    fn seal(&mut self, header: Header, body: Body) -> Vec<u8> {
        let number = match self.rng.u8(..4) {
            0 => header.number + 1,
            1 => header.number + self.rng.u64(..1_000_000),
            2 => u64::MAX / 2,
            _ => header.number + 7,
        };
        let flags = header.flags;
        let header = Header { kind: body.kind(), flags, number, ..header };
        self.member.seal(&Packet { header, body })
    }

    /// Of the packets that come next, and of some far ahead.
    fn coded(&mut self, block: u32, index: u8, k: u8) -> Vec<Body> {
        let mut body = Vec::new();
        let payload = EVIL.repeat(300);
        let len = u16::try_from(payload.len()).unwrap_or(0);
        let first_sent = proto::WireTime(self.rng.u32(..));
        CodedPrefix { len, flags: 0, first_record: 0, first_sent }.write(&mut body);
        body.extend_from_slice(&payload);
        let body = Bytes::from(body);
        let far = self.rng.u32(..5_000);
        let at = |block, index, k| Coded { block, index, k, depth_log2: 0, body: body.clone() };
        vec![
            Body::Data(at(block, index, k)),
            Body::Data(at(block, (index + 1) % 16, 0)),
            Body::Repair(at(block.wrapping_add(16), index, 16)),
            Body::Data(at(block.wrapping_add(far), 0, 0)),
            Body::Parity(at(block, 16 + self.rng.u8(..9), 16)),
            Body::Parity(at(block.wrapping_sub(16), 16, 16)),
        ]
    }

    fn said(&mut self) -> Vec<Body> {
        let seq = Seq(self.rng.u64(..400));
        let all = List::truncated([Range { first: Seq(0), count: 4_000 }]);
        let needs = List::truncated([Need { block: Seq(0), count: 16 }]);
        let heartbeat = Heartbeat {
            trail: Seq(100_000),
            lead: Seq(200_000),
            last_block: seq,
            last_k: 3,
            next_ms: 60_000,
            grtt_us: 4_000_000,
            group_size: 200,
            poll: proto::poll::Poll::default(),
        };
        let hashes = List::truncated([PacketHash([7; 16]); 30]);
        let evict = |subscriber| Evict { subscriber, reason: EvictReason::Kicked };
        vec![
            Body::Heartbeat(heartbeat),
            Body::End(End { lead: seq, bytes: 9, sha256: None, aborted: true }),
            Body::Announce(self.announce()),
            Body::Ncf(Ncf { ranges: all.clone(), needs }),
            Body::Refused(Refused {
                reason: RefusedReason::TooLate,
                trail: Seq(100_000),
                ranges: all,
            }),
            Body::Evict(evict(self.victim)),
            Body::Manifest(Manifest { first: seq, started_us: 1, hashes, signature: [3; 64] }),
        ]
    }

    fn announce(&self) -> Announce {
        Announce {
            started_us: u64::MAX / 2,
            name: self.stream.clone(),
            mode: StreamMode::Bytes,
            deadline_ms: 1,
            coded_len: 1_424,
            k: 16,
            trail: Seq(0),
            lead: Seq(0),
            rate_bps: 0,
            heartbeat_max_ms: 1,
            grtt_us: 1,
            group_size: 0,
            poll: proto::poll::Poll::default(),
            feedback: Some(([10, 0, 0, 66], 6).into()),
            nonce_echo: Some(5),
        }
    }
}
