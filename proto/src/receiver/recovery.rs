//! Packets back out of parity.

use bytes::Bytes;

use super::Receiver;
use super::arrival::{Arrived, CodedPacket};
use super::blocks::{Block, MAX_K};
use super::nak::REORDER_ALLOWANCE;
use super::session::Session;
use super::window::Placed;
use crate::fec::{self, Recovered};
use crate::wire::{CODED_PREFIX_LEN, CodedFields, CodedPrefix, Discard, Heartbeat, Need};
use crate::{Seq, SeqRange, Timestamp};

impl Receiver {
    /// A packet told of its block. What the blocks before it lack need not wait any longer.
    pub(super) fn learn_block(&mut self, fields: CodedFields, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let start = fields.block_start(session.frontier.max(session.window.next()));
        let is_news = session.blocks.learn(start, fields.k, fields.depth_log2);
        if is_news {
            // Of blocks that begin together the first may be lost: what is missing just before
            // this one may be theirs.
            self.hurry(start.minus((1 << fields.depth_log2) - 1), now);
        } else if fields.index == 1 && fields.depth_log2 > 0 {
            let first = session.blocks.first_beside(start);
            self.hurry(first, now);
        }
        if is_news {
            self.forget_blocks();
        }
    }

    /// A heartbeat tells of the blocks that were closed last: of those that no packet came of,
    /// how many packets they have.
    pub(super) fn learn_last(&mut self, heartbeat: &Heartbeat, depth_log2: u8) {
        let Some(session) = &mut self.session else { return };
        let Heartbeat { last_block: first, last_k: k, lead, .. } = *heartbeat;
        let depth = 1 << depth_log2;
        let packets = u64::from(k) << depth_log2;
        if k > MAX_K || lead <= first || first.plus(packets) <= session.window.next() {
            return;
        }
        // What there is no room for yet is told again when there is.
        if first.plus(packets) > session.window.limit() {
            return;
        }
        let packets = packets.min(lead.since(first));
        for lane in 0..depth.min(packets) {
            // What follows may have begun before the last round of these was full.
            let is_sure = lane == 0 || first.plus(packets) == lead;
            let k = u8::try_from((packets - lane).div_ceil(depth)).unwrap_or(MAX_K);
            let start = first.plus(lane);
            if is_sure && session.blocks.get(start).is_none_or(|block| block.k == 0) {
                session.blocks.learn(start, k, depth_log2);
            }
        }
    }

    /// A parity packet came.
    pub(super) fn on_parity(
        &mut self,
        packet: &CodedPacket<'_>,
        due: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Discard> {
        let CodedPacket { fields, body, .. } = packet;
        let believable = self.believable();
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        if body.len() > usize::from(session.coded_len) || body.len() < CODED_PREFIX_LEN {
            return Err(Discard::Size);
        }
        let start = fields.block_start(session.frontier.max(session.window.next()));
        let end = start.plus((u64::from(fields.k.saturating_sub(1)) << fields.depth_log2) + 1);
        if end > session.last() {
            return Err(Discard::Malformed);
        }
        if end <= session.window.next() {
            self.stats.parity_unused += 1;
            return Ok(());
        }
        if end > session.window.limit().min(believable) {
            return Err(Discard::OutOfWindow);
        }
        self.learn_block(*fields, now);
        self.on_unsigned_lead(end, due, now);
        let Some(session) = &mut self.session else { return Err(Discard::ForeignSession) };
        let place = fields.index.saturating_sub(fields.k);
        let missing = missing_of(session, start);
        let arena = &mut self.arena;
        if missing == 0 || !session.blocks.add_parity(start, place, body.whole(arena)) {
            self.stats.parity_unused += 1;
            return Ok(());
        }
        self.recover(start, now);
        self.ask_for_rest(start, now);
        Ok(())
    }

    /// Parity came and does not suffice: of what was asked for some was lost, which need not wait as
    /// long as what nobody answered.
    fn ask_for_rest(&mut self, start: Seq, now: Timestamp) {
        let wait = self.answer_time();
        let Some(session) = &mut self.session else { return };
        if missing_of(session, start) == 0 || !session.blocks.on_answer(start, wait / 4, now) {
            return;
        }
        let Some(block) = session.blocks.get(start) else { return };
        for range in block.ranges(start) {
            session.gaps.answered(range, now.after(wait));
        }
    }

    /// A data packet came: with it the parity of its block may be enough.
    pub(super) fn recover_with(&mut self, fields: CodedFields, now: Timestamp) {
        let Some(session) = &self.session else { return };
        if session.blocks.has_parity() {
            self.recover(fields.block_start(session.frontier.max(session.window.next())), now);
        }
    }

    /// Gets back what a block lacks, if there is parity enough.
    pub(super) fn recover(&mut self, start: Seq, now: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let Some(block) = session.blocks.get(start) else { return };
        if block.parity().is_empty() {
            return;
        }
        let seqs: Vec<Seq> = block.seqs(start).collect();
        let missing = seqs.iter().filter(|seq| session.window.body(**seq).is_none()).count();
        if missing > block.parity().len() {
            return;
        }
        let recovered = recovered(session, block, &seqs);
        self.stats.parity_used += missing as u64;
        self.stats.parity_unused += (block.parity().len() - missing) as u64;
        session.blocks.drop_parity(start);
        for (index, body) in recovered {
            if let Some(seq) = seqs.get(usize::from(index)) {
                self.place_recovered(*seq, &body, now);
            }
        }
    }

    fn place_recovered(&mut self, seq: Seq, body: &[u8], now: Timestamp) {
        let Ok(prefix) = CodedPrefix::read(body) else { return self.poison(seq) };
        let body = Arrived::Datagram(body);
        let Ok(check) = self.check_coded(seq, prefix, body) else { return };
        let Some(session) = &mut self.session else { return };
        if session.window.place(seq, prefix, body, check) == Placed::New {
            self.stats.packets_recovered += 1;
            if !session.gaps.fill(seq) {
                // While catching up nobody looks for gaps in what is live.
                self.stats.packets_missed = self.stats.packets_missed.saturating_add(1);
            }
            self.wait_for_hash(check, seq, now);
        }
    }

    /// Another block has begun: what is missing before it is known, and may be asked for. Who
    /// cannot ask waits for what others ask for.
    pub(super) fn hurry(&mut self, start: Seq, now: Timestamp) {
        let Some(session) = self.session.as_mut().filter(|_| !self.config.mute) else { return };
        session.gaps.ask_from(start, now.after(REORDER_ALLOWANCE));
    }

    /// Forgets the blocks that nothing is missing of, and what was kept for them.
    pub(super) fn forget_blocks(&mut self) {
        let Some(session) = &mut self.session else { return };
        let next = session.window.next();
        let first = session.gaps.first().unwrap_or(session.frontier).min(next);
        let keep = session.blocks.oldest_around(first).unwrap_or(first);
        session.window.forget(keep);
        session.blocks.forget(keep);
    }

    /// What of `ranges` can be asked for by count: for each block, how many more.
    pub(super) fn needs(&self, ranges: &[SeqRange]) -> Vec<Need> {
        let Some(session) = &self.session else { return Vec::new() };
        let mut starts: Vec<Seq> =
            ranges.iter().flat_map(|range| session.blocks.closed_in(*range)).collect();
        starts.sort_unstable();
        starts.dedup();
        let is_sound =
            |block: &Seq| session.blocks.get(*block).is_none_or(|block| !block.is_poisoned());
        let counted = starts.into_iter().filter(is_sound).map(|block| {
            let parity = session.blocks.get(block).map_or(0, |block| block.parity().len());
            // What was not sent yet is not missing.
            let count = missing_before(session, block, session.frontier).saturating_sub(parity);
            Need { block, count: u8::try_from(count).unwrap_or(u8::MAX) }
        });
        counted.filter(|need| need.count > 0).collect()
    }

    /// What of `ranges` is named beside the counts. In a large audience two losses of a block are
    /// answered with parity, whichever they are: one name of it says that it is still wanted. On a
    /// timely stream some of them may be, and others not: all are named.
    pub(super) fn named_beside(&self, needs: &[Need], ranges: &[SeqRange]) -> Vec<SeqRange> {
        let Some(session) = &self.session else { return Vec::new() };
        if self.is_one_of_few() || !session.is_reliable() {
            return ranges.to_vec();
        }
        let counted = needs.iter().filter(|need| need.count > 1).filter_map(|need| {
            let block = session.blocks.get(need.block)?;
            let all = SeqRange::new(need.block, block.end(need.block));
            (all.len() == u64::from(block.k)).then_some(all)
        });
        let counted: Vec<SeqRange> = counted.collect();
        let mut named: Vec<SeqRange> = Vec::new();
        for range in ranges {
            let mut first = range.first;
            while first < range.end {
                let of = counted.iter().find(|block| block.first <= first && first < block.end);
                let next = counted.iter().map(|block| block.first).find(|start| *start > first);
                let (end, piece) = match of {
                    Some(block) => (block.end, SeqRange::new(first, first.next())),
                    None => (next.unwrap_or(range.end), SeqRange::new(first, range.end)),
                };
                let is_named =
                    |block: &SeqRange| named.last().is_some_and(|last| last.first >= block.first);
                if !of.is_some_and(is_named) {
                    named.push(piece.clamp_to(SeqRange::new(first, end)));
                }
                first = end;
            }
        }
        named
    }

    /// Enough was promised for a block: nothing of it need be asked for until `until`.
    pub(super) fn hold_back_block(&mut self, need: &Need, until: Timestamp) {
        let Some(session) = &mut self.session else { return };
        let Some(block) = session.blocks.get(need.block) else { return };
        let missing = missing_of(session, need.block).saturating_sub(block.parity().len());
        if missing > usize::from(need.count) {
            return;
        }
        for range in block.ranges(need.block) {
            self.stats.naks_suppressed += session.gaps.hold_back(range, until);
        }
    }
}

/// The coded bodies that a block lacks, by their places. Prefixes and payloads lie apart; as every byte
/// of a symbol is coded by itself, they are recovered apart.
fn recovered(session: &Session, block: &Block, seqs: &[Seq]) -> Vec<(u8, Vec<u8>)> {
    let bodies = || seqs.iter().map(|seq| session.window.body(*seq));
    let prefixes: Vec<_> = bodies().map(|body| Some(body?.0.to_bytes())).collect();
    let payloads: Vec<_> = bodies().map(|body| Some(body?.1)).collect();
    let split = |(index, body): &(u8, Bytes)| {
        let (prefix, payload) = body.split_first_chunk::<CODED_PREFIX_LEN>()?;
        Some(((*index, *prefix), (*index, body.slice_ref(payload))))
    };
    let (of_prefixes, of_payloads): (Vec<_>, Vec<_>) =
        block.parity().iter().filter_map(split).unzip();
    let len = of_payloads.first().map_or(0, |(_, payload)| payload.len());
    let prefixes = fec::recover(&prefixes, &of_prefixes, CODED_PREFIX_LEN).unwrap_or_default();
    let payloads = fec::recover(&payloads, &of_payloads, len).unwrap_or_default();
    let both = prefixes.into_iter().zip(payloads);
    let whole = |(prefix, payload): (Recovered, Recovered)| {
        (prefix.index, [prefix.symbol, payload.symbol].concat())
    };
    both.map(whole).collect()
}

/// Packets of a block that did not come and were not given up.
fn missing_of(session: &Session, start: Seq) -> usize {
    missing_before(session, start, session.last())
}

/// Those of them that come before `end`.
fn missing_before(session: &Session, start: Seq, end: Seq) -> usize {
    let Some(block) = session.blocks.get(start) else { return 0 };
    let last = session.last().min(end);
    block.seqs(start).filter(|seq| *seq < last && session.window.is_missing(*seq)).count()
}
