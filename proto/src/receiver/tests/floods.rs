//! A hundred thousand packets of strangers, or of who forges the publisher's address: what is kept of
//! them has a bound, and no stranger is answered.

use super::*;

const MANY: u64 = 100_000;

fn stranger(number: u64) -> SocketAddr {
    let [.., a, b, c] = number.to_be_bytes();
    SocketAddr::from(([11, a, b, c], 5_000))
}

fn is_bounded(bench: &Bench) {
    let receiver = &bench.receiver;
    assert!(receiver.control.len() <= 256, "control: {}", receiver.control.len());
    assert!(receiver.events.is_empty() && receiver.ready.len() <= 2);
    // A hostile announce may say shorter packets, so that more of them fit.
    let window = WINDOW * 200 / 48;
    assert!(receiver.status().held <= window, "held: {}", receiver.status().held);
    let Some(session) = &receiver.session else { return };
    assert!(session.gaps.len() as u64 <= window, "gaps: {}", session.gaps.len());
    assert!(session.blocks.len() as u64 <= window + 64, "blocks: {}", session.blocks.len());
}

/// Packets of which each says something else.
fn everything(number: u64) -> [Body; 8] {
    let far = number * 640;
    let heartbeat = Heartbeat {
        trail: Seq(0),
        lead: Seq(far + 10_000),
        last_block: Seq(far),
        last_k: 8,
        next_ms: 10,
        grtt_us: 10_000,
        group_size: 0,
        poll: Poll::default(),
    };
    let symbol = Coded { index: 9, k: 8, ..coded(far, START) };
    let started_us = 200 + number;
    [
        Body::Announce(Announce { started_us, lead: Seq(far), ..announce() }),
        Body::Heartbeat(heartbeat),
        Body::Data(Coded { k: 8, ..coded(number * 2, START) }),
        Body::Parity(symbol),
        ncf(&[range(far, far + 9), range(number, number + 9)]),
        refused(RefusedReason::OverBudget, 0, &[range(far, far + 9)]),
        accept(far, far + 100, 0),
        Body::CookieChallenge(CookieChallenge { subscriber: WHO, cookie: u128::from(number) }),
    ]
}

#[test]
fn whatever_strangers_say_nothing_is_kept_and_nobody_answered() {
    let mut bench = Bench::known(|announce| announce.lead = Seq(40));
    bench.said.clear();
    for number in 0..MANY {
        for body in everything(number) {
            for via in [Via::Group, Via::Feedback] {
                let mut packet = bench.packet(body.clone(), via);
                // Of the one that is followed, and of others.
                packet.header.session = SessionId(SESSION.0 + number % 2 * number);
                bench.receiver.handle_packet(&packet, via, stranger(number), bench.now);
            }
        }
        bench.settle();
    }
    is_bounded(&bench);
    assert_eq!(bench.receiver.status().held, 0);
    let session = bench.receiver.session.as_ref().unwrap();
    assert_eq!((session.id, session.blocks.len()), (SESSION, 0));
    assert!(bench.said.iter().all(|(_, to, _)| *to == source()), "{:?}", bench.said);
}

#[test]
fn who_forges_the_publishers_address_fills_no_more_than_the_window() {
    let mut bench = Bench::known(|announce| announce.lead = Seq(40));
    for number in 0..MANY {
        // Another session would be followed: that is another test's.
        for body in everything(number).into_iter().skip(1) {
            bench.hear(body.clone());
            bench.hear_via(Via::Feedback, body);
        }
        if number % 5_000 == 0 {
            bench.run(millis(1));
            is_bounded(&bench);
        }
        bench.said.clear();
        bench.out.clear();
        bench.events.clear();
    }
    is_bounded(&bench);
}

#[test]
fn a_hundred_thousand_sessions_leave_nothing_behind() {
    let mut bench = Bench::new();
    for number in 0..MANY {
        bench.session = SessionId(1_000 + number);
        let newer = Announce { started_us: 1_000 + number, ..announce() };
        bench.hear(Body::Announce(newer));
        bench.data(0);
        bench.data(5);
        bench.out.clear();
        bench.events.clear();
        bench.said.clear();
    }
    is_bounded(&bench);
    assert_eq!(bench.receiver.session(), Some(SessionId(1_000 + MANY - 1)));
}

/// Else more parity is asked for without end: it does not fit what is here, which was counted.
#[test]
fn false_parity_of_another_length_does_not_keep_a_block_from_being_mended() {
    let mut bench = Bench::known(|announce| announce.group_size = 0);
    let parity = |index, len: usize| {
        let body = Bytes::from(vec![index; len]);
        Body::Parity(Coded { index, k: 8, body, ..coded(0, START) })
    };
    for seq in [0, 1, 3, 4, 6, 7, 8, 9] {
        bench.closed(seq);
    }
    bench.hear(parity(8, 40));
    bench.run(millis(100));
    assert!(bench.needs().contains(&need(0, 1)), "it is believed: {:?}", bench.needs());
    bench.hear(parity(9, wire::CODED_PREFIX_LEN + 10));
    bench.said.clear();
    bench.run(millis(2_000));
    assert_eq!(bench.asked().first(), Some(&vec![range(2, 3), range(5, 6)]));
    assert_eq!(bench.needs(), []);
}
