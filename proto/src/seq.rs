//! Positions of data packets in a session.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position of a data packet in its session, counted from zero.
///
/// 64 bits: it never wraps, so `<` is the order of sending. The wire carries the low 32 bits of
/// the first seq of a block, and [`Seq::nearest`] gives the rest back.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The first packet of a session.
    pub const ZERO: Self = Self(0);

    /// The seq after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// This seq moved on by `packets`.
    #[must_use]
    pub fn plus(self, packets: u64) -> Self {
        Self(self.0.saturating_add(packets))
    }

    /// This seq moved back by `packets`, but not below zero.
    #[must_use]
    pub fn minus(self, packets: u64) -> Self {
        Self(self.0.saturating_sub(packets))
    }

    /// Packets from `earlier` to this one; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The low 32 bits, as the wire carries them.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
    pub fn low(self) -> u32 {
        self.0 as u32
    }

    /// The seq with these low 32 bits that lies nearest to `self`.
    #[must_use]
    pub fn nearest(self, low: u32) -> Self {
        let ahead = low.wrapping_sub(self.low());
        if ahead < 1 << 31 {
            self.plus(u64::from(ahead))
        } else {
            let behind = u64::from(self.low().wrapping_sub(low));
            if behind > self.0 { self.plus(u64::from(ahead)) } else { self.minus(behind) }
        }
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Data packets `first` up to, but not with, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqRange {
    /// The first one.
    pub first: Seq,
    /// The one after the last.
    pub end: Seq,
}

impl SeqRange {
    /// From `first` up to, but not with, `end`.
    #[must_use]
    pub fn new(first: Seq, end: Seq) -> Self {
        Self { first, end }
    }

    /// How many packets.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.since(self.first)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.first
    }

    /// What of it lies within `other`.
    #[must_use]
    pub fn clamp_to(&self, other: Self) -> Self {
        let first = self.first.max(other.first);
        Self { first, end: self.end.min(other.end).max(first) }
    }

    /// Its first `count` packets, and the others.
    #[must_use]
    pub fn split_at(&self, count: u64) -> (Self, Self) {
        let middle = self.first.plus(count).min(self.end);
        (Self { first: self.first, end: middle }, Self { first: middle, end: self.end })
    }

    /// Each seq of it, in order.
    pub fn iter(&self) -> impl Iterator<Item = Seq> + use<> {
        (self.first.0..self.end.0).map(Seq)
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_seq_is_found_on_both_sides_of_a_wrap() {
        let here = Seq(0x1_0000_0005);
        assert_eq!(here.nearest(7), Seq(0x1_0000_0007));
        assert_eq!(here.nearest(0xffff_fffe), Seq(0xffff_fffe));
        assert_eq!(Seq(0xffff_fff0).nearest(3), Seq(0x1_0000_0003));
    }

    #[test]
    fn near_zero_nothing_lies_before_the_start() {
        assert_eq!(Seq(2).nearest(0xffff_ffff), Seq(0xffff_ffff));
        assert_eq!(Seq(2).nearest(0), Seq(0));
    }

    #[test]
    fn a_clamped_range_is_never_negative() {
        let clamped = SeqRange::new(Seq(1), Seq(3)).clamp_to(SeqRange::new(Seq(7), Seq(9)));
        assert!(clamped.is_empty());
        assert_eq!(clamped.len(), 0);
    }
}
