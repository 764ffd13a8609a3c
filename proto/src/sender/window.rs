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
}

/// A block that packets are still added to.
#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    start: Seq,
    len: u8,
    since: Timestamp,
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
    open: Option<OpenBlock>,
    last_closed: (Seq, u8),
}

impl Window {
    pub(super) fn new(full_k: u8) -> Self {
        Self {
            slots: VecDeque::new(),
            trail: Seq::ZERO,
            lead: Seq::ZERO,
            sent_bytes: 0,
            unsent_bytes: 0,
            full_k,
            open: None,
            last_closed: (Seq::ZERO, 0),
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

    /// First seq and k of the last closed block; k = 0 if there is none.
    pub(super) fn last_closed(&self) -> (Seq, u8) {
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
        let seq = self.end();
        let mut open = self.open.unwrap_or(OpenBlock { start: seq, len: 0, since: now });
        self.unsent_bytes += cut.payload.len() as u64;
        self.slots.push_back(Slot {
            payload: cut.payload,
            flags: cut.flags,
            first_record: cut.first_record,
            first_sent: None,
            block: open.start,
            index: open.len,
            k: 0,
        });
        open.len += 1;
        self.open = Some(open);
        if open.len >= self.full_k {
            self.close_block();
        }
    }

    /// When the open block was opened.
    pub(super) fn open_since(&self) -> Option<Timestamp> {
        self.open.map(|open| open.since)
    }

    /// Ends the open block: from now on its packets carry its k.
    pub(super) fn close_block(&mut self) {
        let Some(open) = self.open.take() else { return };
        let len = usize::from(open.len);
        for slot in self.slots.iter_mut().rev().take(len) {
            slot.k = open.len;
        }
        self.last_closed = (open.start, open.len);
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
        let unsent = u8::try_from(dropped).unwrap_or(u8::MAX);
        self.open = self
            .open
            .filter(|open| open.len > unsent)
            .map(|open| OpenBlock { len: open.len - unsent, ..open });
        std::mem::take(&mut self.unsent_bytes)
    }

    /// Whether every packet of a closed block is here and was sent.
    pub(super) fn has_whole(&self, block: Seq, k: u8) -> bool {
        let last = block.plus(u64::from(k)).minus(1);
        let sent = self.get(last).is_some_and(|slot| slot.first_sent.is_some());
        k > 0 && self.get(block).is_some() && sent
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

    #[test]
    fn full_blocks_close_by_themselves_and_short_ones_when_told() {
        let mut window = Window::new(4);
        for _ in 0..6 {
            window.add(cut(10), Timestamp::ZERO);
        }
        assert_eq!(
            window.get(Seq(3)).map(|slot| (slot.block, slot.index, slot.k)),
            Some((Seq(0), 3, 4))
        );
        assert_eq!(
            window.get(Seq(5)).map(|slot| (slot.block, slot.index, slot.k)),
            Some((Seq(4), 1, 0))
        );
        window.close_block();
        assert_eq!(window.get(Seq(5)).map(|slot| slot.k), Some(2));
        assert_eq!(window.last_closed(), (Seq(4), 2));
    }

    #[test]
    fn only_what_was_sent_is_forgotten() {
        let mut window = Window::new(64);
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
        let mut window = Window::new(64);
        for second in 0..4 {
            window.add(cut(1), Timestamp::from_secs(second));
            window.on_sent(Timestamp::from_secs(second));
        }
        window.evict(1_000, Some(Duration::from_secs(2)), Timestamp::from_secs(4));
        assert_eq!(window.trail(), Seq(2));
    }
}
