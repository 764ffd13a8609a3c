//! How fast: what the rate, the audience, the ceiling and the breaker say together.

use std::time::Duration;

use super::Cap;
use crate::sender::{Sender, UNHEARD_RATE};
use crate::wire::Losses;
use crate::{Bitrate, Timestamp};

impl Sender {
    /// Looks at loss: whether the ceiling of an automatic rate moves, or the breaker.
    pub(in crate::sender) fn watch_loss(&mut self, now: Timestamp) {
        let interval = self.census.report_interval();
        if self.config.rate.is_none() && self.cap.is_due(interval.min(LONGEST), now) {
            let loss = self.loss_quantile(WORST);
            self.cap.on_interval(loss, now);
            self.budget.set_rate(self.cap.achieved(), self.full_wire_len());
        }
        self.watch_breaker(now);
    }

    /// The configured rate is another: what was learnt at the old one is forgotten.
    pub(in crate::sender) fn change_rate(&mut self, now: Timestamp) {
        self.cap = Cap::new(now);
        let rate = self.config.rate.unwrap_or(UNHEARD_RATE);
        self.budget.set_rate(rate, self.full_wire_len());
        // What was sent at a low rate is not waited for at a high one.
        self.pacer.hasten(now);
        self.pacer.set_rate(self.pace());
    }

    /// Sets what bounds the next burst.
    pub(in crate::sender) fn keep_pace(&mut self, now: Timestamp) {
        self.pacer.set_rate(self.pace());
        self.weigh_repairs(now);
        let together = self.audience.together();
        let under_way = together.highest.map_or(0, |highest| self.window.lead().since(highest));
        let room = together.room.filter(|_| self.config.rate.is_none());
        // What data under way does not fill, repair may; and in any case what a socket holds
        // beyond its credit.
        let most = room.map(|room| (room / 4).max(room.saturating_sub(under_way)));
        self.surge.tick(most, together.heard, self.grtt.get(), now);
    }

    /// The rate that the pacer keeps; `None`: as fast as the audience takes it.
    #[must_use]
    pub fn pace(&self) -> Option<Bitrate> {
        let Some(rate) = self.config.rate else { return self.automatic_pace() };
        Some(self.breaker.limit(rate))
    }

    /// An automatic rate follows the audience's credit; with nobody heard there is none, and a
    /// modest rate stands in.
    fn automatic_pace(&self) -> Option<Bitrate> {
        let heard = self.audience.together().credit.is_some();
        let unheard = (!heard).then_some(UNHEARD_RATE);
        [unheard, self.cap.get(), self.breaker.ceiling()].into_iter().flatten().min()
    }

    /// A subscriber that the stream waits for reports its losses: `before` is what it had.
    pub(in crate::sender) fn on_losses(&mut self, before: Losses, losses: Losses, now: Timestamp) {
        if self.config.rate.is_none() && losses.kernel > before.kernel {
            self.cap.on_kernel_drops(now);
        }
    }
}

/// Repairs to the group are not covered by anybody's credit: of an automatic stream no more
/// leave at once than the slack of the smallest socket takes.
#[derive(Debug, Default)]
pub(in crate::sender) struct Surge {
    /// When the present surge began, and when it is over at the latest.
    since: Timestamp,
    until: Timestamp,
    left: u64,
    /// Packets that may leave in one; 0: as many as there are.
    most: u64,
}

impl Surge {
    /// So many repairs leave.
    pub(in crate::sender) fn on_sent(&mut self, packets: u64) {
        self.left += packets;
    }

    pub(in crate::sender) fn admits(&self, now: Timestamp) -> bool {
        self.most == 0 || self.left < self.most || self.until <= now
    }

    /// When more may leave.
    pub(in crate::sender) fn due(&self) -> Timestamp {
        if self.most == 0 || self.left < self.most { Timestamp::ZERO } else { self.until }
    }

    /// A surge is over once everyone that is waited for was heard a round trip after it began, or
    /// after a while.
    fn tick(
        &mut self,
        most: Option<u64>,
        heard: Option<Timestamp>,
        grtt: Duration,
        now: Timestamp,
    ) {
        self.most = most.map_or(0, |most| most.max(LEAST_SURGE));
        let is_heard = heard.is_some_and(|heard| heard > self.since.after(grtt));
        if self.until <= now || is_heard {
            self.since = now;
            self.until = now.after(grtt.max(SURGE));
            self.left = 0;
        }
    }
}

/// One subscriber in ten may lose more: it is not the measure of the rate.
pub(in crate::sender) const WORST: f64 = 0.9;

/// Reports of a large audience are rare; its loss is looked at all the same.
const LONGEST: Duration = Duration::from_secs(1);

/// What any socket has room for beside its credit.
const LEAST_SURGE: u64 = 16;

/// A subscriber has emptied its socket after this, or has worse to worry about.
const SURGE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surge_is_bounded_by_the_smallest_socket_and_ends() {
        let mut surge = Surge::default();
        let (start, grtt) = (Timestamp::from_secs(1), Duration::from_millis(1));
        assert!(surge.admits(start), "at a fixed rate there is no bound");
        surge.tick(Some(100), None, grtt, start);
        surge.on_sent(99);
        assert!(surge.admits(start));
        surge.on_sent(1);
        assert!(!surge.admits(start));
        surge.tick(Some(100), Some(start), grtt, start.after(grtt));
        assert!(!surge.admits(start.after(grtt)), "what it said it said before");
        assert!(surge.admits(surge.due()), "a while later");
        surge.tick(Some(100), Some(start.after(grtt * 2)), grtt, start.after(grtt * 2));
        assert!(surge.admits(start.after(grtt * 2)), "it was heard since");
    }
}
