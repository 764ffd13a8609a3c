//! What a sender has to tell.

use std::net::SocketAddr;

use super::BreakerState;
use crate::seal::Cause;
use crate::wire::{ByeReason, EvictReason, Name};
use crate::{Seq, SubscriberId};

/// What happened, for logs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Enough subscribers are there, or the time to wait for them is over: data flows.
    Started {
        /// Subscribers at this moment.
        audience: u64,
    },
    /// A subscriber proved its address.
    SubscriberJoined {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
        /// Where it receives unicast.
        address: SocketAddr,
    },
    /// A subscriber said goodbye.
    SubscriberLeft {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
        /// Why.
        reason: ByeReason,
    },
    /// A subscriber said nothing for too long; the stream no longer waits for it.
    SubscriberSilent {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
    },
    /// A subscriber holds the stream back, has no room for it, or is quiet: if it goes on, it is
    /// let go.
    SubscriberSlow {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
    },
    /// A subscriber was let go: the stream no longer waits for it.
    SubscriberEvicted {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
        /// Why.
        reason: EvictReason,
    },
    /// A subscriber that was silent, or let go, is there again.
    SubscriberBack {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
    },
    /// A subscriber reached the end.
    SubscriberFinished {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
        /// Packets it had to give up.
        given_up: u64,
    },
    /// A late joiner is being given what it missed.
    CatchUp {
        /// Its id.
        subscriber: SubscriberId,
        /// What a person calls it.
        name: Name,
        /// The first packet it is given.
        from: Seq,
        /// One past the last.
        to: Seq,
    },
    /// The circuit breaker opened or closed by a step.
    Breaker {
        /// What it does now.
        state: BreakerState,
    },
    /// Something came that is not believed; told once for each cause.
    NotBelieved {
        /// Why.
        cause: Cause,
        /// Where it came from.
        from: SocketAddr,
    },
    /// Everything that will be sent was sent.
    Finished(Outcome),
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Subscribers that have everything.
    pub complete: Vec<Name>,
    /// Those that do not.
    pub unfinished: Vec<Unfinished>,
    /// How many more listened as far as could be estimated, unknown by name: none of them asked
    /// for anything at the end.
    pub others: u64,
}

impl Outcome {
    /// Whether every known subscriber has everything.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }
}

/// A subscriber that did not get everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its id.
    pub subscriber: SubscriberId,
    /// What a person calls it.
    pub name: Name,
    /// The first packet it has not delivered, as far as is known.
    pub next: Seq,
    /// Packets it had to give up.
    pub given_up: u64,
    /// Whether it was no longer heard at the end.
    pub silent: bool,
    /// Why it was let go, if it was.
    pub evicted: Option<EvictReason>,
}
