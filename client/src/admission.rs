//! Being let in: a publisher's admission is asked for streams, and hands out their keys
//! (docs/PROTOCOL.md §8).
//!
//! | you look for | open |
//! |---|---|
//! | the connection: made, held, made again | `admission/caller.rs` |
//! | what is said over it | `admission/talk.rs` |
//! | what becomes of what the publisher says | `admission/hearing.rs` |
//! | where a stream is received, and where it goes | `admission/place.rs` |
//! | when to try again | `admission/backoff.rs` |

mod backoff;
mod caller;
mod hearing;
mod place;
mod talk;

use std::path::Path;

use host::identity::{Identity, public_key};
use proto::admission::Token;
use proto::sign::PublicKey;
use proto::wire::Name;

pub(crate) use caller::Caller;
pub(crate) use place::{PATTERN, check_pattern, of_pattern};

/// Where a publisher's admission is, and what this subscriber shows there.
#[derive(Clone, Debug)]
pub struct Admission {
    /// HOST:PORT.
    address: String,
    /// The only publisher that is spoken to.
    publisher: PublicKey,
    identity: Option<Identity>,
    token: Option<Token>,
}

impl Admission {
    /// The one at `address`, HOST:PORT, of the publisher with this public key: 64 hexadecimal
    /// digits, or a file that holds them.
    ///
    /// # Errors
    ///
    /// When that is no public key.
    pub fn at(address: impl Into<String>, publisher: &str) -> anyhow::Result<Self> {
        let publisher = public_key(publisher)?;
        Ok(Self { address: address.into(), publisher, identity: None, token: None })
    }

    /// Shows the identity in this file.
    ///
    /// # Errors
    ///
    /// When it holds none, or others may read it.
    pub fn identity(self, file: &Path) -> anyhow::Result<Self> {
        Ok(Self { identity: Some(Identity::read(file)?), ..self })
    }

    /// Shows the token in this file, which others have, too.
    ///
    /// # Errors
    ///
    /// When it holds none, or others may read it.
    pub fn token_file(self, file: &Path) -> anyhow::Result<Self> {
        let token = host::token::Token::read(file)?.shown();
        Ok(Self { token: Some(token), ..self })
    }
}

/// What the receive thread tells whoever asks the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Something came under a key that is not here; the newest epoch that is.
    KeyWanted(Name, u8),
    /// A stream is not subscribed to any more.
    Left(Name),
}
