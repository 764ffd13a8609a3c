//! Packets by number: what is here, what is missing, what was given up.

use std::collections::VecDeque;

use bytes::Bytes;

use super::event::{Gap, GapCause};
use crate::{Seq, SeqRange};

/// One place of the window.
#[derive(Clone, Debug, Default)]
enum Slot {
    #[default]
    Missing,
    Lost(GapCause),
    Here(Bytes),
}

/// What became of a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It was missing.
    New,
    /// It is here already, was handed out, or was given up.
    Duplicate,
    /// There is no room that far ahead.
    Beyond,
}

/// The next thing in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Popped {
    Body(Seq, Bytes),
    Gap(Gap),
}

/// The receive window: from the next packet to hand out to the newest that is here, and before it
/// what was handed out and may still help to get others of its block back.
#[derive(Debug)]
pub(super) struct Window {
    /// The packet of the first slot.
    base: Seq,
    next: Seq,
    slots: VecDeque<Slot>,
    capacity: u64,
}

impl Window {
    pub(super) fn new(next: Seq, capacity: u64) -> Self {
        Self { base: next, next, slots: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// The first packet that was not handed out.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// One past the newest packet that is here.
    pub(super) fn end(&self) -> Seq {
        self.base.plus(self.slots.len() as u64).max(self.next)
    }

    /// One past the newest packet there is room for.
    pub(super) fn limit(&self) -> Seq {
        self.next.plus(self.capacity)
    }

    /// Packets that are here and were not handed out.
    pub(super) fn held(&self) -> u64 {
        let waiting = self.slots.iter().skip(self.handed_out());
        waiting.filter(|slot| matches!(slot, Slot::Here(_))).count() as u64
    }

    /// The body of a packet that is here, handed out or not.
    pub(super) fn body(&self, seq: Seq) -> Option<&Bytes> {
        match self.slots.get(self.index(seq)?)? {
            Slot::Here(body) => Some(body),
            Slot::Missing | Slot::Lost(_) => None,
        }
    }

    /// Whether a packet did not come and was not given up.
    pub(super) fn is_missing(&self, seq: Seq) -> bool {
        let slot = self.index(seq).and_then(|index| self.slots.get(index));
        seq >= self.next && matches!(slot, None | Some(Slot::Missing))
    }

    pub(super) fn place(&mut self, seq: Seq, body: Bytes) -> Placed {
        self.place_with(seq, || body)
    }

    /// The same with a body that is made only if there is a place for it.
    pub(super) fn place_with(&mut self, seq: Seq, body: impl FnOnce() -> Bytes) -> Placed {
        if seq < self.next {
            return Placed::Duplicate;
        }
        if seq >= self.limit() {
            return Placed::Beyond;
        }
        let Some(index) = self.index(seq) else { return Placed::Beyond };
        if index == self.slots.len() {
            self.slots.push_back(Slot::Here(body()));
            return Placed::New;
        }
        if index > self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        match self.slots.get_mut(index) {
            Some(slot @ Slot::Missing) => {
                *slot = Slot::Here(body());
                Placed::New
            }
            _ => Placed::Duplicate,
        }
    }

    /// Gives up what is missing of `range`, within what there is room for; says what that was.
    pub(super) fn give_up(&mut self, range: SeqRange, cause: GapCause) -> Vec<SeqRange> {
        let range = range.clamp_to(SeqRange::new(self.next, self.limit()));
        let (Some(first), Some(end)) = (self.index(range.first), self.index(range.end)) else {
            return Vec::new();
        };
        if range.is_empty() {
            return Vec::new();
        }
        if end > self.slots.len() {
            self.slots.resize_with(end, Slot::default);
        }
        let mut lost = Vec::new();
        for (slot, seq) in self.slots.range_mut(first..end).zip(range.iter()) {
            if matches!(slot, Slot::Missing) {
                *slot = Slot::Lost(cause);
                extend(&mut lost, SeqRange::new(seq, seq.next()));
            }
        }
        lost
    }

    /// Takes what is next in order, if it is here or was given up. What is here stays until
    /// [`Window::forget`].
    pub(super) fn pop(&mut self) -> Option<Popped> {
        let index = self.handed_out();
        match self.slots.get(index)? {
            Slot::Missing => None,
            Slot::Here(body) => {
                let popped = Popped::Body(self.next, body.clone());
                self.next = self.next.next();
                Some(popped)
            }
            &Slot::Lost(cause) => {
                let same = |slot: &&Slot| matches!(slot, Slot::Lost(other) if *other == cause);
                let run = self.slots.iter().skip(index).take_while(same).count();
                let first = self.next;
                self.next = self.next.plus(run as u64);
                Some(Popped::Gap(Gap { range: SeqRange::new(first, self.next), cause }))
            }
        }
    }

    /// Forgets what was handed out before `seq`.
    pub(super) fn forget(&mut self, seq: Seq) {
        let seq = seq.min(self.next);
        while self.base < seq && self.slots.pop_front().is_some() {
            self.base = self.base.next();
        }
    }

    /// Goes on at `seq`, which lies beyond everything that is here.
    pub(super) fn jump(&mut self, seq: Seq) {
        self.slots.clear();
        self.next = self.next.max(seq);
        self.base = self.next;
    }

    /// Whether nothing waits to be handed out, and nothing that is here waits for a gap.
    pub(super) fn is_empty(&self) -> bool {
        self.handed_out() >= self.slots.len()
    }

    /// Slots that were handed out.
    fn handed_out(&self) -> usize {
        usize::try_from(self.next.since(self.base)).unwrap_or(usize::MAX)
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        if seq < self.base {
            return None;
        }
        usize::try_from(seq.since(self.base)).ok()
    }

    /// The runs of missing packets in `range`.
    pub(super) fn missing(&self, range: SeqRange) -> Vec<SeqRange> {
        let mut runs: Vec<SeqRange> = Vec::new();
        let within = range.clamp_to(SeqRange::new(self.next, self.end()));
        let first = self.index(within.first).unwrap_or(usize::MAX);
        let count = usize::try_from(within.len()).unwrap_or(0);
        for (slot, seq) in self.slots.iter().skip(first).take(count).zip(within.iter()) {
            if matches!(slot, Slot::Missing) {
                extend(&mut runs, SeqRange::new(seq, seq.next()));
            }
        }
        let beyond = SeqRange::new(range.first.max(self.end()), range.end);
        if !beyond.is_empty() {
            extend(&mut runs, beyond);
        }
        runs
    }
}

fn extend(runs: &mut Vec<SeqRange>, run: SeqRange) {
    match runs.last_mut() {
        Some(last) if last.end == run.first => last.end = run.end,
        _ => runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(byte: u8) -> Bytes {
        Bytes::copy_from_slice(&[byte])
    }

    #[test]
    fn packets_come_out_in_order_once_the_gap_is_closed() {
        let mut window = Window::new(Seq(10), 100);
        assert_eq!(window.place(Seq(11), body(1)), Placed::New);
        assert_eq!(window.pop(), None);
        assert_eq!(
            window.missing(SeqRange::new(Seq(10), Seq(12))),
            [SeqRange::new(Seq(10), Seq(11))]
        );
        assert_eq!(window.place(Seq(10), body(0)), Placed::New);
        assert_eq!(window.pop(), Some(Popped::Body(Seq(10), body(0))));
        assert_eq!(window.pop(), Some(Popped::Body(Seq(11), body(1))));
        assert_eq!(window.place(Seq(11), body(1)), Placed::Duplicate);
    }

    #[test]
    fn a_run_that_was_given_up_is_one_gap() {
        let mut window = Window::new(Seq(0), 100);
        window.place(Seq(3), body(3));
        let range = SeqRange::new(Seq(0), Seq(3));
        assert_eq!(window.give_up(range, GapCause::Deadline), [range]);
        assert_eq!(window.place(Seq(1), body(1)), Placed::Duplicate);
        assert_eq!(window.pop(), Some(Popped::Gap(Gap { range, cause: GapCause::Deadline })));
        assert_eq!(window.pop(), Some(Popped::Body(Seq(3), body(3))));
    }

    #[test]
    fn there_is_no_room_beyond_the_capacity() {
        let mut window = Window::new(Seq(5), 10);
        assert_eq!(window.place(Seq(15), body(0)), Placed::Beyond);
        assert_eq!(window.place(Seq(14), body(0)), Placed::New);
        assert_eq!(window.end(), Seq(15));
        let all = SeqRange::new(Seq(5), Seq(u64::MAX));
        assert_eq!(window.give_up(all, GapCause::LeftWindow), [SeqRange::new(Seq(5), Seq(14))]);
    }
}
