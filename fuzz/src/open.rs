//! Sealed datagrams in the hands of somebody who has no key: changed, doubled, put together, of
//! another key, of an old session. None of it is taken, and what is handed out is the stream.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use proto::config::{Ahead, Flow, Interleave, Start};
use proto::receiver::{Delivered, Via};
use proto::seal::{Key, Keyring};
use proto::sender::Destination;
use proto::sign::SigningKey;
use proto::wire::{Name, StreamMode};
use proto::{
    ByteCount, Delivery, Receiver, ReceiverConfig, Sender, SenderConfig, Seq, SessionId, StreamId,
    SubscriberId, Timestamp,
};

use crate::packet;

/// Plays what `program` says.
pub fn check(program: &[u8]) {
    let mut u = Unstructured::new(program);
    let Ok(mut segment) = Segment::new(&mut u) else { return };
    for _ in 0..STEPS {
        if u.is_empty() || segment.step(&mut u).is_err() {
            break;
        }
        segment.go_on();
    }
}

/// A publisher, its subscribers, and an attacker that hears and says everything.
struct Segment {
    now: Timestamp,
    sender: Sender,
    /// Of another group, and of an old session of this one.
    strangers: [Sender; 2],
    listeners: [Listener; 2],
    pushed: u64,
    /// The newest epoch.
    epoch: u8,
    /// What the publisher sent, and to whom; what the subscribers said.
    sent: Vec<(Option<SocketAddr>, Vec<u8>)>,
    said: Vec<Vec<u8>>,
    /// What the strangers sent.
    strange: Vec<Vec<u8>>,
    /// Of `said`, what the publisher was given, and what it took.
    heard: BTreeSet<usize>,
    taken: BTreeSet<usize>,
}

struct Listener {
    receiver: Receiver,
    verifies: bool,
    address: SocketAddr,
    session: Option<SessionId>,
    /// Of what was sent, what this one was given since it follows the session, and what it took.
    heard: BTreeSet<usize>,
    taken: BTreeSet<usize>,
    next: Seq,
}

impl Segment {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let mood: u8 = u.arbitrary()?;
        let strange = [sender(10, 200, key(2)), sender(9, 100, key(1))];
        let mut segment = Self {
            now: START,
            sender: sender(10, 200, key(1)),
            strangers: strange,
            listeners: [listener(1, mood), listener(2, mood >> 4)],
            pushed: 0,
            epoch: 1,
            sent: Vec::new(),
            said: Vec::new(),
            strange: Vec::new(),
            heard: BTreeSet::new(),
            taken: BTreeSet::new(),
        };
        for stranger in &mut segment.strangers {
            stranger.push(Bytes::from_static(&[0xff; 4 * PAYLOAD]), START).ok();
        }
        segment.go_on();
        Ok(segment)
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.arbitrary::<u8>()? % 13 {
            0 => self.wait(Duration::from_micros(u64::from(u.arbitrary::<u16>()?))),
            1 => self.wait(Duration::from_millis(u64::from(u.arbitrary::<u16>()?))),
            2 | 3 => self.push(u64::from(u.arbitrary::<u8>()? % 32)),
            4 => self.pass_on_all(usize::from(u.arbitrary::<u8>()? % 2)),
            5 => {
                let (place, to) = (self.place(self.sent.len(), u)?, u.arbitrary::<u8>()? % 2);
                self.pass_on(place, usize::from(to));
            }
            6 => {
                let place = self.place(self.said.len(), u)?;
                self.give_back(place);
            }
            7 => (0..self.said.len()).for_each(|place| self.give_back_new(place)),
            8 | 9 => self.forge_sent(u)?,
            10 => self.forge_said(u)?,
            11 => self.rekey(u)?,
            _ => self.say_strange(u)?,
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// The next epoch's key: who is to have it has it before, after, or not at all.
    fn rekey(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let way: u8 = u.arbitrary()?;
        let key = |epoch| Key::new([0x80 | epoch; 32]);
        if way & 1 != 0 {
            self.epoch = self.epoch % 100 + 1;
            self.sender.rekey(self.epoch, key(self.epoch), self.now);
        }
        let newest = self.epoch + (way >> 1 & 1);
        for (place, listener) in self.listeners.iter_mut().enumerate() {
            if way & 4 << place != 0 && newest > 1 {
                listener.receiver.add_key(newest, key(newest));
            }
        }
        Ok(())
    }

    /// Whole packets, so that what each carries follows from its number.
    fn push(&mut self, packets: u64) {
        let payload = (0..packets).flat_map(|more| payload_of(Seq(self.pushed + more)));
        let payload: Vec<u8> = payload.collect();
        if self.sender.push(Bytes::from(payload), self.now).is_ok() {
            self.pushed += packets;
        }
    }

    /// One of the last, or any.
    fn place(&self, len: usize, u: &mut Unstructured<'_>) -> Result<usize> {
        let way: u16 = u.arbitrary()?;
        let back = usize::from(if way & 1 != 0 { way >> 1 } else { (way >> 1) % 16 });
        Ok(len.saturating_sub(1 + back))
    }

    /// A subscriber is given all that the group was sent, and what was for it alone.
    fn pass_on_all(&mut self, to: usize) {
        for place in 0..self.sent.len() {
            let (only, _) = &self.sent[place];
            let is_for = only.is_none_or(|only| only == self.listeners[to].address);
            if is_for && !self.listeners[to].heard.contains(&place) {
                self.pass_on(place, to);
            }
        }
    }

    /// One datagram, as it was sent: it is taken once at most.
    fn pass_on(&mut self, place: usize, to: usize) {
        let Some((only, datagram)) = self.sent.get(place) else { return };
        let via = if only.is_some() { Via::Feedback } else { Via::Group };
        let listener = &mut self.listeners[to];
        let before = listener.session;
        let was_taken = listener.taken.contains(&place);
        let is_taken = listener.is_given(datagram.clone(), via, self.now);
        let is_twice = was_taken && is_taken && before == listener.session;
        // Where all who can seal may lie, numbers prove nothing, and signatures do.
        assert!(!is_twice || listener.verifies, "taken twice: {datagram:02x?}");
        listener.heard.insert(place);
        if is_taken {
            listener.taken.insert(place);
        }
    }

    fn give_back_new(&mut self, place: usize) {
        if !self.heard.contains(&place) {
            self.give_back(place);
        }
    }

    fn give_back(&mut self, place: usize) {
        let Some(datagram) = self.said.get(place).cloned() else { return };
        self.heard.insert(place);
        if self.sender_is_given(datagram) {
            assert!(self.taken.insert(place), "the same feedback was taken twice");
        }
    }

    /// Something that was sent, changed.
    fn forge_sent(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let place = self.place(self.sent.len(), u)?;
        let other = self.place(self.sent.len(), u)?;
        let (Some((_, datagram)), Some((_, other))) = (self.sent.get(place), self.sent.get(other))
        else {
            return Ok(());
        };
        let forged = forge(datagram, other, u)?;
        if !self.sent.iter().any(|(_, genuine)| *genuine == forged) {
            self.nobody_takes(forged);
        }
        Ok(())
    }

    fn forge_said(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let place = self.place(self.said.len(), u)?;
        let other = self.place(self.said.len(), u)?;
        let (Some(datagram), Some(other)) = (self.said.get(place), self.said.get(other)) else {
            return Ok(());
        };
        let forged = forge(datagram, other, u)?;
        if !self.said.contains(&forged) {
            self.nobody_takes(forged);
        }
        Ok(())
    }

    /// What strangers sent, or any bytes. A recording may be answered by a question, and by nothing
    /// else: of what it says nothing is handed out, which [`Listener::go_on`] looks at.
    fn say_strange(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let way: u8 = u.arbitrary()?;
        if way < 64 {
            let len = usize::from(u.arbitrary::<u8>()?);
            self.nobody_takes(packet::bytes(len, u)?.to_vec());
        } else if way < 160 {
            let place = self.place(self.strange.len(), u)?;
            let Some(datagram) = self.strange.get(place).cloned() else { return Ok(()) };
            for listener in &mut self.listeners {
                listener.is_given(datagram.clone(), Via::Group, self.now);
            }
        } else if let Some(golden) = crate::golden::all().get(usize::from(way % 32)) {
            let mut datagram = golden.clone();
            crate::golden::readdress(&mut datagram, stream(), SessionId(10));
            datagram[3] = u.arbitrary()?;
            self.nobody_takes(datagram);
        }
        Ok(())
    }

    fn nobody_takes(&mut self, datagram: Vec<u8>) {
        for listener in &mut self.listeners {
            assert!(!listener.is_given(datagram.clone(), Via::Group, self.now), "{datagram:02x?}");
            assert!(!listener.is_given(datagram.clone(), Via::Feedback, self.now));
        }
        assert!(!self.sender_is_given(datagram));
    }

    /// Says whether it was taken; it is counted in any case.
    fn sender_is_given(&mut self, mut datagram: Vec<u8>) -> bool {
        let before = *self.sender.stats();
        self.sender.handle_datagram(&mut datagram, address(1), self.now);
        let stats = self.sender.stats();
        let taken = stats.received.total().datagrams - before.received.total().datagrams;
        assert_eq!(taken + stats.discarded.total() - before.discarded.total(), 1);
        taken == 1
    }

    /// Everybody does what is due.
    fn go_on(&mut self) {
        let now = self.now;
        let mut sent = Vec::new();
        drive(&mut self.sender, now, &mut sent);
        self.sent.append(&mut sent);
        let is_quiet = self.strange.len() > 200;
        for stranger in self.strangers.iter_mut().filter(|_| !is_quiet) {
            drive(stranger, now, &mut sent);
        }
        self.strange.extend(sent.into_iter().map(|(_, datagram)| datagram));
        for listener in &mut self.listeners {
            listener.go_on(now, &mut self.said);
        }
    }
}

impl Listener {
    /// Says whether it was taken; it is counted in any case.
    fn is_given(&mut self, mut datagram: Vec<u8>, via: Via, now: Timestamp) -> bool {
        let before = *self.receiver.stats();
        self.receiver.handle_datagram(&mut datagram, via, address(0), now);
        let stats = self.receiver.stats();
        let taken = stats.received.total().datagrams - before.received.total().datagrams;
        assert_eq!(taken + stats.discarded.total() - before.discarded.total(), 1);
        let session = self.receiver.status().session;
        if session != self.session {
            // Of a session that gives way before it was believed nothing is left.
            self.session = session;
            self.heard.clear();
            self.taken.clear();
        }
        taken == 1
    }

    fn go_on(&mut self, now: Timestamp, said: &mut Vec<Vec<u8>>) {
        self.receiver.handle_timeout(now);
        while let Some(delivered) = self.receiver.pull(now) {
            match delivered {
                Delivered::Session(info) => {
                    assert_eq!(info.session, SessionId(10), "a recording was believed");
                    self.next = info.first;
                }
                Delivered::Payload(payload) => {
                    assert_eq!(payload.range.first, self.next);
                    self.next = payload.range.end;
                    let expected: Vec<u8> = payload.range.iter().flat_map(payload_of).collect();
                    assert_eq!(payload.bytes, expected, "not what was sent");
                }
                Delivered::Row(row) => panic!("{row:?} in a stream of bytes"),
                Delivered::Gap(gap) => self.next = gap.range.end,
                Delivered::End(ending) => panic!("{ending:?}: nothing ends here"),
            }
        }
        while self.receiver.poll_event().is_some() {}
        let mut datagram = Vec::new();
        while self.receiver.poll_transmit(now, &mut datagram).is_some() {
            said.push(datagram.clone());
        }
    }
}

fn drive(sender: &mut Sender, now: Timestamp, sent: &mut Vec<(Option<SocketAddr>, Vec<u8>)>) {
    sender.handle_timeout(now);
    let mut burst = Vec::new();
    while let Some(transmit) = sender.poll_transmit(now, 44, &mut burst) {
        let to = match transmit.destination {
            Destination::Group => None,
            Destination::Unicast(to) => Some(to),
        };
        sent.extend(burst.chunks(transmit.segment_len).map(|datagram| (to, datagram.to_vec())));
    }
    while sender.poll_event().is_some() {}
}

/// Something else than `datagram`, made of it and another one.
fn forge(datagram: &[u8], other: &[u8], u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut forged = datagram.to_vec();
    match u.arbitrary::<u8>()? % 8 {
        0 => forged.truncate(usize::from(u.arbitrary::<u16>()?) % datagram.len()),
        1 => {
            forged.extend_from_slice(&[u.arbitrary()?; 7][..usize::from(u.arbitrary::<u8>()? % 8)])
        }
        // The header of one, the body of another.
        2 => {
            let at = [4, 14, 22, 26, 32, 42][usize::from(u.arbitrary::<u8>()? % 6)];
            let at = at.min(other.len()).min(forged.len());
            forged.splice(..at, other[..at].iter().copied());
        }
        // The tag of another.
        3 => {
            let at = other.len().saturating_sub(16);
            forged.truncate(forged.len().saturating_sub(16));
            forged.extend_from_slice(&other[at..]);
        }
        _ => {
            for _ in 0..=u.arbitrary::<u8>()? % 4 {
                let at = usize::from(u.arbitrary::<u16>()?) % forged.len();
                forged[at] ^= u.arbitrary::<u8>()?;
            }
        }
    }
    Ok(forged)
}

fn sender(session: u64, started_us: u64, keys: Option<Keyring>) -> Sender {
    let config = SenderConfig {
        stream: stream(),
        session: SessionId(session),
        started_us,
        name: name(),
        mode: StreamMode::Bytes,
        delivery: Delivery::Reliable,
        datagram_len: DATAGRAM_LEN,
        overhead_len: 42,
        k: 8,
        ahead: Ahead::default(),
        interleave: Interleave::default(),
        rate: "100M".parse().ok(),
        burst: Duration::from_micros(500),
        linger: Duration::ZERO,
        is_hashed: false,
        retain: ByteCount(1 << 20),
        retain_for: None,
        wait_for: 0,
        wait_at_most: Duration::from_secs(2),
        finish_timeout: Duration::from_secs(5),
        flow: Flow::default(),
        heartbeat: (Duration::from_millis(10), Duration::from_secs(1)),
        keys,
        sign: Some(signing_key()),
        seed: [7; 32],
    };
    Sender::new(config, START).expect("a valid configuration")
}

fn listener(id: u8, mood: u8) -> Listener {
    let config = ReceiverConfig {
        subscriber: SubscriberId(u128::from(id)),
        first_number: 0,
        name: "r".parse().unwrap_or_default(),
        stream: (mood & 1 != 0).then(name),
        start: if mood & 2 != 0 { Start::Live } else { Start::Oldest },
        delivery: None,
        window: ByteCount(1 << 20),
        socket_buffer: ByteCount(1 << 20),
        mute: false,
        max_tries: 30,
        silent_after: Duration::from_secs(3),
        keys: key(1),
        verify: (mood & 4 != 0).then(|| signing_key().public()),
        max_auth_delay: Duration::from_secs(10),
        unix_us: 200,
        max_clock_skew: Duration::from_secs(60),
        seed: [id; 32],
    };
    let receiver = Receiver::new(config, START);
    Listener {
        receiver,
        verifies: mood & 4 != 0,
        address: address(1),
        session: None,
        heard: BTreeSet::new(),
        taken: BTreeSet::new(),
        next: Seq::ZERO,
    }
}

fn signing_key() -> SigningKey {
    SigningKey::of(&Key::new([5; 32]))
}

fn key(byte: u8) -> Option<Keyring> {
    Some(Keyring::of_group(Key::new([byte; 32])))
}

fn name() -> Name {
    "sealed".parse().unwrap_or_default()
}

fn stream() -> StreamId {
    StreamId::of_name("sealed")
}

fn address(who: u8) -> SocketAddr {
    ([10, 0, 0, who], 6_000).into()
}

fn payload_of(seq: Seq) -> [u8; PAYLOAD] {
    [seq.0.to_be_bytes()[7]; PAYLOAD]
}

const START: Timestamp = Timestamp(1_000_000_000);
const DATAGRAM_LEN: u16 = 256;
/// What a datagram holds beside header, prefix and tag.
const PAYLOAD: usize = 256 - 32 - 9 - 16;
const STEPS: usize = 120;
