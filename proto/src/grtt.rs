//! How far away the group is, and how large it is.

use std::time::Duration;

use crate::Timestamp;

/// The group round-trip time: the largest round trip of any subscriber, smoothed downwards.
///
/// After RFC 5401 and RFC 5740: it rises at once to a larger sample and sinks by no
/// more than a tenth for each round of feedback. The guess that it starts with is given up after the
/// first round.
#[derive(Clone, Debug)]
pub struct Grtt {
    value: Duration,
    /// Nobody was heard yet: the first round of samples takes the guess's place, larger or smaller.
    is_guess: bool,
    round_max: Duration,
    round_ends: Timestamp,
}

impl Grtt {
    /// Starts with a guess.
    #[must_use]
    pub fn new(guess: Duration, now: Timestamp) -> Self {
        Self {
            value: guess,
            is_guess: true,
            round_max: Duration::ZERO,
            round_ends: now.after(ROUND),
        }
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> Duration {
        self.value
    }

    /// Takes the round trip of one subscriber.
    pub fn on_sample(&mut self, sample: Duration, now: Timestamp) {
        let sample = sample.clamp(FLOOR, CEILING);
        self.value = self.value.max(sample);
        if self.is_guess && self.round_max.is_zero() {
            self.round_ends = now.after(FIRST_ROUND);
        }
        self.round_max = self.round_max.max(sample);
        if now >= self.round_ends {
            let least = if self.is_guess { FLOOR } else { self.value.mul_f32(SINK) };
            self.is_guess = false;
            self.value = self.round_max.max(least).max(FLOOR);
            self.round_max = Duration::ZERO;
            self.round_ends = now.after(ROUND);
        }
    }
}

/// One round of feedback.
const ROUND: Duration = Duration::from_millis(200);
/// In which those who are there report for the first time.
const FIRST_ROUND: Duration = Duration::from_millis(50);
/// Below this the wake-up of a thread is all that is measured.
const FLOOR: Duration = Duration::from_micros(200);
/// As NORM's; ten seconds are longer than any window here lasts.
const CEILING: Duration = Duration::from_secs(10);
/// After RFC 5401: not below nine tenths of the previous value for each round.
const SINK: f32 = 0.9;

/// Size of the audience on a logarithmic scale: step `n` stands for [`GroupSize::STEP`]^n, so 8
/// bits reach beyond two million with an error below half a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupSize(pub u8);

impl GroupSize {
    /// From one step to the next.
    pub const STEP: f64 = 1.06;

    /// The step nearest to `audience`; 0 stands for nobody as well as for one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a byte before"
    )]
    pub fn of(audience: u64) -> Self {
        let audience = audience.max(1) as f64;
        Self((audience.ln() / Self::STEP.ln()).round().clamp(0.0, 255.0) as u8)
    }

    /// How many subscribers the step stands for.
    #[must_use]
    pub fn audience(self) -> f64 {
        Self::STEP.powi(i32::from(self.0))
    }
}

/// An audience of at most this many asks at once.
pub const AT_ONCE: u64 = 8;

/// Up to this many subscribers report as often as their credit opens.
pub(crate) const FREQUENT_UP_TO: f64 = 32.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_size_is_within_a_quarter_from_one_to_a_million() {
        for audience in [1_u64, 2, 3, 7, 8, 9, 50, 1_000, 31_623, 1_000_000] {
            let told = GroupSize::of(audience).audience();
            assert!((told / audience as f64 - 1.0).abs() < 0.125, "{audience} became {told}");
        }
    }

    #[test]
    fn the_guess_is_given_up_once_somebody_was_heard() {
        let mut grtt = Grtt::new(Duration::from_millis(10), Timestamp::ZERO);
        grtt.on_sample(Duration::from_millis(1), Timestamp::from_millis(300));
        assert_eq!(grtt.get(), Duration::from_millis(10), "others may be farther");
        grtt.on_sample(Duration::from_millis(2), Timestamp::from_millis(350));
        assert_eq!(grtt.get(), Duration::from_millis(2));
    }

    #[test]
    fn grtt_rises_at_once_and_sinks_slowly() {
        let mut grtt = Grtt::new(Duration::from_millis(10), Timestamp::ZERO);
        grtt.on_sample(Duration::from_millis(40), Timestamp::from_millis(10));
        assert_eq!(grtt.get(), Duration::from_millis(40));
        grtt.on_sample(Duration::from_millis(1), Timestamp::from_millis(250));
        grtt.on_sample(Duration::from_millis(1), Timestamp::from_millis(500));
        assert!(grtt.get() > Duration::from_millis(35), "{:?}", grtt.get());
        for round in 3..100 {
            grtt.on_sample(Duration::from_millis(1), Timestamp::from_millis(250 * round));
        }
        assert!(grtt.get() < Duration::from_millis(2), "{:?}", grtt.get());
    }
}
