//! A late joiner is given what it missed, by unicast, without the live stream going back.

use std::collections::BTreeSet;

use crate::{Seq, SeqRange, Timestamp};

/// What one late joiner is still to be given.
#[derive(Debug)]
pub(super) struct CatchUp {
    first: Seq,
    /// The next packet that it was never given.
    cursor: Seq,
    /// One past the last.
    end: Seq,
    /// Packets it was given and asks for again.
    again: BTreeSet<Seq>,
    /// Not before this.
    next_at: Timestamp,
}

impl CatchUp {
    pub(super) fn new(range: SeqRange) -> Self {
        Self {
            first: range.first,
            cursor: range.first,
            end: range.end,
            again: BTreeSet::new(),
            next_at: Timestamp::ZERO,
        }
    }

    /// Whether `seq` is part of what this gives.
    pub(super) fn covers(&self, seq: Seq) -> bool {
        seq < self.end
    }

    pub(super) fn ask_again(&mut self, range: SeqRange) {
        let known = SeqRange::new(Seq::ZERO, self.cursor);
        self.again.extend(range.clamp_to(known).iter());
    }

    /// The packet that is due, if credit and budget let it go; without a `limit` only a first
    /// handful is.
    pub(super) fn next(&self, limit: Option<Seq>, now: Timestamp) -> Option<Seq> {
        if now < self.next_at {
            return None;
        }
        if let Some(seq) = self.again.first() {
            return Some(*seq);
        }
        self.has_credit(limit).then_some(self.cursor)
    }

    pub(super) fn due(&self, limit: Option<Seq>) -> Option<Timestamp> {
        (!self.again.is_empty() || self.has_credit(limit)).then_some(self.next_at)
    }

    fn has_credit(&self, limit: Option<Seq>) -> bool {
        let limit = limit.unwrap_or(self.first.plus(FIRST_CREDIT));
        self.cursor < self.end.min(limit)
    }

    /// Nothing more before `next_at`.
    pub(super) fn wait_until(&mut self, next_at: Timestamp) {
        self.next_at = next_at;
    }

    pub(super) fn on_sent(&mut self, seq: Seq) {
        if !self.again.remove(&seq) && seq == self.cursor {
            self.cursor = self.cursor.next();
        }
    }

    /// The window moved on: what is left of it, if it took something away.
    pub(super) fn expire(&mut self, trail: Seq) -> Option<SeqRange> {
        self.again = self.again.split_off(&trail);
        if self.cursor >= trail || self.cursor >= self.end {
            return None;
        }
        self.cursor = trail.min(self.end);
        Some(SeqRange::new(self.cursor, self.end))
    }

    /// Whether the window has moved past what is still to be given.
    pub(super) fn is_behind(&self, trail: Seq) -> bool {
        self.cursor < trail && self.cursor < self.end
    }
}

/// Packets that a late joiner is given before it has said how many it has room for.
const FIRST_CREDIT: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_holds_it_back_and_what_is_asked_again_goes_first() {
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(10), Seq(20)));
        let now = Timestamp::ZERO;
        for expected in 10..13 {
            let seq = catch_up.next(Some(Seq(13)), now).unwrap();
            assert_eq!(seq, Seq(expected));
            catch_up.on_sent(seq);
        }
        assert_eq!(catch_up.next(Some(Seq(13)), now), None);
        catch_up.ask_again(SeqRange::new(Seq(11), Seq(30)));
        assert_eq!(catch_up.next(Some(Seq(13)), now), Some(Seq(11)));
    }

    #[test]
    fn what_left_the_window_is_taken_out_and_said() {
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(10), Seq(20)));
        assert_eq!(catch_up.expire(Seq(10)), None);
        assert_eq!(catch_up.expire(Seq(15)), Some(SeqRange::new(Seq(15), Seq(20))));
        assert_eq!(catch_up.next(None, Timestamp::ZERO), Some(Seq(15)));
    }
}
