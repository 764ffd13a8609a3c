//! The random wait before asking, so that of many that lack the same few ask (RFC 5401 §3.2.3,
//! written out in docs/PROTOCOL.md §4.5).

use std::time::Duration;

use crate::grtt::GroupSize;

/// A truncated exponential distribution: few draw a short wait, most a long one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackOff {
    /// Subscribers that may draw.
    pub audience: f64,
    /// The longest wait.
    pub longest: Duration,
}

impl BackOff {
    /// The wait of which a share `u` of all draws is shorter, with `u` from 0 to 1.
    #[must_use]
    pub fn wait(self, u: f64) -> Duration {
        let longest = self.longest.as_secs_f64();
        let lambda = self.audience.max(1.0).ln() + 1.0;
        let spread = lambda / longest;
        let x = u * spread + spread / (lambda.exp() - 1.0);
        let wait = longest / lambda * (x * (lambda.exp() - 1.0) * (longest / lambda)).ln();
        Duration::from_secs_f64(wait.clamp(0.0, longest))
    }
}

/// The longest back-off in group round trips: RFC 5401's K is 4 for groups that hear each other, 6
/// for those that do not. Nobody hears another here, but the publisher's confirmation comes half a
/// round trip later; above some tens of thousands the longer wait is worth it.
#[must_use]
pub fn factor(audience: GroupSize) -> f64 {
    if audience.audience() > LARGE { 6.0 } else { 4.0 }
}

/// Above this the longer back-off holds.
const LARGE: f64 = 20_000.0;
