//! Anything at all, at any time.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Data(u64),
    Repair(u64, bool),
    Said { what: u8, first: u64, len: u64 },
    Restart(u64),
    Sample { which: usize, flip: Option<(usize, u8)>, stranger: bool },
    Stuck(bool),
    Kernel(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let near =
        prop_oneof![6 => 0..60_u64, 2 => 0..6_000_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    prop_oneof![
        4 => (0..40_000_000_u64).prop_map(Op::Wait),
        1 => (0..4_000_000_000_u64).prop_map(Op::Wait),
        8 => near.clone().prop_map(Op::Data),
        4 => (near.clone(), any::<bool>()).prop_map(|(seq, unicast)| Op::Repair(seq, unicast)),
        6 => (0..8_u8, near.clone(), near)
            .prop_map(|(what, first, len)| Op::Said { what, first, len }),
        1 => (0..4_u64).prop_map(Op::Restart),
        3 => (0..20_usize, proptest::option::of((0..200_usize, any::<u8>())), any::<bool>())
            .prop_map(|(which, flip, stranger)| Op::Sample { which, flip, stranger }),
        1 => any::<bool>().prop_map(Op::Stuck),
        1 => (0..50_u64).prop_map(Op::Kernel),
    ]
}

fn said(bench: &mut Bench, what: u8, first: u64, len: u64) {
    let run = range(first, first.saturating_add(len));
    match what {
        0 => bench.heartbeat(first, run.end.0),
        1 => bench.heartbeat(0, first),
        2 => bench.end(first),
        3 => bench.hear(ncf(&[run, range(0, 9)])),
        4 => bench.hear(refused(RefusedReason::TooLate, first / 2, &[run])),
        5 => bench.hear_via(Via::Feedback, accept(first, run.end.0, first)),
        6 => {
            let challenge = CookieChallenge { subscriber: WHO, cookie: 1 };
            bench.hear_via(Via::Feedback, Body::CookieChallenge(challenge));
        }
        _ => bench.hear(Body::Announce(Announce { trail: run.first, lead: run.end, ..announce() })),
    }
}

fn apply(bench: &mut Bench, op: Op) {
    match op {
        Op::Wait(nanos) => bench.run(Duration::from_nanos(nanos)),
        Op::Data(seq) => bench.data(seq),
        Op::Repair(seq, unicast) => {
            bench.repair(seq, millis(7), if unicast { Via::Feedback } else { Via::Group });
        }
        Op::Said { what, first, len } => said(bench, what, first, len),
        Op::Restart(newer) => {
            bench.session = SessionId(bench.session.0 + 1);
            let lead = Seq(newer * 700);
            bench.hear(Body::Announce(Announce { started_us: 100 + newer, lead, ..announce() }));
        }
        Op::Sample { which, flip, stranger } => {
            let body = wire::every_kind().swap_remove(which).body;
            let mut datagram = Vec::new();
            wire::encode(&bench.packet(body, Via::Group), &mut datagram);
            if let Some((at, with)) = flip {
                let at = at % datagram.len();
                datagram[at] ^= with;
            }
            let from = if stranger { other_host() } else { source() };
            bench.given += 1;
            bench.receiver.handle_datagram(&mut datagram, Via::Group, from, bench.now);
            bench.settle();
        }
        Op::Stuck(stuck) => {
            bench.stuck = stuck;
            bench.settle();
        }
        Op::Kernel(total) => bench.receiver.on_kernel_drops(total),
    }
}

/// After all that is due was done, nothing is due.
fn comes_to_rest(bench: &mut Bench) {
    for _ in 0..4 {
        bench.receiver.handle_timeout(bench.now);
        bench.settle();
    }
    let due = bench.receiver.poll_timeout();
    assert!(due.is_none_or(|(due, _)| due > bench.now), "{due:?} at {}", bench.now);
}

/// Each packet of a session once, in order, and between them exactly the gaps.
fn is_in_order(out: &[Delivered]) {
    let (mut next, mut ended, mut whole) = (Seq(0), false, true);
    // A packet may hold many messages or none, but always bytes.
    let comes = |seq: Seq, next: Seq, whole: bool| if whole { seq == next } else { seq >= next };
    for delivered in out {
        match delivered {
            Delivered::Session(info) => {
                (next, ended, whole) = (info.first, false, info.mode == StreamMode::Bytes);
            }
            Delivered::Payload(payload) => {
                assert!(payload.range.first == next && whole && !ended, "{payload:?}, not {next}");
                next = payload.range.end;
            }
            Delivered::Row(row) => {
                assert!(row.range.first >= next && !whole && !ended, "{row:?}, not {next}");
                next = row.range.end;
            }
            Delivered::Gap(gap) => {
                assert!(comes(gap.range.first, next, whole) && !ended, "{gap:?}, not {next}");
                assert!(!gap.range.is_empty());
                next = gap.range.end;
            }
            Delivered::End(ending) => {
                assert!(!ended && (next >= ending.lead || !whole));
                ended = true;
            }
        }
    }
}

fn is_bounded(bench: &Bench) {
    let receiver = &bench.receiver;
    assert!(receiver.control.len() <= 256);
    // A hostile announce may say shorter packets, so that more of them fit.
    assert!(receiver.status().held <= WINDOW * 200 / 48);
    let gaps = receiver.session.as_ref().map_or(0, |session| session.gaps.len());
    assert!(gaps as u64 <= WINDOW * 200 / 48);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_it_is_in_order_and_does_not_panic_grow_or_spin(
        ops in proptest::collection::vec(op(), 1..150),
        deadline_ms in prop_oneof![Just(0_u32), Just(100)],
        live in any::<bool>(),
        mute in any::<bool>(),
        audience in prop_oneof![Just(1_u64), Just(1_000)],
    ) {
        let mut bench = Bench::joined(
            |config| {
                config.start = if live { Start::Live } else { Start::Oldest };
                config.mute = mute;
            },
            |announce| {
                (announce.deadline_ms, announce.lead) = (deadline_ms, Seq(40));
                announce.group_size = GroupSize::of(audience).0;
            },
        );
        for op in ops {
            apply(&mut bench, op);
            comes_to_rest(&mut bench);
            is_bounded(&bench);
            bench.adds_up();
        }
        bench.stuck = false;
        bench.settle();
        bench.adds_up();
        is_in_order(&bench.out);
        prop_assert!(!mute || bench.said.is_empty());
    }
}
