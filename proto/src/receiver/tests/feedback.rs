use super::*;
use crate::wire::{ByeReason, FLAG_REPORT_WANTED, ReportState};

#[test]
fn what_the_output_had_no_room_for_is_reported_and_nothing_is_called_complete() {
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    bench.data(1);
    bench.receiver.on_ring_loss(1);
    bench.end(2);
    bench.run(millis(10));
    let report = bench.reports().into_iter().last().unwrap();
    assert_eq!((report.losses.ring, report.given_up), (1, 1));
    assert_eq!(report.state, ReportState::Incomplete);
    assert_eq!(bench.receiver.stats().packets_lost(), 1);
}

#[test]
fn it_registers_soon_and_again_ever_more_rarely_until_it_is_answered() {
    let mut bench = Bench::new();
    bench.run(Duration::from_secs(10));
    let at: Vec<_> = bench.said.iter().map(|(at, _, _)| at.since(START).as_millis()).collect();
    assert!(at[0] <= 5, "{at:?}");
    let waits: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..6], [50, 100, 200, 400, 800, 1_000]);
    assert_eq!(bench.count(Kind::Report), 0, "who is not known reports nothing");
}

#[test]
fn it_answers_a_challenge_and_then_reports_at_once() {
    let mut bench = Bench::new();
    bench.run(millis(6));
    bench.said.clear();
    let challenge = CookieChallenge { subscriber: WHO, cookie: 42 };
    bench.hear_via(Via::Feedback, Body::CookieChallenge(challenge));
    bench.run(millis(0));
    let kinds: Vec<_> = bench.said.iter().map(|(_, _, body)| body.kind()).collect();
    assert_eq!(kinds, [Kind::CookieReply, Kind::Report]);
    let Body::CookieReply(reply) = &bench.said[0].2 else { unreachable!() };
    assert_eq!((reply.cookie, reply.subscriber), (42, WHO));
}

#[test]
fn a_challenge_of_the_group_or_for_another_is_not_answered() {
    let mut bench = Bench::new();
    bench.run(millis(6));
    bench.said.clear();
    bench.hear(Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: 42 }));
    let other = CookieChallenge { subscriber: SubscriberId(1), cookie: 42 };
    bench.hear_via(Via::Feedback, Body::CookieChallenge(other));
    assert_eq!((bench.discarded(Discard::Direction), bench.said.len()), (2, 0));
}

#[test]
fn a_flood_of_challenges_is_not_kept_without_bound() {
    let mut bench = Bench::new();
    let challenge = Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: 42 });
    let packet = bench.packet(challenge, Via::Feedback);
    for _ in 0..10_000 {
        bench.receiver.handle_packet(&packet, Via::Feedback, source(), bench.now);
    }
    assert!(bench.receiver.control.len() <= 256);
}

#[test]
fn feedback_goes_where_the_announce_says() {
    let elsewhere: SocketAddr = "10.0.0.9:7000".parse().unwrap();
    let mut bench = Bench::joined(|_| {}, |announce| announce.feedback = Some(elsewhere));
    bench.run(millis(6));
    assert!(bench.said.iter().all(|(_, to, _)| *to == elsewhere));
}

#[test]
fn a_report_says_where_it_stands_and_what_it_has_room_for() {
    let mut bench = Bench::known_to_ask(32);
    for seq in [0, 1, 3] {
        bench.data(seq);
    }
    bench.number += 7; // datagrams that nobody heard
    bench.data(4);
    bench.run(millis(200));
    let report = bench.reports().last().copied().cloned().unwrap();
    assert_eq!((report.next, report.highest, report.received), (Seq(2), Seq(5), 4));
    assert_eq!((report.losses.wire, report.state), (7, ReportState::Live));
    assert!(report.limit > Seq(5) && report.limit <= Seq(2 + WINDOW));
}

#[test]
fn the_echo_and_the_time_it_was_held_give_the_round_trip() {
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    let sent_at = bench.now.before(WAY).to_wire();
    bench.run(millis(200));
    let (at, report) = bench
        .said
        .iter()
        .find_map(
            |(at, _, body)| {
                if let Body::Report(report) = body { Some((*at, report)) } else { None }
            },
        )
        .unwrap();
    assert_eq!(report.echo, sent_at);
    let round_trip = at.to_wire().since(report.echo) - i32::try_from(report.hold_us).unwrap();
    assert_eq!(round_trip, 1_000, "the way here; the way back is still to come");
}

#[test]
fn a_small_audience_reports_at_once_when_it_is_asked_to() {
    let mut bench = Bench::known(|_| {});
    bench.run(millis(50));
    bench.said.clear();
    let mut packet = bench.packet(Body::Heartbeat(heartbeat(0, 0)), Via::Group);
    packet.header.flags = FLAG_REPORT_WANTED;
    bench.take(&packet, Via::Group);
    bench.run(millis(5));
    assert_eq!(bench.reports().len(), 1);
}

#[test]
fn reports_of_a_large_audience_are_rare() {
    let told = Announce {
        group_size: GroupSize::of(3_200).0,
        poll: Poll { report_ms: 10_000, ..Poll::default() },
        ..announce()
    };
    let (group_size, poll) = (told.group_size, told.poll);
    let mut bench =
        Bench::joined(|_| {}, |announce| (announce.group_size, announce.poll) = (group_size, poll));
    bench.prove();
    for _ in 0..100 {
        bench.run(Duration::from_secs(1));
        bench.hear(Body::Announce(told.clone()));
    }
    assert!((5..=20).contains(&bench.reports().len()), "{} in 100 s", bench.reports().len());
}

#[test]
fn the_end_is_reported_at_once_whole_or_not() {
    for (lost, state) in [(false, ReportState::Complete), (true, ReportState::Incomplete)] {
        let mut bench = Bench::known(|_| {});
        bench.data(0);
        if lost {
            bench.hear(refused(RefusedReason::TooLate, 2, &[range(1, 2)]));
        } else {
            bench.data(1);
        }
        bench.run(millis(30));
        bench.said.clear();
        bench.end(2);
        bench.run(millis(0));
        let reports = bench.reports();
        assert_eq!((reports[0].state, reports[0].given_up), (state, u64::from(lost)));
    }
}

#[test]
fn goodbye_is_said_three_times() {
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    bench.receiver.leave(ByeReason::Left, bench.now);
    bench.settle();
    assert!(!bench.receiver.has_left());
    bench.run(millis(100));
    assert_eq!(bench.count(Kind::Bye), 3);
    assert!(bench.receiver.has_left());
    let Some((_, _, Body::Bye(bye))) = bench.said.last() else { panic!() };
    assert_eq!((bye.reason, bye.next), (ByeReason::Left, Seq(1)));
}

#[test]
fn who_follows_nothing_has_nobody_to_say_goodbye_to() {
    let mut bench = Bench::idle(|_| {});
    bench.receiver.leave(ByeReason::Left, bench.now);
    assert!(bench.receiver.has_left() && bench.receiver.poll_timeout().is_none());
}

#[test]
fn what_the_kernel_dropped_was_not_lost_on_the_wire() {
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    bench.receiver.on_kernel_drops(3);
    bench.number += 5;
    bench.data(1);
    bench.run(millis(200));
    let stats = bench.receiver.stats();
    assert_eq!((stats.kernel_drops, stats.wire_lost), (3, 2));
}

#[test]
fn it_says_so_when_heartbeats_come_and_data_does_not() {
    let mut bench = Bench::known(|_| {});
    for lead in 1..=5 {
        bench.heartbeat(0, lead * 10);
    }
    let told = bench.events.iter().filter(|event| matches!(event, Event::MtuSuspected { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [&Event::MtuSuspected { datagram_len: CODED_LEN + 32 }]);
}

#[test]
fn every_kind_is_counted_once() {
    let mut bench = Bench::known(|_| {});
    for sample in wire::every_kind() {
        bench.hear(sample.body.clone());
        bench.hear_via(Via::Feedback, sample.body);
    }
    bench.adds_up();
}
