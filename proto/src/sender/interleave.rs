//! How many blocks are interleaved: as many as the reported bursts of loss ask for
//! (docs/PROTOCOL.md, "Interleaving").

use std::time::Duration;

use super::Sender;
use crate::config::{Interleave, MAX_DEPTH_LOG2};
use crate::wire::Report;
use crate::{Delivery, Timestamp};

/// What is known of bursts of loss, and the depth that follows from it.
#[derive(Debug)]
pub(super) struct Interleaving {
    mode: Interleave,
    depth_log2: u8,
    bursts: Bursts,
    /// When the depth was last thought about, and how many packets had been sent then.
    looked: (Timestamp, u64),
    /// When the bursts were last made to count for less.
    aged: Timestamp,
    changed: Option<Timestamp>,
    /// Since when less would do.
    low_since: Option<Timestamp>,
}

impl Interleaving {
    pub(super) fn new(mode: Interleave, now: Timestamp) -> Self {
        Self {
            mode,
            depth_log2: mode.at_first(),
            bursts: Bursts::default(),
            looked: (now, 0),
            aged: now,
            changed: None,
            low_since: None,
        }
    }

    pub(super) fn depth(&self) -> u32 {
        1 << self.depth_log2
    }

    /// Takes what a report says of bursts since the one before.
    pub(super) fn on_report(&mut self, before: Option<&Report>, report: &Report) {
        self.bursts.add(before, report);
    }

    /// Whether it is time to think about the depth; if so, how many packets a second are sent.
    fn look(&mut self, sent: u64, now: Timestamp) -> Option<f64> {
        let (at, sent_then) = self.looked;
        let passed = now.since(at);
        if self.mode != Interleave::Auto || passed < LOOK_EVERY {
            return None;
        }
        self.looked = (now, sent);
        if now.since(self.aged) >= AGE_EVERY {
            self.aged = now;
            self.bursts.age();
        }
        Some((sent - sent_then) as f64 / passed.as_secs_f64())
    }

    /// The depth to go on with, if it is another one. It rises at once to what is needed, and sinks
    /// by half when that was enough for long.
    fn decide(&mut self, most_log2: u8, now: Timestamp) -> Option<u8> {
        let needed = self.bursts.depth_log2().min(most_log2);
        if needed >= self.depth_log2 {
            self.low_since = None;
        }
        if needed == self.depth_log2 || self.changed.is_some_and(|at| now.since(at) < CHANGE_EVERY)
        {
            return None;
        }
        if needed < self.depth_log2 {
            let since = *self.low_since.get_or_insert(now);
            if now.since(since) < SINK_AFTER {
                return None;
            }
            self.low_since = Some(now);
            self.depth_log2 -= 1;
        } else {
            self.depth_log2 = needed;
        }
        self.changed = Some(now);
        Some(self.depth_log2)
    }
}

impl Sender {
    /// Thinks about the depth now and then.
    pub(super) fn interleave(&mut self, now: Timestamp) {
        let Some(pace) = self.interleaving.look(self.stats.packets_sent, now) else { return };
        let most_log2 = self.deepest(pace);
        if let Some(depth_log2) = self.interleaving.decide(most_log2, now) {
            self.window.set_depth(depth_log2, now);
        }
    }

    /// log2 of the deepest interleaving of which all is sent soon, and kept until it was repaired.
    fn deepest(&self, pace: f64) -> u8 {
        let kept = self.config.retain.0 / (self.payload_len() as u64).max(1) / KEPT_SHARE;
        let packets = (pace * self.span().as_secs_f64()).min(kept as f64);
        let k = f64::from(self.config.k);
        (0..=MAX_DEPTH_LOG2).rev().find(|log2| k * f64::from(1_u32 << log2) <= packets).unwrap_or(0)
    }

    /// How long blocks that are interleaved may take together.
    fn span(&self) -> Duration {
        match self.config.delivery {
            Delivery::Reliable => LONGEST_SPAN,
            Delivery::Timely(deadline) => LONGEST_SPAN.min(deadline / 4),
        }
    }

    /// When what is open is closed short: whoever waits for its end waits no longer.
    pub(super) fn block_due(&self) -> Option<Timestamp> {
        let (since, depth_log2) = self.window.open_since()?;
        let budget = if depth_log2 == 0 { BLOCK_BUDGET } else { self.span().max(BLOCK_BUDGET) };
        Some(since.after(budget))
    }
}

/// Bursts of loss by length, the recent ones of all subscribers.
#[derive(Clone, Copy, Debug, Default)]
struct Bursts {
    /// Of 1, 2, 3–4, 5–8, 9 and more datagrams.
    counts: [f64; 5],
    received: f64,
    /// Lost of the same, those too whose burst is not over.
    lost: f64,
}

impl Bursts {
    fn add(&mut self, before: Option<&Report>, report: &Report) {
        let kernel = before.map_or(0, |before| before.losses.kernel);
        if report.losses.kernel > kernel {
            // What a full buffer dropped in one run says nothing of the network.
            return;
        }
        let received = before.map_or(0, |before| before.received);
        self.received += report.received.saturating_sub(received) as f64;
        let lost = before.map_or(0, |before| before.losses.wire);
        self.lost += report.losses.wire.saturating_sub(lost) as f64;
        let then = before.map_or([0; 5], |before| before.bursts);
        for ((count, new), old) in self.counts.iter_mut().zip(report.bursts).zip(then) {
            *count += f64::from(new.saturating_sub(old).min(MOST_BURSTS));
        }
    }

    fn age(&mut self) {
        self.counts = self.counts.map(|count| count / 2.0);
        self.received /= 2.0;
        self.lost /= 2.0;
    }

    /// log2 of the depth that leaves no more than one packet of a burst in a block: as long as the
    /// bursts that make up more of the loss than one in a hundred lost packets, and more than loss
    /// that strikes each packet on its own would do.
    fn depth_log2(&self) -> u8 {
        let [.., c4, c8, more] = self.counts;
        if c4 + c8 + more < FEWEST {
            return 0;
        }
        let weights: Vec<f64> = self.counts.iter().zip(LENGTHS).map(|(c, len)| c * len).collect();
        let lost: f64 = weights.iter().sum();
        let loss = self.lost / (self.lost + self.received).max(1.0);
        let longest = if more > c8 * 2.0 { 5 } else { 4 };
        let deeper = [(4, 9, longest), (3, 5, 3), (2, 3, 2)];
        let needed = deeper.into_iter().find(|(from, shortest, _)| {
            let share = weights.iter().skip(*from).sum::<f64>() / lost;
            share > LEAST_SHARE.max(2.0 * by_chance(*shortest, loss))
        });
        needed.map_or(0, |(_, _, depth_log2)| depth_log2)
    }
}

/// The share of lost packets that lie in bursts of at least `shortest` if each packet is lost on
/// its own with probability `loss`.
fn by_chance(shortest: i32, loss: f64) -> f64 {
    let len = f64::from(shortest);
    loss.powi(shortest - 1) * (len - (len - 1.0) * loss)
}

/// What a burst of each class counts for, in packets.
const LENGTHS: [f64; 5] = [1.0, 2.0, 3.5, 6.5, 16.0];

/// Fewer long bursts than this may be anything.
const FEWEST: f64 = 8.0;

/// One subscriber that says more of one class at once is not believed.
const MOST_BURSTS: u32 = 1_000;

/// Bursts that make up less than this share of the loss are left to repair.
const LEAST_SHARE: f64 = 0.01;

/// A block of a busy stream takes some 5 ms.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was reported counts half after this.
const AGE_EVERY: Duration = Duration::from_secs(2);

const CHANGE_EVERY: Duration = Duration::from_secs(2);

/// Bursts come in bursts: a quiet while is no reason to be caught by the next ones.
const SINK_AFTER: Duration = Duration::from_secs(10);

/// As long as a subscriber waits for what it lacks before it asks (docs/PROTOCOL.md §4.5).
const LONGEST_SPAN: Duration = Duration::from_millis(250);

/// A block that stays open longer is closed short.
const BLOCK_BUDGET: Duration = Duration::from_millis(20);

/// Of what is kept for repair, what is interleaved is at most 1 / 4.
const KEPT_SHARE: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(counts: [u32; 5], received: f64) -> u32 {
        let lost = counts.iter().zip(LENGTHS).map(|(count, len)| f64::from(*count) * len).sum();
        let bursts = Bursts { counts: counts.map(f64::from), received, lost };
        1 << bursts.depth_log2()
    }

    #[test]
    fn loss_that_strikes_each_packet_on_its_own_needs_no_interleaving() {
        assert_eq!(depth([10_000, 0, 0, 0, 0], 1e6), 1);
        for loss in [0.001, 0.01, 0.05, 0.2, 0.4] {
            let runs = 1e6 * loss * (1.0 - loss);
            let longer = |len: i32| runs * f64::powi(loss, len - 1);
            let counts = [1, 2, 3, 5, 9].map(longer);
            let [one, two, three, five, nine] = counts;
            let counts = [one - two, two - three, three - five, five - nine, nine];
            let bursts = Bursts { counts, received: 1e6 * (1.0 - loss), lost: 1e6 * loss };
            assert_eq!(bursts.depth_log2(), 0, "at a loss of {loss}");
        }
    }

    #[test]
    fn the_depth_is_that_of_the_longest_bursts_that_matter() {
        assert_eq!(depth([500, 400, 300, 0, 0], 1e6), 4);
        assert_eq!(depth([500, 400, 300, 100, 0], 1e6), 8);
        assert_eq!(depth([125, 109, 179, 242, 344], 8e5), 16, "a mean of 8");
        assert_eq!(depth([50, 48, 88, 150, 664], 2e6), 32, "a mean of 20");
        assert_eq!(depth([100_000, 1_000, 10, 3, 1], 1e7), 1);
        assert_eq!(depth([0, 0, 0, 0, 3], 1e6), 1, "three may be anything");
    }

    #[test]
    fn what_a_kernel_buffer_dropped_is_no_burst() {
        let mut bursts = Bursts::default();
        let mut report = Report { bursts: [0, 0, 0, 0, 50], ..empty() };
        bursts.add(None, &report);
        assert!(bursts.depth_log2() > 0);
        let mut bursts = Bursts::default();
        report.losses.kernel = 1;
        bursts.add(None, &report);
        assert_eq!(bursts.depth_log2(), 0);
    }

    fn empty() -> Report {
        Report {
            subscriber: crate::SubscriberId(1),
            state: crate::wire::ReportState::Live,
            limit: crate::Seq::ZERO,
            highest: crate::Seq::ZERO,
            next: crate::Seq::ZERO,
            received: 1_000,
            repaired: 0,
            recovered: 0,
            given_up: 0,
            losses: crate::wire::Losses::default(),
            bursts: [0; 5],
            ce: 0,
            jitter_us: 0,
            echo: Timestamp::ZERO.to_wire(),
            hold_us: 0,
        }
    }

    #[test]
    fn the_depth_rises_at_once_and_sinks_slowly() {
        let mut interleaving = Interleaving::new(Interleave::Auto, Timestamp::ZERO);
        let at = Timestamp::from_secs;
        interleaving.bursts =
            Bursts { counts: [125.0, 109.0, 179.0, 242.0, 344.0], received: 8e5, lost: 8e3 };
        assert_eq!(interleaving.decide(3, at(1)), Some(3), "no deeper than may be");
        assert_eq!(interleaving.decide(5, at(2)), None, "changed a second ago");
        assert_eq!(interleaving.decide(5, at(3)), Some(4));
        interleaving.bursts = Bursts::default();
        let changes: Vec<u64> =
            (4..60).filter(|second| interleaving.decide(5, at(*second)).is_some()).collect();
        assert_eq!(changes, [15, 25, 35, 45]);
        assert_eq!(interleaving.depth(), 1);
    }
}
