//! What a subscriber and a publisher's admission endpoint say to each other (docs/PROTOCOL.md §8).
//!
//! They speak over TLS 1.3, in frames: a 16-bit length and a message, which is a byte that says what it
//! is, its fields, and extensions as behind the body of a datagram. Nothing here has a connection: bytes
//! go into [`Frames`], messages come out.
//!
//! | you look for | open |
//! |---|---|
//! | messages in a stream of bytes | `admission/frames.rs` |
//! | fields that nobody else may see | `admission/secret.rs` |

mod frames;
mod secret;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use self::frames::{Frames, MAX_MESSAGE_LEN};
pub use self::secret::Token;
use crate::endpoint::EndpointError;
use crate::seal::Key;
use crate::wire::{Discard, List, Name, numbered, read_message, write_message};
use crate::{Endpoint, StreamId, SubscriberId};

/// The version of admission that is spoken here: the first field of a [`Hello`].
pub const VERSION: u8 = 1;

/// What a subscriber says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromSubscriber {
    /// "Let me in": the first thing that is said.
    Hello(Hello),
    /// "What comes is sealed under a key that I have not."
    KeyWanted(KeyWanted),
    /// "I want no more of this stream."
    Leave(Leave),
    /// "I am here."
    Alive,
}

/// What a publisher says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromPublisher {
    /// "You may have this stream."
    Admitted(Box<Admitted>),
    /// "This stream is sealed under another key from now on."
    Rekey(Rekey),
    /// "You may not."
    Refused(Refused),
    /// "You may no longer have this stream."
    Removed(Removed),
    /// "I am here."
    Alive,
}

/// "Let me in."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who, as in its datagrams.
    pub subscriber: SubscriberId,
    /// What a person calls it.
    pub name: Name,
    /// What it shows, if its key is not known to the publisher.
    pub token: Option<Token>,
    /// The streams that it wants; none: those that it is put into.
    pub streams: List<Name, MAX_STREAMS>,
}

/// "What comes is sealed under a key that I have not."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWanted {
    /// Of which stream.
    pub stream: Name,
    /// The newest epoch that it has a key for; 0: none.
    pub have_epoch: u8,
}

/// "I want no more of this stream."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Which.
    pub stream: Name,
}

/// "You may have this stream."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// Its name.
    pub stream: Name,
    /// Its id on the wire.
    pub stream_id: StreamId,
    /// Where it goes to.
    pub endpoints: List<EndpointText, MAX_ENDPOINTS>,
    /// The epoch of the key; never 0.
    pub epoch: u8,
    /// What it is sealed under.
    #[serde(with = "secret::key")]
    pub key: Key,
    /// The Ed25519 key that its signatures are checked with, if it has any.
    pub verify: Option<[u8; 32]>,
}

/// "This stream is sealed under another key from now on."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekey {
    /// Which.
    pub stream: Name,
    /// The epoch of the key; never 0.
    pub epoch: u8,
    /// The key.
    #[serde(with = "secret::key")]
    pub key: Key,
}

/// "You may not."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Have this stream; `None`: have any.
    pub stream: Option<Name>,
    /// Why.
    pub reason: Refusal,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum Refusal {
    /// Neither its key nor what it shows lets it in.
    NotAuthorized = 1,
    /// There is no such stream.
    UnknownStream = 2,
    /// There is no room for another.
    Full = 3,
    /// It was removed.
    Removed = 4,
    /// It speaks another version.
    Version = 5,
}

numbered!(Refusal { NotAuthorized, UnknownStream, Full, Removed, Version });

/// "You may no longer have this stream."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Which.
    pub stream: Name,
    /// Why.
    pub reason: Removal,
}

/// Why somebody was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum Removal {
    /// The operator removed it.
    Kicked = 1,
    /// Its key is no longer authorized.
    NotAuthorized = 2,
}

numbered!(Removal { Kicked, NotAuthorized });

/// An [`Endpoint`] as it is written: one that is not known here can be passed over.
///
/// On the wire a 16-bit length, at most 128, and that many bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "List<u8, 128>", try_from = "List<u8, 128>")]
pub struct EndpointText(String);

/// Why there is no [`EndpointText`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is UTF-8, at most {} bytes of it", EndpointText::MAX_LEN)]
pub struct NoEndpointText;

impl Refusal {
    /// As metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAuthorized => "not_authorized",
            Self::UnknownStream => "unknown_stream",
            Self::Full => "full",
            Self::Removed => "removed",
            Self::Version => "version",
        }
    }
}

impl Removal {
    /// As metrics and logs spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kicked => "kicked",
            Self::NotAuthorized => "not_authorized",
        }
    }
}

impl EndpointText {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The endpoint.
    ///
    /// # Errors
    /// It is none that is known here.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        self.0.parse()
    }
}

impl TryFrom<&Endpoint> for EndpointText {
    type Error = NoEndpointText;

    fn try_from(endpoint: &Endpoint) -> Result<Self, NoEndpointText> {
        let text = endpoint.to_string();
        if text.len() > Self::MAX_LEN { Err(NoEndpointText) } else { Ok(Self(text)) }
    }
}

impl TryFrom<List<u8, 128>> for EndpointText {
    type Error = NoEndpointText;

    fn try_from(bytes: List<u8, 128>) -> Result<Self, NoEndpointText> {
        String::from_utf8(bytes.into()).map(Self).map_err(|_| NoEndpointText)
    }
}

impl From<EndpointText> for List<u8, 128> {
    fn from(text: EndpointText) -> Self {
        Self::truncated(text.0.into_bytes())
    }
}

impl FromSubscriber {
    /// The message as a frame. Its memory is cleared when it is dropped.
    #[must_use]
    pub fn to_frame(&self) -> Zeroizing<Vec<u8>> {
        frames::frame(|into| match self {
            Self::Hello(hello) => {
                into.extend([HELLO, VERSION]);
                write_message(hello, into);
            }
            Self::KeyWanted(wanted) => {
                into.push(KEY_WANTED);
                write_message(wanted, into);
            }
            Self::Leave(leave) => {
                into.push(LEAVE);
                write_message(leave, into);
            }
            Self::Alive => into.push(ALIVE),
        })
    }

    /// Reads a message that [`Frames`] gave.
    ///
    /// # Errors
    /// Why it cannot be used; [`Discard::Version`] if it is a [`Hello`] of another version.
    pub fn decode(message: &[u8]) -> Result<Self, Discard> {
        let (number, body) = message.split_first().ok_or(Discard::Truncated)?;
        match *number {
            HELLO => match body.split_first() {
                None => Err(Discard::Truncated),
                Some((&VERSION, hello)) => read_message(hello).map(Self::Hello),
                Some(_) => Err(Discard::Version),
            },
            KEY_WANTED => read_message(body).map(Self::KeyWanted),
            LEAVE => read_message(body).map(Self::Leave),
            ALIVE => read_message(body).map(|()| Self::Alive),
            _ => Err(Discard::Kind),
        }
    }
}

impl FromPublisher {
    /// The message as a frame. Its memory is cleared when it is dropped.
    #[must_use]
    pub fn to_frame(&self) -> Zeroizing<Vec<u8>> {
        frames::frame(|into| match self {
            Self::Admitted(admitted) => {
                into.push(ADMITTED);
                write_message(admitted, into);
            }
            Self::Rekey(rekey) => {
                into.push(REKEY);
                write_message(rekey, into);
            }
            Self::Refused(refused) => {
                into.push(REFUSED);
                write_message(refused, into);
            }
            Self::Removed(removed) => {
                into.push(REMOVED);
                write_message(removed, into);
            }
            Self::Alive => into.push(ALIVE),
        })
    }

    /// Reads a message that [`Frames`] gave.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn decode(message: &[u8]) -> Result<Self, Discard> {
        let (number, body) = message.split_first().ok_or(Discard::Truncated)?;
        let read = match *number {
            ADMITTED => Self::Admitted(read_message(body)?),
            REKEY => Self::Rekey(read_message(body)?),
            REFUSED => Self::Refused(read_message(body)?),
            REMOVED => Self::Removed(read_message(body)?),
            ALIVE => read_message(body).map(|()| Self::Alive)?,
            _ => return Err(Discard::Kind),
        };
        if read.epoch() == Some(0) { Err(Discard::Malformed) } else { Ok(read) }
    }

    /// The epoch of the key that it hands out.
    fn epoch(&self) -> Option<u8> {
        match self {
            Self::Admitted(admitted) => Some(admitted.epoch),
            Self::Rekey(rekey) => Some(rekey.epoch),
            Self::Refused(_) | Self::Removed(_) | Self::Alive => None,
        }
    }
}

/// Streams that one [`Hello`] names.
pub const MAX_STREAMS: usize = 32;

/// Endpoints of one stream that an [`Admitted`] names.
pub const MAX_ENDPOINTS: usize = 8;

const HELLO: u8 = 1;
const KEY_WANTED: u8 = 2;
const LEAVE: u8 = 3;
const ADMITTED: u8 = 4;
const REKEY: u8 = 5;
const REFUSED: u8 = 6;
const REMOVED: u8 = 7;
const ALIVE: u8 = 8;
