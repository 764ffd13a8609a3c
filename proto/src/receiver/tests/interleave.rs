use super::*;
use crate::fec;

const DEPTH_LOG2: u8 = 2;
const DEPTH: u64 = 1 << DEPTH_LOG2;
/// Packets of a superblock of four blocks of eight.
const PACKETS: u64 = DEPTH * 8;

/// A data packet of the superblock that starts at `start`; k = 0 where it is not said yet.
fn interleaved(start: u64, seq: u64, k: u8, now: Timestamp) -> Coded {
    let place = seq - start;
    let block = Seq(start + place % DEPTH).low();
    let index = u8::try_from(place / DEPTH).unwrap();
    Coded { block, index, k, depth_log2: DEPTH_LOG2, ..coded(seq, now) }
}

impl Bench {
    fn give(&mut self, start: u64, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.hear(Body::Data(interleaved(start, seq, 8, self.now)));
        }
    }

    /// What was asked for by count: the block's first seq and how many.
    fn needs_of_each(&self) -> Vec<Vec<(u64, u8)>> {
        let naks = self.said.iter().filter_map(|(_, _, body)| {
            let Body::Nak(nak) = body else { return None };
            Some(nak.needs.iter().map(|need| (need.block.0, need.count)))
        });
        naks.map(Iterator::collect).collect()
    }
}

fn many(announce: &mut Announce) {
    announce.group_size = GroupSize::of(8).0;
}

/// All but these.
fn without(range: std::ops::Range<u64>, lost: &[u64]) -> impl Iterator<Item = u64> {
    range.filter(|seq| !lost.contains(seq))
}

#[test]
fn a_burst_is_asked_for_once_the_superblock_is_over_one_packet_of_each_block() {
    let mut bench = Bench::known(many);
    bench.give(0, without(0..PACKETS, &[5, 6, 7, 8]));
    bench.run(millis(100));
    assert!(bench.asked().is_empty(), "{:?}", bench.asked());
    bench.give(PACKETS, PACKETS..PACKETS + 1);
    bench.run(millis(2));
    assert_eq!(bench.asked(), [vec![range(5, 9)]]);
    assert_eq!(bench.needs_of_each(), [vec![(0, 1), (1, 1), (2, 1), (3, 1)]]);
}

#[test]
fn what_is_lost_at_the_seam_waits_for_the_second_round_and_no_longer() {
    let mut bench = Bench::known(many);
    bench.give(0, 0..PACKETS - 1); // the last one of the superblock is lost
    bench.give(PACKETS, PACKETS..PACKETS + DEPTH - 1); // and the last one of the next one's first round
    bench.run(millis(3));
    assert!(bench.asked().is_empty(), "it may be of the superblock that has begun");
    bench.give(PACKETS, PACKETS + DEPTH..PACKETS + DEPTH + 1);
    bench.run(millis(3));
    assert_eq!(bench.asked(), [vec![range(PACKETS - 1, PACKETS)]]);
    assert_eq!(bench.needs_of_each(), [vec![(DEPTH - 1, 1)]]);
}

#[test]
fn without_another_superblock_it_is_asked_for_after_what_one_may_take() {
    let mut bench = Bench::known(many);
    bench.give(0, without(0..20, &[9]));
    bench.run(millis(249));
    assert!(bench.asked().is_empty());
    bench.run(millis(3));
    assert_eq!(bench.asked(), [vec![range(9, 10)]]);
}

#[test]
fn a_confirmation_for_one_block_holds_back_only_what_is_missing_of_it() {
    let mut bench = Bench::known(many);
    bench.give(0, without(0..PACKETS, &[5, 6, 7, 8]));
    bench.give(PACKETS, PACKETS..PACKETS + 1);
    let needs = List::truncated([Need { block: Seq(2), count: 1 }]);
    bench.hear(Body::Ncf(Ncf { ranges: List::new(), needs }));
    bench.run(millis(3));
    assert_eq!(bench.asked(), [vec![range(5, 6), range(7, 9)]]);
    assert_eq!(bench.needs_of_each(), [vec![(0, 1), (1, 1), (3, 1)]]);
    assert_eq!(bench.receiver.stats().naks_suppressed, 1);
}

#[test]
fn one_parity_packet_of_each_block_gives_a_burst_back() {
    let mut bench = Bench::known(many);
    let lost = [1, 9, 10, 12]; // of each block another round, the first of one among them
    let now = bench.now;
    bench.give(0, without(0..PACKETS, &lost));
    bench.give(PACKETS, PACKETS..PACKETS + 1);
    for lane in 0..DEPTH {
        let blocks = (0..8).map(|index| interleaved(0, lane + index * DEPTH, 8, now).body);
        let symbols: Vec<Bytes> = blocks.collect();
        let mut parity = vec![vec![0; symbols[0].len()]];
        fec::encode(&symbols, 0, &mut parity).unwrap();
        bench.hear(Body::Parity(Coded {
            block: Seq(lane).low(),
            index: 8,
            k: 8,
            depth_log2: DEPTH_LOG2,
            body: parity.remove(0).into(),
        }));
    }
    // Two of the lost are of block 1: one parity packet is not enough for it.
    assert_eq!(bench.receiver.stats().packets_recovered, 2);
    bench.repair(9, millis(1), Via::Feedback);
    let nine = interleaved(0, 9, 8, now);
    bench.hear(Body::Repair(nine));
    assert_eq!(bench.delivered(), (0..=PACKETS).collect::<Vec<_>>());
}

#[test]
fn of_blocks_that_nothing_came_of_a_heartbeat_tells_how_long_they_are() {
    let mut bench = Bench::known(many);
    bench.give(0, 0..PACKETS);
    let heartbeat = Heartbeat {
        trail: Seq(0),
        lead: Seq(PACKETS + 6), // closed short: two blocks of two, two of one
        last_block: Seq(PACKETS),
        last_k: 2,
        next_ms: 10,
        grtt_us: 10_000,
        group_size: GroupSize::of(8).0,
        poll: Poll::default(),
    };
    let mut packet = bench.packet(Body::Heartbeat(heartbeat), Via::Group);
    packet.header.flags = DEPTH_LOG2;
    bench.take(&packet, Via::Group);
    bench.run(millis(3));
    assert_eq!(bench.asked(), [vec![range(PACKETS, PACKETS + 6)]]);
    let first = PACKETS;
    assert_eq!(
        bench.needs_of_each(),
        [vec![(first, 2), (first + 1, 2), (first + 2, 1), (first + 3, 1)]]
    );
}
