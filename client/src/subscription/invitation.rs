//! Invitations to a comparison: announces of streams that are called after an endpoint.

use std::net::{IpAddr, SocketAddr};

use proto::comparison::{DATA, invited_to};
use proto::config::Start;
use proto::endpoint::Endpoint;
use proto::wire::{self, Body, Kind, decode_header};

use super::Subscription;
use crate::config::SubscriptionConfig;
use crate::endpoint;
use crate::output::{OutputSpec, Sessions};

impl Subscription {
    /// The last invitation that came, as a subscription.
    pub(crate) fn take_invitation(&mut self) -> Option<SubscriptionConfig> {
        let endpoint = self.invitation.take()?;
        let mut defaults = self.config.defaults.clone();
        defaults.stream = DATA.parse().ok();
        defaults.allow_compare = false;
        defaults.impair = None;
        defaults.silent_timeout = TRIAL_TIMEOUT;
        if endpoint::heard(&endpoint).is_some() {
            defaults.interface = self.interface.name.parse().ok();
        }
        Some(SubscriptionConfig {
            endpoint,
            fallback: None,
            output: OutputSpec::File("/dev/null".into()),
            on_full: None,
            start: Start::Oldest,
            sessions: Sessions::Once,
            is_trial: true,
            defaults,
        })
    }

    /// Takes note of an invitation, if those are wanted and this is one of the publisher's.
    pub(super) fn look_for_invitation(&mut self, datagram: &[u8], from: SocketAddr) {
        if !self.config.defaults.allow_compare {
            return;
        }
        let is_announce = decode_header(datagram).is_ok_and(|it| it.0.kind == Kind::Announce);
        let source = self.receiver.source();
        if !is_announce || source.is_some_and(|source| source.ip() != from.ip()) {
            return;
        }
        let Ok(packet) = wire::decode(bytes::Bytes::copy_from_slice(datagram)) else { return };
        let Body::Announce(announce) = packet.body else { return };
        let invited = invited_to(&announce.name).and_then(|text| endpoint::parse(text).ok());
        if let Some((endpoint, None)) = invited
            && self.is_of(&endpoint, from.ip())
            && self.accepted.insert(packet.header.session)
        {
            tracing::info!(group = self.group, %endpoint, "invited to a comparison");
            self.invitation = Some(endpoint);
        }
    }

    /// Whether it leads to the publisher itself: nobody is sent elsewhere.
    fn is_of(&self, endpoint: &Endpoint, publisher: IpAddr) -> bool {
        match endpoint {
            Endpoint::Unicast { host, .. } | Endpoint::Tcp { host, .. } => {
                host.parse() == Ok(publisher)
            }
            Endpoint::Multicast(_) | Endpoint::Broadcast(_) => true,
        }
    }

    /// Whether it waits for a comparison that does not begin.
    pub(super) fn is_idle_trial(&self, now: proto::Timestamp) -> bool {
        let is_late = now >= self.joined_at.after(TRIAL_TIMEOUT);
        self.config.is_trial && self.session.is_none() && is_late
    }
}

/// A comparison that is silent for this long is over.
const TRIAL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
