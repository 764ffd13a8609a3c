//! What others may see of admission: who is let in, never a key.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use host::identity::Identity;
use host::metrics::{Definition, Samples, counter, gauge};
use proto::SubscriberId;
use serde::Serialize;

use super::policy::Credential;
use super::roll::{Entry, Roll};

/// Admission at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct AdmissionView {
    /// Where subscribers connect.
    pub address: SocketAddr,
    /// The public key that subscribers know the publisher by.
    pub public_key: String,
    /// Connections of those who were let in.
    pub connections: u64,
    /// Those who were turned away, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Each stream that is offered.
    pub streams: Vec<StreamView>,
    /// One row each while they are few.
    pub subscribers: Vec<SubscriberView>,
    /// Those that no row is shown of.
    pub subscribers_hidden: u64,
}

/// A stream that is offered.
#[derive(Clone, Debug, Serialize)]
pub struct StreamView {
    /// Its name.
    pub stream: String,
    /// The epoch that it is sealed under.
    pub epoch: u8,
    /// How often its key has changed.
    pub rotations: u64,
    /// How many are admitted to it.
    pub admitted: u64,
}

/// Somebody who was let in.
#[derive(Clone, Debug, Serialize)]
pub struct SubscriberView {
    /// What a person calls it.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The public key that let it in; none: the token did.
    pub public_key: Option<String>,
    /// What it is admitted to.
    pub streams: Vec<String>,
    /// Whether it is connected.
    pub connected: bool,
}

impl AdmissionView {
    pub(super) fn of(roll: &Roll, address: SocketAddr, identity: &Identity) -> Self {
        let admitted = |name| roll.entries.values().filter(|it| it.streams.contains(name)).count();
        let streams = roll.offers.iter().map(|(name, offer)| StreamView {
            stream: name.to_string(),
            epoch: offer.epoch(),
            rotations: offer.rotations(),
            admitted: admitted(name) as u64,
        });
        let rows = roll.entries.iter().take(ROWS_SHOWN);
        Self {
            address,
            public_key: identity.public().to_string(),
            connections: roll.entries.values().filter(|entry| entry.link.is_some()).count() as u64,
            refused: roll.tally.turned().collect(),
            streams: streams.collect(),
            subscribers: rows.map(|(id, entry)| SubscriberView::of(*id, entry)).collect(),
            subscribers_hidden: roll.entries.len().saturating_sub(ROWS_SHOWN) as u64,
        }
    }

    /// As Prometheus sees it.
    pub(crate) fn add_to(&self, samples: &mut Samples) {
        samples.count("admission_connections", &[], self.connections);
        for (reason, count) in &self.refused {
            samples.count("admission_refused_total", &[reason], *count);
        }
        for StreamView { stream, epoch, rotations, admitted } in &self.streams {
            samples.count("admitted", &[stream], *admitted);
            samples.count("key_epoch", &[stream], u64::from(*epoch));
            samples.count("key_rotations_total", &[stream], *rotations);
        }
    }
}

impl SubscriberView {
    fn of(id: SubscriberId, entry: &Entry) -> Self {
        Self {
            name: entry.name.to_string(),
            id: id.to_string(),
            public_key: match entry.credential {
                Credential::Key(key) => Some(key.to_string()),
                Credential::Token => None,
            },
            streams: entry.streams.iter().map(ToString::to_string).collect(),
            connected: entry.link.is_some(),
        }
    }
}

/// More rows than this no page shows at once.
const ROWS_SHOWN: usize = 64;

/// Every metric of admission.
pub(crate) const DEFINITIONS: &[Definition] = &[
    gauge("admission_connections", &[], "Connections of subscribers that were let in."),
    counter(
        "admission_refused_total",
        &["reason"],
        "Times that somebody was not let in, or not to a stream, by reason.",
    ),
    gauge("admitted", &["stream"], "Subscribers that are admitted to the stream."),
    gauge("key_epoch", &["stream"], "The epoch of the key that the stream is sealed under."),
    counter("key_rotations_total", &["stream"], "Times that the stream's key has changed."),
];
