//! From a sender to its sockets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use host::clock::Clock;
use proto::sender::{Destination, Transmit};
use proto::wire::Name;
use proto::{Delivery, Sender, Timestamp};

use super::By;
use super::targets::Targets;
use crate::config::StreamConfig;
use crate::publisher::links::Links;
use crate::snapshot::{Egress, Mode, To};
use crate::socket::{Failure, Sent, Socket};
use crate::tcp::{framed, is_link};

/// One way out of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::publisher) struct Way {
    /// The place of the socket; of TCP, of the listener.
    pub(in crate::publisher) socket: usize,
    /// Where datagrams for the group go.
    pub(in crate::publisher) destination: SocketAddr,
    /// What metrics call it.
    pub(in crate::publisher) mode: Mode,
}

/// What is on its way out.
pub(super) struct Outgoing {
    name: Name,
    ways: Vec<Way>,
    /// Where what is for everyone goes: the groups, then each who asked for it by unicast.
    targets: Targets,
    datagram_len: usize,
    is_timely: bool,
    /// By which socket each subscriber speaks; kept only where it could be more than one.
    heard_by: HashMap<SocketAddr, usize>,
    bytes: Vec<u8>,
    /// The same as frames, once a connection wants them.
    framed: Option<Bytes>,
    stuck: Option<Stuck>,
    egress: Egress,
    unreachable_since: Option<Timestamp>,
    /// The same in words.
    unreachable: String,
    failure: Option<String>,
}

/// A burst that has not left by every way yet.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    transmit: Transmit,
    ways_done: usize,
    bytes_done: usize,
    until: Until,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There was nothing to send, or it could not be sent.
    Nothing,
    /// All that the sender had.
    All,
    /// Some: there may be more.
    Some,
}

/// What a burst waits for.
#[derive(Clone, Copy, Debug)]
enum Until {
    /// Nothing.
    Now,
    /// The socket has room: the poller tells.
    Room,
    /// This time.
    Time(Timestamp),
}

impl Outgoing {
    pub(super) fn new(config: &StreamConfig, ways: Vec<Way>) -> Self {
        Self {
            name: config.name.clone(),
            targets: Targets::new(&ways),
            ways,
            datagram_len: usize::from(config.datagram_len),
            is_timely: matches!(config.delivery, Delivery::Timely(_)),
            heard_by: HashMap::new(),
            bytes: Vec::new(),
            framed: None,
            stuck: None,
            egress: Egress::default(),
            unreachable_since: None,
            unreachable: String::new(),
            failure: None,
        }
    }

    /// Sends a few bursts; says what left.
    pub(super) fn turn(
        &mut self,
        sender: &mut Sender,
        sockets: &mut [Socket],
        links: &mut Links,
        (clock, now): (&Clock, Timestamp),
    ) -> Left {
        let segments = self.segments(sockets);
        let mut left = Left::Nothing;
        let mut now = now;
        if !self.finish(sockets, links, now) {
            return left;
        }
        for _ in 0..BURSTS_PER_TURN {
            self.bytes.clear();
            let Some(transmit) = sender.poll_transmit(now, segments, &mut self.bytes) else {
                return if left == Left::Some { Left::All } else { left };
            };
            self.take(transmit, sender);
            left = Left::Some;
            if !self.finish(sockets, links, now) {
                return left;
            }
            now = clock.now();
        }
        left
    }

    /// Sends a message as a datagram of its own, if nothing goes before it; says whether it was taken.
    pub(super) fn send_alone(
        &mut self,
        message: &[u8],
        sender: &mut Sender,
        (sockets, links): (&mut [Socket], &mut Links),
        now: Timestamp,
    ) -> bool {
        let Some(alone) = sender.write_alone(message, now, &mut self.bytes) else { return false };
        self.take(alone.transmit, sender);
        self.finish(sockets, links, now);
        sender.on_left_alone(alone, &self.bytes);
        true
    }

    /// Takes a burst that was written.
    fn take(&mut self, transmit: Transmit, sender: &Sender) {
        self.framed = None;
        self.targets.follow(sender.members(), &self.ways, &self.heard_by);
        self.stuck = Some(Stuck { transmit, ways_done: 0, bytes_done: 0, until: Until::Now });
    }

    pub(super) fn on_heard(&mut self, from: SocketAddr, by: By) {
        let By::Socket(socket) = by else { return };
        if self.ways.len() > 1 && self.heard_by.len() < MOST_HEARD {
            self.heard_by.insert(from, socket);
        }
    }

    /// The ways that it goes, each once.
    pub(super) fn modes(&self) -> Vec<Mode> {
        let mut modes: Vec<Mode> = self.ways.iter().map(|way| way.mode).collect();
        modes.sort_unstable();
        modes.dedup();
        modes
    }

    /// Whether subscribers may ask for it by unicast there.
    pub(super) fn listens_at(&self, by: By) -> bool {
        let (mode, place) = match by {
            By::Socket(place) => (Mode::Unicast, place),
            By::Listener(place) => (Mode::Tcp, place),
        };
        self.ways.iter().any(|way| way.mode == mode && way.socket == place)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// When a burst that is stuck is tried again.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        self.stuck.map(|stuck| match stuck.until {
            Until::Now => Timestamp::ZERO,
            Until::Room => Timestamp::NEVER,
            Until::Time(at) => at,
        })
    }

    /// Since when nothing could be sent.
    pub(super) fn unreachable_since(&self) -> Option<Timestamp> {
        self.unreachable_since
    }

    /// Nothing could be sent, and nobody waits for it any longer.
    pub(super) fn give_up(&mut self) {
        self.failure = Some(std::mem::take(&mut self.unreachable));
        self.stuck = None;
    }

    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// What makes it useless to go on.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn segments(&self, sockets: &[Socket]) -> usize {
        let by_udp = self.ways.iter().filter(|way| way.mode != Mode::Tcp);
        let sockets = by_udp.filter_map(|way| sockets.get(way.socket));
        let segments = sockets.map(|socket| socket.segments(self.datagram_len)).min();
        segments.unwrap_or(FRAMES_IN_ONE)
    }

    /// Sends what is left of the burst; says whether nothing is.
    fn finish(&mut self, sockets: &mut [Socket], links: &mut Links, now: Timestamp) -> bool {
        let Some(mut stuck) = self.stuck.take() else {
            return true;
        };
        if !stuck.until.has_come(now) {
            self.stuck = Some(stuck);
            return false;
        }
        let ways = match stuck.transmit.destination {
            Destination::Group => self.targets.len(),
            Destination::Unicast(_) => 1,
        };
        while stuck.ways_done < ways {
            if let Err(until) = self.send(&mut stuck, sockets, links, now) {
                self.stuck = Some(Stuck { until, ..stuck });
                return false;
            }
            stuck.ways_done += 1;
            stuck.bytes_done = 0;
        }
        true
    }

    /// Sends by the next way; an error says what this way waits for.
    fn send(
        &mut self,
        stuck: &mut Stuck,
        sockets: &mut [Socket],
        links: &mut Links,
        now: Timestamp,
    ) -> Result<(), Until> {
        let Transmit { destination, segment_len, .. } = stuck.transmit;
        let (way, to) = match destination {
            Destination::Group => (self.targets.get(stuck.ways_done), To::Group),
            Destination::Unicast(address) => (self.way_to(address, sockets), To::Subscriber),
        };
        let Some(way) = way else { return Ok(()) };
        if way.mode == Mode::Tcp {
            self.send_framed(stuck.transmit, (way.destination, to), links);
            return Ok(());
        }
        let Some(socket) = sockets.get_mut(way.socket) else {
            return Ok(());
        };
        if socket.is_blocked {
            return Err(Until::Room);
        }
        let segment_len = segment_len.max(1);
        let bytes = self.bytes.get(stuck.bytes_done..).unwrap_or_default();
        let sent = socket.send(way.destination, bytes, segment_len);
        let all = bytes.len().div_ceil(segment_len);
        let done = match sent {
            Sent::All => all,
            Sent::Blocked(done) | Sent::Failed(done, _) => done,
        };
        let done_len = bytes.len().min(done * segment_len);
        let overhead = usize::from(socket.outlet().overhead_len());
        let first = stuck.bytes_done / segment_len;
        self.count((way.mode, to), stuck.transmit, (first, done), (done_len, overhead));
        stuck.bytes_done += done_len;
        match sent {
            Sent::All => {
                self.on_reachable();
                Ok(())
            }
            Sent::Blocked(_) => {
                socket.is_blocked = true;
                Err(Until::Room)
            }
            Sent::Failed(_, failure) => {
                self.egress.lost(failure, (all - done) as u64);
                // One host that cannot be reached is no reason to keep the others waiting.
                if !(way.mode.is_shared() && to == To::Group) && failure != Failure::TooLong {
                    return Ok(());
                }
                let (interface, why) = (socket.outlet().interface.clone(), socket.last_error());
                self.on_failure(failure, &interface, why, now)
            }
        }
    }

    /// Queues the burst for a connection, which never waits.
    fn send_framed(&mut self, transmit: Transmit, (link, to): (SocketAddr, To), links: &mut Links) {
        let bytes = &self.bytes;
        let frames = self.framed.get_or_insert_with(|| framed(bytes, transmit.segment_len));
        let (datagrams, len) = (transmit.datagrams, bytes.len());
        let overhead = (frames.len() - len) / datagrams.max(1);
        links.send(link, frames);
        self.count((Mode::Tcp, to), transmit, (0, datagrams), (len, overhead));
    }

    /// Counts `datagrams` of a burst from the one at `first` on, by what they are: `len` bytes, and as
    /// much around each.
    fn count(
        &mut self,
        (mode, to): (Mode, To),
        transmit: Transmit,
        (first, datagrams): (usize, usize),
        (len, overhead): (usize, usize),
    ) {
        let mut left = len;
        for (kind, datagrams) in transmit.kinds(first, datagrams) {
            // Only the last of a burst may be shorter.
            let len = left.min(datagrams * transmit.segment_len.max(1));
            left -= len;
            let wire = (len + datagrams * overhead) as u64;
            self.egress.add((mode, to, kind), datagrams as u64, wire);
        }
    }

    /// The way to a subscriber: the socket that it speaks to, else one of its family.
    fn way_to(&self, address: SocketAddr, sockets: &[Socket]) -> Option<Way> {
        if is_link(&address) {
            let tcp = self.ways.iter().find(|way| way.mode == Mode::Tcp);
            return tcp.map(|way| Way { destination: address, ..*way });
        }
        let heard_by = self.heard_by.get(&address);
        let fits = |way: &&Way| match heard_by {
            Some(place) => way.socket == *place,
            None => sockets
                .get(way.socket)
                .is_some_and(|socket| socket.outlet().address.is_ipv4() == address.is_ipv4()),
        };
        let mut by_udp = self.ways.iter().filter(|way| way.mode != Mode::Tcp);
        by_udp.find(fits).map(|way| Way { destination: address, ..*way })
    }

    /// An error says that the burst is to be kept, and for how long.
    fn on_failure(
        &mut self,
        failure: Failure,
        interface: &str,
        why: String,
        now: Timestamp,
    ) -> Result<(), Until> {
        match failure {
            Failure::TooLong => {
                let len = self.datagram_len;
                self.failure.get_or_insert_with(|| {
                    format!("{interface} takes no datagram of {len} bytes: give a smaller --mtu")
                });
                Ok(())
            }
            Failure::Unreachable => {
                if self.unreachable_since.is_none() {
                    self.unreachable_since = Some(now);
                    let stream = self.name.as_str();
                    tracing::warn!(stream, interface, why, "nothing can be sent: trying on");
                }
                self.unreachable = format!("nothing can be sent by {interface}: {why}");
                // What must arrive waits for the interface; what must be on time does not.
                if self.is_timely { Ok(()) } else { Err(Until::Time(now.after(RETRY))) }
            }
            Failure::NoBuffers | Failure::Refused => Ok(()),
        }
    }

    fn on_reachable(&mut self) {
        if self.unreachable_since.take().is_some() {
            tracing::info!(stream = self.name.as_str(), "sending again");
        }
    }
}

impl Until {
    fn has_come(self, now: Timestamp) -> bool {
        match self {
            // Whether there is room the socket itself knows.
            Self::Now | Self::Room => true,
            Self::Time(at) => at <= now,
        }
    }
}

/// Datagrams that a connection is given at once.
const FRAMES_IN_ONE: usize = 44;

/// What one stream may send before the others have their turn.
const BURSTS_PER_TURN: usize = 4;

/// How often an interface that is down is tried.
const RETRY: Duration = Duration::from_millis(100);

/// As many as a sender knows.
const MOST_HEARD: usize = 10_000;
