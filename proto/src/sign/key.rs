//! Keys of signatures.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use crate::seal::Key;

/// Length of a signature, in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// An Ed25519 signature (RFC 8032 §5.1.6).
pub(crate) type Signature = [u8; SIGNATURE_LEN];

/// What a publisher signs with. It appears in no log, and its memory is cleared when the last copy
/// is dropped.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

impl SigningKey {
    /// The pair that follows from a secret of 32 random bytes (RFC 8032 §5.1.5).
    #[must_use]
    #[expect(clippy::expect_used, reason = "any 32 bytes are a seed, and a key has 32")]
    pub fn of(secret: &Key) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret.bytes());
        Self(Arc::new(pair.expect("32 bytes are a seed")))
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref().first_chunk().copied();
        PublicKey(bytes.unwrap_or_default())
    }

    /// Signs what is neither a packet nor a manifest: what it means is up to the caller, and must not
    /// begin as those do.
    #[must_use]
    pub fn sign_message(&self, message: &[u8]) -> [u8; 64] {
        self.sign(&[message])
    }

    pub(super) fn sign(&self, parts: &[&[u8]]) -> Signature {
        let signature = self.0.sign(&parts.concat());
        signature.as_ref().first_chunk().copied().unwrap_or([0; SIGNATURE_LEN])
    }
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.public() == other.public()
    }
}

impl Eq for SigningKey {}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(secret of {})", self.public())
    }
}

/// What signatures are checked with: no secret. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Why a text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no public key: one is 64 hexadecimal digits")]
pub struct PublicKeyError;

impl PublicKey {
    /// The key of these bytes (RFC 8032 §5.1.5). Nothing is a signature by one that nobody has the secret
    /// of.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether who has the secret half signed this, as [`SigningKey::sign_message`] does.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = signature.try_into();
        signature.is_ok_and(|signature| Verifying::new(*self).is_of(&[message], signature))
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(PublicKeyError);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(PublicKeyError);
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let value = digit(*high)? << 4 | digit(*low)?;
            *byte = u8::try_from(value).map_err(|_| PublicKeyError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A public key, ready to check with.
#[derive(Clone)]
pub(crate) struct Verifying(ParsedPublicKey);

impl Verifying {
    #[expect(clippy::expect_used, reason = "the length of a key is right by its type")]
    pub(crate) fn new(key: PublicKey) -> Self {
        Self(ParsedPublicKey::new(&ED25519, key.0).expect("32 bytes are a key"))
    }

    /// Whether the key's owner signed these parts, one after the other.
    pub(super) fn is_of(&self, parts: &[&[u8]], signature: &Signature) -> bool {
        self.0.verify_sig(&parts.concat(), signature).is_ok()
    }
}

impl fmt::Debug for Verifying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifying")
    }
}
