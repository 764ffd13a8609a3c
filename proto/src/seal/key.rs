//! Secrets as people keep them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

/// A secret of 32 bytes that a group shares. Its memory is cleared when it is dropped, and it
/// appears in no log.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_LEN]>);

/// Why a text is no key. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key: a key is {} hexadecimal digits", 2 * KEY_LEN)]
pub struct KeyError;

impl Key {
    /// A key of these bytes, which must be random.
    #[must_use]
    pub fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// As it is written: 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text
    }

    /// Its bytes, to be handed to who was admitted.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// In a time that does not tell where they differ.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.bytes(), other.bytes()).is_ok()
    }
}

impl Eq for Key {}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        let mut digits = text.chars().map(|digit| digit.to_digit(16));
        let mut digit = || digits.next().flatten().and_then(|digit| u8::try_from(digit).ok());
        for byte in bytes.iter_mut() {
            *byte = digit().ok_or(KeyError)? << 4 | digit().ok_or(KeyError)?;
        }
        if text.len() == 2 * KEY_LEN { Ok(Self(bytes)) } else { Err(KeyError) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// Secrets by epoch, the newest last. What is said is sealed under the newest; what is heard may be
/// of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring(Vec<(u8, Key)>);

impl Keyring {
    /// No secret yet: a receiver that has it waits for the first.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The one key of a closed group, whose epoch is 1.
    #[must_use]
    pub fn of_group(key: Key) -> Self {
        Self::of_epoch(GROUP_EPOCH, key)
    }

    /// The secret of one epoch, 1 to 255; empty for 0, that of what is not sealed.
    #[must_use]
    pub fn of_epoch(epoch: u8, key: Key) -> Self {
        let mut keys = Self::empty();
        keys.add(epoch, key);
        keys
    }

    /// Adds the secret of the newest epoch, 1 to 255, in the place of any of the same number. Epoch
    /// 0 is that of what is not sealed: there is no secret of it, and nothing is added.
    pub fn add(&mut self, epoch: u8, key: Key) {
        self.0.retain(|(of, _)| *of != epoch);
        if epoch != UNSEALED {
            self.0.push((epoch, key));
        }
    }

    /// Whether there is no secret in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each epoch with its secret, the newest last.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Key)> {
        self.0.iter().map(|(epoch, key)| (*epoch, key))
    }
}

/// Bytes of a secret.
const KEY_LEN: usize = 32;

const GROUP_EPOCH: u8 = 1;

/// The epoch of packets that are not sealed.
pub(super) const UNSEALED: u8 = 0;
