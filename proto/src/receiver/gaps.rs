//! What is missing, and when it is asked for (RFC 3208 §6.3: back-off, wait for the
//! confirmation, wait for the data).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Seq, SeqRange, Timestamp};

/// A run of missing packets that share their fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// One past its last packet.
    end: Seq,
    /// When it is asked for, or asked for again.
    due: Timestamp,
    /// The random wait that was drawn for it.
    backoff: Duration,
    /// How often it was asked for.
    pub(super) tries: u32,
    /// How often it was refused because others are repaired first.
    refusals: u32,
    /// When it is no longer wanted.
    pub(super) deadline: Option<Timestamp>,
}

/// All gaps of a window.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    by_seq: BTreeMap<Seq, Missing>,
    by_due: BTreeSet<(Timestamp, Seq)>,
}

impl Gaps {
    /// `range` is missing: it is asked for at `from` plus `backoff`.
    pub(super) fn open(
        &mut self,
        range: SeqRange,
        from: Timestamp,
        backoff: Duration,
        deadline: Option<Timestamp>,
    ) {
        if !range.is_empty() {
            let due = from.after(backoff);
            let missing = Missing { end: range.end, due, backoff, tries: 0, refusals: 0, deadline };
            self.insert(range.first, missing);
        }
    }

    /// `seq` came; says whether it was missing.
    pub(super) fn fill(&mut self, seq: Seq) -> bool {
        self.cut(SeqRange::new(seq, seq.next())).is_some()
    }

    /// Nothing of `range` is missing any longer.
    pub(super) fn close(&mut self, range: SeqRange) {
        while self.cut(range).is_some() {}
    }

    /// Somebody asked for `range` already: says how many gaps hold back until `due` instead of
    /// asking for the first time.
    pub(super) fn hold_back(&mut self, range: SeqRange, due: Timestamp) -> u64 {
        let mut held = Vec::new();
        while let Some((run, missing)) = self.cut(range) {
            held.push((run, missing));
        }
        let suppressed = held.iter().filter(|(_, missing)| missing.tries == 0).count();
        for (run, missing) in held {
            // Who is promised an answer is not about to go without: it may take as long as it takes.
            let tries = missing.tries.clamp(1, PROMISED);
            // If the answer is lost, it is lost to many: they must not all ask at once.
            let due = missing.due.max(due.after(missing.backoff));
            self.insert(run.first, Missing { end: run.end, due, tries, ..missing });
        }
        suppressed as u64
    }

    /// An answer came and was not enough: what is still missing of `range` was lost on the way, and is
    /// asked for at `from` plus its back-off, however often that was in vain before.
    pub(super) fn answered(&mut self, range: SeqRange, from: Timestamp) {
        for (run, missing) in self.take_in(range) {
            let due = missing.due.min(from.after(missing.backoff));
            let tries = missing.tries.min(1);
            self.insert(run.first, Missing { end: run.end, due, tries, refusals: 0, ..missing });
        }
    }

    /// `range` was refused for now: it waits for `first`, longer each time, and that it was asked
    /// for does not count.
    pub(super) fn postpone(
        &mut self,
        range: SeqRange,
        first: Duration,
        longest: Duration,
        now: Timestamp,
    ) {
        for (run, missing) in self.take_in(range) {
            let wait = first.saturating_mul(1 << missing.refusals.min(8)).min(longest.max(first));
            let due = now.after(wait + missing.backoff);
            let (tries, refusals) = (missing.tries.saturating_sub(1), missing.refusals + 1);
            self.insert(run.first, Missing { end: run.end, due, tries, refusals, ..missing });
        }
    }

    /// Gaps before `seq` that were never asked for wait for nothing but their back-off, from `from`.
    pub(super) fn ask_from(&mut self, seq: Seq, from: Timestamp) {
        let waiting = self.by_seq.range(..seq).rev();
        let late: Vec<Seq> = waiting
            .take_while(|(_, missing)| missing.tries == 0)
            .filter(|(_, missing)| missing.due > from.after(missing.backoff))
            .map(|(first, _)| *first)
            .collect();
        for first in late {
            if let Some(missing) = self.remove(first) {
                let due = from.after(missing.backoff);
                self.insert(first, Missing { due, ..missing });
            }
        }
    }

    /// Takes the gaps that are due, with how often they were asked for; the caller puts back
    /// those that are asked for once more.
    pub(super) fn take_due(&mut self, now: Timestamp, most: usize) -> Vec<(SeqRange, Missing)> {
        let mut due = Vec::new();
        while due.len() < most {
            let Some(&(at, first)) = self.by_due.first() else { break };
            if at > now {
                break;
            }
            self.by_due.pop_first();
            if let Some(missing) = self.by_seq.remove(&first) {
                due.push((SeqRange::new(first, missing.end), missing));
            }
        }
        due
    }

    /// Takes what of `range` is missing, due or not.
    pub(super) fn take_in(&mut self, range: SeqRange) -> Vec<(SeqRange, Missing)> {
        let mut taken = Vec::new();
        while let Some(piece) = self.cut(range) {
            taken.push(piece);
        }
        taken
    }

    /// Puts back a gap that was asked for.
    pub(super) fn asked(&mut self, range: SeqRange, missing: Missing, again: Timestamp) {
        let tries = missing.tries.saturating_add(1);
        let due = again.after(missing.backoff);
        self.insert(range.first, Missing { end: range.end, due, tries, ..missing });
    }

    /// When the first gap is to be asked for.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// The deadline of the oldest gap. Later gaps have later deadlines.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.by_seq.first_key_value().and_then(|(_, missing)| missing.deadline)
    }

    /// A packet that is not wanted after `deadline` is here: it waits for nothing before it longer.
    pub(super) fn hurry(&mut self, seq: Seq, deadline: Timestamp) {
        for missing in self.by_seq.range_mut(..seq).rev().map(|(_, missing)| missing) {
            if missing.deadline.is_some_and(|due| due <= deadline) {
                return;
            }
            missing.deadline = Some(deadline);
        }
    }

    /// Takes the oldest gap if its deadline has passed.
    pub(super) fn take_late(&mut self, now: Timestamp) -> Option<SeqRange> {
        let (&first, missing) = self.by_seq.first_key_value()?;
        if missing.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.remove(first).map(|missing| SeqRange::new(first, missing.end))
    }

    /// The oldest missing packet.
    pub(super) fn first(&self) -> Option<Seq> {
        self.by_seq.keys().next().copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.by_seq.len(), self.by_due.len(), "both orders hold the same");
        self.by_seq.len()
    }

    pub(super) fn clear(&mut self) {
        self.by_seq.clear();
        self.by_due.clear();
    }

    fn insert(&mut self, first: Seq, missing: Missing) {
        self.by_due.insert((missing.due, first));
        if let Some(old) = self.by_seq.insert(first, missing)
            && old.due != missing.due
        {
            self.by_due.remove(&(old.due, first));
        }
    }

    fn remove(&mut self, first: Seq) -> Option<Missing> {
        let missing = self.by_seq.remove(&first)?;
        self.by_due.remove(&(missing.due, first));
        Some(missing)
    }

    /// Cuts the first piece of `range` that is missing out of its gap, and gives it.
    fn cut(&mut self, range: SeqRange) -> Option<(SeqRange, Missing)> {
        let (&first, &missing) = self.by_seq.range(..range.end).next_back()?;
        let gap = SeqRange::new(first, missing.end);
        let piece = gap.clamp_to(range);
        if piece.is_empty() {
            return None;
        }
        self.remove(first);
        if first < piece.first {
            self.insert(first, Missing { end: piece.first, ..missing });
        }
        if piece.end < missing.end {
            self.insert(piece.end, missing);
        }
        Some((piece, missing))
    }
}

/// Tries that count for whoever was promised an answer: it asks again rarely and goes on asking.
const PROMISED: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn range(first: u64, end: u64) -> SeqRange {
        SeqRange::new(Seq(first), Seq(end))
    }

    fn due(gaps: &mut Gaps) -> Vec<SeqRange> {
        gaps.take_due(NOW, 99).into_iter().map(|(range, _)| range).collect()
    }

    #[test]
    fn a_packet_in_the_middle_splits_a_gap() {
        let mut gaps = Gaps::default();
        gaps.open(range(10, 20), NOW, Duration::ZERO, None);
        assert!(gaps.fill(Seq(14)));
        assert!(!gaps.fill(Seq(14)));
        assert!(!gaps.fill(Seq(20)));
        assert_eq!(due(&mut gaps), [range(10, 14), range(15, 20)]);
    }

    #[test]
    fn a_confirmation_holds_back_only_what_it_names() {
        let mut gaps = Gaps::default();
        gaps.open(range(10, 20), NOW, Duration::ZERO, None);
        gaps.open(range(30, 32), NOW, Duration::ZERO, None);
        assert_eq!(gaps.hold_back(range(15, 31), Timestamp(5_000)), 2);
        assert_eq!(due(&mut gaps), [range(10, 15), range(31, 32)]);
        assert_eq!(gaps.due(), Some(Timestamp(5_000)));
        assert_eq!(gaps.hold_back(range(0, 99), Timestamp(6_000)), 0, "asked for already");
    }

    #[test]
    fn what_is_refused_waits_ever_longer_and_is_not_given_up_for_it() {
        let mut gaps = Gaps::default();
        gaps.open(range(10, 20), NOW, Duration::ZERO, None);
        let (first, longest) = (Duration::from_millis(10), Duration::from_millis(50));
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..5 {
            for (run, missing) in gaps.take_due(now, 9) {
                assert_eq!(missing.tries, 0);
                gaps.asked(run, missing, now.after(longest));
            }
            gaps.postpone(range(0, 15), first, longest, now);
            gaps.close(range(15, 20));
            let due = gaps.due().unwrap();
            waits.push(due.since(now).as_millis());
            now = due;
        }
        assert_eq!(waits, [10, 20, 40, 50, 50]);
    }

    #[test]
    fn who_was_answered_asks_for_the_rest_soon_however_often_it_asked() {
        let mut gaps = Gaps::default();
        gaps.open(range(10, 20), NOW, Duration::ZERO, None);
        for _ in 0..5 {
            for (run, missing) in gaps.take_due(Timestamp::NEVER, 9) {
                gaps.asked(run, missing, Timestamp(900_000));
            }
        }
        gaps.answered(range(12, 14), Timestamp(5_000));
        assert_eq!(gaps.take_due(Timestamp(4_999), 9), []);
        let due = gaps.take_due(Timestamp(5_000), 9);
        assert_eq!(
            due.iter().map(|(run, gap)| (*run, gap.tries)).collect::<Vec<_>>(),
            [(range(12, 14), 1)]
        );
        gaps.answered(range(0, 99), Timestamp(1_000_000));
        assert_eq!(gaps.due(), Some(Timestamp(900_000)), "no later than it would have");
    }

    #[test]
    fn what_is_closed_is_gone_from_both_orders() {
        let mut gaps = Gaps::default();
        gaps.open(range(1, 5), NOW, Duration::ZERO, None);
        gaps.open(range(7, 9), NOW, Duration::ZERO, None);
        gaps.close(range(0, 8));
        assert_eq!(gaps.first(), Some(Seq(8)));
        gaps.close(range(0, 100));
        assert_eq!((gaps.due(), gaps.first()), (None, None));
    }

    #[test]
    fn a_packet_that_is_here_waits_for_nothing_before_it_longer_than_it_may() {
        let mut gaps = Gaps::default();
        gaps.open(range(1, 2), NOW, Duration::ZERO, Some(Timestamp(500)));
        gaps.open(range(3, 4), NOW, Duration::ZERO, Some(Timestamp(2_000)));
        gaps.open(range(6, 9), NOW, Duration::ZERO, Some(Timestamp(3_000)));
        gaps.hurry(Seq(5), Timestamp(900));
        assert_eq!(gaps.take_late(NOW), Some(range(1, 2)));
        assert_eq!(gaps.take_late(NOW), Some(range(3, 4)));
        assert_eq!(gaps.deadline(), Some(Timestamp(3_000)));
    }

    #[test]
    fn late_gaps_come_oldest_first() {
        let mut gaps = Gaps::default();
        gaps.open(range(1, 2), NOW, Duration::ZERO, Some(Timestamp(500)));
        gaps.open(range(3, 4), NOW, Duration::ZERO, Some(Timestamp(2_000)));
        assert_eq!(gaps.deadline(), Some(Timestamp(500)));
        assert_eq!(gaps.take_late(NOW), Some(range(1, 2)));
        assert_eq!(gaps.take_late(NOW), None);
    }
}
