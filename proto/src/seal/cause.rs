//! Why something is not believed.

use std::fmt;

use crate::wire::{Discard, Kind, VERSION};

/// Why something that came is not believed, as people are told once for each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Cause {
    /// It is sealed, and there is no key here.
    NoKey = 0,
    /// It is not sealed, and there is a key here.
    Unsealed = 1,
    /// It was sealed under another key, or changed on the way.
    WrongKey = 2,
    /// It is of an epoch whose key is not known here.
    Epoch = 3,
    /// It was heard before, or is older than what can be told from that.
    Replayed = 4,
    /// Its session began at another time than now, and there is no way to ask whether it is a
    /// recording.
    Old = 5,
    /// It may be a recording: the publisher was asked, and does not answer.
    Unanswered = 6,
    /// It is not signed, and a signature is wanted.
    Unsigned = 7,
    /// It was signed by somebody else, or changed on the way.
    WrongSignature = 8,
}

impl Cause {
    /// The reason under which it is counted.
    #[must_use]
    pub fn reason(self) -> Discard {
        match self {
            Self::Unsealed | Self::WrongKey | Self::Unsigned | Self::WrongSignature => {
                Discard::Forged
            }
            Self::NoKey | Self::Epoch => Discard::Epoch,
            Self::Replayed | Self::Old | Self::Unanswered => Discard::Replayed,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "it is sealed, and there is no key here",
            Self::Unsealed => "it is not sealed",
            Self::WrongKey => "it does not open with this key",
            Self::Epoch => "it is sealed under a key of another epoch",
            Self::Replayed => "it was heard before",
            Self::Old => "its session did not begin now",
            Self::Unsigned => "it is not signed",
            Self::WrongSignature => "the publisher's key did not sign it",
            Self::Unanswered => "its publisher does not answer whether it is there",
        })
    }
}

/// Why something is discarded before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unbelieved {
    /// People are told.
    Told(Cause),
    /// It is counted.
    Counted(Discard),
}

impl From<Cause> for Unbelieved {
    fn from(cause: Cause) -> Self {
        Self::Told(cause)
    }
}

impl From<Discard> for Unbelieved {
    fn from(reason: Discard) -> Self {
        Self::Counted(reason)
    }
}

/// Which causes were told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Causes(u16);

impl Causes {
    /// Whether it is told for the first time.
    pub(crate) fn add(&mut self, cause: Cause) -> bool {
        let bit = 1 << cause as u16;
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    /// It is told again when it happens again.
    pub(crate) fn remove(&mut self, cause: Cause) {
        self.0 &= !(1 << cause as u16);
    }
}

/// Where there is no key only what is not sealed can be read. People are told of that by which a
/// session is heard of first, on either side: other things may be noise.
pub(crate) fn check_unsealed(datagram: &[u8]) -> Result<(), Unbelieved> {
    let [VERSION, kind, _, 1..=255, ..] = datagram else { return Ok(()) };
    let begins = [Kind::Announce, Kind::Register].iter().any(|begin| begin.number() == *kind);
    Err(if begins { Cause::NoKey.into() } else { Discard::Epoch.into() })
}
