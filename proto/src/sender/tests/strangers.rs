use super::*;
use crate::wire::{Bye, ByeReason, Discard, KeyRequest};

fn every_kind_a_stranger_can_send() -> Vec<Body> {
    let own = [
        register(7),
        cookie_reply(7, 12),
        live(7, 0, 99, START),
        nak(7, &[]),
        nak(7, &[(0, 1)]),
        nak(7, &[(0, 50), (60, 90)]),
        catch_up(7, 0, 100),
        Body::Bye(Bye { subscriber: id(7), reason: ByeReason::Left, next: Seq(0) }),
        Body::KeyRequest(KeyRequest { subscriber: id(7), have_epoch: 0, nonce: 0 }),
    ];
    let senders = wire::every_kind().into_iter().map(|packet| packet.body);
    own.into_iter().chain(senders).collect()
}

#[test]
fn nothing_that_a_stranger_sends_is_answered_by_unicast_with_more_than_it_was() {
    for body in every_kind_a_stranger_can_send() {
        let mut bench = Bench::new(|_| {});
        bench.push(100);
        bench.run(millis(50));
        bench.sent.clear();
        let mut datagram = Vec::new();
        wire::encode(&packet(body.clone()), &mut datagram);
        let received = datagram.len();
        bench.sender.handle_datagram(&mut datagram, address(7), bench.now);
        bench.run(Duration::from_secs(1));
        let unicast: Vec<_> =
            bench.sent.iter().filter(|sent| sent.to != Destination::Group).collect();
        let answered: usize = unicast.iter().map(|sent| sent.len).sum();
        let kind = body.kind().name();
        assert!(answered <= received, "{kind}: {answered} for {received}");
        let challenges_only =
            unicast.iter().all(|sent| sent.packet.header.kind == Kind::CookieChallenge);
        assert!(challenges_only && unicast.len() <= 1, "{kind}");
        assert!(unicast.iter().all(|sent| sent.to == Destination::Unicast(address(7))), "{kind}");
    }
}

#[test]
fn a_cookie_is_good_for_one_subscriber_at_one_address() {
    let mut bench = Bench::new(|_| {});
    bench.hear(1, register(1));
    bench.drain();
    let Body::CookieChallenge(challenge) = bench.of_kind(Kind::CookieChallenge)[0].packet.body
    else {
        unreachable!()
    };
    bench.hear(2, cookie_reply(1, challenge.cookie));
    bench.hear(1, cookie_reply(2, challenge.cookie));
    bench.hear(1, cookie_reply(1, challenge.cookie ^ 1));
    assert!(bench.sender.audience().is_empty());
    assert_eq!(bench.sender.stats().discarded.get(Discard::Unproven), 3);
    bench.hear(1, cookie_reply(1, challenge.cookie));
    assert_eq!((bench.sender.audience().len(), bench.sender.stats().joins), (1, 1));
}

#[test]
fn who_speaks_from_another_address_than_it_proved_is_a_stranger() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(10);
    bench.run(millis(50));
    bench.sent.clear();
    for body in [catch_up(1, 0, 9), live(1, 10, 99, bench.now)] {
        bench.hear(2, body);
        bench.run(millis(50));
    }
    let bye = Bye { subscriber: id(1), reason: ByeReason::Left, next: Seq(0) };
    bench.hear(2, Body::Bye(bye));
    assert_eq!((bench.count(Kind::Repair), bench.count(Kind::CatchUpAccept)), (0, 0));
    assert_eq!(bench.count(Kind::CookieChallenge), 2);
    assert_eq!(bench.sender.audience().len(), 1, "it cannot be made to leave");
}

#[test]
fn what_is_not_of_this_stream_session_or_direction_is_counted_and_dropped() {
    let mut bench = Bench::new(|_| {});
    let mut foreign = packet(register(1));
    foreign.header.stream = StreamId(4);
    bench.sender.handle_packet(&foreign, address(1), bench.now);
    let mut foreign = packet(register(1));
    foreign.header.session = SessionId(1);
    bench.sender.handle_packet(&foreign, address(1), bench.now);
    for sample in wire::every_kind() {
        bench.hear(1, sample.body);
    }
    let stats = bench.sender.stats();
    assert_eq!(stats.discarded.get(Discard::ForeignStream), 1);
    assert_eq!(stats.discarded.get(Discard::ForeignSession), 1);
    assert_eq!(stats.discarded.get(Discard::Direction), 14);
    assert_eq!(stats.received.total().datagrams + stats.discarded.total(), 22);
}

#[test]
fn a_flood_of_questions_is_not_kept_without_bound() {
    let mut bench = Bench::new(|_| {});
    for who in 0..20_000_u32 {
        let from = SocketAddr::from((who.to_be_bytes(), 9));
        bench.hear_from(from, register(1));
    }
    bench.drain();
    assert_eq!(bench.count(Kind::CookieChallenge), 4_096);
    assert_eq!(bench.sender.stats().discarded.get(Discard::TableFull), 20_000 - 4_096);
}

#[test]
fn a_full_table_takes_the_place_of_who_is_gone_and_never_of_who_is_there() {
    let mut bench = Bench::new(|_| {});
    let join = |bench: &mut Bench, who: u128| {
        // Ten hosts: one alone does not get so far.
        let host = u8::try_from(who % 10).unwrap() + 1;
        let (from, subscriber) = (address(host), SubscriberId(who));
        let cookie = bench.sender.cookies.bake(subscriber, from, bench.now);
        bench.hear_from(from, Body::CookieReply(CookieReply { subscriber, cookie, name: name(1) }));
    };
    for who in 1..=10_000 {
        join(&mut bench, who);
    }
    join(&mut bench, 10_001);
    assert_eq!(bench.sender.stats().joins, 10_000);
    assert_eq!(bench.sender.stats().discarded.get(Discard::TableFull), 1);
    let bye = Bye { subscriber: SubscriberId(5), reason: ByeReason::Done, next: Seq(0) };
    bench.hear(6, Body::Bye(bye));
    join(&mut bench, 10_002);
    join(&mut bench, 10_003);
    assert_eq!(bench.sender.stats().joins, 10_001);
    assert_eq!(bench.sender.audience().rows().count(), 10_000);
}
