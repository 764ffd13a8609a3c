use super::*;
use crate::wire::{Bye, ByeReason, Discard, FLAG_BY_UNICAST};

/// What subscriber `who` says, with its wish for unicast.
fn by_unicast(body: Body) -> Packet {
    let mut packet = packet(body);
    packet.header.flags = FLAG_BY_UNICAST;
    packet
}

fn knock(bench: &mut Bench, who: u8, stream: StreamId) {
    let mut packet = packet(register(who));
    packet.header.session = SessionId(0);
    packet.header.stream = stream;
    let mut datagram = Vec::new();
    wire::encode(&packet, &mut datagram);
    bench.sender.handle_knock(&mut datagram.clone(), address(who), bench.now);
    bench.drain();
}

fn cookie(bench: &Bench) -> Option<u128> {
    bench.sent.iter().rev().find_map(|sent| {
        if let Body::CookieChallenge(challenge) = &sent.packet.body {
            Some(challenge.cookie)
        } else {
            None
        }
    })
}

fn members(bench: &Bench) -> Vec<SocketAddr> {
    bench.sender.members().addresses().collect()
}

fn joined(bench: &mut Bench, who: u8) {
    knock(bench, who, StreamId(0));
    let reply = by_unicast(cookie_reply(who, cookie(bench).unwrap()));
    bench.sender.handle_packet(&reply, address(who), bench.now);
}

#[test]
fn who_hears_no_group_becomes_a_member_by_a_cookie_and_hears_of_the_session_first() {
    let mut bench = Bench::new(|config| config.wait_for = 1);
    bench.push(3);
    knock(&mut bench, 1, StreamId(0));
    assert!(members(&bench).is_empty(), "nothing is proven yet");
    bench.sent.clear();
    joined(&mut bench, 1);
    assert_eq!(members(&bench), [address(1)]);
    bench.sent.clear();
    bench.drain();
    let own = bench.sent.iter().position(|sent| {
        sent.packet.header.kind == Kind::Announce && sent.to == Destination::Unicast(address(1))
    });
    let data = bench.sent.iter().position(|sent| sent.packet.header.kind == Kind::Data);
    assert!(own.is_some() && data.is_some() && own < data, "{own:?} {data:?}");
}

#[test]
fn a_knock_names_no_session_and_this_stream_or_none() {
    let mut bench = Bench::new(|_| {});
    knock(&mut bench, 1, StreamId(STREAM.0 + 1));
    assert_eq!(bench.sender.stats().discarded.get(Discard::ForeignStream), 1);
    knock(&mut bench, 1, STREAM);
    assert_eq!(bench.count(Kind::CookieChallenge), 1);
    let mut datagram = Vec::new();
    wire::encode(&packet(register(1)), &mut datagram);
    bench.sender.handle_knock(&mut datagram.clone(), address(1), bench.now);
    assert_eq!(bench.sender.stats().discarded.get(Discard::ForeignSession), 1);
}

#[test]
fn the_last_report_says_by_which_way() {
    let mut bench = Bench::new(|_| {});
    joined(&mut bench, 1);
    let changes = bench.sender.members().changes();
    let (now, from) = (bench.now, address(1));
    bench.sender.handle_packet(&by_unicast(live(1, 0, 9, now)), from, now);
    assert_eq!((members(&bench).len(), bench.sender.members().changes()), (1, changes));
    bench.hear(1, live(1, 0, 9, now));
    assert!(members(&bench).is_empty(), "the group is heard again");
    bench.sender.handle_packet(&by_unicast(live(1, 0, 9, now)), from, now);
    assert_eq!(members(&bench).len(), 1);
    bench.sender.handle_packet(&by_unicast(live(2, 0, 9, now)), address(2), now);
    assert_eq!(members(&bench).len(), 1, "a stranger's wish is none");
}

#[test]
fn who_leaves_or_falls_silent_or_is_let_go_is_no_member() {
    let mut bench = Bench::new(|_| {});
    for who in 1..=3 {
        joined(&mut bench, who);
    }
    assert_eq!(members(&bench).len(), 3);
    let bye = Bye { subscriber: id(1), reason: ByeReason::Left, next: Seq(0) };
    bench.hear(1, Body::Bye(bye));
    let now = bench.now;
    bench.sender.handle_packet(&by_unicast(live(1, 0, 9, now)), address(1), now);
    assert_eq!(members(&bench), [address(2), address(3)], "a late report brings nobody back");
    let mut told = Vec::new();
    bench.sender.let_go_at(address(2), wire::EvictReason::Slow, now, &mut told);
    let told = wire::decode(Bytes::from(told)).unwrap();
    assert_eq!(told.header.kind, Kind::Evict);
    assert_eq!(members(&bench), [address(3)]);
    bench.run(Duration::from_secs(5));
    assert!(members(&bench).is_empty(), "silent");
}
