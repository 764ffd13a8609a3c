//! Signed streams: who has the group's key, and may seal what it likes, still cannot speak as the
//! publisher.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it is wrong")]

use std::time::Duration;

use proto::config::{Ahead, Interleave};
use proto::receiver::GapCause;
use proto::seal::{Cause, Key};
use proto::sign::{PublicKey, SigningKey};
use proto::wire::{Discard, Kind};
use proto::{Delivery, Receiver, ReceiverConfig, Timestamp};
use tests::forger::Forger;
use tests::member::Member;

use super::segment::{Segment, key, publisher_at, receiver, source};

const START: Timestamp = Timestamp(1_000_000_000);

fn signing(byte: u8) -> SigningKey {
    SigningKey::of(&Key::new([byte; 32]))
}

fn verifying(byte: u8) -> Option<PublicKey> {
    Some(signing(byte).public())
}

/// Three who believe what the owner of key 1 signed; with the group's key, or without one.
fn three(is_sealed: bool) -> impl Iterator<Item = Receiver> {
    let keys = move || if is_sealed { key(1) } else { None };
    (1..=3).map(move |id| receiver(id, keys(), |config| config.verify = verifying(1), START))
}

fn segment(seed: u64, listeners: impl IntoIterator<Item = Receiver>) -> Segment {
    let mut segment = Segment::new(seed, listeners);
    segment.sign = Some(signing(1));
    segment
}

fn kind_of(datagram: &[u8]) -> Option<Kind> {
    Kind::from_number(datagram[1])
}

#[test]
fn a_signed_stream_with_loss_arrives_whole_and_costs_little() {
    for (seed, is_sealed) in [(0, true), (1, false), (2, true), (3, false)] {
        let source = source(1_000_000);
        let mut segment = segment(seed, three(is_sealed));
        segment.special = |config| config.k = 64;
        segment.loss = 0.03;
        segment.publish(10, if is_sealed { key(1) } else { None }, &source);
        for place in 0..3 {
            segment.assert_whole(place, &source);
            assert!(segment.listeners[place].causes.is_empty(), "seed {seed}");
        }
        let wire = |kind| -> usize {
            let of_kind = segment.to_group.iter().filter(|it| kind_of(it) == Some(kind));
            of_kind.map(|datagram| datagram.len() + 42).sum()
        };
        let share = wire(Kind::Manifest) as f64 / wire(Kind::Data) as f64;
        assert!(share <= 0.015, "seed {seed}: {share:.4}");
    }
}

#[test]
fn what_another_signed_or_nobody_is_not_heard() {
    for (sign, cause) in [(Some(signing(2)), Cause::WrongSignature), (None, Cause::Unsigned)] {
        for is_sealed in [true, false] {
            let mut segment = segment(1, three(is_sealed));
            segment.sign = sign.clone();
            segment.publish(10, if is_sealed { key(1) } else { None }, &source(50_000));
            for place in 0..3 {
                segment.assert_nothing(place);
                assert_eq!(segment.listeners[place].causes, [cause]);
                assert!(segment.discarded(place, Discard::Forged) > 0);
            }
        }
    }
}

#[test]
fn who_does_not_ask_for_signatures_hears_a_signed_stream_as_any_other() {
    let source = source(300_000);
    let mut segment = segment(1, (1..=3).map(|id| receiver(id, key(1), |_| {}, START)));
    segment.loss = 0.02;
    segment.publish(10, key(1), &source);
    (0..3).for_each(|place| segment.assert_whole(place, &source));
}

#[test]
fn manifests_that_are_lost_are_asked_for() {
    let source = source(500_000);
    let mut segment = segment(4, three(true));
    let mut lost = 0;
    segment.loses = Box::new(move |datagram| {
        lost += usize::from(kind_of(datagram) == Some(Kind::Manifest));
        kind_of(datagram) == Some(Kind::Manifest) && lost <= 8
    });
    segment.publish(10, key(1), &source);
    for place in 0..3 {
        segment.assert_whole(place, &source);
    }
}

#[test]
fn what_is_never_signed_is_given_up_after_the_longest_wait_and_told() {
    let special = |config: &mut ReceiverConfig| {
        (config.verify, config.max_auth_delay) = (verifying(1), Duration::from_millis(300));
    };
    let mut segment = segment(5, [receiver(1, key(1), special, START)]);
    segment.may_lose = true;
    segment.loses = Box::new(|datagram| kind_of(datagram) == Some(Kind::Manifest));
    segment.special = |config| config.finish_timeout = Duration::from_secs(1);
    // Repairs of manifests by unicast are lost as well: there is nobody at that address.
    let begin = segment.now;
    segment.loss_of_single = Some(Kind::Manifest);
    segment.publish(10, key(1), &source(100_000));
    let listener = &segment.listeners[0];
    assert_eq!(listener.payload.len(), 0);
    assert!(listener.is_over && !listener.lost.is_empty());
    assert!(listener.lost.iter().all(|gap| gap.cause == GapCause::Unverified));
    let stats = listener.receiver.stats();
    assert_eq!(stats.packets_unverified, stats.packets_placed);
    assert!(segment.now.since(begin) < Duration::from_secs(4));
}

#[test]
fn a_late_joiner_verifies_what_it_missed() {
    let source = source(3_000_000);
    let mut segment = segment(6, three(true));
    segment.loss = 0.01;
    let mut joined = false;
    segment.publish_and(10, key(1), &source, |segment| {
        if !joined && segment.to_group.len() > 1_500 {
            joined = true;
            let special = |config: &mut ReceiverConfig| config.verify = verifying(1);
            segment.join(receiver(9, key(1), special, segment.now));
        }
    });
    for place in 0..4 {
        segment.assert_whole(place, &source);
    }
    assert!(segment.listeners[3].receiver.stats().catch_ups > 0);
}

#[test]
fn who_cannot_ask_verifies_with_what_is_sent_twice() {
    let source = source(400_000);
    let special = |config: &mut ReceiverConfig| {
        (config.verify, config.mute) = (verifying(1), true);
    };
    let mut segment = segment(7, [receiver(1, key(1), special, START)]);
    segment.special = |config| (config.ahead, config.wait_for) = (Ahead::Fixed(6), 0);
    segment.loss = 0.02;
    segment.publish(10, key(1), &source);
    segment.assert_whole(0, &source);
}

#[test]
fn messages_of_a_timely_stream_are_verified_in_time() {
    let mut segment = segment(8, three(true));
    segment.special = |config| {
        config.delivery = Delivery::Timely(Duration::from_millis(200));
        config.ahead = Ahead::Fixed(4);
    };
    segment.loss = 0.01;
    let source = source(300_000);
    segment.publish(10, key(1), &source);
    (0..3).for_each(|place| segment.assert_whole(place, &source));
}

#[test]
fn a_recording_of_a_signed_session_is_not_believed() {
    for is_sealed in [true, false] {
        let keys = || if is_sealed { key(1) } else { None };
        let (old, new) = (source(60_000), source(90_000));
        let mut segment = segment(9, three(is_sealed));
        segment.publish(10, keys(), &old);
        let before = segment.listeners[0].receiver.stats().bytes_delivered;
        segment.replay_to_group();
        assert_eq!(segment.listeners[0].receiver.stats().bytes_delivered, before);
        // Nor by somebody who knows no session yet.
        segment.listeners.clear();
        let special = |config: &mut ReceiverConfig| config.verify = verifying(1);
        segment.join(receiver(9, keys(), special, segment.now));
        segment.replay_to_group();
        segment.wait(Duration::from_secs(3));
        segment.assert_nothing(0);
        segment.publish(11, keys(), &new);
        segment.assert_whole(0, &new);
    }
}

fn forger(seed: u64) -> Forger {
    Forger::new(Member::new(1, [1; 32]), "sealed".parse().unwrap(), seed)
}

#[test]
fn a_member_turned_bad_has_nothing_delivered_and_nothing_lost() {
    for seed in 0..6 {
        let source = source(400_000);
        let mut segment = segment(seed, three(true));
        segment.loss = 0.01;
        let mut forger = forger(seed);
        segment.attacker = Some(Box::new(move |overheard| forger.forge(overheard)));
        if seed % 2 == 0 {
            segment.attacker_as = publisher_at();
        }
        segment.publish(10, key(1), &source);
        for place in 0..3 {
            segment.assert_whole(place, &source);
            assert_eq!(segment.listeners[place].sessions, 1);
            assert!(segment.discarded(place, Discard::Forged) > 1_000, "seed {seed}");
            let causes = &segment.listeners[place].causes;
            assert!(causes.contains(&Cause::Unsigned), "{causes:?}");
            let stats = segment.listeners[place].receiver.stats();
            assert!(stats.packets_forged > 0, "it was faster than the publisher");
            let kept = stats.packets_delivered + stats.packets_forged + stats.packets_unverified;
            assert!(kept <= stats.packets_placed + stats.packets_recovered);
        }
    }
}

/// Two blocks side by side, and forged ones that begin within them.
#[test]
fn a_block_that_a_forged_one_begins_in_is_mended_all_the_same() {
    for seed in 0..8 {
        let source = source(1_500_000);
        let mut segment = segment(seed, three(true));
        (segment.loss, segment.jitter) = (0.01, Duration::from_millis(2));
        segment.special = |config| {
            (config.rate, config.k) = (Some("8M".parse().unwrap()), 64);
            config.interleave = Interleave::Fixed(1);
        };
        let mut forger = forger(seed);
        segment.attacker = Some(Box::new(move |overheard| forger.forge(overheard)));
        segment.attacker_as = publisher_at();
        segment.publish(10, key(1), &source);
        (0..3).for_each(|place| segment.assert_whole(place, &source));
    }
}

/// The same without signatures: that is why there are signatures.
#[test]
fn without_signatures_a_member_turned_bad_spoils_the_stream() {
    let mut segment = Segment::new(1, (1..=3).map(|id| receiver(id, key(1), |_| {}, START)));
    segment.may_lose = true;
    segment.special = |config| config.finish_timeout = Duration::from_secs(1);
    let mut forger = forger(1);
    segment.attacker = Some(Box::new(move |overheard| forger.forge(overheard)));
    let source = source(100_000);
    segment.publish(10, key(1), &source);
    assert!(segment.listeners.iter().any(|listener| listener.payload != source));
}
