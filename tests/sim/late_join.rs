//! Who joins late.

use std::time::Duration;

use lab::world::{Link, Plan, World};
use proto::config::Start;
use proto::{ByteCount, Seq, SeqRange};

use crate::{finish, packets, plan, rough, run_for};

const TOTAL: usize = 20_000; // packets: 2.4 s at 100 Mbit/s

/// Runs until this share of the stream was sent.
fn run_to(world: &mut World, share: f64) {
    world.publish(packets(TOTAL));
    while (world.sender().stats().packets_sent as f64) < share * TOTAL as f64 {
        run_for(world, Duration::from_millis(10));
    }
}

#[test]
fn a_late_joiner_has_everything_that_is_retained() {
    for share in [0.1, 0.5, 0.9] {
        for rate in [Plan::default().rate, None] {
            let mut world = World::new(Plan { rate, ..plan(4, rough()) });
            run_to(&mut world, share);
            let late = world.join();
            finish(&mut world);
            assert_eq!(world.complete(), 5, "joined at {share}, rate {rate:?}");
            let missed = world.listeners()[late].sessions()[0].missed;
            assert_eq!(missed, None, "joined at {share}");
        }
    }
}

#[test]
fn one_that_joins_when_everything_was_sent_has_everything() {
    let dead_air = Plan { finish_timeout: Duration::from_secs(5), ..plan(2, Link::default()) };
    let mut world = World::new(dead_air);
    world.publish(packets(10_000));
    run_for(&mut world, Duration::from_millis(100));
    world.set_cut(0, true); // holds the end open
    run_for(&mut world, Duration::from_secs(3));
    let late = world.join();
    finish(&mut world);
    assert!(world.listeners()[late].is_complete(world.source()));
}

#[test]
fn what_is_no_longer_retained_is_told_exactly() {
    for share in [0.5, 0.9] {
        let retain = ByteCount(packets(2_000) as u64);
        let mut world = World::new(Plan { retain, ..plan(4, Link::default()) });
        run_to(&mut world, share);
        let late = world.join();
        finish(&mut world);
        assert_eq!(world.complete(), 4);
        let late = &world.listeners()[late];
        let before = late.sessions()[0].missed.map_or(0, |missed| missed.len());
        let gaps: u64 = late.gaps().iter().map(|gap| gap.range.len()).sum();
        let whole = late.delivered() as u64 / packets(1) as u64;
        assert_eq!(before + gaps + whole, TOTAL as u64, "joined at {share}");
        assert_eq!(late.ending().map(|end| end.lost_packets), Some(before + gaps));
        assert!(before > 0);
    }
}

#[test]
fn one_that_wants_what_is_live_starts_with_what_is_sent_next() {
    let mut world = World::new(plan(4, Link::lossy(0.01)));
    run_to(&mut world, 0.5);
    let sent = world.sender().stats().packets_sent;
    let late = world.join_with(|config| config.start = Start::Live);
    finish(&mut world);
    let late = &world.listeners()[late];
    let info = &late.sessions()[0];
    assert!(info.first.0 >= sent && info.first.0 < sent + 2_000, "{} after {sent}", info.first);
    assert_eq!(info.missed, Some(SeqRange::new(Seq::ZERO, info.first)));
    assert!(late.gaps().is_empty());
    let wanted = packets(TOTAL - usize::try_from(info.first.0).unwrap());
    assert_eq!(late.delivered(), wanted);
}

#[test]
fn many_late_joiners_at_once_have_everything() {
    let mut world = World::new(Plan { rate: None, ..plan(2, rough()) });
    run_to(&mut world, 0.5);
    for _ in 0..8 {
        world.join();
    }
    finish(&mut world);
    assert_eq!(world.complete(), 10);
}

#[test]
fn catch_up_goes_to_the_one_that_asked_and_not_to_the_group() {
    let mut world = World::new(plan(4, Link::default()));
    run_to(&mut world, 0.5);
    world.join();
    finish(&mut world);
    let stats = world.sender().stats();
    let repair = proto::wire::Kind::Repair;
    assert!(stats.unicast.get(repair).datagrams >= TOTAL as u64 / 2);
    assert!(stats.group.get(repair).datagrams < 100, "{}", stats.group.get(repair).datagrams);
}
