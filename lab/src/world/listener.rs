//! One receiver, and what it was handed.

use std::net::SocketAddr;
use std::time::Duration;

use proto::receiver::{Delivered, Ending, Event, Gap, Payload, SessionInfo};
use proto::{Receiver, ReceiverConfig, Seq, Timestamp};

use super::link::LinkState;
use super::parcel::Parcel;
use super::supply::Supply;

/// A receiver with its link and its output.
#[derive(Debug)]
pub struct Listener {
    pub(super) receiver: Receiver,
    pub(super) link: LinkState,
    pub(super) address: SocketAddr,
    /// What its clock gains in a second, in millionths.
    ppm: i64,
    /// What its timer is set to.
    pub(super) armed: Option<Timestamp>,
    /// Whether its output takes nothing.
    pub(super) stuck: bool,
    /// Packets it has sent.
    pub(super) sent: u64,
    /// Datagrams that reached it.
    pub(super) given: u64,
    /// The packet that is to be handed out next.
    next: Seq,
    /// Bytes of the source it was handed in the present session.
    delivered: usize,
    /// The first thing that was handed out and should not have been.
    fault: Option<String>,
    ending: Option<Ending>,
    sessions: Vec<SessionInfo>,
    gaps: Vec<Gap>,
    delays: Vec<Duration>,
    events: Vec<Event>,
}

impl Listener {
    pub(super) fn new(
        config: ReceiverConfig,
        link: LinkState,
        address: SocketAddr,
        ppm: i64,
        now: Timestamp,
    ) -> Self {
        Self {
            receiver: Receiver::new(config, by_its_clock(ppm, now)),
            link,
            address,
            ppm,
            armed: None,
            stuck: false,
            sent: 0,
            given: 0,
            next: Seq::ZERO,
            delivered: 0,
            fault: None,
            ending: None,
            sessions: Vec::new(),
            gaps: Vec::new(),
            delays: Vec::new(),
            events: Vec::new(),
        }
    }

    /// What its clock shows.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        by_its_clock(self.ppm, now)
    }

    /// When its timer fires, if it does.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let (due, _) = self.receiver.poll_timeout()?;
        let wrong = i128::from(due.0) * i128::from(self.ppm) / i128::from(MILLION + self.ppm);
        let at = i128::from(due.0) - wrong;
        // The division cuts off: a timer does not fire before its clock says so.
        Some(Timestamp(u64::try_from(at).unwrap_or(0).saturating_add(u64::from(self.ppm != 0))))
    }

    /// Takes what there is, and checks it: each packet once, in order, as it was sent.
    pub(super) fn take_delivered(&mut self, source: &Supply, payload_len: usize, now: Timestamp) {
        let now = self.clock(now);
        while !self.stuck {
            match self.receiver.pull(now) {
                None => break,
                Some(Delivered::Session(info)) => self.begin(*info),
                Some(Delivered::Payload(payload)) => self.check(&payload, source, payload_len),
                Some(Delivered::Row(row)) => {
                    self.blame(format!("packets {} hold messages: none were sent", row.range));
                }
                Some(Delivered::Gap(gap)) => {
                    self.expect(gap.range.first, "a gap at");
                    self.next = gap.range.end;
                    self.gaps.push(gap);
                }
                Some(Delivered::End(ending)) => {
                    self.expect(ending.lead, "the end at");
                    self.ending = Some(ending);
                }
            }
        }
        while let Some(event) = self.receiver.poll_event() {
            self.events.push(event);
        }
    }

    /// The next thing it has to say.
    pub(super) fn says(&mut self, is_sealed: bool, now: Timestamp) -> Option<Parcel> {
        if !is_sealed {
            return self.receiver.poll_packet(now).map(|(_, packet)| Parcel::Open(packet));
        }
        let mut datagram = Vec::new();
        self.receiver.poll_transmit(now, &mut datagram)?;
        Parcel::of(&datagram)
    }

    /// Drops what grows with time: delays, events, sessions that are over.
    pub(super) fn forget(&mut self) {
        self.delays.clear();
        self.events.clear();
        let over = self.sessions.len().saturating_sub(1);
        self.sessions.drain(..over);
    }

    fn begin(&mut self, info: SessionInfo) {
        self.next = info.first;
        self.delivered = 0;
        self.ending = None;
        self.gaps.clear();
        self.sessions.push(info);
    }

    fn check(&mut self, payload: &Payload, source: &Supply, payload_len: usize) {
        self.expect(payload.range.first, "packet");
        self.next = payload.range.end;
        let start = usize::try_from(payload.range.first.0)
            .unwrap_or(usize::MAX)
            .saturating_mul(payload_len);
        let packets = usize::try_from(payload.range.len()).unwrap_or(usize::MAX);
        let end = start.saturating_add(packets.saturating_mul(payload_len)).min(source.bound());
        let is_whole = end.checked_sub(start) == Some(payload.bytes.len());
        if !is_whole || !source.has(start, &payload.bytes) {
            self.blame(format!("packet {} is not what was sent", payload.range.first));
        }
        self.delivered += payload.bytes.len();
        self.delays.extend(std::iter::repeat_n(payload.delay, packets));
    }

    fn expect(&mut self, seq: Seq, what: &str) {
        if seq != self.next || self.ending.is_some() {
            self.blame(format!("{what} {seq} where {} was next", self.next));
        }
    }

    fn blame(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Whether it was handed all of `source`, in order, nothing else, and the end.
    #[must_use]
    pub fn is_complete(&self, source: &[u8]) -> bool {
        let whole = self.gaps.is_empty() && self.delivered == source.len();
        self.ending.is_some() && self.fault.is_none() && whole
    }

    /// The state machine.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Bytes it was handed in the present session.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// What was handed out and should not have been, if anything was.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The end, if it was handed that.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Sessions it was handed.
    #[must_use]
    pub fn sessions(&self) -> &[SessionInfo] {
        &self.sessions
    }

    /// Packets it has sent, those that were lost too.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams that reached it, those of strangers too.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }

    /// What it was told will not come of the present session.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The delay of each payload since its first sending.
    #[must_use]
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// What it told.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

fn by_its_clock(ppm: i64, now: Timestamp) -> Timestamp {
    let shown = i128::from(now.0) * i128::from(MILLION + ppm) / i128::from(MILLION);
    Timestamp(u64::try_from(shown).unwrap_or(0))
}

const MILLION: i64 = 1_000_000;
