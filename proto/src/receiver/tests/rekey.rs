use super::*;
use crate::seal::{Key, Keyring, Secrets};

/// The secrets of epoch n are the bytes n.
fn keyring(epochs: impl IntoIterator<Item = u8>) -> Keyring {
    let mut keys = Keyring::empty();
    epochs.into_iter().for_each(|epoch| keys.add(epoch, key(epoch)));
    keys
}

fn key(byte: u8) -> Key {
    Key::new([byte; 32])
}

/// Who has the keys of all epochs, and hears one receiver.
struct Insider {
    secrets: Secrets,
    receiver: Receiver,
    session: SessionId,
    now: Timestamp,
}

impl Insider {
    /// The receiver has the keys of `epochs`, and cannot ask for anything unless it `is_asking`.
    fn new(epochs: &[u8], is_asking: bool) -> Self {
        let keys = Some(keyring(epochs.iter().copied()));
        let config = ReceiverConfig { keys, mute: !is_asking, ..config() };
        let receiver = Receiver::new(config, START);
        Self { secrets: Secrets::new(&keyring(1..=8)), receiver, session: SESSION, now: START }
    }

    /// The same, and its session was announced under the first of the epochs.
    fn joined(epochs: &[u8], is_asking: bool) -> Self {
        let mut insider = Self::new(epochs, is_asking);
        insider.say(epochs[0], 0, Body::Announce(announce())).unwrap();
        insider
    }

    /// Whether the receiver takes what is said to the group, or why not.
    fn say(&mut self, epoch: u8, number: u64, body: Body) -> Result<(), Discard> {
        let header = Header {
            kind: body.kind(),
            flags: 0,
            key_epoch: epoch,
            stream: STREAM,
            session: self.session,
            number,
            sent_at: self.now.before(WAY).to_wire(),
        };
        let mut datagram = Vec::new();
        wire::encode(&Packet { header, body }, &mut datagram);
        self.secrets.session(epoch, STREAM, self.session).unwrap().seal(0, &mut datagram);
        let before = (self.received(), self.receiver.stats().discarded);
        self.receiver.handle_datagram(&mut datagram, Via::Group, source(), self.now);
        let discarded = &self.receiver.stats().discarded;
        let is_more = |reason: &Discard| discarded.get(*reason) > before.1.get(*reason);
        let why = Discard::ALL.into_iter().find(is_more);
        assert_ne!(self.received() > before.0, why.is_some());
        why.map_or(Ok(()), Err)
    }

    fn data(&mut self, epoch: u8, number: u64) -> Result<(), Discard> {
        self.say(epoch, number, Body::Data(coded(number, self.now)))
    }

    fn received(&self) -> u64 {
        self.receiver.stats().received.total().datagrams
    }

    /// The epochs of all that the receiver says by `time` from now on.
    fn heard(&mut self, time: Duration) -> Vec<u8> {
        let (end, mut datagram, mut heard) = (self.now.after(time), Vec::new(), Vec::new());
        while self.now < end {
            self.receiver.handle_timeout(self.now);
            while self.receiver.poll_transmit(self.now, &mut datagram).is_some() {
                heard.push(wire::decode_header(&datagram).unwrap().0.key_epoch);
            }
            self.now = self.now.after(millis(1));
        }
        heard
    }

    fn wanted(&mut self) -> Vec<(StreamId, u8)> {
        let events = std::iter::from_fn(|| self.receiver.poll_event());
        let wanted = events.filter_map(|event| {
            if let Event::KeyWanted { stream, epoch } = event {
                Some((stream, epoch))
            } else {
                None
            }
        });
        wanted.collect()
    }
}

#[test]
fn of_the_epoch_before_only_what_was_sent_before_the_turn_counts() {
    let mut insider = Insider::joined(&[1], false);
    insider.data(1, 1).unwrap();
    insider.receiver.add_key(2, key(2));
    insider.data(1, 2).unwrap();
    insider.data(2, 10).unwrap();
    // Who was removed has the key of epoch 1 still.
    assert_eq!(insider.data(1, 11), Err(Discard::Epoch));
    assert_eq!(insider.data(1, 10), Err(Discard::Epoch));
    // What was overtaken on the way.
    insider.data(2, 8).unwrap();
    insider.data(1, 7).unwrap();
    assert_eq!(insider.data(1, 8), Err(Discard::Epoch));
    insider.now = insider.now.after(millis(999));
    insider.data(1, 6).unwrap();
    insider.now = insider.now.after(millis(1));
    assert_eq!(insider.data(1, 5), Err(Discard::Epoch));
    insider.data(2, 9).unwrap();
}

#[test]
fn what_a_single_subscriber_is_sent_turns_by_its_own_numbers() {
    let unicast = wire::UNICAST_NUMBERS;
    let mut insider = Insider::joined(&[1, 2], false);
    insider.data(2, 10).unwrap();
    let mut heartbeat = |epoch, number| {
        let announce = Body::Announce(announce());
        insider.say(epoch, unicast + number, announce)
    };
    heartbeat(1, 5).unwrap();
    heartbeat(2, 6).unwrap();
    assert_eq!(heartbeat(1, 7), Err(Discard::Epoch));
    heartbeat(1, 4).unwrap();
}

#[test]
fn a_number_is_taken_once_whatever_its_epoch() {
    let mut insider = Insider::joined(&[1, 2], false);
    insider.data(1, 1).unwrap();
    assert_eq!(insider.data(2, 1), Err(Discard::Replayed));
    insider.data(2, 2).unwrap();
    assert_eq!(insider.data(2, 2), Err(Discard::Replayed));
}

#[test]
fn no_session_is_adopted_under_an_epoch_that_is_over() {
    let mut insider = Insider::joined(&[1, 2], false);
    insider.data(2, 1).unwrap();
    let newer = Announce { started_us: 200, ..announce() };
    insider.session = SessionId(78);
    assert_eq!(insider.say(1, 0, Body::Announce(newer.clone())), Err(Discard::Epoch));
    assert_eq!(insider.receiver.session(), Some(SESSION));
    insider.say(2, 0, Body::Announce(newer)).unwrap();
    assert_eq!(insider.receiver.session(), Some(SessionId(78)));
}

#[test]
fn a_session_is_adopted_under_any_epoch_whose_key_is_here() {
    for epoch in [1, 2, 3] {
        let mut insider = Insider::new(&[1, 2, 3], false);
        insider.say(epoch, 0, Body::Announce(announce())).unwrap();
        assert_eq!(insider.receiver.session(), Some(SESSION));
    }
    let mut insider = Insider::new(&[1, 2, 3], false);
    assert_eq!(insider.say(4, 0, Body::Announce(announce())), Err(Discard::Epoch));
}

#[test]
fn what_is_over_is_forgotten_and_the_next_of_its_number_has_another_key() {
    let mut insider = Insider::joined(&[1, 2], false);
    insider.data(2, 1).unwrap();
    insider.now = insider.now.after(millis(1_000));
    insider.data(2, 2).unwrap();
    // Were it known still, this would make it the newest again.
    insider.receiver.add_key(2, key(2));
    assert_eq!(insider.receiver.key_epoch(), 2);
    insider.receiver.add_key(1, key(9));
    insider.data(2, 3).unwrap();
    assert_eq!(insider.data(1, 4), Err(Discard::Forged), "under the key that was");
    let mut other = Keyring::empty();
    other.add(1, key(9));
    other.add(2, key(2));
    insider.secrets = Secrets::new(&other);
    insider.data(1, 5).unwrap();
    assert_eq!(insider.data(2, 6), Err(Discard::Epoch), "1 is newer than 2 now");
}

#[test]
fn a_missing_key_is_told_of_at_most_once_a_second() {
    let mut insider = Insider::joined(&[1], false);
    for number in 1..50 {
        assert_eq!(insider.data(2, number), Err(Discard::Epoch));
    }
    assert_eq!(insider.wanted(), [(STREAM, 2)]);
    insider.now = insider.now.after(millis(999));
    assert_eq!(insider.data(2, 50), Err(Discard::Epoch));
    assert_eq!(insider.wanted(), []);
    insider.now = insider.now.after(millis(1));
    assert_eq!(insider.data(3, 51), Err(Discard::Epoch));
    assert_eq!(insider.wanted(), [(STREAM, 3)]);
    insider.receiver.add_key(3, key(3));
    insider.data(3, 52).unwrap();
    assert_eq!(insider.wanted(), []);
}

#[test]
fn a_publisher_that_begins_its_epochs_anew_is_a_reason_to_ask() {
    let mut insider = Insider::joined(&[1], false);
    insider.secrets = Secrets::new(&Keyring::of_epoch(1, key(9)));
    insider.session = SessionId(78);
    let newer = Announce { started_us: 200, ..announce() };
    assert_eq!(insider.say(1, 0, Body::Announce(newer.clone())), Err(Discard::Forged));
    assert_eq!(insider.wanted(), [(STREAM, 1)]);
    insider.receiver.add_key(1, key(9));
    insider.say(1, 1, Body::Announce(newer)).unwrap();
    assert_eq!(insider.receiver.session(), Some(SessionId(78)));
}

#[test]
fn nobody_is_asked_for_the_key_of_what_is_not_wanted() {
    let mut insider = Insider::joined(&[1], false);
    insider.session = SessionId(78);
    assert_eq!(insider.data(2, 0), Err(Discard::ForeignSession));
    assert_eq!(insider.wanted(), []);
    // But another session may begin under it.
    let newer = Announce { started_us: 200, ..announce() };
    assert_eq!(insider.say(2, 1, Body::Announce(newer)), Err(Discard::Epoch));
    assert_eq!(insider.wanted(), [(STREAM, 2)]);
}

#[test]
fn it_speaks_under_the_epoch_in_which_the_publisher_is_heard() {
    let mut insider = Insider::joined(&[1], true);
    let epochs = |heard: Vec<u8>| heard.into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(epochs(insider.heard(millis(200))), [1].into());
    insider.receiver.add_key(2, key(2));
    assert_eq!(epochs(insider.heard(millis(400))), [1].into(), "nobody else has it yet");
    insider.data(2, 1).unwrap();
    assert_eq!(epochs(insider.heard(millis(600))), [2].into());
    assert_eq!(insider.receiver.key_epoch(), 2);
}

#[test]
fn without_a_key_nothing_is_said_and_with_one_it_is_said_at_once() {
    let mut insider = Insider::new(&[], true);
    insider.receiver.ask_by_unicast(Some(source()), START);
    assert!(insider.heard(millis(500)).is_empty());
    assert_eq!(insider.say(3, 0, Body::Announce(announce())), Err(Discard::Epoch));
    assert_eq!(insider.wanted(), [(STREAM, 3)]);
    insider.receiver.add_key(3, key(3));
    assert_eq!(insider.heard(millis(2)), [3]);
}

#[test]
fn a_publisher_that_was_not_heard_is_asked_under_each_epoch_in_turn() {
    let mut insider = Insider::new(&[1, 2], true);
    insider.receiver.ask_by_unicast(Some(source()), START);
    assert_eq!(insider.heard(millis(800)), [2, 1, 2, 1, 2]);
}

#[test]
fn without_a_keyring_keys_are_of_no_use() {
    let mut receiver = Receiver::new(config(), START);
    receiver.add_key(1, key(1));
    assert_eq!(receiver.key_epoch(), 0);
}
