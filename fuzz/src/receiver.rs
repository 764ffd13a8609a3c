//! A receiver under a program of packets, times and moods of its output: it does not panic, grow or
//! spin, every datagram is counted once, and what it hands out is in order, once, and what was sent.

use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use proto::config::Start;
use proto::grtt::GroupSize;
use proto::poll::Poll;
use proto::receiver::{Delivered, Joined, Payload, Via};
use proto::seal::Key;
use proto::sign::SigningKey;
use proto::wire::{
    self, Announce, Body, ByeReason, CookieChallenge, Header, Heartbeat, Kind, StreamMode,
    UNICAST_NUMBERS,
};
use proto::{
    ByteCount, Receiver, ReceiverConfig, Seq, SessionId, StreamId, SubscriberId, Timestamp,
    WireTime,
};

use crate::packet::{self, Near};

/// Plays what `program` says.
pub fn check(program: &[u8]) {
    let mut u = Unstructured::new(program);
    let Ok(mut play) = Play::new(&mut u) else { return };
    for _ in 0..STEPS {
        if u.is_empty() || play.step(&mut u).is_err() {
            break;
        }
        play.comes_to_rest();
        play.is_bounded();
        play.adds_up();
    }
    play.is_stuck = false;
    play.settle();
    play.adds_up();
    assert!(!play.is_mute || play.said == 0, "a mute one speaks");
}

/// A receiver, its time, and what it was given and gave.
struct Play {
    receiver: Receiver,
    now: Timestamp,
    session: SessionId,
    number: u64,
    given: u64,
    said: u64,
    is_mute: bool,
    is_stuck: bool,
    /// It hands out only what is signed, and nothing is.
    verifies: bool,
    /// Nothing came but what an honest sender sends.
    is_honest: bool,
    order: Order,
}

/// What may be handed out next.
#[derive(Default)]
struct Order {
    next: Seq,
    has_ended: bool,
    /// Packets may hold no message or many, but always bytes.
    is_whole: bool,
}

impl Play {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let [mood, more]: [u8; 2] = u.arbitrary()?;
        let verify = (more & 3 == 3).then(|| SigningKey::of(&Key::new([5; 32])).public());
        let verifies = verify.is_some();
        let config = ReceiverConfig {
            subscriber: WHO,
            first_number: 0,
            name: "r".parse().unwrap_or_default(),
            stream: (mood & 1 != 0).then(|| "test".parse().unwrap_or_default()),
            start: if mood & 2 != 0 { Start::Live } else { Start::Oldest },
            delivery: None,
            window: ByteCount(WINDOW),
            socket_buffer: ByteCount(1 << 20),
            mute: mood & 4 != 0,
            max_tries: 5,
            silent_after: Duration::from_secs(3),
            keys: None,
            verify,
            max_auth_delay: Duration::from_secs(2),
            unix_us: 0,
            max_clock_skew: Duration::from_secs(60),
            seed: [3; 32],
        };
        let mut play = Self {
            receiver: Receiver::new(config, START),
            now: START,
            session: SessionId(77),
            number: 0,
            given: 0,
            said: 0,
            is_mute: mood & 4 != 0,
            is_stuck: false,
            verifies,
            is_honest: true,
            order: Order::default(),
        };
        if mood & 8 == 0 {
            let deadline_ms = if mood & 16 != 0 { 100 } else { 0 };
            let group_size = if mood & 32 != 0 { GroupSize::of(1_000).0 } else { 0 };
            let lead = Seq(u64::from(mood >> 6) * 20);
            play.hear(Body::Announce(Announce { deadline_ms, group_size, lead, ..announce() }));
        }
        Ok(play)
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 16 {
            0 => self.wait(Duration::from_micros(u64::from(u.arbitrary::<u16>()?))),
            1 => self.wait(Duration::from_nanos(1 << u.int_in_range(10..=52_u32)?)),
            2 => {
                let due = self.receiver.poll_timeout().map(|(due, _)| due);
                self.now = self.now.max(due.filter(|due| *due < FAR).unwrap_or(self.now));
            }
            3..=5 => {
                let seq = self.near_seq(u)?;
                self.hear(Body::Data(packet::honest(seq, self.now.to_wire())));
            }
            6 => {
                let seq = self.near_seq(u)?;
                let body = Body::Repair(packet::honest(seq, self.now.to_wire()));
                let via = if u.arbitrary()? { Via::Group } else { Via::Feedback };
                self.hear_via(via, body);
            }
            7 => {
                let (trail, lead) = (self.near_seq(u)?, self.near_seq(u)?);
                self.hear(Body::Heartbeat(Heartbeat { trail, lead, ..heartbeat() }));
            }
            8 => self.hear_via(
                Via::Feedback,
                Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: 1 }),
            ),
            9..=11 => self.hear_any(u)?,
            12 => self.hear_raw(u)?,
            13 => self.restart(u)?,
            14 => self.set_mood(u)?,
            _ => self.hear_golden(u)?,
        }
        self.settle();
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time).min(FAR.max(self.now));
    }

    /// Another session, which may be newer, older, or as old.
    fn restart(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.session = SessionId(70 + u64::from(u.arbitrary::<u8>()? % 8));
        let started_us = 90 + u64::from(u.arbitrary::<u8>()? % 32);
        let lead = Seq(u64::from(u.arbitrary::<u8>()?));
        let mode = if u.arbitrary()? { StreamMode::Messages } else { StreamMode::Bytes };
        // The payload of packets is the same in all sessions, but it is no messages.
        self.is_honest &= mode == StreamMode::Bytes;
        self.hear(Body::Announce(Announce { started_us, lead, mode, ..announce() }));
        Ok(())
    }

    fn set_mood(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 16 {
            0..=5 => self.is_stuck = true,
            6..=11 => self.is_stuck = false,
            12 => self.receiver.on_kernel_drops(u64::from(u.arbitrary::<u16>()?)),
            13 => self.receiver.on_ring_loss(u64::from(u.arbitrary::<u8>()?)),
            14 => self.receiver.on_kernel_drops(u.arbitrary()?),
            _ => self.receiver.leave(ByeReason::Left, self.now),
        }
        Ok(())
    }

    /// A well-formed packet that says anything, from anywhere.
    fn hear_any(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        let near = Near { seq: self.receiver.status().lead, time: self.now.to_wire() };
        let kind = *u.choose(&Kind::ALL)?;
        let body = packet::body(kind, near, u)?;
        let odd: u8 = u.arbitrary()?;
        let via = if odd & 1 != 0 { Via::Group } else { Via::Feedback };
        let mut header = self.header(&body, via);
        if odd & 2 != 0 {
            header.flags = u.arbitrary()?;
        }
        if odd & 0b1100 == 0b1100 {
            header.number = u.arbitrary()?;
            header.sent_at = packet::time(near, u)?;
        }
        if odd & 0b11_0000 == 0b11_0000 {
            header.stream = StreamId(u.arbitrary()?);
            header.session = SessionId(70 + u64::from(u.arbitrary::<u8>()? % 8));
            header.key_epoch = u.arbitrary()?;
        }
        let from = if odd & 0b1100_0000 == 0b1100_0000 { stranger() } else { source() };
        let mut datagram = Vec::new();
        wire::encode(&wire::Packet { header, body }, &mut datagram);
        self.take(&mut datagram, via, from);
        Ok(())
    }

    fn hear_raw(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        let from = if u.arbitrary()? { stranger() } else { source() };
        let len = usize::from(u.arbitrary::<u8>()?);
        let mut datagram = packet::bytes(len, u)?.to_vec();
        self.take(&mut datagram, Via::Group, from);
        Ok(())
    }

    /// A packet of the document, moved into the fuzzed session, with one byte changed.
    fn hear_golden(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.is_honest = false;
        let mut datagram = u.choose(crate::golden::all())?.clone();
        crate::golden::readdress(&mut datagram, stream(), self.session);
        let (at, flip): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        if let Some(byte) = datagram.get_mut(usize::from(at)) {
            *byte ^= flip;
        }
        self.take(&mut datagram, Via::Group, source());
        Ok(())
    }

    fn hear(&mut self, body: Body) {
        self.hear_via(Via::Group, body);
    }

    fn hear_via(&mut self, via: Via, body: Body) {
        let header = self.header(&body, via);
        let mut datagram = Vec::new();
        wire::encode(&wire::Packet { header, body }, &mut datagram);
        self.take(&mut datagram, via, source());
    }

    fn header(&mut self, body: &Body, via: Via) -> Header {
        self.number += 1;
        let unicast = if via == Via::Feedback { UNICAST_NUMBERS } else { 0 };
        Header {
            kind: body.kind(),
            flags: 0,
            key_epoch: 0,
            stream: stream(),
            session: self.session,
            number: self.number + unicast,
            sent_at: WireTime(self.now.to_wire().0.wrapping_sub(1_000)),
        }
    }

    fn take(&mut self, datagram: &mut [u8], via: Via, from: SocketAddr) {
        self.given += 1;
        let len = datagram.len();
        if via == Via::Feedback || len == 0 {
            return self.receiver.handle_datagram(datagram, via, from, self.now);
        }
        // What is next in order is taken by a shorter way.
        self.receiver.handle_joined(Joined { bytes: datagram, len }, via, from, self.now);
    }

    fn near_seq(&self, u: &mut Unstructured<'_>) -> Result<Seq> {
        let time = self.now.to_wire();
        let seq = packet::seq(Near { seq: self.receiver.status().next, time }, u)?;
        Ok(seq)
    }

    /// Takes what it has to hand out, to say and to tell.
    fn settle(&mut self) {
        while !self.is_stuck {
            let Some(delivered) = self.receiver.pull(self.now) else { break };
            self.order.take(&delivered);
            let is_payload = matches!(delivered, Delivered::Payload(_) | Delivered::Row(_));
            assert!(!self.verifies || !is_payload, "payload that nobody signed");
            if let Delivered::Payload(payload) = &delivered
                && self.is_honest
            {
                is_what_was_sent(payload);
            }
        }
        let mut datagram = Vec::new();
        let mut burst = 0;
        while self.receiver.poll_transmit(self.now, &mut datagram).is_some() {
            burst += 1;
            assert!(burst <= MOST_SAID, "it says more than {MOST_SAID} at once");
            assert!(datagram.len() <= wire::MAX_DATAGRAM_LEN);
            let said = wire::decode_said(&datagram);
            assert!(said.is_ok_and(|packet| packet.header.kind.is_feedback()));
        }
        self.said += burst;
        while self.receiver.poll_event().is_some() {}
    }

    /// After all that is due was done, nothing is due.
    fn comes_to_rest(&mut self) {
        for _ in 0..4 {
            self.receiver.handle_timeout(self.now);
            self.settle();
        }
        let due = self.receiver.poll_timeout();
        assert!(due.is_none_or(|(due, _)| due > self.now), "{due:?} at {}", self.now);
    }

    fn is_bounded(&self) {
        let held = self.receiver.status().held;
        // The least that an announce can say of the length of packets leaves room for this many.
        assert!(held <= WINDOW / 48, "{held} packets held");
    }

    /// No datagram and no packet is counted twice or not at all.
    fn adds_up(&self) {
        let stats = self.receiver.stats();
        assert_eq!(stats.received.total().datagrams + stats.discarded.total(), self.given);
        let coded = [Kind::Data, Kind::Repair].map(|kind| stats.received.get(kind).datagrams);
        let coded: u64 = coded.iter().sum();
        assert_eq!(coded, stats.packets_placed + stats.packets_duplicate);
        let here = stats.packets_placed + stats.packets_recovered;
        let held = self.receiver.status().held;
        let refused = stats.packets_forged + stats.packets_unverified;
        assert_eq!(here, stats.packets_delivered + stats.packets_abandoned + refused + held);
    }
}

impl Order {
    /// Each packet of a session once, in order, and between them exactly the gaps.
    fn take(&mut self, delivered: &Delivered) {
        match delivered {
            Delivered::Session(info) => {
                self.next = info.first;
                (self.has_ended, self.is_whole) = (false, info.mode == StreamMode::Bytes);
            }
            Delivered::Payload(payload) => {
                self.expect(payload.range.first);
                assert!(self.is_whole, "bytes in a stream of messages");
                self.next = payload.range.end;
            }
            Delivered::Row(row) => {
                self.expect(row.range.first);
                assert!(!self.is_whole, "messages in a stream of bytes");
                let (len, bytes) = (row.len(), row.payload_bytes());
                let lens: Vec<usize> = row.clone().map(|message| message.len()).collect();
                assert!(len > 0 && len == lens.len() && bytes == lens.iter().sum::<usize>() as u64);
                self.next = row.range.end;
            }
            Delivered::Gap(gap) => {
                self.expect(gap.range.first);
                assert!(!gap.range.is_empty());
                self.next = gap.range.end;
            }
            Delivered::End(ending) => {
                assert!(!self.has_ended && (self.next >= ending.lead || !self.is_whole));
                self.has_ended = true;
            }
        }
    }

    fn expect(&self, seq: Seq) {
        let fits = if self.is_whole { seq == self.next } else { seq >= self.next };
        assert!(fits && !self.has_ended, "{seq} where {} was next", self.next);
    }
}

fn is_what_was_sent(payload: &Payload) {
    let expected: Vec<u8> = payload.range.iter().flat_map(packet::payload_of).collect();
    assert_eq!(payload.bytes, expected);
}

fn announce() -> Announce {
    Announce {
        started_us: 100,
        name: "test".parse().unwrap_or_default(),
        mode: StreamMode::Bytes,
        deadline_ms: 0,
        coded_len: 152,
        k: 8,
        trail: Seq(0),
        lead: Seq(0),
        rate_bps: 0,
        heartbeat_max_ms: 1_000,
        grtt_us: 10_000,
        group_size: 0,
        poll: Poll::default(),
        feedback: None,
        nonce_echo: None,
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        trail: Seq(0),
        lead: Seq(0),
        last_block: Seq(0),
        last_k: 0,
        next_ms: 10,
        grtt_us: 10_000,
        group_size: 0,
        poll: Poll::default(),
    }
}

fn stream() -> StreamId {
    StreamId::of_name("test")
}

fn source() -> SocketAddr {
    ([10, 0, 0, 1], 5_000).into()
}

fn stranger() -> SocketAddr {
    ([10, 0, 0, 2], 5_000).into()
}

const START: Timestamp = Timestamp(1_000_000_000);
/// Nobody runs for a hundred years.
const FAR: Timestamp = Timestamp(3_000_000_000_000_000_000);
const WHO: SubscriberId = SubscriberId(5);
const WINDOW: u64 = 400_000;
const STEPS: usize = 300;
const MOST_SAID: u64 = 1_000;
