//! The clock of a driver: the only place where time is read for the state machines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proto::Timestamp;

/// Monotonic time since the driver started. A copy tells the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now, at [`Timestamp::ZERO`].
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time: nanoseconds since the start. 584 years fit.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Wall time in microseconds since 1970: what an announce says of a session's start.
    #[must_use]
    pub fn unix_us() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_a_copy_tells_the_same() {
        let clock = Clock::start();
        let copy = clock;
        let first = clock.now();
        let second = copy.now();
        assert!(second >= first);
        assert!(Clock::unix_us() > 1_600_000_000_000_000);
    }
}
