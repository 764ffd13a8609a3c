//! How many ask for one packet that all lost: the distribution beside a table, the protocol beside
//! its bounds.

use std::time::Duration;

use lab::sim::Sim;
use proto::backoff::BackOff;

use crate::repair::{all_complete, thousand};

/// K, the audience that is assumed, the audience that there is, and how many ask on the mean when
/// the first to ask is heard by all after half a round trip, and after a whole one: simulated by
/// others from RFC 5401's formula, 200 to 2,000 trials for each.
const TABLE: [(f64, f64, usize, [f64; 2]); 8] = [
    (4.0, 10.0, 100, [3.4, 7.1]),
    (4.0, 10.0, 1_000, [21.0, 51.0]),
    (4.0, 10.0, 10_000, [196.0, 493.0]),
    (4.0, 1_000.0, 10, [2.7, 5.6]),
    (4.0, 1_000.0, 1_000, [3.3, 9.7]),
    (4.0, 1_000.0, 10_000, [8.9, 30.0]),
    (4.0, 1_000.0, 100_000, [65.0, 234.0]),
    (6.0, 1_000.0, 10_000, [5.4, 14.0]),
];

#[test]
fn so_many_ask_as_the_distribution_says() {
    let mut rng = fastrand::Rng::with_seed(1);
    let grtt = Duration::from_millis(100);
    for (k, assumed, there, means) in TABLE {
        let back_off = BackOff { audience: assumed, longest: grtt.mul_f64(k) };
        let trials = (2_000_000 / there).clamp(20, 4_000);
        let mut asked = [0.0; 2];
        for _ in 0..trials {
            let waits: Vec<Duration> = (0..there).map(|_| back_off.wait(rng.f64())).collect();
            let first = waits.iter().min().copied().unwrap_or_default();
            for (sum, heard) in asked.iter_mut().zip([0.5, 1.0]) {
                let heard = first + grtt.mul_f64(heard);
                *sum += waits.iter().filter(|wait| **wait < heard).count() as f64;
            }
        }
        for (sum, mean) in asked.into_iter().zip(means) {
            let ratio = sum / trials as f64 / mean;
            assert!(
                (0.8..1.2).contains(&ratio),
                "K {k}, R {assumed}, N {there}: {ratio} of {mean}"
            );
        }
    }
}

#[test]
fn with_the_measured_audience_ten_thousand_are_no_storm() {
    let sim = Sim { receivers: 10_000, shared_loss: true, ..thousand(0.02, 500) };
    let figures = all_complete(&sim);
    assert!(figures.naks_per_loss <= 20.0, "{figures:?}");
}
