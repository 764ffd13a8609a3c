//! The receiver in hand-made time, against a hand-made sender.
//!
//! | you look for | open |
//! |---|---|
//! | which session is followed | `tests/adopt.rs` |
//! | order, duplicates, messages, the end | `tests/deliver.rs` |
//! | gaps, NAKs, confirmations, refusals | `tests/ask.rs` |
//! | several blocks at once | `tests/interleave.rs` |
//! | streams with a deadline | `tests/timely.rs` |
//! | many in one buffer | `tests/joined.rs` |
//! | late joiners, catch-up, the window | `tests/late.rs` |
//! | many in one buffer | `tests/joined.rs` |
//! | being known, reports, counters | `tests/feedback.rs` |
//! | asking for it by unicast | `tests/knock.rs` |
//! | one key after another | `tests/rekey.rs` |
//! | how much is kept of a hundred thousand packets that are not wanted | `tests/floods.rs` |
//! | anything at all, at any time | `tests/hostile.rs` |

mod adopt;
mod ask;
mod deliver;
mod feedback;
mod floods;
mod hostile;
mod interleave;
mod joined;
mod knock;
mod late;
mod rekey;
mod timely;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Delivered, Ending, Event, Gap, GapCause, Receiver, Via};
use crate::config::Start;
use crate::grtt::GroupSize;
use crate::poll::Poll;
use crate::wire::{
    self, Announce, Body, CatchUpAccept, Coded, CodedPrefix, CookieChallenge, Discard, End, Header,
    Heartbeat, Kind, List, NO_RECORD, Ncf, Need, Packet, Range, Refused, RefusedReason, Report,
    StreamMode,
};
use crate::{
    ByteCount, Delivery, ReceiverConfig, Seq, SeqRange, SessionId, StreamId, SubscriberId,
    Timestamp,
};

const START: Timestamp = Timestamp(1_000_000_000);
const SESSION: SessionId = SessionId(77);
const STREAM: StreamId = StreamId(3);
const WHO: SubscriberId = SubscriberId(5);
/// The window holds this many packets of [`CODED_LEN`].
const WINDOW: u64 = 2_000;
const CODED_LEN: u16 = 152;
/// The way from the sender takes this long.
const WAY: Duration = Duration::from_millis(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn range(first: u64, end: u64) -> SeqRange {
    SeqRange::new(Seq(first), Seq(end))
}

fn source() -> SocketAddr {
    "10.0.0.1:5000".parse().unwrap()
}

fn other_host() -> SocketAddr {
    "10.0.0.2:5000".parse().unwrap()
}

fn config() -> ReceiverConfig {
    ReceiverConfig {
        subscriber: WHO,
        first_number: 0,
        name: "r".parse().unwrap(),
        stream: None,
        start: Start::Oldest,
        delivery: None,
        window: ByteCount(WINDOW * 200),
        socket_buffer: ByteCount(1 << 20),
        mute: false,
        max_tries: 5,
        silent_after: Duration::from_secs(3),
        keys: None,
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: 0,
        max_clock_skew: Duration::from_secs(60),
        seed: [3; 32],
    }
}

fn announce() -> Announce {
    Announce {
        started_us: 100,
        name: "test".parse().unwrap(),
        mode: StreamMode::Bytes,
        deadline_ms: 0,
        coded_len: CODED_LEN,
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

/// A receiver, its time, and all it said, handed out and told.
struct Bench {
    receiver: Receiver,
    now: Timestamp,
    session: SessionId,
    from: SocketAddr,
    number: u64,
    said: Vec<(Timestamp, SocketAddr, Body)>,
    out: Vec<Delivered>,
    events: Vec<Event>,
    given: u64,
    stuck: bool,
}

impl Bench {
    /// Nothing was heard yet.
    fn idle(special: impl FnOnce(&mut ReceiverConfig)) -> Self {
        let mut config = config();
        special(&mut config);
        Self {
            receiver: Receiver::new(config, START),
            now: START,
            session: SESSION,
            from: source(),
            number: 0,
            said: Vec::new(),
            out: Vec::new(),
            events: Vec::new(),
            given: 0,
            stuck: false,
        }
    }

    /// A session was adopted that has not begun.
    fn new() -> Self {
        Self::joined(|_| {}, |_| {})
    }

    fn joined(special: impl FnOnce(&mut ReceiverConfig), said: impl FnOnce(&mut Announce)) -> Self {
        let mut bench = Self::idle(special);
        let mut announce = announce();
        said(&mut announce);
        bench.hear(Body::Announce(announce));
        bench
    }

    /// The same, and the publisher knows it.
    fn known(said: impl FnOnce(&mut Announce)) -> Self {
        let mut bench = Self::joined(|_| {}, said);
        bench.prove();
        bench
    }

    /// A known one that asks so often before it gives up.
    fn known_to_ask(max_tries: u32) -> Self {
        let mut bench = Self::joined(|config| config.max_tries = max_tries, |_| {});
        bench.prove();
        bench
    }

    fn prove(&mut self) {
        self.run(millis(6));
        let challenge = CookieChallenge { subscriber: WHO, cookie: 1 };
        self.hear_via(Via::Feedback, Body::CookieChallenge(challenge));
        self.run(millis(1));
        self.said.clear();
    }

    fn packet(&mut self, body: Body, via: Via) -> Packet {
        let number = match via {
            Via::Group => self.number,
            Via::Feedback => 1 << 63,
        };
        self.number += u64::from(via == Via::Group);
        let header = Header {
            kind: body.kind(),
            flags: 0,
            key_epoch: 0,
            stream: STREAM,
            session: self.session,
            number,
            sent_at: self.now.before(WAY).to_wire(),
        };
        Packet { header, body }
    }

    fn hear(&mut self, body: Body) {
        self.hear_via(Via::Group, body);
    }

    fn hear_via(&mut self, via: Via, body: Body) {
        let packet = self.packet(body, via);
        self.take(&packet, via);
    }

    fn take(&mut self, packet: &Packet, via: Via) {
        self.given += 1;
        self.receiver.handle_packet(packet, via, self.from, self.now);
        self.settle();
    }

    /// Takes what it has to say, to hand out and to tell.
    fn settle(&mut self) {
        while !self.stuck {
            let Some(delivered) = self.receiver.pull(self.now) else { break };
            self.out.push(delivered);
        }
        while let Some((to, packet)) = self.receiver.poll_packet(self.now) {
            self.said.push((self.now, to, packet.body));
        }
        while let Some(event) = self.receiver.poll_event() {
            self.events.push(event);
        }
    }

    /// Lets time pass, and does what is due on the way.
    fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        let mut rounds = 0;
        while let Some((due, timer)) = self.receiver.poll_timeout().filter(|(due, _)| *due <= end) {
            // To hand something out may open the credit, which is reported at once: two rounds.
            rounds = if due > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 4, "{timer:?} for ever");
            self.now = self.now.max(due);
            self.receiver.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn data(&mut self, seq: u64) {
        self.hear(Body::Data(coded(seq, self.now)));
    }

    /// A packet of a block that is closed: it has 8 of them.
    fn closed(&mut self, seq: u64) {
        self.hear(Body::Data(Coded { k: 8, ..coded(seq, self.now) }));
    }

    /// A repair of what was first sent `ago`.
    fn repair(&mut self, seq: u64, ago: Duration, via: Via) {
        self.hear_via(via, Body::Repair(coded(seq, self.now.before(ago))));
    }

    fn heartbeat(&mut self, trail: u64, lead: u64) {
        self.hear(Body::Heartbeat(heartbeat(trail, lead)));
    }

    fn end(&mut self, lead: u64) {
        self.hear(Body::End(End { lead: Seq(lead), bytes: 9, sha256: None, aborted: false }));
    }

    /// Seqs of the payloads handed out so far.
    fn delivered(&self) -> Vec<u64> {
        let payloads = self.out.iter().filter_map(|delivered| {
            if let Delivered::Payload(payload) = delivered { Some(payload.range) } else { None }
        });
        payloads.flat_map(|range| range.iter()).map(|seq| seq.0).collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        let gaps = self.out.iter().filter_map(|delivered| {
            if let Delivered::Gap(gap) = delivered { Some(*gap) } else { None }
        });
        gaps.collect()
    }

    fn ending(&self) -> Option<Ending> {
        self.out.iter().find_map(|delivered| {
            if let Delivered::End(ending) = delivered { Some(*ending) } else { None }
        })
    }

    /// What was asked for, NAK by NAK, with the time since the start.
    fn naks(&self) -> Vec<(Duration, Vec<SeqRange>)> {
        let naks = self.said.iter().filter_map(|(at, _, body)| {
            if let Body::Nak(nak) = body {
                let ranges = nak.ranges.iter().map(|range| range.to_seqs()).collect();
                Some((at.since(START), ranges))
            } else {
                None
            }
        });
        naks.collect()
    }

    fn asked(&self) -> Vec<Vec<SeqRange>> {
        self.naks().into_iter().map(|(_, ranges)| ranges).collect()
    }

    /// What was asked for by count, of all NAKs.
    fn needs(&self) -> Vec<Need> {
        let naks = self.said.iter().filter_map(|(_, _, body)| {
            if let Body::Nak(nak) = body { Some(nak.needs.iter().copied()) } else { None }
        });
        naks.flatten().collect()
    }

    fn reports(&self) -> Vec<&Report> {
        let reports = self.said.iter().filter_map(|(_, _, body)| {
            if let Body::Report(report) = body { Some(report) } else { None }
        });
        reports.collect()
    }

    fn count(&self, kind: Kind) -> usize {
        self.said.iter().filter(|(_, _, body)| body.kind() == kind).count()
    }

    fn discarded(&self, reason: Discard) -> u64 {
        self.receiver.stats().discarded.get(reason)
    }

    /// No datagram and no packet is counted twice or not at all.
    fn adds_up(&self) {
        let stats = self.receiver.stats();
        assert_eq!(stats.received.total().datagrams + stats.discarded.total(), self.given);
        let coded =
            stats.received.get(Kind::Data).datagrams + stats.received.get(Kind::Repair).datagrams;
        assert_eq!(coded, stats.packets_placed + stats.packets_duplicate);
        let held = self.receiver.status().held;
        let here = stats.packets_placed + stats.packets_recovered;
        let refused = stats.packets_forged + stats.packets_unverified;
        assert_eq!(here, stats.packets_delivered + stats.packets_abandoned + refused + held);
    }
}

fn heartbeat(trail: u64, lead: u64) -> Heartbeat {
    Heartbeat {
        trail: Seq(trail),
        lead: Seq(lead),
        last_block: Seq(0),
        last_k: 0,
        next_ms: 10,
        grtt_us: 10_000,
        group_size: 0,
        poll: Poll::default(),
    }
}

fn coded(seq: u64, first_sent: Timestamp) -> Coded {
    message(seq, first_sent, &[seq.to_be_bytes()[7]; 10], 0, 0)
}

fn message(seq: u64, first_sent: Timestamp, payload: &[u8], flags: u8, first_record: u16) -> Coded {
    let mut body = Vec::new();
    let prefix = CodedPrefix {
        len: u16::try_from(payload.len()).unwrap(),
        flags,
        first_record,
        first_sent: first_sent.before(WAY).to_wire(),
    };
    prefix.write(&mut body);
    body.extend_from_slice(payload);
    let index = u8::try_from(seq % 8).unwrap();
    Coded { block: Seq(seq / 8 * 8).low(), index, k: 0, depth_log2: 0, body: Bytes::from(body) }
}

fn need(block: u64, count: u8) -> Need {
    Need { block: Seq(block), count }
}

fn ncf(ranges: &[SeqRange]) -> Body {
    let ranges = List::truncated(ranges.iter().copied().map(Range::from_seqs));
    Body::Ncf(Ncf { ranges, needs: List::new() })
}

fn refused(reason: RefusedReason, trail: u64, ranges: &[SeqRange]) -> Body {
    let ranges = List::truncated(ranges.iter().copied().map(Range::from_seqs));
    Body::Refused(Refused { reason, trail: Seq(trail), ranges })
}

fn accept(from: u64, to: u64, trail: u64) -> Body {
    let (from, to, trail) = (Seq(from), Seq(to), Seq(trail));
    Body::CatchUpAccept(CatchUpAccept { subscriber: WHO, from, to, trail })
}
