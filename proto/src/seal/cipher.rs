//! AES-256-GCM over a datagram, where it lies.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::SubscriberId;
use crate::wire::{CODED_HEADER_LEN, HEADER_LEN, Kind};

/// What a sealed datagram has at its end, in bytes.
pub const TAG_LEN: usize = 16;

/// Seals and opens the packets of one direction under one key.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    #[expect(clippy::expect_used, reason = "the length of a key is right by its type")]
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
        Self(LessSafeKey::new(key))
    }

    /// Seals the packet that begins at `start` and ends where `datagrams` do.
    pub(crate) fn seal(&self, start: usize, datagrams: &mut Vec<u8>) {
        let tag = datagrams.get_mut(start..).and_then(|packet| {
            let (clear, body) = packet.split_at_mut_checked(clear_len(packet))?;
            let nonce = Nonce::assume_unique_for_key(nonce(clear)?);
            self.0.seal_in_place_separate_tag(nonce, Aad::from(&*clear), body).ok()
        });
        debug_assert!(tag.is_some(), "a packet has a header and can be sealed");
        match tag {
            Some(tag) => datagrams.extend_from_slice(tag.as_ref()),
            // What cannot be sealed does not leave in clear.
            None => datagrams.truncate(start),
        }
    }

    /// Opens a datagram; gives it back without its tag, `None` if it is not authentic. Then what
    /// stands in it is of no use any more.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let clear_len = clear_len(datagram);
        let (clear, sealed) = datagram.split_at_mut_checked(clear_len)?;
        let nonce = Nonce::assume_unique_for_key(nonce(clear)?);
        let body_len = self.0.open_in_place(nonce, Aad::from(&*clear), sealed).ok()?.len();
        datagram.get_mut(..clear_len + body_len)
    }

    #[cfg(test)]
    pub(super) fn seal_with(&self, nonce: [u8; NONCE_LEN], aad: &[u8], body: &mut Vec<u8>) {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(nonce, Aad::from(aad), body).unwrap();
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(secret)")
    }
}

/// The subscriber that says it is the speaker of a datagram.
pub(crate) fn speaker_of(datagram: &[u8]) -> Option<SubscriberId> {
    let id = datagram.get(HEADER_LEN..)?.first_chunk::<ID_LEN>()?;
    Some(SubscriberId(u128::from_be_bytes(*id)))
}

/// How much of a packet is not encrypted: its header, and the id by which the key of what a
/// subscriber says is found.
fn clear_len(packet: &[u8]) -> usize {
    match packet.get(1).and_then(|kind| Kind::from_number(*kind)) {
        Some(kind) if kind.is_coded() => CODED_HEADER_LEN,
        Some(kind) if kind.is_feedback() => HEADER_LEN + ID_LEN,
        _ => HEADER_LEN,
    }
}

/// Four bytes of zero and the header's `number`, as it stands there.
fn nonce(header: &[u8]) -> Option<[u8; NONCE_LEN]> {
    let number = header.get(NUMBER_AT..)?.first_chunk::<8>()?;
    let mut nonce = [0; NONCE_LEN];
    nonce.get_mut(NONCE_LEN - 8..)?.copy_from_slice(number);
    Some(nonce)
}

/// Where the header has its `number` (docs/PROTOCOL.md §2).
const NUMBER_AT: usize = 14;

const ID_LEN: usize = 16;
