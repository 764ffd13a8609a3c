//! What only a few ask for goes to them alone, if that is wanted (`repair_unicast_below`).
//!
//! Who asks is gathered for a fraction of a round trip, packet by packet. When it is over and few
//! have asked, each is given by unicast what it named; when too many have, it is the group's affair
//! like any other loss. Nothing is confirmed to the group meanwhile: nobody else is to wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::Sender;
use crate::wire::{Nak, Need};
use crate::{Seq, SeqRange, SubscriberId, Timestamp};

/// A block, or a packet of an open one, and who has asked for it.
#[derive(Debug, Default)]
struct Gathered {
    askers: BTreeMap<SubscriberId, Asked>,
}

/// What one subscriber asked for.
#[derive(Debug)]
struct Asked {
    at: SocketAddr,
    named: BTreeSet<Seq>,
    count: u8,
}

/// What is gathered, and what is on its way to single subscribers.
#[derive(Debug, Default)]
pub(super) struct Few {
    gathered: BTreeMap<Seq, Gathered>,
    queue: BTreeSet<(Timestamp, Seq)>,
    ready: VecDeque<(SocketAddr, Seq)>,
    /// Sent a moment ago, until when asking for it again is idle.
    held: BTreeMap<(SocketAddr, Seq), Timestamp>,
}

/// What so many ask for that the group is answered.
#[derive(Debug, Default)]
pub(super) struct Many {
    pub(super) ranges: Vec<SeqRange>,
    pub(super) needs: Vec<Need>,
}

impl Few {
    /// `who` lacks `named` of `block`, `count` packets in all. Says what is the group's affair now
    /// that `below` have asked.
    fn gather(
        &mut self,
        block: Seq,
        (who, asked): (SubscriberId, Asked),
        below: usize,
        due: Timestamp,
    ) -> Option<Many> {
        let queue = &mut self.queue;
        let gathered = self.gathered.entry(block).or_insert_with(|| {
            queue.insert((due, block));
            Gathered::default()
        });
        match gathered.askers.get_mut(&who) {
            Some(before) => {
                before.named.extend(asked.named);
                before.count = before.count.max(asked.count);
            }
            None => {
                gathered.askers.insert(who, asked);
            }
        }
        (gathered.askers.len() >= below).then(|| self.take(block))
    }

    fn take(&mut self, block: Seq) -> Many {
        self.queue.retain(|(_, queued)| *queued != block);
        let gathered = self.gathered.remove(&block).unwrap_or_default();
        let mut many = Many::default();
        let mut count = 0;
        let mut named = BTreeSet::new();
        for asked in gathered.askers.into_values() {
            count = count.max(asked.count);
            named.extend(asked.named);
        }
        many.ranges.extend(named.into_iter().map(|seq| SeqRange::new(seq, seq.next())));
        many.needs.extend((count > 0).then_some(Need { block, count }));
        many
    }

    /// Makes ready what was gathered for long enough.
    fn answer(&mut self, hold_down: Duration, now: Timestamp) {
        self.held.retain(|_, until| *until > now);
        while let Some(&(due, block)) = self.queue.first().filter(|(due, _)| *due <= now) {
            self.queue.remove(&(due, block));
            let gathered = self.gathered.remove(&block).unwrap_or_default();
            for asked in gathered.askers.into_values() {
                for seq in asked.named {
                    if self.held.insert((asked.at, seq), now.after(hold_down)).is_none() {
                        self.ready.push_back((asked.at, seq));
                    }
                }
            }
        }
    }

    pub(super) fn next(&self) -> Option<(SocketAddr, Seq)> {
        self.ready.front().copied()
    }

    pub(super) fn on_sent(&mut self) {
        self.ready.pop_front();
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        let ready = (!self.ready.is_empty()).then_some(Timestamp::ZERO);
        ready.or_else(|| self.queue.first().map(|(due, _)| *due))
    }

    pub(super) fn pending(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Who asked for what, of all that is kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let asked = self.gathered.values().map(|gathered| gathered.askers.len()).sum::<usize>();
        asked.max(self.queue.len()).max(self.ready.len()).max(self.held.len())
    }

    pub(super) fn forget_all(&mut self) {
        *self = Self::default();
    }
}

impl Sender {
    /// Takes what of a NAK only few may ask for; what is left is the group's affair.
    pub(super) fn gather_few(
        &mut self,
        nak: &Nak,
        from: SocketAddr,
        range: SeqRange,
        now: Timestamp,
    ) -> Many {
        let below = usize::try_from(self.config.flow.repair_unicast_below).unwrap_or(usize::MAX);
        let present = self.audience.together().present;
        let is_known = self.audience.get(nak.subscriber).is_some_and(|row| row.address == from);
        if below == 0 || present <= below as u64 || !is_known {
            return Many { ranges: vec![range], needs: nak.needs.to_vec() };
        }
        let due = now.after(self.grtt.get().max(SHORTEST_GATHER) / 2);
        let mut many = Many::default();
        for (piece, block) in self.by_block(range, &nak.needs) {
            let count = nak.needs.iter().find(|need| Some(need.block) == block);
            let count = count.map_or(0, |need| need.count);
            let asked = Asked { at: from, named: piece.iter().collect(), count };
            let place = block.unwrap_or(piece.first);
            let more = self.few.gather(place, (nak.subscriber, asked), below, due);
            let more = more.unwrap_or_default();
            many.ranges.extend(more.ranges);
            many.needs.extend(more.needs);
        }
        many
    }

    /// Decides what is answered by unicast.
    pub(super) fn answer_few(&mut self, now: Timestamp) {
        let hold_down = self.hold_down();
        self.few.answer(hold_down, now);
    }
}

/// Subscribers of one segment ask within this of each other.
const SHORTEST_GATHER: Duration = Duration::from_millis(2);
