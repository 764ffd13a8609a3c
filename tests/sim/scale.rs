//! A thousand receivers.

use lab::world::{Plan, World};

use crate::{finish, packets, plan, rough};

#[test]
fn a_thousand_receivers_with_loss_reorder_and_duplicates_all_complete() {
    let mut world = World::new(plan(1_000, rough()));
    world.publish(packets(2_000));
    finish(&mut world);
    assert_eq!(world.complete(), 1_000);
    let naks = world.sender().stats().received.get(proto::wire::Kind::Nak).datagrams;
    assert!(naks < 20_000, "{naks} NAKs for 20,000 losses");
}

#[test]
fn a_thousand_receivers_follow_an_automatic_rate() {
    let mut world = World::new(Plan { rate: None, ..plan(1_000, rough()) });
    world.publish(packets(1_000));
    finish(&mut world);
    assert_eq!(world.complete(), 1_000);
}
