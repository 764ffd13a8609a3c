use super::*;

/// A known receiver that misses 1, 3..5 and 6.
fn with_gaps() -> Bench {
    let mut bench = Bench::known(|_| {});
    for seq in [0, 2, 5, 7] {
        bench.data(seq);
    }
    bench
}

#[test]
fn all_gaps_are_asked_for_in_one_nak_after_the_reorder_allowance() {
    let mut bench = with_gaps();
    let seen = bench.now;
    bench.run(Duration::from_micros(999));
    assert!(bench.asked().is_empty());
    bench.run(millis(2));
    assert_eq!(
        bench.naks(),
        [(seen.since(START) + millis(1), vec![range(1, 2), range(3, 5), range(6, 7)])]
    );
    assert_eq!(bench.receiver.stats().packets_missed, 4);
    assert!(bench.said.iter().all(|(_, to, _)| *to == source()));
}

#[test]
fn what_comes_within_the_reorder_allowance_is_not_asked_for() {
    let mut bench = Bench::known(|_| {});
    bench.data(1);
    bench.run(Duration::from_micros(900));
    bench.data(0);
    bench.run(millis(50));
    assert!(bench.asked().is_empty());
    assert_eq!(bench.receiver.stats().packets_repaired, 0);
}

#[test]
fn what_was_repaired_is_not_asked_for_again() {
    let mut bench = with_gaps();
    bench.run(millis(2));
    for seq in [1, 3, 4, 6] {
        bench.repair(seq, millis(3), Via::Group);
    }
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.asked().len(), 1);
    assert_eq!(bench.receiver.stats().packets_repaired, 4);
    assert_eq!(bench.delivered(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_confirmation_holds_back_what_it_names_until_an_answer_could_be_here() {
    let mut bench = with_gaps();
    bench.hear(ncf(&[range(3, 5)]));
    let confirmed = bench.now.since(START);
    bench.run(millis(20));
    assert_eq!(bench.asked(), [vec![range(1, 2), range(6, 7)]]);
    bench.run(millis(20));
    let late: Vec<_> =
        bench.naks().into_iter().filter(|(_, asked)| asked.contains(&range(3, 5))).collect();
    // Two round trips of 10 ms and five for a busy sender.
    assert_eq!(late[0].0, confirmed + millis(25));
    assert_eq!(bench.receiver.stats().naks_suppressed, 1);
}

#[test]
fn unanswered_it_asks_ever_more_rarely_and_then_gives_up_and_says_so() {
    let mut bench = Bench::known_to_ask(8);
    bench.data(0);
    bench.data(2);
    for _ in 0..40 {
        bench.run(millis(100));
        bench.heartbeat(0, 3);
    }
    let at: Vec<_> = bench.naks().into_iter().map(|(at, _)| at.as_millis()).collect();
    let waits: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [25, 25, 25, 25, 50, 100, 200], "eight tries");
    assert_eq!(bench.gaps(), [Gap { range: range(1, 2), cause: GapCause::Unanswered }]);
    assert_eq!(bench.delivered(), [0, 2]);
    assert_eq!(bench.receiver.stats().lost_unanswered, 1);
    assert!(bench.events.contains(&Event::GaveUp(bench.gaps()[0])));
    bench.end(3);
    assert_eq!(bench.ending().map(|ending| ending.lost_packets), Some(1));
}

#[test]
fn who_is_answered_with_too_little_asks_for_the_rest_as_if_for_the_first_time() {
    let mut bench = Bench::known_to_ask(32);
    for seq in [0, 1, 3, 4, 6, 7, 8] {
        bench.closed(seq);
    }
    bench.run(millis(600));
    assert!(bench.naks().len() > 5, "it asks rarely by now: {:?}", bench.naks());
    bench.said.clear();
    let answered = bench.now.since(START);
    bench.hear(Body::Parity(Coded { index: 8, k: 8, ..coded(0, START) }));
    bench.run(millis(30));
    let asked: Vec<_> = bench.naks().into_iter().map(|(at, _)| at).collect();
    assert_eq!(asked, [answered + millis(25)], "two round trips and five milliseconds");
    assert_eq!(bench.needs(), [need(0, 1)]);
}

#[test]
fn who_is_promised_an_answer_goes_on_asking() {
    let mut bench = Bench::known_to_ask(10);
    bench.data(0);
    bench.data(2);
    let wait = |bench: &mut Bench, is_promised: bool| {
        for _ in 0..40 {
            bench.run(millis(100));
            bench.heartbeat(0, 3);
            if is_promised {
                bench.hear(ncf(&[range(1, 2)]));
            }
        }
        bench.naks().len()
    };
    let asked = wait(&mut bench, true);
    assert!((20..=80).contains(&asked), "{asked}");
    assert!(bench.gaps().is_empty(), "{:?}", bench.gaps());
    wait(&mut bench, false);
    assert_eq!(bench.gaps(), [Gap { range: range(1, 2), cause: GapCause::Unanswered }]);
}

#[test]
fn a_repair_that_comes_after_it_was_given_up_is_a_duplicate() {
    let mut bench = Bench::known(|_| {});
    bench.data(1);
    bench.hear(refused(RefusedReason::TooLate, 0, &[range(0, 1)]));
    bench.repair(0, millis(1), Via::Group);
    assert_eq!((bench.delivered(), bench.receiver.stats().packets_duplicate), (vec![1], 1));
    bench.adds_up();
}

#[test]
fn the_loss_of_the_last_packets_is_seen_by_heartbeat_announce_and_end() {
    let hearts: [fn(&mut Bench); 3] = [
        |bench| bench.heartbeat(0, 3),
        |bench| bench.hear(Body::Announce(Announce { lead: Seq(3), ..announce() })),
        |bench| bench.end(3),
    ];
    for told in hearts {
        let mut bench = Bench::known(|_| {});
        bench.data(0);
        told(&mut bench);
        bench.run(millis(2));
        assert_eq!(bench.asked(), [vec![range(1, 3)]]);
        assert_eq!(bench.receiver.stats().packets_missed, 2);
    }
}

#[test]
fn told_twice_it_is_missed_once() {
    let mut bench = Bench::known(|_| {});
    for _ in 0..3 {
        bench.heartbeat(0, 9);
        bench.end(9);
    }
    bench.run(millis(2));
    assert_eq!(
        (bench.asked(), bench.receiver.stats().packets_missed),
        (vec![vec![range(0, 9)]], 9)
    );
}

#[test]
fn what_was_refused_is_given_up_at_once_and_what_is_over_budget_is_asked_for_later() {
    let mut bench = with_gaps();
    bench.run(millis(2));
    bench.hear(refused(RefusedReason::OverBudget, 0, &[range(1, 2)]));
    assert!(bench.gaps().is_empty());
    bench.hear(refused(RefusedReason::TooLate, 0, &[range(3, 5)]));
    bench.repair(1, millis(5), Via::Group);
    assert_eq!(bench.gaps(), [Gap { range: range(3, 5), cause: GapCause::LeftWindow }]);
    assert_eq!(bench.delivered(), [0, 1, 2, 5]);
    assert_eq!(bench.receiver.stats().lost_left_window, 2);
}

#[test]
fn when_the_trail_passes_a_gap_it_is_given_up_and_told_exactly() {
    let mut bench = with_gaps();
    bench.heartbeat(4, 8);
    let expected =
        [range(1, 2), range(3, 4)].map(|range| Gap { range, cause: GapCause::LeftWindow });
    assert_eq!(bench.gaps(), expected);
    let told: Vec<_> =
        bench.events.iter().filter(|event| matches!(event, Event::GaveUp(_))).collect();
    assert_eq!(told, [&Event::GaveUp(expected[0]), &Event::GaveUp(expected[1])]);
    bench.run(millis(2));
    assert_eq!(bench.asked(), [vec![range(4, 5), range(6, 7)]]);
}

#[test]
fn when_the_trail_passes_the_whole_window_the_stream_goes_on_behind_it() {
    for stuck in [false, true] {
        let mut bench = with_gaps();
        bench.stuck = stuck;
        bench.heartbeat(1_000_000, 1_000_002);
        bench.heartbeat(1_000_000, 1_000_002);
        assert!(bench.receiver.status().held <= WINDOW);
        bench.stuck = false;
        bench.settle();
        bench.data(1_000_000);
        bench.data(1_000_001);
        assert_eq!(bench.delivered(), [0, 2, 5, 7, 1_000_000, 1_000_001]);
        let lost: u64 = bench.gaps().iter().map(|gap| gap.range.len()).sum();
        assert_eq!((lost, bench.receiver.stats().packets_lost()), (999_996, 999_996));
        bench.adds_up();
    }
}

#[test]
fn an_output_that_takes_nothing_while_the_trail_runs_on_keeps_memory_bounded() {
    let mut bench = Bench::known(|_| {});
    bench.stuck = true;
    for round in 0..20 {
        for seq in 0..WINDOW {
            bench.data(round * 10_000 + seq);
        }
        bench.heartbeat((round + 1) * 10_000, (round + 1) * 10_000);
    }
    assert!(bench.receiver.ready.len() <= 2, "{}", bench.receiver.ready.len());
    assert_eq!(bench.receiver.status().held, WINDOW);
    bench.stuck = false;
    bench.settle();
    let lost: u64 = bench.gaps().iter().map(|gap| gap.range.len()).sum();
    assert_eq!(lost + WINDOW, 200_000);
}

#[test]
fn a_mute_one_never_sends_and_gives_up_what_it_cannot_ask_for() {
    let mut bench = Bench::joined(|config| config.mute = true, |_| {});
    let challenge = CookieChallenge { subscriber: WHO, cookie: 1 };
    bench.hear_via(Via::Feedback, Body::CookieChallenge(challenge));
    for seq in (0..2_000).filter(|seq| *seq != 70) {
        bench.data(seq);
    }
    bench.data(9_000);
    bench.run(Duration::from_secs(5));
    bench.receiver.leave(wire::ByeReason::Done, bench.now);
    bench.run(Duration::from_secs(1));
    assert!(bench.said.is_empty() && bench.receiver.has_left(), "{:?}", bench.said);
    assert_eq!(bench.gaps()[0], Gap { range: range(70, 71), cause: GapCause::Unanswered });
}

#[test]
fn in_a_large_audience_it_waits_for_the_block_and_then_a_random_time_within_four_round_trips() {
    let waited = |seed| {
        let mut bench = Bench::joined(
            |config| config.seed = [seed; 32],
            |announce| announce.group_size = GroupSize::of(1_000).0,
        );
        bench.prove();
        bench.data(1);
        let seen = bench.now.since(START);
        bench.run(millis(100));
        bench.naks()[0].0 - seen
    };
    let waits: Vec<_> = (0..20).map(waited).collect();
    // 20 ms for the rest of the block, 1 ms because packets overtake each other, then 0 to 40 ms.
    let bounds = millis(21)..=millis(61);
    assert!(waits.iter().all(|wait| bounds.contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > millis(40)), "{waits:?}");
    assert_ne!(waits[0], waits[1]);
}

#[test]
fn whatever_distance_and_size_are_announced_waits_are_finite() {
    for (grtt_us, group_size) in [(0, 255), (u32::MAX, 255), (0, 0), (u32::MAX, 0)] {
        let mut bench = Bench::joined(
            |_| {},
            |announce| (announce.grtt_us, announce.group_size) = (grtt_us, group_size),
        );
        bench.data(3);
        let due = bench.receiver.poll_timeout().map(|(due, _)| due.since(bench.now));
        assert!(due.is_some_and(|due| due < Duration::from_secs(60)), "{due:?}");
        bench.run(Duration::from_secs(1));
    }
}

#[test]
fn who_joins_in_a_large_audience_misses_what_was_sent_once() {
    let mut bench = Bench::joined(
        |config| config.max_tries = 30,
        |announce| (announce.lead, announce.group_size) = (Seq(50), GroupSize::of(1_000).0),
    );
    bench.prove();
    bench.run(millis(60));
    assert_eq!(bench.receiver.stats().packets_missed, 50);
    assert!(bench.receiver.stats().naks_sent <= 3, "{:?}", bench.asked());
    assert!(bench.gaps().is_empty());
}

#[test]
fn of_a_block_that_goes_on_nothing_is_counted_that_is_still_to_come() {
    let mut bench = Bench::joined(|_| {}, |announce| announce.group_size = GroupSize::of(4).0);
    bench.prove();
    // One run of losses ends one block and begins the next.
    for seq in (0..7).chain([10]) {
        bench.closed(seq);
    }
    bench.run(millis(2));
    assert_eq!(bench.asked(), [vec![range(7, 8)]]);
    assert_eq!(bench.needs(), [need(0, 1)]);
    bench.run(millis(20));
    assert_eq!(bench.asked()[1], [range(8, 10)], "the block did not go on");
    assert_eq!(bench.needs()[1..], [need(8, 2)]);
}
