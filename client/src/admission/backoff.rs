//! When to try again: ever later, and not all subscribers at once.

use std::time::Duration;

/// Waits that double, each shortened by chance.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// How long to wait now.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// Who said that there is no room is left alone for longer.
    pub(super) fn be_patient(&mut self) {
        self.next = LONGEST;
    }
}

/// A publisher that is restarted is there again within this.
const FIRST: Duration = Duration::from_millis(200);

/// A thousand subscribers that wait for one publisher are then a hundred tries a second.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_are_never_less_than_half() {
        let (mut backoff, mut most) = (Backoff::default(), FIRST);
        for _ in 0..12 {
            let wait = backoff.wait();
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
            most = (most * 2).min(LONGEST);
        }
        assert_eq!(most, LONGEST);
        let mut patient = Backoff::default();
        patient.be_patient();
        assert!(patient.wait() >= LONGEST / 2);
    }
}
