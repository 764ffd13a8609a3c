//! Whether this subscriber is one of those that speak (docs/PROTOCOL.md §4.12).

use std::time::Duration;

use super::Receiver;
use super::enrol::Enrolment;
use crate::Timestamp;
use crate::poll::Poll;

/// What decides whether a subscriber that was not asked to register does so all the same.
#[derive(Debug, Default)]
pub(super) struct Plight {
    /// What had come, and what had not, when the loss was last looked at.
    before: (u64, u64),
    /// Share of datagrams lost since then.
    loss: f64,
    /// What the kernel had dropped by then.
    drops: u64,
    /// When to speak up, if nobody else has by then.
    speaks_at: Option<Timestamp>,
    /// When the end was first heard of.
    end_heard: Option<Timestamp>,
}

impl Receiver {
    /// The publisher says who is to speak.
    pub(super) fn on_poll(&mut self, poll: Poll, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let old = std::mem::replace(&mut session.poll, poll);
        let is_small = poll.enrol == 0;
        // Who is given something by unicast has to be known by name.
        let is_special = session.catch_up_to.is_some() || self.knock.is_asking();
        let is_asked = is_special || poll.enrols(self.config.subscriber);
        if is_asked && matches!(self.enrolment, Enrolment::Outside) {
            let spread = if is_small { SPREAD / 4 } else { SPREAD };
            let due = now.after(spread.mul_f64(self.rng.f64()));
            self.enrolment = Enrolment::asking(due);
        } else if !is_asked && self.enrolment.asks_unheard() {
            self.enrolment = Enrolment::Outside;
        }
        if !matches!(self.enrolment, Enrolment::Outside) {
            return;
        }
        if poll.round != old.round && poll.samples(self.config.subscriber) {
            let wait = SAMPLE_SPREAD.mul_f64(self.rng.f64());
            self.reporter.on_sampled(now.after(wait));
        }
        self.speak_up(poll, now);
    }

    /// Whoever fares much worse than the rest registers unasked, after a wait in which the
    /// publisher can say that it has heard enough.
    fn speak_up(&mut self, poll: Poll, now: Timestamp) {
        self.look_at_plight();
        if !poll.alarms(self.plight.loss) {
            self.plight.speaks_at = None;
            return;
        }
        let Some(due) = self.plight.speaks_at else {
            let wait = self.draw_backoff(ALARM_SPREAD);
            self.plight.speaks_at = Some(now.after(wait));
            return;
        };
        if due <= now {
            self.enrolment = Enrolment::asking(now);
        }
    }

    /// Whoever still lacks something a while after the end is to be waited for by name.
    pub(super) fn speak_up_at_the_end(&mut self, now: Timestamp) {
        let heard = *self.plight.end_heard.get_or_insert(now);
        let is_done = self.session.as_ref().is_none_or(|session| session.end_handed_out);
        let is_late = now.since(heard) >= STRAGGLES_AFTER;
        if is_late && !is_done && matches!(self.enrolment, Enrolment::Outside) {
            self.enrolment = Enrolment::asking(now);
        }
    }

    fn look_at_plight(&mut self) {
        self.count_wire_losses();
        let came = self.stats.received.total().datagrams;
        let (lost, drops) = (self.stats.wire_lost, self.stats.kernel_drops);
        let plight = &mut self.plight;
        let (came_before, lost_before) = plight.before;
        let (came_since, lost_since) =
            (came.saturating_sub(came_before), lost.saturating_sub(lost_before));
        // Numbers are what the publisher says, and may be as large as they like.
        let seen = came_since.saturating_add(lost_since);
        if drops > plight.drops {
            // What its own socket cannot hold the publisher has to know: it sends too fast.
            plight.loss = 1.0;
        } else if seen >= LOOKED_AT {
            plight.loss = lost_since as f64 / seen as f64;
        } else {
            return;
        }
        plight.drops = drops;
        plight.before = (came, lost);
    }
}

/// Those who are asked register within this of each other.
const SPREAD: Duration = Duration::from_millis(10);
/// Those who are sampled in a round of at least a second report within this.
const SAMPLE_SPREAD: Duration = Duration::from_millis(500);
/// The longest wait of those who fare badly.
const ALARM_SPREAD: Duration = Duration::from_secs(1);
/// Loss is looked at over so many datagrams.
const LOOKED_AT: u64 = 500;
/// Who lacks something so long after the end straggles.
const STRAGGLES_AFTER: Duration = Duration::from_millis(400);
