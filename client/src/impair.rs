//! Loss, reordering and duplicates made on purpose, so that anyone can see what they do.
//!
//! It stands in front of the core and takes all that the sockets received: the group's datagrams,
//! and cookies, confirmations, unicast repairs and catch-up as well.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use proto::units::{Ratio, UnitError};

/// What is done to the datagrams: `loss=1%,burst=8,reorder=3,duplicate=0.1%,seed=7`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImpairSpec {
    /// The share that is dropped.
    pub loss: Ratio,
    /// Mean length of a run of losses; 1: each is on its own.
    pub burst: u32,
    /// Each datagram is put back by 0 to this many places.
    pub reorder: u32,
    /// The share that comes twice.
    pub duplicate: Ratio,
    /// The same seed gives the same fate to the same datagrams.
    pub seed: u64,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impaired {
    /// Datagrams dropped.
    pub dropped: u64,
    /// Datagrams that came twice.
    pub duplicated: u64,
    /// Datagrams put back by one place or more.
    pub reordered: u64,
}

/// Decides the fate of one datagram after the other.
#[derive(Debug)]
pub(crate) struct Impairment<T> {
    spec: ImpairSpec,
    rng: fastrand::Rng,
    in_burst: bool,
    /// Places of arrival.
    place: u64,
    /// Held back until the place of the key; of those, the later arrival goes first.
    held: BTreeMap<(u64, Reverse<u64>), T>,
    impaired: Impaired,
}

impl<T: Clone> Impairment<T> {
    /// Starts with the seed of `spec`.
    pub(crate) fn new(spec: ImpairSpec) -> Self {
        Self {
            spec,
            rng: fastrand::Rng::with_seed(spec.seed),
            in_burst: false,
            place: 0,
            held: BTreeMap::new(),
            impaired: Impaired::default(),
        }
    }

    /// Takes a datagram; `pass` is given those whose turn has come, in the order they go on.
    pub(crate) fn take(&mut self, datagram: T, mut pass: impl FnMut(T)) {
        if self.is_lost() {
            self.impaired.dropped += 1;
        } else {
            if self.chance(self.spec.duplicate) {
                self.impaired.duplicated += 1;
                self.put_back(datagram.clone());
            }
            self.put_back(datagram);
        }
        while let Some(entry) = self.held.first_entry()
            && entry.key().0 <= self.place
        {
            pass(entry.remove());
        }
    }

    /// Passes on all that is held back: nothing followed for a while.
    pub(crate) fn flush(&mut self, mut pass: impl FnMut(T)) {
        while let Some((_, datagram)) = self.held.pop_first() {
            pass(datagram);
        }
    }

    /// Whether something is held back.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// What was done so far.
    pub(crate) fn impaired(&self) -> Impaired {
        self.impaired
    }

    fn put_back(&mut self, datagram: T) {
        self.place += 1;
        let places = match self.spec.reorder {
            0 => 0,
            most => self.rng.u64(0..=u64::from(most)),
        };
        self.impaired.reordered += u64::from(places > 0);
        self.held.insert((self.place + places, Reverse(self.place)), datagram);
    }

    /// Gilbert-Elliott: in a burst all is lost, outside nothing; both ends come by chance.
    fn is_lost(&mut self) -> bool {
        if self.spec.burst <= 1 {
            return self.chance(self.spec.loss);
        }
        let change = if self.in_burst { self.spec.burst_ends() } else { self.spec.burst_starts() };
        if self.rng.f64() < change {
            self.in_burst = !self.in_burst;
        }
        self.in_burst
    }

    fn chance(&mut self, share: Ratio) -> bool {
        share.value() > 0.0 && self.rng.f64() < share.value()
    }
}

impl ImpairSpec {
    /// Chance that a burst ends at a datagram.
    fn burst_ends(&self) -> f64 {
        1.0 / f64::from(self.burst.max(1))
    }

    /// Chance that one starts, so that the share of time spent in bursts is the loss.
    fn burst_starts(&self) -> f64 {
        let loss = self.loss.value();
        self.burst_ends() * loss / (1.0 - loss)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ImpairError> {
        let number = |limit: u32| {
            let number = value.parse().ok().filter(|number: &u32| *number <= limit);
            number.ok_or_else(|| ImpairError::Number {
                key: key.to_owned(),
                value: value.to_owned(),
                limit,
            })
        };
        match key {
            "loss" => self.loss = value.parse()?,
            "duplicate" => self.duplicate = value.parse()?,
            "burst" => self.burst = number(BURST_LIMIT)?.max(1),
            "reorder" => self.reorder = number(REORDER_LIMIT)?,
            "seed" => {
                self.seed = value.parse().map_err(|_| ImpairError::Seed(value.to_owned()))?;
            }
            _ => return Err(ImpairError::Key(key.to_owned())),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, ImpairError> {
        if self.burst > 1 && (self.loss.value() >= 1.0 || self.burst_starts() > 1.0) {
            return Err(ImpairError::BurstTooShort { loss: self.loss, burst: self.burst });
        }
        Ok(self)
    }
}

impl Default for ImpairSpec {
    fn default() -> Self {
        Self { loss: Ratio::ZERO, burst: 1, reorder: 0, duplicate: Ratio::ZERO, seed: 1 }
    }
}

/// What was written is no impairment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ImpairError {
    /// Not `key=value`.
    #[error("`{0}` is not key=value; write loss=1%,burst=8,reorder=3,duplicate=0.1%,seed=7")]
    NoValue(String),
    /// A key that does not exist.
    #[error("`{0}` is no impairment: there are loss, burst, reorder, duplicate and seed")]
    Key(String),
    /// No share.
    #[error(transparent)]
    Share(#[from] UnitError),
    /// No count, or too large a one.
    #[error("{key}={value}: write a number up to {limit}")]
    Number {
        /// What it was given for.
        key: String,
        /// What was given.
        value: String,
        /// The largest that is taken.
        limit: u32,
    },
    /// No seed.
    #[error("seed={0}: write a whole number")]
    Seed(String),
    /// Bursts of this length cannot add up to that loss.
    #[error("loss={loss} cannot be made of bursts of {burst}: make them longer")]
    BurstTooShort {
        /// The loss.
        loss: Ratio,
        /// The mean length.
        burst: u32,
    },
}

impl FromStr for ImpairSpec {
    type Err = ImpairError;

    fn from_str(text: &str) -> Result<Self, ImpairError> {
        let mut spec = Self::default();
        for part in text.split(',') {
            let (key, value) =
                part.split_once('=').ok_or_else(|| ImpairError::NoValue(part.to_owned()))?;
            spec.set(key.trim(), value.trim())?;
        }
        spec.check()
    }
}

impl fmt::Display for ImpairSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, burst, reorder, duplicate, seed } = self;
        write!(f, "loss={loss},burst={burst},reorder={reorder},duplicate={duplicate},seed={seed}")
    }
}

/// A burst of a second at 10,000 datagrams a second: more is an outage, not a burst.
const BURST_LIMIT: u32 = 10_000;

/// Each one held back is a copy in memory.
const REORDER_LIMIT: u32 = 10_000;
