//! Parity that was made and waits to be sent: that of the oldest block first, for it is what holds
//! everything behind it back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::Seq;

/// A parity packet that is ready to be sent.
#[derive(Clone, Debug)]
pub(in crate::sender) struct ParityPacket {
    pub(in crate::sender) block: Seq,
    pub(in crate::sender) k: u8,
    pub(in crate::sender) index: u8,
    pub(in crate::sender) depth_log2: u8,
    pub(in crate::sender) body: Bytes,
    /// Whether somebody asked for it; otherwise it is sent ahead of loss.
    pub(in crate::sender) is_asked: bool,
}

/// Packets in the order in which they leave.
#[derive(Debug, Default)]
pub(super) struct Ready {
    packets: VecDeque<ParityPacket>,
    /// How many of them were asked for.
    asked: u64,
}

impl Ready {
    /// Adds packets of one block, behind those of older blocks.
    pub(super) fn add(&mut self, packets: impl Iterator<Item = ParityPacket>) {
        for packet in packets {
            self.asked += u64::from(packet.is_asked);
            let is_newest = self.packets.back().is_none_or(|last| last.block <= packet.block);
            if is_newest {
                self.packets.push_back(packet);
            } else {
                let place = self.packets.partition_point(|other| other.block <= packet.block);
                self.packets.insert(place, packet);
            }
        }
    }

    /// Brings parity of interleaved blocks into an order in which a burst of loss takes little of
    /// each: the first packet of every block, then the second of every one.
    pub(super) fn spread(&mut self) {
        if self.packets.iter().all(|packet| packet.depth_log2 == 0) {
            return;
        }
        let mut places: BTreeMap<Seq, u32> = BTreeMap::new();
        let mut ready: Vec<(u32, ParityPacket)> = Vec::with_capacity(self.packets.len());
        for packet in self.packets.drain(..) {
            let place = places.entry(packet.block).or_default();
            ready.push((*place, packet));
            *place += 1;
        }
        ready.sort_by_key(|(place, _)| *place);
        self.packets = ready.into_iter().map(|(_, packet)| packet).collect();
    }

    pub(super) fn first(&self) -> Option<&ParityPacket> {
        self.packets.front()
    }

    /// Takes the first.
    pub(super) fn pop(&mut self) -> Option<ParityPacket> {
        let packet = self.packets.pop_front()?;
        self.asked -= u64::from(packet.is_asked);
        Some(packet)
    }

    /// Packets that were asked for.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Only what is sent ahead is left.
    pub(super) fn forget_asked(&mut self) {
        self.packets.retain(|packet| !packet.is_asked);
        self.asked = 0;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(block: u64, indices: &[u8], depth_log2: u8) -> impl Iterator<Item = ParityPacket> {
        indices.iter().map(move |&index| ParityPacket {
            block: Seq(block),
            k: 4,
            index,
            depth_log2,
            body: Bytes::new(),
            is_asked: true,
        })
    }

    fn order(ready: &mut Ready) -> Vec<(u64, u8)> {
        std::iter::from_fn(|| ready.pop()).map(|packet| (packet.block.0, packet.index)).collect()
    }

    #[test]
    fn what_the_oldest_block_lacks_goes_first() {
        let mut ready = Ready::default();
        ready.add(packets(8, &[4, 5], 0));
        ready.add(packets(4, &[4], 0));
        ready.add(packets(12, &[4], 0));
        ready.add(packets(4, &[5], 0));
        assert_eq!(ready.asked(), 5);
        assert_eq!(order(&mut ready), [(4, 4), (4, 5), (8, 4), (8, 5), (12, 4)]);
        assert_eq!(ready.asked(), 0);
    }

    #[test]
    fn of_interleaved_blocks_each_has_its_turn() {
        let mut ready = Ready::default();
        ready.add(packets(4, &[4, 5], 1));
        ready.add(packets(5, &[4, 5], 1));
        ready.spread();
        assert_eq!(order(&mut ready), [(4, 4), (5, 4), (4, 5), (5, 5)]);
    }
}
