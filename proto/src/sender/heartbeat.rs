//! What is said when there is nothing to say: first soon, then ever more rarely (RFC 3208
//! §5.1.5), so that the loss of the last packet is seen within the shortest interval.

use std::time::Duration;

use crate::Timestamp;

/// When the next heartbeat is due.
#[derive(Debug)]
pub(super) struct Heartbeat {
    shortest: Duration,
    longest: Duration,
    interval: Duration,
    due: Timestamp,
}

impl Heartbeat {
    pub(super) fn new((shortest, longest): (Duration, Duration), now: Timestamp) -> Self {
        Self { shortest, longest, interval: shortest, due: now }
    }

    pub(super) fn due(&self) -> Timestamp {
        self.due
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Data was sent: silence begins anew.
    pub(super) fn on_data(&mut self, now: Timestamp) {
        self.interval = self.shortest;
        self.due = now.after(self.shortest);
    }

    /// A heartbeat was sent: the next one may wait twice as long.
    pub(super) fn on_heartbeat(&mut self, now: Timestamp) {
        self.due = now.after(self.interval);
        self.interval = (self.interval * 2).min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_grow_rare_and_data_makes_them_frequent_again() {
        let bounds = (Duration::from_millis(10), Duration::from_millis(100));
        let mut heartbeat = Heartbeat::new(bounds, Timestamp::ZERO);
        let mut now = Timestamp::ZERO;
        let mut gaps = Vec::new();
        for _ in 0..6 {
            now = heartbeat.due();
            heartbeat.on_heartbeat(now);
            gaps.push(heartbeat.due().since(now).as_millis());
        }
        assert_eq!(gaps, [10, 20, 40, 80, 100, 100]);
        heartbeat.on_data(now);
        assert_eq!(heartbeat.due(), now.after(Duration::from_millis(10)));
    }
}
