//! What is counted of those who ask to be let in.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use proto::Timestamp;
use proto::admission::Refusal;

/// Who was turned away, and when that was last told.
#[derive(Debug, Default)]
pub(super) struct Tally {
    turned: BTreeMap<Turned, u64>,
    told: BTreeMap<Turned, Timestamp>,
}

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// It speaks no TLS that is spoken here, or has not the key that it shows.
    Handshake,
    /// It took too long.
    Timeout,
    /// What it said cannot be read.
    Malformed,
    /// It was told why.
    Refused(Refusal),
}

impl Turned {
    /// Every one of them.
    pub(super) const ALL: [Self; 8] = [
        Self::Handshake,
        Self::Timeout,
        Self::Malformed,
        Self::Refused(Refusal::NotAuthorized),
        Self::Refused(Refusal::UnknownStream),
        Self::Refused(Refusal::Full),
        Self::Refused(Refusal::Removed),
        Self::Refused(Refusal::Version),
    ];

    /// As metrics and logs spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::Refused(reason) => reason.name(),
        }
    }
}

impl PartialOrd for Turned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Tally {
    pub(super) fn turn_away(&mut self, why: Turned) {
        *self.turned.entry(why).or_default() += 1;
    }

    /// How many were turned away for each reason.
    pub(super) fn turned(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Turned::ALL.into_iter().map(|why| (why.name(), self.count(why)))
    }

    pub(super) fn count(&self, why: Turned) -> u64 {
        self.turned.get(&why).copied().unwrap_or_default()
    }

    /// Whether people are to be told of this one: one a second of each reason is enough.
    pub(super) fn is_news(&mut self, why: Turned, now: Timestamp) -> bool {
        let is_news = self.told.get(&why).is_none_or(|told| now >= told.after(TELL_EVERY));
        if is_news {
            self.told.insert(why, now);
        }
        is_news
    }
}

const TELL_EVERY: Duration = Duration::from_secs(1);
