//! A thousand receivers, and a million.

use lab::sim::Sim;
use lab::world::{Plan, World};

use crate::repair::thousand;
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

#[test]
fn a_million_cost_no_more_feedback_than_a_thousand() {
    let sim = Sim { receivers: 1_000_000, ..thousand(0.01, 10_000) };
    let (world, figures) = sim.run_world();
    assert_eq!(figures.complete, 1_000_000, "{figures:?}");
    assert!(figures.feedback_ratio < 0.05, "{figures:?}");
    let estimate = figures.audience_estimate / 1e6;
    assert!((0.75..1.25).contains(&estimate), "{figures:?}");
    // Everybody loses 1 %. What is told of nine in ten is what they measured over 2,000 packets: 1.28
    // deviations of √(0.01 · 0.99 / 2000) more.
    for (q, theory) in [(0.5, 0.01), (0.9, 0.0128)] {
        let loss = world.sender().loss_quantile(q) / theory;
        assert!((0.8..1.2).contains(&loss), "{q}: {loss} of {theory}");
    }
}
