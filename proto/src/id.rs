//! Who is meant: stream, session, subscriber.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which stream of a publisher a packet belongs to. Unique on a group and port, not in the world.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamId(pub u16);

impl StreamId {
    /// The id of a stream that is known by its name: FNV-1a of the name, folded to 16 bits.
    ///
    /// Two names may meet on one id; on one group the announce's name then tells them apart,
    /// and a publisher that offers both on one group refuses to start.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
        Self(u16::from_be_bytes([a ^ c ^ e ^ g, b ^ d ^ f ^ h]))
    }
}

/// One run of a publisher: 64 random bits, new at every start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SessionId(pub u64);

/// One run of a subscriber: 128 random bits, new at every start.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SubscriberId(pub u128);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
