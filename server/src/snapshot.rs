//! What the data thread lets others see: copies, made ten times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::endpoint::Endpoint;
use proto::sender::{Audience, BreakerState, Lateness, SenderStats, Subscriber};
use proto::wire::{EvictReason, Kind, Losses, Name, Report, ReportState};
use proto::{Bitrate, SessionId};

use crate::input::InputCounters;
use crate::socket::Failure;

/// What all streams of a publisher do at a moment.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    streams: Arc<Mutex<Vec<StreamSnapshot>>>,
    /// How often they were copied: a data thread that does not is stuck.
    copies: Arc<AtomicU64>,
}

/// What one stream does at a moment.
#[derive(Clone, Debug)]
pub struct StreamSnapshot {
    /// What subscribers call it.
    pub name: Name,
    /// The session.
    pub session: SessionId,
    /// What its sender counted.
    pub stats: SenderStats,
    /// How late bursts left that the rate held back.
    pub lateness: Lateness,
    /// What its sockets took.
    pub egress: Egress,
    /// Segments of TCP that its connections sent, and their bytes on the wire.
    pub tcp: Count,
    /// Subscribers that listen.
    pub audience: u64,
    /// Those of them that are known by name: all of a few, a share of many.
    pub registered: u64,
    /// The share of packets that they lose, at [`LOSS_QUANTILES`].
    pub loss: [f64; LOSS_QUANTILES.len()],
    /// Of those, the ones that are sent a copy each: by UDP, and by TCP.
    pub members: (u64, u64),
    /// The ways that it goes, each once.
    pub modes: Vec<Mode>,
    /// The interfaces that it leaves by.
    pub interfaces: Arc<[String]>,
    /// Subscribers that the first byte waits for, if a number was given.
    pub wants: Option<u32>,
    /// Group round-trip time.
    pub grtt: Duration,
    /// Packets that can be repaired.
    pub window_packets: u64,
    /// Blocks that are interleaved.
    pub interleave_depth: u32,
    /// The rate that the pacer keeps; none: as fast as the audience takes it.
    pub pace: Option<Bitrate>,
    /// What the circuit breaker does.
    pub breaker: BreakerState,
    /// The wait for the first subscriber is over.
    pub is_started: bool,
    /// Everything that will be sent was sent.
    pub is_finished: bool,
    /// What its input counted.
    pub input: Arc<InputCounters>,
    /// The length of its input, where it is known.
    pub input_len: Option<u64>,
    /// How its subscribers fare.
    pub fare: Fare,
    /// When this was so, in microseconds since 1970.
    pub at_us: u64,
}

/// How the subscribers of a stream fare, as they report it: those that left included.
#[derive(Clone, Debug, Default)]
pub struct Fare {
    /// Packets they did not get, by cause.
    pub losses: Losses,
    /// Packets they got back, by repair or from parity.
    pub mended: u64,
    /// Packets they gave up.
    pub given_up: u64,
    /// One row each while they are few, those that listen first.
    pub rows: Vec<SubscriberRow>,
    /// Those that no row is shown of.
    pub hidden: u64,
}

/// What sockets took of a stream, and what they did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    sent: [[[Count; KINDS]; To::ALL.len()]; Mode::ALL.len()],
    /// Datagrams that were not sent, by [`Failure`].
    failed: [u64; Failure::ALL.len()],
}

/// Datagrams and their bytes on the wire: Ethernet, IP and UDP headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { datagrams: self.datagrams + other.datagrams, bytes: self.bytes + other.bytes }
    }
}

/// A way of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// To a multicast group.
    Multicast,
    /// To every host of a link.
    Broadcast,
    /// By UDP, to each subscriber that asked for it so.
    Unicast,
    /// By TCP, to each subscriber that connected.
    Tcp,
}

/// Who a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Everyone.
    Group,
    /// One subscriber: catch-up and answers.
    Subscriber,
}

/// How one subscriber fared.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SubscriberRow {
    /// What a person calls it.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it said that it has everything.
    pub complete: bool,
    /// Whether it was still heard at the end.
    pub present: bool,
    /// Why it was let go, if it was and did not come back.
    pub evicted: Option<&'static str>,
    /// Packets it received.
    pub received: u64,
    /// Packets it got back by repair.
    pub repaired: u64,
    /// Packets it got back from parity.
    pub recovered: u64,
    /// Packets it gave up.
    pub lost: u64,
    /// Datagrams that the network lost on the way to it.
    pub wire_losses: u64,
    /// Datagrams that its kernel had no room for.
    pub kernel_losses: u64,
}

impl Shared {
    /// The newest snapshot of each stream.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamSnapshot> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether every stream flows.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        !streams.is_empty() && streams.iter().all(|stream| stream.is_started)
    }

    pub(crate) fn copies(&self) -> u64 {
        self.copies.load(Ordering::Relaxed)
    }

    pub(crate) fn publish(&self, streams: Vec<StreamSnapshot>) {
        self.copies.fetch_add(1, Ordering::Relaxed);
        *self.streams.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }
}

impl StreamSnapshot {
    /// How many subscribers are reached by each of its ways.
    pub fn audience_by_way(&self) -> impl Iterator<Item = (Mode, u64)> + '_ {
        let (by_udp, by_tcp) = self.members;
        let others = self.audience.saturating_sub(by_udp + by_tcp);
        self.modes.iter().map(move |mode| match mode {
            Mode::Unicast => (*mode, by_udp),
            Mode::Tcp => (*mode, by_tcp),
            Mode::Multicast | Mode::Broadcast => (*mode, others),
        })
    }

    /// All that it put on the wire: what its sockets took, and of TCP what the kernel counted.
    #[must_use]
    pub fn on_wire(&self) -> Count {
        let ways = Mode::ALL.into_iter().filter(|mode| *mode != Mode::Tcp);
        ways.fold(self.tcp, |sum, mode| sum.plus(self.egress.of(mode)))
    }
}

impl Egress {
    /// What was sent: way, for whom, kind, how much.
    pub fn sent_by_kind(&self) -> impl Iterator<Item = (Mode, To, Kind, Count)> + '_ {
        Mode::ALL.into_iter().zip(&self.sent).flat_map(|(mode, tos)| {
            To::ALL.into_iter().zip(tos).flat_map(move |(to, kinds)| {
                Kind::ALL.into_iter().filter_map(move |kind| {
                    kinds.get(usize::from(kind.number())).map(|count| (mode, to, kind, *count))
                })
            })
        })
    }

    /// All that was sent.
    #[must_use]
    pub fn total(&self) -> Count {
        self.sum(|_| true)
    }

    /// All that was sent one way.
    #[must_use]
    pub fn of(&self, wanted: Mode) -> Count {
        let counts = self.sent_by_kind().filter(|(mode, ..)| *mode == wanted);
        counts.fold(Count::default(), |sum, (.., count)| sum.plus(count))
    }

    /// All that was sent of some kinds.
    pub fn sum(&self, wanted: impl Fn(Kind) -> bool) -> Count {
        let counts = self.sent_by_kind().filter(|(_, _, kind, _)| wanted(*kind));
        counts.fold(Count::default(), |sum, (.., count)| sum.plus(count))
    }

    /// Datagrams that were not sent, by the name of the reason.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Failure::ALL.into_iter().zip(self.failed).map(|(failure, count)| (failure.name(), count))
    }

    pub(crate) fn add(&mut self, (mode, to, kind): (Mode, To, Kind), datagrams: u64, bytes: u64) {
        let tos = self.sent.get_mut(mode as usize);
        let kinds = tos.and_then(|tos| tos.get_mut(to as usize));
        if let Some(count) = kinds.and_then(|kinds| kinds.get_mut(usize::from(kind.number()))) {
            count.datagrams += datagrams;
            count.bytes += bytes;
        }
    }

    pub(crate) fn lost(&mut self, failure: Failure, datagrams: u64) {
        if let Some(count) = self.failed.get_mut(failure as usize) {
            *count += datagrams;
        }
    }
}

impl Mode {
    /// Every way, in the order of its number.
    pub const ALL: [Self; 4] = [Self::Multicast, Self::Broadcast, Self::Unicast, Self::Tcp];

    /// That of an endpoint.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Multicast(_) => Self::Multicast,
            Endpoint::Broadcast(_) => Self::Broadcast,
            Endpoint::Unicast { .. } => Self::Unicast,
            Endpoint::Tcp { .. } => Self::Tcp,
        }
    }

    /// Whether one datagram is for everyone, however many there are.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Multicast | Self::Broadcast)
    }

    /// As metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Unicast => "unicast",
            Self::Tcp => "tcp",
        }
    }
}

impl To {
    /// Both, in the order of their number.
    pub const ALL: [Self; 2] = [Self::Group, Self::Subscriber];

    /// As metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Subscriber => "subscriber",
        }
    }
}

impl Fare {
    /// Of everyone that was ever heard.
    #[must_use]
    pub fn of(audience: &Audience) -> Self {
        let mut fare = Self::default();
        for report in audience.rows().filter_map(Subscriber::report) {
            fare.add(report);
        }
        let here = audience.rows().filter(|row| row.is_present());
        let gone = audience.rows().filter(|row| !row.is_present());
        fare.rows = here.chain(gone).take(ROWS_SHOWN).map(SubscriberRow::from).collect();
        fare.hidden = (audience.rows().count() - fare.rows.len()) as u64;
        fare
    }

    /// Counters that never fall, though the table forgets who left long ago.
    #[must_use]
    pub fn at_least(mut self, before: &Self) -> Self {
        let (now, then) = (&mut self.losses, &before.losses);
        now.wire = now.wire.max(then.wire);
        now.kernel = now.kernel.max(then.kernel);
        now.ring = now.ring.max(then.ring);
        now.late = now.late.max(then.late);
        now.unauthentic = now.unauthentic.max(then.unauthentic);
        self.mended = self.mended.max(before.mended);
        self.given_up = self.given_up.max(before.given_up);
        self
    }

    /// Losses by the name of their cause.
    pub fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let Losses { wire, kernel, ring, late, unauthentic } = self.losses;
        let unauthentic = ("unauthentic", unauthentic);
        [("wire", wire), ("kernel", kernel), ("ring", ring), ("late", late), unauthentic]
            .into_iter()
    }

    /// What anyone reports has no bound.
    fn add(&mut self, report: &Report) {
        let (sum, more) = (&mut self.losses, &report.losses);
        for (sum, more) in [
            (&mut sum.wire, more.wire),
            (&mut sum.kernel, more.kernel),
            (&mut sum.ring, more.ring),
            (&mut sum.late, more.late),
            (&mut sum.unauthentic, more.unauthentic),
            (&mut self.mended, report.repaired.saturating_add(report.recovered)),
            (&mut self.given_up, report.given_up),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl From<&Subscriber> for SubscriberRow {
    fn from(row: &Subscriber) -> Self {
        let report = row.report();
        let of = |count: fn(&Report) -> u64| report.map_or(0, count);
        Self {
            name: row.name().to_string(),
            id: row.id().to_string(),
            complete: report.is_some_and(|report| report.state == ReportState::Complete),
            present: row.is_present(),
            evicted: row.evicted().map(EvictReason::name),
            received: of(|report| report.received),
            repaired: of(|report| report.repaired),
            recovered: of(|report| report.recovered),
            lost: of(|report| report.given_up),
            wire_losses: of(|report| report.losses.wire),
            kernel_losses: of(|report| report.losses.kernel),
        }
    }
}

/// More rows than this no page shows at once, and copying them would cost the data thread.
const ROWS_SHOWN: usize = 64;

/// Kinds count from one.
const KINDS: usize = Kind::ALL.len() + 1;

/// Of all subscribers, which shares lose less than is told.
pub const LOSS_QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
