//! Keys of sessions and of subscribers, made of an epoch's secret.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::cipher::Cipher;
use super::key::{Key, Keyring, UNSEALED};
use crate::{SessionId, StreamId, SubscriberId};

/// The secrets of a [`Keyring`], ready to make keys of, in the order in which they came.
///
/// Numbers of epochs begin again after 255: which of two is the newer is not told by them.
pub(crate) struct Secrets(Vec<Secret>);

struct Secret {
    epoch: u8,
    key: Key,
    prk: Prk,
}

impl Secrets {
    pub(crate) fn new(keys: &Keyring) -> Self {
        let mut secrets = Self(Vec::new());
        for (epoch, key) in keys.iter() {
            secrets.add(epoch, key.clone());
        }
        secrets
    }

    /// Takes the secret of the newest epoch; says whether it is news. What was made of another one
    /// of the same number is of no use any more.
    pub(crate) fn add(&mut self, epoch: u8, key: Key) -> bool {
        let is_known = self.0.iter().any(|known| known.epoch == epoch && known.key == key);
        if is_known || epoch == UNSEALED {
            return false;
        }
        self.remove(epoch);
        let prk = extract(&key);
        self.0.push(Secret { epoch, key, prk });
        let over = self.0.len().saturating_sub(MAX_EPOCHS);
        self.0.drain(..over);
        true
    }

    pub(crate) fn remove(&mut self, epoch: u8) {
        self.0.retain(|known| known.epoch != epoch);
    }

    /// Forgets all that are older than this one.
    pub(crate) fn remove_before(&mut self, epoch: u8) {
        if let Some(place) = self.place(epoch) {
            self.0.drain(..place);
        }
    }

    /// The newest epoch; 0 if none is known.
    pub(crate) fn newest(&self) -> u8 {
        self.newest_but(0)
    }

    /// The newest epoch but so many, and around; 0 if none is known.
    pub(crate) fn newest_but(&self, newer: usize) -> u8 {
        let from_end = newer.checked_rem(self.0.len()).unwrap_or(0);
        self.0.iter().rev().nth(from_end).map_or(UNSEALED, |known| known.epoch)
    }

    /// The oldest epoch; 0 if none is known.
    pub(crate) fn oldest(&self) -> u8 {
        self.epochs().next().unwrap_or(UNSEALED)
    }

    pub(crate) fn epochs(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().map(|known| known.epoch)
    }

    pub(crate) fn knows(&self, epoch: u8) -> bool {
        self.place(epoch).is_some()
    }

    /// Whether an epoch is known to be older than another one.
    pub(crate) fn is_before(&self, epoch: u8, other: u8) -> bool {
        let places = self.place(epoch).zip(self.place(other));
        places.is_some_and(|(place, other)| place < other)
    }

    fn place(&self, epoch: u8) -> Option<usize> {
        self.0.iter().position(|known| known.epoch == epoch)
    }

    /// What seals the publisher's packets of a session; `None` if the epoch is not known.
    pub(crate) fn session(
        &self,
        epoch: u8,
        stream: StreamId,
        session: SessionId,
    ) -> Option<Cipher> {
        let info: [&[u8]; 4] =
            [b"session", &[epoch], &stream.0.to_be_bytes(), &session.0.to_be_bytes()];
        self.cipher(epoch, &info)
    }

    /// What seals a subscriber's packets of a session; `None` if the epoch is not known.
    pub(crate) fn feedback(
        &self,
        epoch: u8,
        stream: StreamId,
        session: SessionId,
        subscriber: SubscriberId,
    ) -> Option<Cipher> {
        let (stream, session) = (stream.0.to_be_bytes(), session.0.to_be_bytes());
        let subscriber = subscriber.0.to_be_bytes();
        let info: [&[u8]; 5] = [b"feedback", &[epoch], &stream, &session, &subscriber];
        self.cipher(epoch, &info)
    }

    fn cipher(&self, epoch: u8, info: &[&[u8]]) -> Option<Cipher> {
        let secret = self.0.iter().find(|known| known.epoch == epoch)?;
        let mut key = Zeroizing::new([0; 32]);
        expand(&secret.prk, info, key.as_mut())?;
        Some(Cipher::new(&key))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(newest epoch {})", self.newest())
    }
}

fn extract(key: &Key) -> Prk {
    Salt::new(HKDF_SHA256, SALT).extract(key.bytes())
}

/// HKDF-Expand (RFC 5869 §2.3); `None` if more is wanted than it gives.
pub(super) fn expand(secret: &Prk, info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    secret.expand(info, Len(out.len())).and_then(|okm| okm.fill(out)).ok()
}

/// How many bytes are wanted.
struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// Keeps these keys apart from those that something else may make of the same secret.
const SALT: &[u8] = b"onecast 1";

/// However fast epochs follow each other, no more of them are kept than this.
const MAX_EPOCHS: usize = 8;
