//! A late joiner is given what it missed, by unicast, without the live stream going back.

use std::collections::BTreeSet;
use std::time::Duration;

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
    /// When it was last told what it will be given.
    told: Timestamp,
    /// What it will be given is less than it was told.
    is_owed_word: bool,
}

impl CatchUp {
    pub(super) fn new(range: SeqRange, now: Timestamp) -> Self {
        let (first, end) = (range.first, range.end);
        let again = BTreeSet::new();
        Self { first, cursor: first, end, again, told: now, is_owed_word: false }
    }

    /// What it is to be told of what is left, if it was not told `again` ago: the window may move
    /// with every packet.
    pub(super) fn word(&mut self, again: Duration, now: Timestamp) -> Option<SeqRange> {
        if !self.is_owed_word(again, now) {
            return None;
        }
        (self.told, self.is_owed_word) = (now, false);
        Some(SeqRange::new(self.cursor, self.end))
    }

    pub(super) fn is_owed_word(&self, again: Duration, now: Timestamp) -> bool {
        self.is_owed_word && now.since(self.told) >= again
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

    /// The window moved on, and may have taken away what was never given.
    pub(super) fn expire(&mut self, trail: Seq) {
        self.again = self.again.split_off(&trail);
        if self.cursor < trail && self.cursor < self.end {
            self.cursor = trail.min(self.end);
            self.is_owed_word = true;
        }
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
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(10), Seq(20)), Timestamp::ZERO);
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
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(0), Seq(2)), Timestamp::ZERO);
        catch_up.on_sent(Seq(0));
        catch_up.on_sent(Seq(1));
        catch_up.ask_again(SeqRange::new(Seq(0), Seq(1)));
        assert!(catch_up.is_behind(Seq(5)));
        catch_up.expire(Seq(5));
        assert!(!catch_up.is_owed_word, "it was given all of it");
        assert_eq!((catch_up.next(None), catch_up.is_behind(Seq(5))), (None, false));
    }

    #[test]
    fn what_left_the_window_is_taken_out_and_said() {
        let mut catch_up = CatchUp::new(SeqRange::new(Seq(10), Seq(20)), Timestamp::ZERO);
        let (again, at) = (Duration::from_millis(10), Timestamp::from_millis);
        catch_up.expire(Seq(10));
        assert_eq!(catch_up.word(again, at(10)), None);
        catch_up.expire(Seq(15));
        assert_eq!(catch_up.word(again, at(10)), Some(SeqRange::new(Seq(15), Seq(20))));
        assert_eq!(catch_up.word(again, at(99)), None, "told already");
        assert_eq!(catch_up.next(None), Some(Seq(15)));
        catch_up.expire(Seq(17));
        assert_eq!(catch_up.word(again, at(15)), None, "not so soon");
        assert_eq!(catch_up.word(again, at(20)), Some(SeqRange::new(Seq(17), Seq(20))));
    }
}
