//! Packets by number: what is here, what is missing, what was given up.

use std::collections::VecDeque;

use bytes::Bytes;

use super::arrival::Arrived;
use super::event::{Gap, GapCause};
use super::store::{Place, Store};
use crate::wire::CodedPrefix;
use crate::{Seq, SeqRange};

/// One place of the window.
#[derive(Clone, Copy, Debug, Default)]
enum Slot {
    #[default]
    Missing,
    Lost(GapCause),
    Here(Kept),
}

/// A packet that is here.
#[derive(Clone, Copy, Debug)]
struct Kept {
    prefix: CodedPrefix,
    place: Place,
    check: Check,
}

/// Whether a packet is known to be what the publisher sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It is, or nobody wants to know.
    Passed,
    /// Its hash has yet to come: it is not handed out.
    Waits,
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
    Run(Run),
    Gap(Gap),
}

/// Packets in a row whose payload lies side by side.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) range: SeqRange,
    /// That of the first.
    pub(super) prefix: CodedPrefix,
    pub(super) payload: Bytes,
}

/// The receive window: from the next packet to hand out to the newest that is here, and before it
/// what was handed out and may still help to get others of its block back.
#[derive(Debug)]
pub(super) struct Window {
    /// The packet of the first slot.
    base: Seq,
    next: Seq,
    slots: VecDeque<Slot>,
    store: Store,
    capacity: u64,
}

impl Window {
    pub(super) fn new(next: Seq, capacity: u64) -> Self {
        let (slots, store) = (VecDeque::new(), Store::default());
        Self { base: next, next, slots, store, capacity: capacity.max(1) }
    }

    /// Gives memory back that was of no use since the last call.
    pub(super) fn give_back(&mut self) {
        self.store.give_back();
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

    /// Prefix and payload of a packet that is here, handed out or not.
    pub(super) fn body(&self, seq: Seq) -> Option<(CodedPrefix, &[u8])> {
        match self.slots.get(self.index(seq)?)? {
            Slot::Here(kept) => Some((kept.prefix, self.store.get(kept.place))),
            Slot::Missing | Slot::Lost(_) => None,
        }
    }

    /// Whether a packet did not come and was not given up.
    pub(super) fn is_missing(&self, seq: Seq) -> bool {
        let slot = self.index(seq).and_then(|index| self.slots.get(index));
        seq >= self.next && matches!(slot, None | Some(Slot::Missing))
    }

    /// Takes a packet, and keeps its payload if there is a place for it.
    pub(super) fn place(
        &mut self,
        seq: Seq,
        prefix: CodedPrefix,
        body: Arrived<'_>,
        check: Check,
    ) -> Placed {
        if seq < self.next {
            return Placed::Duplicate;
        }
        if seq >= self.limit() {
            return Placed::Beyond;
        }
        let Some(index) = self.index(seq) else { return Placed::Beyond };
        if index == self.slots.len() {
            // The copy comes last: whatever is read back from memory after it waits until all of it is written.
            let place = body.place(prefix.len, &mut self.store);
            self.slots.push_back(Slot::Here(Kept { prefix, place, check }));
            body.keep(prefix.len, &mut self.store);
            return Placed::New;
        }
        if index > self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        match self.slots.get_mut(index) {
            Some(slot @ Slot::Missing) => {
                let place = body.place(prefix.len, &mut self.store);
                *slot = Slot::Here(Kept { prefix, place, check });
                body.keep(prefix.len, &mut self.store);
                Placed::New
            }
            _ => Placed::Duplicate,
        }
    }

    /// Prefix and payload of a packet that is here and waits for its hash.
    pub(super) fn unproved(&self, seq: Seq) -> Option<(CodedPrefix, &[u8])> {
        match self.slots.get(self.index(seq)?)? {
            Slot::Here(kept) if kept.check == Check::Waits => {
                Some((kept.prefix, self.store.get(kept.place)))
            }
            Slot::Here(_) | Slot::Missing | Slot::Lost(_) => None,
        }
    }

    /// The runs of packets of `range` that wait for their hashes.
    pub(super) fn unproved_in(&self, range: SeqRange) -> Vec<SeqRange> {
        let mut runs = Vec::new();
        let within = range.clamp_to(SeqRange::new(self.next, self.end()));
        for seq in within.iter().filter(|seq| self.unproved(*seq).is_some()) {
            extend(&mut runs, SeqRange::new(seq, seq.next()));
        }
        runs
    }

    /// A packet that is here is what the publisher sent.
    pub(super) fn prove(&mut self, seq: Seq) {
        let slot = self.index(seq).and_then(|index| self.slots.get_mut(index));
        if let Some(Slot::Here(kept)) = slot {
            kept.check = Check::Passed;
        }
    }

    /// A packet that is here, and was not handed out, is as if it had never come.
    pub(super) fn reject(&mut self, seq: Seq) {
        let slot = self.index(seq).and_then(|index| self.slots.get_mut(index));
        if let Some(slot) = slot.filter(|_| seq >= self.next)
            && let Slot::Here(kept) = std::mem::take(slot)
        {
            self.store.forget(kept.place);
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

    /// Takes what is next in order, if it is here or was given up: one packet, or as many as lie
    /// side by side in `most` bytes. What is here stays until [`Window::forget`].
    pub(super) fn pop(&mut self, most: usize) -> Option<Popped> {
        let index = self.handed_out();
        match *self.slots.get(index)? {
            Slot::Missing | Slot::Here(Kept { check: Check::Waits, .. }) => None,
            Slot::Here(Kept { prefix, place: first, .. }) => {
                let mut place = first;
                let mut packets = 1;
                for slot in self.slots.range(index + 1..) {
                    let Slot::Here(kept @ Kept { check: Check::Passed, .. }) = slot else { break };
                    let Some(longer) = place.with(kept.place) else { break };
                    if longer.len() > most {
                        break;
                    }
                    (place, packets) = (longer, packets + 1);
                }
                let range = SeqRange::new(self.next, self.next.plus(packets));
                self.next = range.end;
                Some(Popped::Run(Run { range, prefix, payload: self.store.take(place) }))
            }
            Slot::Lost(cause) => {
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
        while self.base < seq
            && let Some(slot) = self.slots.pop_front()
        {
            if let Slot::Here(kept) = slot {
                self.store.forget(kept.place);
            }
            self.base = self.base.next();
        }
    }

    /// Goes on at `seq`, which lies beyond everything that is here.
    pub(super) fn jump(&mut self, seq: Seq) {
        self.slots.clear();
        self.store = Store::default();
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
    use crate::WireTime;

    const PREFIX: CodedPrefix =
        CodedPrefix { len: 1, flags: 0, first_record: 0, first_sent: WireTime(0) };

    fn place(window: &mut Window, seq: u64) -> Placed {
        let byte = u8::try_from(seq).unwrap();
        let mut body = Vec::new();
        PREFIX.write(&mut body);
        body.push(byte);
        window.place(Seq(seq), PREFIX, Arrived::Datagram(&body), Check::Passed)
    }

    fn run(first: u64, payload: &'static [u8]) -> Option<Popped> {
        let range = SeqRange::new(Seq(first), Seq(first + payload.len() as u64));
        Some(Popped::Run(Run { range, prefix: PREFIX, payload: Bytes::from_static(payload) }))
    }

    #[test]
    fn packets_come_out_in_order_once_the_gap_is_closed() {
        let mut window = Window::new(Seq(10), 100);
        assert_eq!(place(&mut window, 11), Placed::New);
        assert_eq!(window.pop(2), None);
        assert_eq!(
            window.missing(SeqRange::new(Seq(10), Seq(12))),
            [SeqRange::new(Seq(10), Seq(11))]
        );
        assert_eq!(place(&mut window, 10), Placed::New);
        assert_eq!(window.pop(2), run(10, &[10]));
        assert_eq!(window.pop(2), run(11, &[11]));
        assert_eq!(place(&mut window, 11), Placed::Duplicate);
    }

    #[test]
    fn a_run_that_was_given_up_is_one_gap() {
        let mut window = Window::new(Seq(0), 100);
        place(&mut window, 3);
        let range = SeqRange::new(Seq(0), Seq(3));
        assert_eq!(window.give_up(range, GapCause::Deadline), [range]);
        assert_eq!(place(&mut window, 1), Placed::Duplicate);
        assert_eq!(window.pop(2), Some(Popped::Gap(Gap { range, cause: GapCause::Deadline })));
        assert_eq!(window.pop(2), run(3, &[3]));
    }

    #[test]
    fn there_is_no_room_beyond_the_capacity() {
        let mut window = Window::new(Seq(5), 10);
        assert_eq!(place(&mut window, 15), Placed::Beyond);
        assert_eq!(place(&mut window, 14), Placed::New);
        assert_eq!(window.end(), Seq(15));
        let all = SeqRange::new(Seq(5), Seq(u64::MAX));
        assert_eq!(window.give_up(all, GapCause::LeftWindow), [SeqRange::new(Seq(5), Seq(14))]);
    }

    #[test]
    fn what_came_in_order_goes_out_together_as_far_as_is_wanted() {
        let mut window = Window::new(Seq(0), 100);
        for seq in [0, 1, 2, 4, 3] {
            place(&mut window, seq);
        }
        assert_eq!(window.pop(2), run(0, &[0, 1]));
        assert_eq!(window.pop(0), run(2, &[2]));
        assert_eq!(window.pop(9), run(3, &[3]), "they came the other way round");
        assert_eq!(window.pop(9), run(4, &[4]));
        window.forget(Seq(5));
        place(&mut window, 5);
        assert_eq!(window.body(Seq(5)), Some((PREFIX, &[5][..])));
        assert_eq!(window.pop(9), run(5, &[5]));
    }
}
