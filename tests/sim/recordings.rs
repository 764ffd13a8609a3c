//! What was recorded is as authentic as it was, and is not believed.

use std::time::Duration;

use proto::ReceiverConfig;
use proto::seal::Cause;
use proto::sender::Destination;
use proto::wire::Discard;

use super::segment::{START, Segment, address, key, receiver, sender, source, three};

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
    let mut same = sender(10, key(1), |_| {}, segment.now);
    for (turn, discarded) in [(0, 0), (1, recording.len() as u64)] {
        for datagram in &recording {
            same.handle_datagram(&mut datagram.clone(), address(0), segment.now);
        }
        let replayed = same.stats().discarded.get(Discard::Replayed);
        assert_eq!(replayed, discarded, "turn {turn}");
    }
    // After a restart: it belongs to no session.
    let mut restarted = sender(12, key(1), |_| {}, segment.now);
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
