//! A sender under a program of packets, pushes and times: it does not panic, grow or spin, what it
//! sends is what was pushed, once and in order, and a stranger is sent no more than it sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use proto::config::{Ahead, Flow, Interleave, SlowPolicy, Tuning};
use proto::seal::Key;
use proto::sender::{Destination, Row, SenderStats, Transmit};
use proto::sign::SigningKey;
use proto::wire::{
    self, Body, CODED_PREFIX_LEN, CodedPrefix, CookieReply, Header, Kind, Packet, ReportState,
    StreamMode, UNICAST_NUMBERS,
};
use proto::{
    Bitrate, ByteCount, Delivery, Sender, SenderConfig, Seq, SessionId, StreamId, Timestamp,
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
}

/// A sender, its time, and what it was given and sent.
struct Play {
    sender: Sender,
    mode: StreamMode,
    now: Timestamp,
    given: u64,
    /// Bytes of payload pushed, which are [`content`].
    pushed: u64,
    /// The next packet that is to be sent for the first time, and where its payload begins.
    next: (Seq, u64),
    /// The next numbers of datagrams to the group, and to single subscribers.
    numbers: (u64, u64),
    cookies: BTreeMap<SocketAddr, (proto::SubscriberId, u128)>,
    accounts: BTreeMap<SocketAddr, Account>,
}

/// What an address and the sender owe one another.
#[derive(Default)]
struct Account {
    heard: usize,
    sent: usize,
    /// It gave a cookie back.
    is_proven: bool,
}

impl Play {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let config = config(u.arbitrary()?);
        let mode = config.mode;
        let sender = Sender::new(config, START).map_err(|_| arbitrary::Error::IncorrectFormat)?;
        Ok(Self {
            sender,
            mode,
            now: START,
            given: 0,
            pushed: 0,
            next: (Seq::ZERO, 0),
            numbers: (0, UNICAST_NUMBERS),
            cookies: BTreeMap::new(),
            accounts: BTreeMap::new(),
        })
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 16 {
            0 => self.wait(Duration::from_micros(u64::from(u.arbitrary::<u16>()?))),
            1 => self.wait(Duration::from_nanos(1 << u.int_in_range(10..=52_u32)?)),
            2 | 3 => {
                let due = self.sender.poll_timeout().map(|(due, _)| due);
                self.now = self.now.max(due.filter(|due| *due < FAR).unwrap_or(self.now));
            }
            4 | 5 => self.push(usize::from(u.arbitrary::<u16>()? % 8_192)),
            6 => self.do_other(u)?,
            7 => self.prove(u)?,
            8..=10 => self.hear_feedback(u)?,
            11 | 12 => self.hear_any(u)?,
            13 => self.hear_golden(u)?,
            14 => self.hear_raw(u)?,
            _ => self.knock(u)?,
        }
        self.drain();
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time).min(FAR.max(self.now));
    }

    fn push(&mut self, len: usize) {
        let payload: Vec<u8> = (self.pushed..).take(len).map(content).collect();
        let dropped = self.sender.stats().payload_dropped;
        if self.sender.push(Bytes::from(payload), self.now).is_ok() {
            // While the breaker is open nobody will want what a timely stream is given.
            let is_kept = self.sender.stats().payload_dropped == dropped;
            self.pushed += if is_kept { len as u64 } else { 0 };
        } else {
            assert!(!self.sender.has_room());
        }
    }

    fn do_other(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 16 {
            0..=4 => self.sender.flush(self.now),
            5..=7 => self.sender.pause(self.now),
            8 => self.sender.close(None, false, self.now),
            9 => self.sender.close(Some([7; 32]), true, self.now),
            10..=12 => self.push_row(u)?,
            13 | 14 => {
                let tuning = Tuning {
                    rate: u.arbitrary::<Option<u32>>()?.map(|rate| Bitrate(u64::from(rate))),
                    linger: Duration::from_micros(u64::from(u.arbitrary::<u16>()?)),
                    retain: ByteCount(u64::from(u.arbitrary::<u16>()?)),
                    retain_for: None,
                    finish_timeout: Duration::from_millis(u64::from(u.arbitrary::<u16>()?)),
                };
                self.sender.retune(tuning, self.now).ok();
            }
            _ => {
                let mut datagram = Vec::new();
                let reason = wire::EvictReason::Slow;
                let who = u.arbitrary::<u8>()? % 8;
                self.sender.let_go_at(address(who), reason, self.now, &mut datagram);
                if !datagram.is_empty() {
                    self.numbers.1 += 1;
                }
            }
        }
        Ok(())
    }

    /// Messages, which share packets; of a stream of bytes nobody pushes a row.
    fn push_row(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.mode == StreamMode::Bytes {
            return Ok(());
        }
        let mut row = Row::default();
        let count = u.arbitrary::<u8>()? % 40;
        for _ in 0..count {
            let message = &[7; 200][..usize::from(u.arbitrary::<u8>()? % 200)];
            if count == 1 && self.leave_alone(message) {
                return Ok(());
            }
            row.add(message).ok();
        }
        let bytes = row.payload_bytes();
        match self.sender.push_row(row, self.now) {
            Ok(()) => self.pushed += bytes,
            Err(_) => assert!(!self.sender.has_room()),
        }
        Ok(())
    }

    /// Has a message leave before anything else, if it may.
    fn leave_alone(&mut self, message: &[u8]) -> bool {
        let mut datagram = Vec::new();
        let Some(alone) = self.sender.write_alone(message, self.now, &mut datagram) else {
            return false;
        };
        self.on_sent(alone.transmit, Kind::Data, &datagram);
        self.sender.on_left_alone(alone, &datagram);
        self.pushed += message.len() as u64;
        true
    }

    /// Somebody gives back the cookie that it was sent.
    fn prove(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = address(u.arbitrary::<u8>()? % 8);
        let Some((subscriber, cookie)) = self.cookies.get(&from).copied() else { return Ok(()) };
        self.accounts.entry(from).or_default().is_proven = true;
        let name = "s".parse().unwrap_or_default();
        let body = Body::CookieReply(CookieReply { subscriber, cookie, name });
        let flags: u8 = u.arbitrary()?;
        self.hear(Packet { header: Header { flags, ..self.header(&body) }, body }, from);
        Ok(())
    }

    /// What subscribers say, mostly what they may.
    fn hear_feedback(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let kinds = [Kind::Nak, Kind::Nak, Kind::Report, Kind::Report, Kind::CatchUpRequest];
        let kind = *u.choose(&kinds)?;
        let from = address(u.arbitrary::<u8>()? % 8);
        let near = self.near();
        let mut body = packet::body(kind, near, u)?;
        let proven = self.cookies.get(&from).map(|(subscriber, _)| *subscriber);
        if let Some(speaker) = proven {
            match &mut body {
                Body::Nak(nak) => nak.subscriber = speaker,
                Body::CatchUpRequest(request) => request.subscriber = speaker,
                Body::Report(report) => {
                    report.subscriber = speaker;
                    if u.arbitrary()? {
                        (report.state, report.next) = (ReportState::Live, near.seq);
                        report.limit = report.next.plus(u64::from(u.arbitrary::<u16>()?));
                    }
                }
                _ => {}
            }
        }
        self.hear(Packet { header: self.header(&body), body }, from);
        Ok(())
    }

    /// A well-formed packet that says anything, from anywhere.
    fn hear_any(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let kind = *u.choose(&Kind::ALL)?;
        let body = packet::body(kind, self.near(), u)?;
        let mut header = self.header(&body);
        if u.ratio(1, 4)? {
            header.flags = u.arbitrary()?;
            header.session = SessionId(77 + u64::from(u.arbitrary::<u8>()? % 2));
            header.key_epoch = u.arbitrary::<u8>()? % 2;
        }
        self.hear(Packet { header, body }, address(u.arbitrary::<u8>()? % 8));
        Ok(())
    }

    /// A packet of the document, moved into the fuzzed session, with one byte changed.
    fn hear_golden(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mut datagram = u.choose(crate::golden::all())?.clone();
        crate::golden::readdress(&mut datagram, STREAM, SESSION);
        let (at, flip): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        if let Some(byte) = datagram.get_mut(usize::from(at)) {
            *byte ^= flip;
        }
        self.take(&mut datagram, address(u.arbitrary::<u8>()? % 8));
        Ok(())
    }

    fn hear_raw(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let from = address(u.arbitrary::<u8>()? % 8);
        let len = usize::from(u.arbitrary::<u8>()?);
        let mut datagram = packet::bytes(len, u)?.to_vec();
        self.take(&mut datagram, from);
        Ok(())
    }

    /// Somebody asks for the stream by unicast.
    fn knock(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let kind = if u.ratio(1, 8)? { *u.choose(&Kind::ALL)? } else { Kind::Register };
        let body = packet::body(kind, self.near(), u)?;
        let session = SessionId(u64::from(u.ratio(1, 8)?));
        let stream = if u.arbitrary()? { STREAM } else { StreamId(0) };
        let header = Header { session, stream, ..self.header(&body) };
        let from = address(u.arbitrary::<u8>()? % 8);
        let mut datagram = Vec::new();
        wire::encode(&Packet { header, body }, &mut datagram);
        self.given += 1;
        self.accounts.entry(from).or_default().heard += datagram.len();
        self.sender.handle_knock(&mut datagram, from, self.now);
        Ok(())
    }

    fn hear(&mut self, packet: Packet, from: SocketAddr) {
        let mut datagram = Vec::new();
        wire::encode(&packet, &mut datagram);
        self.take(&mut datagram, from);
    }

    fn take(&mut self, datagram: &mut [u8], from: SocketAddr) {
        self.given += 1;
        self.accounts.entry(from).or_default().heard += datagram.len();
        self.sender.handle_datagram(datagram, from, self.now);
    }

    fn header(&self, body: &Body) -> Header {
        Header {
            kind: body.kind(),
            flags: 0,
            key_epoch: 0,
            stream: STREAM,
            session: SESSION,
            number: 0,
            sent_at: self.now.to_wire(),
        }
    }

    fn near(&self) -> Near {
        Near { seq: self.next.0, time: self.now.to_wire() }
    }

    /// Takes all that leaves now.
    fn drain(&mut self) {
        self.sender.handle_timeout(self.now);
        let (mut buf, mut datagrams) = (Vec::new(), 0);
        while let Some(transmit) = self.sender.poll_transmit(self.now, 44, &mut buf) {
            assert_eq!(buf.len().div_ceil(transmit.segment_len), transmit.datagrams);
            let kinds = transmit.kinds(0, transmit.datagrams);
            let kinds = kinds.flat_map(|(kind, count)| std::iter::repeat_n(kind, count));
            for (datagram, kind) in buf.chunks(transmit.segment_len).zip(kinds) {
                self.on_sent(transmit, kind, datagram);
            }
            datagrams += transmit.datagrams;
            assert!(datagrams < MOST_AT_ONCE, "{datagrams} datagrams at once");
        }
        while self.sender.poll_event().is_some() {}
    }

    fn on_sent(&mut self, transmit: Transmit, kind: Kind, datagram: &[u8]) {
        // What lists ranges may be longer than a stream's datagrams where those are short.
        let longest = if transmit.kind.is_coded() { DATAGRAM_LEN } else { 1_472 };
        assert!(datagram.len() <= usize::from(longest), "{} bytes", datagram.len());
        let packet = wire::decode_said(datagram).expect("what is sent can be read");
        assert_eq!(packet.header.kind, kind, "in {transmit:?}");
        let numbers = &mut self.numbers;
        let number = match transmit.destination {
            Destination::Group => &mut numbers.0,
            Destination::Unicast(_) => &mut numbers.1,
        };
        assert_eq!(packet.header.number, *number, "no number twice, and none left out");
        *number += 1;
        if let Destination::Unicast(to) = transmit.destination {
            let account = self.accounts.get_mut(&to).expect("nobody is sent what never spoke");
            account.sent += datagram.len();
            let (sent, heard) = (account.sent, account.heard);
            assert!(account.is_proven || sent <= heard, "{sent} bytes for {heard} to a stranger");
            if let Body::CookieChallenge(challenge) = &packet.body {
                self.cookies.insert(to, (challenge.subscriber, challenge.cookie));
            }
        }
        if let Body::Data(coded) = &packet.body
            && transmit.destination == Destination::Group
        {
            assert_eq!(coded.seq(self.next.0), self.next.0, "each once, in order");
            self.next.0 = self.next.0.next();
            let prefix = CodedPrefix::read(&coded.body).expect("a prefix");
            self.on_payload(prefix, coded.body.get(CODED_PREFIX_LEN..).unwrap_or_default());
        }
    }

    fn on_payload(&mut self, prefix: CodedPrefix, padded: &[u8]) {
        if self.mode == StreamMode::Messages {
            return;
        }
        let payload = &padded[..usize::from(prefix.len)];
        let from = self.next.1;
        assert!(payload.iter().copied().eq((from..).take(payload.len()).map(content)));
        self.next.1 += payload.len() as u64;
        assert!(self.next.1 <= self.pushed);
    }

    /// After all that is due was done, nothing is due.
    fn comes_to_rest(&mut self) {
        for _ in 0..4 {
            self.drain();
        }
        let due = self.sender.poll_timeout();
        assert!(due.is_none_or(|(due, _)| due > self.now), "{due:?} at {}", self.now);
    }

    fn is_bounded(&self) {
        let kept = self.sender.window_len() * self.sender.payload_len() as u64;
        // What is retained, what a block and parity ahead still need, and what is under way.
        assert!(kept <= RETAIN + MOST_KEPT, "{kept} bytes kept");
        assert!(self.sender.audience().len() <= 2_000);
        assert!(self.sender.interleave_depth() <= 32);
    }

    /// Every datagram is counted once.
    fn adds_up(&self) {
        let stats: &SenderStats = self.sender.stats();
        assert_eq!(stats.received.total().datagrams + stats.discarded.total(), self.given);
        assert_eq!(stats.group.total().datagrams, self.numbers.0);
    }
}

fn config(mood: u16) -> SenderConfig {
    let is = |bit: u16| mood & 1 << bit != 0;
    let flow = Flow {
        slow: is(0).then_some(if is(1) { SlowPolicy::Evict } else { SlowPolicy::Warn }),
        repair_unicast_below: if is(2) { 3 } else { 0 },
        ..Flow::default()
    };
    SenderConfig {
        stream: STREAM,
        session: SESSION,
        started_us: 5,
        name: "test".parse().unwrap_or_default(),
        mode: if is(3) { StreamMode::Messages } else { StreamMode::Bytes },
        delivery: if is(4) {
            Delivery::Timely(Duration::from_millis(100))
        } else {
            Delivery::Reliable
        },
        datagram_len: DATAGRAM_LEN,
        overhead_len: 42,
        k: if is(5) { 8 } else { 1 + (mood >> 9) as u8 },
        ahead: if is(6) { Ahead::Fixed(2) } else { Ahead::default() },
        interleave: if is(7) { Interleave::Fixed(2) } else { Interleave::Auto },
        rate: is(8).then_some(Bitrate(10_000_000)),
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: true,
        retain: ByteCount(RETAIN),
        retain_for: is(0).then_some(Duration::from_secs(1)),
        wait_for: u32::from(is(1)),
        wait_at_most: Duration::from_secs(2),
        finish_timeout: Duration::from_secs(10),
        flow,
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys: None,
        sign: (mood & 0x600 == 0x600).then(|| SigningKey::of(&Key::new([5; 32]))),
        seed: [9; 32],
    }
}

/// The byte at this place of the stream.
fn content(at: u64) -> u8 {
    let [.., a, b, c] = at.wrapping_mul(0x9e37_79b9).to_be_bytes();
    a ^ b ^ c
}

fn address(who: u8) -> SocketAddr {
    ([10, 0, 0, who], 6_000).into()
}

const START: Timestamp = Timestamp(1_000_000_000);
/// Nobody runs for a hundred years.
const FAR: Timestamp = Timestamp(3_000_000_000_000_000_000);
const SESSION: SessionId = SessionId(77);
const STREAM: StreamId = StreamId(3);
const DATAGRAM_LEN: u16 = 256;
const RETAIN: u64 = 64 << 10;
const MOST_KEPT: u64 = 128 << 10;
const MOST_AT_ONCE: usize = 100_000;
const STEPS: usize = 300;
