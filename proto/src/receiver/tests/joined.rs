//! What comes in one buffer is taken as it would be one by one.

use proptest::prelude::*;

use super::*;
use crate::receiver::Joined;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// The next data packet; the block is said to be closed or not.
    Next(bool),
    /// So many are lost before the next.
    Lose(u64),
    /// One that came, or was lost.
    Earlier(u64),
    Parity(u8),
    Foreign,
    Heartbeat,
    Later(u64),
    End,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => Just(Op::Next(true)),
        4 => Just(Op::Next(false)),
        2 => (1..20_u64).prop_map(Op::Lose),
        3 => (1..30_u64).prop_map(Op::Earlier),
        3 => (0..3_u8).prop_map(Op::Parity),
        1 => Just(Op::Foreign),
        1 => Just(Op::Heartbeat),
        6 => (0..40_u64).prop_map(Op::Later),
        1 => Just(Op::End),
    ]
}

/// What the publisher sends: times at which buffers come, and the datagrams in them.
fn sent(ops: &[Op], depth_log2: u8) -> Vec<(Duration, Vec<Vec<u8>>)> {
    let mut from = Bench::new();
    let (mut next, mut buffers) = (0, vec![(Duration::ZERO, Vec::new())]);
    let place = |seq: u64, k: u8, from: &Bench| {
        let of_block = 8 << depth_log2;
        let start = seq / of_block * of_block + seq % (1 << depth_log2);
        let index = u8::try_from((seq - start) >> depth_log2).unwrap();
        Coded { block: Seq(start).low(), index, k, depth_log2, ..coded(seq, from.now) }
    };
    for op in ops {
        let body = match *op {
            Op::Next(is_closed) => {
                next += 1;
                Body::Data(place(next - 1, if is_closed { 8 } else { 0 }, &from))
            }
            Op::Lose(count) => {
                next += count;
                from.number += count;
                continue;
            }
            Op::Earlier(back) => Body::Data(place(next.saturating_sub(back), 8, &from)),
            Op::Parity(index) => {
                Body::Parity(Coded { index: 8 + index, ..place(next.saturating_sub(1), 8, &from) })
            }
            Op::Foreign => {
                from.session = SessionId(from.session.0 ^ 1);
                Body::Data(place(next, 8, &from))
            }
            Op::Heartbeat => Body::Heartbeat(heartbeat(0, next)),
            Op::Later(ms) => {
                from.now = from.now.after(millis(ms));
                buffers.push((from.now.since(START), Vec::new()));
                continue;
            }
            Op::End => Body::End(End { lead: Seq(next), bytes: 9, sha256: None, aborted: false }),
        };
        let mut datagram = Vec::new();
        wire::encode(&from.packet(body, Via::Group), &mut datagram);
        from.session = SESSION;
        buffers.last_mut().unwrap().1.push(datagram);
    }
    buffers
}

/// Datagrams of one length that follow each other, joined as the kernel joins them: only the last
/// may be shorter.
fn join(datagrams: Vec<Vec<u8>>) -> Vec<(usize, Vec<u8>)> {
    let mut joined: Vec<(usize, Vec<u8>)> = Vec::new();
    for datagram in datagrams {
        match joined.last_mut() {
            Some((len, buffer)) if buffer.len() % *len == 0 && datagram.len() <= *len => {
                buffer.extend(datagram);
            }
            _ => joined.push((datagram.len(), datagram)),
        }
    }
    joined
}

fn check(ops: &[Op], depth_log2: u8, deadline_ms: u32) {
    let bench = || Bench::known(|announce| announce.deadline_ms = deadline_ms);
    let (mut one_by_one, mut together) = (bench(), bench());
    for (at, datagrams) in sent(ops, depth_log2) {
        let wait = START.after(at).since(one_by_one.now);
        for bench in [&mut one_by_one, &mut together] {
            bench.run(wait);
        }
        let now = one_by_one.now;
        for (len, mut buffer) in join(datagrams) {
            for datagram in buffer.clone().chunks_mut(len) {
                one_by_one.receiver.handle_datagram(datagram, Via::Group, source(), now);
            }
            let joined = Joined { bytes: &mut buffer, len };
            together.receiver.handle_joined(joined, Via::Group, source(), now);
            assert_eq!(one_by_one.receiver.stats(), together.receiver.stats());
        }
        one_by_one.settle();
        together.settle();
    }
    for bench in [&mut one_by_one, &mut together] {
        bench.run(Duration::from_secs(20));
    }
    assert_eq!(one_by_one.out, together.out);
    assert_eq!(one_by_one.said, together.said);
    assert_eq!(one_by_one.events, together.events);
    assert_eq!(one_by_one.receiver.stats(), together.receiver.stats());
}

#[test]
fn most_of_what_comes_in_order_is_taken_at_once() {
    let mut bench = Bench::known(|_| {});
    let datagrams = sent(&[Op::Next(true); 64], 0).remove(0).1;
    let mut buffer = datagrams.concat();
    let len = buffer.len() / 64;
    // The first packet of each block tells of it.
    assert_eq!(bench.receiver.take_in_order(&buffer, len, source(), bench.now), 0);
    let (first, rest) = buffer.split_at_mut(len);
    bench.receiver.handle_datagram(first, Via::Group, source(), bench.now);
    assert_eq!(bench.receiver.take_in_order(rest, len, source(), bench.now), 7 * len);
    let joined = Joined { bytes: &mut rest[7 * len..], len };
    bench.receiver.handle_joined(joined, Via::Group, source(), bench.now);
    bench.settle();
    assert_eq!(bench.delivered(), (0..64).collect::<Vec<_>>());
}

#[test]
fn nothing_of_no_length_is_taken() {
    let mut bench = Bench::known(|_| {});
    let joined = Joined { bytes: &mut [1, 2, 3], len: 0 };
    bench.receiver.handle_joined(joined, Via::Group, source(), bench.now);
    assert_eq!(bench.receiver.stats().discarded.total(), 0);
    let joined = Joined { bytes: &mut [1, 2, 3], len: 2 };
    bench.receiver.handle_joined(joined, Via::Group, source(), bench.now);
    assert_eq!(bench.receiver.stats().discarded.total(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_together_is_taken_as_if_one_by_one(
        ops in proptest::collection::vec(op(), 0..300),
        depth_log2 in 0..3_u8,
        deadline_ms in prop_oneof![Just(0), Just(50_u32)],
    ) {
        check(&ops, depth_log2, deadline_ms);
    }
}
