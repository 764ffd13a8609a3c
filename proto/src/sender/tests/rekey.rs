use super::*;
use crate::seal::{Cause, Key, Keyring, Secrets};
use crate::wire::{Discard, EvictReason};

fn key(byte: u8) -> Key {
    Key::new([byte; 32])
}

/// The secrets of epoch n are the bytes n.
fn secrets(epochs: impl IntoIterator<Item = u8>) -> Secrets {
    let mut keys = Keyring::empty();
    epochs.into_iter().for_each(|epoch| keys.add(epoch, key(epoch)));
    Secrets::new(&keys)
}

fn sealed_sender() -> Sender {
    let keys = Some(Keyring::of_epoch(1, key(1)));
    Sender::new(SenderConfig { keys, ..config() }, START).unwrap()
}

/// What `body` is as a datagram of the speaker 7, sealed by who has `secrets`.
fn said(body: Body, (epoch, number): (u8, u64), secrets: &Secrets) -> Vec<u8> {
    let mut packet = packet(body);
    (packet.header.key_epoch, packet.header.number) = (epoch, number);
    let mut datagram = Vec::new();
    wire::encode(&packet, &mut datagram);
    secrets.feedback(epoch, STREAM, SESSION, id(7)).unwrap().seal(0, &mut datagram);
    datagram
}

/// Whether the sender takes it, or why not.
fn take(sender: &mut Sender, mut datagram: Vec<u8>, now: Timestamp) -> Result<(), Discard> {
    let before = (sender.stats().received.total().datagrams, sender.stats().discarded);
    sender.handle_datagram(&mut datagram, address(7), now);
    let after = sender.stats();
    let is_taken = after.received.total().datagrams > before.0;
    let is_more = |reason: &Discard| after.discarded.get(*reason) > before.1.get(*reason);
    let why = Discard::ALL.into_iter().find(is_more);
    assert_ne!(is_taken, why.is_some());
    why.map_or(Ok(()), Err)
}

/// Epochs and numbers of what leaves within 100 ms.
fn sent(sender: &mut Sender, now: Timestamp) -> Vec<(Destination, u8, u64)> {
    let (mut burst, mut sent) = (Vec::new(), Vec::new());
    for step in 0..100 {
        let now = now.after(millis(step));
        sender.handle_timeout(now);
        while let Some(transmit) = sender.poll_transmit(now, 44, &mut burst) {
            for datagram in burst.chunks(transmit.segment_len) {
                let (header, _) = wire::decode_header(datagram).unwrap();
                sent.push((transmit.destination, header.key_epoch, header.number));
            }
        }
    }
    sent
}

#[test]
fn all_that_leaves_after_the_turn_is_sealed_anew() {
    let mut sender = sealed_sender();
    sender.push(Bytes::from(vec![7; 5 * PAYLOAD]), START).unwrap();
    let before = sent(&mut sender, START);
    assert!(before.iter().all(|(_, epoch, _)| *epoch == 1));
    let now = START.after(millis(200));
    sender.rekey(2, key(2), now);
    assert_eq!(sender.key_epoch(), 2);
    let after = sent(&mut sender, now);
    assert!(!after.is_empty() && after.iter().all(|(_, epoch, _)| *epoch == 2));
    let numbers = before.iter().chain(&after).filter(|sent| sent.0 == Destination::Group);
    assert!(numbers.map(|(.., number)| *number).is_sorted_by(|one, next| one + 1 == *next));
}

#[test]
fn what_is_said_under_the_epoch_before_is_heard_for_ten_seconds() {
    let (mut sender, all) = (sealed_sender(), secrets([1, 2, 3]));
    take(&mut sender, said(register(7), (1, 0), &all), START).unwrap();
    assert_eq!(take(&mut sender, said(register(7), (2, 1), &all), START), Err(Discard::Epoch));
    sender.rekey(2, key(2), START);
    let nearly = START.after(millis(9_999));
    take(&mut sender, said(register(7), (1, 2), &all), nearly).unwrap();
    take(&mut sender, said(register(7), (2, 3), &all), nearly).unwrap();
    // Two turns in a row: each epoch has its ten seconds.
    sender.rekey(3, key(3), START.after(millis(5_000)));
    let over = START.after(millis(10_000));
    assert_eq!(take(&mut sender, said(register(7), (1, 4), &all), over), Err(Discard::Epoch));
    take(&mut sender, said(register(7), (2, 5), &all), over).unwrap();
    let later = START.after(millis(15_000));
    assert_eq!(take(&mut sender, said(register(7), (2, 6), &all), later), Err(Discard::Epoch));
    take(&mut sender, said(register(7), (3, 7), &all), later).unwrap();
}

#[test]
fn what_was_said_is_not_taken_again_under_the_next_epoch() {
    let (mut sender, all) = (sealed_sender(), secrets([1, 2]));
    take(&mut sender, said(register(7), (1, 5), &all), START).unwrap();
    sender.rekey(2, key(2), START);
    for epoch in [1, 2] {
        let again = said(register(7), (epoch, 5), &all);
        assert_eq!(take(&mut sender, again, START), Err(Discard::Replayed));
    }
    take(&mut sender, said(register(7), (2, 6), &all), START).unwrap();
}

#[test]
fn an_epoch_that_comes_again_has_another_key() {
    let (mut sender, old) = (sealed_sender(), secrets([1]));
    take(&mut sender, said(register(7), (1, 0), &old), START).unwrap();
    for epoch in (2..=255).chain([1]) {
        sender.rekey(epoch, key(if epoch == 1 { 99 } else { epoch }), START);
    }
    let stale = said(register(7), (1, 1), &old);
    assert_eq!(take(&mut sender, stale, START), Err(Discard::Forged));
    let new = Secrets::new(&Keyring::of_epoch(1, key(99)));
    take(&mut sender, said(register(7), (1, 2), &new), START).unwrap();
    // What ended with the old one does not end the new one.
    take(&mut sender, said(register(7), (1, 3), &new), START.after(millis(60_000))).unwrap();
    let kept = secrets([255, 2]);
    take(&mut sender, said(register(7), (255, 4), &kept), START).unwrap_err();
    assert_eq!(take(&mut sender, said(register(7), (2, 5), &kept), START), Err(Discard::Epoch));
}

#[test]
fn a_key_that_is_there_or_of_no_epoch_changes_nothing() {
    let mut sender = sealed_sender();
    sender.rekey(1, key(1), START);
    sender.rekey(0, key(3), START);
    assert_eq!(sender.key_epoch(), 1);
    assert!(sent(&mut sender, START).iter().all(|(_, epoch, _)| *epoch == 1));
    let mut plain = Sender::new(config(), START).unwrap();
    plain.rekey(1, key(1), START);
    assert_eq!(plain.key_epoch(), 0);
    let keys = Some(Keyring::empty());
    let none = Sender::new(SenderConfig { keys, ..config() }, START);
    assert_eq!(none.unwrap_err(), crate::sender::ConfigError::Keys);
}

#[test]
fn a_knock_may_come_under_any_epoch_that_is_not_over() {
    let (mut sender, all) = (sealed_sender(), secrets([1, 2]));
    sender.rekey(2, key(2), START);
    let knock = |epoch: u8| {
        let mut knock = packet(register(7));
        (knock.header.session, knock.header.stream) = (SessionId(0), StreamId(0));
        (knock.header.key_epoch, knock.header.number) = (epoch, u64::from(epoch));
        let mut datagram = Vec::new();
        wire::encode(&knock, &mut datagram);
        let cipher = all.feedback(epoch, StreamId(0), SessionId(0), id(7));
        cipher.unwrap().seal(0, &mut datagram);
        datagram
    };
    sender.handle_knock(&mut knock(1), address(7), START);
    sender.handle_knock(&mut knock(2), address(7), START);
    assert_eq!(sender.stats().received.get(Kind::Register).datagrams, 2);
    sender.handle_knock(&mut knock(1), address(7), START.after(millis(10_000)));
    assert_eq!(sender.stats().discarded.get(Discard::Epoch), 1);
}

#[test]
fn who_was_removed_is_told_and_heard_no_more_until_it_is_let_in_again() {
    let mut bench = Bench::new(|_| {});
    bench.push(20);
    bench.admit(1);
    bench.admit(2);
    bench.run(millis(100));
    for who in [1, 2] {
        bench.hear(who, live(who, 0, 1_000, bench.now));
    }
    bench.events();
    bench.sender.evict(id(1), EvictReason::Kicked, bench.now);
    bench.drain();
    let evict = bench.of_kind(Kind::Evict);
    let [told] = evict.as_slice() else { panic!("{evict:?}") };
    assert_eq!(told.to, Destination::Unicast(address(1)));
    let name = name(1);
    let reason = EvictReason::Kicked;
    assert_eq!(bench.events(), [Event::SubscriberEvicted { subscriber: id(1), name, reason }]);
    assert_eq!((bench.sender.audience().len(), bench.sender.stats().removed), (1, 1));
    let (repaired, now) = (bench.count(Kind::Repair), bench.now);
    let bodies = [nak(1, &[(0, 2)]), live(1, 0, 9, now), register(1), catch_up(1, 0, 2)];
    for (count, body) in (1..).zip(bodies) {
        bench.hear(1, body);
        bench.run(millis(20));
        assert_eq!(bench.sender.stats().discarded.get(Discard::Removed), count);
    }
    assert_eq!(bench.count(Kind::Repair), repaired);
    assert_eq!(bench.count(Kind::Evict), 1, "it is answered nothing");
    bench.sender.readmit(id(1));
    bench.admit(1);
    assert_eq!(bench.sender.audience().len(), 2);
}

#[test]
fn who_was_removed_is_neither_waited_for_nor_missed_at_the_end() {
    let mut bench = Bench::new(|_| {});
    bench.push(3);
    bench.admit(1);
    bench.run(millis(100));
    bench.hear(1, live(1, 0, 1_000, bench.now));
    bench.sender.close(None, false, bench.now);
    bench.run(millis(500));
    assert!(!bench.sender.is_finished());
    bench.sender.evict(id(1), EvictReason::Kicked, bench.now);
    bench.run(millis(500));
    assert!(bench.sender.is_finished());
    assert!(bench.sender.outcome().is_complete());
}

#[test]
fn of_many_epochs_in_a_moment_the_last_ones_are_kept() {
    let mut sender = sealed_sender();
    let all = secrets([1, 6, 7, 8, 9, 10]);
    for epoch in 2..=10 {
        sender.rekey(epoch, key(epoch), START);
    }
    assert_eq!(take(&mut sender, said(register(7), (1, 0), &all), START), Err(Discard::Epoch));
    for (number, epoch) in (1..).zip(6..=10) {
        take(&mut sender, said(register(7), (epoch, number), &all), START).unwrap();
    }
    let told = std::iter::from_fn(|| sender.poll_event());
    let told: Vec<_> = told.filter(|event| matches!(event, Event::NotBelieved { .. })).collect();
    assert_eq!(told, [Event::NotBelieved { cause: Cause::Epoch, from: address(7) }]);
}
