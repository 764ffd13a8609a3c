//! Sealed streams: who has the key has all of it, whatever the network does and whoever replays it.
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
use proto::receiver::{Delivered, Event, Via};
use proto::seal::{Cause, Key, Keyring};
use proto::sender::Destination;
use proto::wire::{Discard, StreamMode};
use proto::{
    ByteCount, Delivery, Receiver, ReceiverConfig, Sender, SenderConfig, SessionId, StreamId,
    SubscriberId, Timestamp,
};

/// The way takes this long.
const WAY: Duration = Duration::from_millis(1);
/// Unix time when it all begins, in microseconds.
const UNIX_US: u64 = 1_800_000_000_000_000;
const DATAGRAM_LEN: u16 = 1_472;

fn key(byte: u8) -> Option<Keyring> {
    Some(Keyring::of_group(Key::new([byte; 32])))
}

fn sender(session: u64, keys: Option<Keyring>, wait_for: u32, now: Timestamp) -> Sender {
    let config = SenderConfig {
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
        wait_for,
        wait_at_most: Duration::from_secs(2),
        finish_timeout: Duration::from_secs(5),
        flow: Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys,
        sign: None,
        seed: [7; 32],
    };
    Sender::new(config, now).unwrap()
}

fn receiver(
    id: u8,
    keys: Option<Keyring>,
    special: impl FnOnce(&mut ReceiverConfig),
    now: Timestamp,
) -> Receiver {
    let mut config = ReceiverConfig {
        subscriber: SubscriberId(u128::from(id)),
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

fn publisher_at() -> SocketAddr {
    "10.0.0.1:5000".parse().unwrap()
}

fn attacker_at() -> SocketAddr {
    "10.0.0.66:5000".parse().unwrap()
}

fn address(listener: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, u8::try_from(listener).unwrap()], 6_000))
}

/// A receiver and all that came of it.
struct Listener {
    receiver: Receiver,
    payload: Vec<u8>,
    sessions: usize,
    causes: Vec<Cause>,
    is_over: bool,
}

/// A datagram under way.
struct UnderWay {
    at: Timestamp,
    bytes: Vec<u8>,
    /// The place of the listener; `None`: to the publisher.
    to: Option<(usize, Via)>,
    from: SocketAddr,
}

/// One segment: a publisher, its listeners, and somebody who records everything.
struct Segment {
    now: Timestamp,
    sender: Option<Sender>,
    listeners: Vec<Listener>,
    under_way: VecDeque<UnderWay>,
    rng: fastrand::Rng,
    loss: f64,
    /// Each datagram arrives so often.
    copies: usize,
    to_group: Vec<Vec<u8>>,
    to_single: Vec<Vec<u8>>,
    said: Vec<Vec<u8>>,
}

impl Segment {
    fn new(seed: u64, listeners: impl IntoIterator<Item = Receiver>) -> Self {
        let mut segment = Self {
            now: Timestamp(1_000_000_000),
            sender: None,
            listeners: Vec::new(),
            under_way: VecDeque::new(),
            rng: fastrand::Rng::with_seed(seed),
            loss: 0.0,
            copies: 1,
            to_group: Vec::new(),
            to_single: Vec::new(),
            said: Vec::new(),
        };
        listeners.into_iter().for_each(|listener| segment.join(listener));
        segment
    }

    fn join(&mut self, receiver: Receiver) {
        let payload = Vec::new();
        self.listeners.push(Listener {
            receiver,
            payload,
            sessions: 0,
            causes: Vec::new(),
            is_over: false,
        });
    }

    /// Publishes `source` in a session of its own, and goes on until the sender has finished.
    fn publish(&mut self, session: u64, keys: Option<Keyring>, source: &[u8]) {
        let present = u32::try_from(self.listeners.len()).unwrap();
        self.sender = Some(sender(session, keys, present, self.now));
        let mut pushed = 0;
        self.go_on(Duration::from_secs(60), |sender, now| {
            while pushed < source.len() && sender.has_room() {
                let end = (pushed + 65_536).min(source.len());
                let piece = Bytes::copy_from_slice(&source[pushed..end]);
                sender.push(piece, now).unwrap();
                pushed = end;
            }
            if pushed == source.len() {
                sender.close(None, false, now);
            }
        });
    }

    fn wait(&mut self, time: Duration) {
        self.go_on(time, |_, _| {});
    }

    fn go_on(&mut self, time: Duration, mut feed: impl FnMut(&mut Sender, Timestamp)) {
        let (end, has_sender) = (self.now.after(time), self.sender.is_some());
        while self.now < end {
            if let Some(sender) = &mut self.sender {
                feed(sender, self.now);
            }
            self.drive_sender();
            (0..self.listeners.len()).for_each(|place| self.drive(place));
            let is_finished = self.sender.as_ref().is_some_and(Sender::is_finished);
            if has_sender && is_finished && self.under_way.is_empty() {
                self.sender = None;
                return;
            }
            self.now = self.now.after(Duration::from_micros(100));
            self.arrive();
        }
    }

    fn drive_sender(&mut self) {
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
                    self.to_group.push(bytes.clone());
                    for place in 0..self.listeners.len() {
                        self.send(bytes.clone(), Some((place, Via::Group)), publisher_at());
                    }
                }
                Destination::Unicast(to) => {
                    self.to_single.push(bytes.clone());
                    let place = (0..self.listeners.len()).find(|place| address(*place) == to);
                    let to = place.map(|place| (place, Via::Feedback));
                    if to.is_some() {
                        self.send(bytes, to, publisher_at());
                    }
                }
            }
        }
    }

    fn drive(&mut self, place: usize) {
        let Listener { receiver, payload, sessions, causes, is_over } = &mut self.listeners[place];
        receiver.handle_timeout(self.now);
        while let Some(delivered) = receiver.pull(self.now) {
            match delivered {
                Delivered::Session(_) => *sessions += 1,
                Delivered::Payload(piece) => payload.extend_from_slice(&piece.bytes),
                Delivered::Gap(gap) => panic!("{gap:?}"),
                Delivered::End(_) => *is_over = true,
            }
        }
        while let Some(event) = receiver.poll_event() {
            if let Event::NotBelieved { cause, .. } = event {
                causes.push(cause);
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

    fn send(&mut self, bytes: Vec<u8>, to: Option<(usize, Via)>, from: SocketAddr) {
        for _ in 0..self.copies {
            if self.rng.f64() >= self.loss {
                let at = self.now.after(WAY);
                self.under_way.push_back(UnderWay { at, bytes: bytes.clone(), to, from });
            }
        }
    }

    fn arrive(&mut self) {
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
    fn replay_to_group(&mut self) {
        for bytes in self.to_group.clone() {
            for place in 0..self.listeners.len() {
                let receiver = &mut self.listeners[place].receiver;
                receiver.handle_datagram(&mut bytes.clone(), Via::Group, attacker_at(), self.now);
            }
            self.wait(Duration::from_micros(200));
        }
    }

    fn discarded(&self, place: usize, reason: Discard) -> u64 {
        self.listeners[place].receiver.stats().discarded.get(reason)
    }

    fn assert_whole(&self, place: usize, source: &[u8]) {
        let listener = &self.listeners[place];
        assert!(listener.is_over && listener.payload == source, "listener {place}");
    }

    fn assert_nothing(&self, place: usize) {
        let listener = &self.listeners[place];
        assert_eq!((listener.sessions, listener.payload.len()), (0, 0), "listener {place}");
        assert_eq!(listener.receiver.stats().packets_delivered, 0, "listener {place}");
    }
}

fn source(len: usize) -> Vec<u8> {
    b"what nobody else is to read; ".iter().copied().cycle().take(len).collect()
}

fn three(keys: u8, now: Timestamp) -> impl Iterator<Item = Receiver> {
    (1..=3).map(move |id| receiver(id, key(keys), |_| {}, now))
}

const START: Timestamp = Timestamp(1_000_000_000);

#[test]
fn a_sealed_stream_with_loss_arrives_whole_and_shows_nothing() {
    for seed in 0..5 {
        let source = source(400_000);
        let mut segment = Segment::new(seed, three(1, START));
        segment.loss = 0.05;
        segment.publish(10, key(1), &source);
        for place in 0..3 {
            segment.assert_whole(place, &source);
            assert!(segment.listeners[place].causes.is_empty(), "seed {seed}");
            assert_eq!(segment.discarded(place, Discard::Forged), 0);
        }
        let all = segment.to_group.iter().chain(&segment.to_single).chain(&segment.said);
        for datagram in all {
            assert_eq!(datagram[3], 1, "under the key of epoch 1");
            let shows = |text: &[u8]| datagram.windows(text.len()).any(|window| window == text);
            assert!(!shows(b"nobody") && !shows(b"sealed"), "{datagram:02x?}");
        }
    }
}

#[test]
fn no_number_is_used_twice_under_one_key() {
    let mut segment = Segment::new(3, three(1, START));
    segment.loss = 0.1;
    segment.publish(10, key(1), &source(300_000));
    let number = |datagram: &Vec<u8>| datagram[14..22].to_vec();
    let sent = segment.to_group.iter().chain(&segment.to_single);
    let mut sent: Vec<_> = sent.map(number).collect();
    let said = segment.said.iter().map(|said| (said[26..42].to_vec(), number(said)));
    let mut said: Vec<_> = said.collect();
    let counts = (sent.len(), said.len());
    sent.sort_unstable();
    sent.dedup();
    said.sort_unstable();
    said.dedup();
    assert_eq!((sent.len(), said.len()), counts);
}

#[test]
fn who_has_another_key_or_none_hears_nothing_and_is_answered_nothing() {
    let source = source(50_000);
    let strangers = [key(2), None].into_iter().zip(1..);
    let strangers = strangers.map(|(keys, id)| receiver(id, keys, |_| {}, START));
    let mut segment = Segment::new(1, strangers);
    segment.publish(10, key(1), &source);
    segment.assert_nothing(0);
    segment.assert_nothing(1);
    assert_eq!(segment.listeners[0].causes, [Cause::WrongKey]);
    assert_eq!(segment.listeners[1].causes, [Cause::NoKey]);
    assert!(segment.discarded(0, Discard::Forged) > 0);
    assert!(segment.discarded(1, Discard::Epoch) > 0);
    assert!(segment.to_single.is_empty() && segment.said.is_empty());
}

#[test]
fn who_has_a_key_hears_only_what_is_sealed() {
    let mut segment = Segment::new(1, [receiver(1, key(1), |_| {}, START)]);
    segment.publish(10, None, &source(50_000));
    segment.assert_nothing(0);
    assert_eq!(segment.listeners[0].causes, [Cause::Unsealed]);
}

#[test]
fn what_a_network_doubles_is_taken_once() {
    let source = source(200_000);
    let mut segment = Segment::new(5, three(1, START));
    segment.copies = 2;
    segment.loss = 0.02;
    segment.publish(10, key(1), &source);
    for place in 0..3 {
        segment.assert_whole(place, &source);
        assert!(segment.discarded(place, Discard::Replayed) > 100);
        assert_eq!(segment.listeners[place].causes, [Cause::Replayed], "told once");
    }
}

#[test]
fn a_recording_is_not_believed_in_its_session_nor_after_it() {
    let source = source(100_000);
    let mut segment = Segment::new(6, three(1, START));
    segment.publish(10, key(1), &source);
    let before = *segment.listeners[0].receiver.stats();
    segment.replay_to_group();
    let recorded = segment.to_group.len() as u64;
    let after = segment.listeners[0].receiver.stats();
    assert_eq!(after.received, before.received);
    let replayed = after.discarded.get(Discard::Replayed) - before.discarded.get(Discard::Replayed);
    assert_eq!(replayed, recorded, "all of it");
    assert_eq!(segment.listeners[0].sessions, 1);
    segment.assert_whole(0, &source);
}

#[test]
fn a_recording_of_another_session_is_not_believed_by_who_follows_a_newer_one() {
    let (old, new) = (source(60_000), source(90_000));
    let mut segment = Segment::new(7, three(1, START));
    segment.publish(10, key(1), &old);
    let recording = std::mem::take(&mut segment.to_group);
    segment.publish(11, key(1), &new);
    let expected = [old.clone(), new.clone()].concat();
    segment.to_group = recording;
    segment.replay_to_group();
    // Also when nothing was heard for long.
    segment.wait(Duration::from_secs(5));
    segment.replay_to_group();
    for place in 0..3 {
        assert_eq!(segment.listeners[place].sessions, 2);
        segment.assert_whole(place, &expected);
    }
}

#[test]
fn a_recording_is_not_believed_by_a_fresh_subscriber_that_then_hears_the_publisher() {
    let (old, new) = (source(60_000), source(90_000));
    let mut segment = Segment::new(8, three(1, START));
    segment.publish(10, key(1), &old);
    segment.listeners.clear();
    segment.said.clear();
    segment.join(receiver(9, key(1), |_| {}, segment.now));
    segment.replay_to_group();
    segment.wait(Duration::from_secs(3));
    segment.assert_nothing(0);
    assert!(!segment.said.is_empty(), "it asked");
    assert!(segment.listeners[0].causes.contains(&Cause::Unanswered));
    segment.publish(11, key(1), &new);
    assert_eq!(segment.listeners[0].sessions, 1);
    segment.assert_whole(0, &new);
}

#[test]
fn what_subscribers_said_is_taken_once_and_never_by_a_publisher_that_was_restarted() {
    let source = source(100_000);
    let mut segment = Segment::new(9, three(1, START));
    segment.publish(10, key(1), &source);
    let recording = segment.said.clone();
    assert!(recording.len() > 10);
    // In the same session: everything twice, at once.
    let mut same = sender(10, key(1), 0, segment.now);
    for (turn, discarded) in [(0, 0), (1, recording.len() as u64)] {
        for datagram in &recording {
            same.handle_datagram(&mut datagram.clone(), address(0), segment.now);
        }
        let replayed = same.stats().discarded.get(Discard::Replayed);
        assert_eq!(replayed, discarded, "turn {turn}");
    }
    // After a restart: it belongs to no session.
    let mut restarted = sender(12, key(1), 0, segment.now);
    for datagram in &recording {
        restarted.handle_datagram(&mut datagram.clone(), address(0), segment.now);
    }
    assert_eq!(restarted.stats().discarded.get(Discard::ForeignSession), recording.len() as u64);
    assert!(restarted.audience().is_empty());
    let mut burst = Vec::new();
    while let Some(transmit) = restarted.poll_transmit(segment.now, 44, &mut burst) {
        assert_eq!(transmit.destination, Destination::Group, "nobody is answered");
    }
}

#[test]
fn who_cannot_ask_believes_a_session_that_begins_now_by_its_clock() {
    let source = source(50_000);
    let mute = |id, skew_us: i64| {
        let special = |config: &mut ReceiverConfig| {
            config.mute = true;
            config.unix_us = config.unix_us.saturating_add_signed(skew_us);
        };
        receiver(id, key(1), special, START)
    };
    let listeners = [mute(1, 0), mute(2, 59_000_000), mute(3, 61_000_000), mute(4, -3_600_000_000)];
    let mut segment = Segment::new(10, listeners);
    segment.publish(10, key(1), &source);
    segment.assert_whole(0, &source);
    segment.assert_whole(1, &source);
    for place in [2, 3] {
        segment.assert_nothing(place);
        assert_eq!(segment.listeners[place].causes, [Cause::Old]);
    }
    assert!(segment.said.is_empty());
}

#[test]
fn a_datagram_of_another_epoch_or_changed_on_the_way_is_counted_as_such() {
    let mut segment = Segment::new(11, three(1, START));
    segment.publish(10, key(1), &source(50_000));
    let datagram = segment.to_group.last().unwrap().clone();
    let mut hear = |at: usize, value: u8| {
        let mut changed = datagram.clone();
        changed[at] = value;
        let listener = &mut segment.listeners[0];
        let receiver = &mut listener.receiver;
        receiver.handle_datagram(&mut changed, Via::Group, publisher_at(), segment.now);
        let discarded = &receiver.stats().discarded;
        (discarded.get(Discard::Epoch), discarded.get(Discard::Forged))
    };
    assert_eq!(hear(3, 2), (1, 0), "epoch 2");
    assert_eq!(hear(3, 0), (1, 1), "not sealed");
    assert_eq!(hear(30, datagram[30] ^ 1), (1, 2), "another body");
    assert_eq!(hear(25, datagram[25] ^ 1), (1, 3), "another header");
}
