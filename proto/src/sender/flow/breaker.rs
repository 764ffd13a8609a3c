//! The circuit breaker: loss that stays high whatever repair does is a path that cannot carry the
//! stream, and repair makes it worse (RFC 8083's idea). The rate is lowered, then repair stops,
//! then the stream; and all comes back by the same steps when the loss is gone.

use std::time::Duration;

use super::pace::WORST;
use crate::config::{Delivery, Flow};
use crate::sender::{Event, Sender};
use crate::{Bitrate, Timestamp};

/// What the circuit breaker does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// Nothing.
    #[default]
    Closed,
    /// The rate is 1 / 2 of what it was.
    Half,
    /// 1 / 4.
    Quarter,
    /// 1 / 8.
    Eighth,
    /// The same, and nothing is repaired while the stream is live.
    NoRepair,
    /// Nothing is sent but what is said of the session; it is tried again after a while.
    Stopped,
}

impl BreakerState {
    /// Every state, in the order of opening.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Half, Self::Quarter, Self::Eighth, Self::NoRepair, Self::Stopped];

    /// As metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Half => "half_rate",
            Self::Quarter => "quarter_rate",
            Self::Eighth => "eighth_rate",
            Self::NoRepair => "no_repair",
            Self::Stopped => "stopped",
        }
    }

    /// Its place in [`BreakerState::ALL`]: the higher, the less is sent.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    fn step(self, by: isize) -> Self {
        let place = self.index().saturating_add_signed(by).min(Self::ALL.len() - 1);
        Self::ALL.get(place).copied().unwrap_or_default()
    }

    /// The rate is divided by two to this.
    fn halvings(self) -> usize {
        self.index().min(Self::Eighth.index())
    }
}

/// Watches the loss, interval by interval.
#[derive(Debug)]
pub(in crate::sender) struct Breaker {
    threshold: Option<f64>,
    /// Whether a lower rate is of any use: a live input with a deadline comes as fast as it comes.
    lowers: bool,
    state: BreakerState,
    /// Intervals in a row with too much loss.
    over: u32,
    /// What an automatic rate achieved when the breaker opened.
    achieved: Bitrate,
    /// When the present interval began, and what had been sent by then.
    since: Timestamp,
    sent: u64,
    /// While stopped: when it is tried again.
    retry: Timestamp,
}

impl Breaker {
    pub(in crate::sender) fn new(flow: &Flow, delivery: Delivery, now: Timestamp) -> Self {
        Self {
            threshold: flow.breaker.map(|ratio| ratio.value()),
            lowers: delivery == Delivery::Reliable,
            state: BreakerState::Closed,
            over: 0,
            achieved: Bitrate(0),
            since: now,
            sent: 0,
            retry: Timestamp::ZERO,
        }
    }

    pub(in crate::sender) fn state(&self) -> BreakerState {
        self.state
    }

    pub(in crate::sender) fn is_stopped(&self) -> bool {
        self.state == BreakerState::Stopped
    }

    /// While stopped: when it is tried again.
    pub(in crate::sender) fn due(&self) -> Option<Timestamp> {
        self.is_stopped().then_some(self.retry)
    }

    /// The rate that is left of `rate`.
    pub(in crate::sender) fn limit(&self, rate: Bitrate) -> Bitrate {
        if !self.lowers {
            return rate;
        }
        Bitrate((rate.0 >> self.state.halvings()).max(1))
    }

    /// What is left of an automatic rate; `None`: all of it.
    pub(in crate::sender) fn ceiling(&self) -> Option<Bitrate> {
        (self.state > BreakerState::Closed && self.lowers).then(|| self.limit(self.achieved))
    }

    /// Whether an interval is over in which data packets were sent, of which there were `sent` so
    /// far. One without data says nothing of the path.
    fn takes_interval(&mut self, sent: u64, interval: Duration, now: Timestamp) -> bool {
        if now.since(self.since) < interval.max(INTERVAL) {
            return false;
        }
        self.since = now;
        std::mem::replace(&mut self.sent, sent) < sent
    }

    /// Takes the loss of an interval; gives the state if it changed.
    fn on_interval(
        &mut self,
        loss: f64,
        achieved: Bitrate,
        now: Timestamp,
    ) -> Option<BreakerState> {
        let threshold = self.threshold?;
        self.over = if loss > threshold { self.over + 1 } else { 0 };
        if self.over >= OPENS_AFTER {
            return self.open(achieved, now);
        }
        if loss < threshold / 2.0 && self.state > BreakerState::Closed {
            let next = self.state.step(-1);
            self.state = if self.lowers || next >= BreakerState::NoRepair {
                next
            } else {
                BreakerState::Closed
            };
            return Some(self.state);
        }
        None
    }

    fn open(&mut self, achieved: Bitrate, now: Timestamp) -> Option<BreakerState> {
        if self.state == BreakerState::Closed {
            self.achieved = achieved;
        }
        self.over = 0;
        let next = self.state.step(1);
        self.state = if self.lowers { next } else { next.max(BreakerState::NoRepair) };
        self.retry = now.after(RETRY);
        Some(self.state)
    }

    /// It is tried again: slowly and without repair.
    fn retry(&mut self, now: Timestamp) -> bool {
        let due = self.is_stopped() && self.retry <= now;
        if due {
            (self.state, self.since) = (BreakerState::NoRepair, now);
        }
        due
    }
}

impl Sender {
    /// Opens and closes the breaker where the time has come.
    pub(in crate::sender) fn watch_breaker(&mut self, now: Timestamp) {
        if self.breaker.retry(now) {
            // What was lost half a minute ago says nothing of now.
            self.audience.forget_loss();
            self.on_breaker(self.breaker.state());
            return;
        }
        let interval = self.census.report_interval();
        if self.breaker.takes_interval(self.stats.packets_sent, interval, now) {
            let (loss, achieved) = (self.loss_quantile(WORST), self.cap.achieved());
            if let Some(state) = self.breaker.on_interval(loss, achieved, now) {
                self.on_breaker(state);
            }
        }
    }

    fn on_breaker(&mut self, state: BreakerState) {
        if let Some(count) = self.stats.breaker_steps.get_mut(state.index()) {
            *count += 1;
        }
        if self.is_without_repair() {
            self.repair.forget_all();
            self.few.forget_all();
            self.parity.forget_asked();
        }
        self.events.push_back(Event::Breaker { state });
    }

    /// What the circuit breaker does.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Whether the breaker keeps repairs back. Once the live stream is over, they are all there is.
    pub(in crate::sender) fn is_without_repair(&self) -> bool {
        self.breaker.state() >= BreakerState::NoRepair && !self.phase.is_ending()
    }
}

/// The shortest interval: shorter ones see the noise of a few thousand packets.
const INTERVAL: Duration = Duration::from_secs(1);

/// Loss must last this many intervals.
const OPENS_AFTER: u32 = 3;

/// A stopped stream is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use BreakerState::{Closed, Eighth, Half, NoRepair, Quarter, Stopped};

    const RATE: Bitrate = Bitrate(800);

    fn breaker(delivery: Delivery) -> Breaker {
        Breaker::new(&Flow::default(), delivery, Timestamp::ZERO)
    }

    fn states(breaker: &mut Breaker, losses: &[f64]) -> Vec<BreakerState> {
        let mut now = Timestamp::ZERO;
        let mut changes = Vec::new();
        for loss in losses {
            now = now.after(INTERVAL);
            changes.extend(breaker.on_interval(*loss, RATE, now));
        }
        changes
    }

    #[test]
    fn it_opens_step_by_step_every_third_interval() {
        let mut breaker = breaker(Delivery::Reliable);
        let steps = [Half, Quarter, Eighth, NoRepair, Stopped];
        assert_eq!(states(&mut breaker, &[0.31; 15]), steps);
        assert_eq!(breaker.ceiling(), Some(Bitrate(100)));
    }

    #[test]
    fn what_does_not_last_does_not_open_it() {
        let mut breaker = breaker(Delivery::Reliable);
        let losses = [0.9, 0.9, 0.2, 0.9, 0.9, 0.3, 0.25, 0.2];
        assert_eq!(states(&mut breaker, &losses), []);
        assert_eq!(states(&mut breaker, &[0.3; 60]), [], "at the threshold");
        assert_eq!((breaker.ceiling(), breaker.limit(RATE)), (None, RATE));
    }

    #[test]
    fn it_closes_by_the_same_steps_when_the_loss_is_halved() {
        let mut breaker = breaker(Delivery::Reliable);
        states(&mut breaker, &[0.5; 12]);
        assert_eq!(states(&mut breaker, &[0.2; 5]), [], "between half and whole it waits");
        assert_eq!(states(&mut breaker, &[0.1; 9]), [Eighth, Quarter, Half, Closed]);
        assert_eq!(breaker.ceiling(), None);
    }

    #[test]
    fn a_stream_with_a_deadline_is_not_slowed_down() {
        let mut breaker = breaker(Delivery::Timely(Duration::from_millis(100)));
        assert_eq!(states(&mut breaker, &[0.5; 6]), [NoRepair, Stopped]);
        assert_eq!((breaker.limit(RATE), breaker.ceiling()), (RATE, None));
        assert!(breaker.retry(Timestamp::from_secs(60)));
        assert_eq!(states(&mut breaker, &[0.1; 3]), [Closed]);
    }

    #[test]
    fn a_stopped_stream_is_tried_again_after_half_a_minute() {
        let mut breaker = breaker(Delivery::Reliable);
        states(&mut breaker, &[0.5; 15]);
        assert_eq!(breaker.due(), Some(Timestamp::from_secs(15).after(RETRY)));
        assert!(!breaker.retry(Timestamp::from_secs(44)));
        assert!(breaker.retry(Timestamp::from_secs(45)));
        assert_eq!((breaker.state(), breaker.due()), (NoRepair, None));
    }

    #[test]
    fn an_interval_without_data_says_nothing() {
        let mut breaker = breaker(Delivery::Reliable);
        assert!(breaker.takes_interval(5, Duration::ZERO, Timestamp::from_secs(1)));
        assert!(!breaker.takes_interval(5, Duration::ZERO, Timestamp::from_secs(2)));
        assert!(!breaker.takes_interval(6, Duration::ZERO, Timestamp::from_millis(2_500)));
        assert!(breaker.takes_interval(6, Duration::ZERO, Timestamp::from_secs(3)));
    }

    #[test]
    fn off_is_off() {
        let flow = Flow { breaker: None, ..Flow::default() };
        let mut breaker = Breaker::new(&flow, Delivery::Reliable, Timestamp::ZERO);
        assert_eq!(states(&mut breaker, &[1.0; 60]), []);
    }
}
