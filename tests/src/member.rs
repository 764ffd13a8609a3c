//! A member turned bad: it has the group's key, and seals whatever it likes as if it were the
//! publisher. By hand, as docs/PROTOCOL.md §4.13 has it: `proto` seals for nobody but itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use proto::wire::{self, CODED_HEADER_LEN, HEADER_LEN, Header, Packet};

/// Who has a key and seals with it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    epoch: u8,
    secret: [u8; 32],
}

impl Member {
    /// One of a group whose key in `epoch` is `secret`.
    #[must_use]
    pub fn new(epoch: u8, secret: [u8; 32]) -> Self {
        Self { epoch, secret }
    }

    /// What `packet` is on the wire, sealed as the publisher of its session seals.
    ///
    /// # Panics
    /// Never: a packet has a header, and 32 bytes are a key.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a packet has a header, and 32 bytes are a key")]
    pub fn seal(&self, packet: &Packet) -> Vec<u8> {
        let header = Header { key_epoch: self.epoch, ..packet.header };
        let mut datagram = Vec::new();
        wire::encode(&Packet { header, body: packet.body.clone() }, &mut datagram);
        let is_coded = packet.body.coded().is_some();
        let clear_len = if is_coded { CODED_HEADER_LEN } else { HEADER_LEN };
        let (clear, body) = datagram.split_at_mut(clear_len);
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&header.number.to_be_bytes());
        let key = LessSafeKey::new(self.session_key(&header));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*clear), body).unwrap();
        datagram.extend_from_slice(tag.as_ref());
        datagram
    }

    #[expect(clippy::unwrap_used, reason = "32 bytes are a key")]
    fn session_key(&self, header: &Header) -> UnboundKey {
        let prk = Salt::new(HKDF_SHA256, b"onecast 1").extract(&self.secret);
        let (stream, session) = (header.stream.0.to_be_bytes(), header.session.0.to_be_bytes());
        let info: [&[u8]; 4] = [b"session", &[self.epoch], &stream, &session];
        let mut key = [0; 32];
        prk.expand(&info, Len).and_then(|okm| okm.fill(&mut key)).unwrap();
        UnboundKey::new(&AES_256_GCM, &key).unwrap()
    }
}

struct Len;

impl KeyType for Len {
    fn len(&self) -> usize {
        32
    }
}
