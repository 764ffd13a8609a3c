use super::*;
use crate::wire::FLAG_BY_UNICAST;

fn asking() -> Bench {
    let mut bench = Bench::idle(|_| {});
    bench.receiver.ask_by_unicast(Some(source()), START);
    bench
}

fn challenge() -> Body {
    Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: 11 })
}

#[test]
fn who_knows_no_session_asks_until_it_is_answered_and_then_follows() {
    let mut bench = asking();
    bench.run(millis(400));
    assert_eq!(bench.count(Kind::Register), 4, "at 0, 50, 150 and 350 ms");
    assert!(bench.said.iter().all(|(_, to, _)| *to == source()));
    bench.hear_via(Via::Feedback, challenge());
    assert_eq!(bench.count(Kind::CookieReply), 1);
    bench.hear_via(Via::Feedback, Body::Announce(announce()));
    assert_eq!(bench.receiver.session(), Some(SESSION), "said by unicast, and believed");
    bench.data(0);
    bench.data(1);
    assert_eq!(bench.delivered(), [0, 1]);
}

#[test]
fn only_who_is_asked_is_answered_or_believed() {
    let mut bench = asking();
    bench.run(millis(1));
    bench.from = other_host();
    bench.hear_via(Via::Feedback, challenge());
    bench.hear_via(Via::Feedback, Body::Announce(announce()));
    assert_eq!(bench.count(Kind::CookieReply), 0);
    assert_eq!(bench.receiver.session(), None);
    assert_eq!(bench.discarded(Discard::ForeignSession), 2);
}

#[test]
fn the_way_that_is_wanted_is_said_with_every_report() {
    let mut bench = Bench::known(|_| {});
    let flags = |bench: &mut Bench| {
        bench.receiver.handle_timeout(bench.now);
        let packets = std::iter::from_fn(|| bench.receiver.poll_packet(bench.now));
        let reports: Vec<Packet> =
            packets.filter(|packet| packet.1.header.kind == Kind::Report).map(|it| it.1).collect();
        reports.iter().map(|report| report.header.flags).collect::<Vec<_>>()
    };
    bench.receiver.ask_by_unicast(Some(source()), bench.now);
    assert_eq!(flags(&mut bench), [FLAG_BY_UNICAST], "at once");
    bench.receiver.ask_by_unicast(None, bench.now);
    assert_eq!(flags(&mut bench), [0], "at once");
}

#[test]
fn a_publisher_that_was_restarted_is_asked_anew() {
    let mut bench = asking();
    bench.hear_via(Via::Feedback, challenge());
    bench.hear_via(Via::Feedback, Body::Announce(announce()));
    bench.run(millis(1_000));
    bench.said.clear();
    bench.run(millis(3_000));
    let asked = bench.said.iter().filter(|(_, _, body)| body.kind() == Kind::Register).count();
    assert!(asked >= 2, "silent for three seconds: {asked}");
    bench.session = SessionId(SESSION.0 + 1);
    bench.hear_via(Via::Feedback, challenge());
    let restarted = Announce { started_us: 200, ..announce() };
    bench.hear_via(Via::Feedback, Body::Announce(restarted));
    assert_eq!(bench.receiver.session(), Some(bench.session));
}
