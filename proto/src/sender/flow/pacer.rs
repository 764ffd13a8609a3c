//! When the next burst may leave (RFC 3208 §5.1.2: a token bucket, here as a due time).

use std::time::Duration;

use crate::{Bitrate, Timestamp};

/// Spaces bursts so that the stream keeps its rate and no burst takes long on the wire.
///
/// It has a schedule and, apart from it, a least distance between two bursts: who woke late catches
/// up with the schedule, but over many bursts, so that a switch never sees much more than the rate.
/// A burst may leave piece by piece.
#[derive(Debug)]
pub(in crate::sender) struct Pacer {
    rate: Option<Bitrate>,
    longest: Duration,
    /// When, by the schedule, the next burst leaves.
    scheduled: Timestamp,
    /// The present burst: when it began, and its bytes.
    since: Timestamp,
    sent: u64,
    /// The bytes that it may have.
    most: u64,
    /// Before that the next one does not leave, however late it is.
    earliest: Timestamp,
    /// Something waits for the next one.
    is_awaited: bool,
    lateness: Lateness,
}

impl Pacer {
    pub(in crate::sender) fn new(rate: Option<Bitrate>, longest: Duration) -> Self {
        Self {
            rate,
            longest,
            scheduled: Timestamp::ZERO,
            since: Timestamp::ZERO,
            sent: 0,
            most: u64::MAX,
            earliest: Timestamp::ZERO,
            is_awaited: false,
            lateness: Lateness::default(),
        }
    }

    pub(in crate::sender) fn set_rate(&mut self, rate: Option<Bitrate>) {
        self.rate = rate;
    }

    /// Whatever was sent, the next burst may leave at `now`.
    pub(in crate::sender) fn hasten(&mut self, now: Timestamp) {
        self.scheduled = self.scheduled.min(now);
        self.earliest = self.earliest.min(now);
    }

    pub(in crate::sender) fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at() <= now
    }

    /// When something may leave.
    pub(in crate::sender) fn ready_at(&self) -> Timestamp {
        let has_room = self.rate.is_none() || self.sent < self.most;
        if has_room { Timestamp::ZERO } else { self.next() }
    }

    /// Something is to leave and may not yet.
    pub(in crate::sender) fn await_turn(&mut self) {
        self.is_awaited = self.rate.is_some();
    }

    /// Something leaves: if it waited for its time, by how much it is late is counted.
    pub(in crate::sender) fn on_burst(&mut self, now: Timestamp) {
        if self.is_awaited {
            self.lateness.add(now.since(self.next()));
        }
    }

    /// Datagrams of `wire_len` bytes that the burst may still hold, at least one. It holds as many
    /// as leave in [`USUAL`], or [`FEW`] of them, but never more than the longest burst.
    pub(in crate::sender) fn burst_datagrams(
        &mut self,
        wire_len: usize,
        max: usize,
        now: Timestamp,
    ) -> usize {
        let Some(rate) = self.rate else { return max };
        let datagrams = |time| {
            let bytes = usize::try_from(rate.bytes_in(time)).unwrap_or(usize::MAX);
            bytes.checked_div(wire_len).unwrap_or(1)
        };
        let all = datagrams(USUAL).max(FEW).min(datagrams(self.longest)).max(1);
        self.most = (all.min(max) * wire_len) as u64;
        let sent = if self.is_over(now) { 0 } else { self.sent };
        let left = usize::try_from(self.most.saturating_sub(sent)).unwrap_or(usize::MAX);
        left.checked_div(wire_len).unwrap_or(1).clamp(1, max.max(1))
    }

    /// What waits for no turn left: the schedule makes room for it.
    pub(in crate::sender) fn on_unpaced(&mut self, wire_bytes: usize) {
        if let Some(rate) = self.rate {
            self.scheduled = self.scheduled.after(rate.duration_of(wire_bytes as u64));
        }
    }

    /// `wire_bytes` left at `now`. What the schedule owes for longer than [`DEBT`] is forgotten, and
    /// all of it where there was nothing to send.
    pub(in crate::sender) fn on_sent(&mut self, wire_bytes: usize, now: Timestamp) {
        let Some(rate) = self.rate else { return };
        let takes = rate.duration_of(wire_bytes as u64);
        if self.is_over(now) {
            // Every timer is a little late: by that the next one may be sooner, or the rate would
            // never be reached.
            let (owed, late) =
                if self.is_awaited { (DEBT, takes / 2) } else { (Duration::ZERO, Duration::ZERO) };
            (self.since, self.sent) = (self.next().max(now.before(late)), 0);
            self.scheduled = self.scheduled.max(now.before(owed));
        }
        self.is_awaited = false;
        self.sent += wire_bytes as u64;
        self.scheduled = self.scheduled.after(takes);
        let takes = rate.duration_of(self.sent);
        self.earliest = self.since.after(takes - takes / CATCH_UP);
    }

    /// How late bursts left.
    pub(in crate::sender) fn lateness(&self) -> Lateness {
        self.lateness
    }

    /// When the next burst may begin.
    fn next(&self) -> Timestamp {
        self.scheduled.max(self.earliest)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.next() <= now
    }
}

/// How late paced bursts left, by the time that they were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Bursts that were late by up to each of [`Lateness::bounds`], and by more than the one
    /// before.
    pub counts: [u64; LATENESS_BUCKETS],
    /// Bursts that were later than that.
    pub above: u64,
    /// All lateness together, in nanoseconds.
    pub sum_ns: u64,
}

impl Lateness {
    /// The upper bounds of the buckets: 10 µs, doubled each time.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        (0..LATENESS_BUCKETS).map(|at| Duration::from_micros(10 << at))
    }

    fn add(&mut self, late: Duration) {
        let micros = u64::try_from(late.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        let bucket = micros.div_ceil(10).max(1).next_power_of_two().ilog2();
        match self.counts.get_mut(bucket as usize) {
            Some(count) => *count += 1,
            None => self.above += 1,
        }
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns = self.sum_ns.saturating_add(nanos);
    }
}

/// Up to 10 ms.
const LATENESS_BUCKETS: usize = 11;

/// Bursts of a fast stream: short against the millisecond that a switch's buffer holds, long
/// against the time that it takes to wake up for one.
const USUAL: Duration = Duration::from_micros(140);

/// Bursts of a slow stream: waking up for each packet would cost more than it smoothes.
const FEW: usize = 4;

/// What is owed for longer was not to be sent then.
const DEBT: Duration = Duration::from_millis(10);

/// Who is late sends faster by a twelfth.
const CATCH_UP: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_a_second() {
        for (megabits, datagrams) in [(1, 1), (100, 3), (1_000, 11), (10_000, 46)] {
            let mut pacer =
                Pacer::new(Some(Bitrate(megabits * 1_000_000)), Duration::from_micros(450));
            let mut now = Timestamp::from_secs(1);
            let mut sent = 0_usize;
            while now < Timestamp::from_secs(2) {
                now = now.max(pacer.ready_at());
                let burst = pacer.burst_datagrams(1_514, 46, now);
                assert_eq!(burst, datagrams, "{megabits} Mbit/s");
                pacer.on_sent(burst * 1_514, now);
                pacer.await_turn();
                sent += burst * 1_514;
            }
            let share = sent as f64 * 8.0 / (megabits * 1_000_000) as f64;
            assert!((share - 1.0).abs() < 0.025, "{share}");
        }
    }

    #[test]
    fn who_wakes_late_catches_up_without_a_flood() {
        let mut pacer = Pacer::new(Some(Bitrate(1_000_000_000)), Duration::from_micros(450));
        let mut now = Timestamp::from_secs(1);
        let mut left: Vec<(Timestamp, usize)> = Vec::new();
        for burst in 0..2_000 {
            // Every hundredth burst is a millisecond late, of 13 that it has to make up for it.
            let pause = Duration::from_millis(u64::from(burst % 100 == 99));
            now = pacer.ready_at().max(now).after(pause);
            assert_eq!(pacer.burst_datagrams(1_514, 46, now), 11);
            pacer.on_burst(now);
            pacer.on_sent(11 * 1_514, now);
            pacer.await_turn();
            left.push((now, 11 * 1_514));
        }
        let all: usize = left.iter().map(|(_, bytes)| bytes).sum();
        let time = now.since(left[0].0).as_secs_f64();
        let share = all as f64 * 8.0 / 1e9 / time;
        assert!((share - 1.0).abs() < 0.01, "{share} of the rate");
        let worst = left.iter().map(|(from, _)| {
            let end = from.after(Duration::from_millis(1));
            let within = left.iter().filter(|(at, _)| at >= from && *at < end);
            within.map(|(_, bytes)| bytes).sum::<usize>() as f64 * 8.0 / 1e6
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst <= 1.3, "{worst} times the rate in a millisecond");
        let Lateness { counts, above, sum_ns } = pacer.lateness();
        assert_eq!(counts.iter().sum::<u64>() + above, 1_999);
        assert_eq!(counts[7], 20, "1 ms and not more than 1.28: {counts:?}");
        assert!(sum_ns >= 20_000_000);
    }

    #[test]
    fn timers_that_are_always_late_cost_no_rate() {
        let mut pacer = Pacer::new(Some(Bitrate(2_000_000_000)), Duration::from_micros(450));
        let mut now = Timestamp::from_secs(1);
        let mut sent = 0_usize;
        while now < Timestamp::from_secs(2) {
            now = now.max(pacer.ready_at()).after(Duration::from_micros(60));
            let burst = pacer.burst_datagrams(1_514, 44, now) * 1_514;
            pacer.on_sent(burst, now);
            pacer.await_turn();
            sent += burst;
        }
        let share = sent as f64 * 8.0 / 2e9;
        assert!((share - 1.0).abs() < 0.002, "{share}");
    }

    #[test]
    fn a_long_pause_is_not_made_up_for() {
        let mut pacer = Pacer::new(Some(Bitrate(8_000_000)), Duration::from_millis(1));
        pacer.on_sent(1_000, Timestamp::from_secs(1));
        let mut now = Timestamp::from_secs(5);
        let mut sent = 0;
        while now < Timestamp::from_secs(6) {
            now = now.max(pacer.ready_at());
            pacer.burst_datagrams(1_000, 46, now);
            pacer.on_sent(1_000, now);
            pacer.await_turn();
            sent += 1;
        }
        assert!((1_000..=1_001).contains(&sent), "{sent} ms of data in a second");
    }

    #[test]
    fn a_burst_may_leave_piece_by_piece() {
        let mut pacer = Pacer::new(Some(Bitrate(100_000_000)), Duration::from_micros(500));
        let start = Timestamp::from_secs(1);
        for left in [4, 3, 2, 1] {
            assert!(pacer.is_ready(start));
            assert_eq!(pacer.burst_datagrams(1_500, 46, start), left);
            pacer.on_sent(1_500, start);
        }
        assert_eq!(pacer.ready_at(), start.after(Duration::from_micros(480)));
    }

    #[test]
    fn lateness_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        for (micros, bucket) in [(0, 0), (10, 0), (11, 1), (20, 1), (21, 2), (10_240, 10)] {
            let mut lateness = Lateness::default();
            lateness.add(Duration::from_micros(micros));
            assert_eq!(lateness.counts[bucket], 1, "{micros} µs");
            let bound = Lateness::bounds().nth(bucket).unwrap();
            assert!(Duration::from_micros(micros) <= bound);
        }
        let mut lateness = Lateness::default();
        lateness.add(Duration::from_millis(11));
        assert_eq!(lateness.above, 1);
    }
}
