//! What is known of blocks: where they start, how many packets they have, which parity came.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::{Seq, SeqRange, Timestamp};

/// A block of which something came.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Data packets; 0 while that is not known.
    pub(super) k: u8,
    pub(super) depth_log2: u8,
    /// Somebody sent what is not of it: its parity is not believed.
    is_poisoned: bool,
    /// Parity symbols with their places, each once.
    parity: Vec<(u8, Bytes)>,
    /// When an answer that was not enough was last taken note of.
    answered: Timestamp,
}

impl Block {
    /// One past the last packet it has, or could have.
    pub(super) fn end(&self, start: Seq) -> Seq {
        let k = if self.k == 0 { MAX_K } else { self.k };
        start.plus((u64::from(k - 1) << self.depth_log2) + 1)
    }

    /// Its packets in order; none while their number is not known.
    pub(super) fn seqs(&self, start: Seq) -> impl Iterator<Item = Seq> + use<> {
        let depth_log2 = self.depth_log2;
        (0..u64::from(self.k)).map(move |index| start.plus(index << depth_log2))
    }

    /// The same as ranges: one, unless it is interleaved.
    pub(super) fn ranges(&self, start: Seq) -> impl Iterator<Item = SeqRange> + use<> {
        let whole = (self.depth_log2 == 0 && self.k > 0)
            .then(|| SeqRange::new(start, start.plus(u64::from(self.k))));
        let apart = if whole.is_some() { 0 } else { usize::MAX };
        let each = self.seqs(start).map(|seq| SeqRange::new(seq, seq.next()));
        whole.into_iter().chain(each.take(apart))
    }

    /// Whether it is mended by name alone.
    pub(super) fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    pub(super) fn parity(&self) -> &[(u8, Bytes)] {
        &self.parity
    }

    /// How far the blocks that it is interleaved with may begin before it.
    pub(super) fn reach(&self) -> u64 {
        (1 << self.depth_log2) - 1
    }

    fn has(&self, start: Seq, seq: Seq) -> bool {
        seq >= start && self.has_in(start, SeqRange::new(seq, seq.next()))
    }

    /// Whether it has a packet in `range`.
    fn has_in(&self, start: Seq, range: SeqRange) -> bool {
        let rounds = range.first.since(start).div_ceil(1 << self.depth_log2);
        start.plus(rounds << self.depth_log2) < range.end.min(self.end(start))
    }
}

/// The blocks near the window.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// In the order of their starts: they begin one after the other, so that one more comes last.
    by_start: VecDeque<(Seq, Block)>,
    /// The block of the last packet: most packets are of the same.
    last: Option<(Seq, u8)>,
    parity_count: usize,
}

impl Blocks {
    /// A packet told of a block; says whether that was news.
    pub(super) fn learn(&mut self, start: Seq, k: u8, depth_log2: u8) -> bool {
        if self.last == Some((start, k)) {
            return false;
        }
        self.last = Some((start, k));
        let place = self.place(start);
        let is_new = self.by_start.get(place).is_none_or(|(other, _)| *other != start);
        if is_new {
            self.by_start.insert(place, (start, Block::default()));
        }
        let Some((_, block)) = self.by_start.get_mut(place) else { return false };
        let is_news = is_new || block.k != k;
        block.depth_log2 = depth_log2;
        if k > 0 {
            block.k = k;
        }
        is_news
    }

    /// Whether a packet tells nothing new of blocks: it is of the same as the last one, and not the
    /// packet that says that others beside it have begun.
    pub(super) fn is_of_last(&self, start: Seq, k: u8, index: u8, depth_log2: u8) -> bool {
        self.last == Some((start, k)) && (depth_log2 == 0 || index != 1)
    }

    /// Keeps a parity symbol; a second one of the same place is not kept. One of another length than
    /// the first shows that somebody lies: who waited for more that fit a false one would wait for ever.
    pub(super) fn add_parity(&mut self, start: Seq, place: u8, body: Bytes) -> bool {
        let Some(block) = self.get_mut(start) else { return false };
        let known = block.parity.iter().any(|(other, _)| *other == place);
        let fits = block.parity.first().is_none_or(|(_, other)| other.len() == body.len());
        if !fits {
            self.poison(start);
            return false;
        }
        if known || block.is_poisoned {
            return false;
        }
        block.parity.push((place, body));
        self.parity_count += 1;
        true
    }

    /// Parity came that is not enough; says whether that is news: the symbols of one answer come
    /// together.
    pub(super) fn on_answer(&mut self, start: Seq, spacing: Duration, now: Timestamp) -> bool {
        let Some(block) = self.get_mut(start) else { return false };
        let is_news = now.since(block.answered) >= spacing;
        if is_news {
            block.answered = now;
        }
        is_news
    }

    /// The parity of a block is of no use any more.
    pub(super) fn drop_parity(&mut self, start: Seq) {
        if let Some(block) = self.get_mut(start) {
            let dropped = block.parity.len();
            block.parity.clear();
            self.parity_count -= dropped;
        }
    }

    /// Somebody sent what is not of it: from now on it is mended by name.
    pub(super) fn poison(&mut self, start: Seq) {
        self.drop_parity(start);
        if let Some(block) = self.get_mut(start) {
            block.is_poisoned = true;
        }
    }

    /// Somebody sent what is not `seq`: whichever of the blocks that have it is the true one.
    pub(super) fn poison_around(&mut self, seq: Seq) {
        let has = |(start, block): &(Seq, &Block)| block.has(*start, seq);
        let around: Vec<Seq> = self.up_to(seq).filter(has).map(|(start, _)| start).collect();
        around.into_iter().for_each(|start| self.poison(start));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    /// Whether there is parity of any block.
    pub(super) fn has_parity(&self) -> bool {
        self.parity_count > 0
    }

    pub(super) fn get(&self, start: Seq) -> Option<&Block> {
        let (other, block) = self.by_start.get(self.place(start))?;
        (*other == start).then_some(block)
    }

    fn get_mut(&mut self, start: Seq) -> Option<&mut Block> {
        let place = self.place(start);
        let (other, block) = self.by_start.get_mut(place)?;
        (*other == start).then_some(block)
    }

    /// Where the block that begins at `start` is, or would be.
    fn place(&self, start: Seq) -> usize {
        // Most questions are of the last blocks.
        let before = |(other, _): &(Seq, Block)| *other < start;
        if self.by_start.back().is_none_or(before) {
            return self.by_start.len();
        }
        self.by_start.partition_point(before)
    }

    /// Those that begin up to `seq`, the last first.
    fn up_to(&self, seq: Seq) -> impl Iterator<Item = (Seq, &Block)> {
        let end = self.by_start.partition_point(|(start, _)| *start <= seq);
        self.by_start.range(..end).rev().map(|(start, block)| (*start, block))
    }

    /// The block that `seq` is of, if a packet of it came.
    pub(super) fn containing(&self, seq: Seq) -> Option<(Seq, &Block)> {
        self.up_to(seq).take(MAX_DEPTH).find(|(start, block)| block.has(*start, seq))
    }

    /// Where the blocks begin, or may, that something is known of and `seq` lies among: what is
    /// before that helps no block that `seq` may be of.
    pub(super) fn oldest_around(&self, seq: Seq) -> Option<Seq> {
        let (start, block) = match self.containing(seq) {
            Some(found) => found,
            None => {
                let mut near = self.up_to(seq).take(MAX_DEPTH);
                near.find(|(start, block)| block.end(*start) > seq)?
            }
        };
        Some(start.minus(block.reach()))
    }

    /// Where the blocks begin that the one at `start` is interleaved with, as far as it is known.
    pub(super) fn first_beside(&self, start: Seq) -> Seq {
        let Some(block) = self.get(start) else { return start };
        let (first, last) = (self.place(start.minus(block.reach())), self.place(start));
        let mut beside = self
            .by_start
            .range(first..=last)
            .filter(|(_, other)| other.depth_log2 == block.depth_log2);
        beside.next().map_or(start, |(first, _)| *first)
    }

    /// The blocks whose number of packets is known and that have a packet in `range`.
    pub(super) fn closed_in(&self, range: SeqRange) -> Vec<Seq> {
        let earliest = range.first.minus(u64::from(MAX_K) * MAX_DEPTH as u64);
        let near = self.by_start.range(self.place(earliest)..self.place(range.end));
        let touched = near.filter(|(start, block)| block.k > 0 && block.has_in(*start, range));
        touched.map(|(start, _)| *start).collect()
    }

    /// Forgets the blocks that end before `seq`.
    pub(super) fn forget(&mut self, seq: Seq) {
        while let Some((start, block)) = self.by_start.front() {
            if block.end(*start) > seq {
                return;
            }
            self.parity_count -= block.parity.len();
            self.by_start.pop_front();
        }
    }
}

/// The most data packets that a block has.
pub(super) const MAX_K: u8 = 128;

/// The most blocks that are interleaved.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_found_in_its_block_interleaved_or_not() {
        let mut blocks = Blocks::default();
        blocks.learn(Seq(0), 4, 0);
        blocks.learn(Seq(4), 4, 1);
        blocks.learn(Seq(5), 4, 1);
        assert_eq!(blocks.containing(Seq(3)).map(|(start, _)| start), Some(Seq(0)));
        assert_eq!(blocks.containing(Seq(8)).map(|(start, _)| start), Some(Seq(4)));
        assert_eq!(blocks.containing(Seq(11)).map(|(start, _)| start), Some(Seq(5)));
        assert_eq!(blocks.containing(Seq(12)).map(|(start, _)| start), None);
    }

    #[test]
    fn a_block_is_news_when_it_begins_and_when_its_length_is_known() {
        let mut blocks = Blocks::default();
        let told = [(0, 0), (0, 0), (0, 4), (0, 4), (4, 0)];
        let news = told.map(|(start, k)| blocks.learn(Seq(start), k, 0));
        assert_eq!(news, [true, false, true, false, true]);
    }

    #[test]
    fn whichever_block_a_false_packet_is_of_is_mended_by_name() {
        let mut blocks = Blocks::default();
        blocks.learn(Seq(0), 16, 1);
        blocks.learn(Seq(1), 16, 1);
        blocks.learn(Seq(5), 0, 0);
        blocks.poison_around(Seq(9));
        let poisoned = [0, 1, 5].map(|start| blocks.get(Seq(start)).unwrap().is_poisoned());
        assert_eq!(poisoned, [false, true, true], "forged blocks may begin anywhere");
    }

    #[test]
    fn parity_of_another_length_is_not_waited_with() {
        let mut blocks = Blocks::default();
        blocks.learn(Seq(0), 4, 0);
        assert!(blocks.add_parity(Seq(0), 1, Bytes::from_static(b"forged")));
        assert!(!blocks.add_parity(Seq(0), 2, Bytes::from_static(b"ours")));
        assert!(blocks.get(Seq(0)).unwrap().is_poisoned() && !blocks.has_parity());
    }

    #[test]
    fn a_symbol_counts_once() {
        let mut blocks = Blocks::default();
        blocks.learn(Seq(0), 4, 0);
        assert!(blocks.add_parity(Seq(0), 1, Bytes::from_static(b"abc")));
        assert!(!blocks.add_parity(Seq(0), 1, Bytes::from_static(b"abc")));
        blocks.forget(Seq(4));
        assert!(!blocks.has_parity());
    }
}
