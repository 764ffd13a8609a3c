//! Loss, reorder, duplicates.

use lab::world::{Link, Plan, World};

use crate::{digest, finish, packets, plan, rough};

#[test]
fn at_any_loss_everyone_gets_everything() {
    for loss in [0.0, 0.001, 0.01, 0.05, 0.2] {
        let mut world = World::new(plan(20, Link::lossy(loss)));
        world.publish(packets(2_000));
        finish(&mut world);
        assert_eq!(world.complete(), 20, "at a loss of {loss}");
    }
}

#[test]
fn without_loss_nothing_is_asked_for_and_nothing_is_sent_twice() {
    let mut world = World::new(plan(20, Link::default()));
    world.publish(packets(2_000));
    finish(&mut world);
    let stats = world.sender().stats();
    assert_eq!((stats.packets_sent, stats.packets_asked), (2_000, 0));
    for listener in world.listeners() {
        let stats = listener.receiver().stats();
        assert_eq!((stats.packets_duplicate, stats.naks_sent, stats.wire_lost), (0, 0, 0));
    }
}

#[test]
fn what_comes_out_of_order_is_not_asked_for() {
    let mut world = World::new(plan(20, Link { reorder: 0.05, ..Link::default() }));
    world.publish(packets(2_000));
    finish(&mut world);
    assert_eq!(world.complete(), 20);
    assert_eq!(world.sender().stats().packets_asked, 0);
}

#[test]
fn duplicates_do_not_hide_what_was_lost_on_the_wire() {
    let link = Link { duplicate: 0.05, ..Link::lossy(0.02) };
    let mut world = World::new(plan(10, link));
    world.publish(packets(4_000));
    finish(&mut world);
    let sent = world.sender().stats().group.total().datagrams as f64;
    for listener in world.listeners() {
        let share = listener.receiver().stats().wire_lost as f64 / sent;
        assert!((0.01..0.03).contains(&share), "{share} of {sent} datagrams");
    }
}

#[test]
fn with_half_of_the_feedback_lost_everyone_gets_everything() {
    for rate in [Plan::default().rate, None] {
        let link = Link { feedback_loss: 0.5, ..Link::lossy(0.02) };
        let mut world = World::new(Plan { rate, ..plan(10, link) });
        world.publish(packets(2_000));
        finish(&mut world);
        assert_eq!(world.complete(), 10, "rate {rate:?}");
    }
}

#[test]
fn at_an_automatic_rate_everyone_gets_everything() {
    for loss in [0.0, 0.01, 0.05, 0.2] {
        let mut world = World::new(Plan { rate: None, ..plan(10, Link { loss, ..rough() }) });
        world.publish(packets(5_000));
        finish(&mut world);
        assert_eq!(world.complete(), 10, "at a loss of {loss}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let run = |seed| {
        let mut world = World::new(Plan { seed, ..plan(30, rough()) });
        world.publish(packets(1_000));
        finish(&mut world);
        digest(&world)
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
