//! The sender's clock as it is seen from here.

use std::time::Duration;

use crate::{Timestamp, WireTime};

/// Unwraps the sender's 32-bit time and keeps the smallest offset to the own clock.
///
/// The smallest offset is the fastest way a datagram took; it is forgotten after one to two
/// [`OFFSET_LIFE`]s, so that clocks that drift apart are followed.
#[derive(Debug)]
pub(super) struct SenderClock {
    /// The newest sending time seen, unwrapped: its wire form, and microseconds since some start.
    newest: Option<(WireTime, i64)>,
    offset: Option<i64>,
    previous_offset: Option<i64>,
    life_ends: Timestamp,
    last: Option<(i64, i64)>,
    /// What was seen last: most datagrams left and came together with the one before.
    seen: Option<(WireTime, Timestamp)>,
    jitter_ns: i64,
    heard: Timestamp,
}

impl SenderClock {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            newest: None,
            offset: None,
            previous_offset: None,
            life_ends: now.after(OFFSET_LIFE),
            last: None,
            seen: None,
            jitter_ns: 0,
            heard: now,
        }
    }

    /// A datagram that left at `sent` is here. Those that left and came together are one to it.
    pub(super) fn on_datagram(&mut self, sent: WireTime, now: Timestamp) {
        if self.seen.replace((sent, now)) == Some((sent, now)) {
            return;
        }
        let sent_us = self.unwrap(sent);
        if self.newest.is_none_or(|(_, newest)| sent_us >= newest) {
            self.newest = Some((sent, sent_us));
            self.heard = now;
        }
        let arrival = nanos(now);
        let offset = arrival.saturating_sub(sent_us.saturating_mul(1_000));
        if now >= self.life_ends {
            self.previous_offset = self.offset.take();
            self.life_ends = now.after(OFFSET_LIFE);
        }
        self.offset = Some(self.offset.map_or(offset, |smallest| smallest.min(offset)));
        self.measure_jitter(arrival, sent_us);
    }

    /// RFC 3550 §6.4.1: the mean deviation of the spacing on arrival from that at departure.
    fn measure_jitter(&mut self, arrival: i64, sent_us: i64) {
        let sent = sent_us.saturating_mul(1_000);
        if let Some((last_arrival, last_sent)) = self.last.replace((arrival, sent)) {
            let deviation = (arrival - last_arrival) - (sent - last_sent);
            self.jitter_ns += (deviation.abs() - self.jitter_ns) / 16;
        }
    }

    /// When, on the own clock, a datagram that left at `sent` would have come by the fastest way.
    pub(super) fn arrival_of(&self, sent: WireTime) -> Option<Timestamp> {
        let smallest = match (self.offset, self.previous_offset) {
            (Some(now), Some(before)) => now.min(before),
            (now, before) => now.or(before)?,
        };
        let at = self.unwrap(sent).saturating_mul(1_000).saturating_add(smallest);
        Some(Timestamp(u64::try_from(at).unwrap_or(0)))
    }

    /// The newest sending time seen, and how long ago that was.
    pub(super) fn echo(&self, now: Timestamp) -> (WireTime, Duration) {
        let newest = self.newest.map_or(WireTime::default(), |(wire, _)| wire);
        (newest, now.since(self.heard))
    }

    pub(super) fn jitter(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.jitter_ns).unwrap_or(0))
    }

    fn unwrap(&self, sent: WireTime) -> i64 {
        match self.newest {
            Some((wire, unwrapped)) => unwrapped + i64::from(sent.since(wire)),
            None => i64::from(sent.0),
        }
    }
}

fn nanos(now: Timestamp) -> i64 {
    i64::try_from(now.0).unwrap_or(i64::MAX)
}

/// 200 ppm of drift are 2 ms in this time: less than the jitter of a busy host.
const OFFSET_LIFE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_way_is_the_measure_of_all_others() {
        let mut clock = SenderClock::new(Timestamp::ZERO);
        clock.on_datagram(WireTime(1_000), Timestamp::from_millis(108));
        clock.on_datagram(WireTime(2_000), Timestamp::from_millis(105));
        clock.on_datagram(WireTime(3_000), Timestamp::from_millis(107));
        assert_eq!(clock.arrival_of(WireTime(4_000)), Some(Timestamp::from_millis(107)));
    }

    #[test]
    fn time_goes_on_over_the_wrap_of_the_wire() {
        let mut clock = SenderClock::new(Timestamp::ZERO);
        clock.on_datagram(WireTime(u32::MAX - 999), Timestamp::from_millis(50));
        clock.on_datagram(WireTime(1_000), Timestamp::from_millis(52));
        assert_eq!(clock.arrival_of(WireTime(2_000)), Some(Timestamp::from_millis(53)));
        assert_eq!(clock.echo(Timestamp::from_millis(60)).0, WireTime(1_000));
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut clock = SenderClock::new(Timestamp::ZERO);
        for second in 0..40_u32 {
            let drift = u64::from(second) * 200; // microseconds: 200 ppm
            let now = Timestamp((u64::from(second) * 1_000_000 + drift) * 1_000);
            clock.on_datagram(WireTime(second * 1_000_000), now);
        }
        let at = clock.arrival_of(WireTime(40_000_000)).unwrap();
        let behind = Timestamp((40_000_000 + 8_000) * 1_000).since(at);
        assert!(behind < Duration::from_millis(5), "{behind:?}");
    }
}
