use super::*;
use crate::config::SlowPolicy;
use crate::wire::{Evict, EvictReason};

/// Two subscribers and much to send: the first has room for no more than five packets.
fn held_back(special: impl FnOnce(&mut SenderConfig)) -> Bench {
    let mut bench = Bench::new(|config| {
        config.rate = None;
        special(config);
    });
    bench.admit(1);
    bench.admit(2);
    bench.push(1_000);
    bench
}

/// Both report ten times a second; the first is always where it was.
fn go_on(bench: &mut Bench, time: Duration) {
    let end = bench.now.after(time);
    while bench.now < end {
        let sent = bench.sender.stats().packets_sent;
        bench.hear(1, live(1, 0, 5, bench.now));
        bench.hear(2, live(2, sent, sent + 50, bench.now));
        bench.run(millis(100));
    }
}

fn evictions(bench: &Bench) -> Vec<Evict> {
    let told = bench.of_kind(Kind::Evict).into_iter();
    told.filter_map(
        |sent| {
            if let Body::Evict(evict) = sent.packet.body { Some(evict) } else { None }
        },
    )
    .collect()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are not of interest here")]
fn names(bench: &mut Bench) -> Vec<&'static str> {
    let events = bench.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::SubscriberSlow { subscriber, .. } if subscriber == id(1) => Some("slow"),
            Event::SubscriberEvicted { reason: EvictReason::Slow, .. } => Some("let go"),
            Event::SubscriberEvicted { .. } => Some("let go, silent"),
            Event::SubscriberSilent { .. } => Some("silent"),
            Event::SubscriberBack { .. } => Some("back"),
            _ => None,
        })
        .collect()
}

#[test]
fn who_holds_the_others_back_is_warned_then_let_go() {
    let mut bench = held_back(|_| {});
    go_on(&mut bench, millis(900));
    assert_eq!(names(&mut bench), [] as [&str; 0]);
    go_on(&mut bench, millis(500));
    assert_eq!(names(&mut bench), ["slow"]);
    go_on(&mut bench, millis(1_000));
    assert_eq!(names(&mut bench), ["let go"]);
    assert!(bench.sender.stats().packets_sent > 50, "the other one goes on");
    let told = evictions(&bench);
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|evict| *evict == Evict { subscriber: id(1), reason: EvictReason::Slow })
    );
    let stats = bench.sender.stats();
    assert_eq!((stats.slow_warned, stats.evicted_slow, stats.evicted_silent), (1, 1, 0));
    assert_eq!(bench.sender.audience().len(), 1);
}

#[test]
fn one_that_was_let_go_is_told_until_it_has_heard_but_not_for_every_word() {
    let mut bench = held_back(|_| {});
    go_on(&mut bench, millis(2_500));
    let before = evictions(&bench).len();
    for _ in 0..100 {
        bench.hear(1, live(1, 0, 5, bench.now));
        bench.hear(1, nak(1, &[(0, 5)]));
        bench.run(millis(1));
    }
    let told = evictions(&bench).len() - before;
    assert!((1..=3).contains(&told), "{told} times in 100 ms");
    assert_eq!(bench.count(Kind::Repair), 0);
}

#[test]
fn who_registers_anew_is_back_and_waited_for_only_once_it_has_room() {
    let mut bench = held_back(|_| {});
    go_on(&mut bench, millis(2_500));
    names(&mut bench);
    bench.admit(1);
    assert_eq!(names(&mut bench), ["back"]);
    assert_eq!(bench.sender.audience().len(), 2);
    let sent = bench.sender.stats().packets_sent;
    go_on(&mut bench, millis(200));
    assert!(bench.sender.stats().packets_sent > sent, "it has no room, and holds nobody back");
    let sent = bench.sender.stats().packets_sent;
    bench.hear(1, live(1, sent, sent + 30, bench.now));
    bench.hear(2, live(2, sent, sent + 90, bench.now));
    bench.run(millis(10));
    assert_eq!(bench.sender.stats().packets_sent, sent + 30, "now it counts again");
}

#[test]
fn where_slow_ones_are_only_named_they_are_waited_for() {
    let mut bench = held_back(|config| config.flow.slow = Some(SlowPolicy::Warn));
    go_on(&mut bench, Duration::from_secs(5));
    assert_eq!(names(&mut bench), ["slow"]);
    assert_eq!(bench.sender.stats().packets_sent, 5);
}

#[test]
fn who_takes_a_tenth_of_what_the_others_could_is_kept() {
    for (taken, kept) in [(10, true), (2, false)] {
        let mut bench = held_back(|_| {});
        for _ in 0..60 {
            let sent = bench.sender.stats().packets_sent;
            bench.hear(2, live(2, sent, sent + 100, bench.now));
            bench.hear(1, live(1, sent, sent + taken, bench.now));
            bench.run(millis(100));
        }
        assert_ne!(names(&mut bench).contains(&"let go"), kept, "{taken} of 100");
    }
}

#[test]
fn when_all_are_slow_nobody_holds_anybody_back() {
    let mut bench = held_back(|_| {});
    for _ in 0..50 {
        bench.hear(1, live(1, 0, 5, bench.now));
        bench.hear(2, live(2, 0, 5, bench.now));
        bench.run(millis(100));
    }
    assert!(!names(&mut bench).contains(&"let go"));
    assert_eq!(bench.sender.audience().len(), 2);
}

#[test]
fn who_says_nothing_is_let_go_with_that_reason() {
    let mut bench = held_back(|_| {});
    bench.hear(1, live(1, 0, 2_000, bench.now));
    for _ in 0..40 {
        let sent = bench.sender.stats().packets_sent;
        bench.hear(2, live(2, sent, sent + 500, bench.now));
        bench.run(millis(100));
    }
    assert_eq!(names(&mut bench), ["slow", "let go, silent"]);
    assert_eq!(evictions(&bench).len(), 1);
    let outcome = bench.sender.outcome();
    let gone = outcome.unfinished.iter().find(|one| one.subscriber == id(1)).unwrap();
    assert_eq!((gone.silent, gone.evicted), (true, Some(EvictReason::Silent)));
}

#[test]
fn who_was_let_go_long_ago_is_not_waited_for_at_the_end() {
    let mut bench = held_back(|config| config.finish_timeout = Duration::from_secs(3));
    go_on(&mut bench, millis(2_500));
    for _ in 0..40 {
        let sent = bench.sender.stats().packets_sent;
        bench.hear(2, live(2, sent, sent + 500, bench.now));
        bench.run(millis(100));
    }
    bench.sender.close(None, false, bench.now);
    bench.hear(2, report(2, 1_000, 1_000, ReportState::Complete, bench.now));
    bench.run(millis(500));
    assert!(bench.sender.is_finished());
    let unfinished = bench.sender.outcome().unfinished;
    assert_eq!((unfinished.len(), unfinished[0].evicted), (1, Some(EvictReason::Slow)));
}

#[test]
fn a_kernel_that_drops_lowers_an_automatic_rate_and_one_that_comes_back_does_not() {
    let mut bench = Bench::new(|config| config.rate = None);
    bench.admit(1);
    let with_drops = |drops: u64, sent: u64, now: Timestamp| {
        let Body::Report(mut report) = live(1, sent, sent + 500, now) else { unreachable!() };
        report.losses.kernel = drops;
        Body::Report(report)
    };
    bench.push(5_000);
    for drops in [0, 0, 0, 5] {
        let sent = bench.sender.stats().packets_sent;
        bench.hear(1, with_drops(drops, sent, bench.now));
        bench.run(millis(60));
    }
    let lowered = bench.sender.pace().expect("a ceiling").0;
    assert!((1_000_000..60_000_000).contains(&lowered), "{lowered}");
    for _ in 0..100 {
        let sent = bench.sender.stats().packets_sent;
        bench.push(if bench.sender.has_room() { 500 } else { 0 });
        bench.hear(1, with_drops(5, sent, bench.now));
        bench.run(millis(60));
    }
    assert_eq!(bench.sender.pace(), None, "without further drops it is out of the way again");
}
