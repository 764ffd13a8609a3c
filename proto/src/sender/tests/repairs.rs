use super::*;
use crate::wire;

/// A sender with some subscribers that has sent 100 packets of many.
fn under_way(subscribers: u8) -> Bench {
    let mut bench = Bench::new(|config| config.rate = Some(Bitrate(2_000_000)));
    for who in 1..=subscribers {
        bench.admit(who);
    }
    bench.push(500);
    while bench.count(Kind::Data) < 100 {
        bench.run(millis(1));
    }
    bench
}

fn repairs(bench: &Bench) -> Vec<u64> {
    bench.of_kind(Kind::Repair).into_iter().map(seq).collect()
}

#[test]
fn a_nak_is_confirmed_at_once_ahead_of_the_pacer() {
    let mut bench = under_way(9);
    bench.sent.clear();
    bench.hear(1, nak(1, &[(5, 7), (20, 21)]));
    bench.drain();
    let ncf = bench.of_kind(Kind::Ncf);
    assert_eq!((ncf.len(), ncf[0].at, ncf[0].to), (1, bench.now, Destination::Group));
    let Body::Ncf(ncf) = &ncf[0].packet.body else { unreachable!() };
    let ranges: Vec<_> = ncf.ranges.iter().map(|range| (range.first.0, range.count)).collect();
    assert_eq!(ranges, [(5, 2), (20, 1)]);
}

#[test]
fn what_was_asked_for_leaves_before_new_data() {
    let mut bench = under_way(3);
    bench.sent.clear();
    bench.hear(1, nak(1, &[(5, 7), (20, 21)]));
    bench.run(millis(30));
    let after: Vec<_> =
        bench.sent.iter().filter(|sent| sent.packet.body.coded().is_some()).collect();
    let kinds: Vec<_> = after[..4].iter().map(|sent| sent.packet.header.kind).collect();
    assert_eq!(kinds, [Kind::Repair, Kind::Repair, Kind::Repair, Kind::Data]);
    assert_eq!(repairs(&bench), [5, 6, 20]);
}

#[test]
fn of_a_handful_nobody_is_told_to_wait() {
    for audience in [1, 8] {
        let mut bench = under_way(audience);
        bench.hear(1, nak(1, &[(5, 7)]));
        bench.run(millis(30));
        assert_eq!((bench.count(Kind::Ncf), repairs(&bench)), (0, vec![5, 6]));
    }
}

#[test]
fn many_that_ask_for_the_same_get_one_repair() {
    let mut bench = under_way(20);
    for who in 1..=20 {
        bench.hear(who, nak(who, &[(5, 6)]));
        bench.run(Duration::from_micros(50));
    }
    bench.run(millis(100));
    assert_eq!((repairs(&bench), bench.count(Kind::Ncf)), (vec![5], 1));
    assert_eq!(bench.sender.stats().packets_asked, 20);
}

#[test]
fn a_large_audience_is_waited_for_half_a_round_trip() {
    let mut bench = under_way(20);
    let asked = bench.now;
    bench.hear(1, nak(1, &[(5, 6)]));
    bench.run(millis(30));
    let waited = bench.of_kind(Kind::Repair)[0].at.since(asked);
    assert!(waited >= bench.sender.grtt() / 2, "{waited:?}");
    assert!(waited <= bench.sender.grtt(), "{waited:?}");
}

#[test]
fn what_was_just_repaired_is_held_down_for_a_round_trip_and_then_sent_again() {
    let mut bench = under_way(1);
    bench.hear(1, nak(1, &[(5, 6)]));
    bench.run(millis(2));
    bench.hear(1, nak(1, &[(5, 6)]));
    bench.run(millis(2));
    assert_eq!((repairs(&bench), bench.sender.stats().suppressed_held_down), (vec![5], 1));
    bench.run(bench.sender.grtt());
    bench.hear(1, nak(1, &[(5, 6)]));
    bench.run(millis(5));
    assert_eq!(repairs(&bench), [5, 5]);
}

#[test]
fn a_repair_is_the_original_but_for_kind_number_time_and_k() {
    let mut bench = under_way(1);
    bench.run(millis(50));
    bench.hear(1, nak(1, &[(40, 44)]));
    bench.run(millis(30));
    for repair in bench.of_kind(Kind::Repair) {
        let originals = bench.of_kind(Kind::Data);
        let original = originals.iter().find(|data| seq(data) == seq(repair)).unwrap();
        let (old, new) =
            (original.packet.body.coded().unwrap(), repair.packet.body.coded().unwrap());
        assert_eq!((&old.body, old.block, old.index), (&new.body, new.block, new.index));
        assert!(repair.packet.header.number > original.packet.header.number);
        assert_ne!(repair.packet.header.sent_at, original.packet.header.sent_at);
    }
    assert_eq!(bench.count(Kind::Repair), 4);
}

#[test]
fn what_left_the_window_is_refused_to_the_proven_and_not_to_strangers() {
    let mut bench = Bench::new(|config| config.retain = ByteCount(10 * PAYLOAD as u64));
    bench.admit(1);
    bench.push(100);
    bench.run(Duration::from_secs(1));
    bench.sent.clear();
    bench.hear(2, nak(2, &[(3, 8)]));
    bench.drain();
    assert_eq!(
        (bench.count(Kind::Refused), bench.sender.stats().discarded.get(wire::Discard::Unproven)),
        (0, 1)
    );
    bench.hear(1, nak(1, &[(3, 8), (85, 92)]));
    bench.run(millis(20));
    let refused = bench.of_kind(Kind::Refused);
    assert_eq!((refused.len(), refused[0].to), (1, Destination::Unicast(address(1))));
    let Body::Refused(refused) = &refused[0].packet.body else { unreachable!() };
    let ranges: Vec<_> = refused.ranges.iter().map(|range| (range.first.0, range.count)).collect();
    assert_eq!((refused.trail, ranges), (Seq(90), vec![(3, 5), (85, 5)]));
    assert_eq!(repairs(&bench), [90, 91]);
}

#[test]
fn on_a_timely_stream_what_is_past_its_deadline_is_not_repaired() {
    let mut bench = Bench::new(|config| config.delivery = Delivery::Timely(millis(100)));
    bench.admit(1);
    bench.push(4);
    bench.run(millis(60));
    bench.push(4);
    bench.run(millis(60));
    bench.hear(1, nak(1, &[(0, 8)]));
    bench.run(millis(20));
    assert_eq!(repairs(&bench), [4, 5, 6, 7]);
    assert_eq!(bench.sender.stats().suppressed_too_late, 4);
}

#[test]
fn what_was_never_sent_is_not_repaired() {
    let mut bench = under_way(1);
    let lead = bench.sender.stats().packets_sent;
    bench.hear(1, nak(1, &[(lead - 1, lead + 50), (u64::MAX - 5, u64::MAX)]));
    bench.drain();
    bench.run(millis(3));
    assert_eq!(repairs(&bench), [lead - 1]);
}

#[test]
fn one_nak_asks_for_no_more_than_a_bounded_number_of_packets() {
    let mut bench = Bench::new(|config| config.rate = Some(Bitrate(1_000_000_000)));
    bench.admit(1);
    bench.push(6_000);
    bench.run(millis(100));
    bench.hear(1, nak(1, &[(0, 3_000), (3_000, 6_000)]));
    bench.run(millis(200));
    assert_eq!(bench.count(Kind::Repair), 4_096);
}

#[test]
fn one_that_is_not_known_is_asked_who_it_is_and_nobody_pays_for_its_nak() {
    let mut bench = under_way(2);
    bench.sent.clear();
    bench.hear(9, nak(9, &[(5, 6)]));
    bench.run(millis(10));
    assert_eq!(repairs(&bench), [0; 0]);
    assert_eq!(bench.count(Kind::CookieChallenge), 1);
}
