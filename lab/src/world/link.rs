//! What lies between the sender and one listener.

use std::time::Duration;

/// Loss, delay, reorder and duplicates: a recipe for many links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// Whether what one listener loses all lose.
    pub shared: bool,
    /// Mean length of a burst of loss, in datagrams; 1 is independent loss.
    pub burst: f64,
    /// Share of datagrams that come later than the next ones.
    pub reorder: f64,
    /// How much later: 700 µs are six datagrams at 100 Mbit/s.
    pub reorder_delay: Duration,
    /// Share of datagrams that come more than once.
    pub duplicate: f64,
    /// How often those come; more than twice and feedback comes as often.
    pub copies: u8,
    /// Share of feedback that is lost.
    pub feedback_loss: f64,
    /// The time one way takes to the nearest listeners; the farthest are twice as far.
    pub delay: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            shared: false,
            burst: 1.0,
            reorder: 0.0,
            reorder_delay: Duration::from_micros(700),
            duplicate: 0.0,
            copies: 2,
            feedback_loss: 0.0,
            delay: Duration::from_millis(5),
        }
    }
}

impl Link {
    /// A link that loses this share of datagrams, each on its own.
    #[must_use]
    pub fn lossy(loss: f64) -> Self {
        Self { loss, ..Self::default() }
    }

    /// The delay of a class of listeners.
    pub(super) fn delay_of(&self, class: usize) -> Duration {
        self.delay.mul_f64(1.0 + class as f64 / (CLASSES - 1).max(1) as f64)
    }

    /// What all listeners lose together, if they do.
    pub(super) fn common(self, seed: u64) -> LinkState {
        let loss = if self.shared { self.loss } else { 0.0 };
        Self { loss, ..self }.state(seed)
    }

    pub(super) fn for_listener(self, seed: u64) -> LinkState {
        let loss = if self.shared { 0.0 } else { self.loss };
        Self { loss, ..self }.state(seed)
    }

    fn state(self, seed: u64) -> LinkState {
        let mut state = LinkState {
            link: self,
            rng: fastrand::Rng::with_seed(seed),
            good_left: 0,
            bad_left: 0,
            cut: false,
        };
        state.good_left = state.good_run();
        state
    }
}

/// One link, and where its chance stands.
#[derive(Clone, Debug)]
pub(super) struct LinkState {
    link: Link,
    rng: fastrand::Rng,
    /// Datagrams until the next burst of loss.
    good_left: u64,
    /// Datagrams that the present burst still takes.
    bad_left: u64,
    /// Whether nothing passes at all.
    pub(super) cut: bool,
}

/// What a link makes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) copies: u8,
    pub(super) extra_delay: Option<Duration>,
}

impl LinkState {
    pub(super) fn fate(&mut self) -> Fate {
        if self.loses() {
            return Fate { copies: 0, extra_delay: None };
        }
        let copies = if self.chance(self.link.duplicate) { self.link.copies } else { 1 };
        let late = self.chance(self.link.reorder);
        Fate { copies, extra_delay: late.then_some(self.link.reorder_delay) }
    }

    pub(super) fn set_loss(&mut self, loss: f64) {
        self.link.loss = loss;
        (self.bad_left, self.good_left) = (0, self.good_run());
    }

    /// How often what a listener says reaches the sender.
    pub(super) fn feedback_copies(&mut self) -> u8 {
        if self.loses_feedback() {
            return 0;
        }
        let storm = self.link.copies > 2 && self.chance(self.link.duplicate);
        if storm { self.link.copies } else { 1 }
    }

    fn loses_feedback(&mut self) -> bool {
        self.chance(self.link.feedback_loss)
    }

    /// Gilbert-Elliott: runs of geometric length, lost and not lost, drawn once for each run.
    pub(super) fn loses(&mut self) -> bool {
        if self.bad_left > 0 {
            self.bad_left -= 1;
            return true;
        }
        if self.good_left > 0 {
            self.good_left -= 1;
            return false;
        }
        self.good_left = self.good_run();
        self.bad_left = self.geometric(1.0 / self.link.burst.max(1.0)) - 1;
        true
    }

    /// Datagrams between two bursts.
    fn good_run(&mut self) -> u64 {
        if self.link.loss <= 0.0 {
            return u64::MAX;
        }
        // None at all is a run as well, so its mean is one less than that of the trials.
        let good = self.link.burst.max(1.0) * (1.0 - self.link.loss) / self.link.loss;
        self.geometric(1.0 / (1.0 + good.max(0.0))) - 1
    }

    /// Trials up to and with the first success, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and small"
    )]
    fn geometric(&mut self, success: f64) -> u64 {
        if success >= 1.0 {
            return 1;
        }
        let u = 1.0 - self.rng.f64();
        ((u.ln() / (1.0 - success).ln()).floor() as u64).saturating_add(1)
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.f64() < share
    }
}

/// Distances that listeners are sorted into: one event for each, not one for each listener.
pub(super) const CLASSES: usize = 4;

pub(super) fn class_of(listener: usize) -> usize {
    listener % CLASSES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(link: Link) -> (f64, f64) {
        let mut state = link.for_listener(5);
        let fates: Vec<bool> = (0..200_000).map(|_| state.fate().copies == 0).collect();
        let lost = fates.iter().filter(|lost| **lost).count() as f64;
        let bursts = fates.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (lost / fates.len() as f64, lost / bursts)
    }

    #[test]
    fn the_share_and_the_bursts_of_loss_are_what_was_asked_for() {
        let (share, burst) = losses(Link { loss: 0.02, burst: 8.0, ..Link::default() });
        assert!((0.017..0.023).contains(&share), "{share}");
        assert!((7.0..9.0).contains(&burst), "{burst}");
        for loss in [0.05, 0.2, 0.5] {
            let (share, burst) = losses(Link::lossy(loss));
            assert!((0.98..1.02).contains(&(share / loss)), "{share}, not {loss}");
            // Independent losses follow one another as often as chance has it.
            assert!((0.98..1.02).contains(&(burst * (1.0 - loss))), "{burst} at {loss}");
        }
    }
}
