use super::*;

/// A sender that has sent 300 packets of which it keeps 200, and a subscriber that knows it.
fn joined_late() -> Bench {
    let mut bench = Bench::new(|config| config.retain = ByteCount(200 * PAYLOAD as u64));
    bench.push(300);
    bench.run(Duration::from_secs(1));
    bench.admit(1);
    bench.drain();
    bench.sent.clear();
    bench
}

fn accepted(bench: &Bench) -> Vec<(u64, u64)> {
    let accepts = bench.of_kind(Kind::CatchUpAccept);
    accepts
        .into_iter()
        .map(|sent| {
            if let Body::CatchUpAccept(accept) = &sent.packet.body {
                (accept.from.0, accept.to.0)
            } else {
                unreachable!()
            }
        })
        .collect()
}

fn given(bench: &Bench) -> Vec<u64> {
    assert!(
        bench.of_kind(Kind::Repair).iter().all(|sent| sent.to == Destination::Unicast(address(1)))
    );
    bench.of_kind(Kind::Repair).into_iter().map(seq).collect()
}

#[test]
fn a_late_joiner_is_told_what_there_is_and_given_that_by_unicast() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 1_000));
    bench.hear(1, report(1, 0, 1_000, ReportState::CatchingUp, bench.now));
    bench.run(Duration::from_secs(1));
    assert_eq!(accepted(&bench), [(100, 300)]);
    assert!(given(&bench).into_iter().eq(100..300));
}

#[test]
fn before_it_has_said_what_it_has_room_for_only_a_handful_is_sent() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 300));
    bench.run(Duration::from_secs(1));
    assert_eq!(given(&bench).len(), 64);
    bench.hear(1, report(1, 164, 180, ReportState::CatchingUp, bench.now));
    bench.run(Duration::from_secs(1));
    assert_eq!(given(&bench).len(), 80);
}

#[test]
fn at_a_fixed_rate_catch_up_takes_no_more_than_its_share_however_often_it_is_asked_for() {
    let mut bench = Bench::new(|config| config.retain = ByteCount(16 << 20));
    bench.push(20_000);
    for who in 1..=3 {
        bench.admit(who);
    }
    bench.run(Duration::from_secs(1));
    bench.sent.clear();
    for _ in 0..200 {
        for who in 1..=3 {
            bench.hear(who, catch_up(who, 0, 5_000));
            bench.hear(who, report(who, 0, 9_000, ReportState::CatchingUp, bench.now));
        }
        bench.run(millis(5));
    }
    let repairs = bench.of_kind(Kind::Repair);
    let bits = repairs.iter().map(|sent| (sent.len + 42) * 8).sum::<usize>();
    assert!((2_200_000..2_600_000).contains(&bits), "{bits} of 10,000,000");
    for who in 1..=3 {
        let to = Destination::Unicast(address(who));
        let share = repairs.iter().filter(|sent| sent.to == to).count() * 3;
        assert!((share as f64 / repairs.len() as f64 - 1.0).abs() < 0.1, "each has its turn");
    }
}

#[test]
fn once_everything_was_sent_live_catch_up_has_the_whole_rate() {
    let mut bench = Bench::new(|config| config.retain = ByteCount(16 << 20));
    bench.push(3_000);
    bench.admit(1);
    bench.run(Duration::from_secs(1));
    bench.sender.close(None, false, bench.now);
    bench.run(Duration::from_secs(3));
    bench.sent.clear();
    bench.hear(1, catch_up(1, 0, 3_000));
    bench.hear(1, report(1, 0, 9_000, ReportState::CatchingUp, bench.now));
    bench.run(millis(500));
    let bits: usize = bench.of_kind(Kind::Repair).iter().map(|sent| (sent.len + 42) * 8).sum();
    assert!((4_000_000..5_100_000).contains(&bits), "{bits} of 5,000,000");
}

#[test]
fn what_a_late_joiner_lost_on_the_way_comes_to_it_alone() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 300));
    bench.hear(1, report(1, 0, 180, ReportState::CatchingUp, bench.now));
    bench.run(Duration::from_secs(1));
    bench.hear(1, nak(1, &[(120, 125)]));
    bench.run(millis(100));
    let tail = given(&bench).split_off(80);
    assert_eq!((tail, bench.count(Kind::Ncf)), (vec![120, 121, 122, 123, 124], 0));
}

#[test]
fn what_it_lost_of_the_live_stream_is_repaired_for_all() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 250));
    bench.hear(1, report(1, 0, 120, ReportState::CatchingUp, bench.now));
    bench.run(Duration::from_secs(1));
    bench.sent.clear();
    bench.hear(1, nak(1, &[(110, 112), (248, 253)]));
    bench.run(millis(100));
    let to = |wanted: Destination| -> Vec<u64> {
        let sent = bench.of_kind(Kind::Repair).into_iter().filter(|sent| sent.to == wanted);
        sent.map(seq).collect()
    };
    assert_eq!(to(Destination::Unicast(address(1))), [110, 111]);
    assert_eq!(to(Destination::Group), [250, 251, 252]);
}

#[test]
fn it_is_told_when_the_window_moves_past_what_it_was_promised() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 300));
    bench.hear(1, report(1, 0, 120, ReportState::CatchingUp, bench.now));
    bench.run(millis(200));
    bench.push(100);
    bench.run(Duration::from_secs(1));
    let accepted = accepted(&bench);
    assert_eq!((accepted[0], *accepted.last().unwrap()), ((100, 300), (200, 300)));
}

#[test]
fn what_it_asks_for_again_and_left_the_window_does_not_keep_the_sender_busy() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 150));
    bench.hear(1, report(1, 0, 1_000, ReportState::CatchingUp, bench.now));
    bench.run(Duration::from_secs(1));
    bench.push(200);
    bench.hear(1, nak(1, &[(120, 121)]));
    // What is asked for again waits for its share of the rate; the live stream moves on.
    bench.run(Duration::from_secs(1));
    let due = bench.sender.poll_timeout().map(|(due, _)| due);
    assert!(due.is_some_and(|due| due > bench.now), "{due:?}");
}

#[test]
fn one_that_is_live_again_is_given_nothing_more() {
    let mut bench = joined_late();
    bench.hear(1, catch_up(1, 0, 300));
    bench.hear(1, live(1, 300, 1_000, bench.now));
    bench.run(Duration::from_secs(1));
    assert!(given(&bench).len() < 5);
}
