//! What can still be repaired: packets `trail..lead` were sent and are kept, those after `lead`
//! wait to be sent.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::packetizer::Cut;
use crate::{Seq, SeqRange, Timestamp};

/// A packet that is kept.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) payload: Bytes,
    pub(super) flags: u8,
    pub(super) first_record: u16,
    /// When it was first sent; `None` while it waits.
    pub(super) first_sent: Option<Timestamp>,
    /// First seq of its block.
    pub(super) block: Seq,
    /// Its place in the block.
    pub(super) index: u8,
    /// Packets of the block; 0 while it is open.
    pub(super) k: u8,
    /// Which of its superblock's blocks that is, from 0.
    lane: u8,
    /// log2 of the blocks that its superblock interleaves.
    pub(super) depth_log2: u8,
}

impl Slot {
    /// First seq of its superblock.
    pub(super) fn superblock(&self) -> Seq {
        self.block.minus(u64::from(self.lane))
    }

    /// The seq of packet `index` of its block.
    pub(super) fn seq_of(&self, index: u8) -> Seq {
        self.block.plus(u64::from(index) << self.depth_log2)
    }
}

/// A superblock that packets are still added to: its packets go to its blocks in turn.
#[derive(Clone, Copy, Debug)]
struct OpenSuperblock {
    start: Seq,
    len: u16,
    since: Timestamp,
    depth_log2: u8,
}

impl OpenSuperblock {
    /// Packets of the block at `lane`.
    fn k(self, lane: u16) -> u8 {
        let depth = 1 << self.depth_log2;
        let k = (self.len + depth - 1).saturating_sub(lane) >> self.depth_log2;
        u8::try_from(k).unwrap_or(u8::MAX)
    }
}

/// The transmit window.
#[derive(Debug)]
pub(super) struct Window {
    slots: VecDeque<Slot>,
    trail: Seq,
    lead: Seq,
    sent_bytes: u64,
    unsent_bytes: u64,
    full_k: u8,
    /// log2 of the blocks that the next superblock interleaves.
    depth_log2: u8,
    open: Option<OpenSuperblock>,
    last_closed: LastClosed,
}

/// The newest superblock that nothing is added to any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LastClosed {
    /// First seq of its first block.
    pub(super) start: Seq,
    /// Packets of its first block; 0 if there is no such superblock.
    pub(super) k: u8,
    /// log2 of the blocks that it interleaves.
    pub(super) depth_log2: u8,
}

impl Window {
    pub(super) fn new(full_k: u8, depth_log2: u8) -> Self {
        Self {
            slots: VecDeque::new(),
            trail: Seq::ZERO,
            lead: Seq::ZERO,
            sent_bytes: 0,
            unsent_bytes: 0,
            full_k,
            depth_log2,
            open: None,
            last_closed: LastClosed::default(),
        }
    }

    /// The oldest packet that is kept.
    pub(super) fn trail(&self) -> Seq {
        self.trail
    }

    /// One past the newest packet that was sent.
    pub(super) fn lead(&self) -> Seq {
        self.lead
    }

    /// One past the newest packet there is.
    pub(super) fn end(&self) -> Seq {
        self.trail.plus(self.slots.len() as u64)
    }

    /// What was sent and is kept.
    pub(super) fn sent(&self) -> SeqRange {
        SeqRange::new(self.trail, self.lead)
    }

    pub(super) fn unsent_bytes(&self) -> u64 {
        self.unsent_bytes
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.lead < self.end()
    }

    pub(super) fn last_closed(&self) -> LastClosed {
        self.last_closed
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Slot> {
        if seq < self.trail {
            return None;
        }
        self.slots.get(usize::try_from(seq.since(self.trail)).ok()?)
    }

    /// The oldest packet that was first sent at `time` or later.
    pub(super) fn first_sent_since(&self, time: Timestamp) -> Seq {
        let before = |slot: &Slot| slot.first_sent.is_some_and(|sent| sent < time);
        self.trail.plus(self.slots.partition_point(before) as u64)
    }

    /// Numbers a packet and gives it its place in a block.
    pub(super) fn add(&mut self, cut: Cut, now: Timestamp) {
        self.unsent_bytes += cut.payload.len() as u64;
        self.slots.push_back(Slot {
            payload: cut.payload,
            flags: cut.flags,
            first_record: cut.first_record,
            first_sent: None,
            block: Seq::ZERO,
            index: 0,
            k: 0,
            lane: 0,
            depth_log2: 0,
        });
        self.give_place(self.slots.len() - 1, now);
    }

    /// Puts the packet of a slot into the open superblock, or into a new one.
    fn give_place(&mut self, at: usize, now: Timestamp) {
        let seq = self.trail.plus(at as u64);
        let new = OpenSuperblock { start: seq, len: 0, since: now, depth_log2: self.depth_log2 };
        let mut open = self.open.unwrap_or(new);
        let lane = open.len & ((1 << open.depth_log2) - 1);
        let index = u8::try_from(open.len >> open.depth_log2).unwrap_or(u8::MAX);
        open.len += 1;
        self.open = Some(open);
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.block = open.start.plus(u64::from(lane));
        slot.lane = u8::try_from(lane).unwrap_or(u8::MAX);
        slot.index = index;
        slot.depth_log2 = open.depth_log2;
        slot.k = 0;
        if index + 1 == self.full_k {
            self.close_lane(open, lane);
            if lane + 1 == 1 << open.depth_log2 {
                self.close_block();
            }
        }
    }

    /// When the open superblock was opened, and log2 of the blocks that it interleaves.
    pub(super) fn open_since(&self) -> Option<(Timestamp, u8)> {
        self.open.map(|open| (open.since, open.depth_log2))
    }

    /// Ends the open superblock: from now on the packets of its blocks carry their k.
    pub(super) fn close_block(&mut self) {
        let Some(open) = self.open.take() else { return };
        for lane in 0..open.len.min(1 << open.depth_log2) {
            self.close_lane(open, lane);
        }
        self.last_closed =
            LastClosed { start: open.start, k: open.k(0), depth_log2: open.depth_log2 };
    }

    fn close_lane(&mut self, open: OpenSuperblock, lane: u16) {
        let k = open.k(lane);
        let first = open.start.plus(u64::from(lane));
        // What was sent and is not kept any longer needs no k.
        let gone = self.trail.since(first).div_ceil(1 << open.depth_log2);
        let skipped = first.plus(gone << open.depth_log2).since(self.trail);
        let slots = self.slots.iter_mut().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
        let left = u64::from(k).saturating_sub(gone);
        let lane = slots.step_by(1 << open.depth_log2);
        for slot in lane.take(usize::try_from(left).unwrap_or(0)) {
            slot.k = k;
        }
    }

    /// From the next superblock that nothing was sent of, so many blocks are interleaved.
    pub(super) fn set_depth(&mut self, depth_log2: u8, now: Timestamp) {
        self.depth_log2 = depth_log2;
        let sent = usize::try_from(self.lead.since(self.trail)).unwrap_or(usize::MAX);
        let mut waiting = self.slots.iter().skip(sent);
        let Some(skipped) = waiting.position(|slot| slot.lane == 0 && slot.index == 0) else {
            return;
        };
        let first = sent + skipped;
        let start = self.trail.plus(first as u64);
        self.open = self.open.filter(|open| open.start < start);
        if self.last_closed.start >= start {
            let before = first.checked_sub(1).and_then(|before| self.slots.get(before));
            self.last_closed = before.map_or(LastClosed::default(), |last| LastClosed {
                start: last.superblock(),
                // Its first block has a packet in each round.
                k: last.index + 1,
                depth_log2: last.depth_log2,
            });
        }
        for at in first..self.slots.len() {
            self.give_place(at, now);
        }
    }

    /// The superblock that `seq` is of, if nothing is added to it any more.
    pub(super) fn superblock(&self, seq: Seq) -> Option<SeqRange> {
        let slot = self.get(seq)?;
        let start = slot.superblock();
        if self.open.is_some_and(|open| open.start == start) {
            return None;
        }
        // The blocks differ by one packet at most: the end is in the last round or the next.
        let mut end = slot.seq_of(slot.k.saturating_sub(1));
        while self.get(end).is_some_and(|slot| slot.superblock() == start) {
            end = end.next();
        }
        Some(SeqRange::new(start, end))
    }

    /// The next packet that was never sent.
    pub(super) fn next_unsent(&self) -> Option<&Slot> {
        self.get(self.lead)
    }

    /// The packet at `lead` leaves.
    pub(super) fn on_sent(&mut self, now: Timestamp) {
        let index = self.lead.since(self.trail);
        let Some(slot) = usize::try_from(index).ok().and_then(|index| self.slots.get_mut(index))
        else {
            return;
        };
        slot.first_sent = Some(now);
        let len = slot.payload.len() as u64;
        self.unsent_bytes = self.unsent_bytes.saturating_sub(len);
        self.sent_bytes += len;
        self.lead = self.lead.next();
    }

    /// Forgets what was never sent; says how many bytes of payload that was.
    pub(super) fn drop_unsent(&mut self) -> u64 {
        let kept = usize::try_from(self.lead.since(self.trail)).unwrap_or(usize::MAX);
        let dropped = self.slots.len().saturating_sub(kept);
        self.slots.truncate(kept);
        let unsent = u16::try_from(dropped).unwrap_or(u16::MAX);
        self.open = self
            .open
            .filter(|open| open.len > unsent)
            .map(|open| OpenSuperblock { len: open.len - unsent, ..open });
        std::mem::take(&mut self.unsent_bytes)
    }

    /// Whether the block that starts at `block` is closed, and each packet of it is here.
    pub(super) fn has_closed(&self, block: Seq) -> bool {
        self.last_of(block).is_some()
    }

    /// Whether each packet of it was sent as well: before that there is no parity of it.
    pub(super) fn has_whole(&self, block: Seq) -> bool {
        self.last_of(block).is_some_and(|slot| slot.first_sent.is_some())
    }

    /// The last packet of a closed block.
    fn last_of(&self, block: Seq) -> Option<&Slot> {
        let first = self.get(block).filter(|slot| slot.block == block && slot.k > 0)?;
        self.get(first.seq_of(first.k - 1)).filter(|slot| slot.block == block)
    }

    /// Forgets the oldest sent packets beyond `retain` bytes, and those older than `retain_for`.
    pub(super) fn evict(&mut self, retain: u64, retain_for: Option<Duration>, now: Timestamp) {
        while self.trail < self.lead {
            let Some(oldest) = self.slots.front() else { return };
            let too_old = match (retain_for, oldest.first_sent) {
                (Some(limit), Some(sent)) => now.since(sent) > limit,
                _ => false,
            };
            if self.sent_bytes <= retain && !too_old {
                return;
            }
            self.sent_bytes = self.sent_bytes.saturating_sub(oldest.payload.len() as u64);
            self.slots.pop_front();
            self.trail = self.trail.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(len: usize) -> Cut {
        Cut { payload: Bytes::from(vec![0; len]), flags: 0, first_record: 0 }
    }

    fn filled(full_k: u8, depth_log2: u8, packets: u64) -> Window {
        let mut window = Window::new(full_k, depth_log2);
        for _ in 0..packets {
            window.add(cut(10), Timestamp::ZERO);
        }
        window
    }

    fn place(window: &Window, seq: u64) -> Option<(u64, u8, u8)> {
        window.get(Seq(seq)).map(|slot| (slot.block.0, slot.index, slot.k))
    }

    #[test]
    fn full_blocks_close_by_themselves_and_short_ones_when_told() {
        let mut window = filled(4, 0, 6);
        assert_eq!(place(&window, 3), Some((0, 3, 4)));
        assert_eq!(place(&window, 5), Some((4, 1, 0)));
        window.close_block();
        assert_eq!(place(&window, 5), Some((4, 1, 2)));
        let last = LastClosed { start: Seq(4), k: 2, depth_log2: 0 };
        assert_eq!(window.last_closed(), last);
    }

    #[test]
    fn interleaved_blocks_take_packets_in_turn_and_close_together() {
        let mut window = filled(3, 1, 9);
        let places = [0, 1, 2, 5, 6, 8].map(|seq| place(&window, seq));
        let wanted = [(0, 0, 3), (1, 0, 3), (0, 1, 3), (1, 2, 3), (6, 0, 0), (6, 1, 0)];
        assert_eq!(places, wanted.map(Some));
        assert_eq!(window.superblock(Seq(3)), Some(SeqRange::new(Seq(0), Seq(6))));
        assert_eq!(window.superblock(Seq(7)), None);
        window.close_block();
        assert_eq!(
            [6, 7, 8].map(|seq| place(&window, seq).map(|(_, _, k)| k)),
            [2, 1, 2].map(Some)
        );
        assert_eq!(window.superblock(Seq(7)), Some(SeqRange::new(Seq(6), Seq(9))));
        let last = LastClosed { start: Seq(6), k: 2, depth_log2: 1 };
        assert_eq!(window.last_closed(), last);
    }

    #[test]
    fn a_block_is_whole_when_its_last_packet_was_sent() {
        let mut window = filled(2, 1, 4);
        for _ in 0..3 {
            window.on_sent(Timestamp::ZERO);
        }
        assert!(window.has_whole(Seq(0)) && !window.has_whole(Seq(1)) && !window.has_whole(Seq(2)));
        window.on_sent(Timestamp::ZERO);
        assert!(window.has_whole(Seq(1)));
        window.evict(30, None, Timestamp::ZERO);
        assert!(!window.has_whole(Seq(0)) && window.has_whole(Seq(1)));
    }

    #[test]
    fn another_depth_begins_with_the_first_superblock_that_nothing_was_sent_of() {
        let mut window = filled(2, 0, 7);
        for _ in 0..3 {
            window.on_sent(Timestamp::ZERO);
        }
        window.set_depth(1, Timestamp::ZERO);
        assert_eq!(place(&window, 3), Some((2, 1, 2)));
        assert_eq!(place(&window, 5), Some((5, 0, 0)));
        assert_eq!(place(&window, 6), Some((4, 1, 2)));
        assert_eq!(window.last_closed(), LastClosed { start: Seq(2), k: 2, depth_log2: 0 });
        window.add(cut(10), Timestamp::ZERO);
        assert_eq!(place(&window, 7), Some((5, 1, 2)));
        assert_eq!(window.last_closed(), LastClosed { start: Seq(4), k: 2, depth_log2: 1 });
    }

    #[test]
    fn what_was_evicted_of_an_open_superblock_is_not_mistaken_for_what_was_not() {
        let mut window = filled(4, 1, 5);
        for _ in 0..4 {
            window.on_sent(Timestamp::ZERO);
        }
        window.evict(10, None, Timestamp::ZERO);
        assert_eq!(window.trail(), Seq(3));
        window.close_block();
        assert_eq!((place(&window, 3), place(&window, 4)), (Some((1, 1, 2)), Some((0, 2, 3))));
    }

    #[test]
    fn only_what_was_sent_is_forgotten() {
        let mut window = Window::new(64, 0);
        for _ in 0..10 {
            window.add(cut(100), Timestamp::ZERO);
        }
        for _ in 0..5 {
            window.on_sent(Timestamp::ZERO);
        }
        window.evict(0, None, Timestamp::ZERO);
        assert_eq!((window.trail(), window.lead(), window.end()), (Seq(5), Seq(5), Seq(10)));
        assert!(window.get(Seq(4)).is_none());
        assert!(window.get(Seq(5)).is_some());
    }

    #[test]
    fn the_old_are_forgotten_where_an_age_is_given() {
        let mut window = Window::new(64, 0);
        for second in 0..4 {
            window.add(cut(1), Timestamp::from_secs(second));
            window.on_sent(Timestamp::from_secs(second));
        }
        window.evict(1_000, Some(Duration::from_secs(2)), Timestamp::from_secs(4));
        assert_eq!(window.trail(), Seq(2));
    }
}
