//! Loss in bursts, and what interleaving makes of it.

use std::time::Duration;

use lab::sim::Sim;
use lab::world::{Link, Plan, World};
use proto::Bitrate;
use proto::config::{Ahead, Interleave};

use crate::repair::{all_complete, thousand};
use crate::{finish, packets, plan, rough};

#[test]
fn bursts_of_loss_leave_nobody_behind() {
    // A burst takes so many datagrams: longer ones last for ever at the end, when few are sent.
    for (loss, burst) in [(0.01, 8.0), (0.05, 8.0), (0.02, 100.0), (0.3, 50.0)] {
        let mut world = World::new(plan(20, Link { loss, burst, ..Link::default() }));
        world.publish(packets(3_000));
        finish(&mut world);
        assert_eq!(world.complete(), 20, "loss {loss} in bursts of {burst}");
    }
}

#[test]
fn at_an_automatic_rate_bursts_leave_nobody_behind() {
    for burst in [8.0, 100.0] {
        let link = Link { loss: 0.02, burst, ..Link::default() };
        let mut world = World::new(Plan { rate: None, ..plan(10, link) });
        world.publish(packets(5_000));
        finish(&mut world);
        assert_eq!(world.complete(), 10, "bursts of {burst}");
    }
}

#[test]
fn a_burst_is_asked_for_in_few_naks() {
    let link = Link { loss: 0.02, burst: 50.0, ..Link::default() };
    let mut world = World::new(plan(1, link));
    world.publish(packets(5_000));
    finish(&mut world);
    let stats = world.listeners()[0].receiver().stats();
    assert!(stats.packets_missed > 30, "{}", stats.packets_missed);
    assert!(stats.naks_sent * 5 < stats.packets_missed, "{} NAKs", stats.naks_sent);
}

/// A thousand that lose one in a hundred packets, eight in a row.
fn bursty() -> Sim {
    Sim { burst: 8.0, packets: 12_000, warm_up: 6_000, ..thousand(0.01, 0) }
}

#[test]
fn what_bursts_cost_a_thousand_is_shared_over_many_blocks() {
    let figures = all_complete(&bursty());
    assert!(figures.publisher_bytes_ratio <= 1.25, "{figures:?}");
    assert!(figures.interleave_depth >= 8, "{figures:?}");
    let alone = Sim { interleave: Interleave::Fixed(0), ..bursty() };
    let alone = all_complete(&alone);
    assert!(alone.publisher_bytes_ratio > 1.4, "without: {alone:?}");
}

#[test]
fn loss_that_strikes_each_packet_on_its_own_interleaves_nothing() {
    for loss in [0.01, 0.05, 0.2] {
        let figures = all_complete(&Sim { receivers: 50, ..thousand(loss, 5_000) });
        assert_eq!(figures.interleave_depth, 1, "at a loss of {loss}");
    }
}

#[test]
fn at_any_depth_everyone_gets_everything() {
    for depth_log2 in 0..=5 {
        for (burst, rate) in [(1.0, Plan::default().rate), (8.0, None), (60.0, None)] {
            let interleave = Interleave::Fixed(depth_log2);
            let link = Link { loss: 0.03, burst, ..rough() };
            let mut world = World::new(Plan { interleave, rate, ..plan(12, link) });
            world.publish(packets(4_000) + 77);
            finish(&mut world);
            assert_eq!(world.complete(), 12, "depth 2^{depth_log2}, bursts of {burst}");
        }
    }
}

#[test]
fn parity_ahead_of_loss_saves_interleaved_blocks_from_bursts() {
    let mute = |interleave| Sim {
        receivers: 100,
        packets: 12_800,
        mute: true,
        burst: 8.0,
        ahead: Ahead::Fixed(16),
        interleave,
        ..thousand(0.01, 0)
    };
    let (deep, flat) = (mute(Interleave::Fixed(4)).run(), mute(Interleave::Fixed(0)).run());
    assert!(deep.complete >= 95, "{deep:?}");
    assert!(flat.complete < 30, "{flat:?}");
}

#[test]
fn a_deadline_bounds_what_is_interleaved() {
    for (deadline, rate, deepest) in [(400, 100_000_000, 8), (100, 20_000_000, 1)] {
        let mut sim = bursty();
        sim.deadline = Some(Duration::from_millis(deadline));
        sim.rate = Some(Bitrate(rate));
        sim.receivers = 20;
        let figures = sim.run();
        assert_eq!(figures.interleave_depth, deepest, "{deadline} ms: {figures:?}");
    }
}
