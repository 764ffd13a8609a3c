use super::*;
use crate::sender::{PushError, Timer};
use crate::wire::{Bye, ByeReason, Discard};

#[test]
fn the_first_byte_waits_for_as_many_subscribers_as_were_asked_for() {
    let mut bench = Bench::new(|config| config.wait_for = 2);
    bench.push(10);
    bench.run(millis(300));
    bench.admit(1);
    bench.run(millis(300));
    assert_eq!((bench.count(Kind::Data), bench.sender.is_started()), (0, false));
    bench.admit(2);
    bench.drain();
    assert!(bench.count(Kind::Data) > 0 && bench.sender.is_started());
    assert!(bench.events().contains(&Event::Started { audience: 2 }));
}

#[test]
fn the_first_byte_waits_no_longer_than_was_asked_for() {
    let mut bench = Bench::new(|config| config.wait_for = 2);
    bench.push(10);
    bench.admit(1);
    bench.run(millis(1_999));
    assert_eq!(bench.count(Kind::Data), 0);
    bench.run(millis(1));
    assert!(bench.count(Kind::Data) > 0);
}

#[test]
fn end_says_how_much_there_was_and_is_repeated_for_the_mute() {
    let mut bench = Bench::new(|_| {});
    bench.push(10);
    bench.sender.push(Bytes::from_static(b"rest"), bench.now).unwrap();
    bench.sender.close(Some([4; 32]), false, bench.now);
    bench.run(Duration::from_secs(1));
    let ends = bench.of_kind(Kind::End);
    assert!((3..=6).contains(&ends.len()), "{} times", ends.len());
    for end in ends {
        let Body::End(end) = &end.packet.body else { unreachable!() };
        let expected = (Seq(11), 10 * PAYLOAD as u64 + 4, Some([4; 32]), false);
        assert_eq!((end.lead, end.bytes, end.sha256, end.aborted), expected);
    }
    assert!(bench.sender.is_finished() && bench.sender.outcome().is_complete());
    assert_eq!(bench.sender.poll_timeout(), None);
}

#[test]
fn before_every_end_stands_an_announce_for_those_who_have_heard_none() {
    let mut bench = Bench::new(|_| {});
    bench.run(millis(150));
    bench.sender.close(None, false, bench.now);
    bench.sent.clear();
    bench.run(Duration::from_secs(1));
    let kinds: Vec<_> = bench.sent.iter().map(|sent| sent.packet.header.kind).collect();
    assert!(kinds.len() >= 6, "{kinds:?}");
    assert!(kinds.chunks(2).all(|pair| pair == [Kind::Announce, Kind::End]), "{kinds:?}");
}

#[test]
fn end_is_repeated_until_everyone_has_everything() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(4);
    bench.sender.close(None, false, bench.now);
    bench.run(Duration::from_secs(5));
    assert!(!bench.sender.is_finished() && bench.count(Kind::End) > 10);
    bench.hear(1, report(1, 4, 99, ReportState::Complete, bench.now));
    bench.run(millis(250));
    assert!(bench.sender.is_finished());
    let outcome = bench.sender.outcome();
    assert!(outcome.is_complete());
    assert_eq!(outcome.complete, [name(1)]);
    assert_eq!(bench.events().last(), Some(&Event::Finished(outcome)));
}

#[test]
fn who_does_not_get_on_is_let_go_after_the_timeout_and_named() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.admit(2);
    bench.push(4);
    bench.sender.close(None, false, bench.now);
    bench.run(millis(100));
    bench.hear(1, report(1, 4, 99, ReportState::Complete, bench.now));
    for second in 0..20 {
        // Speaks, but is always where it was.
        bench.hear(2, live(2, 2, 99, bench.now));
        bench.run(Duration::from_secs(1));
        assert!(second < 10 || bench.sender.is_finished(), "after {second} s");
        assert!(second > 8 || !bench.sender.is_finished(), "after {second} s");
    }
    let outcome = bench.sender.outcome();
    assert_eq!(outcome.complete, [name(1)]);
    let unfinished = &outcome.unfinished[..];
    assert_eq!((unfinished.len(), &unfinished[0].name, unfinished[0].next), (1, &name(2), Seq(2)));
}

#[test]
fn who_gets_on_is_waited_for_however_long_it_takes() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(40);
    bench.sender.close(None, false, bench.now);
    for next in 0..40 {
        bench.hear(1, live(1, next, 99, bench.now));
        bench.run(Duration::from_secs(1));
        assert!(!bench.sender.is_finished(), "after {next} s");
    }
}

#[test]
fn to_ask_for_the_same_catch_up_again_and_again_is_not_to_get_on() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(40);
    bench.sender.close(None, false, bench.now);
    for _ in 0..60 {
        bench.hear(1, catch_up(1, 5, 40));
        bench.run(millis(200));
    }
    assert!(bench.sender.is_finished());
}

#[test]
fn one_that_left_is_not_waited_for() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(4);
    bench.sender.close(None, false, bench.now);
    let bye = Bye { subscriber: id(1), reason: ByeReason::Left, next: Seq(2) };
    bench.hear(1, Body::Bye(bye));
    bench.hear(1, Body::Bye(bye));
    bench.run(Duration::from_secs(1));
    assert!(bench.sender.is_finished() && bench.sender.outcome().is_complete());
    assert_eq!(bench.sender.stats().leaves, 1, "said twice, left once");
}

#[test]
fn a_full_window_and_a_closed_stream_take_nothing_and_give_it_back() {
    let mut bench = Bench::new(|config| config.wait_for = 9);
    let piece = Bytes::from(vec![1; 1 << 20]);
    while bench.sender.has_room() {
        bench.sender.push(piece.clone(), bench.now).unwrap();
    }
    let refused = bench.sender.push(piece.clone(), bench.now).unwrap_err();
    assert_eq!(refused, PushError::WindowFull(piece.clone()));
    let mut bench = Bench::new(|_| {});
    bench.sender.close(None, true, bench.now);
    assert!(!bench.sender.has_room() && bench.sender.push(piece, bench.now).is_err());
}

#[test]
fn a_message_that_nobody_would_put_together_is_refused() {
    let mut bench = Bench::new(|config| config.mode = StreamMode::Messages);
    let long = Bytes::from(vec![0; wire::MAX_MESSAGE_LEN + 1]);
    let longest = long.slice(1..);
    let refused = bench.sender.push(long.clone(), bench.now).unwrap_err();
    assert!(refused.to_string().contains("67108861 bytes"), "{refused}");
    assert_eq!(refused, PushError::TooLong(long));
    assert!(bench.sender.push(longest, bench.now).is_ok());
}

#[test]
fn to_close_again_changes_nothing() {
    let mut bench = Bench::new(|_| {});
    bench.sender.close(Some([1; 32]), false, bench.now);
    bench.sender.close(None, true, bench.now);
    bench.run(millis(50));
    let Body::End(end) = &bench.of_kind(Kind::End)[0].packet.body else { unreachable!() };
    assert_eq!((end.sha256, end.aborted), (Some([1; 32]), false));
}

#[test]
fn when_all_is_over_nobody_is_promised_anything() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.hear(1, report(1, 0, 9, ReportState::Complete, bench.now));
    bench.sender.close(None, false, bench.now);
    bench.run(Duration::from_secs(1));
    assert!(bench.sender.is_finished());
    bench.sent.clear();
    for body in [register(2), cookie_reply(2, 0), catch_up(1, 0, 5), nak(2, &[(0, 1)])] {
        bench.hear(2, body);
    }
    bench.run(Duration::from_secs(1));
    assert!(bench.sent.is_empty(), "{:?}", bench.sent);
    assert_eq!(bench.sender.stats().discarded.get(Discard::TableFull), 3);
}

#[test]
fn silent_ones_are_named_and_their_return_too() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.hear(1, live(1, 0, 99, bench.now));
    bench.run(millis(3_100));
    assert!(matches!(bench.events().last(), Some(Event::SubscriberSilent { .. })));
    assert!(bench.sender.audience().is_empty());
    bench.hear(1, live(1, 0, 99, bench.now));
    assert!(matches!(bench.events().last(), Some(Event::SubscriberBack { .. })));
    assert_eq!(bench.sender.audience().len(), 1);
}

#[test]
fn every_wait_has_a_name() {
    let bench = Bench::new(|config| config.wait_for = 1);
    assert!(matches!(bench.sender.poll_timeout(), Some((_, Timer::Heartbeat))));
}
