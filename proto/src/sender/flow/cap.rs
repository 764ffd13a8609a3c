//! The ceiling that loss puts on an automatic rate.
//!
//! Credit keeps a socket's buffer from overrunning; what it cannot see is a bottleneck on the way.
//! Loss in a kernel, or much loss on the wire, lowers the rate below what was achieved; without
//! it the ceiling rises until it is out of the way. Where less comes through at a third of the rate,
//! or the rate has sunk as low as it may, the loss is not of the rate's making: the rate does not
//! go on sinking for it, nor stay that low.

use std::time::Duration;

use crate::{Bitrate, Timestamp};

/// The ceiling, and what was achieved below it.
#[derive(Debug)]
pub(in crate::sender) struct Cap {
    ceiling: Option<u64>,
    /// When the present interval began.
    since: Timestamp,
    /// Wire bytes that left in it.
    sent: u64,
    /// Bits per second in the last interval in which something left.
    achieved: u64,
    peak: u64,
    /// What came through when the present run of cuts began, in bits per second, and how many
    /// cuts there were.
    run: Option<(f64, u32)>,
    /// Until then loss on the wire lowers nothing: it did not sink with the rate.
    patient_until: Timestamp,
}

impl Cap {
    pub(in crate::sender) fn new(now: Timestamp) -> Self {
        Self {
            ceiling: None,
            since: now,
            sent: 0,
            achieved: 0,
            peak: 0,
            run: None,
            patient_until: Timestamp::ZERO,
        }
    }

    /// The ceiling, if there is one.
    pub(in crate::sender) fn get(&self) -> Option<Bitrate> {
        self.ceiling.map(Bitrate)
    }

    /// What was achieved of late.
    pub(in crate::sender) fn achieved(&self) -> Bitrate {
        Bitrate(self.achieved)
    }

    pub(in crate::sender) fn on_sent(&mut self, wire_bytes: u64) {
        self.sent += wire_bytes;
    }

    /// Whether the interval is over.
    pub(in crate::sender) fn is_due(&self, interval: Duration, now: Timestamp) -> bool {
        now.since(self.since) >= interval.max(SHORTEST)
    }

    /// A subscriber's kernel had no room: at once, but once in an interval.
    pub(in crate::sender) fn on_kernel_drops(&mut self, now: Timestamp) {
        if self.sent == 0 {
            return;
        }
        if now.since(self.since) >= SHORTEST / 4 || self.achieved == 0 {
            self.measure(now);
            self.cut();
        }
    }

    /// The interval is over; `loss` is what one subscriber in ten loses more than.
    pub(in crate::sender) fn on_interval(&mut self, loss: f64, now: Timestamp) {
        if !self.measure(now) {
            return;
        }
        if self.is_lost_to_rate(loss, now) {
            self.cut();
        } else {
            self.rise();
        }
    }

    /// Ends the interval; says whether anything left in it.
    fn measure(&mut self, now: Timestamp) -> bool {
        let elapsed = now.since(self.since).max(Duration::from_millis(1));
        let sent = std::mem::take(&mut self.sent);
        self.since = now;
        if sent == 0 {
            return false;
        }
        let bits = u128::from(sent) * 8_000_000 / elapsed.as_micros();
        self.achieved = u64::try_from(bits).unwrap_or(u64::MAX);
        self.peak = self.peak.max(self.achieved);
        true
    }

    /// Whether the rate is to be lowered for the loss on the wire.
    fn is_lost_to_rate(&mut self, loss: f64, now: Timestamp) -> bool {
        if loss <= HEAVY {
            self.run = None;
            return false;
        }
        if now < self.patient_until {
            return false;
        }
        let through = self.achieved as f64 * (1.0 - loss);
        let (before, cuts) = self.run.unwrap_or((through, 0));
        let is_lowest = self.ceiling.is_some_and(|ceiling| ceiling <= self.floor());
        if is_lowest || cuts >= IN_VAIN && through < before * STILL {
            self.patient_until = now.after(PATIENCE);
            self.run = None;
            return false;
        }
        self.run = Some((before, cuts + 1));
        true
    }

    fn cut(&mut self) {
        self.ceiling = Some((self.achieved / 10 * 7).max(self.floor()));
    }

    fn floor(&self) -> u64 {
        (self.peak / 64).max(FLOOR)
    }

    fn rise(&mut self) {
        let risen = self.ceiling.map(|ceiling| ceiling.saturating_add(ceiling / 10));
        self.ceiling = risen.filter(|ceiling| *ceiling / 2 <= self.achieved);
    }
}

/// Reports of a few subscribers come this often.
const SHORTEST: Duration = Duration::from_millis(100);

/// Loss that repair mends cheaply is no reason to slow down; more than this is.
const HEAVY: f64 = 0.1;

/// After so many cuts the rate is a third of what it was.
const IN_VAIN: u32 = 3;

/// Through a bottleneck as much comes as before; of what is lost by chance, a third.
const STILL: f64 = 0.6;

/// How long loss that does not sink with the rate is put up with before it is tried again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The rate never sinks below 1 Mbit/s, nor below 1 / 64 of the highest.
const FLOOR: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at `rate` bits per second, or at the ceiling, for an interval that loses `loss`.
    fn interval(cap: &mut Cap, rate: u64, loss: f64, now: &mut Timestamp) -> u64 {
        let rate = cap.get().map_or(rate, |ceiling| ceiling.0.min(rate));
        cap.on_sent(rate / 8 / 10);
        *now = now.after(SHORTEST);
        assert!(cap.is_due(Duration::ZERO, *now));
        cap.on_interval(loss, *now);
        rate
    }

    #[test]
    fn loss_that_repair_mends_does_not_lower_the_rate() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        for loss in [0.0, 0.01, 0.05, 0.1] {
            for _ in 0..20 {
                interval(&mut cap, 1_000_000_000, loss, &mut now);
            }
            assert_eq!(cap.get(), None, "at {loss}");
        }
    }

    #[test]
    fn a_kernel_drop_takes_three_tenths_and_the_rate_comes_back_by_tenths() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        interval(&mut cap, 1_000_000_000, 0.0, &mut now);
        cap.on_sent(1_000_000_000 / 8 / 20);
        now = now.after(SHORTEST / 2);
        cap.on_kernel_drops(now);
        assert_eq!(cap.get(), Some(Bitrate(700_000_000)));
        cap.on_sent(1_000);
        cap.on_kernel_drops(now.after(Duration::from_millis(1)));
        assert_eq!(cap.get(), Some(Bitrate(700_000_000)), "once in an interval");
        interval(&mut cap, u64::MAX, 0.0, &mut now);
        assert_eq!(cap.get(), Some(Bitrate(770_000_000)));
        let intervals = (0..50).find(|_| {
            interval(&mut cap, 1_000_000_000, 0.0, &mut now);
            cap.get().is_none()
        });
        assert!(intervals.is_some_and(|count| count < 15), "{intervals:?}");
    }

    #[test]
    fn who_stalled_while_others_lose_by_chance_does_not_stay_slow() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        interval(&mut cap, 1_000_000_000, 0.0, &mut now);
        interval(&mut cap, 10_000_000, 0.2, &mut now);
        let rates = (0..50).map(|_| interval(&mut cap, 1_000_000_000, 0.2, &mut now));
        let fast = rates.filter(|rate| *rate >= 500_000_000).count();
        assert!(fast > 10, "{fast} of 50");
    }

    #[test]
    fn a_bottleneck_is_found() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        let bottleneck = 100_000_000.0;
        let mut rates = Vec::new();
        for _ in 0..200 {
            let sent = cap.get().map_or(1e9, |ceiling| (ceiling.0 as f64).min(1e9));
            let loss = (1.0 - bottleneck / sent).max(0.0);
            rates.push(interval(&mut cap, 1_000_000_000, loss, &mut now));
        }
        let late = &rates[50..];
        let mean = late.iter().sum::<u64>() as f64 / late.len() as f64;
        assert!((0.7..1.15).contains(&(mean / bottleneck)), "{mean}");
    }

    #[test]
    fn loss_that_does_not_sink_with_the_rate_does_not_sink_it_for_ever() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        let rates: Vec<u64> =
            (0..300).map(|_| interval(&mut cap, 1_000_000_000, 0.2, &mut now)).collect();
        let mean = rates.iter().sum::<u64>() / rates.len() as u64;
        assert!(mean > 800_000_000, "{mean}");
        assert!(rates.iter().all(|rate| *rate > 300_000_000));
    }

    #[test]
    fn there_is_a_floor() {
        let (mut cap, mut now) = (Cap::new(Timestamp::ZERO), Timestamp::ZERO);
        for round in 1..100 {
            let rate = if round == 1 { 6_400_000_000 } else { 1 };
            cap.on_sent(rate / 8 / 10 + 1);
            now = now.after(SHORTEST);
            cap.on_kernel_drops(now);
        }
        assert_eq!(cap.get(), Some(Bitrate(100_000_001)));
    }
}
