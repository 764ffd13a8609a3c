//! How a sender shares its rate, and when it lets go.

use std::time::Duration;

use crate::units::Ratio;

/// How a sender shares its rate between data and repair, and what becomes of those who cannot
/// follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Share of what is sent that repair may take while live data waits.
    pub repair_budget: Ratio,
    /// What fewer subscribers than this ask for goes to each of them by unicast; 0: never.
    pub repair_unicast_below: u32,
    /// What becomes of a subscriber that holds the stream back; `None`: by the rate, see
    /// [`Flow::slow_policy`].
    pub slow: Option<SlowPolicy>,
    /// How long it may do so; it is warned after half of it.
    pub slow_after: Duration,
    /// A subscriber that takes at least this share of the time that the others have is not slow.
    pub slow_floor: Ratio,
    /// Loss above which the circuit breaker acts, if it lasts; `None`: never.
    pub breaker: Option<Ratio>,
}

/// What becomes of a subscriber that holds the stream back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is named, and waited for.
    Warn,
    /// It is named, then let go: the others wait no longer, and it may come back late.
    Evict,
}

/// Why a policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no policy for slow subscribers: write warn or evict")]
pub struct SlowPolicyError(String);

impl std::str::FromStr for SlowPolicy {
    type Err = SlowPolicyError;

    fn from_str(text: &str) -> Result<Self, SlowPolicyError> {
        match text {
            "warn" => Ok(Self::Warn),
            "evict" => Ok(Self::Evict),
            _ => Err(SlowPolicyError(text.to_owned())),
        }
    }
}

impl Flow {
    /// What becomes of slow subscribers on a stream whose rate is fixed or not: at a fixed rate
    /// nobody waits for them, and there is nothing to let them go for.
    #[must_use]
    pub fn slow_policy(&self, is_fixed: bool) -> SlowPolicy {
        self.slow.unwrap_or(if is_fixed { SlowPolicy::Warn } else { SlowPolicy::Evict })
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            repair_budget: Ratio::percent(25),
            repair_unicast_below: 0,
            slow: None,
            slow_after: Duration::from_secs(2),
            slow_floor: Ratio::percent(5),
            breaker: Some(Ratio::percent(30)),
        }
    }
}
