//! The hashes of a session that are known, and those that are waited for.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::gaps::Gaps;
use crate::seal::ReplayWindow;
use crate::wire::{self, Header, Manifest, PacketHash};
use crate::{Seq, SeqRange, Timestamp};

/// What is known, and what is waited for, in one session.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Numbers of signed packets: of those for the group, and of those for single subscribers.
    numbers: Box<(Numbers, Numbers)>,
    /// Hashes of packets that are not here yet.
    known: BTreeMap<Seq, Manifest>,
    /// Packets of which the hashes came, the last of them in a row.
    pub(super) covered: SeqRange,
    /// Packets that came before their hashes, the oldest first.
    pub(super) waiting: VecDeque<Waiting>,
    /// Packets whose hashes are asked for.
    pub(super) wanted: Gaps,
}

type Numbers = ReplayWindow<64>;

/// Packets that wait for their hashes since about the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) range: SeqRange,
    pub(super) since: Timestamp,
    pub(super) ask_at: Timestamp,
}

impl Proofs {
    /// Takes note of the number of a signed packet; false if it was seen before.
    pub(super) fn take(&mut self, header: &Header) -> bool {
        let (group, single) = &mut *self.numbers;
        let numbers = if header.number < wire::UNICAST_NUMBERS { group } else { single };
        numbers.take(header.number)
    }

    /// The hash that a packet must have, if it is known.
    pub(super) fn hash_of(&self, seq: Seq) -> Option<PacketHash> {
        let (_, manifest) = self.known.range(..=seq).next_back()?;
        manifest.hash_of(seq)
    }

    /// Some packets of a manifest have yet to come.
    pub(super) fn keep(&mut self, manifest: &Manifest) {
        self.known.insert(manifest.first, manifest.clone());
    }

    /// What comes before `next` was handed out: its hashes are not needed any more.
    pub(super) fn forget_before(&mut self, next: Seq) {
        let is_over = |manifest: &Manifest| manifest.range().end <= next;
        while self.known.first_key_value().is_some_and(|(_, manifest)| is_over(manifest)) {
            self.known.pop_first();
        }
    }

    /// A packet came whose hash is not here.
    pub(super) fn wait_for(&mut self, seq: Seq, ask_after: Duration, now: Timestamp) {
        if let Some(last) = self.waiting.back_mut()
            && last.range.end == seq
            && last.range.len() < LONGEST_RUN
            && now.since(last.since) < STEP
        {
            last.range.end = seq.next();
            return;
        }
        let range = SeqRange::new(seq, seq.next());
        self.waiting.push_back(Waiting { range, since: now, ask_at: now.after(ask_after) });
    }

    /// The hashes of `range` are here. What waits before it was overtaken.
    pub(super) fn cover(&mut self, range: SeqRange, soon: Timestamp) {
        self.wanted.close(range);
        if range.first <= self.covered.end && range.end >= self.covered.first {
            self.covered.first = self.covered.first.min(range.first);
            self.covered.end = self.covered.end.max(range.end);
        } else {
            self.covered = range;
        }
        let covered = self.covered;
        self.waiting.retain_mut(|waiting| {
            if waiting.range.end <= covered.first {
                waiting.ask_at = waiting.ask_at.min(soon);
            }
            waiting.range.clamp_to(covered) != waiting.range
        });
    }

    /// Nothing of `beyond` was ever sent.
    pub(super) fn forget_beyond(&mut self, beyond: SeqRange) {
        self.wanted.close(beyond);
        self.waiting.retain_mut(|waiting| {
            waiting.range.end = waiting.range.end.min(beyond.first);
            !waiting.range.is_empty()
        });
    }

    /// When somebody is to be asked, or waited for no longer.
    pub(super) fn due(&self, longest: Duration) -> Option<Timestamp> {
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|waiting| waiting.ask_at.min(waiting.since.after(longest))).min();
        [waiting, self.wanted.due(), self.wanted.deadline()].into_iter().flatten().min()
    }
}

/// Packets that are waited for together.
const LONGEST_RUN: u64 = 256;

/// What comes within this is waited for together.
const STEP: Duration = Duration::from_millis(5);
