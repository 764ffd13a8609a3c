//! The highest rate of raw multicast that every subscriber receives whole.

use anyhow::Context;

use crate::raw::run::{LEN, Raw};
use crate::scene::{Sample, Scene};
use crate::stage::Stage;

/// Searches on a grid of 15 %, from what the sender reaches when nothing holds it back: down until
/// nothing is lost, or up until something is. Gives the run at the highest rate without a loss.
pub(crate) fn search(
    stage: &Stage,
    scene: &Scene,
    segments: usize,
    buffer: u64,
) -> anyhow::Result<Sample> {
    let flood = Raw { segments, len: LEN, packets: packets(START), rate: 0.0, buffer };
    let flood = flood.run(stage, scene)?;
    let mut rate = packets_a_second(&flood);
    let mut best = None;
    for _ in 0..MOST_TRIALS {
        let raw = Raw { segments, len: LEN, packets: packets(rate), rate, buffer };
        let sample = raw.run(stage, scene)?;
        let reached = packets_a_second(&sample);
        match (sample.loss <= 0.0, best) {
            // Asked for more than it can send: there is nothing above.
            (true, _) if reached < rate * ABOUT => return Ok(best.unwrap_or(sample)),
            (true, _) => {
                best = Some(sample);
                rate *= GRID;
            }
            (false, Some(best)) => return Ok(best),
            // What came of too much says where to go on: at most half.
            (false, None) => {
                let came = reached * (1.0 - sample.loss);
                rate = (rate / GRID).min(came.max(rate / 2.0));
            }
        }
        if rate < LEAST {
            break;
        }
    }
    best.context("every rate lost something")
}

fn packets_a_second(sample: &Sample) -> f64 {
    sample.sent_packets as f64 / sample.wall_seconds
}

/// What is sent in a trial.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
fn packets(rate: f64) -> u64 {
    (rate * TRIAL_SECONDS).clamp(2_000.0, MOST_BYTES / LEN as f64) as u64
}

const GRID: f64 = 1.15;

/// From anything to a thousandth of it.
const MOST_TRIALS: usize = 40;

/// What is reached of a rate that is kept.
const ABOUT: f64 = 0.97;

/// Packets a second: less than that is no limit but a fault.
const LEAST: f64 = 1_000.0;

/// The first guess, in packets a second: it only decides how much is sent at full speed.
const START: f64 = 200_000.0;

/// Longer than the largest buffer hides.
const TRIAL_SECONDS: f64 = 0.4;

const MOST_BYTES: f64 = 4e9;
