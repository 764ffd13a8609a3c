//! Tables of counters: by kind of packet, by reason of discarding.

use crate::wire::{Discard, Kind};

/// Datagrams and bytes of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCount {
    /// Datagrams.
    pub datagrams: u64,
    /// Their UDP payloads, in bytes: onecast's own header counted, those below it not.
    pub bytes: u64,
}

/// A counter for each kind of packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts([KindCount; Kind::ALL.len() + 1]);

impl KindCounts {
    /// What was counted of `kind`.
    #[must_use]
    pub fn get(&self, kind: Kind) -> KindCount {
        self.0.get(usize::from(kind.number())).copied().unwrap_or_default()
    }

    /// Each kind with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, KindCount)> + '_ {
        Kind::ALL.into_iter().map(|kind| (kind, self.get(kind)))
    }

    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> KindCount {
        self.0.iter().fold(KindCount::default(), |sum, count| KindCount {
            datagrams: sum.datagrams + count.datagrams,
            bytes: sum.bytes + count.bytes,
        })
    }

    pub(crate) fn add(&mut self, kind: Kind, datagrams: u64, bytes: u64) {
        if let Some(count) = self.0.get_mut(usize::from(kind.number())) {
            count.datagrams += datagrams;
            count.bytes += bytes;
        }
    }
}

/// A counter for each reason of discarding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscardCounts([u64; Discard::ALL.len()]);

impl DiscardCounts {
    /// How many were discarded for `reason`.
    #[must_use]
    pub fn get(&self, reason: Discard) -> u64 {
        self.0.get(reason.index()).copied().unwrap_or_default()
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        Discard::ALL.into_iter().map(|reason| (reason, self.get(reason)))
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, reason: Discard) {
        if let Some(count) = self.0.get_mut(reason.index()) {
            *count += 1;
        }
    }
}
