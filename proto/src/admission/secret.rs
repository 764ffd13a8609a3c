//! Fields that nobody else may see: they are in no log, and their memory is cleared.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::wire::List;

/// What a subscriber shows that has no key of its own.
///
/// On the wire a 16-bit length, at most 256, and that many bytes.
#[derive(Clone, Deserialize)]
#[serde(from = "List<u8, 256>")]
pub struct Token(Zeroizing<Vec<u8>>);

impl Token {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 256;

    /// A token of these bytes; more than [`MAX_LEN`](Self::MAX_LEN) are cut off.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..Self::MAX_LEN).unwrap_or(bytes);
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

/// In a time that does not tell where they differ.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl From<List<u8, 256>> for Token {
    fn from(bytes: List<u8, 256>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = u16::try_from(self.0.len()).map_err(serde::ser::Error::custom)?;
        let mut tuple = serializer.serialize_tuple(self.0.len().saturating_add(1))?;
        tuple.serialize_element(&len)?;
        for byte in self.0.iter() {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

/// A key as its 32 bytes.
pub(super) mod key {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use zeroize::Zeroizing;

    use crate::seal::Key;

    pub(in crate::admission) fn serialize<S: Serializer>(
        key: &Key,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        key.bytes().serialize(serializer)
    }

    pub(in crate::admission) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Key, D::Error> {
        let bytes = Zeroizing::new(<[u8; 32]>::deserialize(deserializer)?);
        Ok(Key::new(*bytes))
    }
}
