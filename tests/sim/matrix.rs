//! Every fault with several seeds: whatever happens, everyone has everything in the end.
//!
//! | fault | where |
//! |---|---|
//! | partition, death, garbage | `faults.rs` as well |
//! | restart | `restart.rs` as well |
//! | everything at once | `seeds.rs` |

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use lab::world::{Link, Plan, World};
use proto::wire::{Discard, Kind};
use proto::{Bitrate, Sender};

use crate::{finish, packets, plan, rough, run_for};

/// Each fault is tried with all of these; one that shows a fault is added and stays.
const SEEDS: [u64; 4] = [1, 2, 3, 1_031];

/// A fixed rate and `auto`.
const RATES: [Option<Bitrate>; 2] = [Some(Bitrate(100_000_000)), None];

/// Runs `fault` on a stream to five with every seed, at both rates.
fn each(link: Link, mut fault: impl FnMut(&mut World)) {
    for seed in SEEDS {
        for rate in RATES {
            let mut world = World::new(Plan { seed, rate, ..plan(5, link) });
            world.publish(packets(3_000));
            fault(&mut world);
            finish(&mut world);
            assert_eq!(world.complete(), world.listeners().len(), "seed {seed}, rate {rate:?}");
        }
    }
}

#[test]
fn a_partition_of_any_length_heals() {
    for away in [5, 80, 700] {
        each(rough(), |world| {
            run_for(world, Duration::from_millis(60));
            (0..3).for_each(|number| world.set_cut(number, true));
            run_for(world, Duration::from_millis(away));
            (0..3).for_each(|number| world.set_cut(number, false));
        });
    }
}

#[test]
fn a_storm_of_duplicates_changes_nothing() {
    for copies in [2, 6] {
        each(Link { duplicate: 1.0, copies, ..Link::lossy(0.01) }, |_| {});
    }
}

#[test]
fn packets_that_sixty_four_others_overtake_come_in_order() {
    // 64 datagrams of 1514 bytes at 100 Mbit/s.
    let reorder_delay = Duration::from_micros(64 * 122);
    for (reorder, loss) in [(0.02, 0.0), (0.5, 0.01)] {
        each(Link { reorder, reorder_delay, ..Link::lossy(loss) }, |_| {});
    }
}

#[test]
fn a_delay_that_steps_up_and_down_is_survived() {
    each(Link::lossy(0.01), |world| {
        for delay in [30, 1, 100, 5] {
            run_for(world, Duration::from_millis(40));
            world.set_delay(Duration::from_millis(delay));
        }
    });
}

#[test]
fn clocks_two_hundred_millionths_off_are_survived() {
    for seed in SEEDS {
        // 36 s: the clocks are 14 ms apart in the end.
        let rate = Some(Bitrate(1_000_000));
        let link = Link { reorder: 0.01, ..Link::lossy(0.02) };
        let mut world = World::new(Plan { seed, rate, clock_ppm: 200, ..plan(4, link) });
        world.publish(packets(3_000));
        finish(&mut world);
        assert_eq!(world.complete(), 4, "seed {seed}");
    }
}

#[test]
fn the_first_packet_of_each_kind_is_lost_and_everyone_gets_everything() {
    for kind in Kind::ALL {
        each(Link { burst: 2.0, ..Link::lossy(0.02) }, |world| {
            world.lose_next(kind, 1);
            run_for(world, Duration::from_millis(50));
            world.join();
        });
    }
}

/// Restarts the publisher once `phase` holds; everyone has all of the session that follows.
fn restarted_in(phase: impl Fn(&Sender) -> bool, restart: impl Fn(&mut World)) {
    each(rough(), |world| {
        while !phase(world.sender()) {
            run_for(world, Duration::from_millis(1));
        }
        restart(world);
    });
}

#[test]
fn a_restart_in_each_phase_is_followed() {
    restarted_in(|sender| !sender.is_started(), World::restart);
    restarted_in(|sender| sender.stats().packets_sent > 1_000, World::restart);
    restarted_in(Sender::is_ending, World::restart);
}

#[test]
fn a_restart_that_draws_the_same_session_id_is_followed() {
    restarted_in(|sender| !sender.is_started(), World::restart_as_the_same);
    restarted_in(|sender| sender.stats().packets_sent > 1_000, World::restart_as_the_same);
    restarted_in(Sender::is_ending, World::restart_as_the_same);
}

#[test]
fn another_publisher_with_the_same_session_id_is_not_heard() {
    for from in ["10.0.0.9:5000", "10.0.0.1:5001"] {
        let from: SocketAddr = from.parse().unwrap();
        each(rough(), |world| {
            world.publish(packets(20_000));
            run_for(world, Duration::from_millis(50));
            let mut rival = world.rival().unwrap();
            rival.push(Bytes::from(vec![0x55; packets(1_000)]), world.now()).unwrap();
            // What speaks when all is over begins a session of its own.
            while !world.sender().is_ending() {
                speak(&mut rival, world, from);
                run_for(world, Duration::from_millis(2));
            }
            for listener in world.listeners() {
                let discarded = &listener.receiver().stats().discarded;
                assert!(discarded.get(Discard::ForeignSource) > 100, "{discarded:?}");
            }
        });
    }
}

/// Everyone in the group is given what `rival` has to say.
fn speak(rival: &mut Sender, world: &mut World, from: SocketAddr) {
    if rival.poll_timeout().is_some_and(|(due, _)| due <= world.now()) {
        rival.handle_timeout(world.now());
    }
    let mut buf = Vec::new();
    while let Some(transmit) = rival.poll_transmit(world.now(), 16, &mut buf) {
        for datagram in buf.chunks(transmit.segment_len) {
            world.inject(datagram, from);
        }
    }
}
