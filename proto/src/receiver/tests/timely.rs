use super::*;

const DEADLINE: Duration = Duration::from_millis(100);

fn timely() -> Bench {
    Bench::known(|announce| announce.deadline_ms = 100)
}

#[test]
fn what_is_here_waits_exactly_until_its_own_deadline() {
    let mut bench = timely();
    bench.data(0);
    bench.run(millis(5));
    bench.data(2);
    let arrived = bench.now;
    bench.run(DEADLINE - Duration::from_nanos(1));
    assert_eq!(bench.delivered(), [0]);
    bench.run(Duration::from_nanos(1));
    assert_eq!((bench.delivered(), bench.now.since(arrived)), (vec![0, 2], DEADLINE));
    assert_eq!(bench.gaps(), [Gap { range: range(1, 2), cause: GapCause::Deadline }]);
    assert_eq!(bench.receiver.stats().lost_deadline, 1);
}

#[test]
fn a_repair_reckons_from_when_the_packet_was_first_sent() {
    let mut bench = timely();
    bench.data(0);
    bench.run(millis(60));
    bench.repair(5, millis(40), Via::Group);
    bench.run(millis(60));
    assert_eq!(bench.delivered(), [0, 5]);
    assert_eq!(bench.gaps(), [Gap { range: range(1, 5), cause: GapCause::Deadline }]);
}

#[test]
fn a_repair_behind_an_older_gap_hurries_it() {
    let mut bench = timely();
    bench.run(millis(80));
    bench.data(5); // misses 0..5 until 100 ms from now
    bench.repair(3, millis(70), Via::Group);
    bench.run(millis(30));
    assert_eq!(bench.delivered(), [3], "it is not kept longer than it may be");
    bench.run(millis(70));
    assert_eq!(bench.delivered(), [3, 5]);
}

#[test]
fn the_stream_never_stalls_longer_than_the_deadline() {
    let mut bench = timely();
    let mut rng = fastrand::Rng::with_seed(4);
    let mut sent_at = Vec::new();
    for seq in 0..3_000 {
        sent_at.push(bench.now);
        if rng.u8(0..10) > 0 {
            bench.data(seq);
        }
        let before = bench.out.len();
        bench.run(millis(1));
        for delivered in &bench.out[before..] {
            if let Delivered::Payload(payload) = delivered {
                let at = usize::try_from(payload.range.first.0).unwrap();
                assert!(bench.now.since(sent_at[at]) <= DEADLINE + millis(1), "{}", payload.range);
            }
        }
    }
    bench.run(DEADLINE);
    let lost: u64 = bench.gaps().iter().map(|gap| gap.range.len()).sum();
    assert_eq!(lost + bench.delivered().len() as u64, 3_000);
}

#[test]
fn the_clocks_of_sender_and_receiver_need_not_agree() {
    let mut bench = Bench::idle(|_| {});
    bench.now = Timestamp::from_secs(90_000); // beyond the wrap of the wire's clock
    bench.hear(Body::Announce(Announce { deadline_ms: 100, ..announce() }));
    bench.data(0);
    bench.data(2);
    bench.run(DEADLINE);
    assert_eq!(bench.delivered(), [0, 2]);
}

#[test]
fn one_that_joins_late_does_not_wait_for_what_is_past() {
    let mut bench = Bench::joined(
        |_| {},
        |announce| {
            (announce.deadline_ms, announce.lead) = (100, Seq(5_000));
        },
    );
    bench.run(millis(20));
    bench.data(1_999);
    bench.run(millis(100));
    assert_eq!(bench.delivered(), [1_999]);
    assert_eq!(bench.receiver.stats().catch_ups, 0);
}

#[test]
fn the_subscribers_own_deadline_comes_before_the_announced_one() {
    let mut bench = Bench::joined(
        |config| config.delivery = Some(Delivery::Timely(millis(20))),
        |announce| announce.deadline_ms = 100,
    );
    bench.data(1);
    bench.run(millis(20));
    assert_eq!(bench.delivered(), [1]);
}

#[test]
fn the_last_packets_lost_are_passed_over_too() {
    let mut bench = timely();
    bench.data(0);
    bench.end(4);
    bench.run(DEADLINE);
    let ending = bench.ending().map(|ending| ending.lost_packets);
    assert_eq!((bench.delivered(), ending), (vec![0], Some(3)));
}
