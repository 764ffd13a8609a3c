//! Streams with a deadline.

use std::time::Duration;

use lab::world::{Link, Plan, World};
use proto::config::Start;
use proto::receiver::GapCause;
use proto::{Bitrate, Delivery};

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
    let mut world = World::new(timely(Link { feedback_loss: 1.0, ..Link::lossy(0.05) }));
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
