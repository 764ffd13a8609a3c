//! When the next burst may leave (RFC 3208 §5.1.2: a token bucket, here as a due time).

use std::time::Duration;

use crate::{Bitrate, Timestamp};

/// Spaces bursts so that the stream keeps its rate and no burst takes long on the wire.
#[derive(Debug)]
pub(in crate::sender) struct Pacer {
    rate: Option<Bitrate>,
    burst: Duration,
    next: Timestamp,
}

impl Pacer {
    pub(in crate::sender) fn new(rate: Option<Bitrate>, burst: Duration) -> Self {
        Self { rate, burst, next: Timestamp::ZERO }
    }

    pub(in crate::sender) fn set_rate(&mut self, rate: Option<Bitrate>) {
        self.rate = rate;
    }

    pub(in crate::sender) fn is_ready(&self, now: Timestamp) -> bool {
        self.rate.is_none() || self.next <= now
    }

    /// When the next burst may leave.
    pub(in crate::sender) fn ready_at(&self) -> Timestamp {
        if self.rate.is_none() { Timestamp::ZERO } else { self.next }
    }

    /// Datagrams of `wire_len` bytes that a burst may hold, at least one.
    pub(in crate::sender) fn burst_datagrams(&self, wire_len: usize, max: usize) -> usize {
        let Some(rate) = self.rate else { return max };
        let bytes = usize::try_from(rate.bytes_in(self.burst)).unwrap_or(usize::MAX);
        bytes.checked_div(wire_len).unwrap_or(1).clamp(1, max.max(1))
    }

    /// `wire_bytes` left at `now`. Who woke late catches up on two bursts, not on more: what a
    /// schedule owes must not leave as one flood.
    pub(in crate::sender) fn on_sent(&mut self, wire_bytes: usize, now: Timestamp) {
        let Some(rate) = self.rate else { return };
        let earliest = now.before(self.burst * 2);
        let from = self.next.max(earliest);
        self.next = from.after(rate.duration_of(wire_bytes as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_a_second() {
        let mut pacer = Pacer::new(Some(Bitrate(100_000_000)), Duration::from_micros(500));
        let mut now = Timestamp::from_secs(1);
        let mut sent = 0_usize;
        while now < Timestamp::from_secs(2) {
            now = now.max(pacer.ready_at());
            let burst = pacer.burst_datagrams(1_514, 46);
            assert_eq!(burst, 4);
            pacer.on_sent(burst * 1_514, now);
            sent += burst * 1_514;
        }
        let share = sent as f64 * 8.0 / 100_000_000.0;
        assert!((share - 1.0).abs() < 0.01, "{share}");
    }

    #[test]
    fn a_late_wake_up_is_not_made_up_for_without_bound() {
        let mut pacer = Pacer::new(Some(Bitrate(8_000_000)), Duration::from_millis(1));
        pacer.on_sent(1_000, Timestamp::from_secs(1));
        let late = Timestamp::from_secs(5);
        let mut burst = 0;
        while pacer.is_ready(late) {
            pacer.on_sent(1_000, late);
            burst += 1;
        }
        assert!(burst <= 4, "{burst} ms of data at once");
    }
}
