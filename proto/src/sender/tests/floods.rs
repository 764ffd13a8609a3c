//! A hundred thousand strangers, and as many who are none: what is kept of them has a bound.

use super::*;
use crate::wire::{Bye, ByeReason, Discard, FLAG_BY_UNICAST, Need};

const MANY: u32 = 100_000;

fn host(who: u32) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 | who).to_be_bytes(), 6_000))
}

fn stranger(who: u32) -> SubscriberId {
    SubscriberId(1 << 64 | u128::from(who))
}

/// What `body` says, by subscriber `who`.
#[expect(clippy::wildcard_enum_match_arm, reason = "others name no subscriber")]
fn by(who: u32, body: Body) -> Body {
    let subscriber = stranger(who);
    match body {
        Body::Report(report) => Body::Report(Report { subscriber, ..report }),
        Body::Nak(nak) => Body::Nak(Nak { subscriber, ..nak }),
        Body::Register(register) => Body::Register(Register { subscriber, ..register }),
        Body::CookieReply(reply) => Body::CookieReply(CookieReply { subscriber, ..reply }),
        Body::CatchUpRequest(request) => {
            Body::CatchUpRequest(CatchUpRequest { subscriber, ..request })
        }
        Body::Bye(bye) => Body::Bye(Bye { subscriber, ..bye }),
        other => other,
    }
}

fn everything(who: u32, now: Timestamp) -> [Body; 7] {
    let first = u64::from(who) * 8;
    let needs = List::truncated((0..64).map(|n| Need { block: Seq(first + n * 8), count: 200 }));
    let ranges = [SeqRange::new(Seq(first), Seq(first + 4_000))].map(Range::from_seqs);
    let manifests = List::truncated(ranges);
    let count = Nak { subscriber: id(1), ranges: List::truncated(ranges), needs, manifests };
    [
        register(1),
        cookie_reply(1, u128::from(who)),
        live(1, first, first + 9, now),
        nak(1, &[(first, first + 9), (first + 20, first + 5_000)]),
        Body::Nak(count),
        catch_up(1, 0, first),
        Body::Bye(Bye { subscriber: id(1), reason: ByeReason::Left, next: Seq(first) }),
    ]
}

/// All tables, whoever filled them.
fn is_bounded(bench: &Bench) {
    let (sender, window) = (&bench.sender, bench.sender.window_len());
    let rows = sender.audience.rows().count();
    assert!(rows <= 10_000, "audience: {rows}");
    assert!(sender.members.len() <= rows, "members: {}", sender.members.len());
    assert!(sender.budget.askers.len() <= 256, "askers: {}", sender.budget.askers.len());
    let (told, told_by) = sender.census.kept();
    assert!(told <= 1_024 && told_by <= 1_024, "census: {told}, {told_by}");
    assert!(sender.control.len() <= 4_096, "control: {}", sender.control.len());
    assert!(sender.repair.len() as u64 <= window, "repair: {}", sender.repair.len());
    assert!(sender.parity.len() as u64 <= window + 8, "parity: {}", sender.parity.len());
    let few = sender.few.len() as u64;
    assert!(few <= window * 10, "few: {few}");
}

fn busy(special: impl FnOnce(&mut SenderConfig)) -> Bench {
    let mut bench = Bench::new(|config| {
        config.retain = ByteCount(64 << 10);
        special(config);
    });
    bench.push(300);
    bench.run(millis(1_500));
    bench.sent.clear();
    bench.bursts.clear();
    bench.events();
    bench
}

#[test]
fn whatever_strangers_say_little_is_kept_of_it() {
    let mut bench = busy(|_| {});
    for who in 0..MANY {
        for body in everything(who, bench.now) {
            bench.hear_from(host(who), by(who, body));
        }
        if who % 10_000 == 0 {
            is_bounded(&bench);
            bench.run(millis(1));
            bench.sent.clear();
        }
    }
    is_bounded(&bench);
    assert_eq!(bench.sender.audience().rows().count(), 0, "none of them has proved anything");
    assert_eq!(bench.sender.events.len(), 0, "and nothing is told of them");
    assert!(bench.sender.stats().discarded.get(Discard::TableFull) > 0);
}

#[test]
fn those_who_proved_where_they_are_fill_no_more_than_their_table() {
    let mut bench = busy(|config| config.flow.repair_unicast_below = 10);
    // Twice what the table takes: it is looked at as a whole for each of them.
    for who in 0..20_000 {
        // A thousand hosts: one alone does not get so far.
        let (from, subscriber) = (host(who % 1_000), stranger(who));
        let cookie = bench.sender.cookies.bake(subscriber, from, bench.now);
        let mut reply = packet(by(who, cookie_reply(1, cookie)));
        reply.header.flags = FLAG_BY_UNICAST;
        bench.sender.handle_packet(&reply, from, bench.now);
        // What each says has the whole table looked at: some of them speak for all.
        if who % 100 == 0 {
            for body in everything(who / 100, bench.now).into_iter().skip(2).take(4) {
                bench.hear_from(from, by(who, body));
            }
        }
        // Every third one goes, and its place is taken.
        if who % 3 == 0 {
            let bye = Bye { subscriber, reason: ByeReason::Left, next: Seq(0) };
            bench.hear_from(from, Body::Bye(bye));
        }
        bench.events();
        if who % 5_000 == 0 {
            is_bounded(&bench);
        }
    }
    is_bounded(&bench);
    assert_eq!(bench.sender.audience().rows().count(), 10_000);
}

#[test]
fn one_name_told_of_by_many_hosts_is_kept_once() {
    let mut bench = busy(|_| {});
    let asked = (0..MANY).find(|who| bench.sender.census.sample_half(stranger(*who))).unwrap();
    for who in 0..MANY {
        bench.hear_from(host(who), by(asked, live(1, 0, 99, bench.now)));
    }
    assert!(bench.sender.census.kept().1 > 0, "it was asked");
    is_bounded(&bench);
}
