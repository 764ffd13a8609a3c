//! One epoch's key after another, and who is not to have it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it is wrong")]

use std::time::Duration;

use bytes::Bytes;
use proto::receiver::Via;
use proto::seal::{Key, Keyring};
use proto::wire::{Discard, EvictReason};
use proto::{SenderConfig, SubscriberId, Timestamp};

use super::segment::{START, Segment, publisher_at, receiver, sender, source};

/// The secret of the nth epoch.
fn secret(epoch: u64) -> Key {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&epoch.to_be_bytes());
    Key::new(bytes)
}

/// The number of the nth epoch: 1 to 255, and again.
fn number(epoch: u64) -> u8 {
    u8::try_from((epoch - 1) % 255 + 1).unwrap()
}

/// Who hands keys out, and to whom.
struct Rotation {
    segment: Segment,
    /// A new key is handed out so often,
    every: Duration,
    /// so long before it is used.
    overlap: Duration,
    /// The chance that somebody is not handed a key when the others are.
    missing: f64,
    /// Who asks is answered after this.
    answered_after: Duration,
    /// Who is handed keys.
    is_member: Vec<bool>,
    /// The epoch whose key was handed out last, and that which is used.
    epochs: (u64, u64),
    turned: Timestamp,
    /// When whom is to be answered.
    answers: Vec<(Timestamp, usize)>,
    asked: usize,
}

impl Rotation {
    fn new(seed: u64, listeners: u8) -> Self {
        let keys = || Some(Keyring::of_epoch(number(1), secret(1)));
        let listeners = (1..=listeners).map(|id| receiver(id, keys(), |_| {}, START));
        let segment = Segment::new(seed, listeners);
        Self {
            is_member: vec![true; segment.listeners.len()],
            segment,
            every: Duration::from_millis(600),
            overlap: Duration::from_millis(200),
            missing: 0.0,
            answered_after: Duration::from_millis(50),
            epochs: (1, 1),
            turned: START,
            answers: Vec::new(),
            asked: 0,
        }
    }

    /// A publisher of so many bits a second begins.
    fn begin(&mut self, rate: &str) {
        let special = |config: &mut SenderConfig| {
            config.rate = Some(rate.parse().unwrap());
            config.wait_for = 1;
        };
        let keys = Keyring::of_epoch(number(1), secret(1));
        self.segment.sender = Some(sender(10, Some(keys), special, self.segment.now));
    }

    /// Sends all of `source`, and turns the key over and over; at the given times `act` may do
    /// what it likes.
    fn transfer(&mut self, source: &[u8], mut act: impl FnMut(&mut Self)) {
        let mut pushed = 0;
        let end = self.segment.now.after(Duration::from_secs(120));
        while self.segment.now < end {
            let (now, sender) = (self.segment.now, self.segment.sender.as_mut().unwrap());
            if pushed < source.len() && sender.has_room() {
                let end = (pushed + 16_384).min(source.len());
                sender.push(Bytes::copy_from_slice(&source[pushed..end]), now).unwrap();
                pushed = end;
            } else if pushed == source.len() {
                sender.close(None, false, now);
            }
            self.turn();
            self.answer();
            act(self);
            if self.segment.step() {
                return;
            }
        }
    }

    fn turn(&mut self) {
        let now = self.segment.now;
        if now.since(self.turned) >= self.every && self.epochs.0 == self.epochs.1 {
            (self.turned, self.epochs.0) = (now, self.epochs.0 + 1);
            for place in 0..self.is_member.len() {
                if self.segment.rng.f64() >= self.missing {
                    self.hand(place);
                }
            }
        }
        if now.since(self.turned) >= self.overlap && self.epochs.0 > self.epochs.1 {
            self.epochs.1 = self.epochs.0;
            let (epoch, key) = (number(self.epochs.1), secret(self.epochs.1));
            self.segment.sender.as_mut().unwrap().rekey(epoch, key, now);
        }
    }

    /// Hands the newest key to whoever may have it.
    fn hand(&mut self, place: usize) {
        if self.is_member[place] {
            let (epoch, key) = (number(self.epochs.0), secret(self.epochs.0));
            self.segment.listeners[place].receiver.add_key(epoch, key);
        }
    }

    /// Who asks for a key is given it a while later.
    fn answer(&mut self) {
        let now = self.segment.now;
        for (place, listener) in self.segment.listeners.iter_mut().enumerate() {
            if !std::mem::take(&mut listener.wanted).is_empty() {
                self.asked += 1;
                self.answers.push((now.after(self.answered_after), place));
            }
        }
        let (due, later) = self.answers.iter().partition(|(at, _)| *at <= now);
        self.answers = later;
        let due: Vec<(Timestamp, usize)> = due;
        due.into_iter().for_each(|(_, place)| self.hand(place));
    }

    /// Numbers go on from one epoch to the next, and none is used twice.
    fn assert_in_order(&self) {
        for sent in [&self.segment.to_group, &self.segment.to_single] {
            let number =
                |datagram: &Vec<u8>| u64::from_be_bytes(datagram[14..22].try_into().unwrap());
            assert!(sent.is_sorted_by(|one, next| number(one) + 1 == number(next)));
            let turns = sent.windows(2).filter(|pair| pair[0][3] != pair[1][3]).count();
            assert!(turns as u64 <= self.epochs.1, "nothing sealed waits in a window");
        }
    }

    /// Datagrams of the group that were sealed under the nth epoch.
    fn sent_under(&self, epoch: u64) -> usize {
        let of_epoch = |datagram: &&Vec<u8>| datagram[3] == number(epoch);
        self.segment.to_group.iter().filter(of_epoch).count()
    }
}

#[test]
fn every_byte_arrives_once_while_keys_change_under_loss_and_reordering() {
    for seed in 0..4 {
        let source = source(3_000_000);
        let mut rotation = Rotation::new(seed, 4);
        rotation.segment.loss = 0.03;
        rotation.segment.jitter = Duration::from_millis(4);
        rotation.missing = 0.3;
        rotation.begin("4M");
        rotation.transfer(&source, |_| {});
        assert!(rotation.epochs.1 >= 10, "seed {seed}: {:?}", rotation.epochs);
        assert!(rotation.asked > 3, "seed {seed}: some missed a key");
        for place in 0..4 {
            rotation.segment.assert_whole(place, &source);
            assert_eq!(rotation.segment.listeners[place].sessions, 1);
            assert_eq!(rotation.segment.discarded(place, Discard::Forged), 0);
        }
        assert!((1..=10).all(|epoch| rotation.sent_under(epoch) > 50), "seed {seed}");
        rotation.assert_in_order();
    }
}

#[test]
fn nobody_who_has_the_keys_in_time_loses_a_datagram_to_a_turn() {
    let source = source(2_000_000);
    let mut rotation = Rotation::new(5, 3);
    rotation.begin("4M");
    rotation.transfer(&source, |_| {});
    assert!(rotation.epochs.1 >= 7);
    for place in 0..3 {
        rotation.segment.assert_whole(place, &source);
        let listener = &rotation.segment.listeners[place];
        assert_eq!(listener.receiver.stats().discarded.total(), 0, "{:?}", listener.causes);
        assert_eq!(listener.receiver.stats().naks_sent, 0);
    }
    let sender = rotation.segment.sender.unwrap();
    assert_eq!(sender.stats().discarded.total(), 0);
}

#[test]
fn epochs_begin_again_after_255() {
    let source = source(2_200_000);
    let mut rotation = Rotation::new(6, 2);
    rotation.segment.loss = 0.02;
    rotation.segment.jitter = Duration::from_millis(1);
    rotation.every = Duration::from_millis(20);
    rotation.overlap = Duration::from_millis(10);
    rotation.begin("3M");
    rotation.transfer(&source, |_| {});
    assert!(rotation.epochs.1 > 300, "{:?}", rotation.epochs);
    for place in 0..2 {
        rotation.segment.assert_whole(place, &source);
        assert_eq!(rotation.segment.discarded(place, Discard::Forged), 0);
    }
}

#[test]
fn who_joins_without_a_key_hears_nothing_until_it_is_handed_one() {
    let source = source(1_500_000);
    let mut rotation = Rotation::new(7, 2);
    rotation.begin("4M");
    let joined = START.after(Duration::from_millis(1_500));
    rotation.answered_after = Duration::from_millis(300);
    rotation.transfer(&source, |rotation| {
        let segment = &mut rotation.segment;
        if segment.now >= joined && segment.listeners.len() == 2 {
            segment.join(receiver(3, Some(Keyring::empty()), |_| {}, segment.now));
            rotation.is_member.push(true);
        }
        if segment.now < joined.after(Duration::from_millis(250)) && segment.listeners.len() > 2 {
            let stats = segment.listeners[2].receiver.stats();
            assert_eq!(stats.received.total().datagrams, 0);
        }
    });
    assert!(rotation.asked >= 1);
    rotation.segment.assert_whole(2, &source);
    let said = rotation.segment.said.iter().filter(|said| said[26..42] == 3_u128.to_be_bytes());
    assert!(said.clone().count() > 0 && said.clone().all(|said| said[3] > 1));
}

#[test]
fn who_is_removed_reads_nothing_after_the_turn_and_is_heard_no_more() {
    let source = source(2_000_000);
    let mut rotation = Rotation::new(8, 4);
    rotation.begin("4M");
    let removed_at = START.after(Duration::from_millis(1_300));
    let (mut last, mut received) = (0, 0);
    rotation.transfer(&source, |rotation| {
        let now = rotation.segment.now;
        if now >= removed_at && rotation.is_member[3] {
            rotation.is_member[3] = false;
            last = rotation.epochs.0;
            let sender = rotation.segment.sender.as_mut().unwrap();
            sender.evict(SubscriberId(4), EvictReason::Kicked, now);
        }
        let stats = rotation.segment.listeners[3].receiver.stats();
        if !rotation.is_member[3] && rotation.epochs.1 == last {
            received = stats.received.total().datagrams;
        }
    });
    for place in 0..3 {
        rotation.segment.assert_whole(place, &source);
        let stats = rotation.segment.listeners[place].receiver.stats();
        assert_eq!(stats.discarded.total() + stats.naks_sent, 0, "the others lose nothing");
    }
    let listener = &rotation.segment.listeners[3];
    let read = listener.receiver.stats().received.total().datagrams;
    let under_way = 5;
    assert!(received > 100 && read <= received + under_way, "{received}, {read}");
    assert!(!listener.is_over && listener.payload.len() < source.len() / 2);
    let sent = rotation.segment.to_group.iter().filter(|sent| u64::from(sent[3]) <= last).count();
    let sent = sent + rotation.segment.to_single.len();
    assert!(read <= u64::try_from(sent).unwrap());
    let stats = rotation.segment.sender.as_ref().unwrap().stats();
    assert_eq!(stats.removed, 1);
    assert!(stats.discarded.get(Discard::Removed) > 0, "it went on to report for a while");
    assert_eq!(rotation.segment.sender.unwrap().outcome().unfinished, []);
}

#[test]
fn old_keys_open_nothing_that_was_recorded_after_the_turn() {
    let source = source(800_000);
    let mut rotation = Rotation::new(9, 1);
    rotation.begin("4M");
    rotation.transfer(&source, |_| {});
    assert!(rotation.epochs.1 >= 3);
    let mut keys = Keyring::of_epoch(number(1), secret(1));
    keys.add(number(2), secret(2));
    let mut thief = receiver(9, Some(keys), |config| config.mute = true, START);
    let all = rotation.segment.to_group.iter().chain(&rotation.segment.to_single);
    let later: Vec<_> = all.filter(|datagram| u64::from(datagram[3]) > 2).collect();
    for datagram in &later {
        thief.handle_datagram(&mut (*datagram).clone(), Via::Group, publisher_at(), START);
    }
    assert!(later.len() > 100);
    assert_eq!(thief.stats().received.total().datagrams, 0);
    assert_eq!(thief.stats().discarded.total(), later.len() as u64);
    assert!(thief.pull(START).is_none());
}
