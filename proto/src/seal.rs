//! Sealed packets: who has no key reads nothing, and is not believed (docs/PROTOCOL.md §4.13).
//!
//! A datagram is sealed where it lies: the header stays readable and is authenticated, the body is
//! encrypted with AES-256-GCM, and a tag of 16 bytes follows. The nonce is the header's `number`, which
//! no sender uses twice; the key is of one epoch, session and direction, so that two senders, and two
//! runs of one, never share a key.
//!
//! | you look for | open |
//! |---|---|
//! | secrets as people keep them | `seal/key.rs` |
//! | keys of sessions and of subscribers | `seal/derive.rs` |
//! | AES-256-GCM over a datagram | `seal/cipher.rs` |
//! | what was seen before | `seal/replay.rs` |
//! | why something is not believed | `seal/cause.rs` |

mod cause;
mod cipher;
mod derive;
mod key;
mod replay;
#[cfg(test)]
mod tests;

pub use cause::Cause;
pub(crate) use cause::{Causes, Unbelieved, check_unsealed};
pub use cipher::TAG_LEN;
pub(crate) use cipher::{Cipher, speaker_of};
pub(crate) use derive::Secrets;
pub use key::{Key, KeyError, Keyring};
pub(crate) use replay::ReplayWindow;
