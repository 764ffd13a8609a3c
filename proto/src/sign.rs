//! Signed streams: who holds the group's key can still not speak as the publisher
//! (docs/PROTOCOL.md §4.19).
//!
//! What a publisher says of its session it signs, each packet for itself. Of its data it signs the
//! hashes of many packets at once: a signature for each would cost ten times as much. Ed25519 (RFC 8032)
//! and SHA-256, both by aws-lc.
//!
//! | you look for | open |
//! |---|---|
//! | keys, and how they are written | `sign/key.rs` |
//! | what is hashed of a packet | `sign/hashed.rs` |
//! | hashes of many packets at once | `sign/lanes.rs` |
//! | what is signed of a packet, and of a manifest | here |

mod hashed;
mod key;
mod lanes;
#[cfg(test)]
mod tests;

pub(crate) use hashed::Hashed;
pub use key::{PublicKey, PublicKeyError, SigningKey};
pub(crate) use key::{SIGNATURE_LEN, Verifying};
pub(crate) use lanes::hash_all;

use crate::wire::{self, HEADER_LEN, Kind, Manifest, PacketHash};
use crate::{Seq, SessionId, StreamId};

/// Whether a publisher's packet of this kind bears a signature. The hashes of data are signed instead, and
/// an answer to a challenge that was none costs nothing but a packet.
pub(crate) fn is_statement(kind: Kind) -> bool {
    !kind.is_coded()
        && !kind.is_feedback()
        && !matches!(kind, Kind::Manifest | Kind::CookieChallenge)
}

/// A packet that was sent, signed: a signature is appended to what stands from `start` on.
pub(crate) fn sign_statement(key: &SigningKey, start: usize, datagram: &mut Vec<u8>) {
    let said = datagram.get(start..).unwrap_or_default();
    let signature = key.sign(&[STATEMENT, said]);
    wire::append_signature(&signature, datagram);
}

/// Whether a packet bears a signature at its end that `key` made for it; `None` if it bears none.
pub(crate) fn is_signed(key: &Verifying, datagram: &[u8]) -> Option<bool> {
    let (said, signature) = wire::split_signature(datagram)?;
    Some(said.len() >= HEADER_LEN && key.is_of(&[STATEMENT, said], signature))
}

impl Manifest {
    /// The manifest of packets from `first` on, signed.
    pub(crate) fn sign(
        key: &SigningKey,
        (stream, session, started_us): (StreamId, SessionId, u64),
        first: Seq,
        hashes: impl IntoIterator<Item = PacketHash>,
    ) -> Self {
        let hashes = wire::List::truncated(hashes);
        let mut manifest = Self { first, started_us, hashes, signature: [0; SIGNATURE_LEN] };
        manifest.signature = key.sign(&[MANIFEST, &manifest.signed(stream, session)]);
        manifest
    }

    /// Whether `key` made it for `session` of `stream`.
    pub(crate) fn is_of(&self, key: &Verifying, stream: StreamId, session: SessionId) -> bool {
        key.is_of(&[MANIFEST, &self.signed(stream, session)], &self.signature)
    }

    fn signed(&self, stream: StreamId, session: SessionId) -> Vec<u8> {
        let mut signed = Vec::with_capacity(28 + 16 * self.hashes.len());
        signed.extend_from_slice(&stream.0.to_be_bytes());
        signed.extend_from_slice(&session.0.to_be_bytes());
        signed.extend_from_slice(&self.first.0.to_be_bytes());
        signed.extend_from_slice(&self.started_us.to_be_bytes());
        signed.extend_from_slice(&u16::try_from(self.hashes.len()).unwrap_or(0).to_be_bytes());
        self.hashes.iter().for_each(|hash| signed.extend_from_slice(&hash.0));
        signed
    }
}

/// Keeps signatures of one kind apart from those of another, and of other programs.
const STATEMENT: &[u8] = b"onecast 1 statement";
const MANIFEST: &[u8] = b"onecast 1 manifest";
