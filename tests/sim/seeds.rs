//! Many seeds, and those that failed once.

use std::time::Duration;

use lab::world::{Link, Plan, World};

use crate::{finish, packets, run_for};

/// Seeds that showed a fault: they stay.
const ONCE_FAILED: [u64; 1] = [1_016];

#[test]
fn whatever_the_seed_everyone_gets_everything() {
    for seed in ONCE_FAILED.into_iter().chain(1_000..1_100) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(any_plan(seed, &mut rng));
        world.publish(packets(rng.usize(1..1_500)) - rng.usize(0..1_000));
        let mut expected = world.listeners().len();
        for _ in 0..rng.usize(0..4) {
            run_for(&mut world, Duration::from_millis(rng.u64(0..60)));
            match rng.u8(0..4) {
                0 => world.restart(),
                1 => {
                    world.join();
                    expected += 1;
                }
                2 => world.set_cut(0, true),
                _ => world.lose_next(any_kind(&mut rng), rng.u32(1..20)),
            }
        }
        run_for(&mut world, Duration::from_millis(rng.u64(0..500)));
        world.set_cut(0, false);
        finish(&mut world);
        assert_eq!(world.complete(), expected, "seed {seed}");
    }
}

fn any_plan(seed: u64, rng: &mut fastrand::Rng) -> Plan {
    let link = Link {
        loss: rng.f64() * 0.1,
        burst: 1.0 + rng.f64() * 20.0,
        reorder: rng.f64() * 0.1,
        duplicate: rng.f64() * 0.1,
        feedback_loss: rng.f64() * 0.2,
        delay: Duration::from_micros(rng.u64(50..20_000)),
    };
    let rate = rng.bool().then_some(proto::Bitrate(rng.u64(20_000_000..500_000_000)));
    Plan { seed, receivers: rng.usize(1..15), link, rate, ..Plan::default() }
}

fn any_kind(rng: &mut fastrand::Rng) -> proto::wire::Kind {
    let kinds = proto::wire::Kind::ALL;
    kinds[rng.usize(0..kinds.len())]
}
