//! The sender in hand-made time, against hand-made subscribers.
//!
//! | you look for | open |
//! |---|---|
//! | waiting for subscribers, End, finish | `tests/phases.rs` |
//! | announces and heartbeats | `tests/statements.rs` |
//! | numbers, bursts, rate, credit, blocks, retention | `tests/live.rs` |
//! | what repair may take, and few askers | `tests/budget.rs` |
//! | NAKs and repairs | `tests/repairs.rs` |
//! | late joiners | `tests/late.rs` |
//! | another rate while it sends | `tests/retune.rs` |
//! | messages that share packets | `tests/linger.rs` |
//! | a message that nothing goes before | `tests/alone.rs` |
//! | who holds the others back | `tests/slow.rs` |
//! | what a stranger gets for what it sends, in bytes | `tests/amplification.rs` |
//! | how much is kept of a hundred thousand of them | `tests/floods.rs` |
//! | what strangers can make it send | `tests/strangers.rs` |
//! | who is sent by unicast what goes to the group | `tests/members.rs` |
//! | signing what is sent | `tests/manifests.rs` |
//! | with a key | `tests/sealed.rs` |
//! | one key after another, and who is not to have it | `tests/rekey.rs` |
//! | anything at all, at any time | `tests/hostile.rs` |

mod alone;
mod amplification;
mod budget;
mod floods;
mod hostile;
mod late;
mod linger;
mod live;
mod manifests;
mod members;
mod phases;
mod rekey;
mod repairs;
mod retune;
mod sealed;
mod slow;
mod statements;
mod strangers;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Destination, Event, Sender, Transmit};
use crate::wire::{
    self, Body, CatchUpRequest, CookieReply, Header, Kind, List, Nak, Packet, Range, Register,
    Report, ReportState, StreamMode,
};
use crate::{
    Bitrate, ByteCount, Delivery, SenderConfig, Seq, SeqRange, SessionId, StreamId, SubscriberId,
    Timestamp, WireTime,
};

const START: Timestamp = Timestamp(1_000_000_000);
const SESSION: SessionId = SessionId(77);
const STREAM: StreamId = StreamId(3);
/// Payload of a full packet.
const PAYLOAD: usize = 200 - 32 - 9;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> SenderConfig {
    SenderConfig {
        stream: STREAM,
        session: SESSION,
        started_us: 5,
        name: "test".parse().unwrap(),
        mode: StreamMode::Bytes,
        delivery: Delivery::Reliable,
        datagram_len: 200,
        overhead_len: 42,
        k: 8,
        ahead: crate::config::Ahead::default(),
        interleave: crate::config::Interleave::default(),
        rate: Some(Bitrate(10_000_000)),
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: true,
        retain: ByteCount(1 << 20),
        retain_for: None,
        wait_for: 0,
        wait_at_most: Duration::from_secs(2),
        finish_timeout: Duration::from_secs(10),
        flow: crate::config::Flow::default(),
        heartbeat: (millis(10), Duration::from_secs(1)),
        keys: None,
        sign: None,
        seed: [9; 32],
    }
}

/// What left the sender.
#[derive(Clone, Debug)]
struct Sent {
    at: Timestamp,
    to: Destination,
    packet: Packet,
    len: usize,
}

/// A sender, its time, and all it sent.
struct Bench {
    sender: Sender,
    now: Timestamp,
    sent: Vec<Sent>,
    bursts: Vec<Transmit>,
}

impl Bench {
    fn new(special: impl FnOnce(&mut SenderConfig)) -> Self {
        let mut config = config();
        special(&mut config);
        let sender = Sender::new(config, START).unwrap();
        let mut bench = Self { sender, now: START, sent: Vec::new(), bursts: Vec::new() };
        bench.drain();
        bench
    }

    /// Takes what is due now.
    fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        let mut buf = Vec::new();
        while let Some(transmit) = self.sender.poll_transmit(self.now, 44, &mut buf) {
            assert_eq!(buf.len().div_ceil(transmit.segment_len), transmit.datagrams);
            for datagram in buf.chunks(transmit.segment_len) {
                let packet = wire::decode(Bytes::copy_from_slice(datagram)).unwrap();
                let (at, to, len) = (self.now, transmit.destination, datagram.len());
                self.sent.push(Sent { at, to, packet, len });
            }
            self.bursts.push(transmit);
        }
    }

    /// Lets time pass, and takes what is due on the way.
    fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some((due, timer)) = self.sender.poll_timeout() {
            if due > end {
                break;
            }
            let before = (self.now, self.sent.len());
            self.now = self.now.max(due);
            self.drain();
            let again = self.sender.poll_timeout();
            let moved = before != (self.now, self.sent.len());
            assert!(moved || again.is_none_or(|(due, _)| due > self.now), "{timer:?} for ever");
        }
        self.now = end;
        self.drain();
    }

    fn push(&mut self, packets: usize) {
        self.sender.push(Bytes::from(vec![7; packets * PAYLOAD]), self.now).unwrap();
    }

    /// The sender hears `body` from where subscriber `who` is.
    fn hear(&mut self, who: u8, body: Body) {
        self.hear_from(address(who), body);
    }

    fn hear_from(&mut self, from: SocketAddr, body: Body) {
        self.sender.handle_packet(&packet(body), from, self.now);
    }

    /// Subscriber `who` proves its address.
    fn admit(&mut self, who: u8) {
        self.hear(who, register(who));
        self.drain();
        let cookie = self.sent.iter().rev().find_map(|sent| {
            if let Body::CookieChallenge(challenge) = &sent.packet.body {
                Some(challenge.cookie)
            } else {
                None
            }
        });
        self.hear(who, cookie_reply(who, cookie.unwrap()));
    }

    fn of_kind(&self, kind: Kind) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.packet.header.kind == kind).collect()
    }

    fn count(&self, kind: Kind) -> usize {
        self.of_kind(kind).len()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.sender.poll_event()).collect()
    }
}

fn address(who: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, who], 6_000))
}

fn id(who: u8) -> SubscriberId {
    SubscriberId(u128::from(who))
}

fn packet(body: Body) -> Packet {
    let header = Header {
        kind: body.kind(),
        flags: 0,
        key_epoch: 0,
        stream: STREAM,
        session: SESSION,
        number: 0,
        sent_at: WireTime(0),
    };
    Packet { header, body }
}

fn register(who: u8) -> Body {
    Body::Register(Register { subscriber: id(who), name: name(who), nonce: 0 })
}

fn cookie_reply(who: u8, cookie: u128) -> Body {
    Body::CookieReply(CookieReply { subscriber: id(who), cookie, name: name(who) })
}

fn name(who: u8) -> wire::Name {
    format!("s{who}").parse().unwrap()
}

fn report(who: u8, next: u64, limit: u64, state: ReportState, now: Timestamp) -> Body {
    Body::Report(Report {
        subscriber: id(who),
        state,
        limit: Seq(limit),
        highest: Seq(next),
        next: Seq(next),
        received: 0,
        repaired: 0,
        recovered: 0,
        given_up: 0,
        losses: wire::Losses::default(),
        bursts: [0; 5],
        ce: 0,
        jitter_us: 0,
        echo: now.to_wire(),
        hold_us: 0,
    })
}

fn live(who: u8, next: u64, limit: u64, now: Timestamp) -> Body {
    report(who, next, limit, ReportState::Live, now)
}

fn nak(who: u8, ranges: &[(u64, u64)]) -> Body {
    let ranges =
        ranges.iter().map(|(first, end)| Range::from_seqs(SeqRange::new(Seq(*first), Seq(*end))));
    let (ranges, needs) = (List::truncated(ranges), List::new());
    Body::Nak(Nak { subscriber: id(who), ranges, needs, manifests: List::new() })
}

fn catch_up(who: u8, from: u64, to: u64) -> Body {
    Body::CatchUpRequest(CatchUpRequest { subscriber: id(who), from: Seq(from), to: Seq(to) })
}

/// The seq of a data or repair packet.
fn seq(sent: &Sent) -> u64 {
    sent.packet.body.coded().unwrap().seq(Seq::ZERO).0
}
