//! What a sender cannot be told to do.

use crate::SenderConfig;
use crate::wire::MAX_DATAGRAM_LEN;

/// Why a sender cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The datagram has no room for headers and a useful payload, or is longer than the protocol
    /// allows.
    #[error("a datagram of {0} bytes: it must have 128 to {MAX_DATAGRAM_LEN}")]
    DatagramLen(u16),
    /// A block is 1 to 128 packets.
    #[error("a block of {0} packets: it must have 1 to 128")]
    BlockLen(u8),
    /// The datagram has no room for headers, a signature and a useful number of hashes.
    #[error("a datagram of {0} bytes: it must have {LEAST_SIGNED} to be signed")]
    Unsigned(u16),
    /// A rate of nothing sends nothing.
    #[error("a rate of 0 bit/s sends nothing")]
    Rate,
    /// A stream is to be sealed, and there is no key to seal it with.
    #[error("a keyring without a key: a sealed stream needs the key of its epoch from the start")]
    Keys,
}

/// Gives the length of a full datagram, in bytes, if what is configured can be sent.
pub(super) fn check(config: &SenderConfig) -> Result<usize, ConfigError> {
    let len = usize::from(config.datagram_len);
    if !(128..=MAX_DATAGRAM_LEN).contains(&len) {
        return Err(ConfigError::DatagramLen(config.datagram_len));
    }
    if config.sign.is_some() && len < LEAST_SIGNED {
        return Err(ConfigError::Unsigned(config.datagram_len));
    }
    if !(1..=128).contains(&config.k) {
        return Err(ConfigError::BlockLen(config.k));
    }
    if config.rate.is_some_and(|rate| rate.0 == 0) {
        return Err(ConfigError::Rate);
    }
    Ok(len)
}

/// A manifest then has room for eight hashes.
const LEAST_SIGNED: usize = 256;
