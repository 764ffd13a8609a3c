use super::*;
use crate::wire::ReportState;

/// What was asked for by catch-up.
fn requests(bench: &Bench) -> Vec<SeqRange> {
    let requests = bench.said.iter().filter_map(|(_, _, body)| {
        if let Body::CatchUpRequest(request) = body {
            Some(SeqRange::new(request.from, request.to))
        } else {
            None
        }
    });
    requests.collect()
}

/// One that came when 100..1_800 were kept.
fn late() -> Bench {
    let mut bench = Bench::joined(
        |_| {},
        |announce| {
            (announce.trail, announce.lead) = (Seq(100), Seq(1_800));
        },
    );
    bench.run(millis(6));
    let challenge = CookieChallenge { subscriber: WHO, cookie: 1 };
    bench.hear_via(Via::Feedback, Body::CookieChallenge(challenge));
    bench
}

#[test]
fn what_is_kept_is_asked_for_by_catch_up_as_soon_as_the_publisher_knows_who_asks() {
    let bench = late();
    assert_eq!(requests(&bench), [range(100, 1_800)]);
    let kinds: Vec<_> = bench.said.iter().map(|(_, _, body)| body.kind()).collect();
    assert_eq!(kinds, [Kind::Register, Kind::CookieReply, Kind::CatchUpRequest]);
    let Delivered::Session(info) = &bench.out[0] else { panic!() };
    assert_eq!((info.first, info.missed), (Seq(100), Some(range(0, 100))));
}

#[test]
fn live_and_late_meet_and_everything_comes_in_order() {
    let mut bench = late();
    bench.data(1_800);
    bench.data(1_801);
    assert_eq!(bench.receiver.status().state, ReportState::CatchingUp);
    for seq in 100..1_800 {
        bench.repair(seq, millis(500), Via::Feedback);
    }
    assert!(bench.delivered().into_iter().eq(100..1_802));
    assert_eq!(bench.receiver.status().state, ReportState::Live);
    assert!(bench.events.contains(&Event::CaughtUp));
    bench.end(1_802);
    assert_eq!(bench.ending().map(|ending| ending.lost_packets), Some(100), "what was before it");
}

#[test]
fn what_is_lost_of_a_catch_up_is_asked_for_by_name() {
    let mut bench = late();
    for seq in (100..1_800).filter(|seq| *seq != 150) {
        bench.repair(seq, millis(500), Via::Feedback);
    }
    bench.run(millis(5));
    assert_eq!(bench.asked(), [vec![range(150, 151)]]);
}

#[test]
fn a_catch_up_that_stalls_is_asked_for_again_and_at_last_given_up() {
    let mut bench = late();
    for seq in 100..200 {
        bench.repair(seq, millis(500), Via::Feedback);
    }
    for _ in 0..400 {
        bench.run(millis(100));
        bench.heartbeat(100, 1_800);
    }
    assert_eq!(requests(&bench).len(), 6, "five tries after the first");
    assert!(requests(&bench)[1..].iter().all(|asked| *asked == range(200, 1_800)));
    assert_eq!(bench.gaps(), [Gap { range: range(200, 1_800), cause: GapCause::Unanswered }]);
    assert_eq!(bench.receiver.status().state, ReportState::Live);
}

#[test]
fn what_the_publisher_no_longer_has_is_told_and_passed() {
    let mut bench = late();
    bench.hear_via(Via::Feedback, accept(400, 1_800, 400));
    assert_eq!(bench.gaps(), [Gap { range: range(100, 400), cause: GapCause::LeftWindow }]);
    for seq in 400..1_800 {
        bench.repair(seq, millis(500), Via::Feedback);
    }
    assert!(bench.delivered().into_iter().eq(400..1_800));
    assert_eq!(bench.receiver.status().state, ReportState::Live);
}

#[test]
fn a_catch_up_that_the_trail_overtakes_ends() {
    let mut bench = late();
    bench.heartbeat(1_900, 1_900);
    assert_eq!(bench.receiver.status().state, ReportState::Live);
    bench.data(1_900);
    assert_eq!(bench.delivered(), [1_900]);
}

#[test]
fn a_big_gap_is_no_loss_and_is_given_by_catch_up_and_not_asked_for_by_name() {
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    bench.data(1_500);
    bench.run(millis(50));
    assert_eq!((requests(&bench), bench.asked().len()), (vec![range(1, 1_501)], 0));
    let mut bench = Bench::known(|_| {});
    bench.data(0);
    bench.data(1_025);
    bench.run(millis(2));
    assert_eq!((requests(&bench).len(), bench.asked()), (0, vec![vec![range(1, 1_025)]]));
}

#[test]
fn one_that_wants_what_is_live_asks_for_nothing_before_it() {
    let mut bench = Bench::joined(
        |config| config.start = Start::Live,
        |announce| (announce.trail, announce.lead) = (Seq(100), Seq(1_800)),
    );
    bench.prove();
    bench.data(1_800);
    bench.run(millis(50));
    assert_eq!((bench.delivered(), requests(&bench).len()), (vec![1_800], 0));
    assert!(bench.asked().is_empty());
    let Delivered::Session(info) = &bench.out[0] else { panic!() };
    assert_eq!(info.missed, Some(range(0, 1_800)));
    bench.end(1_801);
    assert_eq!(bench.ending().map(|ending| ending.lost_packets), Some(1_800));
}

#[test]
fn while_it_catches_up_credit_follows_what_was_given() {
    let mut bench = late();
    bench.run(millis(10));
    let report = bench.reports().last().copied().cloned().unwrap();
    assert_eq!((report.state, report.next), (ReportState::CatchingUp, Seq(100)));
    assert!(report.limit > Seq(100) && report.limit <= Seq(100 + WINDOW));
}

#[test]
fn an_accept_by_the_group_or_for_another_is_not_believed() {
    let mut bench = late();
    bench.hear(accept(400, 1_800, 400));
    let mut other = accept(400, 1_800, 400);
    if let Body::CatchUpAccept(accept) = &mut other {
        accept.subscriber = SubscriberId(1);
    }
    bench.hear_via(Via::Feedback, other);
    assert_eq!((bench.discarded(Discard::Direction), bench.gaps().len()), (2, 0));
}
