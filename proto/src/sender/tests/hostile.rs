//! Anything at all, at any time.

use proptest::prelude::*;

use super::*;
use crate::wire::{Bye, ByeReason};

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Push(usize),
    Flush,
    Close,
    Hear { who: u8, what: u8, first: u64, len: u64 },
    Sample { which: usize, flip: Option<(usize, u8)> },
    Reply(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let near = prop_oneof![0..200_u64, Just(u64::MAX), Just(u64::MAX / 2), any::<u64>()];
    prop_oneof![
        3 => (0..60_000_000_u64).prop_map(Op::Wait),
        1 => (0..5_000_000_000_u64).prop_map(Op::Wait),
        3 => (0..3_000_usize).prop_map(Op::Push),
        1 => Just(Op::Flush),
        1 => prop_oneof![9 => Just(Op::Flush), 1 => Just(Op::Close)],
        8 => (0..6_u8, 0..8_u8, near.clone(), near)
            .prop_map(|(who, what, first, len)| Op::Hear { who, what, first, len }),
        2 => (0..20_usize, proptest::option::of((0..200_usize, any::<u8>())))
            .prop_map(|(which, flip)| Op::Sample { which, flip }),
        2 => (0..6_u8).prop_map(Op::Reply),
    ]
}

fn said(what: u8, who: u8, first: u64, len: u64, now: Timestamp) -> Body {
    let end = first.saturating_add(len);
    match what {
        0 => register(who),
        1 => nak(who, &[(first, end)]),
        2 => nak(who, &[(first, end), (first / 2, first), (0, 3)]),
        3 => live(who, first, end, now),
        4 => report(who, first, end, ReportState::CatchingUp, now),
        5 => catch_up(who, first, end),
        6 => report(who, first, end, ReportState::Complete, now),
        _ => Body::Bye(Bye { subscriber: id(who), reason: ByeReason::Left, next: Seq(first) }),
    }
}

fn apply(bench: &mut Bench, op: Op) {
    match op {
        Op::Wait(nanos) => bench.run(Duration::from_nanos(nanos)),
        Op::Push(len) => {
            let refused = bench.sender.push(Bytes::from(vec![0; len]), bench.now).is_err();
            assert!(!refused || !bench.sender.has_room());
        }
        Op::Flush => bench.sender.flush(bench.now),
        Op::Close => bench.sender.close(None, false, bench.now),
        Op::Hear { who, what, first, len } => {
            bench.hear(who, said(what, who, first, len, bench.now))
        }
        Op::Sample { which, flip } => {
            let mut sample = wire::every_kind().swap_remove(which);
            sample.header.stream = STREAM;
            sample.header.session = SESSION;
            let mut datagram = Vec::new();
            wire::encode(&sample, &mut datagram);
            if let Some((at, with)) = flip {
                let at = at % datagram.len();
                datagram[at] ^= with;
            }
            bench.sender.handle_datagram(&mut datagram, address(1), bench.now);
        }
        Op::Reply(who) => {
            let cookie = bench.sender.cookies.bake(id(who), address(who), bench.now);
            bench.hear(who, cookie_reply(who, cookie));
        }
    }
}

/// After all that is due was done, nothing is due.
fn comes_to_rest(bench: &mut Bench) {
    for _ in 0..4 {
        bench.drain();
    }
    let due = bench.sender.poll_timeout();
    assert!(due.is_none_or(|(due, _)| due > bench.now), "{due:?} at {}", bench.now);
}

fn is_bounded(bench: &Bench) {
    assert!(bench.sender.control.len() <= 4_096);
    assert!(bench.sender.window_len() * PAYLOAD as u64 <= (64 << 10) + 50_000);
    assert!(bench.sender.repair.len() <= bench.sender.window_len().try_into().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_it_does_not_panic_grow_or_spin(
        ops in proptest::collection::vec(op(), 1..120),
        auto in any::<bool>(),
        timely in any::<bool>(),
    ) {
        let mut bench = Bench::new(|config| {
            config.retain = ByteCount(64 << 10);
            if auto {
                config.rate = None;
            }
            if timely {
                config.delivery = Delivery::Timely(millis(100));
            }
        });
        for op in ops {
            apply(&mut bench, op);
            comes_to_rest(&mut bench);
            is_bounded(&bench);
        }
        let groups = bench.sent.iter().filter(|sent| sent.to == Destination::Group);
        prop_assert!(groups.enumerate().all(|(at, sent)| sent.packet.header.number == at as u64));
        let data: Vec<_> = bench.of_kind(Kind::Data).into_iter().map(seq).collect();
        prop_assert!(data.iter().copied().eq(0..data.len() as u64), "each once, in order");
    }
}

/// Found by fuzzing: one that is known can say any numbers.
#[test]
fn a_report_of_more_packets_than_can_be_counted_is_taken() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    for (received, wire) in [(1, 1), (u64::MAX, u64::MAX), (0, 0), (u64::MAX, 1)] {
        let Body::Report(mut report) = live(1, 0, 100, bench.now) else { unreachable!() };
        (report.received, report.losses.wire) = (received, wire);
        bench.hear(1, Body::Report(report));
        bench.run(millis(100));
    }
    assert_eq!(bench.sender.stats().received.get(Kind::Report).datagrams, 4);
    assert!(bench.sender.audience().rows().all(|row| row.measured_loss().is_finite()));
}
