//! Who listens, and how they fare.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::time::Duration;

use super::catch_up::CatchUp;
use super::event::{Outcome, Unfinished};
use super::flow::Standing;
use crate::wire::{ByeReason, EvictReason, Name, Report, ReportState};
use crate::{Seq, SubscriberId, Timestamp};

/// A subscriber that proved its address.
#[derive(Debug)]
pub struct Subscriber {
    pub(super) id: SubscriberId,
    pub(super) name: Name,
    pub(super) address: SocketAddr,
    pub(super) heard: Timestamp,
    pub(super) report: Option<Report>,
    pub(super) silent: bool,
    pub(super) left: Option<ByeReason>,
    pub(super) catch_up: Option<CatchUp>,
    /// Share of packets that it loses, smoothed.
    pub(super) loss: f64,
    /// Datagrams that had been sent to the group when it last reported.
    pub(super) sent: u64,
    /// Wire losses already counted as what unicast would have cost.
    pub(super) losses_counted: u64,
    /// The newest packet that it asked to be given from: to ask for the same again is no progress.
    pub(super) asked_from: Option<Seq>,
    /// Whether it belongs to the share that is asked to register.
    pub(super) is_asked: bool,
    /// Whether it is kept.
    pub(super) standing: Standing,
}

impl Subscriber {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SubscriberId {
        self.id
    }

    /// What a person calls it.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Where it receives unicast.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it last told.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Whether it listens: neither gone nor silent nor let go.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.left.is_none() && !self.silent && !self.standing.is_let_go()
    }

    /// Share of packets that it loses of late.
    #[must_use]
    pub fn measured_loss(&self) -> f64 {
        self.loss
    }

    /// Why it was let go, if it was and has not come back.
    #[must_use]
    pub fn evicted(&self) -> Option<EvictReason> {
        self.standing.reason()
    }

    /// Whether it reached the end, whole or not.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state()
            .is_some_and(|state| matches!(state, ReportState::Complete | ReportState::Incomplete))
    }

    /// Takes what a report says of loss since the last one; `sent` is how many datagrams were sent
    /// to the group by now.
    pub(super) fn measure_loss(&mut self, report: &Report, sent: u64) {
        let sent_before = std::mem::replace(&mut self.sent, sent);
        let before = self.report.as_ref().map_or((0, 0), |old| (old.received, old.losses.wire));
        let received = report.received.saturating_sub(before.0);
        let lost = report.losses.wire.saturating_sub(before.1);
        // What it received is told of data alone; what it lost may have been parity, too.
        let sent = if self.report.is_some() { sent.saturating_sub(sent_before) } else { 0 };
        let seen = received.saturating_add(lost).max(sent);
        if seen > 0 {
            // A report of few packets says little: its weight is that of what it saw.
            let weight = (seen as f64 / LOSS_MEMORY).min(1.0);
            self.loss += (lost as f64 / seen as f64 - self.loss) * weight;
        }
    }

    fn state(&self) -> Option<ReportState> {
        self.report.as_ref().map(|report| report.state)
    }

    /// Whether the live stream waits for its credit.
    pub(super) fn is_kept(&self) -> bool {
        let is_live = self.state() == Some(ReportState::Live);
        is_live && self.is_present() && self.standing.is_waited_for()
    }

    /// One past the newest packet that the stream may send for its sake.
    pub(super) fn own_limit(&self, retained: u64) -> Option<Seq> {
        let report = self.report.as_ref()?;
        Some(report.limit.min(report.next.plus(retained)))
    }

    /// Packets that it has room for beyond what it knows of.
    pub(super) fn room_left(&self) -> Option<u64> {
        let report = self.report.as_ref()?;
        Some(report.limit.since(report.highest))
    }

    fn given_up(&self) -> u64 {
        self.report.as_ref().map_or(0, |report| report.given_up)
    }

    fn next(&self) -> Seq {
        self.report.as_ref().map_or(Seq::ZERO, |report| report.next)
    }

    /// The packet that a late joiner is to be given next, if it has room for it.
    pub(super) fn next_catch_up(&self) -> Option<Seq> {
        self.catch_up.as_ref()?.next(self.catch_up_limit())
    }

    /// How far a late joiner may be given what it missed, if it has said so.
    fn catch_up_limit(&self) -> Option<Seq> {
        let report = self.report.as_ref()?;
        (report.state == ReportState::CatchingUp).then_some(report.limit)
    }

    fn is_complete(&self) -> bool {
        self.state() == Some(ReportState::Complete) && self.left != Some(ByeReason::Failed)
    }
}

/// Who proved its address just now.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) id: SubscriberId,
    pub(super) name: Name,
    pub(super) address: SocketAddr,
    /// Whether it belongs to the share that is asked to register.
    pub(super) is_asked: bool,
}

/// The subscribers that a sender knows.
#[derive(Debug, Default)]
pub struct Audience {
    rows: BTreeMap<SubscriberId, Subscriber>,
    /// What the rows say together; `None` since one of them changed.
    together: Cell<Option<Together>>,
}

/// What the live stream asks of all rows with every burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Together {
    /// Subscribers that listen now.
    pub(super) present: u64,
    /// Those of them that registered because they were asked to, not because they had to.
    pub(super) asked: u64,
    /// The smallest credit of those that the live stream waits for.
    pub(super) credit: Option<Seq>,
    /// The oldest packet that one of those has not delivered.
    pub(super) slowest: Option<Seq>,
    /// Whether a late joiner is being given what it missed.
    pub(super) late: bool,
    /// One past the newest packet that all of those know of.
    pub(super) highest: Option<Seq>,
    /// Packets that the smallest socket of those holds.
    pub(super) room: Option<u64>,
    /// When the one of them was heard that was not heard for longest.
    pub(super) heard: Option<Timestamp>,
}

impl Audience {
    /// Subscribers that listen now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.values().filter(|row| row.is_present()).count()
    }

    /// Whether nobody is known to listen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everyone that was ever heard, those that left too.
    pub fn rows(&self) -> impl Iterator<Item = &Subscriber> {
        self.rows.values()
    }

    /// Those whose ids come after `last`.
    pub(super) fn rows_after(
        &self,
        last: Option<SubscriberId>,
    ) -> impl Iterator<Item = &Subscriber> {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range((after, Bound::Unbounded)).map(|(_, row)| row)
    }

    pub(super) fn catch_up_mut(&mut self, id: SubscriberId) -> Option<&mut CatchUp> {
        self.rows.get_mut(&id)?.catch_up.as_mut()
    }

    pub(super) fn has_room(&self) -> bool {
        self.rows.len() < MAX_ROWS
    }

    /// Whether there is room for one more from this host; the place of who is gone the longest is
    /// taken, of the same host if that has had its share.
    pub(super) fn make_room(&mut self, host: IpAddr) -> bool {
        let is_of_host = |row: &&Subscriber| row.address.ip() == host;
        // To count is only worth it where there are so many.
        let is_greedy = self.rows.len() >= MAX_ROWS_OF_HOST
            && self.rows.values().filter(is_of_host).count() >= MAX_ROWS_OF_HOST;
        if self.has_room() && !is_greedy {
            return true;
        }
        let gone = self.rows.values().filter(|row| !row.is_present());
        let gone = gone.filter(|row| !is_greedy || is_of_host(row));
        let Some(id) = gone.min_by_key(|row| row.heard).map(|row| row.id) else { return false };
        self.rows.remove(&id);
        self.together.set(None);
        true
    }

    /// The row of who speaks from where it proved to be.
    pub(super) fn proven(&mut self, id: SubscriberId, from: SocketAddr) -> Option<&mut Subscriber> {
        self.together.set(None);
        self.rows.get_mut(&id).filter(|row| row.address == from)
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, id: SubscriberId) -> Option<Subscriber> {
        self.together.set(None);
        self.rows.remove(&id)
    }

    /// A row that is about to change.
    pub(super) fn row_mut(&mut self, id: SubscriberId) -> Option<&mut Subscriber> {
        self.together.set(None);
        self.rows.get_mut(&id)
    }

    /// All rows, which are about to change.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Subscriber> {
        self.together.set(None);
        self.rows.values_mut()
    }

    /// What was measured of loss counts for nothing any more.
    pub(super) fn forget_loss(&mut self) {
        self.rows.values_mut().for_each(|row| row.loss = 0.0);
    }

    pub(super) fn get(&self, id: SubscriberId) -> Option<&Subscriber> {
        self.rows.get(&id)
    }

    /// Takes in who proved its address; says whether it is new.
    pub(super) fn admit(&mut self, newcomer: Newcomer, now: Timestamp) -> bool {
        let Newcomer { id, name, address, is_asked } = newcomer;
        self.together.set(None);
        if let Some(row) = self.rows.get_mut(&id) {
            row.address = address;
            row.heard = now;
            return false;
        }
        self.rows.insert(
            id,
            Subscriber {
                id,
                name,
                address,
                heard: now,
                report: None,
                silent: false,
                left: None,
                catch_up: None,
                loss: 0.0,
                sent: 0,
                losses_counted: 0,
                asked_from: None,
                is_asked,
                standing: Standing::default(),
            },
        );
        true
    }

    /// What the rows say together.
    pub(super) fn together(&self) -> Together {
        if let Some(together) = self.together.get() {
            return together;
        }
        let kept = || self.rows.values().filter(|row| row.is_kept());
        let reports = || kept().filter_map(|row| row.report.as_ref());
        let together = Together {
            present: self.len() as u64,
            asked: self.rows.values().filter(|row| row.is_asked && row.is_present()).count() as u64,
            credit: reports().map(|report| report.limit).min(),
            slowest: reports().map(|report| report.next).min(),
            late: self.rows.values().any(|row| row.is_present() && row.catch_up.is_some()),
            highest: reports().map(|report| report.highest).min(),
            room: kept().map(|row| row.standing.room).min(),
            heard: kept().map(|row| row.heard).min(),
        };
        self.together.set(Some(together));
        together
    }

    /// The share of packets that subscribers lose: `q` of them lose less. `others` lose what
    /// they said.
    pub(super) fn loss_quantile(&self, q: f64, others: &[f64]) -> f64 {
        let present = self.rows.values().filter(|row| row.is_present());
        let mut losses: Vec<f64> =
            present.map(|row| row.loss).chain(others.iter().copied()).collect();
        losses.sort_unstable_by(f64::total_cmp);
        let above = losses.len() as f64 * (1.0 - q);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
        let worst = losses.len().saturating_sub(1).saturating_sub(above as usize);
        losses.get(worst).copied().unwrap_or(0.0)
    }

    /// Who belongs to the share that is asked to register stands for the rest.
    pub(super) fn ask(&mut self, is_asked: impl Fn(SubscriberId) -> bool) {
        self.together.set(None);
        for row in self.rows.values_mut() {
            row.is_asked = is_asked(row.id);
        }
    }

    /// Whether nobody is left whose end is worth waiting for: who was let go may come back within
    /// `back_within`.
    pub(super) fn all_finished(&self, back_within: Duration, now: Timestamp) -> bool {
        self.rows.values().all(|row| {
            let is_gone = row.left.is_some() || row.standing.is_given_up(back_within, now);
            row.is_finished() || is_gone
        })
    }

    /// How everyone fared, of an audience of so many.
    pub(super) fn outcome(&self, audience: u64) -> Outcome {
        let others = audience.saturating_sub(self.together().present);
        let mut outcome = Outcome { others, ..Outcome::default() };
        for row in self.rows.values() {
            if row.is_complete() {
                outcome.complete.push(row.name.clone());
            } else if row.left != Some(ByeReason::Left) {
                outcome.unfinished.push(Unfinished {
                    subscriber: row.id,
                    name: row.name.clone(),
                    next: row.next(),
                    given_up: row.given_up(),
                    silent: row.silent,
                    evicted: row.standing.reason(),
                });
            }
        }
        outcome
    }
}

/// Packets after which what was measured before counts for nothing.
const LOSS_MEMORY: f64 = 2_000.0;

/// One host runs no more subscribers than this, and must not fill the table alone.
pub(super) const MAX_ROWS_OF_HOST: usize = 1_024;

/// A row costs some 400 bytes: the table of a sender never passes four megabytes, whoever knocks.
pub(super) const MAX_ROWS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(audience: &mut Audience, id: u128, host: u8) -> bool {
        let address = SocketAddr::from(([10, 0, 0, host], 6_000));
        let has_room = audience.make_room(address.ip());
        if has_room {
            let newcomer =
                Newcomer { id: SubscriberId(id), name: Name::default(), address, is_asked: true };
            audience.admit(newcomer, Timestamp::ZERO);
        }
        has_room
    }

    #[test]
    fn one_host_does_not_fill_the_table() {
        let mut audience = Audience::default();
        let admitted = (0..3_000).filter(|id| admit(&mut audience, *id, 1)).count();
        assert_eq!(admitted, MAX_ROWS_OF_HOST);
        assert!(admit(&mut audience, 5_000, 2), "another host has room");
        if let Some(row) = audience.row_mut(SubscriberId(7)) {
            row.left = Some(ByeReason::Done);
        }
        assert!(admit(&mut audience, 5_001, 1), "in the place of one that is gone");
        assert!(audience.get(SubscriberId(7)).is_none());
        assert!(!admit(&mut audience, 5_002, 1));
    }
}
