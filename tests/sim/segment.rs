//! One segment with a publisher, its listeners and somebody who records everything; datagrams are
//! really encoded and sealed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it is wrong"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proto::config::{Ahead, Flow, Interleave, Start};
use proto::receiver::{Delivered, Event, Gap, Via};
use proto::seal::{Cause, Key, Keyring};
use proto::sender::Destination;
use proto::sign::SigningKey;
use proto::wire::{Discard, Kind, StreamMode};
use proto::{
    ByteCount, Delivery, Receiver, ReceiverConfig, Sender, SenderConfig, SessionId, StreamId,
    SubscriberId, Timestamp,
};

/// No more time than this passes at once.
const STEP: Duration = Duration::from_micros(100);

/// The way takes this long.
const WAY: Duration = Duration::from_millis(1);
/// Unix time when it all begins, in microseconds.
const UNIX_US: u64 = 1_800_000_000_000_000;
pub(super) const DATAGRAM_LEN: u16 = 1_472;

pub(super) fn key(byte: u8) -> Option<Keyring> {
    Some(Keyring::of_group(Key::new([byte; 32])))
}

pub(super) fn sender(
    session: u64,
    keys: Option<Keyring>,
    special: impl FnOnce(&mut SenderConfig),
    now: Timestamp,
) -> Sender {
    let mut config = SenderConfig {
        stream: StreamId(1),
        session: SessionId(session),
        started_us: UNIX_US + now.0 / 1_000,
        name: "sealed".parse().unwrap(),
        mode: StreamMode::Bytes,
        delivery: Delivery::Reliable,
        datagram_len: DATAGRAM_LEN,
        overhead_len: 42,
        k: 16,
        ahead: Ahead::default(),
        interleave: Interleave::default(),
        rate: Some("100M".parse().unwrap()),
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: false,
        retain: ByteCount(64 << 20),
        retain_for: None,
        wait_for: 0,
        wait_at_most: Duration::from_secs(2),
        finish_timeout: Duration::from_secs(5),
        flow: Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys,
        sign: None,
        seed: [7; 32],
    };
    special(&mut config);
    Sender::new(config, now).unwrap()
}

pub(super) fn receiver(
    id: u8,
    keys: Option<Keyring>,
    special: impl FnOnce(&mut ReceiverConfig),
    now: Timestamp,
) -> Receiver {
    let mut config = ReceiverConfig {
        subscriber: SubscriberId(u128::from(id)),
        first_number: 0,
        name: format!("r{id}").parse().unwrap(),
        stream: None,
        start: Start::Oldest,
        delivery: None,
        window: ByteCount(32 << 20),
        socket_buffer: ByteCount(4 << 20),
        mute: false,
        max_tries: 30,
        silent_after: Duration::from_secs(3),
        keys,
        verify: None,
        max_auth_delay: Duration::from_secs(10),
        unix_us: UNIX_US + now.0 / 1_000,
        max_clock_skew: Duration::from_secs(60),
        seed: [id; 32],
    };
    special(&mut config);
    Receiver::new(config, now)
}

pub(super) fn publisher_at() -> SocketAddr {
    "10.0.0.1:5000".parse().unwrap()
}

pub(super) fn attacker_at() -> SocketAddr {
    "10.0.0.66:5000".parse().unwrap()
}

pub(super) fn address(listener: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, u8::try_from(listener).unwrap()], 6_000))
}

/// A receiver and all that came of it.
pub(super) struct Listener {
    pub(super) receiver: Receiver,
    pub(super) payload: Vec<u8>,
    pub(super) sessions: usize,
    pub(super) causes: Vec<Cause>,
    /// Epochs whose keys it wanted.
    pub(super) wanted: Vec<u8>,
    pub(super) is_over: bool,
    /// What was given up, in a segment where that may be.
    pub(super) lost: Vec<Gap>,
}

/// A datagram under way.
struct UnderWay {
    at: Timestamp,
    bytes: Vec<u8>,
    /// The place of the listener; `None`: to the publisher.
    to: Option<(usize, Via)>,
    from: SocketAddr,
}

/// Chooses datagrams by what they are.
type Loses = Box<dyn FnMut(&[u8]) -> bool>;

/// What somebody sends who has heard a datagram.
type Attacker = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>;

/// One segment: a publisher, its listeners, and somebody who records everything.
pub(super) struct Segment {
    pub(super) now: Timestamp,
    pub(super) sender: Option<Sender>,
    pub(super) listeners: Vec<Listener>,
    under_way: VecDeque<UnderWay>,
    pub(super) rng: fastrand::Rng,
    pub(super) loss: f64,
    /// Datagrams take up to so much longer than others, by chance.
    pub(super) jitter: Duration,
    /// Each datagram arrives so often.
    pub(super) copies: usize,
    /// What the publisher signs with.
    pub(super) sign: Option<SigningKey>,
    /// What more its sender is told.
    pub(super) special: fn(&mut SenderConfig),
    /// Whether a datagram for the group is lost to everybody.
    pub(super) loses: Loses,
    /// Overhears each datagram for the group, and is faster with its own.
    pub(super) attacker: Option<Attacker>,
    /// A kind of which nothing reaches a single listener.
    pub(super) loss_of_single: Option<Kind>,
    /// Whether listeners may have gaps.
    pub(super) may_lose: bool,
    /// Where what the attacker sends seems to come from.
    pub(super) attacker_as: SocketAddr,
    pub(super) to_group: Vec<Vec<u8>>,
    pub(super) to_single: Vec<Vec<u8>>,
    pub(super) said: Vec<Vec<u8>>,
}

impl Segment {
    pub(super) fn new(seed: u64, listeners: impl IntoIterator<Item = Receiver>) -> Self {
        let mut segment = Self {
            now: Timestamp(1_000_000_000),
            sender: None,
            listeners: Vec::new(),
            under_way: VecDeque::new(),
            rng: fastrand::Rng::with_seed(seed),
            loss: 0.0,
            jitter: Duration::ZERO,
            copies: 1,
            sign: None,
            special: |_| {},
            loses: Box::new(|_| false),
            attacker: None,
            loss_of_single: None,
            may_lose: false,
            attacker_as: attacker_at(),
            to_group: Vec::new(),
            to_single: Vec::new(),
            said: Vec::new(),
        };
        listeners.into_iter().for_each(|listener| segment.join(listener));
        segment
    }

    pub(super) fn join(&mut self, receiver: Receiver) {
        let payload = Vec::new();
        self.listeners.push(Listener {
            receiver,
            payload,
            sessions: 0,
            causes: Vec::new(),
            wanted: Vec::new(),
            is_over: false,
            lost: Vec::new(),
        });
    }

    /// Publishes `source` in a session of its own, and goes on until the sender has finished.
    pub(super) fn publish(&mut self, session: u64, keys: Option<Keyring>, source: &[u8]) {
        self.publish_and(session, keys, source, |_| {});
    }

    /// The same, and something else all the while.
    pub(super) fn publish_and(
        &mut self,
        session: u64,
        keys: Option<Keyring>,
        source: &[u8],
        mut and: impl FnMut(&mut Self),
    ) {
        let present = u32::try_from(self.listeners.len()).unwrap();
        let (sign, more) = (self.sign.clone(), self.special);
        let special = |config: &mut SenderConfig| {
            (config.wait_for, config.sign) = (present, sign);
            more(config);
        };
        self.sender = Some(sender(session, keys, special, self.now));
        let mut pushed = 0;
        let end = self.now.after(Duration::from_secs(60));
        while self.now < end {
            and(self);
            let (now, Some(sender)) = (self.now, &mut self.sender) else { return };
            while pushed < source.len() && sender.has_room() {
                let end = (pushed + 65_536).min(source.len());
                let piece = Bytes::copy_from_slice(&source[pushed..end]);
                sender.push(piece, now).unwrap();
                pushed = end;
            }
            if pushed == source.len() {
                sender.close(None, false, now);
            }
            if self.step() {
                self.sender = None;
            }
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.go_on(time, |_, _| {});
    }

    pub(super) fn go_on(&mut self, time: Duration, mut feed: impl FnMut(&mut Sender, Timestamp)) {
        let (end, has_sender) = (self.now.after(time), self.sender.is_some());
        while self.now < end {
            if let Some(sender) = &mut self.sender {
                feed(sender, self.now);
            }
            if self.step() && has_sender {
                self.sender = None;
                return;
            }
        }
    }

    /// Does what is due, and lets a moment pass; says whether the sender has finished and nothing is
    /// under way any more.
    pub(super) fn step(&mut self) -> bool {
        self.drive_sender();
        (0..self.listeners.len()).for_each(|place| self.drive(place));
        let is_finished = self.sender.as_ref().is_some_and(Sender::is_finished);
        let is_over = is_finished && self.under_way.is_empty();
        if !is_over {
            self.now = self.now.after(STEP);
            self.arrive();
        }
        is_over
    }

    pub(super) fn drive_sender(&mut self) {
        let Some(sender) = &mut self.sender else { return };
        sender.handle_timeout(self.now);
        let (mut burst, mut all) = (Vec::new(), Vec::new());
        while let Some(transmit) = sender.poll_transmit(self.now, 44, &mut burst) {
            assert!(transmit.segment_len <= usize::from(DATAGRAM_LEN));
            assert_eq!(burst.len().div_ceil(transmit.segment_len), transmit.datagrams);
            let datagrams = burst.chunks(transmit.segment_len).map(<[u8]>::to_vec);
            all.extend(datagrams.map(|datagram| (transmit.destination, datagram)));
        }
        for (destination, bytes) in all {
            match destination {
                Destination::Group => {
                    self.attack(&bytes);
                    self.to_group.push(bytes.clone());
                    if (self.loses)(&bytes) {
                        continue;
                    }
                    for place in 0..self.listeners.len() {
                        self.send(bytes.clone(), Some((place, Via::Group)), publisher_at());
                    }
                }
                Destination::Unicast(to) => {
                    self.to_single.push(bytes.clone());
                    let place = (0..self.listeners.len()).find(|place| address(*place) == to);
                    let to = place.map(|place| (place, Via::Feedback));
                    let is_lost = self.loss_of_single.is_some_and(|of| of.number() == bytes[1]);
                    if to.is_some() && !is_lost {
                        self.send(bytes, to, publisher_at());
                    }
                }
            }
        }
    }

    fn attack(&mut self, overheard: &[u8]) {
        let Some(attacker) = &mut self.attacker else { return };
        let from = self.attacker_as;
        for bytes in attacker(overheard) {
            for place in 0..self.listeners.len() {
                self.send(bytes.clone(), Some((place, Via::Group)), from);
            }
        }
    }

    pub(super) fn drive(&mut self, place: usize) {
        let Listener { receiver, payload, sessions, causes, wanted, is_over, lost } =
            &mut self.listeners[place];
        receiver.handle_timeout(self.now);
        while let Some(delivered) = receiver.pull(self.now) {
            match delivered {
                Delivered::Session(_) => *sessions += 1,
                Delivered::Payload(piece) => payload.extend_from_slice(&piece.bytes),
                Delivered::Row(row) => row.for_each(|message| payload.extend_from_slice(&message)),
                Delivered::Gap(gap) if self.may_lose => lost.push(gap),
                Delivered::Gap(gap) => panic!("{gap:?}"),
                Delivered::End(_) => *is_over = true,
            }
        }
        while let Some(event) = receiver.poll_event() {
            if let Event::NotBelieved { cause, .. } = event {
                causes.push(cause);
            } else if let Event::KeyWanted { stream: StreamId(1), epoch } = event {
                wanted.push(epoch);
            }
        }
        let (mut datagram, mut said) = (Vec::new(), Vec::new());
        while receiver.poll_transmit(self.now, &mut datagram).is_some() {
            said.push(datagram.clone());
        }
        for datagram in said {
            self.said.push(datagram.clone());
            self.send(datagram, None, address(place));
        }
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>, to: Option<(usize, Via)>, from: SocketAddr) {
        for _ in 0..self.copies {
            if self.rng.f64() >= self.loss {
                let at = self.now.after(WAY + self.jitter.mul_f64(self.rng.f64()));
                let place = self.under_way.partition_point(|other| other.at <= at);
                self.under_way.insert(place, UnderWay { at, bytes: bytes.clone(), to, from });
            }
        }
    }

    pub(super) fn arrive(&mut self) {
        while self.under_way.front().is_some_and(|first| first.at <= self.now) {
            let Some(UnderWay { mut bytes, to, from, .. }) = self.under_way.pop_front() else {
                return;
            };
            match to {
                Some((place, via)) => {
                    let receiver = &mut self.listeners[place].receiver;
                    receiver.handle_datagram(&mut bytes, via, from, self.now);
                }
                None => {
                    if let Some(sender) = &mut self.sender {
                        sender.handle_datagram(&mut bytes, from, self.now);
                    }
                }
            }
        }
    }

    /// Everything that the group was ever sent is sent again, by somebody else.
    pub(super) fn replay_to_group(&mut self) {
        for bytes in self.to_group.clone() {
            for place in 0..self.listeners.len() {
                let receiver = &mut self.listeners[place].receiver;
                receiver.handle_datagram(&mut bytes.clone(), Via::Group, attacker_at(), self.now);
            }
            self.wait(Duration::from_micros(200));
        }
    }

    pub(super) fn discarded(&self, place: usize, reason: Discard) -> u64 {
        self.listeners[place].receiver.stats().discarded.get(reason)
    }

    pub(super) fn assert_whole(&self, place: usize, source: &[u8]) {
        let listener = &self.listeners[place];
        assert!(listener.is_over && listener.payload == source, "listener {place}");
    }

    pub(super) fn assert_nothing(&self, place: usize) {
        let listener = &self.listeners[place];
        assert_eq!((listener.sessions, listener.payload.len()), (0, 0), "listener {place}");
        assert_eq!(listener.receiver.stats().packets_delivered, 0, "listener {place}");
    }
}

pub(super) fn source(len: usize) -> Vec<u8> {
    b"what nobody else is to read; ".iter().copied().cycle().take(len).collect()
}

pub(super) fn three(keys: u8, now: Timestamp) -> impl Iterator<Item = Receiver> {
    (1..=3).map(move |id| receiver(id, key(keys), |_| {}, now))
}

pub(super) const START: Timestamp = Timestamp(1_000_000_000);
