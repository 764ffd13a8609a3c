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

/// The receive window: from the next packet to hand out to the newest that is here.
#[derive(Debug)]
pub(super) struct Window {
    next: Seq,
    slots: VecDeque<Slot>,
    capacity: u64,
}

impl Window {
    pub(super) fn new(next: Seq, capacity: u64) -> Self {
        Self { next, slots: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// The first packet that was not handed out.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// One past the newest packet that is here.
    pub(super) fn end(&self) -> Seq {
        self.next.plus(self.slots.len() as u64)
    }

    /// One past the newest packet there is room for.
    pub(super) fn limit(&self) -> Seq {
        self.next.plus(self.capacity)
    }

    /// Packets that are here and were not handed out.
    pub(super) fn held(&self) -> u64 {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Here(_))).count() as u64
    }

    pub(super) fn place(&mut self, seq: Seq, body: Bytes) -> Placed {
        if seq < self.next {
            return Placed::Duplicate;
        }
        if seq >= self.limit() {
            return Placed::Beyond;
        }
        let Ok(index) = usize::try_from(seq.since(self.next)) else { return Placed::Beyond };
        if index == self.slots.len() {
            self.slots.push_back(Slot::Here(body));
            return Placed::New;
        }
        if index > self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        match self.slots.get_mut(index) {
            Some(slot @ Slot::Missing) => {
                *slot = Slot::Here(body);
                Placed::New
            }
            _ => Placed::Duplicate,
        }
    }

    /// Gives up what is missing of `range`, within what there is room for; says what that was.
    pub(super) fn give_up(&mut self, range: SeqRange, cause: GapCause) -> Vec<SeqRange> {
        let range = range.clamp_to(SeqRange::new(self.next, self.limit()));
        let (Ok(first), Ok(end)) = (
            usize::try_from(range.first.since(self.next)),
            usize::try_from(range.end.since(self.next)),
        ) else {
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

    /// Takes what is next in order, if it is here or was given up.
    pub(super) fn pop(&mut self) -> Option<Popped> {
        match self.slots.front()? {
            Slot::Missing => None,
            Slot::Here(_) => {
                let seq = self.next;
                self.next = self.next.next();
                match self.slots.pop_front() {
                    Some(Slot::Here(body)) => Some(Popped::Body(seq, body)),
                    _ => None,
                }
            }
            &Slot::Lost(cause) => {
                let first = self.next;
                while matches!(self.slots.front(), Some(Slot::Lost(other)) if *other == cause) {
                    self.slots.pop_front();
                    self.next = self.next.next();
                }
                Some(Popped::Gap(Gap { range: SeqRange::new(first, self.next), cause }))
            }
        }
    }

    /// Goes on at `seq`, which lies beyond everything that is here.
    pub(super) fn jump(&mut self, seq: Seq) {
        self.slots.clear();
        self.next = self.next.max(seq);
    }

    /// Whether nothing waits to be handed out, and nothing that is here waits for a gap.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The runs of missing packets in `range`.
    pub(super) fn missing(&self, range: SeqRange) -> Vec<SeqRange> {
        let mut runs: Vec<SeqRange> = Vec::new();
        let within = range.clamp_to(SeqRange::new(self.next, self.end()));
        let first = usize::try_from(within.first.since(self.next)).unwrap_or(usize::MAX);
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
