use super::*;
use crate::wire::{Discard, RefusedReason};

/// Bytes on the wire of repairs and of live data, sent to the group.
fn bytes(bench: &Bench) -> (u64, u64) {
    let of = |kind| {
        let count = bench.sender.stats().group.get(kind);
        count.bytes + count.datagrams * 42
    };
    (of(Kind::Repair) + of(Kind::Parity), of(Kind::Data))
}

/// Two subscribers, and more to send than there is time for.
fn busy(special: impl FnOnce(&mut SenderConfig)) -> Bench {
    let mut bench = Bench::new(|config| {
        config.retain = ByteCount(16 << 20);
        special(config);
    });
    bench.admit(1);
    bench.admit(2);
    feed(&mut bench);
    bench.run(millis(500));
    bench
}

fn feed(bench: &mut Bench) {
    while bench.sender.has_room() {
        bench.push(1_000);
    }
}

#[test]
fn a_flood_of_naks_from_one_host_takes_no_more_than_the_budget_and_harms_nobody() {
    let mut bench = busy(|_| {});
    let before = bytes(&bench);
    let mut next = 0;
    let mut waits = Vec::new();
    for round in 0..2_000_u64 {
        // A hundred thousand NAKs a second, for everything there is in turn.
        for _ in 0..100 {
            let lead = bench.sender.stats().packets_sent;
            bench.hear(1, nak(1, &[(next % lead, next % lead + 64)]));
            next += 64;
        }
        let asked = round % 200 == 0;
        let wanted = bench.sender.stats().packets_sent - 10;
        if asked {
            bench.hear(2, nak(2, &[(wanted, wanted + 1)]));
        }
        let (sent, start) = (bench.sent.len(), bench.now);
        feed(&mut bench);
        bench.run(millis(1));
        if asked {
            waits.push((wanted, sent, start));
        }
    }
    let (repair, data) = bytes(&bench);
    let share = (repair - before.0) as f64 / (repair - before.0 + data - before.1) as f64;
    assert!((0.2..0.26).contains(&share), "{share}");
    for (wanted, from, start) in waits {
        let mended = bench.sent[from..]
            .iter()
            .find(|sent| sent.packet.header.kind == Kind::Repair && seq(sent) == wanted);
        let wait = mended.map(|sent| sent.at.since(start));
        assert!(wait.is_some_and(|wait| wait < millis(350)), "packet {wanted} after {wait:?}");
    }
    let stats = bench.sender.stats();
    assert!(stats.suppressed_over_budget > 1_000 && stats.discarded.get(Discard::Flood) > 190_000);
}

#[test]
fn who_is_refused_is_told_once_in_a_round_trip() {
    let mut bench = busy(|_| {});
    for _ in 0..100 {
        bench.hear(1, nak(1, &[(0, 2_000)]));
        bench.run(millis(1));
    }
    let refused: Vec<_> = bench.of_kind(Kind::Refused).into_iter().cloned().collect();
    assert!((5..=60).contains(&refused.len()), "{} in 100 ms", refused.len());
    for sent in refused {
        let Body::Refused(refused) = sent.packet.body else { unreachable!() };
        assert_eq!(
            (sent.to, refused.reason),
            (Destination::Unicast(address(1)), RefusedReason::OverBudget)
        );
    }
}

#[test]
fn when_all_was_sent_repair_has_the_whole_rate() {
    let mut bench = Bench::new(|_| {});
    bench.admit(1);
    bench.push(600);
    bench.run(Duration::from_secs(1));
    for first in (0..600).step_by(100) {
        bench.hear(1, nak(1, &[(first, first + 100)]));
    }
    // 600 packets of 242 bytes at 10 Mbit/s.
    bench.run(millis(130));
    assert_eq!(bench.count(Kind::Repair), 600);
    assert_eq!(bench.sender.stats().suppressed_over_budget, 0);
}

#[test]
fn without_a_budget_repair_waits_for_the_live_data() {
    let mut bench = busy(|config| config.flow.repair_budget = crate::units::Ratio::ZERO);
    bench.hear(1, nak(1, &[(0, 10)]));
    bench.run(millis(100));
    assert_eq!(bench.count(Kind::Repair), 0);
    bench.run(Duration::from_secs(10));
    bench.hear(1, nak(1, &[(9_000, 9_010)]));
    bench.run(millis(100));
    assert!(bench.count(Kind::Repair) >= 10);
}

#[test]
fn what_few_ask_for_goes_to_each_of_them_and_what_many_ask_for_to_all() {
    let mut bench = Bench::new(|config| config.flow.repair_unicast_below = 3);
    for who in 1..=5 {
        bench.admit(who);
    }
    bench.push(40);
    bench.run(millis(100));
    bench.hear(1, nak(1, &[(3, 5)]));
    bench.hear(2, nak(2, &[(4, 6)]));
    bench.run(millis(20));
    let to = |bench: &Bench, to: Destination| -> Vec<u64> {
        bench.of_kind(Kind::Repair).into_iter().filter(|sent| sent.to == to).map(seq).collect()
    };
    let unicast = |who| Destination::Unicast(address(who));
    assert_eq!((to(&bench, unicast(1)), to(&bench, unicast(2))), (vec![3, 4], vec![4, 5]));
    assert_eq!(to(&bench, Destination::Group), [] as [u64; 0]);
    assert_eq!(bench.count(Kind::Ncf), 0, "nobody else is to wait");
    for who in 1..=3 {
        bench.hear(who, nak(who, &[(20, 21)]));
    }
    bench.run(millis(20));
    assert_eq!(to(&bench, Destination::Group), [20]);
}
