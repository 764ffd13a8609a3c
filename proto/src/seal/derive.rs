//! Keys of sessions and of subscribers, made of an epoch's secret.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::cipher::Cipher;
use super::key::{Key, Keyring};
use crate::{SessionId, StreamId, SubscriberId};

/// The secrets of a [`Keyring`], ready to make keys of.
#[derive(Clone)]
pub(crate) struct Secrets {
    epochs: Vec<(u8, Prk)>,
    newest: u8,
}

impl Secrets {
    pub(crate) fn new(keys: &Keyring) -> Self {
        let epochs: Vec<_> = keys.iter().map(|(epoch, key)| (epoch, extract(key))).collect();
        let newest = epochs.last().map_or(0, |(epoch, _)| *epoch);
        Self { epochs, newest }
    }

    /// The epoch under which to speak.
    pub(crate) fn newest(&self) -> u8 {
        self.newest
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
        let (_, secret) = self.epochs.iter().find(|(of, _)| *of == epoch)?;
        let mut key = Zeroizing::new([0; 32]);
        expand(secret, info, key.as_mut())?;
        Some(Cipher::new(&key))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(newest epoch {})", self.newest)
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
