//! Repair by count: what it costs beside what theory says.
//!
//! The expected shares are E[max loss of N] ÷ 64 for blocks of 64 packets and independent loss
//! (Nonnenmacher, Biersack, Towsley: Parity-based loss recovery, 1998), one round; repairs that are
//! lost again add a little.

use std::time::Duration;

use lab::sim::{Figures, Sim};
use proto::Bitrate;
use proto::config::{Ahead, Interleave};

pub(crate) fn thousand(loss: f64, packets: u64) -> Sim {
    Sim {
        receivers: 1_000,
        loss,
        burst: 1.0,
        shared_loss: false,
        packets,
        warm_up: 0,
        grtt: Duration::from_millis(20),
        rate: Some(Bitrate(100_000_000)),
        ahead: Ahead::default(),
        interleave: Interleave::default(),
        deadline: None,
        mute: false,
        seed: 1,
    }
}

pub(crate) fn all_complete(sim: &Sim) -> Figures {
    let figures = sim.run();
    assert_eq!(figures.complete, figures.receivers, "{figures:?}");
    figures
}

#[test]
fn a_thousand_share_what_theory_says_they_share() {
    for (loss, packets, theory) in
        [(0.001, 4_000, 0.030), (0.01, 3_000, 0.069), (0.05, 2_000, 0.16)]
    {
        let figures = all_complete(&thousand(loss, packets));
        let repair = figures.repair_ratio;
        assert!(repair < theory * 1.15, "{loss}: {repair} of the stream, not {theory}");
        assert!(repair > theory * 0.7, "{loss}: {repair} is too good to be true");
    }
}

#[test]
fn a_loss_that_a_thousand_share_draws_a_handful_of_naks() {
    let sim = Sim { shared_loss: true, ..thousand(0.01, 3_000) };
    let figures = all_complete(&sim);
    assert!(figures.naks_per_loss <= 12.0, "{figures:?}");
    let estimate = figures.audience_estimate / 1_000.0;
    assert!((0.75..1.25).contains(&estimate), "{figures:?}");
}

#[test]
fn a_few_on_a_segment_pay_for_the_worst_of_them() {
    for (receivers, loss) in [(4, 0.01), (4, 0.05), (4, 0.2), (16, 0.01), (16, 0.05), (16, 0.2)] {
        let least = least_repair(receivers, loss);
        for rate in [None, Some(Bitrate(800_000_000))] {
            let grtt = Duration::from_millis(2);
            let sim = Sim { receivers, rate, grtt, ..thousand(loss, 6_400) };
            let repair = all_complete(&sim).repair_ratio;
            println!("{receivers} at {loss}: repair {repair:.4}, at least {least:.4}");
            assert!(repair < least + 0.015, "{receivers} at {loss}: {repair}, not {least}");
        }
    }
}

/// E[packets sent until the worst of `receivers` has 64 of them] ÷ 64 − 1: nobody can repair by
/// count with less, whatever the rounds, if it sends nothing before it is needed.
fn least_repair(receivers: usize, loss: f64) -> f64 {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut until_whole = || {
        let (mut here, mut sent) = (0, 0_u32);
        while here < 64 {
            sent += 1;
            here += u32::from(chance.f64() >= loss);
        }
        sent
    };
    let worst = (0..4_000).map(|_| (0..receivers).map(|_| until_whole()).max().unwrap_or(64));
    f64::from(worst.sum::<u32>()) / 4_000.0 / 64.0 - 1.0
}

#[test]
fn parity_ahead_of_loss_serves_those_who_cannot_ask() {
    let sim = Sim { mute: true, receivers: 100, ahead: Ahead::Fixed(8), ..thousand(0.01, 6_400) };
    let figures = sim.run();
    assert!(figures.complete >= 99, "{figures:?}");
    assert_eq!(figures.naks, 0);
}
