//! Lists and names with an upper bound, so that a count on the wire cannot ask for memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::{self, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// At most `MAX` of `T`. On the wire a 16-bit count, then the elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// More elements than a [`List`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} elements")]
pub struct ListFull {
    /// How many it takes.
    pub max: usize,
}

impl<T, const MAX: usize> List<T, MAX> {
    /// How many elements it takes at most.
    pub const MAX: usize = MAX;

    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(MAX <= u16::MAX as usize, "the count is 16 bits on the wire") };
        Self(Vec::new())
    }

    /// The first `MAX` elements of `elements`; the others are not looked at.
    pub fn truncated(elements: impl IntoIterator<Item = T>) -> Self {
        let mut list = Self::new();
        list.0.extend(elements.into_iter().take(MAX));
        list
    }

    /// Adds one element.
    ///
    /// # Errors
    /// The list holds `MAX` elements already.
    pub fn push(&mut self, element: T) -> Result<(), ListFull> {
        if self.is_full() {
            return Err(ListFull { max: MAX });
        }
        self.0.push(element);
        Ok(())
    }

    /// Whether nothing more goes in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.len() >= MAX
    }

    /// Takes every element out; the memory is kept for the next ones.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for List<T, MAX> {
    type Error = ListFull;

    fn try_from(elements: Vec<T>) -> Result<Self, ListFull> {
        if elements.len() > MAX { Err(ListFull { max: MAX }) } else { Ok(Self(elements)) }
    }
}

impl<T, const MAX: usize> From<List<T, MAX>> for Vec<T> {
    fn from(list: List<T, MAX>) -> Self {
        list.0
    }
}

impl<T, const MAX: usize> IntoIterator for List<T, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A tuple, not a sequence: bincode would write a 64-bit count of its own before that.
        let count = u16::try_from(self.len()).map_err(ser::Error::custom)?;
        let mut tuple = serializer.serialize_tuple(self.len().saturating_add(1))?;
        tuple.serialize_element(&count)?;
        for element in self {
            tuple.serialize_element(element)?;
        }
        tuple.end()
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(MAX.saturating_add(1), ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a count and at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let count: u16 = element(&mut seq, 0, &self)?;
        let count = usize::from(count);
        if count > MAX {
            return Err(de::Error::invalid_length(count, &self));
        }
        let mut elements = Vec::with_capacity(count);
        for have in 0..count {
            elements.push(element(&mut seq, have, &self)?);
        }
        Ok(List(elements))
    }
}

fn element<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    seq: &mut A,
    have: usize,
    expected: &dyn de::Expected,
) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| de::Error::invalid_length(have, expected))
}

/// What a person calls a stream or a subscriber: UTF-8, at most 64 bytes, no control characters.
///
/// On the wire an 8-bit length, then the bytes. It lies where it is used: who hears an announce ten
/// times a second allocates nothing.
// In this order names are in the order of their texts: what pads one comes before every character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Zeros follow.
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

/// Why a text is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than [`Name::MAX_LEN`].
    #[error("{len} bytes are too long for a name: use at most {}", Name::MAX_LEN)]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It would garble a terminal or a log line.
    #[error("a name has no line ends, tabs or other control characters")]
    Control,
    /// Only from the wire: a text is always UTF-8.
    #[error("a name is UTF-8")]
    NotUtf8,
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was checked when it was made.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, NameError> {
        std::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)?.parse()
    }
}

impl Default for Name {
    /// An empty one.
    fn default() -> Self {
        Self { bytes: [0; Self::MAX_LEN], len: 0 }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.as_str()).finish()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let too_long = NameError::TooLong { len: text.len() };
        let mut name =
            Self { len: u8::try_from(text.len()).map_err(|_| too_long)?, ..Self::default() };
        name.bytes.get_mut(..text.len()).ok_or(too_long)?.copy_from_slice(text.as_bytes());
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(usize::from(self.len).saturating_add(1))?;
        tuple.serialize_element(&self.len)?;
        for byte in self.as_bytes() {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(Self::MAX_LEN.saturating_add(1), NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a length and at most {} bytes", Name::MAX_LEN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Name, A::Error> {
        let len: u8 = element(&mut seq, 0, &self)?;
        let len = usize::from(len);
        if len > Name::MAX_LEN {
            return Err(de::Error::invalid_length(len, &self));
        }
        let mut bytes = [0; Name::MAX_LEN];
        for (have, byte) in bytes.iter_mut().enumerate().take(len) {
            *byte = element(&mut seq, have, &self)?;
        }
        Name::from_wire(bytes.get(..len).unwrap_or_default()).map_err(de::Error::custom)
    }
}
