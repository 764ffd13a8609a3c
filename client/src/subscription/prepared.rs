//! What is to be ready before a group is joined.

use std::io;

use host::interface::{Family, Interface, InterfaceError, InvalidInterface, choose};
use host::poller::Waker;

use super::Subscription;
use crate::config::SubscriptionConfig;
use crate::endpoint::{self, Publisher, Unreachable};
use crate::output::{Crew, Output, OutputError};
use crate::socket::SocketError;

/// Everything that a subscription needs and that may take a while to get.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) config: SubscriptionConfig,
    pub(super) interface: Interface,
    pub(super) publisher: Option<Publisher>,
    pub(super) output: Output,
    pub(super) waker: Waker,
}

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    #[error(transparent)]
    Spec(#[from] InvalidInterface),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("no socket for feedback: {0}")]
    Feedback(io::Error),
    #[error("{0} is subscribed to already")]
    Twice(String),
}

impl Prepared {
    /// Finds the interface and opens the output; joins nothing.
    pub(crate) fn new(config: SubscriptionConfig, crew: Crew) -> Result<Self, SubscribeError> {
        let spec = config.interface()?;
        let group = endpoint::heard(&config.endpoint);
        let family = group.as_ref().map(|group| Family::of(group.address));
        let named = config.fallback.as_ref().unwrap_or(&config.endpoint);
        let publisher = Publisher::of(named, family)?;
        let interface = match (family, publisher) {
            (None, Some(publisher)) => endpoint::towards(publisher.address())?,
            (family, _) => choose(spec.as_ref(), family.unwrap_or(Family::V4))?,
        };
        if group.is_some() && interface.loopback && spec.is_none() {
            tracing::warn!(
                "only the loopback interface is up: nothing that other hosts send is heard"
            );
        }
        let waker = crew.waker.clone();
        let output =
            Output::open(&config.output, (config.sessions, config.defaults.caching), crew)?;
        Ok(Self { config, interface, publisher, output, waker })
    }

    /// Whether it is for the same group as `subscription`.
    pub(crate) fn is_for(&self, subscription: &Subscription) -> bool {
        let (this, other) = (&self.config, &subscription.config);
        // Two streams that share a group are two subscriptions of it.
        this.endpoint == other.endpoint
            && this.is_trial == other.is_trial
            && this.admitted() == other.admitted()
    }

    /// The group, as a person writes it.
    pub(crate) fn group(&self) -> String {
        self.config.endpoint.to_string()
    }

    #[cfg(test)]
    pub(crate) fn defaults(&self) -> &crate::config::Defaults {
        &self.config.defaults
    }
}
