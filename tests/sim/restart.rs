//! A publisher that dies and comes back.

use std::time::Duration;

use lab::world::{Link, Plan, World};
use proto::receiver::Event;

use crate::{finish, packets, plan, rough, run_for};

fn restarted_at(time: Duration, link: Link, rate: Option<proto::Bitrate>) -> World {
    let mut world = World::new(Plan { rate, ..plan(10, link) });
    world.publish(packets(4_000)); // half a second
    run_for(&mut world, time);
    world.restart();
    finish(&mut world);
    world
}

#[test]
fn a_restart_in_any_phase_leaves_everyone_with_the_new_session_whole() {
    // Before the first announce was heard, while waiting, mid-data, at the end of data, in End.
    for at in [1, 7, 15, 40, 200, 480, 500, 520] {
        for rate in [Plan::default().rate, None] {
            let world = restarted_at(Duration::from_millis(at), rough(), rate);
            assert_eq!(world.complete(), 10, "restarted after {at} ms, rate {rate:?}");
        }
    }
}

#[test]
fn a_new_session_is_adopted_at_once_and_said_to_be_a_restart() {
    let world = restarted_at(Duration::from_millis(250), Link::default(), Plan::default().rate);
    for listener in world.listeners() {
        let sessions = listener.sessions();
        assert_eq!(sessions.len(), 2);
        assert!(!sessions[0].restart && sessions[1].restart);
    }
}

#[test]
fn a_publisher_that_stays_away_is_said_to_be_silent() {
    let mut world = World::new(plan(3, Link::default()));
    world.publish(packets(4_000));
    run_for(&mut world, Duration::from_millis(200));
    for number in 0..3 {
        world.set_cut(number, true);
    }
    run_for(&mut world, Duration::from_secs(4));
    for listener in world.listeners() {
        let silent = listener.events().iter().filter(|event| matches!(event, Event::Silent { .. }));
        assert_eq!(silent.count(), 1);
        assert!(listener.receiver().status().silent);
    }
}

#[test]
fn a_publisher_that_restarts_again_and_again_is_followed() {
    let mut world = World::new(plan(5, rough()));
    world.publish(packets(4_000));
    for round in 0..10 {
        run_for(&mut world, Duration::from_millis(20 + 30 * round));
        world.restart();
    }
    finish(&mut world);
    assert_eq!(world.complete(), 5);
}
