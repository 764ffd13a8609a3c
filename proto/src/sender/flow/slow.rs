//! Subscribers that hold the stream back: named, then let go, so that the others go on.
//!
//! With an automatic rate the stream waits for the smallest credit. A subscriber that is waited for
//! nearly all the time, while others have room for many times what it takes, holds those back; one
//! that says nothing may be gone. Both are watched here, a hundred times a second while somebody is
//! waited for.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::SlowPolicy;
use crate::grtt::FREQUENT_UP_TO;
use crate::sender::audience::Subscriber;
use crate::sender::{Destination, Event, Sender};
use crate::wire::{Body, Discard, Evict, EvictReason, Report, ReportState};
use crate::{Seq, SubscriberId, Timestamp};

/// How a subscriber stands with the stream.
#[derive(Debug, Default)]
pub(in crate::sender) struct Standing {
    /// For how long, by and large, it has held the others back.
    held: Duration,
    /// For how long it has had no room, whether that held anybody back or not.
    full: Duration,
    /// Whether it was named for that.
    is_warned: bool,
    /// Why and when it was let go.
    let_go: Option<(EvictReason, Timestamp)>,
    /// When it was last told so.
    told: Timestamp,
    /// It came back, and has not shown yet that it has room for what is sent now.
    is_on_probation: bool,
    /// The largest credit it ever gave, in packets: what its socket holds.
    pub(in crate::sender) room: u64,
}

impl Standing {
    pub(in crate::sender) fn is_let_go(&self) -> bool {
        self.let_go.is_some()
    }

    pub(in crate::sender) fn reason(&self) -> Option<EvictReason> {
        self.let_go.map(|(reason, _)| reason)
    }

    /// Whether the live stream may wait for it.
    pub(in crate::sender) fn is_waited_for(&self) -> bool {
        self.let_go.is_none() && !self.is_on_probation
    }

    /// Whether it was let go so long ago that it is not to be expected back.
    pub(in crate::sender) fn is_given_up(&self, after: Duration, now: Timestamp) -> bool {
        self.let_go.is_some_and(|(_, at)| now.since(at) >= after)
    }

    /// It is there again; says whether it had been let go.
    pub(in crate::sender) fn come_back(&mut self) -> bool {
        let was_let_go = self.let_go.take().is_some();
        if was_let_go {
            *self = Self { is_on_probation: true, room: self.room, ..Self::default() };
        }
        was_let_go
    }

    /// Takes the credit that a report gives.
    pub(in crate::sender) fn on_report(&mut self, report: &Report, lead: Seq) {
        self.room = self.room.max(report.limit.since(report.highest));
        if report.state == ReportState::Live && report.limit > lead.plus(LEAST_ROOM) {
            self.is_on_probation = false;
        }
    }

    /// It was, or was not, what the others waited for since it was last looked at.
    fn weigh(&mut self, is_holding: bool, is_full: bool, since: Duration, floor: f64) {
        self.held = weighed(self.held, is_holding, since, floor);
        self.full = weighed(self.full, is_holding || is_full, since, floor);
    }
}

/// What a time has grown or shrunk to: what holds for all but the floor's share of the time leaves
/// it where it is.
fn weighed(before: Duration, holds: bool, since: Duration, floor: f64) -> Duration {
    let relief = (1.0 - floor) / floor.max(0.001);
    let free = if holds { since.saturating_sub(SAMPLE * 2) } else { since };
    let left = before.saturating_sub(free.mul_f64(relief));
    if holds { (left + since.min(SAMPLE * 2)).min(LONGEST_HELD) } else { left }
}

/// How far the stream gets.
#[derive(Debug, Default)]
pub(in crate::sender) struct Progress {
    since: Timestamp,
    from: Seq,
    /// Packets in the last whole measure of time.
    packets: u64,
}

impl Progress {
    fn measure(&mut self, lead: Seq, now: Timestamp) -> u64 {
        if now.since(self.since) >= MEASURE {
            self.packets = lead.since(self.from);
            (self.since, self.from) = (now, lead);
        }
        self.packets
    }
}

/// What is to be done about a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Warn,
    LetGo(EvictReason),
    Silent,
}

impl Sender {
    /// When to look at the audience again while somebody is waited for.
    pub(in crate::sender) fn look_due(&self) -> Option<Timestamp> {
        self.is_held_back().then(|| self.next_look())
    }

    /// The audience is not looked at sooner.
    pub(in crate::sender) fn next_look(&self) -> Timestamp {
        self.looked.after(SAMPLE)
    }

    /// Looks at the audience, now and then: at its loss, and at those who hold it back.
    pub(in crate::sender) fn look_at_audience(&mut self, now: Timestamp) {
        let since = now.since(self.looked);
        if since >= SAMPLE {
            self.looked = now;
            self.watch_slow(since, now);
            self.watch_loss(now);
        }
    }

    /// Names those who hold the stream back or say nothing, and lets them go.
    fn watch_slow(&mut self, since: Duration, now: Timestamp) {
        let lead = self.window.lead();
        let watch = Watch {
            policy: self.config.flow.slow_policy(self.config.rate.is_some()),
            after: self.config.flow.slow_after,
            silent_after: self.silent_after(),
            // Of many, one or the other is always late.
            names_silent: self.group_size().audience() <= FREQUENT_UP_TO,
            floor: self.config.flow.slow_floor.value(),
            limit: self.holding_limit(lead, now),
            retained: self.retained_packets(),
        };
        let find = |row: &mut Subscriber| watch.find(row, since, now).map(|what| (row.id, what));
        let found: Vec<_> = self.audience.rows_mut().filter_map(find).collect();
        for (id, finding) in found {
            match finding {
                Finding::Warn => self.name_slow(id),
                Finding::LetGo(reason) => self.let_go(id, reason, now),
                Finding::Silent => self.name_silent(id),
            }
        }
    }

    /// Whether the stream waits for somebody's credit.
    fn is_held_back(&self) -> bool {
        self.config.rate.is_none()
            && !self.phase.is_waiting()
            && self.window.has_unsent()
            && self.window.lead() >= self.limit()
    }

    /// Who gives credit up to here and no further holds others back: those have room for so much
    /// more that what goes out is less than the floor's share of it. `None`: nobody does.
    fn holding_limit(&mut self, lead: Seq, now: Timestamp) -> Option<Seq> {
        let progress = self.progress.measure(lead, now);
        if !self.is_held_back() {
            return None;
        }
        let retained = self.retained_packets();
        let kept = self.audience.rows().filter(|row| row.is_kept());
        let limits = kept.filter_map(|row| row.own_limit(retained));
        let others = limits.filter(|limit| *limit > lead).min()?;
        let could_have = progress + others.since(lead);
        let floor = self.config.flow.slow_floor.value();
        ((progress as f64) < could_have as f64 * floor).then_some(lead)
    }

    fn name_slow(&mut self, id: SubscriberId) {
        let Some(row) = self.audience.get(id) else { return };
        let (subscriber, name) = (row.id, row.name.clone());
        self.stats.slow_warned += 1;
        self.events.push_back(Event::SubscriberSlow { subscriber, name });
    }

    fn name_silent(&mut self, id: SubscriberId) {
        let Some(row) = self.audience.get(id) else { return };
        let (subscriber, name) = (row.id, row.name.clone());
        self.stats.leaves += 1;
        self.members.remove(id);
        self.events.push_back(Event::SubscriberSilent { subscriber, name });
    }

    /// The stream goes on without this one; it is told, and may come back.
    pub(in crate::sender) fn let_go(
        &mut self,
        id: SubscriberId,
        reason: EvictReason,
        now: Timestamp,
    ) {
        let Some(row) = self.audience.row_mut(id) else { return };
        row.standing.let_go = Some((reason, now));
        row.standing.told = now;
        row.silent |= reason == EvictReason::Silent;
        row.catch_up = None;
        let (subscriber, name, address) = (row.id, row.name.clone(), row.address);
        let is_silent = reason == EvictReason::Silent;
        let count =
            if is_silent { &mut self.stats.evicted_silent } else { &mut self.stats.evicted_slow };
        *count += 1;
        self.stats.leaves += 1;
        self.members.remove(id);
        self.events.push_back(Event::SubscriberEvicted { subscriber, name, reason });
        if let Err(reason) = self.tell_let_go(id, address, reason) {
            self.stats.discarded.add(reason);
        }
    }

    fn tell_let_go(
        &mut self,
        subscriber: SubscriberId,
        to: SocketAddr,
        reason: EvictReason,
    ) -> Result<(), Discard> {
        self.say(Destination::Unicast(to), Body::Evict(Evict { subscriber, reason }))
    }

    /// One that was let go still speaks as if it had not: it has not heard of it. What it says
    /// counts for nothing until it registers anew.
    pub(in crate::sender) fn refuse_let_go(
        &mut self,
        id: SubscriberId,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let again = self.grtt.get().max(TOLD_AGAIN);
        let Some(row) = self.audience.get(id).filter(|row| row.address == from) else {
            return Ok(());
        };
        let (Some(reason), told) = (row.standing.reason(), row.standing.told) else {
            return Ok(());
        };
        if now.since(told) >= again {
            if let Some(row) = self.audience.row_mut(id) {
                row.standing.told = now;
            }
            self.tell_let_go(id, from, reason)?;
        }
        Err(Discard::Unproven)
    }

    /// It proved its address anew: it is there again.
    pub(in crate::sender) fn welcome_back(&mut self, id: SubscriberId) {
        let Some(row) = self.audience.row_mut(id) else { return };
        if row.standing.come_back() {
            row.silent = false;
            row.left = None;
            let (subscriber, name) = (row.id, row.name.clone());
            self.events.push_back(Event::SubscriberBack { subscriber, name });
        }
    }
}

/// What a look at the audience goes by.
#[derive(Debug)]
struct Watch {
    policy: SlowPolicy,
    after: Duration,
    silent_after: Duration,
    names_silent: bool,
    floor: f64,
    /// The credit that holds others back.
    limit: Option<Seq>,
    retained: u64,
}

impl Watch {
    fn find(&self, row: &mut Subscriber, since: Duration, now: Timestamp) -> Option<Finding> {
        if !row.is_present() || row.is_finished() {
            return None;
        }
        let quiet = now.since(row.heard);
        if quiet > self.silent_after {
            return Some(self.silence(row));
        }
        let is_full = row.is_kept() && row.room_left().is_some_and(|room| room < LEAST_ROOM);
        row.standing.weigh(self.is_holding(row), is_full, since, self.floor);
        let Standing { held, full, .. } = row.standing;
        if held >= self.after && self.policy == SlowPolicy::Evict {
            return Some(Finding::LetGo(EvictReason::Slow));
        }
        let is_quiet = self.names_silent && quiet > self.silent_after / 2;
        let warns = !row.standing.is_warned && (full >= self.after / 2 || is_quiet);
        row.standing.is_warned |= warns;
        // Heard again, it may be named again.
        row.standing.is_warned &= is_quiet || !full.is_zero();
        warns.then_some(Finding::Warn)
    }

    fn silence(&self, row: &mut Subscriber) -> Finding {
        if self.policy == SlowPolicy::Evict {
            return Finding::LetGo(EvictReason::Silent);
        }
        row.silent = true;
        row.catch_up = None;
        Finding::Silent
    }

    /// Whether this one is what the others wait for.
    fn is_holding(&self, row: &Subscriber) -> bool {
        let limit = row.own_limit(self.retained).filter(|_| row.is_kept());
        limit.is_some_and(|limit| self.limit.is_some_and(|lead| limit <= lead))
    }
}

/// Who held the stream back for longer is forgiven no later for it.
const LONGEST_HELD: Duration = Duration::from_secs(60);

/// How often the audience is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

/// How far the stream gets is measured over this: who has room for more than that in a tenth of a
/// second could have had it.
const MEASURE: Duration = Duration::from_millis(100);

/// One that was let go and goes on speaking is told again no sooner.
const TOLD_AGAIN: Duration = Duration::from_millis(50);

/// Who came back must have room for more than this before the stream waits for it again.
const LEAST_ROOM: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// For how long a subscriber that holds the stream back this share of the time is borne.
    fn borne(share: f64) -> Option<Duration> {
        let mut standing = Standing::default();
        let mut at = Duration::ZERO;
        let mut owed = 0.0;
        while at < Duration::from_secs(60) {
            owed += share;
            let is_holding = owed >= 1.0;
            owed -= if is_holding { 1.0 } else { 0.0 };
            standing.weigh(is_holding, false, SAMPLE, 0.05);
            at += SAMPLE;
            if standing.held >= Duration::from_secs(2) {
                return Some(at);
            }
        }
        None
    }

    #[test]
    fn who_takes_more_than_the_floor_is_borne_for_ever() {
        assert_eq!(borne(1.0), Some(Duration::from_secs(2)));
        assert!(borne(0.98).is_some());
        assert_eq!(borne(0.94), None);
        assert_eq!(borne(0.5), None);
    }

    #[test]
    fn a_late_look_is_not_held_against_anybody() {
        let mut standing = Standing::default();
        for _ in 0..50 {
            standing.weigh(true, true, Duration::from_secs(1), 0.05);
        }
        assert!(standing.held <= SAMPLE * 2);
    }
}
