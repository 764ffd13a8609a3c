//! NAKs: what is asked for, who may ask for how much, and what the others are told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::{Destination, Sender};
use crate::grtt::AT_ONCE;
use crate::wire::{Body, Discard, List, Nak, Ncf, Need, Range, Refused, RefusedReason};
use crate::{Delivery, Seq, SeqRange, SubscriberId, Timestamp};

impl Sender {
    pub(super) fn on_nak(
        &mut self,
        nak: &Nak,
        from: SocketAddr,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let ranges: Vec<_> = nak.ranges.iter().map(|range| range.to_seqs()).collect();
        let is_known = self.audience.proven(nak.subscriber, from).is_some();
        let may_join =
            self.audience.has_room() && !self.phase.is_finished() && !self.census.is_share();
        if !is_known && may_join {
            // Who makes the whole group pay for a repair shows first that it is there.
            if !ranges.is_empty() || !nak.manifests.is_empty() {
                self.challenge(nak.subscriber, from, now)?;
            }
            return Err(Discard::Unproven);
        }
        self.asked_at = now;
        let sent = self.window.sent();
        let oldest = self.oldest_wanted(now);
        let room = self.packets_for(from.ip(), now).min(MAX_ASKED);
        let mut allowance = Allowance::new(room, &nak.needs);
        let pending = self.pending_repairs();
        let mut over_budget = Vec::new();
        let mut needs = Vec::new();
        let mut fresh = Vec::new();
        let mut named: BTreeMap<Seq, Vec<Seq>> = BTreeMap::new();
        let mut too_late = Vec::new();
        for range in ranges {
            let missed = range.clamp_to(SeqRange::new(Seq::ZERO, oldest));
            if !missed.is_empty() {
                self.stats.suppressed_too_late += missed.len();
                too_late.push(Range::from_seqs(missed));
            }
            let wanted = range.clamp_to(SeqRange::new(oldest, sent.end));
            let wanted = wanted.clamp_to(SeqRange::new(wanted.first, wanted.first.plus(MAX_ASKED)));
            self.stats.packets_asked += wanted.len();
            let wanted = self.give_again(nak.subscriber, from, wanted);
            let taken = allowance.take(&self.by_block(wanted, &nak.needs));
            let (wanted, over) = wanted.split_at(taken);
            over_budget.extend((!over.is_empty()).then_some(over));
            let many = self.gather_few(nak, from, wanted, now);
            for range in many.ranges {
                for (piece, block) in self.by_block(range, &many.needs) {
                    match block {
                        Some(block) => named.entry(block).or_default().extend(piece.iter()),
                        None => fresh.extend(self.ask(piece, now)),
                    }
                }
            }
            needs.extend(many.needs);
        }
        needs.sort_unstable_by_key(|need| (need.block, std::cmp::Reverse(need.count)));
        needs.dedup_by_key(|need| need.block);
        let needs = self.ask_by_count(&needs, named, now);
        let manifests = nak.manifests.iter().map(|range| range.to_seqs());
        self.ask_for_manifests(manifests, allowance.room, is_known.then_some(from), now);
        // Manifests leave at once, each once in a round trip: nobody owes them for long.
        let more = self.pending_repairs().saturating_sub(pending);
        self.budget.askers.charge(from.ip(), more * self.full_wire_len());
        self.refuse_over_budget(nak, over_budget, from, now)?;
        self.confirm(fresh, needs)?;
        if !too_late.is_empty() && is_known {
            self.refuse(from, too_late)?;
        }
        Ok(())
    }

    /// A late joiner's own losses are its own: what of `range` does not come to it by unicast.
    fn give_again(&mut self, id: SubscriberId, from: SocketAddr, range: SeqRange) -> SeqRange {
        let Some(catch_up) = self.audience.proven(id, from).and_then(|row| row.catch_up.as_mut())
        else {
            return range;
        };
        let (own, live) = catch_up.split(range);
        catch_up.ask_again(own);
        live
    }

    fn ask(&mut self, range: SeqRange, now: Timestamp) -> Vec<SeqRange> {
        let merge = self.merge_window();
        let asked = self.repair.on_nak(range, merge, now);
        self.stats.suppressed_held_down += asked.held_down;
        asked.fresh
    }

    /// Cuts a range where its packets go from one block to another, and says of each piece which
    /// block is asked for by count as well. Of a block that is here in part no parity can be made;
    /// of one that was sent in part it can be soon, for those who have no deadline.
    pub(super) fn by_block(&self, range: SeqRange, needs: &[Need]) -> Vec<(SeqRange, Option<Seq>)> {
        let counted = needs.iter().map(|need| need.block);
        let counted: BTreeSet<Seq> = match self.config.delivery {
            Delivery::Reliable => counted.filter(|block| self.window.has_closed(*block)).collect(),
            Delivery::Timely(_) => counted.filter(|block| self.window.has_whole(*block)).collect(),
        };
        let mut pieces: Vec<(SeqRange, Option<Seq>)> = Vec::new();
        for seq in range.iter() {
            let block = self.window.get(seq).map(|slot| slot.block);
            let block = block.filter(|block| counted.contains(block));
            match pieces.last_mut() {
                Some((piece, same)) if *same == block => piece.end = seq.next(),
                _ => pieces.push((SeqRange::new(seq, seq.next()), block)),
            }
        }
        pieces
    }

    /// Owes blocks what is lacking of them; says what is promised anew.
    fn ask_by_count(
        &mut self,
        needs: &[Need],
        mut named: BTreeMap<Seq, Vec<Seq>>,
        now: Timestamp,
    ) -> Vec<Need> {
        let alone = self.audience_size() <= 1;
        let merge = if alone { Duration::ZERO } else { self.grtt.get().max(SHORTEST_MERGE) / 2 };
        let due = now.after(merge);
        let many = self.audience_size() > MANY;
        let mut promised = Vec::new();
        for &need in needs {
            let Need { block, count } = need;
            // Without a name of it in the window there is nothing to make parity of.
            let Some(named) = named.remove(&block) else { continue };
            let more = self.parity.on_need(need, named.into_iter(), (due, many), now);
            if more.is_none() {
                self.stats.suppressed_held_down += u64::from(count);
            }
            let again = if more.is_some() { Duration::ZERO } else { merge / 2 };
            if let Some(count) = self.parity.confirm_again(block, again, now) {
                promised.push(Need { block, count });
            }
        }
        promised
    }

    /// "Asked for already": at once, ahead of the pacer, so that others hold back. A handful of
    /// subscribers asks at once, and telling all of them costs more than it spares.
    fn confirm(&mut self, fresh: Vec<SeqRange>, needs: Vec<Need>) -> Result<(), Discard> {
        let is_empty = fresh.is_empty() && needs.is_empty();
        if is_empty || self.audience_size() <= AT_ONCE {
            return Ok(());
        }
        let ranges = List::truncated(fresh.into_iter().map(Range::from_seqs));
        let needs = List::truncated(needs);
        self.say(Destination::Group, Body::Ncf(Ncf { ranges, needs }))
    }

    fn refuse(&mut self, to: SocketAddr, ranges: Vec<Range>) -> Result<(), Discard> {
        let refused = Refused {
            reason: RefusedReason::TooLate,
            trail: self.window.trail(),
            ranges: List::truncated(ranges),
        };
        self.say(Destination::Unicast(to), Body::Refused(refused))
    }

    /// The oldest packet whose repair still helps somebody.
    fn oldest_wanted(&self, now: Timestamp) -> Seq {
        let sent = self.window.sent();
        let Delivery::Timely(deadline) = self.config.delivery else { return sent.first };
        self.window.first_sent_since(now.before(deadline))
    }

    /// A small audience loses little by answering at once; a large one asks for the same packet
    /// within a fraction of a round trip.
    pub(super) fn merge_window(&self) -> Duration {
        if self.audience_size() <= AT_ONCE { Duration::ZERO } else { self.grtt.get() / 2 }
    }
}

/// What one NAK may still ask for.
struct Allowance {
    /// In packets.
    room: u64,
    /// Of a block that is asked for by count no more is sent, however much of it is named.
    counts: BTreeMap<Seq, u64>,
}

impl Allowance {
    fn new(room: u64, needs: &[Need]) -> Self {
        let counts = needs.iter().map(|need| (need.block, u64::from(need.count))).collect();
        Self { room, counts }
    }

    /// Takes as many packets of `pieces`, each with the block that it is counted in, as there is room
    /// for, and says how many.
    fn take(&mut self, pieces: &[(SeqRange, Option<Seq>)]) -> u64 {
        let mut taken = 0;
        for (piece, block) in pieces {
            let left = block.as_ref().and_then(|block| self.counts.get_mut(block));
            let cost = left.as_deref().map_or(piece.len(), |left| piece.len().min(*left));
            if cost > self.room && left.is_some() {
                break;
            }
            let cost = cost.min(self.room);
            self.room -= cost;
            let Some(left) = left else {
                taken += cost;
                if cost < piece.len() {
                    break;
                }
                continue;
            };
            *left -= cost;
            taken += piece.len();
        }
        taken
    }
}

/// Subscribers of one segment ask within this of each other.
const SHORTEST_MERGE: Duration = Duration::from_millis(2);

/// Below this the few who lack more than the first to ask may do so.
const MANY: u64 = 64;

/// Packets that one NAK may ask for: four times what fits in a socket's buffer by default.
const MAX_ASKED: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_costs_its_count_and_what_is_only_named_each_name() {
        let range = |first, end| SeqRange::new(Seq(first), Seq(end));
        let block = Some(Seq(0));
        let needs = [Need { block: Seq(0), count: 3 }];
        let mut allowance = Allowance::new(5, &needs);
        assert_eq!(allowance.take(&[(range(0, 2), block), (range(10, 20), block)]), 12);
        assert_eq!(allowance.take(&[(range(30, 40), block)]), 10, "all of its count is asked for");
        assert_eq!(allowance.take(&[(range(70, 71), None), (range(80, 90), None)]), 2);
        assert_eq!(allowance.room, 0);
        assert_eq!(Allowance::new(2, &needs).take(&[(range(0, 9), block)]), 0);
    }
}
