//! Sealed streams: who has the key has all of it, whatever the network does.

use proto::receiver::Via;
use proto::seal::Cause;
use proto::wire::Discard;

use super::segment::{START, Segment, key, publisher_at, receiver, source, three};

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
