//! Time as an argument.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point of the caller's monotonic clock: nanoseconds since the driver started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// When the driver started.
    pub const ZERO: Self = Self(0);
    /// Later than anything.
    pub const NEVER: Self = Self(u64::MAX);

    /// `seconds` after the driver started.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// `milliseconds` after the driver started.
    #[must_use]
    pub fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds.saturating_mul(1_000_000))
    }

    /// This point, later by `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// This point, earlier by `duration`, but not before the start.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// As the wire carries it: whole microseconds, the low 32 bits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
    pub fn to_wire(self) -> WireTime {
        WireTime((self.0 / 1_000) as u32)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// A point of a sender's clock as it stands on the wire: microseconds, modulo 2^32 (71.6 minutes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireTime(pub u32);

impl WireTime {
    /// Microseconds from `earlier` to this, on the circle; negative if `earlier` lies ahead.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "the half circle behind is negative")]
    pub fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_time_is_a_circle() {
        assert_eq!(WireTime(5).since(WireTime(u32::MAX - 4)), 10);
        assert_eq!(WireTime(u32::MAX - 4).since(WireTime(5)), -10);
    }

    #[test]
    fn a_timestamp_becomes_microseconds() {
        assert_eq!(Timestamp::from_millis(3).to_wire(), WireTime(3_000));
        assert_eq!(Timestamp(u64::from(u32::MAX) * 1_000 + 1_000).to_wire(), WireTime(0));
    }
}
