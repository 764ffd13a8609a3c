//! Streams with a deadline.

use std::time::Duration;

use lab::world::{Link, Listener, Plan, World};
use proto::config::{Ahead, Start};
use proto::receiver::GapCause;
use proto::wire::Kind;
use proto::{Bitrate, Delivery, Timestamp};

use crate::{finish, packets, plan, run_for};

const DEADLINE: Duration = Duration::from_millis(100);

fn timely(link: Link) -> Plan {
    let rate = Some(Bitrate(20_000_000));
    Plan { delivery: Delivery::Timely(DEADLINE), rate, ..plan(20, link) }
}

fn lost(world: &World) -> u64 {
    world.listeners().iter().map(|listener| listener.receiver().stats().packets_lost()).sum()
}

#[test]
fn at_one_per_cent_loss_nearly_everything_comes_in_time() {
    let near = Link { delay: Duration::from_micros(400), ..Link::lossy(0.01) };
    let mut world = World::new(timely(near));
    world.publish(packets(5_000));
    finish(&mut world);
    assert!(lost(&world) <= 1, "{} of 100,000", lost(&world));
}

#[test]
fn of_a_million_packets_ten_are_late_at_most() {
    let near = Link { delay: Duration::from_micros(200), ..Link::lossy(0.01) };
    let mut missing = 0;
    for seed in [1, 2, 3, 4] {
        let mut world = World::new(Plan { seed, receivers: 50, ..timely(near) });
        world.publish(packets(5_000));
        finish(&mut world);
        run_for(&mut world, DEADLINE * 2);
        let handed_out = |one: &Listener| one.receiver().stats().packets_delivered;
        missing += 50 * 5_000 - world.listeners().iter().map(handed_out).sum::<u64>();
        let longest = world.listeners().iter().flat_map(|one| one.delays()).max().copied();
        assert!(longest <= Some(DEADLINE + SLACK), "{longest:?}");
    }
    assert!(missing <= 10, "{missing} of 1,000,000");
}

#[test]
fn parity_at_its_ceiling_keeps_blocks_whole_where_nobody_can_ask() {
    // Nobody is heard, so `auto` goes to its ceiling of 25 %.
    let near = Link { delay: Duration::from_micros(200), ..Link::lossy(0.01) };
    let mut world = World::new(Plan { mute: true, receivers: 100, ..timely(near) });
    world.publish(packets(200 * 64));
    finish(&mut world);
    run_for(&mut world, Duration::from_secs(1));
    let mut broken = 0;
    for listener in world.listeners() {
        assert_eq!(listener.sent(), 0);
        let blocks = listener.gaps().iter().flat_map(|gap| gap.range.iter());
        let mut blocks: Vec<u64> = blocks.map(|seq| seq.0 / 64).collect();
        blocks.dedup();
        broken += blocks.len();
    }
    assert!(broken <= 20, "{broken} of 20,000 blocks");
    let stats = world.sender().stats();
    let parity = stats.group.get(Kind::Parity).datagrams;
    let share = parity as f64 / stats.packets_sent as f64;
    assert!((0.25..0.27).contains(&share), "{share} of the stream, not a quarter");
}

#[test]
fn clocks_that_go_wrong_are_followed() {
    for (rate, seconds) in [(2_000_000, 40), (20_000_000, 4)] {
        let link = Link { delay: Duration::from_micros(400), ..Link::lossy(0.01) };
        let rate = Some(Bitrate(rate));
        let mut world = World::new(Plan { rate, clock_ppm: 200, receivers: 6, ..timely(link) });
        world.publish(packets(6_000));
        finish(&mut world);
        run_for(&mut world, DEADLINE * 2);
        assert!(world.now() > Timestamp::from_secs(seconds / 2), "{}", world.now());
        assert!(lost(&world) <= 3, "{} of 36,000 in {seconds} s", lost(&world));
        for listener in world.listeners() {
            let longest = listener.delays().iter().max().copied().unwrap_or_default();
            assert!(longest <= DEADLINE + SLACK, "{longest:?}");
        }
    }
}

#[test]
fn nothing_is_handed_out_after_its_deadline() {
    for (loss, feedback_loss) in [(0.01, 0.0), (0.1, 0.5), (0.05, 1.0)] {
        let mut world = World::new(timely(Link { loss, feedback_loss, ..Link::default() }));
        world.publish(packets(3_000));
        finish(&mut world);
        for listener in world.listeners() {
            let longest = listener.delays().iter().max().copied().unwrap_or_default();
            assert!(longest <= DEADLINE + SLACK, "{longest:?} at a loss of {loss}");
        }
    }
}

#[test]
fn with_repairs_blocked_every_loss_is_told_once_and_with_its_cause() {
    let link = Link { feedback_loss: 1.0, ..Link::lossy(0.05) };
    let mut world = World::new(Plan { ahead: Ahead::Fixed(0), ..timely(link) });
    world.publish(packets(3_000));
    finish(&mut world);
    run_for(&mut world, DEADLINE * 2);
    for listener in world.listeners() {
        let gaps: u64 = listener.gaps().iter().map(|gap| gap.range.len()).sum();
        let whole = listener.receiver().stats().packets_delivered;
        assert_eq!(gaps + whole, 3_000);
        assert!(gaps > 80, "{gaps} of 3,000 at 5 %");
        assert!(listener.gaps().iter().all(|gap| gap.cause == GapCause::Deadline));
        assert_eq!(listener.ending().map(|end| end.lost_packets), Some(gaps));
    }
}

#[test]
fn one_that_joins_late_does_not_wait_for_what_is_past() {
    for start in [Start::Live, Start::Oldest] {
        let mut world = World::new(timely(Link { feedback_loss: 1.0, ..Link::lossy(0.01) }));
        world.publish(packets(5_000));
        world.run_for(Duration::from_millis(2_500));
        let late = world.join_with(|config| config.start = start);
        let joined = world.now();
        while world.listeners()[late].delivered() == 0 {
            world.run_for(Duration::from_millis(10));
            assert!(world.now().since(joined) < Duration::from_millis(250), "{start:?}");
        }
        finish(&mut world);
        run_for(&mut world, DEADLINE * 2);
        assert!(world.listeners()[late].ending().is_some());
    }
}

#[test]
fn a_network_that_becomes_slower_is_followed() {
    let near = Link { delay: Duration::from_micros(400), ..Link::lossy(0.01) };
    let mut world = World::new(timely(near));
    world.publish(packets(5_000));
    world.run_for(Duration::from_millis(2_500));
    world.set_delay(Duration::from_millis(8));
    finish(&mut world);
    assert!(lost(&world) < 100, "{} of 100,000", lost(&world));
}

/// A repair may come after its own deadline and before that of what showed the gap: it waits for
/// nothing and is handed out. The last packets are missed by a heartbeat, which is the latest.
const SLACK: Duration = Duration::from_millis(11);
