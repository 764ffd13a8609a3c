//! Loss in bursts.

use lab::world::{Link, Plan, World};

use crate::{finish, packets, plan};

#[test]
fn bursts_of_loss_leave_nobody_behind() {
    for (loss, burst) in [(0.01, 8.0), (0.05, 8.0), (0.02, 100.0), (0.3, 300.0)] {
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
