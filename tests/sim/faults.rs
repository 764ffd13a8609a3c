//! Partitions, deaths, every kind of packet lost.

use std::net::SocketAddr;
use std::time::Duration;

use lab::world::{Link, Plan, World};
use proto::sender::Event;
use proto::wire::Kind;

use crate::{finish, packets, plan, rough, run_for};

/// Those that this version sends.
const KINDS: [Kind; 14] = [
    Kind::Data,
    Kind::Repair,
    Kind::Nak,
    Kind::Ncf,
    Kind::Refused,
    Kind::Heartbeat,
    Kind::Announce,
    Kind::Report,
    Kind::Register,
    Kind::CookieChallenge,
    Kind::CookieReply,
    Kind::CatchUpRequest,
    Kind::CatchUpAccept,
    Kind::End,
];

#[test]
fn whichever_packet_is_lost_everyone_gets_everything() {
    for kind in KINDS {
        for count in [1, 5] {
            for rate in [Plan::default().rate, None] {
                let mut world = World::new(Plan { rate, ..plan(5, Link::lossy(0.01)) });
                world.publish(packets(if rate.is_some() { 2_000 } else { 12_000 }));
                world.lose_next(kind, count);
                run_for(&mut world, Duration::from_millis(50));
                world.join();
                world.lose_next(kind, count);
                finish(&mut world);
                let name = kind.name();
                assert_eq!(world.complete(), 6, "{count} times {name} lost, rate {rate:?}");
            }
        }
    }
}

#[test]
fn the_last_packet_lost_is_seen_and_repaired() {
    let mut world = World::new(plan(5, Link::default()));
    world.publish(packets(40));
    world.lose_next(Kind::Data, 40);
    finish(&mut world);
    assert_eq!(world.complete(), 5);
}

#[test]
fn a_partition_that_heals_costs_nobody_anything() {
    for rate in [Plan::default().rate, None] {
        for away in [50, 1_000, 3_000] {
            let mut world = World::new(Plan { rate, ..plan(5, rough()) });
            world.publish(packets(20_000));
            run_for(&mut world, Duration::from_millis(100));
            world.set_cut(1, true);
            world.set_cut(3, true);
            run_for(&mut world, Duration::from_millis(away));
            world.set_cut(1, false);
            world.set_cut(3, false);
            finish(&mut world);
            assert_eq!(world.complete(), 5, "{away} ms away, rate {rate:?}");
        }
    }
}

#[test]
fn one_that_dies_is_named_and_holds_nobody_up() {
    for rate in [Plan::default().rate, None] {
        let mut world = World::new(Plan { rate, ..plan(5, rough()) });
        world.publish(packets(5_000));
        run_for(&mut world, Duration::from_millis(150)); // by now it is known by name
        world.set_cut(2, true);
        finish(&mut world);
        assert_eq!(world.complete(), 4, "rate {rate:?}");
        let outcome = world.sender().outcome();
        let names: Vec<_> = outcome.unfinished.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["r2"], "rate {rate:?}");
        assert!(outcome.unfinished[0].silent);
        let now = world.now().since(proto::Timestamp::from_secs(1));
        assert!(now < Duration::from_secs(16), "{now:?}");
    }
}

#[test]
fn one_whose_output_is_stuck_keeps_what_fits_and_ends_nothing() {
    let mut world = World::new(plan(5, Link::lossy(0.01)));
    world.publish(packets(60_000)); // more than the window of 32 MiB and what is retained
    run_for(&mut world, Duration::from_millis(50));
    world.set_stuck(2, true);
    finish(&mut world);
    assert_eq!(world.complete(), 4);
    world.set_stuck(2, false);
    let stuck = &world.listeners()[2];
    assert_eq!(stuck.fault(), None);
    assert!(stuck.delivered() > packets(10_000), "{}", stuck.delivered());
    assert_eq!(world.sender().outcome().unfinished.len(), 1);
}

#[test]
fn one_whose_output_is_stuck_for_a_while_gets_everything_that_is_retained() {
    for rate in [Plan::default().rate, None] {
        let mut world = World::new(Plan { rate, ..plan(3, Link::lossy(0.01)) });
        world.publish(packets(30_000));
        run_for(&mut world, Duration::from_millis(50));
        world.set_stuck(1, true);
        run_for(&mut world, Duration::from_secs(4));
        world.set_stuck(1, false);
        finish(&mut world);
        assert_eq!(world.complete(), 3, "rate {rate:?}");
    }
}

#[test]
fn one_that_cannot_answer_at_all_is_not_waited_for_and_still_gets_the_stream() {
    let mut world = World::new(plan(3, Link::default()));
    world.join_with(|config| config.mute = true);
    world.publish(packets(1_000));
    finish(&mut world);
    assert_eq!(world.complete(), 4);
    assert_eq!(world.listeners()[3].sent(), 0, "a mute one says nothing");
}

#[test]
fn a_mute_one_with_losses_says_what_it_misses() {
    let mut world = World::new(plan(1, Link::lossy(0.02)));
    world.join_with(|config| config.mute = true);
    world.publish(packets(2_000));
    finish(&mut world);
    run_for(&mut world, Duration::from_secs(1));
    let mute = &world.listeners()[1];
    let gaps: u64 = mute.gaps().iter().map(|gap| gap.range.len()).sum();
    assert_eq!(mute.ending().map(|end| end.lost_packets), Some(gaps));
    assert!(gaps > 0 && mute.sent() == 0);
    assert!(mute.receiver().stats().wire_lost >= gaps);
}

#[test]
fn what_strangers_send_disturbs_nobody() {
    let mut world = World::new(plan(5, Link::lossy(0.01)));
    world.publish(packets(2_000));
    let mut rng = fastrand::Rng::with_seed(3);
    let stranger: SocketAddr = "10.9.9.9:5000".parse().unwrap();
    for _ in 0..50 {
        run_for(&mut world, Duration::from_millis(3));
        for _ in 0..100 {
            let mut datagram = vec![0; rng.usize(0..200)];
            rng.fill(&mut datagram);
            if let [version, kind, ..] = datagram.as_mut_slice() {
                (*version, *kind) = (1, rng.u8(0..24));
            }
            world.inject(&datagram, stranger);
        }
    }
    finish(&mut world);
    assert_eq!(world.complete(), 5);
}

#[test]
fn those_that_leave_and_come_back_are_told_apart() {
    let mut world = World::new(plan(3, Link::default()));
    world.publish(packets(30_000));
    run_for(&mut world, Duration::from_millis(100));
    world.set_cut(0, true);
    run_for(&mut world, Duration::from_millis(3_500));
    world.set_cut(0, false);
    finish(&mut world);
    let told = |wanted: fn(&Event) -> bool| world.sender_events().iter().any(wanted);
    assert!(told(|event| matches!(event, Event::SubscriberSilent { .. })));
    assert!(told(|event| matches!(event, Event::SubscriberBack { .. })));
    assert_eq!(world.complete(), 3);
}
