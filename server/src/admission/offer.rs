//! A stream as it is offered: where it is, and the keys of its epochs.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use host::chance;
use proto::admission::{Admitted, EndpointText, FromPublisher, Rekey};
use proto::endpoint::{Endpoint, Group};
use proto::seal::{Key, Keyring};
use proto::wire::{List, Name};
use proto::{StreamId, Timestamp};

use crate::config::StreamConfig;

/// A stream as it is offered.
#[derive(Debug)]
pub(super) struct Offer {
    name: Name,
    id: StreamId,
    endpoints: Vec<Endpoint>,
    /// What its signatures are checked with.
    verify: Option<[u8; 32]>,
    /// What it is sealed under.
    now: Epoch,
    /// What it will be sealed under, and from when on; everybody was told.
    next: Option<(Epoch, Timestamp)>,
    /// When the next rotation is to begin.
    rotate_at: Option<Timestamp>,
    rotations: u64,
}

/// A key and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) number: u8,
    pub(super) key: Key,
}

impl Offer {
    /// A stream with a key of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub(super) fn new(config: &StreamConfig) -> io::Result<Self> {
        Ok(Self {
            name: config.name.clone(),
            id: config.id(),
            endpoints: config.routes.iter().map(|route| plain(&route.endpoint)).collect(),
            verify: config.sign.as_ref().map(|key| *key.public().bytes()),
            now: Epoch { number: FIRST, key: fresh()? },
            next: None,
            rotate_at: None,
            rotations: 0,
        })
    }

    /// What the stream begins under.
    pub(super) fn keyring(&self) -> Keyring {
        Keyring::of_epoch(self.now.number, self.now.key.clone())
    }

    /// The epoch that it is sealed under.
    pub(super) fn epoch(&self) -> u8 {
        self.now.number
    }

    /// How often the key has changed.
    pub(super) fn rotations(&self) -> u64 {
        self.rotations
    }

    /// What somebody is told that reached this host at `local` and may have the stream.
    pub(super) fn admitted(&self, local: IpAddr) -> FromPublisher {
        let endpoints = self.endpoints.iter().map(|endpoint| reached(endpoint, local));
        let texts = endpoints.filter_map(|endpoint| EndpointText::try_from(&endpoint).ok());
        FromPublisher::Admitted(Box::new(Admitted {
            stream: self.name.clone(),
            stream_id: self.id,
            endpoints: List::truncated(texts),
            epoch: self.now.number,
            key: self.now.key.clone(),
            verify: self.verify,
        }))
    }

    /// The key that follows, if everybody was told one.
    pub(super) fn rekey_ahead(&self) -> Option<FromPublisher> {
        self.next.as_ref().map(|(epoch, _)| self.rekey(epoch))
    }

    /// The key that it is sealed under.
    pub(super) fn rekey_now(&self) -> FromPublisher {
        self.rekey(&self.now)
    }

    fn rekey(&self, epoch: &Epoch) -> FromPublisher {
        let Epoch { number, key } = epoch.clone();
        FromPublisher::Rekey(Rekey { stream: self.name.clone(), epoch: number, key })
    }

    /// Asks for another key, at `at` or when one was asked for before that.
    pub(super) fn want_rotation(&mut self, at: Timestamp) {
        self.rotate_at = Some(self.rotate_at.map_or(at, |before| before.min(at)));
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match &self.next {
            Some((_, from)) => Some(*from),
            None => self.rotate_at,
        }
    }

    /// The key to seal under from now on, if its time has come.
    pub(super) fn turn(&mut self, now: Timestamp) -> Option<Epoch> {
        let (epoch, _) = self.next.take_if(|(_, from)| *from <= now)?;
        self.now = epoch.clone();
        self.rotations += 1;
        Some(epoch)
    }

    /// Makes the next key, if it is wanted and none is on its way; says whether.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers: it will be tried again.
    pub(super) fn begin_rotation(&mut self, now: Timestamp) -> io::Result<bool> {
        // Who was removed meanwhile was told the one that is on its way: another has to follow.
        if self.next.is_some() || self.rotate_at.is_none_or(|at| at > now) {
            return Ok(false);
        }
        let key = fresh().inspect_err(|_| self.rotate_at = Some(now.after(RETRY)))?;
        let number = self.now.number.checked_add(1).unwrap_or(FIRST);
        self.rotate_at = None;
        self.next = Some((Epoch { number, key }, now.after(OVERLAP)));
        Ok(true)
    }
}

fn fresh() -> io::Result<Key> {
    chance::bytes().map(Key::new)
}

/// Without what means something on this host only.
fn plain(endpoint: &Endpoint) -> Endpoint {
    match endpoint {
        Endpoint::Multicast(group) => Endpoint::Multicast(Group { zone: None, ..group.clone() }),
        Endpoint::Broadcast(_) | Endpoint::Unicast { .. } | Endpoint::Tcp { .. } => {
            endpoint.clone()
        }
    }
}

/// As it is reached by who reached this host at `local`.
fn reached(endpoint: &Endpoint, local: IpAddr) -> Endpoint {
    let here = |host: &str| match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => local.to_string(),
        _ => host.to_owned(),
    };
    match endpoint {
        Endpoint::Unicast { host, port } => Endpoint::Unicast { host: here(host), port: *port },
        Endpoint::Tcp { host, port } => Endpoint::Tcp { host: here(host), port: *port },
        Endpoint::Multicast(_) | Endpoint::Broadcast(_) => endpoint.clone(),
    }
}

const FIRST: u8 = 1;

/// Whoever is connected has the key before it is used: a thousand are told within a tenth of this.
const OVERLAP: Duration = Duration::from_millis(200);

const RETRY: Duration = Duration::from_secs(1);
