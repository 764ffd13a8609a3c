//! A late joiner is given what it missed, by unicast, without the live stream going back.

use std::collections::BTreeSet;

use crate::{Seq, SeqRange};

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
}

impl CatchUp {
    pub(super) fn new(range: SeqRange) -> Self {
        Self { first: range.first, cursor: range.first, end: range.end, again: BTreeSet::new() }
    }

    /// What of `range` this gives, and what lies beyond it.
    pub(super) fn split(&self, range: SeqRange) -> (SeqRange, SeqRange) {
        let end = self.end.max(range.first).min(range.end);
        (SeqRange::new(range.first, end), SeqRange::new(end, range.end))
    }

    pub(super) fn ask_again(&mut self, range: SeqRange) {
        let known = SeqRange::new(Seq::ZERO, self.cursor);
        self.again.extend(range.clamp_to(known).iter());
    }

    /// The packet that is next, if credit lets it go; without a `limit` only a first handful is.
    pub(super) fn next(&self, limit: Option<Seq>) -> Option<Seq> {
        if let Some(seq) = self.again.first() {
            return Some(*seq);
        }
        self.has_credit(limit).then_some(self.cursor)
    }

    fn has_credit(&self, limit: Option<Seq>) -> bool {
        let limit = limit.unwrap_or(self.first.plus(FIRST_CREDIT));
        self.cursor < self.end.min(limit)
    }

    pub(super) fn on_sent(&mut self, seq: Seq) {
        if !self.again.remove(&seq) && seq == self.cursor {
            self.cursor = self.cursor.next();
        }
    }

    /// The window moved on: what is left of it, if it took away what was never given.
    pub(super) fn expire(&mut self, trail: Seq) -> Option<SeqRange> {
        self.again = self.again.split_off(&trail);
        if self.cursor >= trail || self.cursor >= self.end {
            return None;
        }
        self.cursor = trail.min(self.end);
        Some(SeqRange::new(self.cursor, self.end))
    }

    /// Whether the window has moved past something that is still to be given.
    pub(super) fn is_behind(&self, trail: Seq) -> bool {
        let again = self.again.first().is_some_and(|seq| *seq < trail);
        again || self.cursor < trail && self.cursor < self.end
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
        for expected in 10..13 {
            let seq = catch_up.next(Some(Seq(13))).unwrap();
            assert_eq!(seq, Seq(expected));
            catch_up.on_sent(seq);
        }
        assert_eq!(catch_up.next(Some(Seq(13))), None);
        catch_up.ask_again(SeqRange::new(Seq(11), Seq(30)));
        assert_eq!(catch_up.next(Some(Seq(13))), Some(Seq(11)));
    }

    #[test]
    fn what_is_asked_again_and_left_the_window_is_forgotten() {
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(0), Seq(2)));
        catch_up.on_sent(Seq(0));
        catch_up.on_sent(Seq(1));
        catch_up.ask_again(SeqRange::new(Seq(0), Seq(1)));
        assert!(catch_up.is_behind(Seq(5)));
        assert_eq!(catch_up.expire(Seq(5)), None);
        assert_eq!((catch_up.next(None), catch_up.is_behind(Seq(5))), (None, false));
    }

    #[test]
    fn what_left_the_window_is_taken_out_and_said() {
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(10), Seq(20)));
        assert_eq!(catch_up.expire(Seq(10)), None);
        assert_eq!(catch_up.expire(Seq(15)), Some(SeqRange::new(Seq(15), Seq(20))));
        assert_eq!(catch_up.next(None), Some(Seq(15)));
    }
}
