//! Pace, slow receivers, lasting loss, few askers.

use std::time::Duration;

use lab::world::{Link, Plan, World};
use proto::sender::{BreakerState, Event};
use proto::wire::{EvictReason, Kind};
use proto::{Bitrate, ByteCount};

use crate::{finish, packets, plan, rough, run_for};

/// What was told of receivers that are slow, in order.
fn told(world: &World) -> Vec<&'static str> {
    let events = world.sender_events().iter();
    events
        .filter_map(|event| {
            if matches!(event, Event::SubscriberSlow { .. }) {
                Some("slow")
            } else if let Event::SubscriberEvicted { reason, .. } = event {
                let slow = *reason == EvictReason::Slow;
                Some(if slow { "let go" } else { "let go, silent" })
            } else {
                matches!(event, Event::SubscriberBack { .. }).then_some("back")
            }
        })
        .collect()
}

/// Runs until all are known and data flows.
fn begin(world: &mut World) {
    while world.sender().stats().packets_sent < 1_000 {
        run_for(world, Duration::from_millis(10));
    }
}

/// An automatic rate through sockets of 1 MiB.
fn automatic(receivers: usize, link: Link) -> Plan {
    Plan { rate: None, socket_buffer: ByteCount(1 << 20), ..plan(receivers, link) }
}

#[test]
fn who_takes_nothing_is_warned_let_go_and_comes_back_as_a_late_joiner() {
    let mut world = World::new(automatic(4, rough()));
    world.publish(packets(60_000)); // more than a window of 32 MiB
    begin(&mut world);
    world.set_stuck(2, true);
    run_for(&mut world, Duration::from_secs(5));
    let before = told(&world);
    assert!(before.starts_with(&["slow", "let go"]), "{before:?}");
    assert_eq!(world.complete(), 3, "the others have everything");
    world.set_stuck(2, false);
    finish(&mut world);
    assert!(told(&world).contains(&"back"), "{:?}", told(&world));
    let late = &world.listeners()[2];
    assert_eq!(late.fault(), None);
    assert!(late.receiver().stats().evictions >= 1 && late.receiver().stats().catch_ups >= 1);
    let gaps: u64 = late.gaps().iter().map(|gap| gap.range.len()).sum();
    assert_eq!(late.ending().map(|end| end.lost_packets), Some(gaps));
    let gaps = usize::try_from(gaps).unwrap();
    assert_eq!((late.delivered() + packets(gaps)) / packets(1), 60_000);
}

#[test]
fn who_is_let_go_and_back_in_time_misses_nothing_that_is_retained() {
    for seed in 1..6 {
        let mut world = World::new(Plan { seed, ..automatic(4, rough()) });
        world.publish(packets(40_000));
        begin(&mut world);
        world.set_stuck(1, true);
        run_for(&mut world, Duration::from_millis(3_500));
        world.set_stuck(1, false);
        finish(&mut world);
        assert_eq!(world.complete(), 4, "seed {seed}");
    }
}

#[test]
fn who_is_cut_off_is_let_go_for_its_silence_and_comes_back() {
    let mut world = World::new(automatic(4, rough()));
    world.publish(packets(40_000));
    begin(&mut world);
    world.set_cut(3, true);
    run_for(&mut world, Duration::from_secs(5));
    assert_eq!(world.complete(), 3);
    let let_go = told(&world);
    assert!(let_go.iter().any(|what| what.starts_with("let go")), "{let_go:?}");
    world.set_cut(3, false);
    finish(&mut world);
    assert_eq!(world.complete(), 4);
}

#[test]
fn loss_that_repair_mends_does_not_slow_an_automatic_rate() {
    let time = |loss: f64| {
        let mut world = World::new(automatic(4, Link::lossy(loss)));
        let start = world.now();
        world.publish(packets(60_000));
        finish(&mut world);
        assert_eq!((world.complete(), world.sender().breaker()), (4, BreakerState::Closed));
        assert_eq!(told(&world), [] as [&str; 0]);
        world.now().since(start).as_secs_f64()
    };
    let clean = time(0.0);
    for (loss, goodput) in [(0.01, 0.85), (0.05, 0.7)] {
        let share = clean / time(loss);
        assert!(share > goodput, "{share} of the goodput at a loss of {loss}");
    }
}

#[test]
fn a_fifth_lost_trips_nothing() {
    for rate in [Plan::default().rate, None] {
        let mut world = World::new(Plan { rate, ..automatic(16, Link::lossy(0.2)) });
        world.publish(packets(20_000));
        finish(&mut world);
        assert_eq!(world.complete(), 16, "rate {rate:?}");
        assert_eq!(world.sender().stats().breaker_steps, [0; 6], "rate {rate:?}");
    }
}

#[test]
fn loss_that_stays_high_lowers_the_rate_stops_repair_then_the_stream_and_all_comes_back() {
    let rate = Some(Bitrate(20_000_000));
    let mut world = World::new(Plan { rate, ..plan(4, Link::lossy(0.45)) });
    world.publish(packets(30_000));
    run_for(&mut world, Duration::from_secs(25));
    assert_eq!(world.sender().breaker(), BreakerState::Stopped);
    let steps = world.sender().stats().breaker_steps;
    assert_eq!(steps, [0, 1, 1, 1, 1, 1]);
    let sent = world.sender().stats().group.get(Kind::Data);
    run_for(&mut world, Duration::from_secs(5));
    assert_eq!(world.sender().stats().group.get(Kind::Data), sent, "nothing is sent");
    world.set_loss(0.01);
    run_for(&mut world, Duration::from_secs(40));
    assert_eq!(world.sender().breaker(), BreakerState::Closed);
    finish(&mut world);
    for listener in world.listeners() {
        assert_eq!(listener.fault(), None);
        let gaps: u64 = listener.gaps().iter().map(|gap| gap.range.len()).sum();
        assert_eq!(listener.ending().map(|end| end.lost_packets), Some(gaps));
    }
}

#[test]
fn what_few_lose_is_mended_by_unicast_where_that_is_wanted() {
    let run = |below: u32| {
        let link = Link::lossy(0.000_5);
        let mut world =
            World::with_sender(plan(40, link), |config| config.flow.repair_unicast_below = below);
        world.publish(packets(8_000));
        finish(&mut world);
        assert_eq!(world.complete(), 40);
        let stats = *world.sender().stats();
        let mended = [Kind::Repair, Kind::Parity].map(|kind| stats.group.get(kind).datagrams);
        (mended.iter().sum::<u64>(), stats.unicast.get(Kind::Repair).datagrams)
    };
    let (group, unicast) = run(0);
    assert!(group > 50 && unicast == 0, "{group} to the group, {unicast} to one");
    let (group, unicast) = run(3);
    assert!(unicast > 50 && group < unicast / 4, "{group} to the group, {unicast} to one");
}

#[test]
fn who_stops_does_not_delay_the_others_at_a_fixed_rate() {
    let p99 = |stops: bool| {
        let mut world = World::new(plan(4, Link::lossy(0.01)));
        world.publish(packets(100_000)); // 12 s at 100 Mbit/s
        begin(&mut world);
        run_for(&mut world, Duration::from_secs(2));
        world.set_cut(2, stops);
        run_for(&mut world, Duration::from_secs(5));
        world.set_cut(2, false);
        finish(&mut world);
        let others = world.listeners().iter().enumerate().filter(|(number, _)| *number != 2);
        let mut delays: Vec<_> = others.flat_map(|(_, other)| other.delays()).copied().collect();
        assert_eq!(delays.len(), 3 * 100_000);
        delays.sort_unstable();
        delays[delays.len() * 99 / 100].as_secs_f64()
    };
    let (alone, beside) = (p99(false), p99(true));
    assert!((beside / alone - 1.0).abs() < 0.05, "99 of 100 within {beside} s, {alone} s without");
}
