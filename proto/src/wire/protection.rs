//! Manifests and keys.

use serde::{Deserialize, Serialize};

use super::fixed;
use super::list::List;
use crate::{Seq, SeqRange, SubscriberId};

/// Length of a manifest's body beside its hashes, in bytes.
pub(crate) const MANIFEST_LEN: usize = 82;

/// Length of a hash in a manifest, in bytes.
pub(crate) const MANIFEST_HASH_LEN: usize = 16;

/// SHA-256 of (session, seq, coded body) of a data packet, its first 16 bytes.
///
/// It is read and written as one number: byte by byte takes longer than many a packet's other fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u128", into = "u128")]
pub struct PacketHash(pub [u8; MANIFEST_HASH_LEN]);

impl From<u128> for PacketHash {
    fn from(number: u128) -> Self {
        Self(number.to_be_bytes())
    }
}

impl From<PacketHash> for u128 {
    fn from(hash: PacketHash) -> Self {
        Self::from_be_bytes(hash.0)
    }
}

/// Hashes of packets that were sent one after the other, signed: what makes a member unable to speak
/// as the publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The first of the packets.
    pub first: Seq,
    /// When the publisher started, in microseconds of Unix time.
    pub started_us: u64,
    /// One for each data packet.
    pub hashes: List<PacketHash, 255>,
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

    /// The hash of one of them.
    #[must_use]
    pub fn hash_of(&self, seq: Seq) -> Option<PacketHash> {
        let place = seq.0.checked_sub(self.first.0)?;
        self.hashes.get(usize::try_from(place).ok()?).copied()
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
