//! Manifests and keys.

use serde::{Deserialize, Serialize};

use super::fixed;
use super::list::List;
use crate::{Seq, SeqRange, SubscriberId};

/// Length of a manifest's body beside its hashes, in bytes.
pub(crate) const MANIFEST_LEN: usize = 82;

/// Length of a hash in a manifest, in bytes.
pub(crate) const MANIFEST_HASH_LEN: usize = 16;

/// Hashes of packets that were sent one after the other, signed: what makes a member unable to speak
/// as the publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The first of the packets.
    pub first: Seq,
    /// When the publisher started, in microseconds of Unix time.
    pub started_us: u64,
    /// SHA-256 of (session, seq, coded body) for each data packet, its first 16 bytes.
    pub hashes: List<[u8; 16], 255>,
    /// Ed25519 over the stream, the session and all of the above ([`crate::sign`]).
    #[serde(with = "fixed::signature")]
    pub signature: [u8; 64],
}

impl Manifest {
    /// The packets whose hashes these are.
    #[must_use]
    pub fn range(&self) -> SeqRange {
        SeqRange::new(self.first, self.first.plus(self.hashes.len() as u64))
    }
}

/// A subscriber asks for the key of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// Who.
    pub subscriber: SubscriberId,
    /// The newest epoch it has a key for.
    pub have_epoch: u8,
    /// Makes the answer its own.
    pub nonce: u128,
}

/// The key of an epoch, wrapped for those who may have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUpdate {
    /// The epoch that the key opens.
    pub epoch: u8,
    /// The first `number` sealed with it.
    pub from_number: u64,
    /// The node of the key tree whose key wraps it.
    pub node: u32,
    /// The wrapped key: opaque here.
    pub wrapped: List<u8, 512>,
}
