//! NAKs in, repairs out: merged, confirmed, held down.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::{Seq, SeqRange, Timestamp};

/// What is to be sent again.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Asked for, with the time until which more askers are waited for.
    asked: BTreeMap<Seq, Timestamp>,
    /// `asked` in the order of those times.
    queue: BTreeSet<(Timestamp, Seq)>,
    /// Sent a moment ago, with the time until which asking for it again is idle.
    held: BTreeMap<Seq, Timestamp>,
    /// `held` in the order of its ends.
    held_ends: VecDeque<(Timestamp, Seq)>,
}

/// What became of a NAK's range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Packets that nobody had asked for before.
    pub(super) fresh: Vec<SeqRange>,
    /// Packets that were sent a moment ago.
    pub(super) held_down: u64,
}

impl Asked {
    fn add_fresh(&mut self, seq: Seq) {
        match self.fresh.last_mut() {
            Some(range) if range.end == seq => range.end = seq.next(),
            _ => self.fresh.push(SeqRange::new(seq, seq.next())),
        }
    }
}

impl Repair {
    /// Takes a range that lies within the window. What is asked for once is not sent twice.
    pub(super) fn on_nak(&mut self, range: SeqRange, merge: Duration, now: Timestamp) -> Asked {
        let mut outcome = Asked::default();
        for seq in range.iter() {
            if self.held.get(&seq).is_some_and(|end| *end > now) {
                outcome.held_down += 1;
                continue;
            }
            if let Entry::Vacant(place) = self.asked.entry(seq) {
                place.insert(now.after(merge));
                self.queue.insert((now.after(merge), seq));
                outcome.add_fresh(seq);
            }
        }
        outcome
    }

    /// How many are asked for.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Forgets what was asked for.
    pub(super) fn forget_all(&mut self) {
        self.asked.clear();
        self.queue.clear();
    }

    /// The first packet that has been waited for long enough.
    pub(super) fn next(&self, now: Timestamp) -> Option<Seq> {
        self.queue.first().filter(|(due, _)| *due <= now).map(|(_, seq)| *seq)
    }

    /// When the first one is due.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes back what was asked for and cannot be sent.
    pub(super) fn forget(&mut self, seq: Seq) {
        if let Some(due) = self.asked.remove(&seq) {
            self.queue.remove(&(due, seq));
        }
    }

    pub(super) fn on_sent(&mut self, seq: Seq, hold_down: Duration, now: Timestamp) {
        self.forget(seq);
        let end = now.after(hold_down);
        self.held.insert(seq, end);
        self.held_ends.push_back((end, seq));
    }

    /// Forgets what left the window, and the hold-downs that are over.
    pub(super) fn expire(&mut self, trail: Seq, now: Timestamp) {
        while let Some((&seq, _)) = self.asked.first_key_value() {
            if seq >= trail {
                break;
            }
            self.forget(seq);
        }
        while let Some(&(end, seq)) = self.held_ends.front() {
            if end > now {
                return;
            }
            self.held_ends.pop_front();
            if self.held.get(&seq).is_some_and(|held| *held <= now) {
                self.held.remove(&seq);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRTT: Duration = Duration::from_millis(10);

    fn range(first: u64, end: u64) -> SeqRange {
        SeqRange::new(Seq(first), Seq(end))
    }

    #[test]
    fn two_askers_get_one_repair_and_a_third_is_held_down() {
        let mut repair = Repair::default();
        let now = Timestamp::from_secs(1);
        repair.on_nak(range(5, 7), Duration::ZERO, now);
        repair.on_nak(range(6, 8), Duration::ZERO, now);
        let mut sent = Vec::new();
        while let Some(seq) = repair.next(now) {
            repair.on_sent(seq, GRTT, now);
            sent.push(seq.0);
        }
        assert_eq!(sent, [5, 6, 7]);
        let again = repair.on_nak(range(5, 9), Duration::ZERO, now.after(GRTT / 2));
        assert_eq!(again, Asked { fresh: vec![range(8, 9)], held_down: 3 });
    }

    #[test]
    fn after_the_hold_down_a_repair_lost_again_is_sent_again() {
        let mut repair = Repair::default();
        repair.on_nak(range(1, 2), Duration::ZERO, Timestamp::ZERO);
        repair.on_sent(Seq(1), GRTT, Timestamp::ZERO);
        let later = Timestamp::ZERO.after(GRTT);
        repair.expire(Seq(0), later);
        assert_eq!(repair.on_nak(range(1, 2), Duration::ZERO, later).fresh, [range(1, 2)]);
        assert!(repair.held_ends.is_empty());
    }

    #[test]
    fn merging_waits_for_the_first_asker_not_for_the_last() {
        let mut repair = Repair::default();
        repair.on_nak(range(1, 2), GRTT, Timestamp::ZERO);
        repair.on_nak(range(1, 2), GRTT, Timestamp::from_millis(9));
        assert_eq!(repair.next(Timestamp::from_millis(9)), None);
        assert_eq!(repair.next(Timestamp::from_millis(10)), Some(Seq(1)));
    }

    #[test]
    fn what_left_the_window_is_not_sent() {
        let mut repair = Repair::default();
        repair.on_nak(range(1, 4), Duration::ZERO, Timestamp::ZERO);
        repair.expire(Seq(3), Timestamp::ZERO);
        assert_eq!(repair.next(Timestamp::ZERO), Some(Seq(3)));
    }
}
